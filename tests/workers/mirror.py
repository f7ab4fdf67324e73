"""Answers each request with the frame that it came in, as JSON, or as the query says.

    ?sleep=SECONDS   first waits
    ?size=BYTES      that many bytes of text instead
    ?status=CODE     with that status
    ?answer=JSON     these members in the answer's frame
"""

from __future__ import annotations

import json
import sys
import time
from urllib.parse import parse_qsl


def put(frame: dict) -> None:
    sys.stdout.write(json.dumps(frame) + "\n")
    sys.stdout.flush()


put({"type": "ready", "routes": [{"path": "/*"}]})
for line in sys.stdin:
    frame = json.loads(line)
    if "path" not in frame:
        if frame.get("type") == "shutdown":
            break
        continue
    query = dict(parse_qsl(frame.get("query", "")))
    time.sleep(float(query.get("sleep", "0")))
    answer = {"id": frame["id"], "status": int(query.get("status", "200"))}
    answer["body"] = "x" * int(query["size"]) if "size" in query else json.dumps(frame)
    answer.update(json.loads(query.get("answer", "{}")))
    put(answer)
