"""A worker that publishes and handles as fast as it can, and tells a journal what it does.

Its one word is the folder that it shares with the driver: `plan.json` there says which life of
nodey this is and what to publish again, `journal` takes a line for each thing that happens.
The journal is opened to append, so its lines are in the order in which they were written,
whoever wrote them, and a kill loses none.  A line is written *before* what it tells of is done
where that may become known to others: a publish, an answer; and after, where others did it.
A kill may cut a write short, so that each line begins after a line's end and ends with " .":
what was to be done after a line that is cut was not done.

    R life pid             a worker is ready
    P id topic key at      is about to publish; key and at may be "-"
    A id seq duplicate     was told that it is stored
    E id code              was told that it is not
    D group seq id key attempt pid at of   was given it; `of` names what it is an output of
    S group seq id verdict pid             is about to answer: ack, nack, dead
    X text                 something is wrong
"""

from __future__ import annotations

import heapq
import json
import os
import random
import select
import sys
import time
from typing import Any

FOLDER = sys.argv[1]
PLAN = json.load(open(os.path.join(FOLDER, "plan.json"), encoding="utf-8"))
JOURNAL = os.open(os.path.join(FOLDER, "journal"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
PID = os.getpid()
MAX = {"plain": 16, "keyed": 8, "sink": 32, "short": 16, "work": 4}
BIG = 300_000

rng = random.Random(f"{PLAN['seed']}.{PLAN['life']}.{PID}")
notes: list[str] = []
frames: list[str] = []
timers: list[tuple[float, int, tuple[Any, ...]]] = []
flying: dict[str, str] = {}
made = 0


def emit(frame: dict[str, Any]) -> None:
    frames.append(json.dumps(frame, separators=(",", ":")))


def flush() -> None:
    """The journal first: whoever learns of a frame finds its line there."""
    if notes:
        data = "".join(f"\n{line} .\n" for line in notes).encode()
        assert os.write(JOURNAL, data) == len(data)
        notes.clear()
    data = ("\n".join(frames) + "\n").encode() if frames else b""
    frames.clear()
    while data:
        data = data[os.write(1, data):]


# ------------------------------------------------------------------------------ publishing


def publish(ident: str, topic: str, key: str, at: str) -> None:
    notes.append(f"P {ident} {topic} {key} {at}")
    flying[ident] = topic
    frame: dict[str, Any] = {"type": "publish", "id": ident, "msgid": ident}
    frame["queue" if topic == "work" else "topic"] = topic
    if key != "-":
        frame["key"] = key
    if at != "-":
        frame["at"] = int(at)
    big = BIG if ident.endswith("000") else rng.randrange(200)
    emit({**frame, "data": {"id": ident, "pad": "x" * big}})


def publish_new() -> None:
    """One of the kinds that there are."""
    global made
    made += 1
    ident = f"{PLAN['life']}.{PID}.{made if rng.random() > 0.002 else made * 1000}"
    kind = rng.random()
    topic = "work" if kind < 0.15 else "short.a" if kind < 0.25 else \
        "fact.sdk" if kind < 0.3 else f"fact.t{rng.randrange(4)}"
    key = "-" if topic == "work" or rng.random() < 0.4 else f"k{rng.randrange(12)}"
    soon = str(int(time.time() * 1000) + rng.randrange(20, 300))
    publish(ident, topic, key, soon if rng.random() < 0.05 else "-")


def publish_on() -> None:
    while PLAN["publish"] and made < PLAN["most"] and len(flying) < 24:
        publish_new()


def published(frame: dict[str, Any]) -> None:
    ident = frame["id"]
    flying.pop(ident, None)
    if frame["type"] == "ack":
        notes.append(f"A {ident} {frame.get('seq', 0)} {int(frame.get('duplicate', False))}")
    else:
        notes.append(f"E {ident} {frame.get('code')}")


# -------------------------------------------------------------------------------- handling


def content(event: dict[str, Any]) -> dict[str, Any]:
    if "file" in event:
        with open(event["file"], encoding="utf-8") as file:
            found = json.load(file)
    else:
        found = event["data"]
    assert isinstance(found, dict)
    return found


def fate(group: str, ident: str, attempt: int) -> str:
    """What becomes of it depends on its id alone, so that each attempt knows."""
    chance = random.Random(f"{group} {ident}").random()
    if group in ("sink", "short"):
        return "ack"
    if chance < 0.01:
        return "dead"
    if chance < 0.02:
        return "nack"
    return "nack" if chance < 0.05 and attempt == 1 else "ack"


def answer(group: str, seq: int, ident: str, frame: Any, verdict: str) -> None:
    notes.append(f"S {group} {seq} {ident} {verdict} {PID}")
    if verdict == "ack":
        out = {} if group in ("sink", "short", "keyed") else \
            {"publish": [{"topic": f"out.{group}", "data": {"of": ident, "group": group}}]}
        emit({"type": "ack", "id": frame, **out})
    else:
        emit({"type": "nack", "id": frame, "error": {"name": "Planned", "message": verdict},
              **({"dead": True} if verdict == "dead" else {})})


def handle(event: dict[str, Any]) -> None:
    group, seq, attempt = event["group"], event["seq"], event["attempt"]
    data = content(event)
    of = f"{data['group']}:{data['of']}" if "of" in data else "-"
    ident = event.get("msgid", str(seq))
    if of == "-" and data["id"] != ident:
        notes.append(f"X {group} {seq}: msgid {ident}, data of {data['id']}")
    notes.append(f"D {group} {seq} {ident} {event.get('key', '-')} {attempt} {PID} "
                 f"{int(time.time() * 1000)} {of}")
    todo = (group, seq, ident, event["id"], fate(group, ident, attempt))
    if rng.random() < 0.2:
        heapq.heappush(timers, (time.monotonic() + rng.random() * 0.015, event["id"], todo))
    else:
        answer(*todo)


def take(frame: dict[str, Any]) -> None:
    kind = frame.get("type")
    if kind == "event":
        handle(frame)
    elif kind in ("ack", "error"):
        published(frame)
    elif kind == "ping":
        emit({"type": "pong", "id": frame["id"]})
    elif kind == "hello":
        if frame["instance"] == 0:
            for again in PLAN["resend"]:
                publish(*again)
        publish_on()


def run_timers() -> float:
    while timers and timers[0][0] <= time.monotonic():
        answer(*heapq.heappop(timers)[2])
    return max(timers[0][0] - time.monotonic(), 0) if timers else 60


def ready() -> None:
    handling = {"from": "first", "attempts": 3, "backoff": [20, 40]}
    topics = {"plain": "fact.>", "keyed": "fact.>", "sink": "out.>", "short": "short.>"}
    emit({"type": "ready", "concurrency": 200, "features": ["events", "ping"],
          "subscribe": [{"topic": topic, "group": group, "max": MAX[group], **handling}
                        for group, topic in topics.items()],
          "jobs": [{"queue": "work", "max": MAX["work"], "attempts": 3, "backoff": [20, 40]}]})
    notes.append(f"R {PLAN['life']} {PID}")


def main() -> None:
    ready()
    kept = b""
    while True:
        wait = run_timers()
        flush()
        if not select.select([0], [], [], wait)[0]:
            continue
        read = os.read(0, 1 << 18)
        if not read:
            return
        *lines, kept = (kept + read).split(b"\n")
        for line in lines:
            take(json.loads(line))
        publish_on()


main()
