/* Requests, handlers, errors. */
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { startSource } = require('./lib/worker.js');
const { Conversation } = require('./lib/conversation.js');

const HEAD = "const nodey = require('nodey');\n";

async function serve(t, source, options) {
    const worker = startSource(t, HEAD + source, options);
    await worker.ready();
    return worker;
}

test('a request shows all its members', async (t) => {
    const worker = await serve(t, `
        nodey.post('/users/:id', (req, ctx) => ({
            method: req.method, path: req.path, query: req.query, queryString: req.queryString,
            params: req.params, cookies: req.cookies, ip: req.ip, scheme: req.scheme,
            timeout: req.timeout, accept: req.headers.accept, json: req.json(),
            size: req.body.length, id: ctx.id, left: Math.round((ctx.deadline - Date.now()) / 1000),
        }));
    `);
    const { json } = await worker.call({
        id: 12, timeout: 30000, method: 'POST', path: '/users/a%20b', query: 'x=1&x=2&y=%C3%A9+',
        headers: { cookie: 'sid=%41; sid=2; q="v"; bad', accept: ['a', 'b'] }, ip: '203.0.113.9',
        scheme: 'https', params: { id: 'not this one' }, body: '{"name":"é"}',
    });
    assert.deepEqual(json, {
        method: 'POST', path: '/users/a%20b', query: { x: ['1', '2'], y: 'é ' },
        queryString: 'x=1&x=2&y=%C3%A9+', params: { id: 'a b' }, cookies: { sid: 'A', q: 'v' },
        ip: '203.0.113.9', scheme: 'https', timeout: 30000, accept: ['a', 'b'],
        json: { name: 'é' }, size: 13, id: 12, left: 30,
    });
    await worker.finish();
});

test('a body in base64 or as json is the same body', async (t) => {
    const worker = await serve(t, `
        nodey.post('/', (req) => [req.text(), req.json(), req.body.toString('hex'), 0]);
    `);
    const body64 = Buffer.from('{"é":1}').toString('base64');
    const hex = Buffer.from('{"é":1}').toString('hex');
    for (const body of [{ body64 }, { json: { é: 1 } }, { body: '{"é":1}' }]) {
        const { json } = await worker.call({ id: 1, method: 'POST', path: '/', ...body });
        assert.deepEqual(json, ['{"é":1}', { é: 1 }, hex, 0]);
    }
    const bad = await worker.call({ id: 2, method: 'POST', path: '/', body: '{' });
    assert.equal(bad.code, 'invalid_argument');
    assert.match(bad.message, /^the body is not JSON: /);
    await worker.finish();
});

test('params of the route that nodey matched serve a handler without params of its own', async (t) => {
    const worker = await serve(t, "nodey.get('/a', (req) => req.params);");
    const { json } = await worker.call({ id: 1, method: 'GET', path: '/a', params: { x: '1' } });
    assert.deepEqual(json, { x: '1' });
    await worker.finish();
});

test('every method has its verb, and route() takes several', async (t) => {
    const worker = startSource(t, `${HEAD}
        for (const verb of ['get', 'post', 'put', 'patch', 'delete', 'head', 'options']) {
            nodey[verb]('/verb', { description: 'd' }, () => verb);
        }
        nodey.route(['GET', 'PURGE'], '/several', { timeout: 5000 }, (req) => req.method);
        nodey.all('/all', (req) => req.method);
    `);
    const { routes } = await worker.ready();
    assert.equal(routes.length, 10);
    assert.deepEqual(routes[0], { path: '/verb', method: 'GET', description: 'd' });
    assert.deepEqual(routes[8], { path: '/several', method: 'PURGE', timeout: 5000 });
    assert.deepEqual(routes[9], { path: '/all' });
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS']) {
        const frame = await worker.call({ id: 1, method, path: '/verb' });
        assert.deepEqual(frame, { id: 1, body: method.toLowerCase() });
    }
    assert.equal((await worker.call({ id: 2, method: 'PURGE', path: '/several' })).body, 'PURGE');
    assert.equal((await worker.call({ id: 3, method: 'X', path: '/all' })).body, 'X');
    await worker.finish();
});

test('a method that no route has is answered 405 with Allow', async (t) => {
    const worker = await serve(t, "nodey.get('/a', () => 1);");
    const frame = await worker.call({ id: 1, method: 'PUT', path: '/a' });
    assert.equal(frame.status, 405);
    assert.equal(frame.headers.allow, 'GET, HEAD');
    await worker.finish();
});

test('errors carry what was thrown, and only what is unexpected is logged, once', async (t) => {
    const worker = await serve(t, `
        const { HTTPError, NodeyError } = nodey;
        const errors = {
            teapot: new HTTPError(418, 'short and stout', { data: { n: 1 } }),
            plain: new HTTPError(404),
            code: new NodeyError('resource_exhausted', 'later'),
            abort: new DOMException('x', 'AbortError'), type: new TypeError('oops'), text: 'just text', nothing: undefined,
            circular: new HTTPError(400, 'c', { data: globalThis }),
        };
        nodey.get('/sync/:name', (req) => { throw errors[req.params.name]; });
        nodey.get('/async/:name', async (req) => { throw errors[req.params.name]; });
    `);
    const expected = {
        teapot: { code: 'invalid_argument', message: 'short and stout', status: 418, data: { n: 1 } },
        plain: { code: 'not_found', message: 'Not Found' },
        code: { code: 'resource_exhausted', message: 'later' },
        abort: { code: 'internal', message: 'AbortError: x' },
        type: { code: 'internal', message: 'TypeError: oops' },
        text: { code: 'internal', message: 'just text' },
        nothing: { code: 'internal', message: 'undefined' },
        circular: { code: 'invalid_argument', message: 'c' },
    };
    for (const [name, members] of Object.entries(expected)) {
        for (const kind of ['sync', 'async']) {
            const frame = await worker.get(9, `/${kind}/${name}`);
            assert.deepEqual(frame, { type: 'error', id: 9, ...members });
        }
    }
    await worker.finish();
    assert.equal(worker.logs.length, 8);
    const [record, ...others] = worker.logs.filter(({ message }) => message.startsWith('GET /async/type'));
    assert.deepEqual(others, []);
    assert.deepEqual([record.level, record.id], ['error', 9]);
    assert.match(record.message, /^GET \/async\/type failed: TypeError: oops\n +at /);
    assert.doesNotMatch(record.message, /node:internal|calls\.cjs/);
    assert.equal(worker.stderr, '');
});

test('stacks are sent in development only', async (t) => {
    const worker = await serve(t, "nodey.get('/', () => { throw new Error('x'); });", { env: { NODEY_DEV: '1' } });
    const { stack } = await worker.get(1, '/');
    assert.match(stack, /^Error: x\n +at /);
    await worker.finish();
});

test('a value that JSON cannot hold fails that request and names the route', async (t) => {
    const worker = await serve(t, "nodey.get('/big', async () => ({ n: 1n })); nodey.get('/ok', () => 'ok');");
    const frame = await worker.get(1, '/big');
    assert.equal(frame.code, 'internal');
    assert.match(frame.message, /^TypeError: GET \/big: JSON cannot hold this value: .*BigInt/);
    assert.deepEqual(await worker.get(2, '/ok'), { id: 2, body: 'ok' });
    await worker.finish();
});

test('an answer over the line limit is sent in pieces, with its length; that of an ask is an error', async (t) => {
    const worker = await serve(t, `
        nodey.get('/text', () => 'é'.repeat(600));
        nodey.get('/json', () => [201, { e: 'é'.repeat(600) }, { 'x-a': 'b' }]);
        nodey.set({ Long: () => 'é'.repeat(600) });
    `, { env: { NODEY_MAX_LINE: '1000' } });
    const conversation = new Conversation(worker);
    worker.send({ id: 1, method: 'GET', path: '/text' });
    await conversation.receive({ id: 1, status: 200, headers: { 'content-length': '1200' }, text: 'é'.repeat(600), end: true });
    worker.send({ id: 2, method: 'GET', path: '/json' });
    await conversation.receive({ id: 2, status: 201, text: `{"e":"${'é'.repeat(600)}"}`, end: true,
        headers: { 'content-type': 'application/json', 'content-length': '1208', 'x-a': 'b' } });
    worker.send({ type: 'ask', id: 3, token: 'Long' });
    const frame = await worker.next();
    assert.equal(frame.code, 'internal');
    assert.match(frame.message, /token Long: the answer is a line of 12\d\d bytes, .* one line of 1000 bytes/);
    worker.send({ type: 'hello', limits: { max_line: 2000 } });
    assert.equal((await worker.get(2, '/text')).body.length, 600);
    await worker.finish();
});

test('a fetch Response is answered', async (t) => {
    const worker = await serve(t, `
        nodey.get('/', () => new Response('hi', { status: 202, headers: { 'X-A': 'b' } }));
        nodey.get('/empty', async () => new Response(null, { status: 304 }));
    `);
    const frame = await worker.get(1, '/');
    assert.deepEqual([frame.status, frame.body64, frame.headers['x-a']], [202, 'aGk=', 'b']);
    assert.deepEqual(await worker.get(2, '/empty'), { id: 2, status: 304 });
    await worker.finish();
});

test('a request for a token runs the token, with the JSON body or the query', async (t) => {
    const worker = await serve(t, "nodey.token('Add', ({ a, b }, ctx) => ({ sum: a + b, id: ctx.id }));");
    const post = { id: 1, method: 'POST', path: '/x', token: 'Add', body: '{"a":1,"b":2}' };
    assert.deepEqual(await worker.call(post), { id: 1, json: { sum: 3, id: 1 } });
    const get = { id: 2, method: 'GET', path: '/x', token: 'Add', query: 'a=1&b=2' };
    assert.deepEqual(await worker.call(get), { id: 2, json: { sum: '12', id: 2 } });
    assert.equal((await worker.call({ ...post, body: '{' })).code, 'invalid_argument');
    assert.equal((await worker.call({ ...post, token: 'Sub' })).code, 'unimplemented');
    await worker.finish();
});

test('cancel fires the signal, and the call is still answered, with whatever it gives', async (t) => {
    const worker = await serve(t, `
        const fired = (signal) => new Promise((resolve) => signal.addEventListener('abort', resolve));
        nodey.get('/gives', async (req) => { await fired(req.signal); return 'half'; });
        nodey.get('/throws', async (req, ctx) => { await fired(ctx.signal); throw ctx.signal.reason; });
        nodey.get('/late', async (req) => {
            await new Promise((resolve) => setTimeout(resolve, 100));
            return req.signal.aborted + ' ' + req.signal.reason.message;
        });
        nodey.get('/fails', async (req) => { await fired(req.signal); throw new TypeError('x'); });
    `);
    ['gives', 'throws', 'late', 'fails'].forEach((name, id) => {
        worker.send({ id, method: 'GET', path: `/${name}` }, { type: 'cancel', id, reason: 'timeout' });
    });
    const frames = [];
    for (let count = 0; count < 4; count++) frames.push(await worker.next());
    frames.sort((a, b) => a.id - b.id);
    assert.deepEqual(frames[0], { id: 0, body: 'half' });
    assert.deepEqual(frames[1], { type: 'error', id: 1, code: 'cancelled', message: 'GET /throws was cancelled' });
    assert.deepEqual(frames[2], { id: 2, body: 'true GET /late was cancelled: timeout' });
    assert.equal(frames[3].code, 'internal');
    await worker.finish();
    assert.doesNotMatch(worker.stderr, /throws/);
});

test('log lines are frames and name the request', async (t) => {
    const worker = await serve(t, `
        nodey.get('/', async (req, { log }) => {
            log.info('hi', { user: 1 });
            await null;
            nodey.log.warn('global');
            log.error(new Error('bad'));
            log.debug('odd', { n: 1n });
            return 'ok';
        });
        nodey.start().then(() => nodey.log.info('up'));
    `);
    assert.deepEqual(await worker.frame(), { type: 'log', level: 'info', message: 'up' });
    worker.send({ id: 5, method: 'GET', path: '/' });
    assert.deepEqual(await worker.frame(), { type: 'log', level: 'info', message: 'hi', id: 5, fields: { user: 1 } });
    assert.deepEqual(await worker.frame(), { type: 'log', level: 'warn', message: 'global', id: 5 });
    assert.match((await worker.frame()).message, /^Error: bad\n/);
    assert.deepEqual((await worker.frame()).fields, { fields: '{ n: 1n }' });
    assert.deepEqual(await worker.frame(), { id: 5, body: 'ok' });
    await worker.finish();
});

test('a line in pieces, cut within a character, is one line', async (t) => {
    const worker = await serve(t, "nodey.post('/', (req) => req.text());");
    const line = Buffer.from(`${JSON.stringify({ id: 1, method: 'POST', path: '/', body: '😀é' })}\n`);
    for (const byte of line) {
        worker.write(Buffer.from([byte]));
        await new Promise((resolve) => setTimeout(resolve, 1));
    }
    assert.deepEqual(await worker.next(), { id: 1, body: '😀é' });
    await worker.finish();
});

test('a big request and a big answer pass whole', async (t) => {
    const worker = await serve(t, "nodey.post('/', (req) => req.text());");
    const body = 'é"\n'.repeat(100000);
    const frame = await worker.call({ id: 1, method: 'POST', path: '/', body });
    assert.equal(frame.body, body);
    await worker.finish();
});

test('a handler that computes for long does not keep the answer of an earlier one', async (t) => {
    const worker = await serve(t, `
        nodey.get('/busy', (req) => {
            const end = Date.now() + Number(req.query.ms);
            while (Date.now() < end);
            return req.query.ms;
        });
    `);
    const busy = (id, ms) => ({ id, method: 'GET', path: '/busy', query: `ms=${ms}` });
    worker.send(busy(1, 20), busy(2, 1000), busy(3, 1000));
    await worker.next();
    const start = Date.now();
    await worker.next();
    assert.ok(Date.now() - start > 700, 'the first answer waited for the second handler');
    await worker.next();
    await worker.finish();
});
