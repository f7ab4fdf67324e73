"""A worker that does as it is told: its first argument is Python to run at the start, the
body of a request and the args of an ask are Python to run then.  See rig.h.
"""

from __future__ import annotations

import base64
import json
import os
import signal  # noqa: F401  # for what tests say
import sys
from time import sleep  # noqa: F401
from typing import Any

frames: list[dict[str, Any]] = []  # read and not begun
stack: list[dict[str, Any]] = []  # what is being worked on, the innermost last
held: list[int] = []
cancelled: list[int] = []
answers: dict[int, dict[str, Any]] = {}
pieces: list[dict[str, Any]] = []
count = 0
asked = 0


def put(text: str) -> None:
    rest = memoryview(text.encode() + b"\n")
    while rest:
        rest = rest[os.write(1, rest):]


def ready(**members: Any) -> None:
    put(json.dumps({"type": "ready", **members}))


def me() -> int:
    return stack[-1]["id"]


def reply(body: str = "ok", id: int | None = None) -> None:
    put(json.dumps({"id": me() if id is None else id, "body": body}))


def fail(code: str, message: str = "it failed", id: int | None = None) -> None:
    put(json.dumps({"type": "error", "id": me() if id is None else id, "code": code,
                    "message": message}))


def answer(value: Any) -> None:
    put(json.dumps({"type": "answer", "id": me(), "value": value}))


def hold() -> None:
    held.append(me())


def note(path: str) -> None:
    """Adds a line, whole, to a file that several workers write to."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(fd, f"{os.getpid()}\n".encode())
    os.close(fd)


def read() -> dict[str, Any]:
    line = sys.stdin.buffer.readline()
    if not line:
        os._exit(0)
    return json.loads(line)


def sort(frame: dict[str, Any]) -> None:
    """What need not wait for its turn is dealt with at once."""
    kind = frame.get("type", "request")
    if kind == "cancel":
        cancelled.append(frame["id"])
    elif kind == "ping":
        put(json.dumps({"type": "pong", "id": frame["id"]}))
    elif kind == "ask" and frame.get("nested"):
        run(frame)
    elif kind in ("answer", "error"):
        answers[frame["id"]] = frame
    elif kind in ("ask", "request"):
        frames.append(frame)
    elif kind in ("chunk", "end", "credit", "message"):
        pieces.append(frame)


def piece(*kinds: str) -> dict[str, Any]:
    """The next frame of these kinds that is for what is worked on."""
    while True:
        for frame in pieces:
            if frame["type"] in kinds and frame["id"] == me():
                pieces.remove(frame)
                return frame
        sort(read())


def text_of(frame: dict[str, Any]) -> str:
    return frame["body"] if "body" in frame else base64.b64decode(frame.get("body64", "")).decode()


def begin(body: str = "", **members: Any) -> None:
    put(json.dumps({"id": me(), "status": 200, **members, "more": True, "body": body}))


def chunk(body: str) -> None:
    put(json.dumps({"type": "chunk", "id": me(), "body": body}))


def end(**members: Any) -> None:
    put(json.dumps({"type": "end", "id": me(), **members}))


def credit(size: int) -> None:
    put(json.dumps({"type": "credit", "id": me(), "bytes": size}))


def ask(token: str, args: Any = None, wait: bool = True, **members: Any) -> Any:
    """The answer's value, or "CODE: message"."""
    global asked
    asked += 1
    id = asked
    put(json.dumps({"type": "ask", "id": id, "token": token, **members, "args": args}))
    while wait and id not in answers:
        sort(read())
    got = answers.pop(id, {})
    return got["value"] if "value" in got else f"{got.get('code')}: {got.get('message')}"


def run(frame: dict[str, Any]) -> None:
    global count
    count += 1
    stack.append(frame)
    exec(frame["body"] if "body" in frame else frame["args"], globals())
    stack.pop()


exec(sys.argv[1], globals())
while True:
    while not frames:
        sort(read())
    run(frames.pop(0))
