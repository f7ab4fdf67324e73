"""Fixtures: `run` starts a worker from tests/python/workers, `write` one from a text."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest
from process import SDK, WORKERS, Worker

sys.path.insert(0, str(SDK))
sys.dont_write_bytecode = True


@pytest.fixture
def run() -> Iterator[Callable[..., Worker]]:
    """run("fib", mode="hand", ...): see Worker."""
    started: List[Worker] = []

    def start(name: Any, **options: Any) -> Worker:
        script = name if isinstance(name, Path) else WORKERS / f"{name}.py"
        worker = Worker(script, **options)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.__exit__()


@pytest.fixture
def write(tmp_path: Path, run: Callable[..., Worker]) -> Callable[..., Worker]:
    """write('''text of a script''', ...): starts it."""

    def start(text: str, name: str = "worker.py", **options: Any) -> Worker:
        script = tmp_path / name
        script.write_text(textwrap.dedent(text))
        return run(script, **options)

    return start
