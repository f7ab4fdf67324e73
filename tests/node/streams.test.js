/* Answers and bodies in pieces, beyond what the transcripts show. */
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { Conversation } = require('./lib/conversation.js');
const { startSource } = require('./lib/worker.js');

const HEAD = "const nodey = require('nodey');\nconst { Readable, Transform } = require('node:stream');\n";

async function serve(t, source, { hello, ...options } = {}) {
    const worker = startSource(t, HEAD + source, options);
    await worker.ready();
    if (hello) worker.send({ type: 'hello', ...hello });
    return { worker, talk: new Conversation(worker) };
}

function get(id, target, more) {
    const [pathname, query] = target.split('?');
    return { id, method: 'GET', path: pathname, query, ...more };
}

/* ---- answers */

test('a piece is sent before the next one is there, and a slow source is no busy one', async (t) => {
    const { worker, talk } = await serve(t, `
        let go;
        nodey.get('/', async function* () { yield 'a'; await new Promise((resolve) => { go = resolve; }); yield 'b'; });
        nodey.get('/go', () => { go(); });
    `);
    worker.send(get(1, '/'));
    await talk.receive({ id: 1, status: 200, text: 'a' });
    await talk.quiet(50);
    worker.send(get(2, '/go'));
    await talk.receive({ id: 2, status: 204, end: true });
    await talk.receive({ id: 1, text: 'b', end: true });
    await worker.finish();
});

test('a source is read no faster than there is credit for it, and closed when the client goes', async (t) => {
    const { worker, talk } = await serve(t, `
        let read = 0;
        let closed = 0;
        nodey.get('/rows', async function* () {
            try { for (;;) { read++; yield 'x'.repeat(100); } } finally { closed++; }
        });
        nodey.get('/readable', () => new Readable({ highWaterMark: 1,
            read() { read++; this.push('x'.repeat(100)); }, destroy(error, done) { closed++; done(error); } }));
        nodey.get('/state', () => ({ read, closed }));
    `, { hello: { limits: { window: 1000, chunk: 65536 } } });
    const state = async (id) => (await worker.get(id, '/state')).json;
    for (const [count, name] of ['rows', 'readable'].entries()) {
        const before = (await state(9)).read;
        worker.send(get(count, `/${name}`));
        await talk.receive({ id: count, size: 1000 });
        await talk.quiet(50);
        const after = (await state(9)).read;
        assert.ok(after - before <= 13, `${name} was read ${after - before} times`);
        worker.send({ type: 'cancel', id: count, reason: 'disconnect' });
        await talk.receive({ id: count, end: { error: 'cancelled' } });
        assert.deepEqual(await state(9), { read: after, closed: count + 1 });
    }
    await worker.finish();
});

test('a stream waits for a piece that never comes: cancel gives it up, and closes it', async (t) => {
    const { worker, talk } = await serve(t, `
        let closed = 0;
        nodey.get('/', () => ({ [Symbol.asyncIterator]() { return this; }, n: 0,
            next() { return this.n++ ? new Promise(() => {}) : { value: 'a', done: false }; },
            return() { closed++; return {}; } }));
        nodey.get('/closed', () => closed);
    `);
    worker.send(get(1, '/'));
    await talk.receive({ id: 1, text: 'a' });
    worker.send({ type: 'cancel', id: 1, reason: 'disconnect' });
    await talk.receive({ id: 1, end: { error: 'cancelled' } });
    assert.equal((await worker.get(2, '/closed')).json, 1);
    await worker.finish();
});

test('an error after the first piece ends the answer, and is logged once', async (t) => {
    const { worker, talk } = await serve(t, `
        nodey.get('/', async function* () { yield 'a'; await null; throw new nodey.HTTPError(500, 'half', { headers: { 'x-a': 'b' } }); });
    `);
    worker.send(get(1, '/'));
    await talk.receive({ id: 1, status: 200, text: 'a', end: { error: 'internal' } });
    await worker.finish();
    assert.equal(worker.logs.length, 1);
});

test('pieces without end take turns with other requests', async (t) => {
    const { worker, talk } = await serve(t, `
        nodey.get('/empty', function* () { for (;;) yield ''; });
        nodey.get('/other', () => 'other');
    `);
    worker.send(get(1, '/empty'), get(2, '/other'));
    await talk.receive({ id: 1, status: 200, headers: { 'content-type': 'text/plain; charset=utf-8' } }).catch(() => {});
    worker.send(get(3, '/other'));
    for (let frame; (frame = await talk.next()).id !== 3;);
    worker.kill();
});

test('many small pieces of one turn travel together', async (t) => {
    const { worker } = await serve(t, "nodey.get('/', function* () { for (let n = 0; n < 5000; n++) yield `line ${n}\\n`; });");
    worker.send(get(1, '/'));
    let [frames, text] = [0, ''];
    for (let frame; !frame || frame.more || frame.type === 'chunk'; frames++) {
        frame = await worker.next();
        text += frame.body ?? '';
    }
    assert.equal(text.split('\n').length, 5001);
    assert.ok(frames < 500, `${frames} frames`);
    await worker.finish();
});

test('text is cut between characters, and lone surrogates stop nothing', async (t) => {
    const text = `a${'😀é'.repeat(50000)}\ud800b`;
    const { worker } = await serve(t, `
        nodey.get('/', async function* () { yield 'x'; await null; yield ${JSON.stringify(text)}; });
    `, { hello: { limits: { window: 5000 } } });
    worker.send(get(1, '/'));
    const bytes = Buffer.from(`x${text}`);
    const received = [];
    for (let credit = 5000; ;) {
        const frame = await worker.next();
        const piece = Buffer.from(frame.body ?? '');
        received.push(piece);
        credit -= piece.length;
        assert.ok(credit >= 0, 'more than there was credit for');
        if (frame.type === 'end') break;
        if (credit < 4) {
            worker.send({ type: 'credit', id: 1, bytes: 5000 });
            credit += 5000;
        }
    }
    assert.ok(Buffer.concat(received).equals(bytes));
    await worker.finish();
});

test('HEAD and 304 read no stream, but close it', async (t) => {
    const { worker } = await serve(t, `
        let [read, closed] = [0, 0];
        const rows = () => ({ [Symbol.asyncIterator]() { return this; }, next() { read++; return { value: 'a' }; },
            return() { closed++; return {}; } });
        nodey.get('/', () => nodey.response(rows(), { headers: { 'x-a': 'b' } }));
        nodey.get('/304', () => [304, rows()]);
        nodey.get('/big', () => 'x'.repeat(600000));
        nodey.get('/state', () => nodey.json([read, closed]));
    `);
    assert.deepEqual(await worker.call(get(1, '/', { method: 'HEAD' })), { id: 1, status: 200, headers: { 'x-a': 'b' } });
    assert.deepEqual(await worker.get(2, '/304'), { id: 2, status: 304 });
    const big = await worker.call(get(3, '/big', { method: 'HEAD' }));
    assert.deepEqual(big, { id: 3, status: 200, headers: { 'content-length': '600000' } });
    assert.equal((await worker.get(4, '/state')).json[0], 0);
    await worker.finish();
});

test('a fetch body is sent as it comes, its head at once', async (t) => {
    const { worker, talk } = await serve(t, `
        let controller;
        nodey.get('/', () => new Response(new ReadableStream({ start(c) { controller = c; } }), { headers: { 'x-a': 'b' } }));
        nodey.get('/go', () => { controller.enqueue(Buffer.from('late')); controller.close(); });
    `);
    worker.send(get(1, '/'));
    await talk.receive({ id: 1, status: 200, headers: { 'x-a': 'b', 'content-type': 'application/octet-stream' } });
    await worker.get(2, '/go');
    await talk.receive({ id: 1, text: 'late', end: true });
    await worker.finish();
});

test('trailers and interim answers; neither for what cannot have them', async (t) => {
    const { worker, talk } = await serve(t, `
        nodey.get('/', (req, ctx) => {
            ctx.info(103, { Link: '</a.css>' });
            return nodey.response('body', { trailers: { 'X-Sum': 4 } });
        });
        nodey.get('/bad', (req, ctx) => ctx.info(101));
    `);
    worker.send(get(1, '/'));
    assert.deepEqual(await worker.next(), { type: 'info', id: 1, status: 103, headers: { link: '</a.css>' } });
    await talk.receive({ id: 1, text: 'body', end: { trailers: { 'x-sum': '4' } } });
    assert.match((await worker.get(2, '/bad')).message, /info: the status is 101; it must be 102 to 199/);
    await worker.finish();
});

/* ---- events */

test('events are written as browsers read them', async (t) => {
    const { worker } = await serve(t, `
        nodey.get('/', () => nodey.sse([{ event: 'add', id: 7, retry: 100, data: { a: 1 } }, 'two\\nlines', { comment: 'c' }]));
        nodey.get('/bad', () => nodey.sse([{ evnt: 'x' }]));
        nodey.get('/line', () => nodey.sse([{ id: 'a\\nb' }]));
        nodey.get('/number', () => nodey.sse(5));
    `);
    const frame = await worker.get(1, '/');
    assert.equal(frame.body, 'event: add\nid: 7\nretry: 100\ndata: {"a":1}\n\ndata: two\ndata: lines\n\n: c\n\n');
    assert.deepEqual(frame.headers, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
    assert.match((await worker.get(2, '/bad')).message, /no member evnt \(known are event, data/);
    assert.match((await worker.get(3, '/line')).message, /id is 'a\\nb'; it must be one line/);
    assert.match((await worker.get(4, '/number')).message, /give it a generator or an iterable, not 5/);
    await worker.finish();
});

test('the head of an event stream does not wait for the first event; drain ends it, and not other streams', async (t) => {
    const { worker, talk } = await serve(t, `
        let go;
        nodey.get('/events', (req, ctx) => nodey.sse((async function* () { await new Promise(() => {}); })()));
        nodey.get('/rows', async function* (req, ctx) {
            yield 'a';
            await new Promise((resolve) => ctx.stopping.addEventListener('abort', resolve));
            yield 'b';
        });
    `);
    worker.send(get(1, '/events'));
    await talk.receive({ id: 1, status: 200, headers: { 'content-type': 'text/event-stream' } });
    worker.send(get(2, '/rows'));
    await talk.receive({ id: 2, text: 'a' });
    worker.send({ type: 'drain', grace: 5000 });
    await talk.receive({ id: 1, text: '', end: true });
    await talk.receive({ id: 2, text: 'b', end: true });
    await worker.finish();
});

/* ---- bodies */

test('a stream takes no more than it is read, and gives credit for what was read', async (t) => {
    const { worker } = await serve(t, `
        let go;
        nodey.post('/', { stream: true }, async (req) => {
            const body = req.stream();
            await new Promise((resolve) => { go = resolve; });
            let sum = 0;
            for await (const piece of body) sum += piece.length;
            return String(sum);
        });
        nodey.get('/go', () => { go(); });
    `);
    worker.send({ id: 1, method: 'POST', path: '/', more: true });
    for (let n = 0; n < 4; n++) worker.send({ type: 'chunk', id: 1, body64: Buffer.alloc(65536).toString('base64') });
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(worker.takeLine(), undefined, 'credit for what nobody has read');
    const frames = [await worker.get(2, '/go')];
    worker.send({ type: 'end', id: 1 });
    while (frames.at(-1).id !== 1 || frames.at(-1).type === 'credit') frames.push(await worker.next());
    assert.equal(frames.at(-1).body, String(4 * 65536));
    const credits = frames.filter(({ type }) => type === 'credit').map(({ bytes }) => bytes);
    assert.ok(credits.every((bytes) => bytes >= 131072), credits.join());
    await worker.finish();
});

test('a body in pieces is read as JSON, text, form and bytes, by both kinds of handlers', async (t) => {
    const { worker, talk } = await serve(t, `
        const show = async (req) => ({ json: await req.json(), text: await req.text(), bytes: (await req.bytes()).length });
        nodey.post('/whole', show);
        nodey.post('/streamed', { stream: true }, show);
        nodey.post('/form', { stream: true }, async (req) => (await req.form()).fields.a);
        nodey.post('/body', { stream: true }, (req) => req.body);
        nodey.post('/twice', { stream: true }, async (req) => { req.stream(); return req.text(); });
        nodey.set({ Add: ({ a, b }) => a + b });
    `);
    async function post(id, pathname, more) {
        worker.send({ id, method: 'POST', path: pathname, more: true, ...more },
            { type: 'chunk', id, body: '{"a":"' }, { type: 'chunk', id, body64: Buffer.from('é').toString('base64') },
            { type: 'end', id, body: '"}' });
    }
    for (const [id, name] of [[1, 'whole'], [2, 'streamed']]) {
        await post(id, `/${name}`);
        await talk.receive({ id, text: JSON.stringify({ json: { a: 'é' }, text: '{"a":"é"}', bytes: 10 }), end: true });
    }
    worker.send({ id: 3, method: 'POST', path: '/form', more: true, headers: { 'content-type': 'application/x-www-form-urlencoded' } },
        { type: 'chunk', id: 3, body: 'a=1%2' }, { type: 'end', id: 3, body: 'B2' });
    await talk.receive({ id: 3, text: '1+2', end: true });
    await post(4, '/body');
    assert.match((await talk.next()).message, /no req.body in a route with \{ stream: true \}: write {2}await req.bytes\(\)/);
    await post(5, '/twice');
    assert.match((await talk.next()).message, /req.bytes\(\): the body is read as a stream already/);
    worker.send({ id: 6, method: 'POST', path: '/x', token: 'Add', more: true }, { type: 'end', id: 6, body: '{"a":1,"b":2}' });
    assert.equal((await talk.next()).json, 3);
    await worker.finish();
});

test('a body comes while the answer goes', async (t) => {
    const { worker, talk } = await serve(t, `
        nodey.post('/', { stream: true }, (req) => req.stream().pipe(new Transform({
            transform(piece, _, done) { done(null, piece.toString().toUpperCase()); } })));
    `);
    worker.send({ id: 1, method: 'POST', path: '/', more: true }, { type: 'chunk', id: 1, body: 'ab' });
    await talk.receive({ id: 1, text: 'AB' });
    worker.send({ type: 'end', id: 1, body: 'c' });
    await talk.receive({ id: 1, text: 'C', end: true });
    await worker.finish();
});

test('chunks that came while onStart hooks ran are not lost', async (t) => {
    const worker = startSource(t, `${HEAD}
        nodey.onStart(async () => { await nodey.ask('Begin'); await new Promise((resolve) => setTimeout(resolve, 200)); });
        nodey.post('/', (req) => req.text());
    `);
    await worker.ready();
    const { id } = await worker.next();
    worker.send({ type: 'answer', id, value: 1 }, { id: 1, method: 'POST', path: '/', more: true },
        { type: 'chunk', id: 1, body: 'ab' }, { type: 'end', id: 1 });
    assert.equal((await worker.next()).body, 'ab');
    await worker.finish();
});

test('a crash leaves a stream that is open to nodey', async (t) => {
    const { worker, talk } = await serve(t, `
        nodey.get('/', async function* () { yield 'a'; await new Promise(() => {}); });
        nodey.get('/crash', () => { setTimeout(() => { throw new TypeError('crash'); }); });
    `);
    worker.send(get(1, '/'));
    await talk.receive({ id: 1, text: 'a' });
    await worker.get(2, '/crash');
    assert.equal((await worker.ended()).code, 1);
    await worker.end(); // nothing more comes from it
});

/* ---- files */

test('a file below a root is for nodey to send, and another is read here', async (t) => {
    const root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'nodey-roots-')));
    t.after(() => fs.rmSync(root, { recursive: true, force: true }));
    fs.mkdirSync(path.join(root, 'in'));
    for (const name of ['in/big.bin', 'out.bin']) fs.writeFileSync(path.join(root, name), Buffer.alloc(100000, 1));
    fs.symlinkSync('../out.bin', path.join(root, 'in/link.bin'));
    const { worker, talk } = await serve(t, `
        nodey.get('/*path', (req) => nodey.file(${JSON.stringify(root)} + '/' + req.params.path));
    `, { hello: { roots: [path.join(root, 'in')] } });
    const { headers, ...frame } = await worker.get(1, '/in/big.bin');
    assert.deepEqual(frame, { id: 1, file: path.join(root, 'in/big.bin'), offset: 0, length: 100000 });
    assert.equal(headers['accept-ranges'], 'bytes');
    for (const [id, name] of [[2, 'out.bin'], [3, 'in/link.bin']]) {
        worker.send(get(id, `/${name}`));
        await talk.receive({ id, headers: { 'content-length': '100000' }, size: 100000, end: true });
    }
    const part = (range, more) => worker.call(get(4, '/in/big.bin', { headers: { range, ...more } }));
    for (const [range, offset, length] of [['bytes=0-9', 0, 10], ['bytes=99990-', 99990, 10], ['bytes=-5', 99995, 5], ['bytes=99999-200000', 99999, 1]]) {
        const answer = await part(range);
        assert.deepEqual([answer.status, answer.offset, answer.length], [206, offset, length], range);
        assert.equal(answer.headers['content-range'], `bytes ${offset}-${offset + length - 1}/100000`);
    }
    const beyond = await part('bytes=100000-');
    assert.deepEqual([beyond.status, beyond.headers['content-range']], [416, 'bytes */100000']);
    for (const range of ['bytes=5-1', 'bytes=0-1,3-4', 'lines=1-2', 'bytes=-']) assert.equal((await part(range)).length, 100000, range);
    assert.equal((await part('bytes=0-9', { 'if-range': headers.etag })).length, 10);
    assert.equal((await part('bytes=0-9', { 'if-range': '"other"' })).length, 100000);
    await worker.finish();
});
