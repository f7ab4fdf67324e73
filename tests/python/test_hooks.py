"""before, after, on_start, on_stop."""

from __future__ import annotations

import pytest
from nodey.hooks import Hooks

ORDER = """
    import nodey
    seen = []
    @nodey.before
    {a}def first(req): seen.append("first")
    @nodey.before
    {b}def second(req):
        seen.append("second")
        if "stop" in req.query:
            return 403, "stopped"
    @nodey.after
    {a}def outer(req, response): seen.append("outer")
    @nodey.after
    {b}def inner(req, response): seen.append("inner")
    @nodey.get("/")
    {c}def root(req):
        global seen
        before, seen = seen, []
        return before
    @nodey.get("/seen")
    def show(req): return seen[:-2]
"""

# Sync only; everything async; and mixtures, each of which takes another way.
KINDS = [("", "", ""), ("async ", "async ", "async "), ("async ", "", ""), ("", "", "async ")]


@pytest.mark.parametrize("a, b, c", KINDS)
def test_the_order_of_hooks(write, a, b, c) -> None:
    worker = write(ORDER.format(a=a, b=b, c=c))
    worker.ready()
    worker.get("/")
    assert worker.next() == {"id": 1, "status": 200, "json": ["first", "second"]}
    worker.get("/seen")
    assert worker.next()["json"] == ["inner", "outer"]
    worker.get("/?stop", id=2)
    assert worker.next() == {"id": 2, "status": 403, "body": "stopped"}
    assert worker.end() == 0


def test_before_may_answer_and_after_may_change_and_replace(write) -> None:
    worker = write(
        """
        import nodey
        @nodey.before
        def login(req):
            if req.headers.get("authorization") is None:
                return nodey.Response("who are you?", 401, {"www-authenticate": "Basic"})
            req.user = "Ann"
            req.state["role"] = "admin"
        @nodey.after
        def mark(req, response):
            response.headers["X-Path"] = req.path
            if req.path == "/replaced":
                return 202, "another", {"x-new": "1"}
        @nodey.get("/")
        def root(req): return [req.user, req.state["role"], req.role]
        @nodey.get("/replaced")
        def replaced(): return "one"
        """
    )
    worker.ready()
    worker.get("/")
    assert worker.next() == {
        "id": 1,
        "status": 401,
        "headers": {"www-authenticate": "Basic", "x-path": "/"},
        "body": "who are you?",
    }
    worker.get("/", headers={"authorization": "x"})
    assert worker.next()["json"] == ["Ann", "admin", "admin"]
    worker.get("/replaced", headers={"authorization": "x"})
    frame = worker.next()
    assert frame == {"id": 1, "status": 202, "headers": {"x-new": "1"}, "body": "another"}


def test_a_route_to_a_token_does_not_get_around_the_hooks(write) -> None:
    """Who declares a check means all of HTTP; an ask from another worker is no request."""
    worker = write(
        """
        import nodey
        @nodey.before
        def deny(req): return 403, "no " + req.path
        @nodey.token("Price")
        def price(args): return 9.5
        """
    )
    worker.ready()
    worker.get("/price", token="Price")
    assert worker.next() == {"id": 1, "status": 403, "body": "no /price"}
    worker.send({"type": "ask", "id": 2, "token": "Price"})
    assert worker.next() == {"type": "answer", "id": 2, "value": 9.5}


@pytest.mark.parametrize("kind", ["", "async "])
@pytest.mark.parametrize("hook, arguments", [("before", "req"), ("after", "req, response")])
def test_a_hook_that_raises_counts_as_the_handler(write, kind, hook, arguments) -> None:
    worker = write(
        f"""
        import nodey
        @nodey.{hook}
        {kind}def check({arguments}):
            if req.path == "/error":
                raise nodey.HTTPError(429, "slowly")
            raise ValueError("hook")
        @nodey.get("/*")
        def root(): return 1
        """
    )
    worker.ready()
    worker.get("/error")
    assert worker.next()["code"] == "resource_exhausted"
    assert worker.failures == []
    worker.get("/", id=5)
    assert worker.next()["message"] == "ValueError: hook"
    (record,) = worker.failures
    assert record["id"] == 5 and "in check" in record["message"]


def test_after_is_not_run_when_the_handler_raised(write) -> None:
    worker = write(
        """
        import nodey
        @nodey.after
        def never(req, response): nodey.log.info("run")
        @nodey.get("/")
        def root(): raise nodey.HTTPError(404)
        """
    )
    worker.ready()
    worker.get("/")
    assert worker.next()["code"] == "not_found"
    assert worker.end() == 0


LIFE = """
    import asyncio, nodey
    @nodey.on_start
    {a}def first():
        nodey.log.info("start 1", far={ask})
    @nodey.on_start
    {b}def second(): nodey.log.info("start 2")
    @nodey.on_stop
    {a}def third(): nodey.log.info("stop 1")
    @nodey.on_stop
    {b}def fourth():
        nodey.log.info("stop 2")
        raise ValueError("in vain")
    @nodey.get("/")
    {c}def root(): return 1
"""


@pytest.mark.parametrize("a, b, c", [*KINDS, ("", "async ", "")])
def test_start_and_stop(write, a, b, c) -> None:
    ask = 'await nodey.ask_async("Far")' if a else 'nodey.ask("Far")'
    worker = write(LIFE.format(a=a, b=b, c=c, ask=ask))
    frame = worker.next()
    assert frame["type"] == "ask"
    worker.send({"type": "answer", "id": frame["id"], "value": 7})
    log = {"type": "log", "level": "info"}
    assert worker.next() == {**log, "message": "start 1", "fields": {"far": 7}}
    assert worker.next()["message"] == "start 2"
    worker.ready()
    worker.get("/")
    worker.close_input()
    assert worker.next() == {"id": 1, "json": 1}
    assert worker.next()["message"] == "stop 2"
    assert worker.next()["message"] == "stop 1"
    assert worker.wait() == 0
    (record,) = worker.failures
    assert record["message"].startswith("on_stop fourth failed\nTraceback")


def test_stop_hooks_run_after_the_last_thread_has_answered(write) -> None:
    worker = write(
        """
        import time, nodey
        @nodey.on_stop
        def stop(): nodey.log.info("stop")
        @nodey.get("/")
        def root():
            time.sleep(0.3)
            return 1
        nodey.start(threads=2)
        """
    )
    worker.ready()
    worker.send(*[{"id": id, "method": "GET", "path": "/"} for id in (1, 2)])
    worker.send({"type": "drain"})
    assert sorted(frame["id"] for frame in worker.next_of(2)) == [1, 2]
    assert worker.next()["message"] == "stop"
    assert worker.wait() == 0


@pytest.mark.parametrize("kind", ["", "async "])
def test_a_start_hook_that_fails_keeps_the_worker_from_starting(write, kind) -> None:
    worker = write(
        f"""
        import nodey
        @nodey.on_start
        {kind}def connect(): raise ConnectionError("no database")
        @nodey.on_start
        def never(): nodey.log.info("run")
        @nodey.on_stop
        def neither(): nodey.log.info("run")
        @nodey.get("/")
        def root(): return 1
        """
    )
    frame = worker.next()
    assert frame["message"] == "on_start connect failed: ConnectionError: no database"
    assert "in connect" in frame["stack"] and "hooks.py" not in frame["stack"]
    assert worker.end() == 1
    assert worker.errors() == ""


@pytest.mark.parametrize(
    "kind, function, words",
    [
        ("before", lambda req, more: None, "calls <lambda>(req), but it is <lambda>(req, more)"),
        ("after", lambda response: None, "calls <lambda>(req, response)"),
        ("on_start", lambda app: None, "calls <lambda>()"),
        ("before", "text", "stands above a function"),
    ],
)
def test_a_hook_that_cannot_be_called_is_refused(kind, function, words) -> None:
    with pytest.raises(TypeError) as caught:
        Hooks().add(kind, function)
    assert words in str(caught.value)


def test_hooks_may_leave_their_arguments_out() -> None:
    hooks = Hooks()
    for kind in ("before", "after", "on_start", "on_stop"):
        hooks.add(kind, lambda: None)
    hooks.before[0].call("req")
    hooks.after[0].call("req", "response")
