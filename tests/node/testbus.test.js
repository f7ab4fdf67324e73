/* testBus(): handlers of events and jobs under test, in this very process. */
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { createRequire } = require('node:module');
const { script } = require('./lib/worker.js');

// As a worker's own tests find it; the SDK must be the same copy that the scripts load.
const own = createRequire(script(''));
const { testBus, client } = own('nodey/testing');

const HEAD = `
    const nodey = require('nodey');
    const { on, job, publish, enqueue, Dead, Retry } = nodey;
    const { setTimeout: sleep } = require('node:timers/promises');
`;

function busOf(source, options) {
    return testBus(script(HEAD + source), options);
}

function topics(bus, pattern) {
    return bus.published(pattern).map(({ topic, data }) => [topic, data]);
}

test('a chain of events and jobs, with what goes from one to the next', async () => {
    const bus = busOf(`
        on('comment.created', async (e) => {
            await publish('comment.moderated', { ...e.data, ok: !e.data.text.includes('orange') });
        });
        on('comment.moderated', (e) => e.data.ok && enqueue('mail', e.data.text, { key: null }));
        job('mail', (e) => publish('mail.sent', e.data));
    `);
    const stored = await bus.publish('comment.created', { text: 'hello' }, { key: 'p1', id: 'c1', headers: { a: 'b' } });
    assert.deepEqual(stored, { seq: 1, duplicate: false });
    await bus.idle();
    assert.deepEqual(topics(bus), [['comment.created', { text: 'hello' }], ['comment.moderated', { text: 'hello', ok: true }],
        ['mail.sent', 'hello']]);
    const [created, moderated, sent] = bus.published();
    const [mail] = bus.enqueued('mail');
    assert.deepEqual([mail.queue, mail.data, bus.enqueued().length, bus.enqueued('other')], ['mail', 'hello', 1, []]);
    assert.deepEqual([created, moderated, mail, sent].map(({ id, key, cause, correlation }) => [id, key, cause, correlation]),
        [['c1', 'p1', undefined, 'c1'], ['2', 'p1', 'c1', 'c1'], ['3', undefined, '2', 'c1'], ['4', undefined, '3', 'c1']]);
    assert.deepEqual(created.headers, { a: 'b' });
    assert.match(created.traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    assert.equal(sent.traceparent.split('-')[1], created.traceparent.split('-')[1]);
    assert.notEqual(sent.traceparent, created.traceparent);
    await bus.publish('comment.created', { text: 'orange' });
    await bus.idle();
    assert.equal(bus.published('mail.>').length, 1);
    assert.deepEqual(bus.dead(), []);
});

test('what a handler that fails has published is dropped; it is tried again when its time has come', async () => {
    const bus = busOf(`
        on('a', async (e, { attempt, last }) => {
            await publish('tried', [attempt, last]);
            await publish('now', attempt, { now: true });
            if (attempt < 3) throw new Error('not yet');
        }, { backoff: ['1s', '10s'], attempts: 3 });
    `);
    await bus.publish('a', 1);
    await bus.idle();
    assert.deepEqual(topics(bus, 'tried'), []);
    const start = bus.now();
    await bus.tick(999);
    assert.equal(bus.published('now').length, 1);
    await bus.tick(1);
    assert.equal(bus.published('now').length, 2);
    await bus.tick('9s');
    assert.equal(bus.published('now').length, 2);
    await bus.tick('1s');
    assert.deepEqual(topics(bus, 'tried'), [['tried', [3, true]]]);
    assert.equal(bus.now() - start, 11000);
    assert.equal(bus.published('tried')[0].time - start, 11000);
    assert.deepEqual(bus.dead(), []);
});

test('dead letters: after the last attempt, or at once', async () => {
    const bus = busOf(`
        on('a', (e) => { throw e.data === 'at once' ? new Dead('never') : new TypeError('no'); }, { attempts: 2, backoff: '1m' });
        job('j', () => { throw new Retry('1h', 'later'); }, { attempts: 2 });
    `);
    await bus.publish('a', 'at once', { id: 'x' });
    await bus.publish('a', 'twice');
    await bus.enqueue('j', 1);
    await bus.idle();
    const [dead] = bus.dead();
    assert.deepEqual([dead.event.id, dead.event.data, dead.error.name, dead.error.message, dead.attempts], ['x', 'at once', 'Dead', 'never', 1]);
    await bus.tick('1m');
    assert.deepEqual(bus.dead().map(({ error, attempts }) => [error.name, attempts]), [['Dead', 1], ['TypeError', 2]]);
    await bus.tick('2h');
    assert.deepEqual(bus.dead().map(({ group, error }) => [group, error.message]).at(-1), ['j', 'later']);
});

test('messages of one key are handled one at a time and in order, whatever happens to the first', async () => {
    const bus = busOf(`
        const seen = [];
        on('a', async (e, { attempt }) => {
            nodey.seen ??= [];
            nodey.seen.push('>' + e.data);
            await sleep(10 - e.data);
            if (e.data === 1 && attempt === 1) throw new Error('once');
            nodey.seen.push('<' + e.data);
        }, { backoff: '1m' });
    `);
    const nodey = own('nodey');
    await bus.publish('a', 1, { key: 'k' });
    await bus.publish('a', 2, { key: 'k' });
    await bus.publish('a', 3);
    await bus.publish('a', 4, { key: 'other' });
    await bus.publish('a', 5, { key: 'k' });
    await bus.idle();
    assert.deepEqual(nodey.seen.slice(0, 3), ['>1', '>3', '>4']);
    assert.deepEqual(nodey.seen.slice(3).sort(), ['<3', '<4']);
    await bus.tick('1m');
    await bus.idle();
    assert.deepEqual(nodey.seen.slice(5), ['>1', '<1', '>2', '<2', '>5', '<5']);
});

test('each group gets a message once; max bounds how many run; each goes to all', async () => {
    const bus = busOf(`
        const { counts } = (nodey.state = { counts: { running: 0, most: 0, groups: {}, each: 0 } });
        const count = async (e) => {
            counts.groups[e.group] = (counts.groups[e.group] ?? 0) + 1;
            counts.most = Math.max(counts.most, ++counts.running);
            await sleep(2);
            counts.running--;
        };
        on('a.*', count, { group: 'x', max: 2 });
        on('>', async () => { counts.each++; }, { each: true });
    `);
    for (let n = 0; n < 10; n++) await bus.publish('a.b', n);
    await bus.publish('c', 1);
    await bus.idle();
    assert.deepEqual(own('nodey').state.counts, { running: 0, most: 2, groups: { x: 10 }, each: 11 });
});

test('what a handler of each publishes says what led to it', async () => {
    const bus = busOf("on('a', () => publish('b'), { each: true });");
    await bus.publish('a', 1, { id: 'first', key: 'k' });
    await bus.idle();
    const [{ traceparent: before }, { cause, correlation, key, traceparent }] = bus.published();
    assert.deepEqual([cause, correlation, key], ['first', 'first', 'k']);
    assert.equal(traceparent.split('-')[1], before.split('-')[1]);
});

test('delays, times and ids', async () => {
    const bus = busOf("on('a', (e) => publish('b', e.data));");
    await bus.publish('a', 'late', { delay: '10m' });
    await bus.publish('a', 'later', { at: bus.now() + 900000 });
    await bus.publish('a', 'soon', { delay: '5m' });
    await bus.publish('a', 'past', { at: 1 });
    const { seq } = await bus.publish('a', 'twice', { id: 'i' });
    assert.deepEqual(await bus.publish('a', 'again', { id: 'i' }), { seq, duplicate: true });
    await bus.idle();
    assert.deepEqual(topics(bus, 'b').map(([, data]) => data), ['past', 'twice']);
    await bus.tick('10m');
    await bus.publish('a', 'new', { id: 'i' }); // the window is over
    await bus.tick('5m');
    assert.deepEqual(topics(bus, 'b').map(([, data]) => data), ['past', 'twice', 'soon', 'late', 'new', 'later']);
});

test('a handler that takes too long is cancelled and tried again; progress gives it time', async () => {
    const bus = busOf(`
        on('hangs', (e, { signal }) => sleep(1e6, null, { signal }), { timeout: '5s', attempts: 2, backoff: '1s' });
        on('slow', async (e, { progress, signal }) => {
            nodey.go = () => { progress(); };
            await new Promise((resolve, reject) => { nodey.end = resolve; signal.onabort = reject; });
            await publish('done');
        }, { timeout: '5s' });
    `);
    const nodey = own('nodey');
    await bus.publish('hangs');
    await bus.tick('11s');
    assert.deepEqual(bus.dead().map(({ error, attempts }) => [error.name, error.message, attempts]), [['Timeout', 'it was not done in 5000 ms', 2]]);
    await bus.publish('slow');
    await bus.tick('4s');
    nodey.go();
    await bus.tick('4s');
    nodey.end();
    await bus.idle();
    assert.equal(bus.published('done').length, 1);
});

test('idle fails after a while, with what still runs', async () => {
    const bus = busOf("on('a.b', () => new Promise(() => {}));", { patience: 50 });
    await bus.publish('a.b');
    await assert.rejects(bus.idle(), /^Error: idle: after 50 ms there still runs event a\.b \(group worker\d+, attempt 1\)$/);
});

test('several scripts are several workers, each a group', async () => {
    const posts = script(`${HEAD} on('post', (e) => publish('seen.posts', e.group));`);
    const query = script(`${HEAD} on('post', (e) => publish('seen.query', e.group));`);
    const bus = testBus([posts, query]);
    await bus.publish('post');
    await bus.idle();
    assert.equal(bus.published('seen.*').length, 2);
    assert.notDeepEqual(bus.published('seen.posts')[0].data, bus.published('seen.query')[0].data);
});

test('what a test itself registers, from the beginning', async () => {
    const nodey = own('nodey');
    const bus = testBus();
    await bus.publish('early', 1);
    const seen = [];
    nodey.on('early', (e) => seen.push(e.data), { from: 'first', group: 'first' });
    nodey.on('early', (e) => seen.push(-e.data), { group: 'new' });
    await bus.publish('early', 2);
    await bus.idle();
    assert.deepEqual(seen, [1, 2, -2]);
    await nodey.seek('new', 'first');
    await bus.idle();
    assert.deepEqual(seen, [1, 2, -2, -1, -2]);
    await assert.rejects(nodey.seek('nobody', 'first'), { code: 'invalid_argument', message: 'seek nobody: seek nobody: there is no such group' });
});

test('HTTP handlers that publish arrive in the bus', async () => {
    const bus = busOf("on('posted', async (e) => { const p = await nodey.ask('Price', 1); await publish('priced', p); });");
    const web = client(script(`${HEAD} nodey.post('/', async (req) => publish('posted', req.json())); nodey.set({ Price: () => 7 });`));
    const { seq, duplicate } = (await web.post('/', { json: { a: 1 } })).json();
    assert.deepEqual([seq, duplicate], [1, false]);
    await bus.idle();
    assert.deepEqual(topics(bus, 'posted'), [['posted', { a: 1 }]]);
});

test('misuse of the bus is refused with a word about it', async () => {
    const bus = busOf('on("a", () => {});');
    await assert.rejects(bus.publish('a b'), { code: 'invalid_argument' });
    await assert.rejects(bus.tick('soon'), /^RangeError: tick: the time is 'soon'; it must be milliseconds/);
    await assert.rejects(testBus(script('')).idle(), /registered no handler/);
    await assert.rejects(busOf("throw new Error('bad start')").publish('a'), /bad start/);
});

test('two buses keep apart', async () => {
    const source = "on('a', async (e) => { await sleep(5); await publish('b', e.data, { now: true }); });";
    const [one, other] = [busOf(source), busOf(source)];
    await Promise.all([one.publish('a', 1), other.publish('a', 2)]);
    await Promise.all([one.idle(), other.idle()]);
    assert.deepEqual([topics(one, 'b'), topics(other, 'b')], [[['b', 1]], [['b', 2]]]);
});
