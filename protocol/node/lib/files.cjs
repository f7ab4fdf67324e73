/* files: a file as an answer. */
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { Reply, plainHeaders } = require('./encode.cjs');
const { NodeyError, inspect } = require('./errors.cjs');

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

/** See index.d.ts.  The file is read when the handler has returned. */
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

async function readWhole(handle, answer, whole, scope) {
    const stat = await handle.stat();
    if (!stat.isFile()) throw notFound(answer.file);
    const tag = `"${stat.size.toString(16)}-${Math.round(stat.mtimeMs).toString(16)}"`;
    const headers = headersFor(answer, whole, stat, tag);
    const isRead = scope.method === 'GET' || scope.method === 'HEAD';
    if (isRead && isFresh(scope.headers, tag, Math.floor(stat.mtimeMs / 1000))) {
        const { 'content-type': _, ...kept } = headers;
        return new Reply(undefined, { status: 304, headers: kept });
    }
    if (Math.ceil(stat.size / 3) * 4 > scope.maxLine) {
        const { TooLong } = require('./collect.cjs');
        throw new TooLong(scope.who, `the file ${answer.file} has ${stat.size} bytes, a third more in base64`,
            scope.maxLine);
    }
    return new Reply(await handle.readFile(), { headers });
}

async function readFileAnswer(answer, scope) {
    let handle;
    try {
        const whole = await locate(answer);
        handle = await fs.promises.open(whole, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
        return await readWhole(handle, answer, whole, scope);
    } catch (error) {
        throw NOT_THERE.includes(error.code) ? notFound(answer.file) : error;
    } finally {
        await handle?.close();
    }
}

module.exports = { file, readFileAnswer };
