// Bodies of any size with Node's own HTTP server.  Argument: port.  nodey serves this very file.
'use strict';

const http = require('node:http');

const piece = Buffer.alloc(65536, 'x');
let written = 0; // bytes of the last download

/** Writes so many megabytes, no faster than they are taken. */
function send(response, megabytes) {
  let left = megabytes * 16;
  written = 0;
  const more = () => {
    while (left > 0) {
      left -= 1;
      written += piece.length;
      if (!response.write(piece)) return void response.once('drain', more);
    }
    response.end();
  };
  response.setHeader('Content-Length', megabytes * 1048576);
  more();
}

function receive(request, response) {
  let size = 0;
  request.on('data', (data) => (size += data.length));
  request.on('end', () => response.end(String(size)));
}

http
  .createServer((request, response) => {
    const url = new URL(request.url, 'http://host');
    if (request.method === 'POST') return receive(request, response);
    if (url.pathname === '/down') return send(response, Number(url.searchParams.get('mb')));
    response.setHeader('Content-Type', 'application/json');
    if (url.pathname === '/written') return void response.end(JSON.stringify({ bytes: written }));
    response.end('{"hello":"world"}');
  })
  .listen(Number(process.argv[2]) || 3000, '127.0.0.1');
