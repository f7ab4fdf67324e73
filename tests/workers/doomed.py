"""A worker that comes to nothing: the way is the first word.

    exit CODE       ends at once
    trace           dies of an exception, with a traceback
    error TEXT      says why it cannot start, as the protocol wants it, and ends
    mute            lives and never says `ready`
    after SECONDS   is ready, answers, and ends after so long, again and again
    protocol        wants a protocol version that nobody speaks

A further word journal=FILE: a line is appended at each start.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

WAY = sys.argv[1]
REST = [word for word in sys.argv[2:] if not word.startswith("journal=")]


def emit(frame: dict[str, Any]) -> None:
    os.write(1, json.dumps(frame).encode() + b"\n")


def note_start() -> None:
    for word in sys.argv[2:]:
        if word.startswith("journal="):
            fd = os.open(word[len("journal="):], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            os.write(fd, f"{os.getpid()} start {time.monotonic():.3f}\n".encode())
            os.close(fd)


def serve_for(seconds: float) -> None:
    timer = threading.Timer(seconds, os._exit, [1])
    timer.daemon = True
    timer.start()
    emit({"type": "ready"})
    for line in sys.stdin.buffer:
        frame = json.loads(line)
        if "method" in frame:
            query = frame.get("query", "")
            emit({"id": frame["id"], "body": query.partition("id=")[2].partition("&")[0]})


def main() -> None:
    note_start()
    if WAY == "exit":
        sys.exit(int(REST[0]))
    elif WAY == "trace":
        raise ValueError("the moon is in the wrong house")
    elif WAY == "error":
        emit({"type": "error", "id": None, "code": "failed_precondition", "message": REST[0]})
        sys.exit(1)
    elif WAY == "mute":
        sys.stdin.buffer.read()
    elif WAY == "after":
        serve_for(float(REST[0]))
    elif WAY == "protocol":
        emit({"type": "ready", "protocol": 99})
        sys.stdin.buffer.read()


main()
