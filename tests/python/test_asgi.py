"""ASGI apps over the worker protocol: messages and their order, lifespan, WebSocket."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest
from process import ROOT, Worker
from test_wsgi import Download, body_of, chunk, upload

Write = Callable[..., Worker]

HEAD = """
import asyncio, json

async def start(send, kind=b"text/plain", **members):
    headers = [(b"Content-Type", kind)]
    await send({"type": "http.response.start", "status": 200, "headers": headers, **members})

async def body(send, data, more=False):
    await send({"type": "http.response.body", "body": data, "more_body": more})
"""


def serve(write: Write, text: str, head: str = HEAD, **options: Any) -> Worker:
    """An app whose body is this text; the worker is ready."""
    lines = "\n".join("    " + line for line in text.strip("\n").splitlines())
    guard = "    if scope['type'] == 'lifespan':\n        raise NotImplementedError\n"
    worker = write(f"{head}\nasync def app(scope, receive, send):\n{guard}{lines}\n", **options)
    worker.ready()
    return worker


def frames_of(worker: Worker) -> List[Dict[str, Any]]:
    """All frames of an answer that is about to come."""
    frames = [worker.next()]
    while frames[0].get("more") and frames[-1].get("type") not in ("end", "error"):
        frames.append(worker.next())
    return frames


# ------------------------------------------------------------------------ scope

SCOPE = """
shown = {key: value for key, value in scope.items() if key not in ("headers", "state")}
shown["raw_path"] = scope["raw_path"].decode()
shown["query_string"] = scope["query_string"].decode()
shown["headers"] = [[name.decode(), value.decode("latin-1")] for name, value in scope["headers"]]
shown["got"] = await receive() if scope["type"] == "http" else None
if shown["got"]:
    shown["got"]["body"] = shown["got"]["body"].decode()
await start(send)
await body(send, json.dumps(shown).encode())
"""


def scope_for(worker: Worker, **members: Any) -> Dict[str, Any]:
    worker.send({"id": 1, "method": "GET", "path": "/", **members})
    shown: Dict[str, Any] = json.loads(worker.next()["body"])
    return shown


def test_the_scope_of_a_request(write: Write) -> None:
    headers = {"host": "shop.test:81", "accept": ["a", "b"], "x_y": "caf\u00e9"}
    scope = scope_for(
        serve(write, SCOPE),
        method="POST",
        path="/caf%C3%A9/a%2Fb",
        query="x=%20",
        headers=headers,
        ip="203.0.113.9",
        scheme="https",
        body="hi",
    )
    assert scope["type"] == "http" and scope["asgi"]["version"] == "3.0"
    assert scope["http_version"] == "1.1" and scope["method"] == "POST"
    assert scope["path"] == "/café/a/b" and scope["raw_path"] == "/caf%C3%A9/a%2Fb"
    assert scope["query_string"] == "x=%20" and scope["root_path"] == ""
    assert scope["scheme"] == "https" and scope["server"] == ["shop.test", 81]
    assert scope["client"] == ["203.0.113.9", 0]
    assert scope["headers"] == [
        ["host", "shop.test:81"],
        ["accept", "a"],
        ["accept", "b"],
        ["x_y", "caf\u00e9"],
    ]
    assert scope["got"] == {"type": "http.request", "body": "hi", "more_body": False}
    names = {"http.response.pathsend", "http.response.early_hint", "http.response.trailers"}
    assert set(scope["extensions"]) == names


def test_the_scope_of_the_smallest_request(write: Write) -> None:
    scope = scope_for(serve(write, SCOPE))
    assert scope["headers"] == [] and scope["client"] is None and scope["query_string"] == ""
    assert scope["server"] == ["localhost", 80] and scope["scheme"] == "http"


@pytest.mark.parametrize("path", ["/shop/cart", "/cart"])
def test_the_path_has_its_root(write: Write, path: str) -> None:
    """Whether or not somebody in front has taken the root away."""
    script = HEAD + "async def app(scope, receive, send):\n"
    script += "\n".join("    " + line for line in SCOPE.strip().splitlines())
    worker = write(script + "\nimport nodey\nnodey.serve(app, None, '/shop', lifespan='off')\n")
    worker.ready()
    scope = scope_for(worker, path=path)
    assert (scope["root_path"], scope["path"]) == ("/shop", "/shop/cart")


def test_every_request_has_a_context_of_its_own(write: Write) -> None:
    text = """
await start(send)
before = seen.get(None)
seen.set(scope["path"])
await asyncio.sleep(0)
await body(send, f"{before} {seen.get()}".encode())
"""
    worker = serve(write, text, HEAD + "import contextvars\nseen = contextvars.ContextVar('s')\n")
    for id, path in enumerate(["/a", "/b"], 1):
        worker.get(path, id=id)
    assert {frame["body"] for frame in worker.next_of(2)} == {"None /a", "None /b"}


# ---------------------------------------------------------------------- answers


def test_start_and_body_are_one_line(write: Write) -> None:
    worker = serve(write, "await start(send)\nawait body(send, b'hi')")
    worker.get("/")
    assert worker.next() == {"id": 1, "headers": {"content-type": "text/plain"}, "body": "hi"}


def test_a_promised_length_is_one_line_too(write: Write) -> None:
    """Some frameworks end every answer with an empty piece."""
    text = """
headers = [(b"content-length", b"2")]
await send({"type": "http.response.start", "status": 200, "headers": headers})
await body(send, b"hi", True)
await body(send, b"")
assert (await receive())["type"] == "http.request"
assert (await receive())["type"] == "http.disconnect"
print("done")
"""
    worker = serve(write, text)
    worker.get("/")
    assert worker.next() == {"id": 1, "headers": {"content-length": "2"}, "body64": "aGk="}
    assert worker.end() == 0
    assert worker.errors() == "done\n"


def test_headers_of_the_same_name_stay_apart(write: Write) -> None:
    text = """
headers = [(b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"Transfer-Encoding", b"chunked"),
           (b"x", "caf\\u00e9".encode("latin-1"))]
await send({"type": "http.response.start", "status": 404, "headers": headers})
await send({"type": "http.response.body"})
"""
    worker = serve(write, text)
    worker.get("/")
    headers = {"set-cookie": ["a=1", "b=2"], "x": "caf\u00e9"}
    assert worker.next() == {"id": 1, "status": 404, "headers": headers}


def test_the_answer_does_not_wait_for_the_app_to_return(write: Write, tmp_path: Path) -> None:
    text = """
import os
await start(send)
await body(send, b"hi")
while not os.path.exists("go"):
    await asyncio.sleep(0.01)
await receive()
assert (await receive())["type"] == "http.disconnect"
print("done in the background")
"""
    worker = serve(write, text, cwd=tmp_path)
    worker.get("/")
    assert worker.next()["body"] == "hi"
    worker.send({"type": "drain"})
    (tmp_path / "go").touch()
    assert worker.wait() == 0
    assert "done in the background" in worker.errors()


def test_pieces_are_sent_as_they_come(write: Write) -> None:
    worker = serve(
        write,
        """
await start(send)
await body(send, b"one", True)
assert (await receive())["type"] == "http.request"
assert (await receive())["type"] == "http.disconnect"
""",
    )
    worker.get("/")
    assert worker.next()["body"] == "one"
    assert worker.silent_for(0.1)
    worker.send({"type": "cancel", "id": 1, "reason": "disconnect"})
    assert worker.next()["code"] == "cancelled" and not worker.failures


def test_an_empty_first_piece_sends_the_head(write: Write, tmp_path: Path) -> None:
    worker = serve(
        write,
        """
import os
await start(send)
await body(send, b"", True)
while not os.path.exists("go"):
    await asyncio.sleep(0.01)
await body(send, b"late", True)
await body(send, b"end")
""",
        cwd=tmp_path,
    )
    worker.get("/")
    head = worker.next()
    assert head["more"] is True and body_of(head) == b""
    (tmp_path / "go").touch()
    frames = [worker.next() for _ in range(3)]
    assert b"".join(map(body_of, frames)) == b"lateend" and frames[-1]["type"] == "end"


def test_a_long_answer_waits_for_credit(write: Write) -> None:
    worker = serve(
        write,
        """
await start(send, b"image/png")
for i in range(20):
    await body(send, bytes([i]) * 100000, True)
await body(send, b"")
""",
    )
    worker.send({"type": "hello", "protocol": 1, "limits": {"window": 131072, "chunk": 65536}})
    worker.get("/")
    download = Download(worker, 131072, 65536)
    assert download.run(1)["type"] == "end"
    expected = b"".join(bytes([i]) * 100000 for i in range(20))
    assert hashlib.sha256(download.body).digest() == hashlib.sha256(expected).digest()


def test_trailers(write: Write) -> None:
    worker = serve(
        write,
        """
await start(send, trailers=True)
await body(send, b"hi")
trailers = [(b"X-Sum", b"1")]
await send({"type": "http.response.trailers", "headers": trailers, "more_trailers": False})
""",
    )
    worker.get("/")
    frames = frames_of(worker)
    assert b"".join(map(body_of, frames)) == b"hi"
    assert frames[-1]["type"] == "end" and frames[-1]["trailers"] == {"x-sum": "1"}


def test_early_hints(write: Write) -> None:
    worker = serve(
        write,
        """
links = [b"</a.css>; rel=preload", b"</b.js>; rel=preload"]
await send({"type": "http.response.early_hint", "links": links})
await start(send)
await body(send, b"hi")
""",
    )
    worker.get("/")
    links = ["</a.css>; rel=preload", "</b.js>; rel=preload"]
    hint = {"type": "info", "id": 1, "status": 103, "headers": {"link": links}}
    assert worker.next() == hint
    assert b"".join(map(body_of, frames_of(worker))) == b"hi"


@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_file_by_its_path(write: Write, tmp_path: Path, is_allowed: bool) -> None:
    data = bytes(range(256)) * 1000
    (tmp_path / "data.bin").write_bytes(data)
    text = f"""
await start(send, b"image/png")
await send({{"type": "http.response.pathsend", "path": {str(tmp_path / "data.bin")!r}}})
"""
    worker = serve(write, text)
    if is_allowed:
        worker.send({"type": "hello", "protocol": 1, "limits": {}, "roots": [str(tmp_path)]})
    worker.get("/")
    if is_allowed:
        frame = worker.next()
        assert frame["file"] == str(tmp_path / "data.bin") and "body64" not in frame
    else:
        download = Download(worker, 262144, 65536)
        download.run(1)
        assert download.body == data and "file" not in download.frames[0]


# ---------------------------------------------------------------------- uploads

UPLOAD = """
import hashlib
await start(send)
digest, size, more = hashlib.sha256(), 0, True
while more:
    message = await receive()
    assert message["type"] == "http.request", message
    size += len(message["body"])
    digest.update(message["body"])
    more = message["more_body"]
await body(send, f"{size} {digest.hexdigest()}".encode())
"""


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 1500001])
def test_an_upload_in_pieces(write: Write, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    script = HEAD + "async def app(scope, receive, send):\n"
    script += "\n".join("    " + line for line in UPLOAD.strip().splitlines())
    script += "\nimport nodey\nnodey.serve(app, lifespan='off')\n"
    text = upload(write(script), data, {"content-length": str(size)})
    assert text == f"{size} {hashlib.sha256(data).hexdigest()}"


def test_pieces_that_come_with_their_request_are_not_lost(write: Write) -> None:
    """All in one write: the app has not begun when the pieces are read."""
    worker = serve(write, UPLOAD)
    head = {"id": 1, "method": "POST", "path": "/", "more": True, "body": "a"}
    worker.send(head, chunk(1, b"bc"), chunk(1, b"d", "end"))
    assert worker.next()["body"] == f"4 {hashlib.sha256(b'abcd').hexdigest()}"


def test_a_client_that_leaves_while_it_sends(write: Write) -> None:
    text = """
while True:
    message = await receive()
    print(message["type"], len(message.get("body", b"")))
    if message["type"] == "http.disconnect":
        return
"""
    worker = serve(write, text)
    worker.send({"id": 1, "method": "POST", "path": "/", "more": True}, chunk(1, b"abc"))
    assert worker.silent_for(0.2)
    worker.send({"type": "cancel", "id": 1, "reason": "disconnect"})
    assert worker.next()["code"] == "cancelled" and not worker.failures
    worker.end()
    assert worker.errors().split("\n")[:2] == ["http.request 3", "http.disconnect 0"]


def test_an_app_is_not_interrupted_by_a_client_that_leaves(write: Write, tmp_path: Path) -> None:
    text = """
import os
while not os.path.exists("go"):
    await asyncio.sleep(0.01)
await start(send)
await body(send, b"nobody reads this")
print("finished all the same")
"""
    worker = serve(write, text, cwd=tmp_path)
    worker.get("/")
    assert worker.silent_for(0.2)  # It has begun; before, it is not run at all.
    worker.send({"type": "cancel", "id": 1, "reason": "disconnect"})
    assert worker.silent_for(0.2)
    (tmp_path / "go").touch()
    assert worker.next()["id"] == 1
    worker.end()
    assert "finished all the same" in worker.errors()


def test_sending_to_a_client_that_has_left_is_an_oserror(write: Write) -> None:
    text = """
await start(send)
try:
    while True:
        await body(send, b"x", True)
        await asyncio.sleep(0.01)
except OSError as exc:
    print("seen", type(exc).__name__)
    raise
"""
    worker = serve(write, text)
    worker.get("/")
    assert worker.next()["more"] is True
    worker.send({"type": "cancel", "id": 1, "reason": "disconnect"})
    while True:
        frame = worker.next()
        if frame["type"] == "error":
            break
    assert frame["code"] == "cancelled" and not worker.failures
    worker.end()
    assert "seen ClientGone" in worker.errors()


def test_who_listens_hears_of_it_before_who_sends(write: Write) -> None:
    """So that a framework ends its stream in its own way, and goes on to what comes after."""
    text = """
async def stream():
    try:
        while True:
            await body(send, b"x", True)
    except OSError:
        print("the sender was first")
        raise

await receive()
await start(send)
task = asyncio.ensure_future(stream())
assert (await receive())["type"] == "http.disconnect"
task.cancel()
await asyncio.wait([task])
print("ended")
"""
    worker = serve(write, text)
    worker.get("/")
    while worker.next().get("type") != "chunk":
        pass
    worker.send({"type": "cancel", "id": 1, "reason": "disconnect"})
    while True:
        frame = worker.next()
        if frame.get("type") == "error":
            break
    assert frame["code"] == "cancelled" and not worker.failures
    worker.end()
    assert worker.errors() == "ended\n"


# ----------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "text, message",
    [
        ("pass", "returned too early: it has not sent 'http.response.start'"),
        ("await start(send)", "returned too early: it has not sent 'http.response.body'"),
        ("await start(send)\nawait body(send, b'x', True)", "without 'more_body'"),
        ("await body(send, b'x')", "'http.response.body' is not what comes next"),
        ("await start(send)\nawait start(send)", "'http.response.start' is not what comes next"),
        ("await start(send)\n1 / 0", "ZeroDivisionError"),
        ("await start(send)\nawait body(send, b'x', True)\n1 / 0", "ZeroDivisionError"),
        ("await send({'type': 'http.response.start', 'status': 99})\nawait body(send, b'')", "99"),
    ],
)
def test_mistakes_are_explained(write: Write, text: str, message: str) -> None:
    worker = serve(write, text)
    worker.get("/")
    frame = frames_of(worker)[-1]
    assert frame["type"] == "error" and message in frame["message"], frame
    assert len(worker.failures) == 1


def test_what_fails_after_the_answer_is_logged(write: Write) -> None:
    worker = serve(write, "await start(send)\nawait body(send, b'x')\n1 / 0")
    worker.get("/", id=1)
    assert worker.next()["body"] == "x"
    worker.get("/", id=2)
    assert worker.next()["id"] == 2, "and nothing more is said of the first"
    assert "ZeroDivisionError" in worker.failures[0]["message"]


# --------------------------------------------------------------------- lifespan

LIFESPAN = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        assert scope["state"] == {}
        assert await receive() == {"type": "lifespan.startup"}
        scope["state"]["db"] = ["opened"]
        print("starting")
        await send({"type": "lifespan.startup.complete"})
        assert await receive() == {"type": "lifespan.shutdown"}
        print("stopping")
        await send({"type": "lifespan.shutdown.complete"})
        return
    state = scope["state"]
    text = f"{state['db']} {state.get('mine')}"
    state["mine"] = 1
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": text.encode()})
"""


@pytest.mark.parametrize("end", ["drain", "input"])
def test_a_lifespan_surrounds_everything(write: Write, end: str) -> None:
    worker = write(LIFESPAN)
    worker.ready()
    for id in (1, 2):
        worker.get("/", id=id)
        assert body_of(worker.next()) == b"['opened'] None", "each request has a state of its own"
    if end == "drain":
        worker.send({"type": "drain", "grace": 1000})
        assert worker.wait() == 0
    else:
        assert worker.end() == 0
    assert worker.errors() == "starting\nstopping\n"


def failing(text: str) -> str:
    return f"""
import nodey

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        {text}
nodey.serve(app, lifespan=MODE)
"""


@pytest.mark.parametrize(
    "text, message",
    [
        (
            "await send({'type': 'lifespan.startup.failed', 'message': 'no database'})",
            "no database",
        ),
        (
            "await send({'type': 'lifespan.startup.failed', 'message': 'a\\nb: c'}); 1 / 0",
            "b: c",
        ),
    ],
)
def test_a_lifespan_that_fails_keeps_the_worker_from_starting(
    write: Write, text: str, message: str
) -> None:
    worker = write(failing(text).replace("MODE", "'auto'"))
    frame = worker.next()
    assert frame["type"] == "error" and frame["id"] is None
    assert frame["message"] == f"on_start lifespan failed: {message}"
    assert worker.end() == 1


@pytest.mark.parametrize("text", ["raise KeyError('lifespan?')", "return"])
def test_an_app_without_a_lifespan(write: Write, text: str) -> None:
    worker = write(failing(text).replace("MODE", "'auto'"))
    worker.ready()
    assert worker.end() == 0
    worker = write(failing(text).replace("MODE", "'on'"))
    assert "on_start lifespan failed" in worker.next()["message"]


def test_a_lifespan_that_fails_to_end_is_logged(write: Write) -> None:
    worker = write(
        LIFESPAN.replace(
            'await send({"type": "lifespan.shutdown.complete"})',
            'await send({"type": "lifespan.shutdown.failed", "message": "still open"})',
        )
    )
    worker.ready()
    worker.close_input()
    worker.process.wait(20)
    with pytest.raises(AssertionError):
        worker.next()
    assert "still open" in worker.failures[0]["message"]


# -------------------------------------------------------------------- WebSocket

ECHO = """
assert scope["type"] == "websocket" and "method" not in scope
assert (await receive()) == {"type": "websocket.connect"}
protocol = scope["subprotocols"][0] if scope["subprotocols"] else None
headers = [(b"X-Mine", b"1")]
await send({"type": "websocket.accept", "subprotocol": protocol, "headers": headers})
while True:
    message = await receive()
    if message["type"] == "websocket.disconnect":
        print("closed", message["code"], message["reason"])
        return
    assert type(message.get("text", "")) is str and type(message.get("bytes", b"")) is bytes
    if message.get("text") == "close":
        await send({"type": "websocket.close", "code": 4001, "reason": "as you like"})
        continue
    if message.get("text") == "boom":
        1 / 0
    if message.get("text") == "return":
        return
    await send({**message, "type": "websocket.send"})
"""


def connected(write: Write, text: str = ECHO, **headers: str) -> Worker:
    worker = serve(write, text)
    worker.get("/chat", upgrade="websocket", headers=headers)
    return worker


def test_messages_come_back(write: Write) -> None:
    worker = connected(write, **{"sec-websocket-protocol": "chat, other"})
    assert worker.next() == {
        "id": 1,
        "status": 101,
        "headers": {"x-mine": "1", "sec-websocket-protocol": "chat"},
        "more": True,
    }
    for member in ({"body": "hi é"}, {"body64": "AAE="}, {"body": ""}, {"body64": ""}):
        worker.send({"type": "message", "id": 1, **member})
        assert worker.next() == {"type": "message", "id": 1, **member}
    worker.send({"type": "end", "id": 1, "code": 4000, "reason": "bye"})
    assert worker.next()["type"] == "end"
    worker.end()
    assert "closed 4000 bye" in worker.errors()


def test_the_app_closes(write: Write) -> None:
    worker = connected(write)
    worker.next()
    worker.send({"type": "message", "id": 1, "body": "close"})
    assert worker.next() == {"type": "end", "id": 1, "code": 4001, "reason": "as you like"}
    worker.end()
    assert "closed" in worker.errors() and not worker.failures


@pytest.mark.parametrize("text, code", [("boom", 1011), ("return", 1000)])
def test_the_end_of_the_app_closes(write: Write, text: str, code: int) -> None:
    worker = connected(write)
    worker.next()
    worker.send({"type": "message", "id": 1, "body": text})
    assert worker.next() == {"type": "end", "id": 1, "code": code}
    assert len(worker.failures) == (1 if text == "boom" else 0)


def test_a_vanished_client_is_1006(write: Write) -> None:
    worker = connected(write)
    worker.next()
    worker.send({"type": "end", "id": 1, "code": 1006})
    assert worker.next()["type"] == "end"
    worker.end()
    assert "closed 1006" in worker.errors()


def test_a_websocket_that_is_cancelled_is_told_so(write: Write) -> None:
    worker = connected(write)
    worker.next()
    worker.send({"type": "cancel", "id": 1, "reason": "shutdown"})
    assert worker.next()["id"] == 1
    worker.end()
    assert "closed 1006" in worker.errors()


def test_a_drain_is_1001(write: Write) -> None:
    worker = connected(write)
    worker.next()
    worker.send({"type": "drain", "grace": 10000})
    assert worker.next() == {"type": "end", "id": 1, "code": 1001}
    assert worker.wait() == 0
    assert "closed 1001" in worker.errors()


def test_sending_to_a_closed_websocket_is_an_oserror(write: Write) -> None:
    worker = connected(
        write,
        """
await send({"type": "websocket.accept"})
try:
    while True:
        await send({"type": "websocket.send", "text": "x" * 50000})
        await asyncio.sleep(0)
except OSError as exc:
    print("seen", type(exc).__name__)
    raise
""",
    )
    assert worker.next()["status"] == 101
    size = 0
    while size < 262144:
        size += len(worker.next()["body"])
    assert worker.silent_for(0.2), "it sends without credit"
    worker.send({"type": "end", "id": 1, "code": 1006})
    assert worker.next()["type"] == "end"
    worker.end()
    assert "seen ClientGone" in worker.errors() and not worker.failures


def test_a_refusal_is_403(write: Write) -> None:
    worker = connected(write, "await receive()\nawait send({'type': 'websocket.close'})")
    frame = worker.next()
    assert frame["status"] == 403 and not frame.get("more")


def test_a_refusal_with_an_answer(write: Write) -> None:
    worker = connected(
        write,
        """
await receive()
assert "websocket.http.response" in scope["extensions"]
headers = [(b"www-authenticate", b"Basic")]
await send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
await send({"type": "websocket.http.response.body", "body": b"who ", "more_body": True})
await send({"type": "websocket.http.response.body", "body": b"are you?"})
""",
    )
    frames = frames_of(worker)
    assert frames[0]["status"] == 401 and frames[0]["headers"]["www-authenticate"] == "Basic"
    assert b"".join(map(body_of, frames)) == b"who are you?"


@pytest.mark.parametrize("text", ["await receive()", "1 / 0"])
def test_an_app_that_says_nothing_is_an_error(write: Write, text: str) -> None:
    worker = connected(write, text)
    assert worker.next()["code"] == "internal" and len(worker.failures) == 1


@pytest.mark.parametrize(
    "text", ["await send({'type': 'websocket.send', 'text': 'x'})", "await start(send)"]
)
def test_the_order_of_a_websocket_is_checked(write: Write, text: str) -> None:
    worker = connected(write, text)
    assert "may come before 'websocket.accept'" in worker.next()["message"]


def test_messages_are_granted_again(write: Write) -> None:
    worker = connected(write)
    worker.next()
    data = base64.b64encode(b"x" * 60000).decode()
    frames = []
    for _ in range(3):
        worker.send({"type": "message", "id": 1, "body64": data})
        while not frames or frames[-1]["type"] != "message":
            frames.append(worker.next())
        worker.send({"type": "credit", "id": 1, "bytes": 60000})
        frames.append({"type": "-"})
    granted = [frame["bytes"] for frame in frames if frame["type"] == "credit"]
    assert granted == [180000]


# ------------------------------------------------------------------------ drain


@pytest.mark.parametrize("listens", [True, False])
def test_a_stream_of_events_ends_when_nodey_drains(write: Write, listens: bool) -> None:
    waits = "await receive(); await receive()" if listens else "await asyncio.sleep(0.02)"
    text = f"""
await start(send, b"text/event-stream")
while True:
    await body(send, b"data: 1\\n\\n", True)
    {waits}
    {"return" if listens else ""}
"""
    worker = serve(write, text)
    worker.get("/")
    assert worker.next()["body"] == "data: 1\n\n"
    worker.send({"type": "drain", "grace": 10000})
    while True:
        frame = worker.next()
        if frame["type"] == "end":
            break
        assert frame["type"] == "chunk"
    assert worker.wait() == 0 and not worker.failures


# ------------------------------------------------------------------ message order

STRICT = ROOT / "tests" / "system" / "pyapps" / "strict_asgi.py"


def test_the_order_of_messages_is_that_of_the_specification(write: Write) -> None:
    worker = write(STRICT.read_text())
    worker.ready()
    worker.send({"id": 1, "method": "GET", "path": "/", "headers": {"accept": "*/*"}})
    assert b"".join(map(body_of, frames_of(worker))) == b"0 bytes"
    worker.send({"id": 2, "method": "POST", "path": "/", "more": True}, chunk(2, b"abc"))
    worker.send(chunk(2, b"d", "end"))
    assert b"".join(map(body_of, frames_of(worker))) == b"4 bytes"
    worker.get("/", id=3, upgrade="websocket")
    assert worker.next()["status"] == 101
    worker.send({"type": "message", "id": 3, "body": "hi"})
    assert worker.next() == {"type": "end", "id": 3, "code": 1000}
    assert worker.end() == 0
    assert worker.failures == [] and worker.errors() == ""
