"""Events and jobs for `async def` handlers; see protocol/vectors/README.md."""

import asyncio

import nodey


@nodey.on("order.*", attempts=5, backoff=["1s", "5s"], timeout="10s")
async def order(event: nodey.Event) -> None:
    await nodey.publish("order.seen", {"id": event.id, "attempt": event.attempt})
    await nodey.enqueue("mail", event.data, key=None, delay="1m")


@nodey.on("later")
async def later(event: nodey.Event) -> None:
    await nodey.publish("never.stored")
    raise nodey.Retry("1.5s", "not now")


@nodey.on("never")
async def never(event: nodey.Event) -> None:
    raise nodey.Dead("bad image")


@nodey.on("bad")
async def bad(event: nodey.Event) -> None:
    raise ValueError("no such file")


@nodey.on("pair.*")
async def first(event: nodey.Event) -> None:
    await nodey.publish("first")


@nodey.on("pair.b")
async def second(event: nodey.Event) -> None:
    await nodey.publish("second")


@nodey.on("slow")
async def slow(event: nodey.Event) -> None:
    if event.attempt == 1:
        await asyncio.Event().wait()
    await nodey.publish("slow.done")


@nodey.on("user.*", each=True)
async def user(event: nodey.Event) -> None:
    await nodey.publish("heard", event.data)


@nodey.job("thumb", attempts=3)
async def thumb(event: nodey.Event) -> None:
    await nodey.publish("thumb.made", [event.queue, event.data])


@nodey.route("/publish", methods=[])
async def publish(req: nodey.Request) -> dict:
    try:
        found = await nodey.publish_async("said", {"n": 1}, key="k", id="i")
    except nodey.Error as error:
        return {"error": error.code}
    return {"seq": found.seq, "duplicate": found.duplicate}
