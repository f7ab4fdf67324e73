"""A large backlog: disk, start, memory, and a cold consumer beside a publisher. By name only.

The messages are stored at the level `os`, by nodey itself; then it is stopped and started with
the level `fsync`.  NODEY_BENCH_BACKLOG is their number.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness import bus, proc
from harness.bus import Hearing
from harness.context import Context, progress
from harness.errors import BenchError, NotBuilt
from harness.report import Column, Table
from harness.server import Server

MESSAGES = int(os.environ.get("NODEY_BENCH_BACKLOG", "10000000"))
STEPS = (MESSAGES // 10, MESSAGES)
DEPTH = 4096
COLD = [Hearing("bench.>", "cold", 512, "first")]
Pools = Mapping[str, Sequence[Hearing]]
COLUMNS = [
    Column("fill", "stored/s, os"),
    Column("disk", "B on disk each", 1),
    Column("start_s", "start s", 3),
    Column("killed_s", "start after SIGKILL s", 3),
    Column("rss_mb", "RSS MB then", 1),
    Column("cold", "cold consumer/s"),
    Column("idle_p99", "publish p99 ms idle", 2),
    Column("busy_p99", "beside it", 2),
    Column("times", "x", 2),
    Column("peak_mb", "peak RSS MB", 1),
]


def _start(context: Context, folder: Path, pools: Pools, level: str) -> tuple[Server, float]:
    """Until the first answer of a worker, which is later than that the store is open."""
    server = bus.nodey(context, "nodey", pools, durability=level, folder=folder)
    since = time.monotonic()
    server.start()
    return server, time.monotonic() - since


def _disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("bus.db*"))


def _fill(context: Context, folder: Path, count: int) -> dict[str, float]:
    """Ends with SIGKILL: what follows is a recovery."""
    server, _ = _start(context, folder, {"pub": []}, "os")
    try:
        measured = bus.publish(server, depth=DEPTH, count=count)
        assert server.child is not None
        server.child.kill()
        server.child.wait()
    finally:
        server.stop()
    return {"fill": measured["per_second"]}


def _lone(server: Server, seconds: float) -> dict[str, float]:
    """One publisher that waits for each answer."""
    return bus.publish(server, depth=1, seconds=seconds)


def _starts(context: Context, folder: Path, seconds: float) -> dict[str, float]:
    server, killed = _start(context, folder, {"pub": []}, "fsync")
    server.stop()
    server, clean = _start(context, folder, {"pub": []}, "fsync")
    try:
        rss, idle = proc.rss_bytes(server.pid), _lone(server, seconds)
    finally:
        server.stop()
    return {
        "killed_s": killed,
        "start_s": clean,
        "rss_mb": rss / 1e6,
        "idle_p99": idle["p99_us"] / 1000,
    }


def _cold(context: Context, folder: Path, seconds: float) -> dict[str, float]:
    """The consumer is new and begins at the first message."""
    server, _ = _start(context, folder, {"pub": [], "cold": COLD}, "fsync")
    try:
        before = bus.ask(server, "/cold/stats?reset=1")
        since = time.monotonic()
        measured = _lone(server, seconds)
        handled = bus.ask(server, "/cold/stats")["handled"]
        took = time.monotonic() - since
        if handled == 0 and before["handled"] == 0:
            raise BenchError("the cold consumer was given nothing")
        return {
            "cold": handled / took,
            "busy_p99": measured["p99_us"] / 1000,
            "peak_mb": proc.peak_rss_bytes(server.pid) / 1e6,
        }
    finally:
        server.stop()


def run(context: Context) -> list[Table]:
    table = Table("bus_backlog", f"{bus.BYTES} B, nobody has read them; one group, no keys", COLUMNS)
    folder, stored = context.folder("backlog"), 0
    seconds = max(context.seconds, 3.0)  # as long for idle as beside it: a p99 of few says little
    for wanted in STEPS:
        row = f"{wanted:,} messages".replace(",", " ")
        progress(f"bus_backlog: {row}")
        try:
            found = _fill(context, folder, wanted - stored)
            stored = wanted
            found["disk"] = _disk(folder) / wanted
            found.update(_starts(context, folder, seconds))
            if wanted == STEPS[-1]:
                found.update(_cold(context, folder, seconds))
                found["times"] = found["busy_p99"] / found["idle_p99"]
            table.add(row, found)
        except NotBuilt as reason:
            table.skip(row, str(reason))
            return [table]
        except (BenchError, OSError) as error:
            table.fail(row, str(error))
            return [table]
    table.limit(row, "start_s", "s", "<", 2)
    table.limit(row, "rss_mb", "MB", "<", 100)
    table.limit(row, "cold", "/s", ">=", 50000)
    table.limit(row, "times", "x", "<", 3)
    return [table]
