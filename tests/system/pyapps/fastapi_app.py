"""FastAPI, started as people start it: nothing here knows of nodey."""

import asyncio
import hashlib
import pathlib
import time
from contextlib import asynccontextmanager
from typing import Annotated

import uvicorn
from fastapi import BackgroundTasks, Cookie, FastAPI, Form, Request, UploadFile, WebSocket
from fastapi.responses import (
    FileResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from fastapi.websockets import WebSocketDisconnect
from pydantic import BaseModel
from starlette.middleware.sessions import SessionMiddleware


@asynccontextmanager
async def lifespan(app):
    print("the app starts")
    yield {"greeting": "hello"}
    print("the app stops")


app = FastAPI(lifespan=lifespan)
app.add_middleware(SessionMiddleware, secret_key="for tests only")


class Item(BaseModel):
    name: str
    price: float


@app.get("/hello")
async def hello(request: Request, name: str = "world"):
    return {request.state.greeting: name}


@app.post("/items")
async def items(item: Item) -> Item:
    return item


@app.post("/form")
async def form(request: Request):
    return dict(await request.form())


@app.post("/login")
async def login(request: Request, user: Annotated[str, Form()]):
    request.session["user"] = user
    return RedirectResponse(request.url_for("me").path, 303)


@app.get("/me", response_class=PlainTextResponse)
def me(request: Request):
    return request.session.get("user", "nobody")


@app.get("/cookies", response_class=PlainTextResponse)
async def cookies(response: Response, seen: Annotated[str, Cookie()] = "none"):
    response.set_cookie("seen", "yes")
    response.set_cookie("other", "a b")
    return seen


async def pieces(form):
    for number in range(4):
        yield form.format(number)
        await asyncio.sleep(0.25)


@app.get("/stream")
async def stream():
    return StreamingResponse(pieces("piece {}\n"), media_type="text/plain")


@app.get("/events")
async def events():
    return StreamingResponse(pieces("data: {}\n\n"), media_type="text/event-stream")


@app.get("/endless")
async def endless():
    async def generate():
        try:
            yield "x" * 1000
            await asyncio.sleep(60)
        finally:
            pathlib.Path("gone").touch()

    return StreamingResponse(generate(), media_type="text/plain")


@app.post("/upload")
async def upload(file: UploadFile, note: Annotated[str, Form()]):
    digest, size = hashlib.sha256(), 0
    while data := await file.read(1 << 16):
        digest.update(data)
        size += len(data)
    return {"name": file.filename, "size": size, "sha256": digest.hexdigest(), "note": note}


@app.get("/file")
async def file():
    return FileResponse(pathlib.Path("data.bin").resolve())


@app.get("/background", response_class=PlainTextResponse)
async def background(tasks: BackgroundTasks):
    tasks.add_task(lambda: (time.sleep(0.3), pathlib.Path("done").touch()))
    return "accepted"


@app.get("/boom")
async def boom():
    raise RuntimeError("it broke")


@app.websocket("/ws")
async def ws(socket: WebSocket):
    if socket.query_params.get("refuse"):
        await socket.close()
        return
    chat = "chat" in socket.scope["subprotocols"]
    await socket.accept("chat" if chat else None, [(b"x-mine", b"1")])
    try:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"], message.get("reason"))
            if message.get("text") == "close":
                await socket.close(4001, "as you like")
                return
            if message.get("bytes") is not None:
                await socket.send_bytes(message["bytes"])
            else:
                await socket.send_text(message["text"])
    except WebSocketDisconnect as end:
        pathlib.Path("closed").write_text(f"{end.code} {end.reason}")


if __name__ == "__main__":
    uvicorn.run("app:app", host="127.0.0.1", port=1, reload=True)
