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
        this.code = code;
        this.status = status ?? STATUS_OF_CODE[code] ?? 500;
        if (data !== undefined) this.data = data;
    }
}

class HTTPError extends NodeyError {
    constructor(status, message, { data, cause } = {}) {
        if (!Number.isInteger(status) || status < 400 || status > 599) {
            throw new RangeError(`HTTPError: status is ${status}; it must be 400 to 599`);
        }
        const said = message ?? require('node:http').STATUS_CODES[status] ?? `status ${status}`;
        super(codeOfStatus(status), said, { data, status, cause });
    }
}

for (const type of [NodeyError, HTTPError]) {
    Object.defineProperty(type.prototype, 'name', { value: type.name });
}

module.exports = { NodeyError, HTTPError, STATUS_OF_CODE, isFinalStatus };
