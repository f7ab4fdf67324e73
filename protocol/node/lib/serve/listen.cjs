/*
 * listen: server.listen(3000) under nodey opens no port: it says that this server is the app.
 *
 * Loaded by run.cjs when a server of the script listens for the first time.  The first
 * http.Server that listens on a TCP port is the app, or the one on the port that NODEY_PORT
 * names; others really listen.  As far as the script can see all of them do.
 */
'use strict';

const http = require('node:http');
const net = require('node:net');

const ANY_PORT = 8000; // what address() says for port 0
const POLL_MS = 20;

let app = null; // { server, port, host }
let hasStopHook = false;

/* ---- what is asked for */

function isPort(value) {
    const isText = typeof value === 'string' && value.trim() !== '';
    if (!isText && typeof value !== 'number') return false;
    return Number.isInteger(Number(value)) && Number(value) >= 0 && Number(value) <= 65535;
}

/*
 * Reads the arguments of listen().  Null when that is not about a TCP port, or is a mistake,
 * of which Node itself tells.
 */
function wishOf(args) {
    const [first, second] = args;
    const last = args.at(-1);
    const onListening = typeof last === 'function' ? last : null;
    if (first === undefined || first === null || first === onListening) return { port: 0, onListening };
    if (typeof first !== 'object') {
        const host = typeof second === 'string' ? second : undefined;
        return isPort(first) ? { port: Number(first), host, onListening } : null;
    }
    if (!isPort(first.port) || first.fd >= 0 || first._handle) return null;
    return { port: Number(first.port), host: first.host, signal: first.signal, onListening };
}

/* A worker that has routes of its own does not wait for a server; one with tokens may. */
function hasRoutes() {
    const { routes, app: served } = require('../registry.cjs').current;
    return routes.length > 0 || served !== null;
}

function isApp(server, port) {
    const wanted = process.env.NODEY_PORT;
    if (wanted !== undefined && wanted !== '') return isPort(wanted) && Number(wanted) === port;
    // A framework may open one server for each address of "localhost".
    if (app) return port !== 0 && app.port === port;
    return isServed(server) || !hasRoutes();
}

function isServed(server) {
    return require('./index.cjs').isServed(server);
}

/* ---- a server that does not listen */

function addressOf({ port, host }) {
    const isSix = net.isIPv6(host ?? '') && host !== '::';
    const address = net.isIP(host ?? '') && host !== '0.0.0.0' && host !== '::' ? host : '127.0.0.1';
    return { address, family: isSix ? 'IPv6' : 'IPv4', port: port || ANY_PORT };
}

/** Makes a server look as if it listened.  injector: what its requests go through. */
function pretend(server, wish, injector) {
    let address = addressOf(wish);
    const own = { configurable: true, writable: true };
    Object.defineProperties(server, {
        listening: { configurable: true, get: () => address !== null },
        address: { ...own, value: () => address },
        close: { ...own, value: close },
    });

    /* Ends politely: 'close' comes when the last request has been answered. */
    function close(closed) {
        if (address === null) return http.Server.prototype.close.call(server, closed);
        address = null;
        if (typeof closed === 'function') server.once('close', closed);
        if (server === app?.server) retire();
        injector.whenIdle(() => {
            for (const name of ['listening', 'address', 'close']) delete server[name];
            http.Server.prototype.close.call(server);
        });
        return server;
    }

    if (wish.onListening) server.once('listening', wish.onListening);
    wish.signal?.addEventListener('abort', () => address !== null && close(), { once: true });
    process.nextTick(() => {
        if (address === null) return; // closed in the same turn
        server.emit('listening');
        begin(server, injector);
    });
}

/** What Node says when a port is taken. */
function refuse(server, { port, host = '::', onListening }) {
    if (onListening) server.once('listening', onListening);
    const error = new Error(`listen EADDRINUSE: address already in use ${host}:${port}`);
    Object.assign(error, { code: 'EADDRINUSE', errno: -98, syscall: 'listen', address: host, port });
    process.nextTick(() => server.emit('error', error));
}

function begin(server, injector) {
    if (server !== app?.server) return;
    const registry = require('../registry.cjs');
    if (!registry.current.app) registry.setApp(injector);
    addStopHook(registry);
    require('./expected.cjs').hasCome();
    require('../life.cjs').start();
}

/* ---- the end */

/* The script has closed its server: no more work, please, and another process instead. */
function retire() {
    require('../wire.cjs').send('{"type":"drain"}\n');
}

/* The listeners of the script: ours is the one that is no news to it. */
function listenersOfScript() {
    const { onTerminate } = require('../life.cjs');
    return process.listeners('SIGTERM').filter((listener) => listener !== onTerminate);
}

/* What is left to do when nothing but our own is: the pipe, and the timer of the onStop hooks. */
function isBusy() {
    let timers = 0;
    for (const kind of process.getActiveResourcesInfo()) {
        if (kind === 'Timeout') timers++;
        else if (kind !== 'PipeWrap' && kind !== 'TTYWrap' && kind !== 'Immediate') return true;
    }
    return timers > 1;
}

/*
 * Apps clean up when SIGTERM comes, so they are told as if it had, when the last request is
 * answered.  Whoever does not exit then is waited for as long as anything goes on in it, or
 * the time of an onStop hook is up.
 */
async function sayGoodbye() {
    const listeners = listenersOfScript();
    for (const listener of listeners) listener.call(process, 'SIGTERM', 15);
    if (listeners.length === 0) return;
    do {
        await new Promise((resolve) => {
            setTimeout(resolve, POLL_MS);
        });
    } while (isBusy());
}

function addStopHook(registry) {
    if (hasStopHook) return;
    hasStopHook = true;
    let told = false;
    process.once('SIGTERM', function onSignal() {
        told = true;
    });
    registry.addHook('onStop', () => (told ? undefined : sayGoodbye()));
}

/** Takes a listen() of the script.  Undefined when the server is to listen really. */
function take(server, args) {
    if (!(server instanceof http.Server) || server.listening) return undefined;
    const wish = wishOf(args);
    if (!wish || !isApp(server, wish.port)) return undefined;
    if (app && app.server.listening && wish.host === app.host && server !== app.server) {
        refuse(server, wish);
        return server;
    }
    app ??= { server, port: wish.port, host: wish.host };
    pretend(server, wish, require('./index.cjs').injectorOf(server));
    return server;
}

module.exports = { take, pretend, refuse, wishOf };
