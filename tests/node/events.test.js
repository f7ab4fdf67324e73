/* Handlers of events and jobs, with a scripted supervisor. */
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { SDK, startSource } = require('./lib/worker.js');

const HEAD = `
    const nodey = require('nodey');
    const { on, job, publish, enqueue, Dead, Retry } = nodey;
    const { setTimeout: sleep } = require('node:timers/promises');
`;

async function serve(t, source, options) {
    const worker = startSource(t, HEAD + source, options);
    await worker.ready();
    return worker;
}

function event(id, topic, data, members) {
    return { type: 'event', id, topic, group: 'test', seq: id + 1000, time: 1790000000000, attempt: 1, ...members, data };
}

function order(id, queue, data, members) {
    return { ...event(id, undefined, data, members), queue, group: queue };
}

function ack(id, ...outputs) {
    return outputs.length > 0 ? { type: 'ack', id, publish: outputs } : { type: 'ack', id };
}

test('ready declares what is handled, and how', async (t) => {
    const worker = startSource(t, `${HEAD}
        on(['a.*', 'b.>'], () => {}, { group: 'g', from: { time: new Date(7) }, max: 3, attempts: 2, backoff: ['1s', 50, '1m30s'], timeout: '1.5s' });
        on('c', { from: 'first', backoff: 10, timeout: 0 }, () => {});
        on('d', () => {}, { each: true, max: 1 });
        job('thumb', () => {}, { concurrency: 4, timeout: '2h' });
        nodey.job('other', () => {}).on('e', () => {});
    `);
    const { features, subscribe, jobs, routes, tokens } = await worker.ready();
    assert.ok(features.includes('events'));
    const settings = { group: 'g', from: { time: 7 }, max: 3, attempts: 2, backoff: [1000, 50, 90000], timeout: 1500 };
    assert.deepEqual(subscribe, [
        { topic: 'a.*', ...settings }, { topic: 'b.>', ...settings }, { topic: 'c', from: 'first', backoff: [10], timeout: 0 },
        { topic: 'd', each: true, max: 1 }, { topic: 'e' },
    ]);
    assert.deepEqual(jobs, [{ queue: 'thumb', max: 4, timeout: 7200000 }, { queue: 'other' }]);
    assert.deepEqual([routes, tokens], [[], []]);
    await worker.finish();
});

test('a worker without handlers of events says nothing of them', async (t) => {
    const worker = startSource(t, `${HEAD} nodey.get('/', () => 1);`);
    const ready = await worker.ready();
    assert.equal(ready.features.includes('events'), false);
    assert.deepEqual([ready.subscribe, ready.jobs], [undefined, undefined]);
    await worker.finish();
});

test('a handler that is registered later is declared again', async (t) => {
    const worker = await serve(t, "nodey.get('/', () => { on('late', () => {}); return 'ok'; });");
    assert.equal((await worker.get(1, '/')).body, 'ok');
    const ready = await worker.ready();
    assert.deepEqual([ready.subscribe, ready.features.includes('events')], [[{ topic: 'late' }], true]);
    const other = await serve(t, "on('a', () => {}); nodey.get('/', () => { on('late', () => {}); return 'ok'; });");
    assert.equal((await other.call(event(1, 'late', 1))).code, 'unimplemented');
    await other.get(2, '/');
    await other.ready();
    assert.deepEqual(await other.call(event(3, 'late', 1)), ack(3));
    await other.finish();
    assert.deepEqual(await worker.call(event(2, 'late', 1)), ack(2));
    await worker.finish();
});

test('what a handler is given', async (t) => {
    const worker = await serve(t, `
        const show = (e, { attempt, last, deadline }) => nodey.log.info(JSON.stringify([e, attempt, last, deadline - Date.now() > 4000]));
        on('post.*', show);
        job('thumb', show);
    `);
    const members = { msgid: 'm1', key: 'p1', attempt: 3, last: true, cause: '7', correlation: '5', traceparent: '00-a-b-01',
        headers: { h: 'i' }, timeout: 5000 };
    assert.deepEqual(await worker.call(event(1, 'post.created', { id: 1 }, members)), ack(1));
    assert.deepEqual(await worker.call(order(2, 'thumb', undefined)), ack(2));
    await worker.finish();
    const [full, bare] = worker.logs.map(({ message }) => JSON.parse(message));
    const { msgid, timeout, ...same } = members;
    assert.deepEqual(full, [{ id: msgid, topic: 'post.created', group: 'test', seq: 1001, time: 1790000000000, data: { id: 1 }, ...same },
        3, true, true]);
    assert.deepEqual(bare, [{ id: '1002', queue: 'thumb', group: 'thumb', seq: 1002, time: 1790000000000, data: null, attempt: 1,
        last: false, correlation: '1002', headers: {} }, 1, false, true]);
});

test('what a handler publishes is sent with its ack, all of it or nothing', async (t) => {
    const worker = await serve(t, `
        on('a', async (e) => {
            const found = await publish('b', e.data, { id: 'x', delay: '1s' });
            if (found.seq !== undefined || found.buffered !== true) throw new Error(JSON.stringify(found));
            await sleep(5);
            await Promise.all([1, 2].map((n) => enqueue('q', n, { key: n === 1 ? null : 'own' })));
            if (e.data === 'bad') throw new TypeError('no');
        });
        on('sync', () => { publish('c'); });
    `);
    assert.deepEqual(await worker.call(event(1, 'a', 'good', { key: 'k' })), ack(1,
        { topic: 'b', msgid: 'x', delay: 1000, data: 'good' }, { queue: 'q', key: null, data: 1 }, { queue: 'q', key: 'own', data: 2 }));
    const nack = await worker.call(event(2, 'a', 'bad'));
    assert.deepEqual([nack.type, nack.id, nack.publish], ['nack', 2, undefined]);
    assert.deepEqual(await worker.call(event(3, 'sync')), ack(3, { topic: 'c', data: null }));
    await worker.finish();
});

test('handlers that run at the same time keep apart what they publish, across awaits, timers and callbacks', async (t) => {
    const worker = await serve(t, `
        on('n', async (e) => {
            await sleep(20 - e.data);
            await new Promise((resolve) => setTimeout(() => { publish('timer', e.data); resolve(); }, 5));
            await new Promise((resolve) => process.nextTick(() => queueMicrotask(() => resolve(publish('micro', e.data)))));
        });
    `);
    worker.send(...Array.from({ length: 20 }, (_, n) => event(n, 'n', n)));
    for (let count = 0; count < 20; count++) {
        const { id, publish } = await worker.next();
        assert.deepEqual(publish, [{ topic: 'timer', data: id }, { topic: 'micro', data: id }]);
    }
    await worker.finish();
});

test('with now a message goes out at once, with the key of what is handled', async (t) => {
    const worker = await serve(t, `
        on('a', async (e) => {
            const { seq } = await publish('now', 1, { now: true });
            await publish('none', 2, { now: true, key: null });
            await publish('then', seq);
            throw new Error('too late for the first two');
        });
    `);
    const first = await worker.call(event(5, 'a', 0, { key: 'k"1' }));
    assert.deepEqual(first, { type: 'publish', id: 1, for: 5, topic: 'now', key: 'k"1', data: 1 });
    const second = await worker.call({ type: 'ack', id: 1, seq: 9 });
    assert.deepEqual(second, { type: 'publish', id: 2, for: 5, topic: 'none', key: null, data: 2 });
    assert.equal((await worker.call({ type: 'ack', id: 2, seq: 10 })).type, 'nack');
    await worker.finish();
});

test('one that comes after the handler was done goes out at once, which is told once', async (t) => {
    const worker = await serve(t, `
        on('a', (e) => { setTimeout(() => publish('late', e.data), 10); });
    `);
    for (const id of [1, 2]) {
        assert.deepEqual(await worker.call(event(id, 'a', id, { key: 'k' })), ack(id));
        assert.deepEqual(await worker.next(), { type: 'publish', id, topic: 'late', key: 'k', data: id });
        worker.send({ type: 'ack', id, seq: 1 });
    }
    await worker.finish();
    assert.deepEqual(worker.logs.map(({ level }) => level), ['warn']);
    assert.match(worker.logs[0].message, /^publish late came after the handler of event a was done, .* is an "await" missing\?/);
});

const THROWN = [
    ["new RangeError('far')", { error: { name: 'RangeError', message: 'far' } }, 1],
    ["new Retry('1m')", { delay: 60000, error: { name: 'Retry', message: 'to be tried again' } }, 0],
    ["new Retry(250, 'busy')", { delay: 250, error: { name: 'Retry', message: 'busy' } }, 0],
    ["new Retry({ delay: '2s' })", { delay: 2000, error: { name: 'Retry', message: 'to be tried again' } }, 0],
    ['new Retry(0)', { delay: 0, error: { name: 'Retry', message: 'to be tried again' } }, 0],
    ['new Retry()', { error: { name: 'Retry', message: 'to be tried again' } }, 0],
    ["new Dead('bad image')", { dead: true, error: { name: 'Dead', message: 'bad image' } }, 0],
    ["Object.assign(new Error('other copy'), { name: 'Retry', delay: 7 })", { delay: 7, error: { name: 'Retry', message: 'other copy' } }, 0],
    ["Object.assign(new Error('other copy'), { name: 'Dead' })", { dead: true, error: { name: 'Dead', message: 'other copy' } }, 0],
    ["new (class Gone extends Dead {})('sub')", { dead: true, error: { name: 'Dead', message: 'sub' } }, 0],
    ["new nodey.Error('not_found', 'none')", { error: { name: 'NodeyError', message: 'none' } }, 1],
    ["require('node:vm').runInNewContext('new TypeError(\"realm\")')", { error: { name: 'TypeError', message: 'realm' } }, 1],
    ["'a text'", { error: { name: 'Error', message: 'a text' } }, 1],
    ['undefined', { error: { name: 'Error', message: 'undefined was thrown' } }, 1],
    ['null', { error: { name: 'Error', message: 'null was thrown' } }, 1],
    ['{ code: 7 }', { error: { name: 'Error', message: '{ code: 7 } was thrown' } }, 1],
    ["{ name: 'Dead' }", { error: { name: 'Error', message: "{ name: 'Dead' } was thrown" } }, 1],
    ["{ get message() { throw new Error('trap'); } }", { error: { name: 'Error', message: 'something was thrown that cannot be looked at' } }, 1],
    ["Object.freeze(new Error('ice'))", { error: { name: 'Error', message: 'ice' } }, 1],
    ["new Error('x'.repeat(10000))", { error: { name: 'Error', message: `${'x'.repeat(4000)}...` } }, 1],
    ["new Retry('soon')", { error: { name: 'RangeError', message: 'Retry: the delay is \'soon\'; it must be milliseconds, or a text ' +
        'such as "300ms", "1.5s", "10m", "2h" or "7d"' } }, 1],
];

test('whatever a handler throws becomes a nack, and the worker goes on', async (t) => {
    const cases = THROWN.map(([expression], at) => `${at}: () => ${expression.startsWith('{') ? `(${expression})` : expression},`);
    const worker = await serve(t, `
        const cases = { ${cases.join('\n')} };
        on('sync', (e) => { throw cases[e.data](); });
        on('async', async (e) => { await null; throw cases[e.data](); });
    `);
    let id = 0;
    for (const topic of ['sync', 'async']) {
        for (const [at, [expression, expected, logged]] of THROWN.entries()) {
            worker.logs.length = 0;
            const { error: { stack, ...error }, ...frame } = await worker.call(event(++id, topic, at));
            assert.deepEqual({ ...frame, error }, { type: 'nack', id, ...expected }, expression);
            if (stack) assert.doesNotMatch(stack, /protocol\/node|node:internal/);
            if (expression.startsWith('new R')) assert.match(stack, /worker\d+\.js:\d+/);
            assert.equal(worker.logs.length, logged, expression);
        }
    }
    await worker.finish();
});

test('a failure is logged with its event, its attempt, and its line', async (t) => {
    const worker = await serve(t, "job('thumb', () => { throw new Error('no file'); });");
    await worker.call(order(1, 'thumb', 1, { attempt: 10, last: true }));
    await worker.finish();
    const [{ level, message, id }] = worker.logs;
    assert.deepEqual([level, id], ['error', 1]);
    assert.match(message, /^job thumb failed \(attempt 10, the last one\): Error: no file\n {4}at .*worker\d+\.js:\d+/);
});

test('cancel fires the signal; what then ends is an error of its own', async (t) => {
    const worker = await serve(t, `
        on('a', (e, { signal }) => sleep(60000, null, { signal }));
        on('deaf', async (e, { signal }) => { await sleep(50); return signal.aborted; });
    `);
    worker.send(event(1, 'a', 0, { timeout: 20 }));
    const frame = await worker.call({ type: 'cancel', id: 1, reason: 'timeout' });
    assert.deepEqual(frame, { type: 'error', id: 1, code: 'cancelled', message: 'event a was cancelled: timeout' });
    worker.send(event(2, 'deaf'));
    assert.deepEqual(await worker.call({ type: 'cancel', id: 2, reason: 'timeout' }), ack(2));
    await worker.finish();
    assert.deepEqual(worker.logs, []);
});

test('progress tells that the handler is alive, once in a turn, and moves the deadline', async (t) => {
    const worker = await serve(t, `
        on('a', async (e, ctx) => {
            const { progress } = ctx;
            const before = ctx.deadline;
            await sleep(15);
            for (let n = 0; n < 100; n++) progress();
            await sleep(5);
            ctx.progress();
            await publish('moved', ctx.deadline - before >= 14);
            setTimeout(() => ctx.progress(), 5);
        });
    `);
    assert.deepEqual(await worker.call(event(1, 'a', 0, { timeout: 5000 })), { type: 'progress', id: 1 });
    assert.deepEqual(await worker.next(), { type: 'progress', id: 1 });
    assert.deepEqual(await worker.next(), ack(1, { topic: 'moved', data: true }));
    await new Promise((resolve) => setTimeout(resolve, 30));
    await worker.finish(); // no progress of what is done
});

test('big data is read when it is looked at', async (t) => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'nodey-data-'));
    t.after(() => fs.rmSync(folder, { recursive: true }));
    const file = path.join(folder, 'data');
    fs.writeFileSync(file, JSON.stringify({ big: 'é'.repeat(300000) }));
    const worker = await serve(t, `
        on('size', async (e) => {
            if (e.data.big.length !== 300000 || e.data !== e.data) throw new Error('wrong');
            if (JSON.parse(JSON.stringify(e)).data.big.length !== 300000) throw new Error('not shown');
        });
        on('unread', () => {});
        on('late', (e) => { setTimeout(() => { try { e.data; } catch (error) { nodey.log.info(error.message); } }, 20); });
        on('broken', (e) => e.data);
    `);
    const big = (id, topic, name) => ({ ...event(id, topic), file: name, size: 600010 });
    assert.deepEqual(await worker.call(big(1, 'size', file)), ack(1));
    assert.deepEqual(await worker.call(big(2, 'unread', `${file}.none`)), ack(2));
    const nack = await worker.call(big(3, 'broken', `${file}.none`));
    assert.match(nack.error.message, /^the data of event 1003 cannot be read: it is kept until the handler is done/);
    assert.deepEqual(await worker.call(big(4, 'late', `${file}.none`)), ack(4));
    await new Promise((resolve) => setTimeout(resolve, 50));
    await worker.finish();
    assert.match(worker.logs.at(-1).message, /^the data of event 1004 cannot be read/);
});

test('groups are told apart; handlers of one group all run, in order, and share the ack', async (t) => {
    const worker = await serve(t, `
        on('a.*', async (e) => { await sleep(10); await publish('first', e.group); });
        on(['a.b', 'a.*'], async (e) => { await publish('second', e.data); if (e.data === 'bad') throw new Error('second'); });
        on('a.b', async (e) => publish('other', e.group), { group: 'audit' });
        on('a.c', () => {}, { group: 'test' });
    `);
    assert.deepEqual(await worker.call(event(1, 'a.b', 1)), ack(1, { topic: 'first', data: 'test' }, { topic: 'second', data: 1 }));
    assert.deepEqual(await worker.call(event(2, 'a.b', 1, { group: 'audit' })), ack(2, { topic: 'other', data: 'audit' }));
    assert.equal((await worker.call(event(3, 'a.b', 'bad'))).error.message, 'second');
    assert.equal((await worker.call(event(4, 'a.b', 1, { group: 'renamed' }))).publish.length, 2);
    await worker.finish();
});

test('an event that nobody handles is refused', async (t) => {
    const worker = await serve(t, "on('a', () => {}); job('q', () => {});");
    for (const frame of [event(1, 'b'), order(1, 'other'), event(1, 'q'), order(1, 'a')]) {
        const { code, message } = await worker.call(frame);
        assert.equal(code, 'unimplemented');
        assert.match(message, /^this worker has no handler for (event|job) \w+ of the group \w+$/);
    }
    await worker.finish();
});

test('with each nobody waits for an answer: publishes go out at once, failures are logged', async (t) => {
    const worker = await serve(t, `
        on('a.*', async (e) => { await publish('b', e.id); throw new Error('oops'); }, { each: true });
        on('a.b', () => nodey.log.info('the group'), {});
        on('a.>', () => nodey.log.info('each'), { each: true });
    `);
    const { id, ...broadcast } = event(7, 'a.b', 1, { key: 'k' });
    assert.deepEqual(await worker.call(broadcast), { type: 'publish', id: 1, topic: 'b', key: 'k', cause: '1007',
        correlation: '1007', data: '1007' });
    worker.send({ type: 'ack', id: 1, seq: 1 });
    await worker.finish();
    const messages = worker.logs.map(({ message }) => message.split('\n')[0]);
    assert.deepEqual(messages, ['each', 'event a.b failed: Error: oops']);
});

test('with each at most max run at a time, in order; a drain waits for them', async (t) => {
    const worker = await serve(t, `
        let running = 0;
        let most = 0;
        on('n', async (e) => {
            most = Math.max(most, ++running);
            await sleep(5);
            running--;
            nodey.log.info(e.data + ' ' + most);
        }, { each: true, max: 1 });
    `);
    const frames = Array.from({ length: 5 }, (_, n) => ({ ...event(n, 'n', n), id: undefined }));
    worker.send(...frames);
    await worker.finish();
    assert.deepEqual(worker.logs.map(({ message }) => message), ['0 1', '1 1', '2 1', '3 1', '4 1']);
});

test('asks and log lines of a handler are for its event', async (t) => {
    const worker = await serve(t, `
        on('a', async (e, { ask, log }) => { await nodey.ask('X'); await ask('Y'); log.info('here'); });
    `);
    const { id, for: first } = await worker.call(event(8, 'a'));
    const { id: next, for: second } = await worker.call({ type: 'answer', id, value: 1 });
    assert.deepEqual([first, second], [8, 8]);
    assert.deepEqual(await worker.call({ type: 'answer', id: next, value: 1 }), ack(8));
    await worker.finish();
    assert.deepEqual(worker.logs.map(({ id: of, message }) => [of, message]), [[8, 'here']]);
});

test('a drain lets handlers finish, a shutdown cancels them', async (t) => {
    const source = "on('a', (e, { signal }) => sleep(e.data, null, { signal }));";
    const patient = await serve(t, source);
    patient.send(event(1, 'a', 100), { type: 'drain', grace: 5000 });
    assert.deepEqual(await patient.next(), ack(1));
    assert.equal((await patient.ended()).code, 0);
    const hasty = await serve(t, source);
    hasty.send(event(1, 'a', 60000), { type: 'shutdown', grace: 5000 });
    assert.deepEqual(await hasty.next(), { type: 'error', id: 1, code: 'cancelled', message: 'event a was cancelled: shutdown' });
    assert.equal((await hasty.ended()).code, 0);
});

test('events wait for the onStart hooks', async (t) => {
    const worker = startSource(t, `${HEAD}
        let db;
        nodey.onStart(async () => { await nodey.ask('Config'); await sleep(20); db = 'open'; });
        on('a', () => publish('b', db));
    `);
    await worker.ready();
    const { id } = await worker.next();
    worker.send(event(1, 'a'), { type: 'answer', id, value: 1 });
    assert.deepEqual(await worker.next(), ack(1, { topic: 'b', data: 'open' }));
    await worker.finish();
});

test('more than fits with the ack is refused, with a way out', async (t) => {
    const worker = await serve(t, `
        const tell = async (e, given) => { try { await given(); } catch ({ message }) { await publish('told', message, { now: true }); } };
        on('many', async (e) => { for (let n = 0; n < 1024; n++) publish('n', n); await tell(e, () => publish('n', 1024)); });
        on('big', async (e) => { for (let n = 0; n < 3; n++) await tell(e, () => publish('n', 'x'.repeat(30000))); });
    `, { env: { NODEY_MAX_LINE: '65536' } });
    const many = await worker.call(event(1, 'many'));
    assert.match(many.data, /^publish n: a handler publishes at most 1024 messages with its ack: write \{ now: true \} for more$/);
    const [all] = [await worker.call({ type: 'ack', id: many.id, seq: 1 })];
    assert.equal(all.publish.length, 1024);
    const big = await worker.call(event(2, 'big'));
    assert.match(big.data, /^publish n: what this handler publishes must fit one line of 65536 bytes together, .* \{ now: true \}/);
    const line = await worker.call({ type: 'ack', id: big.id, seq: 1 });
    assert.equal(line.publish.length, 2);
    assert.ok(JSON.stringify(line).length <= 65536);
    await worker.finish();
});

test('a gap is told', async (t) => {
    const worker = await serve(t, "on('a', () => {});");
    worker.send({ type: 'gap', group: 'test', from: 10, to: 99 });
    await worker.finish();
    assert.match(worker.logs[0].message, /^group test: the messages 10 to 99 were removed before it had read them/);
});

test('malformed frames are answered, and hurt nobody', async (t) => {
    const worker = await serve(t, "on('a', () => {});");
    const { topic, ...none } = event(1, 'a');
    for (const frame of [none, event(1, 'a', 1, { queue: 'q' }), event(1, 7), event(1, 'a', 1, { seq: 'x' }), event(1, 'a', 1, { headers: { a: 1 } }),
        { ...event(1, 'a'), id: {} }, event(1, 'a', 1, { attempt: 0 }), event(1, 'a', 1, { timeout: 'x' }), { type: 'ack' }]) {
        const { type, id, code } = await worker.call(frame);
        assert.deepEqual([type, id, code], ['error', null, 'invalid_argument'], JSON.stringify(frame));
    }
    worker.send({ type: 'ack', id: 99, seq: 1 }, { type: 'error', id: 99, code: 'internal' }); // nobody's
    assert.deepEqual(await worker.call(event(5, 'a')), ack(5));
    await worker.finish();
});

const MISTAKES = [
    ["on('', () => {})", /^TypeError: on: the topic is ''; it is empty$/],
    ["on([], () => {})", /on: the array of topics is empty/],
    ["on(['a', 7], () => {})", /on: the topic is 7; it must be a string such as "comment\.\*"/],
    ["on('a*', () => {})", /"\*" stands for a whole token, and ">" for the last ones/],
    ["on('>.a', () => {})", /"\*"|">" stands for a whole token, and ">" for the last ones/],
    ["on('a')", /on a: the handler must be a function, not undefined: is it spelled right, and exported\?/],
    ["on('a', () => {}, { grp: 1 })", /on a: there is no option grp: what there is: group, from, each, max, attempts, backoff, timeout/],
    ["on('a', () => {}, { retries: 1 })", /on a: there is no option retries: write attempts/],
    ["on('a', () => {}, { concurrency: 1 })", /on a: there is no option concurrency: write max/],
    ["on('a', () => {}, [])", /on a: the options must be an object, not \[\]/],
    ["on('a', () => {}, { group: '' })", /on a: group is ''; it must be a name/],
    ["on('a', () => {}, { from: 'start' })", /on a: from is 'start'; it must be "first", "new", \{ seq: 100 \}/],
    ["on('a', () => {}, { each: 1 })", /each must be true or false/],
    ["on('a', () => {}, { each: true, from: 'first' })", /with each: true there is no from: it begins now, and what a worker misses is lost/],
    ["on('a', () => {}, { max: 0 })", /^RangeError: on a: max is 0; it must be 1 to 100000$/],
    ["on('a', () => {}, { attempts: 1.5 })", /attempts is 1\.5; it must be 1 to 1000/],
    ["on('a', () => {}, { backoff: [] })", /backoff has 0 members; it must have 1 to 64/],
    ["on('a', () => {}, { backoff: ['1x'] })", /backoff is '1x'; it must be milliseconds/],
    ["on('a', () => {}, { backoff: { type: 'exponential' } })", /write what each attempt waits: \['1s', '5s', '30s'\], the last repeats/],
    ["on('a', () => {}, { timeout: 'x' })", /timeout is 'x'; it must be milliseconds, .*; 0 is none/],
    ["job('a.*', () => {})", /job: the queue is 'a\.\*'; only a pattern can have a "\*"/],
    ["job('q', () => {}, { max: 1, concurrency: 1 })", /max and concurrency say the same/],
    ["job('q', () => {}, { group: 'g' })", /job q: there is no option group: what there is: max, concurrency, attempts, backoff, timeout/],
    ["job('q', () => {}); job('q', () => {})", /job q has a handler already; an order is for one/],
    ["nodey.subscribe('a', () => {})", /there is no nodey\.subscribe: write nodey\.on\('comment\.\*'/],
    ["nodey.onEvent('a', () => {})", /there is no nodey\.onEvent: write nodey\.on\(/],
    ["nodey.emit('a')", /there is no nodey\.emit: write await nodey\.publish\('comment\.created', data\)/],
    ["new nodey.Queue('q').add('x')", /there is no nodey\.Queue: write await nodey\.enqueue\('thumb', data\)/],
    ["new nodey.Worker('q', () => {})", /there is no nodey\.Worker: write nodey\.job\('thumb'/],
    ["throw new nodey.UnrecoverableError('x')", /there is no nodey\.UnrecoverableError: write nodey\.Dead/],
    ["nodey.cron('* * * * *', () => {})", /there is no nodey\.cron: write it into \[schedule\] of nodey\.toml/],
];

test('a mistake in a registration is refused with what is right', async (t) => {
    const worker = await serve(t, MISTAKES.map(([expression], at) =>
        `nodey.get('/${at}', () => { try { ${expression}; return 'nothing'; } catch (error) { return String(error); } });`).join('\n'));
    for (const [at, [expression, message]] of MISTAKES.entries()) {
        let frame = await worker.get(at, `/${at}`);
        if (frame.type === 'ready') frame = await worker.next();
        assert.match(frame.body, message, expression);
    }
    worker.kill();
});

test('a registration that was refused leaves nothing behind', async (t) => {
    const worker = startSource(t, `${HEAD} try { on('a b', () => {}); } catch {} nodey.get('/', () => 1);`);
    assert.equal((await worker.ready()).subscribe, undefined);
    await worker.finish();
});

const HABITS = [
    ['e.ack()', /there is no event\.ack: a handler that returns has handled it, and one that throws has not/],
    ['e.payload', /there is no event\.payload: write event\.data/],
    ['e.attemptsMade', /write event\.attempt/],
    ['e.updateProgress(50)', /write ctx\.progress\(\), with ctx as the second argument/],
    ['e.type', /write event\.topic/],
    ['ctx.ack()', /there is no ctx\.ack: a handler that returns has handled it/],
    ["ctx.publish('a')", /there is no ctx\.publish: write nodey\.publish\(topic, data\)/],
    ['ctx.info(103)', /there is no ctx\.info: an event has no answer/],
];

test('names that other libraries have lead to those of nodey', async (t) => {
    const worker = await serve(t, HABITS.map(([expression], at) => `on('n.${at}', async (e, ctx) => { ${expression}; });`).join('\n'));
    for (const [at, [expression, message]] of HABITS.entries()) {
        assert.match((await worker.call(event(at, `n.${at}`))).error.message, message, expression);
    }
    assert.deepEqual(await worker.call(event(99, 'n.99')).then(({ code }) => code), 'unimplemented');
    await worker.finish();
});

test('a script that handles events and goes on to start a server is ready with both', async (t) => {
    const worker = startSource(t, `${HEAD}
        on('a', () => publish('b'));
        setTimeout(() => require('node:http').createServer((req, res) => res.end('served')).listen(3000), 50);
    `, { command: [process.execPath, '--require', path.join(SDK, 'run.cjs')] });
    const ready = await worker.ready();
    assert.deepEqual([ready.routes, ready.subscribe], [[{ path: '/*' }], [{ topic: 'a' }]]);
    assert.equal((await worker.get(1, '/')).body, 'served');
    assert.deepEqual(await worker.call(event(2, 'a')), ack(2, { topic: 'b', data: null }));
    await worker.finish();
});

test('by hand an event can be typed', async (t) => {
    const worker = startSource(t, `${HEAD} on('a', (e) => publish('b', e.data));`, { hand: true });
    worker.send(event(1, 'a', 7));
    assert.deepEqual(await worker.frame(), ack(1, { topic: 'b', data: 7 }));
    await worker.finish();
});

test('of many events at once all are handled, in few writes', async (t) => {
    const worker = await serve(t, "on('n', (e) => publish('m', e.data)); nodey.get('/', () => 1);");
    let reads = 0;
    worker.stdout.on('data', () => reads++);
    worker.send(...Array.from({ length: 5000 }, (_, n) => event(n, 'n', n)));
    for (let n = 0; n < 5000; n++) assert.deepEqual(await worker.next(), ack(n, { topic: 'm', data: n }));
    assert.ok(reads < 500, `${reads} reads`);
    await worker.finish();
});
