"""Memory of the supervisor itself: with ten pools, and per idle connection."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from harness import proc, servers
from harness.context import Context, Figures, Subject
from harness.errors import BenchError
from harness.report import Column, Table
from harness.server import Server, get

POOLS = 10
CONNECTIONS = 10000
KEEP_ALIVE_MS = 300_000
ROOM = 1000  # connections that nodey must accept beyond those
MIB = 1024 * 1024


@contextmanager
def _idle_connections(context: Context, server: Server, count: int) -> Iterator[None]:
    """Opens them, asks once on each, and holds them for as long as the block lasts."""
    argv = context.load.argv(server, ["-i", "-c", str(count)])
    pipe = subprocess.PIPE
    child = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    try:
        assert child.stdout is not None and child.stderr is not None
        line = child.stdout.readline()
        if not line:
            raise BenchError(f"{server.name}: {child.stderr.read().strip()}")
        opened: dict[str, Any] = json.loads(line)
        if opened["errors"] or opened["fast"]["non_200"] or opened["requests"] != count:
            raise BenchError(f"{server.name} did not serve every connection: {line.strip()}")
        yield
        output, _ = child.communicate(timeout=30)
        if json.loads(output)["alive"] != count:
            raise BenchError(f"{server.name} closed idle connections: {output.strip()}")
    finally:
        child.kill()
        child.wait()


def _probe_connections(context: Context, server: Server, seconds: float) -> Figures:
    before = proc.rss_bytes(server.pid)
    with _idle_connections(context, server, CONNECTIONS):
        held = proc.rss_bytes(server.pid)
    return {"bytes_each": (held - before) / CONNECTIONS, "rss_mib": held / MIB}


def _probe_pools(server: Server, seconds: float) -> Figures:
    for i in range(POOLS):
        status, _ = get(server.port, f"/pool{i}")
        if status != 200:
            raise BenchError(f"{server.name} answers {status} for pool{i}")
    return {"rss_mib": proc.rss_bytes(server.pid) / MIB}


def _pools(context: Context) -> Table:
    columns = [Column("rss_mib", "RSS MiB", 1)]
    table = Table("memory, pools", f"nodey alone, {POOLS} pools", columns)
    pools = {f"pool{i}": servers.Pool("named.py") for i in range(POOLS)}
    make = partial(servers.nodey, context, "nodey", pools, path="/pool0")
    context.compare(table, [Subject("nodey", make, _probe_pools)], rounds=1)
    table.limit("nodey", "rss_mib", "MiB", "<", 12)
    return table


def _connections(context: Context) -> Table:
    columns = [Column("bytes_each", "RSS bytes each"), Column("rss_mib", "RSS MiB", 1)]
    table = Table("memory, connections", f"{CONNECTIONS} idle connections", columns)
    options: dict[str, str | int] = {"max_connections": CONNECTIONS + ROOM, "idle_timeout": f"{KEEP_ALIVE_MS}ms"}
    pools = {"hello": servers.Pool("hello.py")}
    probe = partial(_probe_connections, context)
    subjects = [
        Subject("nodey", partial(servers.nodey, context, "nodey", pools, server=options), probe),
        Subject("node http", partial(servers.node_http, context, KEEP_ALIVE_MS), probe),
    ]
    for _ in range(context.rounds):
        # From a fresh start each time: memory that a process once used stays with it, and
        # the second time connections would look free.
        context.compare(table, subjects, rounds=1, warm_up=False)
    table.limit("nodey", "bytes_each", "bytes", "<=", 4096)
    return table


def run(context: Context) -> list[Table]:
    return [_pools(context), _connections(context)]
