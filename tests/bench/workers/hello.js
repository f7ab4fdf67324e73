'use strict';

const nodey = require('nodey');

nodey.get('/hello', () => ({ hello: 'world' }));
nodey.start();
