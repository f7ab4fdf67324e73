/* nodey: the SDK for workers in Node.  See README.md and index.d.ts. */
'use strict';

require('./lib/stdio.cjs'); // first: from here on nothing else can write into the protocol

const { ask, serving } = require('./lib/ask.cjs');
const { Reply } = require('./lib/encode.cjs');
const { NodeyError, HTTPError } = require('./lib/errors.cjs');
const life = require('./lib/life.cjs');
const { logger } = require('./lib/log.cjs');
const registry = require('./lib/registry.cjs');

const METHODS = ['get', 'post', 'put', 'patch', 'delete', 'head', 'options'];

/** All instances speak for the one worker that this process is. */
class Nodey {
    route(methods, path, options, handler) {
        const [settings, run] = handler === undefined ? [{}, options] : [options, handler];
        for (const method of [methods].flat()) {
            registry.addRoute(method.toUpperCase(), path, settings, run);
        }
        return this;
    }

    all(path, options, handler) {
        return this.route('', path, options, handler);
    }

    set(tokens) {
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

    start(options) {
        return life.start(options);
    }
}

for (const method of METHODS) {
    Nodey.prototype[method] = function (path, options, handler) {
        return this.route(method, path, options, handler);
    };
}

/** A value with a status and headers, where returning the value alone is not enough. */
function response(value, init) {
    return new Reply(value, init);
}

const nodey = new Nodey();

// Own, bound properties: `const { get, ask } = require('nodey')` works.
for (const name of [...METHODS, 'all', 'route', 'set', 'token', 'ask', 'start']) {
    nodey[name] = nodey[name].bind(nodey);
}

module.exports = Object.assign(nodey, {
    Nodey,
    NodeyError,
    HTTPError,
    response,
    log: logger(() => serving.getStore()),
    default: nodey, // what TypeScript makes of `import nodey` without esModuleInterop
});
