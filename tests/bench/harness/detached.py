"""A nodey that `nodey up -d --wait` starts and `nodey down` ends."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from harness.context import Context
from harness.errors import BenchError, NotBuilt


@dataclass
class Detached:
    context: Context
    folder: Path

    def __post_init__(self) -> None:
        if self.context.nodey is None:
            raise NotBuilt("nodey is not built")

    def _command(self, *words: str) -> "subprocess.Popen[str]":
        interpreters = [str(Path(self.context.python).parent), str(Path(self.context.node).parent)]
        return subprocess.Popen(
            [str(self.context.nodey), *words], cwd=self.folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "PATH": os.pathsep.join([*interpreters, os.environ["PATH"]])})

    def begin(self) -> "subprocess.Popen[str]":
        """Ends when everything is ready."""
        return self._command("up", "-d", "--wait", "--listen", "127.0.0.1:0")

    def up(self) -> float:
        """Seconds from its exec until everything is ready."""
        since = time.monotonic()
        check(self.begin())
        return time.monotonic() - since

    def down(self) -> None:
        check(self._command("down"))


def check(child: "subprocess.Popen[str]", seconds: float = 60) -> None:
    """Waits for its end, which must be a good one."""
    try:
        told, _ = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        raise BenchError(f"no end within {seconds:g} s: {child.args}") from None
    if child.returncode != 0:
        raise BenchError(f"{child.args} ended with {child.returncode}: {told[-500:]}")
