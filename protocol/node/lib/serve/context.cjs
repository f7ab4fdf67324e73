/*
 * context: which request an app's code is running for, so that what it asks and logs is
 * told with that request.
 *
 * Node pays for this with every promise, so it is only done for apps that have loaded the
 * SDK's own interface; others cannot ask.
 */
'use strict';

const path = require('node:path');

const INTERFACE = path.resolve(__dirname, '../../index.cjs');

/* As much of a Call as ask and log look at. */
class Serving {
    constructor(exchange) {
        this.exchange = exchange;
        this.id = exchange.id;
        this.idText = exchange.idText;
        this.frame = exchange.frame;
    }

    get who() {
        return `${this.frame.method} ${this.frame.path}`;
    }

    get ended() {
        return this.exchange.isEnded;
    }
}

/**
 * Calls what may call the app.  What that throws is an uncaught exception, as with a server
 * of its own; but not here and now, where it would take the other lines of the pipe with it.
 */
function attempt(action, ...args) {
    try {
        action(...args);
    } catch (error) {
        process.nextTick(() => {
            throw error;
        });
    }
}

/** Calls action() for the request of an exchange, and returns what that returns. */
function run(exchange, action) {
    if (require.cache[INTERFACE] === undefined) return action();
    return require('../ask.cjs').serving.run(new Serving(exchange), action);
}

module.exports = { run, attempt };
