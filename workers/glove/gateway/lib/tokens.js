// Signed tokens that expire: {"user", "until"} and its HMAC, with a secret that the processes share.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');

const SECONDS = Number(process.env.TOKEN_SECONDS ?? 3600);
const FILE = path.join('data', 'secret');

// Whoever is first makes it.  A link is there with its content, or not at all.
function secret() {
    if (!fs.existsSync(FILE)) {
        const draft = `${FILE}.${process.pid}`;
        fs.mkdirSync(path.dirname(FILE), { recursive: true });
        fs.writeFileSync(draft, crypto.randomBytes(32), { mode: 0o600 });
        try {
            fs.linkSync(draft, FILE);
        } catch (error) {
            if (error.code !== 'EEXIST') throw error;
        } finally {
            fs.unlinkSync(draft);
        }
    }
    return fs.readFileSync(FILE);
}

const key = secret();
const signatureOf = (text) => crypto.createHmac('sha256', key).update(text).digest();

function sign(user, seconds = SECONDS) {
    const text = Buffer.from(JSON.stringify({ user, until: Date.now() + seconds * 1000 })).toString('base64url');
    return `${text}.${signatureOf(text).toString('base64url')}`;
}

/** The user that a token was made for; undefined of one that is forged, or has expired. */
function userOf(token = '') {
    const [text, signature = ''] = token.split('.');
    const given = Buffer.from(signature, 'base64url');
    const right = signatureOf(text);
    if (given.length !== right.length || !crypto.timingSafeEqual(given, right)) return undefined;
    const { user, until } = JSON.parse(Buffer.from(text, 'base64url'));
    return Date.now() < until ? user : undefined;
}

module.exports = { SECONDS, sign, userOf };
