/*
 * exported: serves what a script exports, when it neither listens nor declares anything.
 *
 *     module.exports = app;                       export default { fetch(request) { ... } };
 *
 * Loaded by run.cjs, when the script has nothing more to do or has had some time for it.
 */
'use strict';

const fs = require('node:fs');
const { pathToFileURL } = require('node:url');

let looking = false;

function mainFile() {
    try {
        return require.resolve(process.argv[1]);
    } catch {
        return null; // no script: code was given, or a prompt
    }
}

/* Whether the script may yet come to listen by itself. */
function mentionsListen(file) {
    try {
        return /\blisten\s*\(/.test(fs.readFileSync(file, 'utf8'));
    } catch {
        return false;
    }
}

/* Most workers export nothing: that is found out without loading more. */
function isSomething(value) {
    if (typeof value === 'function') return true;
    return typeof value === 'object' && value !== null && (Object.keys(value).length > 0 || !isPlain(value));
}

function isPlain(value) {
    const prototype = Object.getPrototypeOf(value);
    return prototype === Object.prototype || prototype === null;
}

async function exportOf(file) {
    const loaded = require.cache[file];
    const all = loaded ? loaded.exports : await import(pathToFileURL(file).href);
    const values = [all, all?.default].filter(isSomething);
    return values.find((value) => require('./detect.cjs').isApp(value));
}

function hasHandlers() {
    return Boolean(process[Symbol.for('nodey.loaded')]) && !require('../registry.cjs').current.isEmpty;
}

/** isIdle: the script has nothing more to do; else it may still be about to listen. */
async function serveExport(isIdle) {
    const file = mainFile();
    if (looking || !file || hasHandlers() || (!isIdle && mentionsListen(file))) return;
    looking = true;
    const alive = setTimeout(() => {}, 1000); // import() alone does not keep a process
    try {
        const app = await exportOf(file);
        if (!app || hasHandlers()) return;
        require('./index.cjs').serve(app);
    } catch (error) {
        process.nextTick(() => { // out of the promise: run.cjs tells why it did not start
            throw error;
        });
    } finally {
        looking = false;
        clearTimeout(alive);
    }
}

module.exports = { serveExport };
