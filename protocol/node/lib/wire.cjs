/*
 * wire: whole lines out, whole lines in.
 *
 * Lines of one turn of the event loop leave in one write, at the turn's end: wake-ups
 * cost more than bytes.  The write is synchronous.  It is cheaper than a socket's,
 * memory stays bounded, and it blocks only while the supervisor, which always reads, is
 * behind by a whole pipe.
 */
'use strict';

const fs = require('node:fs');
const { output } = require('./stdio.cjs');

const RETRY_MS = 1;
const LF = 10;

let waiting = ''; // lines that no write has seen yet
let stuck = null; // bytes that a full pipe refused: only when somebody made it non-blocking
let scheduled = false;
let exiting = false;
let redirected = null;

/* Returns what a full non-blocking pipe did not take, else null. */
function writeSome(bytes) {
    let done = 0;
    try {
        while (done < bytes.length) done += fs.writeSync(output, bytes, done);
        return null;
    } catch (error) {
        if (error.code === 'EAGAIN') return bytes.subarray(done);
        if (error.code !== 'EPIPE') throw error;
        // Nobody is left to hear an answer, or a complaint.
        if (!exiting) process.exit(0);
        return null;
    }
}

/** Writes out what `send` has collected. */
function flush() {
    scheduled = false;
    if (stuck) {
        stuck = writeSome(stuck);
    }
    if (!stuck && waiting !== '') {
        const bytes = Buffer.from(waiting);
        waiting = '';
        stuck = writeSome(bytes);
    }
    if (stuck && !exiting) {
        scheduled = true;
        setTimeout(flush, RETRY_MS);
    }
}

/** Takes one line, LF included. */
function send(line) {
    if (redirected) {
        redirected(line);
        return;
    }
    waiting += line;
    if (exiting) {
        flushAll();
    } else if (!scheduled) {
        scheduled = true;
        setImmediate(flush);
    }
}

/** From now on lines go to take(line): to a prompt, or to a test. */
function redirect(take) {
    redirected = take;
}

function sleep(ms) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/* process.exit() cuts off whatever an asynchronous write still holds: none is used. */
function flushAll() {
    flush();
    while (stuck) {
        sleep(RETRY_MS);
        flush();
    }
}

process.on('exit', () => {
    exiting = true;
    flushAll();
});

/**
 * Returns a function that takes chunks and calls onLine(text) for each line, without
 * its LF, and onBatch() after the last line of a chunk.
 */
function splitter(onLine, onBatch) {
    let parts = []; // the pieces of a line that is not complete yet

    function takeText(bytes, size) {
        if (parts.length === 0) return bytes.toString('utf8', 0, size);
        parts.push(bytes.subarray(0, size));
        const text = Buffer.concat(parts).toString('utf8');
        parts = [];
        return text;
    }

    return (bytes) => {
        // Split bytes, not text: a chunk may end within a character.
        const last = bytes.lastIndexOf(LF);
        if (last < 0) {
            parts.push(bytes);
            return;
        }
        const text = takeText(bytes, last);
        if (last + 1 < bytes.length) parts.push(bytes.subarray(last + 1));
        let start = 0;
        for (let end; (end = text.indexOf('\n', start)) >= 0; start = end + 1) {
            onLine(text.slice(start, end));
        }
        onLine(start === 0 ? text : text.slice(start));
        onBatch();
    };
}

function openInput() {
    const net = require('node:net');
    try {
        return new net.Socket({ fd: 0, readable: true, writable: false });
    } catch (error) {
        if (error.code !== 'ERR_INVALID_FD_TYPE') throw error;
        return process.stdin; // a file or a terminal
    }
}

/**
 * Reads fd 0 until its end.  A last line without LF counts as a line: somebody typed it.
 */
function read({ onLine, onBatch, onEnd }) {
    const take = splitter(onLine, onBatch);
    const input = openInput();
    let ended = false;
    function end() {
        if (ended) return;
        ended = true;
        take(Buffer.from('\n'));
        onEnd();
    }
    input.on('data', take);
    input.on('end', end);
    input.on('error', end); // as good as an end: nothing more will come
    input.on('close', end);
}

module.exports = { send, flush, redirect, read, splitter };
