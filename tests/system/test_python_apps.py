"""Unmodified Python apps behind the real binary, with the clients that people use.

Each app of pyapps/ does the same in its framework's own way, so the same tests are run
against all of them.  Nothing in them knows of nodey.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import time
from contextlib import suppress
from pathlib import Path
from signal import SIGTERM
from socket import SHUT_RDWR
from typing import Any, Callable, Dict, Iterator, Tuple

import httpx
import pytest
import requests
import websockets
from app import App
from timing import slow, until
from websockets.sync.client import ClientConnection, connect

pytestmark = pytest.mark.outside

Nodey = Callable[..., App]
Started = Tuple[App, Path]

APPS = Path(__file__).resolve().parent / "pyapps"
BLOCKING = ["flask", "django"]
ASYNC = ["fastapi", "starlette", "quart"]
SOCKETS = ASYNC
ALL = [*BLOCKING, *ASYNC, "django-asgi"]

CONFIG = {
    "django": 'app = "shop.wsgi:application"',
    "django-asgi": 'app = "shop.asgi:application"',
}


@pytest.fixture
def start(nodey: Nodey, tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """start("flask", ...) runs that app in one process and returns nodey and its folder."""

    def begin(name: str, config: str = "", **options: Any) -> Started:
        folder = tmp_path / "site"
        if name.startswith("django"):
            shutil.copytree(APPS / "django_app", folder)
        else:
            folder.mkdir()
            shutil.copy(APPS / f"{name}_app.py", folder / "app.py")
        (folder / "data.bin").write_bytes(bytes(range(256)) * 1200)
        what = CONFIG.get(name, 'script = "app.py"')
        (folder / "nodey.toml").write_text(f"[workers.shop]\n{what}\ninstances = 1\n{config}\n")
        return nodey(folder=folder, **options), folder

    yield begin


def url(app: App, path: str) -> str:
    return f"http://127.0.0.1:{app.port}{path}"


def client_of(app: App) -> httpx.Client:
    return httpx.Client(base_url=url(app, ""), timeout=slow(30))


@pytest.mark.parametrize("name", ALL)
def test_pages_forms_cookies_and_sessions(start: Callable[..., Started], name: str) -> None:
    app, _ = start(name)
    with client_of(app) as client:
        answer = client.get("/hello", params={"name": "Zoë & co"})
        assert answer.json() == {"hello": "Zoë & co"}
        assert answer.headers["content-type"].startswith("application/json")
        if name != "fastapi":  # Which has no HEAD unless it is declared.
            size = len(client.get("/hello").content)
            assert client.head("/hello").headers["content-length"] == str(size)
        fields = {"a": "1 + 1", "b": "é"}
        assert client.post("/form", data=fields).json() == fields
        assert client.get("/me").text == "nobody"
        answer = client.post("/login", data={"user": "ann"})
        assert answer.status_code == 303 and answer.headers["location"] == "/me"
        assert client.get("/me").text == "ann", "the session is in a cookie"
        assert client.get("/cookies").text == "none"
        assert client.get("/cookies").text == "yes"
        assert client.get("/missing").status_code == 404
        assert client.post("/hello").status_code == 405 or name.startswith("django")
    session = requests.Session()
    assert session.post(url(app, "/login"), data={"user": "bob"}).text == "bob"
    answer = session.get(url(app, "/cookies"))
    assert sorted(cookie.name for cookie in answer.cookies) == ["other", "seen"]


@pytest.mark.parametrize("path", ["/stream", "/events"])
@pytest.mark.parametrize("name", ALL)
def test_each_piece_of_a_stream_comes_at_once(
    start: Callable[..., Started], name: str, path: str
) -> None:
    """Four pieces, a quarter of a second apart; together they would come within no time."""
    if name == "django-asgi" or path == "/events" and name == "django":
        # Django collects a generator that is not async before it is sent by ASGI.
        path = "/stream"
    app, _ = start(name)
    times, text = [], ""
    with client_of(app) as client, client.stream("GET", path) as answer:
        assert "content-length" not in answer.headers
        for piece in answer.iter_text():
            times.append(time.monotonic())
            text += piece
    form = "piece {}\n" if path == "/stream" else "data: {}\n\n"
    assert text == "".join(form.format(number) for number in range(4))
    if name != "django-asgi":
        assert len(times) >= 4 and times[-1] - times[0] >= 0.5, times


def multipart(size: int) -> Tuple[bytes, str]:
    data = hashlib.sha256(b"seed").digest() * (size // 32 + 1)
    return data[:size], hashlib.sha256(data[:size]).hexdigest()


@pytest.mark.parametrize("name", ALL)
def test_uploads(start: Callable[..., Started], name: str) -> None:
    app, _ = start(name)
    with client_of(app) as client:
        for size in (0, 1, 65535, 65536, 65537, 3000001):
            data, digest = multipart(size)
            answer = client.post(
                "/upload",
                files={"file": ("naïve.bin", io.BytesIO(data), "application/x-thing")},
                data={"note": "über"},
            )
            expected = {"name": "naïve.bin", "size": size, "sha256": digest, "note": "über"}
            assert answer.json() == expected, (size, answer.text[:500])


# Django reads no form without a Content-Length; a worker that does one thing at a time knows it.
@pytest.mark.parametrize("name", [*BLOCKING, *ASYNC])
def test_an_upload_of_unknown_length(start: Callable[..., Started], name: str) -> None:
    app, _ = start(name)
    data, digest = multipart(1000000)
    head = b'--x\r\ncontent-disposition: form-data; name="note"\r\n\r\nhi\r\n--x\r\n'
    head += b'content-disposition: form-data; name="file"; filename="f"\r\n\r\n'

    def pieces() -> Iterator[bytes]:
        yield head
        for start in range(0, len(data), 50000):
            yield data[start : start + 50000]
        yield b"\r\n--x--\r\n"

    kind = {"content-type": "multipart/form-data; boundary=x"}
    answer = requests.post(url(app, "/upload"), data=pieces(), headers=kind, timeout=slow(30))
    assert answer.json() == {"name": "f", "size": len(data), "sha256": digest, "note": "hi"}


@pytest.mark.long
@pytest.mark.parametrize("name", ["flask", "fastapi"])
def test_a_big_upload_takes_no_memory(start: Callable[..., Started], name: str) -> None:
    app, _ = start(name, "[server]\nmax_body = \"200M\"\n")
    size = 100 << 20
    block = hashlib.sha256(b"seed").digest() * 2048
    digest = hashlib.sha256()
    head = b'--x\r\ncontent-disposition: form-data; name="note"\r\n\r\nhi\r\n--x\r\n'
    head += b'content-disposition: form-data; name="file"; filename="f"\r\n\r\n'
    tail = b"\r\n--x--\r\n"

    def pieces() -> Iterator[bytes]:
        yield head
        for _ in range(size // len(block)):
            digest.update(block)
            yield block
        yield tail

    before = app.rss()
    headers = {
        "content-type": "multipart/form-data; boundary=x",
        "content-length": str(len(head) + size + len(tail)),
    }
    # Not requests, which sends a Transfer-Encoding besides.
    answer = httpx.post(url(app, "/upload"), content=pieces(), headers=headers, timeout=slow(60))
    assert answer.status_code == 200, answer.text[:500]
    assert (answer.json()["size"], answer.json()["sha256"]) == (size, digest.hexdigest())
    assert app.sanitized or app.rss() - before < 32 << 20


@pytest.mark.parametrize("name", ALL)
def test_files(start: Callable[..., Started], name: str) -> None:
    app, folder = start(name)
    with client_of(app) as client:
        answer = client.get("/file")
        assert answer.content == (folder / "data.bin").read_bytes()
        assert answer.headers["content-length"] == str(len(answer.content))
        if name.startswith("django"):
            return
        answer = client.get("/file", headers={"range": "bytes=1000-1999"})
        assert answer.status_code == 206 and answer.content == (bytes(range(256)) * 8)[232:1232]


@pytest.mark.parametrize("name", ALL)
def test_what_is_done_afterwards_delays_nobody(start: Callable[..., Started], name: str) -> None:
    app, folder = start(name)
    begun = time.monotonic()
    with client_of(app) as client:
        answer = client.get("/background")
        took = time.monotonic() - begun
        assert answer.text == "accepted"
    until(lambda: (folder / "done").exists(), 10, "the background task is done")
    whole = time.monotonic() - begun
    assert whole - took >= 0.15, f"answered after {took:.2f} s of {whole:.2f} s"


@pytest.mark.parametrize("name", ALL)
def test_an_exception_is_a_500(start: Callable[..., Started], name: str) -> None:
    app, _ = start(name)
    with client_of(app) as client:
        answer = client.get("/boom")
        assert answer.status_code == 500 and "it broke" not in answer.text
        assert client.get("/hello").status_code == 200
    app.wait_log("RuntimeError: it broke")


@pytest.mark.parametrize("name", [*BLOCKING, *ASYNC])
def test_a_client_that_leaves_is_noticed(start: Callable[..., Started], name: str) -> None:
    app, folder = start(name)
    with client_of(app) as client:
        with client.stream("GET", "/endless") as answer:
            pieces = answer.iter_text()  # Held, for its end would close the connection.
            assert next(pieces)[:10] == "x" * 10
            time.sleep(1)  # Who sends no more right after a request may still wait for it all.
        until(lambda: (folder / "gone").exists(), 10, "the app knows that the client has gone")
        assert client.get("/hello").status_code == 200
    assert "Traceback" not in app.log()


# ------------------------------------------------------------------ WebSocket


def socket_of(app: App, query: str = "", **options: Any) -> ClientConnection:
    options = {"open_timeout": slow(10), "close_timeout": slow(10), **options}
    return connect(f"ws://127.0.0.1:{app.port}/ws{query}", **options)


def code_told(folder: Path) -> str:
    """What the app was told when its client had gone, and wrote into a file."""
    def words() -> list[str]:
        with suppress(FileNotFoundError):
            return (folder / "closed").read_text().split()
        return []

    return until(words, 10, "the app knows that the client has gone")[0]


@pytest.mark.parametrize("name", SOCKETS)
def test_websockets(start: Callable[..., Started], name: str) -> None:
    app, folder = start(name)
    with socket_of(app, subprotocols=["other", "chat"]) as socket:
        assert socket.subprotocol == "chat"
        assert socket.response is not None and socket.response.headers["x-mine"] == "1"
        for message in ("hi", "é" * 1000, b"\x00\xff", "x" * 200000, ""):
            socket.send(message)
            assert socket.recv(slow(10)) == message
    code = code_told(folder)
    if name != "quart":
        assert code == "1000"
    with socket_of(app) as socket:
        assert socket.subprotocol is None
        socket.send("close")
        with pytest.raises(websockets.ConnectionClosed) as caught:
            socket.recv(slow(10))
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4001, "as you like")


@pytest.mark.parametrize("name", SOCKETS)
def test_a_websocket_may_be_refused(start: Callable[..., Started], name: str) -> None:
    app, _ = start(name)
    with pytest.raises(websockets.InvalidStatus) as caught:
        socket_of(app, "?refuse=1")
    assert caught.value.response.status_code == 403
    if name in ("starlette", "quart"):
        assert caught.value.response.body == b"who are you?"


@pytest.mark.parametrize("name", ["fastapi", "starlette"])
def test_a_websocket_that_breaks_is_1006(start: Callable[..., Started], name: str) -> None:
    app, folder = start(name)
    with socket_of(app) as socket:
        socket.send("hi")
        assert socket.recv(slow(10)) == "hi"
        time.sleep(1)
        socket.socket.shutdown(SHUT_RDWR)
    assert code_told(folder) == "1006"


def test_websockets_are_closed_when_nodey_stops(start: Callable[..., Started]) -> None:
    app, folder = start("fastapi")
    with socket_of(app) as socket:
        socket.send("hi")
        assert socket.recv(slow(10)) == "hi"
        app.signal(SIGTERM)
        with pytest.raises(websockets.ConnectionClosed) as caught:
            socket.recv(slow(10))
        assert caught.value.rcvd is not None and caught.value.rcvd.code == 1001
    app.wait_exit()
    assert code_told(folder) == "1001"


# ------------------------------------------------------------ starting and ending


def test_a_lifespan_surrounds_everything(start: Callable[..., Started]) -> None:
    app, _ = start("fastapi")
    app.wait_log("the app starts")
    assert "the app stops" not in app.log()
    app.stop()
    app.wait_log("the app stops")


def test_a_stream_of_events_ends_when_nodey_stops(start: Callable[..., Started]) -> None:
    app, _ = start("fastapi")
    with client_of(app) as client, client.stream("GET", "/events") as answer:
        pieces = answer.iter_text()
        assert next(pieces) == "data: 0\n\n"
        app.signal(SIGTERM)
        list(pieces)  # Comes to a proper end, or httpx raises.
    app.wait_exit()


FAILING = """
from contextlib import asynccontextmanager
from fastapi import FastAPI

@asynccontextmanager
async def lifespan(app):
    raise RuntimeError("DATABASE_URL is not set")
    yield

app = FastAPI(lifespan=lifespan)
"""


@pytest.mark.parametrize(
    "text, message",
    [
        (FAILING, "RuntimeError: DATABASE_URL is not set"),
        ("import flask_that_is_not_there\n", "flask_that_is_not_there"),
        ("from flask import Flask\nshop = Flask(__name__)\n", "has no 'app'; it has"),
        ("raise KeyError('SECRET_KEY')\n", "KeyError: 'SECRET_KEY'"),
    ],
)
def test_an_app_that_cannot_start_says_why(nodey: Nodey, text: str, message: str) -> None:
    if "Flask(" in text:
        text = text.replace("shop =", "application =")
    app = nodey(
        files={"main.py": text},
        config='[workers.shop]\napp = "main:app"\ninstances = 1\n',
        wait=False,
        exit_code=None,
    )
    app.wait_log(message.replace("(", r"\(").replace("?", r"\?"), 15)


def test_threads_by_configuration(nodey: Nodey) -> None:
    text = """
import threading
from flask import Flask
app = Flask(__name__)
all_here = threading.Barrier(3, timeout=30)

@app.get("/")
def index():
    all_here.wait()
    return "together"
"""
    app = nodey(
        files={"main.py": text},
        config='[workers.shop]\napp = "main:app"\ninstances = 1\nthreads = 3\n',
    )
    waiting = [app.open_request("GET", "/") for _ in range(3)]
    for connection in waiting:
        with connection:
            assert connection.read_response().body == b"together"


def test_the_message_order_of_asgi_is_kept(nodey: Nodey) -> None:
    """The app asserts what the specification promises to it."""
    app = nodey(
        files={"main.py": (APPS / "strict_asgi.py").read_text()},
        config='[workers.shop]\napp = "main:app"\ninstances = 1\n',
    )
    with client_of(app) as client:
        assert client.get("/a%20b?x=1").text == "0 bytes"
        data: Dict[int, bytes] = {size: b"x" * size for size in (1, 65536, 200000)}
        for size, body in data.items():
            assert client.post("/", content=body).text == f"{size} bytes"
    with socket_of(app) as socket:
        socket.send("hi")
        with pytest.raises(websockets.ConnectionClosedOK):
            socket.recv(slow(10))
    app.stop()
    assert "Assertion" not in app.log() and "Traceback" not in app.log()


VALIDATED = """
from wsgiref.validate import validator

@validator
def app(environ, start_response):
    size = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(size)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"got ", str(len(body)).encode()]
"""


def test_the_validator_of_wsgi_has_nothing_to_say(nodey: Nodey) -> None:
    app = nodey(
        files={"main.py": VALIDATED},
        config='[workers.shop]\napp = "main:app"\ninstances = 1\n',
    )
    with client_of(app) as client:
        assert client.get("/a%20b?x=1").text == "got 0"
        for size in (1, 65536, 200000):
            assert client.post("/", content=b"x" * size).text == f"got {size}"
    assert "Assertion" not in app.log() and "Warning" not in app.log()
