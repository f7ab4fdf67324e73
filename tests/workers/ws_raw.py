"""WebSockets without an SDK: the frames of the protocol themselves.

What it does with a socket is said by its path:

    /echo              every message goes back
    /proto?name=NAME   the same, with that subprotocol
    /cookie            the same, with fields of its own
    /refuse?status=N   not accepted
    /end?code=N&reason=TEXT&at=open|message      closes it; code=- leaves the code out
    /push?count=N&size=BYTES&pause=SECONDS       sends so many texts, then closes
    /sink              takes messages, and gives no credit for them
    /error?at=open|message                       answers with an error frame
    /die               ends the process with the first message
    /stray             sends a frame that does not belong there
    /keep              does not answer the end

A plain GET is answered with what was seen, as JSON: for each closed socket its path, code and
reason, and how many messages it had; the largest overdraft of credit; and what /report was last
sent.  /page is a page for a browser, which talks to the paths above and reports.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Union
from urllib.parse import parse_qsl

WINDOW = int(os.environ.get("WS_WINDOW", "262144"))

FILES = {"/page": ("ws_page.html", "text/html"), "/talk.js": ("ws_talk.js", "text/javascript")}

limits = {"window": 262144}
seen: dict[str, Any] = {"closed": [], "open": 0, "overdraft": 0, "cancels": 0, "report": None}
sockets: dict[int, "Socket"] = {}


def put(frame: dict[str, Any]) -> None:
    data = memoryview((json.dumps(frame) + "\n").encode())
    while data:
        data = data[os.write(1, data):]


class Socket:
    def __init__(self, frame: dict[str, Any]) -> None:
        self.id = frame["id"]
        self.path = frame["path"]
        self.query = dict(parse_qsl(frame.get("query", "")))
        self.given = WINDOW  # credit of the client, as far as it is left
        self.taken = 0
        self.credit = limits["window"]
        self.waiting: list[Union[str, bytes]] = []
        self.messages = 0
        self.ending = False

    def begin(self) -> None:
        if self.path == "/refuse":
            put({"id": self.id, "status": int(self.query["status"]), "body": "no"})
            return
        if self.path == "/error" and self.query["at"] == "open":
            put({"type": "error", "id": self.id, "code": "internal", "message": "not today"})
            return
        headers: dict[str, Any] = {}
        if self.path == "/proto":
            headers["sec-websocket-protocol"] = self.query["name"]
        if self.path == "/cookie":
            headers = {"set-cookie": ["a=1", "b=2"], "sec-websocket-extensions": "x-forged"}
        put({"id": self.id, "status": 101, "headers": headers, "more": True})
        sockets[self.id] = self
        seen["open"] += 1
        if self.path == "/end" and self.query.get("at") == "open":
            self.end()
        elif self.path == "/push":
            size = int(self.query["size"])
            for n in range(int(self.query["count"])):
                self.send(f"{n:08d}" + "x" * (size - 8))
                time.sleep(float(self.query.get("pause", "0")))
            self.ending = True
            self.flush()
        elif self.path == "/stray":
            put({"type": "chunk", "id": self.id, "body": "what is this?"})

    def send(self, message: Union[str, bytes]) -> None:
        self.waiting.append(message)
        self.flush()

    def flush(self) -> None:
        while self.waiting and self.credit > 0:
            message = self.waiting.pop(0)
            frame: dict[str, Any] = {"type": "message", "id": self.id}
            if isinstance(message, str):
                self.credit -= len(message.encode())
                frame["body"] = message
            else:
                self.credit -= len(message)
                frame["body64"] = base64.b64encode(message).decode()
            put(frame)
        if self.ending and not self.waiting and self.id in sockets:
            self.end()

    def end(self) -> None:
        frame: dict[str, Any] = {"type": "end", "id": self.id}
        if self.query.get("code", "-") != "-":
            frame["code"] = int(self.query["code"])
        if "reason" in self.query:
            frame["reason"] = self.query["reason"]
        put(frame)
        self.close(None, None)

    def close(self, code: Any, reason: Any) -> None:
        sockets.pop(self.id, None)
        seen["open"] -= 1
        seen["closed"].append({"path": self.path, "code": code, "reason": reason,
                               "messages": self.messages})

    def message(self, frame: dict[str, Any]) -> None:
        message = frame["body"] if "body" in frame else base64.b64decode(frame["body64"])
        size = len(message.encode() if isinstance(message, str) else message)
        if self.given <= 0:
            seen["overdraft"] = max(seen["overdraft"], size - self.given)
        self.given -= size
        self.messages += 1
        if self.path == "/die":
            os._exit(3)
        if self.path == "/error":
            put({"type": "error", "id": self.id, "code": "internal", "message": "not today"})
            self.close(None, None)
            return
        if self.path == "/end":
            self.end()
            return
        if self.path == "/sink":
            return
        self.send(message)
        self.taken += size
        if self.taken >= WINDOW // 2:
            put({"type": "credit", "id": self.id, "bytes": self.taken})
            self.given += self.taken
            self.taken = 0


def take(frame: dict[str, Any]) -> None:
    kind = frame.get("type")
    socket = sockets.get(frame.get("id", -1))
    if kind == "hello":
        limits["window"] = frame.get("limits", {}).get("window", 262144)
    elif kind == "ping":
        put({"type": "pong", "id": frame["id"]})
    elif kind is None and frame.get("upgrade") == "websocket":
        Socket(frame).begin()
    elif kind is None and frame["path"] in FILES:
        name, content_type = FILES[frame["path"]]
        put({"id": frame["id"], "headers": {"content-type": content_type},
             "body": Path(__file__).with_name(name).read_text()})
    elif kind is None:
        if frame["path"] == "/report":
            seen["report"] = json.loads(frame["body"])
        put({"id": frame["id"], "json": {**seen, "given": {s.id: s.given for s in sockets.values()},
                                         "request": frame}})
    elif kind == "cancel":
        seen["cancels"] += 1
        put({"type": "error", "id": frame["id"], "code": "cancelled"})
    elif socket and kind == "message":
        socket.message(frame)
    elif socket and kind == "credit":
        socket.credit += frame["bytes"]
        socket.flush()
    elif socket and kind == "end":
        socket.close(frame.get("code"), frame.get("reason"))
        if socket.path != "/keep":
            put({"type": "end", "id": frame["id"]})


put({"type": "ready", "concurrency": 1000, "window": WINDOW, "features": ["stream", "ws", "cancel"],
     "routes": [{"path": "/*"}]})
for line in sys.stdin:
    take(json.loads(line))
time.sleep(float(os.environ.get("WS_LINGER", "0")))
