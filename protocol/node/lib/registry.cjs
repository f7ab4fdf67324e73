/* registry: the routes, tokens, subscriptions and hooks of a worker. */
'use strict';

const { inspect } = require('./errors.cjs');
const { noteSite } = require('./places.cjs');
const { Router, ANY, SOCKET } = require('./router.cjs');

const MAX_TOKEN_BYTES = 128;
const PROTOCOL = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const HOOKS = ['before', 'after', 'onStart', 'onStop'];

function checkFunction(what, handler) {
    if (typeof handler === 'function') return;
    let advice = 'write () => ... around a value';
    if (handler === undefined) advice = 'is it spelled right, and exported?';
    else if (typeof handler?.then === 'function') advice = 'pass the function itself, do not call it';
    throw new TypeError(`${what}: the handler must be a function, not ${inspect(handler)}: ${advice}`);
}

/* One member of a wrong type would make the whole `ready` unusable. */
function checkOptions(what, options) {
    if (typeof options !== 'object' || options === null) {
        throw new TypeError(`${what}: the options must be an object, not ${inspect(options)}`);
    }
    const { description, timeout, stream } = options;
    if (stream !== undefined && typeof stream !== 'boolean') {
        throw new TypeError(`${what}: stream must be true or false`);
    }
    if (description !== undefined && typeof description !== 'string') {
        throw new TypeError(`${what}: description must be a string`);
    }
    if (timeout !== undefined && !(Number.isSafeInteger(timeout) && timeout >= 1)) {
        throw new RangeError(`${what}: timeout is ${inspect(timeout)}; it must be whole milliseconds, at least 1`);
    }
}

class Registry {
    constructor() {
        this.router = new Router();
        this.routes = []; // as `ready` declares them
        this.tokens = new Map();
        this.subscriptions = null; // Subscriptions, when it handles events or jobs
        this.name = process.env.NODEY_WORKER || 'test'; // the group of handlers that name none
        this.before = [];
        this.after = [];
        this.onStart = [];
        this.onStop = [];
        this.app = null; // what takes the requests that no route takes
        this.fake = null; // a test's client, which answers instead of the supervisor
    }

    get isEmpty() {
        return this.routes.length === 0 && this.tokens.size === 0 && !this.subscriptions && !this.app;
    }

    /** Whether a server may come that takes the requests: it serves something, but none of them. */
    get isBesideServer() {
        return this.routes.length === 0 && !this.app && !this.isEmpty;
    }

    /** Whether a request must go through hooks. */
    get isHooked() {
        return this.before.length > 0 || this.after.length > 0;
    }
}

let current = new Registry();
let onChange = () => {};
let isClosed = false; // the worker has started: too late for onStart

/** changed() is called after each registration. */
function whenChanged(changed) {
    onChange = changed;
}

function closeStart() {
    isClosed = true;
}

/** What is registered from now on belongs to another worker.  Returns the one before. */
function swap(registry) {
    const before = current;
    current = registry;
    return before;
}

/* A WebSocket's path is declared as a GET; if there is a route for that as well, once. */
function declareRoute(route) {
    const isThere = ({ path, method }) => path === route.path && method === route.method;
    if (!current.routes.some(isThere)) current.routes.push(route);
}

/** method: upper case, or '' for any. */
function addRoute(method, path, options, handler) {
    const what = `route ${typeof path === 'string' ? path : inspect(path)}`;
    checkFunction(what, handler);
    checkOptions(what, options);
    const { description, timeout, stream = false } = options;
    current.router.add(method, path, { handler, isStreamed: stream });
    noteSite(handler);
    declareRoute({ path, method: method === ANY ? undefined : method, description, timeout });
    onChange();
}

/** options: { protocols, description }. */
function addSocket(path, options, handler) {
    const what = `ws ${typeof path === 'string' ? path : inspect(path)}`;
    checkFunction(what, handler);
    checkOptions(what, options);
    const { protocols = [], description } = options;
    if (!Array.isArray(protocols) || !protocols.every((name) => typeof name === 'string' && PROTOCOL.test(name))) {
        throw new TypeError(`${what}: protocols must be an array of names, not ${inspect(protocols)}`);
    }
    current.router.add(SOCKET, path, { handler, isSocket: true, protocols });
    noteSite(handler);
    declareRoute({ path, method: 'GET', description });
    onChange();
}

/** A token that is there already is replaced. */
function addToken(name, handler) {
    if (typeof name !== 'string' || name === '' || Buffer.byteLength(name) > MAX_TOKEN_BYTES) {
        throw new TypeError(`a token's name must be a string of 1 to ${MAX_TOKEN_BYTES} bytes`);
    }
    checkFunction(`token ${name}`, handler);
    current.tokens.set(name, handler);
    noteSite(handler);
    onChange();
}

function subscriptionsOfCurrent() {
    const { Subscriptions } = require('./subscriptions.cjs');
    return current.subscriptions ?? new Subscriptions(current.name);
}

/** See index.d.ts. */
function addEvents(pattern, handler, options) {
    const subscriptions = subscriptionsOfCurrent();
    noteSite(subscriptions.on(pattern, handler, options));
    current.subscriptions = subscriptions; // not before: what was refused is nothing to serve
    onChange();
}

/** See index.d.ts. */
function addJob(queue, handler, options) {
    const subscriptions = subscriptionsOfCurrent();
    noteSite(subscriptions.job(queue, handler, options));
    current.subscriptions = subscriptions;
    onChange();
}

/** kind: one of HOOKS.  `before` and `onStart` run in this order, the others in the reverse. */
function addHook(kind, hook) {
    checkFunction(kind, hook);
    if (kind === 'onStart' && isClosed) throw new Error('onStart: the worker has started already');
    if (kind === 'after' || kind === 'onStop') current[kind].unshift(hook);
    else current[kind].push(hook);
    onChange();
}

/**
 * app: { serve(frame, nowMs), features }: takes every request that no route takes, answers
 * it through an Exchange that it opens itself, and adds its features to those of `ready`.
 */
function setApp(app) {
    if (current.app) throw new Error('serve: this worker serves an app already; there can be one');
    current.app = app;
    onChange();
}

module.exports = {
    Registry, HOOKS, addRoute, addSocket, addToken, addEvents, addJob, addHook, setApp, whenChanged, closeStart, swap,
    get current() {
        return current;
    },
};
