// A small app.  Argument: port.  nodey serves this very file.
'use strict';

const express = require('express');

const app = express();
app.get('/hello', (request, response) => response.json({ hello: 'world' }));
app.listen(Number(process.argv[2]) || 3000, '127.0.0.1');
