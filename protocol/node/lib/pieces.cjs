/*
 * pieces: parts of a body or stream as members of a frame.
 *
 * Text travels as text, bytes as base64.  What is cut is cut between characters, because
 * every frame must hold whole ones.
 */
'use strict';

const encoder = new TextEncoder();
const SAME = Object.freeze({ __proto__: null });

let scratch = null; // where encodeInto() may write; only how far it came is of interest

/** Bytes of a string or Buffer. */
function sizeOf(piece) {
    return typeof piece === 'string' ? Buffer.byteLength(piece) : piece.length;
}

function cutText(text, limit) {
    let part = text.length > limit ? text.slice(0, limit) : text;
    let size = Buffer.byteLength(part);
    if (size > limit) { // so it is if the cut went through a surrogate pair: half of one counts three
        if (!scratch || scratch.length < limit) scratch = Buffer.allocUnsafeSlow(limit);
        const { read, written } = encoder.encodeInto(part, scratch.subarray(0, limit));
        part = part.slice(0, read);
        size = written;
    }
    return { part, size, rest: part.length === text.length ? null : text.slice(part.length) };
}

/**
 * The beginning of a piece, at most `limit` bytes of it: { part, size, rest }.  rest is
 * null when that is all.  size is 0 when not even the first character fits.
 */
function cut(piece, limit) {
    if (typeof piece === 'string') return cutText(piece, limit);
    const size = piece.length;
    if (size <= limit) return { part: piece, size, rest: null };
    return { part: piece.subarray(0, limit), size: limit, rest: piece.subarray(limit) };
}

/** Joins pieces to one: text when all are, else bytes. */
function join(pieces) {
    if (pieces.length === 1) return pieces[0];
    if (pieces.every((piece) => typeof piece === 'string')) return pieces.join('');
    return Buffer.concat(pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece) : piece)));
}

/** `,"body":...` or `,"body64":...`; nothing for an empty piece. */
function bodyMember(piece) {
    if (piece.length === 0) return '';
    if (typeof piece !== 'string') return `,"body64":"${piece.base64Slice(0, piece.length)}"`;
    const json = JSON.stringify(piece);
    // Control characters take six bytes each: a line of them might be too long.
    if (json.length > 64 && json.length > 2 * piece.length) return bodyMember(Buffer.from(piece));
    return `,"body":${json}`;
}

/** The bytes of a frame's body or body64; null when it has neither. */
function bytesOf({ body, body64 }) {
    if (body64 !== undefined) return Buffer.from(body64, 'base64');
    return body === undefined ? null : Buffer.from(body);
}

/** Whether an object has members of its own. */
function hasMembers(object) {
    for (const _ in object ?? SAME) return true;
    return false;
}

module.exports = { sizeOf, cut, join, bodyMember, bytesOf, hasMembers };
