/*
 * calls: finds the handler of a request or ask, runs it, and answers exactly once.
 *
 * A handler that returns a plain value is answered at once, without a promise; only
 * those that return a promise are open calls, which can be cancelled or outlive a drain.
 */
'use strict';

const { serving, askFor } = require('./ask.cjs');
const { Call, Request, Context } = require('./call.cjs');
const { responseLine, answerLine, errorLine } = require('./encode.cjs');
const { NodeyError, HTTPError, STATUS_OF_CODE } = require('./errors.cjs');
const { logger, complain } = require('./log.cjs');
const registry = require('./registry.cjs');
const wire = require('./wire.cjs');

const isDev = Boolean(process.env.NODEY_DEV);
const services = { askFor, logFor: (call) => logger(() => call) };

const open = new Map();
let maxLine = Number(process.env.NODEY_MAX_LINE) || 1048576;
let onIdle = () => {};

function setMaxLine(bytes) {
    maxLine = bytes;
}

/** idle() is called each time that the last open call has ended. */
function whenIdle(idle) {
    onIdle = idle;
}

function end(call, line) {
    if (call.ended) return;
    call.ended = true;
    wire.send(line);
    if (!call.isOpen) return;
    open.delete(call.key);
    if (open.size === 0) onIdle();
}

function wasCancelled(call, error) {
    return Boolean(call.cancelled) && (error?.name === 'AbortError' || error?.code === 'cancelled');
}

function describe(call, error) {
    if (wasCancelled(call, error)) return { code: 'cancelled', message: `${call.who} was cancelled` };
    const stack = isDev ? error?.stack : undefined;
    if (!(error instanceof NodeyError)) {
        const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
        return { code: 'internal', message, stack };
    }
    const { code, message, data } = error;
    const status = error.status === STATUS_OF_CODE[code] ? undefined : error.status;
    return { code, message, status, data, stack };
}

function encodeError(call, error) {
    const described = describe(call, error);
    try {
        return errorLine(call.idText, described);
    } catch {
        return errorLine(call.idText, { ...described, data: undefined });
    }
}

function fail(call, error) {
    if (call.ended) return;
    const isExpected = error instanceof NodeyError && error.status < 500;
    if (!isExpected && !wasCancelled(call, error)) {
        complain(`request ${call.idText} (${call.who}) failed: ${error?.stack ?? error}`);
    }
    end(call, encodeError(call, error));
}

function isTooLong(line) {
    return line.length * 3 > maxLine && Buffer.byteLength(line) > maxLine;
}

function finish(call, line) {
    if (isTooLong(line)) {
        const size = Buffer.byteLength(line);
        fail(call, new Error(`the answer to ${call.who} is a line of ${size} bytes; max_line is ${maxLine}`));
        return;
    }
    end(call, line);
}

function settle(call, value) {
    try {
        const line = call.encode(call.idText, value, call.who);
        if (typeof line === 'string') finish(call, line);
        else hold(call, line, (text) => finish(call, text));
    } catch (error) {
        fail(call, error);
    }
}

/* Keeps a call open until a promise settles. */
function hold(call, promise, then) {
    if (!call.isOpen) {
        call.isOpen = true;
        // A person may type an id twice, or none: both calls are open all the same.
        call.key = call.id === null || open.has(call.id) ? call : call.id;
        open.set(call.key, call);
    }
    promise.then(then, (error) => fail(call, error));
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

function methodNotAllowed(allow) {
    const problem = { type: 'about:blank', title: 'Method Not Allowed', status: 405 };
    return [405, problem, { allow, 'content-type': 'application/problem+json' }];
}

function findToken(token) {
    const handler = registry.tokens.get(token);
    if (handler) return handler;
    throw new NodeyError('unimplemented', `this worker has no token ${token}`);
}

/* What a token is given when it is asked over HTTP: the JSON body, else the query. */
function tokenInput(request) {
    return request.text() === '' ? request.query : request.json();
}

function serveToken(call, token) {
    let handler;
    let args;
    try {
        handler = findToken(token);
        args = tokenInput(new Request(call));
    } catch (error) {
        fail(call, error);
        return;
    }
    run(call, handler, args);
}

function serveRequest(frame, nowMs) {
    const { method, path, token } = frame;
    const call = new Call(frame, `${method} ${path}`, nowMs);
    call.encode = responseLine;
    if (token !== undefined) {
        serveToken(call, token);
        return;
    }
    const match = registry.router.find(method, path);
    if (match?.target) run(call, match.target, new Request(call, match.params));
    else if (match) settle(call, methodNotAllowed(match.allow));
    else fail(call, new HTTPError(404, `this worker has no route for ${call.who}`));
}

function serveAsk(frame, nowMs) {
    const call = new Call(frame, `token ${frame.token}`, nowMs);
    call.encode = answerLine;
    let handler;
    try {
        handler = findToken(frame.token);
    } catch (error) {
        fail(call, error);
        return;
    }
    run(call, handler, frame.args);
}

/* By hand: the process answers its own ask.  Values make the trip through JSON. */
async function serveOwnAsk(token, json) {
    const handler = registry.tokens.get(token);
    if (!handler) {
        const own = [...registry.tokens.keys()].join(', ') || 'none';
        throw new NodeyError('unavailable', `nobody answers ${token} here: without nodey a worker ` +
            `can only ask its own tokens (${own})`);
    }
    const call = new Call({ id: null, token }, `token ${token}`, Date.now());
    const args = json === undefined ? undefined : JSON.parse(json);
    const value = await serving.run(call, handler, args, new Context(call, services));
    return JSON.parse(answerLine('null', value, call.who)).value;
}

function cancel(id, reason) {
    open.get(id)?.cancel(reason);
}

function cancelAll(reason) {
    for (const call of open.values()) call.cancel(reason);
}

/** Answers every open call with an error: the process is about to end. */
function failAll(code, message, stack) {
    for (const call of [...open.values()]) {
        end(call, errorLine(call.idText, { code, message, stack: isDev ? stack : undefined }));
    }
}

module.exports = {
    open, serveRequest, serveAsk, serveOwnAsk, cancel, cancelAll, failAll, setMaxLine, whenIdle,
};
