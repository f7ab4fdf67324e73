"""Events and jobs for `def` handlers; see protocol/vectors/README.md."""

import time

import nodey


@nodey.on("order.*", attempts=5, backoff=["1s", "5s"], timeout="10s")
def order(event: nodey.Event) -> None:
    nodey.publish("order.seen", {"id": event.id, "attempt": event.attempt})
    nodey.enqueue("mail", event.data, key=None, delay="1m")


@nodey.on("later")
def later(event: nodey.Event) -> None:
    nodey.publish("never.stored")
    raise nodey.Retry("1.5s", "not now")


@nodey.on("never")
def never(event: nodey.Event) -> None:
    raise nodey.Dead("bad image")


@nodey.on("bad")
def bad(event: nodey.Event) -> None:
    raise ValueError("no such file")


@nodey.on("pair.*")
def first(event: nodey.Event) -> None:
    nodey.publish("first")


@nodey.on("pair.b")
def second(event: nodey.Event) -> None:
    nodey.publish("second")


@nodey.on("slow")
def slow(event: nodey.Event, ctx: nodey.Context) -> None:
    while event.attempt == 1 and not ctx.cancelled():
        time.sleep(0.01)
    nodey.publish("slow.done")


@nodey.on("user.*", each=True)
def user(event: nodey.Event) -> None:
    nodey.publish("heard", event.data)


@nodey.job("thumb", attempts=3)
def thumb(event: nodey.Event) -> None:
    nodey.publish("thumb.made", [event.queue, event.data])


@nodey.route("/publish", methods=[])
def publish(req: nodey.Request) -> dict:
    try:
        found = nodey.publish("said", {"n": 1}, key="k", id="i")
    except nodey.Error as error:
        return {"error": error.code}
    return {"seq": found.seq, "duplicate": found.duplicate}
