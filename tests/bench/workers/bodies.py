"""Bodies of any size through a Python worker, and the file `big` beside it."""

import time
from pathlib import Path

import nodey

BIG = Path(__file__).with_name("big")
PIECE = b"x" * 65536
PAUSE_SECONDS = 0.2  # between two pieces of a slow worker, at first
written = 0


@nodey.get("/py/hello")
def hello(req):
    return {"hello": "world"}


@nodey.get("/py/down")
async def down(req):
    global written
    written = 0
    for _ in range(int(req.query["mb"]) * 16):
        written += len(PIECE)
        yield PIECE


@nodey.get("/py/written")
async def count(req):
    return {"bytes": written}


@nodey.post("/py/up", stream=True)
def up(req):
    return str(sum(len(piece) for piece in req.stream()))


@nodey.post("/py/slow", stream=True)
def slow(req):
    """Reads for so many seconds a piece at a time, then as fast as it can."""
    total, until = 0, time.monotonic() + float(req.query["seconds"])
    for piece in req.stream():
        total += len(piece)
        if time.monotonic() < until:
            time.sleep(PAUSE_SECONDS)
    return str(total)


@nodey.get("/py/big")
def big(req):
    return nodey.file(BIG)
