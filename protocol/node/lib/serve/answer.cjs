/*
 * answer: what an http.Server writes to a connection, read back into an answer.
 *
 * Knows HTTP/1.1 as far as Node's own server writes it: interim answers, a length, chunks
 * with trailers, a body that ends with the connection, 101.  What comes as a string stays
 * one as far as possible: text is dear to encode and to decode again.
 */
'use strict';

const { STATUS_CODES } = require('node:http');

const HEAD = 0;
const LENGTH = 1; // `left` bytes of the body are to come
const CHUNK_SIZE = 2;
const CHUNK_DATA = 3; // `left` bytes of the chunk are to come
const CHUNK_END = 4; // the line end behind it
const TRAILERS = 5;
const UNTIL_CLOSE = 6;
const RAW = 7; // after 101: whatever comes
const DONE = 8;

const NOT_ASCII = /[^\x00-\x7f]/;
const MAX_HEAD = 1024 * 1024; // an app that writes more without an end is broken
const LATIN1 = new Set(['latin1', 'binary', 'ascii']);
const UTF8 = new Set([undefined, null, 'utf8', 'utf-8', 'buffer']);

/* An object without inherited members that is as quick as any other. */
function Headers() {}
Headers.prototype = Object.create(null);

function add(headers, name, value) {
    if (name === '__proto__') return; // no assignment would make it a member
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else if (Array.isArray(before)) before.push(value);
    else headers[name] = [before, value];
}

/* Calls each(name, value) for the lines from `start` on; names in lower case. */
function eachField(text, start, each) {
    for (let at = start; at < text.length;) {
        let end = text.indexOf('\r\n', at);
        if (end < 0) end = text.length;
        const colon = text.indexOf(':', at);
        if (colon > at && colon < end) {
            const from = text.charCodeAt(colon + 1) === 32 ? colon + 2 : colon + 1;
            each(text.slice(at, colon).toLowerCase(), text.slice(from, end));
        }
        at = end + 2;
    }
}

function toBuffer(piece, encoding) {
    return typeof piece === 'string' ? Buffer.from(piece, encoding ?? undefined) : piece;
}

function isChunked(coding) {
    return /(?:^|,)[ \t]*chunked[ \t]*$/i.test(coding);
}

class AnswerReader {
    #state = HEAD;
    #isHead = false; // the request was HEAD
    #part = null; // a head that is not whole yet
    #line = '';
    #left = 0;
    #size = 0; // of what is left of a string

    /** sink: { onInfo(status, headers), onHead(head), onBody(piece), onEnd(trailers) }. */
    constructor(sink) {
        this.sink = sink;
    }

    /** method: of the request that is answered next. */
    begin(method) {
        this.#state = HEAD;
        this.#isHead = method === 'HEAD';
        this.#part = null;
        this.#line = '';
        this.untilFinish = false;
    }

    get isDone() {
        return this.#state === DONE;
    }

    get isRaw() {
        return this.#state === RAW;
    }

    /** Nothing of the answer has been told yet. */
    get isBefore() {
        return this.#state === HEAD;
    }

    /** piece: a string in this encoding, or bytes. */
    take(piece, encoding) {
        let rest = piece;
        if (typeof rest !== 'string') {
            if (!Buffer.isBuffer(rest)) rest = Buffer.from(rest.buffer, rest.byteOffset, rest.byteLength);
        } else if (LATIN1.has(encoding)) {
            if (NOT_ASCII.test(rest)) rest = Buffer.from(rest, 'latin1');
        } else if (!UTF8.has(encoding)) {
            rest = Buffer.from(rest, encoding);
        }
        while (rest.length > 0 && this.#state !== DONE) rest = this.#step(rest);
    }

    #step(piece) {
        switch (this.#state) {
        case HEAD: return this.#takeHead(piece);
        case LENGTH: case CHUNK_DATA: return this.#takeData(piece);
        case CHUNK_SIZE: case CHUNK_END: case TRAILERS: return this.#takeLine(piece);
        default:
            this.sink.onBody(piece);
            return '';
        }
    }

    /** The connection has ended: false when the answer needed more. */
    close() {
        if (this.#state === DONE) return true;
        if (this.#state !== UNTIL_CLOSE && this.#state !== RAW) return false;
        this.#end();
        return true;
    }

    #end(trailers) {
        this.#state = DONE;
        this.sink.onEnd(trailers);
    }

    /* ---- the head */

    #takeHead(piece) {
        let bytes = piece;
        if (this.#part) bytes = Buffer.concat([this.#part, toBuffer(piece)]);
        const end = bytes.indexOf('\r\n\r\n');
        if (end < 0) {
            if (bytes.length > MAX_HEAD) throw new RangeError(`the head of the answer is longer than ${MAX_HEAD} bytes`);
            this.#part = toBuffer(bytes);
            return '';
        }
        this.#part = null;
        if (typeof bytes !== 'string') {
            this.#readHead(bytes.latin1Slice(0, end), bytes.length - end - 4);
            return bytes.subarray(end + 4);
        }
        const text = bytes.slice(0, end);
        const rest = bytes.slice(end + 4);
        // A value is a sequence of bytes, each of which is one character of the frame.
        this.#readHead(NOT_ASCII.test(text) ? Buffer.from(text).latin1Slice() : text,
            rest === '' ? 0 : Buffer.byteLength(rest));
        return rest;
    }

    /* have: bytes of the body that are here. */
    #readHead(text, have) {
        const line = text.indexOf('\r\n');
        const first = line < 0 ? text : text.slice(0, line);
        const status = Number(first.slice(9, 12));
        if (!(status >= 100 && status <= 999)) throw new SyntaxError(`not the first line of an answer: ${first.slice(0, 80)}`);
        const reason = first.slice(13);
        const headers = new Headers();
        let length;
        let coding;
        const fields = line < 0 ? text.length : line + 2;
        const isUpgraded = status === 101;
        eachField(text, fields, (name, value) => {
            if (isUpgraded) add(headers, name, value); // all of them are the app's
            else if (name === 'content-length') length = value;
            else if (name === 'transfer-encoding') coding = value;
            else if (name !== 'connection' && name !== 'keep-alive' && name !== 'date') add(headers, name, value);
        });
        if (status < 200 && !isUpgraded) {
            if (status !== 100) this.sink.onInfo(status, headers);
            return;
        }
        this.#frame(status, length, coding);
        // What is all here needs none; a HEAD's answer says how long a body would be.
        const isWhole = this.#left > 0 && have >= this.#left && this.#state === LENGTH;
        if (length !== undefined && !isWhole) headers['content-length'] = length;
        this.sink.onHead({
            status, headers,
            reason: reason === (STATUS_CODES[status] ?? '') ? undefined : reason,
        });
        if (this.#state === LENGTH && this.#left === 0) this.#end();
    }

    /* How the body ends. */
    #frame(status, length, coding) {
        this.#left = 0;
        if (status === 101) {
            this.#state = RAW;
        } else if (this.#isHead || status === 204 || status === 304) {
            this.#state = LENGTH;
        } else if (coding !== undefined) {
            this.#state = isChunked(coding) ? CHUNK_SIZE : UNTIL_CLOSE;
            this.untilFinish = this.#state === UNTIL_CLOSE; // Node keeps such a connection
        } else if (length !== undefined) {
            this.#state = LENGTH;
            this.#left = Number(length);
        } else {
            this.#state = UNTIL_CLOSE;
        }
    }

    /* ---- the body */

    #takeData(piece) {
        const size = typeof piece === 'string' ? Buffer.byteLength(piece) : piece.length;
        if (size > this.#left) {
            const bytes = toBuffer(piece);
            const end = this.#left;
            this.#took(bytes.subarray(0, end), end);
            return bytes.subarray(end);
        }
        this.#took(piece, size);
        return '';
    }

    #took(piece, size) {
        this.#left -= size;
        this.sink.onBody(piece);
        if (this.#left > 0) return;
        if (this.#state === LENGTH) this.#end();
        else this.#state = CHUNK_END;
    }

    #takeLine(piece) {
        const end = piece.indexOf('\n');
        const stop = end < 0 ? piece.length : end;
        this.#line += typeof piece === 'string' ? piece.slice(0, stop) : piece.latin1Slice(0, stop);
        if (end < 0) return '';
        const line = this.#line;
        this.#line = '';
        this.#onLine(line);
        return typeof piece === 'string' ? piece.slice(end + 1) : piece.subarray(end + 1);
    }

    /* line: without LF. */
    #onLine(line) {
        if (this.#state === CHUNK_END) {
            this.#state = CHUNK_SIZE;
        } else if (this.#state === TRAILERS) {
            if (line.trim() === '') this.#end(this.trailers);
            else eachField(line.trimEnd(), 0, (name, value) => add((this.trailers ??= new Headers()), name, value));
        } else {
            this.#left = parseInt(line, 16);
            if (!(this.#left >= 0)) throw new SyntaxError(`not the size of a chunk: ${line.slice(0, 80)}`);
            this.#state = this.#left === 0 ? TRAILERS : CHUNK_DATA;
            if (this.#left === 0) this.trailers = undefined;
        }
    }
}

module.exports = { AnswerReader };
