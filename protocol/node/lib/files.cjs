/*
 * files: a file as an answer.
 *
 * A file below one of the roots that `hello` names is sent by nodey itself, of any size; the
 * others are read here.
 */
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { Reply, plainHeaders } = require('./encode.cjs');
const { NodeyError, inspect } = require('./errors.cjs');

const SMALL_FILE = 65536; // is read at once
const PIECE = 65536;
const TEXT = 'charset=utf-8';
const TYPES = {
    __proto__: null,
    avif: 'image/avif', bin: 'application/octet-stream', bmp: 'image/bmp', css: `text/css; ${TEXT}`,
    csv: `text/csv; ${TEXT}`, eot: 'application/vnd.ms-fontobject', gif: 'image/gif', gz: 'application/gzip',
    htm: `text/html; ${TEXT}`, html: `text/html; ${TEXT}`, ico: 'image/x-icon', ics: `text/calendar; ${TEXT}`,
    jpeg: 'image/jpeg', jpg: 'image/jpeg', js: `text/javascript; ${TEXT}`, json: 'application/json',
    map: 'application/json', md: `text/markdown; ${TEXT}`, mjs: `text/javascript; ${TEXT}`, mp3: 'audio/mpeg',
    mp4: 'video/mp4', ogg: 'audio/ogg', otf: 'font/otf', pdf: 'application/pdf', png: 'image/png',
    svg: 'image/svg+xml', tar: 'application/x-tar', ttf: 'font/ttf', txt: `text/plain; ${TEXT}`,
    wasm: 'application/wasm', wav: 'audio/wav', webm: 'video/webm', webmanifest: 'application/manifest+json',
    webp: 'image/webp', woff: 'font/woff', woff2: 'font/woff2', xml: 'application/xml', zip: 'application/zip',
};

const NOT_THERE = ['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ELOOP', 'EISDIR'];

class FileAnswer {
    constructor(file, { download = false, type, root, headers = {} }) {
        this.isFileAnswer = true;
        this.file = file;
        this.root = root;
        this.download = download;
        this.type = type;
        this.headers = plainHeaders(headers);
    }
}

/** See index.d.ts.  The file is looked at when the handler has returned. */
function file(name, options = {}) {
    // Below a root the name is a client's, who may well send none: that is a 404.
    if (typeof name !== 'string' || (name === '' && options.root === undefined)) {
        throw new TypeError(`file: the path is ${inspect(name)}; it must be a string with something in it`);
    }
    return new FileAnswer(name, options);
}

function notFound(name) {
    return new NodeyError('not_found', `there is no file ${name}`);
}

/* Links are followed first: one below the root may lead out of it. */
async function locate({ file: name, root }) {
    if (name.includes('\0')) throw notFound(inspect(name));
    if (root === undefined) return path.resolve(name);
    const folder = await fs.promises.realpath(root);
    const whole = await fs.promises.realpath(path.join(folder, path.join('/', name)));
    if (whole !== folder && !whole.startsWith(folder + path.sep)) throw notFound(name);
    return whole;
}

/* Weak comparison: "W/" makes no difference. */
function hasTag(field, tag) {
    const tags = [field].flat().join(',').split(',').map((one) => one.trim().replace(/^W\//, ''));
    return tags.includes(tag) || tags.includes('*');
}

function isFresh(headers, tag, seconds) {
    if (headers['if-none-match'] !== undefined) return hasTag(headers['if-none-match'], tag);
    const since = Date.parse([headers['if-modified-since']].flat()[0]);
    return seconds * 1000 <= since;
}

/* A name for those who read ASCII only, and the whole name for all others (RFC 6266). */
function disposition(name) {
    const plain = name.replace(/[^\x20-\x7e]|["\\%]/g, '_');
    const field = `attachment; filename="${plain}"`;
    if (plain === name) return field;
    const encoded = encodeURIComponent(name.toWellFormed?.() ?? name).replace(/['()*]/g, (one) =>
        `%${one.charCodeAt(0).toString(16).toUpperCase()}`);
    return `${field}; filename*=UTF-8''${encoded}`;
}

function headersFor(answer, whole, stat, tag) {
    const { download, type } = answer;
    const name = download === true ? path.basename(whole) : download;
    return {
        'content-type': type ?? TYPES[path.extname(whole).slice(1).toLowerCase()] ?? 'application/octet-stream',
        etag: tag,
        'last-modified': new Date(Math.floor(stat.mtimeMs / 1000) * 1000).toUTCString(),
        ...(name && { 'content-disposition': disposition(name) }),
        ...answer.headers,
    };
}

/* ---- ranges */

const RANGE = /^bytes=(\d*)-(\d*)$/;

/*
 * The one range that a request wants: { offset, length }; null for the whole file, also when
 * it wants several; undefined when there is nothing of it.
 */
function rangeOf(headers, stat, tag) {
    const match = RANGE.exec([headers.range].flat()[0] ?? '');
    if (!match || (match[1] === '' && match[2] === '')) return null;
    const condition = headers['if-range'];
    if (condition !== undefined && condition !== tag) return null; // a date is too coarse to trust
    const [, first, last] = match;
    const offset = first === '' ? Math.max(0, stat.size - Number(last)) : Number(first);
    const end = first === '' || last === '' ? stat.size : Math.min(stat.size, Number(last) + 1);
    if (first !== '' && last !== '' && Number(last) < Number(first)) return null;
    return offset < end ? { offset, length: end - offset } : undefined;
}

/* ---- sending */

let roots = []; // as `hello` names them, their links followed

/** names: absolute paths of folders whose files nodey sends itself. */
function setRoots(names) {
    roots = [];
    for (const name of names) {
        try {
            roots.push(fs.realpathSync(name));
        } catch {
            // not there, or not for us: nothing below it is sent
        }
    }
}

function isBelowRoot(whole) {
    return roots.some((root) => whole.startsWith(root.endsWith(path.sep) ? root : root + path.sep));
}

/* A file that nodey opens itself. */
class FileBody {
    constructor(file, offset, length) {
        this.isFileBody = true;
        this.file = file;
        this.offset = offset;
        this.length = length;
    }
}

/* Gives { value, isOpen }: what stands for that part of the file, and whether it still reads from it. */
async function bodyOf(handle, whole, { offset, length }) {
    const real = await fs.promises.realpath(whole);
    if (length > 0 && isBelowRoot(real)) return { value: new FileBody(real, offset, length) };
    if (length > SMALL_FILE) {
        const end = offset + length - 1;
        return { value: handle.createReadStream({ start: offset, end, highWaterMark: PIECE }), isOpen: true };
    }
    const bytes = Buffer.alloc(length);
    const { bytesRead } = await handle.read(bytes, 0, length, offset);
    return { value: bytes.subarray(0, bytesRead) };
}

function conditional(value, status, headers) {
    const reply = new Reply(value, { status, headers });
    reply.isConditional = true; // no other status can be meant
    return reply;
}

/* Gives { reply, isOpen }. */
async function answerFor(handle, answer, whole, scope) {
    const stat = await handle.stat();
    if (!stat.isFile()) throw notFound(answer.file);
    const tag = `"${stat.size.toString(16)}-${Math.round(stat.mtimeMs).toString(16)}"`;
    const headers = headersFor(answer, whole, stat, tag);
    const isRead = scope.method === 'GET' || scope.method === 'HEAD';
    if (isRead && isFresh(scope.headers, tag, Math.floor(stat.mtimeMs / 1000))) {
        const { 'content-type': _, ...kept } = headers;
        return { reply: conditional(undefined, 304, kept) };
    }
    headers['accept-ranges'] = 'bytes';
    const range = scope.method === 'GET' ? rangeOf(scope.headers, stat, tag) : null;
    if (range === undefined) {
        const told = { 'content-range': `bytes */${stat.size}`, 'content-type': 'text/plain' };
        return { reply: conditional('', 416, told) };
    }
    const { offset, length } = range ?? { offset: 0, length: stat.size };
    const { value, isOpen } = await bodyOf(handle, whole, { offset, length });
    if (isOpen) headers['content-length'] = String(length);
    if (!range) return { reply: new Reply(value, { headers }), isOpen };
    headers['content-range'] = `bytes ${offset}-${offset + length - 1}/${stat.size}`;
    return { reply: conditional(value, 206, headers), isOpen };
}

/** Gives a Reply. */
async function readFileAnswer(answer, scope) {
    let handle;
    let isOpen = false;
    try {
        const whole = await locate(answer);
        handle = await fs.promises.open(whole, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
        const found = await answerFor(handle, answer, whole, scope);
        isOpen = Boolean(found.isOpen); // then its stream closes it
        return found.reply;
    } catch (error) {
        throw NOT_THERE.includes(error.code) ? notFound(answer.file) : error;
    } finally {
        if (!isOpen) await handle?.close();
    }
}

module.exports = { file, readFileAnswer, setRoots };
