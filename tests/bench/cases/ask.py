"""A Node program asks a Python program: over nodey's pipes, and over an HTTP bridge."""

from __future__ import annotations

import json
from functools import partial

from harness import load, servers
from harness.context import Context, Figures, Subject
from harness.errors import BenchError
from harness.paths import PEERS
from harness.report import Column, Table
from harness.server import Server, get

ASKS_AT_ONCE = 64
NODEY_ASKS = 20000
BRIDGE_ASKS = 2000  # it is that much slower
COLUMNS = [Column("per_second", "asks/s"), Column("each_us", "µs each", 1)]


def _figures(result: dict[str, float]) -> Figures:
    per_second = result["asks"] / result["seconds"]
    return {"per_second": per_second, "each_us": 1e6 / per_second}


def _probe_nodey(in_flight: int, server: Server, seconds: float) -> Figures:
    asks = NODEY_ASKS if in_flight > 1 else NODEY_ASKS // 10
    status, body = get(server.port, f"/ask?asks={asks}&inflight={in_flight}", timeout=60)
    if status != 200:
        raise BenchError(f"GET /ask answered {status} {body[:200]!r}")
    return _figures(json.loads(body))


def _probe_bridge(context: Context, in_flight: int, server: Server, seconds: float) -> Figures:
    asks = BRIDGE_ASKS if in_flight > 1 else BRIDGE_ASKS // 4
    client = str(PEERS / "bridge_client.js")
    argv = [context.node, client, str(server.port), str(asks), str(in_flight)]
    return _figures(json.loads(load.run(argv, 60)))


def _nodey(context: Context, name: str) -> Server:
    pools = {"asker": servers.Pool("ask.js"), "answerer": servers.Pool("answer.py")}
    server = servers.nodey(context, name, pools, path="/ask?asks=0&inflight=1")
    server.expect = None
    return server


def _compare(context: Context, in_flight: int) -> Table:
    name = "ask" if in_flight > 1 else "ask, one at a time"
    table = Table(name, f"Node asks Python, {in_flight} in flight", COLUMNS)
    subjects = [
        Subject("nodey", partial(_nodey, context, "nodey"), partial(_probe_nodey, in_flight)),
        Subject(
            "HTTP bridge (Flask)",
            partial(servers.flask, context),
            partial(_probe_bridge, context, in_flight),
        ),
        Subject(
            "HTTP bridge (gunicorn)",
            partial(servers.gunicorn, context),
            partial(_probe_bridge, context, in_flight),
        ),
    ]
    context.compare(table, subjects)
    return table


def run(context: Context) -> list[Table]:
    many, one = _compare(context, ASKS_AT_ONCE), _compare(context, 1)
    many.ratio("nodey", "HTTP bridge (Flask)", "per_second", ">=", 30)
    return [many, one]
