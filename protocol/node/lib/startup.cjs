/*
 * startup: why a worker does not start, in words that say what to do.
 *
 * Used by run.cjs, which may be all of the SDK that was loaded, and by life.cjs.
 */
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { stackOf, messageOf } = require('./errors.cjs');

const CHECK_MS = 5000;
const MAX_CHECKED = 20;
const MAX_SHOWN = 160;
const MAX_NAMES = 1000; // of files that are compared
const MAX_NAME = 64;
const MAX_TYPOS = 2;
const SOURCE = /\.(?:[cm]?[jt]s|json|node)$/;

function scriptName() {
    return path.basename(process.argv[1] ?? 'the script');
}

function workerName() {
    return process.env.NODEY_WORKER || scriptName();
}

/* As somebody who stands where the worker runs would write it. */
function shown(file) {
    const relative = path.relative(process.cwd(), file);
    return relative !== '' && !relative.startsWith('..') && !path.isAbsolute(relative) ? relative : file;
}

function toPath(file) {
    return file?.startsWith('file://') ? require('node:url').fileURLToPath(file) : file;
}

function inPackages(file) {
    return file.includes(`${path.sep}node_modules${path.sep}`);
}

/* ---- what is missing */

function packageName(specifier) {
    const parts = specifier.split('/');
    return specifier[0] === '@' ? parts.slice(0, 2).join('/') : parts[0];
}

/* Where npm would put it: the nearest folder with a package.json, else beside the script. */
function packageFolder(importer) {
    const parts = importer.split(`${path.sep}node_modules${path.sep}`);
    const start = parts.length > 1 ? parts[0] : path.dirname(importer);
    for (let folder = start; ; folder = path.dirname(folder)) {
        if (fs.existsSync(path.join(folder, 'package.json'))) return folder;
        if (folder === path.dirname(folder)) return start;
    }
}

function isListed(folder, name) {
    try {
        const found = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
        return Boolean(found.dependencies?.[name] ?? found.devDependencies?.[name]);
    } catch {
        return false;
    }
}

/* The line of a file that names the specifier: ES modules do not say where they import. */
function lineOf(file, specifier) {
    try {
        const lines = fs.readFileSync(file, 'utf8').split('\n');
        const names = (line) => line.includes(specifier) && /\b(?:import|from|require)\b/.test(line);
        return lines.findIndex(names) + 1;
    } catch {
        return 0;
    }
}

/* file: what is written; source: what is read. */
function at(file, specifier, source = file) {
    const line = lineOf(source, specifier);
    return line > 0 ? `${file}:${line}` : file;
}

/* How many letters must be changed, added or left out to make one of the other. */
function distance(one, other) {
    let row = Array.from({ length: other.length + 1 }, (_, at) => at);
    for (let i = 0; i < one.length; i++) {
        const next = [i + 1];
        for (let j = 0; j < other.length; j++) {
            next.push(Math.min(next[j] + 1, row[j + 1] + 1, row[j] + (one[i] === other[j] ? 0 : 1)));
        }
        row = next;
    }
    return row.at(-1);
}

/* Of the files beside it the one that is called most alike, as it would be imported; or null. */
function alike(file, importer) {
    const folder = path.dirname(file);
    const wanted = path.basename(file).toLowerCase().slice(0, MAX_NAME);
    let names;
    try {
        names = fs.readdirSync(folder).filter((name) => SOURCE.test(name)).slice(0, MAX_NAMES);
    } catch {
        return null;
    }
    const distances = names.map((name) => {
        const lower = name.toLowerCase().slice(0, MAX_NAME);
        return Math.min(distance(wanted, lower), distance(path.parse(wanted).name, path.parse(lower).name));
    });
    const least = Math.min(...distances);
    const { length } = path.parse(wanted).name;
    if (least >= length || least > Math.max(1, Math.min(MAX_TYPOS, length / 3))) return null;
    const found = path.relative(path.dirname(importer), path.join(folder, names[distances.indexOf(least)]));
    return found.startsWith('..') ? found : `./${found}`;
}

function missingFile(specifier, importer) {
    const file = path.resolve(path.dirname(importer), specifier);
    if (fs.existsSync(`${file}.js`)) {
        return `${shown(importer)} needs ${shown(file)}, but an ES module names the whole file: ` +
            `${path.basename(file)}.js`;
    }
    const meant = alike(file, importer);
    const place = at(shown(importer), path.basename(specifier), importer);
    return `${place} needs the file ${shown(file)}, which is not there` +
        (meant ? `: did you mean ${meant}?` : '');
}

/* Where nodey links its package: beside the script. */
function linkOf(importer) {
    return path.join(path.dirname(process.argv[1] ?? importer), 'node_modules', 'nodey');
}

function missingPackage(specifier, importer) {
    const name = packageName(specifier);
    const folder = packageFolder(importer);
    if (name === 'nodey') {
        const advice = process.env.NODEY === '1'
            ? `the link ${shown(linkOf(importer))} is gone (npm install removes it); ` +
                'nodey puts it back when it starts the program again'
            : 'start it with nodey';
        return `${shown(importer)} does not find the package "nodey": ${advice}`;
    }
    if (fs.existsSync(path.join(folder, 'node_modules', name, 'package.json'))) {
        return `${shown(importer)} needs "${specifier}", which the installed package "${name}" does not have`;
    }
    const command = inPackages(importer) || isListed(folder, name) ? 'npm install' : `npm install ${name}`;
    return `${workerName()} needs the package "${name}", which is not installed: run  ${command}  in ${folder}`;
}

function missing(specifier, importer) {
    const isPath = /^\.{0,2}\//.test(specifier);
    const message = isPath ? missingFile(specifier, importer) : missingPackage(specifier, importer);
    return { message, stack: `${message}\n    at ${at(importer, isPath ? path.basename(specifier) : specifier)}` };
}

/* Null when the error is not about the script, or says nothing that we understand. */
function explainMissing(error) {
    const required = /^Cannot find module '([^']+)'/.exec(error.message);
    if (error.code === 'MODULE_NOT_FOUND' && required) {
        if (error.requireStack?.length > 0) return missing(required[1], error.requireStack[0]);
        return { message: `there is no file ${shown(required[1])}` };
    }
    const imported = /^Cannot find (?:module|package) '([^']+)' imported from (\S.*)$/m.exec(error.message);
    return imported ? missing(imported[1], toPath(imported[2])) : null;
}

/* ---- what cannot be read */

const ADVICE = [
    [/Cannot use import statement outside a module|Unexpected token 'export'|await is only valid in async functions/,
        (file) => `this is an ES module: rename ${path.basename(file)} to ${path.parse(file).name}.mjs, ` +
            'or put "type": "module" into package.json'],
    [/does not provide an export named/, () => 'look how the name is spelled, and whether it is exported there'],
];

const NO_TYPES = ['ERR_UNKNOWN_FILE_EXTENSION', 'ERR_NO_TYPESCRIPT'];

function noTypeScript(file) {
    return `${shown(file)}: this Node (${process.version}) does not run TypeScript: use Node 22.18 or newer, ` +
        'or compile it to JavaScript first';
}

/*
 * "FILE:LINE", the source and the caret, as Node writes them in front of a SyntaxError.
 * Of an ES module they are not in the error: then Node is asked to check the files.
 */
function placeOf(stack) {
    const found = /^(.+):(\d+)\n(.*)\n([\t ]*\^+)?/.exec(stack);
    if (!found || found[1].includes('\n')) return null;
    const [, file, line, source, caret = ''] = found;
    return { file: toPath(file), line, source, caret };
}

function check(file) {
    const { spawnSync } = require('node:child_process');
    const { NODE_OPTIONS: _, ...env } = process.env;
    const { stderr } = spawnSync(process.execPath, ['--check', file], { encoding: 'utf8', timeout: CHECK_MS, env });
    const at = /^(?:file:\/\/)?\/.*:\d+\n/m.exec(stderr ?? '');
    return at ? placeOf(stderr.slice(at.index)) : null;
}

function findPlace(error) {
    const place = placeOf(error.stack);
    if (place) return place;
    const { mainFiles, follow } = require('./sources.cjs');
    const files = new Set(mainFiles());
    follow(files);
    for (const file of [...files].filter((one) => /\.[cm]?js$/.test(one)).slice(0, MAX_CHECKED)) {
        const found = check(file);
        if (found) return found;
    }
    return null;
}

function explainSyntax(error) {
    const place = findPlace(error);
    if (!place) return null;
    const { file, line, source, caret } = place;
    if (/\.[cm]?tsx?$/.test(file) && !process.features.typescript) return { message: noTypeScript(file) };
    const advice = ADVICE.find(([pattern]) => pattern.test(error.message))?.[1](file);
    const code = source.trim().slice(0, MAX_SHOWN);
    const what = `${error.name}: ${error.message}`;
    const tail = advice ? `: ${advice}` : code && ` in: ${code}`; // at a file's end there is no code
    const message = `${shown(file)}:${line}: ${what}${tail}`;
    return { message, stack: `${file}:${line}\n${source}\n${caret}\n\n${what}${advice ? `\n${advice}` : ''}` };
}

function explainEsm(error) {
    const place = /(?:\(|at )((?:file:\/\/)?\/.+?):(\d+):\d+\)?$/m.exec(stackOf(error));
    const where = place ? `${shown(toPath(place[1]))}:${place[2]}: ` : '';
    if (error.code === 'ERR_REQUIRE_ESM' || error.code === 'ERR_REQUIRE_ASYNC_MODULE') {
        const file = /(?:ES Module|Requiring) (.+?)(?: from| not|\s*$)/m.exec(error.message);
        const name = file ? shown(file[1]) : 'a package';
        return { message: `${where}${name} is an ES module, which require() cannot load here: write  ` +
            `await import(...)  instead, or make ${scriptName()} an ES module (.mjs) too`, stack: stackOf(error) };
    }
    if (/^(require|module|exports|__filename|__dirname) is not defined in ES module scope/.test(error.message)) {
        const [name] = error.message.split(' ');
        return { message: `${where}there is no ${name} in an ES module: write  import nodey from 'nodey', ` +
            `or rename ${scriptName()} to .cjs`, stack: stackOf(error) };
    }
    return null;
}

function explainKnown(error) {
    if (NO_TYPES.includes(error.code) && /\.[cm]?tsx?\b/.test(error.message)) {
        return { message: noTypeScript(process.argv[1]) };
    }
    return explainMissing(error) ?? explainEsm(error) ?? (error.name === 'SyntaxError' ? explainSyntax(error) : null);
}

/** Returns { message, stack } for a start-up error frame.  Never throws. */
function explain(error) {
    try {
        const known = error instanceof Error ? explainKnown(error) : null;
        if (known) return { message: known.message, stack: known.stack ?? known.message };
    } catch {
        // The error as it is says enough.
    }
    const isOurs = error?.name === 'NodeyError' || error?.name === 'HTTPError';
    return { message: isOurs ? error.message : messageOf(error), stack: stackOf(error) };
}

/** A script that has ended without a sign of life. */
function noHandler(registered) {
    const name = scriptName();
    if (registered) return `${name} ended by itself before it was ready`;
    const isModule = /\.mts$|\.mjs$/.test(name);
    const load = isModule ? "import nodey from 'nodey'" : "const nodey = require('nodey')";
    return `${name} registered no handler: add  ${load};  and  nodey.get('/path', () => 'hello');`;
}

module.exports = { explain, noHandler };
