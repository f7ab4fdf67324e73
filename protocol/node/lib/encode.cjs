/*
 * encode: a handler's result to the line that answers.
 *
 * Envelopes are written by hand around JSON.stringify of the value, `id` first and the
 * value last: a third of the time, and the order that the supervisor reads fastest.
 * What does not fit one line, or is not there yet, stays a Reply: see stream.cjs.
 */
'use strict';

const { isFinalStatus, inspect, refusal } = require('./errors.cjs');

const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const ONE_LINE = 524288; // of text or bytes; more of it must not wait in memory for a slow client
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** What `response()` returns: a value with a status and headers. */
class Reply {
    constructor(value, { status, headers, trailers } = {}) {
        if (status !== undefined && !isFinalStatus(status)) {
            throw refusal(new RangeError(`response: status is ${inspect(status)}; it must be 200 to 599`));
        }
        this.value = value;
        this.status = status;
        this.headers = headers === undefined ? {} : plainHeaders(headers);
        this.trailers = trailers; // an object, or a function that gives one when all is sent
    }

    setHeader(name, value) {
        Object.assign(this.headers, plainHeaders([[name, value]]));
        return this;
    }

    setCookie(name, value, attributes) {
        const { setCookieText } = require('./cookies.cjs');
        const before = this.headers['set-cookie'] ?? [];
        this.headers['set-cookie'] = [before, setCookieText(name, value, attributes)].flat();
        return this;
    }

    deleteCookie(name, attributes) {
        return this.setCookie(name, '', { ...attributes, maxAge: 0 });
    }
}

function headerText(name, value) {
    if (typeof value !== 'string' && typeof value !== 'number') {
        const what = `header ${name} must be a string, a number or an array of them, not ${inspect(value)}`;
        throw refusal(new TypeError(what));
    }
    const text = String(value);
    if (!HEADER_VALUE.test(text)) {
        throw refusal(new TypeError(`header ${name} is ${inspect(text)}; line breaks and characters beyond latin-1 ` +
            'cannot be in a header: use encodeURIComponent()'));
    }
    return text;
}

/* A plain object with lower-case names, from one, from a Headers or from pairs. */
function plainHeaders(headers) {
    if (typeof headers !== 'object' || headers === null) {
        throw refusal(new TypeError(`headers must be an object of names and values, not ${inspect(headers)}`));
    }
    const pairs = typeof headers[Symbol.iterator] === 'function' ? headers : Object.entries(headers);
    const plain = {};
    for (const [key, value] of pairs) {
        if (value === undefined) continue;
        if (!HEADER_NAME.test(key)) throw refusal(new TypeError(`${inspect(key)} cannot be the name of a header`));
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

function adviceOn(value) {
    if (typeof value.then === 'function') return 'is a promise: an await is missing';
    if (value instanceof Map) return 'is a Map: use Object.fromEntries(map)';
    if (value instanceof Set) return 'is a Set: use [...set]';
    return isStream(value) ? 'is a stream or generator: return it by itself' : null;
}

/* What JSON.stringify writes as {}, with all that was in it gone: a sentence, or null. */
function findLost(value, place) {
    if (typeof value !== 'object' || value === null || typeof value.toJSON === 'function') return null;
    const advice = adviceOn(value);
    if (advice) return `${place || 'the value'} ${advice}`;
    for (const [key, member] of Object.entries(value)) {
        const found = findLost(member, place ? `${place}.${key}` : key);
        if (found) return found;
    }
    return null;
}

function cannotHold(who, what, cause) {
    const options = cause === undefined ? undefined : { cause };
    return refusal(new TypeError(`${who}: JSON cannot hold ${what}`, options));
}

/** JSON text.  Throws a TypeError that names `who` made the value. */
function toJson(value, who) {
    let text;
    try {
        text = JSON.stringify(value);
    } catch (cause) {
        const lines = String(cause?.message ?? cause).split('\n');
        const reason = [lines[0], ...lines.slice(1).filter((line) => line.includes('closes the circle'))].join(' ');
        throw cannotHold(who, `this value: ${reason.replace(/ +/g, ' ')}`, cause);
    }
    if (text === undefined) throw cannotHold(who, `a ${typeof value}`);
    if (text.includes('null') && holdsNonNumber(value)) {
        throw cannotHold(who, 'NaN or Infinity');
    }
    if (text.includes('{}')) {
        const lost = findLost(value, '');
        if (lost) throw cannotHold(who, `this value: ${lost}`);
    }
    return text;
}

function isStream(value) {
    return typeof value[Symbol.asyncIterator] === 'function' || typeof value.pipe === 'function' ||
        typeof value.getReader === 'function' ||
        (typeof value.next === 'function' && typeof value[Symbol.iterator] === 'function');
}

/* By shape: touching the global Response or Blob would load all of fetch. */
function isFetchBody(value) {
    const tag = value[Symbol.toStringTag];
    return (tag === 'Response' || tag === 'Blob' || tag === 'File') && typeof value.arrayBuffer === 'function';
}

function isObject(value) {
    return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether a value brings a status or headers of its own. */
function isAnswer(value) {
    return isObject(value) && (value.isFileAnswer === true || isFetchBody(value));
}

/** Whether a body is sent in pieces. */
function hasPieces(value) {
    if (typeof value === 'string') return value.length > ONE_LINE;
    if (!isObject(value)) return false;
    return value.byteLength === undefined ? isStream(value) : value.byteLength > ONE_LINE;
}

function bytesOf(value) {
    if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    return value instanceof ArrayBuffer ? Buffer.from(value) : null;
}

/* A file that nodey sends itself. */
function fileTail({ file, offset, length }) {
    return `,"file":${JSON.stringify(file)},"offset":${offset},"length":${length}}\n`;
}

/* The last member of a response and the line's end. */
function bodyTail(value, who) {
    switch (typeof value) {
    case 'string':
        return `,"body":${JSON.stringify(value)}}\n`;
    case 'undefined':
        return '}\n';
    case 'object': {
        const bytes = bytesOf(value);
        if (bytes) return `,"body64":"${bytes.toString('base64')}"}\n`;
        if (value?.isFileBody) return fileTail(value);
        if (value instanceof Error) throw value; // returned instead of thrown: {} would tell nobody
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

function hasMembers(object) {
    for (const _ in object) return true;
    return false;
}

function replyLine(idText, { value, status, headers }, who) {
    let head = `{"id":${idText}`;
    if (status !== undefined) head += `,"status":${status}`;
    else if (value === undefined) head += ',"status":204';
    if (hasMembers(headers)) head += `,"headers":${JSON.stringify(headers)}`;
    return head + bodyTail(value, who);
}

/* What was given around an answer wins over what it brings itself. */
function joinReplies({ status, headers, trailers }, inner) {
    const settled = inner.isConditional ? inner.status : status ?? inner.status;
    return new Reply(inner.value, { status: settled, headers: { ...inner.headers, ...headers }, trailers });
}

/**
 * Any result as a Reply whose value is a body: a string, bytes, undefined, a value for
 * JSON, a stream, or a file that nodey sends; or a promise of one.  scope: { who, method,
 * headers } of the request.
 */
function toReply(value, scope) {
    let reply = value;
    if (isTuple(value)) reply = new Reply(value[1], { status: value[0], headers: value[2] });
    else if (!(value instanceof Reply)) reply = new Reply(value);
    if (!isAnswer(reply.value)) return reply;
    const inner = require('./stream.cjs').replyOf(reply.value, scope);
    return inner instanceof Reply ? joinReplies(reply, inner) : inner.then((whole) => joinReplies(reply, whole));
}

function replyOrLine(idText, reply, who) {
    return hasPieces(reply.value) || reply.trailers !== undefined ? reply : replyLine(idText, reply, who);
}

/**
 * The line that answers a request, or a Reply that is to be sent in pieces, or a promise of
 * one of them.  Throws when the value cannot be sent.  scope: see toReply().
 */
function responseLine(idText, value, scope) {
    const { who } = scope;
    if (value instanceof Reply || isTuple(value) || isAnswer(value)) {
        const reply = toReply(value, scope);
        if (reply instanceof Reply) return replyOrLine(idText, reply, who);
        return reply.then((whole) => replyOrLine(idText, whole, who));
    }
    if (value === undefined) return `{"id":${idText},"status":204}\n`;
    if (hasPieces(value)) return new Reply(value);
    return `{"id":${idText}${bodyTail(value, who)}`;
}

function answerLine(idText, value, { who }) {
    if (value instanceof Error) throw value;
    if (value instanceof Reply) throw refusal(new TypeError(`${who}: a token answers with a value, not with a response`));
    const text = value === undefined ? 'null' : toJson(value, who);
    return `{"type":"answer","id":${idText},"value":${text}}\n`;
}

/** error: { code, message, status, stack, data }; what is undefined is left out. */
function errorLine(idText, { code, message, status, stack, data }) {
    const rest = JSON.stringify({ code, message, status, stack, data });
    return `{"type":"error","id":${idText},${rest.slice(1)}\n`;
}

module.exports = { Reply, plainHeaders, bytesOf, toJson, toReply, responseLine, answerLine, errorLine };
