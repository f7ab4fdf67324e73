"""The file `big` beside it, sent by nodey itself."""

from pathlib import Path

import nodey

BIG = Path(__file__).with_name("big")


@nodey.get("/hello")
def hello(req):
    return {"hello": "world"}


@nodey.get("/big")
def big(req):
    return nodey.file(BIG)
