"""WebSockets of handlers, in threads and in event loops."""

from __future__ import annotations

import base64
import os
from typing import Any

import nodey
import pytest
from process import Worker

SCRIPT = """
    import {module} as time, nodey
    {extra}
    @nodey.before
    def login(req):
        if req.path == "/private":
            return 401, "who are you?"
    @nodey.after
    def sign(req, response):
        response.headers["x-signed"] = "1"
    @nodey.ws("/echo")
    {a}def echo(socket):
        {a}for message in socket:
            {w}socket.send(message)
    @nodey.ws("/private")
    {a}def private(socket): nodey.log.info("must not run")
    @nodey.ws("/rooms/:name", protocols=["v2", "v1"])
    {a}def room(socket, req):
        {w}socket.send(req.params["name"] + " " + socket.protocol)
    @nodey.ws("/returns")
    {a}def returns(socket): return 404, "no such room"
    @nodey.ws("/silent")
    {a}def silent(socket): pass
    @nodey.ws("/error")
    {a}def error(socket):
        {w}socket.send("x")
        raise nodey.Error("permission_denied", "not you")
    @nodey.ws("/bug")
    {a}def bug(socket):
        {w}socket.send("x")
        raise ValueError("bug")
    @nodey.ws("/closed")
    {a}def closed(socket):
        try:
            while True:
                {w}socket.receive()
        except nodey.Closed as end:
            nodey.log.info(f"{{end.code}} {{end.reason}}")
            try:
                {w}socket.send("too late")
            except nodey.Closed:
                nodey.log.info("closed")
    @nodey.ws("/through")
    {a}def through(socket):
        while True:
            {w}socket.receive()
    @nodey.ws("/waits")
    {a}def waits(socket):
        try:
            while True:
                {w}socket.send("x" * 100)
        except nodey.Closed as end:
            nodey.log.info(str(end.code))
    @nodey.ws("/wrong")
    {a}def wrong(socket):
        {w}socket.send({{"a": 1}})
    @nodey.ws("/both")
    {a}def both(socket): {w}socket.send("socket")
    @nodey.get("/both")
    def page(): return "page"
"""

KINDS = {
    "threads": {"a": "", "w": "", "extra": "", "module": "time"},
    "beside a loop": {
        "a": "",
        "w": "",
        "extra": "@nodey.on_start\n    async def loop(): pass",
        "module": "time",
    },
    "asyncio": {"a": "async ", "w": "await ", "extra": "", "module": "asyncio"},
}


@pytest.fixture(params=list(KINDS))
def sockets(write, request) -> Worker:
    worker = write(SCRIPT.format(**KINDS[request.param]))
    ready = worker.ready()
    assert "ws" in ready["features"]
    assert ready["concurrency"] == (32 if request.param == "threads" else 1000)
    return worker


def open_socket(worker: Worker, path: str, id: int = 1, **members: Any) -> None:
    worker.send({"id": id, "method": "GET", "path": path, "upgrade": "websocket", **members})


def accepted(worker: Worker, id: int = 1) -> Any:
    frame = worker.next()
    assert (frame["id"], frame["status"], frame["more"]) == (id, 101, True), frame
    return frame


def test_messages_of_both_kinds(sockets) -> None:
    open_socket(sockets, "/echo")
    accepted(sockets)
    for message in ({"body": "é\n"}, {"body64": "AP8="}, {"body": ""}, {"body64": ""}):
        sockets.send({"type": "message", "id": 1, **message})
        assert sockets.next() == {"type": "message", "id": 1, **message}
    sockets.send({"type": "end", "id": 1, "code": 4000, "reason": "bye"})
    assert sockets.next()["type"] == "end"
    assert sockets.end() == 0


def test_many_sockets_at_once(sockets) -> None:
    for id in range(1, 21):
        open_socket(sockets, "/echo", id)
    heads = sockets.next_of(20)
    assert {frame["id"] for frame in heads} == set(range(1, 21))
    for id in range(1, 21):
        sockets.send({"type": "message", "id": id, "body": str(id)})
    assert {(f["id"], f["body"]) for f in sockets.next_of(20)} == {
        (id, str(id)) for id in range(1, 21)
    }


def test_a_protocol_is_agreed_on(sockets) -> None:
    for offered, agreed in (("v0, v1,v2", "v1"), (["v9", "v2"], "v2"), ("v9", ""), (None, "")):
        headers = {} if offered is None else {"sec-websocket-protocol": offered}
        open_socket(sockets, "/rooms/a", headers=headers)
        expected = {"sec-websocket-protocol": agreed} if agreed else {}
        assert accepted(sockets).get("headers", {}) == expected
        assert sockets.next()["body"] == f"a {agreed}"
        assert sockets.next() == {"type": "end", "id": 1, "code": 1000}


@pytest.mark.parametrize(
    "path, status, body", [("/private", 401, "who are you?"), ("/returns", 404, "no such room")]
)
def test_a_client_is_refused(sockets, path, status, body) -> None:
    open_socket(sockets, path)
    frame = sockets.next()
    assert (frame["status"], frame["body"]) == (status, body)
    assert sockets.end_with_logs() == []


def test_a_handler_that_says_nothing_has_accepted(sockets) -> None:
    open_socket(sockets, "/silent")
    accepted(sockets)
    assert sockets.next() == {"type": "end", "id": 1, "code": 1000}


def test_failures_close_with_a_code(sockets) -> None:
    open_socket(sockets, "/error")
    accepted(sockets)
    sockets.next()
    assert sockets.next() == {"type": "end", "id": 1, "code": 1008, "reason": "not you"}
    open_socket(sockets, "/bug")
    accepted(sockets)
    sockets.next()
    assert sockets.next() == {"type": "end", "id": 1, "code": 1011}
    assert ["ValueError: bug" in failure["message"] for failure in sockets.failures] == [True]


def test_the_close_is_seen(sockets) -> None:
    open_socket(sockets, "/closed")
    accepted(sockets)
    sockets.send({"type": "message", "id": 1, "body": "x"})
    sockets.send({"type": "end", "id": 1, "code": 4001, "reason": "enough"})
    assert sockets.next()["message"] == "4001 enough"
    assert sockets.next()["message"] == "closed"
    assert sockets.next() == {"type": "end", "id": 1, "code": 4001}


@pytest.mark.parametrize("code", [1005, 1006])
def test_a_handler_that_lets_the_close_through_has_not_failed(sockets, code) -> None:
    open_socket(sockets, "/through")
    accepted(sockets)
    sockets.send({"type": "end", "id": 1, "code": code})
    # Codes that no frame may carry are not sent back.
    assert sockets.next() == {"type": "end", "id": 1, "code": 1000}
    assert sockets.end() == 0 and sockets.failures == []


def test_a_sender_waits_for_credit_and_sees_the_close(sockets) -> None:
    sockets.send({"type": "hello", "protocol": 1, "limits": {"window": 250}})
    open_socket(sockets, "/waits")
    accepted(sockets)
    sockets.next_of(3)  # The third takes more than was left.
    assert sockets.silent_for(0.1)
    sockets.send({"type": "credit", "id": 1, "bytes": 50})
    assert sockets.silent_for(0.1)
    sockets.send({"type": "credit", "id": 1, "bytes": 1})
    sockets.next()
    assert sockets.silent_for(0.1)
    sockets.send({"type": "end", "id": 1, "code": 1001})
    assert sockets.next()["message"] == "1001"
    assert sockets.next()["type"] == "end"


def test_credit_is_granted_for_messages_that_were_received(sockets) -> None:
    open_socket(sockets, "/echo")
    accepted(sockets)
    sockets.send({"type": "credit", "id": 1, "bytes": 1 << 20})
    granted, data = 0, base64.b64encode(os.urandom(60000)).decode()
    for _ in range(10):
        sockets.send({"type": "message", "id": 1, "body64": data})
        frame = sockets.next()
        while frame["type"] == "credit":
            granted += frame["bytes"]
            frame = sockets.next()
        assert frame["body64"] == data
    assert 600000 - 131072 <= granted <= 600000


def test_drain_closes_with_1001_and_the_handler_knows(sockets) -> None:
    open_socket(sockets, "/closed")
    accepted(sockets)
    sockets.send({"type": "drain", "grace": 5000})
    assert sockets.next() == {"type": "end", "id": 1, "code": 1001}
    assert sockets.wait_with_logs() == (0, ["1001 ", "closed"])


def test_what_is_no_message_is_a_clear_error(sockets) -> None:
    open_socket(sockets, "/wrong")
    assert "socket.send(json.dumps(value))" in sockets.next()["message"]


def test_a_path_may_have_a_page_and_a_socket(sockets) -> None:
    sockets.get("/both")
    assert sockets.next()["body"] == "page"
    open_socket(sockets, "/both")
    accepted(sockets)
    assert sockets.next()["body"] == "socket"
    sockets.next()
    sockets.get("/echo")
    frame = sockets.next()
    assert frame["status"] == 426 and frame["headers"]["upgrade"] == "websocket"
    open_socket(sockets, "/nowhere")
    assert sockets.next()["code"] == "not_found"


def test_other_threads_may_send(write) -> None:
    worker = write(
        """
        import nodey, sys, threading
        sys.setswitchinterval(1e-6)
        @nodey.ws("/")
        def root(socket):
            threads = [threading.Thread(target=lambda: [socket.send("x" * 99) for _ in range(50)])
                       for _ in range(4)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
        """
    )
    worker.ready()
    worker.send({"type": "hello", "protocol": 1, "limits": {"window": 990}})
    open_socket(worker, "/")
    accepted(worker)
    count = 0
    for turn in range(20):
        count += len(worker.next_of(10))
        assert turn == 19 or worker.silent_for(0.02)  # No two of them have used the same credit.
        worker.send({"type": "credit", "id": 1, "bytes": 990})
    assert count == 200 and worker.next()["code"] == 1000


@pytest.mark.parametrize(
    "code, reason", [(999, ""), (1005, ""), (1006, ""), (2000, ""), (5000, ""), (1000, "é" * 62)]
)
def test_what_no_close_can_say(code, reason) -> None:
    from nodey.sockets import check_close

    with pytest.raises(ValueError):
        check_close(code, reason)
    check_close(1000, "é" * 61)


def test_a_handler_of_other_arguments_is_refused() -> None:
    with pytest.raises(TypeError, match=r"called with \(socket\) or \(socket, req\)"):
        nodey.ws("/x")(lambda a, b, c: None)
    with pytest.raises(TypeError, match=r"called with \(socket\)"):
        nodey.ws("/x")(lambda: None)
    with pytest.raises(TypeError, match="a route needs a path"):
        nodey.ws(lambda socket: None)  # type: ignore[arg-type]


def test_threads_are_configured(write) -> None:
    script = "import nodey\n@nodey.get('/')\ndef root(): return 1\n"
    worker = write(script, env={"NODEY_THREADS": "5"})
    assert worker.ready()["concurrency"] == 5
    worker = write(script + "nodey.start(threads=2)\n", env={"NODEY_THREADS": "5"})
    assert worker.ready()["concurrency"] == 2
    in_loop = script.replace("def root", "async def root")
    worker = write(in_loop, env={"NODEY_THREADS": "5"})
    assert worker.ready()["concurrency"] == 1000


def test_handlers_of_sockets_and_streams_in_a_test(tmp_path) -> None:
    from nodey.testing import Client
    from process import WORKERS

    for kind in ("", "_async"):
        client = Client(WORKERS / f"sockets{kind}.py")
        with client.websocket("/echo") as socket:
            socket.send("hi")
            assert socket.receive() == "hi"
        with client.websocket("/bye") as socket:
            assert list(socket) == ["hi"] and socket.close_code == 4001
        with client.websocket("/chat", protocols=["x", "chat"]) as socket:
            assert socket.protocol == "chat"
        with pytest.raises(nodey.HTTPError, match="refused with 403"):
            with client.websocket("/refuse"):
                pass
        with pytest.raises(ValueError, match="boom"):
            with client.websocket("/boom") as socket:
                socket.send("x")
                socket.receive()
        client = Client(WORKERS / f"streams{kind}.py")
        with client.stream("GET", "/ticks") as result:
            assert result.headers["content-type"] == "text/event-stream"
            lines = result.lines()
            assert [next(lines), next(lines), next(lines)] == ["data: tick", "", "data: tick"]
        with client.stream("GET", "/pour?size=1000000") as result:
            assert len(result.read()) == 1000000
        with client.stream("GET", "/trailers") as result:
            assert result.read() == b"body" and result.trailers == {"x-sum": "4"}
        assert client.get("/stream?n=3").text == "abc"
        assert client.post("/mirror", data=b"abc").body == b"abc"
        with pytest.raises(ValueError, match="fails"):
            client.get("/fails?n=2")


FORGETFUL = """
import nodey
@nodey.ws("/receive")
async def receives(socket):
    message = socket.receive()
    await socket.send("x")
@nodey.ws("/send")
async def sends(socket):
    await socket.receive()
    socket.send("never")
@nodey.ws("/for")
async def loops(socket):
    for message in socket: pass
@nodey.ws("/def")
def plain(socket):
    socket.send("x")
"""


def test_under_dev_the_log_says_where_an_await_is_missing(write, tmp_path) -> None:
    worker = write(FORGETFUL, env={"NODEY_DEV": "1"}, cwd=tmp_path)
    worker.ready()
    for path in ("/receive", "/send", "/def"):
        open_socket(worker, path)
        worker.send({"type": "message", "id": 1, "body": "hi"})
        worker.answer()
    # The handlers' None is no answer that somebody could have forgotten.
    assert worker.end_with_logs() == [
        'an "await" is missing in receives, worker.py:5:  message = socket.receive()',
        'an "await" is missing in sends, worker.py:10:  socket.send("never")',
    ]
    assert "never awaited" not in worker.errors()


def test_a_plain_loop_over_an_async_socket_says_what_to_write(write) -> None:
    worker = write(FORGETFUL)
    worker.ready()
    open_socket(worker, "/for")
    assert worker.next()["message"].endswith("come with  async for message in socket")
    assert worker.end() == 0
