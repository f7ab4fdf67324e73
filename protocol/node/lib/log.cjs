/*
 * log: structured lines.  Under the supervisor they are frames, otherwise text on stderr.
 */
'use strict';

const wire = require('./wire.cjs');

const LEVELS = ['debug', 'info', 'warn', 'error'];

let framed = false; // not before `ready`, which is the first frame

/** From now on log lines are frames. */
function useFrames() {
    framed = true;
}

function isFramed() {
    return framed;
}

function toText(message) {
    if (typeof message === 'string') return message;
    if (message instanceof Error) return require('./errors.cjs').stackOf(message);
    return require('node:util').inspect(message);
}

function toFields(fields) {
    if (fields === undefined) return undefined;
    try {
        return JSON.stringify(fields);
    } catch {
        // A log line must not fail a request: show what JSON cannot hold as text.
        return JSON.stringify({ fields: require('node:util').inspect(fields) });
    }
}

/** call: the one that the line is about, or undefined. */
function write(level, message, fields, call) {
    const text = toText(message);
    const json = toFields(fields);
    if (!framed) {
        process.stderr.write(`${level}: ${text}${json === undefined ? '' : ` ${json}`}\n`);
        return;
    }
    let line = `{"type":"log","level":"${level}","message":${JSON.stringify(text)}`;
    if (call && call.id !== null) line += `,"id":${call.idText}`;
    if (json !== undefined) line += `,"fields":${json}`;
    wire.send(`${line}}\n`);
}

/** Returns { debug, info, warn, error }; findCall() gives the call to name, or undefined. */
function logger(findCall) {
    const log = {};
    for (const level of LEVELS) {
        log[level] = (message, fields) => write(level, message, fields, findCall());
    }
    return log;
}

/** What the SDK itself has to say to whoever reads the worker's stderr. */
function complain(text) {
    process.stderr.write(`nodey: ${text}\n`);
}

module.exports = { logger, write, useFrames, isFramed, complain };
