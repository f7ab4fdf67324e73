/*
 * expected: a script that answers tokens or handles events, and starts a server of its own, sooner or later.
 *
 *     nodey.set({ Users: () => users });
 *     nodey.start();
 *     connect().then(() => app.listen(3000));
 *
 * Until it listens there is nobody for its requests, so that is waited for like an onStart
 * hook: the worker is ready with both, or, when it has to ask before, it lets requests wait.
 */
'use strict';

const fs = require('node:fs');
const log = require('../log.cjs');
const { sourceFiles } = require('../sources.cjs');

const WAIT_MS = 10000; // then it is a word in the source only, or for another server
const LISTENS = /\.listen\s*\(/;

let arrive = null; // ends the waiting

function mentionsListen(file) {
    try {
        return LISTENS.test(fs.readFileSync(file, 'utf8'));
    } catch {
        return false;
    }
}

/** Whether to wait for a server.  registry: what is registered now. */
function isExpected(registry) {
    if (!registry.isBesideServer) return false;
    // Without run.cjs nobody would take the server.
    return process.env.NODEY_RUNNER === String(process.pid) && sourceFiles().some(mentionsListen);
}

/** Resolves when the server listens, or when it has been waited for long enough. */
function wait() {
    return new Promise((resolve) => {
        const timer = setTimeout(giveUp, WAIT_MS);
        arrive = () => {
            clearTimeout(timer);
            resolve();
        };
    });
}

function giveUp() {
    log.complain(`the script has not come to its listen() in ${WAIT_MS / 1000} s: until it does, only its tokens and events are served`);
    hasCome();
}

/** The server listens. */
function hasCome() {
    const resolve = arrive;
    arrive = null;
    resolve?.();
}

function isAwaited() {
    return arrive !== null;
}

module.exports = { isExpected, wait, hasCome, isAwaited };
