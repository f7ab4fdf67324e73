/* How a worker starts, drains, is stopped, and dies. */
'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const { test } = require('node:test');
const { startSource } = require('./lib/worker.js');

const HEAD = "const nodey = require('nodey');\n";
const SLEEP = 'const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));\n';

function start(t, source, options) {
    return startSource(t, HEAD + SLEEP + source, options);
}

function get(id, path) {
    return { id, method: 'GET', path };
}

test('ready says what there is, once the whole script has run', async (t) => {
    const worker = start(t, `
        nodey.get('/a', () => 1);
        nodey.start({ concurrency: 200 });
        nodey.set({ Late: () => 1 });
    `);
    const ready = await worker.ready();
    assert.equal(ready.protocol, 1);
    assert.equal(ready.concurrency, 200);
    assert.equal(ready.pid, worker.child.pid);
    assert.match(ready.sdk, /^nodey-node\/\d+\.\d+\.\d+$/);
    assert.deepEqual(ready.features, ['cancel', 'ask', 'nested', 'ping', 'drain', 'stream', 'sendfile', 'ws']);
    assert.deepEqual(ready.routes, [{ path: '/a', method: 'GET' }]);
    assert.deepEqual(ready.tokens, ['Late']);
    assert.deepEqual(ready.files, [worker.child.spawnargs[1]]);
    await worker.finish();
});

test('1000 calls at once, unless the script says otherwise', async (t) => {
    const worker = start(t, "nodey.get('/a', () => 1);");
    assert.equal((await worker.ready()).concurrency, 1000);
    await worker.finish();
});

test('concurrency is declared once: a later start() is told that it is late', async (t) => {
    const worker = start(t, "nodey.get('/a', () => void nodey.start({ concurrency: 5 }));");
    await worker.ready();
    await worker.call(get(1, '/a'));
    await worker.finish();
    assert.match(worker.stderr, /too late for concurrency 5: this worker is ready with 1000/);
});

test('an ES module is ready after its top-level awaits, and not before', async (t) => {
    const worker = startSource(t, `
        import nodey, { get, HTTPError } from 'nodey';
        get('/a', () => { throw new HTTPError(403); });
        await new Promise((resolve) => setTimeout(resolve, 200));
        nodey.set({ B: () => 1 });
    `, { extension: 'mjs' });
    const ready = await worker.ready();
    assert.deepEqual([ready.routes.length, ready.tokens], [1, ['B']]);
    assert.equal((await worker.call(get(1, '/a'))).code, 'permission_denied');
    await worker.finish();
});

test('an ES module that never ends is ready when it says start()', async (t) => {
    const worker = startSource(t, `
        import { get, start } from 'nodey';
        get('/a', () => 1);
        await start();
        await new Promise(() => {});
    `, { extension: 'mjs' });
    await worker.ready();
    assert.deepEqual(await worker.call(get(1, '/a')), { id: 1, json: 1 });
    await worker.finish();
});

test('all names of the package can be imported', async (t) => {
    const worker = startSource(t, `
        import nodey, * as all from 'nodey';
        const missing = Object.keys(nodey).filter((name) => all[name] !== nodey[name]);
        nodey.get('/', () => missing);
    `, { extension: 'mjs' });
    await worker.ready();
    assert.deepEqual(await worker.call(get(1, '/')), { id: 1, json: [] });
    await worker.finish();
});

test('what is registered later is declared by another ready', async (t) => {
    const worker = start(t, "nodey.get('/a', () => { nodey.get('/b', () => 'b'); nodey.set({ T() {} }); return 'a'; });");
    await worker.ready();
    worker.send(get(1, '/a'));
    assert.deepEqual(await worker.next(), { id: 1, body: 'a' });
    const { routes, tokens } = await worker.ready();
    assert.deepEqual([routes.length, tokens], [2, ['T']]);
    assert.deepEqual(await worker.call(get(2, '/b')), { id: 2, body: 'b' });
    await worker.finish();
});

for (const [extension, source, what] of [
    ['js', "nodey.get('/a', () => 1); throw new TypeError('no database');", 'thrown'],
    ['js', "nodey.get('/a', () => 1); Promise.reject(new TypeError('no database'));", 'rejected'],
    ['mjs', "import 'nodey'; await Promise.reject(new TypeError('no database'));", 'awaited'],
    ['mjs', "import { get } from 'nodey'; get('/', () => 1); await null; throw new TypeError('no database');", 'late'],
]) {
    test(`a start that fails says why (.${extension}, ${what})`, async (t) => {
        const worker = startSource(t, (extension === 'js' ? HEAD : '') + source, { extension });
        const { stack, ...frame } = await worker.next();
        const message = 'TypeError: no database';
        assert.deepEqual(frame, { type: 'error', id: null, code: 'failed_precondition', message });
        assert.match(stack, /^TypeError: no database\n +at /);
        await worker.finish(1);
    });
}

test('a supervisor of another protocol is told so', async (t) => {
    const worker = start(t, "nodey.get('/a', () => 1);", { env: { NODEY_PROTOCOL: '2,3' } });
    const { code, message } = await worker.next();
    assert.equal(code, 'failed_precondition');
    assert.match(message, /speaks protocol 2,3/);
    await worker.finish(1);
});

test('misuse is refused where it happens', async (t) => {
    const worker = start(t, `
        const refused = [() => nodey.get('x', () => 1), () => nodey.get('/x'), () => nodey.set({ A: 1 }),
            () => nodey.token('x'.repeat(129), () => 1), () => nodey.get('/x', { timeout: 1.5 }, () => 1),
            () => nodey.get('/x', { description: 1 }, () => 1),
            () => nodey.start({ concurrency: 0 }), () => new nodey.HTTPError(200)]
            .map((misuse) => { try { misuse(); } catch (error) { return error.message; } });
        nodey.get('/', () => refused);
    `);
    const { routes } = await worker.ready();
    assert.equal(routes.length, 1);
    const { json } = await worker.call(get(1, '/'));
    assert.deepEqual(json.map((message) => typeof message), Array(8).fill('string'));
    await worker.finish();
});

test('ping is answered with what is open, how late the loop was, and the memory', async (t) => {
    const worker = start(t, `
        nodey.get('/open', () => sleep(60000));
        nodey.get('/block', () => { const end = Date.now() + 400; while (Date.now() < end); });
    `);
    await worker.ready();
    worker.send(get(1, '/open'));
    const first = await worker.call({ type: 'ping', id: 2 });
    assert.equal(first.inflight, 1);
    assert.ok(first.rss > 1e7 && first.heap > 1e6 && first.rss > first.heap);
    assert.equal(first.lag, undefined);
    await new Promise((resolve) => setTimeout(resolve, 250));
    await worker.call(get(3, '/block'));
    await new Promise((resolve) => setTimeout(resolve, 150));
    const { lag } = await worker.call({ type: 'ping', id: 4 });
    assert.ok(lag > 200 && lag < 2000, `lag ${lag}`);
    worker.kill();
});

test('300 KB and then process.exit(0) arrive whole', async (t) => {
    const worker = start(t, `
        nodey.get('/', () => {
            process.nextTick(() => process.exit(0));
            return 'x'.repeat(300000);
        });
    `);
    await worker.ready();
    worker.send(get(1, '/'));
    assert.equal((await worker.next()).body.length, 300000);
    await worker.finish();
});

test('the same on a pipe that somebody has made non-blocking', async (t) => {
    const worker = start(t, `
        nodey.get('/', () => {
            setImmediate(() => process.exit(0));
            return 'x'.repeat(300000);
        });
        nodey.get('/soon', () => 'x'.repeat(300000));
        globalThis.other = new (require('node:net').Socket)({ fd: 3, readable: false, writable: true });
    `);
    await worker.ready();
    worker.send(get(1, '/soon'));
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal((await worker.next()).body.length, 300000);
    worker.send(get(2, '/'));
    assert.equal((await worker.next()).body.length, 300000);
    await worker.finish();
});

test('the end of input is a drain, whatever else keeps the loop alive', async (t) => {
    const worker = start(t, `
        setInterval(() => {}, 1000);
        require('node:net').createServer().listen(0, '127.0.0.1');
        nodey.get('/', async () => { await sleep(100); return 'slept'; });
    `);
    await worker.ready();
    worker.send(get(1, '/'), get(2, '/'));
    worker.close();
    assert.deepEqual(await worker.next(), { id: 1, body: 'slept' });
    assert.deepEqual(await worker.next(), { id: 2, body: 'slept' });
    await worker.finish();
});

test('SIGTERM is a drain', async (t) => {
    const worker = start(t, "nodey.get('/', async () => { await sleep(200); return 'slept'; });");
    await worker.ready();
    worker.send(get(1, '/'), { type: 'ping', id: 2 });
    await worker.next();
    worker.child.kill('SIGTERM');
    assert.deepEqual(await worker.next(), { id: 1, body: 'slept' });
    assert.deepEqual(await worker.ended(), { code: 0, signal: null });
});

test('SIGTERM after a drain means that the time is up', async (t) => {
    const worker = start(t, "nodey.get('/', () => sleep(60000));");
    await worker.ready();
    worker.send(get(1, '/'), { type: 'drain', grace: 10 }, { type: 'ping', id: 2 });
    assert.equal((await worker.next()).type, 'pong');
    worker.child.kill('SIGTERM');
    assert.equal((await worker.next()).code, 'unavailable');
    assert.deepEqual(await worker.ended(), { code: 143, signal: null });
});

test('SIGINT is for the supervisor', async (t) => {
    const worker = start(t, "nodey.get('/', () => 1);");
    await worker.ready();
    worker.child.kill('SIGINT');
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.deepEqual(await worker.call(get(1, '/')), { id: 1, json: 1 });
    await worker.finish();
});

test('shutdown cancels what is open, and after the grace it ends', async (t) => {
    const worker = start(t, `
        nodey.get('/polite', async (req) => { await once(req.signal, 'abort'); return req.signal.reason.message; });
        nodey.get('/deaf', () => sleep(60000));
        const { once } = require('node:events');
    `);
    await worker.ready();
    worker.send(get(1, '/polite'), get(2, '/deaf'), { type: 'shutdown', grace: 100 });
    assert.deepEqual(await worker.next(), { id: 1, body: 'GET /polite was cancelled: shutdown' });
    assert.deepEqual(await worker.next(), { type: 'error', id: 2, code: 'unavailable',
        message: 'the worker was stopped before it had answered' });
    assert.deepEqual(await worker.ended(), { code: 0, signal: null });
});

for (const crash of ["throw new TypeError('crash')", "Promise.reject(new TypeError('crash'))"]) {
    test(`a crash is logged and exits 1, and what is open is left to nodey: ${crash}`, async (t) => {
        const worker = start(t, `
            nodey.get('/', () => sleep(60000));
            nodey.get('/crash', () => { setImmediate(() => { ${crash}; }); return sleep(60000); });
        `);
        await worker.ready();
        worker.send(get(1, '/'), get(2, '/crash'));
        assert.deepEqual(await worker.ended(), { code: 1, signal: null });
        await worker.end();
        assert.equal(worker.logs.length, 1);
        assert.deepEqual([worker.logs[0].level, worker.logs[0].id], ['error', 2]);
        assert.match(worker.logs[0].message, /^the worker crashed: TypeError: crash\n +at /);
        assert.equal(worker.stderr, ''); // or it would be logged a second time
    });
}

test('a script that handles its uncaught exceptions goes on', async (t) => {
    const worker = start(t, `
        process.on('uncaughtException', () => console.log('handled'));
        nodey.get('/', async () => { setTimeout(() => { throw new Error('x'); }); await sleep(50); return 'ok'; });
    `);
    await worker.ready();
    assert.deepEqual(await worker.call(get(1, '/')), { id: 1, body: 'ok' });
    await worker.finish();
    assert.equal(worker.stderr, 'handled\n');
});

test('a supervisor that is gone is no reason to complain', async (t) => {
    const worker = start(t, "nodey.get('/', () => sleep(100));");
    await worker.ready();
    worker.send(get(1, '/'));
    worker.closeOutput();
    const [code] = await once(worker.child, 'exit');
    assert.equal(code, 0);
    assert.equal(worker.stderr, '');
});

test('a script that registers nothing is told so', async (t) => {
    const worker = start(t, "console.log('done');");
    const { code, message } = await worker.next();
    assert.equal(code, 'failed_precondition');
    assert.match(message, /^worker\d+\.js registered no handler: add .*nodey\.get\('\/path'/);
    await worker.finish(1);
    assert.equal(worker.stderr, 'done\n');
});

test('hello is read: its warnings go to the log', async (t) => {
    const worker = start(t, "nodey.get('/', () => 1);");
    await worker.ready();
    worker.send({ type: 'hello', protocol: 1, warnings: ['route GET / is taken'] });
    await worker.call(get(1, '/'));
    await worker.finish();
    assert.equal(worker.stderr, 'nodey: route GET / is taken\n');
});
