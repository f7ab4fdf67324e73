"""nodey.log, the logging module, and the one record of what a handler has raised."""

from __future__ import annotations

import pytest

HEAD = "Traceback (most recent call last):"


def test_fields_formats_and_ids(write) -> None:
    worker = write(
        """
        import nodey
        nodey.log.warning("start %s of %d", "a", 2, n=1, s={2})
        nodey.log.info("100% sure")
        nodey.log.info("%d", "x")
        @nodey.get("/")
        def root():
            nodey.log.debug("within", user="Ann")
            try:
                1 / 0
            except ZeroDivisionError:
                nodey.log.exception("divided", by=0)
            return 1
        """
    )
    log = {"type": "log", "level": "warn"}
    assert worker.next() == {**log, "message": "start a of 2", "fields": {"n": 1, "s": "{2}"}}
    assert worker.next()["message"] == "100% sure"
    assert worker.next()["message"] == "%d ('x',)"
    worker.ready()
    worker.get("/", id=9)
    assert worker.next() == {
        "type": "log",
        "level": "debug",
        "id": 9,
        "message": "within",
        "fields": {"user": "Ann"},
    }
    assert worker.next() == {"id": 9, "json": 1}
    (record,) = worker.failures
    assert record["level"] == "error" and record["id"] == 9 and record["fields"] == {"by": 0}
    lines = record["message"].splitlines()
    assert lines[:2] == ["divided", HEAD] and lines[-1].startswith("ZeroDivisionError")


BRIDGED = """
    import logging, nodey
    log = logging.getLogger("shop.orders")
    log.setLevel(logging.DEBUG)
    {extra}
    @nodey.get("/")
    {a}def root(req):
        log.info("paid %d", 7, extra={{"order": 7, "card": object}})
        log.warning("slow")
        log.debug("detail")
        try:
            1 / 0
        except ZeroDivisionError:
            log.exception("divided")
        return 1
    {start}
"""


@pytest.mark.parametrize(
    "a, extra, start",
    [
        ("", "", ""),
        ("", "", "nodey.start(threads=2)"),
        ("async ", "", ""),
        ("", "nodey.on_start(lambda: None); nodey.get('/a')(__import__('asyncio').sleep)", ""),
    ],
)
def test_the_logging_module_is_bridged_with_the_id_of_the_request(write, a, extra, start) -> None:
    worker = write(BRIDGED.format(a=a, extra=extra, start=start))
    worker.ready()
    worker.get("/", id=5)
    paid = worker.next()
    assert paid["fields"].pop("card").startswith("<class")
    assert paid == {
        "type": "log",
        "level": "info",
        "id": 5,
        "message": "paid 7",
        "fields": {"logger": "shop.orders", "order": 7},
    }
    assert [worker.next()["level"], worker.next()["level"]] == ["warn", "debug"]
    assert worker.next() == {"id": 5, "json": 1}
    (record,) = worker.failures
    assert record["message"].startswith(f"divided\n{HEAD}") and record["id"] == 5
    assert worker.end() == 0
    assert worker.errors() == ""


@pytest.mark.parametrize(
    "setup", ["logging.basicConfig(format='own: %(message)s')", "logging.root.handlers = [Own()]"]
)
def test_who_has_configured_logging_keeps_it(write, setup) -> None:
    worker = write(
        f"""
        import logging, sys, nodey
        class Own(logging.Handler):
            def emit(self, record): print("own:", record.getMessage(), file=sys.stderr)
        {setup}
        @nodey.get("/")
        def root():
            logging.warning("hi")
            return 1
        """
    )
    worker.ready()
    worker.get("/")
    assert worker.next() == {"id": 1, "json": 1}
    assert worker.end() == 0
    assert worker.errors() == "own: hi\n"


def test_by_hand_logging_is_left_alone(write) -> None:
    worker = write(
        """
        import logging, nodey
        @nodey.get("/")
        def root():
            logging.getLogger("x").warning("plain")
            nodey.log.info("hi", a=1)
            return len(logging.root.handlers)
        """,
        mode="hand",
    )
    worker.get("/")
    assert worker.next() == {"id": 1, "json": 0}
    assert worker.end() == 0
    assert worker.errors() == 'plain\nnodey: info: hi {"a":1}\n'


FAILING = """
    import nodey
    class Odd(Exception):
        def __str__(self): raise RuntimeError
    def deep():
        try:
            {{}}["a"]
        except KeyError as exc:
            raise ValueError("deep") from exc
    @nodey.get("/users/:id")
    {a}def user(req): deep()
    @nodey.token("Fib")
    {a}def fib(args): deep()
    @nodey.get("/asks")
    {a}def asks(): {ask}
    @nodey.get("/odd")
    {a}def odd(): raise Odd
    @nodey.get("/long")
    {a}def long(): raise ValueError("x" * 200000)
    {start}
"""

MODES = [
    ("", 'nodey.ask("Far", {1})', ""),
    ("", 'nodey.ask("Far", {1})', "nodey.start(threads=2)"),
    ("async ", 'await nodey.ask_async("Far", {1})', ""),
]


@pytest.mark.parametrize("a, ask, start", MODES)
def test_what_a_handler_raises_is_one_answer_and_one_record(write, a, ask, start) -> None:
    worker = write(FAILING.format(a=a, ask=ask, start=start), env={"NODEY_MAX_LINE": "100000"})
    worker.ready()
    worker.get("/users/7", id=31)
    expected = {"type": "error", "id": 31, "code": "internal", "message": "ValueError: deep"}
    assert worker.next() == expected
    worker.send({"type": "ask", "id": 32, "token": "Fib", "args": None})
    assert worker.next() == {**expected, "id": 32}
    for id, path in ((33, "/asks"), (34, "/odd"), (35, "/long")):
        worker.get(path, id=id)
        frame = worker.next()
        assert (frame["id"], frame["code"]) == (id, "internal") and len(str(frame)) < 5000
    assert worker.end() == 0
    assert worker.errors() == ""
    assert [record["id"] for record in worker.failures] == [31, 32, 33, 34, 35]
    first, second, third, *_ = [record["message"] for record in worker.failures]
    assert first.splitlines()[:2] == ["GET /users/7 failed in user", HEAD]
    assert second.splitlines()[0] == "ask Fib failed in fib"
    assert "KeyError: 'a'" in first and "direct cause" in first and "in deep" in first
    for record in (first, second, third):
        assert "/nodey/" not in record, record
    assert "in asks" in third
    assert all(len(record["message"]) < 40000 for record in worker.failures)


@pytest.mark.parametrize("a, ask, start", MODES)
def test_the_stack_goes_with_the_answer_in_development_only(write, a, ask, start) -> None:
    worker = write(FAILING.format(a=a, ask=ask, start=start), env={"NODEY_DEV": "1"})
    worker.ready()
    worker.get("/users/7")
    stack = worker.next()["stack"]
    assert stack.rstrip() == worker.failures[0]["message"].split("\n", 1)[1]


def test_by_hand_the_record_is_on_standard_error(write) -> None:
    text = FAILING.format(a="", ask="1", start="")
    worker = write(text, mode="hand")
    worker.get("/users/7", id=3)
    assert worker.next()["code"] == "internal"
    assert worker.end() == 0
    assert worker.errors().splitlines()[:2] == ["nodey: GET /users/7 failed in user, id 3", HEAD]


FORGETS = """
import nodey
@nodey.get("/sync")
def forgets(req): req.query
@nodey.get("/async")
{a}def waits(req): req.query
@nodey.get("/null")
def null(req): return 204, None
@nodey.token("Quiet")
def quiet(args): pass
"""


@pytest.mark.parametrize("a", ["", "async "])
def test_a_handler_that_returns_nothing_is_told_of_once_under_dev(write, a) -> None:
    worker = write(FORGETS.format(a=a), env={"NODEY_DEV": "1"})
    worker.ready()
    warnings = []
    for id, path in enumerate(("/sync", "/async", "/sync", "/async"), 1):
        worker.get(path, id=id)
        frame = worker.next()
        if frame.get("type") == "log":
            assert frame["level"] == "warn" and frame["id"] == id
            warnings.append(frame["message"])
            frame = worker.next()
        assert frame == {"id": id, "json": None}
    assert warnings == [
        f'handler {name} of GET {path} returned nothing: the answer is null; was a "return" '
        "forgotten?"
        for name, path in (("forgets", "/sync"), ("waits", "/async"))
    ]
    worker.get("/null", id=9)
    assert worker.next() == {"id": 9, "status": 204}
    worker.send({"type": "ask", "id": 10, "token": "Quiet"})
    assert worker.next() == {"type": "answer", "id": 10, "value": None}
    assert worker.end() == 0


def test_elsewhere_nothing_is_said_of_it(write) -> None:
    worker = write(FORGETS.format(a=""))
    worker.ready()
    worker.get("/sync")
    assert worker.next() == {"id": 1, "json": None}
    assert worker.end() == 0
