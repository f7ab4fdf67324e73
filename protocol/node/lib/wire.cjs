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
const { Lines } = require('./lines.cjs');
const { output } = require('./stdio.cjs');

const RETRY_MS = 1;
const CHUNK_TAIL = '"}\n';
const SMALL_CHUNK = 4096; // below this, lines are collected as any others
const BIG_LINE = 16384; // of characters; from here on a line is not collected, either
const MOST_WAITING = 1048576; // of characters, in one turn
const SCRATCH_BYTES = 98304; // the line of a chunk of 64 KiB
const TEXT_AT = 64; // where the text of a message begins in it: heads are shorter

let waiting = ''; // lines that no write has seen yet
let stuck = []; // bytes that a full pipe refused: only when somebody made it non-blocking
let scheduled = false;
let exiting = false;
let redirected = null;
let onFlush = () => false;
let scratch = null; // where a line becomes bytes
let words = null; // the same

const encoder = new TextEncoder();

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

/* The bytes are written, or copied: their owner may use them again. */
function put(bytes) {
    if (stuck.length > 0) {
        stuck.push(Buffer.from(bytes));
        return;
    }
    const rest = writeSome(bytes);
    if (rest) stuck.push(Buffer.from(rest));
}

function putWaiting() {
    if (waiting === '') return;
    const text = waiting;
    waiting = '';
    putText(text);
}

function openScratch() {
    if (!scratch) {
        scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
        words = new Int32Array(scratch.buffer);
    }
    return scratch;
}

/*
 * Text by way of the same buffer again and again: the kernel clears every page of a new one.
 * A cut may go through a pair of surrogates; encodeInto() reads none of it then.
 */
function putText(text) {
    const room = openScratch();
    for (let rest = text; rest !== '';) {
        const { read, written } = encoder.encodeInto(rest, room);
        put(room.subarray(0, written));
        rest = rest.slice(read);
    }
}

/** Writes out what has been collected. */
function flush() {
    const isMore = onFlush(); // what it sends is part of this
    scheduled = false;
    const refused = stuck;
    stuck = [];
    refused.forEach(put);
    putWaiting();
    if (stuck.length > 0 && !exiting) {
        scheduled = true;
        setTimeout(flush, RETRY_MS);
    } else if (isMore) {
        schedule();
    }
}

/** flushed() is called before each write at the end of a turn; it gives whether there is more for the next one. */
function whenFlushed(flushed) {
    onFlush = flushed;
}

/** Has a flush at the end of this turn. */
function schedule() {
    if (scheduled) return;
    scheduled = true;
    setImmediate(flush);
}

/** Takes one line, LF included. */
function send(line) {
    if (redirected) {
        redirected(line);
        return;
    }
    waiting += line;
    if (line.length >= BIG_LINE || waiting.length >= MOST_WAITING) putWaiting();
    if (exiting) flushAll();
    else if (waiting !== '' || stuck.length > 0) schedule();
}

/*
 * Sends a `chunk` of bytes.  A big one is written at once, from a buffer that is used again
 * and again: collecting such lines would copy each of them three times.
 */
function sendChunk(idText, bytes) {
    const head = `{"type":"chunk","id":${idText},"body64":"`;
    const size = Math.ceil(bytes.length / 3) * 4 + head.length + CHUNK_TAIL.length;
    if (redirected || bytes.length < SMALL_CHUNK || size > SCRATCH_BYTES) {
        send(head + bytes.base64Slice(0, bytes.length) + CHUNK_TAIL);
        return;
    }
    putWaiting();
    const room = openScratch();
    let end = room.latin1Write(head, 0);
    end += room.latin1Write(bytes.base64Slice(0, bytes.length), end);
    end += room.latin1Write(CHUNK_TAIL, end);
    put(room.subarray(0, end));
    if (stuck.length > 0) schedule();
}

/* Whether four bytes at a time of UTF-8 need no escape: no control character, quote or backslash. */
function isPlain(from, to) {
    let marks = 0;
    for (let at = from >> 2; at < to >> 2; at++) {
        const four = words[at];
        const quotes = four ^ 0x22222222;
        const backslashes = four ^ 0x5c5c5c5c;
        marks |= ((four - 0x20202020) & ~four) | ((quotes - 0x01010101) & ~quotes) |
            ((backslashes - 0x01010101) & ~backslashes);
    }
    return (marks & 0x80808080) === 0;
}

/*
 * Sends a `message` of long text at once, if that is text as it stands in JSON: to look for
 * what it would have to escape costs JSON.stringify several times as long.  False when it is
 * not sent.  size: bytes of the text.
 */
function sendText(idText, text, size) {
    const head = `{"type":"message","id":${idText},"body":"`;
    if (redirected || size < BIG_LINE || size > SCRATCH_BYTES - 2 * TEXT_AT || head.length > TEXT_AT) return false;
    putWaiting();
    const room = openScratch();
    const end = TEXT_AT + room.utf8Write(text, TEXT_AT);
    if (!isPlain(TEXT_AT, end + room.latin1Write('xxx', end))) return false;
    const from = TEXT_AT - head.length;
    room.latin1Write(head, from);
    put(room.subarray(from, end + room.latin1Write(CHUNK_TAIL, end)));
    if (stuck.length > 0) schedule();
    return true;
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
    while (stuck.length > 0) {
        sleep(RETRY_MS);
        flush();
    }
}

process.on('exit', () => {
    exiting = true;
    flushAll();
});

/* Reads into `lines`; a file or a terminal cannot be read so. */
function openInput(lines) {
    const net = require('node:net');
    const onread = {
        buffer: () => lines.room(),
        callback(size) {
            lines.filled(size);
            return true;
        },
    };
    try {
        return new net.Socket({ fd: 0, readable: true, writable: false, onread }).resume();
    } catch (error) {
        if (error.code !== 'ERR_INVALID_FD_TYPE') throw error;
        return process.stdin.on('data', (bytes) => lines.take(bytes));
    }
}

/** Reads fd 0 until its end.  receivers: those of Lines, and onEnd(). */
function read({ onEnd, ...receivers }) {
    const lines = new Lines(receivers);
    const input = openInput(lines);
    let ended = false;
    function end() {
        if (ended) return;
        ended = true;
        lines.finish();
        onEnd();
    }
    input.on('end', end);
    input.on('error', end); // as good as an end: nothing more will come
    input.on('close', end);
}

module.exports = { send, sendChunk, sendText, flush, schedule, whenFlushed, redirect, read };
