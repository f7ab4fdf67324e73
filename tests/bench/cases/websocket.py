"""Messages echoed per second: a handler behind nodey, and Node's ws on its own port."""

from __future__ import annotations

import json
from functools import partial

from harness import load, paths, servers
from harness.context import Context, Figures, Subject
from harness.errors import BenchError
from harness.report import Column, Table
from harness.server import Server

COLUMNS = [
    Column("per_second", "messages/s"),
    Column("p50_us", "p50 µs"),
    Column("p99_us", "p99 µs"),
]

# Connections, messages under way on each, bytes of a message.
LOADS = [
    ("websocket", "64 connections, one message of 32 bytes under way on each", 64, 1, 32),
    ("websocket-deep", "64 connections, 8 messages of 32 bytes under way on each", 64, 8, 32),
    ("websocket-large", "8 connections, one message of 64 KiB under way on each", 8, 1, 65536),
]


def _echo(options: list[str], server: Server, seconds: float) -> Figures:
    program = load.compiled(paths.BUILD, "wsload")
    argv = [str(program), *options, "-d", str(seconds), server.address, "/echo"]
    result = json.loads(load.run(argv, seconds))
    if result["errors"] or not result["messages"]:
        raise BenchError(f"{server.name}: {result['errors']} errors, {result['messages']} messages")
    return {"per_second": result["rate"], "p50_us": result["p50_us"], "p99_us": result["p99_us"]}


def run(context: Context) -> list[Table]:
    tables = []
    for name, title, connections, depth, size in LOADS:
        probe = partial(_echo, ["-c", str(connections), "-k", str(depth), "-b", str(size)])
        pools = {"echo": servers.Pool("websocket.js")}
        table = Table(name, f"echo, {title}", COLUMNS)
        subjects = [
            Subject("nodey+Node", partial(servers.nodey, context, "nodey+Node", pools), probe),
            Subject("ws", partial(servers.ws_echo, context), probe),
        ]
        context.compare(table, subjects)
        table.ratio("nodey+Node", "ws", "per_second", ">=", 1.0)
        tables.append(table)
    return tables
