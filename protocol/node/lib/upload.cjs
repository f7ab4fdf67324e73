/*
 * upload: bodies of requests that come in pieces.
 *
 * A handler is given the whole body, unless its route says { stream: true }: then it runs
 * while the body is still on its way, and what it has read makes room for more.
 */
'use strict';

const { Readable } = require('node:stream');
const { parseForm } = require('./form.cjs');
const { Request } = require('./request.cjs');

const BUFFERED = 65536; // bytes that wait in a stream before it asks for less

function cancelError(exchange) {
    return new DOMException(`the request was cancelled: ${exchange.cancelled}`, 'AbortError');
}

/** The whole body, a promise.  Rejects when the request is cancelled. */
function collect(exchange) {
    return new Promise((resolve, reject) => {
        const parts = [];
        exchange.onCancel = () => reject(cancelError(exchange));
        exchange.onBody = (bytes) => {
            parts.push(bytes);
            exchange.grant(bytes.length);
        };
        exchange.onBodyEnd = () => resolve(parts.length === 1 ? parts[0] : Buffer.concat(parts));
    });
}

/** The body as it comes, a Readable. */
function readableOf(exchange) {
    const waiting = [];
    let hasEnded = false;
    let isWanted = false;
    function give() {
        while (isWanted && waiting.length > 0) {
            const bytes = waiting.shift();
            isWanted = stream.push(bytes);
            exchange.grant(bytes.length);
        }
        if (hasEnded && waiting.length === 0) stream.push(null);
    }
    const stream = new Readable({
        highWaterMark: BUFFERED,
        read() {
            isWanted = true;
            give();
        },
        destroy(error, done) {
            waiting.length = 0;
            exchange.onBody = () => {};
            done(error);
        },
    });
    exchange.onCancel = () => stream.destroy(cancelError(exchange));
    stream.on('error', () => {}); // who no longer reads need not hear of it
    exchange.onBody = (bytes) => {
        waiting.push(bytes);
        give();
    };
    exchange.onBodyEnd = () => {
        hasEnded = true;
        give();
    };
    return stream;
}

/** The request of a route with { stream: true }. */
class StreamRequest extends Request {
    #call;
    #stream = null;
    #whole = null;
    #form = null;

    constructor(call, params) {
        super(call, params);
        this.#call = call;
    }

    stream() {
        if (this.#whole) throw new TypeError('req.stream(): the body is being read by another method already');
        return (this.#stream ??= this.#open());
    }

    #open() {
        const { exchange } = this.#call;
        return exchange ? readableOf(exchange) : super.stream();
    }

    bytes() {
        return (this.#whole ??= this.#read());
    }

    async #read() {
        if (this.#stream) throw new TypeError('req.bytes(): the body is read as a stream already');
        const { exchange } = this.#call;
        if (exchange) this.#call.bytes = await collect(exchange);
        return super.bytes();
    }

    get body() {
        throw new TypeError('there is no req.body in a route with { stream: true }: write  await req.bytes()');
    }

    async text() {
        await this.bytes();
        return super.text();
    }

    async json() {
        await this.bytes();
        return super.json();
    }

    async form() {
        return (this.#form ??= parseForm(this, await this.bytes()));
    }

    [Symbol.asyncIterator]() {
        return this.stream()[Symbol.asyncIterator]();
    }
}

module.exports = { collect, StreamRequest };
