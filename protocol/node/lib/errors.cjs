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

for (const type of [NodeyError, HTTPError]) {
    Object.defineProperty(type.prototype, 'name', { value: type.name });
}

/* For messages: short, and on one line. */
function inspect(value) {
    const text = require('node:util').inspect(value, { depth: 0, breakLength: Infinity, maxStringLength: 80 });
    return text.length > 120 ? `${text.slice(0, 120)}...` : text;
}

function isOwnFrame(line) {
    return /^ {4}at /.test(line) &&
        (line.includes(SDK) || /\(node:|at node:|at new Promise \(<anonymous>\)/.test(line));
}

/** The stack without the frames of Node and the SDK, which help nobody: a text for logs. */
function stackOf(error) {
    if (typeof error?.stack !== 'string') return String(error);
    const lines = error.stack.split('\n');
    const kept = lines.filter((line) => !isOwnFrame(line));
    const isUseful = kept.some((line) => /^ {4}at /.test(line));
    let text = (isUseful ? kept : lines).join('\n');
    if (error.cause instanceof Error) text += `\ncaused by: ${stackOf(error.cause)}`;
    return text.length > MAX_STACK ? `${text.slice(0, MAX_STACK)}\n...` : text;
}

/** "TypeError: what was wrong", for anything that can be thrown. */
function messageOf(error) {
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    return text.length > MAX_MESSAGE ? `${text.slice(0, MAX_MESSAGE)}...` : text;
}

module.exports = {
    NodeyError, HTTPError, STATUS_OF_CODE, isFinalStatus, inspect, stackOf, messageOf,
};
