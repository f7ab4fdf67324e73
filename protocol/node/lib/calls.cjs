/*
 * calls: finds the handler of a request or ask, runs it, and answers exactly once.
 *
 * A handler that returns a plain value is answered at once, without a promise; only
 * those that return a promise are open calls, which can be cancelled or outlive a drain.
 */
'use strict';

const { serving, askFor } = require('./ask.cjs');
const { Reply, toReply, responseLine, answerLine, errorLine } = require('./encode.cjs');
const exchanges = require('./exchanges.cjs');
const {
    NodeyError, HTTPError, STATUS_OF_CODE, codeOfStatus, clientStatusOf, refusal, stackOf, messageOf,
} = require('./errors.cjs');
const log = require('./log.cjs');
const { handlerOf, giveStack } = require('./places.cjs');
const registry = require('./registry.cjs');
const { findRoute } = require('./router.cjs');
const wire = require('./wire.cjs');

const LONGEST_LINE = 16 * 1024 * 1024; // that max_line can be set to

const isDev = process.env.NODEY_DEV === '1';
const dev = isDev ? require('./dev.cjs') : null;
const services = { askFor, logFor: (call) => log.logger(() => call), sendInfo };

const open = new Map();
let Call = null; // these are loaded with the first line, after `ready`
let Context = null;
let Request = null;
let onIdle = () => {};

function loadCall() {
    ({ Call, Context } = require('./call.cjs'));
}

function setMaxLine(bytes) {
    if (!Call) loadCall();
    Call.prototype.maxLine = bytes;
}

/** idle() is called each time that the last open call has ended. */
function whenIdle(idle) {
    onIdle = idle;
}

function newCall(frame, who, nowMs, home) {
    if (!Call) loadCall();
    return new Call(frame, who, nowMs, home);
}

function newRequest(call, params) {
    Request ??= require('./request.cjs').Request;
    return new Request(call, params);
}

/* Answers with one line, the last of this call. */
function end(call, line) {
    if (call.ended) return;
    if (call.exchange) call.exchange.answer(line);
    else if (!call.isSilent) wire.send(line);
    close(call);
}

function close(call) {
    if (call.ended) return;
    call.ended = true;
    if (!call.isOpen) return;
    open.delete(call.key);
    if (open.size === 0) onIdle();
}

/* An interim answer, while there is somebody to hear it. */
function sendInfo(call, status, headers) {
    if (call.encode !== responseLine || call.ended || call.cancelled || call.exchange?.isBegun) return;
    wire.send(`{"type":"info","id":${call.idText},"status":${status},"headers":${JSON.stringify(headers)}}\n`);
}

/* ---- failures */

function wasCancelled(call, error) {
    return Boolean(call.cancelled) && (error?.name === 'AbortError' || error?.code === 'cancelled');
}

/* The status goes without saying when it is the code's own. */
function withStatus(code, status, rest) {
    return { code, status: status === STATUS_OF_CODE[code] ? undefined : status, ...rest };
}

function describe(call, error) {
    if (wasCancelled(call, error)) return { code: 'cancelled', message: `${call.who} was cancelled` };
    const stack = isDev ? stackOf(error) : undefined;
    if (!(error instanceof NodeyError)) {
        const given = clientStatusOf(error);
        if (given === undefined) return { code: 'internal', message: messageOf(error), stack };
        return withStatus(codeOfStatus(given), given, { message: error.message, stack });
    }
    const { code, status, message, data } = error;
    return withStatus(code, status, { message, data, stack });
}

/* An error frame carries no headers, so this is a response (RFC 9457). */
function problemLine(call, { status, message, code, data, headers }) {
    const title = require('node:http').STATUS_CODES[status] ?? `status ${status}`;
    const problem = { type: 'about:blank', title, status, detail: message, code, data };
    const merged = { 'content-type': 'application/problem+json', ...headers };
    return responseLine(call.idText, new Reply(problem, { status, headers: merged }), call);
}

function encodeError(call, error) {
    const described = describe(call, error);
    try {
        const hasHeaders = error instanceof HTTPError && error.headers && call.encode === responseLine;
        return hasHeaders && !call.exchange?.isBegun ? problemLine(call, error) : errorLine(call.idText, described);
    } catch {
        return errorLine(call.idText, { ...described, data: undefined });
    }
}

/** One record with all there is to know: what was asked for, its id, the stack. */
function logFailure(call, error) {
    const supervised = log.isFramed() ? '' : `request ${call.idText}: `;
    log.write('error', `${supervised}${call.who} failed: ${stackOf(error)}`, undefined, call);
}

/* Tells of an error that no client is to hear of. */
function report(call, error) {
    const isExpected = error instanceof NodeyError ? error.status < 500 : clientStatusOf(error) !== undefined;
    if (!isExpected) giveStack(call, error);
    if (call.home.fake) call.home.fake.failed(call, error);
    else if (!isExpected && !wasCancelled(call, error)) logFailure(call, error);
}

function fail(call, error) {
    if (call.ended) return;
    report(call, error);
    end(call, encodeError(call, error));
}

/* ---- results */

function isTooLong(call, line) {
    return line.length * 3 > call.maxLine && Buffer.byteLength(line) > call.maxLine;
}

function tooLong(call, line) {
    const size = Buffer.byteLength(line);
    const more = call.maxLine < LONGEST_LINE ? ` (max_line, which can be raised to ${LONGEST_LINE})` : '';
    const error = new RangeError(`${call.who}: the answer is a line of ${size} bytes, and an answer must fit ` +
        `one line of ${call.maxLine} bytes${more}`);
    return refusal(error);
}

/* value: what the line was made of. */
function finish(call, line, value) {
    if (!isTooLong(call, line)) end(call, line);
    else if (call.encode === responseLine) hold(call, Promise.resolve(toReply(value, call)), (reply) => sendPieces(call, reply));
    else fail(call, tooLong(call, line));
}

function sendPieces(call, reply) {
    hold(call, require('./stream.cjs').send(call, reply), (line) => {
        if (line === undefined) close(call);
        else end(call, line);
    });
}

function checkAnswer(call, value) {
    if (call.encode === responseLine && call.frame.token === undefined) dev.checkAnswer(call, handlerOf(call), value);
}

function settleEncoded(call, encoded, value) {
    if (typeof encoded === 'string') finish(call, encoded, value);
    else sendPieces(call, encoded);
}

function settle(call, value) {
    try {
        if (dev && !call.home.isHooked) checkAnswer(call, value);
        const encoded = call.encode(call.idText, value, call);
        if (isThenable(encoded)) hold(call, encoded, (whole) => settleEncoded(call, whole, value));
        else settleEncoded(call, encoded, value);
    } catch (error) {
        fail(call, error);
    }
}

/* Keeps a call open until a promise settles. */
function hold(call, promise, then, failed = (error) => fail(call, error)) {
    if (!call.isOpen) {
        call.isOpen = true;
        // A person may type an id twice, or none: both calls are open all the same.
        call.key = call.id === null || open.has(call.id) ? call : call.id;
        open.set(call.key, call);
    }
    promise.then(then, failed);
}

function isThenable(value) {
    return typeof value === 'object' && value !== null && typeof value.then === 'function';
}

function run(call, handler, input) {
    let result;
    try {
        result = serving.run(call, handler, input, new Context(call, services));
    } catch (error) {
        fail(call, error);
        return;
    }
    if (isThenable(result)) hold(call, Promise.resolve(result), (value) => settle(call, value));
    else settle(call, result);
}

/* What a hook returns, if one does, is the answer. */
async function runBeforeHooks(call, request, context) {
    for (const hook of call.home.before) {
        const value = await hook(request, context);
        if (value !== undefined) return value;
    }
    return undefined;
}

/* The handler with the hooks around it. */
async function runHooks(call, request, handler, input, context) {
    let value = await runBeforeHooks(call, request, context);
    if (value === undefined) {
        value = await handler(input, context);
        if (dev) checkAnswer(call, value);
    }
    if (call.home.after.length === 0) return value;
    const reply = await toReply(value, call);
    try {
        return await runAfterHooks(call, request, reply, context);
    } catch (error) {
        require('./stream.cjs').discard(reply.value); // it may hold a file
        throw error;
    }
}

async function runAfterHooks(call, request, first, context) {
    let reply = first;
    for (const hook of call.home.after) {
        reply.status ??= reply.value === undefined ? 204 : 200; // a hook wants to know
        const other = await hook(request, reply, context);
        // A hook may have put anything into the headers: they are looked at once more.
        reply = await toReply(other === undefined ? new Reply(reply.value, reply) : other, call);
    }
    return reply;
}

/* input: what the handler is given: the request or, for a token, its arguments. */
function runRequest(call, request, handler, input) {
    if (!call.home.isHooked) {
        run(call, handler, input);
        return;
    }
    run(call, (_, context) => runHooks(call, request, handler, input, context));
}

/* ---- requests and asks */

function methodNotAllowed(call, allow) {
    const message = `${call.who}: this path takes ${allow}`;
    return new HTTPError(405, message, { headers: { allow } });
}

function findToken({ home }, token) {
    const handler = home.tokens.get(token);
    if (handler) return handler;
    const own = [...home.tokens.keys()].slice(0, 20).join(', ') || 'none';
    throw new NodeyError('unimplemented', `this worker has no token ${token} (it has: ${own})`);
}

/*
 * What a token is given when it is asked over HTTP: the JSON body, else the query, with the
 * values of the route's `:name` parts put in.
 */
function tokenInput(request) {
    const input = request.text() === '' ? request.query : request.json();
    const isObject = typeof input === 'object' && input !== null && !Array.isArray(input);
    const hasParams = Object.keys(request.params).length > 0;
    return isObject && hasParams ? { ...input, ...request.params } : input;
}

function serveToken(call, token) {
    try {
        const handler = findToken(call, token);
        const request = newRequest(call);
        runRequest(call, request, handler, tokenInput(request));
    } catch (error) {
        fail(call, error);
    }
}

/* Runs what needs all of the request's body. */
function whenWhole(call, serve) {
    if (call.frame.more !== true) {
        serve();
        return;
    }
    call.exchange = exchanges.open(call.frame);
    hold(call, require('./upload.cjs').collect(call.exchange), (bytes) => {
        call.bytes = bytes;
        serve();
    });
}

function serveStreamed(call, { target, params }) {
    if (call.frame.more === true) call.exchange = exchanges.open(call.frame);
    const request = new (require('./upload.cjs').StreamRequest)(call, params);
    runRequest(call, request, target.handler, request);
}

function serveRoute(call, { target, params }) {
    if (target.isStreamed) {
        serveStreamed(call, { target, params });
        return;
    }
    const request = newRequest(call, params);
    if (target.isSocket) {
        require('./socket.cjs').serve(call, target, request, socketServices);
    } else {
        whenWhole(call, () => runRequest(call, request, target.handler, request));
    }
}

const socketServices = {
    run: (call, handler, ...inputs) => serving.run(call, handler, ...inputs, new Context(call, services)),
    runBefore: (call, request) => serving.run(call, runBeforeHooks, call, request, new Context(call, services)),
    settle, hold, fail, report, close,
};

function notFound(call, match) {
    if (!match) return new HTTPError(404, `this worker has no route for ${call.who}`);
    if (match.allow !== '') return methodNotAllowed(call, match.allow);
    return new HTTPError(426, `${call.who}: this path takes WebSockets`, { headers: { upgrade: 'websocket' } });
}

/** home: the registry that serves it. */
function serveRequest(frame, nowMs, home = registry.current) {
    const { method, path, token } = frame;
    const match = token === undefined ? findRoute(home.router, frame) : null;
    if (home.app && token === undefined && !match?.target) {
        home.app.serve(frame, nowMs);
        return;
    }
    const call = newCall(frame, `${method} ${path}`, nowMs, home);
    call.encode = responseLine;
    if (token !== undefined) whenWhole(call, () => serveToken(call, token));
    else if (match?.target) serveRoute(call, match);
    else fail(call, notFound(call, match));
}

function serveAsk(frame, nowMs, home = registry.current) {
    const call = newCall(frame, `token ${frame.token}`, nowMs, home);
    call.encode = answerLine;
    let handler;
    try {
        handler = findToken(call, frame.token);
    } catch (error) {
        fail(call, error);
        return;
    }
    run(call, handler, frame.args);
}

/**
 * Without a supervisor the process answers its own ask.  Values make the trip through
 * JSON.
 */
async function serveOwnAsk(token, json, home = registry.current) {
    const handler = home.tokens.get(token);
    if (!handler) {
        const own = [...home.tokens.keys()].join(', ') || 'none';
        throw new NodeyError('unavailable', `nobody answers ${token} here: without nodey a worker ` +
            `can only ask its own tokens (${own})`);
    }
    const call = newCall({ id: null, token }, `token ${token}`, Date.now(), home);
    const args = json === undefined ? undefined : JSON.parse(json);
    const value = await serving.run(call, handler, args, new Context(call, services));
    return JSON.parse(answerLine('null', value, call)).value;
}

function cancel(id, reason) {
    open.get(id)?.cancel(reason);
}

function cancelAll(reason) {
    for (const call of open.values()) call.cancel(reason);
}

/** Answers every open call with an error: the process is about to end. */
function failAll(code, message) {
    for (const call of [...open.values()]) end(call, errorLine(call.idText, { code, message }));
}

module.exports = {
    open, serveRequest, serveAsk, serveOwnAsk, cancel, cancelAll, failAll, setMaxLine, whenIdle, hold, end, services,
};
