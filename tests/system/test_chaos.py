"""Streams when things go wrong in the middle: deaths, ends, reloads, lies, full disks, odd clients."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import socket
import struct
import time
from contextlib import suppress
from typing import Any, Callable
from urllib.parse import quote

import pytest

import procs
from app import App
from client import Connection, Cut, parse_head, request_bytes
from timing import slow, until
from workers import pool, raw
from ws import WebSocket

MB = 1024 * 1024
UPGRADE = {"Connection": "Upgrade", "Upgrade": "shout"}
BRIEF = 'shutdown_timeout = "2s"'
Start = Callable[..., App]


def streamer(*words: str, server: str = "", **settings: Any) -> str:
    """streamer.py (see there) for every path."""
    command = raw("streamer.py", *words)
    return f"[server]\n{server}\n" + pool("streamer", *command, **{"instances": 1, **settings})


def head_of(connection: Connection) -> int:
    return parse_head(connection._until(b"\r\n\r\n"))[0]


def upload_head(size: int, path: str = "/sink", method: str = "POST") -> bytes:
    return request_bytes(method, path, headers={"Content-Length": str(size)})


def rest_of(connection: Connection) -> bytes:
    """What comes until the connection ends, in whichever way."""
    found = connection.kept
    try:
        while piece := connection.socket.recv(65536):
            found += piece
    except ConnectionError:
        pass
    return found


def serves(app: App, path: str = "/hello") -> None:
    until(lambda: app.get(path).status == 200, 10, "it serves again")


# -- workers that die


@pytest.fixture
def many(nodey: Start) -> App:
    """A worker that takes bodies while they arrive, and is not waited for when it never ends one."""
    return nodey(config=streamer("concurrency=8", server=BRIEF))


def kill_worker(app: App) -> None:
    os.kill(app.wait_workers(1)[0], signal.SIGKILL)


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_worker_dies_in_the_middle_of_an_upload(many: App, method: str) -> None:
    """Half of the body is gone with it: no other worker can be given the request."""
    with many.connect() as connection:
        connection.send(upload_head(MB, method=method) + b"a" * 100000)
        time.sleep(0.2)
        kill_worker(many)
        answer = connection.read_response("POST")
        assert answer.status == 502
        assert answer.headers["connection"] == "close"
    serves(many)


def test_a_worker_dies_in_the_middle_of_a_download(many: App) -> None:
    for path in ("/zeros?size=100000000", "/zeros?size=100000000&length=1"):
        with many.connect() as connection:
            connection.send(request_bytes("GET", path))
            assert head_of(connection) == 200
            kill_worker(many)
            received = rest_of(connection)
            assert len(received) < 100000000 and not received.endswith(b"\r\n0\r\n\r\n")
        serves(many)


def test_a_worker_dies_with_a_tunnel(many: App) -> None:
    with many.connect() as connection:
        connection.send(request_bytes("GET", "/up", headers=UPGRADE))
        assert head_of(connection) == 101
        kill_worker(many)
        assert rest_of(connection) == b""
    serves(many)


def test_a_body_that_was_kept_goes_to_the_next_worker(nodey: Start) -> None:
    """It is whole in nodey: another worker gets all of it, from its first byte."""
    app = nodey(config=streamer("concurrency=1"))
    with app.connect() as connection:  # it may be done twice
        connection.send(upload_head(300000, "/sink?hold=1", "GET") + b"a" * 300000)
        time.sleep(0.3)
        kill_worker(app)
        assert connection.read_response().json()["size"] == 300000
    with app.connect() as busy, app.connect() as waits:
        busy.send(request_bytes("GET", "/count?n=1&gap=30"))
        assert head_of(busy) == 200
        waits.send(upload_head(300000) + b"a" * 300000)
        time.sleep(0.2)
        kill_worker(app)
        assert waits.read_response("POST").json()["size"] == 300000


# -- a reload, and the end


ALL = '''
import asyncio
import nodey

@nodey.get("/events")
async def events():
    async def ticks():
        while True:
            yield "tick"
            await asyncio.sleep(0.05)
    return nodey.sse(ticks())

@nodey.get("/download")
async def download():
    async def pieces():
        for _ in range(20):
            yield b"x" * 50000
            await asyncio.sleep(0.05)
    return nodey.Response(pieces())

@nodey.post("/upload")
async def upload(req):
    return str(len(req.body))

@nodey.ws("/echo")
async def echo(socket):
    async for message in socket:
        await socket.send(message)
'''

TUNNEL = '''
const http = require("http");
const server = http.createServer((req, res) => res.end("hello"));
server.on("upgrade", (req, socket) => {
  socket.write("HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: shout\\r\\n\\r\\n");
  socket.on("data", (data) => socket.write(String(data).toUpperCase()));
  socket.on("end", () => socket.end());
});
server.listen(0);
'''


def everything(nodey: Start, server: str = "") -> App:
    return nodey(files={"all.py": ALL, "web.js": TUNNEL}, config=f"""
        [server]
        {server}
        [workers.all]
        script = "all.py"
        instances = 1
        [workers.web]
        script = "web.js"
        instances = 1
    """)


def test_sigterm_ends_each_stream_as_it_wants_to_be_ended(nodey: Start) -> None:
    app = everything(nodey)
    events, download, upload, tunnel = (app.connect() for _ in range(4))
    ws = WebSocket(app.port)
    events.send(request_bytes("GET", "/events"))
    assert head_of(events) == 200
    tunnel.send(request_bytes("GET", "/up", headers=UPGRADE))
    assert head_of(tunnel) == 101
    download.send(request_bytes("GET", "/download"))
    upload.send(upload_head(200000, "/upload") + b"a" * 100000)
    time.sleep(0.1)
    begun = time.monotonic()
    app.signal(signal.SIGTERM)
    assert ws.next() == ("close", 1001, "")
    ws.close(1001)
    assert ws.rest() == [("eof",)]
    ws.drop()
    upload.send(b"a" * 100000)
    assert upload.read_response("POST").text == "200000"
    assert len(download.read_response().body) == 1000000
    assert b"tick" in events._chunks()
    assert rest_of(tunnel) == b""
    assert app.wait_exit() == 0
    assert time.monotonic() - begun < slow(6)
    for connection in (events, download, upload, tunnel):
        connection.close()


def test_endless_streams_alone_do_not_delay_the_end(nodey: Start) -> None:
    app = everything(nodey)
    with app.connect() as events, app.connect() as tunnel:
        events.send(request_bytes("GET", "/events"))
        tunnel.send(request_bytes("GET", "/up", headers=UPGRADE))
        assert head_of(events) == 200 and head_of(tunnel) == 101
        begun = time.monotonic()
        app.signal(signal.SIGTERM)
        assert b"tick" in events._chunks()
        assert app.wait_exit() == 0
        assert time.monotonic() - begun < slow(3)
        assert "still open" not in app.log()


def test_streams_outlive_a_reload_that_replaces_their_worker(nodey: Start) -> None:
    app = nodey(config=streamer("concurrency=8"))
    old = app.wait_workers(1)
    with app.connect() as connection:
        connection.send(request_bytes("GET", "/count?n=40&gap=0.05"))
        assert head_of(connection) == 200
        config = app.folder / "nodey.toml"
        config.write_text(config.read_text().replace("concurrency=8", "concurrency=7"))
        app.signal(signal.SIGHUP)
        assert app.get("/hello", timeout=20).text == "hello"
        assert connection._chunks() == b"".join(b"%d\n" % n for n in range(40))
    app.wait_workers(1, without=old)


# -- clients


def reset(connection: Connection) -> None:
    """Ends it with a reset instead of an end of file."""
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize("concurrency", ["1", "8"])
@pytest.mark.parametrize("end", [reset, Connection.close], ids=["reset", "end of file"])
def test_clients_leave_at_every_moment(nodey: Start, concurrency: str,
                                       end: Callable[[Connection], None]) -> None:
    app = nodey(config=streamer(f"concurrency={concurrency}"))
    serves(app)
    calm = app.calm(1)
    pieces = b"4000\r\n" + b"a" * 0x4000 + b"\r\n"
    chunked = request_bytes("POST", "/echo", headers={"Transfer-Encoding": "chunked"}).replace(
        b"Content-Length: 0\r\n", b"")
    requests = [upload_head(200000) + b"a" * 200000, chunked + pieces * 12 + b"0\r\n\r\n",
                request_bytes("GET", "/zeros?size=3000000"),
                request_bytes("GET", "/up", headers=UPGRADE) + b"early"]
    for request in requests:
        step = max(1, len(request) // 12)
        for sent in range(1, len(request) + step, step):
            for wait in (0, 0.01):
                connection = app.connect()
                connection.send(request[:sent])
                time.sleep(wait)
                end(connection)
    answers = [app.open_request("GET", "/hello") for _ in range(8)]
    for connection in answers:
        assert connection.read_response().text == "hello"
        connection.close()
    calm.check()


def test_a_client_that_stops_reading_makes_the_worker_wait(many: App) -> None:
    calm = many.calm(1)
    with many.connect() as connection:
        connection.send(request_bytes("GET", f"/zeros?size={256 * MB}&length=1"))
        assert head_of(connection) == 200
        connection._exactly(20 * MB)
        time.sleep(slow(0.5))
        calm.check_memory(16 * MB)


def test_a_half_closed_client_gets_its_stream(many: App) -> None:
    for request in (request_bytes("GET", "/zeros?size=1000000&length=1"),
                    upload_head(200000, "/echo") + b"a" * 200000):
        received = many.raw(request, half_close=True)
        assert received.startswith(b"HTTP/1.1 200 ") and len(received) > 200000


def test_a_client_that_ends_its_side_within_its_body_is_told(nodey: Start) -> None:
    for concurrency in ("1", "8"):
        app = nodey(config=streamer(f"concurrency={concurrency}"))
        assert app.raw(upload_head(200000) + b"a" * 100000, half_close=True).startswith(
            b"HTTP/1.1 400 ")
        serves(app)


def test_requests_behind_streams_are_answered_in_their_turn(many: App) -> None:
    chunked = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    with many.connect() as connection:
        connection.send(request_bytes("GET", "/zeros?size=300000") + request_bytes("GET", "/hello")
                        + chunked + (b"10000\r\n" + b"b" * 65536 + b"\r\n") * 3 + b"0\r\n\r\n"
                        + upload_head(100000) + b"a" * 100000 + request_bytes("GET", "/hello"))
        assert connection.read_response().body == bytes(300000)
        assert connection.read_response().text == "hello"
        assert connection.read_response("POST").body == b"b" * 3 * 65536
        assert connection.read_response("POST").json()["size"] == 100000
        assert connection.read_response().text == "hello"


def test_a_body_that_comes_after_the_answer_is_thrown_away(many: App) -> None:
    """A short rest is skipped and the connection stays; a long one ends it."""
    with many.connect() as connection:
        connection.send(upload_head(200000, "/sink?refuse=200") + b"a" * 70000)
        assert connection.read_response("POST").status == 200
        connection.send(b"a" * 130000 + request_bytes("GET", "/hello"))
        assert connection.read_response().text == "hello"
    with many.connect() as connection:
        connection.send(upload_head(50 * MB, "/sink?refuse=403") + b"a" * 70000)
        assert connection.read_response("POST").status == 403
        try:
            for _ in range(50):
                connection.send(bytes(MB))
        except OSError:
            pass
    serves(many)


def test_a_refusal_in_pieces_says_that_the_connection_ends(many: App) -> None:
    refusal = lie({"status": 403, "more": True, "body": "n"}, {"type": "end", "body": "o"})
    with many.connect() as connection:
        connection.send(upload_head(50 * MB, refusal) + b"a" * 70000)
        answer = connection.read_response("POST")
        assert (answer.status, answer.body) == (403, b"no")
        assert answer.headers["connection"] == "close"


def test_a_worker_that_takes_its_time_is_not_the_clients_fault(nodey: Start) -> None:
    app = nodey(config=streamer("concurrency=8", server='body_timeout = "300ms"'))
    assert app.post("/sink?hold=1", bytes(2 * MB)).json()["size"] == 2 * MB


@pytest.mark.parametrize("concurrency", ["1", "8"])
def test_a_body_that_stops_coming_is_cut_off(nodey: Start, concurrency: str) -> None:
    app = nodey(config=streamer(f"concurrency={concurrency}", server='body_timeout = "400ms"'))
    calm = app.calm(1)
    with app.connect() as connection:
        connection.send(upload_head(200000) + b"a" * 100000)
        assert connection.read_response("POST").status == 408
    with app.connect() as connection:  # as long as it drips it is waited for
        connection.send(upload_head(70000) + b"a" * 69990)
        for _ in range(10):
            time.sleep(0.1)
            connection.send(b"a")
        assert connection.read_response("POST").json()["size"] == 70000
    serves(app)
    calm.check()


def test_who_waits_for_continue_is_told_no_without_it(nodey: Start) -> None:
    app = nodey(config=streamer("concurrency=8", server='max_body = "1M"'))
    for fields, status in (({"Content-Length": str(2 * MB), "Expect": "100-continue"}, 413),
                           ({"Content-Length": "70000", "Expect": "tea"}, 417)):
        with app.connect() as connection:
            connection.send(request_bytes("POST", "/sink", headers=fields))
            assert head_of(connection) == status  # and no 100 in front of it
    with app.connect() as connection:
        connection.send(request_bytes("POST", "/sink?refuse=403", headers={
            "Content-Length": "70000", "Expect": "100-continue"}))
        while (status := head_of(connection)) == 100:
            pass
        assert status == 403
    serves(app)


def test_extensions_of_chunks_are_bounded(many: App) -> None:
    head = b"POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    for behind in (b"5;a=" + b"b" * 100000, (b"1;" + b"c" * 500 + b"\r\na\r\n") * 200):
        with many.connect() as connection:
            connection.send(head)
            try:
                connection.send(behind)
            except OSError:
                pass
            assert connection.read_response("POST").status == 400
    serves(many)


def test_a_thousand_idle_event_streams_cost_little(nodey: Start) -> None:
    app = nodey(config=streamer("concurrency=2000", server=BRIEF, ping_interval="1h"))
    calm = app.calm(1)
    head = quote(json.dumps([{"status": 200, "more": True, "body": ": hi\n\n",
                              "headers": {"content-type": "text/event-stream"}}]))
    opened = [app.open_request("GET", f"/parts?parts={head}") for _ in range(1000)]
    for connection in opened:
        assert head_of(connection) == 200
    calm.check_memory(1000 * 16 * 1024)
    before = procs.cpu_seconds(app.pid)
    time.sleep(1)
    assert procs.cpu_seconds(app.pid) - before <= 0.02
    for connection in opened:
        connection.close()
    calm.check(extra_fds=0, seconds=10)


# -- the disk


def test_200_slow_uploads_at_once_do_not_hold_a_worker(nodey: Start) -> None:
    app = nodey(config=streamer("concurrency=1", timeout="60s"))
    calm = app.calm(1)
    opened = [app.connect() for _ in range(200)]
    for connection in opened:
        connection.send(upload_head(600000) + b"a" * 599000)
    assert app.get("/hello").text == "hello"
    calm.check_memory(200 * 600 * 1024)
    for connection in opened:
        connection.send(b"a" * 1000)
    for connection in opened:
        assert connection.read_response("POST").json()["size"] == 600000
        connection.close()
    calm.check(200 * 600 * 1024)


def put_aside(app: App) -> None:
    """The data_dir, once the log has its first line: who writes another makes it anew."""
    log = app.folder / "data" / "logs" / "nodey.log"
    until(lambda: log.exists() and "ready on" in log.read_text(), 5, "the log is written")
    (app.folder / "data").rename(app.folder / "elsewhere")


def put_back(app: App) -> None:
    def back() -> bool:
        shutil.rmtree(app.folder / "data", ignore_errors=True)
        with suppress(OSError):
            (app.folder / "elsewhere").rename(app.folder / "data")
        return not (app.folder / "elsewhere").exists()

    until(back, 5, "the data_dir is back")


@pytest.mark.parametrize("how", ["it is gone", "no more fits"])
def test_a_body_that_the_disk_does_not_take_is_a_507(nodey: Start, how: str) -> None:
    app = nodey(config=streamer("concurrency=1", server='data_dir = "data"'))
    calm = app.calm(1)
    limits = resource.prlimit(app.pid, resource.RLIMIT_FSIZE)
    if how == "it is gone":
        put_aside(app)
    else:
        resource.prlimit(app.pid, resource.RLIMIT_FSIZE, (200000, limits[1]))
    with app.connect() as fits, app.connect() as connection:
        fits.send(upload_head(100000) + b"a" * 50000)
        connection.send(upload_head(MB) + b"a" * 900000)
        refused = connection.read_response("POST")
        assert refused.status == 507 and "data_dir" in refused.text
        fits.send(b"a" * 50000)
        assert fits.read_response("POST").json()["size"] == 100000
    app.wait_log("cannot be kept in .*data: ")
    if how == "it is gone":
        put_back(app)
    else:
        resource.prlimit(app.pid, resource.RLIMIT_FSIZE, limits)
    assert app.post("/sink", b"a" * MB).json()["size"] == MB
    calm.check()


# -- workers that lie


HEAD = {"status": 200, "more": True}


def lie(*frames: dict[str, Any]) -> str:
    return "/parts?parts=" + quote(json.dumps(frames))


@pytest.mark.parametrize("frames, status, log", [
    ([{"type": "chunk", "body": "a"}], 502, "has not begun"),
    ([{"type": "end"}], 502, "has not begun"),
    ([{"type": "message", "body": "a"}], 502, "has not begun"),
    ([{"status": 99}], 502, "status must be"),
    ([{"status": 99, "more": True}], 502, "status must be"),
    ([{"status": 101}], 502, None),
    ([{"status": 101, "more": True}], 502, None),
    ([{"type": "info", "status": 101}], 502, "interim status must be"),
    ([{"type": "credit", "bytes": 0}], 502, "bytes must be a whole number"),
    ([{"status": 200, "file": "/etc/passwd"}], 502, "file_roots"),
    ([{"status": 200, "file": "/etc/passwd", "more": True}], 502, "no body and no more"),
    ([{"status": 200, "more": "yes"}], 502, "more must be"),
    ([{**HEAD, "headers": {"content-length": "-1"}}], 502, None),
    ([{**HEAD, "headers": {"content-length": ["1", "2"]}}], 502, None),
    ([{**HEAD, "headers": {"x": "a\r\nset-cookie: b"}}], 502, None),
    ([{**HEAD, "headers": {"transfer-encoding": "gzip"}}, {"type": "end"}], None, None),
], ids=repr)
def test_a_lie_before_the_head_is_a_502_with_a_reason(many: App, frames: list[dict[str, Any]],
                                                      status: int | None, log: str | None) -> None:
    with many.connect() as connection:
        connection.send(request_bytes("GET", lie(*frames)))
        answer = connection.read_response()
        assert status in (None, answer.status)
        assert "set-cookie" not in answer.headers
        assert "gzip" not in answer.headers.get("transfer-encoding")
    if log:
        many.wait_log(log)
    elif status:
        many.wait_log("worker streamer|warning: .*answer|streamer warning")
    assert many.get("/hello").text == "hello"


@pytest.mark.parametrize("frames, log", [
    ([{**HEAD, "headers": {"content-length": "3"}, "body": "ab"}, {"type": "end"}],
     "shorter than its Content-Length"),
    ([HEAD, {"type": "message", "body": "a"}], "no WebSocket is open"),
    ([HEAD, {"type": "info", "status": 103}], "interim answer after the head"),
    ([HEAD, HEAD], "began its answer twice"),
    ([HEAD, {"type": "chunk"}], "body or body64 must be there"),
    ([HEAD, {"type": "chunk", "body64": "%"}], "body64 must be"),
    ([HEAD, {"type": "credit", "bytes": -1}], "bytes must be a whole number"),
    ([HEAD, {"type": "credit", "bytes": 2 ** 53}], "bytes must be a whole number"),
], ids=repr)
def test_a_lie_behind_the_head_cuts_the_answer(many: App, frames: list[dict[str, Any]],
                                               log: str) -> None:
    with many.connect() as connection:
        connection.send(request_bytes("GET", lie(*frames)))
        with pytest.raises(Cut):
            connection.read_response()
    many.wait_log(log)
    assert many.get("/hello").text == "hello"


@pytest.mark.parametrize("last", ["chunk", "end"])
def test_more_than_the_announced_length_never_reaches_the_client(many: App, last: str) -> None:
    with many.connect() as connection:
        connection.send(request_bytes("GET", lie(
            {**HEAD, "headers": {"content-length": "3"}, "body": "ab"},
            {"type": last, "body": "cd"})))
        assert connection.read_response().body == b"abc"
        assert rest_of(connection) == b""
    many.wait_log("longer than its Content-Length")
    assert many.get("/hello").text == "hello"


def test_more_than_the_credit_cuts_the_answer(many: App) -> None:
    with many.connect() as connection:  # which takes nothing, so that no credit is given
        connection.send(request_bytes("GET", "/greedy"))
        many.wait_log("more than it had credit for")
        with pytest.raises(Cut):
            connection.read_response()
    assert many.get("/hello").text == "hello"


def test_frames_after_the_end_harm_nobody(many: App) -> None:
    answer = many.get(lie({**HEAD, "body": "a"}, {"type": "end"}, {"type": "chunk", "body": "b"},
                          {"type": "end"}, {"type": "message", "body": "c"}, {"status": 200}))
    assert answer.body == b"a"
    many.wait_log("nothing that is open")
    assert many.get("/hello").text == "hello"


def test_credit_beyond_counting_is_only_much(many: App) -> None:
    most = {"type": "credit", "bytes": 2 ** 53 - 1}
    with many.connect() as connection:
        connection.send(upload_head(MB, lie(most, most, most, {"status": 200})) + b"a" * MB)
        assert connection.read_response("POST").status == 200
    assert many.get("/hello").text == "hello"


@pytest.mark.parametrize("trailers", [
    {"x": "a\r\nset-cookie: b"}, {"x\r\ny": "a"}, {"x": "a\0b"}, {"content-length": "5"},
    {"transfer-encoding": "chunked"}, {"": "a"}, {"x": "\u0153"},
], ids=repr)
def test_bad_trailers_leave_no_byte_on_the_wire(many: App, trailers: dict[str, str]) -> None:
    received = many.raw(request_bytes("GET", lie({**HEAD, "body": "a"}, {"type": "end", "trailers": {
        **trailers, "x-good": "1"}}), headers={"Connection": "close", "TE": "trailers"}))
    assert b"\r\n1\r\na\r\n0\r\n" in received
    behind = received.partition(b"\r\n0\r\n")[2]
    assert behind in (b"\r\n", b"x-good: 1\r\n\r\n")
    assert many.get("/hello").text == "hello"


WEBSOCKET = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
             "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}


@pytest.mark.parametrize("frames", [
    [{"status": 101}], [{"status": 101, "more": True, "headers": {"x": "a\r\nb: c"}}],
    [{"type": "message", "body": "early"}], [{"type": "end", "code": 1000}],
], ids=repr)
def test_a_lie_about_an_upgrade_is_a_502(nodey: Start, frames: list[dict[str, Any]]) -> None:
    app = nodey(config=streamer("concurrency=8", "features=stream,ws,cancel", server=BRIEF))
    with app.connect() as connection:
        connection.send(request_bytes("GET", lie(*frames), headers=WEBSOCKET))
        assert connection.read_response().status == 502
    assert app.get("/hello").text == "hello"


@pytest.mark.parametrize("frames", [
    [{"type": "end", "code": 1005, "reason": "x" * 500}], [{"type": "chunk", "body": "a"}],
    [{"status": 200}], [{"status": 200, "more": True}], [{"type": "info", "status": 103}],
    [{"type": "error", "code": "internal"}], [{"type": "message"}],
], ids=repr)
def test_a_lie_within_a_websocket_closes_it(nodey: Start, frames: list[dict[str, Any]]) -> None:
    app = nodey(config=streamer("concurrency=8", "features=stream,ws,cancel", server=BRIEF))
    with WebSocket(app.port, lie({"status": 101, "more": True}, *frames)) as ws:
        event = ws.next()
        while event[0] in ("text", "binary"):
            event = ws.next()
        assert event[0] == "close" and event[1] in (None, 1011)
        ws.close(event[1])
        assert ws.rest() == [("eof",)]
    assert app.get("/hello").text == "hello"


def test_half_a_character_is_no_text_for_a_websocket(nodey: Start) -> None:
    app = nodey(config=streamer("concurrency=8", "features=stream,ws,cancel", server=BRIEF))
    with WebSocket(app.port, lie({"status": 101, "more": True},
                                 {"type": "message", "body": "\ud800"})) as ws:
        assert ws.next() == ("text", "\ufffd")


@pytest.mark.parametrize("pause", [0, 0.5])
def test_a_tunnel_carries_more_than_a_window(many: App, pause: float) -> None:
    """Also when much of the window went with the 101, and when its client begins late to read."""
    with many.connect() as connection:
        connection.send(request_bytes("GET", "/burst", headers=UPGRADE))
        time.sleep(pause)
        assert head_of(connection) == 101
        assert len(rest_of(connection)) == 8200000
