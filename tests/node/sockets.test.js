/* WebSockets, beyond what the transcripts show. */
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { startSource } = require('./lib/worker.js');

async function serve(t, source, options = {}) {
    const worker = startSource(t, `const nodey = require('nodey');\n${source}`, options);
    worker.declared = await worker.ready();
    if (options.hello) worker.send({ type: 'hello', ...options.hello });
    return worker;
}

function open(worker, id, pathname, more) {
    worker.send({ id, method: 'GET', path: pathname, upgrade: 'websocket', ...more });
}

async function accepted(worker, id, pathname, more) {
    open(worker, id, pathname, more);
    assert.deepEqual(await worker.next(), { id, status: 101, more: true });
}

test('a path may have a WebSocket and pages; it is declared once', async (t) => {
    const worker = await serve(t, `
        nodey.ws('/a', async (socket) => socket.send('hi'));
        nodey.get('/a', () => 'page');
        nodey.ws('/only', () => {});
        nodey.post('/page', () => 'page');
    `);
    assert.deepEqual(worker.declared.routes,
        [{ path: '/a', method: 'GET' }, { path: '/only', method: 'GET' }, { path: '/page', method: 'POST' }]);
    assert.equal((await worker.get(1, '/a')).body, 'page');
    const { status, headers } = await worker.get(2, '/only');
    assert.deepEqual([status, headers.upgrade], [426, 'websocket']);
    open(worker, 3, '/page', { method: 'POST' });
    assert.equal((await worker.next()).body, 'page', 'who asks for a WebSocket may get a page');
    open(worker, 4, '/none');
    assert.equal((await worker.next()).code, 'not_found');
    await worker.finish();
});

test('it is accepted at first use, and can be refused until then, by hooks as well', async (t) => {
    const worker = await serve(t, `
        const wait = () => new Promise((resolve) => setTimeout(resolve, 20));
        nodey.before((req) => (req.query.hook ? [401, 'hook'] : undefined));
        nodey.ws('/late', async (socket) => { await wait(); throw new nodey.HTTPError(403, 'late', { headers: { 'x-a': 'b' } }); });
        nodey.ws('/value', async () => { await wait(); return [409, 'value']; });
        nodey.ws('/bug', async () => { throw new TypeError('bug'); });
        nodey.ws('/used', async (socket) => { socket.accept(); await wait(); throw new nodey.HTTPError(403, 'late'); });
    `);
    open(worker, 1, '/late');
    const late = await worker.next();
    assert.deepEqual([late.status, late.headers['x-a'], late.more], [403, 'b', undefined]);
    open(worker, 2, '/value');
    assert.deepEqual(await worker.next(), { id: 2, status: 409, body: 'value' });
    open(worker, 3, '/bug');
    assert.equal((await worker.next()).code, 'internal');
    open(worker, 4, '/late', { query: 'hook=1' });
    assert.deepEqual(await worker.next(), { id: 4, status: 401, body: 'hook' });
    await accepted(worker, 5, '/used');
    assert.equal((await worker.next()).code, 1011);
    await worker.finish();
    assert.equal(worker.logs.length, 1, 'one bug was logged');
});

test('listeners keep it open when the handler has returned', async (t) => {
    const worker = await serve(t, `
        let closed;
        nodey.ws('/', (socket) => {
            socket.onmessage = (message) => { if (message === 'bug') throw new TypeError('bug'); socket.send(message); };
            socket.onclose = ({ code, reason }) => { closed = [code, reason]; };
        });
        nodey.get('/closed', () => nodey.json(closed));
    `);
    await accepted(worker, 1, '/');
    worker.send({ type: 'message', id: 1, body: 'a' });
    assert.deepEqual(await worker.next(), { type: 'message', id: 1, body: 'a' });
    worker.send({ type: 'end', id: 1, code: 4000, reason: 'enough' });
    assert.deepEqual(await worker.next(), { type: 'end', id: 1, code: 4000 });
    assert.deepEqual((await worker.get(2, '/closed')).json, [4000, 'enough']);
    await accepted(worker, 3, '/');
    worker.send({ type: 'message', id: 3, body: 'bug' });
    assert.equal((await worker.next()).code, 1011);
    await worker.finish();
});

test('send waits for credit and tells when nobody hears; close comes behind what waits', async (t) => {
    const worker = await serve(t, `
        let result;
        nodey.ws('/', async (socket) => {
            result = await Promise.all(['aaaa', 'bbbb', 'cccc'].map((text) => socket.send(text)));
            socket.close(1000);
        });
        nodey.ws('/gone', async (socket) => { socket.accept(); await socket.closed; result = await socket.send('x'); });
        nodey.ws('/close', async (socket) => { socket.send('aaaa'); socket.send('bbbb'); socket.close(4001, 'é'); });
        nodey.get('/result', () => ({ result: result ?? 'waits' }));
    `, { hello: { limits: { window: 2 } } });
    await accepted(worker, 1, '/');
    assert.equal((await worker.next()).body, 'aaaa');
    worker.send({ type: 'credit', id: 1, bytes: 3 });
    assert.equal((await worker.next()).body, 'bbbb');
    assert.equal((await worker.get(2, '/result')).json.result, 'waits');
    worker.send({ type: 'credit', id: 1, bytes: 100 });
    assert.equal((await worker.next()).body, 'cccc');
    assert.deepEqual(await worker.next(), { type: 'end', id: 1, code: 1000 });
    assert.deepEqual((await worker.get(3, '/result')).json.result, [true, true, true]);
    await accepted(worker, 4, '/gone');
    worker.send({ type: 'end', id: 4, code: 1006 });
    assert.equal((await worker.next()).type, 'end');
    assert.equal((await worker.get(5, '/result')).json.result, false);
    await accepted(worker, 6, '/close');
    assert.equal((await worker.next()).body, 'aaaa');
    worker.send({ type: 'credit', id: 6, bytes: 100 });
    assert.equal((await worker.next()).body, 'bbbb');
    assert.deepEqual(await worker.next(), { type: 'end', id: 6, code: 4001, reason: 'é' });
    await worker.finish();
});

test('messages that nobody has read give no credit', async (t) => {
    const worker = await serve(t, `
        let go;
        nodey.ws('/', async (socket) => {
            socket.accept();
            await new Promise((resolve) => { go = resolve; });
            let count = 0;
            for await (const message of socket) if (++count === 3) break;
            socket.send(String(count));
        });
        nodey.get('/go', () => { go(); });
    `);
    await accepted(worker, 1, '/');
    for (let n = 0; n < 3; n++) worker.send({ type: 'message', id: 1, body: 'x'.repeat(80000) });
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(worker.takeLine(), undefined);
    assert.equal((await worker.get(2, '/go')).status, 204);
    assert.deepEqual(await worker.next(), { type: 'credit', id: 1, bytes: 160000 });
    assert.equal((await worker.next()).body, '3');
    assert.equal((await worker.next()).code, 1000);
    await worker.finish();
});

test('the signal fires when the client has gone; a cancel before it was accepted ends it', async (t) => {
    const worker = await serve(t, `
        let aborted = 0;
        const wait = (ctx) => new Promise((resolve) => ctx.signal.addEventListener('abort', () => { aborted++; resolve(); }));
        nodey.ws('/open', async (socket, req, ctx) => { socket.accept(); await wait(ctx); });
        nodey.ws('/new', async (socket, req, ctx) => { await wait(ctx); });
        nodey.get('/aborted', () => aborted);
    `);
    await accepted(worker, 1, '/open');
    worker.send({ type: 'end', id: 1, code: 1006 });
    assert.equal((await worker.next()).type, 'end');
    open(worker, 2, '/new');
    await worker.get(9, '/aborted');
    worker.send({ type: 'cancel', id: 2, reason: 'disconnect' });
    assert.deepEqual(await worker.next(), { type: 'error', id: 2, code: 'cancelled' });
    open(worker, 4, '/new'); // and one that is cancelled before its handler runs, or as it begins
    worker.send({ type: 'cancel', id: 4, reason: 'disconnect' });
    assert.deepEqual(await worker.next(), { type: 'error', id: 4, code: 'cancelled' });
    assert.ok([2, 3].includes((await worker.get(3, '/aborted')).json));
    await worker.finish();
});

test('shutdown closes with 1001 as well', async (t) => {
    const worker = await serve(t, "nodey.ws('/', async (socket) => { for await (const message of socket); });");
    await accepted(worker, 1, '/');
    worker.send({ type: 'shutdown', grace: 3000 });
    assert.equal((await worker.next()).code, 1001);
    assert.equal((await worker.ended()).code, 0);
});

test('misuse is refused where it happens', async (t) => {
    const worker = await serve(t, `
        const said = [];
        const attempt = (run) => { try { run(); } catch (error) { said.push(error.message); } };
        attempt(() => nodey.ws('/x', { protocols: 'chat' }, () => {}));
        attempt(() => nodey.ws('/x', { protocols: ['a b'] }, () => {}));
        attempt(() => nodey.ws('/x'));
        nodey.ws('/', async (socket) => {
            attempt(() => socket.send({ a: 1 }));
            attempt(() => socket.close(1006));
            attempt(() => socket.close(999));
            attempt(() => socket.close(1000, 'é'.repeat(62)));
            attempt(() => socket.on('message', () => {}));
            await socket.send(JSON.stringify(said));
        });
    `);
    await accepted(worker, 1, '/');
    const said = JSON.parse((await worker.next()).body);
    const expected = [/protocols must be an array of names, not 'chat'/, /protocols must be/, /the handler must be a function/,
        /must be a string or bytes, not \{ a: 1 \}: write send\(JSON.stringify\(value\)\)/, /the code is 1006/, /the code is 999/,
        /at most 123 bytes/, /no socket.on: write {2}for await/];
    assert.equal(said.length, expected.length, said.join('\n'));
    expected.forEach((pattern, at) => assert.match(said[at], pattern));
    assert.equal((await worker.next()).type, 'end');
    await worker.finish();
});

/* Long text leaves past JSON.stringify if nothing in it is to be escaped: wherever that is. */
test('long messages come back as they went', async (t) => {
    const worker = await serve(t, `
        nodey.ws('/', (socket) => { socket.onmessage = (text) => socket.send(text); });
    `, { hello: { limits: { max_line: 1048576, window: 64e6 } } });
    await accepted(worker, 1, '/');
    const long = 'x'.repeat(20000);
    const escaped = ['"', '\\', '\n', '\0', '\x1f'];
    const bodies = [...[...escaped, '\x7f', 'é', '😀', '\u2028'].flatMap((odd) =>
        [0, 1, 2, 3].flatMap((at) => [long.slice(0, at) + odd + long, `${long.slice(at)}${odd}`])),
    long, 'é'.repeat(30000), 'x'.repeat(98000), `${'x'.repeat(98303)}😀`, '😀'.repeat(60000)];
    for (const body of bodies) {
        worker.send({ type: 'message', id: 1, body });
        let frame = await worker.next();
        while (frame.type === 'credit') frame = await worker.next();
        assert.equal(frame.type, 'message');
        assert.ok(frame.body === body, `${body.length} characters, ${body.slice(0, 4)} ... ${body.slice(-4)}`);
    }
    worker.send({ type: 'message', id: 1, body: `\ud800${long}` });
    let frame = await worker.next();
    while (frame.type === 'credit') frame = await worker.next();
    assert.ok(['\ud800', '\ufffd'].includes(frame.body[0]));
    worker.send({ type: 'end', id: 1, code: 1000 });
    assert.deepEqual(await worker.next(), { type: 'end', id: 1, code: 1000 });
    await worker.finish();
});
