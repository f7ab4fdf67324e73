/*
 * hand: a person at a terminal runs a worker without nodey.
 *
 * Besides frames the terminal takes `GET /fib?num=10`, `POST /shout some text` and
 * `ask Fib {"num":10}`.  A pipe does not: there the lines are what the supervisor writes.
 */
'use strict';

const REQUEST = /^([A-Z]+) (\/[^ ?]*)(?:\?(\S*))?(?: (.*))?$/;
const ASK = /^ask (\S+)(?: (.*))?$/;

/** A typed line to a frame's line; one that is no shorthand stays as it is. */
function expand(line, id) {
    const request = REQUEST.exec(line);
    if (request) {
        const [, method, path, query, body] = request;
        return JSON.stringify({ id, method, path, query, body });
    }
    const ask = ASK.exec(line);
    if (!ask) return line;
    const [, token, args = 'null'] = ask;
    return `{"type":"ask","id":${id},"token":${JSON.stringify(token)},"args":${args}}`;
}

/** Wraps what takes lines for the case that stdin is a terminal, and says how to use it. */
function typed(onLine) {
    if (!require('node:tty').isatty(0)) return onLine;
    let nextId = 1;
    process.stderr.write('nodey, by hand: type GET /path?query or ask Token {"json":1}; Ctrl-D ends\n');
    return (line) => {
        const frame = expand(line.trimEnd(), nextId);
        if (frame !== line) nextId++;
        onLine(frame);
    };
}

module.exports = { typed, expand };
