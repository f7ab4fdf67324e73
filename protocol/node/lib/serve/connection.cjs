/*
 * connection: what an http.Server takes for the socket of a client.
 *
 * It is kept alive: one request after the other goes through it, each with the Exchange
 * that the answer is written to.  What the server writes is read at once, so write()
 * returns false exactly when the supervisor has given no more credit, and 'drain' comes
 * with the credit.  After 101 it is a pipe to the client.
 */
'use strict';

const { Duplex } = require('node:stream');
const { AnswerReader } = require('./answer.cjs');
const { attempt } = require('./context.cjs');
const { isText, inBestForm } = require('./text.cjs');

const HIGH_WATER = 65536;
const CRLF = Buffer.from('\r\n');

const GOING_AWAY = Buffer.from([0x88, 2, 1001 >> 8, 1001 & 255]); // a WebSocket's close frame
const CLOSE_MS = 1000; // for the client to answer it

const NO_ANSWER = { code: 'internal', status: 502, message: 'the app closed the connection without an answer' };
const CUT_ANSWER = { code: 'internal', message: 'the app closed the connection before its answer was complete' };

/* A poll of socket.io, which is open until there is something to tell. */
function isPoll(frame) {
    return frame?.method === 'GET' && /(?:^|&)transport=polling(?:&|$)/.test(frame.query) && /(?:^|&)sid=/.test(frame.query);
}

/* What says that the session is over, and the client begins another one. */
function closeOf({ query }) {
    return /(?:^|&)EIO=3(?:&|$)/.test(query) ? '1:1' : '1';
}

class Connection extends Duplex {
    #reader = new AnswerReader(this);
    #exchange = null;
    #isChunked = false; // the request's body goes to the server in chunks
    #bodyDone = true;
    #ungranted = 0; // bytes of the body that the server has not read yet
    #isBlocked = false; // there is no credit
    #callbacks = []; // of what waits for credit
    #isText = false; // what the answer's type says
    #isEvents = false; // the answer is an event stream
    #isLeaving = false; // a close frame has been written
    #timer = null;
    #release;

    /** release(connection): it may be given the next request. */
    constructor(release) {
        super({ decodeStrings: false, highWaterMark: HIGH_WATER });
        this.#release = release;
        this.remoteAddress = undefined;
        this.encrypted = false;
        this.bytesRead = 0;
        this.bytesWritten = 0; // by which some see whether anybody has answered
        this._httpMessage = null; // the http.Server's: the answer under way
    }

    /* ---- what else a socket has */

    get remoteFamily() {
        return this.remoteAddress?.includes(':') ? 'IPv6' : 'IPv4';
    }

    get pending() {
        return false;
    }

    get connecting() {
        return false;
    }

    get readyState() {
        return this.destroyed ? 'closed' : 'open';
    }

    get timeout() {
        return this.#timer?.ms ?? 0;
    }

    address() {
        return { address: this.localAddress, family: 'IPv4', port: this.localPort };
    }

    setTimeout(ms, listener) {
        if (this.#timer) clearTimeout(this.#timer.handle);
        this.#timer = null;
        if (ms > 0) {
            const handle = setTimeout(() => this.emit('timeout'), ms).unref();
            this.#timer = { ms, handle };
            if (listener) this.once('timeout', listener);
        } else if (listener) {
            this.removeListener('timeout', listener);
        }
        return this;
    }

    setNoDelay() {
        return this;
    }

    setKeepAlive() {
        return this;
    }

    ref() {
        return this;
    }

    unref() {
        return this;
    }

    destroySoon() {
        if (this.writable) this.end();
        if (this.writableFinished) this.destroy();
        else this.once('finish', this.destroy);
    }

    /** The exchange of the request under way, or null. */
    get exchange() {
        return this.#exchange;
    }

    /* ---- a request */

    /** head: the request line and the fields, up to the empty line.  body: all of it, or null. */
    begin(exchange, head, body) {
        const { frame } = exchange;
        this.#exchange = exchange;
        this.remoteAddress = frame.ip;
        this.encrypted = frame.scheme === 'https';
        this.#reader.begin(frame.method);
        this.#isText = false;
        this.#isEvents = false;
        this.#isChunked = exchange.hasBody && frame.headers?.['content-length'] === undefined;
        this.#bodyDone = !exchange.hasBody && frame.upgrade === undefined;
        exchange.onCancel = () => this.destroy();
        exchange.onDrain = () => attempt(() => this.#onCredit());
        this.#push(head, body);
        if (!this.#bodyDone && !exchange.isEnded) this.#takeBody(exchange);
    }

    #push(head, body) {
        this.bytesRead += head.length;
        if (!body) {
            this.push(Buffer.from(head, 'latin1'));
            return;
        }
        const size = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
        const bytes = Buffer.allocUnsafe(head.length + size);
        this.bytesRead += size;
        bytes.latin1Write(head, 0);
        if (typeof body === 'string') bytes.utf8Write(body, head.length);
        else bytes.set(body, head.length);
        this.push(bytes);
    }

    #takeBody(exchange) {
        exchange.onBody = (bytes) => attempt(() => this.#onBody(bytes));
        exchange.onBodyEnd = (trailers) => attempt(() => this.#onBodyEnd(trailers));
    }

    #onBody(bytes) {
        if (this.destroyed || this.readableEnded) return;
        if (this.#isChunked) this.push(Buffer.from(`${bytes.length.toString(16)}\r\n`));
        this.push(bytes);
        if (this.#isChunked) this.push(CRLF);
        this.#ungranted += bytes.length;
        this.bytesRead += bytes.length;
        if (this.readableLength === 0) this._read();
        this.#timer?.handle.refresh();
    }

    #onBodyEnd(trailers) {
        if (this.destroyed || this.readableEnded) return;
        this.#bodyDone = true;
        if (this.#reader.isRaw || this.#exchange.frame.upgrade !== undefined) {
            this.push(null);
            return;
        }
        if (!this.#isChunked) return;
        let end = '0\r\n';
        for (const name in trailers) {
            for (const value of [trailers[name]].flat()) end += `${name}: ${value}\r\n`;
        }
        this.push(Buffer.from(`${end}\r\n`, 'latin1'));
    }

    /* The server has taken what was pushed. */
    _read() {
        const bytes = this.#ungranted;
        if (bytes === 0) return;
        this.#ungranted = 0;
        this.#exchange?.grant(bytes);
    }

    /*
     * The app's WebSocket library does the rest when the client has answered; one that does not
     * seems to have left.  Libraries write whole frames, so this one stands between two.
     */
    #closeSocket() {
        if (this.#isLeaving || this.destroyed) return;
        this.#isLeaving = true;
        if (this.#exchange?.frame.upgrade !== 'websocket' || this.writableEnded) {
            this.#hangUp();
            return;
        }
        this.write(GOING_AWAY);
        setTimeout(() => this.#hangUp(), CLOSE_MS);
    }

    #hangUp() {
        if (!this.readableEnded && !this.destroyed) this.push(null);
    }

    /** The process is to end: what would go on for ever ends, as if the client had left. */
    leave() {
        if (this.#reader.isRaw) {
            this.#closeSocket();
        } else if (this.#reader.isBefore && isPoll(this.#exchange?.frame)) {
            this.#exchange.head({ headers: { 'content-type': 'text/plain; charset=UTF-8', 'cache-control': 'no-store' } });
            this.#exchange.end(closeOf(this.#exchange.frame));
            this.destroy();
        } else if (this.#isEvents) {
            this.#exchange.end();
            this.destroy();
        }
    }

    /* ---- the answer: what the reader finds in it */

    onInfo(status, headers) {
        this.#exchange.info(status, headers);
    }

    onHead(head) {
        const type = head.headers['content-type'];
        this.#isText = isText(type);
        this.#isEvents = this.#isText && /^text\/event-stream\b/i.test(type);
        if (type === undefined && head.status !== 101) head.headers['content-type'] = []; // else one would be added
        this.#exchange.head(head);
        if (this.#reader.untilFinish) this._httpMessage?.once('finish', () => this.#reader.close());
    }

    onBody(piece) {
        if (!this.#exchange.write(inBestForm(piece, this.#isText))) this.#isBlocked = true;
    }

    onEnd(trailers) {
        const exchange = this.#exchange;
        exchange.end(undefined, trailers);
        this.#isBlocked = false; // what waits belongs to the exchange now
        const answer = this._httpMessage;
        if (answer) answer.once('finish', () => this.#finish(exchange));
        else if (!this.#reader.isRaw && !this.writableEnded) this.destroySoon(); // not the server's own writing
    }

    /* The server has done with the answer, and with the request if all of it is here. */
    #finish(exchange) {
        if (exchange !== this.#exchange) return;
        const isClean = this.#bodyDone && this.readableLength === 0;
        this.#exchange = null;
        this.#ungranted = 0;
        this.setTimeout(0); // res.setTimeout() was about this answer
        if (this.destroyed || this.writableEnded) return;
        if (isClean) this.#release(this);
        else this.destroy();
    }

    #onCredit() {
        if (!this.#isBlocked || this.destroyed) return;
        this.#isBlocked = false;
        for (const callback of this.#callbacks.splice(0)) callback();
        this.emit('drain');
    }

    /* ---- writing */

    #take(chunk, encoding) {
        if (!this.#exchange || this.#exchange.isEnded) return;
        this.#timer?.handle.refresh();
        this.bytesWritten += typeof chunk === 'string' ? Buffer.byteLength(chunk, encoding ?? 'utf8') : chunk.byteLength;
        try {
            this.#reader.take(chunk, encoding);
        } catch (error) {
            this.destroy(error);
        }
    }

    #whenAccepted(callback) {
        if (this.#isBlocked) this.#callbacks.push(callback);
        else process.nextTick(callback);
    }

    /*
     * Past the machinery of streams, which would hold the pieces of one answer apart: what
     * the server writes for a request is one line when it is read at once.
     */
    write(chunk, encoding, callback) {
        if (this.#reader.isRaw || this.destroyed || this.writableEnded) {
            return super.write(chunk, encoding, callback);
        }
        let [code, done] = [encoding, callback];
        if (typeof encoding === 'function') [code, done] = [undefined, encoding];
        this.#take(chunk, code);
        if (typeof done === 'function') this.#whenAccepted(done);
        return !this.#isBlocked;
    }

    get writableNeedDrain() {
        return this.#isBlocked || super.writableNeedDrain;
    }

    _write(chunk, encoding, callback) {
        this.#take(chunk, encoding);
        if (this.#isBlocked) this.#callbacks.push(callback);
        else callback();
    }

    _final(callback) {
        if (this.#exchange && !this.#exchange.isEnded && !this.#reader.close()) this.#giveUp();
        callback();
    }

    _destroy(error, callback) {
        this.setTimeout(0);
        const exchange = this.#exchange;
        if (exchange && !exchange.isEnded && (exchange.cancelled || !this.#reader.close())) this.#giveUp();
        this.#exchange = null;
        for (const waiting of this.#callbacks.splice(0)) process.nextTick(waiting, error);
        this.#release(this); // which drops it
        callback(error);
    }

    #giveUp() {
        this.#exchange.fail(this.#reader.isBefore ? NO_ANSWER : CUT_ANSWER);
    }
}

Object.assign(Connection.prototype, {
    localAddress: '127.0.0.1', localPort: 0, remotePort: 0, bufferSize: 0,
});

module.exports = { Connection };
