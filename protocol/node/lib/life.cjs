/*
 * life: how a worker starts, lives and ends.
 *
 *     loaded --register--> waiting for the main module --> started --> draining --> exit
 *
 * Starting is left to the last sensible moment, because a request may come right after
 * `ready`: when the main module has run, its top-level awaits included, or when the
 * script says start(), or when it asks somebody, which needs the pipe.
 */
'use strict';

const asks = require('./ask.cjs');
const calls = require('./calls.cjs');
const { NodeyError } = require('./errors.cjs');
const { readFrame, BadLine } = require('./frame.cjs');
const { errorLine } = require('./encode.cjs');
const log = require('./log.cjs');
const registry = require('./registry.cjs');
const { mode } = require('./stdio.cjs');
const wire = require('./wire.cjs');

const PROTOCOL = 1;
const VERSION = '0.1.0';
const FEATURES = ['cancel', 'ask', 'nested', 'ping', 'drain'];
const MAX_CONCURRENCY = 100000;
const DEFAULT_GRACE_MS = 5000;
const LAG_RESOLUTION_MS = 100; // a finer one would wake up an idle worker more often
const BATCH_MS = 2; // answers wait at most about this long for other handlers
const EXIT_TERMINATED = 143;

const options = { concurrency: 1000 };
const unsent = []; // asks from before `ready`, which must be the first frame

let scheduled = false; // the main module is awaited
let startPromise = null; // start() was called
let started = false;
let draining = false;
let ended = false; // end of input
let nowMs = 0;
let lag = null;

/* ---- the main module */

/* With these, argv[1] is no script, or importing it would run it a second time. */
const NO_MAIN_SCRIPT = /^(-[ep]|-pe|--(eval|print|input-type|preserve-symlinks))/;

/*
 * Resolves when the main module has been evaluated.  A CommonJS one has been by the time
 * that anybody can ask.  Of an ES module the import gives the very evaluation that is
 * under way.  If that fails, this never resolves: Node ends the process.
 */
async function mainModule() {
    const script = process.argv[1];
    if (require.main || !script || process.execArgv.some((arg) => NO_MAIN_SCRIPT.test(arg))) return;
    let path;
    try {
        path = require.resolve(script);
    } catch {
        return; // started in a way that we do not know
    }
    try {
        await import(require('node:url').pathToFileURL(path).href);
    } catch {
        await new Promise(() => {});
    }
}

/* ---- frames */

function sourceFiles() {
    const sdk = require('node:path').dirname(__dirname);
    const files = new Set(Object.keys(require.cache));
    if (process.argv[1]) files.add(process.argv[1]);
    return [...files].filter((file) => !file.startsWith(sdk) && !file.includes('/node_modules/'));
}

function declare() {
    const ready = {
        type: 'ready',
        protocol: PROTOCOL,
        sdk: `nodey-node/${VERSION}`,
        pid: process.pid,
        concurrency: options.concurrency,
        features: FEATURES,
        routes: registry.routes,
        tokens: [...registry.tokens.keys()],
        files: sourceFiles(),
    };
    wire.send(`${JSON.stringify(ready)}\n`);
}

function hello({ limits, warnings }) {
    if (limits?.max_line > 0) calls.setMaxLine(limits.max_line);
    if (Array.isArray(warnings)) warnings.forEach((warning) => log.complain(warning));
}

function pong(id) {
    const { rss, heapUsed } = process.memoryUsage();
    const frame = { type: 'pong', id, inflight: calls.open.size, rss, heap: heapUsed };
    if (lag) {
        frame.lag = Math.max(0, Math.round(lag.max / 1e6 - LAG_RESOLUTION_MS));
        lag.reset();
    } else {
        lag = require('node:perf_hooks').monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
        lag.enable();
    }
    wire.send(`${JSON.stringify(frame)}\n`);
}

function failAsk({ id, code, message, data }) {
    asks.fail(id, new NodeyError(code ?? 'internal', message, { data }));
}

const RECEIVERS = {
    __proto__: null,
    hello,
    ask: (frame) => calls.serveAsk(frame, nowMs),
    answer: ({ id, value }) => asks.answer(id, value ?? null),
    error: failAsk,
    cancel: ({ id, reason }) => calls.cancel(id, reason),
    ping: ({ id }) => pong(id),
    drain: () => drain(),
    shutdown: ({ grace }) => shutdown(grace),
};

function receive(frame) {
    if (frame.type === undefined) calls.serveRequest(frame, nowMs);
    else RECEIVERS[frame.type](frame);
}

/* A handler that computes for long must not keep the answers of others. */
function flushIfLate() {
    const time = Date.now();
    if (nowMs !== 0 && time - nowMs >= BATCH_MS) wire.flush();
    nowMs = time;
}

function onLine(line) {
    flushIfLate();
    try {
        const frame = readFrame(line);
        if (frame) receive(frame);
    } catch (error) {
        if (!(error instanceof BadLine)) throw error;
        const id = JSON.stringify(error.id);
        wire.send(errorLine(id, { code: 'invalid_argument', message: error.message }));
    }
}

function onBatch() {
    nowMs = 0;
}

/* ---- the end */

function exitWhenIdle() {
    // Not at once: the other lines of this turn may be requests.
    if (draining && calls.open.size === 0) {
        setImmediate(() => calls.open.size === 0 && process.exit());
    }
}

function drain() {
    draining = true;
    exitWhenIdle();
}

function stopNow(code) {
    calls.failAll('unavailable', 'the worker was stopped before it had answered');
    process.exit(code);
}

function shutdown(grace = DEFAULT_GRACE_MS) {
    calls.cancelAll('shutdown');
    setTimeout(stopNow, grace, 0);
    drain();
}

function onEnd() {
    ended = true;
    asks.failAll('the supervisor has closed the pipe');
    drain();
}

/* The first asks to finish; after a drain it says that the time is up. */
function onTerminate() {
    if (draining) stopNow(EXIT_TERMINATED);
    drain();
}

function onCrash(error) {
    if (process.listenerCount('uncaughtException') > 0) return; // the script survives it
    const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    if (started) {
        calls.failAll('internal', `the worker crashed: ${message}`, error?.stack);
    } else if (mode === 'supervised') {
        refuseToStart(error instanceof NodeyError ? error.message : message, error?.stack);
    }
}

function refuseToStart(message, stack) {
    wire.send(errorLine('null', { code: 'failed_precondition', message, stack }));
}

/* ---- the beginning */

function checkProtocol() {
    const offered = process.env.NODEY_PROTOCOL;
    if (!offered || offered.split(',').some((major) => Number(major) === PROTOCOL)) return;
    const message = `nodey speaks protocol ${offered}; the SDK in ${__dirname} speaks ${PROTOCOL}`;
    refuseToStart(message);
    log.complain(message);
    process.exit(1);
}

function begin() {
    if (started) return;
    started = true;
    if (mode === 'supervised') {
        checkProtocol();
        declare();
        log.useFrames();
        process.on('SIGTERM', onTerminate);
        process.on('SIGINT', () => {}); // Ctrl-C is for the supervisor, which stops us
        registry.whenChanged(declareAgain);
    }
    for (const line of unsent.splice(0)) wire.send(line);
    const hand = mode === 'hand' ? require('./hand.cjs') : null;
    wire.read({ onLine: hand ? hand.typed(onLine) : onLine, onBatch, onEnd });
}

let declaring = false;

function declareAgain() {
    if (declaring) return;
    declaring = true;
    setImmediate(() => {
        declaring = false;
        declare();
    });
}

/** Something was registered: start by ourselves, unless the script does. */
function schedule() {
    if (scheduled || started) return;
    scheduled = true;
    setImmediate(async () => {
        await mainModule();
        begin();
    });
}

function setOptions({ concurrency = options.concurrency }) {
    if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > MAX_CONCURRENCY) {
        throw new RangeError(`start: concurrency is ${concurrency}; it must be 1 to ${MAX_CONCURRENCY}`);
    }
    if (started && concurrency !== options.concurrency) {
        log.complain(`start: too late for concurrency ${concurrency}: this worker is ready with ${options.concurrency}`);
        return;
    }
    options.concurrency = concurrency;
}

/** Resolves when `ready` is on its way.  What the same turn still registers is in it. */
function start(given = {}) {
    setOptions(given);
    if (mode === 'detached') return Promise.resolve();
    return (startPromise ??= new Promise((resolve) => {
        setImmediate(() => {
            begin();
            resolve();
        });
    }));
}

/* ---- asks */

const overPipe = {
    deliver({ id, line }) {
        if (ended) {
            const why = 'the supervisor has closed the pipe';
            asks.fail(id, new NodeyError('unavailable', why));
        } else if (started) {
            wire.send(line);
        } else {
            unsent.push(line);
            start();
        }
    },
    giveUp(id) {
        if (!ended) wire.send(`{"type":"cancel","id":${id}}\n`);
    },
};

const byHand = {
    deliver({ id, token, json }) {
        calls.serveOwnAsk(token, json).then(
            (value) => asks.answer(id, value), (error) => asks.fail(id, error));
    },
    giveUp() {},
};

if (mode !== 'detached') {
    asks.setTransport(mode === 'supervised' ? overPipe : byHand);
    calls.whenIdle(exitWhenIdle);
    registry.whenChanged(schedule);
    process.on('uncaughtExceptionMonitor', onCrash);
}

module.exports = { start };
