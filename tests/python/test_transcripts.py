"""The conversations of protocol/vectors/transcripts.jsonl; see its README."""

from __future__ import annotations

import base64
import json
import time
from typing import Any, Dict

import pytest
from nodey.errors import status_of
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
    talk = Talk(worker)
    for step in transcript["steps"]:
        if "send" in step:
            line = step["send"]
            for name, value in bound.items():
                line = line.replace("${%s}" % name, json.dumps(value))
            worker.send(line)
        elif "receive" in step:
            talk.receive(step["receive"])
        elif "upload" in step:
            talk.upload(**step["upload"])
        elif "quiet" in step:
            talk.be_quiet(step["quiet"] / 1000)
        else:
            actual = talk.next()
            talk.window = actual.get("window", talk.window)
            if "type" not in actual:
                talk.begun[actual["id"]] = True
            expected = step["expect"]
            assert frame_matches(expected, actual, bound), f"expected {expected}, got {actual}"


class Talk:
    """Answers and bodies in pieces, as the supervisor sees them."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.window = 262144
        self.credit: Dict[int, int] = {}
        self.begun: Dict[int, bool] = {}
        self.rest: Dict[int, bytes] = {}
        self.ended: Dict[int, Any] = {}

    def next(self) -> Any:
        """The next frame that is no credit and no log."""
        while True:
            frame = self.worker.next()
            if frame.get("type") == "log":
                continue
            if frame.get("type") != "credit":
                return frame
            assert frame["bytes"] >= 1
            self.credit[frame["id"]] = self.credit.get(frame["id"], 0) + frame["bytes"]

    def be_quiet(self, seconds: float) -> None:
        """Nothing but credit and logs comes for so long."""
        end = time.monotonic() + seconds
        while not self.worker.silent_for(max(end - time.monotonic(), 0)):
            frame = self.worker.next()
            assert frame.get("type") in ("credit", "log"), frame

    def upload(self, id: int, size: int) -> None:
        """Sends zero bytes within the credit."""
        self.credit[id], sent, granted = self.window, 0, self.window
        while sent < size:
            if self.credit[id] == 0:
                frame = self.worker.next()
                assert (frame.get("type"), frame["id"]) == ("credit", id), frame
                self.credit[id] += frame["bytes"]
                granted += frame["bytes"]
                assert granted - self.window <= sent, "credit for more than was sent"
            part = min(self.credit[id], 65536, size - sent)
            body = base64.b64encode(bytes(part)).decode()
            self.worker.send('{"type":"chunk","id":%d,"body64":"%s"}' % (id, body))
            self.credit[id] -= part
            sent += part
        self.worker.send({"type": "end", "id": id})

    def receive(self, step: Any) -> None:
        """Reads what a step names; see the README of the vectors."""
        id = step["id"]
        body, wanted = self.rest.pop(id, b""), self.wanted(step)
        while id not in self.ended:
            if "end" not in step and (wanted is None or len(body) >= wanted):
                if id in self.begun:
                    break
            body += self.part(self.next(), step)
        assert ("end" in step) == (id in self.ended), self.ended.get(id)
        if "end" in step:
            self.check_end(step["end"], self.ended[id])
        if "text" in step:
            assert body.decode() == step["text"]
        elif "size" in step:
            assert len(body) == step["size"]

    @staticmethod
    def wanted(step: Any) -> Any:
        """How many bytes must have come."""
        return len(step["text"].encode()) if "text" in step else step.get("size")

    def part(self, frame: Any, step: Any) -> bytes:
        """Takes in one frame of an answer; returns its bytes of body."""
        id, kind = step["id"], frame.get("type")
        assert frame["id"] == id, frame
        if kind == "error":
            self.ended[id] = frame
            if id not in self.begun:
                status = frame.get("status") or status_of(frame["code"])
                assert status == step.get("status", status), frame
            return b""
        if kind is None:
            assert id not in self.begun, f"a second head: {frame}"
            self.begun[id] = True
            assert frame.get("status", 200) == step.get("status", frame.get("status", 200))
            headers = frame.get("headers", {})
            for name, value in step.get("headers", {}).items():
                assert headers[name] == value
        else:
            assert kind in ("chunk", "end", "message"), frame
            assert id in self.begun, f"a piece without a head: {frame}"
        if kind == "end" or (kind is None and not frame.get("more")):
            self.ended[id] = frame
        if "body64" in frame:
            return base64.b64decode(frame["body64"])
        return str(frame.get("body", "")).encode()

    @staticmethod
    def check_end(expected: Any, frame: Any) -> None:
        if expected == "any":
            return
        if isinstance(expected, dict) and "error" in expected:
            assert frame.get("type") == "error" and frame["code"] == expected["error"], frame
            return
        assert frame.get("type") in (None, "end"), frame
        if isinstance(expected, dict):
            assert frame.get("trailers") == expected["trailers"], frame


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
    if name in ("streams", "sockets", "events"):
        return [
            ("sync", name, []),
            ("threads", "in_threads", [name]),
            ("beside a loop", "in_loop", [name]),
            ("asyncio", f"{name}_async", []),
        ]
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
