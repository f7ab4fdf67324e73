"""A worker with one fault, named by the first word; without a word it has none.

It declares all features and speaks the protocol by hand.  Only what a fault changes
differs from a right worker, so that whoever judges it can be judged by the fault.
"""

from __future__ import annotations

import json
import os
import re
import select
import sys
import time
from typing import Any, Optional

FAULT = sys.argv[1] if len(sys.argv) > 1 else ""
LEVEL0 = "level0" in sys.argv
OUT = open(os.dup(1), "wb", buffering=1 << 16)

waiting: list[Any] = []  # frames that came while an ask waited for its answer
unread = b""  # of the input


def put(text: str) -> None:
    data = text.encode("latin-1" if FAULT == "latin1" else "utf-8")
    OUT.write(data + (b"" if FAULT == "no-line-end" else b"\n"))
    if FAULT != "buffered":
        OUT.flush()


def emit(frame: Any) -> None:
    put(json.dumps(frame, ensure_ascii=False, indent=2 if FAULT == "pretty" else None))


def ready() -> None:
    frame: dict[str, Any] = {"type": "ready", "routes": [{"path": "/faulty/:name"}]}
    if not LEVEL0:
        frame.update(features=["cancel", "ask", "nested", "ping", "drain"],
                     tokens=["Mirror"], prefetch=4)
    if FAULT == "bad-ready":
        frame["concurrency"] = "4"
    if FAULT == "undeclared-ask":
        frame["features"].remove("ask")
    put(json.dumps(frame))
    OUT.flush()


def read(line: str) -> Optional[dict[str, Any]]:
    if not line.strip():
        return None
    try:
        frame = json.loads(line)
        if not isinstance(frame, dict) or "type" not in frame and "method" not in frame:
            raise ValueError
        return frame
    except ValueError:
        found = re.match(r'\{"id":(\d+)', line)
        if FAULT == "dies-of-a-bad-line":
            raise
        emit({"type": "error", "id": int(found[1]) if found and line.rstrip().endswith("}")
              else None, "code": "invalid_argument", "message": "no frame"})
        return None


def next_line() -> str:
    """One line with its end; nothing at the end of the input."""
    global unread
    limit = 1 << 16 if FAULT == "short-lines" else 1 << 30
    while b"\n" not in unread and len(unread) < limit:
        piece = os.read(0, 1 << 16)
        if not piece:
            break
        unread += piece
    end = min(unread.find(b"\n") + 1 or len(unread), limit)
    line, unread = unread[:end], unread[end:]
    return line.decode()


def has_more() -> bool:
    return b"\n" in unread or bool(select.select([0], [], [], 0.02)[0])


def next_frame() -> Optional[dict[str, Any]]:
    """The next frame; None at the end of the input."""
    while True:
        line = next_line()
        if not line:
            return None
        frame = read(line)
        if frame is not None:
            if FAULT == "greedy-id" and "method" in frame:
                frame["id"] = int(re.findall(r'"id":"?(\d+)', line)[-1])
            return frame


def ask(request: dict[str, Any]) -> None:
    """Asks, and serves what may be served until the answer is there."""
    emit({"type": "ask", "id": "a1", "for": 424242 if FAULT == "ask-for-nothing" else
          request["id"], "token": "Other", "args": None})
    while FAULT != "asks-and-forgets":
        frame = next_frame()
        if frame is None or frame.get("id") == "a1":
            if FAULT == "hangs-after-an-ask":
                time.sleep(60)
            return
        if FAULT != "never-nested" and frame.get("type") in ("ping", "ask"):
            handle(frame)
        else:
            waiting.append(frame)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    frame: dict[str, Any] = {"id": request["id"], "json": {"path": request["path"]}}
    if FAULT == "string-id":
        frame["id"] = str(frame["id"])
    elif FAULT == "no-id":
        del frame["id"]
    elif FAULT == "wrong-id":
        frame["id"] += 1
    elif FAULT == "rounded-id":
        frame["id"] = int(float("%.9g" % frame["id"]))
    elif FAULT == "bad-header":
        frame["headers"] = {"x-name": "two\r\nlines"}
    elif FAULT == "bad-status":
        frame["status"] = 42
    elif FAULT == "streams":
        frame["more"] = True
    elif FAULT == "latin1":
        frame["json"]["path"] = "caf\u00e9"
    return frame


def serve(request: dict[str, Any]) -> None:
    if FAULT == "strict" and set(request) - {"id", "timeout", "method", "path", "query",
                                             "headers", "ip", "params", "body", "body64"}:
        raise ValueError("an unknown member")
    if FAULT == "chatters":
        put("serving")
    if not LEVEL0:
        ask(request)
    if FAULT == "unescaped" and "body" in request:
        put('{"id":%d,"body":"%s"}' % (request["id"], request["body"]))
        return
    for _ in range(2 if FAULT == "twice" else 1):
        emit(answer(request))
    if FAULT == "one-shot":
        sys.exit(0)


def handle(frame: dict[str, Any]) -> None:
    kind = frame.get("type")
    if kind is None:
        if FAULT == "last-first" and has_more():
            later = next_frame()
            if later is not None and "method" in later:
                handle(later)
            elif later is not None:
                waiting.append(later)
        serve(frame)
    elif kind == "ping" and FAULT != "no-pong":
        emit({"type": "pong", "id": frame["id"]})
    elif kind == "ask" and frame["token"] == "Mirror":
        if FAULT == "answers-an-ask-as-a-request":
            emit({"id": frame["id"], "json": frame.get("args")})
        elif FAULT != "ignores-asks":
            emit({"type": "answer", "id": frame["id"], "value": frame.get("args")})
    elif kind == "ask":
        emit({"type": "error", "id": frame["id"], "code": "unimplemented"})
    elif kind == "cancel" and FAULT == "answers-a-cancel-twice":
        emit({"type": "error", "id": frame["id"], "code": "cancelled"})
    elif kind in ("drain", "shutdown") and FAULT != "never-drains":
        sys.exit(3 if FAULT == "exits-with-3" else 0)
    elif kind == "hello" and FAULT == "answers-hello":
        emit({"type": "answer", "id": 1, "value": "hello"})
    elif kind == "spool" and FAULT == "unknown-type":
        emit({"type": "error", "id": None, "code": "unimplemented", "message": "what?"})


def main() -> None:
    if FAULT == "start-error":
        emit({"type": "error", "id": None, "code": "failed_precondition",
              "message": "DATABASE_URL is not set"})
        sys.exit(1)
    if FAULT == "crash":
        raise RuntimeError("a bug at the start")
    if FAULT != "silent" and "NODEY" in os.environ:
        ready()
    while True:
        frame = waiting.pop(0) if waiting else next_frame()
        if frame is None:
            break
        handle(frame)
    if FAULT == "never-ends":
        time.sleep(60)


main()
