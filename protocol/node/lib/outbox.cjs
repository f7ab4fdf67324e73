/*
 * outbox: what goes to the bus, until the bus says that it is stored.
 *
 * A promise of a publish resolves when the message is durable.  So much and no more is under
 * way at a time; what is beyond it waits here, in order, for the worker must neither fill the
 * pipe until a write blocks its event loop nor hold any number of messages for a full disk.
 */
'use strict';

const asks = require('./ask.cjs');
const { NodeyError } = require('./errors.cjs');

const WINDOW = 4 * 1024 * 1024; // characters under way
const MOST = 64 * 1024 * 1024; // characters that wait to be stored

const waiting = new Map(); // by id, for its last frame

let underWay = 0; // characters
let total = 0; // with those that are held
let held = []; // entries that were not sent yet
let nextHeld = 0;
let onIdle = () => {};

/** idle() is called each time that all is stored, or given up. */
function whenIdle(idle) {
    onIdle = idle;
}

function transmit(entry) {
    entry.sent = true;
    underWay += entry.line.length;
    asks.transport().publish(entry);
}

function sendHeld() {
    while (nextHeld < held.length && underWay < WINDOW) {
        const entry = held[nextHeld];
        held[nextHeld++] = null;
        if (waiting.has(entry.id)) transmit(entry);
    }
    if (nextHeld < held.length) return;
    held = [];
    nextHeld = 0;
}

function take(id) {
    const entry = waiting.get(id);
    if (!entry) return null;
    waiting.delete(id);
    total -= entry.line.length;
    if (entry.sent) underWay -= entry.line.length;
    if (held.length > 0) sendHeld();
    if (waiting.size === 0) onIdle();
    return entry;
}

/* What went wrong in the store is no fault of whoever asked this worker for something. */
function statusOf(code) {
    if (code === 'invalid_argument') return 500;
    return code === 'resource_exhausted' ? 503 : undefined;
}

function errorOf(what, { code, message, status, data }) {
    return new NodeyError(code, `${what}: ${message ?? code}`, { data, status: status ?? statusOf(code) });
}

function tooMuch(what) {
    return errorOf(what, { code: 'resource_exhausted',
        message: `${MOST / 1048576} MiB of this worker wait to be stored already: await what you publish` });
}

/* content: the members of the frame behind its head. */
function lineOf(id, { type, call, content }) {
    const serving = call && call.id !== null && !call.ended ? `,"for":${call.idText}` : '';
    return `{"type":"${type}","id":${id}${type === 'publish' ? serving : ''},${content}}\n`;
}

/**
 * question: { type, content, what, call }: the frame's kind, its members as text, how to call it
 * towards people, and the call that it is sent for, if any.  Resolves with the `ack`.
 */
function send(question) {
    const { what, call, type } = question;
    return new Promise((resolve, reject) => {
        const id = asks.newId();
        const line = lineOf(id, question);
        if (total > MOST) throw tooMuch(what);
        const entry = { id, type, what, call, line, sent: false, resolve, reject };
        waiting.set(id, entry);
        total += line.length;
        if (underWay >= WINDOW) held.push(entry);
        else transmit(entry);
    });
}

/** An `ack` for one of ours. */
function acknowledge(frame) {
    take(frame.id)?.resolve(frame);
}

/** An `error` frame: false when it is not for one of ours. */
function refuse({ id, code = 'internal', message, status, data }) {
    const entry = take(id);
    entry?.reject(errorOf(entry.what, { code, message, status, data }));
    return entry !== null;
}

/** Nobody will say any more whether they are stored. */
function failAll(why) {
    held = [];
    nextHeld = 0;
    for (const [id, { sent }] of [...waiting]) {
        const doubt = sent ? 'whether it is stored is not known; with an id it can be published again without harm'
            : 'it is not stored';
        refuse({ id, code: 'unavailable', message: `${why}: ${doubt}` });
    }
}

module.exports = {
    send, acknowledge, refuse, failAll, whenIdle,
    get size() {
        return waiting.size;
    },
};
