"""WebSockets for `async def` handlers; see protocol/vectors/README.md."""

import nodey


@nodey.ws("/echo")
async def echo(socket: nodey.AsyncSocket) -> None:
    async for message in socket:
        await socket.send(message)


@nodey.ws("/bye")
async def bye(socket: nodey.AsyncSocket) -> None:
    await socket.send("hi")
    await socket.close(4001, "done")


@nodey.ws("/chat", protocols=["chat"])
async def chat(socket: nodey.AsyncSocket) -> None:
    await socket.receive()


@nodey.ws("/refuse")
async def refuse(socket: nodey.AsyncSocket) -> None:
    raise nodey.HTTPError(403, "no")


@nodey.ws("/boom")
async def boom(socket: nodey.AsyncSocket) -> None:
    await socket.receive()
    raise ValueError("boom")


@nodey.ws("/flood")
async def flood(socket: nodey.AsyncSocket, req: nodey.Request) -> None:
    for _ in range(int(req.query["n"])):
        await socket.send("0123456789abcdef")
