/*
 * collect: bodies that must be read before they can be sent: streams, generators, fetch
 * Responses, Blobs, files.
 *
 * The protocol has no streams yet, so all of it is collected into one line, within what a
 * line may hold.  Whatever happens, the source is closed: it may hold a file or a query.
 */
'use strict';

const { Reply, plainHeaders } = require('./encode.cjs');
const { inspect, refusal } = require('./errors.cjs');

const LONGEST_LINE = 16 * 1024 * 1024; // that max_line can be set to

/** An answer that one line cannot hold. */
class TooLong extends Error {
    constructor(who, what, maxLine) {
        const more = maxLine < LONGEST_LINE ? ` (max_line, which can be raised to ${LONGEST_LINE})` : '';
        super(`${who}: ${what}, and an answer must fit one line of ${maxLine} bytes${more}`);
        this.name = 'RangeError';
        refusal(this);
    }
}

function iteratorOf(source) {
    if (typeof source[Symbol.asyncIterator] === 'function') return source[Symbol.asyncIterator]();
    if (typeof source[Symbol.iterator] === 'function') return source[Symbol.iterator]();
    if (typeof source.pipe === 'function') {
        const { Readable } = require('node:stream');
        return new Readable().wrap(source)[Symbol.asyncIterator]();
    }
    throw new TypeError('this stream cannot be read here');
}

function toBytes(chunk, who) {
    if (typeof chunk === 'string') return Buffer.from(chunk);
    if (ArrayBuffer.isView(chunk)) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (chunk instanceof ArrayBuffer) return Buffer.from(chunk);
    throw refusal(new TypeError(`${who}: a stream or generator may give strings and bytes, not ${inspect(chunk)}`));
}

/* Never settles, but rejects when the answer is no longer wanted. */
function abortion(signal) {
    let stop;
    const aborted = new Promise((_, reject) => {
        stop = () => reject(signal.reason);
        if (signal.aborted) stop();
        else signal.addEventListener('abort', stop);
    });
    aborted.catch(() => {});
    return { aborted, release: () => signal.removeEventListener('abort', stop) };
}

/* Not awaited: a generator that waits for something else would never return. */
function close(iterator, source) {
    Promise.resolve().then(() => iterator.return?.()).catch(() => {});
    source.destroy?.();
}

/** All of a stream or generator: a string when it gave strings only, else bytes. */
async function readAll(source, { who, maxLine, signal }) {
    const iterator = iteratorOf(source);
    const { aborted, release } = abortion(signal);
    const chunks = [];
    let size = 0;
    let isText = true;
    try {
        for (;;) {
            const { done, value } = await Promise.race([iterator.next(), aborted]);
            if (done) break;
            if (typeof value !== 'string') isText = false;
            chunks.push(toBytes(value, who));
            size += chunks.at(-1).length;
            if (size > maxLine || chunks.length > maxLine) { // pieces may be empty, for ever
                throw new TooLong(who, `the stream gave more than ${maxLine} bytes`, maxLine);
            }
        }
    } catch (error) {
        close(iterator, source);
        throw error;
    } finally {
        release();
    }
    const bytes = Buffer.concat(chunks, size);
    return isText ? bytes.toString() : bytes;
}

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

async function fromFetchResponse(response, scope) {
    if (response.bodyUsed || response.body?.locked) {
        throw refusal(new TypeError(`${scope.who}: the Response that was returned has been read already: ` +
            'make a new one for each request, or return response.clone()'));
    }
    const bytes = response.body ? await readAll(response.body, scope) : '';
    const value = bytes.length > 0 ? bytes : undefined;
    return new Reply(value, { status: response.status, headers: fetchHeaders(response.headers) });
}

async function fromBlob(blob, { who, maxLine }) {
    if (blob.size > maxLine) throw new TooLong(who, `the Blob has ${blob.size} bytes`, maxLine);
    const headers = blob.type ? { 'content-type': blob.type } : {};
    return new Reply(Buffer.from(await blob.arrayBuffer()), { headers });
}

/**
 * Gives a Reply with the whole body.  scope: { who, maxLine, method, headers, signal }
 * of the request that is answered.
 */
async function collect(source, scope) {
    if (source.isFileAnswer) return require('./files.cjs').readFileAnswer(source, scope);
    const tag = source[Symbol.toStringTag];
    if (tag === 'Response') return fromFetchResponse(source, scope);
    if (tag === 'Blob' || tag === 'File') return fromBlob(source, scope);
    return new Reply(await readAll(source, scope));
}

module.exports = { collect, TooLong };
