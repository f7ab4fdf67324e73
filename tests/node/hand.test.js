/* A person runs a worker without nodey. */
'use strict';

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const path = require('node:path');
const { test } = require('node:test');
const { Conversation } = require('./lib/conversation.js');
const { SDK, script, startSource } = require('./lib/worker.js');
const { expand, show } = require(path.join(SDK, 'lib/hand.cjs'));

const HEAD = "const nodey = require('nodey');\n";

test('an ask is answered by the same process, through JSON, with a context', async (t) => {
    const worker = startSource(t, `${HEAD}
        nodey.set({
            Add: ({ a, b }) => ({ sum: a + b, at: new Date(0) }),
            Nothing: () => {},
            Chain: () => nodey.ask('Add', { a: 1, b: 2 }),
        });
        nodey.get('/', async () => [await nodey.ask('Chain'), await nodey.ask('Nothing'), 'list']);
    `, { hand: true });
    const chain = { sum: 3, at: '1970-01-01T00:00:00.000Z' };
    assert.deepEqual(await worker.get(1, '/'), { id: 1, json: [chain, null, 'list'] });
    await worker.finish();
});

test('an ask that nobody here can answer says what it would take', async (t) => {
    const worker = startSource(t, `${HEAD}
        nodey.set({ Own: () => 1 });
        nodey.get('/', () => nodey.ask('Other'));
    `, { hand: true });
    const { code, message } = await worker.get(1, '/');
    assert.equal(code, 'unavailable');
    assert.match(message, /nobody answers Other here: .* own tokens \(Own\)/);
    await worker.finish();
});

test('the end of input waits for all that is open, also when ids are missing or come twice', async (t) => {
    const worker = startSource(t, `${HEAD}
        setInterval(() => {}, 1000);
        nodey.get('/:ms', ({ params: { ms } }) => new Promise((resolve) => setTimeout(resolve, ms, ms)));
    `, { hand: true });
    const get = (ms) => ({ method: 'GET', path: `/${ms}` });
    worker.send(get(50), get(150), { id: 1, ...get(250) }, { id: 1, ...get(350) });
    worker.close();
    assert.deepEqual(await worker.next(), { id: null, body: '50' });
    assert.deepEqual(await worker.next(), { id: null, body: '150' });
    assert.deepEqual(await worker.next(), { id: 1, body: '250' });
    assert.deepEqual(await worker.next(), { id: 1, body: '350' });
    await worker.finish();
});

test('log lines are text, a failed start is left to Node', async (t) => {
    const worker = startSource(t, `${HEAD}
        nodey.get('/', () => 1);
        nodey.log.warn('hi', { a: 1 });
        throw new Error('no start');
    `, { hand: true });
    assert.deepEqual(await worker.ended(), { code: 1, signal: null });
    assert.equal(await worker.line(), null);
    assert.match(worker.stderr, /^warn: hi \{"a":1\}\n[^]*Error: no start/);
});

const TYPED = [
    ['GET /fib?num=10', { id: 3, method: 'GET', path: '/fib', query: 'num=10' }],
    ['POST /shout some text?', { id: 3, method: 'POST', path: '/shout', body: 'some text?' }],
    ['POST /x {"a":1}', { id: 3, method: 'POST', path: '/x', headers: { 'content-type': 'application/json' }, body: '{"a":1}' }],
    ['ask Fib {"num":10}', { type: 'ask', id: 3, token: 'Fib', args: { num: 10 } }],
    ['ask Fib', { type: 'ask', id: 3, token: 'Fib', args: null }],
    ['{"id":1,"method":"GET","path":"/"}', { id: 1, method: 'GET', path: '/' }],
];

for (const [line, frame] of TYPED) {
    test(`a terminal takes: ${line}`, () => assert.deepEqual(JSON.parse(expand(line, 3)), frame));
}

test('a terminal leaves what it does not know to the reader of frames', () => {
    for (const line of ['hello', 'GET', 'GET fib', 'get /fib']) assert.equal(expand(line, 3), line);
});

/*
 * Runs node at a terminal that script(1) makes, and types each line once the text before
 * it has come.  Gives all that was to be seen.
 */
async function atTerminal(t, words, dialogue) {
    const env = { ...process.env, NODE_PATH: `${path.dirname(script(''))}/node_modules`, TERM: 'dumb', NO_COLOR: '1' };
    delete env.NODE_TEST_CONTEXT;
    const command = [process.execPath, ...words].join(' ');
    const terminal = spawn('script', ['-qec', command, '/dev/null'], { env });
    t.after(() => terminal.kill('SIGKILL'));
    let seen = '';
    let from = 0;
    terminal.stdout.setEncoding('utf8').on('data', (text) => (seen += text));
    const exited = new Promise((resolve) => terminal.on('exit', resolve));
    for (const [awaited, typed] of dialogue) {
        const deadline = Date.now() + 10000;
        while (!seen.includes(awaited, from)) {
            assert.ok(Date.now() < deadline, `"${awaited}" did not come; seen: ${seen}`);
            await new Promise((resolve) => setTimeout(resolve, 10));
        }
        from = seen.length;
        terminal.stdin.write(typed);
    }
    assert.equal(await exited, 0, seen);
    return seen.replaceAll('\r', '');
}

test('a terminal has a prompt, and shows answers as a person wants to see them', async (t) => {
    const file = script(`${HEAD}
        nodey.get('/fib', (req) => ({ fib: Number(req.query.num) }));
        nodey.post('/json', (req) => [201, req.json().a, { 'x-a': 'b' }]);
        nodey.get('/bytes', () => Buffer.alloc(3));
        nodey.set({ Twice: async (n) => n * 2 });
    `);
    const name = path.parse(file).name;
    const seen = await atTerminal(t, [file], [
        [`${name}> `, 'GET /fib?num=10\n'], [`${name}> `, 'POST /json {"a":"hi"}\n'], [`${name}> `, 'GET /bytes\n'],
        [`${name}> `, 'ask Twice 21\n'], [`${name}> `, 'GET /none\n'], [`${name}> `, 'nonsense\n'],
        [`${name}> `, 'routes\n'], [`${name}> `, '{"id":"x","method":"GET","path":"/fib","query":"num=3"}\n'],
        [`${name}> `, 'help\n'], [`${name}> `, '\x04'],
    ]);
    for (const part of ['GET     /fib\nPOST    /json\nGET     /bytes\nask     Twice\n', '{\n  "fib": 10\n}\n',
        '201 Created\nx-a: b\n\nhi\n', '(3 bytes)\n', '\n42\n', '404 not_found: this worker has no route for GET /none\n',
        '"nonsense" is no request: try  GET /path  or  help\n', '"fib": 3', 'Ctrl-D                   ends\n']) {
        assert.ok(seen.includes(part), `${JSON.stringify(part)} is missing in ${JSON.stringify(seen)}`);
    }
    assert.doesNotMatch(seen, /"json":/); // no frames
});

test('a terminal takes events and jobs, and shows what comes of them', async (t) => {
    const file = script(`${HEAD}
        nodey.on(['post.*', 'x'], (e) => nodey.publish('seen', [e.topic, e.data, e.group], { key: 'k' }), { group: 'g' });
        nodey.job('thumb', (e) => { throw e.data ? new nodey.Dead('bad image') : new RangeError('no'); });
        nodey.get('/', () => nodey.enqueue('thumb', 1));
    `);
    const name = path.parse(file).name;
    const seen = await atTerminal(t, [file], [
        [`${name}> `, 'routes\n'], [`${name}> `, 'event post.created {"id":1}\n'], [`${name}> `, 'job thumb 1\n'],
        [`${name}> `, 'job thumb\n'], [`${name}> `, 'GET /\n'], ['"seq"', 'event none\n'], [`${name}> `, '\x04'],
    ]);
    for (const part of ['event   post.*, x\njob     thumb\n', 'done\npublish seen ["post.created",{"id":1},"g"] (key k)\n',
        'dead: Dead: bad image\n', 'failed: RangeError: no\n', 'enqueue thumb 1\n', '501 unimplemented: this worker has no handler for event none']) {
        assert.ok(seen.includes(part), `${JSON.stringify(part)} is missing in ${JSON.stringify(seen)}`);
    }
});

test("Node's own prompt keeps its stdout, and no worker starts there", async (t) => {
    const seen = await atTerminal(t, [], [
        ['> ', "const nodey = require('nodey'); nodey.set({ Twice: (n) => n * 2 }); console.log('print' + 'ed')\n"],
        ['printed', "nodey.ask('Twice', 4).then((n) => console.log('asked', n))\n"],
        ['asked', "setTimeout(() => console.log('wai' + 'ted'), 200)\n"], ['waited', '.exit\n'],
    ]);
    assert.match(seen, /asked 8/);
    assert.doesNotMatch(seen, /Ctrl-D ends/); // the worker's own prompt
});

test('streams come to their end by hand, whatever the input does', async (t) => {
    const worker = startSource(t, `
        const nodey = require('nodey');
        nodey.get('/', () => nodey.sse(async function* () {
            for (let n = 0; n < 3; n++) { yield String(n); await new Promise((resolve) => setTimeout(resolve, 20)); }
        }));
    `, { hand: true });
    worker.send({ id: 1, method: 'GET', path: '/' });
    const talk = new Conversation(worker);
    worker.close();
    await talk.receive({ id: 1, text: 'data: 0\n\ndata: 1\n\ndata: 2\n\n', end: true });
    assert.equal((await worker.ended()).code, 0);
    const rows = "nodey.get('/', function* () { for (let n = 0; n < 40; n++) yield 'x'.repeat(10000); });";
    const other = startSource(t, `const nodey = require('nodey'); ${rows}`, { hand: true });
    other.send({ id: 1, method: 'GET', path: '/' });
    await new Conversation(other).receive({ id: 1, size: 400000, end: true }); // and nobody gives credit
    other.close();
    assert.equal((await other.ended()).code, 0);
});

test('pieces are shown as what they hold', () => {
    assert.equal(show('{"type":"chunk","id":1,"body":"a\\n"}'), 'a\n');
    assert.equal(show('{"type":"chunk","id":1,"body64":"AAE="}'), '(2 bytes)\n');
    assert.equal(show('{"type":"end","id":1}'), '(the end)\n');
    assert.equal(show('{"id":1,"body":"a"}'), 'a\n');
});
