/* What is an app, and how to get a server out of it: see lib/serve/detect.cjs. */
'use strict';

const assert = require('node:assert/strict');
const http = require('node:http');
const net = require('node:net');
const { test } = require('node:test');
const { detect, isApp } = require('../../protocol/node/lib/serve/detect.cjs');

function nothing() {}

/* What each framework's app looks like from outside, and what must be called first. */
const calls = [];
const server = http.createServer();
const APPS = {
    'http.Server': server,
    Fastify: { ready: async () => calls.push('ready'), inject: nothing, listen: nothing, server },
    Nest: { init: async () => calls.push('init'), getHttpServer: () => server, listen: nothing },
    hapi: { initialize: async () => calls.push('initialize'), listener: server },
    Next: { prepare: async () => calls.push('prepare'), getRequestHandler: () => nothing },
    Koa: { callback: () => nothing, use: nothing, listen: nothing },
    fetch: { fetch: nothing, get: nothing },
    'a function': Object.assign((req, res, next) => next, { use: nothing, handle: nothing }),
    Polka: { handler: nothing, listen: nothing },
    'an app with a server': { server, listen: nothing },
};

for (const [name, app] of Object.entries(APPS)) {
    test(`it is ${name}`, async () => {
        const found = detect(app);
        assert.equal(found.name, name);
        if (name === 'fetch') assert.equal(typeof found.fetch, 'function');
        else if (found.start) assert.ok(await found.start() instanceof http.Server);
        else assert.ok(found.server instanceof http.Server);
        assert.equal(isApp(app), true);
    });
}

test('what must be started first is', () => {
    assert.deepEqual(calls, ['ready', 'init', 'initialize', 'prepare']);
});

test('a module as a whole is its default export', () => {
    assert.equal(detect({ default: APPS.Koa }).name, 'Koa');
});

test('anything else is refused with what is possible', () => {
    const refused = [
        [undefined, /the app is undefined: is it exported/],
        [null, /the app is null; it must be an app of Express/],
        ['app.js', /the app is 'app.js'; it must be/],
        [{ a: 1 }, /the app is \{ a: 1 \}; it must be .*or an object with fetch\(request\)/],
        [class Koa {}, /the app is a class: write serve\(new Koa\(\)\)/],
        [Promise.resolve(), /the app is a promise: write serve\(await \.\.\.\)/],
        [net.createServer(), /the app is Server, which ends TLS or HTTP\/2 itself/],
    ];
    for (const [app, message] of refused) assert.throws(() => detect(app), { name: 'TypeError', message });
});

test('of what a script exports only an app is served', () => {
    assert.equal(isApp((req, res) => res), true);
    for (const value of [undefined, {}, () => 1, (a) => a, class App {}, { default: 1 }]) assert.equal(isApp(value), false);
});
