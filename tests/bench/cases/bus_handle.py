"""From publish to handler: idle latency, fan-out, keys, SDKs, and a handler that dies."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from functools import partial

from harness import bus, proc
from harness.bus import Hearing
from harness.context import Context, Figures, Subject
from harness.errors import BenchError
from harness.report import Column, Table
from harness.server import Server

IDLE_EVENTS = 200
IN_FLIGHT = 256
EVENTS = 20000
DEATHS = 5
PAIR = {"pub": [], "sub": [Hearing("bench.>", "sub")]}


def _probe_idle(server: Server, seconds: float) -> Figures:
    """One event at a time: each is stored with an fsync before it is delivered."""
    bus.ask(server, "/sub/stats?reset=1")
    measured = bus.publish(server, depth=1, count=IDLE_EVENTS)
    found = bus.wait_handled(server, "sub", IDLE_EVENTS)
    return {
        "p50_ms": found["p50_us"] / 1000,
        "p99_ms": found["p99_us"] / 1000,
        "stored_ms": measured["p50_us"] / 1000,
    }


def _idle(context: Context) -> Table:
    columns = [
        Column("p50_ms", "publish to handler p50 ms", 3),
        Column("p99_ms", "p99 ms", 3),
        Column("stored_ms", "publish to answer p50 ms", 3),
    ]
    table = Table("bus_handle, idle", "one event at a time", columns)
    subjects = []
    for level in ("fsync", "os"):
        make = partial(bus.nodey, context, f"nodey, {level}", PAIR, durability=level)
        subjects.append(Subject(f"nodey, {level}", make, _probe_idle))
    context.compare(table, subjects)
    table.limit("nodey, fsync", "p50_ms", "ms", "<", 1.5)
    return table


def _deliveries(
    pools: Sequence[str], groups: int, server: Server, seconds: float, keys: int = 0
) -> Figures:
    """Deliveries settled per second, from the first publish to the last handler."""
    count = EVENTS
    for pool in pools:
        bus.ask(server, f"/{pool}/stats?reset=1")
    before, begun = proc.cpu_seconds(server.pid), time.monotonic_ns()
    measured = bus.publish(server, depth=IN_FLIGHT, count=count, keys=keys)
    each = count * groups // len(pools)
    last = max(bus.wait_handled(server, pool, each)["last_ns"] for pool in pools)
    took = (last - begun) / 1e9
    return {
        "per_second": count * groups / took,
        "stored": measured["per_second"],
        "cpu_us": (proc.cpu_seconds(server.pid) - before) / (count * groups) * 1e6,
        "cores": (proc.cpu_seconds(server.pid) - before) / took,
    }


def _fan(context: Context, name: str, groups: int, processes: int, level: str = "fsync") -> Subject:
    names = [f"sub{n}" for n in range(processes)]
    share = groups // processes
    pools: Mapping[str, Sequence[Hearing]] = {
        "pub": [],
        **{
            pool: [Hearing("bench.>", f"g{n * share + i}", 1024) for i in range(share)]
            for n, pool in enumerate(names)
        },
    }
    make = partial(bus.nodey, context, name, pools, durability=level)
    return Subject(name, make, partial(_deliveries, names, groups))


RATES = [
    Column("per_second", "deliveries/s"),
    Column("stored", "stored/s"),
    Column("cpu_us", "supervisor µs each", 2),
    Column("cores", "its cores", 2),
]


def _fanout(context: Context) -> Table:
    title = f"every event to each group, {bus.BYTES} B, {IN_FLIGHT} unanswered, handled by C workers"
    table = Table("bus_handle, fan-out", title, RATES)
    subjects = [
        _fan(context, "x1, fsync", 1, 1),
        _fan(context, "x4, fsync", 4, 4),
        _fan(context, "x16, fsync", 16, 16),
        _fan(context, "x16 in one process, fsync", 16, 1),
        _fan(context, "x16 in one process, os", 16, 1, "os"),
    ]
    context.compare(table, subjects)
    table.limit("x16, fsync", "per_second", "/s", ">=", 200000)
    table.limit("x16 in one process, fsync", "per_second", "/s", ">=", 200000)
    return table


def _keys(context: Context) -> Table:
    """The same publisher and handler; only the keys differ."""
    table = Table("bus_handle, keys", "one group, one worker with 256 at a time, fsync", RATES)
    subjects = []
    for name, keys in (("no keys", 0), ("1000 keys", 1000), ("one key", 1)):
        make = partial(bus.nodey, context, name, PAIR)

        def probe(server: Server, seconds: float, keys: int = keys) -> Figures:
            return _deliveries(["sub"], 1, server, seconds, keys=keys)

        subjects.append(Subject(name, make, probe))
    context.compare(table, subjects)
    table.ratio("1000 keys", "no keys", "per_second", ">=", 0.5)
    return table


def _sdks(context: Context) -> Table:
    table = Table("bus_handle, SDKs", "one worker that does nothing with each event, fsync", RATES)
    subjects = []
    for name, script in (("Node", "handle.js"), ("Python, async", "handle.py")):
        scripts = {"handle": bus.SOURCES / script}
        make = partial(bus.nodey, context, name, {"pub": []}, scripts=scripts)
        subjects.append(Subject(name, make, partial(_deliveries, ["handle"], 1)))
    context.compare(table, subjects)
    return table


def _probe_death(server: Server, seconds: float) -> Figures:
    """Of several deaths the median and the worst; from SIGKILL to the other worker's handler."""
    took = []
    for _ in range(DEATHS):
        bus.publish(server, depth=1, count=1, mark=1)
        deadline = time.monotonic() + 20
        while not (found := [us for us in _redelivered(server) if us > 0]):
            if time.monotonic() > deadline:
                raise BenchError("an event of a worker that died was not delivered again")
            time.sleep(0.01)
        took.append(found[0] / 1000)
        time.sleep(0.3)  # the one that died is back
    return {"median_ms": statistics.median(took), "worst_ms": max(took)}


def _redelivered(server: Server) -> list[float]:
    """What either worker measured; each request is answered by one of them."""
    return [bus.ask(server, "/sub/stats?reset=1")["redelivered_us"] for _ in range(2)]


def _death(context: Context) -> Table:
    columns = [Column("median_ms", "redelivered after, ms", 2), Column("worst_ms", "worst ms", 2)]
    table = Table("bus_handle, death", "a worker is killed by the event that it handles", columns)
    subjects = [
        Subject(name, partial(bus.nodey, context, name, PAIR, instances={"sub": count}), _probe_death)
        for name, count in (("another worker is there", 2), ("it must be started again", 1))
    ]
    context.compare(table, subjects, warm_up=False)
    table.limit("another worker is there", "worst_ms", "ms", "<", 50)
    return table


def run(context: Context) -> list[Table]:
    return [_idle(context), _fanout(context), _keys(context), _sdks(context), _death(context)]
