"""process: a worker as a child process, and the test in the supervisor's place."""

from __future__ import annotations

import base64
import json
import os
import selectors
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

ROOT = Path(__file__).resolve().parents[2]
SDK = ROOT / "protocol" / "python"
WORKERS = Path(__file__).resolve().parent / "workers"

DEADLINE = 10.0 * float(os.environ.get("NODEY_SLOW", "1"))


class NoFrame(AssertionError):
    """The worker printed nothing (more) in time."""


def environment(mode: str, name: str, extra: Dict[str, str]) -> Dict[str, str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("NODEY")}
    env.pop("PWD", None)  # Of a shell, which would not be where the worker is started.
    env["PYTHONPATH"] = str(SDK)
    if mode == "supervised":
        env.update(NODEY="1", NODEY_PROTOCOL="1", NODEY_WORKER=name, NODEY_INSTANCE="0")
    env.update(extra)
    return env


class Answer:
    """The frames of an answer, and what they amount to."""

    def __init__(self) -> None:
        self.frames: List[Any] = []

    def is_whole(self) -> bool:
        last = self.frames[-1] if self.frames else {"more": True}
        return last.get("type") in ("end", "error") or (
            "type" not in last and not last.get("more")
        )

    @property
    def pieces(self) -> List[bytes]:
        """The bytes of each frame that has some."""
        found = [body_of(frame) for frame in self.frames]
        return [piece for piece in found if piece]

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def head(self) -> Any:
        return self.frames[0]

    @property
    def last(self) -> Any:
        return self.frames[-1]

    @property
    def headers(self) -> Any:
        return self.head.get("headers", {})


def body_of(frame: Any) -> bytes:
    """The bytes that a frame carries."""
    if "body64" in frame:
        return base64.b64decode(frame["body64"], validate=True)
    if "json" in frame:
        return json.dumps(frame["json"], separators=(",", ":"), ensure_ascii=False).encode()
    return str(frame.get("body", "")).encode()


class Worker:
    """A running script.  Use as a context manager: it is killed at the end."""

    def __init__(
        self,
        script: Path,
        mode: str = "supervised",
        private_fd: bool = True,
        env: Optional[Dict[str, str]] = None,
        stdin: Any = subprocess.PIPE,
        runner: bool = True,
        cwd: Optional[Path] = None,
        arguments: Sequence[str] = (),
    ) -> None:
        given = environment(mode, script.stem, env or {})
        read_end, write_end = os.pipe()
        fds = ()
        if private_fd and mode == "supervised":
            given["NODEY_FD"] = str(write_end)
            fds = (write_end,)
        self.process = subprocess.Popen(
            [sys.executable, *(["-m", "nodey.run"] if runner else []), str(script), *arguments],
            cwd=cwd,
            stdin=stdin,
            stdout=write_end,
            stderr=subprocess.PIPE,
            env=given,
            pass_fds=fds,
        )
        os.close(write_end)
        self.out = read_end
        self.failures: List[Any] = []
        self.logs: List[str] = []
        self._buffer = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.out, selectors.EVENT_READ)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.communicate()
        self._selector.close()
        os.close(self.out)

    def ready(self) -> Any:
        """Reads the `ready` frame."""
        frame = self.next()
        assert frame["type"] == "ready", frame
        return frame

    def write(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode("utf-8", "surrogatepass"))
        self.process.stdin.flush()

    def send(self, *frames: Any) -> None:
        """Sends frames (or lines) in one write."""
        lines = [frame if isinstance(frame, str) else json.dumps(frame) for frame in frames]
        self.write("".join(line + "\n" for line in lines))

    def get(self, path: str, id: Any = 1, **members: Any) -> None:
        """Sends a GET request."""
        path, mark, query = path.partition("?")
        if mark:
            members["query"] = query
        self.send({"id": id, "method": "GET", "path": path, **members})

    def next(self, timeout: float = DEADLINE) -> Any:
        """The next frame; raises NoFrame at the end of output or of time.

        Log frames of the level "error" are put aside, in `failures`.
        """
        while True:
            frame = self._next(timeout)
            if frame.get("type") != "log" or frame.get("level") != "error":
                return frame
            self.failures.append(frame)

    def _next(self, timeout: float) -> Any:
        end = time.monotonic() + timeout
        while b"\n" not in self._buffer:
            if not self._selector.select(max(end - time.monotonic(), 0)):
                raise NoFrame(f"no frame within {timeout} s; so far {self._buffer!r}")
            chunk = os.read(self.out, 65536)
            if not chunk:
                raise NoFrame(f"the output has ended; left over: {self._buffer!r}")
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)

    def next_of(self, count: int) -> List[Any]:
        return [self.next() for _ in range(count)]

    def answer(self, id: Any = 1) -> Answer:
        """A whole answer, in one frame or in pieces; frames of the log go to `logs`."""
        answer = Answer()
        while not answer.is_whole():
            frame = self.next()
            if frame.get("type") == "log":
                self.logs.append(frame["message"])
                continue
            assert frame["id"] == id, frame
            answer.frames.append(frame)
        return answer

    def silent_for(self, seconds: float) -> bool:
        """Whether no frame comes for a while."""
        return b"\n" not in self._buffer and not self._selector.select(seconds)

    def close_input(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.stdin = None

    def end(self) -> int:
        """Closes the input and returns the exit status; nothing may be left over."""
        if self.process.stdin is not None:
            self.close_input()
        return self.wait()

    def wait_with_logs(self) -> Any:
        """The exit status, and the messages that were logged at a level below "error"."""
        while True:
            try:
                frame = self.next()
            except NoFrame as end:
                assert "has ended; left over: b''" in str(end), str(end)
                return self.process.wait(DEADLINE), self.logs
            assert frame.get("type") == "log", f"a frame too many: {frame}"
            self.logs.append(frame["message"])

    def end_with_logs(self) -> List[str]:
        """Closes the input; returns what was logged once the worker has ended well."""
        if self.process.stdin is not None:
            self.close_input()
        status, logs = self.wait_with_logs()
        assert status == 0, self.errors()
        return list(logs)

    def wait(self) -> int:
        """The exit status, once the worker has ended without a further frame."""
        try:
            extra = self.next()
        except NoFrame as end:
            assert "has ended; left over: b''" in str(end), str(end)
        else:
            raise AssertionError(f"a frame too many: {extra}")
        return self.process.wait(DEADLINE)

    def errors(self) -> str:
        """All of standard error; only after the end."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()
