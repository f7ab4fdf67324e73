/*
 * call: one request or ask that this worker serves, and what its handler sees of it.
 *
 * Everything is made when it is first looked at: a handler that only reads `query`
 * pays for nothing else.
 */
'use strict';

const { HTTPError } = require('./errors.cjs');
const { NO_PARAMS } = require('./router.cjs');

const NO_HEADERS = Object.freeze({ __proto__: null });

class Call {
    /** who: "GET /fib" or "token Fib", for messages.  now_ms: when its line arrived. */
    constructor(frame, who, nowMs) {
        this.frame = frame;
        this.id = frame.id;
        this.idText = typeof frame.id === 'number' ? String(frame.id) : JSON.stringify(frame.id);
        this.who = who;
        this.deadline = frame.timeout === undefined ? Infinity : nowMs + frame.timeout;
        this.cancelled = false;
        this.isOpen = false;
        this.key = null; // in the table of open calls
        this.ended = false;
        this.controller = null;
    }

    get signal() {
        if (!this.controller) {
            this.controller = new AbortController();
            if (this.cancelled) this.#abort();
        }
        return this.controller.signal;
    }

    cancel(reason) {
        if (this.cancelled) return;
        this.cancelled = reason || 'cancelled';
        if (this.controller) this.#abort();
    }

    #abort() {
        const message = `${this.who} was cancelled: ${this.cancelled}`;
        this.controller.abort(new DOMException(message, 'AbortError'));
    }
}

function parseCookies(header) {
    const cookies = { __proto__: null };
    const text = Array.isArray(header) ? header.join('; ') : header ?? '';
    for (const pair of text.split(';')) {
        const at = pair.indexOf('=');
        if (at < 0) continue;
        const name = pair.slice(0, at).trim();
        if (name in cookies) continue;
        const value = pair.slice(at + 1).trim().replace(/^"(.*)"$/, '$1');
        try {
            cookies[name] = decodeURIComponent(value);
        } catch {
            cookies[name] = value;
        }
    }
    return cookies;
}

class Request {
    #call;
    #frame;
    #params;
    #query;
    #cookies;
    #body;

    constructor(call, params) {
        this.#call = call;
        this.#frame = call.frame;
        this.#params = params;
    }

    get method() {
        return this.#frame.method;
    }

    get path() {
        return this.#frame.path;
    }

    get queryString() {
        return this.#frame.query ?? '';
    }

    get query() {
        return (this.#query ??= require('node:querystring').parse(this.#frame.query));
    }

    get headers() {
        return this.#frame.headers ?? NO_HEADERS;
    }

    get params() {
        return this.#params === NO_PARAMS ? this.#frame.params ?? NO_PARAMS : this.#params;
    }

    get cookies() {
        return (this.#cookies ??= parseCookies(this.headers.cookie));
    }

    get ip() {
        return this.#frame.ip ?? '';
    }

    get scheme() {
        return this.#frame.scheme ?? 'http';
    }

    get timeout() {
        return this.#frame.timeout;
    }

    get signal() {
        return this.#call.signal;
    }

    get body() {
        if (this.#body === undefined) {
            const { body64 } = this.#frame;
            this.#body = body64 === undefined ? Buffer.from(this.text()) : Buffer.from(body64, 'base64');
        }
        return this.#body;
    }

    text() {
        const { body, body64, json } = this.#frame;
        if (body !== undefined) return body;
        if (body64 !== undefined) return this.body.toString('utf8');
        return json === undefined ? '' : JSON.stringify(json);
    }

    json() {
        if (this.#frame.json !== undefined) return this.#frame.json;
        try {
            return JSON.parse(this.text());
        } catch (cause) {
            throw new HTTPError(400, `the body is not JSON: ${cause.message}`, { cause });
        }
    }

    /* For console.log(req): getters do not show by themselves. */
    [Symbol.for('nodejs.util.inspect.custom')]() {
        const { method, path, query, params, headers, ip } = this;
        return { method, path, query, params, headers, ip, body: this.text() };
    }
}

class Context {
    #call;
    #services;
    #log;
    #ask;

    /** services: { logFor(call), askFor(call, token, args, options) }. */
    constructor(call, services) {
        this.#call = call;
        this.#services = services;
    }

    get id() {
        return this.#call.id;
    }

    get deadline() {
        return this.#call.deadline;
    }

    get signal() {
        return this.#call.signal;
    }

    get log() {
        return (this.#log ??= this.#services.logFor(this.#call));
    }

    get ask() {
        const { askFor } = this.#services;
        return (this.#ask ??= (token, args, options) => askFor(this.#call, token, args, options));
    }
}

module.exports = { Call, Request, Context };
