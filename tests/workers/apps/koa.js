/* An app of Koa that knows nothing of nodey. */
'use strict';

const { createHash } = require('node:crypto');
const { Readable } = require('node:stream');
const Koa = require('koa');

const app = new Koa();
app.silent = true;

async function collect(ctx) {
    const parts = [];
    for await (const bytes of ctx.req) parts.push(bytes);
    return Buffer.concat(parts);
}

function* zeros(size) {
    for (let left = size; left > 0; left -= 65536) yield Buffer.alloc(Math.min(left, 65536), 'x');
}

const routes = {
    hello: (ctx) => (ctx.body = { hello: 'koa', ip: ctx.ip, query: { ...ctx.query } }),
    json: async (ctx) => (ctx.body = JSON.parse(await collect(ctx))),
    async upload(ctx) {
        const bytes = await collect(ctx);
        ctx.body = { size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
    },
    download: (ctx) => (ctx.body = Readable.from(zeros(Number(ctx.query.size)))),
    cookie(ctx) {
        ctx.cookies.set('a', '1').set('b', encodeURIComponent('ä'));
        ctx.body = { got: ctx.get('cookie') || null };
    },
    redirect: (ctx) => ctx.redirect('/hello?from=redirect'),
    error: () => {
        throw new Error('an error of the app');
    },
};

app.use((ctx) => routes[ctx.path.slice(1)]?.(ctx));
app.listen(3000);
