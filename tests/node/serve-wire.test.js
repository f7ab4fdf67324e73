/* nodey.serve(app): an app's own http.Server at the end of real pipes. */
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { startSource } = require('./lib/worker.js');

const WINDOW = 262144;
const HEAD = "const nodey = require('nodey'); const http = require('node:http');\n";
const APP = `${HEAD}
const seen = [];
let count = 0;
let last = null;
nodey.serve((req, res) => {
    const { pathname } = new URL(req.url, 'http://x');
    const handler = handlers[pathname.slice(1)];
    if (handler) handler(req, res);
    else res.end('hello');
});
process.on('uncaughtException', (error) => seen.push(error.message));
`;

async function serve(t, handlers, options) {
    const worker = startSource(t, `${APP} const handlers = { ${handlers} };`, options);
    worker.declared = await worker.ready();
    return worker;
}

function request(id, path, more) {
    return { id, method: 'GET', path, headers: { host: 'example.com' }, ip: '192.0.2.1', ...more };
}

/* Reads frames until the end of one answer; returns them and what its body is. */
async function whole(worker) {
    const frames = [await worker.next()];
    if (frames[0].more) do frames.push(await worker.next()); while (frames.at(-1).type === 'chunk');
    const bytes = frames.map(({ body, body64 }) => (body64 === undefined ? Buffer.from(body ?? '') : Buffer.from(body64, 'base64')));
    return { frames, first: frames[0], last: frames.at(-1), body: Buffer.concat(bytes).toString() };
}

test('an answer that is written at once is one plain line', async (t) => {
    const worker = await serve(t, `
        text(req, res) { res.setHeader('Content-Type', 'text/plain'); res.end('hé'); },
        bytes(req, res) { res.end(Buffer.from([0, 255])); },
        cookies(req, res) { res.statusMessage = 'Fine'; res.setHeader('Set-Cookie', ['a=1', 'b=2']); res.writeHead(201); res.end(); },
        pieces(req, res) { res.write('a'); res.write('b'); res.end('c'); },
        nothing(req, res) { res.writeHead(204); res.end(); },
    `);
    assert.deepEqual(worker.declared.routes, [{ path: '/*' }]);
    for (const feature of ['stream', 'upgrade', 'cancel']) assert.ok(worker.declared.features.includes(feature), feature);
    assert.deepEqual(await worker.call(request(1, '/text')),
        { id: 1, headers: { 'content-type': 'text/plain' }, body: 'hé' });
    assert.deepEqual(await worker.call(request(2, '/bytes')),
        { id: 2, headers: { 'content-type': [], 'content-length': '2' }, body64: 'AP8=' });
    assert.deepEqual(await worker.call(request(3, '/cookies')),
        { id: 3, status: 201, reason: 'Fine', headers: { 'set-cookie': ['a=1', 'b=2'], 'content-type': [] } });
    assert.deepEqual(await worker.call(request(4, '/pieces')), { id: 4, headers: { 'content-type': [] }, body: 'abc' });
    assert.deepEqual(await worker.call(request(5, '/nothing')), { id: 5, status: 204, headers: { 'content-type': [] } });
    await worker.finish();
});

test('the app sees the request as it came', async (t) => {
    const worker = await serve(t, `
        look(req, res) {
            const { remoteAddress, remoteFamily, encrypted } = req.socket;
            req.socket.setNoDelay().setKeepAlive(true).ref().unref();
            if (req.socket.bytesRead === 0) throw new Error('nothing was read');
            let body = '';
            req.setEncoding('utf8').on('data', (text) => (body += text)).on('end', () => {
                res.end(JSON.stringify({ method: req.method, url: req.url, version: req.httpVersion, headers: req.headers,
                    remoteAddress, remoteFamily, encrypted: Boolean(encrypted), body }));
            });
        },
    `);
    const look = async (frame) => JSON.parse((await whole((worker.send(frame), worker))).body);
    assert.deepEqual(await look(request(1, '/look', { query: 'a=%20b' })), {
        method: 'GET', url: '/look?a=%20b', version: '1.1', headers: { host: 'example.com', connection: 'keep-alive' },
        remoteAddress: '192.0.2.1', remoteFamily: 'IPv4', encrypted: false, body: '',
    });
    const post = request(2, '/look', { method: 'POST', scheme: 'https', ip: '::1', body: 'ä',
        headers: { host: 'h', 'content-length': '2', 'x-a': 'ÿ', accept: ['a', 'b'], upgrade: 'no', 'transfer-encoding': 'no' } });
    assert.deepEqual(await look(post), {
        method: 'POST', url: '/look', version: '1.1', remoteAddress: '::1', remoteFamily: 'IPv6', encrypted: true, body: 'ä',
        headers: { host: 'h', 'x-a': 'ÿ', accept: 'a, b', 'content-length': '2', connection: 'keep-alive' },
    });
    // One without a body has no length, one without Host is served, one by hand is escaped.
    const bare = await look({ id: 3, method: 'DELETE', path: '/look', query: 'ä b' });
    assert.deepEqual(bare.headers, { connection: 'keep-alive' });
    assert.equal(bare.url, '/look?%C3%A4%20b');
    const bytes = await look(request(4, '/look', { method: 'PUT', body64: Buffer.from('é').toString('base64') }));
    assert.deepEqual([bytes.body, bytes.headers['content-length']], ['é', '2']);
    await worker.finish();
});

test('connections are kept for the next request, and many go at once', async (t) => {
    const worker = await serve(t, `
        which(req, res) {
            req.socket.number ??= ++count;
            setTimeout(() => res.end(String(req.socket.number)), Number(req.url.split('=')[1]));
        },
    `);
    for (let id = 1; id <= 3; id++) assert.equal((await worker.call(request(id, '/which', { query: 't=0' }))).body, '1');
    worker.send(...[4, 5, 6].map((id) => request(id, '/which', { query: `t=${60 - 10 * id}` })));
    const answers = [await worker.next(), await worker.next(), await worker.next()];
    assert.deepEqual(answers.map(({ id }) => id), [6, 5, 4], 'each when it is done');
    assert.deepEqual(answers.map(({ body }) => body).sort(), ['1', '2', '3']);
    await worker.finish();
});

test('pieces leave when they are written, with trailers and interim answers', async (t) => {
    const worker = await serve(t, `
        async slow(req, res) {
            res.writeEarlyHints({ link: '</a.css>; rel=preload' });
            res.writeHead(200, { 'Content-Type': 'text/event-stream', Trailer: 'x-sum' });
            for (const piece of ['one', 'zwö']) { res.write(piece); await new Promise((next) => setTimeout(next, 20)); }
            res.addTrailers({ 'x-sum': '2' });
            res.end();
        },
        async length(req, res) {
            res.writeHead(200, { 'Content-Length': 4 });
            res.write('ab'); await new Promise((next) => setTimeout(next, 20)); res.end('cd');
        },
    `);
    assert.deepEqual(await worker.call(request(1, '/slow')),
        { type: 'info', id: 1, status: 103, headers: { link: '</a.css>; rel=preload' } });
    const { frames, last } = await whole(worker);
    assert.deepEqual(frames.slice(0, 2), [
        { id: 1, headers: { 'content-type': 'text/event-stream', trailer: 'x-sum' }, more: true, body: 'one' },
        { type: 'chunk', id: 1, body: 'zwö' },
    ]);
    assert.deepEqual(last, { type: 'end', id: 1, trailers: { 'x-sum': '2' } });
    worker.send(request(2, '/length'));
    const known = await whole(worker);
    assert.deepEqual(known.first.headers, { 'content-length': '4', 'content-type': [] });
    assert.equal(known.body, 'abcd');
    await worker.finish();
});

test('write() says false when there is no credit, and drain comes with it', async (t) => {
    const worker = await serve(t, `
        big(req, res) {
            const log = [];
            let left = 20;
            const go = () => {
                while (left > 0) {
                    left--;
                    if (!res.write(Buffer.alloc(32768, 120))) { log.push(left); res.once('drain', go); return; }
                }
                res.end(JSON.stringify(log));
            };
            go();
        },
    `);
    worker.send({ type: 'hello', limits: { window: 65536 } }, request(1, '/big'));
    let got = 0;
    let last = await worker.next();
    for (let credit = 65536; last.type !== 'end';) {
        const size = Buffer.from(last.body64 ?? '', 'base64').length;
        got += size;
        credit -= size;
        assert.ok(credit >= 0, 'more than there is credit for');
        if (credit === 0) {
            // Whoever has none waits: a ping is answered first.
            assert.equal((await worker.call({ type: 'ping', id: 9 })).type, 'pong');
            worker.send({ type: 'credit', id: 1, bytes: 65536 });
            credit = 65536;
        }
        last = await worker.next();
    }
    const waits = JSON.parse(Buffer.from(last.body64 ?? Buffer.from(last.body)).toString().replace(/^x*/, ''));
    assert.ok(waits.length >= 5, `the app was made to wait ${waits.length} times`);
    assert.ok(got >= 19 * 32768);
    await worker.finish();
});

test('credit for a body goes back as the app reads it, and no sooner', async (t) => {
    const worker = await serve(t, `
        read(req, res) {
            let size = 0;
            let type = req.headers['transfer-encoding'] ?? req.headers['content-length'];
            req.on('data', (bytes) => (size += bytes.length)).on('end', () => res.end(type + ' ' + size + ' ' + JSON.stringify(req.trailers)));
            req.pause();
            setTimeout(() => req.resume(), 100);
        },
    `);
    const piece = { type: 'chunk', id: 1, body64: Buffer.alloc(65536).toString('base64') };
    worker.send(request(1, '/read', { method: 'POST', more: true, body: 'abc' }), piece, piece, piece, { ...piece, body64: Buffer.alloc(65533).toString('base64') });
    assert.equal((await worker.call({ type: 'ping', id: 1 })).type, 'pong', 'nothing is granted while it does not read');
    let granted = 0;
    for (let frame; granted < WINDOW / 2;) {
        frame = await worker.next();
        assert.equal(frame.type, 'credit');
        assert.ok(frame.bytes >= WINDOW / 2, `in steps of ${frame.bytes}`);
        granted += frame.bytes;
    }
    assert.ok(granted <= WINDOW);
    worker.send(piece, { type: 'end', id: 1, body: 'xyz', trailers: { 'x-t': '1' } });
    let last;
    do last = await worker.next(); while (last.type === 'credit');
    assert.equal(last.body, `chunked ${WINDOW + 65536 + 3} {"x-t":"1"}`);
    worker.send(request(2, '/read', { method: 'POST', more: true, headers: { 'content-length': '6', host: 'h' }, body: 'abc' }),
        { type: 'end', id: 2, body: 'def' });
    assert.equal((await worker.next()).body, '6 6 {}');
    await worker.finish();
});

test('a client that leaves is a connection that closes', async (t) => {
    const worker = await serve(t, `
        wait(req, res) {
            const said = [];
            for (const name of ['aborted', 'close']) req.on(name, () => said.push('req ' + name));
            req.on('error', (error) => said.push(error.code));
            res.on('close', () => { said.push('res close ' + res.writableFinished); last = said; });
            if (req.url.includes('begun')) res.write('x');
        },
        last(req, res) { res.end(JSON.stringify(last)); },
    `);
    for (const [id, query] of [[1, 'not'], [2, 'begun']]) {
        worker.send(request(id, '/wait', { query, method: 'POST', more: true }));
        if (query === 'begun') assert.equal((await worker.next()).more, true);
        assert.deepEqual(await worker.call({ type: 'cancel', id, reason: 'disconnect' }), { type: 'error', id, code: 'cancelled' });
        const said = JSON.parse((await worker.call(request(10 + id, '/last'))).body);
        for (const what of ['req aborted', 'ECONNRESET', 'req close', 'res close false']) assert.ok(said.includes(what), said.join());
    }
    await worker.finish();
});

test('what an app breaks off is an error, and the next request is served', async (t) => {
    const worker = await serve(t, `
        destroy(req, res) { req.socket.destroy(); },
        half(req, res) { res.writeHead(200, { 'Content-Length': 100 }); res.write('half'); setTimeout(() => res.destroy(), 20); },
        throws() { throw new Error('thrown in a handler'); },
        seen(req, res) { res.end(seen.join()); },
        close(req, res) { res.removeHeader('Transfer-Encoding'); res.useChunkedEncodingByDefault = false; res.write('to the end'); res.end(); },
    `);
    const broken = await worker.call(request(1, '/destroy'));
    assert.deepEqual(broken, { type: 'error', id: 1, code: 'internal', status: 502, message: 'the app closed the connection without an answer' });
    worker.send(request(2, '/half'));
    const half = await whole(worker);
    assert.deepEqual([half.first.body, half.last.type, half.last.id], ['half', 'error', 2]);
    worker.send(request(3, '/throws'), request(4, '/close'));
    assert.equal((await whole(worker)).body, 'to the end', 'the line behind one that throws is read');
    assert.equal((await worker.call(request(5, '/seen'))).body, 'thrown in a handler');
    assert.deepEqual(await worker.call({ type: 'cancel', id: 3 }), { type: 'error', id: 3, code: 'cancelled' });
    await worker.finish();
});

test('HEAD says how long a body would be', async (t) => {
    const worker = await serve(t, "length(req, res) { res.setHeader('Content-Length', 5); res.end('hello'); }");
    assert.deepEqual(await worker.call(request(1, '/length', { method: 'HEAD' })), { id: 1, headers: { 'content-length': '5', 'content-type': [] } });
    assert.equal((await worker.call(request(2, '/'))).body, 'hello');
    await worker.finish();
});

test('a request that the parser of Node refuses is answered by the server', async (t) => {
    const worker = await serve(t, '');
    assert.equal((await worker.call(request(1, '/', { method: 'NONSENSE' }))).status, 400);
    assert.equal((await worker.call(request(2, '/'))).body, 'hello');
    await worker.finish();
});

test('res.setTimeout() works, and ends nothing by itself otherwise', async (t) => {
    const worker = await serve(t, `
        late(req, res) { res.setTimeout(30, () => { res.statusCode = 503; res.end('late'); }); },
        patient(req, res) { setTimeout(() => res.end('in time'), 80); },
    `);
    const late = await worker.call(request(1, '/late'));
    assert.deepEqual([late.status, late.body], [503, 'late']);
    assert.equal((await worker.call(request(2, '/patient'))).body, 'in time');
    await worker.finish();
});

test('after 101 the connection is a pipe, both ways', async (t) => {
    const worker = startSource(t, `${HEAD}
        const server = http.createServer((req, res) => res.end('plain'));
        server.on('upgrade', (req, socket, head) => {
            if (req.url === '/no') { socket.end('HTTP/1.1 403 Forbidden\\r\\nContent-Length: 2\\r\\n\\r\\nno'); return; }
            socket.write('HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: echo\\r\\nX-Key: ' + req.headers.upgrade + '\\r\\n\\r\\n');
            socket.on('data', (bytes) => socket.write(bytes)).on('end', () => socket.end('bye'));
        });
        nodey.serve(server);
    `);
    await worker.ready();
    assert.deepEqual(await worker.call(request(1, '/', { upgrade: 'echo' })),
        { id: 1, status: 101, headers: { connection: 'Upgrade', upgrade: 'echo', 'x-key': 'echo' }, more: true });
    const back = await worker.call({ type: 'chunk', id: 1, body: 'hi' });
    assert.equal(Buffer.from(back.body64 ?? '', 'base64').toString() || back.body, 'hi');
    const end = await worker.call({ type: 'end', id: 1 });
    const last = end.type === 'chunk' ? await worker.next() : end;
    assert.match(Buffer.from(end.body64 ?? '', 'base64').toString() || end.body, /bye/);
    assert.deepEqual([last.type, last.id], ['end', 1]);
    const refused = await worker.call(request(2, '/no', { upgrade: 'echo' }));
    assert.deepEqual([refused.status, refused.body ?? Buffer.from(refused.body64, 'base64').toString()], [403, 'no']);
    assert.equal((await worker.call(request(3, '/'))).body, 'plain');
    worker.send(request(4, '/', { upgrade: 'echo' }));
    assert.equal((await worker.next()).status, 101);
    assert.equal((await worker.call({ type: 'cancel', id: 4 })).id, 4);
    await worker.finish();
});

test('a drain ends event streams and pipes, and waits for the others', async (t) => {
    const worker = startSource(t, `${HEAD}
        const server = http.createServer((req, res) => {
            if (req.url === '/slow') setTimeout(() => res.end('done'), 100);
            else res.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('data: 1\\n\\n');
        });
        server.on('upgrade', (req, socket) => {
            socket.write('HTTP/1.1 101 Go\\r\\nUpgrade: x\\r\\nConnection: Upgrade\\r\\n\\r\\n');
            socket.on('end', () => socket.end()).resume();
        });
        nodey.serve(server);
    `);
    await worker.ready();
    assert.equal((await worker.call(request(1, '/events'))).more, true);
    assert.equal((await worker.call(request(2, '/', { upgrade: 'x' }))).status, 101);
    worker.send(request(3, '/slow'), { type: 'drain', grace: 5000 });
    const ends = [await worker.next(), await worker.next()].map(({ type, id }) => `${type} ${id}`).sort();
    assert.deepEqual(ends, ['end 1', 'end 2']);
    assert.equal((await worker.next()).body, 'done');
    assert.deepEqual(await worker.ended(), { code: 0, signal: null });
});

test('an app that must be started first is, before the worker is ready', async (t) => {
    const worker = startSource(t, `${HEAD}
        let isStarted = false;
        const server = http.createServer((req, res) => res.end(String(isStarted)));
        nodey.serve({ initialize: () => new Promise((done) => setTimeout(() => { isStarted = true; done(); }, 50)), listener: server });
    `);
    await worker.ready();
    assert.equal((await worker.call(request(1, '/'))).body, 'true');
    await worker.finish();
    const broken = startSource(t, `${HEAD}
        nodey.serve({ init: async () => { throw new Error('no database'); }, getHttpServer() {} });`);
    const error = await broken.next();
    assert.deepEqual([error.type, error.id, error.code], ['error', null, 'failed_precondition']);
    assert.match(error.message, /no database/);
});

test('what is no app is refused at once, and there is one app', async (t) => {
    const wrong = startSource(t, `${HEAD} nodey.serve(42);`);
    assert.match((await wrong.next()).message, /serve: the app is 42; it must be an app of Express/);
    const two = startSource(t, `${HEAD} nodey.serve(() => {}); nodey.serve(() => {});`);
    assert.match((await two.next()).message, /serves an app already/);
});

test('routes come before the app, and what its code asks and logs belongs to the request', async (t) => {
    const worker = startSource(t, `${HEAD}
        nodey.get('/route', () => 'a route');
        nodey.serve(async (req, res) => { nodey.log.info('here'); res.end(await nodey.ask('Token', 1)); });
    `);
    const { routes } = await worker.ready();
    assert.deepEqual(routes, [{ path: '/route', method: 'GET' }, { path: '/*' }]);
    assert.equal((await worker.call(request(1, '/route'))).body, 'a route');
    const ask = await worker.call(request(7, '/x'));
    assert.deepEqual(ask, { type: 'ask', id: 1, for: 7, token: 'Token', args: 1 });
    assert.equal(worker.logs.find(({ message }) => message === 'here').id, 7);
    assert.equal((await worker.call({ type: 'answer', id: 1, value: 'asked' })).body, 'asked');
    await worker.finish();
});
