"""The workers `streams` and `sockets` of protocol/vectors/README.md, in plain protocol.

Without an SDK: it shows that the transcripts ask for what the text of the protocol says. Each open
request is a generator that yields pieces of its answer, or None where it waits for input or time.
The first argument names a fault, so that whoever judges it can be judged.
"""

from __future__ import annotations

import base64
import json
import os
import select
import sys
import time
from typing import Any, Callable, Dict, Generator, List, Optional, Union
from urllib.parse import parse_qs

Message = Union[str, bytes]
Steps = Generator[Optional[Message], None, None]

FAULT = sys.argv[1] if len(sys.argv) > 1 else ""
WINDOW = 262144
TICK = 0.05


class Refused(Exception):
    """A WebSocket that is not accepted."""


def write(frame: Dict[str, Any]) -> None:
    os.write(OUT, json.dumps(frame).encode() + b"\n")


def bytes_of(frame: Dict[str, Any]) -> bytes:
    if "body64" in frame:
        return base64.b64decode(frame["body64"])
    return str(frame.get("body", "")).encode()


def body_of(piece: Message) -> Dict[str, str]:
    if isinstance(piece, str):
        return {"body": piece}
    return {"body64": base64.b64encode(piece).decode()}


class Exchange:
    """One open request."""

    def __init__(self, frame: Dict[str, Any], window: int) -> None:
        self.id = frame.get("id")
        self.path = frame["path"]
        self.query = {name: int(values[0]) for name, values in parse_qs(frame.get("query", "")).items()}
        self.headers = frame.get("headers", {})
        self.socket = "upgrade" in frame
        self.credit = window
        self.body = [bytes_of(frame)]
        self.body_ended = not frame.get("more")
        self.messages: List[Message] = []
        self.closed: Optional[int] = None
        self.taken = 0
        self.stopping = False
        self.status = 101 if self.socket else 200
        self.answer_headers: Dict[str, str] = {}
        self.trailers: Dict[str, str] = {}
        self.close = (1000, "")
        self.begun = False
        self.over = False
        self.left: List[Message] = []
        self.steps = HANDLERS.get(frame["path"], missing)(self)

    def read(self) -> bytes:
        """What has come of the body, which may now be followed by as much again."""
        data, self.body = b"".join(self.body), []
        self.taken += len(data)
        if self.taken >= WINDOW // 2 and not self.body_ended:
            write({"type": "credit", "id": self.id, "bytes": self.taken})
            self.taken = 0
        return data

    def begin(self) -> None:
        if not self.begun:
            self.begun = True
            write({"id": self.id, "status": self.status, "headers": self.answer_headers, "more": True})

    def say(self, piece: Message) -> None:
        """Sends what the credit allows; the rest waits in `left`."""
        self.begin()
        size = len(piece.encode() if isinstance(piece, str) else piece)
        if FAULT != "greedy" and (self.credit <= 0 or (size > self.credit and not self.socket)):
            self.left.append(piece)
            return
        self.credit -= size
        write({"type": "message" if self.socket else "chunk", "id": self.id, **body_of(piece)})
        if FAULT == "pieces-after-the-end":
            write({"type": "end", "id": self.id})

    def finish(self) -> None:
        self.begin()
        self.over = True
        if self.socket:
            code, reason = self.close
            write({"type": "end", "id": self.id, "code": code, "reason": reason})
        else:
            write({"type": "end", "id": self.id, **({"trailers": self.trailers} if self.trailers else {})})

    def fail(self, code: str, **members: Any) -> None:
        self.over = True
        write({"type": "error", "id": self.id, "code": code, **members})

    def run(self) -> None:
        """Goes on until it has to wait."""
        while not self.over:
            if self.left:
                if self.credit <= 0:
                    return
                self.say(self.left.pop(0))
                continue
            try:
                piece = next(self.steps)
            except StopIteration:
                return self.finish()
            except Refused:
                return self.fail("permission_denied")
            except Exception as problem:
                return self.fail("internal", message=str(problem))
            if piece is None:
                return
            self.say(piece)


def stream(x: Exchange) -> Steps:
    for i in range(x.query["n"]):
        yield chr(ord("a") + i)


def fails(x: Exchange) -> Steps:
    yield from stream(x)
    raise ValueError("as it should")


def pour(x: Exchange) -> Steps:
    for _ in range(x.query.get("size", 8192) // 256):
        yield b"x" * 256


def events(x: Exchange) -> Steps:
    x.answer_headers = {"content-type": "text/event-stream"}
    yield "data: one\n\n"
    yield "data: two\n\n"


def ticks(x: Exchange) -> Steps:
    x.answer_headers = {"content-type": "text/event-stream"}
    while not x.stopping:
        yield "data: tick\n\n"
        due = time.monotonic() + TICK
        while time.monotonic() < due and not x.stopping:
            yield None


def hints(x: Exchange) -> Steps:
    write({"type": "info", "id": x.id, "status": 103, "headers": {"link": "</a.css>; rel=preload"}})
    yield "done"


def trailers(x: Exchange) -> Steps:
    x.trailers = {"x-sum": "4"}
    yield "body"


def length(x: Exchange) -> Steps:
    size = len(x.read())
    while not x.body_ended:
        yield None
        size += len(x.read())
    yield str(size)


def mirror(x: Exchange) -> Steps:
    while True:
        data = x.read()
        if data:
            yield data
        elif x.body_ended:
            return
        else:
            yield None


def missing(x: Exchange) -> Steps:
    x.status = 404
    yield x.path


def early(x: Exchange) -> Steps:
    x.status = 401
    yield "no"


def echo(x: Exchange) -> Steps:
    x.begin()
    while x.messages or (x.closed is None and not x.stopping):
        yield x.messages.pop(0) if x.messages else None
    x.close = (1001 if x.stopping else 1000, "")


def bye(x: Exchange) -> Steps:
    x.close = (4001, "done")
    yield "hi"


def chat(x: Exchange) -> Steps:
    if "chat" in [name.strip() for name in x.headers.get("sec-websocket-protocol", "").split(",")]:
        x.answer_headers = {"sec-websocket-protocol": "chat"}
    yield from echo(x)


def refuse(x: Exchange) -> Steps:
    raise Refused
    yield


def boom(x: Exchange) -> Steps:
    x.begin()
    while not x.messages:
        yield None
    raise ValueError("as it should")


def flood(x: Exchange) -> Steps:
    for _ in range(x.query["n"]):
        yield "0123456789abcdef"


HANDLERS: Dict[str, Callable[[Exchange], Steps]] = {
    "/stream": stream, "/fails": fails, "/pour": pour, "/events": events, "/ticks": ticks,
    "/hints": hints, "/trailers": trailers, "/sum": length, "/whole": length, "/mirror": mirror,
    "/early": early, "/echo": echo, "/bye": bye, "/chat": chat, "/refuse": refuse, "/boom": boom,
    "/flood": flood,
}


class Worker:
    def __init__(self) -> None:
        self.open: Dict[int, Exchange] = {}
        self.window = WINDOW
        self.stopping = False

    def take(self, frame: Any) -> None:
        kind = frame.get("type") if isinstance(frame, dict) else None
        if kind is None and not is_request(frame):
            id = frame.get("id") if isinstance(frame, dict) else None
            complain(id)
        elif kind is None:
            exchange = Exchange(frame, self.window)
            exchange.stopping = self.stopping
            self.open[exchange.id] = exchange
        elif kind == "hello":
            self.window = frame["limits"]["window"]
        elif kind in ("drain", "shutdown"):
            self.stopping = True
            for exchange in self.open.values():
                exchange.stopping = True
        elif kind == "ask":
            write({"type": "error", "id": frame["id"], "code": "unimplemented"})
        elif is_bad(frame):
            complain(None)
        elif frame.get("id") in self.open:
            self.take_for(self.open[frame["id"]], frame)
        elif FAULT == "answers-strangers" and kind == "chunk":
            write({"type": "error", "id": frame["id"], "code": "not_found"})

    def take_line(self, line: bytes) -> None:
        try:
            frame = json.loads(line)
        except ValueError:
            complain(None)
        else:
            self.take(frame)

    def take_for(self, exchange: Exchange, frame: Dict[str, Any]) -> None:
        kind = frame["type"]
        if kind == "chunk":
            exchange.body.append(bytes_of(frame))
        elif kind == "end":
            exchange.body.append(bytes_of(frame))
            exchange.body_ended = True
            exchange.closed = frame.get("code", 1000)
        elif kind == "message":
            exchange.messages.append(frame["body"] if "body" in frame else bytes_of(frame))
        elif kind == "credit":
            exchange.credit += 0 if FAULT == "deaf-to-credit" else frame["bytes"]
        elif kind == "cancel" and FAULT != "deaf-to-cancel":
            exchange.fail("cancelled")

    def run(self) -> None:
        waiting = b""
        while True:
            for exchange in list(self.open.values()):
                exchange.run()
                if exchange.over:
                    del self.open[exchange.id]
            if self.stopping and not self.open:
                return
            if not select.select([0], [], [], TICK / 5 if self.open else None)[0]:
                continue
            data = os.read(0, 1 << 20)
            if not data:
                self.take({"type": "drain"})
            *lines, waiting = (waiting + data).split(b"\n")
            for line in filter(bytes.strip, lines):
                self.take_line(line)


def complain(id: Any) -> None:
    write({"type": "error", "id": id, "code": "invalid_argument", "message": "what is this?"})


def is_request(frame: Any) -> bool:
    return isinstance(frame, dict) and "method" in frame


def is_bad(frame: Dict[str, Any]) -> bool:
    if frame["type"] in ("chunk", "message"):
        return ("body" in frame) == ("body64" in frame)
    return frame["type"] == "credit" and frame.get("bytes", 0) < 1


OUT = int(os.environ.get("NODEY_FD", "1"))

if __name__ == "__main__":
    if "NODEY" in os.environ:
        features = ["stream", "ws", "cancel", "drain"]
        if FAULT == "undeclared-pieces":
            features.remove("stream")
        write({"type": "ready", "concurrency": 100, "features": features,
               "routes": [{"path": "/pour"}]})
    Worker().run()
