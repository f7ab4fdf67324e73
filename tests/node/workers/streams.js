/* Answers and bodies in pieces, see protocol/vectors/README.md. */
'use strict';

const nodey = require('nodey');
const { setTimeout: sleep } = require('node:timers/promises');

const PIECE = 256;

function* letters(count) {
    for (let n = 0; n < count; n++) yield String.fromCharCode(97 + n);
}

nodey.all('/stream', (req) => letters(Number(req.query.n)));

nodey.all('/pour', function* (req) {
    for (let left = Number(req.query.size); left > 0; left -= PIECE) yield Buffer.alloc(Math.min(left, PIECE));
});

nodey.all('/fails', function* (req) {
    yield* letters(Number(req.query.n));
    throw new Error('this stream fails');
});

nodey.all('/events', () => nodey.sse(['one', { data: 'two' }]));

nodey.all('/ticks', (req, ctx) => nodey.sse(async function* () {
    for (;;) {
        yield 'tick';
        await sleep(50, null, { signal: ctx.signal });
    }
}));

nodey.all('/hints', (req, ctx) => {
    ctx.info(103, { link: '</a.css>; rel=preload' });
    return 'done';
});

nodey.all('/trailers', () => nodey.response(['body'].values(), { trailers: () => ({ 'x-sum': 4 }) }));

nodey.all('/sum', { stream: true }, async (req) => {
    let sum = 0;
    for await (const piece of req) sum += piece.length;
    return String(sum);
});

nodey.all('/whole', (req) => String(req.body.length));
nodey.all('/mirror', { stream: true }, (req) => req.stream());
nodey.all('/early', { stream: true }, () => [401, 'no']);
