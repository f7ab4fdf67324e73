"""Asserts the order of messages that the specification promises to an app."""
import asyncio

async def app(scope, receive, send):
    kind = scope["type"]
    await {"lifespan": lifespan, "http": http, "websocket": websocket}[kind](scope, receive, send)

async def lifespan(scope, receive, send):
    assert isinstance(scope["state"], dict) and scope["asgi"]["version"] == "3.0"
    assert (await receive())["type"] == "lifespan.startup"
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    await send({"type": "lifespan.shutdown.complete"})

async def http(scope, receive, send):
    assert isinstance(scope["path"], str) and isinstance(scope["raw_path"], bytes)
    assert isinstance(scope["query_string"], bytes) and scope["method"].isupper()
    assert isinstance(scope["headers"], list)
    for name, value in scope["headers"]:
        assert isinstance(name, bytes) and isinstance(value, bytes) and name == name.lower()
    assert scope["client"] is None or isinstance(scope["client"][1], int)
    assert isinstance(scope["server"][1], int)
    size, more = 0, True
    while more:
        message = await receive()
        assert message["type"] == "http.request" and isinstance(message["body"], bytes)
        size, more = size + len(message["body"]), message["more_body"]
    listening = asyncio.ensure_future(receive())
    await asyncio.sleep(0.05)
    assert not listening.done(), "the client is still there"
    for wrong in ("http.response.body", "http.response.trailers", "websocket.send", "nonsense"):
        try:
            await send({"type": wrong})
        except Exception:
            continue
        raise AssertionError(f"{wrong} was taken before the start")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": str(size).encode(), "more_body": True})
    assert not listening.done()
    await send({"type": "http.response.body", "body": b" bytes"})
    assert (await asyncio.wait_for(listening, 5))["type"] == "http.disconnect"
    assert (await receive())["type"] == "http.disconnect"
    try:
        await send({"type": "http.response.body", "body": b"more"})
    except Exception:
        return
    raise AssertionError("a body was taken after the end")

async def websocket(scope, receive, send):
    assert scope["scheme"] in ("ws", "wss") and isinstance(scope["subprotocols"], list)
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    message = await receive()
    assert message["type"] == "websocket.receive"
    assert (message.get("text") is None) != (message.get("bytes") is None)
    await send({"type": "websocket.close", "code": 1000})
    message = await receive()
    assert message["type"] == "websocket.disconnect" and isinstance(message["code"], int)
    try:
        await send({"type": "websocket.send", "text": "late"})
    except Exception:
        return
    raise AssertionError("a message was taken after the end")
