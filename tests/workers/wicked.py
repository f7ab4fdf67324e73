"""One program for every kind of fault in a process: wicked.cjs is the same in Node.

Run by nodey with its SDK it is a worker; with a PORT and no SDK about, a service of its own.
At /w it echoes (the body of a POST, else the query's `id`), and does what ?do= says first.
The environment's WICKED says how it lives, words with commas between them:

    exit=CODE       ends at once
    late=SECONDS    sleeps before it serves
    after=SECONDS   ends with status 1 so long after it began to serve
    noterm          neither SIGTERM nor the end of its input ends it
JOURNAL is a file that gets a line at each start.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import Mapping

WORDS = dict(word.partition("=")[::2] for word in os.environ.get("WICKED", "").split(","))
IS_SERVICE = "PORT" in os.environ and "NODEY_PROTOCOL" not in os.environ
HELD: list[bytes] = []


def note_start() -> None:
    if "JOURNAL" in os.environ:
        fd = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.write(fd, f"{os.getpid()} start {time.monotonic():.3f}\n".encode())
        os.close(fd)


def leave_process(session: bool) -> str:
    """One that holds all our descriptors, and outlives us."""
    with_pipes = {"close_fds": False, "start_new_session": session}
    return str(subprocess.Popen(["sleep", "3600"], **with_pipes).pid)


def daemonise() -> str:
    """Its parent is gone at once, its session is its own."""
    script = "setsid sh -c 'sleep 3600 & echo $!' "
    return subprocess.run(["sh", "-c", script + "9>&1 | head -n 1"], stdout=subprocess.PIPE,
                          close_fds=False, check=True).stdout.decode().strip()


def act(query: Mapping[str, str], body: bytes) -> bytes:
    do = query.get("do", "echo")
    if do == "exit":
        os._exit(int(query.get("code", "3")))
    elif do == "slow":
        time.sleep(float(query["ms"]) / 1000)
    elif do == "spin":
        while True:
            pass
    elif do == "pid":
        return str(os.getpid()).encode()
    elif do in ("child", "session"):
        return leave_process(do == "session").encode()
    elif do == "daemon":
        return daemonise().encode()
    elif do == "many":
        script = f"for n in $(seq {query['n']}); do sleep 3600 & done; echo begun; wait"
        child = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE)
        assert child.stdout
        return child.stdout.readline().strip()
    elif do == "leak":
        threading.Thread(target=leak, daemon=True).start()
    return body or query.get("id", "").encode()


def leak() -> None:
    """50 MB in a second, for ever."""
    while True:
        HELD.append(b"x" * (5 << 20))
        time.sleep(0.1)


def die(seconds: float) -> None:
    timer = threading.Timer(seconds, os._exit, [1])
    timer.daemon = True
    timer.start()


def serve_http() -> None:
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from urllib.parse import parse_qsl, urlsplit

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            answer = act(dict(parse_qsl(urlsplit(self.path).query)), body)
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = False  # what is under way is finished

    server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)

    def stop(*_: object) -> None:
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, signal.SIG_IGN if "noterm" in WORDS else stop)
    server.serve_forever(0.02)


def serve_frames() -> None:
    import nodey

    @nodey.get("/w")
    def get(req: nodey.Request) -> bytes:
        return act(req.query, b"")

    @nodey.post("/w")
    def post(req: nodey.Request) -> bytes:
        return act(req.query, req.body)

    if "noterm" in WORDS:
        # The SDK would end with the input: a thread that is waited for outlives it.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        threading.Thread(target=time.sleep, args=[3600]).start()


note_start()
if "exit" in WORDS:
    sys.exit(int(WORDS["exit"]))
time.sleep(float(WORDS.get("late", "0")))
if "after" in WORDS:
    die(float(WORDS["after"]))
if IS_SERVICE:
    serve_http()
else:
    serve_frames()
