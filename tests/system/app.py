"""A nodey under test: the real binary, in a folder of its own, watched from outside."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGTERM
from typing import IO, Mapping, Optional, Sequence

import procs
from checks import Baseline
from client import Connection, Response, exchange_bytes, request_bytes
from timing import slow, until

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("NODEY_BIN", str(ROOT / "build" / "nodey"))).resolve()

READY = re.compile(r"nodey ready on http://127\.0\.0\.1:(\d+)")

# Nothing of this may stand in the supervisor's stderr, whatever a test does to it.
# The log may hold megabytes of one letter: no pattern here may start at any of them.
DEFECTS = re.compile(r"(?:ERROR|WARNING|SUMMARY): \w{1,20}Sanitizer"
                     r"|:\d{1,6}: runtime error: "
                     r"|Assertion [`'].*' failed")


class Drain:
    """Reads a pipe to its end in a thread, so that whoever writes never waits for a test."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._pieces: list[bytes] = []
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="drain", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            piece = os.read(self._pipe.fileno(), 65536)
            with self._changed:
                if piece:
                    self._pieces.append(piece)
                else:
                    self._ended = True
                self._changed.notify_all()
            if not piece:
                return

    def text(self) -> str:
        with self._changed:
            whole = b"".join(self._pieces)
            self._pieces = [whole]
        return whole.decode(errors="replace")

    def search(self, pattern: str, seconds: float, start: int = 0) -> Optional[re.Match[str]]:
        """Waits for the pattern to appear from the `start`th character on."""
        compiled = re.compile(pattern, re.MULTILINE)
        end = threading.Event()
        timer = threading.Timer(slow(seconds), self._wake, [end])
        timer.start()
        try:
            while True:
                with self._changed:
                    size, ended = sum(map(len, self._pieces)), self._ended
                found = compiled.search(self.text(), start)
                if found or ended or end.is_set():
                    return found
                with self._changed:
                    if sum(map(len, self._pieces)) == size and not self._ended:
                        self._changed.wait(0.5)
        finally:
            timer.cancel()

    def _wake(self, end: threading.Event) -> None:
        end.set()
        with self._changed:
            self._changed.notify_all()

    def join(self) -> None:
        self._thread.join(slow(2))


def is_sanitized(binary: Path) -> bool:
    """Whether memory figures of this binary say nothing, because a sanitizer is in it."""
    data = binary.read_bytes()
    return b"__asan_init" in data or b"__tsan_init" in data


class App:
    """One `nodey up`.  Made by the fixture `nodey`, which also checks how it ended."""

    def __init__(self, folder: Path, args: Sequence[str] = (),
                 env: Optional[Mapping[str, str]] = None, exit_code: Optional[int] = 0,
                 listen: str = "127.0.0.1:0", binary: Path = BINARY) -> None:
        self.folder = folder
        self.run = uuid.uuid4().hex
        self.exit_code = exit_code  # what the end must be; None: not judged
        self.binary = binary
        self.port = 0
        self._service = ""  # the name of this run that nodey gives to its workers
        self._process = subprocess.Popen(
            [str(binary), "up", "--listen", listen, *args], cwd=folder,
            env=self._environment(env or {}), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        assert self._process.stdout and self._process.stderr
        self.pid = self._process.pid
        self._out = Drain(self._process.stdout)
        self._err = Drain(self._process.stderr)

    def _environment(self, env: Mapping[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith("NODEY") and name not in ("PYTHONPATH", "NODE_PATH")}
        # The interpreter itself before any wrapper script of a version manager: a wrapper
        # costs more time at each start than the worker does.
        kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
        return {**kept, **env, procs.RUN: self.run}

    # -- its life

    def wait_ready(self, seconds: float = 30) -> "App":
        found = self._err.search(READY.pattern, seconds)
        assert found, f"nodey did not become ready; its log:\n{self.log()}"
        self.port = int(found.group(1))
        self._service = self._service_name()
        return self

    def _service_name(self) -> str:
        names = (procs.environ(pid).get("NODEY_RUN", "") for pid in procs.children(self.pid))
        return next(filter(None, names), "")

    def returncode(self) -> Optional[int]:
        return self._process.poll()

    def wait_exit(self, timeout: float = 35) -> int:
        try:
            code = self._process.wait(slow(timeout))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"nodey did not end within {slow(timeout):g} s; its log:\n"
                                 f"{self.log()[-4000:]}") from None
        self._out.join()
        self._err.join()
        return code

    def signal(self, sig: int) -> None:
        """Sends a signal to the supervisor, while it is there."""
        self._process.send_signal(sig)

    def stop(self, sig: int = SIGTERM, timeout: float = 35) -> int:
        self.signal(sig)
        return self.wait_exit(timeout)

    def kill(self) -> None:
        """SIGKILL, which is then the end that is expected."""
        self.exit_code = -SIGKILL
        self.stop(SIGKILL, 5)

    # -- what it says

    def log(self) -> str:
        """All of its stderr so far."""
        return self._err.text()

    def stdout(self) -> str:
        return self._out.text()

    def wait_log(self, pattern: str, timeout: float = 5, start: int = 0) -> re.Match[str]:
        """Waits for a regular expression in the log, from the `start`th character on."""
        found = self._err.search(pattern, timeout, start)
        assert found, f"not in the log within {slow(timeout):g} s: {pattern}\n" \
                      f"{self.log()[-4000:]}"
        return found

    # -- HTTP

    def connect(self, timeout: float = 10) -> Connection:
        return Connection(self.port, timeout)

    def request(self, method: str, path: str, body: bytes = b"",
                headers: Optional[Mapping[str, str]] = None, timeout: float = 10) -> Response:
        with self.connect(timeout) as connection:
            return connection.request(method, path, body,
                                      {"Connection": "close", **(headers or {})})

    def get(self, path: str, headers: Optional[Mapping[str, str]] = None,
            timeout: float = 10) -> Response:
        return self.request("GET", path, headers=headers, timeout=timeout)

    def post(self, path: str, body: bytes = b"", timeout: float = 10) -> Response:
        return self.request("POST", path, body, timeout=timeout)

    def raw(self, data: bytes, half_close: bool = False, timeout: float = 5) -> bytes:
        return exchange_bytes(self.port, data, half_close, timeout)

    def open_request(self, method: str, path: str, body: bytes = b"",
                     timeout: float = 30) -> Connection:
        """A connection on which that request has been sent and not yet answered."""
        connection = self.connect(timeout)
        connection.send(request_bytes(method, path, body))
        return connection

    # -- its processes

    def processes(self) -> list[int]:
        """Every live process of this run, the supervisor included."""
        return procs.of_run(self.run)

    def helpers(self) -> list[int]:
        """Processes of nodey itself that are not its children and not of its environment."""
        return procs.naming(self._service) if self._service else []

    def worker_pids(self, name: Optional[str] = None) -> list[int]:
        """Its direct children that are workers, or those of one name."""
        found = []
        for pid in procs.children(self.pid):
            worker = procs.environ(pid).get("NODEY_WORKER")
            if worker is not None and name in (None, worker) and procs.alive(pid):
                found.append(pid)
        return sorted(found)

    def wait_workers(self, count: int, name: Optional[str] = None, without: Sequence[int] = (),
                     seconds: float = 10) -> list[int]:
        """Waits until there are so many, none of which is in `without`."""

        def check() -> Optional[list[int]]:
            pids = self.worker_pids(name)
            return pids if len(pids) == count and not set(pids) & set(without) else None

        return until(check, seconds, f"{count} workers {name or ''} other than {without}; "
                                     f"now {self.worker_pids(name)}")

    def calm(self, workers: int) -> Baseline:
        """What it holds now that so many workers have been started."""
        self.wait_workers(workers)
        return Baseline(self)

    def fds(self) -> int:
        return procs.fds(self.pid)

    def rss(self) -> int:
        return procs.rss(self.pid)

    @property
    def sanitized(self) -> bool:
        return is_sanitized(self.binary)

    # -- its end, as the fixture judges it

    def finish(self) -> list[str]:
        """Stops what still runs.  Returns what was not as it should be, as sentences."""
        problems = []
        if self.returncode() is None:
            self.signal(SIGCONT)
            try:
                self.stop()
            except AssertionError as error:
                problems.append(str(error))
        code = self.returncode()
        if self.exit_code is not None and code != self.exit_code:
            problems.append(f"nodey's exit code is {code}, not {self.exit_code}")
        problems += self._leftovers()
        self._close()
        defect = DEFECTS.search(self.log())
        if defect:
            around = self.log()[defect.start():defect.start() + 3000]
            problems.append(f"a defect shows in the log:\n{around}")
        # 16 MiB of nothing, that hundreds of tests leave.
        (self.folder / ".nodey" / "bus" / "reserve").unlink(missing_ok=True)
        return problems

    def _leftovers(self) -> list[str]:
        """Waits for the run's processes to vanish; names and kills those that don't."""
        try:
            until(lambda: procs.run_is_gone(self.run) and not self.helpers(), 3,
                  "no process of the run is left")
            return []
        except AssertionError:
            left = [(pid, procs.command(pid)) for pid in self.processes() + self.helpers()]
        for pid, _ in left:
            try:
                os.kill(pid, SIGKILL)
            except ProcessLookupError:
                pass
        return [f"left over after the end: {left}"] if left else []

    def _close(self) -> None:
        if self.returncode() is None:
            self._process.kill()
            self._process.wait()
        for drain, pipe in ((self._out, self._process.stdout),
                            (self._err, self._process.stderr)):
            drain.join()
            if pipe:
                pipe.close()
