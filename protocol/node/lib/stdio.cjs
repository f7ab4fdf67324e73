/*
 * stdio: takes the protocol's descriptor away from everybody else.
 *
 * One stray byte on stdout would break a frame, and it may come from console.log,
 * from native code or from a child process.  Loaded before anything else of the SDK.
 */
'use strict';

const { tryOpen, isOpen, isFile, patchStdout, sendStdoutToStderr } = require('./stdout.cjs');

const TAKEN = 'taken'; // NODEY_FD, as the children of a worker see it
const IN_TEST = Symbol.for('nodey.testing'); // set by testing.cjs

/** Returns the descriptor that frames are written to. */
function takeOutput() {
    const given = Number(process.env.NODEY_FD);
    process.env.NODEY_FD = TAKEN;
    let fd = -1;
    if (given > 2 && isOpen(given)) fd = given;
    else if (!isFile(1)) fd = tryOpen('/proc/self/fd/1');
    if (fd < 0) {
        patchStdout();
        return 1;
    }
    sendStdoutToStderr();
    return fd;
}

/* Code that looks at process.stdin must not read the requests. */
function hideStdin() {
    let empty;
    Object.defineProperty(process, 'stdin', {
        configurable: true,
        enumerable: true,
        get: () => (empty ??= require('node:stream').Readable.from([])),
    });
}

/* The prompt of Node itself: no script, nothing evaluated, a person at the terminal. */
function isPrompt() {
    const asked = process.execArgv.some((arg) => arg === '-i' || arg === '--interactive');
    return asked || (!process.argv[1] && process._eval == null && require('node:tty').isatty(0));
}

/* Also when a person runs one test file without its runner. */
function isTest(env) {
    return Boolean(env.NODE_TEST_CONTEXT || env.JEST_WORKER_ID || env.VITEST || process[IN_TEST]) ||
        /(?:^|[\\/])test-[^\\/]*\.[cm]?[jt]s$|[._-]test\.[cm]?[jt]s$/.test(process.argv[1] ?? '');
}

/*
 * 'supervised': the pipes are ours.  'hand': a person runs the script.  The others leave
 * stdin and stdout to somebody else: 'detached' is a thread or child process of a worker,
 * 'alone' a test or Node's prompt, where the tokens of this process can be asked.
 */
function findMode(env) {
    // Says the same as worker_threads.isMainThread, which takes 1.5 ms to load.
    const isThread = process.chdir.disabled === true;
    if (isThread || env.NODEY_FD === TAKEN) return 'detached';
    if (env.NODEY) return 'supervised';
    return isTest(env) || isPrompt() ? 'alone' : 'hand';
}

const mode = findMode(process.env);
const output = mode === 'supervised' || mode === 'hand' ? takeOutput() : -1;
if (mode === 'supervised') {
    hideStdin();
    process[Symbol.for('nodey.loaded')] = __dirname; // for run.cjs
    process.debugPort = 0; // SIGUSR1 starts the debugger at a free port: nodey asks a frozen process where it is
}

module.exports = { mode, output };
