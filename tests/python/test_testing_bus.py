"""nodey.testing.Bus: handlers of events and jobs, with a clock of the test's own."""

from __future__ import annotations

import asyncio
import textwrap
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable, Iterator

import nodey
import pytest
from nodey.testing import Bus, Client

BLOG = """
    import nodey
    @nodey.on("comment.created")
    {a}def moderate(e):
        status = "rejected" if "orange" in e.data["text"] else "approved"
        {w}nodey.publish("comment.moderated", {{**e.data, "status": status}})
    @nodey.on("comment.moderated", group="query")
    {a}def query(e, ctx): seen.append((e.data["status"], e.key, ctx.attempt))
    @nodey.job("thumb", attempts=3, backoff=["1s", "5s"])
    {a}def thumb(job):
        tried.append((job.id, job.attempt, job.last))
        if job.data == "bad": raise nodey.Dead("bad image")
        if job.data == "later" and job.attempt == 1: raise nodey.Retry("1m", "not now")
        if job.data == "broken":
            {w}nodey.publish("thumb.made")
            raise ValueError("broken")
        {w}nodey.publish("thumb.made", job.data)
    @nodey.post("/comments")
    {a}def post(req):
        return {at}("comment.created", req.json(), key="p1").seq
    seen, tried = [], []
"""


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Callable[..., Bus]]:
    buses = []

    def load(*texts: str, **options: Any) -> Bus:
        scripts = []
        for number, text in enumerate(texts):
            scripts.append(tmp_path / f"worker{number}.py")
            scripts[-1].write_text(textwrap.dedent(text))
        buses.append(Bus(*scripts, **options))
        return buses[-1]

    yield load
    for bus in buses:
        bus.close()


@pytest.fixture(params=["def", "async def"])
def blog(request: Any, load: Callable[..., Bus]) -> Bus:
    a, w = ("async ", "await ") if request.param == "async def" else ("", "")
    at = "(await nodey.publish_async" if a else "(nodey.publish"
    text = BLOG.format(a=a, w=w, at=at).replace('key="p1").seq', 'key="p1")).seq')
    return load(text)


def module_of(bus: Bus) -> Any:
    return bus._subscriptions[0][1].handler.function.__globals__


def test_what_is_published_reaches_its_handlers_and_theirs(blog: Bus) -> None:
    blog.publish("comment.created", {"text": "an orange"}, key="p9")
    assert blog.published("comment.moderated") == []
    blog.idle()
    event = blog.published("comment.moderated")[-1]
    assert event.data == {"text": "an orange", "status": "rejected"}
    assert (event.key, event.cause, event.correlation) == ("p9", "1", "1")
    assert module_of(blog)["seen"] == [("rejected", "p9", 1)]
    assert not blog.dead() and not blog.failed()


def test_a_job_that_fails_is_tried_again_and_then_dead(blog: Bus) -> None:
    begin = blog.now()
    blog.enqueue("thumb", "broken", id="t1")
    blog.idle()
    assert [(one.attempts, str(one.error)) for one in blog.failed()] == [(1, "ValueError: broken")]
    tried = module_of(blog)["tried"]
    blog.tick("999ms")
    assert len(tried) == 1
    blog.tick(1)
    assert len(tried) == 2 and not blog.dead()
    blog.tick("5s")
    assert tried == [("t1", 1, False), ("t1", 2, False), ("t1", 3, True)]
    letter, = blog.dead()
    assert (letter.event.data, letter.group, letter.attempts) == ("broken", "thumb", 3)
    assert (letter.error.name, letter.error.message) == ("ValueError", "broken")
    assert 'raise ValueError("broken")' in letter.error.stack
    assert blog.published("thumb.made") == []  # What failed has published nothing.
    assert blog.now() - begin == 6000
    blog.tick("7d")
    assert len(tried) == 3


def test_dead_and_retry_are_the_handlers_own_words(blog: Bus) -> None:
    blog.enqueue("thumb", "bad")
    blog.enqueue("thumb", "later")
    blog.idle()
    assert [str(one.error) for one in blog.dead()] == ["Dead: bad image"]
    blog.tick("59s")
    assert blog.published("thumb.made") == []
    blog.tick("1s")
    assert [event.data for event in blog.published("thumb.made")] == ["later"]


def test_what_a_request_publishes_arrives(blog: Bus) -> None:
    assert blog.client.post("/comments", json={"text": "fine"}).json() == 1
    blog.idle()
    assert [event.topic for event in blog.published()] == ["comment.created", "comment.moderated"]
    assert blog.published()[0].key == "p1" and blog.published()[0].cause is None


def test_a_client_without_a_bus_says_how_to_have_one(tmp_path: Path) -> None:
    script = tmp_path / "w.py"
    script.write_text("import nodey\n@nodey.get('/')\ndef root(): nodey.publish('a.b')\n")
    answer = Client(script).get("/")
    assert answer.status == 503 and "bus = nodey.testing.Bus()" in answer.json()["detail"]
    bus = Bus(script)
    assert Client(script).get("/").status == 200
    assert [event.topic for event in bus.published()] == ["a.b"]
    bus.close()


def test_delays_fall_due_in_order_and_not_before(load: Callable[..., Bus]) -> None:
    bus = load("import nodey\n@nodey.on('>')\ndef all(e): pass\n")
    later = datetime.fromtimestamp(bus.now() / 1000, timezone.utc) + timedelta(minutes=2)
    assert bus.publish("c", delay="10m").seq is None
    bus.publish("b", at=later)
    bus.publish("a", delay=timedelta(seconds=1))
    bus.publish("now")
    bus.idle()
    assert [event.topic for event in bus.published()] == ["now"]
    begin = bus.now()
    bus.tick("1h")
    assert [(e.topic, e.time - begin) for e in bus.published()] == [
        ("now", 0), ("a", 1000), ("b", 120_000), ("c", 600_000)]


def test_messages_of_one_key_wait_for_each_other(load: Callable[..., Bus]) -> None:
    bus = load(
        """
        import asyncio, nodey
        log = []
        @nodey.on("k")
        async def handle(e):
            log.append(e.data)
            await asyncio.sleep(0.01)
            if e.data == 1 and e.attempt == 1: raise ValueError()
            log.append(-e.data)
        """
    )
    for number, key in ((1, "a"), (2, "a"), (3, "b"), (4, None)):
        bus.publish("k", number, key=key)
    bus.idle()
    log = module_of(bus)["log"]
    assert 2 not in log and -3 in log and -4 in log  # 1 comes again, and 2 after it.
    assert log[:3] == [1, 3, 4]  # At the same time.
    bus.tick("1s")
    assert log[-4:] == [1, -1, 2, -2]


def test_max_bounds_how_many_run_at_a_time(load: Callable[..., Bus]) -> None:
    bus = load(
        """
        import asyncio, nodey
        running, most = 0, []
        @nodey.job("q", concurrency=3)
        async def q(job):
            global running
            running += 1
            most.append(running)
            await asyncio.sleep(0.01)
            running -= 1
        """
    )
    for number in range(12):
        bus.enqueue("q", number)
    bus.idle()
    assert max(module_of(bus)["most"]) == 3 and len(bus.enqueued("q")) == 12


def test_every_group_gets_it_once_and_an_id_counts_once(load: Callable[..., Bus]) -> None:
    one = "import nodey\n@nodey.on('a.>')\ndef all(e): nodey.publish('one', e.group)\n"
    two = """
        import nodey
        @nodey.on("a.*", group="g")
        def some(e): nodey.publish("star")
        @nodey.on("a.b", group="g")
        def exact(e): nodey.publish("exact")
        @nodey.on("a.b", each=True)
        def each(e): nodey.publish("each")
        """
    bus = load(one, two)
    first = bus.publish("a.b", id="x")
    again = bus.publish("a.b", id="x")
    assert (first.seq, first.duplicate) == (1, False) and (again.seq, again.duplicate) == (1, True)
    bus.idle()
    assert sorted(e.topic for e in bus.published()) == [
        "a.b", "each", "exact", "one", "star"]
    assert bus.published("one")[0].data == "worker0"
    assert {(e.cause, e.correlation) for e in bus.published()[1:]} == {("x", "x")}
    bus.tick("2m")
    assert not bus.publish("a.b", id="x").duplicate


def test_a_handler_that_hangs_is_ended_by_the_clock(load: Callable[..., Bus]) -> None:
    bus = load(
        """
        import asyncio, nodey
        ended = []
        @nodey.on("a", timeout="5s", attempts=1)
        async def hang(e):
            try: await asyncio.sleep(3600)
            finally: ended.append(e.attempt)
        """
    )
    bus.publish("a")
    with pytest.raises(TimeoutError, match=r"not idle after 0.2 s: hang \(on a\) with seq 1"):
        bus.idle(0.2)
    assert not bus.dead()
    bus.tick("5s")
    assert [str(one.error) for one in bus.dead()] == ["Timeout: not handled within 5000 ms"]
    bus.idle()
    assert module_of(bus)["ended"] == [1]


def test_handlers_that_never_come_to_rest_are_named(load: Callable[..., Bus]) -> None:
    bus = load("import nodey\n@nodey.on('a')\ndef ping(e): nodey.publish('a')\n")
    bus.publish("a")
    with pytest.raises(TimeoutError, match="ping"):
        bus.idle(0.3)


def test_now_leaves_at_once_and_is_caused_all_the_same(load: Callable[..., Bus]) -> None:
    bus = load(
        """
        import nodey
        @nodey.on("a", attempts=1)
        def a(e):
            nodey.publish("kept")
            assert nodey.publish("sent", now=True).seq == 2
            raise ValueError()
        """
    )
    bus.publish("a", key="k")
    bus.idle()
    assert [(e.topic, e.cause, e.key) for e in bus.published()] == [
        ("a", None, "k"), ("sent", "1", "k")]


def test_seek_begins_elsewhere(load: Callable[..., Bus]) -> None:
    bus = load("import nodey\nseen = []\n@nodey.on('a', group='g')\ndef a(e): seen.append(e.seq)\n")
    for _ in range(3):
        bus.publish("a")
    bus.idle()
    bus.seek("g", {"seq": 2})
    bus.idle()
    assert module_of(bus)["seen"] == [1, 2, 3, 2, 3]
    with pytest.raises(ValueError, match="there is no group 'h', only 'g'"):
        bus.seek("h", "first")


def test_asks_find_the_fakes_and_the_other_scripts(load: Callable[..., Bus]) -> None:
    bus = load(
        """
        import nodey
        @nodey.on("a")
        async def a(e):
            nodey.publish("b", [await nodey.ask_async("Fake"), await nodey.ask_async("Other", 2)])
        """,
        "import nodey\n@nodey.token('Other')\ndef other(n): return n * 2\n",
        tokens={"Fake": lambda args: 7},
    )
    bus.publish("a")
    bus.idle()
    assert [str(one.error) for one in bus.failed()] == []
    assert bus.published("b")[0].data == [7, 4]


def test_data_belongs_to_each_handler(load: Callable[..., Bus]) -> None:
    bus = load(
        """
        import nodey
        @nodey.on("a", group="one")
        def one(e): e.data.append(1)
        @nodey.on("a", group="two")
        def two(e): nodey.publish("seen", e.data)
        """
    )
    bus.publish("a", [0])
    bus.idle()
    assert bus.published("seen")[0].data == [0]


def test_a_test_that_is_async_may_use_it(blog: Bus) -> None:
    async def test() -> None:
        blog.publish("comment.created", {"text": "x"})
        blog.idle()

    asyncio.run(test())
    assert len(blog.published("comment.moderated")) == 1


def test_hooks_run_around_it(load: Callable[..., Bus]) -> None:
    bus = load(
        """
        import nodey
        @nodey.on_start
        def begin(): nodey.publish("begun")
        @nodey.on_stop
        def end(): nodey.publish("ended")
        @nodey.on("begun")
        def begun(e): pass
        """
    )
    with bus:
        assert [e.topic for e in bus.published()] == ["begun"]
    assert [e.topic for e in bus.published()] == ["begun", "ended"]


def test_what_is_wrong_is_refused() -> None:
    bus = Bus()
    with pytest.raises(ValueError, match="wildcards are for @nodey.on"):
        bus.publish("a.*")
    with pytest.raises(ValueError, match="tick='soon' is no duration"):
        bus.tick("soon")
    bus.close()
    assert nodey.testing.Bus is Bus
