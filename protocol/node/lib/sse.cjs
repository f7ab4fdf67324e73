/* sse: server-sent events, as https://html.spec.whatwg.org/multipage/server-sent-events.html has them. */
'use strict';

const { Reply, toJson } = require('./encode.cjs');
const { inspect, refusal } = require('./errors.cjs');

const KNOWN = ['event', 'data', 'id', 'retry', 'comment'];
const LINE_END = /\r\n|\r|\n/;

function refuse(what) {
    return refusal(new TypeError(`sse: ${what}`));
}

function lineOf(name, value) {
    if (typeof value !== 'string' && typeof value !== 'number') throw refuse(`${name} is ${inspect(value)}, not text`);
    const text = String(value);
    if (LINE_END.test(text) || text.includes('\0')) throw refuse(`${name} is ${inspect(text)}; it must be one line`);
    return `${name}: ${text}\n`;
}

function linesOf(name, text) {
    return text.split(LINE_END).map((line) => `${name}: ${line}\n`).join('');
}

/** event: text, or { event, data, id, retry, comment }; data that is no text is sent as JSON. */
function eventText(event) {
    if (typeof event === 'string') return `${linesOf('data', event)}\n`;
    if (typeof event !== 'object' || event === null || Array.isArray(event)) {
        throw refuse(`an event must be text or an object with data, not ${inspect(event)}`);
    }
    const strange = Object.keys(event).find((key) => !KNOWN.includes(key));
    if (strange !== undefined) {
        throw refuse(`an event has no member ${strange} (known are ${KNOWN.join(', ')}): put your own into data`);
    }
    const { event: name, data, id, retry, comment } = event;
    let text = comment === undefined ? '' : linesOf('', String(comment));
    if (name !== undefined) text += lineOf('event', name);
    if (id !== undefined) text += lineOf('id', id);
    if (retry !== undefined) {
        if (!Number.isSafeInteger(retry) || retry < 0) throw refuse(`retry is ${inspect(retry)}, not milliseconds`);
        text += `retry: ${retry}\n`;
    }
    if (data !== undefined) text += linesOf('data', typeof data === 'string' ? data : toJson(data, 'sse'));
    return `${text}\n`;
}

function iteratorOf(source) {
    const iterable = typeof source === 'function' ? source() : source;
    if (typeof iterable === 'object' && iterable !== null) {
        const begin = iterable[Symbol.asyncIterator] ?? iterable[Symbol.iterator];
        if (begin) return begin.call(iterable);
    }
    throw refuse(`give it a generator or an iterable, not ${inspect(source)}`);
}

/* Not a generator: return() reaches the source at once, also while it waits for an event. */
class Events {
    #iterator;

    constructor(source) {
        this.#iterator = iteratorOf(source);
    }

    [Symbol.asyncIterator]() {
        return this;
    }

    async next() {
        const { done, value } = await this.#iterator.next();
        return done ? { done, value: undefined } : { done, value: eventText(value) };
    }

    async return() {
        await this.#iterator.return?.();
        return { done: true, value: undefined };
    }
}

/** See index.d.ts. */
function sse(source, init) {
    const reply = new Reply(new Events(source), init);
    reply.headers['content-type'] ??= 'text/event-stream';
    reply.headers['cache-control'] ??= 'no-cache';
    return reply;
}

module.exports = { sse };
