"""WebSockets of messages, through the real binary: opening, closing, bounds, and other clients."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from typing import Any, Callable

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from app import ROOT, App
from browser import chromium
from timing import slow, until
from workers import pool, raw
from ws import (BINARY, CLOSE, TEXT, WebSocket, close_payload, compressed, fragments, frame)

MB = 1024 * 1024

Start = Callable[..., App]


def talker(server: str = "", env: str = "{}", **settings: Any) -> str:
    """ws_raw.py (see there) for every path."""
    section = pool("ws", *raw("ws_raw.py"), **{"instances": 1, **settings})
    return f"[server]\n{server}\n\n{section}env = {env}\n"


@pytest.fixture
def app(nodey: Start) -> App:
    return nodey(config=talker())


def seen(app: App) -> dict[str, Any]:
    """What the worker saw."""
    return app.get("/seen").json()


def wait_closed(app: App, count: int = 1, seconds: float = 5) -> list[dict[str, Any]]:
    """What it says of its closed sockets, once there are so many."""

    def check() -> list[dict[str, Any]]:
        closed = seen(app)["closed"]
        return closed if len(closed) >= count else []

    return until(check, seconds, f"the worker has closed {count}; it saw {seen(app)}")


# -- opening


def test_it_is_opened_as_the_standard_says(app: App) -> None:
    with WebSocket(app.port, "/cookie") as ws:
        assert ws.status == 101 and ws.reason == "Switching Protocols"
        assert ws.headers.all("set-cookie") == ["a=1", "b=2"]
        assert "sec-websocket-extensions" not in ws.headers  # the worker's is not for it to say
        assert "sec-websocket-protocol" not in ws.headers
        ws.send("hi")
        assert ws.next() == ("text", "hi")
        ws.finish()
    assert wait_closed(app) == [{"path": "/cookie", "code": 1000, "reason": None, "messages": 1}]


KEY = "Sec-WebSocket-Key"
VERSION = "Sec-WebSocket-Version"


@pytest.mark.parametrize("fields, status, told", [
    ({VERSION: "8"}, 426, "version 13"),
    ({VERSION: ""}, 426, "version 13"),
    ({KEY: ""}, 400, "Sec-WebSocket-Key"),
    ({KEY: "dG9vIHNob3J0"}, 400, "16 bytes"),
    ({KEY: "not base64 at all!!!!!=="}, 400, "16 bytes"),
])
def test_a_bad_handshake_never_reaches_the_worker(app: App, fields: dict[str, str], status: int,
                                                  told: str) -> None:
    with WebSocket(app.port, headers=fields) as ws:
        assert ws.status == status
        assert ws.headers["content-type"] == "application/problem+json"
        assert told in json.loads(ws.body())["detail"]
        assert ws.headers.all("sec-websocket-version") == (["13"] if status == 426 else [])
    assert seen(app)["request"]["id"] == 1


def test_a_worker_may_refuse(app: App) -> None:
    with WebSocket(app.port, "/refuse?status=403") as ws:
        assert ws.status == 403 and ws.body() == b"no"
    with WebSocket(app.port, "/error?at=open") as ws:
        assert ws.status == 500


def test_a_subprotocol_is_one_that_was_offered(app: App) -> None:
    offer = {"Sec-WebSocket-Protocol": "chat, superchat"}
    with WebSocket(app.port, "/proto?name=superchat", headers=offer) as ws:
        assert ws.headers.all("sec-websocket-protocol") == ["superchat"]
        ws.finish()
    with WebSocket(app.port, "/proto?name=other", headers=offer) as ws:
        assert ws.status == 502
    with WebSocket(app.port, "/proto?name=chat") as ws:
        assert ws.status == 502
    assert seen(app)["cancels"] == 2


def test_bytes_that_come_with_the_handshake_are_not_lost(app: App) -> None:
    request = "\r\n".join(["GET /echo HTTP/1.1", "Host: x", "Connection: Upgrade",
                           "Upgrade: websocket", f"{KEY}: dGhlIHNhbXBsZSBub25jZQ==",
                           f"{VERSION}: 13", "", ""]).encode()
    answer = app.raw(request + frame(TEXT, b"early") + frame(CLOSE, close_payload(1000)),
                     timeout=2)
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ") and b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
    assert rest.endswith(b"\x88\x02\x03\xe8")
    assert wait_closed(app)[0]["messages"] == 1


def test_an_offer_that_cannot_be_met_is_passed_over(app: App) -> None:
    deflate = "permessage-deflate"
    for offer, accepted in ((f"{deflate}; server_max_window_bits=8", False),
                            (f"{deflate}; server_max_window_bits=8, {deflate}", True),
                            (f"x-other, {deflate}; unknown=1", False)):
        with WebSocket(app.port, offer=offer) as ws:
            assert (deflate in ws.extensions) == accepted
            ws.send("x" * 1000)
            assert ws.next() == ("text", "x" * 1000)
            assert ws.packed == accepted
            ws.finish()


def test_it_is_logged_with_its_status(nodey: Start) -> None:
    app = nodey(config=talker('access_log = "combined"'))
    with WebSocket(app.port) as ws:
        ws.finish()
    until(lambda: '"GET /echo HTTP/1.1" 101 ' in app.stdout(), 5, "a line in the access log")


# -- closing


@pytest.mark.parametrize("code, told", [
    (1000, 1000), (1001, 1001), (1002, 1002), (1003, 1003), (1007, 1007), (1008, 1008),
    (1009, 1009), (1010, 1010), (1011, 1011), (1012, 1012), (1013, 1013), (1014, 1014),
    (3000, 3000), (4999, 4999), ("-", 1000),
    (1005, None), (1006, None), (1015, None),  # not for the wire
])
def test_the_worker_closes(app: App, code: Any, told: Any) -> None:
    with WebSocket(app.port, f"/end?code={code}&reason=because&at=message") as ws:
        ws.send("go")
        reason = "because" if told else ""
        assert ws.next() == ("close", told, reason)
        ws.close(told)
        assert ws.rest() == [("eof",)]


def test_the_worker_may_close_at_once_and_with_a_long_reason(app: App) -> None:
    with WebSocket(app.port, "/end?code=4000&at=open&reason=" + "%C3%A4" * 100) as ws:
        assert ws.next() == ("close", 4000, "ä" * 61)  # 122 bytes: not within a character
        ws.close(4000)
        assert ws.rest() == [("eof",)]


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013,
                                  1014, 3000, 3999, 4000, 4999, None])
def test_the_worker_is_told_how_the_client_closed(app: App, code: Any) -> None:
    with WebSocket(app.port) as ws:
        ws.close(code, "see you" if code else "")
        assert ws.rest() == [("close", code, ""), ("eof",)]
    closed = wait_closed(app)[0]
    assert closed["code"] == (code or 1005)
    assert (closed["reason"] or "") == ("see you" if code else "")
    assert seen(app)["cancels"] == 0


@pytest.mark.parametrize("data, code", [
    (frame(TEXT, b"\xff"), 1007), (frame(3), 1002), (frame(TEXT, b"x", mask=None), 1002),
    (frame(BINARY, b"", length=1 << 40), 1009),
])
def test_the_worker_is_told_of_a_fault(app: App, data: bytes, code: int) -> None:
    with WebSocket(app.port) as ws:
        ws.send_raw(data)
        (kind, told, reason), end = ws.rest()
        assert (kind, told, end) == ("close", code, ("eof",)) and reason
    assert wait_closed(app)[0]["code"] == code


@pytest.mark.parametrize("how", ["reset", "end of file"])
def test_a_client_that_vanishes_is_a_1006(app: App, how: str) -> None:
    ws = WebSocket(app.port, read=False)
    ws.send("hi")
    until(lambda: seen(app)["open"] == 1, 5, "it is open")
    if how == "reset":
        ws.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    ws.socket.close()
    assert wait_closed(app)[0]["code"] == 1006
    assert seen(app)["cancels"] == 0


def test_a_client_that_does_not_answer_the_close_is_dropped(app: App) -> None:
    with WebSocket(app.port, "/end?at=open") as ws:
        begun = time.monotonic()
        assert ws.rest() == [("close", 1000, ""), ("eof",)]
        assert 4 < time.monotonic() - begun < slow(8)


@pytest.mark.parametrize("path, sends", [("/error?at=message", True), ("/die", True),
                                         ("/stray", False)])
def test_a_worker_that_fails_is_a_1011(app: App, path: str, sends: bool) -> None:
    with WebSocket(app.port, path) as ws:
        if sends:
            ws.send("go")
        event = ws.next()
        assert event[:2] == ("close", 1011)
        ws.close(1011)
        assert ws.rest() == [("eof",)]
    app.wait_workers(1)


def test_in_development_the_reason_is_what_the_worker_said(nodey: Start) -> None:
    app = nodey(config=talker('dev = "on"\nwatch = "off"'))
    with WebSocket(app.port, "/error?at=message") as ws:
        ws.send("go")
        assert ws.next() == ("close", 1011, "not today")


def test_when_nodey_stops_all_are_closed_with_1001(app: App) -> None:
    sockets = [WebSocket(app.port) for _ in range(20)]
    for ws in sockets:
        ws.send("hi")
        assert ws.next() == ("text", "hi")
    begun = time.monotonic()
    app.signal(signal.SIGTERM)
    for ws in sockets:
        assert ws.next() == ("close", 1001, "")
        ws.close(1001)
        assert ws.rest() == [("eof",)]
        ws.drop()
    assert app.wait_exit() == 0
    assert time.monotonic() - begun < slow(5)


def test_a_worker_that_was_replaced_is_written_to_no_more(nodey: Start) -> None:
    app = nodey(config=talker(env='{ WS_LINGER = "1" }', timeout="1s"))
    old = app.wait_workers(1)
    with WebSocket(app.port) as ws:
        config = app.folder / "nodey.toml"
        config.write_text(config.read_text().replace('LINGER = "1"', 'LINGER = "1.0"'))
        app.signal(signal.SIGHUP)
        answered, event = 0, ("text", "more")
        while event == ("text", "more"):  # it works on until its time is over, and then is mute
            ws.send("more")
            event = ws.next()
            answered += 1
        assert event[:2] == ("close", 1011) and answered > 10
        ws.close(1011)
        assert ws.rest() == [("eof",)]
    app.wait_workers(1, without=old)


def test_a_worker_that_does_not_answer_the_end_holds_no_connection(nodey: Start) -> None:
    app = nodey(config=talker('shutdown_timeout = "1s"'))  # its worker keeps the socket
    with WebSocket(app.port, "/keep") as ws:
        ws.finish()
    assert wait_closed(app)[0]["code"] == 1000
    with WebSocket(app.port) as ws:
        ws.send("still here")
        assert ws.next() == ("text", "still here")
        ws.finish()


# -- many, and much


def test_10000_messages_each_way(app: App) -> None:
    count = 10000
    with WebSocket(app.port) as ws:
        data = b"".join(frame(TEXT if n % 3 else BINARY, b"message %d" % n)
                        for n in range(count))
        sender = threading.Thread(target=ws.send_raw, args=(data,))
        sender.start()
        for n in range(count):
            kind, message = ws.next()
            assert (kind, message) == (("text", f"message {n}") if n % 3
                                       else ("binary", b"message %d" % n))
        sender.join()
        ws.finish()
    assert seen(app)["overdraft"] == 0


def test_the_largest_message_and_one_byte_more(nodey: Start) -> None:
    app = nodey(config=talker('max_message = "1M"'))
    for opcode, kind in ((TEXT, "text"), (BINARY, "binary")):
        with WebSocket(app.port) as ws:
            ws.send_raw(frame(opcode, b"x" * MB))
            event = ws.next()
            assert event[0] == kind and len(event[1]) == MB
            ws.send_raw(frame(opcode, b"", length=MB + 1))  # refused by its head
            assert ws.next()[:2] == ("close", 1009)


def test_a_message_that_fits_no_line_is_too_big(nodey: Start) -> None:
    app = nodey(config=talker('max_message = "1M"', max_line="64K"))
    for data, fits in ((b"\x01" * 10000, True), (b"\x01" * 11000, False), (b"x" * 65000, True),
                       (b"x" * 66000, False)):
        with WebSocket(app.port) as ws:
            ws.send_raw(frame(TEXT, data))
            assert ws.next()[:2] == (("text", data.decode()) if fits else ("close", 1009))
    for size, fits in ((48000, True), (50000, False)):
        with WebSocket(app.port) as ws:
            ws.send(b"\xff" * size)
            assert ws.next()[:2] == (("binary", b"\xff" * size) if fits else ("close", 1009))


def test_a_slow_reader_costs_a_window_and_not_more(nodey: Start) -> None:
    app = nodey(config=talker(timeout="60s"))
    calm = app.calm(1)
    count, size = 2000, 20000  # 40 MB
    with WebSocket(app.port, f"/push?count={count}&size={size}", read=False,
                   receive_buffer=16384) as ws:
        time.sleep(slow(1))  # all that may be under way is
        calm.check_memory(4 * MB)
        ws.read_on()
        for n in range(count):
            kind, message = ws.next()
            assert kind == "text" and message[:8] == f"{n:08d}" and len(message) == size
        assert ws.next() == ("close", 1000, "")
        ws.close()
        assert ws.rest() == [("eof",)]
    calm.check(4 * MB)


def test_a_worker_that_takes_no_more_stops_its_client(nodey: Start) -> None:
    app = nodey(config=talker('websocket_timeout = "1s"'))
    calm = app.calm(1)
    with WebSocket(app.port, "/sink", read=False) as ws:
        ws.socket.settimeout(slow(1))
        sent, piece = 0, frame(BINARY, b"x" * 16000)
        with pytest.raises(socket.timeout):
            while sent < 64 * MB:
                sent += ws.socket.send(piece * 16)
        calm.check_memory(4 * MB)
        given = list(seen(app)["given"].values())
        assert len(given) == 1 and -16000 < given[0] <= 0  # the whole credit, one message over
        assert seen(app)["overdraft"] == 0
    # Nothing is read of it, so only a ping shows that it is gone.
    assert wait_closed(app)[0]["code"] == 1006


def test_one_that_was_stopped_is_read_to_its_close_when_the_worker_ends(app: App) -> None:
    with WebSocket(app.port, "/sink") as ws:
        ws.send_raw(frame(BINARY, b"x" * 16000) * 40)  # more than the window and a full buffer
        until(lambda: min(seen(app)["given"].values(), default=1) <= 0, 5, "the credit is gone")
        os.kill(app.worker_pids()[0], signal.SIGKILL)
        assert ws.next()[:2] == ("close", 1011)
        begun = time.monotonic()
        ws.close(1011)
        assert ws.rest() == [("eof",)]
        assert time.monotonic() - begun < 4  # it need not be dropped


def test_who_waits_for_credit_gets_all_in_order(nodey: Start) -> None:
    """With a window smaller than a message each waits for the one before."""
    app = nodey(config=talker(env='{ WS_WINDOW = "1024" }'))
    sockets = [WebSocket(app.port) for _ in range(8)]
    for n, ws in enumerate(sockets):
        ws.send_raw(b"".join(frame(TEXT, f"{n}:{i}:".encode() + b"x" * 3000) for i in range(50)))
    for n, ws in enumerate(sockets):
        for i in range(50):
            assert ws.next() == ("text", f"{n}:{i}:" + "x" * 3000)
        ws.finish()
        ws.drop()
    assert seen(app)["overdraft"] == 0


def test_a_bomb_is_refused_with_bounded_memory(nodey: Start) -> None:
    app = nodey(config=talker('max_message = "4M"'))
    calm = app.calm(1)
    bomb = compressed(bytes(512 * MB), level=9)
    assert len(bomb) < MB
    for piece in (len(bomb), 1000):
        with WebSocket(app.port, offer="permessage-deflate") as ws:
            try:
                ws.send_raw(b"".join(fragments(BINARY, bomb, piece, rsv=4)))
            except OSError:
                pass  # refused before all was sent
            assert ws.next()[:2] == ("close", 1009)
    calm.check(12 * MB)


def test_pings_without_reading_do_not_pile_up(app: App) -> None:
    calm = app.calm(1)
    with WebSocket(app.port, read=False, receive_buffer=4096) as ws:
        data = frame(9, b"x" * 125) * 1000
        ws.socket.settimeout(slow(1))
        for _ in range(300):  # 39 MB of them
            ws.socket.sendall(data)
        calm.check_memory(4 * MB)
        # Behind so many that it is read while the pongs before it are stuck.
        ws.send_raw(data * 40 + frame(9, b"the last"))
        time.sleep(slow(0.5))
        ws.read_on()
        event = ws.next()
        while event != ("pong", b"the last"):
            assert event[0] == "pong", event
            event = ws.next()
        ws.finish()


# -- silence


def test_a_silent_client_is_pinged_and_one_that_answers_stays(nodey: Start) -> None:
    app = nodey(config=talker('websocket_timeout = "1s"'))
    with WebSocket(app.port) as ws:
        end = time.monotonic() + 3
        pings = 0
        while time.monotonic() < end:
            event = ws.next(end - time.monotonic())
            if event[0] == "ping":
                pings += 1
                ws.send_raw(frame(10, event[1]))
            else:
                assert event == ("nothing",)
        assert 3 <= pings <= 6
        ws.finish()


def test_a_client_that_stays_silent_is_dropped(nodey: Start) -> None:
    app = nodey(config=talker('websocket_timeout = "1s"'))
    with WebSocket(app.port) as ws:
        begun = time.monotonic()
        assert ws.next() == ("ping", b"")
        assert 0.4 < time.monotonic() - begun < slow(1)
        assert ws.next() == ("eof",)
        assert 0.9 < time.monotonic() - begun < slow(2)
    assert wait_closed(app)[0]["code"] == 1006


def test_one_that_talks_is_not_pinged(nodey: Start) -> None:
    app = nodey(config=talker('websocket_timeout = "2s"'))
    with WebSocket(app.port) as ws:
        for n in range(12):
            ws.send(str(n))
            assert ws.next() == ("text", str(n))
            time.sleep(0.25)
        ws.finish()


def test_one_that_is_stopped_by_its_worker_is_not_dropped(nodey: Start) -> None:
    app = nodey(config=talker('websocket_timeout = "500ms"', env='{ WS_WINDOW = "1024" }'))
    with WebSocket(app.port, "/sink") as ws:
        for _ in range(4):
            ws.send("x" * 600)  # two fill the window
        time.sleep(slow(1))
        assert seen(app)["open"] == 1


# -- other clients


def test_pythons_websockets(app: App) -> None:
    url = f"ws://127.0.0.1:{app.port}"
    with connect(f"{url}/proto?name=chat", subprotocols=["chat"], max_size=None) as ws:
        assert ws.subprotocol == "chat"
        for message in ("hi", "", "ä€😀" * 1000, b"", b"\x00\xff" * 50000, "x" * MB):
            ws.send(message)
            assert ws.recv(timeout=slow(5)) == message
        ws.send(["in ", "three ", "fragments"])
        assert ws.recv(timeout=slow(5)) == "in three fragments"
        assert ws.ping().wait(slow(5))
        ws.close(4001, "done")
        assert ws.close_code == 4001
    with connect(f"{url}/end?code=4002&reason=over&at=open") as ws:
        with pytest.raises(ConnectionClosed) as caught:
            ws.recv(timeout=slow(5))
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4002, "over")
    closed = wait_closed(app, 2)
    assert closed[0]["code"] == 4001 and closed[0]["reason"] == "done"


# What each of the two below must find; the last part of a close is whether it was clean.
TALK = {
    "texts": True, "bytes": True, "large": True, "many": 1000, "protocol": "chat",
    "compressed": True, "closed by us": [4001, "done", True],
    "closed by the worker": [4002, "over", True], "worker failed": [1011, "", True],
}


def test_nodes_ws(app: App) -> None:
    script = ROOT / "tests" / "workers" / "ws_client.cjs"
    done = subprocess.run(["node", str(script), f"ws://127.0.0.1:{app.port}"], text=True,
                          env={**os.environ, "NODE_PATH": str(ROOT / "build/node/node_modules")},
                          timeout=slow(30), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == TALK
    assert wait_closed(app, 3)[0] == {"path": "/proto", "code": 4001, "reason": "done",
                                      "messages": 1009}


@pytest.mark.long
def test_chromium(app: App) -> None:
    with chromium(f"http://127.0.0.1:{app.port}/page"):
        report = until(lambda: seen(app)["report"], 60, "the page has reported")
    assert report == TALK
    assert wait_closed(app, 3)[0]["code"] == 4001
