/*
 * Every function of nodey and nodey/testing, as a worker in TypeScript uses it.  It is never
 * run: that it compiles, strictly, is the test; see ../system/test_packages.py.
 */
import { createServer } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { createWriteStream } from 'node:fs';
import nodey, {
    HTTPError, Nodey, NodeyError, after, all, ask, before, delete as remove, file, get, head, html, json, log, onStart,
    onStop, options, patch, post, put, redirect, response, route, serve, set, sse, start, text, token, ws,
} from 'nodey';
import type {
    AskOptions, Context, ErrorCode, FetchApp, Form, Handler, Listed, Logger, NodeyRequest, NodeyResponse, RouteOptions,
    ServerEvent, Socket, SocketClose, StreamRequest, UploadedFile,
} from 'nodey';
import testing, { Client, StreamResponse, TestResponse, TestSocket, client } from 'nodey/testing';

declare module 'nodey' {
    interface Tokens {
        Price(args: { sku: number }): { sku: number; price: number };
    }
}

/* ---- routes */

const hello: Handler = (req, ctx) => {
    const name: string | string[] | undefined = req.query.name;
    const tags: string[] = req.query.getAll('tag');
    const agent: string | null = req.headers.get('user-agent');
    ctx.log.info('hello', { name, tags, agent });
    return { name, id: req.id, host: req.host, path: req.path, left: req.timeout };
};
const settings: RouteOptions = { description: 'says hello', timeout: 1000 };

get('/hello', hello);
get('/hello/:name', settings, (req) => text(`hello ${req.params.name}\n`));
head('/hello', () => undefined);
put('/things/:id', (req: NodeyRequest) => [201, req.json()]);
patch('/things/:id', (req) => json([200, req.text()], { status: 202 }));
remove('/things/:id', () => response(null, { status: 204, headers: [['x-gone', 'yes']] }));
options('/things', () => response('', { headers: { allow: ['GET', 'PUT'] } }));
all('/any', (req) => html(`<p>${req.method}</p>`));
route(['get', 'post'], '/both', () => redirect('/hello', 307));
route('PURGE', '/cache', { description: 'empties it' }, () => 'gone');
post('/upload', (req) => {
    const form: Form = req.form();
    const photo: UploadedFile | UploadedFile[] | undefined = form.files.photo;
    const notes: Listed<string> = form.fields;
    if (!photo || Array.isArray(photo)) throw new HTTPError(400, 'one photo, please', { data: notes.getAll('note') });
    return photo.save('uploads').then((path) => ({ path, size: photo.size }));
});
put('/big', { stream: true }, async (req: StreamRequest) => {
    await pipeline(req.stream(), createWriteStream('big'));
});
post('/count', { stream: true }, async (req) => {
    let size = 0;
    for await (const piece of req) size += piece.length;
    return { size };
});
get('/report', () => file('report.pdf', { download: true, root: 'reports' }));
get('/rows', async function* () {
    yield 'a,b\n';
});
get('/clock', (_req, ctx: Context) => {
    ctx.info(103, { link: '</app.css>; rel=preload' });
    const tick: ServerEvent = { event: 'tick', data: { deadline: ctx.deadline }, id: 1, retry: 1000 };
    return sse(async function* () {
        while (!ctx.stopping.aborted) yield tick;
    });
});
get('/login', () => text('welcome').setCookie('sid', 'x', { httpOnly: true, sameSite: 'lax' }).setHeader('x-a', 1));
get('/logout', (): NodeyResponse => text('bye').deleteCookie('sid'));

/* ---- WebSockets */

ws('/echo', async (socket: Socket) => {
    for await (const message of socket) await socket.send(message);
    const { code }: SocketClose = await socket.closed;
    log.debug('closed', { code });
});
ws('/chat', { protocols: ['chat'] }, (socket, req) => {
    if (req.ip === '') return [403, 'who are you?'];
    socket.accept();
    socket.onmessage = (data) => socket.close(4000, typeof data);
    socket.onclose = ({ reason }) => nodey.log.info(reason);
    return undefined;
});

/* ---- tokens */

set({ Price: ({ sku }) => ({ sku, price: sku * 1.5 }), Other: (args: string) => args.length });
token('Price', async ({ sku }, ctx) => ctx.ask('Price', { sku }));
token('Free', () => null);

get('/price', async (req): Promise<number> => {
    const limits: AskOptions = { timeout: 500, signal: req.signal };
    const { price } = await ask('Price', { sku: 7 }, limits);
    const untold: unknown = await ask('Free');
    const told = await nodey.ask<{ rate: number }>('Rate', 'EUR');
    return price * told.rate + Number(untold);
});
// @ts-expect-error: the args of a declared token are checked
ask('Price', { sku: 'seven' }).catch(() => {});
// @ts-expect-error: and so is what it gives
set({ Price: () => 'nothing' });

/* ---- hooks, errors, the log */

onStart(async () => {});
onStop(() => {});
before((req) => (req.headers['x-key'] ? undefined : [401, 'who are you?']));
after((req, res) => {
    res.status ??= 200;
    res.setHeader('x-path', req.path);
});

function codeOf(error: unknown): ErrorCode | string {
    if (error instanceof HTTPError) return String(error.status);
    if (error instanceof NodeyError || error instanceof nodey.Error) return error.code;
    throw new nodey.HTTPError(500, undefined, { cause: error, headers: { 'retry-after': 1 } });
}
const logger: Logger = log;
logger.warn(new Error(codeOf(new NodeyError('unavailable', 'later', { data: 1 }))));

/* ---- apps, and the class */

const fetchApp: FetchApp = { fetch: (request) => new Response(request.url) };
await serve(fetchApp, { concurrency: 10 });
await nodey.serve(createServer((req, res) => res.end(req.url)));
await start({ concurrency: 100 });

const bridge = new Nodey();
bridge.get('/x', () => 1).set({ X: () => 1 }).token('Y', () => 2).before(() => {}).ws('/w', () => {});
await bridge.start();
const again: Nodey = nodey;
void again.ask('X');

/* ---- tests of one's own */

export async function everythingOfTesting(): Promise<void> {
    const worker: Client = client('workers/x.js', { throwErrors: false });
    worker.tokens = { Price: ({ sku }) => ({ sku, price: 1 }) };
    await worker.start();
    const answer: TestResponse = await worker.post('/a?b=c', { json: { a: 1 }, headers: { a: 'b' } });
    answer.json();
    const pieces: StreamResponse = await worker.get('/rows', { stream: true });
    for await (const piece of pieces) piece.toString();
    const socket: TestSocket = await worker.ws('/echo', { protocols: ['chat'] });
    socket.send('hello');
    const message: string | Buffer | undefined = await socket.receive();
    await worker.put('/f', { form: { a: [1, 2] }, files: { photo: { filename: 'x', content: message ?? '' } } });
    await testing.client().ask<number>('Half', 10);
    await worker.close();
}
