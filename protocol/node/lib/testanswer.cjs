/* testanswer: what comes back to a test's client. */
'use strict';

const calls = require('./calls.cjs');
const { parseCookies } = require('./cookies.cjs');
const { NodeyError, STATUS_OF_CODE, inspect } = require('./errors.cjs');
const exchanges = require('./exchanges.cjs');
const { headersOf } = require('./listed.cjs');
const { bytesOf } = require('./pieces.cjs');
const { giveCredit, Pieces, TestSocket } = require('./testpieces.cjs');

const DEFAULT_TYPES = {
    body: 'text/plain; charset=utf-8', json: 'application/json', body64: 'application/octet-stream',
};
const NO_BODY = [204, 304];

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

/** An answer whose pieces the test reads itself. */
class StreamResponse {
    #id;
    #pieces;

    constructor(id, { status = 200, headers = {} }, pieces) {
        this.status = status;
        this.headers = headersOf({ ...headers });
        this.#id = id;
        this.#pieces = pieces;
    }

    get ok() {
        return this.status >= 200 && this.status < 300;
    }

    /** As if the client went away. */
    cancel() {
        calls.cancel(this.#id, 'disconnect');
        exchanges.cancel(this.#id, 'disconnect');
    }

    async *[Symbol.asyncIterator]() {
        try {
            for (let step; !(step = await this.#pieces.next()).done;) {
                yield step.value;
                giveCredit(this.#id, step.value.length);
            }
        } finally {
            this.cancel(); // does nothing when it is complete
        }
    }
}

/* What has come of the answer to one frame, until it is complete. */
class TestExchange {
    constructor(id, { client, method, isStream, isSocket, resolve, reject }) {
        Object.assign(this, { id, client, method, isStream, isSocket, resolve, reject });
        this.head = null;
        this.parts = [];
        this.pieces = null; // of a StreamResponse
        this.socket = null;
        this.upload = null;
    }

    /* True when the frame was the last one. */
    take(frame) {
        if (frame.type === 'credit') this.upload?.credit(frame.bytes);
        if (frame.type === 'credit' || frame.type === 'info') return false;
        if (this.socket) return this.socket.take(frame);
        if (frame.type === undefined && frame.more) this.begin(frame);
        else if (frame.type === 'chunk') this.add(frame);
        else this.finish(frame);
        return frame.type !== 'chunk' && !frame.more;
    }

    begin(frame) {
        this.head = frame;
        if (frame.status === 101) {
            this.socket = new TestSocket(this.id, frame.headers ?? {});
            this.resolve(this.socket);
            return;
        }
        if (this.isStream) this.openStream();
        this.add(frame);
    }

    openStream() {
        this.pieces = new Pieces();
        this.resolve(new StreamResponse(this.id, this.head, this.pieces));
    }

    add(frame) {
        const bytes = bytesOf(frame);
        if (!bytes || bytes.length === 0) return;
        if (this.pieces) {
            this.pieces.push(bytes);
            return;
        }
        this.parts.push(bytes);
        giveCredit(this.id, bytes.length);
    }

    finish(frame) {
        this.upload?.stop();
        if (frame.type === 'end') {
            this.add(frame);
            if (this.pieces) this.pieces.finish();
            else this.settle(this.whole(frame.trailers));
        } else if (this.pieces) {
            this.pieces.finish(this.errorOf(frame, this.client.takeError(this.id)));
        } else {
            this.settle(frame);
        }
    }

    whole(trailers) {
        const isText = this.head.body !== undefined && this.parts.length > 0;
        const type = isText ? DEFAULT_TYPES.body : DEFAULT_TYPES.body64;
        const headers = { 'content-type': type, ...this.head.headers };
        const body64 = Buffer.concat(this.parts).toString('base64');
        return { ...this.head, headers, trailers, body: undefined, body64 };
    }

    errorOf(frame, thrown) {
        return thrown ?? new NodeyError(frame.code, frame.message);
    }

    /* An ask fails with whatever was thrown, a request only with what was no answer. */
    settle(frame) {
        const thrown = this.client.takeError(this.id);
        const isBug = thrown && this.client.throwErrors && !(thrown instanceof NodeyError);
        // An answer that has begun cannot become another one.
        const isFailure = this.method === undefined || isBug || this.head !== null;
        if (frame.type === 'answer') this.resolve(frame.value);
        else if (frame.type === 'error' && isFailure) this.reject(this.errorOf(frame, thrown));
        else if (frame.type === 'error') this.answer(fromError(this.method, frame), frame);
        else this.answer(new TestResponse(this.method, frame), frame);
    }

    answer(response, frame) {
        if (this.isSocket) {
            this.reject(Object.assign(new Error(`the WebSocket was refused with ${response.status}`), { response }));
        } else if (this.isStream) {
            this.head = { status: response.status, headers: response.headers };
            this.openStream();
            if (response.body.length > 0) this.pieces.push(response.body);
            this.pieces.finish();
        } else {
            if (frame.trailers) response.trailers = headersOf({ ...frame.trailers });
            this.resolve(response);
        }
    }
}

module.exports = { TestExchange, TestResponse, StreamResponse };
