"""A worker of events and jobs with one fault, named by the first word; without a word it has none.

Like faulty.py: what a fault changes is all that differs from a right worker.  It refuses what is
no object, and publishes with its ack.
"""

from __future__ import annotations

import json
import os
import select
import sys
from typing import Any, Iterator, Optional

FAULT = sys.argv[1] if len(sys.argv) > 1 else ""

had: dict[int, int] = {}  # The id of the first attempt of a seq.
kept: list[dict[str, Any]] = []  # Events that are ended when nothing else is to be read.


def emit(frame: dict[str, Any]) -> None:
    print(json.dumps(frame), flush=True)


def ready() -> None:
    frame: dict[str, Any] = {"type": "ready", "concurrency": 8,
                             "features": ["events", "cancel", "drain", "ping"],
                             "subscribe": [{"topic": "order.*", "max": 4}, {"topic": "user.>", "each": True}],
                             "jobs": [{"queue": "mail", "attempts": 3}]}
    if FAULT == "undeclared":
        frame["features"].remove("events")
    elif FAULT == "bad-pattern":
        frame["subscribe"][0]["topic"] = "order..paid"
    elif FAULT == "bad-queue":
        frame["jobs"][0]["queue"] = "mail.*"
    emit(frame)


def outputs(event: dict[str, Any]) -> Any:
    if FAULT == "bad-topic":
        return [{"topic": "order seen", "data": 1}]
    if FAULT == "no-topic":
        return [{"data": 1}]
    if FAULT == "no-list":
        return {"topic": "order.seen"}
    if FAULT == "too-many":
        return [{"topic": "order.seen"}] * 1025
    return [{"topic": "order.seen", "data": event["data"]}, {"queue": "mail", "key": None, "data": {}}]


def id_of(event: dict[str, Any]) -> Any:
    first = had.setdefault(event["seq"], event["id"])
    if FAULT == "by-seq":
        return event["seq"]
    if FAULT == "old-id":
        return first
    return str(event["id"]) if FAULT == "string-id" else event["id"]


def refuse(event: dict[str, Any], message: str) -> None:
    emit({"type": "nack", "id": id_of(event), "error": {"name": "ValueError", "message": message}})


def settle(event: dict[str, Any]) -> None:
    known = {"type", "id", "topic", "queue", "group", "seq", "time", "attempt", "last", "msgid", "key",
             "cause", "correlation", "traceparent", "headers", "timeout", "data", "file", "size"}
    if FAULT == "strict" and set(event) - known:
        refuse(event, "an unknown member")
    elif not isinstance(event["data"], dict):
        if FAULT == "dies":
            raise ValueError("an object is wanted")
        if FAULT == "bad-nack":
            emit({"type": "nack", "id": event["id"], "error": "an object is wanted"})
        else:
            refuse(event, "an object is wanted")
    elif FAULT == "response":
        emit({"id": event["id"], "body": "done"})
    elif not (FAULT == "never" or FAULT == "no-jobs" and "queue" in event):
        for _ in range(2 if FAULT == "twice" else 1):
            emit({"type": "ack", "id": id_of(event), "publish": outputs(event)})
        if FAULT == "publishes-badly":
            emit({"type": "publish", "topic": "order.*", "data": 1})


def handle(event: dict[str, Any]) -> None:
    if "id" not in event:
        if FAULT == "answers-each":
            emit({"type": "ack", "id": event["seq"]})
    elif FAULT == "busy" and kept:
        return
    elif FAULT in ("busy", "forgets-cancelled"):
        kept.append(event)
    else:
        settle(event)


def read() -> Iterator[Optional[str]]:
    """Lines, and None when there is time to end what is kept."""
    rest = b""
    while True:
        if kept and not select.select([0], [], [], 0.05)[0]:
            yield None
            continue
        data = os.read(0, 65536)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line.decode()


def take(line: str) -> None:
    try:
        frame = json.loads(line) if line.strip() else {"type": "blank"}
        kind = frame.get("type") or ("request" if "method" in frame else "malformed")
    except (ValueError, AttributeError):
        frame, kind = {}, "malformed"
    if kind == "event":
        handle(frame)
    elif kind == "cancel" and FAULT == "forgets-cancelled":
        kept[:] = [one for one in kept if one["id"] != frame["id"]]
    elif kind == "gap" and FAULT == "answers-gap":
        emit({"type": "ack", "id": 1})
    elif kind == "ping":
        emit({"type": "pong", "id": frame["id"]})
    elif kind == "request":
        emit({"id": frame["id"], "status": 404})
    elif kind == "ask":
        emit({"type": "error", "id": frame["id"], "code": "unimplemented"})
    elif kind == "malformed":
        emit({"type": "error", "id": frame.get("id"), "code": "invalid_argument", "message": "no frame"})
    elif kind in ("drain", "shutdown"):
        sys.exit()


def main() -> None:
    if "NODEY" in os.environ:
        ready()
    for line in read():
        if line is not None:
            take(line)
        while line is None and kept:
            settle(kept.pop(0))


main()
