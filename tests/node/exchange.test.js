/* One exchange, and the bytes that lines are made of, without a process. */
'use strict';

const assert = require('node:assert/strict');
const path = require('node:path');
const { test } = require('node:test');
const { SDK } = require('./lib/worker.js');

process[Symbol.for('nodey.testing')] = true; // stdin and stdout are the test's
const wire = require(path.join(SDK, 'lib/wire.cjs'));
const exchanges = require(path.join(SDK, 'lib/exchanges.cjs'));
const { Lines } = require(path.join(SDK, 'lib/lines.cjs'));
const { cut } = require(path.join(SDK, 'lib/pieces.cjs'));

const sent = [];
wire.redirect((line) => sent.push(JSON.parse(line)));

function frames() {
    return sent.splice(0);
}

function turn() {
    return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}

let lastId = 0;

function open(window = 262144, frame = {}) {
    exchanges.setLimits({ window });
    return exchanges.open({ id: ++lastId, method: 'POST', path: '/', ...frame });
}

test('what is complete within a turn is one plain line', () => {
    const one = open();
    one.head({ status: 201, reason: 'Made', headers: { a: 'b' } }, 'x');
    one.write('y');
    one.end('é');
    assert.deepEqual(frames(), [{ id: lastId, status: 201, reason: 'Made', headers: { a: 'b' }, body: 'xyé' }]);
    const mixed = open();
    mixed.head({});
    mixed.write('x');
    mixed.end(Buffer.from([255]));
    assert.deepEqual(frames(), [{ id: lastId, body64: Buffer.from([0x78, 255]).toString('base64') }]);
    assert.equal(exchanges.size, 0);
});

test('the head leaves with the turn, and the last piece with the end', async () => {
    const one = open();
    one.head({ status: 202 });
    await turn();
    assert.deepEqual(frames(), [{ id: lastId, status: 202, more: true }]);
    one.write('a');
    one.write('b');
    one.write(Buffer.from('c'));
    await turn();
    assert.deepEqual(frames(), [{ type: 'chunk', id: lastId, body: 'ab' }, { type: 'chunk', id: lastId, body64: 'Yw==' }]);
    one.end('d', { sum: '1' });
    assert.deepEqual(frames(), [{ type: 'end', id: lastId, trailers: { sum: '1' }, body: 'd' }]);
});

test('a write beyond the credit says so, and is told when all has gone', async () => {
    const one = open(10);
    let drains = 0;
    one.onDrain = () => drains++;
    one.head({});
    assert.equal(one.write('12345678'), true);
    assert.equal(one.credit, 2);
    assert.equal(one.write('éé😀x'), false);
    await turn();
    assert.deepEqual(frames(), [{ id: lastId, more: true, body: '12345678é' }]);
    exchanges.receivers.credit({ id: lastId, bytes: 3 });
    assert.deepEqual(frames(), [{ type: 'chunk', id: lastId, body: 'é' }]);
    assert.equal(drains, 0);
    exchanges.receivers.credit({ id: lastId, bytes: 4 });
    assert.deepEqual(frames(), [{ type: 'chunk', id: lastId, body: '😀x' }]);
    assert.equal(drains, 1);
    one.end();
    assert.deepEqual(frames(), [{ type: 'end', id: lastId }], 'the end needs no credit');
});

test('what is written from onDrain at the end of a turn is not forgotten', async () => {
    const one = open(4);
    one.head({});
    await turn();
    one.onDrain = () => one.write('b');
    assert.equal(one.write('aaaaa'), false);
    await turn();
    frames();
    setImmediate(() => exchanges.receivers.credit({ id: lastId, bytes: 5 }));
    await turn();
    await turn();
    assert.deepEqual(frames(), [{ type: 'chunk', id: lastId, body: 'a' }, { type: 'chunk', id: lastId, body: 'b' }]);
    // The same within the flush of a turn, when the credit has come before it.
    const two = open(100);
    two.head({});
    two.onDrain = () => two.write('d');
    two.write('c'.repeat(101));
    exchanges.receivers.credit({ id: lastId, bytes: 50 });
    await turn();
    await turn();
    assert.equal(frames().map(({ body = '' }) => body).join('').replace(/c+/, 'c'), 'cd');
    one.fail({ code: 'internal' });
    two.fail({ code: 'internal' });
    frames();
});

test('memory that is used again does not change what was written', async () => {
    const one = open();
    const bytes = Buffer.from('a');
    one.head({}, bytes);
    bytes[0] = 0x62;
    one.write(bytes);
    bytes[0] = 0x63;
    one.end(bytes);
    assert.equal(Buffer.from(frames()[0].body64, 'base64').toString(), 'abc');
});

test('a big body is cut into pieces, in order', async () => {
    const body = Buffer.from(Array.from({ length: 200000 }, (_, at) => at % 251));
    const one = open(1000000);
    one.head({});
    one.end(body);
    const all = frames();
    assert.equal(all[0].more, true);
    assert.equal(all.at(-1).type, 'end');
    const pieces = all.map(({ body64 = '' }) => Buffer.from(body64, 'base64'));
    assert.ok(pieces.every((piece) => piece.length <= 65536));
    assert.ok(Buffer.concat(pieces).equals(body));
});

test('control characters do not make a line of six times their size', () => {
    const one = open(1000000);
    one.head({});
    one.end('\u0001'.repeat(60000));
    assert.equal(frames()[0].body64.length, 80000);
});

test('a cancelled exchange sends its last frame only', async () => {
    const one = open(4);
    const reasons = [];
    one.onCancel = (reason) => reasons.push(reason);
    one.head({});
    one.write('abcdefgh');
    await turn();
    frames();
    exchanges.cancel(lastId, 'disconnect');
    exchanges.cancel(lastId, 'disconnect');
    exchanges.receivers.credit({ id: lastId, bytes: 100 });
    assert.equal(one.write('x'), true);
    assert.deepEqual([reasons, frames()], [['disconnect'], []]);
    one.end('y');
    assert.deepEqual(frames(), [{ type: 'error', id: lastId, code: 'cancelled' }]);
    // Its owner may have ended it already, while it waited for credit: then nobody owes anything.
    const two = open(4);
    two.head({});
    two.end('abcdefgh', { a: 'b' });
    frames();
    exchanges.cancel(lastId, 'timeout');
    assert.deepEqual(frames(), [{ type: 'error', id: lastId, code: 'cancelled' }]);
    assert.equal(exchanges.size, 0);
});

test('a body that came before anybody listened is handed over in order, its end last', () => {
    const one = open(100, { more: true, body: 'a' });
    exchanges.receivers.chunk({ id: lastId, body: 'b' });
    exchanges.receivers.end({ id: lastId, body64: 'Yw==', trailers: { t: '1' } });
    exchanges.receivers.chunk({ id: lastId, body: 'late' });
    const seen = [];
    one.onBodyEnd = (trailers) => seen.push(trailers);
    one.onBody = (bytes) => seen.push(bytes.toString());
    assert.deepEqual(seen, ['a', 'b', 'c', { t: '1' }]);
    one.grant(200000);
    one.end();
    assert.deepEqual(frames(), [{ id: lastId }], 'no credit after the last frame');
    assert.equal(exchanges.wantsChunks(), false);
});

test('info and errors', () => {
    const one = open();
    one.info(103, { link: 'x' });
    one.head({});
    one.fail(new TypeError('bug'));
    one.fail(new TypeError('again'));
    assert.deepEqual(frames(), [{ type: 'info', id: lastId, status: 103, headers: { link: 'x' } },
        { type: 'error', id: lastId, code: 'internal', message: 'TypeError: bug' }]);
});

test('text is cut at characters', () => {
    assert.deepEqual(cut('abc', 3), { part: 'abc', size: 3, rest: null });
    assert.deepEqual(cut('abcd', 3), { part: 'abc', size: 3, rest: 'd' });
    assert.deepEqual(cut('ééé', 5), { part: 'éé', size: 4, rest: 'é' });
    assert.deepEqual(cut('a😀b', 2), { part: 'a', size: 1, rest: '😀b' });
    assert.deepEqual(cut(`${'a'.repeat(9)}😀b`, 10), { part: 'a'.repeat(9), size: 9, rest: '😀b' });
    assert.deepEqual(cut('😀', 3), { part: '', size: 0, rest: '😀' });
    assert.deepEqual(cut(Buffer.from('abc'), 2), { part: Buffer.from('ab'), size: 2, rest: Buffer.from('c') });
});

/* ---- bytes to lines */

function collect(wantsChunks = true) {
    const got = [];
    const lines = new Lines({
        onLine: (text) => got.push(text), onChunk: (id, bytes) => got.push([id, bytes.toString('latin1')]),
        onText: (id, text) => got.push([id, text]), onBatch: () => {}, wantsChunks: () => wantsChunks,
    });
    return { got, lines };
}

test('lines come out whole, however their bytes come in', () => {
    const text = ['a', '', 'é😀', 'x'.repeat(300000), 'y'.repeat(600000), 'z'].join('\n');
    const bytes = Buffer.from(text);
    for (const wantsChunks of [false, true]) {
        for (const size of [1, 7, 65536, 200000, bytes.length]) {
            if (size === 1 && bytes.length > 1000) continue;
            const { got, lines } = collect(wantsChunks);
            for (let at = 0; at < bytes.length; at += size) lines.take(bytes.subarray(at, at + size));
            lines.finish();
            assert.deepEqual(got.map((line) => line.length), text.split('\n').map((line) => line.length));
            assert.equal(got.join('\n'), text);
        }
    }
    const { got, lines } = collect();
    for (const byte of Buffer.from('é\n\n{"type":"chunk","id":1,"body":"é"}\n')) lines.take(Buffer.from([byte]));
    assert.deepEqual(got, ['é', '', [1, Buffer.from('é').toString('latin1')]]);
});

const AS_BYTES = [
    ['{"type":"chunk","id":12,"body64":"AP8="}', [12, '\x00\xff']],
    ['{"type":"chunk","id":9007199254740,"body64":"AP8A"}', [9007199254740, '\x00\xff\x00']],
    ['{"type":"chunk","id":1,"body64":"AA=="}', [1, '\x00']],
    ['{"type":"chunk","id":1,"body":"plain"}', [1, 'plain']],
];

const AS_TEXT = [
    '{"type":"chunk","id":1,"body64":"AB=="}', '{"type":"chunk","id":1,"body64":"AP8"}', '{"type":"chunk","id":1,"body64":"A*8="}',
    '{"type":"chunk","id":1,"body64":"AAE=","x":"y"}', '{"type":"chunk","id":1,"body":"a\\n"}', '{"type":"chunk","id":1,"body":"a","x":"y"}',
    '{"type":"chunk","id":"1","body":"a"}', '{"type":"chunk","id":,"body":"a"}', '{"type":"chunk","id":1}', '{"type":"chunk","id":1',
    '{"type":"chunk","id":1,"body64":"', '{"type":"chunk","id":1,"body64":""}', '{"type":"chunk","id":1,"body64":"AAE=" }', '{"type":"end","id":1}', '',
];

test('only what is plainly a chunk is read as bytes', () => {
    for (const [line, expected] of AS_BYTES) {
        const { got, lines } = collect();
        lines.take(Buffer.from(`before\n${line}\nafter\n`));
        assert.deepEqual(got, ['before', expected, 'after'], line);
    }
    for (const line of AS_TEXT) {
        const { got, lines } = collect();
        lines.take(Buffer.from(`before\n${line}\nafter\n`));
        assert.deepEqual(got, ['before', line, 'after']);
    }
});

test('only a long message of text without escapes is read past JSON', () => {
    const long = `${'é'.repeat(3000)}😀`;
    const PLAIN = `{"type":"message","id":7,"body":"${long}"}`;
    const OTHERS = [
        PLAIN.replace('é', '\\n'), PLAIN.replace('é', '","x":"'), PLAIN.replace('"body"', '"body64"'),
        PLAIN.replace('7', '"7"'), PLAIN.slice(0, -1), '{"type":"message","id":7,"body":"short"}',
    ];
    for (const line of OTHERS) {
        const { got, lines } = collect();
        lines.take(Buffer.from(`before\n${line}\nafter\n`));
        assert.deepEqual(got, ['before', line, 'after']);
    }
    const { got, lines } = collect();
    lines.take(Buffer.from(`before\n${PLAIN}\nafter\n`));
    assert.deepEqual(got, ['before', [7, long], 'after']);
});
