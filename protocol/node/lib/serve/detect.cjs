/*
 * detect: what kind of app somebody has, and how to get an http.Server out of it.
 *
 * By what it can do, not by its class: there may be several copies of a framework.
 */
'use strict';

const http = require('node:http');
const { inspect } = require('../errors.cjs');

const POSSIBLE = 'an app of Express, Koa, Fastify, Nest, Next, hapi, Polka, connect or Hono, a function (req, res), ' +
    'an http.Server, or an object with fetch(request)';

function has(app, ...names) {
    return names.every((name) => typeof app[name] === 'function');
}

function isServer(value) {
    return value instanceof http.Server;
}

function isClass(value) {
    return typeof value === 'function' && /^class\b/.test(Function.prototype.toString.call(value));
}

/* A server of another kind speaks TLS or HTTP/2 by itself. */
function isOtherServer(value) {
    return value instanceof require('node:net').Server;
}

async function startNest(app) {
    await app.init();
    const adapter = app.getHttpAdapter?.();
    if (adapter?.getType?.() === 'fastify') await adapter.getInstance().ready();
    return app.getHttpServer();
}

async function startNext(app) {
    await app.prepare();
    const server = http.createServer(app.getRequestHandler());
    if (has(app, 'getUpgradeHandler')) server.on('upgrade', app.getUpgradeHandler());
    return server;
}

/*
 * The order matters: what is asked for first is what only one of them has.  Each has either
 * `server`, at once, or `start`, which gives it later, or `fetch`.
 */
const KINDS = [
    { name: 'http.Server', is: isServer, open: (app) => ({ server: app }) },
    {
        name: 'Fastify',
        is: (app) => has(app, 'ready', 'inject', 'listen') && isServer(app.server),
        open: (app) => ({ start: async () => (await app.ready(), app.server) }),
    },
    {
        name: 'Nest',
        is: (app) => has(app, 'getHttpServer', 'init'),
        open: (app) => ({ start: () => startNest(app) }),
    },
    {
        name: 'hapi',
        is: (app) => has(app, 'initialize') && isServer(app.listener),
        open: (app) => ({ start: async () => (await app.initialize(), app.listener) }),
    },
    {
        name: 'Next',
        is: (app) => has(app, 'getRequestHandler', 'prepare'),
        open: (app) => ({ start: () => startNext(app) }),
    },
    {
        name: 'Koa',
        is: (app) => typeof app === 'object' && has(app, 'callback', 'use'),
        open: (app) => ({ server: http.createServer(app.callback()) }),
    },
    {
        name: 'fetch',
        is: (app) => has(app, 'fetch'),
        open: (app) => ({ fetch: (...args) => app.fetch(...args) }),
    },
    {
        name: 'a function',
        is: (app) => typeof app === 'function' && !isClass(app),
        open: (app) => ({ server: http.createServer(app) }),
    },
    {
        name: 'Polka',
        is: (app) => has(app, 'handler', 'listen'),
        open: (app) => ({ server: http.createServer((req, res) => app.handler(req, res)) }),
    },
    {
        name: 'an app with a server',
        is: (app) => isServer(app.server) && has(app, 'listen'),
        open: (app) => ({ server: app.server }),
    },
];

function kindOf(app) {
    if ((typeof app !== 'object' && typeof app !== 'function') || app === null) return null;
    return KINDS.find(({ is }) => is(app)) ?? null;
}

function adviceFor(app) {
    if (isClass(app)) return `a class: write serve(new ${app.name || 'App'}())`;
    if (typeof app?.then === 'function') return 'a promise: write serve(await ...)';
    if (app instanceof Object && isOtherServer(app)) {
        return `${inspect(app).split(' ')[0]}, which ends TLS or HTTP/2 itself: nodey does that; pass the app, or an http.Server`;
    }
    if (app === undefined) return 'undefined: is it exported, and is its name spelled right?';
    return inspect(app);
}

/**
 * Returns { name, server } or { name, start: async () => server } or { name, fetch }.
 * Throws a TypeError that says what was given and what is possible.
 */
function detect(app) {
    const inner = kindOf(app) ? app : app?.default; // a module that was passed as a whole
    const kind = kindOf(inner);
    if (!kind) throw new TypeError(`serve: the app is ${adviceFor(app)}; it must be ${POSSIBLE}`);
    return { name: kind.name, ...kind.open(inner) };
}

/** Whether what a script exports is meant to be served: any function with (req, res) may be. */
function isApp(value) {
    if (value === null || value === undefined) return false;
    const kind = kindOf(value);
    if (!kind) return false;
    return kind.name !== 'a function' || value.length === 2 || has(value, 'use');
}

module.exports = { detect, isApp };
