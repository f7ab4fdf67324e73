/*
 * dev: what nodey tells whoever is writing a worker, with NODEY_DEV only.
 *
 * An answer that was probably not meant is sent all the same; the log says so, once for
 * each handler.
 */
'use strict';

const log = require('./log.cjs');

const ANSWER_KEYS = ['status', 'statusCode', 'headers', 'body'];
const MAX_NAMES = 100;

const warned = new WeakSet();

/* { status: 404, body: ... } is JSON like any other object, and in few cases meant so. */
function looksLikeAnswer(value) {
    if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return false;
    const status = value.status ?? value.statusCode;
    return Number.isInteger(status) && status >= 100 && status <= 599 &&
        Object.keys(value).every((key) => ANSWER_KEYS.includes(key));
}

function doubtOf(who, value) {
    if (value === undefined) {
        return `handler of ${who} returned nothing: the answer is 204; was a "return" forgotten?`;
    }
    if (!looksLikeAnswer(value)) return null;
    const status = value.status ?? value.statusCode;
    return `handler of ${who} returned an object that looks like a whole answer, ` +
        'and is sent as JSON with status 200: ' +
        `to answer with a status return [${status}, value] or nodey.json(value, { status: ${status} })`;
}

/** What a route's handler returned.  handler: undefined when it cannot be told. */
function checkAnswer(call, handler, value) {
    const doubt = doubtOf(call.who, value);
    if (!doubt || !handler || warned.has(handler)) return;
    warned.add(handler);
    log.write('warn', doubt, undefined, call);
}

/** The bytes of a JSON body, which say where to look to whoever takes them for the object. */
function hintBody(body, request) {
    if (!/\bjson\b/.test(request.headers.get('content-type') ?? '')) return;
    let value;
    try {
        value = request.json();
    } catch {
        return; // whoever reads it is told
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
    const names = Object.keys(value).slice(0, MAX_NAMES).filter((name) => !(name in body));
    const { addHints } = require('./hints.cjs');
    addHints(body, 'req.body', Object.fromEntries(names.map((name) => [name, 'req.body is bytes: write req.json()'])));
}

module.exports = { checkAnswer, hintBody };
