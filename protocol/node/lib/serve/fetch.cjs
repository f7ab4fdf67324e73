/*
 * fetch: requests for an app that takes a Request and returns a Response (Hono, Elysia, h3,
 * and whatever runs on other servers of that kind).
 */
'use strict';

const exchanges = require('../exchanges.cjs');
const { HTTPError, inspect } = require('../errors.cjs');
const log = require('../log.cjs');
const { fetchHeaders } = require('../stream.cjs');
const context = require('./context.cjs');
const { isText, inBestForm } = require('./text.cjs');

const NO_BODY = new Set(['GET', 'HEAD']);
const NO_ANSWER_BODY = new Set([101, 204, 205, 304]);

function headersOf(frame) {
    const headers = new Headers();
    for (const name in frame.headers) {
        for (const value of [frame.headers[name]].flat()) headers.append(name, value);
    }
    return headers;
}

function urlOf({ scheme = 'http', path, query, headers }) {
    const host = headers?.host ?? 'localhost';
    const url = `${scheme}://${host}${path}${query === undefined ? '' : `?${query}`}`;
    return URL.canParse?.(url) === false ? `${scheme}://localhost${path}` : url;
}

/* Credit goes back as the app takes the pieces. */
function streamOf(exchange) {
    let controller;
    let sizes = []; // of what lies in the stream's queue
    const stream = new ReadableStream({
        start(given) {
            controller = given;
        },
        pull() {
            let bytes = 0;
            for (const size of sizes) bytes += size;
            sizes = [];
            if (bytes > 0) exchange.grant(bytes);
        },
        cancel() {
            controller = null;
        },
    }, { highWaterMark: 0 });
    exchange.onBody = (bytes) => {
        if (!controller) return;
        sizes.push(bytes.length);
        controller.enqueue(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    };
    exchange.onBodyEnd = () => {
        controller?.close();
        controller = null;
    };
    const fail = (reason) => {
        controller?.error(new DOMException(`the client has gone: ${reason}`, 'AbortError'));
        controller = null;
    };
    return { stream, fail };
}

function bodyOf(frame) {
    if (frame.body !== undefined) return frame.body;
    if (frame.body64 !== undefined) return Buffer.from(frame.body64, 'base64');
    return frame.json === undefined ? undefined : JSON.stringify(frame.json);
}

function requestOf(exchange, abort) {
    const { frame } = exchange;
    const init = { method: frame.method, headers: headersOf(frame), signal: abort.signal };
    let fail = () => {};
    if (exchange.hasBody) {
        const body = streamOf(exchange);
        fail = body.fail;
        Object.assign(init, { body: body.stream, duplex: 'half' });
    } else if (!NO_BODY.has(frame.method)) {
        init.body = bodyOf(frame);
    }
    exchange.onCancel = (reason) => {
        abort.abort(new DOMException(`the client has gone: ${reason}`, 'AbortError'));
        fail(reason);
    };
    return new Request(urlOf(frame), init);
}

function headOf({ status, statusText, headers }) {
    const fields = fetchHeaders(headers);
    fields['content-type'] ??= [];
    return { status, headers: fields, reason: statusText || undefined };
}

/* Waits for credit between the pieces. */
async function sendBody(exchange, reader, textual, signal) {
    let wake = () => {};
    exchange.onDrain = () => wake();
    signal.addEventListener('abort', () => wake());
    for (;;) {
        const { done, value } = await reader.read();
        if (done || exchange.cancelled) return;
        const piece = typeof value === 'string' ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
        if (!exchange.write(inBestForm(piece, textual))) {
            await new Promise((resolve) => {
                wake = resolve;
            });
        }
    }
}

async function answer(exchange, response, abort) {
    if (!response || typeof response.status !== 'number' || typeof response.headers?.get !== 'function') {
        throw new TypeError(`fetch returned ${inspect(response)}; it must return a Response`);
    }
    exchange.head(headOf(response));
    const isBodiless = exchange.frame.method === 'HEAD' || NO_ANSWER_BODY.has(response.status);
    if (response.body && !isBodiless) {
        const reader = response.body.getReader();
        abort.signal.addEventListener('abort', () => reader.cancel(abort.signal.reason).catch(() => {}));
        await sendBody(exchange, reader, isText(response.headers.get('content-type')), abort.signal);
    }
    exchange.end();
}

async function run(exchange, fetch) {
    const abort = new AbortController();
    try {
        const request = requestOf(exchange, abort);
        const later = { waitUntil: (promise) => promise?.catch?.(report), passThroughOnException() {} };
        await answer(exchange, await fetch(request, { ip: exchange.frame.ip }, later), abort);
    } catch (error) {
        const isExpected = error instanceof HTTPError && error.status < 500;
        if (!exchange.cancelled && !isExpected) report(error, exchange);
        exchange.fail(error instanceof Error ? error : new Error(String(error)));
    }
}

function report(error, exchange) {
    const { stackOf } = require('../errors.cjs');
    const call = exchange && { id: exchange.id, idText: exchange.idText };
    const who = exchange ? `${exchange.frame.method} ${exchange.frame.path}` : 'waitUntil';
    log.write('error', `${who} failed: ${stackOf(error)}`, undefined, call);
}

/** fetch(request): what registry.setApp() takes. */
function fetchApp(fetch) {
    return {
        features: ['stream'],
        serve(frame) {
            const exchange = exchanges.open(frame);
            context.run(exchange, () => run(exchange, fetch)); // which rejects never
        },
    };
}

module.exports = { fetchApp };
