/*
 * A worker under test, at the end of real pipes.
 *
 * child_process makes socketpairs, which cannot be reopened as /proc/self/fd/N.  A FIFO
 * is a pipe with a name: each end has an open file description of its own, as with the
 * supervisor's pipe2().
 */
'use strict';

const assert = require('node:assert/strict');
const { spawn, execFileSync } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');

const ROOT = path.resolve(__dirname, '../../..');
const SDK = path.join(ROOT, 'protocol/node');
const PATIENCE_MS = 10000;

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'nodey-sdk-'));
fs.mkdirSync(path.join(folder, 'node_modules'));
fs.symlinkSync(SDK, path.join(folder, 'node_modules/nodey'));
process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));

let count = 0;

/** Writes a script into a folder where `nodey` can be required and imported. */
function script(source, extension = 'js') {
    const file = path.join(folder, `worker${++count}.${extension}`);
    fs.writeFileSync(file, source);
    return file;
}

/** Returns the two ends of a new pipe. */
function pipe() {
    const file = path.join(folder, `pipe${++count}`);
    execFileSync('mkfifo', [file]);
    const guard = fs.openSync(file, 'r+'); // opening one end waits for the other
    const ends = { read: fs.openSync(file, 'r'), write: fs.openSync(file, 'w') };
    fs.closeSync(guard);
    fs.unlinkSync(file);
    return ends;
}

function environment(supervised, fd, extra) {
    const env = { ...process.env, NODE_PATH: path.join(folder, 'node_modules') };
    for (const name of Object.keys(env)) {
        if (name.startsWith('NODEY') || name === 'NODE_TEST_CONTEXT') delete env[name];
    }
    if (supervised) {
        Object.assign(env, { NODEY: '1', NODEY_PROTOCOL: '1', NODEY_WORKER: 'test', NODEY_INSTANCE: '0' });
        if (fd === 3) env.NODEY_FD = '3';
    }
    return { ...env, ...extra };
}

function patient(promise, what) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no ${what} in ${PATIENCE_MS} ms`)), PATIENCE_MS);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

class Worker {
    #lines = [];
    #rest = '';
    #readers = [];
    #outEnded = false;

    /** options: hand (bool), fd (1 or 3), env, command (words; instead of node). */
    constructor(file, { hand = false, fd = 3, env = {}, command = [process.execPath], args = [] } = {}) {
        const [input, output, errors] = [pipe(), pipe(), pipe()];
        const stdio = [input.read, output.write, errors.write];
        if (!hand && fd === 3) stdio.push(output.write);
        const words = [...command.slice(1), file, ...args];
        this.child = spawn(command[0], words, { stdio, env: environment(!hand, fd, env) });
        for (const end of stdio.slice(0, 3)) fs.closeSync(end);
        this.stdin = new net.Socket({ fd: input.write, readable: false, writable: true });
        this.stdin.on('error', () => {}); // the worker may have gone
        this.stderr = '';
        this.logs = []; // the `log` frames that next() has passed over
        const out = this.stdout = new net.Socket({ fd: output.read, readable: true, writable: false });
        const err = new net.Socket({ fd: errors.read, readable: true, writable: false });
        out.setEncoding('utf8').on('data', (text) => this.#take(text));
        err.setEncoding('utf8').on('data', (text) => (this.stderr += text));
        const closed = (stream) => new Promise((resolve) => stream.on('close', resolve));
        const outClosed = closed(out).then(() => this.#endOutput());
        const exited = new Promise((resolve) => {
            this.child.on('exit', (code, signal) => resolve({ code, signal }));
        });
        this.exit = Promise.all([exited, outClosed, closed(err)]).then(([status]) => status);
    }

    #take(text) {
        const lines = (this.#rest + text).split('\n');
        this.#rest = lines.pop();
        for (const line of lines) {
            const reader = this.#readers.shift();
            if (reader) reader(line);
            else this.#lines.push(line);
        }
    }

    #endOutput() {
        this.#outEnded = true;
        for (const reader of this.#readers.splice(0)) reader(null);
    }

    /** frames: objects or lines.  All leave in one write. */
    send(...frames) {
        const lines = frames.map((frame) => (typeof frame === 'string' ? frame : JSON.stringify(frame)));
        this.stdin.write(lines.map((line) => `${line}\n`).join(''));
    }

    write(bytes) {
        this.stdin.write(bytes);
    }

    /** Closes the worker's stdin. */
    close() {
        this.stdin.destroySoon();
    }

    /** Closes our end of the worker's output, as a supervisor does that dies. */
    closeOutput() {
        this.stdout.destroy();
    }

    /** The next line that it printed, or null at the end of its output. */
    async line() {
        if (this.#lines.length > 0) return this.#lines.shift();
        if (this.#outEnded) return null;
        return patient(new Promise((resolve) => this.#readers.push(resolve)), 'line').catch((error) => {
            error.message += `; stderr: ${this.stderr}`;
            throw error;
        });
    }

    /** A line that is here already, or undefined. */
    takeLine() {
        return this.#lines.shift();
    }

    /** The next frame, of whatever kind. */
    async frame() {
        const line = await this.line();
        assert.notEqual(line, null, `the output ended; stderr: ${this.stderr}`);
        return JSON.parse(line);
    }

    /** The next frame that is no log line: those may come at any time. */
    async next() {
        for (;;) {
            const frame = await this.frame();
            if (frame.type !== 'log') return frame;
            this.logs.push(frame);
        }
    }

    async ready() {
        const frame = await this.next();
        assert.equal(frame.type, 'ready', JSON.stringify(frame));
        return frame;
    }

    /** Sends one request or ask and returns the next frame. */
    async call(frame) {
        this.send(frame);
        return this.next();
    }

    get(id, target) {
        const [pathname, query] = target.split('?');
        return this.call({ id, method: 'GET', path: pathname, query });
    }

    /** Closes stdin, expects exit 0 and nothing more to have been printed. */
    async finish(code = 0) {
        this.close();
        const status = await this.ended();
        assert.deepEqual(status, { code, signal: null }, this.stderr);
        await this.end();
    }

    /** Expects that nothing but log lines is left. */
    async end() {
        for (let line; (line = await this.line()) !== null;) {
            const frame = JSON.parse(line);
            assert.equal(frame.type, 'log', `a frame too many: ${line}`);
            this.logs.push(frame);
        }
    }

    ended() {
        return patient(this.exit, 'exit');
    }

    kill() {
        this.child.kill('SIGKILL');
    }
}

/** Starts a worker from a file or, with options.source, from text; it ends with the test. */
function startWorker(t, file, options) {
    const worker = new Worker(file, options);
    t.after(async () => {
        worker.kill();
        await worker.exit;
    });
    return worker;
}

/** A worker from source text. */
function startSource(t, source, options = {}) {
    return startWorker(t, script(source, options.extension), options);
}

module.exports = { ROOT, SDK, Worker, startWorker, startSource, script };
