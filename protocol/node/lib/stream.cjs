/*
 * stream: answers that are sent in pieces: generators, streams, fetch Responses, Blobs, big
 * bodies.
 *
 * The first piece decides: until it is there, whatever fails is an answer of its own.  A
 * source is read no faster than the client takes it, and it is closed whatever happens: it
 * may hold a file or a query.
 */
'use strict';

const { Reply, plainHeaders, bytesOf, toJson, responseLine } = require('./encode.cjs');
const { inspect, refusal } = require('./errors.cjs');
const exchanges = require('./exchanges.cjs');
const { mode } = require('./stdio.cjs');

const PIECES_PER_TURN = 64; // then others have their turn
const SMALL_BLOB = 65536;
const NO_BODY = [204, 205, 304];

/* ---- sources */

function iteratorOf(source) {
    if (typeof source[Symbol.asyncIterator] === 'function') return source[Symbol.asyncIterator]();
    if (typeof source[Symbol.iterator] === 'function') return source[Symbol.iterator]();
    if (typeof source.pipe === 'function') {
        const { Readable } = require('node:stream');
        return new Readable().wrap(source)[Symbol.asyncIterator]();
    }
    throw new TypeError('this stream cannot be read here');
}

function toPiece(value, who) {
    if (typeof value === 'string') return value;
    const bytes = bytesOf(value);
    if (bytes) return bytes;
    throw refusal(new TypeError(`${who}: a stream or generator may give strings and bytes, not ${inspect(value)}`));
}

/* Not awaited: a generator that waits for something else would never return. */
function close(iterator, source) {
    Promise.resolve().then(() => iterator?.return?.()).catch(() => {});
    source.on?.('error', () => {}); // of what is given up, nobody wants to hear
    source.destroy?.();
}

/** Closes what an answer holds that will not be sent. */
function discard(value) {
    if (typeof value !== 'object' || value === null || bytesOf(value)) return;
    if (typeof value.cancel === 'function') value.cancel().catch(() => {});
    else close(typeof value.next === 'function' ? value : null, value);
}

/* ---- answers that bring a status or headers */

/* A comma before "name=" parts two cookies; the comma of an Expires date has none behind it. */
const BETWEEN_COOKIES = /,\s*(?=[!#$%&'*+\-.^_`|~0-9A-Za-z]+=)/;

/* Runtimes without getSetCookie (Debian 12's Node 18) hand out all cookies as one line. */
function fetchHeaders(headers) {
    const plain = plainHeaders(headers);
    if (typeof plain['set-cookie'] === 'string' && typeof headers.getSetCookie !== 'function') {
        const cookies = plain['set-cookie'].split(BETWEEN_COOKIES);
        if (cookies.length > 1) plain['set-cookie'] = cookies;
    }
    return plain;
}

function replyOfResponse(response, { who }) {
    if (response.bodyUsed || response.body?.locked) {
        throw refusal(new TypeError(`${who}: the Response that was returned has been read already: ` +
            'make a new one for each request, or return response.clone()'));
    }
    const headers = fetchHeaders(response.headers);
    // What fetch() has decoded is longer than the server said.
    if (headers['content-encoding'] !== undefined && response.url) {
        delete headers['content-encoding'];
        delete headers['content-length'];
    }
    return new Reply(response.body ?? undefined, { status: response.status, headers });
}

async function replyOfBlob(blob) {
    const headers = blob.type ? { 'content-type': blob.type } : {};
    if (blob.size <= SMALL_BLOB) return new Reply(Buffer.from(await blob.arrayBuffer()), { headers });
    return new Reply(blob.stream(), { headers: { 'content-length': String(blob.size), ...headers } });
}

/** A file, Response or Blob as a Reply, or a promise of one. */
function replyOf(source, scope) {
    if (source.isFileAnswer) return require('./files.cjs').readFileAnswer(source, scope);
    return source[Symbol.toStringTag] === 'Response' ? replyOfResponse(source, scope) : replyOfBlob(source);
}

/* ---- waiting, until it is no longer wanted */

/*
 * What is awaited may never come.  One promise at a time can be given up; racing each of
 * them against one that lives as long as the stream would keep all of them in memory.
 */
class Patience {
    #giveUp = null;
    #reason = null;

    constructor(signal) {
        const stop = () => this.stop(signal.reason);
        if (signal.aborted) stop();
        else signal.addEventListener('abort', stop);
        this.release = () => signal.removeEventListener('abort', stop);
    }

    stop(reason) {
        this.#reason ??= { reason };
        this.#giveUp?.(this.#reason.reason);
    }

    until(promise) {
        return new Promise((resolve, reject) => {
            this.#giveUp = reject;
            if (this.#reason) reject(this.#reason.reason);
            promise.then(resolve, reject);
        });
    }
}

const ENDED = Symbol('the stream was ended by drain');

function nextTurn() {
    return new Promise((resolve) => setImmediate(resolve));
}

/* Whether a promise settles before the turn ends. */
function isThisTurn(promise) {
    const isHere = () => true;
    return Promise.race([promise.then(isHere, isHere), nextTurn()]);
}

/* ---- sending */

function isEventStream({ headers }) {
    return /^text\/event-stream\b/i.test([headers['content-type']].flat()[0] ?? '');
}

/* A fetch body or an event stream has said all there is to say before its first piece. */
function isEager(reply) {
    return isEventStream(reply) || typeof reply.value.getReader === 'function';
}

function openExchange(call) {
    return (call.exchange ??= exchanges.open(call.frame));
}

function drained(exchange) {
    return new Promise((resolve) => {
        exchange.onDrain = resolve;
    });
}

async function pump(iterator, call, reply, patience) {
    const exchange = openExchange(call);
    const head = { status: reply.status, headers: reply.headers };
    let next = Promise.resolve(iterator.next());
    if (isEager(reply) && !await patience.until(isThisTurn(next))) exchange.head(withType(head));
    for (let count = 1; ; count++) {
        const { done, value } = await patience.until(next);
        if (done) break;
        const piece = toPiece(value, call.who);
        exchange.head(piece.length > 0 ? head : withType(head, piece)); // does nothing but the first time
        if (!exchange.write(piece)) await patience.until(drained(exchange));
        if (count % PIECES_PER_TURN === 0) await patience.until(nextTurn());
        next = Promise.resolve(iterator.next());
    }
    exchange.head(head);
    await endOf(call, reply);
}

async function endOf(call, { trailers }) {
    const fields = typeof trailers === 'function' ? await trailers() : trailers;
    call.exchange.end(undefined, fields && plainHeaders(fields));
}

/* Where no first piece tells nodey what type it is. */
function withType({ status, headers }, piece) {
    const type = typeof piece === 'string' ? 'text/plain; charset=utf-8' : 'application/octet-stream';
    return { status, headers: { 'content-type': type, ...headers } };
}

async function sendPieces(call, reply) {
    const source = reply.value;
    const iterator = iteratorOf(source);
    const patience = new Patience(call.signal);
    // Events have no end that could be waited for; anything else would be cut off.  By hand, the
    // end of the input says nothing about them.
    if (isEventStream(reply) && mode !== 'hand') openExchange(call).onShutdown = () => patience.stop(ENDED);
    try {
        await pump(iterator, call, reply, patience);
    } catch (error) {
        close(iterator, source);
        call.exchange?.flush(); // what it gave before it failed is part of the answer
        if (error !== ENDED) throw error;
        await endOf(call, reply);
    } finally {
        patience.release();
    }
    return undefined;
}

/* One body that is here, but is too much for one line. */
function wholeOf({ status, headers, value, trailers }, who) {
    const bytes = bytesOf(value);
    const body = typeof value === 'string' ? value : bytes ?? toJson(value, who);
    const type = body === value || bytes ? {} : { 'content-type': 'application/json' };
    const size = bytes ? bytes.length : Buffer.byteLength(body);
    const length = trailers === undefined ? { 'content-length': String(size) } : {}; // one excludes the other
    return { status, headers: { ...type, ...headers, ...length }, body };
}

function isSource(value) {
    if (typeof value !== 'object' || value === null || bytesOf(value)) return false;
    return ['next', 'pipe', 'getReader', Symbol.asyncIterator].some((name) => typeof value[name] === 'function');
}

function emptyLine(call, { status = 200, headers }) {
    return responseLine(call.idText, new Reply(undefined, { status, headers }), call);
}

/**
 * Sends a Reply: gives the line that answers, or sends pieces and gives undefined when the
 * last one is on its way.  Rejects when something failed; then the last frame is still owed.
 */
async function send(call, reply) {
    const isBodiless = call.method === 'HEAD' || NO_BODY.includes(reply.status);
    if (isSource(reply.value)) {
        if (!isBodiless) return sendPieces(call, reply);
        discard(reply.value);
        return emptyLine(call, reply);
    }
    const { status, headers, body } = wholeOf(reply, call.who);
    if (isBodiless) return emptyLine(call, { status, headers });
    const exchange = openExchange(call);
    exchange.head({ status, headers }, body);
    await endOf(call, reply);
    return undefined;
}

module.exports = { replyOf, send, discard, fetchHeaders };
