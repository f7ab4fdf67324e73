/* The conversations of protocol/vectors/transcripts.jsonl, see its README. */
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { Conversation } = require('./lib/conversation.js');
const { ROOT, SDK, script, startWorker } = require('./lib/worker.js');

const NAMED_MEMBERS_ONLY = ['ready', 'error', 'pong'];
const LINES = fs.readFileSync(path.join(ROOT, 'protocol/vectors/transcripts.jsonl'), 'utf8');
const transcripts = LINES.trim().split('\n').map((line) => JSON.parse(line));

function isAny(value) {
    return value?.$any === true;
}

/* Whether an actual value is as expected; fills in `bound`. */
function matches(expected, actual, bound) {
    if (isAny(expected)) return true;
    if (expected?.$bind !== undefined) {
        if (!['number', 'string'].includes(typeof actual)) return false;
        bound[expected.$bind] = actual;
        return true;
    }
    if (typeof expected !== 'object' || expected === null) return Object.is(expected, actual);
    if (typeof actual !== 'object' || actual === null) return false;
    if (Array.isArray(expected) !== Array.isArray(actual)) return false;
    const names = new Set([...Object.keys(expected), ...Object.keys(actual)]);
    return [...names].every((name) => matches(expected[name], actual[name], bound));
}

function matchesFrame(expected, actual, bound) {
    const frame = { ...actual };
    if (expected.status === undefined && frame.status === 200) delete frame.status;
    if (NAMED_MEMBERS_ONLY.includes(expected.type)) {
        for (const name of Object.keys(frame)) {
            if (!(name in expected)) delete frame[name];
        }
    }
    return matches(expected, frame, bound);
}

function expectFrame(expected, actual, bound) {
    assert.ok(matchesFrame(expected, actual, bound),
        `expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`);
}

function fillIn(line, bound) {
    return line.replace(/\$\{(\w+)\}/g, (_, name) => JSON.stringify(bound[name]));
}

async function runSteps(worker, steps) {
    const bound = {};
    const conversation = new Conversation(worker);
    for (const { send, expect, receive, upload, quiet } of steps) {
        if (send !== undefined) worker.send(fillIn(send, bound));
        else if (receive !== undefined) await conversation.receive(receive);
        else if (upload !== undefined) await conversation.upload(upload);
        else if (quiet !== undefined) await conversation.quiet(quiet);
        else expectFrame(expect, await conversation.expect(), bound);
    }
}

async function expectFrames(worker, expected, anyOrder) {
    const left = [...expected];
    while (left.length > 0) {
        const frame = await worker.next();
        const at = anyOrder ? left.findIndex((one) => matchesFrame(one, frame, {})) : 0;
        expectFrame(left[Math.max(at, 0)], frame, {});
        left.splice(at, 1);
    }
}

async function runLines(worker, { mode, send, expect, last_lf: lastLf, keep_open: keepOpen, any_order: anyOrder }) {
    const frames = [...expect];
    const startsWithReady = mode === 'supervised' && frames[0].type === 'ready';
    if (startsWithReady) expectFrame(frames.shift(), await worker.next(), {});
    worker.write(send.map((line) => `${line}\n`).join('').slice(0, lastLf === false ? -1 : undefined));
    if (!keepOpen) worker.close();
    await expectFrames(worker, frames, anyOrder);
}

const PRELOADED = [process.execPath, '--require', path.join(SDK, 'run.cjs')];
const WAYS = {
    hand: [{ fd: 1 }, { fd: 1, isModule: true }],
    supervised: [{ fd: 1 }, { fd: 3 }, { fd: 3, command: PRELOADED }, { fd: 3, isModule: true, command: PRELOADED }],
};

/* The same worker as an ES module. */
function asModule(source) {
    return source.replace("'use strict';", '').replace(/^const (.+) = require\((.+)\);$/gm,
        (_, names, specifier) => `import ${names.replace(/: /g, ' as ')} from ${specifier};`);
}

async function run(t, transcript, { isModule, ...options }) {
    let file = path.join(__dirname, 'workers', `${transcript.worker}.js`);
    if (isModule) file = script(asModule(fs.readFileSync(file, 'utf8')), 'mjs');
    const worker = startWorker(t, file, { hand: transcript.mode === 'hand', ...options });
    if (transcript.steps) await runSteps(worker, transcript.steps);
    else await runLines(worker, transcript);
    if (!transcript.keep_open) worker.close();
    const { code } = await worker.ended();
    if (transcript.exit === 'nonzero') assert.notEqual(code, 0);
    else assert.equal(code, transcript.exit ?? 0, worker.stderr);
    await worker.end();
}

test('transcripts', { concurrency: 4 }, async (t) => {
    const runs = [];
    for (const transcript of transcripts) {
        const { name, mode } = transcript;
        for (const way of WAYS[mode]) {
            const { fd, isModule, command } = way;
            const title = `${name} (fd ${fd}${isModule ? ', ES module' : ''}${command ? ', run.cjs' : ''})`;
            runs.push(t.test(title, (sub) => run(sub, transcript, way)));
        }
    }
    await Promise.all(runs);
});
