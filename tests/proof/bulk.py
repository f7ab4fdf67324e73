"""A worker for much at once: it publishes so many as it is told to, and counts what comes.

Its word is JSON: `ready`, what is said beside the type, `pause`, milliseconds for which an event
of that group is held before it is acked; a negative pause is for ever; and `late`, a file that
takes a line for each delayed event: how late it came, in ms, and its name.

    POST /NAME/flood   {"count", "window", "topic" or "queue", "size", "key", "msgid", "delays"}:
                       publishes so many, at most `window` of them unanswered; answers with
                       {"acked", "duplicates", "codes", "seqs", "ms", "slowest"} when all are
    GET /NAME/counts   {"counts": by group}
    POST /NAME/free    what is held is acked from now on at once
"""

from __future__ import annotations

import heapq
import json
import os
import select
import sys
import time
from collections import Counter
from typing import Any

WORD = json.loads(sys.argv[1])
PAUSE: dict[str, float] = WORD.get("pause", {})
LATE = os.open(WORD.get("late", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

out = bytearray()
timers: list[tuple[float, int]] = []
held: list[int] = []
counts: Counter[str] = Counter()
floods: dict[str, "Flood"] = {}


def emit(frame: dict[str, Any]) -> None:
    out.extend(json.dumps(frame, separators=(",", ":")).encode() + b"\n")


class Flood:
    """One request to publish much."""

    def __init__(self, ident: int, order: dict[str, Any]) -> None:
        self.ident, self.order, self.name = ident, order, f"f{ident}-{os.getpid()}"
        self.sent = self.answered = self.acked = self.duplicates = 0
        self.codes: Counter[str] = Counter()
        self.seqs: set[int] = set()
        self.began = time.monotonic()
        self.begun: dict[str, float] = {}
        self.slowest = 0.0
        floods[self.name] = self

    def go_on(self) -> None:
        most = self.order.get("window", 64)
        while self.sent < self.order["count"] and self.sent - self.answered < most \
                and len(out) < 1 << 20:
            self.send()

    def send(self) -> None:
        order = self.order
        ident = f"{self.name}/{self.sent}"
        frame: dict[str, Any] = {"type": "publish", "id": ident}
        for name in ("topic", "queue", "key", "msgid"):
            if order.get(name):
                frame[name] = order[name]
        data: dict[str, Any] = {"n": self.sent, "pad": "x" * order.get("size", 100)}
        if "delays" in order:
            low, high = order["delays"]
            frame["delay"] = low + (high - low) * self.sent // order["count"]
            data["due"] = int(time.time() * 1000) + frame["delay"]
            data["name"] = ident
        self.sent += 1
        self.begun[ident] = time.monotonic()
        emit({**frame, "data": data})

    def take(self, frame: dict[str, Any]) -> None:
        self.answered += 1
        self.slowest = max(self.slowest, time.monotonic() - self.begun.pop(frame["id"]))
        if frame["type"] == "ack":
            self.acked += 1
            self.duplicates += frame.get("duplicate", False)
            self.seqs.add(frame.get("seq", 0))
        else:
            self.codes[frame.get("code", "?")] += 1
        if self.answered == self.order["count"]:
            del floods[self.name]
            emit({"id": self.ident, "json": {
                "acked": self.acked, "duplicates": self.duplicates, "codes": self.codes,
                "seqs": len(self.seqs), "ms": 1000 * (time.monotonic() - self.began),
                "slowest": 1000 * self.slowest}})


def handle(event: dict[str, Any]) -> None:
    counts[event["group"]] += 1
    data = event.get("data")
    if isinstance(data, dict) and "due" in data:
        os.write(LATE, f"{time.time() * 1000 - data['due']:.1f} {data['name']}\n".encode())
    pause = PAUSE.get(event["group"], 0)
    if pause > 0:
        heapq.heappush(timers, (time.monotonic() + pause / 1000, event["id"]))
    elif pause < 0:
        held.append(event["id"])
    else:
        emit({"type": "ack", "id": event["id"]})


def serve(request: dict[str, Any]) -> None:
    verb = request["path"].rpartition("/")[2]
    if verb == "flood":
        Flood(request["id"], json.loads(request["body"]))
        return
    if verb == "free":
        PAUSE.clear()
        for ident in held + [ident for _, ident in timers]:
            emit({"type": "ack", "id": ident})
        held.clear()
        timers.clear()
    emit({"id": request["id"], "json": {"counts": counts}})


def take(frame: dict[str, Any]) -> None:
    kind = frame.get("type")
    if kind == "event":
        handle(frame)
    elif kind in ("ack", "error"):
        flood = floods.get(str(frame["id"]).partition("/")[0])
        if flood:
            flood.take(frame)
    elif kind == "ping":
        emit({"type": "pong", "id": frame["id"]})
    elif kind is None:
        serve(frame)


def run_timers() -> float:
    while timers and timers[0][0] <= time.monotonic():
        emit({"type": "ack", "id": heapq.heappop(timers)[1]})
    return max(timers[0][0] - time.monotonic(), 0) if timers else 60


def main() -> None:
    """Reads always, and writes when it can: who waits for neither cannot be blocked for ever."""
    os.set_blocking(1, False)
    emit({"type": "ready", "concurrency": 100, "features": ["events", "ping"],
          **WORD.get("ready", {})})
    kept = b""
    while True:
        wait = run_timers()
        for flood in list(floods.values()):
            flood.go_on()
        readable, writable, _ = select.select([0], [1] if out else [], [], wait)
        if writable:
            del out[:os.write(1, out[:1 << 16])]
        if not readable:
            continue
        read = os.read(0, 1 << 18)
        if not read:
            return
        *lines, kept = (kept + read).split(b"\n")
        for line in lines:
            take(json.loads(line))


main()
