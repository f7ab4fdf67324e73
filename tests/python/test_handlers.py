"""Events and jobs, with a scripted supervisor at the other end."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

ENGINES = {
    "sync": ("", "", "nodey.start(threads=0)"),
    "threads": ("", "", "nodey.start(threads=4)"),
    "async": ("async ", "await ", "nodey.start()"),
    "def beside async": ("", "", "@nodey.token('X')\nasync def x(): pass\nnodey.start()"),
}


@pytest.fixture(params=ENGINES)
def engine(request: Any) -> str:
    return str(request.param)


@pytest.fixture
def serve(engine: str, write: Callable[..., Any]) -> Callable[..., Any]:
    """Starts a worker, whose text says {a} before `def`, {w} before what may be awaited, and
    {publish}(...) for what goes out at once."""

    def serve(text: str, **options: Any) -> Any:
        import textwrap

        a, w, start = ENGINES[engine]
        at_once = "await nodey.publish_async" if a else "nodey.publish"
        text = textwrap.dedent(text).replace("{a}", a).replace("{w}", w)
        text = text.replace("{publish}", at_once)
        text = text.replace("{enqueue}", at_once.replace("publish", "enqueue"))
        return write(f"import nodey\n{text}\n{start}\n", **options)

    return serve


def event(id: Any = 55, **members: Any) -> Dict[str, Any]:
    usual = {"type": "event", "id": id, "topic": "post.created", "group": "worker", "seq": 123}
    if "queue" in members:
        del usual["topic"]
    return {**usual, "time": 1790000000000, "attempt": 1, **members}


def stored(worker: Any, frame: Any, seq: int = 9, **members: Any) -> None:
    worker.send({"type": "ack", "id": frame["id"], "seq": seq, **members})


def next_but_logs(worker: Any) -> Any:
    while True:
        frame = worker.next()
        if frame.get("type") != "log":
            return frame
        worker.logs.append(frame["message"])


# ------------------------------------------------------------------- declaring


def test_ready_says_what_is_handled(serve: Any, engine: str) -> None:
    worker = serve(
        """
        @nodey.on(["comment.*", "post.>"], group="query", from_="first", max=3, attempts=5,
                  backoff=["1s", 2000], timeout="1.5m")
        {a}def one(e): pass
        @nodey.on("live", each=True)
        {a}def two(e): pass
        @nodey.job("thumb", concurrency=2, timeout=0)
        {a}def three(e): pass
        """
    )
    ready = worker.ready()
    assert "events" in ready["features"] and ready["routes"] == []
    most = {"sync": 1}.get(engine, 3)
    one = {"group": "query", "from": "first", "max": most, "attempts": 5, "backoff": [1000, 2000],
           "timeout": 90000}
    assert ready["subscribe"] == [
        {"topic": "comment.*", **one}, {"topic": "post.>", **one}, {"topic": "live", "each": True}]
    assert ready["jobs"] == [{"queue": "thumb", "max": min(most, 2), "timeout": 0}]
    assert worker.end() == 0


def test_who_handles_none_says_nothing_of_them(write: Any) -> None:
    worker = write("import nodey\n@nodey.get('/')\ndef root(): return nodey.publish('a').seq\n")
    ready = worker.ready()
    assert "events" not in ready["features"] and not {"subscribe", "jobs"} & set(ready)


def test_concurrency_of_a_synchronous_job_makes_threads(write: Any) -> None:
    worker = write(
        """
        import nodey, time, threading
        both = threading.Barrier(2, timeout=5)
        @nodey.job("thumb", concurrency=2)
        def thumb(job): both.wait()
        """
    )
    assert worker.ready()["concurrency"] == 2
    worker.send(event(1, queue="thumb"), event(2, queue="thumb"))
    assert sorted(frame["id"] for frame in worker.next_of(2)) == [1, 2]
    assert worker.end() == 0


# -------------------------------------------------------------------- handling


def test_a_handler_sees_all_of_the_event(serve: Any) -> None:
    worker = serve(
        """
        @nodey.on("post.*")
        {a}def handle(e, ctx):
            nodey.publish("seen", [e.id, e.topic, e.queue, e.data, e.key, e.seq, e.time, e.attempt,
                e.last, e.group, e.cause, e.correlation, e.traceparent, e.headers])
            nodey.publish("ctx", [ctx.attempt, ctx.last, 0 < ctx.timeout <= 30, ctx.cancelled()])
        @nodey.job("thumb")
        {a}def thumb(job):
            nodey.publish("seen", [job.id, job.topic, job.queue, job.last, job.correlation])
        """
    )
    worker.ready()
    worker.send(event(
        msgid="p1-created", key="p1", attempt=3, last=True, cause="120", correlation="c7",
        timeout=30000, traceparent="00-1-2-01", headers={"a": "b"}, data={"x": [1, None]}))
    frame = worker.next()
    assert frame["type"] == "ack" and frame["id"] == 55
    assert [content["data"] for content in frame["publish"]] == [
        ["p1-created", "post.created", None, {"x": [1, None]}, "p1", 123, 1790000000000, 3, True,
         "worker", "120", "c7", "00-1-2-01", {"a": "b"}],
        [3, True, True, False]]
    worker.send(event("s", queue="thumb", group="thumb"))
    assert worker.next()["publish"][0]["data"] == ["123", None, "thumb", False, "123"]
    assert worker.end() == 0


def test_outputs_go_with_the_ack(serve: Any) -> None:
    worker = serve(
        """
        @nodey.on("post.*")
        {a}def handle(e):
            one = {w}nodey.publish("post.indexed", {"id": 1}, headers={"h": "1"}, id="i1")
            two = {w}nodey.enqueue("thumb", [2], key="own", delay="10m")
            nodey.publish("last", key=None, at=1790000000000)
            assert (one.seq, one.buffered, two.duplicate) == (None, True, False)
        """
    )
    worker.ready()
    worker.send(event(key="p1"))
    assert worker.next() == {"type": "ack", "id": 55, "publish": [
        {"topic": "post.indexed", "msgid": "i1", "headers": {"h": "1"}, "data": {"id": 1}},
        {"queue": "thumb", "key": "own", "delay": 600000, "data": [2]},
        {"topic": "last", "key": None, "at": 1790000000000, "data": None}]}
    assert worker.end() == 0


def test_what_is_raised_is_a_nack_without_outputs(serve: Any) -> None:
    worker = serve(
        """
        @nodey.on("post.*")
        {a}def handle(e):
            nodey.publish("lost")
            if e.data == "retry": raise nodey.Retry("1.5s", "not yet")
            if e.data == "again": raise nodey.Retry()
            if e.data == "dead": raise nodey.Dead("bad image")
            raise KeyError("x")
        """
    )
    worker.ready()
    worker.send(event(1, data="retry"))
    frame = worker.next()
    assert "stack" in frame["error"] and frame["error"].pop("stack")
    assert frame == {
        "type": "nack", "id": 1, "delay": 1500, "error": {"name": "Retry", "message": "not yet"}}
    worker.send(event(2, data="again"))
    assert "delay" not in worker.next()
    worker.send(event(3, data="dead"))
    frame = worker.next()
    assert frame["dead"] is True and frame["error"]["message"] == "bad image"
    assert not worker.failures  # It said so itself.
    worker.send(event(4))
    frame = worker.next()
    assert frame["type"] == "nack" and "delay" not in frame and "dead" not in frame
    assert frame["error"]["name"] == "KeyError" and frame["error"]["message"] == "'x'"
    assert 'raise KeyError("x")' in frame["error"]["stack"]
    logged, = worker.failures
    assert logged["message"].startswith("post.created (seq 123, attempt 1) failed in handle\n")
    assert worker.end() == 0


def test_now_leaves_at_once_with_what_it_is_for(serve: Any, engine: str) -> None:
    worker = serve(
        """
        @nodey.on("post.*")
        {a}def handle(e):
            found = {publish}("sent", 1, now=True)
            nodey.publish("kept", [found.seq, found.duplicate, found.buffered])
            {enqueue}("thumb", key=None, now=True)
            raise nodey.Dead()
        """
    )
    worker.ready()
    worker.send(event(key="p1"))
    frame = worker.next()
    assert frame == {"type": "publish", "id": frame["id"], "for": 55, "key": "p1", "topic": "sent",
                     "data": 1}
    assert worker.silent_for(0.1)
    stored(worker, frame, 200, duplicate=True)
    frame = worker.next()
    assert frame["key"] is None and frame["queue"] == "thumb"
    stored(worker, frame)
    assert worker.next()["type"] == "nack"
    assert worker.end() == 0


@pytest.mark.parametrize("code", ["resource_exhausted", "unavailable", "invalid_argument"])
def test_what_is_not_stored_is_an_error_with_its_code(serve: Any, code: str) -> None:
    worker = serve(
        """
        @nodey.get("/")
        {a}def root(req):
            try: {publish}("a.b")
            except nodey.Error as error: return [error.code, error.message]
        """
    )
    worker.ready()
    worker.get("/", id=7)
    frame = worker.next()
    assert frame["for"] == 7 and "key" not in frame
    worker.send({"type": "error", "id": frame["id"], "code": code, "message": "say why"})
    assert worker.next()["json"] == [code, "say why"]
    assert worker.end() == 0


def test_a_request_an_ask_and_the_top_level_publish_at_once(serve: Any) -> None:
    worker = serve(
        """
        first = nodey.publish("starting", id="s")
        @nodey.get("/")
        {a}def root(req):
            found = {publish}("a.b", key="k")
            return [first.seq, found.seq, found.duplicate, found.buffered]
        @nodey.token("T")
        {a}def token(args): return ({publish}("t")).seq
        """
    )
    frame = worker.next()
    assert frame == {"type": "publish", "id": 1, "topic": "starting", "msgid": "s", "data": None}
    stored(worker, frame, 5)
    worker.ready()
    worker.get("/", id=7)
    frame = worker.next()
    assert frame["for"] == 7 and frame["key"] == "k"
    stored(worker, frame, 6, duplicate=True)
    assert worker.next() == {"id": 7, "json": [5, 6, True, False]}
    worker.send({"type": "ask", "id": 8, "token": "T"})
    frame = worker.next()
    assert frame["for"] == 8
    stored(worker, frame, 7)
    assert worker.next() == {"type": "answer", "id": 8, "value": 7}
    assert worker.end() == 0


def test_a_late_message_leaves_by_itself_and_is_warned_of_once(serve: Any, engine: str) -> None:
    worker = serve(
        """
        import asyncio, contextvars, threading, time
        def late():
            go.wait()
            nodey.publish("late", 1)
            nodey.publish("later", 2)
        async def late_task():
            await asyncio.sleep(0.05)
            nodey.publish("late", 1)
            await nodey.publish("later", 2)
        go = threading.Event()
        @nodey.on("post.*")
        {a}def handle(e):
            try:
                asyncio.get_running_loop().create_task(late_task())
            except RuntimeError:
                context = contextvars.copy_context()
                threading.Thread(target=context.run, args=(late,)).start()
            threading.Timer(0.1, go.set).start()
        """
    )
    worker.ready()
    worker.send(event(key="p1"))
    assert worker.next() == {"type": "ack", "id": 55}
    found = []
    for _ in range(2):
        frame = next_but_logs(worker)
        found.append({name: frame.get(name) for name in ("type", "topic", "key", "for", "data")})
        stored(worker, frame)
    assert found == [
        {"type": "publish", "topic": "late", "key": "p1", "for": None, "data": 1},
        {"type": "publish", "topic": "later", "key": "p1", "for": None, "data": 2}]
    assert len([text for text in worker.logs if "after its handler had ended" in text]) == 1
    assert worker.end() == 0


def test_tasks_and_threads_of_a_handler_are_the_handlers(serve: Any, engine: str) -> None:
    body = (
        """
        import asyncio
        async def task(n): nodey.publish("t", n)
        @nodey.on("post.*")
        async def handle(e):
            await asyncio.gather(task(1), task(2))
            await asyncio.to_thread(nodey.publish, "t", 3)
        """
        if engine == "async"
        else """
        import contextvars, threading
        @nodey.on("post.*")
        def handle(e):
            for n in (1, 2, 3):
                context = contextvars.copy_context()
                thread = threading.Thread(target=context.run, args=(nodey.publish, "t", n))
                thread.start()
                thread.join()
        """
    )
    worker = serve(body)
    worker.ready()
    worker.send(event())
    assert sorted(content["data"] for content in worker.next()["publish"]) == [1, 2, 3]
    assert worker.end() == 0


def test_outputs_of_one_handler_are_not_anothers(serve: Any, engine: str) -> None:
    """Handlers at the same time; in a synchronous worker one on top of the other."""
    worker = serve(
        """
        @nodey.on("post.*")
        {a}def handle(e):
            nodey.publish("mine", e.data)
            {w}nodey.ask{s}("Far", e.data)
            nodey.publish("mine", e.data)
        @nodey.token("Near")
        {a}def near(args): return ({publish}("asked")).seq
        """.replace("{s}", "_async" if engine == "async" else "")
    )
    worker.ready()
    worker.send(event(1, data=1))
    first = worker.next()
    assert first["type"] == "ask" and first["for"] == 1
    worker.send({"type": "ask", "id": 2, "token": "Near", "nested": True})
    frame = worker.next()
    assert frame["type"] == "publish" and frame["for"] == 2, "it is the ask's, not the event's"
    stored(worker, frame, 4)
    assert worker.next() == {"type": "answer", "id": 2, "value": 4}
    if engine != "sync":
        worker.send(event(3, data=3))
        second = worker.next()
        worker.send({"type": "answer", "id": second["id"], "value": 0})
        assert [content["data"] for content in worker.next()["publish"]] == [3, 3]
    worker.send({"type": "answer", "id": first["id"], "value": 0})
    assert [content["data"] for content in worker.next()["publish"]] == [1, 1]
    assert worker.end() == 0


# ------------------------------------------------------------------- each, groups


def test_a_broadcast_is_not_answered_and_its_outputs_leave_by_themselves(serve: Any) -> None:
    worker = serve(
        """
        @nodey.on("post.*", each=True)
        {a}def handle(e):
            nodey.publish("heard", e.data)
            if e.data == "bad": raise ValueError("bad")
        """
    )
    worker.ready()
    frame = event(data="bad", msgid="m", key="k", correlation="c", traceparent="00-1-2-01")
    del frame["id"]
    worker.send(frame, {**frame, "data": 2})
    found = worker.next()
    assert found == {"type": "publish", "id": found["id"], "topic": "heard", "key": "k",
                     "cause": "m", "correlation": "c", "traceparent": "00-1-2-01", "data": 2}
    stored(worker, found)
    assert worker.end() == 0
    assert len(worker.failures) == 1


def test_the_handlers_are_those_of_the_group_whose_patterns_match(serve: Any) -> None:
    worker = serve(
        """
        def handler(name):
            {a}def handle(e): nodey.publish(name)
            return handle
        nodey.on("post.created", each=True)(handler("each"))
        nodey.on("post.>", group="a")(handler("a-rest"))
        nodey.on("post.*", group="a")(handler("a-any"))
        nodey.on("post.created", group="b")(handler("b"))
        nodey.on("post.created")(handler("own"))
        nodey.job("post.created")(handler("job"))
        """
    )
    worker.ready()

    def handled_by(**members: Any) -> list[str]:
        worker.send(event(**members))
        return [content["topic"] for content in worker.next()["publish"]]

    assert handled_by(group="a") == ["a-rest", "a-any"]
    assert handled_by(group="a", topic="post.x.y") == ["a-rest"]
    assert handled_by(group="b") == ["b"]
    assert handled_by() == ["own"]
    assert handled_by(group="some.other") == ["own"]
    assert handled_by(queue="post.created", group="post.created") == ["job"]
    broadcast = event()
    del broadcast["id"]
    worker.send(broadcast)
    frame = worker.next()
    assert frame["type"] == "publish" and frame["topic"] == "each"
    stored(worker, frame)
    worker.send(event(topic="other"))
    frame = worker.next()
    assert frame["type"] == "nack"
    assert "no handler of the topic 'other'" in frame["error"]["message"]
    assert worker.end() == 0


# ------------------------------------------------------------- progress and time


def test_progress_and_cancel(serve: Any, engine: str) -> None:
    sleep = "await asyncio.sleep(0.01)" if engine == "async" else "time.sleep(0.01)"
    worker = serve(
        """
        import asyncio, time
        @nodey.job("long")
        {a}def long(job, ctx):
            for _ in range(5): ctx.progress()
            try:
                while not ctx.cancelled(): {sleep}
                nodey.log.info("looked")
            finally:
                nodey.publish("lost")
            raise nodey.Dead("over")
        """.replace("{sleep}", sleep)
    )
    worker.ready()
    worker.send(event(9, queue="long", timeout=5000))
    assert worker.next() == {"type": "progress", "id": 9}
    assert worker.silent_for(0.2)
    worker.send({"type": "cancel", "id": 9, "reason": "timeout"})
    frame = next_but_logs(worker)
    if engine == "async":  # Its task was cancelled.
        assert frame == {"type": "error", "id": 9, "code": "cancelled", "message": "cancelled"}
    else:
        assert frame["type"] == "nack" and worker.logs == ["looked"]
    assert worker.end() == 0


def test_time_that_is_left_begins_anew_with_progress(write: Any) -> None:
    worker = write(
        """
        import nodey, time
        @nodey.on("post.*")
        def handle(e, ctx):
            before = ctx.timeout
            time.sleep(0.2)
            middle = ctx.timeout
            ctx.progress()
            nodey.publish("t", [before > 0.95, middle < 0.85, ctx.timeout > 0.95,
                                ctx.deadline > time.monotonic()])
        """
    )
    worker.ready()
    worker.send(event(timeout=1000))
    assert worker.next()["type"] == "progress"
    assert worker.next()["publish"][0]["data"] == [True] * 4
    worker.send(event(timeout=0))
    assert worker.next()["type"] == "progress"
    assert "NoneType" in worker.next()["error"]["message"]  # There is no limit then.
    assert worker.end() == 0


def test_a_cancelled_broadcast_says_nothing(write: Any) -> None:
    worker = write(
        """
        import asyncio, nodey
        @nodey.on("post.*", each=True)
        async def handle(e): asyncio.current_task().cancel(); await asyncio.sleep(1)
        @nodey.get("/")
        async def root(): return 1
        """
    )
    worker.ready()
    frame = event()
    del frame["id"]
    worker.send(frame)
    worker.get("/")
    assert worker.next() == {"id": 1, "json": 1}
    assert worker.silent_for(0.1)


# ------------------------------------------------------------------------- data


def test_big_data_is_read_when_it_is_asked_for(serve: Any, tmp_path: Path) -> None:
    worker = serve(
        """
        @nodey.on("post.*")
        {a}def handle(e):
            if e.key: nodey.publish("size", [len(e.data), e.data is e.data])
        """
    )
    worker.ready()
    big = tmp_path / "big"
    big.write_text(json.dumps(["\u00e9" * 300000]), encoding="utf-8")
    worker.send(event(1, file=str(big), size=big.stat().st_size, key="k"))
    assert worker.next()["publish"][0]["data"] == [1, True]
    worker.send(event(2, file=str(tmp_path / "gone"), size=9))
    assert worker.next() == {"type": "ack", "id": 2}
    worker.send(event(3, file=str(tmp_path / "gone"), size=9, key="k"))
    frame = worker.next()
    assert frame["type"] == "nack" and "read event.data before" in frame["error"]["message"]
    assert worker.end() == 0


def test_too_many_outputs_say_what_to_do(serve: Any) -> None:
    worker = serve(
        """
        @nodey.on("post.*")
        {a}def handle(e):
            for n in range(e.data["count"]): nodey.publish("t", "x" * e.data["size"])
        """
    )
    worker.ready()
    worker.send(event(data={"count": 1024, "size": 10}))
    assert len(worker.next()["publish"]) == 1024
    for data in ({"count": 1025, "size": 1}, {"count": 20, "size": 60000}):
        worker.send(event(data=data))
        frame = worker.next()
        assert frame["type"] == "nack" and "give now=True" in frame["error"]["message"]
    worker.send(event(data={"count": 17, "size": 60000}))
    assert len(worker.next()["publish"]) == 17
    assert worker.end() == 0


def test_a_message_over_the_limit_of_a_line_is_refused_before_it_is_sent(serve: Any) -> None:
    worker = serve("@nodey.get('/')\n{a}def root(): {publish}('t', 'x' * 1048576)\n")
    worker.ready()
    worker.get("/")
    assert "over the limit of 1048576 bytes" in worker.next()["message"]
    assert worker.end() == 0


def test_ten_thousand_at_once(write: Any) -> None:
    worker = write(
        """
        import asyncio, nodey
        @nodey.get("/")
        async def root():
            found = await asyncio.gather(*[nodey.publish_async("t", n) for n in range(10000)])
            return [len(found), sum(one.seq for one in found)]
        """
    )
    worker.ready()
    worker.get("/")
    frames = worker.next_of(10000)
    assert sorted(frame["data"] for frame in frames) == list(range(10000))
    worker.send(*[{"type": "ack", "id": frame["id"], "seq": frame["data"]} for frame in frames])
    assert worker.next()["json"] == [10000, 49995000]
    assert worker.end() == 0


def test_many_threads_publish_at_once(write: Any) -> None:
    worker = write(
        """
        import nodey, threading
        @nodey.get("/")
        def root(req):
            seqs = []
            def one(n): seqs.append([n, nodey.publish("t", n).seq])
            threads = [threading.Thread(target=one, args=(n,)) for n in range(20)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            return sorted(seqs)
        """
    )
    worker.ready()
    worker.get("/")
    frames = worker.next_of(20)
    for frame in reversed(frames):
        stored(worker, frame, frame["data"] * 2)
    assert worker.next()["json"] == [[n, n * 2] for n in range(20)]
    assert worker.end() == 0


# -------------------------------------------------------------------- the end


def test_the_end_of_input_ends_a_publish(serve: Any) -> None:
    worker = serve(
        """
        @nodey.get("/")
        {a}def root(req):
            try: {publish}("t", id="x")
            except nodey.Error as error: return error.code
        """
    )
    worker.ready()
    worker.get("/")
    assert worker.next()["type"] == "publish"
    worker.close_input()
    assert worker.next() == {"id": 1, "body": "unavailable"}
    assert worker.wait() == 0


@pytest.mark.parametrize("word", ["drain", "shutdown"])
def test_a_publish_is_still_acknowledged_when_the_worker_is_to_end(serve: Any, word: str,
                                                                  engine: str) -> None:
    worker = serve(
        """
        @nodey.on("post.*")
        {a}def handle(e): {publish}("t", now=True)
        @nodey.on_stop
        {a}def stop(): {publish}("stopping")
        """
    )
    worker.ready()
    worker.send(event())
    frame = worker.next()
    worker.send({"type": word})
    if word == "drain" or engine != "async":
        stored(worker, frame)
        assert worker.next() == {"type": "ack", "id": 55}
    else:
        assert worker.next()["code"] == "cancelled"
    frame = worker.next()
    assert frame["topic"] == "stopping" and "for" not in frame
    stored(worker, frame)
    assert worker.wait() == 0


def test_events_that_wait_are_given_back_at_shutdown(write: Any) -> None:
    worker = write(
        """
        import nodey, time
        @nodey.on("post.*")
        def handle(e, ctx):
            while not ctx.cancelled(): time.sleep(0.01)
        """
    )
    worker.ready()
    worker.send(event(1), event(2))
    time.sleep(0.1)
    worker.send({"type": "shutdown"})
    frames: List[Any] = worker.next_of(2)
    assert frames[0]["id"] == 2 and frames[0]["code"] == "cancelled"
    assert frames[1] == {"type": "ack", "id": 1}
    assert worker.wait() == 0


def test_a_handler_that_ends_the_process_is_answered(serve: Any, engine: str) -> None:
    worker = serve("import sys\n@nodey.on('post.*')\n{a}def handle(e): sys.exit(3)\n")
    worker.ready()
    worker.send(event())
    frame = worker.next()
    assert (frame["type"], frame["id"]) in (("error", 55), ("nack", 55)), frame
    assert "3" in json.dumps(frame)


# ------------------------------------------------------------------------ seek


def test_seek(serve: Any, engine: str) -> None:
    worker = serve(
        """
        @nodey.get("/")
        {a}def root(req):
            try: return {w}nodey.seek{s}("query", {"seq": 100})
            except nodey.Error as error: return error.message
        """.replace("{s}", "_async" if engine == "async" else "")
    )
    worker.ready()
    worker.get("/")
    frame = worker.next()
    assert frame == {"type": "seek", "id": frame["id"], "group": "query", "to": {"seq": 100}}
    worker.send({"type": "ack", "id": frame["id"]})
    assert worker.next() == {"id": 1, "json": None}
    worker.get("/")
    frame = worker.next()
    worker.send({"type": "error", "id": frame["id"], "code": "not_found", "message": "no group"})
    assert worker.next() == {"id": 1, "body": "no group"}
    assert worker.end() == 0


# ----------------------------------------------------------------- odd supervisors


def test_a_gap_is_logged(serve: Any) -> None:
    worker = serve("@nodey.on('post.*')\n{a}def handle(e): pass\n")
    worker.ready()
    worker.send({"type": "gap", "group": "query", "from": 10, "to": 99})
    frame = worker.next()
    assert frame["level"] == "warn" and "'query' has lost the events 10 to 99" in frame["message"]
    assert worker.end() == 0


@pytest.mark.parametrize("members, said", [
    ({"topic": 5}, "a topic or a queue"),
    ({"queue": "q", "topic": "t"}, "a topic or a queue"),
    ({"key": 5}, "key of an event is a string"),
    ({"seq": "1"}, "seq of an event is an integer"),
    ({"headers": []}, "headers of an event is an object"),
])
def test_a_malformed_event_is_an_error(serve: Any, members: Any, said: str) -> None:
    worker = serve("@nodey.on('post.*')\n{a}def handle(e): pass\n")
    worker.ready()
    worker.send({**event(), **members})
    frame = worker.next()
    assert frame["code"] == "invalid_argument" and said in frame["message"] and frame["id"] == 55
    worker.send(event(56), {"type": "ack"}, {"type": "ack", "id": 99, "seq": 1})
    frames = worker.next_of(2)
    assert {"type": "ack", "id": 56} in frames
    assert [f["code"] for f in frames if f["type"] == "error"] == ["invalid_argument"]
    assert worker.end() == 0


# -------------------------------------------------------------------- the loop


def test_at_once_in_a_loop_says_what_to_write(write: Any) -> None:
    worker = write(
        """
        import nodey
        @nodey.get("/")
        async def root(): nodey.publish("t")
        @nodey.get("/enqueue")
        async def enqueue(): nodey.enqueue("t")
        @nodey.get("/seek")
        async def seek(): nodey.seek("t", "first")
        @nodey.on("post.*")
        async def handle(e): nodey.publish("t", now=True)
        """
    )
    worker.ready()
    for path, name in (("/", "publish"), ("/enqueue", "enqueue"), ("/seek", "seek")):
        worker.get(path)
        assert f"use await nodey.{name}_async(...)" in worker.next()["message"]
    worker.send(event())
    assert "use await nodey.publish_async(...)" in worker.next()["error"]["message"]
    assert worker.end() == 0


def test_by_hand_people_are_shown_what_goes_nowhere(write: Any) -> None:
    text = "import nodey\n@nodey.get('/')\ndef root(): return nodey.publish('a.b', 5).seq\n"
    worker = write(text, mode="hand")
    worker.get("/")
    assert worker.next() == {"id": 1, "json": None}
    assert worker.end() == 0
    assert 'publish {"topic":"a.b","data":5}, which by hand goes nowhere' in worker.errors()


# ------------------------------------------------------------------------ apps


def test_views_of_apps_publish(write: Any) -> None:
    """WSGI in the main thread, ASGI in the loop and in its threads."""
    worker = write(
        """
        import nodey
        def app(environ, start_response):
            seq = nodey.publish("a.b", key="k").seq
            start_response("200 OK", [])
            return [str(seq).encode()]
        nodey.serve(app)
        """
    )
    worker.ready()
    worker.get("/", id=4)
    frame = worker.next()
    assert frame["for"] == 4 and frame["topic"] == "a.b"
    stored(worker, frame, 77)
    assert worker.answer(4).body == b"77"
    assert worker.end() == 0
    worker = write(
        """
        import asyncio, nodey
        async def app(scope, receive, send):
            if scope["type"] != "http": raise RuntimeError()
            one = await nodey.publish_async("a.b")
            two = await asyncio.to_thread(nodey.publish, "c")
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": f"{one.seq} {two.seq}".encode()})
        nodey.serve(app)
        """
    )
    worker.ready()
    worker.get("/", id=5)
    for _ in range(2):
        frame = worker.next()
        assert frame["for"] == 5
        stored(worker, frame, 78)
    assert worker.answer(5).body == b"78 78"
    assert worker.end() == 0
