// The reverse proxy of the design that nodey replaces: Express passes every request on
// to a backend over HTTP.  Arguments: own port, backend's port.
'use strict';

const express = require('express');
const { createProxyMiddleware } = require('http-proxy-middleware');

const [port, backend] = process.argv.slice(2).map(Number);
const app = express();
app.use(createProxyMiddleware({ target: `http://127.0.0.1:${backend}`, changeOrigin: true }));
app.listen(port, '127.0.0.1');
