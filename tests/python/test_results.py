"""What handlers return and raise, as clients get it."""

from __future__ import annotations

import json.encoder

import pytest
from nodey import codec

REFUSED = [
    ("{'a': float('nan')}", "ValueError", "NaN"),
    ("[float('inf')]", "ValueError", "NaN, Infinity"),
    ("{1, 2}", "TypeError", "set has no JSON form"),
    ("{'when': object()}", "TypeError", "object has no JSON form"),
    ("{(1, 2): 3}", "TypeError", "keys must be"),
    ("(1, 2, 3, 4)", "TypeError", "return a list for a JSON array"),
    ("(x for x in [1])", "TypeError", "is a generator that yields int"),
    ("later()", "TypeError", "async def"),
    ("loop()", "ValueError", "contains itself"),
    ("nodey.Response('x', 99)", "ValueError", "must be 100 to 599"),
    ("nodey.Response('x', headers={'a': 'b\\r\\nc: d'})", "ValueError", "line break"),
    ("nodey.Response('x', headers={'a': '€'})", "ValueError", "U+00FF"),
    ("nodey.Response('x', headers={'a': None})", "TypeError", "header a"),
]


@pytest.mark.parametrize("expression, kind, words", REFUSED)
def test_what_is_no_answer_is_a_clear_error(write, expression, kind, words) -> None:
    worker = write(
        f"""
        import nodey
        async def later(): pass
        def loop():
            items = []
            items.append(items)
            return items
        @nodey.get("/")
        def unfit(): return {expression}
        @nodey.get("/fit")
        def fit(): return 1
        """
    )
    worker.ready()
    worker.get("/")
    worker.get("/fit", id=2)
    frame = worker.next()
    assert frame["code"] == "internal" and "stack" not in frame
    assert frame["message"].startswith(kind + ": ")
    assert words in frame["message"]
    if not words.startswith(("line break", "header", "U+")):
        assert "unfit (GET /)" in frame["message"]
    assert worker.next() == {"id": 2, "json": 1}
    assert worker.end() == 0


RESULTS = [
    ("'\\ud800x'", {"body": "\ufffdx"}),
    ("{'a': '\\ud83d\\ude00 \\udc00'}", {"json": {"a": "😀 \ufffd"}}),
    ("'a\\x00\\u2028\\n\"'", {"body": 'a\x00\u2028\n"'}),
    ("bytearray(b'hi')", {"body64": "aGk="}),
    ("memoryview(b'')", {"body64": ""}),
    ("True", {"json": True}),
    ("10**30", {"json": 10**30}),
    ("(201, {'a': 1})", {"status": 201, "json": {"a": 1}}),
    ("(404, None)", {"status": 404, "json": None}),
    (
        "(200, 'x', {'X-A': ['1', '2'], 'x-n': 3})",
        {"status": 200, "headers": {"x-a": ["1", "2"], "x-n": "3"}, "body": "x"},
    ),
    ("nodey.Response(status=304)", {"status": 304}),
    ("nodey.Response(b'', reason='Fine')", {"status": 200, "reason": "Fine", "body64": ""}),
    ("collections.OrderedDict(a=1)", {"json": {"a": 1}}),
    ("collections.namedtuple('P', 'x y')(1, 2)", {"json": [1, 2]}),
    ("http.HTTPStatus.OK", {"json": 200}),
]


@pytest.mark.parametrize("expression, members", RESULTS)
def test_results_by_type(write, expression, members) -> None:
    worker = write(
        f"""
        import collections, http, nodey
        @nodey.get("/")
        def root(): return {expression}
        """
    )
    worker.ready()
    worker.get("/")
    assert worker.next() == {"id": 1, **members}


def test_without_the_c_encoder_results_are_the_same(monkeypatch) -> None:
    quick = codec._make_encode()
    monkeypatch.setattr(json.encoder, "c_make_encoder", None)
    plain = codec._make_encode()
    for value in ({"a": [1, "é", None, True, 0.5]}, "\u2028", 10**30, {1: 2}):
        assert plain(value) == quick(value)
    for encode in (plain, quick):
        with pytest.raises(ValueError):
            encode(float("nan"))
        with pytest.raises(TypeError, match="set has no JSON form"):
            encode({1})


def test_an_exception_is_logged_once_with_its_traceback(run) -> None:
    worker = run("shapes")
    worker.ready()
    worker.get("/boom", id=77)
    assert worker.next() == {
        "type": "error",
        "id": 77,
        "code": "internal",
        "message": "ValueError: boom",
    }
    assert worker.end() == 0
    assert worker.errors() == ""
    (record,) = worker.failures
    assert record["id"] == 77
    lines = record["message"].splitlines()
    assert lines[0] == "GET /boom failed in boom"
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-1] == "ValueError: boom"
    assert "shapes.py" in lines[2] and "in boom" in lines[2]
    assert "handler.py" not in record["message"]


def test_the_stack_is_sent_in_development_only(run) -> None:
    worker = run("shapes", env={"NODEY_DEV": "1"})
    worker.ready()
    worker.get("/boom")
    stack = worker.next()["stack"]
    assert "shapes.py" in stack and "ValueError: boom" in stack


def test_an_exception_that_cannot_be_printed_does_no_harm(write) -> None:
    worker = write(
        """
        import nodey
        class Odd(Exception):
            def __str__(self): raise RuntimeError
        @nodey.get("/")
        def root(): raise Odd
        """
    )
    worker.ready()
    worker.get("/")
    assert worker.next()["message"] == "Odd: (its str() failed)"
    assert worker.end() == 0


ERRORS = [
    ("nodey.Error('unavailable', 'later')", {"code": "unavailable", "message": "later"}),
    ("nodey.Error('aborted', data={'a': 1})", {"code": "aborted", "message": "", "data": {"a": 1}}),
    ("nodey.HTTPError(404, 'gone')", {"code": "not_found", "message": "gone"}),
    ("nodey.HTTPError(418)", {"code": "invalid_argument", "message": "", "status": 418}),
    ("nodey.HTTPError(502)", {"code": "internal", "message": "", "status": 502}),
]


@pytest.mark.parametrize("expression, members", ERRORS)
def test_errors_travel_with_their_code(write, expression, members) -> None:
    worker = write(
        f"""
        import nodey
        @nodey.get("/")
        def root(): raise {expression}
        """
    )
    worker.ready()
    worker.get("/")
    assert worker.next() == {"type": "error", "id": 1, **members}
    assert worker.end() == 0
    assert worker.errors() == ""  # It is an answer, not a bug.


def test_an_error_with_headers_is_a_problem_document(write) -> None:
    worker = write(
        """
        import nodey
        @nodey.get("/")
        def root(): raise nodey.HTTPError(401, "who?", headers={"WWW-Authenticate": "Basic"})
        """
    )
    worker.ready()
    worker.get("/")
    assert worker.next() == {
        "id": 1,
        "status": 401,
        "headers": {"content-type": "application/problem+json", "www-authenticate": "Basic"},
        "json": {"status": 401, "detail": "who?", "code": "unauthenticated"},
    }


def test_log_fields_are_json_or_their_repr(write) -> None:
    worker = write(
        """
        import nodey
        nodey.log.warn("start", n=1, s={2})
        @nodey.get("/")
        def root(): return 1
        """
    )
    assert worker.next() == {
        "type": "log",
        "level": "warn",
        "message": "start",
        "fields": {"n": 1, "s": "{2}"},
    }
    worker.ready()
    assert worker.end() == 0
