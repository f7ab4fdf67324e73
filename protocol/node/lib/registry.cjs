/* registry: the routes and tokens of this worker. */
'use strict';

const { Router, ANY } = require('./router.cjs');

const MAX_TOKEN_BYTES = 128;

const router = new Router();
const routes = []; // as `ready` declares them
const tokens = new Map();
let onChange = () => {};

/** changed() is called after each registration. */
function whenChanged(changed) {
    onChange = changed;
}

function checkHandler(what, handler) {
    if (typeof handler !== 'function') throw new TypeError(`${what}: the handler must be a function`);
}

/* One member of a wrong type would make the whole `ready` unusable. */
function checkOptions(what, { description, timeout }) {
    if (description !== undefined && typeof description !== 'string') {
        throw new TypeError(`${what}: description must be a string`);
    }
    if (timeout !== undefined && !(Number.isSafeInteger(timeout) && timeout >= 1)) {
        throw new RangeError(`${what}: timeout is ${timeout}; it must be whole milliseconds, at least 1`);
    }
}

/** method: upper case, or '' for any. */
function addRoute(method, path, options, handler) {
    const { description, timeout } = options;
    checkHandler(`route ${path}`, handler);
    checkOptions(`route ${path}`, options);
    router.add(method, path, handler);
    routes.push({ path, method: method === ANY ? undefined : method, description, timeout });
    onChange();
}

/** A token that is there already is replaced. */
function addToken(name, handler) {
    if (typeof name !== 'string' || name === '' || Buffer.byteLength(name) > MAX_TOKEN_BYTES) {
        throw new TypeError(`a token's name must be a string of 1 to ${MAX_TOKEN_BYTES} bytes`);
    }
    checkHandler(`token ${name}`, handler);
    tokens.set(name, handler);
    onChange();
}

module.exports = { router, routes, tokens, addRoute, addToken, whenChanged };
