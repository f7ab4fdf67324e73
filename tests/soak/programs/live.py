"""Sockets and events that last."""

import asyncio

import nodey


@nodey.ws("/live/socket")
async def echo(socket):
    async for message in socket:
        await socket.send(message)


@nodey.get("/live/events")
async def events(req):
    async def ticks():
        number = 0
        while True:
            yield f"{req.query['id']} {number}"
            number += 1
            await asyncio.sleep(0.1)

    return nodey.sse(ticks())


@nodey.get("/live/echo")
async def get(req):
    return req.query["id"]
