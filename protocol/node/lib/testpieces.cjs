/*
 * testpieces: what a test's client sends and receives in pieces: bodies, streams, WebSockets.
 *
 * It stands where the supervisor would: it gives credit for what it has taken, and keeps to
 * the credit that the worker gives.
 */
'use strict';

const exchanges = require('./exchanges.cjs');
const { bytesOf } = require('./pieces.cjs');

const CHUNK = 65536;
const VANISHED = 1006;

function isPieces(body) {
    if (typeof body !== 'object' || body === null || ArrayBuffer.isView(body)) return false;
    return typeof body[Symbol.asyncIterator] === 'function' || typeof body[Symbol.iterator] === 'function';
}

/** What comes of one answer, for whoever reads it piece by piece. */
class Pieces {
    #waiting = [];
    #reader = null;
    #end = null; // { error } once it is complete

    push(piece) {
        if (this.#reader) this.#reader.resolve({ done: false, value: piece });
        else this.#waiting.push(piece);
        this.#reader = null;
    }

    /** error: what the answer failed with, if it did. */
    finish(error) {
        if (this.#end) return;
        this.#end = { error };
        if (!this.#reader) return;
        if (error) this.#reader.reject(error);
        else this.#reader.resolve({ done: true, value: undefined });
        this.#reader = null;
    }

    async next() {
        if (this.#waiting.length > 0) return { done: false, value: this.#waiting.shift() };
        if (this.#end?.error) throw this.#end.error;
        if (this.#end) return { done: true, value: undefined };
        return new Promise((resolve, reject) => {
            this.#reader = { resolve, reject };
        });
    }
}

function giveCredit(id, bytes) {
    // Not at once: the worker is in the midst of sending.
    if (bytes > 0) setImmediate(() => exchanges.receivers.credit({ type: 'credit', id, bytes }));
}

/** Sends a body in pieces; `credit()` is called with what the worker gives. */
class Upload {
    #credit = exchanges.WINDOW;
    #wake = null;
    #isOver = false;

    constructor(id, body) {
        this.done = this.#send(id, body);
        this.done.catch(() => {}); // what the answer says counts
    }

    credit(bytes) {
        this.#credit += bytes;
        this.#wake?.();
    }

    /** The answer is complete: nobody wants the rest. */
    stop() {
        this.#isOver = true;
        this.#wake?.();
    }

    async #send(id, body) {
        await null; // the request goes first
        for await (const piece of body) {
            const bytes = Buffer.from(piece);
            for (let at = 0; at < bytes.length && !this.#isOver;) {
                if (this.#credit === 0) {
                    await new Promise((resolve) => {
                        this.#wake = resolve;
                    });
                    continue;
                }
                const part = bytes.subarray(at, at + Math.min(CHUNK, this.#credit));
                this.#credit -= part.length;
                at += part.length;
                exchanges.takeChunk(id, Buffer.from(part));
            }
            if (this.#isOver) return;
        }
        exchanges.receivers.end({ type: 'end', id });
    }
}

/** The client's end of a WebSocket. */
class TestSocket {
    #id;
    #pieces = new Pieces();
    #tellClosed;

    constructor(id, headers) {
        this.#id = id;
        this.protocol = headers['sec-websocket-protocol'] ?? '';
        this.closed = new Promise((resolve) => {
            this.#tellClosed = resolve;
        });
    }

    send(data) {
        const body = typeof data === 'string' ? { body: data } : { body64: Buffer.from(data).toString('base64') };
        exchanges.receivers.message({ type: 'message', id: this.#id, ...body });
    }

    close(code = 1000, reason = '') {
        exchanges.receivers.end({ type: 'end', id: this.#id, code, reason });
    }

    /** The next message; undefined when the socket is closed. */
    async receive() {
        const { value } = await this.#pieces.next();
        return value;
    }

    async *[Symbol.asyncIterator]() {
        for (let data; (data = await this.receive()) !== undefined;) yield data;
    }

    /* For whoever hands out the frames. */
    take(frame) {
        if (frame.type === 'message') {
            this.#pieces.push(frame.body ?? bytesOf(frame));
            giveCredit(this.#id, bytesOf(frame).length);
            return false;
        }
        if (frame.type !== 'end' && frame.type !== 'error') return false;
        this.#pieces.finish();
        const code = frame.type === 'end' ? frame.code : undefined;
        this.#tellClosed({ code: code ?? VANISHED, reason: frame.reason ?? '' });
        return true;
    }
}

module.exports = { isPieces, giveCredit, Pieces, Upload, TestSocket };
