// The handler behind nodey's pipe.
'use strict';
const nodey = require('nodey');
const { handle, own } = require('./handler.js');

nodey.get('/node/fib', (req) => handle(Number(req.query.num)));
nodey.get('/node/own', (req) => own(Number(req.query.num)));
