/* WebSockets, see protocol/vectors/README.md. */
'use strict';

const nodey = require('nodey');

nodey.ws('/echo', async (socket) => {
    for await (const message of socket) await socket.send(message);
});

nodey.ws('/bye', async (socket) => {
    await socket.send('hi');
    socket.close(4001, 'done');
});

nodey.ws('/chat', { protocols: ['chat'] }, async (socket) => {
    socket.accept();
    await socket.closed;
});

nodey.ws('/refuse', () => {
    throw new nodey.HTTPError(403, 'not you');
});

nodey.ws('/boom', async (socket) => {
    for await (const message of socket) throw new Error(`no ${message}`);
});

nodey.ws('/flood', async (socket, req) => {
    for (let n = 0; n < Number(req.query.n); n++) await socket.send('0123456789abcdef');
});
