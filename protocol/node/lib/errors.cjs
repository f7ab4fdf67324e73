/* errors: what a handler throws on purpose, and what a rejected `ask` carries. */
'use strict';

const STATUS_OF_CODE = {
    __proto__: null,
    invalid_argument: 400,
    unauthenticated: 401,
    permission_denied: 403,
    not_found: 404,
    already_exists: 409,
    aborted: 409,
    failed_precondition: 412,
    resource_exhausted: 429,
    cancelled: 499,
    internal: 500,
    unimplemented: 501,
    unavailable: 503,
    deadline_exceeded: 504,
};

const SDK = __dirname.slice(0, -'lib'.length);

// What an exception says may be as long as a request; a line may not.
const MAX_MESSAGE = 4000;
const MAX_STACK = 32000;

const CODE_OF_STATUS = { __proto__: null };
for (const [code, status] of Object.entries(STATUS_OF_CODE)) CODE_OF_STATUS[status] = code;

function codeOfStatus(status) {
    return CODE_OF_STATUS[status] ?? (status < 500 ? 'invalid_argument' : 'internal');
}

function isFinalStatus(status) {
    return Number.isInteger(status) && status >= 200 && status <= 599;
}

class NodeyError extends Error {
    constructor(code, message = code, { data, status, cause } = {}) {
        super(message, cause === undefined ? undefined : { cause });
        if (typeof code !== 'string' || code === '') {
            throw new TypeError(`NodeyError: the code is ${inspect(code)}; it must be a word such as 'not_found' ` +
                '(a status goes into an HTTPError)');
        }
        this.code = code;
        this.status = status ?? STATUS_OF_CODE[code] ?? 500;
        if (data !== undefined) this.data = data;
    }
}

class HTTPError extends NodeyError {
    constructor(status, message, { data, cause, headers } = {}) {
        if (!Number.isInteger(status) || status < 400 || status > 599) {
            throw new RangeError(`HTTPError: the status is ${inspect(status)}; it must be 400 to 599 ` +
                '(return [status, value] for any other answer)');
        }
        const said = message ?? require('node:http').STATUS_CODES[status] ?? `status ${status}`;
        super(codeOfStatus(status), said, { data, status, cause });
        if (headers !== undefined) this.headers = headers;
    }
}

/** A handler of an event or a job throws it to be tried again after `delay`, or after the usual time. */
class Retry extends Error {
    constructor(delay, message = 'to be tried again', options = undefined) {
        const isObject = typeof delay === 'object' && delay !== null;
        super(message, options);
        const given = isObject ? delay.delay : delay;
        if (given === undefined) return;
        const { milliseconds, DURATION_ADVICE } = require('./topics.cjs');
        this.delay = milliseconds(given);
        if (Number.isNaN(this.delay)) throw new RangeError(`Retry: the delay is ${inspect(given)}; ${DURATION_ADVICE}`);
    }
}

/** A handler throws it when no other attempt can help: a dead letter at once. */
class Dead extends Error {
    constructor(message = 'given up', options = undefined) {
        super(message, options);
    }
}

for (const type of [NodeyError, HTTPError, Retry, Dead]) {
    Object.defineProperty(type.prototype, 'name', { value: type.name });
}

/* For messages: short, and on one line. */
function inspect(value) {
    const text = require('node:util').inspect(value, { depth: 0, breakLength: Infinity, maxStringLength: 80 });
    return text.length > 120 ? `${text.slice(0, 120)}...` : text;
}

function isFrame(line) {
    return /^ {4}at /.test(line);
}

/* A frame of Node, of the engine or of the SDK. */
function isInnerFrame(line) {
    return isFrame(line) && (line.includes(SDK) || /\(node:|at node:|\((?:<anonymous>|index \d+)\)$/.test(line));
}

/** Whether a stack leads to a line of the script. */
function hasOwnFrames(stack) {
    return stack.split('\n').some((line) => isFrame(line) && !isInnerFrame(line));
}

const refusals = new WeakSet();

/** Marks an error as one that the SDK throws on purpose: its message says all, its frames nothing. */
function refusal(error) {
    refusals.add(error);
    return error;
}

/** Whether an error comes from a mistake in the SDK: then its frames there are wanted. */
function isInnerFault(error) {
    if (error instanceof NodeyError || refusals.has(error)) return false;
    const first = error.stack.split('\n').find(isFrame);
    return first !== undefined && first.includes(SDK);
}

/* A cause without a place of its own is in the refusal's words already. */
function causeOf(error) {
    const { cause } = error;
    if (!(cause instanceof Error)) return '';
    if (refusals.has(error) && !hasOwnFrames(String(cause.stack))) return '';
    return `\ncaused by: ${stackOf(cause)}`;
}

/**
 * The stack without the frames of Node and the SDK, which help nobody: a text for logs.
 * When there are no others they stay, for then the SDK is at fault.
 */
function stackOf(error) {
    if (typeof error?.stack !== 'string') return String(error);
    const lines = error.stack.split('\n');
    const kept = lines.filter((line) => !isInnerFrame(line));
    const isWhole = kept.some(isFrame) || error instanceof NodeyError || refusals.has(error);
    const text = (isWhole ? kept : lines).join('\n') + causeOf(error);
    return text.length > MAX_STACK ? `${text.slice(0, MAX_STACK)}\n...` : text;
}

/**
 * The status of an error such as Express and Koa know them: 400 to 499 in `status` or
 * `statusCode`.  Else undefined, also for what a client's library throws: the status of
 * the `response` that it got is not ours.
 */
function clientStatusOf(error) {
    if (!(error instanceof Error) || error.response !== undefined) return undefined;
    const status = error.status ?? error.statusCode;
    return Number.isInteger(status) && status >= 400 && status <= 499 ? status : undefined;
}

/** "TypeError: what was wrong", for anything that can be thrown. */
function messageOf(error) {
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    return text.length > MAX_MESSAGE ? `${text.slice(0, MAX_MESSAGE)}...` : text;
}

module.exports = {
    NodeyError, HTTPError, Retry, Dead, STATUS_OF_CODE, codeOfStatus, isFinalStatus, inspect, hasOwnFrames, isInnerFault, refusal, stackOf,
    messageOf, clientStatusOf,
};
