// GET /hello and GET /hello?name=Ann
'use strict';

const nodey = require('nodey');

nodey.get('/hello', (req) => ({ hello: req.query.name ?? 'world' }));
