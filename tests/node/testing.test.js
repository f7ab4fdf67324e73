/* nodey/testing: workers under test in this very process. */
'use strict';

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { script } = require('./lib/worker.js');
const { createRequire } = require('node:module');

// As a worker's own tests find it; the SDK must be the same copy that the scripts load.
const own = createRequire(script(''));
const testing = own('nodey/testing');

function load(source, options, extension) {
    const head = extension === 'mjs' ? "import nodey from 'nodey';" : "const nodey = require('nodey');";
    return testing.client(script(`${head}\n${source}`, extension), options);
}

test('a request and its answer', async () => {
    const client = testing.client(script(fs.readFileSync(path.join(__dirname, 'workers/echo.js'), 'utf8')));
    const response = await client.put('/a b?x=1', { body: 'hé', headers: { 'X-Test': 'y' } });
    assert.deepEqual(response.json(), { method: 'PUT', path: '/a%20b', query: 'x=1', header: 'y', body: 'hé' });
    assert.deepEqual([response.status, response.ok], [200, true]);
    assert.equal(response.headers.get('Content-Type'), 'application/json');
});

test('bodies: JSON, text, bytes, forms and files', async () => {
    const client = load(`
        nodey.post('/json', (req) => [req.headers.get('content-type'), req.json(), 0, 0]);
        nodey.post('/bytes', (req) => req.body);
        nodey.post('/form', (req) => {
            const { fields, files } = req.form();
            return { fields, files: files.getAll('f').map((file) => [file.filename, file.type, file.text()]) };
        });
    `);
    assert.deepEqual((await client.post('/json', { json: { a: 'é' } })).json(), ['application/json', { a: 'é' }, 0, 0]);
    assert.deepEqual((await client.post('/bytes', { body: new Uint8Array([0, 255]) })).body, Buffer.from([0, 255]));
    const form = { name: 'Ann & Bo', tag: ['a', 1] };
    const fields = { name: 'Ann & Bo', tag: ['a', '1'] };
    assert.deepEqual((await client.post('/form', { form })).json(), { fields, files: [] });
    const files = { f: ['plain', { filename: 'a".txt', type: 'text/plain', content: Buffer.from('x\r\n') }] };
    assert.deepEqual((await client.post('/form', { form, files })).json(), { fields,
        files: [['f', 'application/octet-stream', 'plain'], ['a".txt', 'text/plain', 'x\r\n']] });
});

test('misuse of the client is refused with a word about it', async () => {
    const client = load("nodey.all('/', () => 1);");
    await assert.rejects(client.get('x'), /the target must be a path such as/);
    await assert.rejects(client.post('/', { json: 1, body: 'x' }), /one body, not json and body/);
    await assert.rejects(client.post('/', { data: 1 }), /no option data; known are json, body/);
    await assert.rejects(load('').get('/'), /registered no handler/);
    await assert.rejects(load("throw new Error('bad start');").get('/'), /bad start/);
});

test('what a handler throws by mistake is thrown; what it throws on purpose is an answer', async () => {
    const source = `
        nodey.get('/bug', async () => { throw new TypeError('bug'); });
        nodey.get('/gone', () => { throw new nodey.HTTPError(410, 'gone', { data: 1 }); });
        nodey.get('/big', () => 'x'.repeat(2000000));
    `;
    const client = load(source);
    await assert.rejects(client.get('/bug'), { name: 'TypeError', message: 'bug' });
    assert.equal((await client.get('/big')).body.length, 2000000);
    const gone = await client.get('/gone');
    assert.deepEqual(gone.json(), { type: 'about:blank', title: 'Gone', status: 410, detail: 'gone', data: 1 });
    assert.equal((await client.get('/none')).status, 404);
    assert.equal((await client.post('/bug')).headers.get('allow'), 'GET, HEAD');
    const quiet = load(source, { throwErrors: false });
    const bug = await quiet.get('/bug');
    assert.deepEqual([bug.status, bug.json().detail], [500, 'TypeError: bug']);
});

test('fake tokens stand in for other workers', async () => {
    const client = load(`
        nodey.get('/', async () => ({ price: await nodey.ask('Price', { sku: 1, at: new Date(0) }), own: await nodey.ask('Own') }));
        nodey.set({ Own: () => 'own', Fails: () => { throw new RangeError('no'); } });
    `);
    await assert.rejects(client.get('/').then((answer) => {
        assert.equal(answer.status, 501);
        throw new Error(answer.json().detail);
    }), /nobody answers Price in this test: .*client\.tokens\.Price = /);
    const asked = [];
    client.tokens = { Price: (args) => { asked.push(args); return 3; } };
    assert.deepEqual((await client.get('/')).json(), { price: 3, own: 'own' });
    assert.deepEqual(asked, [{ sku: 1, at: '1970-01-01T00:00:00.000Z' }]); // as JSON brings it
    client.tokens.Own = async () => 'fake';
    assert.equal((await client.get('/')).json().own, 'fake');
    client.tokens.Price = () => {};
    assert.equal((await client.get('/')).json().price, null);
    client.tokens.Price = () => { throw new Error('down'); };
    assert.deepEqual((await client.get('/')).json().detail, 'Error: down');
    assert.equal(await client.ask('Own'), 'own');
    await assert.rejects(client.ask('Fails'), { name: 'RangeError', message: 'no' });
    await assert.rejects(client.ask('None'), { code: 'unimplemented' });
});

test('clients share nothing: each has a fresh worker, hooks included', async () => {
    const source = `
        let count = 0;
        nodey.onStart(async () => { count = 10; });
        nodey.onStop(() => { count = 99; });
        nodey.after((req, res) => { res.setCookie('seen', 'a b'); });
        nodey.get('/', () => ++count);
    `;
    for (const extension of ['js', 'mjs']) {
        const file = script(`${extension === 'mjs' ? "import nodey from 'nodey'" : "const nodey = require('nodey')"};${source}`, extension);
        const [one, two] = [testing.client(file), testing.client(file)];
        const answers = await Promise.all([one.get('/'), two.get('/'), one.get('/')]);
        assert.deepEqual(answers.map((answer) => answer.json()), [11, 11, 12]);
        assert.deepEqual({ ...answers[0].cookies }, { seen: 'a b' });
        assert.equal((await two.head('/')).body.length, 0);
        await one.close();
        assert.equal((await two.get('/')).json(), 13);
    }
});

test('without a script: what this process has registered', async () => {
    const nodey = own('nodey');
    nodey.get('/here', () => 'here').set({ Here: () => 1 });
    const client = testing.client();
    assert.equal((await client.get('/here')).text(), 'here');
    assert.equal(await client.ask('Here'), 1);
});

test('it works without the runner of tests, as an ES module too, and leaves stdout alone', () => {
    const source = `
        import { client } from 'nodey/testing';
        import nodey from 'nodey';
        nodey.get('/', () => 'ok');
        console.log((await client().get('/')).text());
    `;
    const env = { ...process.env };
    delete env.NODE_TEST_CONTEXT;
    const { stdout, stderr, status } = spawnSync(process.execPath, [script(source, 'mjs')], { env, encoding: 'utf8', timeout: 10000 });
    assert.deepEqual([stdout, stderr, status], ['ok\n', '', 0]);
});

test('answers in pieces are one answer, or read piece by piece; bodies may come in pieces', async () => {
    const client = load(`
        let stopped = 0;
        nodey.get('/rows', async function* () { yield 'a'; await null; yield 'é'; });
        nodey.get('/big', () => nodey.response((function* () { for (let n = 0; n < 20; n++) yield Buffer.alloc(65536, n); })(),
            { status: 201, trailers: { 'x-sum': 5 } }));
        nodey.get('/ticks', (req, ctx) => nodey.sse(async function* () {
            try { for (;;) { yield 'tick'; await new Promise((resolve) => setTimeout(resolve, 1)); } } finally { stopped++; }
        }));
        nodey.get('/half', async function* () { yield 'a'; await new Promise(setImmediate); throw new TypeError('half'); });
        nodey.get('/stopped', () => stopped);
        nodey.post('/sum', { stream: true }, async (req) => { let sum = 0; for await (const piece of req) sum += piece.length; return { sum }; });
    `);
    const rows = await client.get('/rows');
    assert.deepEqual([rows.text(), rows.headers.get('content-type')], ['aé', 'text/plain; charset=utf-8']);
    const big = await client.get('/big');
    assert.deepEqual([big.status, big.body.length, big.body[65536 * 19], big.trailers.get('x-sum')], [201, 20 * 65536, 19, '5']);
    await assert.rejects(client.get('/half'), { name: 'TypeError', message: 'half' });
    const ticks = await client.get('/ticks', { stream: true });
    assert.deepEqual([ticks.status, ticks.headers.get('content-type')], [200, 'text/event-stream']);
    for await (const piece of ticks) {
        assert.match(piece.toString(), /^data: tick\n\n/);
        break; // as a client that goes away
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal((await client.get('/stopped')).json(), 1);
    const body = (async function* () { for (let n = 0; n < 10; n++) yield Buffer.alloc(100000); })();
    assert.deepEqual((await client.post('/sum', { body })).json(), { sum: 1000000 });
    assert.deepEqual((await client.post('/sum', { body: 'abc' })).json(), { sum: 3 });
});

test('a WebSocket of a test', async () => {
    const client = load(`
        nodey.ws('/echo', { protocols: ['chat'] }, async (socket, req) => {
            await socket.send(req.query.hello);
            for await (const message of socket) await socket.send(message);
        });
        nodey.ws('/bye', async (socket) => { await socket.send('x'.repeat(300000)); await socket.send('y'); socket.close(4001, 'done'); });
        nodey.ws('/no', () => { throw new nodey.HTTPError(403, 'no'); });
    `);
    const socket = await client.ws('/echo?hello=hi', { protocols: ['soup', 'chat'] });
    assert.equal(socket.protocol, 'chat');
    assert.equal(await socket.receive(), 'hi');
    socket.send(Buffer.from([0, 255]));
    assert.deepEqual(await socket.receive(), Buffer.from([0, 255]));
    socket.close(1000);
    assert.equal((await socket.closed).code, 1000);
    const bye = await client.ws('/bye');
    const lengths = [];
    for await (const message of bye) lengths.push(message.length);
    assert.deepEqual([lengths, await bye.closed], [[300000, 1], { code: 4001, reason: 'done' }]);
    await assert.rejects(client.ws('/no'), (error) => error.response.status === 403);
});
