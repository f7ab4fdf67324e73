/*
 * topics: names of messages, patterns of them, spans of time, and places in a stream.  Pure.
 *
 * A topic is tokens with dots between, "comment.created".  In a pattern "*" stands for one
 * token and a last ">" for one or more.  The same rules as the supervisor's.
 */
'use strict';

const { inspect } = require('./errors.cjs');

const MAX_BYTES = 255; // of a topic; all of its characters are ASCII
const NAME = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/;
const TOKEN = /^[A-Za-z0-9_-]+$/;
const UNIT_MS = { __proto__: null, d: 86400000, h: 3600000, m: 60000, s: 1000, ms: 1 };
const UNITS = Object.keys(UNIT_MS); // in the order in which they may stand
const DURATION = new RegExp(`^${UNITS.map((unit) => `(?:(\\d+(?:\\.\\d+)?)${unit})?`).join('')}$`);

function tokenFault(token, pattern) {
    if (token === '') return 'there must be something before, between and after the dots';
    const found = /[^A-Za-z0-9_-]/u.exec(token)[0];
    if (found === '*' || found === '>') {
        return pattern ? `"${found}" stands for a whole token, and ">" for the last ones` : `only a pattern can have a "${found}"`;
    }
    const what = found === ' ' ? 'a space' : inspect(found);
    return `${what} cannot be in it: letters, digits, "_" and "-" can, with dots between`;
}

/** Why this is no topic, and no queue's name: the end of a sentence; or null. */
function topicFault(topic) {
    if (typeof topic !== 'string') return 'it must be a string such as "comment.created"';
    if (topic.length <= MAX_BYTES && NAME.test(topic)) return null;
    if (topic === '') return 'it is empty';
    const wrong = topic.split('.').find((token) => !TOKEN.test(token));
    return wrong === undefined ? `it has ${topic.length} bytes; ${MAX_BYTES} are the most` : tokenFault(wrong, false);
}

/** The same for a pattern. */
function patternFault(pattern) {
    if (typeof pattern !== 'string') return 'it must be a string such as "comment.*"';
    if (pattern === '') return 'it is empty';
    if (pattern.length > MAX_BYTES) return `it has ${pattern.length} bytes; ${MAX_BYTES} are the most`;
    const tokens = pattern.split('.');
    const wrong = tokens.find((token, at) =>
        token !== '*' && !(token === '>' && at === tokens.length - 1) && !TOKEN.test(token));
    return wrong === undefined ? null : tokenFault(wrong, true);
}

/** Whether a topic is one of a pattern's.  Both have been checked. */
function matches(pattern, topic) {
    if (pattern === topic) return true;
    const wanted = pattern.split('.');
    const given = topic.split('.');
    for (const [at, token] of wanted.entries()) {
        if (token === '>') return given.length > at;
        if (at >= given.length || (token !== '*' && token !== given[at])) return false;
    }
    return wanted.length === given.length;
}

/** Milliseconds, whole ones, of a number of them or of a text such as "1m30s"; NaN for anything else. */
function milliseconds(value) {
    if (typeof value === 'number') return value >= 0 && value <= Number.MAX_SAFE_INTEGER ? Math.ceil(value) : NaN;
    const found = typeof value === 'string' && value !== '' ? DURATION.exec(value) : null;
    if (!found) return NaN;
    const sum = UNITS.reduce((total, unit, at) => total + Number(found[at + 1] ?? 0) * UNIT_MS[unit], 0);
    return sum <= Number.MAX_SAFE_INTEGER ? Math.ceil(Number(sum.toFixed(6))) : NaN;
}

const DURATION_ADVICE = 'it must be milliseconds, or a text such as "300ms", "1.5s", "10m", "2h" or "7d"';

/** Of a Date, ISO text or a number: whole milliseconds since 1970; NaN for anything else. */
function instant(value) {
    if (typeof value === 'number') return value >= 0 && value <= 8.64e15 ? Math.ceil(value) : NaN;
    const time = value instanceof Date ? value.getTime() : typeof value === 'string' ? Date.parse(value) : NaN;
    return time >= 0 ? time : NaN;
}

const INSTANT_ADVICE = 'it must be milliseconds since 1970, a Date, or a text such as "2030-01-31T12:00:00Z"';

/** Where a group begins: `from` of on() and `to` of seek() as a frame has it.  fault(advice): the error to throw. */
function startOf(value, fault) {
    if (value === 'first' || value === 'new') return value;
    const { seq, time, ...rest } = typeof value === 'object' && value !== null ? value : {};
    const isOne = (seq === undefined) !== (time === undefined) && Object.keys(rest).length === 0;
    if (isOne && time === undefined && Number.isSafeInteger(seq) && seq >= 0) return { seq };
    if (isOne && seq === undefined && !Number.isNaN(instant(time))) return { time: instant(time) };
    throw fault('it must be "first", "new", { seq: 100 } or { time: new Date(...) }');
}

module.exports = {
    topicFault, patternFault, matches, milliseconds, instant, startOf, DURATION_ADVICE, INSTANT_ADVICE,
};
