/*
 * frame: one line from the supervisor, or from a person, to a frame.  Pure.
 *
 * What comes out is safe to use: members have the types that PROTOCOL.md gives them.
 */
'use strict';

const BLANK = /^[ \t\r]*$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$/;

/** A line that must be answered with an error and otherwise ignored. */
class BadLine extends Error {
    constructor(id, message) {
        super(message);
        this.id = id;
    }
}

function isId(id) {
    return typeof id === 'string' || (Number.isSafeInteger(id) && id >= 0);
}

function isObject(value) {
    return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value) {
    return typeof value === 'string';
}

function isOptionalText(value) {
    return value === undefined || typeof value === 'string';
}

function areTexts(object) {
    if (!isObject(object)) return false;
    for (const name in object) {
        if (typeof object[name] !== 'string') return false;
    }
    return true;
}

function areHeaders(object) {
    if (!isObject(object)) return false;
    for (const name in object) {
        const value = object[name];
        if (typeof value === 'string') continue;
        if (!Array.isArray(value) || !value.every(isText)) return false;
    }
    return true;
}

function bodyFault({ body, body64, json }) {
    if (body !== undefined && typeof body !== 'string') return 'body must be a string';
    if (body64 !== undefined && !(typeof body64 === 'string' && BASE64.test(body64))) {
        return 'body64 must be base64 with padding';
    }
    const count = (body !== undefined) + (body64 !== undefined) + (json !== undefined);
    return count > 1 ? 'only one of body, body64 and json may be there' : null;
}

function requestFault(frame) {
    if (typeof frame.method !== 'string') {
        return frame.method === undefined ? 'neither type nor method' : 'method must be a string';
    }
    if (typeof frame.path !== 'string') return 'path must be a string';
    if (!isOptionalText(frame.query)) return 'query must be a string';
    if (!isOptionalText(frame.token)) return 'token must be a string';
    if (!isOptionalText(frame.ip) || !isOptionalText(frame.scheme)) {
        return 'ip and scheme must be strings';
    }
    if (frame.headers !== undefined && !areHeaders(frame.headers)) {
        return 'headers must be an object of strings and arrays of strings';
    }
    if (frame.params !== undefined && !areTexts(frame.params)) {
        return 'params must be an object of strings';
    }
    if (!isOptionalText(frame.upgrade)) return 'upgrade must be a string';
    if (frame.more !== undefined && typeof frame.more !== 'boolean') return 'more must be true or false';
    if (frame.timeout !== undefined && !(typeof frame.timeout === 'number' && frame.timeout >= 0)) {
        return 'timeout must be a number of milliseconds';
    }
    return bodyFault(frame);
}

function checkRequest(frame) {
    frame.id ??= null;
    if (frame.id !== null && !isId(frame.id)) {
        throw new BadLine(null, 'id must be a number from 0 to 2^53-1, a string or null');
    }
    const fault = requestFault(frame);
    if (fault) throw new BadLine(frame.id, fault);
    return frame;
}

function needId(frame) {
    if (!isId(frame.id)) throw new BadLine(null, `${frame.type} needs an id`);
    return frame;
}

function checkAsk(frame) {
    needId(frame);
    if (typeof frame.token !== 'string') throw new BadLine(frame.id, 'ask needs a token');
    return frame;
}

/* An error about no ask of ours carries the id null: nothing to do, and no fault. */
function checkError(frame) {
    return frame.id === null ? frame : needId(frame);
}

function checkBody(frame) {
    const fault = frame.json === undefined ? bodyFault(frame) : `${frame.type} cannot have json`;
    if (fault) throw new BadLine(null, fault);
    return needId(frame);
}

function checkPiece(frame) {
    if (frame.body === undefined && frame.body64 === undefined) throw new BadLine(null, `${frame.type} needs a body`);
    return checkBody(frame);
}

function checkEnd(frame) {
    const { code, reason } = frame;
    if (code !== undefined && !(Number.isInteger(code) && code >= 1000 && code <= 4999)) {
        throw new BadLine(null, 'code must be a number from 1000 to 4999');
    }
    if (!isOptionalText(reason)) throw new BadLine(null, 'reason must be a string');
    if (frame.trailers !== undefined && !areHeaders(frame.trailers)) {
        throw new BadLine(null, 'trailers must be an object of strings and arrays of strings');
    }
    return checkBody(frame);
}

function checkCredit(frame) {
    if (!(Number.isSafeInteger(frame.bytes) && frame.bytes > 0)) {
        throw new BadLine(null, 'bytes must be a number from 1 to 2^53-1');
    }
    return needId(frame);
}

function eventFault({ topic, queue, group, seq, time, attempt, key, msgid, file, headers, timeout }) {
    if (!(isText(topic) && queue === undefined) && !(isText(queue) && topic === undefined)) {
        return 'event needs a topic or a queue';
    }
    if (!(Number.isSafeInteger(seq) && seq >= 0)) return 'seq must be a number from 0 to 2^53-1';
    if (!isOptionalText(group) || !isOptionalText(key) || !isOptionalText(msgid) || !isOptionalText(file)) {
        return 'group, key, msgid and file must be strings';
    }
    if (time !== undefined && typeof time !== 'number') return 'time must be a number of milliseconds';
    if (attempt !== undefined && !(Number.isSafeInteger(attempt) && attempt >= 1)) return 'attempt must be a number from 1';
    if (headers !== undefined && !areTexts(headers)) return 'headers must be an object of strings';
    if (timeout !== undefined && !(typeof timeout === 'number' && timeout >= 0)) {
        return 'timeout must be a number of milliseconds';
    }
    return null;
}

/* Without an id it is one that nobody waits for. */
function checkEvent(frame) {
    if (frame.id !== undefined) needId(frame);
    const fault = eventFault(frame);
    if (fault) throw new BadLine(null, fault);
    return frame;
}

const CHECKS = {
    __proto__: null,
    hello: (frame) => frame,
    drain: (frame) => frame,
    shutdown: (frame) => frame,
    ask: checkAsk,
    answer: needId,
    cancel: needId,
    ping: needId,
    error: checkError,
    chunk: checkPiece,
    end: checkEnd,
    message: checkPiece,
    credit: checkCredit,
    event: checkEvent,
    ack: needId,
    gap: (frame) => frame,
};

function parse(line) {
    try {
        return JSON.parse(line);
    } catch (error) {
        if (BLANK.test(line)) return null;
        throw new BadLine(null, `line is not JSON: ${error.message}`);
    }
}

/**
 * Returns the frame; a request is one without `type`.  Null when the line is to be
 * ignored: it is empty, or of a type that this SDK did not declare.  Throws BadLine.
 */
function readFrame(line) {
    const frame = parse(line);
    if (frame === null && line.trim() !== 'null') return null;
    if (!isObject(frame)) throw new BadLine(null, 'line is not a JSON object');
    if (frame.type === undefined) return checkRequest(frame);
    if (typeof frame.type !== 'string') throw new BadLine(null, 'type must be a string');
    const check = CHECKS[frame.type];
    return check ? check(frame) : null;
}

module.exports = { readFrame, BadLine };
