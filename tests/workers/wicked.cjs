/*
 * wicked.py in Node: the same words, the same answers (see there).
 */
'use strict';

const { spawn, spawnSync } = require('child_process');
const fs = require('fs');

const WORDS = new Map((process.env.WICKED ?? '').split(',').map((word) => {
    const [name, value] = word.split('=');
    return [name, value ?? ''];
}));
const IS_SERVICE = 'PORT' in process.env && !('NODEY_PROTOCOL' in process.env);
const held = [];

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/* One that holds all our descriptors, and outlives us. */
function leaveProcess(detached) {
    const stdio = IS_SERVICE ? [0, 1, 2] : [0, 1, 2, 3];
    const child = spawn('sleep', ['3600'], { detached, stdio });
    child.unref();
    return String(child.pid);
}

/* Its parent is gone at once, its session is its own. */
function daemonise() {
    const script = "setsid sh -c 'sleep 3600 & echo $!' 9>&1 | head -n 1";
    const shell = spawnSync('sh', ['-c', script], { stdio: ['inherit', 'pipe', 'inherit'] });
    return String(shell.stdout).trim();
}

function begin(n) {
    const script = `for n in $(seq ${n}); do sleep 3600 & done; echo begun; wait`;
    const child = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    return new Promise((done) => child.stdout.once('data', () => done('begun')));
}

async function act(query, body) {
    const acts = {
        exit: () => process.reallyExit(Number(query.code ?? 3)),
        slow: () => pause(Number(query.ms)),
        spin: () => { for (;;); },
        pid: () => String(process.pid),
        child: () => leaveProcess(false),
        session: () => leaveProcess(true),
        daemon: daemonise,
        many: () => begin(query.n),
        /* 50 MB in a second, for ever. */
        leak: () => { setInterval(() => held.push(Buffer.alloc(5 << 20, 1)), 100); },
    };
    const answer = await acts[query.do]?.();
    return answer ?? (body.length ? body : query.id ?? '');
}

function serveHttp() {
    const server = require('http').createServer(async (req, res) => {
        const pieces = [];
        for await (const piece of req) pieces.push(piece);
        const query = Object.fromEntries(new URL(req.url, 'http://a').searchParams);
        const answer = Buffer.from(await act(query, Buffer.concat(pieces)));
        res.writeHead(200, { 'Content-Length': answer.length });
        res.end(answer);
    });
    server.listen(Number(process.env.PORT), '127.0.0.1', () => live());
    process.on('SIGTERM', () => {
        if (WORDS.has('noterm')) return;
        server.close(() => process.exit(0));
        server.closeIdleConnections();
    });
}

function serveFrames() {
    const nodey = require('nodey');
    nodey.get('/w', (req) => act(req.query, ''));
    nodey.post('/w', (req) => act(req.query, Buffer.from(req.body)));
    live();
    if (WORDS.has('noterm')) {
        /* The SDK ends with SIGTERM, with the input and by this: none of them may. */
        process.on('SIGTERM', () => {});
        process.exit = () => {};
        setInterval(() => {}, 1000);
    }
}

/* It serves: how long, is said. */
function live() {
    if (WORDS.has('after')) setTimeout(() => process.reallyExit(1), 1000 * WORDS.get('after'));
}

if ('JOURNAL' in process.env) {
    const now = (Number(process.hrtime.bigint() / 1000000n) / 1000).toFixed(3);
    fs.appendFileSync(process.env.JOURNAL, `${process.pid} start ${now}\n`);
}
if (WORDS.has('exit')) process.reallyExit(Number(WORDS.get('exit')));
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000 * Number(WORDS.get('late') ?? 0));
if (IS_SERVICE) serveHttp();
else serveFrames();
