/*
 * form: the fields and files of an HTML form, urlencoded or multipart (RFC 7578).
 *
 * Written by hand because Node 18 has no reader that works on bytes that are there
 * already.  A body is bounded by max_body, the number of its parts by MAX_PARTS.
 */
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { HTTPError, inspect } = require('./errors.cjs');
const { addHints, UPLOAD } = require('./hints.cjs');
const { newListed, add, parseQuery } = require('./listed.cjs');

const MAX_PARTS = 1000;
const MAX_PART_HEAD = 16384;
const BOUNDARY = /;\s*boundary\s*=\s*(?:"([^"]{1,200})"|([^;\s"]{1,200}))/i;
const CRLF = '\r\n';

function refuse(what) {
    return new HTTPError(400, `the body is not the form that its content-type says: ${what}`);
}

/** A file that a form brought. */
class UploadedFile {
    constructor(name, filename, contentType, data) {
        this.name = name;
        this.filename = filename;
        this.contentType = contentType;
        this.data = data;
    }

    get size() {
        return this.data.length;
    }

    /* As a browser's File and as Node call them. */
    get type() {
        return this.contentType;
    }

    get buffer() {
        return this.data;
    }

    text() {
        return this.data.toString('utf8');
    }

    async save(target) {
        const isFolder = await fs.promises.stat(target).then((found) => found.isDirectory(), () => false);
        if (isFolder && this.filename === '') {
            throw new Error(`the file in ${inspect(this.name)} has no name: say one to save()`);
        }
        const file = isFolder ? path.join(target, this.filename) : target;
        await fs.promises.writeFile(file, this.data);
        return file;
    }

    [Symbol.for('nodejs.util.inspect.custom')]() {
        const { name, filename, contentType, size } = this;
        return { name, filename, contentType, size };
    }
}

addHints(UploadedFile.prototype, 'file', UPLOAD);

/* Browsers write `"` as %22 and line ends as %0D%0A, curl writes `\"`. */
function unescapeName(text) {
    return text.replaceAll('\\"', '"').replace(/%22|%0[da]/gi, (escape) => decodeURIComponent(escape));
}

function parameter(field, name) {
    const found = new RegExp(`;\\s*${name}\\s*=\\s*(?:"((?:\\\\"|[^"])*)"|([^;\\s]+))`, 'i').exec(field);
    return found ? unescapeName(found[1] ?? found[2]) : undefined;
}

/* The name only: some browsers send a path, and some clients an attack. */
function baseName(filename) {
    const base = filename.split(/[\\/]/).at(-1).replaceAll('\0', '');
    return base === '.' || base === '..' ? '' : base;
}

function filenameOf(disposition) {
    const extended = /;\s*filename\*\s*=\s*utf-8''([^;\s]+)/i.exec(disposition);
    if (extended) {
        try {
            return baseName(decodeURIComponent(extended[1]));
        } catch {
            // the plain one then
        }
    }
    const plain = parameter(disposition, 'filename');
    return plain === undefined ? undefined : baseName(plain);
}

function parseHead(text, number) {
    const head = { __proto__: null };
    for (const line of text.split(CRLF)) {
        const colon = line.indexOf(':');
        if (colon < 1) throw refuse(`part ${number} has a header line without a name`);
        head[line.slice(0, colon).trim().toLowerCase()] = line.slice(colon + 1).trim();
    }
    return head;
}

function addPart(form, head, content, number) {
    const disposition = head['content-disposition'] ?? '';
    if (!/^form-data\s*(;|$)/i.test(disposition)) throw refuse(`part ${number} is no form-data`);
    const name = parameter(disposition, 'name');
    if (name === undefined) throw refuse(`part ${number} has no name`);
    const filename = filenameOf(disposition);
    if (filename === undefined) {
        add(form.fields, name, content.toString('utf8'));
    } else if (filename !== '' || content.length > 0) { // else: a file field that was left empty
        const type = head['content-type'] ?? 'application/octet-stream';
        add(form.files, name, new UploadedFile(name, filename, type, content));
    }
}

/* Where the boundary's line ends that begins at `at`; -1 when it was the last one. */
function afterBoundary(body, at, number) {
    if (body.toString('latin1', at, at + 2) === '--') return -1;
    let end = at;
    while (body[end] === 0x20 || body[end] === 0x09) end++;
    if (body.toString('latin1', end, end + 2) !== CRLF) {
        throw refuse(at === body.length ? 'it ends too early' : `the boundary before part ${number} goes on`);
    }
    return end + 2;
}

function firstBoundary(body, delimiter) {
    if (body.indexOf(delimiter) === 0) return delimiter.length;
    const at = body.indexOf(CRLF + delimiter);
    if (at < 0) throw refuse('it has no part with the boundary that the header names');
    return at + CRLF.length + delimiter.length;
}

function parseMultipart(body, boundary) {
    const form = { fields: newListed(), files: newListed() };
    const delimiter = `--${boundary}`;
    let at = firstBoundary(body, delimiter);
    for (let number = 1; (at = afterBoundary(body, at, number)) >= 0; number++) {
        if (number > MAX_PARTS) throw refuse(`it has more than ${MAX_PARTS} parts`);
        const headEnd = body.indexOf(`${CRLF}${CRLF}`, at);
        if (headEnd < 0) throw refuse(`it ends within the headers of part ${number}`);
        if (headEnd - at > MAX_PART_HEAD) throw refuse(`the headers of part ${number} are too long`);
        const start = headEnd + 2 * CRLF.length;
        // Not from `start`: of an empty part the line end before the boundary is the head's.
        const end = body.indexOf(CRLF + delimiter, headEnd + CRLF.length);
        if (end < 0) throw refuse(`it ends within part ${number}`);
        addPart(form, parseHead(body.toString('utf8', at, headEnd), number), body.subarray(start, Math.max(start, end)),
            number);
        at = end + CRLF.length + delimiter.length;
    }
    return form;
}

/** body: the request's, whole.  Returns { fields, files }, or throws an HTTPError: 400 when malformed, 415 when it is no form. */
function parseForm(request, body) {
    const type = request.headers.get('content-type') ?? '';
    const essence = type.split(';')[0].trim().toLowerCase();
    if (essence === 'application/x-www-form-urlencoded') {
        return { fields: parseQuery(body.toString('utf8')), files: newListed() };
    }
    if (essence !== 'multipart/form-data') {
        const said = type === '' ? 'it has no content-type' : `its content-type is ${essence}`;
        throw new HTTPError(415, `the body is not a form: ${said}; send multipart/form-data ` +
            'or application/x-www-form-urlencoded');
    }
    const boundary = BOUNDARY.exec(type);
    if (!boundary) throw refuse('the content-type names no boundary');
    return parseMultipart(body, boundary[1] ?? boundary[2]);
}

module.exports = { parseForm, UploadedFile };
