"""Bodies in pieces, for `def` handlers; see protocol/vectors/README.md."""

import string
import time
from typing import Any, Iterator

import nodey


@nodey.route("/stream", methods=[])
def stream(req: nodey.Request) -> Iterator[str]:
    yield from string.ascii_lowercase[: int(req.query["n"])]


@nodey.route("/pour", methods=[])
def pour(req: nodey.Request) -> Iterator[bytes]:
    left = int(req.query["size"])
    while left > 0:
        yield b"x" * min(left, 256)
        left -= 256


@nodey.route("/fails", methods=[])
def fails(req: nodey.Request) -> Iterator[str]:
    yield from string.ascii_lowercase[: int(req.query["n"])]
    raise ValueError("fails")


@nodey.route("/events", methods=[])
def events() -> nodey.Response:
    return nodey.sse(["one", {"data": "two"}])


@nodey.route("/ticks", methods=[])
def ticks() -> nodey.Response:
    def tick() -> Iterator[str]:
        while True:
            yield "tick"
            time.sleep(0.05)

    return nodey.sse(tick())


@nodey.route("/hints", methods=[])
def hints(req: nodey.Request) -> str:
    req.info(103, {"link": "</a.css>; rel=preload"})
    return "done"


@nodey.route("/trailers", methods=[])
def trailers() -> nodey.Response:
    return nodey.Response("body", trailers={"x-sum": "4"})


@nodey.route("/sum", methods=[], stream=True)
def sum_of_pieces(req: nodey.Request) -> str:
    return str(sum(len(piece) for piece in req.stream()))


@nodey.route("/whole", methods=[])
def whole(req: nodey.Request) -> str:
    return str(len(req.body))


@nodey.route("/mirror", methods=[], stream=True)
def mirror(req: nodey.Request) -> Any:
    yield from req.stream()


@nodey.route("/early", methods=[], stream=True)
def early() -> Any:
    return 401, "no"
