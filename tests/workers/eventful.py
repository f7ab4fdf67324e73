"""A worker that handles events and jobs as their data says, and publishes what it is told to.

The first word is a file, to which a line of JSON is appended for each frame that comes; the
second is what `ready` has beside its type and features, as JSON.

What to do with an event stands in its data, when that is an object:

    {"ms": 50}          handles it for so long
    {"nack": {...}}     answers with a nack of these members
    {"until": 3}        nacks attempts below this one
    {"error": "text"}   answers with an error frame
    {"out": [...]}      publishes these with its ack
    {"die": true}       kills itself, SIGKILL; {"die": 3}: on attempts below this one
    {"hang": true}      never answers, but takes no notice of a cancel either
    {"obey": true}      answers nothing until it is cancelled, and then nacks
    {"progress": 5}     says so many times, every "ms", that it lives, and then acks
    {"line": "..."}     writes this line instead of an answer, ID stands for the id
    {"now": {...}}      publishes this for the event, and then acks

Its routes: POST send writes the body, an object, gives it an id if it has none, and answers
with what comes for that id; POST write writes the body as it is and answers at once; GET pid.
"""

from __future__ import annotations

import heapq
import json
import os
import select
import signal
import sys
import time
from typing import Any, Callable

JOURNAL = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
READY = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}

timers: list[tuple[float, int, Callable[[], None]]] = []
waiting: dict[str, int] = {}  # The request that waits for what comes for an id of ours.
obedient: set[int] = set()
counter = 0


def write(text: str) -> None:
    data = text.encode() + b"\n"
    while data:
        data = data[os.write(1, data):]


def emit(frame: dict[str, Any]) -> None:
    write(json.dumps(frame, ensure_ascii=False, separators=(",", ":")))


def note(line: str, frame: dict[str, Any]) -> None:
    entry = {"pid": os.getpid(), "at": time.time(), "frame": frame, "line": line}
    os.write(JOURNAL, json.dumps(entry).encode() + b"\n")


def number() -> int:
    global counter
    counter += 1
    return counter


def later(ms: float, act: Callable[[], None]) -> None:
    heapq.heappush(timers, (time.monotonic() + ms / 1000, number(), act))


def answer(event: dict[str, Any], do: dict[str, Any]) -> None:
    ident = event["id"]
    if "line" in do:
        write(do["line"].replace("ID", str(ident)))
    elif "nack" in do or event["attempt"] < do.get("until", 0):
        members = do.get("nack") or {"error": {"name": "Flaky", "message": "not yet"}}
        emit({"type": "nack", "id": ident, **members})
    elif "error" in do:
        emit({"type": "error", "id": ident, "code": "internal", "message": do["error"]})
    else:
        if "now" in do:
            emit({"type": "publish", "for": ident, **do["now"]})
        out = {"publish": do["out"]} if "out" in do else {}
        emit({"type": "ack", "id": ident, **out})


def live_on(event: dict[str, Any], do: dict[str, Any], left: int) -> None:
    if left == 0:
        answer(event, do)
        return
    emit({"type": "progress", "id": event["id"]})
    later(do["ms"], lambda: live_on(event, do, left - 1))


def handle(event: dict[str, Any]) -> None:
    if "id" not in event:
        return
    do = event.get("data")
    do = do if isinstance(do, dict) else {}
    die = do.get("die")
    if die is True or (die and event["attempt"] < die):
        os.kill(os.getpid(), signal.SIGKILL)
    if do.get("obey"):
        obedient.add(event["id"])
    elif "progress" in do:
        live_on(event, do, do["progress"])
    elif not do.get("hang"):
        later(do.get("ms", 0), lambda: answer(event, do))


def respond(ident: int, value: Any) -> None:
    emit({"id": ident, "json": value})


def serve(request: dict[str, Any]) -> None:
    verb = request["path"].rpartition("/")[2]
    body = request.get("body", "")
    if verb == "send":
        frame = json.loads(body)
        ident = frame.setdefault("id", f"p{number()}")
        waiting[json.dumps(ident)] = request["id"]
        emit(frame)
    elif verb == "write":
        write(body)
        respond(request["id"], "written")
    else:
        respond(request["id"], os.getpid())


def take(line: str) -> None:
    frame = json.loads(line)
    note(line, frame)
    kind = frame.get("type")
    if kind == "event":
        handle(frame)
    elif kind == "cancel" and frame["id"] in obedient:
        emit({"type": "nack", "id": frame["id"], "error": {"message": frame["reason"]}})
    elif kind == "ping":
        emit({"type": "pong", "id": frame["id"]})
    elif kind in ("ack", "error") and json.dumps(frame["id"]) in waiting:
        respond(waiting.pop(json.dumps(frame["id"])), frame)
    elif kind is None:
        serve(frame)


def run_timers() -> float:
    while timers and timers[0][0] <= time.monotonic():
        heapq.heappop(timers)[2]()
    return max(timers[0][0] - time.monotonic(), 0) if timers else 60


def main() -> None:
    emit({"type": "ready", "concurrency": 100, "features": ["events", "cancel", "drain", "ping"],
          **READY})
    kept = b""
    while True:
        if select.select([0], [], [], run_timers())[0]:
            read = os.read(0, 65536)
            if not read:
                break
            *lines, kept = (kept + read).split(b"\n")
            for line in lines:
                take(line.decode())
    while timers:  # What it has is finished before it goes.
        time.sleep(run_timers())


main()
