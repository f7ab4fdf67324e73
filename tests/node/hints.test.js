/* What newcomers write: other frameworks' names, a forgotten return, an error with a status. */
'use strict';

const assert = require('node:assert/strict');
const path = require('node:path');
const { test } = require('node:test');
const { SDK, startSource } = require('./lib/worker.js');

const DEV = { env: { NODEY_DEV: '1' } };

async function serve(t, source, options) {
    const worker = startSource(t, `const nodey = require('nodey');\n${source}`, options);
    await worker.ready();
    return worker;
}

/* What reading each expression throws, in a handler of (req, res). */
async function refusals(t, expressions, options) {
    const worker = await serve(t, expressions.map((expression, at) =>
        `nodey.post('/${at}', (req, res) => { ${expression}; });`).join('\n'), options);
    const messages = [];
    for (const at of expressions.keys()) {
        const frame = { id: at, method: 'POST', path: `/${at}`, body: '{"name":"Ann","length":3}' };
        const answer = await worker.call({ ...frame, headers: { 'content-type': 'application/json' } });
        messages.push(answer.message ?? 'nothing was thrown');
    }
    await worker.finish();
    return messages;
}

const WRONG = [
    ["throw new nodey.HttpError(404, 'x')", /^TypeError: there is no nodey\.HttpError: write nodey\.HTTPError, /],
    ["throw nodey.error('x')", /there is no nodey\.error: write nodey\.HTTPError .* nodey\.log\.error/],
    ['nodey.listen(3000)', /there is no nodey\.listen: nodey serves by itself/],
    ['new nodey.Nodey().listen(3000)', /there is no nodey\.listen: nodey serves by itself/],
    ['nodey.use(() => {})', /write nodey\.before/],
    ['nodey.Router()', /nodey is the app: write nodey\.get\('\/path'/],
    ['res.json({})', /^TypeError: there is no res\.json: a handler returns its answer: write {2}return \{ \.\.\. \}$/],
    ["res.send('x')", /there is no res\.send: .* return value$/],
    ['res.status(404).end()', /there is no res\.status: .* return \[404, value\]$/],
    ['res.statusCode = 404', /there is no res\.statusCode: .* return \[404, value\]$/],
    ['res.end()', /there is no res\.end/],
    ["res.set('a', 'b')", /there is no res\.set: .* return \[200, value, \{/],
    ["res.redirect('/')", /return nodey\.redirect\(url\)$/],
    ['await_ = req.formData()', /there is no req\.formData: write req\.form\(\)/],
    ['req.files.photo', /there is no req\.files: write req\.form\(\)\.files$/],
    ["req.get('host')", /there is no req\.get: write req\.headers\.get\(name\)$/],
];

test('a name from another framework is refused with the right one', async (t) => {
    const messages = await refusals(t, WRONG.map(([expression]) => expression));
    WRONG.forEach(([expression, message], at) => assert.match(messages[at], message, expression));
});

test('in development the bytes of a JSON body say where its members are', async (t) => {
    const right = "if (req.body.length !== 25 || req.body.nme !== undefined || req.body.toString()[0] !== '{') throw new Error()";
    const [wrong, fine] = await refusals(t, ['const { name } = req.body', right], DEV);
    assert.equal(wrong, 'TypeError: there is no req.body.name: req.body is bytes: write req.json()');
    assert.equal(fine, 'nothing was thrown');
    assert.deepEqual(await refusals(t, ['const { name } = req.body']), ['nothing was thrown']);
});

test('a hint is in nobody\'s way', async (t) => {
    const worker = await serve(t, `
        const seen = [Object.keys(nodey), Object.keys({ ...nodey })].flat().filter((name) => name === 'listen');
        class Mine extends nodey.Nodey { listen() { return 'mine'; } }
        const mine = new Mine();
        mine.app = 'an app';
        nodey.get('/', (req, ctx) => {
            req.files = [1];
            return [seen, mine.listen(), mine.app, req.files, require('node:util').inspect([nodey, req, ctx]).length > 10];
        });
    `);
    assert.deepEqual((await worker.get(1, '/')).json, [[], 'mine', 'an app', [1], true]);
    await worker.finish();
});

test('in development an answer that was hardly meant is told, once for each handler', async (t) => {
    const source = `
        nodey.get('/nothing', async () => { 'forgotten'; });
        nodey.get('/shape', () => ({ status: 404, body: 'no' }));
        nodey.get('/health', () => ({ status: 'ok' }));
        nodey.get('/more', () => ({ status: 404, reason: 'no' }));
        nodey.set({ Nothing: () => {} });
    `;
    const visit = async (options) => {
        const worker = await serve(t, source, options);
        for (const path of ['/nothing', '/nothing', '/shape', '/shape', '/health', '/more']) await worker.get(1, path);
        assert.deepEqual(await worker.get(2, '/nothing'), { id: 2, status: 204 });
        assert.deepEqual((await worker.get(3, '/shape')).json, { status: 404, body: 'no' });
        await worker.call({ type: 'ask', id: 4, token: 'Nothing' });
        await worker.finish();
        return worker.logs.map(({ level, message }) => `${level}: ${message}`);
    };
    assert.deepEqual(await visit(DEV), [
        'warn: handler of GET /nothing returned nothing: the answer is 204; was a "return" forgotten?',
        'warn: handler of GET /shape returned an object that looks like a whole answer, and is sent as JSON with status 200: ' +
            'to answer with a status return [404, value] or nodey.json(value, { status: 404 })',
    ]);
    assert.deepEqual(await visit({}), []);
});

test('hooks do not hide a forgotten return', async (t) => {
    const worker = await serve(t, "nodey.after(() => {}); nodey.get('/', () => {});", DEV);
    assert.equal((await worker.get(1, '/')).status, 204);
    await worker.finish();
    assert.match(worker.logs[0].message, /^handler of GET \/ returned nothing/);
});

const STATUSES = [
    ['{ status: 400 }', { code: 'invalid_argument', message: 'no' }, 0],
    ['{ statusCode: 404 }', { code: 'not_found', message: 'no' }, 0],
    ['{ status: 418 }', { code: 'invalid_argument', message: 'no', status: 418 }, 0],
    ['{ status: 503 }', { code: 'internal', message: 'Error: no' }, 1],
    ["{ status: '400' }", { code: 'internal', message: 'Error: no' }, 1],
    ['{ status: 401, response: {} }', { code: 'internal', message: 'Error: no' }, 1],
];

for (const [members, answer, logged] of STATUSES) {
    test(`an error with ${members} that is thrown`, async (t) => {
        const worker = await serve(t, `nodey.get('/', () => { throw Object.assign(new Error('no'), ${members}); });`);
        assert.deepEqual(await worker.get(1, '/'), { type: 'error', id: 1, ...answer });
        await worker.finish();
        assert.equal(worker.logs.length, logged);
    });
}

test('a mistake of the SDK keeps its frames', () => {
    const { stackOf, isInnerFault } = require(path.join(SDK, 'lib/errors.cjs'));
    const error = new TypeError('x');
    error.stack = `TypeError: x\n    at replyLine (${SDK}/lib/encode.cjs:1:2)\n    at node:internal/x:1:1`;
    assert.ok(isInnerFault(error));
    assert.equal(stackOf(error), error.stack);
});

const UNSENDABLE = {
    circular: '() => { const a = {}; a.a = a; return a; }',
    bigint: 'async () => ({ n: 1n })',
    promise: 'async () => ({ n: Promise.resolve(1) })',
    stream: 'function* () { yield {}; }',
    status: '() => [150, 1]',
    header: "() => [200, 'x', { a: {} }]",
    frozen: "() => { throw Object.freeze(Object.assign(new Error('f'), { stack: 'Error: f' })); }",
};

test('what cannot be sent is logged with the line of its handler, and no line of the SDK', async (t) => {
    const worker = await serve(t, Object.entries(UNSENDABLE).map(([name, handler]) =>
        `nodey.get('/${name}', ${handler});`).join('\n'));
    for (const name of Object.keys(UNSENDABLE)) assert.equal((await worker.get(name, `/${name}`)).code, 'internal');
    await worker.finish();
    assert.equal(worker.logs.length, 7);
    worker.logs.slice(0, 6).forEach(({ message }, at) => {
        const frames = message.split('\n').slice(1);
        assert.equal(frames.length, 1, message);
        assert.match(frames[0], new RegExp(`^ {4}at handler of GET /\\w+ \\(/.*worker\\d+\\.js:${at + 2}:7\\)$`));
    });
});
