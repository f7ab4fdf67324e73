/*
 * through: loaded before a suite, it puts nodey between its clients and its servers.
 *
 * The suite is a worker of a nodey that is up.  A server of the suite that would listen on a
 * port of its own gets a number for one, as listen.cjs does it for any app.  A connection of
 * the suite to such a number goes to nodey's port, with one field more in each request that
 * says which server is meant; it is taken out of the frame again.  So each request travels
 * client -> TCP -> nodey -> frames -> adapter -> server.
 *
 * nodey judges X-Forwarded-*, and these suites test that the app does: it must believe the
 * client here, and its judgement of address and scheme is replaced by the connection's.
 */
'use strict';

const http = require('node:http');
const net = require('node:net');
const path = require('node:path');

const SDK = path.resolve(__dirname, '../../protocol/node/lib');
const FIELD = 'compat-server';
const FIRST_PORT = 10000; // those that a system gives to whoever asks for any are above
const REQUEST_ID = 'compat'; // nodey adds one to each answer: the same, as some tests compare answers
const REQUEST_LINE = /^[A-Z-]+ \S+ HTTP\/1\.[01]\r\n/;

const port = Number(process.env.COMPAT_PORT);
const life = require(path.join(SDK, 'life.cjs'));
const exchanges = require(path.join(SDK, 'exchanges.cjs'));
const registry = require(path.join(SDK, 'registry.cjs'));
const { injectorOf } = require(path.join(SDK, 'serve/index.cjs'));
const { pretend, refuse, wishOf } = require(path.join(SDK, 'serve/listen.cjs'));

const injectors = new Map(); // by the number of the server
let lastPort = FIRST_PORT;

/* ---- servers */

const { listen } = net.Server.prototype;

net.Server.prototype.listen = function (...args) {
    const wish = this instanceof http.Server && !this.listening ? wishOf(args) : null;
    if (!wish) return listen.apply(this, args);
    if (injectors.has(String(wish.port))) {
        refuse(this, wish);
        return this;
    }
    const injector = injectorOf(this);
    const number = ++lastPort;
    injectors.set(String(number), injector);
    pretend(this, { ...wish, port: number }, injector);
    return this;
};

registry.setApp({
    features: ['stream', 'upgrade'],
    serve(frame) {
        const number = frame.headers[FIELD];
        delete frame.headers[FIELD];
        delete frame.headers['x-request-id'];
        frame.ip = '127.0.0.1';
        delete frame.scheme;
        const injector = injectors.get(number);
        if (injector) injector.serve(frame);
        else exchanges.open(frame).fail({ code: 'internal', message: `no server of the suite has number ${number}` });
    },
});

/* ---- clients */

function mark(socket, number) {
    const { write } = socket;
    socket.write = function (chunk, ...rest) {
        const text = typeof chunk === 'string' ? chunk : Buffer.from(chunk ?? '').subarray(0, 4096).latin1Slice();
        const line = REQUEST_LINE.exec(text)?.[0];
        if (line === undefined) return write.call(this, chunk, ...rest);
        const marked = `${line}${FIELD}: ${number}\r\nx-request-id: ${REQUEST_ID}\r\n`;
        if (typeof chunk === 'string') return write.call(this, marked + chunk.slice(line.length), ...rest);
        return write.call(this, Buffer.concat([Buffer.from(marked), chunk.subarray(line.length)]), ...rest);
    };
}

const { connect } = net.Socket.prototype;

net.Socket.prototype.connect = function (...args) {
    const isNormal = Array.isArray(args[0]); // as net.connect() passes them on
    const first = isNormal ? args[0][0] : args[0];
    const wanted = String(typeof first === 'object' ? first.port : first);
    if (!injectors.has(wanted)) return connect.apply(this, args);
    const options = { ...(typeof first === 'object' ? first : {}), port, host: '127.0.0.1' };
    if (isNormal) args[0][0] = options;
    else args[0] = options;
    connect.apply(this, args);
    mark(this, wanted); // not before: connect() takes a write() that was put there away
    return this;
};

life.start().then(() => {
    setImmediate(() => {
        for (const handle of process._getActiveHandles()) {
            if (handle._handle?.fd === 0) handle.unref(); // the suite ends when its tests have
        }
    });
});
