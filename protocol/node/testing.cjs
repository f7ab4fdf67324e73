/*
 * testing: a worker's handlers called by a test, in its own process, without nodey.
 *
 * Requests become the frames that nodey would write, and go the way of all frames but
 * for the pipes; so what a test sees is what a client would.
 */
'use strict';

process[Symbol.for('nodey.testing')] = true; // the SDK must leave stdin and stdout alone

require('./index.cjs');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const asks = require('./lib/ask.cjs');
const calls = require('./lib/calls.cjs');
const { NodeyError, inspect, messageOf } = require('./lib/errors.cjs');
const { readFrame } = require('./lib/frame.cjs');
const hooks = require('./lib/hooks.cjs');
const registry = require('./lib/registry.cjs');
const { mode } = require('./lib/stdio.cjs');
const wire = require('./lib/wire.cjs');
const { encodeBody } = require('./lib/testbody.cjs');
const { TestExchange, TestResponse, StreamResponse } = require('./lib/testanswer.cjs');
const { isPieces, Upload, TestSocket } = require('./lib/testpieces.cjs');
const outbox = require('./lib/outbox.cjs');
const testbus = require('./lib/testbus.cjs');
const { TestBus, nameOf } = testbus;

const VERBS = ['get', 'post', 'put', 'patch', 'delete', 'head', 'options'];

if (mode === 'supervised' || mode === 'hand') {
    throw new Error('nodey/testing: load it before nodey, or run the test with  node --test');
}

const waiting = new Map(); // TestExchanges, by frame id
let nextId = 1;

function take(line) {
    const frame = JSON.parse(line);
    if (testbus.take(frame)) return;
    const entry = frame.type === 'log' ? undefined : waiting.get(frame.id);
    if (entry?.take(frame)) waiting.delete(frame.id);
}

/* ---- what handlers ask */

let latest = null; // the client that asks outside of any call belong to

async function answerAsk(client, token, json) {
    const fake = client?.tokens[token];
    if (fake === undefined && client?.hasToken(token)) return client.askOwn(token, json);
    if (fake === undefined) {
        throw new NodeyError('unimplemented', `nobody answers ${token} in this test: ` +
            `give the client one: client.tokens.${token} = (args) => value`);
    }
    if (typeof fake !== 'function') {
        throw new TypeError(`client.tokens.${token} must be a function, not ${inspect(fake)}`);
    }
    try {
        const value = await fake(json === undefined ? undefined : JSON.parse(json));
        return JSON.parse(JSON.stringify(value ?? null));
    } catch (cause) {
        if (cause instanceof NodeyError) throw cause;
        throw new NodeyError('internal', messageOf(cause), { cause }); // as it would arrive from another process
    }
}

const transport = {
    deliver({ id, call, token, json }) {
        answerAsk(call?.home.fake ?? latest, token, json).then(
            (value) => asks.answer(id, value), (error) => asks.fail(id, error));
    },
    giveUp() {},
    publish({ id, call, line }) {
        try {
            const members = testbus.accept(JSON.parse(line), call);
            setImmediate(() => outbox.acknowledge({ id, ...members }));
        } catch (error) {
            setImmediate(() => outbox.refuse({ id, code: error.code, message: error.message }));
        }
    },
};

/* ---- the client */

let loading = Promise.resolve(); // one after the other: what a script registers goes to the registry of its client
let loads = 0;

/* A fresh copy each time, also of an ES module: clients share no state. */
async function load(target, home) {
    const file = target instanceof URL || String(target).startsWith('file:')
        ? require('node:url').fileURLToPath(target) : path.resolve(target);
    const before = registry.swap(home);
    try {
        delete require.cache[file];
        await import(`${pathToFileURL(file).href}?load=${++loads}`);
    } finally {
        registry.swap(before);
    }
    if (home.isEmpty) throw new Error(`${file} registered no handler`);
}

function checkTarget(target) {
    if (typeof target === 'string' && target[0] === '/') return;
    throw new TypeError(`the target must be a path such as '/fib?num=10', not ${inspect(target)}`);
}

class Client {
    #target;
    #home;
    #started = null;
    #errors = new Map();

    constructor(target, { throwErrors = true } = {}) {
        this.tokens = {};
        this.throwErrors = throwErrors;
        this.#target = target;
        this.#home = target === undefined ? registry.current : new registry.Registry();
        this.#home.fake = this;
        latest = this;
    }

    async #start() {
        if (this.#target !== undefined) {
            const mine = loading.then(() => {
                latest = this;
                return load(this.#target, this.#home);
            });
            this.#home.name = nameOf(this.#target);
            loading = mine.catch(() => {});
            await mine;
            if (this.#home.subscriptions) testbus.current()?.attach(this.#home);
        }
        await hooks.runStart(this.#home);
    }

    start() {
        return (this.#started ??= this.#start()).then(() => this);
    }

    async close() {
        if (this.#started) await hooks.runStop(this.#home);
        this.#started = null;
    }

    /* For answerAsk() and settle(). */
    hasToken(token) {
        return this.#home.tokens.has(token);
    }

    askOwn(token, json) {
        return calls.serveOwnAsk(token, json, this.#home);
    }

    failed(call, error) {
        this.#errors.set(call.id, error);
    }

    takeError(id) {
        const error = this.#errors.get(id);
        this.#errors.delete(id);
        return error;
    }

    #send(frame, serve, { method, isStream, isSocket, pieces } = {}) {
        return new Promise((resolve, reject) => {
            const id = nextId++;
            const entry = new TestExchange(id, { client: this, method, isStream, isSocket, resolve, reject });
            waiting.set(id, entry);
            if (pieces) entry.upload = new Upload(id, pieces);
            serve(readFrame(JSON.stringify({ id, ...frame })), Date.now(), this.#home);
        });
    }

    #frameOf(method, target, { headers, ...body }, options) {
        const at = target.indexOf('?');
        return {
            method,
            path: new URL(`http://x${at < 0 ? target : target.slice(0, at)}`).pathname,
            query: at < 0 ? undefined : target.slice(at + 1),
            headers: { host: 'localhost', ...headers },
            ip: options.ip ?? '127.0.0.1',
            timeout: options.timeout,
            ...body,
        };
    }

    async request(method, target, { stream = false, ...options } = {}) {
        checkTarget(target);
        await this.start();
        const pieces = isPieces(options.body) ? options.body : null;
        const encoded = encodeBody(pieces ? { ...options, body: undefined } : options);
        const upper = method.toUpperCase();
        const frame = this.#frameOf(upper, target, encoded, options);
        if (pieces) frame.more = true;
        return this.#send(frame, calls.serveRequest, { method: upper, isStream: stream, pieces });
    }

    async ws(target, { protocols = [], ...options } = {}) {
        checkTarget(target);
        await this.start();
        const encoded = encodeBody(options);
        if (protocols.length > 0) encoded.headers['sec-websocket-protocol'] = protocols.join(', ');
        const frame = { ...this.#frameOf('GET', target, encoded, options), upgrade: 'websocket' };
        return this.#send(frame, calls.serveRequest, { method: 'GET', isSocket: true });
    }

    async ask(token, args) {
        await this.start();
        return this.#send({ type: 'ask', token, args }, calls.serveAsk);
    }
}

for (const verb of VERBS) {
    Client.prototype[verb] = function (target, options) {
        return this.request(verb, target, options);
    };
}

if (Symbol.asyncDispose) {
    Client.prototype[Symbol.asyncDispose] = function () {
        return this.close();
    };
}

function begin() {
    wire.redirect(take);
    asks.setTransport(transport);
}

/** See testing.d.ts. */
function client(target, options) {
    begin();
    return new Client(target, options);
}

const busServices = {
    newId: () => nextId++,
    load(target, home) {
        const mine = loading.then(() => load(target, home)).then(() => hooks.runStart(home));
        loading = mine.catch(() => {});
        return mine;
    },
};

/** See testing.d.ts. */
function testBus(scripts, options) {
    begin();
    return new TestBus(scripts, options, busServices);
}

module.exports = { client, testBus, Client, TestBus, TestResponse, StreamResponse, TestSocket };
