"""What a worker of the Python SDK handles per second: it only counts."""

from __future__ import annotations

import time

import nodey

counted = {"handled": 0, "last_ns": 0}


@nodey.on("bench.>", group="python", max=256)
async def handle(event: nodey.Event) -> None:
    counted["handled"] += 1
    counted["last_ns"] = time.monotonic_ns()


@nodey.get("/handle/stats")
async def stats(req: nodey.Request) -> dict[str, int]:
    told = dict(counted)
    if req.query.get("reset"):
        counted.update(handled=0, last_ns=0)
    return told


nodey.start()
