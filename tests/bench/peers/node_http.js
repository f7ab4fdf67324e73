// Node's own HTTP server with its default settings.  Arguments: port, and optionally for
// how many milliseconds an idle connection is kept.
'use strict';

const http = require('node:http');

const [port, keepAlive] = process.argv.slice(2).map(Number);
const server = http.createServer((request, response) => {
  response.setHeader('Content-Type', 'application/json'); // writeHead would mean chunked
  response.end(JSON.stringify({ hello: 'world' }));
});
if (keepAlive) server.keepAliveTimeout = keepAlive;
server.listen(port, '127.0.0.1');
