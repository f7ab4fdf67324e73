/* The examples in workers/. */
'use strict';

const assert = require('node:assert/strict');
const path = require('node:path');
const { test } = require('node:test');
const { ROOT, startWorker } = require('./lib/worker.js');

function example(t, name, options) {
    return startWorker(t, path.join(ROOT, 'workers', name), options);
}

test('hello.js says hello', async (t) => {
    const worker = example(t, 'hello.js');
    assert.equal((await worker.ready()).routes[0].path, '/hello');
    assert.deepEqual(await worker.get(1, '/hello'), { id: 1, json: { hello: 'world' } });
    assert.deepEqual(await worker.get(2, '/hello?name=Ann'), { id: 2, json: { hello: 'Ann' } });
    await worker.finish();
});

test('stock.js joins its stock with the price that it asks for', async (t) => {
    const worker = example(t, 'dual/stock.js');
    assert.deepEqual((await worker.ready()).tokens, ['Stock']);
    const answer = await worker.call({ type: 'ask', id: 1, token: 'Stock', args: { sku: 1 } });
    assert.deepEqual(answer, { type: 'answer', id: 1, value: { sku: 1, stock: 7 } });
    const { id, token, args } = await worker.get(2, '/stock?sku=1');
    assert.deepEqual([token, args], ['Price', { sku: 1 }]);
    const frame = await worker.call({ type: 'answer', id, value: { sku: 1, price: 9.5 } });
    assert.deepEqual(frame, { id: 2, json: { sku: 1, stock: 7, price: 9.5 } });
    assert.equal((await worker.get(3, '/stock?sku=99')).code, 'not_found');
    await worker.finish();
});

const SHOUTS = [
    // members, body
    [{ body: 'hi é' }, 'HI é'],
    [{ body: '' }, ''],
    [{}, ''],
    [{ body: 'a\nb\tc\r\b\f"d"\\n\\\\' }, 'A\nB\tC\r\b\f"D"\\N\\\\'],
    [{ body: '\u0001\u001f\u007f' }, '\u0001\u001f\u007f'],
    [{ body: '{"id":7,"body":"x"}' }, '{"ID":7,"BODY":"X"}'],
    [{ body: ' $(id) `id` %s \'\' * ' }, ' $(ID) `ID` %S \'\' * '],
    [{ headers: { body: 'no' }, body: 'yes', last: 'no' }, 'YES'],
];

test('shout.sh answers in upper case', async (t) => {
    const worker = example(t, 'shout.sh', { command: ['/bin/sh'] });
    assert.deepEqual((await worker.ready()).routes, [{ path: '/shout', method: 'post' }]);
    for (const [members, body] of SHOUTS) {
        const frame = await worker.call({ id: 9, method: 'POST', path: '/shout', ...members });
        assert.deepEqual(frame, { id: 9, body });
    }
    const { status } = await worker.call({ id: 10, method: 'POST', path: '/shout', body64: '/w==' });
    assert.equal(status, 415);
    await worker.finish();
});
