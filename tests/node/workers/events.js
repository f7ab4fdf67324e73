/* Events and jobs, see protocol/vectors/README.md. */
'use strict';

const { once } = require('node:events');
const nodey = require('nodey');

nodey.on('order.*', async ({ id, attempt, data }) => {
    await nodey.publish('order.seen', { id, attempt });
    await nodey.enqueue('mail', data, { key: null, delay: '1m' });
}, { attempts: 5, backoff: ['1s', '5s'], timeout: '10s' });

nodey.on('later', async () => {
    await nodey.publish('never.stored');
    throw new nodey.Retry('1.5s', 'not now');
});

nodey.on('never', () => {
    throw new nodey.Dead('bad image');
});

nodey.on('bad', () => {
    throw new Error('no such file');
});

nodey.on('pair.*', () => nodey.publish('first'));
nodey.on('pair.b', () => nodey.publish('second'));

nodey.on('slow', async ({ attempt }, { signal }) => {
    if (attempt === 1) await once(signal, 'abort');
    await nodey.publish('slow.done');
});

nodey.on('user.*', ({ data }) => nodey.publish('heard', data), { each: true });

nodey.job('thumb', ({ queue, data }) => nodey.publish('thumb.made', [queue, data]), { attempts: 3 });

nodey.all('/publish', async () => {
    try {
        const { seq, duplicate } = await nodey.publish('said', { n: 1 }, { key: 'k', id: 'i' });
        return { seq, duplicate };
    } catch (error) {
        return { error: error.code };
    }
});
