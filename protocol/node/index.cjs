/* nodey: the SDK for workers in Node.  See README.md and index.d.ts. */
'use strict';

require('./lib/stdio.cjs'); // first: from here on nothing else can write into the protocol

const { ask, serving } = require('./lib/ask.cjs');
const { Reply, toJson } = require('./lib/encode.cjs');
const { NodeyError, HTTPError, Retry, Dead, inspect } = require('./lib/errors.cjs');
const { addHints, NODEY } = require('./lib/hints.cjs');
const life = require('./lib/life.cjs');
const { logger } = require('./lib/log.cjs');
const registry = require('./lib/registry.cjs');

const METHODS = ['get', 'post', 'put', 'patch', 'delete', 'head', 'options'];
const VERBS = ['all', 'route', 'ws', 'set', 'token', 'ask', 'publish', 'enqueue', 'seek', 'on', 'job', 'start', 'serve'];
const REDIRECTS = [301, 302, 303, 307, 308];

/** All instances speak for the one worker that this process is. */
class Nodey {
    route(methods, path, options, handler) {
        // One argument fewer: there were no options.
        const [settings, run] = arguments.length < 4 ? [{}, options] : [options, handler];
        for (const method of [methods].flat()) {
            if (typeof method !== 'string') {
                throw new TypeError(`route: the method must be a string, not ${inspect(method)}`);
            }
            registry.addRoute(method.toUpperCase(), path, settings, run);
        }
        return this;
    }

    all(path, ...rest) {
        return this.route('', path, ...rest);
    }

    ws(path, options, handler) {
        const [settings, run] = arguments.length < 3 ? [{}, options] : [options, handler];
        registry.addSocket(path, settings, run);
        return this;
    }

    set(tokens) {
        if (typeof tokens !== 'object' || tokens === null) {
            throw new TypeError(`set: write set({ Token: (args) => value }), not set(${inspect(tokens)})`);
        }
        for (const [name, handler] of Object.entries(tokens)) registry.addToken(name, handler);
        return this;
    }

    token(name, handler) {
        registry.addToken(name, handler);
        return this;
    }

    ask(token, args, options) {
        return ask(token, args, options);
    }

    publish(topic, data, options) {
        return require('./lib/publish.cjs').publish(topic, data, options);
    }

    enqueue(queue, data, options) {
        return require('./lib/publish.cjs').enqueue(queue, data, options);
    }

    seek(group, to) {
        return require('./lib/publish.cjs').seek(group, to);
    }

    on(pattern, handler, options) {
        registry.addEvents(pattern, handler, options);
        return this;
    }

    job(queue, handler, options) {
        registry.addJob(queue, handler, options);
        return this;
    }

    start(options) {
        return life.start(options);
    }

    serve(app, options) {
        return require('./lib/serve/index.cjs').serve(app, options);
    }
}

for (const method of METHODS) {
    Nodey.prototype[method] = function (path, ...rest) {
        return this.route(method, path, ...rest);
    };
}

for (const kind of registry.HOOKS) {
    Nodey.prototype[kind] = function (hook) {
        registry.addHook(kind, hook);
        return this;
    };
}

addHints(Nodey.prototype, 'nodey', NODEY);

/* ---- answers */

function response(value, init) {
    return new Reply(value, init);
}

/* Headers that were given win over the type that a helper stands for. */
function typed(value, type, init = {}) {
    const reply = new Reply(value, init);
    reply.headers['content-type'] ??= type;
    return reply;
}

function text(value, init) {
    return typed(String(value), 'text/plain; charset=utf-8', init);
}

function html(value, init) {
    return typed(String(value), 'text/html; charset=utf-8', init);
}

function json(value, init) {
    const isPlain = typeof value === 'object' && value !== null && !ArrayBuffer.isView(value);
    // Text and bytes would be sent as they are.
    return typed(isPlain ? value : toJson(value, 'json()'), 'application/json', init);
}

function redirect(url, status = 302) {
    if (!REDIRECTS.includes(status)) {
        throw new RangeError(`redirect: the status is ${inspect(status)}; it must be one of ${REDIRECTS.join(', ')}`);
    }
    // What a browser's address bar takes; a header takes ASCII only.
    const location = String(url).replace(/[^\x21-\x7e]+/g, encodeURIComponent);
    return new Reply('', { status, headers: { location } });
}

function file(path, options) {
    return require('./lib/files.cjs').file(path, options);
}

function sse(source, init) {
    return require('./lib/sse.cjs').sse(source, init);
}

const nodey = new Nodey();

// Own, bound properties: `const { get, ask } = require('nodey')` works.
for (const name of [...METHODS, ...registry.HOOKS, ...VERBS]) {
    nodey[name] = nodey[name].bind(nodey);
}

module.exports = Object.assign(nodey, {
    Nodey,
    NodeyError,
    HTTPError,
    Error: NodeyError,
    Retry,
    Dead,
    response,
    text,
    html,
    json,
    redirect,
    file,
    sse,
    log: logger(() => serving.getStore()),
    default: nodey, // what TypeScript makes of `import nodey` without esModuleInterop
});
