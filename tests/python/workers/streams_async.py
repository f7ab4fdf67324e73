"""Bodies in pieces, for `async def` handlers; see protocol/vectors/README.md."""

import asyncio
import string
from typing import Any, AsyncIterator

import nodey


@nodey.route("/stream", methods=[])
async def stream(req: nodey.Request) -> AsyncIterator[str]:
    for letter in string.ascii_lowercase[: int(req.query["n"])]:
        yield letter


@nodey.route("/pour", methods=[])
async def pour(req: nodey.Request) -> AsyncIterator[bytes]:
    left = int(req.query["size"])
    while left > 0:
        yield b"x" * min(left, 256)
        left -= 256


@nodey.route("/fails", methods=[])
async def fails(req: nodey.Request) -> AsyncIterator[str]:
    for letter in string.ascii_lowercase[: int(req.query["n"])]:
        yield letter
    raise ValueError("fails")


@nodey.route("/events", methods=[])
async def events() -> nodey.Response:
    async def both() -> AsyncIterator[Any]:
        yield "one"
        yield {"data": "two"}

    return nodey.sse(both())


@nodey.route("/ticks", methods=[])
async def ticks() -> nodey.Response:
    async def tick() -> AsyncIterator[str]:
        while True:
            yield "tick"
            await asyncio.sleep(0.05)

    return nodey.sse(tick())


@nodey.route("/hints", methods=[])
async def hints(req: nodey.Request) -> str:
    req.info(103, {"link": "</a.css>; rel=preload"})
    return "done"


@nodey.route("/trailers", methods=[])
async def trailers() -> nodey.Response:
    async def body() -> AsyncIterator[str]:
        yield "body"

    return nodey.Response(body(), trailers=lambda: {"x-sum": "4"})


@nodey.route("/sum", methods=[], stream=True)
async def sum_of_pieces(req: nodey.Request) -> str:
    size = 0
    async for piece in req.stream():
        size += len(piece)
    return str(size)


@nodey.route("/whole", methods=[])
async def whole(req: nodey.Request) -> str:
    return str(len(req.body))


@nodey.route("/mirror", methods=[], stream=True)
async def mirror(req: nodey.Request) -> AsyncIterator[bytes]:
    async for piece in req.stream():
        yield piece


@nodey.route("/early", methods=[], stream=True)
async def early() -> Any:
    return 401, "no"
