/*
 * exchanges: which of them are open, and the frames that come for them.
 *
 * Most workers never have one: the class is loaded with the first.
 */
'use strict';

const wire = require('./wire.cjs');

const WINDOW = 262144; // bytes of a request's body that may be on their way, as `ready` declares
const CHUNK = 65536; // bytes in one frame of a stream
const FRAME = 256; // about what goes around them

// What `hello` says of the other direction; these hold until it has come.
const limits = { window: 262144, chunk: CHUNK, maxLine: Number(process.env.NODEY_MAX_LINE) || 1048576 };

const open = new Map();
let Exchange = null;
let receiving = 0; // those that `chunk` frames come for
let holding = []; // those that have something for the end of the turn
let onIdle = () => {};

/** A new one, for the frame of a request. */
function openExchange(frame) {
    Exchange ??= require('./exchange.cjs').Exchange;
    return new Exchange(frame).register();
}

/** Gives the key that remove() takes. */
function add(exchange) {
    // A person may type an id twice, or none: both are open all the same.
    const key = exchange.id === null || open.has(exchange.id) ? exchange : exchange.id;
    open.set(key, exchange);
    return key;
}

function remove(key) {
    open.delete(key);
    if (open.size === 0) onIdle();
}

/** idle() is called each time that the last one has ended. */
function whenIdle(idle) {
    onIdle = idle;
}

/** Has an exchange flushed at the end of the turn. */
function hold(exchange) {
    if (holding.push(exchange) === 1) wire.schedule();
}

function flushHeld() {
    const held = holding;
    holding = [];
    for (const exchange of held) exchange.flush();
    return holding.length > 0; // somebody has used the room that there was
}

wire.whenFlushed(flushHeld);

/* A piece takes twice its size at most. */
function chunkWithin(maxLine, chunk = CHUNK) {
    return Math.max(1, Math.min(CHUNK, chunk, Math.floor((maxLine - FRAME) / 2)));
}

/** limits of `hello`: what a worker may send. */
function setLimits({ window, chunk, max_line: maxLine }) {
    if (window > 0) limits.window = window;
    if (maxLine > 0) limits.maxLine = maxLine;
    limits.chunk = chunkWithin(limits.maxLine, chunk);
}

setLimits({});

/* ---- frames.  Those of an exchange that has ended are no fault, and nothing happens. */

const receivers = {
    __proto__: null,
    chunk: (frame) => open.get(frame.id)?.takeChunk(bytesOf(frame)),
    end: (frame) => open.get(frame.id)?.takeEnd(frame),
    credit: ({ id, bytes }) => open.get(id)?.takeCredit(bytes),
    message: ({ id, body, body64 }) =>
        open.get(id)?.takeMessage(body64 === undefined ? body : Buffer.from(body64, 'base64'), body64 !== undefined),
};

function bytesOf({ body, body64 }) {
    return body64 === undefined ? Buffer.from(body) : Buffer.from(body64, 'base64');
}

/** bytes: what a chunk holds; they are the exchange's from now on. */
function takeChunk(id, bytes) {
    open.get(id)?.takeChunk(bytes);
}

/** text: a message. */
function takeText(id, text) {
    open.get(id)?.takeMessage(text, false);
}

function countReceiving(step) {
    receiving += step;
}

/** Whether `chunk` frames are to be expected. */
function wantsChunks() {
    return receiving > 0;
}

function cancel(id, reason) {
    open.get(id)?.takeCancel(reason);
}

function cancelAll(reason) {
    for (const exchange of [...open.values()]) exchange.takeCancel(reason);
}

/** The worker is to end: whoever goes on for long should stop. */
function shutdownAll() {
    for (const exchange of [...open.values()]) exchange.onShutdown();
}

/** The process is about to end. */
function failAll(code, message) {
    for (const exchange of [...open.values()]) exchange.fail({ code, message });
}

module.exports = {
    WINDOW, limits, receivers, open: openExchange, add, remove, hold, whenIdle, setLimits, countReceiving, wantsChunks,
    takeChunk, takeText, cancel, cancelAll, shutdownAll, failAll,
    get size() {
        return open.size;
    },
};
