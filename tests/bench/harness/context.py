"""What one run has at hand: programs, folders, durations; and how it compares."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from harness import paths
from harness.errors import BenchError, NotBuilt
from harness.load import Load
from harness.report import Table
from harness.server import Server

Figures = dict[str, float]


@dataclass(frozen=True)
class Subject:
    """Something to compare: how to get its server, and how to measure that one."""

    name: str
    make: Callable[[], Server]
    probe: Callable[[Server, float], Figures]  # the second argument: about how many seconds


@dataclass
class Context:
    directory: Path  # this run's, removed afterwards
    nodey: Path | None
    rounds: int = 3
    seconds: float = 3.0  # of one measurement
    warm_up_seconds: float = 1.0

    def __post_init__(self) -> None:
        # The interpreters themselves: version managers put scripts in front of them.
        asked = subprocess.run(
            ["node", "-p", "process.execPath"], capture_output=True, text=True, check=True
        )
        self.node = asked.stdout.strip()
        self.python = str(paths.BUILD / "venv" / "bin" / "python")
        self.load = Load(paths.BUILD)
        self._folders = 0

    def folder(self, name: str) -> Path:
        """A new folder for one server, named after it."""
        self._folders += 1
        safe = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        folder = self.directory / f"{self._folders}-{safe}"
        folder.mkdir()
        return folder

    def compare(
        self,
        table: Table,
        subjects: list[Subject],
        *,
        rounds: int | None = None,
        warm_up: bool = True,
    ) -> None:
        """All servers at once, measured in turn (A B C A B C ...), then stopped."""
        with ExitStack() as stack:
            started = [(subject, self._bring_up(table, subject, stack)) for subject in subjects]
            live = {subject: server for subject, server in started if server is not None}
            if warm_up:
                self._round(table, live, self.warm_up_seconds, "warming up", keep=False)
            wanted = self.rounds if rounds is None else rounds
            for turn in range(wanted):
                self._round(table, live, self.seconds, f"round {turn + 1}/{wanted}", keep=True)

    def _round(
        self, table: Table, live: dict[Subject, Server], seconds: float, label: str, keep: bool
    ) -> None:
        """Measures each once; who fails drops out and says why in the table."""
        for subject, server in list(live.items()):
            progress(f"{table.name}, {label}: {subject.name}")
            try:
                figures = subject.probe(server, seconds)
            except (BenchError, OSError) as error:
                table.fail(subject.name, str(error))
                del live[subject]
                continue
            if keep:
                table.add(subject.name, figures)
        progress("")

    def _bring_up(self, table: Table, subject: Subject, stack: ExitStack) -> Server | None:
        progress(f"{table.name}: starting {subject.name}")
        try:
            server = subject.make()
            stack.callback(server.stop)
            server.start()
            return server
        except NotBuilt as reason:
            table.skip(subject.name, str(reason))
        except (BenchError, OSError) as error:
            table.fail(subject.name, str(error))
        return None


def progress(text: str) -> None:
    """One line that the next overwrites; nothing when nobody watches."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\x1b[K{text[:width]}", end="", file=sys.stderr, flush=True)
