/* An app of Express that knows nothing of nodey.  EXPRESS names the version. */
'use strict';

const { createHash } = require('node:crypto');
const http = require('node:http');
const express = require(process.env.EXPRESS || 'express');
const { Server } = require('socket.io');
const { WebSocketServer } = require('ws');

const app = express();
let left = 0; // clients that went before their answer was whole

app.get('/hello', (req, res) => res.json({ hello: 'express', ip: req.ip, query: req.query, left }));
app.post('/json', express.json(), (req, res) => res.json(req.body));
app.post('/form', express.urlencoded({ extended: false }), (req, res) => res.json(req.body));

app.post('/upload', (req, res) => {
    const hash = createHash('sha256');
    let size = 0;
    req.on('data', (bytes) => {
        size += bytes.length;
        hash.update(bytes);
    }).on('end', () => res.json({ size, sha256: hash.digest('hex') }));
});

app.get('/download', (req, res) => {
    let size = Number(req.query.size);
    const more = () => {
        while (size > 0) {
            const bytes = Buffer.alloc(Math.min(size, 65536), 'x');
            size -= bytes.length;
            if (!res.write(bytes)) {
                res.once('drain', more);
                return;
            }
        }
        res.end();
    };
    res.type('bin').on('close', () => (left += res.writableFinished ? 0 : 1));
    more();
});

app.get('/cookie', (req, res) => {
    res.cookie('a', '1').cookie('b', 'ä', { path: '/', httpOnly: true }).json({ got: req.headers.cookie ?? null });
});
app.get('/redirect', (req, res) => res.redirect('/hello?from=redirect'));
app.get('/error', () => {
    throw new Error('an error of the app');
});
app.get('/file', (req, res) => res.sendFile(__filename));

app.get('/events', (req, res) => {
    res.writeHead(200, { 'Content-Type': 'text/event-stream' });
    let count = 0;
    const timer = setInterval(() => res.write(`data: ${++count}\n\n`), 20);
    res.on('close', () => {
        clearInterval(timer);
        left++;
    });
});

const server = http.createServer(app);
const echo = new WebSocketServer({ noServer: true });
server.on('upgrade', (req, socket, head) => {
    if (req.url !== '/echo') return;
    echo.handleUpgrade(req, socket, head, (client) => {
        client.on('message', (data, isBinary) => client.send(data, { binary: isBinary }));
    });
});
new Server(server, { destroyUpgradeTimeout: 200 }).on('connection', (socket) => {
    socket.on('add', (a, b, answer) => answer(a + b));
});
server.listen(3000, () => console.log(`listening on ${server.address().port}`));
