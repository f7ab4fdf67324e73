"""A worker that says what it was given: descriptors, process group, signals, environment."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any


def open_fds() -> list[int]:
    found = []
    for fd in range(1024):
        try:
            os.fstat(fd)
            found.append(fd)
        except OSError:
            pass
    return found


def ignored() -> list[int]:
    with open("/proc/self/status") as file:
        mask = next(int(line.split()[1], 16) for line in file if line.startswith("SigIgn"))
    return [number for number in range(1, 65) if mask >> (number - 1) & 1]


def emit(frame: dict[str, Any]) -> None:
    os.write(1, json.dumps(frame).encode() + b"\n")


FOUND = {
    "fds": open_fds(),
    "leads_its_group": os.getpgrp() == os.getpid(),
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "ignored": ignored(),
    "env": dict(os.environ),
}

emit({"type": "ready"})
for line in sys.stdin:
    emit({"id": json.loads(line)["id"], "json": FOUND})
