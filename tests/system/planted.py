"""A stand-in for nodey with one planted fault (the environment's FAULT names it).

It echoes as tests/workers/evil.py does, so that the checks of this suite can be shown
to fail when what they look at is broken: see test_planted.py.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from urllib.parse import parse_qs, urlsplit

FAULT = os.environ.get("FAULT", "")
NAME = f"service-{os.getpid()}"  # as nodey's NODEY_RUN

lock = threading.Lock()
count = 0
previous = b"nothing"
hoard: list[object] = []


def read_request(file: object) -> tuple[str, bytes]:
    """The id and the body of the next request; an empty id at the end."""
    line = file.readline()  # type: ignore[attr-defined]
    if not line:
        return "", b""
    target = line.split()[1].decode()
    length = 0
    while True:
        field = file.readline()  # type: ignore[attr-defined]
        if field in (b"\r\n", b""):
            break
        name, _, value = field.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    body = file.read(length)  # type: ignore[attr-defined]
    return parse_qs(urlsplit(target).query)["id"][0], body


def answer(sock: socket.socket, status: int, fields: str, body: bytes) -> None:
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{fields}\r\n"
    sock.sendall(head.encode() + body)


def faulty(sock: socket.socket, id: str, body: bytes) -> bool:
    """Every tenth answer, with its fault; False when the connection is over."""
    if FAULT == "lose":
        time.sleep(3600)
    elif FAULT == "cut":
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + body)
        return False
    elif FAULT == "swap":
        answer(sock, 200, "", previous)
    elif FAULT == "foreign":
        answer(sock, 502, "", b"while answering " + previous)
    elif FAULT == "field":
        answer(sock, 200, f"x-echo-id: {previous[:35].decode()}\r\n", body)
    elif FAULT == "short":
        answer(sock, 200, "", body[:-1])
    elif FAULT == "bare":
        answer(sock, 503, "", b"busy")
    elif FAULT == "late":
        answer(sock, 200, "x-after-term: 1\r\n", body)
    elif FAULT.isdigit():
        answer(sock, int(FAULT), "Retry-After: 1\r\n", b"")
    else:
        leak()
        answer(sock, 200, f"x-echo-id: {id}\r\n", body)
    return True


def leak() -> None:
    if FAULT == "fds":
        hoard.append(open(os.devnull))
    elif FAULT == "memory":
        hoard.append(bytearray(os.urandom(1 << 20)) * 2)
    elif FAULT == "zombies":
        if os.fork() == 0:
            os._exit(0)


def serve(sock: socket.socket) -> None:
    global count, previous
    with sock, sock.makefile("rb") as file:
        while True:
            id, body = read_request(file)
            if not id:
                return
            with lock:
                count += 1
                turn = count
                own, body = id.encode(), body or id.encode()
            if turn % 10:
                answer(sock, 200, f"x-echo-id: {id}\r\n", body)
            elif not faulty(sock, id, body):
                return
            previous = own


def on_term(*_: object) -> None:
    if FAULT == "orphan":
        subprocess.Popen(["sleep", "60"], start_new_session=True)
    os._exit(3 if FAULT == "code" else 0)


def main() -> None:
    if FAULT == "helper":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", NAME], env={},
                         start_new_session=True, stderr=subprocess.DEVNULL)
    if FAULT in ("helper", "helped"):
        subprocess.Popen(["sleep", "60"], env={**os.environ, "NODEY_RUN": NAME},
                         preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL))
    signal.signal(signal.SIGTERM, signal.SIG_IGN if FAULT == "stay" else on_term)
    said = {"sanitizer": "==1==ERROR: AddressSanitizer: heap-use-after-free",
            "undefined": "supervisor/base/buf.c:12:3: runtime error: shift exponent",
            "assertion": "nodey: pool/pool.c:9: pool_take: Assertion `slot' failed."}
    if FAULT in said:
        print(said[FAULT], file=sys.stderr)
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(f"nodey ready on http://127.0.0.1:{listener.getsockname()[1]}", file=sys.stderr,
          flush=True)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=[sock], daemon=True).start()


main()
