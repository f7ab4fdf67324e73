/**
 * nodey/testing: unit tests for workers, without nodey and without a process.
 *
 * ```js
 * const { client } = require('nodey/testing');
 * const worker = client('./workers/fib.js');
 * assert.deepEqual((await worker.get('/fib?num=10')).json(), { fib: 55 });
 * ```
 */
import type { Duration, Enqueue, Event, HeadersInput, Job, NodeyError, Publish, RequestHeaders } from './index';

export interface ClientOptions {
    /**
     * Whether what a handler throws by mistake is thrown by the request (default), or
     * answered with a 500 as nodey does. An `HTTPError` and other `NodeyError`s are answers
     * in any case.
     */
    throwErrors?: boolean;
}

/** A file of a form: its content, or the content with a name and a type. */
export type TestFile = string | Uint8Array | { filename?: string; type?: string; content: string | Uint8Array };

type FormValue = string | number | boolean;

/** At most one of `json`, `body`, and `form` with `files`. */
export interface RequestOptions {
    headers?: HeadersInput;
    /** Sent as JSON. */
    json?: unknown;
    /** Sent as it is; what gives pieces is sent in pieces. */
    body?: string | Uint8Array | Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>;
    /** Sent as a form: urlencoded, or multipart when there are `files`. */
    form?: Record<string, FormValue | readonly FormValue[]>;
    files?: Record<string, TestFile | readonly TestFile[]>;
    /** The client's address. Default 127.0.0.1. */
    ip?: string;
    /** `req.timeout`, in milliseconds; it is told, not enforced. */
    timeout?: number;
}

export interface SocketOptions {
    headers?: HeadersInput;
    protocols?: readonly string[];
    ip?: string;
}

/** An answer of a request with `{ stream: true }`: `for await (const piece of response)`. */
export class StreamResponse {
    readonly status: number;
    readonly ok: boolean;
    readonly headers: RequestHeaders;
    /** As if the client went away. */
    cancel(): void;
    [Symbol.asyncIterator](): AsyncIterator<Buffer>;
}

/** The client's end of a WebSocket. */
export class TestSocket {
    readonly protocol: string;
    send(data: string | Uint8Array): void;
    close(code?: number, reason?: string): void;
    /** The next message; undefined when the socket is closed. */
    receive(): Promise<string | Buffer | undefined>;
    [Symbol.asyncIterator](): AsyncIterator<string | Buffer>;
    readonly closed: Promise<{ code: number; reason: string }>;
}

export class TestResponse {
    readonly status: number;
    /** Whether the status is 200 to 299. */
    readonly ok: boolean;
    readonly headers: RequestHeaders;
    readonly body: Buffer;
    /** What came behind the body; undefined when nothing did. */
    readonly trailers?: RequestHeaders;
    /** The cookies that were set, by name. */
    readonly cookies: Record<string, string | undefined>;
    text(): string;
    json(): any;
}

/** Calls the handlers of one worker. */
export class Client {
    /** What stands in for other workers: `client.tokens = { Price: (args) => 3 }`. They go before the worker's own. */
    tokens: Record<string, (args: any) => unknown>;
    throwErrors: boolean;
    /** target: a path and a query, `/fib?num=10`. */
    request(method: string, target: string, options: RequestOptions & { stream: true }): Promise<StreamResponse>;
    request(method: string, target: string, options?: RequestOptions): Promise<TestResponse>;
    /** Opens a WebSocket. Rejects with an error that has the `response` when it is refused. */
    ws(target: string, options?: SocketOptions): Promise<TestSocket>;
    get(target: string, options: RequestOptions & { stream: true }): Promise<StreamResponse>;
    get(target: string, options?: RequestOptions): Promise<TestResponse>;
    post(target: string, options?: RequestOptions): Promise<TestResponse>;
    put(target: string, options?: RequestOptions): Promise<TestResponse>;
    patch(target: string, options?: RequestOptions): Promise<TestResponse>;
    delete(target: string, options?: RequestOptions): Promise<TestResponse>;
    head(target: string, options?: RequestOptions): Promise<TestResponse>;
    options(target: string, options?: RequestOptions): Promise<TestResponse>;
    /** Asks a token of the worker. Rejects with what its handler threw, or with a `NodeyError`. */
    ask<T = unknown>(token: string, args?: unknown): Promise<T>;
    /** Loads the worker and runs its onStart hooks; the first request does it by itself. */
    start(): Promise<this>;
    /** Runs the onStop hooks. */
    close(): Promise<void>;
}

/**
 * worker: the script, relative to the working directory; it is loaded anew for each
 * client (what it loads itself is not). Without it: what has been registered so far.
 */
export function client(worker?: string | URL, options?: ClientOptions): Client;

export interface BusOptions {
    /** Real milliseconds that `idle()` waits for handlers. Default 5000. */
    patience?: number;
}

/** What was given up. */
export interface DeadLetter {
    readonly event: Event;
    readonly group: string;
    readonly error: { name: string; message: string; stack?: string };
    readonly attempts: number;
}

/** Events and jobs without nodey, with a clock that only `tick` moves. */
export class TestBus {
    publish: Publish;
    enqueue: Enqueue;
    /** Loads the scripts; the first of the others does it by itself. */
    start(): Promise<this>;
    /** Resolves when no handler runs and nothing is due now; rejects, with what still runs, after a while. */
    idle(): Promise<void>;
    /** Lets time pass: delays, back-offs and timeouts happen, in order. */
    tick(duration: Duration): Promise<void>;
    /** The bus' time: milliseconds since 1970. */
    now(): number;
    /** What was published, the newest last. */
    published(pattern?: string): Event[];
    /** What was enqueued. */
    enqueued(queue?: string): Job[];
    dead(): DeadLetter[];
}

/**
 * scripts: one, or several that work together, each a worker named like its file. Without any: what
 * the test itself registers. Clients that are started later publish into it as well.
 */
export function testBus(scripts?: string | URL | ReadonlyArray<string | URL>, options?: BusOptions): TestBus;

/** What `require('nodey/testing')` gives. */
export interface TestingModule {
    client: typeof client;
    testBus: typeof testBus;
    Client: typeof Client;
    TestBus: typeof TestBus;
    TestResponse: typeof TestResponse;
    StreamResponse: typeof StreamResponse;
    TestSocket: typeof TestSocket;
}

declare const testing: TestingModule;
export default testing;
export type { NodeyError };
