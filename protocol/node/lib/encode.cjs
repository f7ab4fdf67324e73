/*
 * encode: a handler's result to the line that answers.  Pure.
 *
 * Envelopes are written by hand around JSON.stringify of the value, `id` first and the
 * value last: a third of the time, and the order that the supervisor reads fastest.
 */
'use strict';

const { isFinalStatus } = require('./errors.cjs');

/** What `response()` returns: a value with a status and headers. */
class Reply {
    constructor(value, { status, headers } = {}) {
        if (status !== undefined && !isFinalStatus(status)) {
            throw new RangeError(`response: status is ${status}; it must be 200 to 599`);
        }
        this.value = value;
        this.status = status;
        this.headers = headers === undefined ? undefined : plainHeaders(headers);
    }
}

function headerText(name, value) {
    if (typeof value === 'string') return value;
    if (typeof value === 'number') return String(value);
    throw new TypeError(`header ${name} must be a string, a number or an array of them`);
}

/* A plain object with lower-case names, from one, from a Headers or from pairs. */
function plainHeaders(headers) {
    const pairs = typeof headers[Symbol.iterator] === 'function' ? headers : Object.entries(headers);
    const plain = {};
    for (const [key, value] of pairs) {
        const name = key.toLowerCase();
        const texts = [value].flat().map((text) => headerText(name, text));
        const all = Object.hasOwn(plain, name) ? [plain[name], ...texts].flat() : texts;
        plain[name] = all.length === 1 ? all[0] : all;
    }
    return plain;
}

/* JSON.stringify writes null for NaN and the infinities: data would change silently. */
function holdsNonNumber(value) {
    if (typeof value === 'number') return !Number.isFinite(value);
    if (typeof value !== 'object' || value === null) return false;
    if (typeof value.toJSON === 'function') return holdsNonNumber(value.toJSON());
    return Object.values(value).some(holdsNonNumber);
}

/** JSON text.  Throws a TypeError that names `who` made the value. */
function toJson(value, who) {
    let text;
    try {
        text = JSON.stringify(value);
    } catch (cause) {
        const reason = String(cause?.message ?? cause).split('\n')[0];
        throw new TypeError(`${who}: JSON cannot hold this value: ${reason}`, { cause });
    }
    if (text === undefined) throw new TypeError(`${who}: JSON cannot hold a ${typeof value}`);
    if (text.includes('null') && holdsNonNumber(value)) {
        throw new TypeError(`${who}: JSON cannot hold NaN or Infinity`);
    }
    return text;
}

function isStream(value) {
    return typeof value.pipe === 'function' || typeof value.getReader === 'function' ||
        typeof value[Symbol.asyncIterator] === 'function';
}

/* The last member of a response and the line's end. */
function bodyTail(value, who) {
    switch (typeof value) {
    case 'string':
        return `,"body":${JSON.stringify(value)}}\n`;
    case 'undefined':
        return '}\n';
    case 'object':
        if (value instanceof Uint8Array) {
            const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
            return `,"body64":"${bytes.toString('base64')}"}\n`;
        }
        if (value !== null && isStream(value)) {
            throw new TypeError(`${who}: streams cannot be returned; collect the body first`);
        }
    }
    return `,"json":${toJson(value, who)}}\n`;
}

function isTuple(value) {
    if (!Array.isArray(value) || value.length < 2 || value.length > 3) return false;
    const [status, , headers] = value;
    if (!Number.isInteger(status) || status < 100 || status > 599) return false;
    return value.length === 2 || (typeof headers === 'object' && headers !== null);
}

/* By shape: touching the global Response would load all of fetch. */
function isFetchResponse(value) {
    return typeof value === 'object' && value !== null &&
        value[Symbol.toStringTag] === 'Response' && typeof value.arrayBuffer === 'function';
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

async function fromFetchResponse(response) {
    const bytes = new Uint8Array(await response.arrayBuffer());
    const headers = fetchHeaders(response.headers);
    return new Reply(bytes.length > 0 ? bytes : undefined, { status: response.status, headers });
}

function replyLine(idText, { value, status, headers }, who) {
    let head = `{"id":${idText}`;
    if (status !== undefined) head += `,"status":${status}`;
    else if (value === undefined) head += ',"status":204';
    if (headers !== undefined) head += `,"headers":${JSON.stringify(headers)}`;
    return head + bodyTail(value, who);
}

/**
 * The line that answers a request, or a promise of one.  Throws when the value cannot
 * be sent.
 */
function responseLine(idText, value, who) {
    if (isTuple(value)) {
        const [status, body, headers] = value;
        return replyLine(idText, new Reply(body, { status, headers }), who);
    }
    if (value instanceof Reply) return replyLine(idText, value, who);
    if (isFetchResponse(value)) {
        return fromFetchResponse(value).then((reply) => replyLine(idText, reply, who));
    }
    if (value === undefined) return `{"id":${idText},"status":204}\n`;
    return `{"id":${idText}${bodyTail(value, who)}`;
}

function answerLine(idText, value, who) {
    const text = value === undefined ? 'null' : toJson(value, who);
    return `{"type":"answer","id":${idText},"value":${text}}\n`;
}

/** error: { code, message, status, stack, data }; what is undefined is left out. */
function errorLine(idText, { code, message, status, stack, data }) {
    const rest = JSON.stringify({ code, message, status, stack, data });
    return `{"type":"error","id":${idText},${rest.slice(1)}\n`;
}

module.exports = { Reply, toJson, responseLine, answerLine, errorLine };
