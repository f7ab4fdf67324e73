/*
 * hand: a person runs a worker without nodey.
 *
 * From a pipe or a file come the lines that the supervisor would write, and frames go
 * out.  At a terminal there is a prompt that takes `GET /fib?num=10`, `POST /shout some
 * text`, `ask Fib {"num":10}` and `event post.created {"id":1}`, and answers are shown as a person wants to see them.
 */
'use strict';

const { STATUS_OF_CODE } = require('./errors.cjs');
const registry = require('./registry.cjs');
const { matches } = require('./topics.cjs');
const { output } = require('./stdio.cjs');
const wire = require('./wire.cjs');

const REQUEST = /^([A-Z]+) (\/[^ ?]*)(?:\?(\S*))?(?: (.*))?$/;
const ASK = /^ask (\S+)(?: (.*))?$/;
const EVENT = /^(event|job) (\S+)(?: (.*))?$/;
const MAX_SHOWN = 65536;

const HELP = `GET /path?a=1            a request; so POST, PUT, DELETE ...
POST /path {"a":1}       with a body: JSON, or any other text
ask Token {"a":1}        asks a token of this worker
event topic {"a":1}      gives it an event; so job
{"id":1,"method":...}    a line as nodey writes it
routes                   what there is
Ctrl-D                   ends
`;

function isJson(text) {
    try {
        JSON.parse(text);
        return true;
    } catch {
        return false;
    }
}

/* The first attempt of the first group that wants it. */
function expandEvent([, kind, name, data = 'null'], id) {
    const { subscriptions, name: own } = registry.current;
    const wanting = subscriptions?.events.find(({ each, patterns }) => !each && patterns.some((pattern) => matches(pattern, name)));
    const noun = kind === 'event' ? 'topic' : 'queue';
    const group = kind === 'event' ? wanting?.group ?? own : name;
    const head = JSON.stringify({ type: 'event', id, [noun]: name, group, seq: id, time: Date.now(), attempt: 1 });
    return `${head.slice(0, -1)},"data":${data}}`;
}

/** A typed line to a frame's line; one that is no shorthand stays as it is. */
function expand(line, id) {
    const request = REQUEST.exec(line);
    if (request) {
        const [, method, path, query, body] = request;
        const headers = body !== undefined && isJson(body) ? { 'content-type': 'application/json' } : undefined;
        return JSON.stringify({ id, method, path, query, headers, body });
    }
    const event = EVENT.exec(line);
    if (event) return expandEvent(event, id);
    const ask = ASK.exec(line);
    if (!ask) return line;
    const [, token, args = 'null'] = ask;
    return `{"type":"ask","id":${id},"token":${JSON.stringify(token)},"args":${args}}`;
}

function listRoutes() {
    const { routes, tokens, subscriptions } = registry.current;
    const lines = routes.map(({ method = 'any', path, description }) =>
        `${method.padEnd(7)} ${path}${description ? `  ${description}` : ''}`);
    for (const token of tokens.keys()) lines.push(`ask     ${token}`);
    for (const { patterns } of subscriptions?.events ?? []) lines.push(`event   ${patterns.join(', ')}`);
    for (const queue of subscriptions?.jobs.keys() ?? []) lines.push(`job     ${queue}`);
    return `${lines.join('\n')}\n`;
}

function showValue(value) {
    return typeof value === 'string' ? value : JSON.stringify(value, null, 2);
}

function showBody({ body, body64 }) {
    return body64 === undefined ? body ?? '' : `(${Buffer.from(body64, 'base64').length} bytes)`;
}

function showResponse({ status = 200, headers = {}, body, body64, json }) {
    const phrase = require('node:http').STATUS_CODES[status] ?? '';
    let text = status === 200 ? '' : `${status} ${phrase}\n`;
    for (const [name, value] of Object.entries(headers)) {
        for (const one of [value].flat()) text += `${name}: ${one}\n`;
    }
    if (text !== '') text += '\n';
    return text + (json === undefined ? showBody({ body, body64 }) : showValue(json));
}

function showMessage({ topic, queue, key, data }) {
    const name = topic === undefined ? `enqueue ${queue}` : `publish ${topic}`;
    return `${name} ${JSON.stringify(data)}${key == null ? '' : ` (key ${key})`}`;
}

/** A line that the worker answers with, for a person to read. */
function show(line) {
    const frame = JSON.parse(line);
    let text = line;
    if (frame.type === undefined) {
        text = showResponse(frame);
    } else if (frame.type === 'ack') {
        text = ['done', ...(frame.publish ?? []).map(showMessage)].join('\n');
    } else if (frame.type === 'nack') {
        const { name, message } = frame.error;
        text = `${frame.dead ? 'dead' : 'failed'}: ${name}: ${message}`;
    } else if (frame.type === 'publish') {
        text = showMessage(frame);
    } else if (frame.type === 'answer') {
        text = showValue(frame.value);
    } else if (frame.type === 'chunk' || frame.type === 'message') {
        text = showBody(frame);
    } else if (frame.type === 'end') {
        text = frame.body === undefined && frame.body64 === undefined ? '(the end)' : `${showBody(frame)}\n(the end)`;
    } else if (frame.type === 'error') {
        const { code, status = STATUS_OF_CODE[code] ?? 500, message } = frame;
        text = `${status} ${code}: ${message}`;
    }
    if (text.length > MAX_SHOWN) text = `${text.slice(0, MAX_SHOWN)}\n...`;
    return `${text.trimEnd()}\n`;
}

function promptName() {
    const path = require('node:path');
    const script = process.argv[1] ?? 'nodey';
    return path.basename(script, path.extname(script));
}

/* What a typed line means: a frame's line, or null when it was answered here. */
function understand(line, id, say) {
    if (line === '') return null;
    if (line === 'help' || line === '?') say(HELP);
    else if (line === 'routes') say(listRoutes());
    else if (line[0] === '{' || expand(line, id) !== line) return expand(line, id);
    else say(`"${line}" is no request: try  GET /path  or  help\n`);
    return null;
}

function prompt({ onLine, onBatch, onEnd }) {
    const readline = require('node:readline');
    const editor = readline.createInterface({
        input: process.stdin, output: process.stderr, terminal: true, prompt: `${promptName()}> `,
    });
    const say = (text) => {
        require('node:fs').writeSync(output, text);
        editor.prompt(true);
    };
    let nextId = 1;
    wire.redirect((line) => say(show(line)));
    editor.on('line', (typed) => {
        const line = understand(typed.trim(), nextId, say);
        if (line !== null) {
            nextId++;
            onLine(line);
            onBatch();
        } else if (typed.trim() === '') {
            editor.prompt();
        }
    });
    editor.on('SIGINT', () => editor.close());
    editor.on('close', () => {
        process.stderr.write('\n');
        onEnd();
    });
    say(`${listRoutes()}Type  GET /path  or  help;  Ctrl-D ends.\n`);
}

/** Reads what a person has to say, from wherever it comes. */
function read(receivers) {
    if (require('node:tty').isatty(0)) prompt(receivers);
    else wire.read(receivers);
}

module.exports = { read, expand, show };
