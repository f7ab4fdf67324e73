/* request: what a handler sees of an HTTP request.  Members are made when first looked at. */
'use strict';

const { HTTPError } = require('./errors.cjs');
const { addHints, REQUEST } = require('./hints.cjs');
const { parseQuery, headersOf } = require('./listed.cjs');
const { NO_PARAMS } = require('./router.cjs');

const isDev = process.env.NODEY_DEV === '1';

class Request {
    #call;
    #frame;
    #params;
    #query;
    #headers;
    #cookies;
    #body;
    #form;

    constructor(call, params = NO_PARAMS) {
        this.#call = call;
        this.#frame = call.frame;
        this.#params = params;
    }

    get id() {
        return this.#frame.id;
    }

    get method() {
        return this.#frame.method;
    }

    get path() {
        return this.#frame.path;
    }

    get queryString() {
        return this.#frame.query ?? '';
    }

    get query() {
        return (this.#query ??= parseQuery(this.#frame.query));
    }

    get headers() {
        return (this.#headers ??= headersOf(this.#frame.headers));
    }

    get params() {
        return this.#params === NO_PARAMS ? this.#frame.params ?? NO_PARAMS : this.#params;
    }

    get cookies() {
        return (this.#cookies ??= require('./cookies.cjs').parseCookies(this.headers.cookie));
    }

    get ip() {
        return this.#frame.ip ?? '';
    }

    get scheme() {
        return this.#frame.scheme ?? 'http';
    }

    get host() {
        return this.headers.get('host') ?? '';
    }

    get url() {
        const { query } = this.#frame;
        return `${this.scheme}://${this.host || 'localhost'}${this.path}${query === undefined ? '' : `?${query}`}`;
    }

    get timeout() {
        return this.#frame.timeout;
    }

    get signal() {
        return this.#call.signal;
    }

    get body() {
        if (this.#body === undefined) {
            this.#body = this.bytes();
            if (isDev) require('./dev.cjs').hintBody(this.#body, this);
        }
        return this.#body;
    }

    /* A body that came in pieces is in the call. */
    bytes() {
        return (this.#call.bytes ??= this.#bytesOfFrame());
    }

    #bytesOfFrame() {
        const { body64 } = this.#frame;
        return body64 === undefined ? Buffer.from(this.#text()) : Buffer.from(body64, 'base64');
    }

    #text() {
        const { bytes } = this.#call;
        if (bytes) return bytes.toString('utf8');
        const { body, body64, json } = this.#frame;
        if (body !== undefined) return body;
        if (body64 !== undefined) return this.#bytesOfFrame().toString('utf8');
        return json === undefined ? '' : JSON.stringify(json);
    }

    text() {
        return this.#text();
    }

    json() {
        if (this.#frame.json !== undefined) return this.#frame.json;
        const text = this.#text();
        if (text === '') throw new HTTPError(400, 'the body is empty where JSON is expected');
        try {
            return JSON.parse(text);
        } catch (cause) {
            throw new HTTPError(400, `the body is not JSON: ${cause.message}`, { cause });
        }
    }

    form() {
        return (this.#form ??= require('./form.cjs').parseForm(this, this.bytes()));
    }

    stream() {
        const bytes = Request.prototype.bytes.call(this);
        return require('node:stream').Readable.from(bytes.length > 0 ? [bytes] : [], { objectMode: false });
    }

    async *[Symbol.asyncIterator]() {
        const bytes = this.bytes();
        if (bytes.length > 0) yield bytes;
    }

    /* For console.log(req): getters do not show by themselves. */
    [Symbol.for('nodejs.util.inspect.custom')]() {
        const { method, path, query, params, headers, ip } = this;
        const isHere = this.#frame.more !== true || this.#call.bytes !== undefined;
        const body = isHere ? this.#text() : '(comes in pieces)';
        return { method, path, query: { ...query }, params, headers: { ...headers }, ip, body };
    }
}

addHints(Request.prototype, 'req', REQUEST);

module.exports = { Request };
