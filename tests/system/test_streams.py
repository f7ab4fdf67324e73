"""Bodies in pieces, both ways, through the binary: order, bounds, ends, and what is held in memory."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import time
from typing import Callable
from urllib.parse import quote

import pytest

from app import App
from client import Connection, Cut, parse_head, request_bytes
from timing import slow
from workers import pool, raw

MB = 1024 * 1024


def streamer(*words: str, **settings) -> str:
    return pool("streamer", *raw("streamer.py", *words), **{"instances": 1, **settings})


@pytest.fixture(params=["1", "8"], ids=["one at a time", "many at a time"])
def app(nodey: Callable[..., App], request: pytest.FixtureRequest) -> App:
    """Either kind of worker: bodies are spooled for the one and passed on to the other."""
    return nodey(config=streamer(f"concurrency={request.param}"))


def chunked(*pieces: bytes, trailers: str = "") -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return body + b"0\r\n" + trailers.encode() + b"\r\n"


def pattern(size: int) -> bytes:
    """Bytes in which a lost or swapped piece shows."""
    block = bytes(range(256)) * 17
    return (block * (size // len(block) + 1))[:size]


def head_of(connection: Connection) -> tuple[int, str, object]:
    return parse_head(connection._until(b"\r\n\r\n"))


def chunk_of(connection: Connection) -> bytes:
    size = int(connection._until(b"\r\n"), 16)
    piece = connection._exactly(size)
    assert connection._until(b"\r\n") == b""
    return piece


# -- requests


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 131072, 131073, 3 * MB + 1])
def test_a_body_arrives_whole(app: App, size: int) -> None:
    body = pattern(size)
    answer = app.post("/sink", body).json()
    assert answer["size"] == size
    assert answer["sha1"] == hashlib.sha1(body).hexdigest()
    assert answer["line"]["headers"]["content-length"] == str(size)
    assert answer["line"].get("more", False) == (size > 65536)


@pytest.mark.parametrize("size", [1, 65536, 65537, MB])
def test_a_chunked_body_arrives_whole(app: App, size: int) -> None:
    body = pattern(size)
    head = b"POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    with app.connect() as connection:
        connection.send(head + chunked(*[body[at:at + 10000] for at in range(0, size, 10000)]))
        answer = connection.read_response("POST").json()
    assert answer["size"] == size
    assert answer["sha1"] == hashlib.sha1(body).hexdigest()


def test_a_body_is_passed_on_while_it_arrives(nodey: Callable[..., App]) -> None:
    """To a worker of many at a time; the answer comes while the request is still being sent."""
    app = nodey(config=streamer("concurrency=4"))
    with app.connect() as connection:
        connection.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert head_of(connection)[0] == 200
        for word in (b"one", b"two", b"three"):
            connection.send(b"%x\r\n%s\r\n" % (len(word), word))
            assert chunk_of(connection) == word
        connection.send(b"0\r\n\r\n")
        assert chunk_of(connection) == b""


def test_a_slow_upload_does_not_hold_a_worker(nodey: Callable[..., App]) -> None:
    app = nodey(config=streamer("concurrency=1"))
    with app.connect() as connection:
        connection.send(b"POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"a" * 70000)
        for _ in range(3):
            assert app.get("/hello").text == "hello"
        connection.send(b"a" * 30000)
        assert connection.read_response("POST").json()["size"] == 100000


def test_100_continue_is_sent_when_the_body_is_wanted(app: App) -> None:
    with app.connect() as connection:
        connection.send(b"POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\nExpect: 100-continue\r\n\r\n")
        assert connection._until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
        connection.send(b"a" * 100000)
        assert connection.read_response("POST").json()["size"] == 100000


def test_trailers_reach_a_worker(nodey: Callable[..., App]) -> None:
    app = nodey(config=streamer("concurrency=4"))
    head = b"POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    with app.connect() as connection:
        connection.send(head)
        time.sleep(0.05)
        connection.send(chunked(b"abc", trailers="X-Sum: 42\r\nContent-Length: 7\r\n"))
        answer = connection.read_response("POST").json()
    assert answer["trailers"] == {"x-sum": "42"}


def test_a_worker_may_answer_before_the_body_is_there(nodey: Callable[..., App]) -> None:
    app = nodey(config=streamer("concurrency=4"))
    with app.connect() as connection:
        connection.send(b"POST /sink?refuse=401 HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n" + b"a" * 70000)
        answer = connection.read_response("POST")
        assert answer.status == 401
        assert answer.headers["connection"] == "close"
    assert app.get("/hello").text == "hello"


@pytest.mark.parametrize("features", ["cancel", "cancel,ping"])
def test_a_worker_without_streams_gets_it_in_the_line(nodey: Callable[..., App], features: str) -> None:
    app = nodey(config=streamer(f"features={features}", max_line="1M"))
    answer = app.post("/sink", b"a" * 500000).json()
    assert answer["size"] == 500000 and answer["pieces"] == 1
    assert "more" not in answer["line"]
    refused = app.post("/sink", b"a" * 1100000)
    assert refused.status == 413
    assert "max_line" in refused.text
    assert app.get("/hello").text == "hello"


def test_a_body_over_the_limit_is_refused_while_it_comes(nodey: Callable[..., App]) -> None:
    for concurrency in ("1", "8"):
        app = nodey(config='[server]\nmax_body = "1M"\n' + streamer(f"concurrency={concurrency}"))
        assert app.post("/sink", b"a" * (MB + 1)).status == 413
        with app.connect() as connection:
            connection.send(b"POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            try:
                for _ in range(20):
                    connection.send(b"10000\r\n" + b"a" * 65536 + b"\r\n")
            except OSError:
                pass
            assert connection.read_response("POST").status == 413
        app.stop()
        assert "cancelled /sink" in app.log() or concurrency == "1"


def test_a_client_that_leaves_while_it_uploads_is_noticed(nodey: Callable[..., App]) -> None:
    app = nodey(config=streamer("concurrency=4"))
    connection = app.connect()
    connection.send(b"POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"a" * 100000)
    time.sleep(0.2)
    connection.close()
    app.wait_log("cancelled /sink")
    assert app.get("/hello").text == "hello"


# -- answers


def test_each_piece_reaches_the_client_at_once(app: App) -> None:
    with app.connect() as connection:
        connection.send(request_bytes("GET", "/count?n=4&gap=0.3"))
        assert head_of(connection)[0] == 200
        begun = time.monotonic()
        for n in range(4):
            assert chunk_of(connection) == b"%d\n" % n
            assert time.monotonic() - begun < slow(0.15) + 0.3 * n
        assert chunk_of(connection) == b""
        connection.send(request_bytes("GET", "/hello"))
        assert connection.read_response().text == "hello"


def parts(*frames: dict) -> str:
    return "/parts?parts=" + quote(json.dumps(frames))


HEAD = {"status": 200, "more": True}


def test_a_length_that_the_worker_names_is_kept(app: App) -> None:
    answer = app.get(parts({**HEAD, "headers": {"content-length": "5"}, "body": "ab"}, {"type": "chunk", "body": "cd"},
                           {"type": "end", "body": "e"}))
    assert answer.headers["content-length"] == "5"
    assert answer.body == b"abcde"


def test_trailers_and_interim_answers_reach_the_client(app: App) -> None:
    raw_answer = app.raw(request_bytes("GET", parts(
        {"type": "info", "status": 103, "headers": {"link": "</a.css>; rel=preload"}}, {**HEAD, "body": "a"},
        {"type": "end", "trailers": {"server-timing": "db;dur=5"}}), headers={"Connection": "close", "TE": "trailers"}))
    assert raw_answer.startswith(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert raw_answer.endswith(b"\r\n0\r\nserver-timing: db;dur=5\r\n\r\n")


@pytest.mark.parametrize("frames", [
    [{**HEAD, "body": "a"}, {"type": "error", "code": "internal", "message": "half way"}],
    [{**HEAD, "headers": {"content-length": "5"}, "body": "a"}, {"type": "end"}],
    [{**HEAD, "body": "a"}, {"status": 200, "body": "again"}],
], ids=["error", "too short", "a second answer"])
def test_an_answer_that_fails_half_way_is_cut(app: App, frames: list[dict]) -> None:
    with app.connect() as connection:
        connection.send(request_bytes("GET", parts(*frames)))
        with pytest.raises(Cut):
            connection.read_response()
    app.wait_log("an answer in pieces is cut|answer.*cut off")
    assert app.get("/hello").text == "hello"


def test_an_error_before_the_head_is_an_answer(app: App) -> None:
    assert app.get(parts({"type": "error", "code": "not_found", "message": "no"})).status == 404


def test_head_requests_get_no_body(app: App) -> None:
    with app.connect() as connection:
        connection.send(request_bytes("HEAD", "/zeros?size=300000&length=1"))
        answer = connection.read_response("HEAD")
        assert answer.headers["content-length"] == "300000"
        connection.send(request_bytes("GET", "/hello"))
        assert connection.read_response().text == "hello"


def test_http_1_0_gets_it_until_the_end_of_the_connection(app: App) -> None:
    answer = app.raw(b"GET /count?n=3 HTTP/1.0\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert body == b"0\n1\n2\n"
    assert b"transfer-encoding" not in head.lower()


def test_a_client_that_leaves_ends_the_stream(app: App) -> None:
    connection = app.open_request("GET", "/zeros?size=1000000000")
    head_of(connection)
    connection.close()
    app.wait_log("cancelled /zeros")
    assert app.get("/hello").text == "hello"


# -- files


def file(answer: dict) -> str:
    return "/file?answer=" + quote(json.dumps(answer))


def test_a_worker_has_a_file_sent(app: App) -> None:
    body = pattern(MB + 17)
    (app.folder / "a.bin").write_bytes(body)
    path = str(app.folder / "a.bin")
    answer = app.get(file({"file": path, "headers": {"content-type": "video/mp4"}}))
    assert answer.body == body
    assert answer.headers["content-type"] == "video/mp4"
    assert app.get(file({"file": path, "status": 206, "offset": 10, "length": 100})).body == body[10:110]
    assert app.get(file({"file": path, "offset": len(body)})).body == b""
    assert app.get(file({"file": path, "offset": 10, "length": len(body)})).status == 502


def test_only_files_in_the_roots_are_sent(nodey: Callable[..., App], tmp_path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("secret")
    app = nodey(files={"media/a.txt": "inside", "b.txt": "not in media", "media-secret/a.txt": "secret"},
                config=streamer(file_roots=["media"]))
    (app.folder / "media" / "link.txt").symlink_to(outside)
    (app.folder / "media" / "good.txt").symlink_to(app.folder / "media" / "a.txt")
    os.mkfifo(app.folder / "media" / "fifo")
    media = app.folder / "media"
    assert app.get(file({"file": str(media / "a.txt")})).text == "inside"
    assert app.get(file({"file": str(media / "good.txt")})).text == "inside"
    for path in (outside, app.folder / "b.txt", app.folder / "media-secret" / "a.txt",
                 media / ".." / "b.txt", media / "link.txt", "/etc/passwd", media,
                 media / "fifo", "a.txt", media / "none.txt", "/dev/zero", "/proc/self/environ"):
        answer = app.get(file({"file": str(path)}))
        assert answer.status == 502, path
        assert "secret" not in answer.text
    assert app.get(file({"file": str(media / "a.txt"), "offset": 3, "length": 4})).status == 502


# -- upgrades


UPGRADE = {"Connection": "Upgrade", "Upgrade": "Shout"}


def test_an_upgrade_makes_a_tunnel(app: App) -> None:
    with app.connect() as connection:
        connection.send(request_bytes("GET", "/up", headers=UPGRADE) + b"early")
        status, _, headers = head_of(connection)
        assert status == 101
        assert headers["x-who"] == "me" and headers["upgrade"] == "shout"
        assert headers["connection"].lower() == "upgrade"
        assert connection._exactly(5) == b"EARLY"
        connection.send(b"more")
        assert connection._exactly(4) == b"MORE"
        connection.send(b"bye")
        assert connection._exactly(3) == b"BYE"
        assert connection.socket.recv(1) == b""
    assert app.get("/hello").text == "hello"


def test_a_tunnel_ends_with_its_client(nodey: Callable[..., App]) -> None:
    app = nodey(config=streamer("concurrency=4"))
    connection = app.connect()
    connection.send(request_bytes("GET", "/up", headers=UPGRADE))
    assert head_of(connection)[0] == 101
    connection.close()
    assert app.get("/hello").text == "hello"


def test_without_the_feature_an_upgrade_is_a_plain_request(nodey: Callable[..., App]) -> None:
    app = nodey(config=streamer("features=stream,cancel"))
    assert app.get("/hello", headers={**UPGRADE, "Connection": "Upgrade, close"}).text == "hello"


# -- how much is held in memory


def rss_over(app: App, base: int) -> int:
    return app.rss() - base


def watch_rss(app: App, stop: threading.Event, into: list[int]) -> None:
    while not stop.wait(0.05):
        into.append(app.rss())


class Watch:
    """The most memory that the supervisor held meanwhile, over what it held before."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.seen = [app.rss()]
        self.base = self.seen[0]
        self.stop = threading.Event()
        self.thread = threading.Thread(target=watch_rss, args=(app, self.stop, self.seen), daemon=True)

    def __enter__(self) -> "Watch":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()

    @property
    def growth(self) -> int:
        return max(self.seen) - self.base


BOUND = 32 * MB
SIZE = 256 * MB


def upload(app: App, size: int) -> dict:
    block = bytes(MB)
    with app.connect(60) as connection:
        connection.send(b"POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // MB):
            connection.send(block)
        return connection.read_response("POST").json()


def download(app: App, path: str) -> int:
    with app.connect(60) as connection:
        connection.send(request_bytes("GET", path))
        head_of(connection)
        received = len(connection.kept)
        while received < SIZE:
            piece = connection.socket.recv(MB)
            if not piece:
                break
            received += len(piece)
        return received


@pytest.mark.long
def test_a_large_upload_is_not_held_in_memory(app: App) -> None:
    upload(app, MB)
    with Watch(app) as watch:
        assert upload(app, SIZE)["size"] == SIZE
    assert app.sanitized or watch.growth < BOUND


@pytest.mark.long
def test_a_large_download_is_not_held_in_memory(app: App) -> None:
    with Watch(app) as watch:
        assert download(app, f"/zeros?size={SIZE}&length=1") == SIZE
    assert app.sanitized or watch.growth < BOUND


def test_a_client_that_does_not_read_makes_the_worker_wait(app: App) -> None:
    """The worker sends a window and what the sockets hold, and no more."""
    with Watch(app) as watch, socket.create_connection(("127.0.0.1", app.port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        client.sendall(request_bytes("GET", f"/zeros?size={SIZE}&length=1"))
        time.sleep(slow(1))
        received = 0
        for _ in range(20):
            received += len(client.recv(1024))
    assert app.sanitized or watch.growth < 16 * MB
    app.wait_log("cancelled /zeros")


def test_a_worker_that_does_not_read_makes_the_client_wait(nodey: Callable[..., App]) -> None:
    app = nodey(config=streamer("concurrency=4"))
    sent = 0
    with Watch(app) as watch, socket.create_connection(("127.0.0.1", app.port)) as client:
        client.sendall(b"POST /sink?hold=2 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % SIZE)
        client.settimeout(1)
        try:
            while sent < SIZE:
                sent += client.send(bytes(65536))
        except socket.timeout:
            pass
    assert sent < 64 * MB
    assert app.sanitized or watch.growth < 16 * MB


def test_idle_streams_cost_no_cpu(nodey: Callable[..., App]) -> None:
    app = nodey(config='[server]\nshutdown_timeout = "1s"\n'
                + streamer("concurrency=64", ping_interval="1h"))
    opened = [app.open_request("GET", parts(HEAD)) for _ in range(50)]
    for connection in opened:
        head_of(connection)

    def ticks() -> int:
        fields = open(f"/proc/{app.pid}/stat").read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    before = ticks()
    time.sleep(2)
    assert ticks() - before <= 2  # of 200: hundredths of a second
    for connection in opened:
        connection.close()
