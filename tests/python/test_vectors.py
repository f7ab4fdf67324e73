"""The lines of protocol/vectors/to_worker.jsonl; see its README."""

from __future__ import annotations

import base64
import json
from typing import Any, Callable, Dict

import pytest
from nodey.codec import Malformed, decode_lines
from nodey.delivery import Event
from nodey.frames import checked
from nodey.request import Request, request_fault
from process import ROOT, Worker

VECTORS = [
    json.loads(line)
    for line in (ROOT / "protocol/vectors/to_worker.jsonl").read_text("utf-8").splitlines()
]
OPTIONAL = "query headers params token upgrade more body body64 json timeout".split()


def line_of(vector: Any) -> bytes:
    if "line64" in vector:
        return base64.b64decode(vector["line64"])
    line: str = vector["line"]
    return line.encode()


def decoded(vector: Any) -> Any:
    """What the SDK makes of the line: a frame, a Malformed, or None for an empty one."""
    frames = decode_lines([line_of(vector).decode("utf-8", "replace")])
    if not frames:
        return None
    frame = checked(frames[0])
    if isinstance(frame, Malformed) or "type" in frame:
        return frame
    fault = request_fault(frame)
    return frame if fault is None else Malformed(frame.get("id"), fault)


def by_verdict(*verdicts: str) -> Any:
    return pytest.mark.parametrize(
        "vector",
        [pytest.param(v, id=v["name"]) for v in VECTORS if v["verdict"] in verdicts],
    )


@by_verdict("ok")
def test_a_good_line_is_decoded(vector: Any) -> None:
    frame = decoded(vector)
    assert isinstance(frame, dict), frame.message
    assert frame.get("type", "request") == vector["kind"]
    expected = vector.get("expect", {})
    for name, value in expected.items():
        assert frame.get(name) == value, name
    if "expect" in vector and "60 levels" not in vector["name"]:
        present = [name for name in OPTIONAL if frame.get(name, False) is not False]
        assert not [name for name in present if name not in expected]


@by_verdict("error")
def test_a_bad_line_is_refused_with_its_id(vector: Any) -> None:
    problem = decoded(vector)
    assert isinstance(problem, Malformed), problem
    assert problem.id == vector["expect"]["id"]


@by_verdict("empty")
def test_an_empty_line_is_nothing(vector: Any) -> None:
    assert decoded(vector) is None


def body_of(expected: Dict[str, Any]) -> Any:
    """The bytes that the members mean, or the value of a JSON body."""
    if "body64" in expected:
        return base64.b64decode(expected["body64"])
    return expected.get("body", "").encode()


@by_verdict("ok")
def test_a_request_shows_the_members(vector: Any) -> None:
    if vector["kind"] != "request":
        return
    expected = vector["expect"]
    frame = decoded(vector)
    req = Request(frame, frame.get("params") or {})
    assert (req.id, req.method, req.path) == (
        expected["id"],
        expected["method"],
        expected["path"],
    )
    assert req.query_string == expected.get("query", "")
    assert req.ip == expected.get("ip")
    assert req.timeout == (expected["timeout"] / 1000 if "timeout" in expected else None)
    for name, value in expected.get("headers", {}).items():
        assert req.headers.getlist(name.upper()) == (value if isinstance(value, list) else [value])
    if expected.get("more"):
        return  # Who reads that is test_streams.py.
    if "json" in expected:
        assert req.json() == expected["json"]
        assert json.loads(req.body) == expected["json"]
    elif "60 levels" not in vector["name"]:
        assert req.body == body_of(expected)


@by_verdict("ok")
def test_an_event_shows_the_members(vector: Any) -> None:
    if vector["kind"] != "event":
        return
    expected = vector["expect"]
    event = Event(decoded(vector))
    for name in ("topic", "queue", "group", "seq", "time", "attempt", "key", "cause"):
        assert getattr(event, name) == expected.get(name), name
    assert event.id == expected.get("msgid", str(expected["seq"]))
    assert event.headers == expected.get("headers", {})
    if "file" not in expected:
        assert event.data == expected.get("data")


def test_a_worker_answers_every_line_as_it_must(run: Callable[..., Worker]) -> None:
    """All lines, one after the other, in one process that has to survive them."""
    worker = run("mirror")
    worker.ready()
    for number, vector in enumerate(VECTORS):
        if vector.get("kind") in ("drain", "shutdown"):
            continue
        fence = {"type": "ask", "id": 10000 + number, "token": "Fib", "args": "fence"}
        worker.process.stdin.write(line_of(vector) + b"\n")
        if vector.get("expect", {}).get("more"):
            worker.send({"type": "end", "id": vector["expect"]["id"]})
        worker.send(fence)
        frames = []
        while not frames or frames[-1].get("value") != {"args": "fence"}:
            frames.append(worker.next())
        check_answers(vector, frames[:-1])
    assert worker.end() == 0, worker.errors()


def check_answers(vector: Any, frames: Any) -> None:
    name, kind = vector["name"], vector.get("kind")
    if vector["verdict"] == "error":
        assert len(frames) == 1, (name, frames)
        assert frames[0]["type"] == "error", name
        assert frames[0]["id"] == vector["expect"]["id"], name
        assert frames[0]["code"] == "invalid_argument", name
        assert frames[0]["message"], name
    elif kind == "request":
        assert len(frames) == 1, (name, frames)
        assert frames[0]["id"] == vector["expect"]["id"], name
        if "token" not in vector["expect"] or vector["expect"].get("body", "{}")[0] == "{":
            assert "json" in frames[0], (name, frames)
    elif kind == "ask":
        args = vector["expect"].get("args")
        expected = {"type": "answer", "id": vector["expect"]["id"], "value": {"args": args}}
        assert frames == [expected], name
    elif kind == "ping":
        assert [frame["type"] for frame in frames] == ["pong"], name
    else:
        assert frames == [], name
