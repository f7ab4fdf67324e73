"""Starlette, left behind as a module's global: nothing here knows of nodey."""

import asyncio
import hashlib
import pathlib
import time

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
)
from starlette.routing import Route, WebSocketRoute


class Stamp(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        response = await call_next(request)
        response.headers["x-stamp"] = "1"
        return response


async def hello(request):
    return JSONResponse({"hello": request.query_params.get("name", "world")})


async def form(request):
    return JSONResponse(dict(await request.form()))


async def login(request):
    request.session["user"] = (await request.form())["user"]
    return RedirectResponse("/me", 303)


def me(request):
    return PlainTextResponse(request.session.get("user", "nobody"))


async def cookies(request):
    response = PlainTextResponse(request.cookies.get("seen", "none"))
    response.set_cookie("seen", "yes")
    response.set_cookie("other", "a b")
    return response


async def pieces(form):
    for number in range(4):
        yield form.format(number)
        await asyncio.sleep(0.25)


async def stream(request):
    return StreamingResponse(pieces("piece {}\n"), media_type="text/plain")


async def events(request):
    return StreamingResponse(pieces("data: {}\n\n"), media_type="text/event-stream")


async def endless(request):
    """Asks whether the client is still there."""

    async def generate():
        while not await request.is_disconnected():
            yield "x" * 1000
            await asyncio.sleep(0.02)

    gone = BackgroundTask(pathlib.Path("gone").touch)
    return StreamingResponse(generate(), media_type="text/plain", background=gone)


async def upload(request):
    fields = await request.form()
    file = fields["file"]
    digest, size = hashlib.sha256(), 0
    while data := await file.read(1 << 16):
        digest.update(data)
        size += len(data)
    return JSONResponse(
        {"name": file.filename, "size": size, "sha256": digest.hexdigest(), "note": fields["note"]}
    )


async def file(request):
    return FileResponse(str(pathlib.Path("data.bin").resolve()))


async def background(request):
    task = BackgroundTask(lambda: (time.sleep(0.3), pathlib.Path("done").touch()))
    return PlainTextResponse("accepted", background=task)


async def boom(request):
    raise RuntimeError("it broke")


class Echo(WebSocketEndpoint):
    async def on_connect(self, websocket):
        if websocket.query_params.get("refuse"):
            await websocket.send_denial_response(PlainTextResponse("who are you?", 403))
            return
        chat = "chat" in websocket.scope["subprotocols"]
        await websocket.accept("chat" if chat else None, [(b"x-mine", b"1")])

    async def on_receive(self, websocket, data):
        if data == "close":
            await websocket.close(4001, "as you like")
        elif isinstance(data, bytes):
            await websocket.send_bytes(data)
        else:
            await websocket.send_text(data)

    async def decode(self, websocket, message):
        return message["text"] if message.get("text") is not None else message["bytes"]

    async def on_disconnect(self, websocket, code):
        pathlib.Path("closed").write_text(f"{code} ")


app = Starlette(
    routes=[
        Route("/hello", hello),
        Route("/form", form, methods=["POST"]),
        Route("/login", login, methods=["POST"]),
        Route("/me", me),
        Route("/cookies", cookies),
        Route("/stream", stream),
        Route("/events", events),
        Route("/endless", endless),
        Route("/upload", upload, methods=["POST"]),
        Route("/file", file),
        Route("/background", background),
        Route("/boom", boom),
        WebSocketRoute("/ws", Echo),
    ],
    middleware=[Middleware(SessionMiddleware, secret_key="for tests only"), Middleware(Stamp)],
)
