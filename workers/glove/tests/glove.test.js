// Run it with: nodey run node --test
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test, before, after } = require('node:test');
const { client, testBus } = require('nodey/testing');

const gateway = (name) => path.join(__dirname, '..', 'gateway', name);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'glove-'));
const started = process.cwd();

// The secret of tokens is kept in the folder that the gateway runs in.
before(() => process.chdir(folder));
after(() => {
    process.chdir(started);
    fs.rmSync(folder, { recursive: true });
});

const game = { id: 'g1', title: 'first', rate: 100, sensors: { thumb: Array(16).fill(0) } };

async function tokenOf(user) {
    const json = { user, password: `${user}-plays` };
    const answer = await client(gateway('login.js')).post('/login', { json });
    return { authorization: `Bearer ${answer.json().token}` };
}

test('a game is stored and given to processing, in the name of who sent it', async () => {
    const bus = testBus(gateway('gateway.js'));
    const phone = client(gateway('gateway.js'));
    const headers = await tokenOf('ann');
    assert.equal((await phone.post('/game', { json: game, headers })).status, 200);
    assert.equal((await phone.post('/game', { json: game, headers })).status, 200, 'sent once more');
    const [received] = bus.published('game.received');
    const [job] = bus.enqueued('processing');
    assert.deepEqual(received.data, { user: 'ann', id: 'g1', title: 'first', rate: 100 });
    assert.deepEqual(job.data, { user: 'ann', ...game });
    assert.equal(job.id, 'ann/g1');
    assert.equal(bus.published().length + bus.enqueued().length, 2);
});

test('without a token, and with what is no game, nothing is taken', async () => {
    const bus = testBus(gateway('gateway.js'));
    const phone = client(gateway('gateway.js'));
    const headers = await tokenOf('bob');
    assert.equal((await phone.post('/game', { json: game })).status, 401);
    for (const wrong of [{ id: '../x' }, { id: ['x'] }, { title: 7 }, { rate: 0 }, { rate: '100' }, { sensors: {} },
        { sensors: { thumb: Array(16).fill(null) } }, { sensors: { thumb: [1, 2] } }]) {
        const answer = await phone.post('/game', { json: { ...game, ...wrong }, headers });
        assert.equal(answer.status, 400, JSON.stringify(wrong));
    }
    assert.equal((await phone.post('/game', { json: null, headers })).status, 400);
    assert.equal(bus.enqueued().length, 0);
});

test('whoever listens is told of results of his own, once each', async () => {
    const bus = testBus(gateway('gateway.js'));
    const phone = client(gateway('gateway.js'));
    const stored = [{ n: 1, game: 'g0' }];
    phone.tokens = { Results: ({ user, after }) => (user === 'ann' ? stored.filter(({ n }) => n > after) : []) };
    const answer = await phone.get('/notifications', { headers: await tokenOf('ann'), stream: true });
    const told = answer[Symbol.asyncIterator]();
    assert.match(String((await told.next()).value), /id: 1\n/);
    stored.push({ n: 2, game: 'g1' });
    await bus.publish('reconciliation.done', { user: 'ann', game: 'g1' });
    assert.match(String((await told.next()).value), /id: 2\ndata: \{"n":2,"game":"g1"\}/);
    await told.return();
});
