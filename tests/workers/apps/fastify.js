/* An app of Fastify that knows nothing of nodey. */
'use strict';

const { createHash } = require('node:crypto');
const { Readable } = require('node:stream');

const app = require('fastify')({ bodyLimit: 64 * 1024 * 1024 });

function* zeros(size) {
    for (let left = size; left > 0; left -= 65536) yield Buffer.alloc(Math.min(left, 65536), 'x');
}

app.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (req, body, done) => done(null, body));
app.get('/hello', async (req) => ({ hello: 'fastify', ip: req.ip, query: req.query }));
app.post('/json', async (req) => req.body);
app.post('/upload', async ({ body }) => ({ size: body.length, sha256: createHash('sha256').update(body).digest('hex') }));
app.get('/download', (req, reply) => reply.type('application/octet-stream').send(Readable.from(zeros(Number(req.query.size)))));
app.get('/cookie', async (req, reply) => {
    reply.header('set-cookie', ['a=1; Path=/', 'b=%C3%A4; Path=/']);
    return { got: req.headers.cookie ?? null };
});
app.get('/redirect', (req, reply) => reply.redirect('/hello?from=redirect'));
app.get('/error', async () => {
    throw new Error('an error of the app');
});

app.listen({ port: 3000 }); // "localhost" has two addresses, and Fastify a server for each
