/* before, after, onStart and onStop. */
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { startSource } = require('./lib/worker.js');

const HEAD = `
    const nodey = require('nodey');
    const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
`;

async function serve(t, source, options) {
    const worker = startSource(t, HEAD + source, options);
    await worker.ready();
    return worker;
}

test('before hooks run in order, after hooks in reverse, around sync and async handlers', async (t) => {
    const worker = await serve(t, `
        const seen = [];
        nodey.before(() => { seen.push('b1'); }).before(async (req, ctx) => { await sleep(1); seen.push('b2 ' + req.path + ctx.id); });
        nodey.after((req, res) => { seen.push('a1'); return nodey.json(seen.splice(0)); });
        nodey.after(async (req, res) => { await sleep(1); seen.push('a2 ' + res.status + res.value); });
        nodey.get('/sync', () => { seen.push('h'); return 'v'; });
        nodey.get('/async', async () => { await sleep(1); seen.push('h'); return [201, 'v']; });
        nodey.token('T', () => 'asked');
    `);
    assert.deepEqual((await worker.get(1, '/sync')).json, ['b1', 'b2 /sync1', 'h', 'a2 200v', 'a1']);
    assert.deepEqual((await worker.get(2, '/async')).json, ['b1', 'b2 /async2', 'h', 'a2 201v', 'a1']);
    const viaRoute = await worker.call({ id: 3, method: 'GET', path: '/t', token: 'T' });
    assert.deepEqual(viaRoute.json, ['b1', 'b2 /t3', 'a2 200asked', 'a1']);
    assert.deepEqual(await worker.call({ type: 'ask', id: 4, token: 'T' }), { type: 'answer', id: 4, value: 'asked' });
    await worker.finish();
});

test('what a before hook returns is the answer, and it still goes through after', async (t) => {
    const worker = await serve(t, `
        nodey.before((req) => (req.headers.authorization ? undefined : [401, 'who?', { 'www-authenticate': 'Basic' }]));
        nodey.before(() => { if (ran === 'never') throw new Error(); });
        nodey.after((req, res) => { res.setHeader('X-After', 1); });
        let ran = 'not';
        nodey.get('/', () => { ran = 'yes'; return ran; });
        nodey.get('/ran', () => ran);
    `);
    assert.deepEqual(await worker.get(1, '/'), { id: 1, status: 401,
        headers: { 'www-authenticate': 'Basic', 'x-after': '1' }, body: 'who?' });
    const allowed = { id: 2, method: 'GET', path: '/ran', headers: { authorization: 'x' } };
    assert.equal((await worker.call(allowed)).body, 'not');
    await worker.finish();
});

test('an after hook may change status, value and headers, which are checked once more', async (t) => {
    const worker = await serve(t, `
        nodey.after((req, res) => {
            if (req.query.bad) res.headers['x-a'] = 'a\\nb';
            res.headers['X-B'] = 2;
            res.status = 202;
            if (req.query.plain) return;
            const { value } = res;
            res.value = (function* () { yield value; yield '!'; })();
        });
        nodey.get('/', () => 'v');
    `);
    const { id, ...frame } = await worker.get(1, '/');
    assert.deepEqual(frame, { status: 202, headers: { 'x-b': '2' }, body: 'v!' });
    assert.deepEqual((await worker.get(3, '/?plain=1')).headers, { 'x-b': '2' });
    assert.match((await worker.get(2, '/?bad=1')).message, /header x-a/);
    await worker.finish();
});

test('a hook that throws fails its request like a handler, and errors pass after hooks by', async (t) => {
    const worker = await serve(t, `
        nodey.before((req) => { if (req.path === '/before') throw new nodey.HTTPError(403, 'no'); });
        nodey.after((req) => { if (req.path === '/after') throw new TypeError('broken hook'); });
        nodey.get('/before', () => 1); nodey.get('/after', () => 1);
        nodey.get('/handler', () => { throw new nodey.HTTPError(409, 'mine'); });
    `);
    assert.equal((await worker.get(1, '/before')).code, 'permission_denied');
    assert.equal((await worker.get(2, '/after')).message, 'TypeError: broken hook');
    assert.equal((await worker.get(3, '/handler')).message, 'mine');
    await worker.finish();
    assert.equal(worker.logs.length, 1);
});

test('the worker is ready when its onStart hooks are done, in their order', async (t) => {
    const worker = startSource(t, `${HEAD}
        const order = [];
        nodey.onStart(async () => { await sleep(100); order.push('one'); }).onStart(() => { order.push('two'); });
        nodey.get('/', () => order);
        setTimeout(() => nodey.get('/late', () => 1), 50);
    `);
    assert.equal((await worker.ready()).routes.length, 2);
    assert.deepEqual((await worker.get(1, '/')).json, ['one', 'two']);
    await worker.finish();
});

test('an onStart hook that asks makes the worker ready; requests wait for the hooks', async (t) => {
    const worker = startSource(t, `${HEAD}
        let price;
        nodey.onStart(async () => { price = await nodey.ask('Price'); });
        nodey.get('/', () => ({ price }));
        nodey.token('Own', () => price ?? 'none yet');
    `);
    await worker.ready();
    const { id } = await worker.next();
    worker.send({ id: 1, method: 'GET', path: '/' }, { type: 'ask', id: 2, token: 'Own' });
    assert.deepEqual(await worker.next(), { type: 'answer', id: 2, value: 'none yet' });
    worker.send({ type: 'answer', id, value: 9.5 });
    assert.deepEqual(await worker.next(), { id: 1, json: { price: 9.5 } });
    await worker.finish();
});

test('a start that fails in a hook names the hook and the cause', async (t) => {
    const worker = startSource(t, `${HEAD}
        nodey.onStart(async function connect() { await sleep(1); throw new Error('no database'); });
        nodey.get('/', () => 1);
    `);
    const { stack, ...frame } = await worker.next();
    assert.deepEqual(frame, { type: 'error', id: null, code: 'failed_precondition',
        message: 'onStart connect failed: Error: no database' });
    assert.match(stack, /at connect \(/);
    await worker.finish(1);
    assert.equal(worker.stderr, '');
});

test('an onStart hook that never ends is no silent death', async (t) => {
    const worker = startSource(t, `${HEAD} nodey.onStart(() => new Promise(() => {})); nodey.get('/', () => 1);`);
    assert.match((await worker.next()).message, /an onStart hook waited for something that never came/);
    await worker.finish(1);
});

test('onStop hooks run once all is answered, the last one first; a broken one is logged', async (t) => {
    const worker = await serve(t, `
        nodey.onStop(async () => { await sleep(50); console.log('stopped last'); });
        nodey.onStop(function broken() { throw new Error('no'); });
        nodey.onStop(() => console.log('stopped first'));
        nodey.get('/', async () => { await sleep(100); console.log('answered'); return 1; });
    `);
    worker.send({ id: 1, method: 'GET', path: '/' }, { type: 'drain', grace: 5000 });
    assert.deepEqual(await worker.next(), { id: 1, json: 1 });
    await worker.finish();
    assert.equal(worker.stderr, 'answered\nstopped first\nstopped last\n');
    assert.equal(worker.logs.length, 1);
    assert.match(worker.logs[0].message, /^onStop broken failed: Error: no\n/);
});

test('onStop hooks also run after a shutdown whose grace is over, and a second SIGTERM ends them', async (t) => {
    const worker = await serve(t, `
        nodey.onStop(async () => { console.log('stopping'); await sleep(60000); });
        nodey.get('/', () => sleep(60000));
    `);
    worker.send({ id: 1, method: 'GET', path: '/' }, { type: 'shutdown', grace: 50 });
    assert.equal((await worker.next()).code, 'unavailable');
    while (!worker.stderr.includes('stopping')) await new Promise((resolve) => setTimeout(resolve, 10));
    worker.child.kill('SIGTERM');
    assert.deepEqual(await worker.ended(), { code: 143, signal: null });
});

test('by hand the hooks run too', async (t) => {
    const worker = startSource(t, `${HEAD}
        nodey.onStart(() => console.log('up')).onStop(() => console.log('down'));
        nodey.get('/', () => 1);
    `, { hand: true });
    assert.deepEqual(await worker.get(1, '/'), { id: 1, json: 1 });
    await worker.finish();
    assert.equal(worker.stderr, 'up\ndown\n');
});

test('a hook must be a function, and onStart comes in time', async (t) => {
    const worker = await serve(t, `
        const refused = [];
        const attempt = (misuse) => { try { misuse(); } catch (error) { refused.push(error.message); } };
        attempt(() => nodey.before({}));
        nodey.get('/', () => { attempt(() => nodey.onStart(() => {})); return refused; });
    `);
    const { json } = await worker.get(1, '/');
    assert.match(json[0], /before: the handler must be a function, not \{\}/);
    assert.match(json[1], /onStart: the worker has started already/);
    await worker.finish();
});
