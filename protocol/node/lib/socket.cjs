/*
 * socket: WebSockets as handlers see them.
 *
 * nodey speaks the protocol with the client; here are whole messages only.  A socket is
 * accepted when it is first used, or when the handler has returned: until then the handler
 * can refuse it, as any other request.
 */
'use strict';

const { bytesOf } = require('./encode.cjs');
const { inspect } = require('./errors.cjs');
const exchanges = require('./exchanges.cjs');
const { addHints, SOCKET } = require('./hints.cjs');

const NORMAL = 1000;
const GOING_AWAY = 1001;
const VANISHED = 1006; // never sent: there was no close
const FAILED = 1011;
const MAX_REASON = 123; // bytes: RFC 6455, 5.5
const RESERVED = [1004, 1005, VANISHED];

function isCloseCode(code) {
    if (!Number.isInteger(code) || RESERVED.includes(code)) return false;
    return (code >= 1000 && code <= 1014) || (code >= 3000 && code <= 4999);
}

/* The first of the client's protocols that the route has. */
function chooseProtocol(offered, known) {
    const names = [offered ?? []].flat().join(',').split(',').map((name) => name.trim());
    return names.find((name) => known.includes(name));
}

function toMessage(data) {
    if (typeof data === 'string') return data;
    const bytes = bytesOf(data);
    if (bytes) return bytes;
    const advice = typeof data === 'object' && data !== null ? ': write send(JSON.stringify(value))' : '';
    throw new TypeError(`send: a message must be a string or bytes, not ${inspect(data)}${advice}`);
}

class Socket {
    #exchange;
    #call;
    #stage = 'new'; // 'open', 'closed'
    #waiting = []; // messages that nobody has taken
    #reader = null;
    #senders = [];
    #onmessage = null;
    #closed;
    #tellClosed;

    constructor(call, protocol) {
        this.protocol = protocol ?? '';
        this.onclose = null;
        this.#call = call;
        this.#closed = new Promise((resolve) => {
            this.#tellClosed = resolve;
        });
        const exchange = this.#exchange = call.exchange;
        exchange.onMessage = (data) => this.#take(data);
        exchange.onClose = (code, reason) => this.#end(code, reason, 'disconnect');
        exchange.onCancel = (reason) => this.#cancel(reason);
        exchange.onShutdown = () => this.close(GOING_AWAY, 'the server is going away');
        exchange.onDrain = () => this.#senders.splice(0).forEach((resolve) => resolve(true));
    }

    get isOpen() {
        return this.#stage === 'open';
    }

    /* What the handler has set keeps it open when the handler has returned. */
    get hasListener() {
        return this.#onmessage !== null || this.onclose !== null;
    }

    get closed() {
        return this.#closed;
    }

    accept() {
        if (this.#stage !== 'new') return;
        this.#stage = 'open';
        const headers = this.protocol === '' ? {} : { 'sec-websocket-protocol': this.protocol };
        this.#exchange.head({ status: 101, headers });
    }

    /** Resolves when there is room for more: true, or false when the socket is closed. */
    send(data) {
        const message = toMessage(data);
        this.accept();
        if (this.#stage === 'closed') return Promise.resolve(false);
        if (this.#exchange.message(message)) return Promise.resolve(true);
        return new Promise((resolve) => this.#senders.push(resolve));
    }

    close(code = NORMAL, reason = '') {
        if (!isCloseCode(code)) {
            throw new RangeError(`close: the code is ${inspect(code)}; it must be 1000 or 3000 to 4999`);
        }
        if (typeof reason !== 'string' || Buffer.byteLength(reason) > MAX_REASON) {
            throw new RangeError(`close: the reason must be a string of at most ${MAX_REASON} bytes`);
        }
        this.accept();
        if (this.#stage === 'closed') return;
        this.#exchange.close(code, reason);
        this.#end(code, reason, 'closed');
    }

    /* why: for the call's signal. */
    #end(code, reason, why) {
        if (this.#stage === 'closed') return;
        const wasOpen = this.#stage === 'open';
        this.#stage = 'closed';
        this.#senders.splice(0).forEach((resolve) => resolve(false));
        this.#reader?.(undefined);
        this.#tellClosed({ code, reason });
        if (why !== 'closed') this.#call.cancel(why);
        if (wasOpen) this.#guard(() => this.onclose?.({ code, reason }));
    }

    #cancel(reason) {
        this.#end(VANISHED, '', reason);
        if (this.#exchange.isBegun) this.#exchange.fail({ code: 'cancelled' });
    }

    /* ---- messages */

    #take(data) {
        if (this.#stage === 'closed') return;
        if (this.#onmessage) {
            this.#deliver(data);
        } else if (this.#reader) {
            this.#exchange.grant(Buffer.byteLength(data));
            this.#reader(data);
        } else {
            this.#waiting.push(data);
        }
    }

    /* The next message, or undefined when there will be none. */
    #next() {
        if (this.#waiting.length > 0) {
            const data = this.#waiting.shift();
            this.#exchange.grant(Buffer.byteLength(data));
            return Promise.resolve(data);
        }
        if (this.#stage === 'closed') return Promise.resolve(undefined);
        return new Promise((resolve) => {
            this.#reader = (data) => {
                this.#reader = null;
                resolve(data);
            };
        });
    }

    async *[Symbol.asyncIterator]() {
        this.accept();
        for (let data; (data = await this.#next()) !== undefined;) yield data;
    }

    get onmessage() {
        return this.#onmessage;
    }

    set onmessage(listener) {
        this.#onmessage = listener;
        if (!listener) return;
        this.accept();
        for (const data of this.#waiting.splice(0)) this.#deliver(data);
    }

    /* The client may send more when the listener is done with this one. */
    #deliver(data) {
        this.#guard(async () => {
            try {
                await this.#onmessage(data);
            } finally {
                this.#exchange.grant(Buffer.byteLength(data));
            }
        });
    }

    /* What a listener throws ends the socket, as what the handler throws does. */
    #guard(run) {
        new Promise((resolve) => resolve(run())).catch((error) => this.fail(error));
    }

}

addHints(Socket.prototype, 'socket', SOCKET);

/* The handler has returned: listeners go on, everything else has been said. */
async function afterHandler(socket) {
    socket.accept();
    if (socket.hasListener) await socket.closed;
    else socket.close();
}

/* Gives what refuses it, or undefined when it has come to its end. */
async function converse(socket, { handler }, { call, request, services }) {
    const refusal = await services.runBefore(call, request);
    if (refusal !== undefined || call.cancelled) return refusal;
    const value = await services.run(call, handler, socket, request);
    if (value !== undefined && !wasAccepted(call)) return value;
    await afterHandler(socket);
    return undefined;
}

function wasAccepted({ exchange }) {
    return exchange.isBegun || exchange.isEnded;
}

/* Without a last frame nodey would wait for one. */
function finish(call, services) {
    if (!wasAccepted(call)) call.exchange.fail({ code: 'cancelled' });
    services.close(call);
}

/**
 * services: { run(call, handler, ...inputs), runBefore(call, request), settle(call, value),
 * hold(call, promise, then, failed), fail(call, error), report(call, error), close(call) }.
 */
function serve(call, route, request, services) {
    call.exchange = exchanges.open(call.frame);
    const socket = new Socket(call, chooseProtocol(call.headers['sec-websocket-protocol'], route.protocols));
    socket.fail = (error) => {
        services.report(call, error);
        if (socket.isOpen) socket.close(FAILED, 'the handler failed');
    };
    services.hold(call, converse(socket, route, { call, request, services }), (refusal) => {
        if (refusal === undefined) finish(call, services);
        else services.settle(call, refusal);
    }, (error) => {
        if (!wasAccepted(call)) {
            services.fail(call, error);
            return;
        }
        socket.fail(error);
        services.close(call);
    });
}

module.exports = { serve };
