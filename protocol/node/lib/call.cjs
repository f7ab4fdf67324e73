/*
 * call: one request or ask that this worker serves.
 *
 * Everything is made when it is first looked at: a handler that needs no signal pays
 * for none.
 */
'use strict';

const { plainHeaders } = require('./encode.cjs');
const { inspect } = require('./errors.cjs');
const { addHints, CONTEXT } = require('./hints.cjs');

const NO_HEADERS = Object.freeze({ __proto__: null });

class Call {
    /**
     * who: "GET /fib" or "token Fib", for messages.  nowMs: when its line arrived.
     * home: the registry whose handlers serve it.
     */
    constructor(frame, who, nowMs, home) {
        this.frame = frame;
        this.id = frame.id;
        this.idText = typeof frame.id === 'number' ? String(frame.id) : JSON.stringify(frame.id);
        this.who = who;
        this.home = home;
        this.deadline = frame.timeout === undefined ? Infinity : nowMs + frame.timeout;
        this.cancelled = false;
        this.isOpen = false;
        this.isSilent = false; // nobody waits for an answer
        this.key = null; // in the table of open calls
        this.ended = false;
        this.controller = null;
        this.exchange = null; // when its body or its answer comes in pieces
        this.bytes = undefined; // its body, once somebody wanted bytes
    }

    get method() {
        return this.frame.method;
    }

    get headers() {
        return this.frame.headers ?? NO_HEADERS;
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

/** The longest line that may be written, in bytes; `hello` may say another. */
Call.prototype.maxLine = Number(process.env.NODEY_MAX_LINE) || 1048576;

class Context {
    #call;
    #services;
    #log;
    #ask;

    /** services: { logFor(call), askFor(call, token, args, options), sendInfo(call, status, headers) }. */
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

    get stopping() {
        return require('./stopping.cjs').signal;
    }

    info(status, headers = {}) {
        if (!Number.isInteger(status) || status < 102 || status > 199) {
            throw new RangeError(`info: the status is ${inspect(status)}; it must be 102 to 199, such as 103`);
        }
        this.#services.sendInfo(this.#call, status, plainHeaders(headers));
    }

    get log() {
        return (this.#log ??= this.#services.logFor(this.#call));
    }

    get ask() {
        const { askFor } = this.#services;
        return (this.#ask ??= (token, args, options) => askFor(this.#call, token, args, options));
    }
}

// What Express calls `res`, and Koa `ctx`: nothing that is said to it would be sent.
addHints(Context.prototype, 'res', CONTEXT, { isFixed: true });

module.exports = { Call, Context };
