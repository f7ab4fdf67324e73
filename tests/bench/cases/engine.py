"""The embedded engine without nodey around it: what the disk and the batches make possible.

A transaction takes all that waits, so the more are under way, the more share one fsync; how
many they are is the last three columns.  The rows of a level differ in that and in the size.
"""

from __future__ import annotations

from harness import engine
from harness.context import Context, progress
from harness.errors import BenchError
from harness.report import Column, Table

LEVELS = ["fsync", "os", "memory"]
IN_FLIGHT = [1, 64, 512]
SIZES = {200: "200 B", 4096: "4 KiB", 262144: "256 KiB"}
CONSUMERS = 16
SHARE = 1 / 3  # of a round's time, for each of its many rows
BATCH = [
    Column("batch_mean", "a commit: mean", 1),
    Column("batch_p50", "p50"),
    Column("batch_p99", "p99"),
]
PUBLISH = [
    Column("per_second", "stored/s"),
    Column("mb_per_second", "MB/s", 1),
    Column("p50_ms", "p50 ms", 2),
    Column("p99_ms", "p99 ms", 2),
    *BATCH,
]
FANOUT = [
    Column("settled_per_second", "settled/s"),
    Column("per_second", "stored/s"),
    Column("p99_ms", "p99 ms", 2),
    *BATCH,
]


def _add(
    context: Context, table: Table, row: str, what: str, level: str, size: int, count: int
) -> None:
    """One round of one row."""
    if row in table.failures:
        return
    progress(f"{table.name}: {row}")
    seconds = context.seconds * SHARE
    try:
        found = engine.measure(context, what, level, size, count, seconds=seconds)
    except (BenchError, OSError) as error:
        table.fail(row, str(error))
        return
    found["mb_per_second"] = found["per_second"] * size / 1e6
    found["p50_ms"], found["p99_ms"] = found["p50_us"] / 1000, found["p99_us"] / 1000
    table.add(row, {column.key: found[column.key] for column in table.columns})


def run(context: Context) -> list[Table]:
    publish = Table("engine, publish", "stored by the engine alone, without a worker", PUBLISH)
    fanout = Table("engine, fan-out", f"200 B to {CONSUMERS} consumers, which settle each", FANOUT)
    for _ in range(context.rounds):
        for level in LEVELS:
            for size, called in SIZES.items():
                for count in IN_FLIGHT:
                    row = f"{level}, {called}, {count} unanswered"
                    _add(context, publish, row, "publish", level, size, count)
            _add(context, fanout, f"{level} x {CONSUMERS}", "fanout", level, 200, CONSUMERS)
    progress("")
    return [publish, fanout]
