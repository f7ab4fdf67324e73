"""Files of three sizes beside nginx's sendfile, without and with its cache of open files."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from harness import load, servers
from harness.context import Context, Figures, Subject
from harness.report import Column, Table
from harness.server import Server

CONNECTIONS = 64
ROUNDS = 5  # short ones in turn
SIZES = {"1k": 1 << 10, "16k": 16 << 10, "1m": 1 << 20}
ROUTES = '[[routes]]\npath = "/files/*"\nroot = "files"\n'
COLUMNS = [
    Column("per_second", "req/s"),
    Column("p50_ms", "p50 ms", 2),
    Column("p99_ms", "p99 ms", 2),
    Column("all_us", "CPU µs/req", 2),
]


def _probe(server: Server, seconds: float) -> Figures:
    return asdict(load.wrk(server, CONNECTIONS, seconds))


def _serving(make: Callable[[], Server], data: Path, path: str) -> Server:
    server = make()
    server.path, server.expect = path, None
    (server.directory / "files").symlink_to(data)
    return server


def run(context: Context) -> list[Table]:
    context.directory.chmod(0o711)  # nginx's workers are nobody when the master is root
    data = context.folder("data")
    tables = []
    for name, size in SIZES.items():
        (data / name).write_bytes(random.Random(size).randbytes(size))
        table = Table(f"static {name}", f"a file of {size >> 10} KiB, {CONNECTIONS} connections",
                      COLUMNS)
        nodey = partial(servers.nodey, context, "nodey", {}, routes=ROUTES)
        nginx = partial(servers.nginx, context)
        context.compare(table, [
            Subject("nodey", partial(_serving, nodey, data, f"/files/{name}"), _probe),
            Subject("nginx", partial(_serving, nginx, data, f"/files/{name}"), _probe),
            Subject("nginx cached", partial(_serving, nginx, data, f"/kept/{name}"), _probe),
        ], rounds=max(ROUNDS, context.rounds))
        table.ratio("nodey", "nginx", "per_second", ">=", 0.8)
        table.ratio("nodey", "nginx cached", "per_second", ">=", 0.8)
        tables.append(table)
    return tables
