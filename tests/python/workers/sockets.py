"""WebSockets for `def` handlers; see protocol/vectors/README.md."""

import nodey


@nodey.ws("/echo")
def echo(socket: nodey.Socket) -> None:
    for message in socket:
        socket.send(message)


@nodey.ws("/bye")
def bye(socket: nodey.Socket) -> None:
    socket.send("hi")
    socket.close(4001, "done")


@nodey.ws("/chat", protocols=["chat"])
def chat(socket: nodey.Socket) -> None:
    socket.receive()


@nodey.ws("/refuse")
def refuse(socket: nodey.Socket) -> None:
    raise nodey.HTTPError(403, "no")


@nodey.ws("/boom")
def boom(socket: nodey.Socket) -> None:
    socket.receive()
    raise ValueError("boom")


@nodey.ws("/flood")
def flood(socket: nodey.Socket, req: nodey.Request) -> None:
    for _ in range(int(req.query["n"])):
        socket.send("0123456789abcdef")
