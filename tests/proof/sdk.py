"""As worker.py, by the SDK: a group of its own, whose outputs go with the ack."""

from __future__ import annotations

import os
import time

import nodey

JOURNAL = os.open(os.path.join(os.environ["PROOF_FOLDER"], "journal"),
                  os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def note(*words: object) -> None:
    os.write(JOURNAL, f"\n{' '.join(map(str, words))} .\n".encode())


@nodey.on("fact.sdk", group="python", from_="first", attempts=5, backoff=[20])
def handle(event: nodey.Event) -> None:
    note("D", "python", event.seq, event.id, event.key or "-", event.attempt, os.getpid(),
         int(time.time() * 1000), "-")
    if event.data["id"] != event.id:
        note("X", "python", event.seq, "has other data")
    nodey.publish("out.python", {"of": event.id, "group": "python"})
    note("S", "python", event.seq, event.id, "ack", os.getpid())
