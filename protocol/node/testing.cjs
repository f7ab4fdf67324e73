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
const { parseCookies } = require('./lib/cookies.cjs');
const { NodeyError, STATUS_OF_CODE, inspect, messageOf } = require('./lib/errors.cjs');
const { readFrame } = require('./lib/frame.cjs');
const hooks = require('./lib/hooks.cjs');
const { headersOf } = require('./lib/listed.cjs');
const registry = require('./lib/registry.cjs');
const { mode } = require('./lib/stdio.cjs');
const wire = require('./lib/wire.cjs');
const { encodeBody } = require('./lib/testbody.cjs');

const VERBS = ['get', 'post', 'put', 'patch', 'delete', 'head', 'options'];
const DEFAULT_TYPES = {
    body: 'text/plain; charset=utf-8', json: 'application/json', body64: 'application/octet-stream',
};
const NO_BODY = [204, 304];

if (mode === 'supervised' || mode === 'hand') {
    throw new Error('nodey/testing: load it before nodey, or run the test with  node --test');
}

/* ---- what comes back */

class TestResponse {
    constructor(method, { status = 200, headers = {}, body, body64, json }) {
        const kind = ['body', 'json', 'body64'].find((name) => ({ body, json, body64 })[name] !== undefined);
        const type = kind ? { 'content-type': DEFAULT_TYPES[kind] } : {};
        this.status = status;
        this.headers = headersOf({ ...type, ...headers });
        const text = json === undefined ? body ?? '' : JSON.stringify(json);
        const bytes = body64 === undefined ? Buffer.from(text) : Buffer.from(body64, 'base64');
        this.body = method === 'HEAD' || NO_BODY.includes(status) ? Buffer.alloc(0) : bytes;
    }

    get ok() {
        return this.status >= 200 && this.status < 300;
    }

    get cookies() {
        const pairs = this.headers.getAll('set-cookie').map((field) => field.split(';')[0]);
        return parseCookies(pairs);
    }

    text() {
        return this.body.toString('utf8');
    }

    json() {
        try {
            return JSON.parse(this.text());
        } catch (cause) {
            throw new Error(`the answer is not JSON (${this.status}): ${inspect(this.text())}`, { cause });
        }
    }
}

/* As nodey answers for an `error` frame. */
function fromError(method, { code = 'internal', message, status = STATUS_OF_CODE[code] ?? 500, data }) {
    const title = require('node:http').STATUS_CODES[status];
    const json = { type: 'about:blank', title, status, detail: message, data };
    return new TestResponse(method, { status, headers: { 'content-type': 'application/problem+json' }, json });
}

const waiting = new Map(); // by frame id: { client, method, resolve, reject }
let nextId = 1;

/* An ask fails with whatever was thrown, a request only with what was no answer. */
function settle({ client, method, resolve, reject }, frame) {
    const thrown = client.takeError(frame.id);
    const isBug = client.throwErrors && !(thrown instanceof NodeyError);
    if (frame.type === 'answer') resolve(frame.value);
    else if (frame.type !== 'error') resolve(new TestResponse(method, frame));
    else if (method === undefined || (thrown && isBug)) reject(thrown ?? new NodeyError(frame.code, frame.message));
    else resolve(fromError(method, frame));
}

function take(line) {
    const frame = JSON.parse(line);
    const entry = waiting.get(frame.id);
    if (!entry || frame.type === 'log') return;
    waiting.delete(frame.id);
    settle(entry, frame);
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
            loading = mine.catch(() => {});
            await mine;
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

    #send(frame, method, serve) {
        return new Promise((resolve, reject) => {
            const id = nextId++;
            waiting.set(id, { client: this, method, resolve, reject });
            serve(readFrame(JSON.stringify({ id, ...frame })), Date.now(), this.#home);
        });
    }

    async request(method, target, options = {}) {
        if (typeof target !== 'string' || target[0] !== '/') {
            throw new TypeError(`the target must be a path such as '/fib?num=10', not ${inspect(target)}`);
        }
        await this.start();
        const at = target.indexOf('?');
        const { headers, ...body } = encodeBody(options);
        const upper = method.toUpperCase();
        const frame = {
            method: upper,
            path: new URL(`http://x${at < 0 ? target : target.slice(0, at)}`).pathname,
            query: at < 0 ? undefined : target.slice(at + 1),
            headers: { host: 'localhost', ...headers },
            ip: options.ip ?? '127.0.0.1',
            timeout: options.timeout,
            ...body,
        };
        return this.#send(frame, upper, calls.serveRequest);
    }

    async ask(token, args) {
        await this.start();
        return this.#send({ type: 'ask', token, args }, undefined, calls.serveAsk);
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

/** See testing.d.ts. */
function client(target, options) {
    wire.redirect(take);
    asks.setTransport(transport);
    return new Client(target, options);
}

module.exports = { client, Client, TestResponse };
