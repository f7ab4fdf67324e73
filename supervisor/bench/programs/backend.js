// The handler behind HTTP: what the bridge forwards to.
'use strict';
const http = require('node:http');
const { handle, own } = require('./handler.js');

const routes = { '/node/fib': handle, '/node/own': own };

const server = http.createServer((req, res) => {
  const url = new URL(req.url, 'http://backend');
  const route = routes[url.pathname];
  const body = route ? JSON.stringify(route(Number(url.searchParams.get('num')))) : '';
  res.writeHead(route ? 200 : 404, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
  });
  res.end(body);
});
server.keepAliveTimeout = 60000; // longer than a run: no connection is lost between two rounds
server.listen(0, '127.0.0.1', () => console.log(`ready on ${server.address().port}`));
