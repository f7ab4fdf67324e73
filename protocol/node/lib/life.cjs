/*
 * life: how a worker starts, lives and ends.
 *
 *     loaded --register--> waiting for the main module --> onStart hooks --> ready
 *     ready --> draining --> onStop hooks --> exit
 *
 * Starting is left to the last sensible moment, because a request may come right after
 * `ready`: when the main module has run, its top-level awaits included, or when the
 * script says start(), or when it asks somebody, which needs the pipe.
 */
'use strict';

const asks = require('./ask.cjs');
const calls = require('./calls.cjs');
const { NodeyError, inspect } = require('./errors.cjs');
const { errorLine } = require('./encode.cjs');
const exchanges = require('./exchanges.cjs');
const log = require('./log.cjs');
const outbox = require('./outbox.cjs');
const registry = require('./registry.cjs');
const { mode } = require('./stdio.cjs');
const wire = require('./wire.cjs');

const PROTOCOL = 1;
const VERSION = '0.1.0';
const FEATURES = ['cancel', 'ask', 'nested', 'ping', 'drain', 'stream', 'sendfile', 'ws'];
const MAX_CONCURRENCY = 100000;
const DEFAULT_GRACE_MS = 5000;
const STOP_HOOKS_MS = 5000;
const LAG_RESOLUTION_MS = 100; // a finer one would wake up an idle worker more often
const BATCH_MS = 2; // answers wait at most about this long for other handlers
const FILES_CHECK_MS = 1000;
const EXIT_TERMINATED = 143;
const CLOSED = 'the supervisor has closed the pipe';

const isWatched = process.env.NODEY_DEV === '1' || process.env.NODEY_WATCH === '1';
const options = { concurrency: 1000 };
const unsent = []; // asks and publishes from before `ready`, which must be the first frame

let scheduled = false; // the main module is awaited
let startPromise = null; // start() was called
let launching = null; // the onStart hooks run, and then it begins
let held = null; // requests that came while they ran
let expected = null; // loaded by a worker with tokens or events whose server is yet to listen
let deliver = null; // loaded with the first event
let started = false;
let draining = false;
let leaving = false; // the onStop hooks run
let ended = false; // end of input
let nowMs = 0;
let lag = null;
let readFrame = null; // loaded with the first line
let BadLine = null;

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

function declare() {
    const { routes, tokens, app, subscriptions } = registry.current;
    const features = [...FEATURES, ...(subscriptions ? ['events'] : []), ...(app ? app.features : [])];
    const ready = {
        type: 'ready',
        protocol: PROTOCOL,
        sdk: `nodey-node/${VERSION}`,
        pid: process.pid,
        concurrency: options.concurrency,
        features: [...new Set(features)],
        window: exchanges.WINDOW,
        routes: app || expected?.isAwaited() ? [...routes, { path: '/*' }] : routes,
        tokens: [...tokens.keys()],
        ...subscriptions?.declared(),
        files: require('./sources.cjs').sourceFiles(),
    };
    wire.send(`${JSON.stringify(ready)}\n`);
}

function hello({ limits, warnings, tokens, roots }) {
    if (limits?.max_line > 0) calls.setMaxLine(limits.max_line);
    if (limits) exchanges.setLimits(limits);
    if (Array.isArray(warnings)) warnings.forEach((warning) => log.complain(warning));
    if (Array.isArray(tokens)) asks.setKnown(tokens);
    if (Array.isArray(roots)) require('./files.cjs').setRoots(roots.filter((root) => typeof root === 'string'));
}

function pong(id) {
    const { rss, heapUsed } = process.memoryUsage();
    const frame = { type: 'pong', id, inflight: Math.max(calls.open.size, exchanges.size), rss, heap: heapUsed };
    if (lag) {
        frame.lag = Math.max(0, Math.round(lag.max / 1e6 - LAG_RESOLUTION_MS));
        lag.reset();
    } else {
        lag = require('node:perf_hooks').monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
        lag.enable();
    }
    wire.send(`${JSON.stringify(frame)}\n`);
}

function loadDeliver() {
    return (deliver ??= require('./deliver.cjs'));
}

const RECEIVERS = {
    ...exchanges.receivers,
    __proto__: null,
    hello,
    ask: (frame) => calls.serveAsk(frame, nowMs),
    answer: ({ id, value }) => asks.answer(id, value ?? null),
    error: (frame) => outbox.refuse(frame) || asks.refuse(frame),
    ack: outbox.acknowledge,
    event: (frame) => loadDeliver().serveEvent(frame, nowMs, registry.current),
    gap: (frame) => loadDeliver().tellGap(frame),
    cancel({ id, reason }) {
        calls.cancel(id, reason);
        exchanges.cancel(id, reason);
    },
    ping: ({ id }) => pong(id),
    drain: ({ grace }) => drain(grace),
    shutdown: ({ grace }) => shutdown(grace),
};

/* What is held until the onStart hooks are done. */
function isWork({ type }) {
    return type === undefined || type === 'event' || type in exchanges.receivers;
}

function receive(frame) {
    if (held && isWork(frame)) held.push(frame);
    else if (frame.type !== undefined) RECEIVERS[frame.type](frame);
    else calls.serveRequest(frame, nowMs);
}

/* A handler that computes for long must not keep the answers of others. */
function flushIfLate() {
    const time = Date.now();
    if (nowMs !== 0 && time - nowMs >= BATCH_MS) wire.flush();
    nowMs = time;
}

function onLine(line) {
    flushIfLate();
    if (!readFrame) ({ readFrame, BadLine } = require('./frame.cjs'));
    try {
        const frame = readFrame(line);
        if (frame) receive(frame);
    } catch (error) {
        if (!(error instanceof BadLine)) throw error;
        const id = JSON.stringify(error.id);
        wire.send(errorLine(id, { code: 'invalid_argument', message: error.message }));
    }
}

function onChunk(id, bytes) {
    flushIfLate();
    exchanges.takeChunk(id, bytes);
}

function onText(id, text) {
    flushIfLate();
    exchanges.takeText(id, text);
}

function onBatch() {
    nowMs = 0;
}

/* ---- the end */

/* Runs the onStop hooks, once and for a limited time, and exits. */
function leave(code) {
    if (leaving) return;
    leaving = true;
    const { onStop } = registry.current;
    if (onStop.length === 0) process.exit(code);
    setTimeout(() => {
        log.complain(`the onStop hooks took longer than ${STOP_HOOKS_MS} ms`);
        process.exit(code);
    }, STOP_HOOKS_MS);
    require('./hooks.cjs').runStop(registry.current).then(() => process.exit(code));
}

function failAll(code, message) {
    calls.failAll(code, message); // also those of its own that come in pieces
    exchanges.failAll(code, message);
}

function isIdle() {
    return draining && calls.open.size === 0 && exchanges.size === 0 && outbox.size === 0 && !held;
}

function exitWhenIdle() {
    // Not at once: the other lines of this turn may be requests.
    if (isIdle()) setImmediate(() => isIdle() && leave());
}

function drain() {
    if (!draining) {
        draining = true;
        require('./stopping.cjs').stop();
        exchanges.shutdownAll();
    }
    exitWhenIdle();
}

function stopNow(code) {
    failAll('unavailable', 'the worker was stopped before it had answered');
    leave(code);
}

function shutdown(grace = DEFAULT_GRACE_MS) {
    drain(); // who can end in good order does
    calls.cancelAll('shutdown');
    exchanges.cancelAll('shutdown');
    setTimeout(stopNow, grace, 0);
}

function onEnd() {
    ended = true;
    asks.failAll(CLOSED);
    outbox.failAll(CLOSED);
    drain();
}

/* The first asks to finish; after a drain it says that the time is up. */
function onTerminate() {
    if (leaving) process.exit(EXIT_TERMINATED);
    if (draining) stopNow(EXIT_TERMINATED);
    drain();
}

/*
 * Logged once, here.  Then the process ends, before Node prints the same again: nobody knows
 * what state it is in.  What is open is answered by the supervisor, which has a report of the
 * crash to refer to, and names in it what was under way.
 */
function onCrash(error) {
    if (process.listenerCount('uncaughtException') > 0) return; // the script survives it
    if (!started) {
        if (mode !== 'supervised') return; // Node says it to the person
        refuseToStart(error);
    } else if (mode === 'supervised') {
        const stack = require('./errors.cjs').stackOf(error);
        log.write('error', `the worker crashed: ${stack}`, undefined, asks.serving.getStore());
    } else {
        failAll('internal', `the worker crashed: ${require('./errors.cjs').messageOf(error)}`);
        return;
    }
    process.exit(1);
}

function refuseToStart(error) {
    const { message, stack } = require('./startup.cjs').explain(error);
    wire.send(errorLine('null', { code: 'failed_precondition', message, stack }));
}

/* A script that has nothing to serve, and nothing to wait for, has been misunderstood. */
function onExit(code) {
    if (started || code) return;
    const { noHandler } = require('./startup.cjs');
    const message = launching ? 'an onStart hook waited for something that never came'
        : noHandler(!registry.current.isEmpty);
    wire.send(errorLine('null', { code: 'failed_precondition', message }));
    process.exitCode = 1;
}

/* ---- the beginning */

function checkProtocol() {
    const offered = process.env.NODEY_PROTOCOL;
    if (!offered || offered.split(',').some((major) => Number(major) === PROTOCOL)) return;
    refuseToStart(new NodeyError('failed_precondition',
        `nodey speaks protocol ${offered}; the package in ${require('node:path').dirname(__dirname)} speaks ${PROTOCOL}: ` +
        'remove it, for nodey carries one that fits, or install the one of this version of nodey'));
    process.exit(1);
}

/* What a script loads while it runs is watched as well. */
function watchFiles() {
    let count = Object.keys(require.cache).length;
    setInterval(() => {
        const now = Object.keys(require.cache).length;
        if (now !== count) declare();
        count = now;
    }, FILES_CHECK_MS).unref();
}

function begin() {
    if (started) return;
    started = true;
    registry.closeStart();
    if (mode === 'supervised') {
        checkProtocol();
        declare();
        log.useFrames();
        process.on('SIGTERM', onTerminate);
        process.on('SIGINT', () => {}); // Ctrl-C is for the supervisor, which stops us
        registry.whenChanged(declareAgain);
        if (isWatched) watchFiles();
    }
    for (const line of unsent.splice(0)) wire.send(line);
    const receivers = { onLine, onBatch, onEnd, onChunk, onText, wantsChunks: exchanges.wantsChunks };
    if (mode === 'hand') exchanges.setLimits({ window: Infinity }); // a person gives no credit
    if (mode === 'hand') require('./hand.cjs').read(receivers);
    else wire.read(receivers);
}

/* A hook may ask, and then the worker must be ready: requests wait for the other hooks. */
async function runStartHooks() {
    held = [];
    if (unsent.length > 0) setImmediate(begin);
    try {
        await require('./hooks.cjs').runStart(registry.current);
    } catch (error) {
        if (mode === 'supervised') refuseToStart(error);
        else log.complain(`${error.message}\n${require('./errors.cjs').stackOf(error)}`);
        process.exit(1);
    }
    const frames = held;
    held = null;
    begin();
    frames.forEach(receive);
    exitWhenIdle();
}

/* When the script goes on to start a server, that is the last of the onStart hooks. */
function expectServer() {
    if (mode !== 'supervised' || launching || !registry.current.isBesideServer) return;
    const found = require('./serve/expected.cjs');
    if (!found.isExpected(registry.current)) return;
    expected = found;
    registry.addHook('onStart', expected.wait);
}

function launch() {
    if (started) return null;
    expectServer();
    if (registry.current.onStart.length > 0) {
        launching ??= runStartHooks();
        return expected ? null : launching; // the script may await start() before it listens
    }
    begin();
    return null;
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
        scheduled = false;
        if (!registry.current.isEmpty) launch(); // hooks alone are nothing to serve
    });
}

function setOptions({ concurrency = options.concurrency }) {
    if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > MAX_CONCURRENCY) {
        throw new RangeError(`start: concurrency is ${inspect(concurrency)}; it must be 1 to ${MAX_CONCURRENCY}`);
    }
    if (started && concurrency !== options.concurrency) {
        const now = options.concurrency;
        log.complain(`start: too late for concurrency ${concurrency}: this worker is ready with ${now}`);
        return;
    }
    options.concurrency = concurrency;
}

/** Resolves when `ready` is on its way.  What the same turn still registers is in it. */
function start(given = {}) {
    setOptions(given);
    if (mode === 'detached' || mode === 'alone') return Promise.resolve();
    return (startPromise ??= new Promise((resolve) => {
        setImmediate(() => resolve(launch()));
    }));
}

/* ---- asks and publishes */

/* False when nobody is left to read it. */
function post(line) {
    if (ended) return false;
    if (started) {
        wire.send(line);
        return true;
    }
    unsent.push(line);
    if (held) setImmediate(begin); // an onStart hook asks
    else start();
    return true;
}

const overPipe = {
    deliver({ id, line }) {
        if (!post(line)) asks.fail(id, new NodeyError('unavailable', CLOSED));
    },
    giveUp(id) {
        if (!ended) wire.send(`{"type":"cancel","id":${id}}\n`);
    },
    publish({ id, line }) {
        if (!post(line)) outbox.refuse({ id, code: 'unavailable', message: CLOSED });
    },
};

const byHand = {
    deliver({ id, token, json }) {
        calls.serveOwnAsk(token, json).then(
            (value) => asks.answer(id, value), (error) => asks.fail(id, error));
    },
    giveUp() {},
    publish({ id, line }) {
        wire.send(line); // for the person to see; nobody is there to store it
        setImmediate(() => outbox.acknowledge({ id, seq: id }));
    },
};

if (mode !== 'detached') asks.setTransport(mode === 'supervised' ? overPipe : byHand);
if (mode === 'supervised' || mode === 'hand') {
    calls.whenIdle(exitWhenIdle);
    exchanges.whenIdle(exitWhenIdle);
    outbox.whenIdle(exitWhenIdle);
    registry.whenChanged(schedule);
    process.on('uncaughtExceptionMonitor', onCrash);
}
if (mode === 'supervised') process.on('exit', onExit);

module.exports = { start, onTerminate };
