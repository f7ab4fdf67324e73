/*
 * lines: the bytes of fd 0 to lines.
 *
 * Bytes are read into one buffer that is used again and again.  Lines are split as text,
 * many at once, except while request bodies are streamed: then the lines of `chunk` frames
 * are decoded where they lie, without ever being text.
 */
'use strict';

const LF = 10;
const ARENA_BYTES = 262144;
const LEAST_ROOM = 65536;

const LONG_LINE = 4096; // below this, a message is read as any other frame

const CHUNK = '{"type":"chunk","id":';
const MESSAGE = '{"type":"message","id":';
const BODY64 = ',"body64":"';
const BODY = ',"body":"';
const TAIL_BYTES = 2; // `"}`
const ID = /^\d{1,15}$/;
const LAST_DIGITS = [/^/, /[AEIMQUYcgkosw048]=$/, /[AQgw]==$/]; // of base64, by the padding behind them

class Lines {
    #arena = Buffer.allocUnsafeSlow(ARENA_BYTES);
    #start = 0; // of the line that is not complete yet
    #end = 0;
    #scanned = 0; // no LF before this
    #receivers;

    /**
     * receivers: { onLine(text), onChunk(id, bytes), onText(id, text), onBatch(), wantsChunks() }.
     * onText() is for long text messages, onBatch() is called after the last line of what was
     * read at once.
     */
    constructor(receivers) {
        this.#receivers = receivers;
    }

    /** Where to read to; the next call to filled() says how much was. */
    room() {
        if (this.#start === this.#end) this.#reset();
        if (this.#arena.length - this.#end < LEAST_ROOM) this.#makeRoom();
        return this.#arena.subarray(this.#end);
    }

    #reset() {
        if (this.#arena.length > ARENA_BYTES) this.#arena = Buffer.allocUnsafeSlow(ARENA_BYTES);
        this.#start = this.#end = this.#scanned = 0;
    }

    #makeRoom() {
        const size = this.#end - this.#start;
        const isBig = size + LEAST_ROOM > this.#arena.length;
        const arena = isBig ? Buffer.allocUnsafeSlow(2 * this.#arena.length) : this.#arena;
        this.#arena.copy(arena, 0, this.#start, this.#end);
        this.#arena = arena;
        this.#scanned -= this.#start;
        this.#start = 0;
        this.#end = size;
    }

    filled(size) {
        this.#end += size;
        const unread = this.#arena.subarray(this.#scanned, this.#end);
        const last = unread.lastIndexOf(LF);
        if (last < 0) {
            this.#scanned = this.#end;
            return;
        }
        const from = this.#start;
        const to = this.#scanned + last;
        // Before the lines are handed out: a receiver may throw.
        this.#start = this.#scanned = to + 1;
        if (this.#receivers.wantsChunks()) this.#takeBytes(from, to);
        else this.#takeText(from, to);
        this.#receivers.onBatch();
    }

    /** The same for bytes that were read elsewhere. */
    take(bytes) {
        for (let at = 0; at < bytes.length;) {
            const size = bytes.copy(this.room(), 0, at);
            at += size;
            this.filled(size);
        }
    }

    /** A last line without LF counts as a line: somebody typed it. */
    finish() {
        if (this.#start === this.#end) return;
        this.take(Buffer.from([LF]));
    }

    #takeText(from, to) {
        const { onLine } = this.#receivers;
        const text = this.#arena.utf8Slice(from, to);
        let start = 0;
        for (let end; (end = text.indexOf('\n', start)) >= 0; start = end + 1) {
            onLine(text.slice(start, end));
        }
        onLine(start === 0 ? text : text.slice(start));
    }

    #takeBytes(from, to) {
        const { onLine } = this.#receivers;
        const arena = this.#arena;
        for (let start = from; start <= to;) {
            const end = arena.indexOf(LF, start);
            if (!this.#takeChunk(start, end) && !this.#takeMessage(start, end)) onLine(arena.utf8Slice(start, end));
            start = end + 1;
        }
    }

    /* Whether the line is a `chunk` as nodey writes it; then it has been handed over. */
    #takeChunk(start, end) {
        const arena = this.#arena;
        const idAt = start + CHUNK.length;
        if (end < idAt || arena.latin1Slice(start, idAt) !== CHUNK) return false;
        const idEnd = arena.indexOf(0x2c, idAt);
        if (idEnd < 0 || idEnd > end) return false;
        const id = arena.latin1Slice(idAt, idEnd);
        const bytes = ID.test(id) ? chunkBytes(arena, idEnd, end - TAIL_BYTES) : null;
        if (!bytes) return false;
        this.#receivers.onChunk(Number(id), bytes);
        return true;
    }

    /* The same for a long `message` of text in which nothing is escaped. */
    #takeMessage(start, end) {
        const arena = this.#arena;
        const idAt = start + MESSAGE.length;
        if (end - start < LONG_LINE || arena.latin1Slice(start, idAt) !== MESSAGE) return false;
        const idEnd = arena.indexOf(0x2c, idAt);
        if (idEnd < 0 || idEnd > end) return false;
        const id = arena.latin1Slice(idAt, idEnd);
        const bytes = ID.test(id) ? plainText(arena, idEnd, end - TAIL_BYTES) : null;
        if (!bytes) return false;
        this.#receivers.onText(Number(id), bytes.utf8Slice(0, bytes.length));
        return true;
    }
}

/* The bytes of a `body` between `at` and `to` that stand there as they are, or null. */
function plainText(arena, at, to) {
    if (to < at || arena[to] !== 0x22 || arena[to + 1] !== 0x7d) return null;
    const from = at + BODY.length;
    if (from > to || arena.latin1Slice(at, from) !== BODY) return null;
    const text = arena.subarray(from, to);
    return text.includes(0x5c) || text.includes(0x22) ? null : text;
}

/* What stands between `at`, behind the id, and `to`, before `"}`; null when it is not plain. */
function chunkBytes(arena, at, to) {
    if (to < at || arena[to] !== 0x22 || arena[to + 1] !== 0x7d) return null;
    const from = at + BODY64.length;
    if (from <= to && arena.latin1Slice(at, from) === BODY64) return base64Bytes(arena, from, to);
    const text = plainText(arena, at, to);
    return text && Buffer.from(text);
}

/* Null when there is anything in it but base64: then fewer bytes come out than must. */
function base64Bytes(arena, from, to) {
    const length = to - from;
    if (length === 0 || length % 4 !== 0) return null;
    const padding = (arena[to - 1] === 0x3d) + (arena[to - 2] === 0x3d);
    if (!LAST_DIGITS[padding].test(arena.latin1Slice(to - 4, to))) return null;
    const bytes = Buffer.from(arena.latin1Slice(from, to), 'base64');
    return bytes.length === (length / 4) * 3 - padding ? bytes : null;
}

module.exports = { Lines };
