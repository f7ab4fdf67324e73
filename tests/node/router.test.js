'use strict';

const assert = require('node:assert/strict');
const path = require('node:path');
const { test } = require('node:test');
const { SDK } = require('./lib/worker.js');
const { Router } = require(path.join(SDK, 'lib/router.cjs'));

/* Each target is its own pattern, or "METHOD pattern". */
function build(...patterns) {
    const router = new Router();
    for (const text of patterns) {
        const [method, pattern] = /^[A-Z]+ /.test(text) ? text.split(' ') : ['GET', text];
        router.add(method === 'ANY' ? '' : method, pattern, text);
    }
    return router;
}

const FOUND = [
    // patterns, path, target, params
    [['/a', '/:x', '/*'], '/a', '/a', {}],
    [['/:x', '/*'], '/b', '/:x', { x: 'b' }],
    [['/:x', '/*'], '/b/c', '/*', { '*': 'b/c' }],
    [['/*rest'], '/', '/*rest', { rest: '' }],
    [['/files/*'], '/files', '/files/*', { '*': '' }],
    [['/files/*'], '/files/', '/files/*', { '*': '' }],
    [['/files/*'], '/files/a/b', '/files/*', { '*': 'a/b' }],
    [['/a/:x/c', '/a/b/:y'], '/a/b/c', '/a/b/:y', { y: 'c' }],
    [['/a/b/c', '/a/:x/d'], '/a/b/d', '/a/:x/d', { x: 'b' }],
    [['/a/b/c', '/a/*'], '/a/b/d', '/a/*', { '*': 'b/d' }],
    [['/:x/:y'], '/a%20b/c%2Fd', '/:x/:y', { x: 'a b', y: 'c/d' }],
    [['/:x'], '/%zz', '/:x', { x: '%zz' }],
    [['/café'], '/caf%C3%A9', '/café', {}],
    [['/a b'], '/a%20b', '/a b', {}],
    [['/fib'], '/%66ib', '/fib', {}],
    [['/:__proto__'], '/x', '/:__proto__', { ['__proto__']: 'x' }],
];

for (const [patterns, requested, target, params] of FOUND) {
    test(`${patterns.join(' ')} serves ${requested} by ${target}`, () => {
        const found = build(...patterns).find('GET', requested);
        assert.equal(found.target, target);
        assert.deepEqual({ ...found.params }, { ...params });
    });
}

const NOT_FOUND = [
    [['/a'], '/a/'],
    [['/a'], '/A'],
    [['/a/:x'], '/a/'],
    [['/a/:x'], '/a'],
    [['/a'], '/a/b'],
    [['/'], '*'],
    [[], '/'],
];

for (const [patterns, requested] of NOT_FOUND) {
    test(`${patterns.join(' ')} does not serve ${requested}`, () => {
        assert.equal(build(...patterns).find('GET', requested), null);
    });
}

test('a less specific route serves a method that the more specific one lacks', () => {
    const router = build('POST /a/b', 'GET /a/:x');
    assert.equal(router.find('GET', '/a/b').target, 'GET /a/:x');
});

test('HEAD is served by HEAD, else by GET, else by any', () => {
    assert.equal(build('HEAD /a', 'GET /a', 'ANY /a').find('HEAD', '/a').target, 'HEAD /a');
    assert.equal(build('GET /a', 'ANY /a').find('HEAD', '/a').target, 'GET /a');
    assert.equal(build('ANY /a').find('HEAD', '/a').target, 'ANY /a');
});

test('a path with other methods says which', () => {
    assert.deepEqual(build('GET /a', 'POST /:x').find('PUT', '/a'), { allow: 'GET, HEAD, POST' });
});

const REFUSED = ['', 'a', '/a/*/b', '/:', '/:x/:x', '/:x/*x'];

for (const pattern of REFUSED) {
    test(`the pattern ${JSON.stringify(pattern)} is refused`, () => {
        assert.throws(() => new Router().add('GET', pattern, 1), TypeError);
    });
}

test('the same route twice is refused, whatever its parameters are called', () => {
    const router = build('/a/:x');
    assert.throws(() => router.add('GET', '/a/:y', 1), /GET \/a\/:y is registered twice/);
});
