/* cookies: the Cookie field read, Set-Cookie fields written so that browsers keep them. */
'use strict';

const { inspect } = require('./errors.cjs');

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const ATTRIBUTE = /^[\x20-\x3a\x3c-\x7e]+$/; // what may follow Path= and Domain=: no ";", no controls
const SAME_SITE = { __proto__: null, strict: 'Strict', lax: 'Lax', none: 'None' };
const MAX_BYTES = 4096; // browsers drop a longer one without a word
const KNOWN = ['maxAge', 'expires', 'domain', 'path', 'secure', 'httpOnly', 'sameSite', 'partitioned'];

function decode(text) {
    if (!text.includes('%')) return text;
    try {
        return decodeURIComponent(text);
    } catch {
        return text;
    }
}

/** header: the field, or an array of them.  Of equal names the first counts, as for browsers' paths. */
function parseCookies(header) {
    const cookies = { __proto__: null };
    const text = Array.isArray(header) ? header.join('; ') : header ?? '';
    for (const pair of text.split(';')) {
        const at = pair.indexOf('=');
        if (at < 0) continue;
        const name = pair.slice(0, at).trim();
        if (name in cookies) continue;
        cookies[name] = decode(pair.slice(at + 1).trim().replace(/^"(.*)"$/, '$1'));
    }
    return cookies;
}

function fail(name, what) {
    throw new TypeError(`cookie ${name}: ${what}`);
}

function checkText(name, attribute, text) {
    if (typeof text !== 'string' || !ATTRIBUTE.test(text)) {
        fail(name, `${attribute} is ${inspect(text)}; it must be printable text without ";"`);
    }
    return text;
}

function httpDate(name, when) {
    const date = new Date(when);
    if (when === null || Number.isNaN(date.getTime())) {
        fail(name, `expires is ${inspect(when)}; it must be a Date or milliseconds since 1970`);
    }
    return date.toUTCString();
}

function sameSite(name, value, secure) {
    const word = SAME_SITE[String(value).toLowerCase()];
    if (!word) fail(name, `sameSite is ${inspect(value)}; it must be 'lax', 'strict' or 'none'`);
    if (word === 'None' && !secure) fail(name, "sameSite 'none' needs secure: true, or browsers drop it");
    return word;
}

function checkPrefix(name, { secure, path, domain }) {
    if (/^__(Secure|Host)-/.test(name) && !secure) fail(name, 'such a name needs secure: true');
    if (name.startsWith('__Host-') && (path !== '/' || domain !== undefined)) {
        fail(name, "such a name needs the path '/' and no domain");
    }
}

function parts(name, { maxAge, expires, domain, path, secure, httpOnly, sameSite: site, partitioned }) {
    const list = [];
    if (maxAge !== undefined) {
        if (!Number.isInteger(maxAge)) fail(name, `maxAge is ${inspect(maxAge)}; it must be whole seconds`);
        list.push(`Max-Age=${maxAge}`);
    }
    if (expires !== undefined) list.push(`Expires=${httpDate(name, expires)}`);
    if (domain !== undefined) list.push(`Domain=${checkText(name, 'domain', domain)}`);
    list.push(`Path=${checkText(name, 'path', path)}`);
    if (secure) list.push('Secure');
    if (httpOnly) list.push('HttpOnly');
    if (site !== undefined) list.push(`SameSite=${sameSite(name, site, secure)}`);
    if (partitioned && !secure) fail(name, 'partitioned needs secure: true');
    if (partitioned) list.push('Partitioned');
    return list;
}

/** The value of a Set-Cookie field.  Throws a TypeError for what a browser would not keep. */
function setCookieText(name, value, attributes = {}) {
    if (typeof name !== 'string' || !NAME.test(name)) {
        throw new TypeError(`a cookie's name is ${inspect(name)}; it must be letters, digits and !#$%&'*+-.^_\`|~`);
    }
    if (!['string', 'number', 'boolean'].includes(typeof value)) {
        fail(name, `the value is ${inspect(value)}; it must be a string (JSON.stringify() it first)`);
    }
    for (const key of Object.keys(attributes)) {
        if (!KNOWN.includes(key)) fail(name, `there is no attribute ${key}; known are ${KNOWN.join(', ')}`);
    }
    const whole = { path: '/', ...attributes };
    checkPrefix(name, whole);
    const pair = `${name}=${encodeURIComponent(String(value))}`;
    if (pair.length > MAX_BYTES) fail(name, `${pair.length} bytes are too many: browsers keep ${MAX_BYTES}`);
    return [pair, ...parts(name, whole)].join('; ');
}

module.exports = { parseCookies, setCookieText };
