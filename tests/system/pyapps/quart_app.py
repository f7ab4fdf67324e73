"""Quart, as its own documentation would have it: nothing here knows of nodey."""

import asyncio
import hashlib
import pathlib

from quart import (
    Quart,
    jsonify,
    make_response,
    redirect,
    request,
    send_file,
    session,
    url_for,
    websocket,
)

app = Quart(__name__)
app.secret_key = "for tests only"
app.config["MAX_CONTENT_LENGTH"] = 1 << 30


@app.get("/hello")
async def hello():
    return jsonify(hello=request.args.get("name", "world"))


@app.post("/form")
async def form():
    return jsonify((await request.form).to_dict())


@app.post("/login")
async def login():
    session["user"] = (await request.form)["user"]
    return redirect(url_for("me"), 303)


@app.get("/me")
async def me():
    return session.get("user", "nobody")


@app.get("/cookies")
async def cookies():
    response = await make_response(request.cookies.get("seen", "none"))
    response.set_cookie("seen", "yes")
    response.set_cookie("other", "a b")
    return response


async def pieces(form):
    for number in range(4):
        yield form.format(number).encode()
        await asyncio.sleep(0.25)


@app.get("/stream")
async def stream():
    return pieces("piece {}\n"), {"content-type": "text/plain"}


@app.get("/events")
async def events():
    response = await make_response(pieces("data: {}\n\n"), {"content-type": "text/event-stream"})
    response.timeout = None
    return response


@app.get("/endless")
async def endless():
    async def generate():
        try:
            yield b"x" * 1000
            await asyncio.sleep(60)
        finally:
            pathlib.Path("gone").touch()

    return generate()


@app.post("/upload")
async def upload():
    file = (await request.files)["file"]
    digest, size = hashlib.sha256(), 0
    while data := file.read(1 << 16):
        digest.update(data)
        size += len(data)
    note = (await request.form)["note"]
    return jsonify(name=file.filename, size=size, sha256=digest.hexdigest(), note=note)


@app.get("/file")
async def file():
    return await send_file(pathlib.Path("data.bin").resolve(), conditional=True)


@app.get("/background")
async def background():
    async def work():
        await asyncio.sleep(0.3)
        pathlib.Path("done").touch()

    app.add_background_task(work)
    return "accepted"


@app.get("/boom")
async def boom():
    raise RuntimeError("it broke")


@app.websocket("/ws")
async def ws():
    if websocket.args.get("refuse"):
        return "who are you?", 403
    chat = "chat" in websocket.requested_subprotocols
    await websocket.accept(headers={"x-mine": "1"}, subprotocol="chat" if chat else None)
    try:
        while True:
            data = await websocket.receive()
            if data == "close":
                await websocket.close(4001, "as you like")
                return
            await websocket.send(data)
    except asyncio.CancelledError:
        pathlib.Path("closed").write_text("cancelled")
        raise


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=1)
