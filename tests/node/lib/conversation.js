/* The steps of a transcript that look at what pieces amount to, see protocol/vectors/README.md. */
'use strict';

const assert = require('node:assert/strict');
const path = require('node:path');
const { SDK } = require('./worker.js');
const { STATUS_OF_CODE } = require(path.join(SDK, 'lib/errors.cjs'));

const WINDOW = 262144;
const CHUNK = 65536;

function bytesOf({ body, body64, json }) {
    if (body64 !== undefined) return Buffer.from(body64, 'base64');
    if (json !== undefined) return Buffer.from(JSON.stringify(json));
    return Buffer.from(body ?? '');
}

/* What has come of one id, and what no step has looked at yet. */
class Answer {
    head = null;
    end = null;
    bytes = Buffer.alloc(0);

    take(frame) {
        if (frame.type === 'error') {
            this.head ??= { status: frame.status ?? STATUS_OF_CODE[frame.code] };
            this.end = { error: frame.code };
            return;
        }
        if (frame.type === undefined) this.head = { status: frame.status ?? 200, headers: frame.headers ?? {} };
        assert.ok(this.head, `no head came before ${JSON.stringify(frame)}`);
        assert.equal(this.end, null, `after the last frame: ${JSON.stringify(frame)}`);
        this.bytes = Buffer.concat([this.bytes, bytesOf(frame)]);
        if (frame.type === undefined ? !frame.more : frame.type === 'end') this.end = frame.trailers ? { trailers: frame.trailers } : {};
    }
}

class Conversation {
    #worker;
    #answers = new Map();
    #credits = new Map();
    #window = WINDOW;

    constructor(worker) {
        this.#worker = worker;
    }

    #passOver(frame) {
        if (frame.type !== 'credit') return false;
        this.#credits.set(frame.id, (this.#credits.get(frame.id) ?? 0) + frame.bytes);
        return true;
    }

    async next() {
        for (;;) {
            const frame = await this.#worker.next();
            if (frame.type === 'ready') this.#window = frame.window ?? WINDOW;
            if (!this.#passOver(frame)) return frame;
        }
    }

    /* A frame that a step compares itself; its head counts for later steps. */
    async expect() {
        const frame = await this.next();
        if (frame.type === undefined && frame.more) this.#answerOf(frame.id).take(frame);
        return frame;
    }

    #answerOf(id) {
        if (!this.#answers.has(id)) this.#answers.set(id, new Answer());
        return this.#answers.get(id);
    }

    async receive({ id, status, headers, text, size, end }) {
        const answer = this.#answerOf(id);
        const wanted = text === undefined ? size : Buffer.byteLength(text);
        while (!answer.head || (end !== undefined && !answer.end) || answer.bytes.length < (wanted ?? 0)) {
            const frame = await this.next();
            assert.equal(frame.id, id, `expected frames of ${id}, got ${JSON.stringify(frame)}`);
            answer.take(frame);
        }
        if (status !== undefined) assert.equal(answer.head.status, status);
        for (const [name, value] of Object.entries(headers ?? {})) assert.equal(answer.head.headers[name], value);
        if (wanted !== undefined) assert.equal(answer.bytes.length, wanted);
        if (text !== undefined) assert.equal(answer.bytes.toString(), text);
        answer.bytes = Buffer.alloc(0);
        if (end === undefined) assert.equal(answer.end, null, 'it ended too early');
        else if (end !== 'any') assert.deepEqual(answer.end, end === true ? {} : end);
    }

    async upload({ id, size }) {
        let sent = 0;
        while (sent < size) {
            const credits = this.#credits.get(id) ?? 0;
            assert.ok(credits <= sent, `credit for ${credits} bytes, of ${sent}`);
            const count = Math.min(CHUNK, size - sent, this.#window + credits - sent);
            if (count > 0) {
                this.#worker.send({ type: 'chunk', id, body64: Buffer.alloc(count).toString('base64') });
                sent += count;
            } else {
                const frame = await this.#worker.next();
                assert.ok(this.#passOver(frame), `not credit but ${JSON.stringify(frame)}`);
            }
        }
        this.#worker.send({ type: 'end', id });
    }

    async quiet(ms) {
        await new Promise((resolve) => setTimeout(resolve, ms));
        for (let line; (line = this.#worker.takeLine()) !== undefined;) {
            const frame = JSON.parse(line);
            assert.ok(frame.type === 'log' || this.#passOver(frame), `expected nothing, got ${line}`);
        }
    }
}

module.exports = { Conversation };
