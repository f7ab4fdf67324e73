/* testbody: what a test sends, as the members of a request frame. */
'use strict';

const { plainHeaders } = require('./encode.cjs');
const { inspect } = require('./errors.cjs');

const KINDS = ['json', 'body', 'form', 'files'];
const KNOWN = [...KINDS, 'headers', 'ip', 'timeout'];

function toBytes(content) {
    if (typeof content === 'string') return Buffer.from(content);
    if (ArrayBuffer.isView(content)) return Buffer.from(content.buffer, content.byteOffset, content.byteLength);
    throw new TypeError(`a body must be a string or bytes, not ${inspect(content)}`);
}

function escapeName(name) {
    return name.replace(/["\r\n]/g, encodeURIComponent);
}

function part(boundary, disposition, type, content) {
    const head = `--${boundary}\r\nContent-Disposition: form-data; ${disposition}\r\n` +
        `${type ? `Content-Type: ${type}\r\n` : ''}\r\n`;
    return Buffer.concat([Buffer.from(head), toBytes(content), Buffer.from('\r\n')]);
}

function filePart(boundary, name, file) {
    const plain = typeof file === 'string' || ArrayBuffer.isView(file);
    const { filename = name, type = 'application/octet-stream', content } = plain ? { content: file } : file;
    const disposition = `name="${escapeName(name)}"; filename="${escapeName(filename)}"`;
    return part(boundary, disposition, type, content);
}

function pairs(values) {
    return Object.entries(values).flatMap(([name, value]) => [value].flat().map((one) => [name, one]));
}

function multipart(fields, files) {
    const boundary = `----nodey${Math.random().toString(36).slice(2)}`;
    const parts = [
        ...pairs(fields).map(([name, value]) => part(boundary, `name="${escapeName(name)}"`, '', String(value))),
        ...pairs(files).map(([name, file]) => filePart(boundary, name, file)),
        Buffer.from(`--${boundary}--\r\n`),
    ];
    return { type: `multipart/form-data; boundary=${boundary}`, body64: Buffer.concat(parts).toString('base64') };
}

function bodyOf({ json, body, form, files }) {
    if (files !== undefined) return multipart(form ?? {}, files);
    if (form !== undefined) {
        return { type: 'application/x-www-form-urlencoded', body: new URLSearchParams(pairs(form)).toString() };
    }
    if (json !== undefined) return { type: 'application/json', body: JSON.stringify(json) };
    if (typeof body === 'string') return { body };
    return body === undefined ? {} : { body64: toBytes(body).toString('base64') };
}

/** options: see RequestOptions in testing.d.ts.  Returns headers and body members. */
function encodeBody(options) {
    for (const name of Object.keys(options)) {
        if (!KNOWN.includes(name)) throw new TypeError(`there is no option ${name}; known are ${KNOWN.join(', ')}`);
    }
    const given = KINDS.filter((name) => options[name] !== undefined).join(' and ');
    if (given.includes(' and ') && given !== 'form and files') {
        throw new TypeError(`a request has one body, not ${given}`);
    }
    const { type, ...body } = bodyOf(options);
    const headers = plainHeaders(options.headers ?? {});
    if (type !== undefined) headers['content-type'] ??= type;
    return { headers, ...body };
}

module.exports = { encodeBody };
