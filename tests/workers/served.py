"""A service for tests: a web server at PORT that knows nothing of nodey.

served.py [late=SECONDS] [deaf] [fail=FILE]
  late: it listens only after that time.  deaf: it ignores SIGTERM.  fail: it exits with
  status 1 as long as FILE holds a number above 0, which each start takes one from.
  GET /slow?ms=N answers after that time, anything else at once: with its pid and $VERSION.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

words = dict(word.partition("=")[::2] for word in sys.argv[1:])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        time.sleep(int(query.get("ms", ["0"])[0]) / 1000)
        body = f"{os.getpid()} {os.environ.get('VERSION', '')}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False  # what is under way is finished
    request_queue_size = 128


def main() -> None:
    if "fail" in words:
        file = Path(words["fail"])
        left = int(file.read_text())
        if left > 0:
            file.write_text(str(left - 1))
            sys.exit("not yet: an error")
    time.sleep(float(words.get("late", "0")))
    server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)
    print(f"listening on {os.environ['PORT']}", flush=True)

    def stop(*_: object) -> None:
        print("stopping", file=sys.stderr, flush=True)
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, signal.SIG_IGN if "deaf" in words else stop)
    server.serve_forever(0.02)


main()
