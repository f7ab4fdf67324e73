/*
 * text: which bytes of an answer leave as text, and which text as bytes.
 *
 * Either would do.  Short text is cheaper as text, and people can read it in the frames; long
 * text is quicker as base64 than with every character looked at for JSON.
 */
'use strict';

const { isUtf8 } = require('node:buffer'); // not in the oldest Node 18

const SHORT = 2048;
const LONG = 8192;
const IS_TEXT = /^(?:text\/|application\/(?:[\w.-]+\+)?(?:json|xml|javascript)\b)/i;

/** type: a content-type, if there is one. */
function isText(type) {
    return typeof type === 'string' && IS_TEXT.test(type);
}

/** piece: a string or a Buffer of an answer; textual: what isText() says of that. */
function inBestForm(piece, textual) {
    if (typeof piece === 'string') return piece.length > LONG ? Buffer.from(piece) : piece;
    const isShort = textual && piece.length <= SHORT;
    return isShort && isUtf8?.(piece) ? piece.utf8Slice(0, piece.length) : piece;
}

module.exports = { isText, inBestForm };
