// POST /login {"user": "...", "password": "..."}: a token, also as a cookie for the page.
'use strict';

const nodey = require('nodey');
const passwords = require('./lib/passwords');
const Throttle = require('./lib/throttle');
const tokens = require('./lib/tokens');

const MINUTE_MS = 60000;
const users = new Map(Object.entries(require('./users.json')));
const ofUser = new Throttle(5, MINUTE_MS);
const ofAddress = new Throttle(30, MINUTE_MS);

nodey.post('/login', async (req) => {
    const { user, password } = req.json() ?? {};
    if (typeof user !== 'string' || typeof password !== 'string') {
        throw new nodey.HTTPError(400, 'user and password must be texts');
    }
    const wait = ofAddress.take(req.ip) || ofUser.take(`${req.ip} ${user}`);
    if (wait) throw new nodey.HTTPError(429, 'too many attempts', { headers: { 'retry-after': String(wait) } });
    // Of nobody a hash is computed, too: how long it takes does not tell who is known.
    if (!await passwords.isRight(password, users.get(user))) {
        throw new nodey.HTTPError(401, 'user or password is wrong');
    }
    ofUser.forget(`${req.ip} ${user}`);
    const token = tokens.sign(user);
    return nodey.json({ user, token }).setCookie('token', token, {
        httpOnly: true, sameSite: 'strict', maxAge: tokens.SECONDS,
    });
});
