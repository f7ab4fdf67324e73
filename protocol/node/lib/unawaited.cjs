/*
 * unawaited: an ask that failed, and nobody was there to be told.
 *
 * Node ends a process for a rejection that nobody handles.  One forgotten `await` would
 * so fail the requests of everybody else; it is logged instead.  What was not rejected by
 * an ask stays Node's affair, and so does a script that fails before it serves anything, or
 * before the server that it goes on to start.
 * Loaded with the first ask that fails.
 */
'use strict';

const { stackOf } = require('./errors.cjs');
const log = require('./log.cjs');
const { giveStack } = require('./places.cjs');
const registry = require('./registry.cjs');
const { isAwaited } = require('./serve/expected.cjs');
const { mode } = require('./stdio.cjs');

const failed = new WeakMap(); // error -> { token, call }

function onRejection(reason) {
    if (process.listenerCount('unhandledRejection') > 1) return; // the script decides
    const ask = typeof reason === 'object' && reason !== null ? failed.get(reason) : undefined;
    if (ask && !registry.current.isEmpty && !isAwaited()) {
        if (ask.call) giveStack(ask.call, reason);
        const text = `an ask of "${ask.token}" failed and nobody awaited it: ${stackOf(reason)}`;
        log.write('error', text, undefined, ask.call);
        return;
    }
    // Once more without us: then Node does as it does, whatever it was started with.
    process.removeListener('unhandledRejection', onRejection);
    Promise.reject(reason);
    setImmediate(listen);
}

function listen() {
    if (!process.listeners('unhandledRejection').includes(onRejection)) process.on('unhandledRejection', onRejection);
}

/** call: the one that it was asked for, or undefined. */
function note(error, token, call) {
    if (typeof error !== 'object' || error === null) return;
    if (mode === 'supervised' || mode === 'hand') listen();
    failed.set(error, { token, call });
}

module.exports = { note };
