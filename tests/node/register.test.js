/* Scripts that know nothing of nodey: they listen, or export an app.  See lib/serve/listen.cjs. */
'use strict';

const assert = require('node:assert/strict');
const net = require('node:net');
const path = require('node:path');
const { test } = require('node:test');
const { SDK, startSource } = require('./lib/worker.js');

const COMMAND = [process.execPath, '--require', path.join(SDK, 'run.cjs')];
const HELLO = "const http = require('node:http');\nconst hello = (req, res) => res.end('hello');\n";

function start(t, source, options = {}) {
    return startSource(t, source, { command: COMMAND, ...options });
}

/* What is printed before the SDK is there is no frame. */
async function ready(worker) {
    for (;;) {
        const line = await worker.line();
        if (line === null) assert.fail(`${JSON.stringify(await worker.ended())}: ${worker.stderr}`);
        if (line.startsWith('{')) {
            const frame = JSON.parse(line);
            assert.equal(frame.type, 'ready', line);
            return frame;
        }
    }
}

async function bodyOf(worker, target = '/') {
    const { body, body64 } = await worker.get(1, target);
    return body ?? Buffer.from(body64, 'base64').toString();
}

test('the first server that listens is the app, and hears that it does', async (t) => {
    const worker = start(t, `${HELLO}
        const server = http.createServer(hello).listen(3000, () => console.log('callback', JSON.stringify(server.address())));
        server.on('listening', () => console.log('event', server.listening));
    `);
    assert.deepEqual((await ready(worker)).routes, [{ path: '/*' }]);
    assert.equal(await bodyOf(worker), 'hello');
    await worker.finish();
    assert.match(worker.stderr, /callback \{"address":"127.0.0.1","family":"IPv4","port":3000\}\nevent true\n/);
});

test('ready is said when the listeners have run', async (t) => {
    const worker = start(t, `${HELLO}
        const routes = {};
        http.createServer((req, res) => res.end(String(routes.late))).listen({ port: 0, host: '::1' }, function () {
            routes.late = this.address().address + ' ' + this.address().family;
        });
    `);
    await ready(worker);
    assert.equal(await bodyOf(worker), '::1 IPv6');
    await worker.finish();
});

test('an ES module that awaits its server', async (t) => {
    const worker = start(t, `
        import { createServer } from 'node:http';
        const server = createServer((req, res) => res.end('module'));
        await new Promise((done) => server.listen('3000', '0.0.0.0', done));
        console.log('went on');
    `, { extension: 'mjs' });
    await ready(worker);
    assert.equal(await bodyOf(worker), 'module');
    await worker.finish();
    assert.match(worker.stderr, /went on/);
});

test('further servers, other kinds and unix paths really listen', async (t) => {
    const worker = start(t, `${HELLO}
        const net = require('node:net');
        const app = http.createServer((req, res) => res.end(JSON.stringify(ports)));
        const ports = {};
        const socket = '/tmp/nodey-register-' + process.pid;
        net.createServer((client) => client.end('net')).listen(0, '127.0.0.1', function () {
            ports.net = this.address().port;
            http.createServer(hello).listen(socket, () => {
                ports.path = require('node:fs').existsSync(socket);
                app.listen(3000);
                http.createServer(hello).listen(0, '127.0.0.1', function () { ports.http = this.address().port; });
            });
        });
        process.on('exit', () => require('node:fs').rmSync(socket, { force: true }));
    `);
    await ready(worker);
    let ports = {};
    for (let tries = 0; !ports.http && tries < 2000; tries++) ports = JSON.parse(await bodyOf(worker));
    assert.equal(ports.path, true);
    for (const name of ['net', 'http']) {
        await new Promise((resolve, reject) => {
            net.connect(ports[name], '127.0.0.1', function () { this.end(); })
                .resume().on('close', resolve).on('error', reject);
        });
    }
    await worker.finish();
});

test('servers for other addresses of the same port are the app, too; twice the same is refused', async (t) => {
    const worker = start(t, `${HELLO}
        http.createServer(hello).listen({ port: 3000, host: '127.0.0.1' });
        http.createServer(hello).listen({ port: 3000, host: '::1' }, () => console.log('both'));
        http.createServer(hello).listen(3000, '127.0.0.1').on('error', ({ code }) => console.log('code', code));
    `);
    await ready(worker);
    await worker.finish();
    assert.match(worker.stderr, /both/);
    assert.match(worker.stderr, /code EADDRINUSE/);
});

test('NODEY_PORT says which server it is', async (t) => {
    const source = `${HELLO}
        http.createServer((req, res) => res.end('metrics')).listen(0, '127.0.0.1', () => {
            http.createServer((req, res) => res.end('the app')).listen(4000);
        });
    `;
    const worker = start(t, source, { env: { NODEY_PORT: '4000' } });
    await ready(worker);
    assert.equal(await bodyOf(worker), 'the app');
    await worker.finish();
});

test('a mistake in listen() is told by Node itself', async (t) => {
    const worker = start(t, `${HELLO} http.createServer(hello).listen(70000);`);
    assert.match((await worker.next()).message, /options.port should be >= 0 and < 65536/);
});

test('a worker with handlers of its own may listen besides', async (t) => {
    const worker = start(t, `const nodey = require('nodey'); ${HELLO}
        nodey.get('/', () => 'route ' + port);
        let port = 0;
        nodey.onStart(() => new Promise((done) => {
            const server = http.createServer(hello).listen(0, '127.0.0.1', () => { port = server.address().port; done(); });
        }));
    `);
    assert.deepEqual((await ready(worker)).routes, [{ path: '/', method: 'GET' }]);
    const port = Number((await bodyOf(worker)).split(' ')[1]);
    await new Promise((resolve, reject) => {
        const client = net.connect(port, '127.0.0.1', () => resolve(client.destroy())).on('error', reject);
    });
    await worker.finish();
});

test('an app that asks may listen as well', async (t) => {
    const worker = start(t, `const { ask } = require('nodey'); ${HELLO}
        http.createServer(async (req, res) => res.end(await ask('Token'))).listen(3000);
    `);
    await ready(worker);
    assert.equal((await worker.get(5, '/')).for, 5);
    assert.equal((await worker.call({ type: 'answer', id: 1, value: 'yes' })).body, 'yes');
    await worker.finish();
});

test('tokens and a server are one worker, ready when the server listens', async (t) => {
    const worker = start(t, `const { Nodey } = require('nodey'); ${HELLO}
        const nodey = new Nodey();
        nodey.set({ Half: (n) => n / 2 });
        nodey.start().then(() => setTimeout(() => http.createServer(hello).listen(3000), 100));
    `);
    const frame = await ready(worker);
    assert.deepEqual([frame.routes, frame.tokens], [[{ path: '/*' }], ['Half']]);
    assert.ok(frame.features.includes('upgrade'));
    assert.equal(await bodyOf(worker), 'hello');
    assert.equal((await worker.call({ type: 'ask', id: 2, token: 'Half', args: 4 })).value, 2);
    await worker.finish();
});

test('a server that needs an answer first lets its requests wait, and others ask meanwhile', async (t) => {
    const worker = start(t, `const nodey = require('nodey'); ${HELLO}
        nodey.set({ Half: (n) => n / 2 });
        nodey.ask('Rates').then((rates) => http.createServer((req, res) => res.end(rates)).listen(3000));
    `);
    assert.deepEqual((await ready(worker)).routes, [{ path: '/*' }]);
    assert.equal((await worker.next()).token, 'Rates');
    worker.send({ id: 5, method: 'POST', path: '/', more: true });
    worker.send({ type: 'chunk', id: 5, body: 'x' });
    worker.send({ type: 'end', id: 5 });
    assert.equal((await worker.call({ type: 'ask', id: 6, token: 'Half', args: 4 })).value, 2);
    worker.send({ type: 'answer', id: 1, value: 'high' });
    const frames = [await worker.next(), await worker.next()];
    assert.ok(frames.find(({ type }) => type === 'ready').features.includes('upgrade'));
    assert.equal(frames.find(({ id }) => id === 5).body, 'high');
    await worker.finish();
});

test('a script that fails before its server listens does not go on without it', async (t) => {
    const worker = start(t, `const nodey = require('nodey'); ${HELLO}
        nodey.set({ Half: (n) => n / 2 });
        nodey.ask('Rates').then((rates) => http.createServer((req, res) => res.end(rates)).listen(3000));
    `);
    await ready(worker);
    assert.equal((await worker.next()).token, 'Rates');
    worker.send({ type: 'error', id: 1, code: 'unavailable', message: 'it has crashed' });
    await worker.finish(1);
    assert.match(JSON.stringify(worker.logs), /it has crashed/);
});

test('close() waits for open requests, and asks to be replaced', async (t) => {
    const worker = start(t, `${HELLO}
        const server = http.createServer((req, res) => {
            let answered = false;
            server.close((error) => console.log('closed', error, server.listening, server.address(), answered));
            setTimeout(() => { answered = true; res.end('last'); }, 50);
        }).listen(3000);
    `);
    await ready(worker);
    worker.send({ id: 1, method: 'GET', path: '/' });
    assert.deepEqual(await worker.next(), { type: 'drain' });
    assert.equal(worker.stderr, '');
    assert.equal((await worker.next()).body, 'last');
    await worker.finish();
    assert.match(worker.stderr, /closed undefined false null true/);
});

test('SIGTERM listeners of the app are called when the last request is answered', async (t) => {
    const worker = start(t, `${HELLO}
        const server = http.createServer((req, res) => setTimeout(() => { console.log('answered'); res.end(); }, 50)).listen(3000);
        process.on('SIGTERM', (signal) => {
            console.log(signal);
            server.close(() => setTimeout(() => console.log('cleaned up'), 100));
        });
    `);
    await ready(worker);
    worker.send({ id: 1, method: 'GET', path: '/' });
    worker.close();
    assert.deepEqual(await worker.ended(), { code: 0, signal: null });
    assert.match(worker.stderr, /^answered\nSIGTERM\ncleaned up\n$/);
});

test('cluster.fork() is refused with what to do instead', async (t) => {
    for (const extension of ['js', 'mjs']) {
        const load = extension === 'js' ? "const cluster = require('cluster');" : "import cluster from 'node:cluster';";
        const worker = start(t, `${load} cluster.fork();`, { extension });
        const { type, message } = await worker.next();
        assert.equal(type, 'error');
        assert.match(message, /cluster\.fork\(\): nodey starts the processes itself: write {2}instances = 4 {2}in \[workers\.test\]/);
    }
});

const EXPORTS = [
    ['cjs', "module.exports = (req, res) => res.end('exported');"],
    ['js', "const http = require('node:http'); module.exports = http.createServer((req, res) => res.end('exported'));"],
    ['mjs', "export default { fetch: () => new Response('exported') };"],
    ['mjs', "setInterval(() => {}, 1000); export default { fetch: () => new Response('exported') };"],
    ['cjs', "exports.__esModule = true; exports.default = (req, res) => res.end('exported');"],
];

for (const [extension, source] of EXPORTS) {
    test(`a script that only exports an app: ${source.slice(0, 40)}...`, async (t) => {
        const worker = start(t, source, { extension });
        await ready(worker);
        assert.equal(await bodyOf(worker), 'exported');
        await worker.finish();
    });
}

test('an app that is exported and listens later is served once, by its server', async (t) => {
    const worker = start(t, `${HELLO}
        const app = (req, res) => res.end(started ? 'started' : 'too early');
        let started = false;
        setTimeout(() => { started = true; http.createServer(app).listen(3000); }, 250);
        module.exports = app;
    `);
    await ready(worker);
    assert.equal(await bodyOf(worker), 'started');
    await worker.finish();
});

test('a script that exports no app is told what it lacks, as before', async (t) => {
    const worker = start(t, 'module.exports = { add: (a, b) => a + b };');
    assert.match((await worker.next()).message, /registered no handler/);
});
