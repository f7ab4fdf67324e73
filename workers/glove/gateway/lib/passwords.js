// Hashes of passwords, as users.json has them: "scrypt$N$r$p$salt$hash".
//
//     node gateway/lib/passwords.js PASSWORD      prints one
'use strict';

const crypto = require('node:crypto');
const { promisify } = require('node:util');

const scrypt = promisify(crypto.scrypt);
const COST = { N: 16384, r: 8, p: 5 };
const BYTES = 32;

async function hashOf(password, salt = crypto.randomBytes(16), cost = COST) {
    const hash = await scrypt(password.normalize('NFKC'), salt, BYTES, cost);
    return ['scrypt', cost.N, cost.r, cost.p, salt.toString('base64url'), hash.toString('base64url')].join('$');
}

/** Whether the password is that of `stored`; without one it takes as long, and is false. */
async function isRight(password, stored) {
    const [, N, r, p, salt] = stored?.split('$') ?? [];
    const cost = stored ? { N: Number(N), r: Number(r), p: Number(p) } : COST;
    const found = await hashOf(password, Buffer.from(salt ?? '', 'base64url'), cost);
    return stored !== undefined && crypto.timingSafeEqual(Buffer.from(found), Buffer.from(stored));
}

module.exports = { hashOf, isRight };

if (require.main === module) hashOf(process.argv[2]).then(console.log);
