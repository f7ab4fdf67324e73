/* What an http.Server writes, read back: see lib/serve/answer.cjs. */
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { AnswerReader } = require('../../protocol/node/lib/serve/answer.cjs');

/* Reads pieces, each a string, a Buffer or [string, encoding], and says what was found. */
function read(pieces, method = 'GET') {
    const found = { infos: [], body: Buffer.alloc(0), pieces: [] };
    const reader = new AnswerReader({
        onInfo: (status, headers) => found.infos.push([status, { ...headers }]),
        onHead: ({ status, reason, headers }) => Object.assign(found, { status, reason, headers: { ...headers } }),
        onBody(piece) {
            found.pieces.push(piece);
            found.body = Buffer.concat([found.body, Buffer.from(piece)]);
        },
        onEnd(trailers) {
            assert.equal(found.ended, undefined, 'ended twice');
            found.ended = true;
            found.trailers = trailers && { ...trailers };
        },
    });
    reader.begin(method);
    for (const piece of pieces) {
        if (Array.isArray(piece)) reader.take(...piece);
        else reader.take(piece);
    }
    found.reader = reader;
    return found;
}

test('head and body in one string', () => {
    const found = read(['HTTP/1.1 201 Created\r\nContent-Type: text/plain\r\nConnection: keep-alive\r\n' +
        'Date: today\r\nContent-Length: 5\r\nX-A:  b \r\n\r\nhello']);
    assert.equal(found.status, 201);
    assert.equal(found.reason, undefined, 'the phrase goes without saying');
    assert.deepEqual(found.headers, { 'content-type': 'text/plain', 'x-a': ' b ' });
    assert.deepEqual(found.pieces, ['hello'], 'text stays text');
    assert.equal(found.ended, true);
});

test('a phrase of its own is kept, and several fields of one name are', () => {
    const found = read(['HTTP/1.1 200 Fine\r\nSet-Cookie: a\r\nset-cookie: b\r\nconstructor: c\r\n__proto__: d\r\n\r\n']);
    assert.equal(found.reason, 'Fine');
    assert.deepEqual(found.headers, { 'set-cookie': ['a', 'b'], constructor: 'c' });
});

const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n' +
    '5\r\nhello\r\nA;x=y\r\n wörld !!\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n';

test('chunks and trailers, however they are cut', () => {
    const bytes = Buffer.from(CHUNKED);
    for (let at = 1; at < bytes.length; at++) {
        const found = read([bytes.subarray(0, at), bytes.subarray(at)]);
        assert.equal(found.body.toString(), 'hello wörld !!', `cut at ${at}`);
        assert.deepEqual(found.trailers, { 'x-sum': ['1', '2'] });
        assert.deepEqual(found.headers, {});
    }
    const each = read([...bytes].map((byte) => Buffer.from([byte])));
    assert.equal(each.body.toString(), 'hello wörld !!');
    assert.equal(each.ended, true);
});

test('chunks as Node writes them: sizes, ends and text in pieces of their own', () => {
    const found = read([
        ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6', 'latin1'], '\r\n', ['wörld', 'utf8'], '\r\n',
        ['2', 'latin1'], '\r\n', Buffer.from([0xff, 0xfe]), '\r\n', ['0\r\n\r\n', 'latin1'],
    ]);
    assert.deepEqual(found.pieces, ['wörld', Buffer.from([0xff, 0xfe])]);
    assert.equal(found.ended, true);
});

test('a length is one of bytes, in whatever encoding they were written', () => {
    const head = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n';
    assert.equal(read([head, ['wöx', 'utf8']]).ended, true);
    assert.equal(read([head, ['wörd', 'latin1']]).body.latin1Slice(), 'wörd');
    assert.equal(read([head, ['abcd', 'latin1']]).pieces[0], 'abcd');
    assert.equal(read([head, ['AQIDBA==', 'base64']]).body.toString('hex'), '01020304');
    assert.equal(read([head, new Uint8Array([1, 2, 3, 4])]).body.toString('hex'), '01020304');
    const more = read([head, 'abcdefgh']);
    assert.equal(more.body.toString(), 'abcd', 'what is beyond it is cut off');
    const part = read([head, 'abc']);
    assert.equal(part.ended, undefined);
    assert.equal(part.reader.close(), false, 'that was too little');
    assert.deepEqual(part.headers, { 'content-length': '4' }, 'what comes in pieces says its length');
});

test('values are bytes: each is one character', () => {
    const text = 'HTTP/1.1 200 OK\r\nX-A: ö\r\nContent-Length: 0\r\n\r\n';
    assert.equal(read([[text, 'latin1']]).headers['x-a'], 'ö');
    assert.equal(read([Buffer.from(text, 'latin1')]).headers['x-a'], 'ö');
    assert.equal(read([[text, 'utf8']]).headers['x-a'], 'Ã¶', 'as Node would send it');
});

test('what has no body', () => {
    const head = read(['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'], 'HEAD');
    assert.equal(head.ended, true);
    assert.deepEqual(head.headers, { 'content-length': '5' });
    assert.equal(read(['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'], 'HEAD').ended, true);
    for (const status of ['204 No Content', '304 Not Modified']) {
        assert.equal(read([`HTTP/1.1 ${status}\r\n\r\n`]).ended, true);
    }
    assert.equal(read(['HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n']).ended, true);
});

test('interim answers come before it, and 100 is not ours', () => {
    const found = read(['HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n' +
        'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok']);
    assert.deepEqual(found.infos, [[103, { link: '</a>' }]]);
    assert.equal(found.body.toString(), 'ok');
});

test('a body without a length ends with the connection', () => {
    const found = read(['HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nab', 'cd']);
    assert.equal(found.ended, undefined);
    assert.equal(found.reader.close(), true);
    assert.equal(found.body.toString(), 'abcd');
    assert.equal(found.ended, true);
    assert.equal(read(['HTTP/1.1 200 OK\r\n']).reader.close(), false, 'before the head is whole there is no answer');
});

test('101 is the beginning of something else, with all its fields', () => {
    const found = read(['HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00', Buffer.from([0, 1])]);
    assert.deepEqual(found.headers, { connection: 'Upgrade', upgrade: 'websocket' });
    assert.equal(found.reader.isRaw, true);
    assert.equal(found.reader.close(), true);
});

test('what is no answer is refused', () => {
    assert.throws(() => read(['hello\r\n\r\n']), /not the first line of an answer: hello/);
    assert.throws(() => read(['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n']), /not the size of a chunk: zz/);
    assert.throws(() => read([Buffer.alloc(1024 * 1024 + 1, 'x')]), /longer than 1048576 bytes/);
});
