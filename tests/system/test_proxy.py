"""HTTP to services and to addresses: what they are asked, what comes back, and what fails."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import socket
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

import pytest

import command
import procs
import reports
from app import ROOT, App
from client import Connection, Cut, Response, parse_head, request_bytes
from timing import slow, until
from upstream import Upstream, free_port, pattern, reset

Nodey = Callable[..., App]
Servers = Callable[..., Upstream]


@pytest.fixture
def upstream() -> Iterator[Servers]:
    """A factory of servers that end with the test."""
    servers: list[Upstream] = []

    def start(*args: Any, **kwargs: Any) -> Upstream:
        servers.append(Upstream(*args, **kwargs))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def route(to: Any, path: str = "/*", **keys: Any) -> str:
    lines = ["[[routes]]", f"path = {json.dumps(path)}", f"to = {json.dumps(to)}"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join(lines) + "\n"


def raw_answer(app: App, data: bytes) -> str:
    """The path at which an upstream says exactly this."""
    return f"/raw?hex={data.hex()}"


# ---------------------------------------------------------------- what is asked


def test_an_upstream_sees_the_request_and_who_asked(nodey: Nodey, upstream: Servers) -> None:
    server = upstream()
    app = nodey(config=route(server.url))
    answer = app.get("/echo/a%20b?x=1&y=%2F", {
        "Host": "shop.example:8443", "Cookie": "a=b", "Connection": "X-Hop, close",
        "X-Hop": "gone", "X-Forwarded-For": "6.6.6.6", "X-Forwarded-Host": "evil.example",
        "Forwarded": "for=6.6.6.6", "X-Real-IP": "6.6.6.6", "X-Request-Id": "evil"})
    said = answer.json()
    got = server.last()
    assert answer.status == 200
    assert said["target"] == "/echo/a%20b?x=1&y=%2F"
    assert got.all("host") == ["shop.example:8443"]
    assert got.all("cookie") == ["a=b"]
    assert got.all("x-forwarded-for") == ["127.0.0.1"]
    assert got.all("x-real-ip") == ["127.0.0.1"]
    assert got.all("x-forwarded-proto") == ["http"]
    assert got.all("x-forwarded-host") == ["shop.example:8443"]
    assert got.all("x-forwarded-port") == ["8443"]
    assert got.all("forwarded") == ['for=127.0.0.1;proto=http;host="shop.example:8443"']
    assert got.all("x-request-id") == [answer.headers["x-request-id"]]
    assert "evil" not in str(got.fields)
    assert not got.all("x-hop") and not got.all("via")
    assert not [f for f in got.all("connection") if "close" in f.lower()]


def test_a_trusted_proxy_is_believed(nodey: Nodey, upstream: Servers) -> None:
    server = upstream()
    app = nodey(config='[server]\ntrusted_proxies = ["127.0.0.1"]\n' + route(server.url))
    app.get("/", {"X-Forwarded-For": "1.2.3.4, 203.0.113.9", "X-Forwarded-Proto": "https",
                  "X-Forwarded-Host": "public.example", "X-Request-Id": "abc-1"})
    got = server.last()
    assert got.all("x-forwarded-for") == ["203.0.113.9"]
    assert got.all("x-forwarded-proto") == ["https"]
    assert got.all("x-forwarded-host") == ["public.example"]
    assert got.all("x-forwarded-port") == ["443"]
    assert got.all("forwarded") == ['for=203.0.113.9;proto=https;host="public.example"']
    assert got.all("x-request-id") == ["abc-1"]


@pytest.mark.parametrize("keys, path, seen", [
    ({"path": "/api/*", "strip_prefix": "/api"}, "/api/users?x=1", "/users?x=1"),
    ({"path": "/api/*", "strip_prefix": "/api"}, "/api", "/"),
    ({"path": "/api/*", "strip_prefix": "/api/"}, "/%61pi/a%2Fb", "/a%2Fb"),
    ({"path": "/api/*", "strip_prefix": "/api"}, "/api//evil.example/x", "/evil.example/x"),
    ({"path": "/api/*", "strip_prefix": "/api"}, "/api/x/../../api/y", "/y"),
    ({"path": "/old/*", "rewrite": "/v2/*"}, "/old/a/b?q", "/v2/a/b?q"),
    ({"path": "/u/:id/*", "rewrite": "/v2/*"}, "/u/7/deep/er", "/v2/deep/er"),
    ({"path": "/any", "rewrite": "/one"}, "/any?x", "/one?x"),
    ({"path": "/*"}, "/a//b/", "/a//b/"),
])
def test_the_path_may_be_another(nodey: Nodey, upstream: Servers, keys: dict[str, str],
                                 path: str, seen: str) -> None:
    server = upstream()
    app = nodey(config=route(server.url, **keys))
    assert app.get(path).status == 200
    assert server.last().target == seen
    prefix = keys.get("strip_prefix", "").rstrip("/")
    assert server.last().all("x-forwarded-prefix") == ([prefix] if prefix else [])


def test_a_base_path_and_other_hosts(nodey: Nodey, upstream: Servers, tmp_path: Path) -> None:
    server, local = upstream(), upstream(path=tmp_path / "s.sock")
    app = nodey(config=route(server.url + "/base/", "/a/*", host="upstream")
                + route(server.url, "/b/*", host="fixed.example") + route(local.url, "/c/*"))
    app.get("/a/x")
    assert server.last().target == "/base/a/x"
    assert server.last().get("host") == f"127.0.0.1:{server.port}"
    app.get("/b/x")
    assert server.last().get("host") == "fixed.example"
    assert app.get("/c/x").status == 200
    assert local.last().get("host") == "nodey.test"


def test_bad_requests_reach_no_upstream(nodey: Nodey, upstream: Servers) -> None:
    server = upstream()
    app = nodey(config=route(server.url))
    for bad in (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
                b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n",
                b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc"):
        said = app.raw(bad)
        assert re.match(rb"HTTP/1.1 (400|501) ", said), (bad, said)
    assert server.requests == []
    assert app.get("/").status == 200


# ------------------------------------------------------------------------ bodies


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 3_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_arrive_as_they_are(nodey: Nodey, upstream: Servers, size: int,
                                   chunked: bool) -> None:
    server = upstream()
    app = nodey(config=route(server.url))
    body = pattern(size)
    with app.connect(20) as connection:
        if chunked:
            pieces = [body[i:i + 50000] for i in range(0, size, 50000)]
            coded = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces)
            connection.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                            b"\r\n" + coded + b"0\r\nX-Sum: 9\r\n\r\n")
        else:
            connection.send(request_bytes("POST", "/echo", body))
        said = connection.read_response().json()
    assert said["sha256"] == hashlib.sha256(body).hexdigest()
    if chunked:
        assert said["trailers"] == [["x-sum", "9"]]
    else:
        assert server.last().get("content-length") == str(size)


@pytest.mark.parametrize("chunked", ["", "&chunked=1"])
@pytest.mark.parametrize("size", [0, 10, 65536, 5_000_000])
def test_answers_arrive_as_they_are(nodey: Nodey, upstream: Servers, size: int,
                                    chunked: str) -> None:
    app = nodey(config=route(upstream().url))
    with app.connect(20) as connection:
        connection.send(request_bytes("GET", f"/bytes?n={size}{chunked}"))
        status, _, headers = parse_head(connection._until(b"\r\n\r\n"))
        assert status == 200
        if not chunked:
            assert headers["content-length"] == str(size)
            assert connection._exactly(size) == pattern(size)
            return
        assert headers["transfer-encoding"] == "chunked"
        body = b""
        while length := int(connection._until(b"\r\n"), 16):
            body += connection._exactly(length)
            assert connection._until(b"\r\n") == b""
        assert connection._until(b"\r\n\r\n").lower() == b"x-sum: seven"
        assert len(body) == size and hashlib.sha256(body).digest() == \
            hashlib.sha256(b"".join(pattern(min(65536, size - i))
                                    for i in range(0, size, 65536))).digest()


def test_bodiless_answers_and_interim_ones(nodey: Nodey, upstream: Servers) -> None:
    app = nodey(config=route(upstream().url))
    with app.connect() as connection:
        head = connection.request("HEAD", "/status/200")
        assert (head.status, head.headers["content-length"]) == (200, "5")
        assert connection.request("GET", "/status/204").body == b""
        unchanged = connection.request("GET", "/status/304")
        assert (unchanged.status, unchanged.headers["etag"]) == (304, '"a"')
        assert connection.request("GET", "/status/503").body == b"hello"
        connection.send(request_bytes("GET", "/hints"))
        status, _, headers = parse_head(connection._until(b"\r\n\r\n"))
        assert (status, headers["link"]) == (103, "</a.css>")
        assert connection.read_response().body == b"late"
        assert connection.request("GET", "/to-close").body == b"until the end"
    assert app.get("/hints-forever").status == 502


def test_fields_between_neighbours_stay_there(nodey: Nodey, upstream: Servers) -> None:
    app = nodey(config=route(upstream().url))
    answer = app.get("/hop")
    assert answer.headers["x-open"] == "2"
    for name in ("x-secret", "keep-alive", "proxy-authenticate"):
        assert name not in answer.headers


def test_a_client_that_waits_to_continue_is_told(nodey: Nodey, upstream: Servers) -> None:
    server = upstream()
    app = nodey(config=route(server.url))
    with app.connect() as connection:
        connection.send(b"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n"
                        b"Expect: 100-continue\r\n\r\n")
        assert connection._until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        connection.send(pattern(100000))
        assert connection.read_response().status == 200
    assert not server.last().all("expect")


def test_memory_is_bounded_when_a_side_is_slow(nodey: Nodey, upstream: Servers) -> None:
    server = upstream()
    app = nodey(config="[server]\nmax_body = \"200M\"\n" + route(server.url, timeout="30s"))
    before = procs.rss(app.pid)
    size = 100_000_000
    with app.connect(60) as connection:  # it takes nothing for a while
        connection.send(request_bytes("GET", f"/bytes?n={size}"))
        time.sleep(1)
        held = procs.rss(app.pid) - before
        connection._until(b"\r\n\r\n")
        got = len(connection.kept)
        while got < size:
            got += len(connection.socket.recv(1 << 20))
        assert got == size
    with app.connect(60) as connection:  # nobody reads it
        connection.send(b"POST /stuck HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
        connection.socket.settimeout(slow(1))
        with pytest.raises(socket.timeout):
            connection.socket.sendall(b"x" * 90_000_000)
        pushed = procs.rss(app.pid) - before
        server.release()
    if not app.sanitized:
        assert held < 16 << 20
        assert pushed < 24 << 20


def test_an_answer_may_come_before_the_body(nodey: Nodey, upstream: Servers) -> None:
    server = upstream()
    app = nodey(config=route(server.url))
    with app.connect() as connection:
        connection.send(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        assert connection.read_response().status == 413
    assert app.get("/echo").status == 200
    assert server.connections == 2, "the other one still waits for a body"


def test_a_big_upload_streams(nodey: Nodey, upstream: Servers) -> None:
    server = upstream()
    app = nodey(config="[server]\nmax_body = \"200M\"\n" + route(server.url))
    with app.connect(30) as connection:
        connection.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        connection.send(pattern(300000))
        until(lambda: server.received > 200000, 5, "its beginning arrives before its end")
        connection.send(pattern(1000000)[300000:])
        assert connection.read_response().json()["sha256"] == \
            hashlib.sha256(pattern(1000000)).hexdigest()


# ----------------------------------------------------------- streams and upgrades


def test_each_event_comes_at_once(nodey: Nodey, upstream: Servers) -> None:
    app = nodey(config=route(upstream().url, idle_timeout="200ms"))
    with app.connect() as connection:
        connection.send(request_bytes("GET", "/sse?n=3&pause=0.5"))
        connection._until(b"\r\n\r\n")
        times = []
        for n in range(3):
            connection._until(b"data: %d\n\n" % n)
            times.append(time.monotonic())
        assert times[1] - times[0] > 0.25 and times[2] - times[1] > 0.25
        connection._until(b"0\r\n\r\n")  # silence was no failure, and the end is one


def test_another_protocol_goes_through(nodey: Nodey, upstream: Servers) -> None:
    server = upstream()
    app = nodey(config=route(server.url))
    with app.connect() as connection:
        connection.send(b"GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
                        b"Upgrade: shout\r\n\r\n")
        head = connection._until(b"\r\n\r\n").decode()
        assert head.startswith("HTTP/1.1 101 ") and "upgrade: shout" in head.lower()
        assert connection._exactly(6) == b"hello "
        for size in (5, 200_000):
            connection.send(b"a" * size)
            assert connection._exactly(size) == b"A" * size
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection._exactly(3) == b"BYE"
        with pytest.raises(Cut):
            connection._exactly(1)
    assert server.last().get("upgrade") == "shout"
    until(lambda: server.open == 0, 5, "the tunnel is closed")


WS_SERVICE = """
import asyncio, os, websockets
async def echo(ws):
    async for message in ws:
        await ws.send(message)
async def main():
    async with websockets.serve(echo, "127.0.0.1", int(os.environ["PORT"])):
        await asyncio.Future()
asyncio.run(main())
"""


def test_websockets_of_a_service(nodey: Nodey) -> None:
    websockets = pytest.importorskip("websockets.sync.client")
    app = nodey(files={"ws.py": WS_SERVICE},
                config='[services.ws]\ncommand = "python3 ws.py"\nport = "auto"\n'
                + route("ws", "/ws/*"))
    with websockets.connect(f"ws://127.0.0.1:{app.port}/ws/x") as ws:
        for message in ("hello", "x" * 100_000, b"\0\1"):
            ws.send(message)
            assert ws.recv(10) == message


def test_a_silent_tunnel_is_closed_in_its_time_if_it_has_one(nodey: Nodey,
                                                             upstream: Servers) -> None:
    """Either side may break the silence; without a limit it may last."""
    server = upstream()
    app = nodey(config=route(server.url, tunnel_timeout="600ms", idle_timeout="100ms")
                + route(server.url, "/free/*", strip_prefix="/free", idle_timeout="100ms",
                        timeout="200ms"))

    def begin(path: str) -> Connection:
        connection = app.connect()
        connection.send(b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
                        b"Upgrade: shout\r\n\r\n" % path.encode())
        assert connection._until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        assert connection._exactly(6) == b"hello "
        return connection

    with begin("/upgrade") as limited, begin("/free/upgrade") as free:
        for _ in range(4):
            time.sleep(0.3)
            limited.send(b"a")
            assert limited._exactly(1) == b"A"
        begun = time.monotonic()
        with pytest.raises(Cut):
            limited._exactly(1)
        assert 0.5 < time.monotonic() - begun < 0.6 + slow(0.5)
        free.send(b"b")
        assert free._exactly(1) == b"B", "1.8 s of silence were nothing to it"
    app.wait_log("neither side said anything for tunnel_timeout")


# ---------------------------------------------------------------------- failures


def test_what_a_broken_answer_becomes(nodey: Nodey, upstream: Servers) -> None:
    server = upstream()
    app = nodey(config=route(server.url, retries=0, max_fails=0))
    assert app.get("/close").status == 502
    assert app.get("/half-head").status == 502
    ok = b"HTTP/1.1 200 OK\r\n"
    for bad in (b"220 smtp ready\r\n",
                ok + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                ok + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx",
                ok + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
                ok + b"X y: a\r\nContent-Length: 0\r\n\r\n",
                ok + b" folded\r\n\r\n",
                ok + b"Transfer-Encoding: gzip\r\n\r\n",
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
                b"HTTP/2 200\r\n\r\n"):
        answer = app.get(raw_answer(app, bad))
        assert answer.status == 502, (bad, answer)
        assert "set-cookie" not in answer.headers and b"smtp" not in answer.body


def test_more_than_an_answer_is_not_another_one(nodey: Nodey, upstream: Servers) -> None:
    server = upstream()
    app = nodey(config=route(server.url))
    two = (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"
           b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
    for _ in range(3):
        with app.connect() as connection:
            connection.send(request_bytes("GET", raw_answer(app, two)))
            try:
                assert connection.read_response().body == b"one"
                assert connection.request("GET", "/echo").json()["target"] == "/echo"
            except Cut:
                pass
        assert app.get("/echo").json()["target"] == "/echo"


@pytest.mark.parametrize("path", ["/short", "/short-chunks", "/stall"])
def test_a_broken_off_answer_is_not_taken_for_whole(nodey: Nodey, upstream: Servers,
                                                    path: str) -> None:
    app = nodey(config=route(upstream().url, idle_timeout="300ms"))
    with pytest.raises(Cut):
        app.get(path)


def test_time_is_bounded(nodey: Nodey, upstream: Servers) -> None:
    server = upstream()
    app = nodey(config=route(server.url, timeout="300ms"))
    begun = time.monotonic()
    answer = app.get("/hang")
    assert answer.status == 504 and "300 ms" in answer.json()["detail"]
    assert time.monotonic() - begun < slow(3)
    assert server.hits("/hang") == 1  # not tried twice
    until(lambda: server.open == 0, 5, "its connection is closed")
    assert app.get("/slow?s=0.1").body == b"slow"


def test_nobody_there(nodey: Nodey) -> None:
    app = nodey(config=route(f"http://127.0.0.1:{free_port()}", try_duration="400ms"),
                args=["--no-dev"])
    begun = time.monotonic()
    answer = app.get("/x")
    assert answer.status == 503 and answer.headers["retry-after"] == "1"
    assert "cannot be reached" in answer.json()["detail"]
    assert "127.0.0.1" not in answer.text, "addresses are no client's business"
    assert time.monotonic() - begun > 0.35
    assert len(re.findall("is left out", app.log())) == 1
    app.get("/x")
    assert len(re.findall("is left out", app.log())) == 1, "told once"


def test_a_request_waits_for_who_comes_back(nodey: Nodey, upstream: Servers) -> None:
    port = free_port()
    app = nodey(config=route(f"http://127.0.0.1:{port}", try_duration="10s"))
    answers: list[Response] = []
    thread = threading.Thread(target=lambda: answers.append(app.post("/echo", b"once", 20)))
    thread.start()
    time.sleep(0.7)
    server = upstream(port=port)
    thread.join(slow(10))
    assert [a.status for a in answers] == [200]
    assert server.hits("/echo") == 1
    app.wait_log("answers again")


def test_a_stale_connection_is_no_failure(nodey: Nodey, upstream: Servers) -> None:
    server = upstream()
    app = nodey(config=route(server.url, retries=0))
    for _ in range(200):
        answer = app.get("/refuse-late")
        assert (answer.status, answer.body) == (200, b"once")
    assert "left out" not in app.log()


def test_what_was_begun_is_repeated_only_if_it_may_be(nodey: Nodey, upstream: Servers) -> None:
    a, b = upstream("a"), upstream("b")
    app = nodey(config=route([a.url, b.url], max_fails=0))
    both = lambda path: a.hits(path) + b.hits(path)  # noqa: E731
    assert app.get("/close").status == 502
    assert both("/close") == 2 and a.hits("/close") == 1
    assert app.post("/close/post", b"x").status == 502
    assert both("/close/post") == 1, "a POST that was begun is never repeated"
    assert app.request("PUT", "/close/put", b"x" * 1000).status == 502
    assert both("/close/put") == 2
    assert app.request("PUT", "/close/long", b"x" * 100_000).status == 502
    assert both("/close/long") == 1, "its body was not kept"


def test_retries_have_a_budget(nodey: Nodey, upstream: Servers) -> None:
    a, b = upstream("a"), upstream("b")
    app = nodey(config=route([a.url, b.url], max_fails=0))
    with app.connect() as connection:
        for _ in range(600):
            assert connection.request("GET", "/close").status == 502
    asked = a.hits("/close") + b.hits("/close")
    assert 700 < asked < 950, asked  # 600, and 100 at once for each, and a tenth


def test_one_of_two_is_down(nodey: Nodey, upstream: Servers) -> None:
    server = upstream("up")
    dead = f"http://127.0.0.1:{free_port()}"
    app = nodey(config=route([dead, server.url], policy="round_robin", fail_duration="1s"))
    with app.connect() as connection:
        for _ in range(50):
            assert connection.request("POST", "/echo", b"x").json()["name"] == "up"
    app.wait_log(re.escape(dead) + " fails and is left out")


def test_an_upstream_comes_back_after_its_time(nodey: Nodey, upstream: Servers) -> None:
    port = free_port()
    server = upstream("up")
    app = nodey(config=route([f"http://127.0.0.1:{port}", server.url], policy="round_robin",
                             fail_duration="500ms"))
    assert {app.get("/echo").json()["name"] for _ in range(6)} == {"up"}
    upstream("back", port=port)
    until(lambda: app.get("/echo").json()["name"] == "back", 5, "it gets requests again")


# --------------------------------------------------------------------- balancing


def shares(app: App, count: int, headers: Callable[[int], dict[str, str]]) -> Counter[str]:
    found: Counter[str] = Counter()
    with app.connect() as connection:
        for n in range(count):
            found[connection.request("GET", "/echo", headers=headers(n)).headers["x-name"]] += 1
    return found


@pytest.mark.parametrize("policy, least, most", [
    ("round_robin", 333, 334), ("least_conn", 333, 334), ("random", 250, 420),
    ("header:X-User", 230, 440), ("ip_hash", 0, 1000)])
def test_shares_of_a_thousand(nodey: Nodey, upstream: Servers, policy: str, least: int,
                              most: int) -> None:
    servers = [upstream(name) for name in "abc"]
    app = nodey(config=route([s.url for s in servers], policy=policy))
    found = shares(app, 1000, lambda n: {"X-User": f"user-{n}"})
    assert sum(found.values()) == 1000
    assert all(least <= found[name] <= most for name in "abc"), found
    if policy == "ip_hash":
        assert max(found.values()) == 1000


def test_a_header_stays_with_its_upstream(nodey: Nodey, upstream: Servers) -> None:
    servers = [upstream(name) for name in "abcd"]

    def owners(count: int) -> dict[str, str]:
        app = nodey(config=route([s.url for s in servers[:count]], policy="header:x-user"))
        with app.connect() as connection:
            return {u: connection.request("GET", "/echo", headers={"X-User": u}).headers["x-name"]
                    for u in (f"u{n}" for n in range(300))}

    three, four = owners(3), owners(4)
    moved = [u for u in three if three[u] != four[u]]
    assert 30 < len(moved) < 130, len(moved)
    assert {four[u] for u in moved} == {"d"}, "only to the new one"


def test_a_cookie_sticks(nodey: Nodey, upstream: Servers) -> None:
    servers = {name: upstream(name) for name in "abc"}
    app = nodey(config=route([s.url for s in servers.values()], policy="cookie:lb",
                             try_duration="1s"))
    first = app.get("/echo")
    cookie = first.headers["set-cookie"]
    assert re.fullmatch(r"lb=[0-9a-f]{16}; Path=/; HttpOnly; SameSite=Lax", cookie)
    mine = {"Cookie": "other=1; " + cookie.partition(";")[0]}
    for _ in range(20):
        again = app.get("/echo", mine)
        assert again.headers["x-name"] == first.headers["x-name"]
        assert "set-cookie" not in again.headers
    assert "set-cookie" in app.get("/echo", {"Cookie": "lb=nonsense"}).headers
    servers[first.headers["x-name"]].close()
    moved = app.get("/echo", mine)
    assert moved.status == 200 and moved.headers["x-name"] != first.headers["x-name"]
    assert moved.headers["set-cookie"] != cookie


def test_the_least_busy_one_is_asked(nodey: Nodey, upstream: Servers) -> None:
    a, b = upstream("a"), upstream("b")
    app = nodey(config=route([a.url, b.url]))
    held = [app.open_request("GET", "/held") for _ in range(4)]
    until(lambda: a.hits("/held") + b.hits("/held") == 4, 5, "all are there")
    assert a.hits("/held") == b.hits("/held") == 2
    b.release()
    until(lambda: True, 1, "")
    for connection in held:
        connection.close()
    a.release()


# ---------------------------------------------------------------- connections


def test_connections_are_kept(nodey: Nodey, upstream: Servers) -> None:
    server = upstream()
    app = nodey(config=route(server.url))
    for _ in range(100):
        assert app.get("/echo").status == 200
    assert server.connections == 1


def test_what_must_not_be_lost_takes_no_old_connection(nodey: Nodey, upstream: Servers) -> None:
    server = upstream()
    app = nodey(config=route(server.url))
    app.get("/echo")
    app.post("/echo", b"x")
    assert server.connections == 1
    time.sleep(1.2)
    app.get("/echo")
    assert server.connections == 1
    time.sleep(1.2)
    app.post("/echo", b"x")
    assert server.connections == 2, "an upstream may close the old one at this moment"


def test_a_client_that_leaves_frees_the_upstream(nodey: Nodey, upstream: Servers) -> None:
    server = upstream()
    app = nodey(config=route(server.url, timeout="1m"))
    connections = [app.open_request("GET", path) for path in ("/hang", "/sse?n=1000", "/stall")]
    until(lambda: len(server.requests) == 3, 5, "all are there")
    for connection in connections:
        reset(connection.socket)
    until(lambda: server.open == 0, 5, "their connections are closed")


@pytest.mark.long
def test_ten_thousand_aborts_leak_nothing(nodey: Nodey, upstream: Servers) -> None:
    server = upstream()
    app = nodey(config=route(server.url, timeout="1m"))
    for _ in range(20):
        app.get("/echo")
    time.sleep(0.2)
    fds, rss = app.fds(), app.rss()
    paths = ["/hang", "/bytes?n=5000000", "/stall", "/sse?n=100", "/echo"]
    for n in range(200):
        batch = [app.open_request("GET", paths[n % len(paths)]) for _ in range(50)]
        if n % len(paths):
            batch[0].socket.recv(1)
        for connection in batch:
            reset(connection.socket)
    until(lambda: server.open <= 128 and app.fds() <= fds + 128, 10, "its connections close")
    time.sleep(slow(5))  # kept ones are kept for four seconds
    until(lambda: app.fds() <= fds, 10, f"descriptors back to {fds}")
    assert app.sanitized or app.rss() - rss < 24 << 20
    assert app.get("/echo").status == 200


def test_a_reload_lets_go_of_addresses(nodey: Nodey, upstream: Servers) -> None:
    old, new = upstream("old", keeps=100), upstream("new")
    app = nodey(config=route(old.url))
    held = app.open_request("GET", "/held")
    assert app.get("/echo").json()["name"] == "old"
    until(lambda: old.open == 2, 5, "one is kept, one in use")
    (app.folder / "nodey.toml").write_text(route(new.url))
    app.signal(1)
    until(lambda: app.get("/echo").json()["name"] == "new", 5, "the new one is asked")
    until(lambda: old.open == 1, 5, "the idle one is closed")
    old.release()
    assert held.read_response().body == b"held"
    held.close()
    until(lambda: old.open == 0, 5, "and the other when it was done")


# --------------------------------------------------------------------- services

SERVICE = """
import http.server, os, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path.startswith("/slow"):
            time.sleep(0.3)
        if self.path.startswith("/exit"):
            os._exit(3)
        body = f"{os.getpid()}:{os.environ.get('ROUND', '')} {self.path} {self.headers['X-Forwarded-Prefix']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer.daemon_threads = True
http.server.ThreadingHTTPServer.request_queue_size = 128
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def service(keys: str = "", **route_keys: Any) -> str:
    return (f'[services.api]\ncommand = "python3 api.py"\nport = "auto"\n{keys}\n'
            + route("api", "/api/*", strip_prefix="/api", **route_keys))


def test_a_service_behind_a_prefix(nodey: Nodey) -> None:
    app = nodey(files={"api.py": SERVICE}, config=service("instances = 3", policy="round_robin"))
    seen: set[str] = set()

    def all_serve() -> bool:
        seen.add(app.get("/api/x").text.split()[0])
        return len(seen) == 3

    until(all_serve, 10, "all three serve")
    found: Counter[str] = Counter()
    for _ in range(60):
        pid, path, prefix = app.get("/api/users").text.split()
        assert (path, prefix) == ("/users", "/api")
        found[pid] += 1
    assert len(found) == 3 and min(found.values()) == 20, found
    assert app.get("/users").status == 404


def express_folder(parent: Path) -> Path:
    """The app of the tests of Express, on the port that it is told, with its packages."""
    folder = parent / "service"
    folder.mkdir()
    (folder / "node_modules").symlink_to(ROOT / "build/node/node_modules")
    text = (ROOT / "tests/workers/apps/express.js").read_text()
    (folder / "express.js").write_text(text.replace("listen(3000", "listen(process.env.PORT"))
    return folder


@pytest.mark.outside
def test_express_as_it_is(nodey: Nodey, tmp_path: Path) -> None:
    app = nodey(folder=express_folder(tmp_path), config=(
        '[server]\nmax_body = "64M"\n'
        '[services.web]\ncommand = "node express.js"\nport = "auto"\n'
        'healthcheck = { path = "/hello", interval = "1s" }\n' + route("web")))
    hello = app.get("/hello?a=b", {"Accept-Encoding": "gzip"})
    assert hello.json()["query"] == {"a": "b"}
    body = os.urandom(20_000_000)
    with app.connect(30) as connection:
        for _ in range(2):
            said = connection.request("POST", "/upload", body,
                                      {"Content-Type": "application/octet-stream"})
            assert said.json() == {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
            assert connection.request("GET", "/download?size=5000000").body == b"x" * 5_000_000
    assert app.get("/redirect").status == 302
    assert len(app.get("/cookie").headers.all("set-cookie")) == 2
    assert app.get("/error").status == 500
    assert app.get("/nothing").status == 404


def test_answers_are_compressed_as_those_of_workers(nodey: Nodey, upstream: Servers) -> None:
    app = nodey(config='[server]\naccess_log = "json"\n' + route(upstream().url))
    text = (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5000\r\n\r\n"
            + b"a" * 5000)
    path = raw_answer(app, text[:1000].ljust(1000, b"a") + text[1000:])
    assert len(path) < 12000
    plain = app.get(path)
    assert plain.body == b"a" * 5000 and "content-encoding" not in plain.headers
    packed = app.get(path, {"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == b"a" * 5000
    until(lambda: app.stdout().count('"status":200') == 2, 5, "both are in the access log")


SSE_SERVICE = SERVICE.replace("""        if self.path.startswith("/slow"):""", """        if self.path.startswith("/sse"):
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            for n in range(int(self.path.rsplit("/", 1)[1])):
                self.wfile.write(f"data: {n}\\n\\n".encode())
                time.sleep(0.1)
            self.close_connection = True
            return
        if self.path.startswith("/slow"):""")


def test_streams_outlive_a_reload_until_they_end(nodey: Nodey) -> None:
    app = nodey(files={"api.py": SSE_SERVICE}, config=service())
    stream = app.open_request("GET", "/api/sse/30")
    stream._until(b"data: 0\n\n")
    (app.folder / "nodey.toml").write_text(service('env = { ROUND = "new" }'))
    app.signal(1)
    until(lambda: app.get("/api/x").text.split()[0].endswith(":new"), 10, "the new one serves")
    for n in range(1, 30):
        stream._until(b"data: %d\n\n" % n)
    stream._until(b"0\r\n\r\n")
    stream.close()


def test_endless_streams_do_not_hold_up_the_end(nodey: Nodey, upstream: Servers) -> None:
    server = upstream()
    app = nodey(files={"api.py": SSE_SERVICE},
                config=service() + route(server.url, "/out/*", strip_prefix="/out"))
    streams = [app.open_request("GET", "/api/sse/1000"),
               app.open_request("GET", "/out/sse?n=1000")]
    for stream in streams:
        stream._until(b"data: 1\n\n")
    begun = time.monotonic()
    assert app.stop() == 0
    assert time.monotonic() - begun < slow(3)
    for stream in streams:
        with pytest.raises(Cut):
            stream._until(b"data: 999\n\n")
        stream.close()


def test_a_request_under_way_ends_well_when_nodey_stops(nodey: Nodey, upstream: Servers) -> None:
    server = upstream()
    app = nodey(config=route(server.url))
    held = app.open_request("GET", "/held")
    until(lambda: server.hits("/held") == 1, 5, "it is there")
    app.signal(15)
    time.sleep(0.3)
    server.release()
    assert held.read_response().body == b"held"
    held.close()
    assert app.wait_exit() == 0


DEADLY = SERVICE.replace("""        if self.path.startswith("/exit"):""", """
        if self.path.startswith("/exit"):
            open("exits", "a").write("x")
        if self.path.startswith("/wait"):
            open("waits", "a").write(f"{os.getpid()}\\n")
            while not os.path.exists("go"):
                time.sleep(0.02)
        if self.path.startswith("/exit"):""")
QUICK = 'backoff_min = "1ms"\nbackoff_max = "5ms"\n'


def waiting(app: App) -> list[int]:
    """The process of each time that a request has begun to wait."""
    journal = app.folder / "waits"
    return [int(pid) for pid in journal.read_text().split()] if journal.exists() else []


def test_a_get_outlives_two_processes_that_end_with_it(nodey: Nodey) -> None:
    """The ends of processes, which nodey sees, do not use up `retries`."""
    app = nodey(files={"api.py": DEADLY}, config=service(QUICK, retries=1))
    with app.open_request("GET", "/api/wait", timeout=30) as held:
        for n in range(2):
            until(lambda: len(waiting(app)) == n + 1, 10, "a process has it")
            os.kill(waiting(app)[-1], 9)
        until(lambda: len(waiting(app)) == 3, 10, "a third has it")
        (app.folder / "go").touch()
        assert held.read_response().status == 200
    assert len(set(waiting(app))) == 3


def test_a_get_is_not_repeated_where_nothing_is(nodey: Nodey) -> None:
    app = nodey(files={"api.py": DEADLY}, config=service(QUICK, retries=0))
    with app.open_request("GET", "/api/wait", timeout=30) as held:
        until(lambda: len(waiting(app)) == 1, 10, "a process has it")
        os.kill(waiting(app)[-1], 9)
        assert held.read_response().status == 502
    assert len(waiting(app)) == 1


def test_a_request_that_ends_its_services_does_not_go_round(nodey: Nodey) -> None:
    """As with workers: three in a row, and it is refused; others are served."""
    app = nodey(files={"api.py": DEADLY}, config=service(QUICK + "instances = 2", retries=5))
    answer = app.get("/api/exit?token=abc", timeout=30)
    assert answer.status == 502 and "ended while it handled this: " in answer.json()["detail"]
    report = reports.wait_report(app, "api", lambda r: r.get("quarantine"))
    assert answer.json()["incident"] == report["id"]
    begun = time.monotonic()
    answer = app.get("/api/exit?token=abc", timeout=30)
    assert answer.status == 500 and "ended 3 processes in a row" in answer.json()["detail"]
    assert time.monotonic() - begun < slow(0.5)
    assert (app.folder / "exits").read_text() == "xxx"
    assert app.get("/api/x", timeout=30).status == 200
    assert report["quarantine"][0]["what"] == "GET /api/exit"


def test_with_quarantine_off_it_goes_round_no_longer(nodey: Nodey) -> None:
    app = nodey(files={"api.py": DEADLY},
                config=service(QUICK + "instances = 2\nquarantine = 0", retries=5))
    assert app.get("/api/exit", timeout=30).status == 502
    assert (app.folder / "exits").read_text() == "xxx"


def test_the_report_of_a_service_names_what_it_was_asked(nodey: Nodey) -> None:
    app = nodey(files={"api.py": DEADLY}, config=service(QUICK))
    with app.open_request("POST", "/api/wait?token=abc&n=1", b"x") as held:
        until(lambda: len(waiting(app)) == 1, 10, "a process has it")
        time.sleep(0.3)  # which is told
        os.kill(waiting(app)[0], 9)
        answer = held.read_response()
    assert answer.status == 502
    assert "service api#0 ended while it handled this: killed by SIGKILL" in answer.json()["detail"]
    report = reports.wait_report(app, "api")
    assert answer.json()["incident"] == report["id"]
    [request] = report["requests"]
    assert request["what"] == "POST /api/wait?token=***&n=1" and request["begun"]
    assert request["id"] == answer.headers["x-request-id"]
    assert 250 <= request["ms"] < 250 + 1000 * slow(2)
    assert "POST /api/wait" in command.run(app.folder, "why", "api").out


def test_a_request_waits_for_a_service_that_restarts(nodey: Nodey) -> None:
    app = nodey(files={"api.py": SERVICE}, config=service("backoff_min = \"300ms\""))
    assert app.get("/api/exit").status in (502, 503)
    answer = app.get("/api/x", timeout=20)
    assert answer.status == 200, answer


def test_a_service_that_is_stopped_is_not_waited_for(nodey: Nodey) -> None:
    app = nodey(files={"api.py": SERVICE}, config=service("restart = \"no\""))
    app.get("/api/exit")
    app.wait_log("api.*exited")
    begun = time.monotonic()
    answer = app.get("/api/x")
    assert answer.status == 503 and "has ended" in answer.json()["detail"]
    assert time.monotonic() - begun < slow(1)


def test_a_service_that_does_not_start_is_not_waited_for(nodey: Nodey) -> None:
    app = nodey(files={"api.py": "raise SystemExit(7)"},
                config=service('max_restarts = 1\nbackoff_min = "10ms"\nbackoff_max = "10ms"'))
    begun = time.monotonic()
    answer = app.get("/api/x")
    assert answer.status == 503 and "service api is not there" in answer.json()["detail"]
    assert "status 7" in answer.json()["detail"]
    assert time.monotonic() - begun < slow(1)


def load_while(app: App, path: str, act: Callable[[], None], clients: int = 4) -> Counter[str]:
    """What requests become while something happens: a status, or an exception's name."""
    found: Counter[str] = Counter()
    done = threading.Event()

    def ask(n: int) -> None:
        connection: Optional[Connection] = None
        while not done.is_set():
            try:
                connection = connection or app.connect(20)
                method = "POST" if n % 2 else "GET"
                found[str(connection.request(method, path, b"x" * (n % 2)).status)] += 1
            except Exception as error:  # noqa: BLE001: counted
                found[repr(error)[:200]] += 1
                connection = None
        if connection:
            connection.close()

    threads = [threading.Thread(target=ask, args=[n]) for n in range(clients)]
    for thread in threads:
        thread.start()
    try:
        act()
    finally:
        done.set()
        for thread in threads:
            thread.join(slow(30))
    return found


@pytest.mark.long
def test_twenty_reloads_of_a_service_drop_nothing(nodey: Nodey) -> None:
    app = nodey(files={"api.py": SERVICE}, config=service("instances = 2", max_fails=0))

    def reload() -> None:
        for n in range(20):
            (app.folder / "nodey.toml").write_text(
                service(f"instances = 2\nenv = {{ ROUND = \"{n}\" }}", max_fails=0))
            app.signal(1)
            until(lambda: app.get("/api/x").text.split()[0].endswith(f":{n}"), 20,
                  "the new version serves")

    found = load_while(app, "/api/x", reload)
    assert set(found) == {"200"}, found
    assert found["200"] > 200
