import type { Readable } from 'node:stream';

/**
 * nodey: write a worker in Node.
 *
 * ```js
 * const nodey = require('nodey');
 *
 * nodey.get('/fib', (req) => ({ fib: fib(Number(req.query.num)) }));
 * nodey.set({ Fib: ({ num }) => fib(num) });
 * ```
 */

/**
 * The tokens that exist, for `ask` and `set` to be checked against. Augment it:
 *
 * ```ts
 * declare module 'nodey' {
 *     interface Tokens { Fib(args: { num: number }): number }
 * }
 * ```
 */
export interface Tokens {}

type AnyFunction = (...args: any[]) => unknown;

/** What token `K` takes. */
export type TokenArgs<K extends keyof Tokens> = Tokens[K] extends AnyFunction ? Parameters<Tokens[K]>[0] : never;
/** What token `K` gives. */
export type TokenValue<K extends keyof Tokens> = Tokens[K] extends AnyFunction ? Awaited<ReturnType<Tokens[K]>> : never;

/** Answers asks. A promise may be returned; nothing at all is `null` for whoever asked. */
export type TokenHandler<Args = any, Value = unknown> = (args: Args, ctx: Context) => Value | Promise<Value>;

type TokenHandlers = { [K in keyof Tokens]?: TokenHandler<TokenArgs<K>, TokenValue<K>> } & Record<string, TokenHandler>;

/**
 * The topics that exist, for `publish` and `on` to be checked against. Augment it:
 *
 * ```ts
 * declare module 'nodey' {
 *     interface Topics { 'comment.created': { id: string; text: string } }
 *     interface Queues { thumb: { path: string } }
 * }
 * ```
 */
export interface Topics {}

/** The same for the queues of `enqueue` and `job`. */
export interface Queues {}

/** Milliseconds, or a text: `'300ms'`, `'1.5s'`, `'10m'`, `'2h'`, `'7d'`, `'1m30s'`. */
export type Duration = number | string;

/** A time: milliseconds since 1970, a Date, or ISO text. */
export type Instant = number | Date | string;

export interface PublishOptions {
    /**
     * Messages of one key are handled one at a time and in order, within each group; at most 200
     * bytes. Default: the key of the message that is handled; null is none.
     */
    key?: string | number | bigint | null;
    /** The same one is stored once, within the dedupe window; at most 200 bytes. */
    id?: string | number | bigint | null;
    /** Not before. */
    at?: Instant;
    /** Not before so long from now. */
    delay?: Duration;
    headers?: Record<string, string>;
    /** At once, also from a handler of events or jobs, whatever becomes of that. */
    now?: boolean;
}

/** What came of a publish. */
export interface Published {
    /** The message's number; undefined when it is `buffered`, 0 while it is delayed. */
    readonly seq: number | undefined;
    /** A message with this id was there already: that one's `seq`. */
    readonly duplicate?: boolean;
    /** It is stored with the ack of the handler that published it, or dropped when that throws. */
    readonly buffered?: true;
}

/** A message, as one attempt of a handler sees it. */
export interface Event<Data = any> {
    /** The same for each attempt: what the publisher gave, else the `seq`. */
    readonly id: string;
    /** Of an event. */
    readonly topic: string;
    /** Of a job. */
    readonly queue?: string;
    readonly data: Data;
    readonly key: string | undefined;
    readonly seq: number;
    /** When it was stored: milliseconds since 1970. */
    readonly time: number;
    /** 1, 2, ... */
    readonly attempt: number;
    /** No attempt follows this one. */
    readonly last: boolean;
    readonly group: string;
    /** The id of the message whose handler published it. */
    readonly cause: string | undefined;
    /** The id of the message that all of it began with. */
    readonly correlation: string;
    /** W3C trace context. */
    readonly traceparent: string | undefined;
    readonly headers: Readonly<Record<string, string>>;
}

/** The same of a queue. */
export interface Job<Data = any> extends Omit<Event<Data>, 'topic' | 'queue'> {
    readonly queue: string;
}

/** What a handler of events and jobs is given beside the message. */
export interface EventContext extends Omit<Context, 'info'> {
    readonly attempt: number;
    readonly last: boolean;
    /** The handler is alive: its `timeout` begins anew. */
    readonly progress: () => void;
}

/**
 * Handles a message. When it returns, the message is done, and what it has published is stored with
 * that; when it throws, it is tried again (`Retry` says when), up to its `attempts` (`Dead`: never).
 */
export type EventHandler<Data = any> = (event: Event<Data>, ctx: EventContext) => unknown;
export type JobHandler<Data = any> = (job: Job<Data>, ctx: EventContext) => unknown;

/** Where a group begins, or goes on. */
export type Start = 'first' | 'new' | { seq: number } | { time: Instant };

export interface HandlerOptions {
    /** How many one process handles at a time, 1 to 100000. Default 16. */
    max?: number;
    /** Then it is a dead letter, 1 to 1000. Default 10. */
    attempts?: number;
    /** What the second, third, ... attempt waits; the last repeats. Default 1s, 5s, 30s, 2m, 10m, 1h. */
    backoff?: Duration | readonly Duration[];
    /** Of one attempt; 0 is none. Default: 30s for events, none for jobs. */
    timeout?: Duration;
}

export interface GroupOptions extends HandlerOptions {
    /** Each group gets a message once; its workers share the work. Default: the worker's name. */
    group?: string;
    /** Where a group begins that is new. Default `'new'`. */
    from?: Start;
    each?: false;
}

/** Every worker gets it, from now on; what it misses, or fails at, is lost to it. */
export interface EachOptions {
    each: true;
    max?: number;
}

export interface JobOptions extends HandlerOptions {
    /** The same as `max`. */
    concurrency?: number;
}

export interface Publish {
    /**
     * States a fact: each group that wants it gets it once. Resolves when it is durable; within a
     * handler of events or jobs at once, for there it is stored with the ack. Rejects with a
     * `NodeyError`: `invalid_argument`, `resource_exhausted`, `unavailable`.
     */
    <K extends keyof Topics & string>(topic: K, data: Topics[K], options?: PublishOptions): Promise<Published>;
    <S extends string>(topic: S extends keyof Topics ? never : S, data?: unknown, options?: PublishOptions): Promise<Published>;
}

export interface Enqueue {
    /** Gives an order: exactly one worker gets it. All else is as with `publish`. */
    <K extends keyof Queues & string>(queue: K, data: Queues[K], options?: PublishOptions): Promise<Published>;
    <S extends string>(queue: S extends keyof Queues ? never : S, data?: unknown, options?: PublishOptions): Promise<Published>;
}

export interface On {
    /** Handles events. In a pattern `*` is one token and a last `>` the rest: `comment.*`, `comment.>`. */
    <K extends keyof Topics & string>(
        topic: K | readonly K[], handler: EventHandler<Topics[K]>, options?: GroupOptions | EachOptions): Nodey;
    (pattern: string | readonly string[], handler: EventHandler, options?: GroupOptions | EachOptions): Nodey;
}

export interface OnJob {
    /** Handles the orders of a queue. */
    <K extends keyof Queues & string>(queue: K, handler: JobHandler<Queues[K]>, options?: JobOptions): Nodey;
    <S extends string>(queue: S extends keyof Queues ? never : S, handler: JobHandler, options?: JobOptions): Nodey;
}

/** A header value; an array is a field that came, or is to be sent, more than once. */
export type HeaderValue = string | string[];

/** Names and values. A name that came more than once has an array; `getAll` always gives one. */
export type Listed<T> = Record<string, T | T[] | undefined> & {
    /** All values of a name, none as an empty array. Not hidden by a value of that name. */
    getAll(name: string): T[];
};

/** The headers of a request: lower-case names, latin-1 values (one character per byte). */
export type RequestHeaders = Readonly<Record<string, HeaderValue | undefined>> & {
    /** A header by its name in any case; several fields are joined with commas. Null when there is none. */
    get(name: string): string | null;
    /** All fields of a name in any case. */
    getAll(name: string): string[];
};

/** A file that a form brought. */
export interface UploadedFile {
    /** The name of the form's field. */
    readonly name: string;
    /** As the client called it, without folders; do not trust it to be unique, or to mean anything. */
    readonly filename: string;
    /** The content type that the client says. */
    readonly contentType: string;
    /** In bytes. */
    readonly size: number;
    readonly data: Buffer;
    /** The same as `contentType`. */
    readonly type: string;
    /** The same as `data`. */
    readonly buffer: Buffer;
    /** The content as text (UTF-8). */
    text(): string;
    /**
     * Writes it to a file, which is replaced when it is there, or into a folder that is there,
     * under `filename`. Gives the file's path.
     */
    save(path: string): Promise<string>;
}

/** What an HTML form sent. */
export interface Form {
    readonly fields: Listed<string>;
    readonly files: Listed<UploadedFile>;
}

/** An HTTP request as a handler sees it. All members are made when they are first read. */
export interface NodeyRequest {
    /** nodey's number for this request, also in the log; null when a person typed it without one. */
    readonly id: number | string | null;
    /** Upper case. */
    readonly method: string;
    /** As received: percent-encoded, without the query. */
    readonly path: string;
    /** The parsed query; a name that comes more than once has an array. */
    readonly query: Listed<string>;
    /** The query as received, without `?`; empty when there is none. */
    readonly queryString: string;
    /** The whole address, as far as it is known: `http://example.org/path?query`. */
    readonly url: string;
    /** The Host header, with its port; empty when there is none. */
    readonly host: string;
    readonly scheme: 'http' | 'https';
    readonly headers: RequestHeaders;
    /** The values of `:name` and `*` in the route's path, percent-decoded. */
    readonly params: Readonly<Record<string, string>>;
    /** The cookies, decoded; of equal names the first counts. */
    readonly cookies: Record<string, string | undefined>;
    /** The client's address; empty when it is not known. */
    readonly ip: string;
    /** The body's bytes; empty when there is none. */
    readonly body: Buffer;
    /** The same as `body`. */
    bytes(): Buffer;
    /** The body as a stream; it is all here already. */
    stream(): Readable;
    [Symbol.asyncIterator](): AsyncIterator<Buffer>;
    /** The body as text (UTF-8). */
    text(): string;
    /** The body as JSON; throws an `HTTPError` with status 400 when it is not. */
    json(): any;
    /**
     * The body as a form, urlencoded or multipart; throws an `HTTPError` with status 400
     * when it is malformed, 415 when its content-type is another.
     */
    form(): Form;
    /** Milliseconds that were left when the request arrived; undefined = no limit. */
    readonly timeout: number | undefined;
    /** Fires when the client has gone, the time is up, or the worker must stop. */
    readonly signal: AbortSignal;
}

/**
 * The request of a route with `{ stream: true }`. The handler runs while the body is still on
 * its way, and what it reads makes room for more. Read it in one way only.
 */
export interface StreamRequest extends Omit<NodeyRequest, 'body' | 'bytes' | 'text' | 'json' | 'form'> {
    /** The body as it comes; fails with an `AbortError` when the client goes away. */
    stream(): Readable;
    /** The pieces of the body: `for await (const piece of req)`. */
    [Symbol.asyncIterator](): AsyncIterator<Buffer>;
    /** The whole body; so do the others. */
    bytes(): Promise<Buffer>;
    text(): Promise<string>;
    json(): Promise<any>;
    form(): Promise<Form>;
}

/** What every handler, of a route or of a token, is given beside its input. */
export interface Context {
    /** The number of this call; null when a person typed it without one. */
    readonly id: number | string | null;
    /** When the answer must be there, in milliseconds since 1970; `Infinity` = no limit. */
    readonly deadline: number;
    /** Fires when the answer is no longer wanted. */
    readonly signal: AbortSignal;
    /** Fires when the worker is to end: whoever streams without end should stop. */
    readonly stopping: AbortSignal;
    /** Sends an interim answer before the answer, such as 103 with `link` headers. status: 102 to 199. */
    info(status: number, headers?: HeadersInput): void;
    /** Log lines that name this call. */
    readonly log: Logger;
    /** `ask` for this call: time and depth are counted against it. */
    readonly ask: Ask;
}

/**
 * Answers requests. What it returns, or its promise gives, is the answer:
 *
 * | value | answer |
 * |---|---|
 * | string | text |
 * | object, array, number, boolean, null | JSON |
 * | Buffer, typed array, ArrayBuffer | bytes |
 * | undefined | 204 |
 * | `[status, value]`, `[status, value, headers]` | the value with that status (200 to 599) |
 * | `response(...)`, `text()`, `html()`, `json()`, `redirect()` | as they say |
 * | `file(path)` | the file |
 * | a fetch `Response`, a `Blob` | as it says |
 * | a generator, an async iterable, a stream | what it gives (strings and bytes), piece by piece |
 * | `sse(events)` | server-sent events |
 * | an `Error` | as if it had been thrown |
 *
 * An `HTTPError` that is thrown answers with its status; so does any error whose `status` or
 * `statusCode` is 400 to 499. Everything else that is thrown is a 500, and is logged.
 *
 * An array of two numbers whose first lies in 100..599 is a status and a value: return
 * such data by `json([200, 1])`.  What JSON would change or lose (NaN, BigInt, a promise
 * that was not awaited, a Map) fails the request with a message that names it.
 */
export type Handler = (req: NodeyRequest, ctx: Context) => unknown;

/** The same for a route with `{ stream: true }`. */
export type StreamHandler = (req: StreamRequest, ctx: Context) => unknown;

/**
 * One end of a WebSocket. `for await (const message of socket)` gives the messages until it is
 * closed. It is accepted at its first use, or when the handler has returned.
 */
export interface Socket {
    /** The protocol that was chosen; empty when there is none. */
    readonly protocol: string;
    readonly isOpen: boolean;
    /** Accepts it now. */
    accept(): void;
    /**
     * Sends a text or bytes. Resolves when there is room for more; to false when the socket is
     * closed, which is no error.
     */
    send(data: string | ArrayBufferView | ArrayBuffer): Promise<boolean>;
    /** Closes it behind what was sent. code: 1000 (default) or 3000 to 4999; reason: at most 123 bytes. */
    close(code?: number, reason?: string): void;
    /** Settles when it is closed, by whomever; code 1006: the client vanished. */
    readonly closed: Promise<SocketClose>;
    /** Instead of iterating. While a listener is set, the socket stays open when the handler has returned. */
    onmessage: ((data: string | Buffer) => unknown) | null;
    onclose: ((close: SocketClose) => unknown) | null;
    [Symbol.asyncIterator](): AsyncIterator<string | Buffer>;
}

export interface SocketClose {
    code: number;
    reason: string;
}

/**
 * Serves a WebSocket. When it returns, the socket is closed with 1000; when it throws, with
 * 1011. Before the first use of the socket it can refuse: by throwing an `HTTPError`, or by
 * returning an answer. `ctx.signal` fires when the client has gone.
 */
export type SocketHandler = (socket: Socket, req: NodeyRequest, ctx: Context) => unknown;

export interface SocketOptions {
    /** The protocols that it speaks; the first of the client's that is among them is chosen. */
    protocols?: readonly string[];
    description?: string;
}

/** An event; a text is one with that `data`. */
export interface ServerEvent {
    event?: string;
    /** Text; anything else is sent as JSON. */
    data?: unknown;
    id?: string | number;
    /** Milliseconds after which the browser connects again. */
    retry?: number;
    comment?: string;
}

type Events = Iterable<string | ServerEvent> | AsyncIterable<string | ServerEvent>;

/** Runs before the handler; what it returns, unless undefined, is the answer, and the handler does not run. */
export type BeforeHook = (req: NodeyRequest, ctx: Context) => unknown;

/** Sees the answer and may change its status, value and headers, or return another. */
export type AfterHook = (req: NodeyRequest, res: NodeyResponse, ctx: Context) => unknown;

/** Runs when the worker starts or stops. A promise is waited for. */
export type LifeHook = () => unknown;

export interface RouteOptions {
    /** Shown wherever routes are listed. */
    description?: string;
    /** Whole milliseconds that a request may take, at least 1. Default: the pool's. */
    timeout?: number;
    /** The handler starts before the request's body is there, and reads it as a stream. Default: false. */
    stream?: boolean;
}

export interface AskOptions {
    /**
     * Milliseconds, 1 to 2^31-1, after which the ask rejects with `deadline_exceeded`.
     * Default: what is left of the call that asks, else the supervisor's limit.
     */
    timeout?: number;
    /** Gives the ask up: it rejects with `cancelled` (`deadline_exceeded` for `AbortSignal.timeout()`). */
    signal?: AbortSignal;
}

export interface StartOptions {
    /** Requests and asks that may be open here at once, 1 to 100000. Default 1000. Declared once. */
    concurrency?: number;
}

/** An app that takes a Request and returns a Response: Hono, Elysia, h3, or one's own. */
export interface FetchApp {
    fetch(request: Request, info: { ip?: string }, context: object): Response | Promise<Response>;
}

/**
 * What serve() takes: an app of Express, Koa, Fastify, Nest, Next, hapi, Polka or connect, a
 * function `(req, res)`, an `http.Server`, or an object with `fetch(request)`.
 */
export type App = import('node:http').Server | ((...args: any[]) => unknown) | FetchApp | object;

/** Names in any case; an array is sent as several fields; what is undefined is left out. */
export type HeadersInput =
    | Record<string, string | number | ReadonlyArray<string | number> | undefined>
    | Iterable<[string, string]>;

export interface ResponseInit {
    /** 200 to 599. Default 200, and 204 when there is no value. */
    status?: number;
    headers?: HeadersInput;
    /** Fields behind the body, or what gives them when it has been sent. */
    trailers?: HeadersInput | (() => HeadersInput | Promise<HeadersInput>);
}

export interface CookieAttributes {
    /** Whole seconds that the browser keeps it; without this and `expires`, until it is closed. */
    maxAge?: number;
    /** A Date, or milliseconds since 1970. */
    expires?: Date | number;
    domain?: string;
    /** Default `/`. */
    path?: string;
    /** Sent over https only. */
    secure?: boolean;
    /** Hidden from scripts. */
    httpOnly?: boolean;
    /** `none` needs `secure`. */
    sameSite?: 'strict' | 'lax' | 'none';
    /** A jar for each embedding site; needs `secure`. */
    partitioned?: boolean;
}

/** What `response()` and its like return, and what an `after` hook is given. */
export interface NodeyResponse {
    value: unknown;
    status: number | undefined;
    /** Lower-case names. */
    readonly headers: Record<string, HeaderValue>;
    /** Replaces a header; an array is sent as several fields. */
    setHeader(name: string, value: string | number | ReadonlyArray<string | number>): this;
    /** Adds a cookie; throws a TypeError for one that a browser would not keep. The value is percent-encoded. */
    setCookie(name: string, value: string | number | boolean, attributes?: CookieAttributes): this;
    /** Has the browser forget a cookie; path and domain must be those that it was set with. */
    deleteCookie(name: string, attributes?: CookieAttributes): this;
}

export interface FileOptions {
    /** Has the browser save it: true under its own name, a string under that one. */
    download?: boolean | string;
    /** The content type, where the name's ending says too little. */
    type?: string;
    /** The folder that the path must stay in. Give it whenever the path comes from a client. */
    root?: string;
    headers?: HeadersInput;
}

/** A structured log line; `fields` goes through JSON. */
export type Log = (message: string | Error, fields?: Record<string, unknown>) => void;

export interface Logger {
    debug: Log;
    info: Log;
    warn: Log;
    error: Log;
}

/** The codes of the protocol, each with its HTTP status. */
export type ErrorCode =
    | 'invalid_argument' /* 400 */
    | 'unauthenticated' /* 401 */
    | 'permission_denied' /* 403 */
    | 'not_found' /* 404 */
    | 'already_exists' /* 409 */
    | 'aborted' /* 409 */
    | 'failed_precondition' /* 412 */
    | 'resource_exhausted' /* 429 */
    | 'cancelled' /* 499 */
    | 'internal' /* 500 */
    | 'unimplemented' /* 501 */
    | 'unavailable' /* 503 */
    | 'deadline_exceeded'; /* 504 */

export interface ErrorOptions {
    /** Anything that JSON can hold; arrives with the error. */
    data?: unknown;
    cause?: unknown;
}

/** What a rejected `ask` gives, and what a handler may throw to fail with a code. */
export class NodeyError extends Error {
    constructor(code: ErrorCode, message?: string, options?: ErrorOptions & { status?: number });
    /** An `ErrorCode`, or another that a peer made up. */
    readonly code: ErrorCode | (string & {});
    /** The HTTP status that goes with the code, unless another was given. */
    readonly status: number;
    readonly data?: unknown;
}

/** What a handler throws to answer with an HTTP status, 400 to 599. */
export class HTTPError extends NodeyError {
    /** message: default is the status' own phrase. Headers are for HTTP only; an ask does not carry them. */
    constructor(status: number, message?: string, options?: ErrorOptions & { headers?: HeadersInput });
    readonly headers?: HeadersInput;
}

/** Thrown by a handler of events or jobs: again after `delay`, or when it would be anyway. */
export class Retry extends Error {
    constructor(delay?: Duration | { delay?: Duration }, message?: string, options?: { cause?: unknown });
    /** In milliseconds. */
    readonly delay?: number;
}

/** Thrown by a handler of events or jobs: no attempt will help, it is a dead letter at once. */
export class Dead extends Error {
    constructor(message?: string, options?: { cause?: unknown });
}

export { NodeyError as Error };

export interface Verb {
    /** Registers a handler. The path may hold `:name` for one segment and end in `*` or `*name`. */
    (path: string, handler: Handler): Nodey;
    (path: string, options: RouteOptions & { stream: true }, handler: StreamHandler): Nodey;
    (path: string, options: RouteOptions, handler: Handler): Nodey;
}

export interface RouteVerb {
    /** The same for one or several methods, in any case. */
    (methods: string | readonly string[], path: string, handler: Handler): Nodey;
    (
        methods: string | readonly string[], path: string, options: RouteOptions & { stream: true },
        handler: StreamHandler): Nodey;
    (methods: string | readonly string[], path: string, options: RouteOptions, handler: Handler): Nodey;
}

export interface Ask {
    /**
     * Asks whoever has the token, here or in another worker, in Node or Python. Rejects
     * with a `NodeyError`: `unimplemented` when nobody has it, `unavailable` when nobody
     * is ready in time, `deadline_exceeded`, `cancelled`, or what the answerer threw. A
     * failure that nobody awaits is logged.
     */
    <K extends keyof Tokens & string>(token: K, args?: TokenArgs<K>, options?: AskOptions): Promise<TokenValue<K>>;
    <T = unknown, S extends string = string>(
        token: S extends keyof Tokens ? never : S, args?: unknown, options?: AskOptions): Promise<T>;
}

export interface SocketVerb {
    /** Registers a handler of WebSockets. The path may have a `get` beside it. */
    (path: string, handler: SocketHandler): Nodey;
    (path: string, options: SocketOptions, handler: SocketHandler): Nodey;
}

/** The worker that this process is. All instances are the same worker. */
export class Nodey {
    get: Verb;
    /** Answers HEAD. Without it a `get` of the same path does, and its body is dropped. */
    head: Verb;
    post: Verb;
    put: Verb;
    patch: Verb;
    delete: Verb;
    options: Verb;
    /** Any method that no other route of that path takes. */
    all: Verb;
    route: RouteVerb;
    ws: SocketVerb;
    /** Registers tokens; one that is there already is replaced. */
    set(tokens: TokenHandlers): this;
    /** Registers one token. */
    token<K extends keyof Tokens & string>(name: K, handler: TokenHandler<TokenArgs<K>, TokenValue<K>>): this;
    token(name: string, handler: TokenHandler): this;
    ask: Ask;
    publish: Publish;
    enqueue: Enqueue;
    on: On;
    job: OnJob;
    /** Has a group go on elsewhere in the stream. */
    seek(group: string, to: Start): Promise<void>;
    /** Runs before every request's handler, in the order of registration. */
    before(hook: BeforeHook): this;
    /** Runs after every request's handler that returned, the last registered first. Not for errors. */
    after(hook: AfterHook): this;
    /** Runs once before the worker is ready, in the order of registration. When it fails, the worker does not start. */
    onStart(hook: LifeHook): this;
    /** Runs once when all is answered and the worker ends, the last registered first; for five seconds at most. */
    onStop(hook: LifeHook): this;
    /**
     * Optional: a worker that registered something starts by itself once its script has
     * run, top-level awaits included. Call it to start before such an await, or to give
     * options. Resolves when the worker has declared itself.
     */
    start(options?: StartOptions): Promise<void>;
    /** Serves an app that was written for a port of its own; it needs none. Routes come before it. */
    serve(app: App, options?: StartOptions): Promise<void>;
}

export const get: Verb;
export const head: Verb;
export const post: Verb;
export const put: Verb;
export const patch: Verb;
declare const del: Verb;
export { del as delete };
export const options: Verb;
export const all: Verb;
export const route: RouteVerb;
export const ws: SocketVerb;
export const set: Nodey['set'];
export const token: Nodey['token'];
export const ask: Ask;
export const publish: Publish;
export const enqueue: Enqueue;
export const on: On;
export const job: OnJob;
export const seek: Nodey['seek'];
export const start: Nodey['start'];
export const before: Nodey['before'];
export const after: Nodey['after'];
export const onStart: Nodey['onStart'];
export const onStop: Nodey['onStop'];
export const serve: Nodey['serve'];
/** Log lines; they name the call that is being served. */
export const log: Logger;
/** A value with a status and headers. */
export function response(value?: unknown, init?: ResponseInit): NodeyResponse;
/** Text: `text/plain`, unless the headers say another type. */
export function text(value: unknown, init?: ResponseInit): NodeyResponse;
/** Text as `text/html`. Escape what comes from clients. */
export function html(value: unknown, init?: ResponseInit): NodeyResponse;
/** JSON, also of strings and of arrays that look like a status and a value. */
export function json(value: unknown, init?: ResponseInit): NodeyResponse;
/** Sends the client elsewhere. status: 301, 302 (default), 303, 307 or 308. */
export function redirect(url: string | URL, status?: 301 | 302 | 303 | 307 | 308): NodeyResponse;
/**
 * A file, with its type, ETag and Last-Modified; a client that has it already gets a 304, and
 * one that wants a part of it that part. path: relative to the worker's working directory, or
 * to `root`. 404 when there is no such file. Of any size; a file below one of the folders that
 * nodey may read (`file_roots`) does not pass through the worker.
 */
export function file(path: string, options?: FileOptions): object;
/**
 * Server-sent events, each sent at once. source: a generator function, or what it gives. It is
 * ended (`return()`) when the client goes away, and when the worker is to end.
 */
export function sse(source: Events | (() => Events), init?: ResponseInit): NodeyResponse;

/** What `require('nodey')` gives. */
export interface NodeyModule extends Nodey {
    Nodey: typeof Nodey;
    NodeyError: typeof NodeyError;
    HTTPError: typeof HTTPError;
    /** The same as `NodeyError`. */
    Error: typeof NodeyError;
    Retry: typeof Retry;
    Dead: typeof Dead;
    response: typeof response;
    text: typeof text;
    html: typeof html;
    json: typeof json;
    redirect: typeof redirect;
    file: typeof file;
    sse: typeof sse;
    log: Logger;
}

declare const nodey: NodeyModule;
export default nodey;
