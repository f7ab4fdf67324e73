/* Asks in both directions, with a scripted supervisor. */
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { startSource } = require('./lib/worker.js');

const HEAD = `
    const nodey = require('nodey');
    const report = (promise) => promise.then((value) => ({ value }),
        (error) => ({ name: error.name, code: error.code, message: error.message, data: error.data }));
`;

async function serve(t, source) {
    const worker = startSource(t, HEAD + source);
    await worker.ready();
    return worker;
}

function request(id, path) {
    return { id, method: 'GET', path };
}

test('for names the call that asks, across awaits and concurrent calls', async (t) => {
    const worker = await serve(t, `
        const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
        nodey.get('/:ms', async (req) => {
            await sleep(Number(req.params.ms));
            return nodey.ask('Double', req.params.ms);
        });
        nodey.get('/own/:ms', async (req, ctx) => { await sleep(1); return ctx.ask('Double', 0); });
    `);
    worker.send(request(1, '/60'), request(2, '/30'), request(3, '/0'), request(4, '/own/1'));
    const asked = [];
    for (let count = 0; count < 4; count++) asked.push(await worker.next());
    assert.deepEqual(asked.map((frame) => frame.for).sort(), [1, 2, 3, 4]);
    for (const { id, for: asker } of asked) {
        const frame = await worker.call({ type: 'answer', id, value: `for ${asker}` });
        assert.deepEqual(frame, { id: asker, body: `for ${asker}` });
    }
    await worker.finish();
});

test('an ask outside of any call, or after its call was answered, is for nobody', async (t) => {
    const worker = startSource(t, `${HEAD}
        nodey.get('/', () => {
            setTimeout(() => nodey.ask('After', 1), 20);
            return 'ok';
        });
        nodey.start().then(() => nodey.ask('Outside'));
    `);
    await worker.ready();
    assert.deepEqual(await worker.next(), { type: 'ask', id: 1, token: 'Outside' });
    assert.deepEqual(await worker.get(7, '/'), { id: 7, body: 'ok' });
    assert.deepEqual(await worker.next(), { type: 'ask', id: 2, token: 'After', args: 1 });
    await worker.finish();
    const [after, outside] = worker.logs.sort((a, b) => (b.id ?? 0) - (a.id ?? 0));
    assert.match(after.message, /^an ask of "After" failed and nobody awaited it: .*closed the pipe/);
    assert.match(outside.message, /^an ask of "Outside" failed and nobody awaited it: .*closed the pipe/);
});

test('an ask at top level makes the worker ready first', async (t) => {
    const worker = startSource(t, `
        import { ask, get } from 'nodey';
        const price = await ask('Price', { sku: 1 });
        get('/', () => ({ price }));
    `, { extension: 'mjs' });
    assert.deepEqual((await worker.ready()).routes, []);
    const { id } = await worker.next();
    worker.send({ type: 'answer', id, value: 9.5 });
    assert.equal((await worker.ready()).routes[0].path, '/');
    assert.deepEqual(await worker.get(1, '/'), { id: 1, json: { price: 9.5 } });
    await worker.finish();
});

test('an error rejects with its code, message and data', async (t) => {
    const worker = await serve(t, "nodey.get('/', () => report(nodey.ask('X')));");
    const { id } = await worker.call(request(1, '/'));
    const error = { type: 'error', id, code: 'not_found', message: 'no 42', data: { n: 42 } };
    const { json } = await worker.call(error);
    assert.deepEqual(json, { name: 'NodeyError', code: 'not_found', message: 'no 42', data: { n: 42 } });
    await worker.finish();
});

test('a token that nobody has: the error lists what can be asked, when nodey has told', async (t) => {
    const worker = await serve(t, "nodey.get('/:token', (req) => report(nodey.ask(req.params.token)));");
    const refuse = async (token) => {
        const { id } = await worker.call(request(1, `/${token}`));
        const frame = await worker.call({ type: 'error', id, code: 'unimplemented', message: 'nobody' });
        return frame.json.message;
    };
    assert.equal(await refuse('Pric'), 'nobody');
    worker.send({ type: 'hello', protocol: 1, tokens: ['Price', 'Stock'] });
    assert.equal(await refuse('Pric'), 'nobody; what can be asked: Price, Stock');
    assert.equal(await refuse('Price'), 'nobody'); // it is there, and says no itself
    await worker.finish();
});

test('an error that a handler lets through keeps its code', async (t) => {
    const worker = await serve(t, "nodey.get('/', () => nodey.ask('X'));");
    const { id } = await worker.call(request(1, '/'));
    const frame = await worker.call({ type: 'error', id, code: 'unavailable', message: 'none' });
    assert.deepEqual(frame, { type: 'error', id: 1, code: 'unavailable', message: 'none' });
    await worker.finish();
});

test('a timeout rejects, sends cancel, and ignores the late answer', async (t) => {
    const worker = await serve(t, "nodey.get('/', () => report(nodey.ask('X', 1, { timeout: 30 })));");
    const ask = await worker.call(request(1, '/'));
    assert.deepEqual(ask, { type: 'ask', id: 1, for: 1, token: 'X', timeout: 30, args: 1 });
    assert.deepEqual(await worker.next(), { type: 'cancel', id: ask.id });
    const { json } = await worker.next();
    assert.equal(json.code, 'deadline_exceeded');
    worker.send({ type: 'answer', id: ask.id, value: 1 });
    await worker.finish();
});

test('a signal gives an ask up: before it is sent, while it waits, and by its timeout', async (t) => {
    const worker = await serve(t, `
        nodey.get('/before', () => report(nodey.ask('X', 1, { signal: AbortSignal.abort() })));
        nodey.get('/during', (req) => report(nodey.ask('X', 1, { signal: req.signal })));
        nodey.get('/timeout', () => report(nodey.ask('X', 1, { signal: AbortSignal.timeout(20) })));
    `);
    assert.equal((await worker.call(request(1, '/before'))).json.code, 'cancelled');
    const { id } = await worker.call(request(2, '/during'));
    assert.deepEqual(await worker.call({ type: 'cancel', id: 2 }), { type: 'cancel', id });
    assert.equal((await worker.next()).json.code, 'cancelled');
    await worker.call(request(3, '/timeout'));
    assert.equal((await worker.next()).type, 'cancel');
    assert.equal((await worker.next()).json.code, 'deadline_exceeded');
    await worker.finish();
});

test('what cannot be asked is refused without a frame', async (t) => {
    const worker = await serve(t, `
        nodey.get('/', async () => [
            await report(nodey.ask('')), await report(nodey.ask('X', { n: 1n })),
            await report(nodey.ask('X', 1, { timeout: 0 })), await report(nodey.ask('X', NaN)),
        ]);
    `);
    const { json } = await worker.call(request(1, '/'));
    assert.deepEqual(json.map(({ name }) => name), ['TypeError', 'TypeError', 'RangeError', 'TypeError']);
    await worker.finish();
});

test('at the end of input an ask that waits is rejected, and the call is answered', async (t) => {
    const worker = await serve(t, "nodey.get('/', () => report(nodey.ask('X')));");
    await worker.call(request(1, '/'));
    worker.close();
    assert.equal((await worker.next()).json.code, 'unavailable');
    await worker.finish();
});

test('a token is answered: values, nothing, promises, errors', async (t) => {
    const worker = await serve(t, `
        nodey.set({
            Value: (args, ctx) => ({ args, id: ctx.id }),
            Nothing: () => {},
            Later: async () => 'later',
            Fails: () => { throw new nodey.NodeyError('not_found', 'no', { data: [1] }); },
            Status: () => { throw new nodey.HTTPError(418, 'tea'); },
            Pair: () => [200, 'not a status here'],
        });
    `);
    const ask = (id, token, args) => worker.call({ type: 'ask', id, token, args });
    assert.deepEqual(await ask(1, 'Value', 5), { type: 'answer', id: 1, value: { args: 5, id: 1 } });
    assert.deepEqual(await ask('q', 'Nothing'), { type: 'answer', id: 'q', value: null });
    assert.deepEqual(await ask(3, 'Later'), { type: 'answer', id: 3, value: 'later' });
    assert.deepEqual(await ask(4, 'Fails'), { type: 'error', id: 4, code: 'not_found', message: 'no', data: [1] });
    assert.equal((await ask(5, 'Status')).status, 418);
    assert.deepEqual((await ask(6, 'Pair')).value, [200, 'not a status here']);
    await worker.finish();
});

test('the origin API: new Nodey(), set, ask, start', async (t) => {
    const worker = startSource(t, `
        const { Nodey } = require('nodey');
        const node = new Nodey();
        node.set({ Hello: () => 'from node' }).set({ Relay: () => node.ask('Python') });
        node.start();
    `);
    assert.deepEqual((await worker.ready()).tokens, ['Hello', 'Relay']);
    const hello = await worker.call({ type: 'ask', id: 1, token: 'Hello' });
    assert.deepEqual(hello, { type: 'answer', id: 1, value: 'from node' });
    const relay = await worker.call({ type: 'ask', id: 2, token: 'Relay' });
    assert.deepEqual(relay, { type: 'ask', id: 1, for: 2, token: 'Python' });
    const answer = await worker.call({ type: 'answer', id: 1, value: 'from python' });
    assert.deepEqual(answer, { type: 'answer', id: 2, value: 'from python' });
    await worker.finish();
});

/* ---- asks that fail */

const FORGETFUL = `
    const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    nodey.get('/forgot', async (req) => {
        nodey.ask('X');
        await sleep(50);
        return 'fine';
    });
    nodey.get('/later', () => {
        (async () => { await nodey.ask('Y'); })();
        return 'fine';
    });
    nodey.get('/bad', () => { nodey.ask('Z', 1n); return 'fine'; });
`;

test('an ask that fails and that nobody awaited is logged, and ends nothing', async (t) => {
    const worker = await serve(t, FORGETFUL);
    worker.send(request(1, '/forgot'));
    const { id } = await worker.next();
    assert.deepEqual(await worker.call({ type: 'error', id, code: 'not_found', message: 'no X' }), { id: 1, body: 'fine' });
    worker.send(request(2, '/later'));
    const late = (await worker.next()).id;
    assert.deepEqual(await worker.next(), { id: 2, body: 'fine' });
    worker.send({ type: 'error', id: late, code: 'unavailable', message: 'no Y' });
    assert.deepEqual(await worker.call(request(3, '/bad')), { id: 3, body: 'fine' });
    await worker.finish();
    worker.logs.sort((a, b) => a.id - b.id);
    assert.deepEqual(worker.logs.map(({ level, id: about }) => [level, about]), [['error', 1], ['error', 2], ['error', 3]]);
    const [x, y, z] = worker.logs.map(({ message }) => message);
    assert.match(x, /^an ask of "X" failed and nobody awaited it: NodeyError: no X\n {4}at handler of GET \/forgot \(.*:7:11\)$/);
    assert.match(y, /^an ask of "Y" failed and nobody awaited it: NodeyError: no Y\n {4}at async .*:13:/);
    assert.match(z, /^an ask of "Z" failed and nobody awaited it: TypeError: ask Z: JSON cannot hold .*\n {4}at .*:16:/);
    assert.equal(worker.stderr, '');
});

test('in development it is logged with the line that asked', async (t) => {
    const worker = startSource(t, HEAD + FORGETFUL, { env: { NODEY_DEV: '1' } });
    await worker.ready();
    worker.send(request(1, '/forgot'));
    const { id } = await worker.next();
    await worker.call({ type: 'error', id, code: 'not_found', message: 'no X' });
    await worker.finish();
    assert.match(worker.logs[0].message, /NodeyError: no X\n {4}at \/.*worker\d+\.js:8:15$/);
});

test('a script that looks after its rejections is left to it, asks included', async (t) => {
    const worker = await serve(t, `${FORGETFUL}
        process.on('unhandledRejection', (error) => console.log(error.message));
    `);
    const { id } = await worker.call(request(1, '/forgot'));
    await worker.call({ type: 'error', id, code: 'not_found', message: 'no X' });
    await worker.finish();
    assert.deepEqual([worker.logs, worker.stderr], [[], 'no X\n']);
});

test('other rejections end the process, also after an ask has failed', async (t) => {
    const worker = await serve(t, `${FORGETFUL}
        nodey.get('/crash', () => { setImmediate(() => Promise.reject(new TypeError('crash'))); return new Promise(() => {}); });
    `);
    const { id } = await worker.call(request(1, '/forgot'));
    await worker.call({ type: 'error', id, code: 'not_found', message: 'no X' });
    worker.send(request(2, '/crash'));
    assert.deepEqual(await worker.ended(), { code: 1, signal: null });
    await worker.end();
    assert.deepEqual(worker.logs.map((log) => log.id), [1, 2]);
    assert.equal(worker.stderr, '');
});

test('a script that cannot start without an ask fails with it', async (t) => {
    const worker = startSource(t, `${HEAD}
        async function main() {
            const price = await nodey.ask('Price');
            nodey.get('/', () => price);
        }
        main();
    `);
    await worker.ready();
    const { id } = await worker.next();
    worker.send({ type: 'error', id, code: 'unimplemented', message: 'nobody' });
    assert.equal((await worker.ended()).code, 1);
    await worker.end();
    assert.match(worker.logs[0].message, /^the worker crashed: NodeyError: nobody\n {4}at async main .*:7:/);
});

test('an ask that fails a handler is logged with the line that awaited it, and no line of the SDK', async (t) => {
    const worker = await serve(t, `
        async function price() {
            return await nodey.ask('X');
        }
        nodey.get('/', async () => [await price()]);
        nodey.get('/all', async () => Promise.all([nodey.ask('X')]));
    `);
    for (const path of ['/', '/all']) {
        const { id } = await worker.call(request(1, path));
        assert.equal((await worker.call({ type: 'error', id, code: 'unavailable', message: 'none' })).code, 'unavailable');
    }
    await worker.finish();
    const [one, all] = worker.logs.map(({ message }) => message.split('\n').slice(1));
    assert.equal(one.length, 2);
    assert.match(one[0], /^ {4}at async price \(.*worker\d+\.js:7:20\)$/);
    assert.match(one[1], /^ {4}at async .*worker\d+\.js:9:37$/);
    assert.equal(all.length, 1);
    assert.match(all[0], /worker\d+\.js:10:/);
});
