"""From exec to the first good answer, with four Python instances."""

from __future__ import annotations

import time
from functools import partial
from typing import Callable

from harness import servers
from harness.context import Context, progress
from harness.errors import BenchError, NotBuilt
from harness.report import Column, Table
from harness.server import READY_SECONDS, Server

INSTANCES = 4
ROUNDS = 7
COLUMNS = [Column("first_ms", "first 200 after ms")]


def _first_answer_ms(server: Server) -> float:
    begin = time.perf_counter()
    try:
        server.spawn()
        while not server.answers():
            if time.perf_counter() - begin > READY_SECONDS:
                raise BenchError(f"{server.name} was not ready in time: {server.log_tail()}")
            time.sleep(0.001)
        return (time.perf_counter() - begin) * 1000
    finally:
        server.stop()


def run(context: Context) -> list[Table]:
    table = Table("start", f"{INSTANCES} Python instances, median of {ROUNDS}", COLUMNS)
    pools = {"hello": servers.Pool("hello.py", INSTANCES)}
    makers: dict[str, Callable[[], Server]] = {
        "nodey": partial(servers.nodey, context, "nodey", pools),
        "gunicorn+Flask": partial(servers.gunicorn, context, INSTANCES),
    }
    for turn in range(-1, ROUNDS):  # the first one fills the page cache
        for name, make in list(makers.items()):
            progress(f"start {turn + 1}/{ROUNDS}: {name}")
            try:
                first_ms = _first_answer_ms(make())
            except NotBuilt as reason:
                table.skip(name, str(reason))
                del makers[name]
            except (BenchError, OSError) as error:
                table.fail(name, str(error))
                del makers[name]
            else:
                if turn >= 0:
                    table.add(name, {"first_ms": first_ms})
    progress("")
    table.limit("nodey", "first_ms", "ms", "<", 1000)
    return [table]
