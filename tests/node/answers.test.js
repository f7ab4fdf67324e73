/* What handlers return beyond plain values: helpers, cookies, files, streams. */
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { Conversation } = require('./lib/conversation.js');
const { SDK, startSource } = require('./lib/worker.js');
const { setCookieText } = require(path.join(SDK, 'lib/cookies.cjs'));

const HEAD = "const nodey = require('nodey');\n";

async function serve(t, source, options) {
    const worker = startSource(t, HEAD + source, options);
    await worker.ready();
    return worker;
}

/* Each path answers with its own expression. */
async function answers(t, expressions, options) {
    const routes = expressions.map((expression, at) => `nodey.all('/${at}', async (req) => (${expression}));`);
    const worker = await serve(t, routes.join('\n'), options);
    const frames = [];
    for (const at of expressions.keys()) frames.push(await worker.get(0, `/${at}`));
    await worker.finish();
    return frames.map(({ id, ...frame }) => frame);
}

test('helpers say what they return', async (t) => {
    const frames = await answers(t, ["nodey.text('a')", "nodey.html('<p>', { status: 201 })", 'nodey.json([200, 1])',
        "nodey.json('text')", "nodey.json({ a: 1 }, { headers: { 'Content-Type': 'application/ld+json' } })",
        "nodey.redirect('/é x?a=%20', 303)", "nodey.response('x').setHeader('X-A', [1, 'b'])",
        "nodey.text('x').setCookie('a', 'b; c').deleteCookie('d', { path: '/e' })"]);
    assert.deepEqual(frames, [
        { headers: { 'content-type': 'text/plain; charset=utf-8' }, body: 'a' },
        { status: 201, headers: { 'content-type': 'text/html; charset=utf-8' }, body: '<p>' },
        { headers: { 'content-type': 'application/json' }, json: [200, 1] },
        { headers: { 'content-type': 'application/json' }, body: '"text"' },
        { headers: { 'content-type': 'application/ld+json' }, json: { a: 1 } },
        { status: 303, headers: { location: '/%C3%A9%20x?a=%20' }, body: '' },
        { headers: { 'x-a': ['1', 'b'] }, body: 'x' },
        { headers: { 'content-type': 'text/plain; charset=utf-8',
            'set-cookie': ['a=b%3B%20c; Path=/', 'd=; Max-Age=0; Path=/e'] }, body: 'x' },
    ]);
});

test('an HTTPError may bring headers; then it is a problem+json response', async (t) => {
    const worker = await serve(t, `
        nodey.get('/', () => { throw new nodey.HTTPError(401, 'who?', { headers: { 'WWW-Authenticate': 'Basic' }, data: 1 }); });
        nodey.token('T', () => { throw new nodey.HTTPError(401, 'who?', { headers: { a: 'b' } }); });
    `);
    const { status, headers, json } = await worker.get(1, '/');
    assert.equal(status, 401);
    assert.deepEqual(headers, { 'content-type': 'application/problem+json', 'www-authenticate': 'Basic' });
    assert.deepEqual(json, { type: 'about:blank', title: 'Unauthorized', status: 401, detail: 'who?',
        code: 'unauthenticated', data: 1 });
    const asked = await worker.call({ type: 'ask', id: 2, token: 'T' });
    assert.deepEqual(asked, { type: 'error', id: 2, code: 'unauthenticated', message: 'who?' });
    await worker.finish();
});

/* ---- cookies */

const COOKIES = [
    ['a', 'x y', {}, 'a=x%20y; Path=/'],
    ['a', 1, { maxAge: 60, domain: 'x.org', path: '/p', secure: true, httpOnly: true, sameSite: 'Lax' },
        'a=1; Max-Age=60; Domain=x.org; Path=/p; Secure; HttpOnly; SameSite=Lax'],
    ['a', '', { expires: new Date(0) }, 'a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/'],
    ['__Host-a', 'x', { secure: true }, '__Host-a=x; Path=/; Secure'],
    ['a', 'x', { secure: true, sameSite: 'none', partitioned: true }, 'a=x; Path=/; Secure; SameSite=None; Partitioned'],
];

for (const [name, value, attributes, text] of COOKIES) {
    test(`the cookie ${text}`, () => assert.equal(setCookieText(name, value, attributes), text));
}

const BAD_COOKIES = [
    ['a b', 'x', {}, /a cookie's name is 'a b'/],
    ['', 'x', {}, /a cookie's name is ''/],
    ['a', { b: 1 }, {}, /cookie a: the value is .*JSON.stringify/],
    ['a', 'x', { path: '/; Secure' }, /path is .*without ";"/],
    ['a', 'x', { domain: 'a\r\nb' }, /domain is/],
    ['a', 'x', { maxAge: 1.5 }, /maxAge is 1.5; it must be whole seconds/],
    ['a', 'x', { expires: 'never' }, /expires is 'never'/],
    ['a', 'x', { sameSite: 'loose' }, /sameSite is 'loose'/],
    ['a', 'x', { sameSite: 'none' }, /needs secure: true/],
    ['a', 'x', { partitioned: true }, /partitioned needs secure/],
    ['a', 'x', { samesite: 'lax' }, /no attribute samesite; known are maxAge,/],
    ['__Host-a', 'x', { secure: true, domain: 'x.org' }, /no domain/],
    ['__Secure-a', 'x', {}, /needs secure: true/],
    ['a', 'x'.repeat(5000), {}, /5002 bytes are too many/],
];

for (const [name, value, attributes, message] of BAD_COOKIES) {
    test(`a cookie that no browser would keep: ${message.source}`, () => {
        assert.throws(() => setCookieText(name, value, attributes), { name: 'TypeError', message });
    });
}

/* ---- streams */

test('pieces of one turn leave in one line: text stays text, the rest is bytes', async (t) => {
    const frames = await answers(t, [
        "(function* () { yield 'a'; yield 'é'; })()", "(async function* () { yield 'a'; yield Buffer.from('b'); })()",
        "require('node:stream').Readable.from(['a', 'b'])", "new Blob(['hi'], { type: 'text/x' }).stream()",
        "new Blob(['hi'], { type: 'text/x' })", "[201, (function* () {})(), { 'x-a': 'b' }]",
        "new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array([1])); c.close(); } }), { status: 203 })",
        "nodey.response((function* () { yield 'a'; })(), { status: 202 })",
    ]);
    assert.deepEqual(frames, [{ body: 'aé' }, { body64: 'YWI=' }, { body: 'ab' }, { body64: 'aGk=' },
        { headers: { 'content-type': 'text/x' }, body64: 'aGk=' }, { status: 201, headers: { 'x-a': 'b' } },
        { status: 203, body64: 'AQ==' }, { status: 202, body: 'a' }]);
});

test('what fails before its first piece is an error that names the route, and it is closed', async (t) => {
    const worker = await serve(t, `
        const closed = [];
        async function* rows(name, piece) { try { for (;;) yield piece; } finally { closed.push(name); } }
        nodey.get('/object', () => rows('object', { a: 1 }));
        nodey.get('/throws', () => (async function* () { throw new nodey.HTTPError(409, 'none', { headers: { 'x-a': 'b' } }); })());
        nodey.get('/closed', () => nodey.json(closed));
    `);
    assert.match((await worker.get(1, '/object')).message,
        /^TypeError: GET \/object: a stream or generator may give strings and bytes, not \{ a: 1 \}/);
    const { status, headers } = await worker.get(1, '/throws');
    assert.deepEqual([status, headers['x-a']], [409, 'b']);
    assert.deepEqual((await worker.get(2, '/closed')).json, ['object']);
    await worker.finish();
});

test('a stream that waits is given up with its request, and closed', async (t) => {
    const worker = await serve(t, `
        const { Readable } = require('node:stream');
        let closed = false;
        nodey.get('/', () => new Readable({ read() {}, destroy(error, done) { closed = true; done(error); } }));
        nodey.get('/closed', () => closed);
    `);
    worker.send({ id: 1, method: 'GET', path: '/' }, { type: 'cancel', id: 1, reason: 'disconnect' });
    assert.equal((await worker.next()).code, 'cancelled');
    assert.deepEqual(await worker.get(2, '/closed'), { id: 2, json: true });
    await worker.finish();
});

test('a Response can be returned once', async (t) => {
    const worker = await serve(t, "const once = new Response('hi'); nodey.get('/', () => once);");
    assert.equal((await worker.get(1, '/')).body64, 'aGk=');
    assert.match((await worker.get(2, '/')).message, /GET \/: the Response that was returned has been read already/);
    await worker.finish();
});

/* ---- files */

function folder(t) {
    const made = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'nodey-files-')));
    t.after(() => fs.rmSync(made, { recursive: true }));
    fs.mkdirSync(path.join(made, 'public'));
    fs.writeFileSync(path.join(made, 'secret'), 'secret');
    fs.writeFileSync(path.join(made, 'public/page.html'), '<p>é');
    fs.symlinkSync('../secret', path.join(made, 'public/link'));
    fs.utimesSync(path.join(made, 'public/page.html'), 1e9, 1e9);
    return made;
}

async function fileWorker(t, made, options) {
    return serve(t, `
        nodey.all('/one', (req) => nodey.file(${JSON.stringify(made)} + '/public/page.html', { download: req.query.name }));
        nodey.get('/in/*', (req) => nodey.file(req.params['*'], { root: ${JSON.stringify(made)} + '/public' }));
        nodey.get('/raw', () => [206, nodey.file(${JSON.stringify(made)} + '/secret', { type: 'x/y', headers: { 'X-A': 'b' } })]);
    `, options);
}

test('a file comes with its type, tag and date, and only when the client lacks it', async (t) => {
    const worker = await fileWorker(t, folder(t));
    const { headers, body64 } = await worker.get(1, '/one');
    assert.equal(Buffer.from(body64, 'base64').toString(), '<p>é');
    assert.equal(headers['content-type'], 'text/html; charset=utf-8');
    assert.equal(headers['last-modified'], 'Sun, 09 Sep 2001 01:46:40 GMT');
    assert.match(headers.etag, /^"[0-9a-f]+-[0-9a-f]+"$/);
    const conditional = (given, method = 'GET') => worker.call({ id: 1, method, path: '/one', headers: given });
    for (const [given, status] of [
        [{ 'if-none-match': headers.etag }, 304], [{ 'if-none-match': `"x", W/${headers.etag}` }, 304],
        [{ 'if-none-match': '*' }, 304], [{ 'if-none-match': '"x"' }, undefined],
        [{ 'if-modified-since': headers['last-modified'] }, 304],
        [{ 'if-modified-since': 'Sun, 09 Sep 2001 01:46:39 GMT' }, undefined], [{ 'if-modified-since': 'x' }, undefined],
        [{ 'if-none-match': '"x"', 'if-modified-since': headers['last-modified'] }, undefined],
    ]) {
        const frame = await conditional(given);
        assert.equal(frame.status, status, JSON.stringify(given));
        assert.equal(frame.body64 === undefined, status === 304);
        assert.equal(frame.headers.etag, headers.etag);
    }
    assert.equal((await conditional({ 'if-none-match': headers.etag }, 'POST')).status, undefined);
    const raw = await worker.get(2, '/raw');
    assert.deepEqual([raw.status, raw.headers['content-type'], raw.headers['x-a']], [206, 'x/y', 'b']);
    await worker.finish();
});

test('a download has a name that every browser can read', async (t) => {
    const worker = await fileWorker(t, folder(t));
    const named = async (query) => (await worker.get(1, `/one?name=${query}`)).headers['content-disposition'];
    assert.equal(await named('a.html'), 'attachment; filename="a.html"');
    assert.equal(await named('%E2%82%AC%22.html'), 'attachment; filename="__.html"; filename*=UTF-8\'\'%E2%82%AC%22.html');
    await worker.finish();
});

test('a path from a client does not leave its folder', async (t) => {
    const worker = await fileWorker(t, folder(t));
    assert.equal(Buffer.from((await worker.get(1, '/in/page.html')).body64, 'base64').toString(), '<p>é');
    for (const target of ['..%2fsecret', '%2e%2e/secret', 'link', '..%2f..%2f..%2fetc/passwd', '', 'none', 'page.html/x', 'a%00b']) {
        const { code, message } = await worker.get(1, `/in/${target}`);
        assert.equal(code, 'not_found', target);
        assert.match(message, /^there is no file /);
    }
    await worker.finish();
});

test('a file that no line can hold is sent in pieces, with its length', async (t) => {
    const made = folder(t);
    fs.writeFileSync(path.join(made, 'public/big'), Buffer.alloc(2000));
    const worker = await fileWorker(t, made, { env: { NODEY_MAX_LINE: '2500' } });
    const conversation = new Conversation(worker);
    worker.send({ id: 1, method: 'GET', path: '/in/big' });
    await conversation.receive({ id: 1, status: 200, headers: { 'content-length': '2000' }, size: 2000, end: true });
    await worker.finish();
});
