/* registry: the routes and tokens of this worker. */
'use strict';

const { Router, ANY } = require('./router.cjs');

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

/** method: upper case, or '' for any. */
function addRoute(method, path, { description, timeout }, handler) {
    checkHandler(`route ${path}`, handler);
    router.add(method, path, handler);
    routes.push({ path, method: method === ANY ? undefined : method, description, timeout });
    onChange();
}

/** A token that is there already is replaced. */
function addToken(name, handler) {
    if (typeof name !== 'string' || name === '') throw new TypeError('a token needs a name');
    checkHandler(`token ${name}`, handler);
    tokens.set(name, handler);
    onChange();
}

module.exports = { router, routes, tokens, addRoute, addToken, whenChanged };
