/*
 * suite: runs the tests of a checkout in this process, and writes down what became of each.
 *
 *     node suite.cjs plan CHECKOUT      says what would run
 *     node suite.cjs flags CHECKOUT     the flags that Node needs for it
 *     node suite.cjs run CHECKOUT       runs it; the results go to the file COMPAT_RESULTS
 *
 * In this process, because this process is the worker: mocha and node:test can do that.
 */
'use strict';

const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

const PATIENCE_MS = 10000;
const TEST_FILE = /(?:\.|-|_)test\.[cm]?js$|^test(?:-.*)?\.[cm]?js$/;

const [, , task, checkout] = process.argv;
const { env } = process;

/* ---- what there is to run */

/* The words of `npm test` behind the runner's name, up to the next command. */
function wordsAfter(command, runner) {
    const words = command.split(/\s+/);
    const start = words.findIndex((word) => path.basename(word) === runner);
    if (start < 0) return null;
    const end = words.findIndex((word, at) => at > start && /^(?:&&|\|\||;|\|)$/.test(word));
    return words.slice(start + 1, end < 0 ? undefined : end).map((word) => word.replace(/^(['"])(.*)\1$/, '$2'));
}

function withoutReporter(words) {
    const kept = [];
    for (let at = 0; at < words.length; at++) {
        if (/^(?:--reporter|-R|--reporter-options?|-O)$/.test(words[at])) at++;
        else if (!/^--reporter/.test(words[at]) && words[at] !== '--watch') kept.push(words[at]);
    }
    return kept;
}

function testFiles(folder) {
    const found = [];
    for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
        if (entry.name === 'node_modules' || entry.name.startsWith('.')) continue;
        const file = path.join(folder, entry.name);
        if (entry.isDirectory()) found.push(...testFiles(file));
        else if (TEST_FILE.test(entry.name) || (/\.[cm]?js$/.test(entry.name) && path.basename(folder) === 'test')) found.push(file);
    }
    return found.sort();
}

function plan() {
    const { scripts = {} } = JSON.parse(fs.readFileSync(path.join(checkout, 'package.json'), 'utf8'));
    for (const command of [scripts.test, ...Object.values(scripts)]) {
        if (typeof command !== 'string') continue;
        const mocha = wordsAfter(command, 'mocha');
        if (mocha) return { runner: 'mocha', words: withoutReporter(mocha) };
        if (/\bnode\b.*--test\b/.test(command)) return { runner: 'node:test', words: testFiles(checkout) };
    }
    throw new Error(`"npm test" is ${JSON.stringify(scripts.test)}: only mocha and node --test are known here`);
}

/* ---- the runs */

function runMocha(words) {
    const cli = require(require.resolve('mocha/lib/cli/cli.js', { paths: [checkout] }));
    const output = ['--reporter', 'json', '--reporter-option', `output=${env.COMPAT_RESULTS}`];
    cli.main([...words, ...output, '--exit']);
}

/* Each file is loaded when the tests of the one before are known: they share this process. */
async function runNodeTests(files) {
    for (const file of files) {
        try {
            await import(pathToFileURL(file).href);
        } catch (error) {
            require('node:test').test(`load ${path.relative(checkout, file)}`, () => {
                throw error;
            });
        }
    }
}

/* The first request must find nodey listening. */
async function reachable(port) {
    const end = Date.now() + PATIENCE_MS;
    for (;;) {
        const socket = net.connect(port, '127.0.0.1');
        const found = await new Promise((resolve) => {
            socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
        });
        socket.destroy();
        if (found) return;
        if (Date.now() > end) throw new Error(`nothing listens on port ${port}`);
        await new Promise((resolve) => {
            setTimeout(resolve, 50);
        });
    }
}

async function run() {
    const done = `${env.COMPAT_RESULTS}.done`;
    if (fs.existsSync(done)) { // nodey starts what has ended again: once is enough
        setInterval(() => {}, 60000);
        return;
    }
    process.on('exit', () => fs.writeFileSync(done, ''));
    if (env.COMPAT_PORT) await reachable(Number(env.COMPAT_PORT));
    const { runner, words } = plan();
    if (runner === 'mocha') runMocha(words);
    else await runNodeTests(words);
}

function flags() {
    if (plan().runner === 'mocha') return '';
    const reporter = pathToFileURL(path.join(__dirname, 'reporter.mjs')).href;
    return `--test-reporter=${reporter} --test-reporter-destination=stderr`;
}

function describe() {
    const { runner, words } = plan();
    return runner === 'mocha' ? `mocha ${words.join(' ')}` : `node --test, ${words.length} files`;
}

if (task === 'run') run();
else console.log(task === 'flags' ? flags() : describe());
