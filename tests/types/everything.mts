/*
 * Every function of nodey and nodey/testing, as a worker in TypeScript uses it.  It is never
 * run: that it compiles, strictly, is the test; see ../system/test_packages.py.
 */
import { createServer } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { createWriteStream } from 'node:fs';
import nodey, {
    Dead, HTTPError, Nodey, NodeyError, Retry, after, all, ask, before, delete as remove, enqueue, file, get, head, html, job, json,
    log, on, onStart, onStop, options, patch, post, publish, put, redirect, response, route, seek, serve, set, sse, start, text,
    token, ws,
} from 'nodey';
import type {
    AskOptions, Context, ErrorCode, Event, EventContext, EventHandler, FetchApp, Form, GroupOptions, Handler, Job, Listed, Logger,
    NodeyRequest, NodeyResponse, Published, PublishOptions, RouteOptions, ServerEvent, Socket, SocketClose, StreamRequest, UploadedFile,
} from 'nodey';
import testing, { Client, StreamResponse, TestBus, TestResponse, TestSocket, client, testBus } from 'nodey/testing';
import type { DeadLetter } from 'nodey/testing';

declare module 'nodey' {
    interface Tokens {
        Price(args: { sku: number }): { sku: number; price: number };
    }
    interface Topics {
        'comment.created': { id: string; text: string };
    }
    interface Queues {
        thumb: { path: string };
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

/* ---- events and jobs */

const care: GroupOptions = { group: 'query', from: { time: new Date() }, max: 4, attempts: 3, backoff: ['1s', 5000], timeout: '1m' };
const show: EventHandler = (event: Event, { signal, attempt, last, log: logger, ask: question }) => {
    logger.info(event.topic, { id: event.id, key: event.key, attempt, last, aborted: signal.aborted });
    return question('Price', { sku: 1 });
};
on(['post.*', 'user.>'], show, care).on('post.liked', show, { each: true, max: 1 });
on('comment.created', async (event, ctx: EventContext) => {
    const text: string = event.data.text;
    ctx.progress();
    const found: Published = await publish('comment.moderated', { text }, { key: null, headers: { a: 'b' } });
    const soon: PublishOptions = { delay: '10m', id: 7, now: true };
    await enqueue('thumb', { path: text }, soon);
    if (found.buffered) throw new Retry({ delay: '1m' }, 'later', { cause: ctx.deadline });
});
job('thumb', (order: Job<{ path: string }>) => {
    if (order.data.path === '') throw new nodey.Dead(`${order.queue}: no path`);
    throw new Dead(String(new Retry(7).delay));
}, { concurrency: 4 });
nodey.job('free', (order) => order.data.anything, { timeout: 0 });
await seek('query', 'first');
const { seq, duplicate }: Published = await nodey.publish('free', [1], { at: '2030-01-01' });
log.info('stored', { seq, duplicate });
// @ts-expect-error: the data of a declared topic is checked
publish('comment.created', { id: 1 }).catch(() => {});
// @ts-expect-error: and that of a declared queue
enqueue('thumb', 'path').catch(() => {});
// @ts-expect-error: with each there is no group
on('a', show, { each: true, group: 'g' });

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
    const bus: TestBus = testBus(['workers/x.js', new URL('file:///y.js')], { patience: 100 });
    await bus.publish('comment.created', { id: '1', text: 'x' });
    await bus.enqueue('thumb', { path: 'x' }, { delay: 5 });
    await bus.tick('10m');
    await bus.idle();
    const letters: DeadLetter[] = bus.dead();
    const ids: string[] = [...bus.published('comment.*'), ...bus.enqueued('thumb'), ...letters.map(({ event }) => event)].map(({ id }) => id);
    await testing.testBus().publish('free', [ids, bus.now(), letters[0]?.error.message]);
}
