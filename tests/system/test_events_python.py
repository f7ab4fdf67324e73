"""Events and jobs of the Python SDK, through nodey and its store."""

from __future__ import annotations

import json
import textwrap
import time
from pathlib import Path
from typing import Any, Callable

import pytest

from app import App
from timing import slow, until
from workers import script

Nodey = Callable[..., App]
pytestmark = pytest.mark.outside

# Every script can record(...) a line that outlives it.
PREFIX = '''
import asyncio, json, os, threading, time
import nodey

def record(*values):
    with open("record", "ab", buffering=0) as file:
        file.write(json.dumps(values).encode() + b"\\n")

'''

FRONT = '''
@nodey.post("/publish/:topic")
{a}def publish(req):
    found = {publish}(req.params["topic"], req.json(), **dict(req.query))
    return [found.seq, found.duplicate]

@nodey.post("/enqueue/:queue")
{a}def enqueue(req):
    return ({enqueue}(req.params["queue"], req.json(), **dict(req.query))).seq
'''


class Stack:
    """A running app whose scripts record what they do."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._file = app.folder / "record"

    def records(self, name: str = "") -> list[Any]:
        """What was recorded, or the rest of those that begin with a name."""
        text = self._file.read_text() if self._file.exists() else ""
        found = [json.loads(line) for line in text.splitlines()]
        return [one[1:] for one in found if one[0] == name] if name else found

    def wait(self, count: int, name: str, seconds: float = 10) -> list[Any]:
        until(lambda: len(self.records(name)) >= count, seconds, f"{count} records of {name}")
        return self.records(name)

    def post(self, path: str, value: Any = None) -> Any:
        answer = self.app.post(path, json.dumps(value).encode())
        assert answer.status == 200, answer.text
        return answer.json() if answer.body else None


@pytest.fixture(params=["def", "async def"])
def serve(request: pytest.FixtureRequest, nodey: Nodey) -> Callable[..., Stack]:
    """serve(name="text of a script", ...): {a} and {w} as for `async def` or `def`.  A script
    "front" publishes what it is posted."""
    is_async = request.param == "async def"
    at_once = "await nodey.publish_async" if is_async else "nodey.publish"

    def words(text: str) -> str:
        for word, found in (("{a}", "async " if is_async else ""),
                            ("{w}", "await " if is_async else ""),
                            ("{sleep}", "await asyncio.sleep" if is_async else "time.sleep"),
                            ("{publish}", at_once),
                            ("{enqueue}", at_once.replace("publish", "enqueue"))):
            text = text.replace(word, found)
        return PREFIX + textwrap.dedent(text)

    def serve(instances: int = 1, **texts: str) -> Stack:
        scripts = {"front": FRONT, **texts}
        files = {f"workers/{name}.py": words(text) for name, text in scripts.items()}
        config = "".join(script(name, instances=instances) for name in scripts)
        return Stack(nodey(files, config))

    return serve


Serve = Callable[..., Stack]


def test_a_fact_reaches_every_group_and_carries_its_story(serve: Serve) -> None:
    stack = serve(
        moderate="""
        @nodey.on("comment.created")
        {a}def moderate(e):
            {w}nodey.publish("comment.moderated", {"text": e.data["text"].upper()})
        """,
        query="""
        @nodey.on("comment.*")
        {a}def query(e):
            record("query", e.topic, e.data, e.key, e.group, e.attempt, e.cause, e.correlation, e.id)
        """,
    )
    seq, duplicate = stack.post("/publish/comment.created?key=p1", {"text": "hü"})
    assert isinstance(seq, int) and duplicate is False
    first, second = stack.wait(2, "query")
    id = str(seq)
    assert first == ["comment.created", {"text": "hü"}, "p1", "query", 1, None, first[6], id]
    assert second[:7] == ["comment.moderated", {"text": "HÜ"}, "p1", "query", 1, id, first[6]]


def test_messages_of_a_key_come_in_order(serve: Serve) -> None:
    stack = serve(
        instances=2,
        order="""
        @nodey.on("step", max=8)
        {a}def step(e):
            {sleep}(0.002)
            record(e.key, e.data)
        """,
    )
    for number in range(30):
        for key in "abc":
            stack.post(f"/publish/step?key={key}", number)
    for key in "abc":
        assert [n for n, in stack.wait(30, key)] == list(range(30))


def test_a_job_that_fails_comes_again_until_it_is_dead(serve: Serve) -> None:
    stack = serve(
        work="""
        @nodey.job("work", attempts=3, backoff=["50ms", "200ms"])
        {a}def work(job):
            record("try", job.data, job.id, job.attempt, job.last, time.time())
            {w}nodey.publish("worked", job.data)
            if job.data == "dead": raise nodey.Dead("bad image")
            if job.data == "retry" and not job.last: raise nodey.Retry("300ms")
            if job.data == "broken": raise ValueError("broken")
        @nodey.on("worked")
        {a}def worked(e): record("worked", e.data)
        """
    )
    for data in ("broken", "dead", "retry"):
        stack.post("/enqueue/work", data)
    stack.wait(7, "try")
    tries = {name: [one[1:] for one in stack.records("try") if one[0] == name]
             for name in ("broken", "dead", "retry")}
    assert [one[1:3] for one in tries["broken"]] == [[1, False], [2, False], [3, True]]
    assert len({one[0] for one in tries["broken"]}) == 1, "the id is the same every time"
    times = [one[3] for one in tries["broken"]]
    assert times[1] - times[0] >= 0.04 and times[2] - times[1] >= 0.17
    assert len(tries["dead"]) == 1
    times = [one[3] for one in tries["retry"]]
    assert len(times) == 3 and times[1] - times[0] >= 0.29 and times[2] - times[1] >= 0.29
    stack.wait(1, "worked")
    time.sleep(0.3)
    assert stack.records("worked") == [["retry"]], "who failed has published nothing"
    assert len(stack.records("try")) == 7


def test_a_worker_that_dies_has_published_nothing_and_another_goes_on(serve: Serve) -> None:
    stack = serve(
        die="""
        @nodey.on("die", backoff="10ms")
        {a}def die(e):
            {w}nodey.publish("outlived", e.attempt)
            record("try", e.attempt)
            if e.attempt == 1: os._exit(9)
        @nodey.on("outlived")
        {a}def outlived(e): record("outlived", e.data)
        """
    )
    stack.post("/publish/die")
    assert stack.wait(1, "outlived") == [[2]]
    time.sleep(0.2)
    assert stack.records("try") == [[1], [2]] and stack.records("outlived") == [[2]]


def test_an_id_is_stored_once(serve: Serve) -> None:
    stack = serve(once="@nodey.on('once')\n{a}def once(e): record('once', e.id, e.data)\n")
    first = stack.post("/publish/once?id=x", 1)
    again = stack.post("/publish/once?id=x", 2)
    other = stack.post("/publish/once?id=y", 3)
    assert again == [first[0], True] and other[0] > first[0] and not other[1]
    assert stack.wait(2, "once") == [["x", 1], ["y", 3]]


def test_a_delay_is_waited_for(serve: Serve) -> None:
    stack = serve(later="@nodey.job('later')\n{a}def later(job): record('later', time.time())\n")
    begin = time.time()
    stack.post("/enqueue/later?delay=500ms")
    (when,), = stack.wait(1, "later")
    assert 0.5 <= when - begin < 0.5 + slow(1)


def test_time_that_is_over_fails_the_attempt_and_progress_begins_it_anew(serve: Serve) -> None:
    stack = serve(
        slow="""
        @nodey.job("slow", timeout="1s", attempts=2, backoff="1ms")
        {a}def slow(job, ctx):
            for turn in range(12):
                ctx.progress()
                {sleep}(0.1)
            record("done", job.attempt)
        @nodey.job("count", attempts=2, backoff="1ms", timeout="200ms")
        {a}def count(job, ctx):
            record("begun", job.attempt)
            while not ctx.cancelled(): {sleep}(0.01)
        """
    )
    stack.post("/enqueue/slow")
    assert stack.wait(1, "done") == [[1]]
    stack.post("/enqueue/count")
    assert stack.wait(2, "begun") == [[1], [2]]


def test_big_data_arrives_whole(serve: Serve) -> None:
    stack = serve(
        big="""
        @nodey.on("big")
        {a}def big(e): record("big", len(e.data["x"]), e.data["x"][-3:])
        """
    )
    stack.post("/publish/big", {"x": "é" * 300_000 + "end"})
    assert stack.wait(1, "big") == [[300_003, "end"]]


def test_every_process_hears_a_broadcast(serve: Serve) -> None:
    stack = serve(
        instances=2,
        each="""
        @nodey.on("live", each=True)
        {a}def live(e): record("live", os.getpid(), e.data)
        """,
    )
    pids = stack.app.wait_workers(2, "each")

    def all_hear() -> bool:
        """A process that was just started misses the first ones."""
        stack.post("/publish/live", "first")
        return {pid for pid, _data in stack.records("live")} == set(pids)

    until(all_hear, 10, "records of both processes")
    stack.post("/publish/live", "then")
    until(lambda: stack.records("live").count([pids[1], "then"]), 10, "the last record")
    until(lambda: stack.records("live").count([pids[0], "then"]), 10, "the last record")
    time.sleep(0.1)
    assert [data for _pid, data in stack.records("live")].count("then") == 2


def test_a_group_may_begin_again(serve: Serve) -> None:
    stack = serve(
        again="""
        @nodey.on("again")
        {a}def again(e): record("again", e.data)
        @nodey.post("/seek")
        def seek(req): nodey.seek("again", req.json())
        """
    )
    for number in range(3):
        stack.post("/publish/again", number)
    assert stack.wait(3, "again") == [[0], [1], [2]]
    stack.post("/seek", "first")
    assert stack.wait(6, "again") == [[0], [1], [2]] * 2


def test_jobs_of_one_process_run_at_the_same_time(serve: Serve) -> None:
    stack = serve(
        work="""
        @nodey.job("work", concurrency=4)
        {a}def work(job):
            record("begin", job.data)
            until = time.monotonic() + 20
            while sum(1 for line in open("record") if "begin" in line) < 4:
                assert time.monotonic() < until
                {sleep}(0.01)
            record("end", job.data)
        """
    )
    for number in range(4):
        stack.post("/enqueue/work", number)
    assert sorted(stack.wait(4, "end", 20)) == [[0], [1], [2], [3]]


def test_many_at_once_and_what_a_script_publishes_while_it_starts(nodey: Nodey) -> None:
    text = PREFIX + textwrap.dedent(
        """
        started = nodey.publish("starting", id="start")
        @nodey.get("/many")
        async def many(req):
            found = await asyncio.gather(*[nodey.publish_async("many", n) for n in range(10000)])
            return [len({one.seq for one in found}), started.seq]
        """
    )
    counter = PREFIX + textwrap.dedent(
        """
        seen = set()
        @nodey.on(["many", "starting"], from_="first", max=1000)
        async def count(e): seen.add(e.data)
        @nodey.get("/seen")
        async def get(): return [len(seen), None in seen]
        """
    )
    app = nodey({"workers/many.py": text, "workers/counter.py": counter},
                script("many") + script("counter"))
    answer = app.request("GET", "/many", timeout=60).json()
    assert answer[0] == 10000 and answer[1] >= 1
    until(lambda: app.get("/seen").json() == [10001, True], 30, "all of them")


def test_views_of_frameworks_publish(nodey: Nodey) -> None:
    pytest.importorskip("flask")
    pytest.importorskip("fastapi")
    flask = """
        import flask, nodey
        app = flask.Flask("shop")
        @app.route("/flask")
        def view(): return str(nodey.publish("viewed", "flask").seq)
    """
    fastapi = """
        import fastapi, nodey
        app = fastapi.FastAPI()
        @app.get("/fast/async")
        async def one(): return (await nodey.publish_async("viewed", "async")).seq
        @app.get("/fast/thread")
        def two(): return nodey.publish("viewed", "thread").seq
    """
    hear = PREFIX + "@nodey.on('viewed')\ndef viewed(e): record('viewed', e.data, e.cause)\n"
    routes = "".join(f'[[routes]]\npath = "{path}"\nto = "{name}"\n\n'
                     for path, name in (("/flask", "shop"), ("/fast/*", "fast")))
    app = nodey({"workers/shop.py": textwrap.dedent(flask), "workers/hear.py": hear,
                 "workers/fast.py": textwrap.dedent(fastapi)},
                script("shop") + script("fast") + script("hear") + routes)
    seqs = [int(app.get(path).text) for path in ("/flask", "/fast/async", "/fast/thread")]
    assert seqs == sorted(set(seqs))
    stack = Stack(app)
    assert sorted(stack.wait(3, "viewed")) == [["async", None], ["flask", None], ["thread", None]]


def test_what_was_published_while_its_reader_was_away_waits_for_it(nodey: Nodey) -> None:
    front = PREFIX + textwrap.dedent(FRONT).replace("{a}", "").replace(
        "{publish}", "nodey.publish").replace("{enqueue}", "nodey.enqueue")
    reader = PREFIX + "@nodey.on('kept')\ndef kept(e): record('kept', e.data)\n"
    first = Stack(nodey({"workers/front.py": front, "workers/reader.py": reader},
                        script("front") + script("reader")))
    first.post("/publish/kept", 1)
    first.wait(1, "kept")
    folder: Path = first.app.folder
    first.app.stop()
    (folder / "workers/reader.py").unlink()
    (folder / "nodey.toml").write_text(script("front"))
    second = Stack(nodey(folder=folder))
    second.post("/publish/kept", 2)
    second.app.stop()
    (folder / "workers/reader.py").write_text(reader)
    third = Stack(nodey(folder=folder, config=script("front") + script("reader")))
    assert third.wait(2, "kept") == [[1], [2]]
