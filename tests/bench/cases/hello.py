"""Throughput of hello-world with 64 connections, against everything one could use instead."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Callable

from harness import load, servers
from harness.context import Context, Figures, Subject
from harness.report import Column, Table
from harness.server import Server

CONNECTIONS = 64
COLUMNS = [
    Column("per_second", "req/s"),
    Column("p50_ms", "p50 ms", 2),
    Column("p99_ms", "p99 ms", 2),
    Column("main_us", "main CPU µs/req", 1),
    Column("all_us", "all CPU µs/req", 1),
]


def _probe(server: Server, seconds: float) -> Figures:
    return asdict(load.wrk(server, CONNECTIONS, seconds))


def _balanced_flask(context: Context) -> Server:
    return servers.balancer(context, "balancer+Flask", servers.flask(context))


def _balanced_gunicorn(context: Context) -> Server:
    return servers.balancer(context, "balancer+gunicorn", servers.gunicorn(context))


def run(context: Context) -> list[Table]:
    table = Table("hello", f"GET /hello, {CONNECTIONS} connections", COLUMNS)
    node, python = servers.Pool("hello.js"), servers.Pool("hello.py")
    makers: dict[str, Callable[[Context], Server]] = {
        "nodey+Node": partial(servers.nodey, name="nodey+Node", pools={"hello": node}),
        "nodey+Python": partial(servers.nodey, name="nodey+Python", pools={"hello": python}),
        "node http": servers.node_http,
        "Express": servers.express,
        "uvicorn": servers.uvicorn,
        "gunicorn+Flask": servers.gunicorn,
        "balancer+Flask": _balanced_flask,
        "balancer+gunicorn": _balanced_gunicorn,
        "nginx": servers.nginx,
    }
    context.compare(
        table, [Subject(name, partial(make, context), _probe) for name, make in makers.items()]
    )
    table.ratio("nodey+Node", "node http", "per_second", ">=", 2.0)
    table.ratio("nodey+Node", "Express", "per_second", ">=", 12)
    table.ratio("nodey+Node", "nginx", "per_second", ">=", 0.8)
    table.ratio("nodey+Python", "uvicorn", "per_second", ">=", 1.7)
    table.ratio("nodey+Python", "gunicorn+Flask", "per_second", ">=", 15)
    table.ratio("nodey+Python", "balancer+Flask", "per_second", ">=", 50)
    table.limit("nodey+Node", "main_us", "µs", "<=", 12)
    table.limit("nodey+Python", "main_us", "µs", "<=", 12)
    return [table]
