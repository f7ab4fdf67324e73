"""Several handlers of one group that want the same event."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any, Callable

import nodey
import pytest
from nodey.testing import Bus

Write = Callable[..., Any]

THREE = """
    import nodey, os, time
    said = []
    @nodey.on("a.*", attempts=7, backoff=["3s"], timeout="9s")
    {0}def star(e):
        said.append("star")
        {w}nodey.publish("by.star")
    @nodey.on("b")
    {0}def other(e): said.append("never")
    @nodey.on(["a.b", "a.>"], attempts=2)
    {1}def exact(e, ctx):
        said.append("exact")
        if e.data == "bad": raise ValueError("exact is broken")
        nodey.publish("by.exact")
    @nodey.on("a.b")
    {2}def same(e):
        said.append("same")
        {w}nodey.publish("by.same", {{"said": said}})
    @nodey.on("a.b", group="apart")
    {0}def apart(e): nodey.publish("by.apart")
"""
ASYNC = "async "
KINDS = {"def": ("", "", ""), "async def": (ASYNC,) * 3, "both": (ASYNC, "", ASYNC)}


@pytest.fixture(params=KINDS)
def text(request: Any) -> str:
    kinds = KINDS[request.param]
    return textwrap.dedent(THREE.format(*kinds, w="await " if kinds[0] else ""))


def event(id: Any, data: Any = None, **members: Any) -> Any:
    found = {"type": "event", "id": id, "topic": "a.b", "group": "worker", "seq": 1, "time": 1,
             "attempt": 1, "data": data, **members}
    return {name: value for name, value in found.items() if name != "id" or value is not None}


# --------------------------------------------------------------------- in a worker


def test_all_run_in_the_order_of_declaration_with_one_ack(write: Write, text: str) -> None:
    worker = write(text)
    topics = [one["topic"] for one in worker.ready()["subscribe"]]
    assert topics == ["a.*", "b", "a.b", "a.>", "a.b", "a.b"]
    worker.send(event(5))
    frame = worker.next()
    assert (frame["type"], frame["id"]) == ("ack", 5)
    assert [one["topic"] for one in frame["publish"]] == ["by.star", "by.exact", "by.same"]
    assert frame["publish"][-1]["data"] == {"said": ["star", "exact", "same"]}
    worker.send(event(6, group="apart"))
    assert worker.next() == {"type": "ack", "id": 6, "publish": [
        {"topic": "by.apart", "data": None}]}
    assert worker.silent_for(0.2)


def test_the_first_failure_is_that_of_all(write: Write, text: str) -> None:
    worker = write(text)
    worker.ready()
    worker.send(event(5, "bad"))
    frame = worker.next()
    assert frame["type"] == "nack" and "publish" not in frame
    assert (frame["error"]["name"], frame["error"]["message"]) == ("ValueError", "exact is broken")
    worker.send(event(6))
    frame = worker.next()
    assert frame["publish"][-1]["data"]["said"] == ["star", "exact", "star", "exact", "same"]
    (failure,) = worker.failures
    assert "failed in exact" in failure["message"], failure


@pytest.mark.parametrize("kind", ["", "async "])
def test_one_that_ends_the_attempt_speaks_for_all(write: Write, kind: str) -> None:
    worker = write(f"import nodey\n@nodey.on('a.b')\n{kind}def one(e): raise nodey.Retry('2s', 'x')\n"
                   f"@nodey.on('a.*')\n{kind}def two(e): nodey.publish('too.far')\n")
    worker.ready()
    worker.send(event(1))
    frame = worker.next()
    assert (frame["type"], frame["delay"], frame["error"]["message"]) == ("nack", 2000, "x")


@pytest.mark.parametrize("kind", ["", "async "])
def test_broadcasts_are_for_each_apart(write: Write, kind: str) -> None:
    worker = write(f"import nodey\n@nodey.on('a.*', each=True)\n"
                   f"{kind}def one(e):\n    nodey.publish('lost')\n    raise ValueError('one')\n"
                   f"@nodey.on('a.b', each=True)\n{kind}def two(e): nodey.publish('kept')\n"
                   "@nodey.on('a.b')\ndef shared(e): nodey.publish('never')\n")
    worker.ready()
    worker.send(event(None))
    frame = worker.next()
    assert (frame["type"], frame["topic"]) == ("publish", "kept")
    worker.send({"type": "ack", "id": frame["id"], "seq": 2})
    assert worker.silent_for(0.2)


def test_time_that_is_over_ends_the_row_in_a_loop(write: Write) -> None:
    worker = write(
        """
        import nodey, time
        @nodey.on("a.*")
        def first(e, ctx):
            nodey.log.info("begun")
            while not ctx.cancelled(): time.sleep(0.01)
        @nodey.on("a.b")
        async def second(e): nodey.log.info("second ran")
        """
    )
    worker.ready()
    worker.send(event(1))
    assert worker.next()["message"] == "begun"
    worker.send({"type": "cancel", "id": 1, "reason": "timeout"})
    frame = worker.next()
    assert (frame["type"], frame.get("code")) == ("error", "cancelled")
    assert worker.silent_for(0.2), "the second has not begun"


# ------------------------------------------------------------------------ in tests


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Bus]:
    def load(*texts: str) -> Bus:
        scripts = [tmp_path / f"worker{number}.py" for number in range(len(texts))]
        for script, content in zip(scripts, texts):
            script.write_text(textwrap.dedent(content))
        return Bus(*scripts)

    return load


def test_a_bus_has_all_run_with_the_options_of_the_first(
        load: Callable[..., Bus], text: str) -> None:
    with load(text) as bus:
        bus.publish("a.b")
        bus.idle()
        topics = [one.topic for one in bus.published("by.*")]
        assert topics[:3] == ["by.star", "by.exact", "by.same"] or topics[1:] == [
            "by.star", "by.exact", "by.same"], "one transaction"
        bus.publish("a.b", "bad")
        bus.idle()
        assert str(bus.failed()[0].error) == "ValueError: exact is broken"
        bus.tick("2999ms")
        assert len(bus.failed()) == 1
        bus.tick("1ms")
        assert len(bus.failed()) == 2 and not bus.dead()
        bus.tick("20s")
        assert [one.attempts for one in bus.dead()] == [7]


def test_a_group_of_two_scripts_is_in_one_of_them(load: Callable[..., Bus]) -> None:
    one = "import nodey\n@nodey.on('a', group='g')\ndef one(e): nodey.publish('one')\n"
    with load(one, one.replace("one", "two")) as bus:
        bus.publish("a")
        bus.idle()
        assert [e.topic for e in bus.published()] == ["a", "one"]


def test_max_is_that_of_the_group(load: Callable[..., Bus]) -> None:
    script = """
        import asyncio, nodey
        running, most = 0, []
        async def work():
            global running
            running += 1
            most.append(running)
            await asyncio.sleep(0.02)
            running -= 1
        @nodey.on("a.*", max=2)
        async def star(e): await work()
        @nodey.on("a.b", max=3)
        async def exact(e): await work()
        @nodey.job("told")
        async def told(job): nodey.publish("told", max(most))
    """
    with load(script) as bus:
        for _ in range(8):
            bus.publish("a.b")
            bus.publish("a.c")
        bus.idle()
        bus.enqueue("told")
        bus.idle()
        assert bus.published("told")[0].data == 3


def test_a_function_that_was_changed_takes_the_place_of_its_old_self() -> None:
    said = []

    def declare(word: str) -> None:
        @nodey.on("changed.topic")
        def changed(e: Any) -> None:
            said.append(word)

        @nodey.on("changed.topic")
        def another(e: Any) -> None:
            said.append("another")

    declare("old")
    declare("new")
    with Bus() as bus:
        bus.publish("changed.topic")
        bus.idle()
    assert said == ["new", "another"]
