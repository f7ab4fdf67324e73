"""What is wrong with a declaration, or with what is published, is said in a sentence."""

from __future__ import annotations

import math
import sys
from datetime import datetime, timedelta, timezone
from typing import Any

import nodey
import pytest
from nodey.codec import decode
from nodey.message import duration_ms, members_of, moment_ms
from nodey.subscription import matches


def handler(e: Any) -> None:
    """A handler."""


def content(*arguments: Any, **options: Any) -> Any:
    return decode("{" + members_of("publish", "topic", *arguments, **options) + "}")


# ------------------------------------------------------------------- durations


@pytest.mark.parametrize("value, found", [
    (0, 0), (1500, 1500), ("300ms", 300), ("1.5s", 1500), ("10m", 600_000), ("2h", 7_200_000),
    ("7d", 604_800_000), (" 1 s ", 1000), (timedelta(seconds=2.5), 2500),
])
def test_durations(value: Any, found: int) -> None:
    assert duration_ms(value, "delay") == found


@pytest.mark.parametrize("value, said", [
    (1.5, "delay=1.5: a number is whole milliseconds"),
    ("10", "delay='10' is no duration: write '10m'"),
    ("10 minutes", "is no duration"),
    ("-1s", "is no duration"),
    (-1, "out of range"),
    (2**60, "out of range"),
    (timedelta(days=-1), "out of range"),
    (True, "delay is a duration, not True"),
    ([], "delay is a duration, not []"),
])
def test_what_is_no_duration(value: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError)) as raised:
        duration_ms(value, "delay")
    assert said in str(raised.value)


@pytest.mark.parametrize("value", [
    1893456000000, "2030-01-01T00:00:00Z", "2030-01-01T01:00:00+01:00",
    datetime(2030, 1, 1, tzinfo=timezone.utc),
    datetime(2030, 1, 1, 5, 30, tzinfo=timezone(timedelta(hours=5.5))),
])
def test_points_in_time(value: Any) -> None:
    assert moment_ms(value, "at") == 1893456000000


@pytest.mark.parametrize("value, said", [
    (1893456000, "time.time() gives seconds"),
    (1893456000.5, "time.time() gives seconds"),
    (datetime(2030, 1, 1), "has no time zone: write datetime.now(timezone.utc)"),
    ("2030-01-01T00:00:00", "has no time zone"),
    ("tomorrow", "at='tomorrow' is no time such as"),
    (None, "at is a point in time, not None"),
    (datetime(1960, 1, 1, tzinfo=timezone.utc), "at="),
])
def test_what_is_no_point_in_time(value: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError)) as raised:
        moment_ms(value, "at")
    assert said in str(raised.value)


# ------------------------------------------------------------------ publishing


def test_all_options_of_a_message() -> None:
    assert content("a.b", {"x": 1}) == {"topic": "a.b", "data": {"x": 1}}
    assert content("a.b", None, key="k", id="i", delay="1s", headers={"a": "b"}) == {
        "topic": "a.b", "key": "k", "msgid": "i", "delay": 1000, "headers": {"a": "b"},
        "data": None}
    assert content("a.b", 1, key=None, at="2030-01-01T00:00:00Z")["at"] == 1893456000000
    assert list(content("a", 1, headers={}))[-1] == "data"


@pytest.mark.parametrize("arguments, options, said", [
    (({"a": 1}, 2), {}, 'publish() needs a topic first, as in publish("comment.created", data)'),
    (("a.*", 1), {}, "wildcards are for @nodey.on()"),
    (("a..b", 1), {}, "an empty one is none"),
    (("", 1), {}, "an empty one is none"),
    (("a b", 1), {}, "'a b' is none"),
    (("caf\u00e9", 1), {}, "words of A-Z a-z 0-9 _ -"),
    (("a" * 256, 1), {}, "at most 255 bytes"),
    (("a", 1), {"key": 5}, "publish('a'): key is a str, not 5; write key=str(5)"),
    (("a", 1), {"key": ""}, "key has 1 to 200 bytes; None is for none"),
    (("a", 1), {"key": "\u00e9" * 101}, "this one has 101 characters"),
    (("a", 1), {"id": "x" * 201}, "id has 1 to 200 bytes"),
    (("a", 1), {"id": b"x"}, "id is a str"),
    (("a", 1), {"at": 1893456000000, "delay": 1}, "give `at` or `delay`, not both"),
    (("a", 1), {"delay": "soon"}, "publish('a'): delay='soon' is no duration"),
    (("a", 1), {"headers": {"a": 1}}, "headers is a dict of str: 'a' is 1; write str(...)"),
    (("a", 1), {"headers": "x"}, "headers is a dict of str, not 'x'"),
    (("a", {"x": [datetime(2030, 1, 1)]}), {},
     "the data of publish('a') is not JSON: at ['x'][0], datetime has no JSON form: use"),
    (("a", math.nan), {}, "the data of publish('a') is not JSON (NaN"),
])
def test_what_cannot_be_published(arguments: Any, options: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError)) as raised:
        nodey.publish(*arguments, **options)
    assert said in str(raised.value)


@pytest.mark.parametrize("options, said", [
    ({"countdown": 5}, "publish('a') has no option 'countdown': write delay=\"10m\""),
    ({"msgid": "x"}, "write id="),
    ({"priority": 1}, "there are no priorities"),
    ({"dealy": 1}, "there is key, id, at, delay, headers, now; did you mean 'delay'?"),
])
def test_options_that_there_are_not(options: Any, said: str) -> None:
    with pytest.raises(TypeError) as raised:
        nodey.publish("a", 1, **options)
    assert said in str(raised.value)


def test_enqueue_speaks_of_queues() -> None:
    with pytest.raises(TypeError, match=r'enqueue\(\) needs a queue first, as in enqueue\("thumb"'):
        nodey.enqueue(handler, 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"the data of enqueue\('q'\)|enqueue\('a b'\): a name is"):
        nodey.enqueue("a b")


# ------------------------------------------------------------------- declaring


@pytest.mark.parametrize("arguments, options, said", [
    ((handler,), {}, 'write @nodey.on("comment.*") above the function'),
    ((), {"pattern": 5}, 'needs a topic, as in @nodey.on("comment.*"), not 5'),
    (([],), {}, "needs a topic"),
    (([5],), {}, "a topic is a str, not 5"),
    (("a.>.b",), {}, 'the wildcard ">" stands for the rest, and only at the end'),
    (("a.b*",), {}, "'b*' is none"),
    (("a",), {"group": 5}, "@nodey.on('a'): group is a name, not 5"),
    (("a",), {"group": "a b"}, "group='a b': a name is"),
    (("a",), {"from_": "begin"}, 'from_ is "first", "new", {"seq": number}'),
    (("a",), {"from_": 5}, "from_ is"),
    (("a",), {"from_": {"seq": "1"}}, "from_ is"),
    (("a",), {"each": 1}, "each is True or False, not 1"),
    (("a",), {"each": True, "attempts": 3}, "comes once, from now on, so attempts means nothing"),
    (("a",), {"each": True, "from_": "first"}, "so from_ means nothing"),
    (("a",), {"max": 0}, "max is a number from 1 to 100000, not 0"),
    (("a",), {"max": True}, "max is a number"),
    (("a",), {"attempts": 1001}, "attempts is a number from 1 to 1000"),
    (("a",), {"backoff": []}, "backoff has 1 to 64 durations, not 0"),
    (("a",), {"backoff": ["1s", 1.5]}, "backoff=1.5: a number is whole milliseconds"),
    (("a",), {"timeout": "x"}, "timeout='x' is no duration"),
    (("a",), {"retries": 3}, "@nodey.on('a') has no option 'retries': write attempts="),
    (("a",), {"concurrency": 3}, "write max="),
    (("a",), {"from": "first"}, 'write from_="first"'),
    (("a",), {"grup": "x"}, "did you mean 'group'?"),
])
def test_what_cannot_be_declared(arguments: Any, options: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError)) as raised:
        nodey.on(*arguments, **options)(handler)
    assert said in str(raised.value)


@pytest.mark.parametrize("queue, options, said", [
    (handler, {}, 'write @nodey.job("thumb") above the function'),
    ("a b", {}, "@nodey.job('a b'): a name is words"),
    ("a.*", {}, "'*' is none"),
    ("a", {"concurrency": 0}, "@nodey.job('a'): concurrency is a number"),
    ("a", {"group": "g"}, "@nodey.job('a') has no option 'group'"),
    ("a", {"max_retries": 3}, "write attempts="),
])
def test_what_cannot_be_a_job(queue: Any, options: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError)) as raised:
        nodey.job(queue, **options)(handler)
    assert said in str(raised.value)


def two_more(e: Any, ctx: Any, other: Any) -> None:
    """Needs too much."""


def by_name(e: Any, *, who: Any) -> None:
    """Needs what nobody gives."""


def pieces(e: Any) -> Any:
    yield 1


async def async_pieces(e: Any) -> Any:
    yield 1


@pytest.mark.parametrize("function, said", [
    (5, "the handler of on a is no function: 5"),
    (two_more, "is called with (event) or (event, ctx), but it is two_more(e, ctx, other)"),
    (by_name, "but it is by_name(e, *, who)"),
    (pieces, "yields: nobody would take the pieces"),
    (async_pieces, "yields"),
    (staticmethod(handler), "is no function"),
])
def test_what_is_no_handler(function: Any, said: str) -> None:
    with pytest.raises(TypeError) as raised:
        nodey.on("a")(function)
    assert said in str(raised.value)


def test_a_second_handler_of_a_queue_is_refused(write: Any) -> None:
    worker = write("import nodey\n@nodey.job('q')\ndef one(e): pass\n"
                   "@nodey.job('q')\ndef two(e): pass\n")
    assert "@nodey.job('q') has a handler already, one; an order" in worker.next()["message"]


def test_a_decorated_function_stays_what_it_is() -> None:
    decorated = nodey.job("some.queue", max=3)(handler)
    assert decorated is handler


def test_a_job_may_be_called_with_max_too(write: Any) -> None:
    worker = write("import nodey\n@nodey.job('q', max=3)\ndef q(): pass\n")
    assert worker.ready()["jobs"] == [{"queue": "q", "max": 3}]


@pytest.mark.parametrize("pattern, topic, fits", [
    ("a", "a", True), ("a", "b", False), ("a", "a.b", False), ("a.*", "a.b", True),
    ("a.*", "a", False), ("a.*", "a.b.c", False), ("*.b", "a.b", True), ("a.>", "a.b", True),
    ("a.>", "a.b.c", True), ("a.>", "a", False), (">", "a.b", True), ("*.>", "a", False),
    ("a.*.c", "a.b.c", True), ("a.*.c", "a.b.d", False),
])
def test_patterns(pattern: str, topic: str, fits: bool) -> None:
    assert matches(pattern, topic) is fits


# ---------------------------------------------------------------------- raising


def test_retry_and_dead() -> None:
    assert nodey.Retry("1m", "why").delay_ms == 60_000 and nodey.Retry().delay_ms is None
    assert str(nodey.Retry("1m", "why")) == "why" and str(nodey.Dead("bad")) == "bad"
    with pytest.raises(ValueError, match="Retry: delay='soon' is no duration"):
        nodey.Retry("soon")


@pytest.mark.parametrize("body, said", [
    ("{a}def handle(e): return later()", "handle (on a) returned a coroutine, which never ran"),
    ("handle = {lambda}", "returned a generator, which never ran"),
])
def test_a_result_that_was_never_run(write: Any, body: str, said: str) -> None:
    body = body.replace("{a}", "").replace("{lambda}", "lambda e: (n for n in [1])")
    worker = write(f"import nodey\nasync def later(): pass\n{body}\nnodey.on('a')(handle)\n")
    worker.ready()
    worker.send({"type": "event", "id": 1, "topic": "a", "group": "worker", "seq": 1, "time": 1,
                 "attempt": 1})
    assert said in worker.next()["error"]["message"]


# ----------------------------------------------------------------------- habits


@pytest.mark.parametrize("name, said", [
    ("subscribe", 'write @nodey.on("topic") above a function'),
    ("emit", 'write nodey.publish("topic", data)'),
    ("task", 'write @nodey.job("queue") above a function, and nodey.enqueue("queue", data)'),
    ("on_event", '@nodey.on("topic") for events, @nodey.on_start and @nodey.on_stop'),
    ("Celery", "no app object is needed"),
    ("cron", "[schedule] in nodey.toml"),
    ("publishe", "did you mean 'publish'?"),
])
def test_other_frameworks_words(name: str, said: str) -> None:
    with pytest.raises(AttributeError) as raised:
        getattr(nodey, name)
    assert said in str(raised.value)


@pytest.mark.parametrize("code, said", [
    ("e.ack()", "the event has no 'ack': returning from the handler is the ack"),
    ("e.nack()", 'raise an exception, nodey.Retry("1m")'),
    ("e.body", "write event.data"),
    ("e.progress()", "def handler(event, ctx), and ctx.progress()"),
    ("e.topick", "did you mean 'topic'?"),
    ("handle.delay(1)", 'write nodey.enqueue("queue", data)'),
    ("handle.apply_async(args=[1])", 'write nodey.enqueue("queue", data)'),
    ("e.data = 1", "data"),
    ("e.whatever = 1", "whatever"),
])
def test_what_people_write_in_a_handler(write: Any, code: str, said: str) -> None:
    worker = write(f"import nodey\n@nodey.on('a')\ndef handle(e): {code}\n")
    worker.ready()
    worker.send({"type": "event", "id": 1, "topic": "a", "group": "worker", "seq": 1, "time": 1,
                 "attempt": 1})
    frame = worker.next()
    assert frame["type"] == "nack" and said in frame["error"]["message"]


def test_who_does_not_use_it_does_not_load_it(write: Any) -> None:
    worker = write(
        """
        import sys, nodey
        @nodey.get("/")
        def root(): return [name for name in sys.modules if name.partition(".")[0] == "nodey"]
        """
    )
    worker.ready()
    worker.get("/")
    loaded = worker.next()["json"]
    unused = {f"nodey.{name}" for name in ("attempt", "bus", "delivery", "message", "settings")}
    assert "nodey.sync" in loaded and not unused & set(loaded), sys.version
