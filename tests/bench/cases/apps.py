"""Unmodified apps: Flask and FastAPI behind nodey and behind the servers that they are usually
run with, one instance of each; Express in nodey, one and two instances, and on its own port."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Callable

from harness import load, servers
from harness.context import Context, Figures, Subject
from harness.report import Column, Table
from harness.server import Server

CONNECTIONS = 16
COLUMNS = [
    Column("per_second", "req/s"),
    Column("p50_ms", "p50 ms", 2),
    Column("p99_ms", "p99 ms", 2),
    Column("main_us", "main CPU µs/req", 1),
    Column("all_us", "all CPU µs/req", 1),
]


def _probe(server: Server, seconds: float) -> Figures:
    return asdict(load.wrk(server, CONNECTIONS, seconds))


def _compare(
    context: Context, table: Table, makers: dict[str, Callable[[Context], Server]]
) -> None:
    context.compare(
        table, [Subject(name, partial(make, context), _probe) for name, make in makers.items()]
    )


def _flask(context: Context) -> Table:
    table = Table("flask", f"Flask, GET /hello, {CONNECTIONS} connections", COLUMNS)
    makers: dict[str, Callable[[Context], Server]] = {
        "nodey": partial(servers.nodey_app, name="nodey", app="flask_app:app"),
        "gunicorn sync": partial(servers.gunicorn, workers=1),
        "nginx+gunicorn": servers.nginx_gunicorn,
        "nginx+uWSGI": servers.nginx_uwsgi,
        "Unit": servers.unit,
    }
    _compare(context, table, makers)
    table.ratio("nodey", "gunicorn sync", "per_second", ">=", 2.5)
    table.ratio("nodey", "nginx+uWSGI", "per_second", ">=", 1.5)
    table.ratio("nodey", "Unit", "per_second", ">=", 1.0)
    return table


def _fastapi(context: Context) -> Table:
    table = Table("fastapi", f"FastAPI, GET /hello, {CONNECTIONS} connections", COLUMNS)
    makers: dict[str, Callable[[Context], Server]] = {
        "nodey": partial(servers.nodey_app, name="nodey", app="fastapi_app:app"),
        "uvicorn": partial(servers.uvicorn, app="fastapi_app:app"),
    }
    _compare(context, table, makers)
    table.ratio("nodey", "uvicorn", "per_second", ">=", 1.3)
    return table


def _express(context: Context) -> Table:
    table = Table("express", f"Express, GET /hello, {CONNECTIONS} connections", COLUMNS)
    makers: dict[str, Callable[[Context], Server]] = {
        "nodey x1": partial(servers.nodey_express, name="nodey x1", instances=1),
        "nodey x2": partial(servers.nodey_express, name="nodey x2", instances=2),
        "Express": servers.express,
    }
    _compare(context, table, makers)
    table.ratio("nodey x1", "Express", "per_second", ">=", 1.0)
    table.ratio("nodey x2", "Express", "per_second", ">=", 1.6)
    return table


def run(context: Context) -> list[Table]:
    return [_flask(context), _fastapi(context), _express(context)]
