/* The lines of protocol/vectors/to_worker.jsonl, as the SDK reads them. */
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { ROOT, SDK } = require('./lib/worker.js');
const { readFrame, BadLine } = require(path.join(SDK, 'lib/frame.cjs'));

const OPTIONAL = ['query', 'headers', 'params', 'token', 'body', 'body64', 'json', 'timeout'];
const LINES = fs.readFileSync(path.join(ROOT, 'protocol/vectors/to_worker.jsonl'), 'utf8');
const vectors = LINES.trim().split('\n').map((line) => JSON.parse(line));

function textOf({ line, line64 }) {
    return line ?? Buffer.from(line64, 'base64').toString('utf8');
}

function expectOk({ kind, expect = {} }, frame) {
    assert.equal(frame.type ?? 'request', kind);
    for (const [name, value] of Object.entries(expect)) assert.deepEqual(frame[name], value, name);
    if (kind !== 'request') return;
    for (const name of OPTIONAL) {
        if (name === 'json' && !('json' in expect)) continue; // some expect only that it is taken
        assert.equal(name in frame, name in expect, name);
    }
}

function expectFault({ expect }, read) {
    assert.throws(read, (error) => {
        assert.ok(error instanceof BadLine, error);
        assert.equal(error.id, expect.id);
        return true;
    });
}

for (const vector of vectors) {
    test(vector.name, () => {
        const read = () => readFrame(textOf(vector));
        if (vector.verdict === 'error') expectFault(vector, read);
        else if (vector.verdict === 'ok') expectOk(vector, read());
        else assert.equal(read(), null);
    });
}
