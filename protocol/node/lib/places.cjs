/*
 * places: where handlers were registered, for errors that have no line of the script.
 *
 * A handler that has returned is on no stack any more when its value turns out to be
 * nothing that can be sent.
 */
'use strict';

const { hasOwnFrames, isInnerFault, stackOf } = require('./errors.cjs');
const { findRoute } = require('./router.cjs');

const sites = new WeakMap(); // handler -> a stack from where it was registered

/** Called while a handler is registered.  The stack's text is made when it is looked at. */
function noteSite(handler) {
    const site = {};
    Error.captureStackTrace(site, noteSite);
    sites.set(handler, site);
}

/** The handler that serves a call, or undefined.  Looked up again: most calls never need it. */
function handlerOf({ frame, home }) {
    if (frame.token !== undefined) return home.tokens.get(frame.token);
    if (frame.type === 'event') return home.subscriptions?.find(frame)[0]?.handler;
    return findRoute(home.router, frame)?.target?.handler;
}

/* "FILE:LINE:COLUMN" of the script, or undefined. */
function placeOf(handler) {
    const site = handler && sites.get(handler);
    return site && /^ {4}at (?:.*\()?(.+?:\d+:\d+)\)?$/m.exec(stackOf(site))?.[1];
}

/** Adds the handler's place to an error whose stack has no line of the script. */
function giveStack(call, error) {
    if (!(error instanceof Error) || typeof error.stack !== 'string' || hasOwnFrames(error.stack)) return;
    const place = isInnerFault(error) ? undefined : placeOf(handlerOf(call));
    if (!place) return;
    try {
        error.stack += `\n    at handler of ${call.who} (${place})`;
    } catch {
        // frozen
    }
}

module.exports = { noteSite, handlerOf, giveStack };
