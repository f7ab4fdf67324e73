/*
 * sources: the files that a worker is made of, for `ready` and for reload on change.
 *
 * CommonJS has a list of what it loaded.  ES modules have none, so the import specifiers
 * are read from the source: a file too many (one named in a comment) does no harm.
 */
'use strict';

const fs = require('node:fs');
const path = require('node:path');

const SDK = path.dirname(__dirname) + path.sep;
const MAX_FILES = 500;
const MAX_SCANNED_BYTES = 1024 * 1024;
const SPECIFIER = /\b(?:from|import|require)\b\s*\(?\s*(["'`])(\.{1,2}\/[^"'`\n]+)\1/g;
const SCANNED = /\.(?:[cm]?[jt]s|jsx|tsx)$/;

/* Packages, and what tools keep beside a program: .next, .cache, coverage. */
const NOT_WRITTEN = /(?:^|[\\/])(?:node_modules|__pycache__|coverage|\.[^\\/.][^\\/]*)[\\/]/;

/* Whoever keeps all that they write in a hidden folder means the program by it. */
function isOwn(file) {
    if (file.startsWith(SDK) || file.includes(`${path.sep}node_modules${path.sep}`)) return false;
    const home = path.dirname(process.argv[1] ?? '');
    return !NOT_WRITTEN.test(file.startsWith(home + path.sep) ? file.slice(home.length) : path.relative(process.cwd(), file));
}

function isFile(file) {
    try {
        return fs.statSync(file).isFile();
    } catch {
        return false;
    }
}

function readSource(file) {
    try {
        return fs.statSync(file).size > MAX_SCANNED_BYTES ? '' : fs.readFileSync(file, 'utf8');
    } catch {
        return '';
    }
}

/* The files that one names.  ES modules name them whole; `require` may leave the ending out. */
function importsOf(file) {
    const folder = path.dirname(file);
    const found = [];
    for (const [, , specifier] of readSource(file).matchAll(SPECIFIER)) {
        const bare = path.resolve(folder, specifier.replace(/[?#].*$/, ''));
        const target = [bare, `${bare}.js`, `${bare}.json`].find(isFile);
        if (target) found.push(target);
    }
    return found;
}

/** Adds to `files` what they import, and so on. */
function follow(files) {
    for (const file of files) { // a Set gives what is added while it is walked
        if (!SCANNED.test(file)) continue;
        for (const other of importsOf(file)) {
            if (files.size >= MAX_FILES) return;
            if (isOwn(other)) files.add(other);
        }
    }
}

/** The script as it was named, and what that leads to when it is a link. */
function mainFiles() {
    const script = process.argv[1];
    if (!script) return [];
    try {
        const file = require.resolve(script);
        return [...new Set([isFile(script) ? script : file, file])];
    } catch {
        return isFile(script) ? [script] : [];
    }
}

/** All source files of this worker but those of packages, as absolute paths. */
function sourceFiles() {
    const files = new Set(mainFiles().filter(isOwn));
    follow(files);
    for (const file of Object.keys(require.cache)) {
        if (files.size >= MAX_FILES) break;
        if (isOwn(file)) files.add(file);
    }
    return [...files];
}

module.exports = { sourceFiles, mainFiles, follow, importsOf };
