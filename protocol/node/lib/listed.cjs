/*
 * listed: objects of names and values in which a name may have several.
 *
 * They are plain to look at: `query.page` is a string, or an array when the name came
 * more than once.  getAll() spares the question.  It cannot be shadowed: a client
 * that sends ?getAll=1 must not break a handler.
 */
'use strict';

const MAX_PAIRS = 1000; // as node:querystring

function listOf(value) {
    if (value === undefined) return [];
    return Array.isArray(value) ? value : [value];
}

const methods = { __proto__: null };
Object.defineProperty(methods, 'getAll', {
    value(name) {
        return listOf(this[name]);
    },
});

/** An empty one, to be filled by add(). */
function newListed() {
    return Object.create(methods);
}

function add(listed, name, value) {
    if (name === 'getAll') return;
    const before = Object.hasOwn(listed, name) ? listed[name] : undefined;
    if (before === undefined) listed[name] = value;
    else if (Array.isArray(before)) before.push(value);
    else listed[name] = [before, value];
}

/** Text of a query or of a form: percent escapes and "+".  What is malformed stays as it is. */
function decode(text) {
    const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text;
    if (!spaced.includes('%')) return spaced;
    try {
        return decodeURIComponent(spaced);
    } catch {
        return require('node:querystring').unescape(spaced);
    }
}

/** text: "a=1&b=2", or undefined. */
function parseQuery(text) {
    const listed = newListed();
    if (!text) return listed;
    let count = 0;
    for (let start = 0; start <= text.length && count < MAX_PAIRS; count++) {
        let end = text.indexOf('&', start);
        if (end < 0) end = text.length;
        let equals = text.indexOf('=', start);
        if (equals < 0 || equals > end) equals = end;
        if (end > start) add(listed, decode(text.slice(start, equals)), decode(text.slice(equals + 1, end)));
        start = end + 1;
    }
    return listed;
}

const headerMethods = { __proto__: null };
Object.defineProperties(headerMethods, {
    get: {
        value(name) {
            const key = String(name).toLowerCase();
            return Object.hasOwn(this, key) ? listOf(this[key]).join(key === 'cookie' ? '; ' : ', ') : null;
        },
    },
    getAll: {
        value(name) {
            const key = String(name).toLowerCase();
            return Object.hasOwn(this, key) ? listOf(this[key]) : [];
        },
    },
});

const NO_HEADERS = Object.freeze(Object.create(headerMethods));

/** plain: a request's headers with lower-case names; it becomes what is returned. */
function headersOf(plain) {
    if (plain === undefined) return NO_HEADERS;
    if (Object.hasOwn(plain, 'get')) delete plain.get;
    return Object.setPrototypeOf(plain, headerMethods);
}

module.exports = { newListed, add, parseQuery, headersOf };
