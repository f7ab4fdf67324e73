// An HTTP bridge as people write it: a server that forwards each request by HTTP.
// usage: node bridge.js PREFIX=PORT...
'use strict';
const http = require('node:http');

const ports = Object.fromEntries(process.argv.slice(2).map((word) => word.split('=')));
const agent = new http.Agent({ keepAlive: true });

const server = http.createServer((req, res) => {
  const port = ports[req.url.split('/', 2)[1]];
  if (!port) {
    res.writeHead(404).end();
    return;
  }
  const onward = http.request(
    { agent, host: '127.0.0.1', port, method: req.method, path: req.url, headers: req.headers },
    (answer) => {
      res.writeHead(answer.statusCode, answer.headers);
      answer.pipe(res);
    },
  );
  onward.on('error', (error) => {
    if (!res.headersSent) res.writeHead(502);
    res.end(error.message);
  });
  req.pipe(onward);
});
server.keepAliveTimeout = 60000;
server.listen(0, '127.0.0.1', () => console.log(`ready on ${server.address().port}`));
