/* Nothing but frames may reach the protocol; nothing that was printed may be lost. */
'use strict';

const assert = require('node:assert/strict');
const { spawn, execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { script, startSource, startWorker } = require('./lib/worker.js');

const NOISY = path.join(__dirname, 'workers/noisy.js');
const ENV = { ...process.env, NODE_PATH: path.dirname(script('')) + '/node_modules' };
delete ENV.NODE_TEST_CONTEXT;
const REQUEST = '{"id":1,"method":"GET","path":"/noisy"}\n';

test('all that is printed arrives on stderr', async (t) => {
    const worker = startWorker(t, NOISY);
    await worker.ready();
    await worker.get(1, '/noisy');
    await worker.finish();
    assert.equal(worker.stderr.match(/progress 10%/g).length, 6);
});

test('what was printed before the SDK was loaded does no harm to later frames', async (t) => {
    const worker = startSource(t, `
        console.log('early');
        const nodey = require('nodey');
        console.log('late');
        nodey.get('/', () => { console.log('later'); return 'ok'; });
    `);
    assert.equal(await worker.line(), 'early');
    await worker.ready();
    assert.deepEqual(await worker.get(1, '/'), { id: 1, body: 'ok' });
    await worker.finish();
    assert.match(worker.stderr, /late\nlater\n/);
});

test('a child process of a worker does not see the protocol descriptor', async (t) => {
    const worker = startSource(t, `
        const nodey = require('nodey');
        const { execFileSync } = require('node:child_process');
        nodey.get('/', () => execFileSync('sh', ['-c', 'echo x >&3 || echo closed'],
            { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
    `);
    await worker.ready();
    assert.deepEqual(await worker.get(1, '/'), { id: 1, body: 'closed\n' });
    await worker.finish();
});

test('a child process or thread of a worker that loads the SDK leaves the pipes alone', async (t) => {
    const worker = startSource(t, `
        const nodey = require('nodey');
        const { isMainThread, Worker } = require('node:worker_threads');
        nodey.get('/', async () => {
            if (!isMainThread || process.argv[2] === 'child') return 'never';
            const ended = (emitter) => new Promise((resolve) => emitter.on('exit', resolve));
            const child = require('node:child_process').fork(__filename, ['child']);
            return Promise.all([ended(new Worker(__filename)), ended(child)]);
        });
    `);
    await worker.ready();
    assert.deepEqual(await worker.get(1, '/'), { id: 1, json: [0, 0] });
    await worker.finish();
    assert.equal(worker.stderr, '');
});

test('process.stdin is empty, so that nobody reads the requests', async (t) => {
    const worker = startSource(t, `
        const nodey = require('nodey');
        process.stdin.on('data', () => console.error('stolen')).on('end', () => console.error('end'));
        nodey.get('/', () => 'ok');
    `);
    await worker.ready();
    assert.deepEqual(await worker.get(1, '/'), { id: 1, body: 'ok' });
    await worker.finish();
    assert.equal(worker.stderr, 'end\n');
});

test('by hand, with sockets for stdio, console.log still stays out', async () => {
    const source = "const n = require('nodey'); n.get('/noisy', () => (console.log('x'), 'quiet'));";
    const plain = spawn(process.execPath, [script(source)], { env: ENV });
    let out = '';
    plain.stdout.on('data', (text) => (out += text));
    plain.stdin.end(REQUEST);
    await new Promise((resolve) => plain.on('close', resolve));
    assert.equal(out, '{"id":1,"body":"quiet"}\n');
});

test('by hand, into files: all is there in order, and what the shell writes as well', () => {
    const source = `
        const nodey = require('nodey');
        nodey.get('/noisy', () => {
            console.log('1');
            console.error('2');
            console.log('3');
            return 'quiet';
        });
    `;
    const file = script('', 'txt');
    const command = '(echo before; node "$1"; echo after; echo after >&2) >"$2" 2>"$2.err"';
    execFileSync('sh', ['-c', command, 'sh', script(source), file], { input: REQUEST, env: ENV });
    assert.equal(fs.readFileSync(file, 'utf8'), 'before\n{"id":1,"body":"quiet"}\nafter\n');
    assert.equal(fs.readFileSync(`${file}.err`, 'utf8'), '1\n2\n3\nafter\n');
});

test('by hand, into a pipe, with a file for stderr: the order is kept there too', () => {
    const source = `
        const nodey = require('nodey');
        nodey.get('/noisy', () => (console.log('1'), console.error('2'), console.log('3'), 'quiet'));
    `;
    const file = script('', 'txt');
    const command = '(node "$1"; echo after >&2) 2>"$2" | cat';
    const out = execFileSync('sh', ['-c', command, 'sh', script(source), file],
        { input: REQUEST, env: ENV, encoding: 'utf8' });
    assert.equal(out, '{"id":1,"body":"quiet"}\n');
    assert.equal(fs.readFileSync(file, 'utf8'), '1\n2\n3\nafter\n');
});

test('by hand, requests may come from a file', () => {
    const input = script(REQUEST, 'jsonl');
    const command = 'node "$1" <"$2" 2>/dev/null | cat';
    const out = execFileSync('sh', ['-c', command, 'sh', NOISY, input], { env: ENV, encoding: 'utf8' });
    assert.equal(out, '{"id":1,"body":"quiet"}\n');
});

test('by hand, a reader that goes away is no error', () => {
    const source = "const n = require('nodey'); n.get('/noisy', () => 'x'.repeat(200000));";
    const command = '{ node "$1"; echo "exit $?" >&2; } | head -c 1';
    const out = execFileSync('sh', ['-c', `{ ${command}; } 2>&1`, 'sh', script(source)],
        { env: ENV, input: REQUEST.repeat(3), encoding: 'utf8' });
    assert.equal(out, '{exit 0\n');
});
