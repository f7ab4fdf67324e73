"""The conversations of protocol/vectors/transcripts.jsonl; see its README."""

from __future__ import annotations

import json
from typing import Any, Dict

import pytest
from process import ROOT, WORKERS, Worker

TRANSCRIPTS = [
    json.loads(line)
    for line in (ROOT / "protocol/vectors/transcripts.jsonl").read_text("utf-8").splitlines()
]


def matches(expected: Any, actual: Any, bound: Dict[str, Any]) -> bool:
    """Whether a value is as expected; fills in what is bound."""
    if isinstance(expected, dict) and expected.get("$any") is True:
        return True
    if isinstance(expected, dict) and "$bind" in expected:
        bound[expected["$bind"]] = actual
        return isinstance(actual, (int, str)) and not isinstance(actual, bool)
    if isinstance(expected, dict) and isinstance(actual, dict):
        absent = object()
        return all(
            matches(expected.get(name, absent), actual.get(name, absent), bound)
            for name in {**expected, **actual}
        )
    if isinstance(expected, list) and isinstance(actual, list):
        return len(expected) == len(actual) and all(
            matches(left, right, bound) for left, right in zip(expected, actual)
        )
    return type(expected) is type(actual) and bool(expected == actual)


def frame_matches(expected: Any, actual: Any, bound: Dict[str, Any]) -> bool:
    actual = dict(actual)
    if expected.get("type") in ("ready", "error", "pong"):
        actual = {name: value for name, value in actual.items() if name in expected}
    if "status" not in expected and actual.get("status") == 200:
        del actual["status"]
    return matches(expected, actual, bound)


def expect(worker: Worker, frame: Any, bound: Dict[str, Any]) -> None:
    actual = worker.next()
    assert frame_matches(frame, actual, bound), f"expected {frame}, got {actual}"


def run_steps(worker: Worker, transcript: Any) -> None:
    bound: Dict[str, Any] = {}
    for step in transcript["steps"]:
        if "send" in step:
            line = step["send"]
            for name, value in bound.items():
                line = line.replace("${%s}" % name, json.dumps(value))
            worker.send(line)
        else:
            expect(worker, step["expect"], bound)


def run_lines(worker: Worker, transcript: Any) -> None:
    expected = list(transcript["expect"])
    if expected and expected[0].get("type") == "ready":
        expect(worker, expected.pop(0), {})
    text = "".join(line + "\n" for line in transcript["send"])
    worker.write(text if transcript.get("last_lf", True) else text[:-1])
    if not transcript.get("keep_open"):
        worker.close_input()
    while expected:
        if not transcript.get("any_order"):
            expect(worker, expected.pop(0), {})
            continue
        actual = worker.next()
        found = [frame for frame in expected if frame_matches(frame, actual, {})]
        assert found, f"expected one of {expected}, got {actual}"
        expected.remove(found[0])


def ways_to_serve(transcript: Any) -> Any:
    """The script and its arguments for each engine; `ask` is there for the loop as well."""
    name = transcript["worker"]
    in_loop = ("ask_async", []) if name == "ask" else ("in_loop", [name])
    return [("sync", name, []), ("threads", "in_threads", [name]), ("asyncio", *in_loop)]


CASES = [
    pytest.param(
        transcript, script, arguments, private, id=f"{transcript['name']} ({way}, {where})"
    )
    for transcript in TRANSCRIPTS
    for way, script, arguments in ways_to_serve(transcript)
    for private, where in ((False, "fd 1"), (True, "private fd"))
    if transcript["mode"] == "supervised" or not private
]


@pytest.mark.parametrize("transcript, script, arguments, private_fd", CASES)
def test_transcript(transcript: Any, script: str, arguments: Any, private_fd: bool) -> None:
    path = WORKERS / f"{script}.py"
    with Worker(
        path, mode=transcript["mode"], private_fd=private_fd, arguments=arguments
    ) as worker:
        if "steps" in transcript:
            run_steps(worker, transcript)
        else:
            run_lines(worker, transcript)
        status = worker.wait() if transcript.get("keep_open") else worker.end()
        if transcript.get("exit") == "nonzero":
            assert status != 0
        else:
            assert status == transcript.get("exit", 0), worker.errors()
