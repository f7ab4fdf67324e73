/*
 * run: loaded by `node --require .../run.cjs SCRIPT`, before the script.
 *
 * A script can fail before it has loaded the SDK, or without ever loading it: a package
 * that is not installed, a syntax error, no handler.  This tells the supervisor why.  It
 * leaves everything else alone until then, for the script may be a worker that speaks
 * the protocol by itself; once the SDK is loaded, that does all of it.
 *
 * And a script may know nothing of nodey: when it listens on a port, or exports an app, that
 * is what is served (lib/serve).
 */
'use strict';

const START_SECONDS = 30; // whoever lives longer has served
const EXPORTS_MS = 100; // after that long a script that exports an app, and never listens, is served
const IMPORTS_SDK = /\b(?:from|import|require)\b\s*\(?\s*["'`]nodey["'`]/;
const IMPORTS_SERVER = /["'`](?:node:)?(?:https?|express|koa|fastify|hono|polka|connect|ws|socket\.io|next)["'`]/;
const READS_INPUT = /\bstdin\b|\bNODEY_FD\b|\b(?:readSync|readFileSync|fd:)\s*\(?\s*0\b/;
const SAYS_READY = /["'`\\]ready["'`\\]/;
const LISTENS = /\.listen\s*\(/;
const EXPORTS = /\bmodule\.exports\s*=|\bexport\s+default\b/;
const SDK_LOADED = Symbol.for('nodey.loaded');
const { env, pid, ppid } = process;

/* Forked children and threads inherit Node's options, but they are no workers. */
function isWorker() {
    const parent = env.NODEY_RUNNER;
    env.NODEY_RUNNER = String(pid);
    return env.NODEY === '1' && parent !== String(ppid) && parent !== String(pid);
}

function report(message, stack) {
    const frame = { type: 'error', id: null, code: 'failed_precondition', message, stack };
    const line = `${JSON.stringify(frame)}\n`;
    const fs = require('node:fs');
    for (const fd of [Number(env.NODEY_FD), 1]) {
        try {
            if (fd > 0) {
                fs.writeSync(fd, line);
                return;
            }
        } catch {
            // closed, then the other
        }
    }
}

/* Whether nodey has closed our input: then to end is just what was wanted. */
function inputHasEnded() {
    const fs = require('node:fs');
    try {
        const fd = fs.openSync('/proc/self/fd/0', fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
        return fs.readSync(fd, Buffer.alloc(1)) === 0;
    } catch (error) {
        return error.code !== 'EAGAIN';
    }
}

function onCrash(error) {
    if (process[SDK_LOADED] || process.listenerCount('uncaughtException') > 0) return;
    const { message, stack } = require('./lib/startup.cjs').explain(error);
    report(message, stack);
    process.exit(1); // or Node would print all of it a second time
}

function onExit(code) {
    if (code !== 0 || process[SDK_LOADED] || process.uptime() > START_SECONDS || inputHasEnded()) return;
    report(require('./lib/startup.cjs').noHandler(false));
    process.exitCode = 1;
}

/* A script beside no package.json may well use `import`: Node finds that out by itself. */
function hushTypeless() {
    const { emitWarning } = process;
    process.emitWarning = (warning, options, ...rest) => {
        if (options?.code !== 'MODULE_TYPELESS_PACKAGE_JSON') emitWarning.call(process, warning, options, ...rest);
    };
}

/*
 * The folder of the SDK that the script uses, or would: one that npm has installed for it goes
 * before ours, and two would take each other's frames.
 */
function sdkFolder() {
    const own = `${__dirname}/lib`;
    if (process[SDK_LOADED]) return process[SDK_LOADED];
    try {
        const { dirname } = require('node:path');
        const { resolve } = require('node:module').createRequire(process.argv[1]);
        const found = `${dirname(resolve('nodey'))}/lib`;
        return require('node:fs').existsSync(`${found}/serve/listen.cjs`) ? found : own;
    } catch {
        return own;
    }
}

/* A script that was written for a port of its own: its server is the app. */
function catchServers() {
    const { Server } = require('node:net'); // the SDK needs that anyway
    const { listen } = Server.prototype;
    Server.prototype.listen = function (...args) {
        return require(`${sdkFolder()}/serve/listen.cjs`).take(this, args) ?? listen.apply(this, args);
    };
}

/* A script that only exports its app. */
function catchExports() {
    const serve = (isIdle) => require(`${sdkFolder()}/serve/exported.cjs`).serveExport(isIdle);
    const timer = setTimeout(serve, EXPORTS_MS, false).unref();
    process.once('beforeExit', () => {
        clearTimeout(timer);
        if (!inputHasEnded()) serve(true);
    });
}

function readScript() {
    try {
        const fs = require('node:fs');
        return fs.readFileSync(fs.existsSync(process.argv[1]) ? process.argv[1] : require.resolve(process.argv[1]), 'utf8');
    } catch {
        return '';
    }
}

/*
 * Whether the script may be one that speaks the protocol by itself.  Such a one reads stdin,
 * and an app that does for some reason of its own listens as well.
 */
function speaksByItself(source) {
    if (IMPORTS_SDK.test(source)) return false;
    return READS_INPUT.test(source) ? SAYS_READY.test(source) || !LISTENS.test(source) : !isApp(source);
}

/* Of a short script that only loads another nothing is known. */
function isApp(source) {
    return LISTENS.test(source) || EXPORTS.test(source) || IMPORTS_SERVER.test(source);
}

/* What an app prints is for the log, whatever it looks like; frames go by NODEY_FD. */
function takeStdout(source) {
    if (speaksByItself(source)) return;
    const { isOpen, sendStdoutToStderr } = require('./lib/stdout.cjs');
    const fd = Number(env.NODEY_FD);
    if (fd > 2 && isOpen(fd)) sendStdoutToStderr();
}

/* Processes that Node's cluster starts would share a port that there is none of. */
function refuseCluster(source) {
    if (!/\bcluster\b/.test(source)) return;
    require('node:cluster').fork = () => {
        throw new Error('cluster.fork(): nodey starts the processes itself: write  instances = 4  in ' +
            `[workers.${env.NODEY_WORKER}], and let this script only do what the forked process does`);
    };
}

if (isWorker()) {
    process.debugPort = 0; // a debugger that SIGUSR1 starts takes a free one: see lib/stdio.cjs
    const source = readScript();
    takeStdout(source);
    hushTypeless();
    catchServers();
    catchExports();
    refuseCluster(source);
    process.on('uncaughtExceptionMonitor', onCrash);
    process.on('exit', onExit);
}
