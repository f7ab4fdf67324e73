/* publish, enqueue and seek, with a scripted supervisor. */
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { startSource } = require('./lib/worker.js');

const HEAD = `
    const nodey = require('nodey');
    const { publish, enqueue, seek } = nodey;
    const report = (promise) => promise.then((value) => ({ value }),
        ({ name, code, status, message }) => ({ name, code, status, message }));
`;

async function serve(t, source, options) {
    const worker = startSource(t, HEAD + source, options);
    await worker.ready();
    return worker;
}

function request(id, path) {
    return { id, method: 'GET', path };
}

/* Sends a request whose handler publishes, and answers that; gives both frames. */
async function exchange(worker, path, reply) {
    const frame = await worker.call(request(50, path));
    return [frame, await worker.call({ id: frame.id, ...reply })];
}

test('publish and enqueue say what they were given, and resolve when it is stored', async (t) => {
    const worker = await serve(t, `
        nodey.get('/topic', () => publish('post.created', { id: 'é' }, { key: 7, id: 'p1', delay: '1.5s', headers: { a: 'b' } }));
        nodey.get('/queue', () => enqueue('thumb.big', [1], { at: new Date(1790000000000), key: null }));
        nodey.get('/bare', () => publish('a'));
    `);
    const [topic, stored] = await exchange(worker, '/topic', { type: 'ack', seq: 123 });
    assert.deepEqual(topic, { type: 'publish', id: 1, for: 50, topic: 'post.created', key: '7', msgid: 'p1', delay: 1500,
        headers: { a: 'b' }, data: { id: 'é' } });
    assert.deepEqual(stored, { id: 50, json: { seq: 123, duplicate: false } });
    const [queue, again] = await exchange(worker, '/queue', { type: 'ack', seq: 124, duplicate: true });
    assert.deepEqual(queue, { type: 'publish', id: 2, for: 50, queue: 'thumb.big', key: null, at: 1790000000000, data: [1] });
    assert.deepEqual(again.json, { seq: 124, duplicate: true });
    const [bare] = await exchange(worker, '/bare', { type: 'ack', seq: 1 });
    assert.deepEqual(bare, { type: 'publish', id: 3, for: 50, topic: 'a', data: null });
    await worker.finish();
});

test('data is the last member of a line', async (t) => {
    const worker = await serve(t, "nodey.get('/', () => publish('a', { x: 1 }, { headers: { h: 'i' }, key: 'k' }));");
    worker.send(request(1, '/'));
    assert.match(await worker.line(), /^\{"type":"publish","id":1,.*,"data":\{"x":1\}\}$/);
    worker.kill();
});

test('for names the call that publishes, across awaits, timers and concurrent calls', async (t) => {
    const worker = await serve(t, `
        const { setTimeout: sleep } = require('node:timers/promises');
        nodey.get('/:ms', async (req) => { await sleep(+req.params.ms); return publish('slept', +req.params.ms); });
        nodey.set({ Ask: async () => { await null; return publish('asked'); } });
        nodey.ws('/socket', async (socket) => { await publish('connected'); await socket.send('x'); });
    `);
    worker.send(request(1, '/40'), request(2, '/20'), request(3, '/0'), { type: 'ask', id: 4, token: 'Ask' });
    const frames = [];
    for (let count = 0; count < 4; count++) frames.push(await worker.next());
    const found = frames.map(({ for: asker, topic, data }) => [asker, topic, data]).sort();
    assert.deepEqual(found, [[1, 'slept', 40], [2, 'slept', 20], [3, 'slept', 0], [4, 'asked', null]]);
    for (const { id, for: asker } of frames) {
        const answer = await worker.call({ type: 'ack', id, seq: asker + 100 });
        assert.deepEqual([answer.id, (answer.json ?? answer.value).seq], [asker, asker + 100]);
    }
    const { for: socket } = await worker.call({ ...request(9, '/socket'), upgrade: 'websocket' });
    assert.equal(socket, 9);
    worker.kill();
});

test('asks and publishes share their numbers, and answers find their way', async (t) => {
    const worker = await serve(t, `
        nodey.get('/', async () => JSON.stringify([await report(nodey.ask('A')), await report(publish('b')), await report(nodey.ask('C'))]));
    `);
    const ask = await worker.call(request(1, '/'));
    const published = await worker.call({ type: 'answer', id: ask.id, value: 'a' });
    const other = await worker.call({ type: 'error', id: published.id, code: 'unavailable', message: 'the store failed' });
    assert.equal(new Set([ask.id, published.id, other.id]).size, 3);
    const { body } = await worker.call({ type: 'error', id: other.id, code: 'not_found', message: 'no C' });
    const [a, b, c] = JSON.parse(body);
    assert.deepEqual([a.value, b.message, c.message], ['a', 'publish b: the store failed', 'no C']);
    await worker.finish();
});

const REFUSED = [
    [{ code: 'resource_exhausted', message: 'the disk is full' }, { code: 'resource_exhausted', status: 503 }],
    [{ code: 'unavailable', message: 'later' }, { code: 'unavailable', status: 503 }],
    [{ code: 'invalid_argument', message: 'bad' }, { code: 'invalid_argument', status: 500 }],
    [{}, { code: 'internal', status: 500 }],
];

for (const [error, expected] of REFUSED) {
    test(`a publish that is refused with ${error.code ?? 'nothing'} rejects, and is no fault of a client's`, async (t) => {
        const worker = await serve(t, "nodey.get('/', () => report(publish('a')));");
        const [, { json }] = await exchange(worker, '/', { type: 'error', ...error });
        assert.deepEqual(json, { name: 'NodeyError', ...expected, message: `publish a: ${error.message ?? 'internal'}` });
        await worker.finish();
    });
}

const WRONG = [
    ["publish('')", /^publish: the topic is ''; it is empty$/],
    ["publish('a b')", /^publish: the topic is 'a b'; a space cannot be in it: letters, digits/],
    ["publish('a..b')", /^publish: the topic is 'a\.\.b'; there must be something before, between and after the dots$/],
    ["publish('a.*')", /^publish: the topic is 'a\.\*'; only a pattern can have a "\*"$/],
    ["publish('é')", /'é' cannot be in it/],
    ["publish('a'.repeat(256))", /it has 256 bytes; 255 are the most/],
    ["publish({ topic: 'a', data: 1 })", /the topic is \{ topic: 'a', data: 1 \}; it must be a string .*: write publish\(topic, data, \{ key \}\)$/],
    ['enqueue(7)', /^enqueue: the queue is 7; it must be a string/],
    ["publish('a', 1, 'k')", /^publish a: the options must be an object such as \{ key \}, not 'k'$/],
    ["publish('a', 1, { kye: 1 })", /^publish a: there is no option kye: what there is: key, id, at, delay, headers, now$/],
    ["enqueue('q', 1, { jobId: 1 })", /^enqueue q: there is no option jobId: write id$/],
    ["enqueue('q', 1, { attempts: 3 })", /there is no option attempts: whoever handles it says that, in its on\(\) or job\(\)/],
    ["publish('a', 1, { key: {} })", /^publish a: key is \{\}; it must be a string or a number$/],
    ["publish('a', 1, { key: '' })", /key is empty; leave it out, or write null for none/],
    ["publish('a', 1, { id: 'é'.repeat(101) })", /id has 202 bytes; 200 are the most/],
    ["publish('a', 1, { delay: 'soon' })", /delay is 'soon'; it must be milliseconds, or a text such as "300ms"/],
    ["publish('a', 1, { delay: -1 })", /delay is -1; it must be/],
    ["publish('a', 1, { at: 'tomorrow' })", /at is 'tomorrow'; it must be milliseconds since 1970, a Date, or a text/],
    ["publish('a', 1, { at: new Date(NaN) })", /at is Invalid Date; it must be/],
    ["publish('a', 1, { at: 1, delay: 1 })", /at and delay say the same; one of them may be there/],
    ["publish('a', 1, { headers: [] })", /headers must be an object of strings, not \[\]/],
    ["publish('a', 1, { headers: { n: 1 } })", /the header n is 1; it must be a string/],
    ["publish('a', 1, { now: 'yes' })", /now must be true or false, not 'yes'/],
    ["publish('a', { n: 1n })", /^publish a: JSON cannot hold this value: Do not know how to serialize a BigInt$/],
    ["publish('a', () => 1)", /^publish a: JSON cannot hold a function$/],
    ["publish('a', { n: NaN })", /JSON cannot hold NaN or Infinity/],
    ["publish('a', { p: Promise.resolve() })", /p is a promise: an await is missing/],
    ["publish('a', Buffer.from('x'))", /the data is bytes, which JSON has none of: write Buffer\.from\(data\)\.toString\('base64'\)/],
    ["publish('a', 'x'.repeat(70000))", /the data makes a line of \d+ bytes; 65536 are the most \(max_line\): keep it in a file/],
    ["seek('', 'first')", /^seek: the group is ''; it must be the name of one/],
    ["seek('g', 'last')", /^seek g: where it shall begin is 'last'; it must be "first", "new", \{ seq: 100 \} or \{ time:/],
    ["seek('g', { seq: 1, time: 2 })", /it must be "first"/],
];

test('whatever is wrong with an argument is said before anything is sent', async (t) => {
    const routes = WRONG.map(([expression], at) => `nodey.get('/${at}', () => report(${expression}));`).join('\n');
    const worker = await serve(t, routes, { env: { NODEY_MAX_LINE: '65536' } });
    for (const [at, [expression, message]] of WRONG.entries()) {
        const { json } = await worker.get(at, `/${at}`);
        assert.deepEqual([json.name, json.code, json.status], ['NodeyError', 'invalid_argument', 500], expression);
        assert.match(json.message, message, expression);
    }
    await worker.finish();
});

test('a wrong argument is the handler\'s fault: its line is logged, and the client gets a 500', async (t) => {
    const worker = await serve(t, "nodey.get('/', async () => { await publish('a b'); });");
    const frame = await worker.get(1, '/');
    assert.deepEqual([frame.code, frame.status], ['invalid_argument', 500]);
    await worker.finish();
    assert.match(worker.logs[0].message, /^GET \/ failed: NodeyError: publish: .*\n.*worker\d+\.js:\d+/);
});

test('an error of the bus leads to the line that published', async (t) => {
    const worker = await serve(t, `nodey.get('/', async () => {
        await store();
    });
    async function store() { await publish('a'); }`);
    await exchange(worker, '/', { type: 'error', code: 'unavailable', message: 'x' });
    await worker.finish();
    const frames = /^GET \/ failed: NodeyError: publish a: x\n {4}at async store \(.*worker\d+\.js:9:\d+\)\n {4}at async .*worker\d+\.js:7:\d+/;
    assert.match(worker.logs[0].message, frames);
});

test('one that fails and that nobody awaits is logged', async (t) => {
    const worker = await serve(t, "nodey.get('/', () => { publish('a'); publish('b c'); return 'ok'; });");
    worker.send(request(1, '/'));
    const frames = [await worker.next(), await worker.next()];
    assert.deepEqual(frames.find(({ type }) => type === undefined), { id: 1, body: 'ok' });
    const { id } = frames.find(({ type }) => type === 'publish');
    worker.send({ type: 'error', id, code: 'unavailable', message: 'gone' });
    assert.deepEqual(await worker.get(2, '/none').then(({ code }) => code), 'not_found');
    await worker.finish();
    const messages = worker.logs.map(({ message }) => message).sort();
    assert.match(messages[0], /^a publish a failed and nobody awaited it: NodeyError: publish a: gone/);
    assert.match(messages[1], /^a publish b c failed and nobody awaited it: NodeyError: publish: the topic is 'b c'/);
});

test('a publish at top level makes the worker ready first, and is for nobody', async (t) => {
    const worker = startSource(t, `
        import { publish, get } from 'nodey';
        const { seq } = await publish('started', 1);
        get('/', () => seq);
    `, { extension: 'mjs' });
    await worker.ready();
    assert.deepEqual(await worker.next(), { type: 'publish', id: 1, topic: 'started', data: 1 });
    worker.send({ type: 'ack', id: 1, seq: 5 });
    assert.deepEqual((await worker.ready()).routes, [{ path: '/', method: 'GET' }]);
    assert.equal((await worker.get(1, '/')).json, 5);
    await worker.finish();
});

test('ten thousand at once: none is lost, each gets its answer, in few writes', async (t) => {
    const COUNT = 10000;
    const worker = await serve(t, `
        nodey.get('/', async () => {
            const all = await Promise.all(Array.from({ length: ${COUNT} }, (_, n) => publish('n', n)));
            return all.every(({ seq }, n) => seq === n + 1000);
        });
        nodey.get('/rss', () => process.memoryUsage().rss);
    `);
    const before = (await worker.get(1, '/rss')).json;
    let chunks = 0;
    worker.stdout.on('data', () => chunks++);
    worker.send(request(2, '/'));
    const acks = [];
    for (let n = 0; n < COUNT; n++) {
        const { id, data } = await worker.next();
        assert.equal(data, n);
        acks.push({ type: 'ack', id, seq: n + 1000 });
    }
    assert.ok(chunks < COUNT / 20, `${chunks} reads`);
    worker.send(...acks);
    assert.equal((await worker.next()).json, true);
    const grown = (await worker.get(3, '/rss')).json - before;
    assert.ok(grown < 100e6, `${grown} bytes`);
    await worker.finish();
});

test('what the bus has not stored is held back, in order, and the worker answers meanwhile', async (t) => {
    const worker = await serve(t, `
        nodey.get('/', async () => {
            const text = 'x'.repeat(100000);
            const all = await Promise.all(Array.from({ length: 200 }, (_, n) => publish('n', { n, text })));
            return all.length;
        });
        nodey.get('/alive', () => 'yes');
    `, { env: { NODEY_MAX_LINE: '1048576' } });
    worker.send(request(1, '/'));
    const first = [];
    for (let n = 0; n < 30; n++) first.push(await worker.next());
    let alive = await worker.get(2, '/alive');
    while (alive.type === 'publish') {
        first.push(alive);
        alive = await worker.next();
    }
    assert.deepEqual(alive, { id: 2, body: 'yes' });
    assert.ok(first.length < 60, `${first.length} were sent without an answer`);
    const seen = first.map(({ data }) => data.n);
    first.forEach(({ id }) => worker.send({ type: 'ack', id, seq: id }));
    for (let frame; (frame = await worker.next()).type === 'publish';) {
        seen.push(frame.data.n);
        worker.send({ type: 'ack', id: frame.id, seq: frame.id });
    }
    assert.deepEqual(seen, Array.from({ length: 200 }, (_, n) => n));
    await worker.finish();
});

test('a worker holds so much and no more', async (t) => {
    const worker = await serve(t, `
        nodey.get('/', () => {
            const text = 'x'.repeat(900000);
            const all = Array.from({ length: 100 }, () => report(publish('n', text)));
            return Promise.race(all);
        });
    `);
    let frame = await worker.call(request(1, '/'));
    while (frame.type === 'publish') frame = await worker.next();
    assert.equal(frame.json.code, 'resource_exhausted');
    assert.match(frame.json.message, /64 MiB of this worker wait to be stored already: await what you publish/);
    worker.kill();
});

test('a worker that is to end waits for what is not stored yet', async (t) => {
    const worker = await serve(t, "nodey.get('/', () => { publish('a'); return 'ok'; });");
    worker.send(request(1, '/'), { type: 'drain', grace: 5000 });
    const frames = [await worker.next(), await worker.next()];
    const { id } = frames.find(({ type }) => type === 'publish');
    const status = await Promise.race([worker.exit, new Promise((resolve) => setTimeout(resolve, 300, 'alive'))]);
    assert.equal(status, 'alive');
    worker.send({ type: 'ack', id, seq: 1 });
    assert.deepEqual(await worker.ended(), { code: 0, signal: null });
});

test('when the pipe is closed, what is not stored rejects, and says what is known', async (t) => {
    const worker = await serve(t, `
        nodey.get('/', () => {
            process.on('exit', () => nodey.log.info(JSON.stringify(seen)));
            const seen = [];
            for (let n = 0; n < 2; n++) report(publish('n', 'x'.repeat(n * 5e6))).then((found) => seen.push(found));
            report(publish('late')).then((found) => seen.push(found));
            setTimeout(() => {}, 50);
            return 'ok';
        });
    `, { env: { NODEY_MAX_LINE: '16777216' } });
    worker.send(request(1, '/'));
    for (let count = 0; count < 3; count++) await worker.next();
    worker.close();
    assert.equal((await worker.ended()).code, 0);
    await worker.end();
    const seen = JSON.parse(worker.logs.at(-1).message);
    assert.deepEqual(seen.map(({ code }) => code), ['unavailable', 'unavailable', 'unavailable']);
    assert.match(seen[0].message, /^publish n: the supervisor has closed the pipe: whether it is stored is not known; with an id/);
    assert.match(seen[2].message, /^publish late: .*: it is not stored$/);
});

test('seek', async (t) => {
    const worker = await serve(t, `
        nodey.get('/:to', (req) => report(seek('query', { first: 'first', seq: { seq: 7 },
            time: { time: new Date(5) }, iso: { time: '1970-01-01T00:00:01Z' } }[req.params.to])));
    `);
    for (const [path, to] of [['/first', 'first'], ['/seq', { seq: 7 }], ['/time', { time: 5 }], ['/iso', { time: 1000 }]]) {
        const [{ id, ...frame }, { json }] = await exchange(worker, path, { type: 'ack' });
        assert.deepEqual(frame, { type: 'seek', group: 'query', to });
        assert.deepEqual([typeof id, json], ['number', {}]);
    }
    const [, { json }] = await exchange(worker, '/first', { type: 'error', code: 'not_found', message: 'no such group' });
    assert.deepEqual([json.code, json.message], ['not_found', 'seek query: no such group']);
    await worker.finish();
});

test('by hand what is published is shown, and counts as stored', async (t) => {
    const worker = startSource(t, `${HEAD} nodey.get('/', () => publish('a', { x: 1 }));`, { hand: true });
    worker.send(request(1, '/'));
    assert.deepEqual(await worker.frame(), { type: 'publish', id: 1, for: 1, topic: 'a', data: { x: 1 } });
    assert.deepEqual(await worker.frame(), { id: 1, json: { seq: 1, duplicate: false } });
    await worker.finish();
});

test('a thread of a worker is told that it cannot publish', async (t) => {
    const worker = await serve(t, `
        const { Worker } = require('node:worker_threads');
        const code = "require('nodey').publish('a').catch((error) => require('node:worker_threads').parentPort.postMessage(error.message))";
        nodey.get('/', () => new Promise((resolve) => new Worker(code, { eval: true }).on('message', resolve)));
    `);
    assert.match((await worker.get(1, '/')).body, /^publish a: this thread or process is not a worker/);
    await worker.finish();
});

test('an app of its own publishes in its handlers, for the request', async (t) => {
    const worker = startSource(t, `${HEAD}
        const http = require('node:http');
        nodey.serve(http.createServer(async (req, res) => res.end(String((await publish('seen', req.url)).seq))));
    `);
    await worker.ready();
    const frame = await worker.call(request(4, '/x'));
    assert.deepEqual(frame, { type: 'publish', id: 1, for: 4, topic: 'seen', data: '/x' });
    assert.equal((await worker.call({ type: 'ack', id: 1, seq: 9 })).body, '9');
    await worker.finish();
});
