// Echoes at /js/echo and /js/socket; at /js/evil/DEED it does what no worker should.
import fs from 'node:fs';
import nodey from 'nodey';

const hoard = [];

nodey.get('/js/echo', (req) => req.query.id);
nodey.post('/js/echo', (req) => req.body);

nodey.ws('/js/socket', async (socket) => {
    for await (const message of socket) await socket.send(message);
});

const deeds = {
    crash() { process.exit(3); },
    quit() { process.exit(0); },
    abort() { process.abort(); },
    spin() { for (;;); },
    throw() { setTimeout(() => { throw new Error('nobody catches this'); }, 0); },
    reject() { Promise.reject(new Error('nobody awaits this')); return new Promise(() => {}); },
    never() { return new Promise(() => {}); },
    leak() { hoard.push(Buffer.alloc(150 << 20, 'x')); },
    async hog() {
        for (;;) {
            hoard.push(Buffer.alloc(10 << 20, 'x'));
            await new Promise((done) => setTimeout(done, 20));
        }
    },
    flood() {
        for (let n = 0; n < 600; n++) fs.writeSync(2, `flood ${n} ${'x'.repeat(2000)}\n`);
    },
    noise() { fs.writeSync(1, '{"id":1,"body":"stolen"}\n{broken\n'.repeat(100)); },
};

nodey.get('/js/evil/*', async (req) => {
    await deeds[req.path.split('/').pop()]();
    return req.query.id;
});
