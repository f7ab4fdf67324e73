"""Answers with text that is worth compressing.  By hand, one request after the other.

    /whole?size=N      N bytes of text in one line
    /pieces?n=N&gap=S  N pieces of text with a pause between them
    /hold?size=N       one piece of N bytes, and never an end

    h=NAME: VALUE      a field of the answer, as often as one likes; text/plain by default
    status=N
    X-Run of an answer counts the requests.
"""

from __future__ import annotations

import json
import sys
import time
from urllib.parse import parse_qs


def put(frame: dict) -> None:
    sys.stdout.buffer.write(json.dumps(frame).encode() + b"\n")
    sys.stdout.buffer.flush()


def text(size: int) -> str:
    lines = "".join(f"{i * i * 2654435761 % 1000003} is a line\n" for i in range(size // 8 + 1))
    return lines[:size]


def answer(frame: dict, run: int) -> None:
    query = parse_qs(frame.get("query", ""))
    headers = {"content-type": "text/plain", "x-run": str(run)}
    for field in query.get("h", []):
        name, _, value = field.partition(": ")
        headers[name.lower()] = value
    head = {"id": frame["id"], "status": int(query.get("status", ["200"])[0]),
            "headers": {name: value for name, value in headers.items() if value != "-"}}
    size = int(query.get("size", ["0"])[0])
    if frame["path"] == "/whole":
        put({**head, "body": text(size)} if size else head)
        return
    put({**head, "more": True})
    if frame["path"] == "/hold":
        put({"type": "chunk", "id": frame["id"], "body": text(size)})
        return
    for i in range(int(query["n"][0])):
        put({"type": "chunk", "id": frame["id"], "body": f"data: piece {i}\n\n"})
        time.sleep(float(query.get("gap", ["0"])[0]))
    put({"type": "end", "id": frame["id"]})


put({"type": "ready", "protocol": 1, "features": ["stream", "cancel"], "concurrency": 8,
     "routes": [{"path": f"/{name}"} for name in ("whole", "pieces", "hold")]})
runs = 0
for line in sys.stdin.buffer:
    request = json.loads(line)
    if request.get("type") == "cancel":
        put({"type": "error", "id": request["id"], "code": "cancelled", "message": "gone"})
    elif "path" in request:
        runs += 1
        answer(request, runs)
