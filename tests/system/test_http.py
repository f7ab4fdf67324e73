"""HTTP as clients and handlers see it, through the real binary."""

from __future__ import annotations

import json
import re
import resource
import socket
import threading
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from signal import SIGTERM
from typing import Any, Callable, Optional
from urllib.parse import urlencode

import pytest

from app import App
from checks import MEBIBYTE, Baseline
from client import Connection, Cut, Response, request_bytes
from timing import slow, until
from workers import pool, raw

Nodey = Callable[..., App]



def start(nodey: Nodey, server: str = "", **more: Any) -> App:
    """One worker that answers with what it got (tests/workers/mirror.py)."""
    return nodey(config=f"[server]\n{server}\n" + pool("mirror", *raw("mirror.py"), instances=1),
                 **more)


def told(answer: Response) -> dict[str, Any]:
    """The frame that the worker got."""
    assert answer.status == 200, answer
    return answer.json()


def with_answer(**members: Any) -> str:
    """A path that is answered with these members of the answer's frame."""
    return "/?" + urlencode({"answer": json.dumps(members)})


# ------------------------------------------------------------------ requests


def test_a_request_arrives_as_it_was_sent(nodey: Nodey) -> None:
    app = start(nodey)
    answer = told(app.request("PATCH", "/a%20b/%2Fc//d?e=%66&g", b"caf\xc3\xa9", {"X-One": "1"}))
    assert answer["method"] == "PATCH"
    assert answer["path"] == "/a%20b/%2Fc//d"
    assert answer["query"] == "e=%66&g"
    assert answer["body"] == "caf\u00e9"
    assert answer["ip"] == "127.0.0.1"
    assert answer.get("scheme", "http") == "http"
    assert answer["headers"]["x-one"] == "1"


@pytest.mark.parametrize(("sent", "seen"), [
    ("/a/../b", "/b"), ("/../../b", "/b"), ("/a/%2e%2E/b", "/b"), ("/a/./b/", "/a/b/"),
    ("/a/..", "/"), ("//a//b", "//a//b"), ("/%252e%252e/a", "/%252e%252e/a"),
])
def test_dot_segments_are_gone_when_a_handler_sees_the_path(nodey: Nodey, sent: str,
                                                            seen: str) -> None:
    assert told(start(nodey).get(sent))["path"] == seen


def test_hop_by_hop_and_spoofed_fields_do_not_reach_a_handler(nodey: Nodey) -> None:
    app = start(nodey)
    sent = {
        "Connection": "close, X-Named", "X-Named": "1", "Keep-Alive": "1", "TE": "trailers",
        "Trailer": "X", "Upgrade": "h2c", "Proxy-Connection": "close", "Proxy-Authorization": "x",
        "Proxy-Authenticate": "x", "X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil", "X-Forwarded-Port": "1", "Forwarded": "for=6.6.6.6",
        "X-Real-IP": "6.6.6.6", "X-Request-Id": "mine", "X_Forwarded_For": "6.6.6.6",
        "Under_Score": "1", "X-Kept": "yes", "Cookie": "a=1", "Authorization": "Bearer x",
    }
    answer = app.request("GET", "/", headers=sent)
    seen = told(answer)["headers"]
    assert set(seen) == {"host", "x-kept", "cookie", "authorization"}, seen
    assert told(answer)["ip"] == "127.0.0.1" and told(answer).get("scheme", "http") == "http"
    assert answer.headers["x-request-id"] != "mine"


def test_a_trusted_proxy_says_who_the_client_is(nodey: Nodey) -> None:
    app = start(nodey, 'trusted_proxies = ["127.0.0.0/8", "10.0.0.0/8"]')
    answer = app.request("GET", "/", headers={
        "X-Forwarded-For": "6.6.6.6, 203.0.113.9, 10.1.2.3", "X-Forwarded-Proto": "https",
        "X-Request-Id": "from-the-proxy"})
    assert (told(answer)["ip"], told(answer)["scheme"]) == ("203.0.113.9", "https")
    assert answer.headers["x-request-id"] == "from-the-proxy"
    assert told(answer)["headers"]["x-forwarded-proto"] == "https"


def test_bodies_arrive_whole_in_either_framing(nodey: Nodey) -> None:
    app = start(nodey)
    body = b"0123456789" * 5000
    assert told(app.post("/", body))["body"] == body.decode()
    pieces = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(body[i:i + 997]), body[i:i + 997])
                      for i in range(0, len(body), 997))
    with app.connect() as connection:
        connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.send(pieces + b"0\r\nX-Sum: 1\r\n\r\n")
        answer = connection.read_response()
    assert told(answer)["body"] == body.decode()
    seen = told(answer)["headers"]
    assert seen["content-length"] == str(len(body)) and "transfer-encoding" not in seen


def test_expect_is_answered_before_the_body_and_only_when_it_is_wanted(nodey: Nodey) -> None:
    app = start(nodey, 'max_body = "1K"')
    head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    with app.connect() as connection:
        connection.send(head % 5)
        assert connection.socket.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(b"hello")
        assert told(connection.read_response())["body"] == "hello"
        connection.send(head % 5000)
        assert connection.socket.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_options_asterisk_and_absolute_form(nodey: Nodey) -> None:
    app = start(nodey)
    with app.connect() as connection:
        connection.send(b"GET http://other.test:81/x?y HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = connection.read_response()
        assert told(answer)["path"] == "/x"
        assert told(answer)["headers"]["host"] == "other.test:81"
        connection.send(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.read_response("OPTIONS").status < 500


# -------------------------------------------------------------------- answers


def test_an_answer_has_what_every_answer_has(nodey: Nodey) -> None:
    app = start(nodey)
    answers = [app.get("/"), app.get("/?status=404"), app.raw(b"bad\r\n\r\n")]
    for answer in answers[:2]:
        when = parsedate_to_datetime(answer.headers["date"]).timestamp()
        assert abs(when - time.time()) < slow(3)
        assert re.fullmatch(r"[0-9a-f]{24}", answer.headers["x-request-id"])
        assert len(answer.headers.all("content-length")) == 1
        assert "nodey" not in answer.headers.get("server").lower()
    assert answers[0].headers["x-request-id"] != answers[1].headers["x-request-id"]
    assert b"Server:" not in answers[2] and b'"request_id":"' in answers[2]


def test_head_is_get_without_the_body(nodey: Nodey) -> None:
    app = start(nodey)
    with app.connect() as connection:
        head = connection.request("HEAD", "/?size=1234")
        assert head.body == b"" and head.headers["content-length"] == "1234"
        assert connection.request("GET", "/?size=1234").body == b"x" * 1234


@pytest.mark.parametrize("code", [204, 304])
def test_where_no_body_may_be_none_is_sent(nodey: Nodey, code: int) -> None:
    app = start(nodey)
    with app.connect() as connection:
        answer = connection.request("GET", f"/?size=1234&status={code}")
        assert answer.status == code
        assert code != 204 or "content-length" not in answer.headers
        assert connection.request("GET", "/?size=10").body == b"x" * 10


@pytest.mark.parametrize("members", [
    {"headers": {"X-Evil": "a\r\nSet-Cookie: b=1"}}, {"headers": {"X-Evil": "a\n"}},
    {"headers": {"X-Evil": "a\0b"}}, {"headers": {"X Evil": "a"}}, {"headers": {"": "a"}},
    {"headers": {"X-Evil:": "a"}}, {"reason": "OK\r\nSet-Cookie: b=1"}, {"status": 99},
    {"status": 101}, {"status": 1000},
], ids=json.dumps)
def test_an_answer_that_is_none_becomes_a_502(nodey: Nodey, members: dict[str, Any]) -> None:
    app = start(nodey)
    with app.connect() as connection:
        answer = connection.request("GET", with_answer(**members))
        assert answer.status == 502 and "set-cookie" not in answer.headers, answer
        assert connection.request("GET", "/").status == 200


def test_a_worker_does_not_speak_for_the_connection(nodey: Nodey) -> None:
    app = start(nodey)
    fields = {"Connection": "upgrade", "Transfer-Encoding": "chunked", "Keep-Alive": "x",
              "Content-Length": "999", "Date": "yesterday", "X-Good": "yes"}
    with app.connect() as connection:
        answer = connection.request("GET", with_answer(headers=fields, body="x"))
        assert answer.body == b"x" and answer.headers["x-good"] == "yes"
        for name in ("connection", "transfer-encoding", "keep-alive"):
            assert name not in answer.headers
        assert answer.headers["date"] != "yesterday"
        assert connection.request("GET", "/").status == 200


# ----------------------------------------------------------------- connections


def test_one_connection_serves_many_requests(nodey: Nodey) -> None:
    app = start(nodey)
    with app.connect() as connection:
        for i in range(200):
            assert told(connection.request("GET", f"/{i}"))["path"] == f"/{i}"
        answer = connection.request("GET", "/", headers={"Connection": "close"})
        assert answer.headers["connection"] == "close"
        assert connection.socket.recv(1) == b""


def test_pipelined_requests_are_answered_in_order(nodey: Nodey) -> None:
    app = start(nodey)
    with app.connect() as connection:
        requests = [request_bytes("POST", f"/{i}", b"%d" % i) if i % 3 else
                    request_bytes("GET", f"/{i}?sleep={0.05 if i == 0 else 0}") for i in range(60)]
        connection.send(b"".join(requests))
        for i in range(60):
            assert told(connection.read_response())["path"] == f"/{i}"


def test_an_old_client_is_served_and_closed_unless_it_asks_to_stay(nodey: Nodey) -> None:
    app = start(nodey)
    answer = app.raw(b"GET /old HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ") and b"/old" in answer
    with app.connect() as connection:
        connection.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert connection.read_response().headers["connection"] == "keep-alive"
        connection.send(b"GET /again HTTP/1.0\r\n\r\n")
        assert told(connection.read_response())["path"] == "/again"
        assert connection.socket.recv(1) == b""


def test_a_client_that_shuts_its_side_with_its_request_is_answered(nodey: Nodey) -> None:
    app = start(nodey)
    answer = app.raw(request_bytes("GET", "/?sleep=0.4"), half_close=True)
    assert answer.startswith(b"HTTP/1.1 200 ")
    two = request_bytes("GET", "/a") + request_bytes("GET", "/b")
    # A busy machine may stop this test for long between its sending and its shutting.
    until(lambda: app.raw(two, half_close=True).count(b"HTTP/1.1 200 ") == 2, 5,
          "both requests are answered")
    assert app.raw(b"GET / HTTP/1.1\r\nHos", half_close=True).startswith(b"HTTP/1.1 400 ")


def test_the_answer_to_an_oversized_upload_is_not_lost(nodey: Nodey) -> None:
    app = start(nodey, 'max_body = "64K"')
    for _ in range(5):
        with app.connect() as connection:
            connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n")
            connection.send(b"x" * 200000)
            assert connection.read_response().status == 413


# -------------------------------------------------------------------- deadlines


def wait_end(connection: Connection, seconds: float) -> bytes:
    """All that comes until the end; fails when it takes longer."""
    connection.socket.settimeout(slow(seconds))
    received = b""
    while True:
        piece = connection.socket.recv(65536)
        if not piece:
            return received
        received += piece


def test_a_head_that_drips_is_cut_off_by_one_deadline(nodey: Nodey) -> None:
    app = start(nodey, 'header_timeout = "600ms"')
    with app.connect() as connection:
        begun = time.monotonic()
        connection.socket.settimeout(0.05)
        received = b""
        for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 1000:
            try:
                connection.send(bytes([byte]))
                received = connection.socket.recv(65536)
                break
            except socket.timeout:
                continue
        assert received.startswith(b"HTTP/1.1 408 "), received
        assert 0.5 < time.monotonic() - begun < slow(1.6)


def test_a_body_that_stops_is_cut_off(nodey: Nodey) -> None:
    app = start(nodey, 'body_timeout = "400ms"')
    with app.connect() as connection:
        connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
        assert wait_end(connection, 3).startswith(b"HTTP/1.1 408 ")


def test_an_idle_connection_is_closed_without_a_word(nodey: Nodey) -> None:
    app = start(nodey, 'idle_timeout = "400ms"')
    with app.connect() as fresh, app.connect() as used:
        assert told(used.request("GET", "/"))
        assert wait_end(used, 3) == b""
        assert wait_end(fresh, 3) == b""


def test_slow_clients_do_not_hold_up_a_good_one(nodey: Nodey) -> None:
    app = start(nodey, 'header_timeout = "1s"')
    connections = [app.connect() for _ in range(300)]
    for connection in connections:
        connection.send(b"GET / HTTP/1.1\r\nHo")
    begun = time.monotonic()
    assert app.get("/").status == 200
    assert time.monotonic() - begun < slow(0.5)
    for connection in connections:
        assert wait_end(connection, 5).startswith(b"HTTP/1.1 408 ")
        connection.close()


def test_a_client_that_takes_nothing_is_dropped(nodey: Nodey) -> None:
    app = start(nodey, 'send_timeout = "500ms"')
    before = app.fds()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", app.port))
        for _ in range(40):
            sock.sendall(request_bytes("GET", "/?size=500000"))
        until(lambda: app.fds() > before, 3, "the connection is there")
        until(lambda: app.fds() <= before, 15, "the connection is dropped")


# ----------------------------------------------------------------------- bounds


def test_at_the_limit_idle_connections_make_room(nodey: Nodey) -> None:
    app = start(nodey, "max_connections = 5")
    idle = [app.connect() for _ in range(5)]
    for connection in idle:
        assert told(connection.request("GET", "/"))
    for _ in range(3):
        assert app.get("/").status == 200
    assert wait_end(idle[0], 3) == b""
    assert told(idle[4].request("GET", "/"))["path"] == "/"
    for connection in idle:
        connection.close()


def test_at_the_limit_with_none_idle_clients_are_told(nodey: Nodey) -> None:
    app = start(nodey, "max_connections = 3")
    busy = [app.open_request("GET", "/?sleep=1.5") for _ in range(3)]
    time.sleep(0.2)
    assert app.get("/").status == 503
    for connection in busy:
        assert connection.read_response().status == 200
        connection.close()


def test_a_pipelining_flood_does_not_fill_memory(nodey: Nodey) -> None:
    app = start(nodey)
    app.get("/")
    baseline = Baseline(app)
    with app.connect() as connection:
        connection.send(request_bytes("GET", "/?sleep=2"))
        connection.socket.setblocking(False)
        flood = request_bytes("GET", "/flood") * 1000
        end = time.monotonic() + 1
        while time.monotonic() < end:
            try:
                connection.socket.send(flood)
            except BlockingIOError:
                time.sleep(0.01)
        baseline.check_memory(8 * MEBIBYTE)


@pytest.mark.long
def test_ten_thousand_idle_connections_are_cheap(nodey: Nodey) -> None:
    app = start(nodey)
    app.get("/")
    baseline = Baseline(app)
    count = min(10000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200)
    connections = [app.connect(30) for _ in range(count)]
    for connection in connections:
        assert connection.request("GET", "/?size=10").status == 200
    baseline.check_memory(count * 4096 + MEBIBYTE)
    begun = time.monotonic()
    assert app.get("/").status == 200
    assert time.monotonic() - begun < slow(0.3)
    for connection in connections:
        connection.close()
    baseline.check()


def test_clients_that_come_and_go_leave_nothing(nodey: Nodey) -> None:
    app = start(nodey)
    app.get("/")
    baseline = Baseline(app)
    data = request_bytes("GET", "/?size=10")
    for i in range(1500):
        with app.connect() as connection:
            if i % 3 == 0:
                connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                             b"\1\0\0\0\0\0\0\0")
            connection.send(data[:len(data) - i % 2])
    assert app.get("/").status == 200
    baseline.check(4 * MEBIBYTE)


# -------------------------------------------------------------------------- end


def test_draining_tells_idle_clients_and_finishes_the_rest(nodey: Nodey) -> None:
    app = start(nodey)
    with app.connect() as idle, app.connect() as half:
        assert told(idle.request("GET", "/"))
        half.send(b"GET /half HTTP/1.1\r\nHo")
        busy = app.open_request("GET", "/?sleep=0.7")
        time.sleep(0.2)
        app.signal(SIGTERM)
        time.sleep(0.1)
        half.send(b"st: a\r\n\r\n")
        for connection in (half, busy):
            answer = connection.read_response()
            assert answer.status == 200 and answer.headers["connection"] == "close"
        answer = idle.request("GET", "/last")
        assert answer.status == 200 and answer.headers["connection"] == "close"
        busy.close()
    assert app.wait_exit() == 0


def test_no_accepted_request_is_lost_when_it_ends_under_load(nodey: Nodey) -> None:
    app = start(nodey)
    lost: list[str] = []
    served = [0]

    def client() -> None:
        connection: Optional[Connection] = None
        while True:
            try:
                connection = connection or app.connect()
            except ConnectionError:
                return  # It no longer listens.
            try:
                answer = connection.request("GET", "/")
            except (Cut, ConnectionError) as error:
                lost.append(str(error))
                return
            assert answer.status == 200
            served[0] += 1
            if answer.headers.get("connection") == "close":
                connection.close()
                connection = None

    threads = [threading.Thread(target=client) for _ in range(8)]
    for thread in threads:
        thread.start()
    until(lambda: served[0] > 200, 10, "load")
    assert app.stop() == 0
    for thread in threads:
        thread.join(slow(5))
        assert not thread.is_alive()
    assert not lost, lost


def test_it_listens_on_a_unix_socket_too(nodey: Nodey, tmp_path: Path) -> None:
    path = tmp_path / "s"
    app = start(nodey, listen=f"unix:{path}", wait=False)
    app.wait_log("nodey ready", 30)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(slow(5))
        sock.connect(str(path))
        sock.sendall(request_bytes("GET", "/", headers={"Connection": "close"}))
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["path"] == "/"
