/*
 * inject: requests for an app's own http.Server, which never listens.
 *
 * 'connection' may be emitted with any Duplex; what Node's parser reads from it becomes req
 * and res of its own classes, so every framework and middleware finds what it expects.
 */
'use strict';

const exchanges = require('../exchanges.cjs');
const { Connection } = require('./connection.cjs');
const context = require('./context.cjs');

const MAX_IDLE = 256; // connections that are kept for the next requests
const MAX_HEAD = 1024 * 1024; // the supervisor's limit is what counts
const CALLS = new Set(['request', 'upgrade', 'checkContinue', 'checkExpectation', 'connect']);
const NOT_IN_TARGET = /[^\x21-\x7e]/;

/* The fields that are written here, or that there cannot be. */
const OWN = { __proto__: null, connection: 1, upgrade: 1, 'content-length': 1, 'transfer-encoding': 1 };

function field(name, value) {
    if (typeof value === 'string') return `${name}: ${value}\r\n`;
    let text = '';
    for (const one of value) text += `${name}: ${one}\r\n`;
    return text;
}

function headOf(frame, bodySize) {
    const { method, path, query, headers, upgrade, more } = frame;
    let target = query === undefined ? path : `${path}?${query}`;
    if (NOT_IN_TARGET.test(target)) target = encodeURI(target); // typed by hand
    let head = `${method} ${target} HTTP/1.1\r\n`;
    for (const name in headers) {
        if (!(name in OWN)) head += field(name, headers[name]);
    }
    const length = headers?.['content-length'];
    if (more === true) head += length === undefined ? 'transfer-encoding: chunked\r\n' : field('content-length', length);
    else if (bodySize > 0 || length !== undefined) head += `content-length: ${bodySize}\r\n`;
    head += upgrade === undefined ? 'connection: keep-alive\r\n' : `connection: Upgrade\r\nupgrade: ${upgrade}\r\n`;
    return `${head}\r\n`;
}

/* All of it; null when there is none, or when it comes in pieces. */
function bodyOf({ body, body64, json, more }) {
    if (more === true) return null;
    if (body !== undefined) return body;
    if (body64 !== undefined) return Buffer.from(body64, 'base64');
    return json === undefined ? null : JSON.stringify(json);
}

/* The supervisor keeps the time; a server that has its own would cut off its requests. */
function prepare(server) {
    server.requestTimeout = 0;
    server.headersTimeout = 0;
    server.keepAliveTimeout = 0;
    server.timeout = 0;
    server.maxRequestsPerSocket = 0;
    server.maxHeaderSize ||= MAX_HEAD;
    server.requireHostHeader = false; // a client of HTTP/1.0 need not send one
}

/* Node's parser calls the server in the context of the connection, not of the request. */
function giveContext(server) {
    const { emit } = server;
    server.emit = function (event, ...args) {
        const exchange = CALLS.has(event) ? args[0].socket.exchange : undefined;
        if (!exchange) return emit.call(this, event, ...args);
        return context.run(exchange, () => emit.call(this, event, ...args));
    };
}

/** One app: what registry.setApp() takes. */
class Injector {
    features = ['stream', 'upgrade'];
    #idle = [];
    #open = new Set();
    #onIdle = [];
    #server;

    constructor(server) {
        prepare(server);
        giveContext(server);
        this.#server = server;
    }

    #connect() {
        const connection = new Connection((one) => this.#release(one));
        this.#server.emit('connection', connection);
        return connection;
    }

    #release(connection) {
        this.#open.delete(connection);
        if (this.#onIdle.length > 0 && this.#open.size === 0) setImmediate(() => this.#tellIdle());
        if (connection.destroyed) return;
        if (this.#idle.length < MAX_IDLE) this.#idle.push(connection);
        else connection.destroy();
    }

    #take(frame) {
        if (frame.upgrade === undefined) {
            for (let one; (one = this.#idle.pop()) !== undefined;) {
                if (!one.destroyed) return one;
            }
        }
        return this.#connect();
    }

    serve(frame) {
        const exchange = exchanges.open(frame);
        const connection = this.#take(frame);
        this.#open.add(connection);
        exchange.onShutdown = () => connection.leave();
        const body = bodyOf(frame);
        const size = typeof body === 'string' ? Buffer.byteLength(body) : body?.length ?? 0;
        context.attempt(() => connection.begin(exchange, headOf(frame, size), size > 0 ? body : null));
    }

    /** Calls idle() once, when no request is open: at the end of this turn at the earliest. */
    whenIdle(idle) {
        this.#onIdle.push(idle);
        if (this.#open.size === 0) setImmediate(() => this.#tellIdle());
    }

    #tellIdle() {
        if (this.#open.size > 0) return;
        for (const idle of this.#onIdle.splice(0)) idle();
    }
}

module.exports = { Injector };
