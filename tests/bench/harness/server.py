"""Servers under test: started with their backends, found ready, stopped for certain."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from harness import proc
from harness.errors import BenchError

HOST = "127.0.0.1"
READY_SECONDS = 20.0
STOP_SECONDS = 8.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str, timeout: float = 5.0) -> tuple[int, bytes]:
    """Status and body of one GET on a connection of its own."""
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except http.client.HTTPException as error:
        raise ConnectionError(f"port {port} does not speak HTTP: {error!r}") from error
    finally:
        connection.close()


def parsed(body: bytes) -> object:
    """The JSON value, or None when it is none."""
    try:
        return json.loads(body)
    except ValueError:
        return None


@contextmanager
def undisturbed() -> Iterator[None]:
    """Puts off Ctrl-C, SIGTERM and the end of the time until the block has ended."""
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGALRM}
    )
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def stop_family(child: subprocess.Popen[bytes]) -> None:
    """SIGTERM, then SIGKILL for whatever of its family is still there."""
    members = proc.family(child.pid)
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    for member in members:
        if proc.still_runs(member):
            with suppress(ProcessLookupError):
                os.kill(member.pid, signal.SIGKILL)
    child.wait()


@dataclass
class Server:
    """One listening program, and the backends that it needs to answer."""

    name: str
    argv: list[str]
    port: int
    directory: Path  # the working directory, and where its log goes
    path: str = "/hello"
    # What `path` answers; None: anything will do.
    expect: object = field(default_factory=lambda: {"hello": "world"})
    env: dict[str, str] = field(default_factory=dict)
    backends: list["Server"] = field(default_factory=list)
    ready_seconds: float = READY_SECONDS
    child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.child is not None, f"{self.name} was not started"
        return self.child.pid

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def spawn(self) -> None:
        """Starts the program itself and returns at once."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with open(self.directory / "log", "ab") as log:
            self.child = subprocess.Popen(
                self.argv,
                cwd=self.directory,
                env={**os.environ, **self.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us, who stop it in order
            )

    def start(self) -> None:
        for backend in self.backends:
            backend.start()
        self.spawn()
        self.wait_ready()

    def answers(self) -> bool:
        """Whether it answers as it should.  A wrong answer is an error, none is not."""
        try:
            status, body = get(self.port, self.path)
        except OSError:
            return False
        if status in (502, 503, 504):
            return False
        if status != 200 or self.expect not in (None, parsed(body)):
            raise BenchError(f"{self.name} answers {status} {body[:200]!r}")
        return True

    def wait_ready(self) -> None:
        deadline = time.monotonic() + self.ready_seconds
        while not self.answers():
            assert self.child is not None
            ended = self.child.poll()
            if ended is not None:
                raise BenchError(f"{self.name} ended with {ended}: {self.log_tail()}")
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name} was not ready in time: {self.log_tail()}")
            time.sleep(0.02)

    def log_tail(self) -> str:
        text = (self.directory / "log").read_text(errors="replace")
        return " | ".join(text.splitlines()[-5:]) or "its log is empty"

    def stop(self) -> None:
        """Stops the program, then its backends.  Safe when it was not started."""
        with undisturbed():
            if self.child is not None:
                stop_family(self.child)
                self.child = None
            for backend in self.backends:
                backend.stop()

    def all_cpu_seconds(self) -> float:
        """CPU time of the program, its children and its backends."""
        own = proc.family_cpu_seconds(self.pid)
        return own + sum(backend.all_cpu_seconds() for backend in self.backends)
