"""Latency of one request at a time: what nodey's two extra hops cost, and what spinning saves."""

from __future__ import annotations

from functools import partial

from harness import servers
from harness.context import Context, Figures, Subject
from harness.report import Column, Table
from harness.server import Server

COLUMNS = [
    Column("p50_us", "p50 µs"),
    Column("p90_us", "p90 µs"),
    Column("p99_us", "p99 µs"),
    Column("per_second", "req/s"),
]


def run(context: Context) -> list[Table]:
    def probe(server: Server, seconds: float) -> Figures:
        result = context.load.measure(server, seconds, ["-c", "1"])
        figures = {key: result["fast"][key] for key in ("p50_us", "p90_us", "p99_us")}
        return {**figures, "per_second": result["rate"]}

    def nodey(name: str, script: str, **options: str) -> Subject:
        pools = {"hello": servers.Pool(script)}
        make = partial(servers.nodey, context, name, pools, server=options)
        return Subject(name, make, probe)

    table = Table("latency", "GET /hello, 1 connection", COLUMNS)
    subjects = [
        nodey("nodey+Node", "hello.js"),
        nodey("nodey+Python", "hello.py"),
        nodey("nodey+Node, spin", "hello.js", spin="50us"),
        nodey("nodey+Python, spin", "hello.py", spin="50us"),
        Subject("node http", partial(servers.node_http, context), probe),
        Subject("uvicorn", partial(servers.uvicorn, context), probe),
        Subject("nginx", partial(servers.nginx, context), probe),
    ]
    context.compare(table, subjects)
    for name in ("nodey+Node", "nodey+Python"):
        table.ratio(name, "node http", "p50_us", "<=", 1.4)
        table.ratio(f"{name}, spin", "node http", "p50_us", "<", 1.0)
    return [table]
