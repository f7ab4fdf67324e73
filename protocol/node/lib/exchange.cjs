/*
 * exchange: a request whose body, or whose answer, comes in pieces.
 *
 * The frames of one id find it by open(frame).  What is written beyond the credit that the
 * supervisor has given waits here, in order.  The head of an answer is held back until the
 * end of the turn: if the answer is complete by then, it leaves as one plain line.
 *
 * A cancelled exchange sends nothing but its last frame, which its owner still owes.
 */
'use strict';

const { errorLine } = require('./encode.cjs');
const { NodeyError, messageOf, stackOf } = require('./errors.cjs');
const exchanges = require('./exchanges.cjs');
const { sizeOf, cut, join, bodyMember, bytesOf, hasMembers } = require('./pieces.cjs');
const wire = require('./wire.cjs');

const { WINDOW, limits } = exchanges;
const ONE_LINE = 65536; // an answer up to this size needs no pieces
const SMALL = 8192; // pieces below this wait for others until the end of the turn
const MERGED = 16384; // how long they become together

const isDev = process.env.NODEY_DEV === '1';

// The stages of an answer.
const NEW = 0;
const HELD = 1; // the head is known, and no frame has told it
const STREAMING = 2;
const ENDED = 3;

/** A message of a WebSocket in the queue; it is never split. */
class Message {
    constructor(idText, data) {
        this.line = `{"type":"message","id":${idText}${messageMember(data)}}\n`;
        this.size = sizeOf(data);
    }
}

/* An empty message is one, too: unlike a chunk it must have its member. */
function messageMember(data) {
    if (data.length > 0) return bodyMember(data);
    return typeof data === 'string' ? ',"body":""' : ',"body64":""';
}

function nothing() {}

class Exchange {
    #key;
    #stage = NEW;
    #headText = '';
    #queue = [];
    #queued = 0; // bytes
    #isWaiting = false; // for the end of the turn
    #ending = null; // what goes into the last frame, behind all that is queued
    #credit = limits.window;
    #wasRefused = false; // a write has been told to wait
    #consumed = 0; // bytes of the request's body that no credit has gone back for
    #bodyEnded = true; // nothing of it comes any more
    #early = []; // of the body, before anybody listened
    #earlyEnd = null;
    #onBody = null;
    #onBodyEnd = null;

    constructor(frame) {
        this.frame = frame;
        this.id = frame.id;
        this.idText = typeof frame.id === 'number' ? String(frame.id) : JSON.stringify(frame.id);
        this.hasBody = frame.more === true;
        this.cancelled = false;
        // Set by the owner:
        this.onCancel = nothing;
        this.onDrain = nothing;
        this.onMessage = nothing;
        this.onClose = nothing;
        this.onShutdown = nothing;
        if (this.hasBody) this.#takeFirst();
    }

    get isEnded() {
        return this.#stage === ENDED;
    }

    /** Whether a frame has told the head of the answer. */
    get isBegun() {
        return this.#stage === STREAMING;
    }

    /** Whether all of the request's body is here. */
    get isBodyEnded() {
        return this.#bodyEnded;
    }

    /** Bytes that may be written before write() says false. */
    get credit() {
        return Math.max(0, this.#credit - this.#queued);
    }

    /* ---- the request's body */

    #expectBody(isExpected) {
        if (this.#bodyEnded !== isExpected) return;
        this.#bodyEnded = !isExpected;
        exchanges.countReceiving(isExpected ? 1 : -1);
    }

    #takeFirst() {
        const bytes = bytesOf(this.frame);
        if (bytes?.length > 0) this.#early.push(bytes);
    }

    /* What came before anybody listened is handed over first. */
    set onBody(listener) {
        this.#onBody = listener;
        for (const bytes of this.#early.splice(0)) this.#onBody(bytes);
        this.#tellEnd();
    }

    set onBodyEnd(listener) {
        this.#onBodyEnd = listener;
        this.#tellEnd();
    }

    #tellEnd() {
        if (!this.#earlyEnd || !this.#onBody || !this.#onBodyEnd) return;
        const { trailers } = this.#earlyEnd;
        this.#earlyEnd = null;
        this.#onBodyEnd(trailers);
    }

    takeChunk(bytes) {
        if (this.#bodyEnded || this.cancelled) return;
        if (this.#onBody) this.#onBody(bytes);
        else this.#early.push(bytes);
    }

    takeEnd(frame) {
        if (frame.code !== undefined) {
            this.#closeByPeer(frame);
            return;
        }
        if (this.#bodyEnded) return;
        const bytes = bytesOf(frame);
        if (bytes?.length > 0) this.takeChunk(bytes);
        this.#expectBody(false);
        this.#earlyEnd = { trailers: frame.trailers };
        this.#tellEnd();
    }

    /** The application has consumed so many bytes of the body (or of messages). */
    grant(bytes) {
        this.#consumed += bytes;
        if (this.#consumed * 2 < WINDOW) return;
        const given = this.#consumed;
        this.#consumed = 0;
        if (this.#bodyEnded || this.cancelled || this.#stage === ENDED) return; // nothing comes any more
        wire.send(`{"type":"credit","id":${this.idText},"bytes":${given}}\n`);
    }

    /* ---- the answer */

    /** Interim answers, before the head.  status: 102 to 199 but 101. */
    info(status, headers) {
        if (this.#stage !== NEW || this.cancelled) return;
        const fields = hasMembers(headers) ? `,"headers":${JSON.stringify(headers)}` : '';
        wire.send(`{"type":"info","id":${this.idText},"status":${status}${fields}}\n`);
    }

    /** Begins the answer.  first: its first piece, if there is one. */
    head({ status = 200, reason, headers }, first) {
        if (this.#stage !== NEW) return;
        let text = `{"id":${this.idText}`;
        if (status !== 200) text += `,"status":${status}`;
        if (reason !== undefined) text += `,"reason":${JSON.stringify(reason)}`;
        if (hasMembers(headers)) text += `,"headers":${JSON.stringify(headers)}`;
        this.#headText = text;
        this.#stage = HELD;
        if (first !== undefined && first.length > 0) this.#enqueue(first);
        if (status === 101) this.#expectBody(true); // from now on it is a connection
        if (status === 101 || this.#queued > ONE_LINE) this.flush();
        else this.#wait();
    }

    /* Until the end of the turn more may come that goes into the same frame. */
    #wait() {
        if (this.#isWaiting) return;
        this.#isWaiting = true;
        exchanges.hold(this);
    }

    #enqueue(piece) {
        const isDeferred = this.#stage === HELD || piece.length < SMALL;
        // Whoever wrote it may use its memory again.
        this.#queue.push(isDeferred && typeof piece !== 'string' ? Buffer.from(piece) : piece);
        this.#queued += sizeOf(piece);
    }

    /** Sends what waits for the end of the turn, the head included, as far as credit allows. */
    flush() {
        this.#isWaiting = false;
        if (this.#stage === HELD) this.#tellHead();
        this.#pump();
    }

    #tellHead() {
        this.#stage = STREAMING;
        if (this.cancelled) return;
        const part = this.#credit > 0 ? this.#take() : '';
        wire.send(`${this.#headText},"more":true${bodyMember(part)}}\n`);
    }

    /**
     * piece: a string or a Buffer.  False when some of it must wait for credit: then a Buffer
     * must not be changed before onDrain() tells that nothing waits any more.
     */
    write(piece) {
        if (this.#stage === ENDED || this.#ending !== null || this.cancelled || piece.length === 0) return true;
        this.#enqueue(piece);
        const limit = this.#stage === HELD ? ONE_LINE : SMALL;
        if (this.#queued >= limit) this.flush();
        else this.#wait();
        return this.#isAccepted();
    }

    #isAccepted() {
        if (this.#stage === ENDED || this.#queued === 0 || this.#queued <= this.#credit) return true;
        this.#wasRefused = true;
        return false;
    }

    /** The end of the answer, with a last piece if there is one. */
    end(piece, trailers) {
        if (this.#stage === ENDED || this.#ending !== null) return;
        if (this.cancelled) {
            this.#finish(errorLine(this.idText, { code: 'cancelled' }));
            return;
        }
        if (this.#stage === NEW) this.head({});
        const fields = hasMembers(trailers) ? `,"trailers":${JSON.stringify(trailers)}` : '';
        if (piece !== undefined && piece.length > 0) this.#enqueue(piece);
        const isShort = this.#stage === HELD && this.#queued <= ONE_LINE && fields === '';
        if (isShort && this.#endInOneLine()) return;
        this.#ending = fields;
        this.flush();
    }

    #endInOneLine() {
        const body = this.#queue.length === 0 ? '' : bodyMember(join(this.#queue));
        const line = `${this.#headText}${body}}\n`;
        if (line.length * 3 > limits.maxLine && Buffer.byteLength(line) > limits.maxLine) return false;
        this.#finish(line);
        return true;
    }

    /** Ends it with an error: an Error, or the members of the frame.  What waits is dropped. */
    fail(error) {
        if (this.#stage === ENDED) return;
        const described = error instanceof Error ? describe(error) : error;
        this.#finish(errorLine(this.idText, this.cancelled ? { code: 'cancelled' } : described));
    }

    /** Ends it with a line that answers it whole. */
    answer(line) {
        if (this.#stage !== ENDED) this.#finish(line);
    }

    /* Sends what credit allows. */
    #pump() {
        if (this.#stage !== STREAMING) return;
        while (this.#queue.length > 0 && this.#credit > 0) {
            if (!this.#sendNext()) return;
            if (this.#stage === ENDED) return;
        }
        if (this.#queue.length > 0) return;
        if (this.#ending !== null) {
            this.#finish(`{"type":"end","id":${this.idText}${this.#ending}}\n`);
        } else if (this.#wasRefused) {
            this.#wasRefused = false;
            this.onDrain();
        }
    }

    /* False when the credit that is left is less than one character. */
    #sendNext() {
        if (this.#queue[0] instanceof Message) {
            const message = this.#queue.shift();
            this.#spend(message.size);
            wire.send(message.line);
            return true;
        }
        const part = this.#take();
        if (part.length === 0) return false;
        if (this.#ending !== null && this.#queue.length === 0) {
            this.#finish(`{"type":"end","id":${this.idText}${this.#ending}${bodyMember(part)}}\n`);
        } else if (typeof part === 'string') {
            wire.send(`{"type":"chunk","id":${this.idText}${bodyMember(part)}}\n`);
        } else {
            wire.sendChunk(this.idText, part);
        }
        return true;
    }

    /* The next piece, as much of it as one frame and the credit can hold. */
    #take() {
        this.#gather();
        const next = this.#queue[0];
        if (next === undefined) return '';
        const { part, size, rest } = cut(next, Math.min(limits.chunk, this.#credit));
        if (rest === null) this.#queue.shift();
        else this.#queue[0] = rest;
        this.#spend(size);
        return part;
    }

    /* Small pieces of one kind at the front of the queue become one. */
    #gather() {
        const queue = this.#queue;
        if (queue.length < 2) return;
        let [count, length] = [0, 0];
        while (count < queue.length && typeof queue[count] === typeof queue[0] && queue[count].length < SMALL &&
            length < MERGED) length += queue[count++].length;
        if (count > 1) queue.splice(0, count, join(queue.slice(0, count)));
    }

    #spend(size) {
        this.#credit -= size;
        this.#queued -= size;
    }

    takeCredit(bytes) {
        if (!(bytes > 0)) return;
        this.#credit += bytes;
        this.#pump();
    }

    /* ---- WebSockets */

    /** A whole message: text or bytes.  False, and onDrain(), as for write(). */
    message(data) {
        if (this.#stage !== STREAMING || this.#ending !== null || this.cancelled) return true;
        if (this.#sendText(data)) return true;
        const message = new Message(this.idText, data);
        if (message.line.length * 3 > limits.maxLine && Buffer.byteLength(message.line) > limits.maxLine) {
            throw new RangeError(`a message of ${message.size} bytes does not fit one line of ${limits.maxLine} bytes`);
        }
        this.#queue.push(message);
        this.#queued += message.size;
        this.#pump();
        return this.#isAccepted();
    }

    /* Past the queue, if it may leave now and is text of the kind that needs no line first. */
    #sendText(data) {
        if (typeof data !== 'string' || this.#queue.length > 0 || !(this.#credit > 0)) return false;
        const size = sizeOf(data);
        if (!wire.sendText(this.idText, data, size)) return false;
        this.#credit -= size;
        return true;
    }

    /** Closes a WebSocket, behind the messages that wait. */
    close(code = 1000, reason = '') {
        if (this.#stage !== STREAMING || this.#ending !== null) return;
        const text = reason === '' ? '' : `,"reason":${JSON.stringify(reason)}`;
        this.#ending = `,"code":${code}${text}`;
        this.#pump();
    }

    takeMessage(data, isBinary) {
        this.onMessage(data, isBinary);
    }

    /* Whoever closes first waits for nobody: the answer to it is the last frame. */
    #closeByPeer({ code, reason = '' }) {
        this.#expectBody(false);
        this.#drop();
        this.onClose(code, reason);
        if (this.#stage === STREAMING) this.#finish(`{"type":"end","id":${this.idText},"code":${code}}\n`);
    }

    /* ---- the end */

    takeCancel(reason) {
        if (this.cancelled || this.#stage === ENDED) return;
        this.cancelled = reason || 'cancelled';
        this.#drop();
        this.#early = [];
        this.onCancel(this.cancelled);
        if (this.#ending !== null && this.#stage !== ENDED) this.#finish(errorLine(this.idText, { code: 'cancelled' }));
    }

    #drop() {
        this.#queue = [];
        this.#queued = 0;
    }

    #finish(line) {
        this.#expectBody(false);
        this.#stage = ENDED;
        this.#drop();
        this.#early = [];
        wire.send(line);
        exchanges.remove(this.#key);
    }

    /** From now on the frames of its id come here. */
    register() {
        this.#key = exchanges.add(this);
        if (this.hasBody) this.#expectBody(true);
        return this;
    }
}

function describe(error) {
    const stack = isDev ? stackOf(error) : undefined;
    if (!(error instanceof NodeyError)) return { code: 'internal', message: messageOf(error), stack };
    const { code, status, message, data } = error;
    return { code, status, message, data, stack };
}

module.exports = { Exchange, open: exchanges.open };
