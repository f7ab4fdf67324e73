// Takes games, and tells players what became of them.
'use strict';

const nodey = require('nodey');
const checked = require('./lib/game');
const tokens = require('./lib/tokens');

const listeners = new Set(); // { user, wake } of each stream of notifications

function userOf(req) {
    const bearer = /^Bearer (\S+)$/.exec(req.headers.get('authorization') ?? '');
    const user = tokens.userOf(bearer?.[1] ?? req.cookies.token);
    if (!user) throw new nodey.HTTPError(401, 'log in first', { headers: { 'www-authenticate': 'Bearer' } });
    return user;
}

// Both are on the disk before the answer is sent.  A phone that gets none sends the game again:
// by its id it is the same one.
nodey.post('/game', async (req) => {
    const user = userOf(req);
    const { sensors, ...game } = checked(req.json() ?? {});
    const id = `${user}/${game.id}`;
    await nodey.publish('game.received', { user, ...game }, { id: `received ${id}`, key: user });
    await nodey.enqueue('processing', { user, ...game, sensors }, { id });
    return { id: game.id };
});

nodey.get('/games', (req) => nodey.ask('Games', { user: userOf(req) }));

// Every gateway hears of every result; who listens here is told.
nodey.on('reconciliation.done', ({ data }) => {
    for (const { user, wake } of listeners) if (user === data.user) wake();
}, { each: true });

// The event only wakes: what is sent is read from the database, from the last one that this
// client has.  So it misses none and gets none twice, whichever gateway it comes back to.
async function* results(user, last, signal) {
    const listener = { user, wake() {} };
    listeners.add(listener);
    signal.addEventListener('abort', () => listener.wake());
    try {
        while (!signal.aborted) {
            const woken = new Promise((wake) => { listener.wake = wake; });
            const found = await nodey.ask('Results', { user, after: last });
            for (const result of found) {
                yield { event: 'reconciled', id: result.n, data: result };
                last = result.n;
            }
            if (found.length === 0) await woken;
        }
    } finally {
        listeners.delete(listener);
    }
}

nodey.get('/notifications', (req, { signal }) => {
    const last = Number(req.headers.get('last-event-id') ?? req.query.after ?? 0);
    if (!Number.isSafeInteger(last)) throw new nodey.HTTPError(400, 'Last-Event-ID is a number');
    return nodey.sse(results(userOf(req), last, signal));
});
