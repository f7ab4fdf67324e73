"""A cache hit beside nginx's `return 200` with the same body."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

from harness import load, servers
from harness.context import Context, Figures, Subject
from harness.report import Column, Table
from harness.server import Server

CONNECTIONS = 64
ROUNDS = 7  # short ones in turn: what the ratio is about is smaller than the noise
ROUTES = '[[routes]]\npath = "/hello"\nto = "hello"\ncache = "1h"\n'
COLUMNS = [
    Column("per_second", "req/s"),
    Column("p50_ms", "p50 ms", 2),
    Column("p99_ms", "p99 ms", 2),
    Column("all_us", "CPU µs/req", 2),
]


def _probe(server: Server, seconds: float) -> Figures:
    return asdict(load.wrk(server, CONNECTIONS, seconds))


def run(context: Context) -> list[Table]:
    pools = {"hello": servers.Pool("hello.js")}
    table = Table("cache", f"GET /hello from the cache, {CONNECTIONS} connections", COLUMNS)
    subjects = [
        Subject("hit", partial(servers.nodey, context, "hit", pools, routes=ROUTES), _probe),
        Subject("nginx return 200", partial(servers.nginx, context), _probe),
    ]
    context.compare(table, subjects, rounds=max(ROUNDS, context.rounds))
    table.ratio("hit", "nginx return 200", "per_second", ">=", 0.91)
    table.ratio("hit", "nginx return 200", "all_us", "<=", 1.1)
    return [table]
