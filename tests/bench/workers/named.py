"""A pool of its own: answers at the name it runs under."""

from __future__ import annotations

import os

import nodey


@nodey.get("/" + os.environ.get("NODEY_WORKER", "named"))
def named(req: nodey.Request) -> dict[str, str]:
    return {"hello": "world"}


nodey.start()
