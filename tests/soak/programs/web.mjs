// A service that knows nothing of nodey: it listens on PORT, echoes, and dies when it is told to.
import http from 'node:http';

const deeds = {
    crash() { process.exit(3); },
    quit() { process.exit(0); },
    spin() { for (;;); },
    cut(response) {
        response.writeHead(200, { 'content-length': 1000 });
        response.write('half');
        setTimeout(() => response.destroy(), 10);
    },
    flood() { for (let n = 0; n < 600; n++) console.error(`flood ${n} ${'x'.repeat(2000)}`); },
};

const server = http.createServer((request, response) => {
    const url = new URL(request.url, 'http://localhost');
    const pieces = [];
    request.on('data', (piece) => pieces.push(piece));
    request.on('end', () => {
        if (url.pathname.startsWith('/web/evil/')) {
            deeds[url.pathname.split('/').pop()](response);
            if (response.headersSent) return;
        }
        const body = pieces.length ? Buffer.concat(pieces) : Buffer.from(url.searchParams.get('id') ?? 'ok');
        response.writeHead(200, { 'content-length': body.length });
        response.end(body);
    });
});

server.listen(Number(process.env.PORT), '127.0.0.1');
process.on('SIGTERM', () => server.close(() => process.exit(0)));
