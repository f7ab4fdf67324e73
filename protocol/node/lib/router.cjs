/*
 * router: method and path to a handler.
 *
 * A pattern's segments are literal, ":name" (one segment) or, last, "*" or "*name" (the
 * rest, which may be empty).  The most specific wins, segment by segment from the left:
 * literal before ":name" before "*".  The same rules as the supervisor's.
 */
'use strict';

const { inspect } = require('./errors.cjs');

const ANY = '';
const SOCKET = 'websocket'; // beside the methods, which are upper case
const PLAIN = /^[\w\-.~!$&'()+,;=@/]*$/; // a pattern that can be compared with a raw path
const NO_PARAMS = Object.freeze({ __proto__: null });

function decode(segment) {
    if (!segment.includes('%')) return segment;
    try {
        return decodeURIComponent(segment);
    } catch {
        return segment;
    }
}

function newNode() {
    return { literals: new Map(), param: null, rest: null, routes: null };
}

function parsePattern(pattern) {
    if (typeof pattern !== 'string' || pattern[0] !== '/') {
        const advice = typeof pattern === 'string' && pattern !== '' ? `: write "/${pattern}"` : '';
        throw new TypeError(`route ${inspect(pattern)}: a path must begin with "/"${advice}`);
    }
    const segments = pattern.slice(1).split('/');
    const names = [];
    segments.forEach((segment, at) => {
        if (segment[0] === '*' && at < segments.length - 1) {
            throw new TypeError(`route ${pattern}: "*" must be the last segment`);
        }
        if (segment === ':') throw new TypeError(`route ${pattern}: ":" needs a name`);
        if (segment[0] === ':') names.push(segment.slice(1));
        if (segment[0] === '*') names.push(segment.slice(1) || '*');
    });
    if (new Set(names).size < names.length) {
        throw new TypeError(`route ${pattern}: a parameter has the same name as another`);
    }
    return { segments, names };
}

function child(node, segment) {
    if (segment[0] === ':') return (node.param ??= newNode());
    if (segment[0] === '*') return (node.rest ??= newNode());
    const literal = decode(segment);
    if (!node.literals.has(literal)) node.literals.set(literal, newNode());
    return node.literals.get(literal);
}

function pick(routes, method) {
    return routes.get(method) ?? (method === 'HEAD' ? routes.get('GET') : null) ??
        routes.get(ANY) ?? null;
}

class Router {
    #exact = new Map(); // raw path -> routes by method: what most requests need
    #root = newNode();

    /** method '' is any method. */
    add(method, pattern, target) {
        const { segments, names } = parsePattern(pattern);
        let node = this.#root;
        for (const segment of segments) node = child(node, segment);
        node.routes ??= new Map();
        if (node.routes.has(method)) {
            throw new Error(`route ${method || 'any'} ${pattern} is registered twice`);
        }
        node.routes.set(method, { target, names });
        if (names.length === 0 && PLAIN.test(pattern)) this.#exact.set(pattern, node.routes);
    }

    /**
     * Returns { target, params }, or { allow } when only other methods fit ('GET, HEAD', or
     * '' where there are WebSockets only), or null.
     */
    find(method, path) {
        const routes = this.#exact.get(path);
        const exact = routes && pick(routes, method);
        if (exact) return { target: exact.target, params: NO_PARAMS };
        if (path[0] !== '/') return null; // OPTIONS *
        const search = { method, segments: path.slice(1).split('/').map(decode), values: [],
            found: null, allow: new Set(), isThere: false };
        if (visit(this.#root, 0, search)) return search.found;
        return search.isThere ? { allow: [...search.allow].sort().join(', ') } : null;
    }
}

/** Finds what serves a request's frame.  One that asks for a WebSocket may get a plain answer. */
function findRoute(router, { method, path, upgrade }) {
    const socket = upgrade === SOCKET ? router.find(SOCKET, path) : null;
    return socket?.target ? socket : router.find(method, path);
}

function accept(node, search) {
    if (!node.routes) return false;
    const route = pick(node.routes, search.method);
    if (!route) {
        search.isThere = true;
        for (const method of node.routes.keys()) if (method !== SOCKET) search.allow.add(method);
        if (node.routes.has('GET')) search.allow.add('HEAD');
        return false;
    }
    const params = { __proto__: null };
    route.names.forEach((name, at) => (params[name] = search.values[at]));
    search.found = { target: route.target, params };
    return true;
}

/* True when a route below `node` serves the segments from `at` on. */
function visit(node, at, search) {
    const { segments, values } = search;
    if (at === segments.length) {
        if (accept(node, search)) return true;
    } else {
        const segment = segments[at];
        const literal = node.literals.get(segment);
        if (literal && visit(literal, at + 1, search)) return true;
        if (node.param && segment !== '') {
            values.push(segment);
            if (visit(node.param, at + 1, search)) return true;
            values.pop();
        }
    }
    if (!node.rest) return false;
    values.push(segments.slice(at).join('/'));
    if (accept(node.rest, search)) return true;
    values.pop();
    return false;
}

module.exports = { Router, findRoute, ANY, SOCKET, NO_PARAMS };
