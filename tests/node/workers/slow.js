'use strict';

const { setTimeout: sleep } = require('node:timers/promises');
const nodey = require('nodey');

nodey.all('/slow', async (req) => {
    const ms = Number(req.query.ms);
    await sleep(ms, undefined, { signal: req.signal });
    return { slept: ms };
});
