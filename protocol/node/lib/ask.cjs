/*
 * ask: questions to whoever has a token, here or in another worker.
 *
 * Every ask completes once: answered, failed, timed out or given up.  What it is asked
 * for (`for`, from which the supervisor derives the time left and the depth) is known
 * across awaits from AsyncLocalStorage.  That costs about 0.2 us per async handler and
 * nothing per sync one, which is less than a wrong deadline is worth.
 *
 * An error from elsewhere has no place in the script.  It gets one where it is handed over:
 * after an `await` the engine knows who awaits in turn, so that only failures pay for it.
 */
'use strict';

const { AsyncLocalStorage } = require('node:async_hooks');
const { NodeyError, inspect, hasOwnFrames } = require('./errors.cjs');
const { toJson } = require('./encode.cjs');
const { mode } = require('./stdio.cjs');

const MAX_LISTED = 20;
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

const isDev = process.env.NODEY_DEV === '1';

const serving = new AsyncLocalStorage(); // the Call whose handler is running
const waiting = new Map();
const placeless = new WeakSet(); // errors that were made here, for what came through the pipe
let nextId = 1;
let known = []; // the tokens that the supervisor told of

/*
 * deliver({ id, call, token, json, line }) takes an ask away; giveUp(id) takes it back.
 * publish({ id, type, line, call, ... }) takes an entry of the outbox away.
 */
let transport = {
    deliver({ id }) {
        const why = 'this thread or process is not a worker: only the main thread can ask';
        fail(id, new NodeyError('unavailable', why));
    },
    giveUp() {},
    publish({ id }) {
        const message = mode === 'alone' ? "nothing takes it in this process; in a test say first  testBus()  of 'nodey/testing'"
            : 'this thread or process is not a worker: only the main thread can publish';
        setImmediate(() => require('./outbox.cjs').refuse({ id, code: 'unavailable', message }));
    },
};

/** For whatever this worker starts and expects an answer to. */
function newId() {
    return nextId++;
}

function setTransport(other) {
    transport = other;
}

function take(id) {
    const entry = waiting.get(id);
    if (!entry) return null;
    waiting.delete(id);
    clearTimeout(entry.timer);
    entry.signal?.removeEventListener('abort', entry.onAbort);
    return entry;
}

function answer(id, value) {
    take(id)?.resolve(value);
}

/** tokens: what can be asked, as `hello` lists it. */
function setKnown(tokens) {
    known = tokens.filter((token) => typeof token === 'string');
}

/** An `error` frame for an ask of ours. */
function refuse({ id, code = 'internal', message, status, data }) {
    const isUnknown = code === 'unimplemented' && known.length > 0 && !known.includes(waiting.get(id)?.token);
    const list = known.slice(0, MAX_LISTED).join(', ') + (known.length > MAX_LISTED ? ', ...' : '');
    const told = isUnknown ? `${message ?? code}; what can be asked: ${list}` : message;
    const given = Number.isInteger(status) && status >= 400 && status <= 599 ? status : undefined;
    failHere(id, new NodeyError(code, told, { data, status: given }));
}

function fail(id, error) {
    take(id)?.reject(error);
}

function failHere(id, error) {
    placeless.add(error);
    fail(id, error);
}

/** Nobody will answer any more. */
function failAll(message) {
    for (const id of [...waiting.keys()]) failHere(id, new NodeyError('unavailable', message));
}

function giveUp(id, error) {
    transport.giveUp(id);
    failHere(id, error);
}

function abortError(token, { reason }) {
    const code = reason?.name === 'TimeoutError' ? 'deadline_exceeded' : 'cancelled';
    return new NodeyError(code, `ask ${token} was given up`, { cause: reason });
}

function watch(id, entry, { timeout, signal }) {
    const { token } = entry;
    if (timeout !== undefined) {
        const error = () => new NodeyError('deadline_exceeded', `ask ${token}: no answer in ${timeout} ms`);
        entry.timer = setTimeout(() => giveUp(id, error()), timeout);
    }
    if (signal) {
        entry.signal = signal;
        entry.onAbort = () => giveUp(id, abortError(token, signal));
        signal.addEventListener('abort', entry.onAbort);
    }
}

function checkOptions(token, { timeout, signal }) {
    if (typeof token !== 'string' || token === '') {
        throw new TypeError(`ask: the token is ${inspect(token)}; it must be a string with a name in it`);
    }
    if (timeout !== undefined && !(timeout > 0 && timeout <= MAX_TIMEOUT_MS)) {
        throw new RangeError(`ask ${token}: timeout is ${inspect(timeout)}; it must be 1 to ${MAX_TIMEOUT_MS} ms`);
    }
    if (signal?.aborted) throw abortError(token, signal);
}

function askLine(id, call, token, json, timeout) {
    let line = `{"type":"ask","id":${id}`;
    if (call && call.id !== null && !call.ended) line += `,"for":${call.idText}`;
    line += `,"token":${JSON.stringify(token)}`;
    if (timeout !== undefined) line += `,"timeout":${Math.ceil(timeout)}`;
    if (json !== undefined) line += `,"args":${json}`;
    return `${line}}\n`;
}

function send(call, token, args, options) {
    checkOptions(token, options);
    const json = args === undefined ? undefined : toJson(args, `ask ${token}`);
    const id = newId();
    return new Promise((resolve, reject) => {
        const entry = { token, resolve, reject };
        waiting.set(id, entry);
        watch(id, entry, options);
        transport.deliver({ id, call, token, json, line: askLine(id, call, token, json, options.timeout) });
    });
}

/* site: where it was asked, for an error that nobody awaits, or not in a way that the engine knows. */
function giveStack(error, site) {
    if (!placeless.delete(error)) return;
    Error.captureStackTrace(error);
    if (!site || hasOwnFrames(error.stack)) return;
    const frames = site.stack.slice(site.stack.indexOf('\n    at '));
    error.stack = `${error.name}: ${error.message}${frames}`;
}

/** Asks for a call that this worker serves, or for none. */
async function askFor(call, token, args, options = {}) {
    const site = isDev ? new Error() : null;
    try {
        return await send(call, token, args, options);
    } catch (error) {
        giveStack(error, site);
        require('./unawaited.cjs').note(error, `an ask of "${token}"`, call);
        throw error;
    }
}

function ask(token, args, options) {
    return askFor(serving.getStore(), token, args, options);
}

module.exports = {
    ask, askFor, answer, refuse, fail, failAll, setKnown, serving, setTransport, newId,
    transport: () => transport,
};
