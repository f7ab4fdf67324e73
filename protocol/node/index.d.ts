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

/** A header value; an array is a field that came, or is to be sent, more than once. */
export type HeaderValue = string | string[];

/** An HTTP request as a handler sees it. All members are made when they are first read. */
export interface NodeyRequest {
    /** Upper case. */
    readonly method: string;
    /** As received: percent-encoded, without the query. */
    readonly path: string;
    /** The parsed query; a name that comes more than once has an array. */
    readonly query: Record<string, string | string[] | undefined>;
    /** The query as received, without `?`; empty when there is none. */
    readonly queryString: string;
    /** Lower-case names. Values hold one character per byte (latin-1). */
    readonly headers: Readonly<Record<string, HeaderValue | undefined>>;
    /** The values of `:name` and `*` in the route's path, percent-decoded. */
    readonly params: Readonly<Record<string, string>>;
    /** The cookies, decoded; of equal names the first counts. */
    readonly cookies: Record<string, string | undefined>;
    /** The client's address; empty when it is not known. */
    readonly ip: string;
    readonly scheme: 'http' | 'https';
    /** The body's bytes; empty when there is none. */
    readonly body: Buffer;
    /** The body as text (UTF-8). */
    text(): string;
    /** The body as JSON; throws an `HTTPError` with status 400 when it is not. */
    json(): any;
    /** Milliseconds that were left when the request arrived; undefined = no limit. */
    readonly timeout: number | undefined;
    /** Fires when the client has gone, the time is up, or the worker must stop. */
    readonly signal: AbortSignal;
}

/** What every handler, of a route or of a token, is given beside its input. */
export interface Context {
    /** The number of this call; null when a person typed it without one. */
    readonly id: number | string | null;
    /** When the answer must be there, in milliseconds since 1970; `Infinity` = no limit. */
    readonly deadline: number;
    /** Fires when the answer is no longer wanted. */
    readonly signal: AbortSignal;
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
 * | Buffer, Uint8Array | bytes |
 * | undefined | 204 |
 * | `[status, value]`, `[status, value, headers]` | the value with that status (200 to 599) |
 * | `response(...)`, a fetch `Response` | as it says; a body that is a stream is collected |
 *
 * An array of two numbers whose first lies in 100..599 is a status and a value: return
 * such data by `response([200, 1])`.  NaN and Infinity are refused, because JSON has no
 * such numbers.
 */
export type Handler = (req: NodeyRequest, ctx: Context) => unknown;

export interface RouteOptions {
    /** Shown wherever routes are listed. */
    description?: string;
    /** Whole milliseconds that a request may take, at least 1. Default: the pool's. */
    timeout?: number;
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

export interface ResponseInit {
    /** 200 to 599. Default 200, and 204 when there is no value. */
    status?: number;
    /** Names in any case; an array is sent as several fields. */
    headers?: Record<string, string | number | ReadonlyArray<string | number>> | Iterable<[string, string]>;
}

/** What `response()` returns. */
export interface NodeyResponse {
    readonly value: unknown;
    readonly status: number | undefined;
    readonly headers: Record<string, HeaderValue> | undefined;
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
    /** message: default is the status' own phrase. */
    constructor(status: number, message?: string, options?: ErrorOptions);
}

export interface Verb {
    /** Registers a handler. The path may hold `:name` for one segment and end in `*` or `*name`. */
    (path: string, handler: Handler): Nodey;
    (path: string, options: RouteOptions, handler: Handler): Nodey;
}

export interface RouteVerb {
    /** The same for one or several methods, in any case. */
    (methods: string | readonly string[], path: string, handler: Handler): Nodey;
    (methods: string | readonly string[], path: string, options: RouteOptions, handler: Handler): Nodey;
}

export interface Ask {
    /**
     * Asks whoever has the token, here or in another worker, in Node or Python. Rejects
     * with a `NodeyError`: `unimplemented` when nobody has it, `unavailable` when nobody
     * is ready in time, `deadline_exceeded`, `cancelled`, or what the answerer threw.
     */
    <K extends keyof Tokens & string>(token: K, args?: TokenArgs<K>, options?: AskOptions): Promise<TokenValue<K>>;
    <T = unknown, S extends string = string>(
        token: S extends keyof Tokens ? never : S, args?: unknown, options?: AskOptions): Promise<T>;
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
    /** Registers tokens; one that is there already is replaced. */
    set(tokens: TokenHandlers): this;
    /** Registers one token. */
    token<K extends keyof Tokens & string>(name: K, handler: TokenHandler<TokenArgs<K>, TokenValue<K>>): this;
    token(name: string, handler: TokenHandler): this;
    ask: Ask;
    /**
     * Optional: a worker that registered something starts by itself once its script has
     * run, top-level awaits included. Call it to start before such an await, or to give
     * options. Resolves when the worker has declared itself.
     */
    start(options?: StartOptions): Promise<void>;
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
export const set: Nodey['set'];
export const token: Nodey['token'];
export const ask: Ask;
export const start: Nodey['start'];
/** Log lines; they name the call that is being served. */
export const log: Logger;
/** A value with a status and headers. */
export function response(value?: unknown, init?: ResponseInit): NodeyResponse;

declare const nodey: Nodey & {
    Nodey: typeof Nodey;
    NodeyError: typeof NodeyError;
    HTTPError: typeof HTTPError;
    response: typeof response;
    log: Logger;
};
export default nodey;
