/* An app of Hono: a module that exports it, and nothing else. */
import { createHash } from 'node:crypto';
import { Hono } from 'hono';

const app = new Hono();

app.get('/hello', (c) => c.json({ hello: 'hono', ip: c.env.ip, query: c.req.query() }));
app.post('/json', async (c) => c.json(await c.req.json()));
app.post('/upload', async (c) => {
    const hash = createHash('sha256');
    let size = 0;
    for await (const bytes of c.req.raw.body) {
        size += bytes.length;
        hash.update(bytes);
    }
    return c.json({ size, sha256: hash.digest('hex') });
});
app.get('/download', (c) => {
    let left = Number(c.req.query('size'));
    const body = new ReadableStream({
        pull(out) {
            const size = Math.min(left, 65536);
            left -= size;
            if (size > 0) out.enqueue(new Uint8Array(size).fill(120));
            if (left === 0) out.close();
        },
    });
    return c.body(body, 200, { 'content-type': 'application/octet-stream' });
});
app.get('/cookie', (c) => {
    c.header('set-cookie', 'a=1; Path=/');
    c.header('set-cookie', 'b=%C3%A4; Path=/', { append: true });
    return c.json({ got: c.req.header('cookie') ?? null });
});
app.get('/redirect', (c) => c.redirect('/hello?from=redirect'));
app.get('/error', () => {
    throw new Error('an error of the app');
});
app.onError((error, c) => c.text('Internal Server Error', 500));

export default app;
