'use strict';

const nodey = require('nodey');

nodey.all('/*', (req) => ({
    method: req.method,
    path: req.path,
    query: req.queryString,
    header: req.headers['x-test'] ?? null,
    body: req.text(),
}));
