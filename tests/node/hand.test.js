/* A person runs a worker without nodey. */
'use strict';

const assert = require('node:assert/strict');
const path = require('node:path');
const { test } = require('node:test');
const { SDK, startSource } = require('./lib/worker.js');
const { expand } = require(path.join(SDK, 'lib/hand.cjs'));

const HEAD = "const nodey = require('nodey');\n";

test('an ask is answered by the same process, through JSON, with a context', async (t) => {
    const worker = startSource(t, `${HEAD}
        nodey.set({
            Add: ({ a, b }) => ({ sum: a + b, at: new Date(0) }),
            Nothing: () => {},
            Chain: () => nodey.ask('Add', { a: 1, b: 2 }),
        });
        nodey.get('/', async () => [await nodey.ask('Chain'), await nodey.ask('Nothing'), 'list']);
    `, { hand: true });
    const chain = { sum: 3, at: '1970-01-01T00:00:00.000Z' };
    assert.deepEqual(await worker.get(1, '/'), { id: 1, json: [chain, null, 'list'] });
    await worker.finish();
});

test('an ask that nobody here can answer says what it would take', async (t) => {
    const worker = startSource(t, `${HEAD}
        nodey.set({ Own: () => 1 });
        nodey.get('/', () => nodey.ask('Other'));
    `, { hand: true });
    const { code, message } = await worker.get(1, '/');
    assert.equal(code, 'unavailable');
    assert.match(message, /nobody answers Other here: .* own tokens \(Own\)/);
    await worker.finish();
});

test('the end of input waits for all that is open, also when ids are missing or come twice', async (t) => {
    const worker = startSource(t, `${HEAD}
        setInterval(() => {}, 1000);
        nodey.get('/:ms', ({ params: { ms } }) => new Promise((resolve) => setTimeout(resolve, ms, ms)));
    `, { hand: true });
    const get = (ms) => ({ method: 'GET', path: `/${ms}` });
    worker.send(get(50), get(150), { id: 1, ...get(250) }, { id: 1, ...get(350) });
    worker.close();
    assert.deepEqual(await worker.next(), { id: null, body: '50' });
    assert.deepEqual(await worker.next(), { id: null, body: '150' });
    assert.deepEqual(await worker.next(), { id: 1, body: '250' });
    assert.deepEqual(await worker.next(), { id: 1, body: '350' });
    await worker.finish();
});

test('log lines are text, a failed start is left to Node', async (t) => {
    const worker = startSource(t, `${HEAD}
        nodey.get('/', () => 1);
        nodey.log.warn('hi', { a: 1 });
        throw new Error('no start');
    `, { hand: true });
    assert.deepEqual(await worker.ended(), { code: 1, signal: null });
    assert.equal(await worker.line(), null);
    assert.match(worker.stderr, /^warn: hi \{"a":1\}\n[^]*Error: no start/);
});

const TYPED = [
    ['GET /fib?num=10', { id: 3, method: 'GET', path: '/fib', query: 'num=10' }],
    ['POST /shout some text?', { id: 3, method: 'POST', path: '/shout', body: 'some text?' }],
    ['ask Fib {"num":10}', { type: 'ask', id: 3, token: 'Fib', args: { num: 10 } }],
    ['ask Fib', { type: 'ask', id: 3, token: 'Fib', args: null }],
    ['{"id":1,"method":"GET","path":"/"}', { id: 1, method: 'GET', path: '/' }],
];

for (const [line, frame] of TYPED) {
    test(`a terminal takes: ${line}`, () => assert.deepEqual(JSON.parse(expand(line, 3)), frame));
}

test('a terminal leaves what it does not know to the reader of frames', () => {
    for (const line of ['hello', 'GET', 'GET fib', 'get /fib']) assert.equal(expand(line, 3), line);
});
