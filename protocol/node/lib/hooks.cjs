/* hooks: what a script wants done when its worker starts and stops. */
'use strict';

const { NodeyError, inspect, stackOf, messageOf } = require('./errors.cjs');
const log = require('./log.cjs');

function nameOf(kind, hook) {
    return hook.name ? `${kind} ${hook.name}` : `an ${kind} hook`;
}

/** In order; the first failure is the end.  Rejects with a NodeyError that has its stack. */
async function runStart({ onStart }) {
    for (const hook of onStart) {
        try {
            await hook();
        } catch (cause) {
            const said = cause instanceof NodeyError ? cause.message : messageOf(cause);
            const error = new NodeyError('failed_precondition', `${nameOf('onStart', hook)} failed: ${said}`);
            error.stack = `${error.message}\n${cause instanceof Error ? stackOf(cause) : inspect(cause)}`;
            throw error;
        }
    }
}

/** The last one first.  One that fails is logged and keeps no other from running. */
async function runStop({ onStop }) {
    for (const hook of onStop) {
        try {
            await hook();
        } catch (error) {
            log.write('error', `${nameOf('onStop', hook)} failed: ${stackOf(error)}`);
        }
    }
}

module.exports = { runStart, runStop };
