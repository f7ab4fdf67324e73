'use strict';

const assert = require('node:assert/strict');
const path = require('node:path');
const { test } = require('node:test');
const { SDK } = require('./lib/worker.js');
const { Reply, responseLine, answerLine } = require(path.join(SDK, 'lib/encode.cjs'));

const SCOPE = { who: 'GET /x', maxLine: 1000, method: 'GET', headers: {}, signal: new AbortController().signal };

function encode(value) {
    const line = responseLine('7', value, SCOPE);
    assert.ok(line.endsWith('}\n'));
    assert.ok(line.startsWith('{"id":7'));
    const { id, ...frame } = JSON.parse(line);
    return frame;
}

const SHAPES = [
    // name, value, frame
    ['text', 'a"\n', { body: 'a"\n' }],
    ['empty text', '', { body: '' }],
    ['an object', { a: 1 }, { json: { a: 1 } }],
    ['an array', [1, 2, 3, 4], { json: [1, 2, 3, 4] }],
    ['a number', 5, { json: 5 }],
    ['false', false, { json: false }],
    ['null', null, { json: null }],
    ['null inside', { a: null }, { json: { a: null } }],
    ['nothing', undefined, { status: 204 }],
    ['a date', new Date(0), { json: '1970-01-01T00:00:00.000Z' }],
    ['a Buffer', Buffer.from([0, 255]), { body64: 'AP8=' }],
    ['part of a larger buffer', new Uint8Array([1, 2, 3]).subarray(1, 2), { body64: 'Ag==' }],
    ['an ArrayBuffer', new Uint8Array([1]).buffer, { body64: 'AQ==' }],
    ['numbers in a typed array', new Uint16Array([1]), { body64: 'AQA=' }],
    ['an empty object', { a: {} }, { json: { a: {} } }],
    ['status and text', [201, 'x'], { status: 201, body: 'x' }],
    ['status and nothing', [204, undefined], { status: 204 }],
    ['status, object, headers', [200, {}, { 'X-A': 1 }], { status: 200, headers: { 'x-a': '1' }, json: {} }],
    ['a pair whose first is no status', [99, 1], { json: [99, 1] }],
    ['a triple whose last is no object', [200, 1, 2], { json: [200, 1, 2] }],
    ['response() keeps such a pair', new Reply([200, 1]), { json: [200, 1] }],
    ['response() with headers', new Reply('x', { headers: new Headers([['A', 'b']]) }),
        { headers: { a: 'b' }, body: 'x' }],
    ['a header twice', new Reply('', { headers: [['Set-Cookie', 'a'], ['set-cookie', 'b']] }),
        { headers: { 'set-cookie': ['a', 'b'] }, body: '' }],
    ['response() of nothing', new Reply(undefined, { headers: { a: 'b' } }),
        { status: 204, headers: { a: 'b' } }],
];

for (const [name, value, frame] of SHAPES) {
    test(`encodes ${name}`, () => assert.deepEqual(encode(value), frame));
}

test('a fetch Response is a Reply to be sent in pieces, each cookie a field of its own', async () => {
    const cookies = ['a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Path=/', 'b=2'];
    const response = new Response('hi', { status: 201, headers: cookies.map((text) => ['set-cookie', text]) });
    const { status, headers, value } = responseLine('7', response, SCOPE);
    assert.deepEqual(headers['set-cookie'], cookies);
    assert.equal(status, 201);
    assert.equal(value, response.body);
});

const circular = {};
circular.self = circular;

const REFUSED = [
    ['a BigInt', { n: 1n }, /GET \/x: JSON cannot hold this value: .*BigInt/],
    ['a circle', circular, /GET \/x: JSON cannot hold this value: .*circular structure .* property 'self' closes the circle/],
    ['an error that was returned', new TypeError('returned'), /^returned$/],
    ['a function', () => {}, /cannot hold a function/],
    ['NaN', NaN, /NaN/],
    ['Infinity, deep inside', { a: [{ b: Infinity }] }, /NaN or Infinity/],
    ['NaN from toJSON', { toJSON: () => [NaN] }, /NaN or Infinity/],
    ['a promise inside', { user: Promise.resolve(1) }, /GET \/x: .*: user is a promise: an await is missing/],
    ['a Map, deep inside', { a: [{ b: new Map() }] }, /a\.0\.b is a Map: use Object\.fromEntries/],
    ['a Set', new Set([1]), /the value is a Set: use \[\.\.\.set\]/],
    ['an async generator inside', { rows: (async function* () {})() }, /rows is a stream or generator/],
    ['a header with a line break', [200, '', { a: 'b\r\nc: d' }], /header a .*line breaks/],
    ['a header beyond latin-1', [200, '', { a: '\u20ac' }], /header a .*encodeURIComponent/],
    ['a header without a name', [200, '', { 'a b': 'c' }], /cannot be the name of a header/],
    ['a status that ends nothing', [101, ''], /status is 101/],
    ['a header that is an object', [200, '', { a: {} }], /header a/],
];

for (const [name, value, message] of REFUSED) {
    test(`refuses ${name}`, () => assert.throws(() => encode(value), { message }));
}

test('a token that returns nothing answers null', () => {
    assert.equal(answerLine('7', undefined, { who: 'token A' }), '{"type":"answer","id":7,"value":null}\n');
});
