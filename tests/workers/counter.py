"""Counts its runs, and answers as the query says.

    ?sleep=SECONDS   first waits
    ?size=BYTES      that many bytes of text instead of the JSON below
    ?status=CODE     with that status
    ?h=NAME:VALUE    with that field; may come several times
    ?end=WORD        does not answer: "die", "raise" (an error frame), "broken" (no header)
    ?say=FILE        reads these from the JSON object in that file instead

The JSON is {"run": how many runs so far, and the frame's members}.  Its arguments are the
routes that it declares ("/a/*", "GET /b").
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs


def put(frame: dict) -> None:
    sys.stdout.write(json.dumps(frame) + "\n")
    sys.stdout.flush()


def answer(frame: dict, run: int, wish: dict) -> dict:
    time.sleep(float(wish.get("sleep", ["0"])[0]))
    end = wish.get("end", [""])[0]
    if end == "die":
        os._exit(7)
    if end == "raise":
        return {"id": frame["id"], "type": "error", "code": "internal", "message": "on purpose"}
    headers: dict[str, list[str]] = {"x-run": [str(run)]}
    for field in wish.get("h", []):
        name, _, value = field.partition(":")
        headers.setdefault(name, []).append(value)
    if end == "broken":
        headers["a b"] = ["no name"]
    said = "x" * int(wish["size"][0]) if "size" in wish else json.dumps({"run": run, **frame})
    return {"id": frame["id"], "status": int(wish.get("status", ["200"])[0]),
            "headers": headers, "body": said}


def main() -> None:
    routes = []
    for word in sys.argv[1:]:
        method, _, path = word.rpartition(" ")
        routes.append({"path": path, "method": method} if method else {"path": path})
    put({"type": "ready", "routes": routes})
    run = 0
    for line in sys.stdin:
        frame = json.loads(line)
        if frame.get("type") == "shutdown":
            break
        if "path" in frame:
            run += 1
            wish = parse_qs(frame.get("query", ""))
            if "say" in wish:
                wish = json.loads(Path(wish["say"][0]).read_text())
            put(answer(frame, run, wish))


main()
