"""The handler behind HTTP: what the bridge forwards to."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import handler

ROUTES = {"/python/fib": handler.handle, "/python/own": handler.own}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections open
    disable_nagle_algorithm = True
    wbufsize = -1  # header and body leave in one piece

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        route = ROUTES.get(url.path)
        body = b""
        if route:
            body = json.dumps(route(int(parse_qs(url.query)["num"][0]))).encode()
        self.send_response(200 if route else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass  # a line for each request would slow it down


class Server(ThreadingHTTPServer):
    request_queue_size = 1024  # the default of 5 drops connections that come at once


server = Server(("127.0.0.1", 0), Handler)
print(f"ready on {server.server_address[1]}", flush=True)
server.serve_forever()
