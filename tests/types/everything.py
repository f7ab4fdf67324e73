"""Every function of nodey and nodey.testing, as a typed worker uses it.

It is never run: that mypy accepts it, strictly, is the test; see ../system/test_packages.py.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from typing import Any, AsyncIterator, Dict, Iterator, List, Optional, Tuple, Union

import nodey
from nodey import PyNodey
from nodey.testing import Bus, Client, DeadLetter, Result


# ---------------------------------------------------------------------- routes


@nodey.get("/hello/:name", description="says hello")
def hello(req: nodey.Request) -> Dict[str, Any]:
    headers: nodey.Headers = req.headers
    tags: List[str] = req.query.getlist("tag")
    left: Optional[float] = req.timeout
    nodey.log.info("hello %s", req.params["name"], agent=headers.get("user-agent"), left=left)
    return {"tags": tags, "host": req.host, "cookies": req.cookies, "gone": req.cancelled}


@nodey.post("/things")
def create(req: nodey.Request) -> Tuple[int, Any]:
    return 201, req.json()


@nodey.put("/things/:id")
def replace(req: nodey.Request) -> bytes:
    return req.body


@nodey.patch("/things/:id")
def change(req: nodey.Request) -> str:
    return req.text


@nodey.delete("/things/:id")
def remove() -> nodey.Response:
    return nodey.Response(status=204, headers={"x-gone": "yes"})


@nodey.head("/things")
def look() -> None:
    return None


@nodey.options("/things")
def allowed() -> nodey.Response:
    return nodey.Response("", headers={"allow": "GET, PUT"})


@nodey.route("/both", methods=["GET", "POST"])
def both() -> nodey.Response:
    return nodey.redirect("/hello/you", 307)


@nodey.get("/page")
def page() -> nodey.Response:
    return nodey.html("<p>").set_cookie("sid", "x", httponly=True).delete_cookie("old")


@nodey.get("/list")
def numbers() -> nodey.Response:
    return nodey.json([200, 1], headers={"x-a": "b"})


@nodey.get("/report")
def report() -> nodey.Response:
    return nodey.file("report.pdf", root="reports", download=True)


@nodey.post("/upload")
def upload(req: nodey.Request) -> Dict[str, Any]:
    form: nodey.Form = req.form()
    photo: nodey.Upload = form.files["photo"]
    return {"path": str(photo.save("uploads")), "bytes": photo.size, "note": form["note"]}


@nodey.put("/big", stream=True)
def big(req: nodey.Request) -> int:
    body: nodey.BodyStream = req.stream()
    return sum(len(piece) for piece in body)


@nodey.get("/rows")
def rows(req: nodey.Request) -> Iterator[str]:
    req.info(103, {"link": "</app.css>; rel=preload"})
    yield "a,b\n"


@nodey.get("/clock")
async def clock() -> nodey.Response:
    async def ticks() -> AsyncIterator[Dict[str, Any]]:
        yield {"event": "tick", "data": await nodey.ask_async("Time", timeout=0.5)}

    return nodey.sse(ticks(), headers={"x-clock": "1"})


# ------------------------------------------------------------------ WebSockets


@nodey.ws("/echo", protocols=["echo"])
def echo(socket: nodey.Socket) -> None:
    for message in socket:
        socket.send(message)
    socket.close(1000, "bye")


@nodey.ws("/chat")
async def chat(socket: nodey.AsyncSocket, req: nodey.Request) -> None:
    socket.accept()
    try:
        received: Union[str, bytes] = await socket.receive()
        await socket.send(received)
        async for message in socket:
            await socket.send(message)
    except nodey.Closed as closed:
        nodey.log.debug("closed", code=closed.code, reason=closed.reason)
    except nodey.Cancelled:
        raise
    await socket.close()


# --------------------------------------------------------- tokens, hooks, errors


@nodey.token("Price")
def price(args: Dict[str, int]) -> Dict[str, float]:
    rate: float = nodey.ask("Rate", "EUR", timeout=2.0)
    return {"price": args["sku"] * rate}


nodey.set({"Half": lambda number: number / 2})


@nodey.on_start
def opened() -> None:
    nodey.log.warn("opened")


@nodey.on_stop
async def closed() -> None:
    await asyncio.sleep(0)


@nodey.before
def guard(req: nodey.Request) -> Optional[Tuple[int, str]]:
    return None if "x-key" in req.headers else (401, "who are you?")


@nodey.after
def stamp(req: nodey.Request, response: nodey.Response) -> None:
    response.headers["x-path"] = req.path


def fail(status: int) -> None:
    try:
        raise nodey.HTTPError(status, "no such thing", {"retry-after": "1"}, data={"n": 1})
    except nodey.Error as error:
        nodey.log.error("failed", code=error.code)
        nodey.log.exception("failed")
        raise nodey.Error("unavailable", error.message, status=error.status)


hello(nodey.testing.request("GET", "/hello/you", params={"name": "you"}))
misused: int = hello(nodey.testing.request("GET", "/"))  # type: ignore[assignment]

# -------------------------------------------------------------- events and jobs


@nodey.post("/comments")
def comment(req: nodey.Request) -> Optional[int]:
    stored: nodey.Published = nodey.publish(
        "comment.created", req.json(), key="p1", id="c1", headers={"a": "b"}, now=True
    )
    nodey.enqueue("mail", {"to": "Ann"}, delay=timedelta(minutes=1))
    nodey.enqueue("mail", at=datetime.now(timezone.utc))
    nodey.seek("query", {"time": datetime.now(timezone.utc)})
    return None if stored.duplicate else stored.seq


@nodey.on(["comment.*", "post.>"], group="query", from_="first", max=4, attempts=5,
          backoff=["1s", 5000, timedelta(minutes=1)], timeout="1m")
async def moderate(event: nodey.Event, ctx: nodey.Context) -> None:
    left: Optional[float] = ctx.timeout
    ctx.progress()
    ctx.log.info("moderating", id=event.id, left=left, gone=ctx.cancelled(), time=event.time)
    await nodey.publish("comment.moderated", {**event.data, "key": event.key}, key=None)
    at_once: nodey.Published = await nodey.publish_async("seen", now=True)
    await nodey.enqueue_async("mail", at_once.buffered)
    await nodey.seek_async("query", "first")
    raise nodey.Retry("1m", "not yet") if not event.last else nodey.Dead("never")


@nodey.job("mail", concurrency=4, attempts=3, backoff="1s", timeout=0)
def mail(job: nodey.Event) -> None:
    headers: Dict[str, str] = job.headers
    nodey.publish("mailed", [job.queue, job.seq, headers, job.correlation, job.cause])
    misused: str = job.seq  # type: ignore[assignment]
    job.data = misused  # type: ignore[misc]
    nodey.publish("mailed", ky=1)  # type: ignore[arg-type]


@nodey.on("live.*", each=True)
def live() -> None:
    nodey.publish("a", delay="10m")


# ---------------------------------------------------------------- the other ways


def app(environ: Dict[str, Any], start_response: Any) -> List[bytes]:
    start_response("200 OK", [])
    return [nodey.__version__.encode()]


def run(way: str) -> None:
    if way == "app":
        nodey.serve(app, threads=8, root_path="/shop")
    elif way == "old":
        bridge = PyNodey().set({"X": lambda: 1})
        bridge.start()
        bridge.ask("X", {"a": 1}, timeout=1.5)
    else:
        nodey.start(threads=4)


# ------------------------------------------------------------- tests of one's own


def test_everything() -> None:
    with Client("workers/x.py", raise_errors=False, tokens={"Rate": lambda code: 2}) as client:
        answer: Result = client.post("/things?x=1", json={"a": 1}, headers={"a": "b"})
        assert answer.ok and answer.status == 201 and answer.json() and answer.text
        assert client.ask("Half", 4) == 2 and client.cookies
        with client.stream("GET", "/rows") as pieces:
            assert b"".join(pieces)
        with client.websocket("/echo", protocols=["echo"]) as socket:
            socket.send("hello")
            assert socket.receive() == "hello"


def test_events() -> None:
    with Bus("workers/x.py", "workers/y.py", tokens={"Rate": lambda code: 2}) as bus:
        stored: nodey.Published = bus.publish("comment.created", {"a": 1}, key="p", id="i")
        bus.enqueue("mail", delay="10m")
        bus.idle(timeout=5)
        bus.tick("10m")
        bus.tick(timedelta(hours=1))
        events: List[nodey.Event] = bus.published("comment.*") + bus.enqueued("mail")
        letters: List[DeadLetter] = bus.dead() + bus.failed()
        assert stored.seq and events and bus.now() and bus.client.get("/x").ok
        assert letters[0].error.name and letters[0].attempts and letters[0].event.id
