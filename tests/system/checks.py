"""What must hold after every fault, as functions that can fail.

test_planted.py shows for each of them that it does fail when the thing is broken.
"""

from __future__ import annotations

import os
import signal
from typing import Protocol, Sequence

import procs
from timing import until

MEBIBYTE = 1 << 20


class Watched(Protocol):
    """What these checks need of an App."""

    pid: int

    @property
    def sanitized(self) -> bool: ...


class Baseline:
    """What a process held in calm, to be compared with what it holds after a fault."""

    def __init__(self, app: Watched) -> None:
        self.app = app
        self.fds = procs.fds(app.pid)
        self.rss = procs.rss(app.pid)

    def check(self, memory: int = 32 * MEBIBYTE, extra_fds: int = 0, seconds: float = 5) -> None:
        """Descriptors back to what they were, no zombies, and no more memory than that."""
        pid = self.app.pid
        assert procs.alive(pid), "the supervisor is gone"
        until(lambda: procs.fds(pid) <= self.fds + extra_fds, seconds,
              f"descriptors back to {self.fds}; now {procs.fds(pid)}: {open_files(pid)}")
        until(lambda: not procs.zombies(pid), seconds, f"no zombies; now {procs.zombies(pid)}")
        self.check_memory(memory)

    def check_memory(self, memory: int) -> None:
        grown = procs.rss(self.app.pid) - self.rss
        if not self.app.sanitized:  # A sanitizer keeps freed memory back on purpose.
            assert grown <= memory, f"memory grew by {grown / MEBIBYTE:.1f} MiB"


def open_files(pid: int) -> list[str]:
    """What the descriptors of a process are, for a message."""
    found = []
    try:
        for name in sorted(os.listdir(f"/proc/{pid}/fd"), key=int):
            try:
                found.append(f"{name}={os.readlink(f'/proc/{pid}/fd/{name}')}")
            except OSError:
                pass
    except OSError:
        pass
    return found


def kill(pids: Sequence[int], sig: int = signal.SIGKILL) -> None:
    """Signals each that is still there."""
    for pid in pids:
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            pass


def wait_gone(pids: Sequence[int], seconds: float, what: str = "processes") -> None:
    until(lambda: not any(procs.alive(pid) for pid in pids), seconds,
          f"{what} {[(pid, procs.command(pid)) for pid in pids if procs.alive(pid)]} gone")


def wait_run_gone(run: str, seconds: float) -> None:
    """No process of that run is left, whatever group, session or parent it has."""
    until(lambda: procs.run_is_gone(run), seconds,
          f"no process of the run; left {[(p, procs.command(p)) for p in procs.of_run(run)]}")
