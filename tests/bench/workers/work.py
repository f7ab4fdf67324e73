"""Answers at once, or sleeps as long as `?ms=` says, as a slow query would."""

from __future__ import annotations

import time

import nodey


@nodey.get("/work")
def work(req: nodey.Request) -> dict[str, str]:
    time.sleep(int(req.query.get("ms", 0)) / 1000)
    return {"hello": "world"}


nodey.start()
