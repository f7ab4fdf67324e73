'use strict';

const nodey = require('nodey');

nodey.all('/ask', async (req) => {
    try {
        return { answer: await nodey.ask('Fib', { num: Number(req.query.num) }) };
    } catch (error) {
        return { error: error.code };
    }
});
nodey.set({
    Add: ({ a, b }) => a + b,
    Relay: (num) => nodey.ask('Fib', { num }),
});
