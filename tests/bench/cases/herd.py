"""A hundred workers start: for how long, and how many want the CPU at the same time."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from harness.context import Context, progress
from harness.detached import Detached, check
from harness.errors import BenchError, NotBuilt
from harness.paths import WORKERS
from harness.report import Column, Table

INSTANCES = 100
ROUNDS = 3
COLUMNS = [
    Column("seconds", "all ready after s", 2),
    Column("running", "want a CPU at once, median"),
    Column("peak", "at most"),  # those that are ready answer pings, all in one moment
]


def _running(folder: Path) -> int:
    """How many processes in that folder want a CPU now."""
    found = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.readlink(process / "cwd") == str(folder):
                text = (process / "stat").read_text()
                found += text[text.rindex(")") + 2] in "RD"
    return found


def _start(herd: Detached) -> dict[str, float]:
    since = time.monotonic()
    child = herd.begin()
    samples = []
    while child.poll() is None:
        if time.monotonic() - since > 120:
            child.kill()
            raise BenchError("not ready within 120 s")
        samples.append(_running(herd.folder))
        time.sleep(0.05)
    seconds = time.monotonic() - since
    check(child)
    samples.sort()
    return {"seconds": seconds, "running": samples[len(samples) // 2], "peak": samples[-1]}


def run(context: Context) -> list[Table]:
    table = Table("herd", f"{INSTANCES} Python workers on {os.cpu_count()} CPUs", COLUMNS)
    folder = context.folder("herd")
    shutil.copy(WORKERS / "hello.py", folder)
    (folder / "nodey.toml").write_text(
        f'[workers.hello]\nscript = "hello.py"\ninstances = {INSTANCES}\n')
    try:
        herd = Detached(context, folder)
        for turn in range(ROUNDS):
            progress(f"herd {turn + 1}/{ROUNDS}")
            try:
                table.add("nodey", _start(herd))
            finally:
                with suppress(BenchError):
                    herd.down()
    except NotBuilt as reason:
        table.skip("nodey", str(reason))
    except (BenchError, OSError) as error:
        table.fail("nodey", str(error))
    progress("")
    table.limit("nodey", "running", "processes", "<=", 4 * (os.cpu_count() or 1))
    return [table]
