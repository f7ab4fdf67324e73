"""Slow requests must not hold up instant ones.

Four synchronous Python instances get 800 requests per second; every hundredth sleeps for
300 ms.  So a slow one arrives every 125 ms, two or three instances are asleep at any
time, never four, and whoever sends an instant request to a sleeping instance, or leaves
it in its pipe, shows up at once: as 300 ms.
"""

from __future__ import annotations

from harness import servers
from harness.context import Context, Figures, Subject
from harness.report import Column, Table
from harness.server import Server

INSTANCES = 4
LOAD = ["-c", "16", "-r", "800", "-s", "/work?ms=300", "-e", "100"]
COLUMNS = [
    Column("p99_ms", "instant p99 ms", 2),
    Column("p50_ms", "instant p50 ms", 2),
    Column("max_ms", "instant max ms", 1),
    Column("slow_p50_ms", "slow p50 ms", 1),
    Column("per_second", "req/s"),
]


def run(context: Context) -> list[Table]:
    def probe(server: Server, seconds: float) -> Figures:
        result = context.load.measure(server, seconds * 2, LOAD)
        fast, slow = result["fast"], result["slow"]
        figures = {f"{name}_ms": fast[f"{name}_us"] / 1000 for name in ("p50", "p99", "max")}
        return {**figures, "slow_p50_ms": slow["p50_us"] / 1000, "per_second": result["rate"]}

    def make_nodey() -> Server:
        pools = {"work": servers.Pool("work.py", INSTANCES)}
        return servers.nodey(context, "nodey", pools, path="/work")

    def make_gunicorn() -> Server:
        server = servers.gunicorn(context, INSTANCES)
        server.path = "/work"
        return server

    title = f"800 req/s, 1 % take 300 ms, {INSTANCES} synchronous Python instances"
    table = Table("mixed", title, COLUMNS)
    context.compare(
        table,
        [Subject("nodey", make_nodey, probe), Subject("gunicorn+Flask", make_gunicorn, probe)],
    )
    table.limit("nodey", "p99_ms", "ms", "<", 10)
    return [table]
