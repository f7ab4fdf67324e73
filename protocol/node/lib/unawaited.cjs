/*
 * unawaited: an ask or a publish that failed, and nobody was there to be told.
 *
 * Node ends a process for a rejection that nobody handles.  One forgotten `await` would
 * so fail the requests of everybody else; it is logged instead.  What was not rejected by
 * one of these stays Node's affair, and so does a script that fails before it serves anything, or
 * before the server that it goes on to start.
 * Loaded with the first one that fails.
 */
'use strict';

const { stackOf } = require('./errors.cjs');
const log = require('./log.cjs');
const { giveStack } = require('./places.cjs');
const registry = require('./registry.cjs');
const { isAwaited } = require('./serve/expected.cjs');
const { mode } = require('./stdio.cjs');

const failed = new WeakMap(); // error -> { what, call }

function onRejection(reason) {
    if (process.listenerCount('unhandledRejection') > 1) return; // the script decides
    const found = typeof reason === 'object' && reason !== null ? failed.get(reason) : undefined;
    if (found && !registry.current.isEmpty && !isAwaited()) {
        if (found.call) giveStack(found.call, reason);
        log.write('error', `${found.what} failed and nobody awaited it: ${stackOf(reason)}`, undefined, found.call);
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

/** what: how to call it.  call: the one that it was for, or undefined. */
function note(error, what, call) {
    if (typeof error !== 'object' || error === null) return;
    if (mode === 'supervised' || mode === 'hand') listen();
    failed.set(error, { what, call });
}

module.exports = { note };
