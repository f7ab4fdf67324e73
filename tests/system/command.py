"""Runs nodey's own commands in a folder, from a pipe or on a terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Mapping, Optional, Sequence, Union

from app import BINARY
from timing import slow


def environment(env: Optional[Mapping[str, str]] = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith("NODEY") and name not in
            ("PYTHONPATH", "NODE_PATH", "NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE")}
    kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return {**kept, "TERM": "xterm", **(env or {})}


class Done:
    """How a command ended, and what it printed."""

    def __init__(self, code: int, out: bytes, err: bytes) -> None:
        self.code = code
        self.bytes = out
        self.out = out.decode(errors="replace")
        self.err = err.decode(errors="replace")

    def __repr__(self) -> str:
        return f"<exit code {self.code}\nstdout: {self.out}\nstderr: {self.err}>"


def run(folder: Path, *words: str, input: Union[str, bytes] = b"",
        env: Optional[Mapping[str, str]] = None, timeout: float = 30) -> Done:
    """`nodey WORDS` in that folder, to its end."""
    data = input.encode() if isinstance(input, str) else input
    done = subprocess.run([str(BINARY), *words], cwd=folder, input=data, capture_output=True,
                          env=environment(env), timeout=slow(timeout), check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def run_pytest(folder: Path) -> Done:
    """The tests of that folder: with a base of their own, else they tidy up after earlier runs
    of ours when they end."""
    return run(folder, "run", "python3", "-m", "pytest", "-q", "-p", "no:cacheprovider",
               "--basetemp", str(folder.with_name(f"{folder.name}-pytest")))


class Terminal:
    """A command on a terminal of its own; a context manager."""

    def __init__(self, folder: Path, words: Sequence[str],
                 env: Optional[Mapping[str, str]] = None) -> None:
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [str(BINARY), *words], cwd=folder, env=environment(env), stdin=slave, stdout=slave,
            stderr=slave, start_new_session=True)
        os.close(slave)
        self.seen = ""

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def _read(self, seconds: float) -> bool:
        """False at the end of the output, or when nothing came."""
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            piece = os.read(self.master, 65536)
        except OSError:  # what Linux says at the end of a terminal
            return False
        self.seen += piece.decode(errors="replace")
        return bool(piece)

    def wait_for(self, pattern: str, start: int = 0, seconds: float = 15) -> int:
        """Where in all that was printed the pattern ends, from `start` on."""
        deadline = time.monotonic() + slow(seconds)
        while True:
            found = re.compile(pattern, re.DOTALL).search(self.seen, start)
            if found:
                return found.end()
            left = deadline - time.monotonic()
            if left <= 0 or (not self._read(left) and self.process.poll() is not None):
                raise AssertionError(f"{pattern} is not in {self.seen!r}")

    def end(self, seconds: float = 15) -> int:
        deadline = time.monotonic() + slow(seconds)
        while self.process.poll() is None and time.monotonic() < deadline:
            self._read(0.05)
        while self._read(0.05):
            pass
        return self.process.wait(slow(seconds))
