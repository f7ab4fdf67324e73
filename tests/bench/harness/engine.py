"""The embedded engine of the bus by itself: engine.c, which is linked with nodey's own rooms."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

from harness import load, paths
from harness.context import Context
from harness.errors import BenchError

PROGRAM = paths.ROOT / "build" / "release" / "bench" / "engine"
BUILD_SECONDS = 1800.0  # all of nodey, on a small machine


def build() -> None:
    """Makes the program what the sources say; quick when it is."""
    jobs = f"-j{os.cpu_count() or 1}"
    target = str(PROGRAM.relative_to(paths.ROOT))
    argv = ["make", "--no-print-directory", jobs, "-C", str(paths.ROOT), "MODE=release", target]
    load.run(argv, BUILD_SECONDS)


def measure(context: Context, what: str, *words: object, seconds: float) -> dict[str, Any]:
    """What engine.c prints of one run in a folder of its own; see there for the words."""
    folder = context.folder(f"engine {what}")
    argv = [str(PROGRAM), what, str(folder), *map(str, words), str(seconds)]
    try:
        found: dict[str, Any] = json.loads(load.run(argv, seconds))
    finally:
        shutil.rmtree(folder)  # the next one may need the room
    if found["refused"] or not found["published"]:
        raise BenchError(f"{found['refused']} messages were refused, {found['published']} stored")
    return found
