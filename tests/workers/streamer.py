"""Speaks the protocol of bodies in pieces by hand.  One thread, one request after the other.

    words on the command line: concurrency=N window=BYTES features=a,b,c

    /sink                takes the body at its pace: answers {"size", "sha1", "pieces", "line"}
    /sink?hold=S         waits so long before it takes the first byte
    /sink?rate=BYTES     takes so many bytes a second
    /sink?refuse=STATUS  answers at once, without taking the body
    /echo                sends the body back, piece by piece
    /count?n=N&gap=S     "0\n" ... in pieces, with a pause after each
    /zeros?size=N        so many zero bytes, as fast as credit comes
    /parts?parts=JSON    these frames, each with the id put in; then nothing: write an end
    /file?answer=JSON    these members in the answer
    /greedy              sends 12 MB without waiting for credit
    /burst               upgraded: 200000 bytes with the 101, and 8000000 as credit comes
    /hello               "hello"
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
import time
from collections import deque
from urllib.parse import parse_qsl

CHUNK = 65536
options = dict(word.split("=", 1) for word in sys.argv[1:])
concurrency = int(options.get("concurrency", "1"))
window = int(options.get("window", "262144"))
features = options.get("features", "stream,cancel,ping,drain,sendfile,upgrade").split(",")
requests: deque[dict] = deque()
pieces: deque[dict] = deque()
credit: dict[int, int] = {}
cancelled: set[int] = set()
answer_window = 262144


def put(frame: dict) -> None:
    rest = memoryview(json.dumps(frame).encode() + b"\n")
    while rest:
        rest = rest[os.write(1, rest):]


def read() -> None:
    """One line, sorted."""
    global answer_window
    line = sys.stdin.buffer.readline()
    if not line:
        os._exit(0)
    frame = json.loads(line)
    kind = frame.get("type", "request")
    if kind == "hello":
        answer_window = frame["limits"]["window"]
    elif kind == "ping":
        put({"type": "pong", "id": frame["id"]})
    elif kind == "cancel":
        cancelled.add(frame["id"])
    elif kind == "credit":
        credit[frame["id"]] = credit.get(frame["id"], answer_window) + frame["bytes"]
    elif kind in ("chunk", "end"):
        pieces.append(frame)
    elif kind == "request":
        requests.append(frame)
    elif kind == "shutdown":
        os._exit(0)


def body_of(frame: dict) -> bytes:
    if "body64" in frame:
        return base64.b64decode(frame["body64"], validate=True)
    return frame.get("body", "").encode()


class Cancelled(Exception):
    pass


class Request:
    def __init__(self, frame: dict) -> None:
        self.frame = frame
        self.id = frame["id"]
        self.query = dict(parse_qsl(frame.get("query", "")))
        self.more = frame.get("more", False)
        self.first = body_of(frame)
        self.owed = len(self.first)
        credit[self.id] = answer_window

    def body(self):
        """The pieces of its body; grants credit for what has been taken."""
        if self.first:
            yield self.first
        while self.more:
            while not any(piece["id"] == self.id for piece in pieces):
                if self.id in cancelled:
                    raise Cancelled
                read()
            piece = next(piece for piece in pieces if piece["id"] == self.id)
            pieces.remove(piece)
            self.more = piece["type"] != "end"
            self.trailers = piece.get("trailers")
            bytes = body_of(piece)
            self.owed += len(bytes)
            if bytes:
                yield bytes
            if self.owed >= window // 2 and self.more:
                put({"type": "credit", "id": self.id, "bytes": self.owed})
                self.owed = 0

    def begin(self, status: int = 200, **members: object) -> None:
        put({"id": self.id, "status": status, **members, "more": True})

    def chunk(self, bytes: bytes) -> None:
        while len(bytes) > credit[self.id]:
            if self.id in cancelled:
                raise Cancelled
            read()
        credit[self.id] -= len(bytes)
        put({"type": "chunk", "id": self.id, "body64": base64.b64encode(bytes).decode()})

    def end(self, **members: object) -> None:
        put({"type": "end", "id": self.id, **members})

    def reply(self, value: object, status: int = 200) -> None:
        put({"id": self.id, "status": status, "json": value})


def sink(request: Request) -> None:
    if "refuse" in request.query:
        request.reply({"refused": True}, int(request.query["refuse"]))
        return
    time.sleep(float(request.query.get("hold", "0")))
    size, count, sha1 = 0, 0, hashlib.sha1()
    rate = float(request.query.get("rate", "0"))
    for piece in request.body():
        size += len(piece)
        count += 1
        sha1.update(piece)
        if rate:
            time.sleep(len(piece) / rate)
    line = {key: value for key, value in request.frame.items() if key not in ("body", "body64")}
    request.reply({"size": size, "pieces": count, "sha1": sha1.hexdigest(), "line": line,
                   "trailers": getattr(request, "trailers", None)})


def echo(request: Request) -> None:
    request.begin(headers={"content-type": "application/octet-stream"})
    for piece in request.body():
        request.chunk(piece)
    request.end()


def count(request: Request) -> None:
    request.begin(headers={"content-type": "text/event-stream"})
    for n in range(int(request.query["n"])):
        request.chunk(b"%d\n" % n)
        time.sleep(float(request.query.get("gap", "0")))
    request.end()


def zeros(request: Request) -> None:
    left = int(request.query["size"])
    headers = {"content-length": str(left)} if "length" in request.query else {}
    request.begin(headers=headers)
    while left:
        request.chunk(bytes(min(left, CHUNK)))
        left -= min(left, CHUNK)
    request.end()


def parts(request: Request) -> None:
    for frame in json.loads(request.query["parts"]):
        put({**frame, "id": request.id})


def greedy(request: Request) -> None:
    request.begin()
    for _ in range(200):
        credit[request.id] = CHUNK
        request.chunk(bytes(CHUNK))
    request.end()


def burst(request: Request) -> None:
    request.begin(101, headers={"upgrade": request.frame["upgrade"]}, body="x" * 200000)
    credit[request.id] -= 200000
    for _ in range(160):
        request.chunk(b"x" * 50000)
    request.end()


def file(request: Request) -> None:
    put({"id": request.id, **json.loads(request.query["answer"])})


def up(request: Request) -> None:
    """Sends back what comes, in capitals, until "bye"."""
    request.begin(101, headers={"upgrade": request.frame["upgrade"], "x-who": "me"})
    request.more = True
    for piece in request.body():
        request.chunk(piece.upper())
        if piece == b"bye":
            break
    request.end()


def hello(request: Request) -> None:
    put({"id": request.id, "body": "hello"})


def serve(frame: dict) -> None:
    request = Request(frame)
    handler = globals()[frame["path"].strip("/").split("/")[-1]]
    try:
        handler(request)
    except Cancelled:
        sys.stderr.write(f"cancelled {frame['path']}\n")
        put({"type": "error", "id": request.id, "code": "cancelled"})
    cancelled.discard(request.id)


put({"type": "ready", "concurrency": concurrency, "window": window, "features": features,
     "routes": [{"path": "/*"}]})
while True:
    while not requests:
        read()
    serve(requests.popleft())
