"""Events over HTTP: clients publish on routes that the configuration opens, and read streams."""

from __future__ import annotations

import json
import re
import resource
import selectors
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Callable, Optional

import httpx
import pytest

from app import BINARY, App
from browser import chromium
from client import Cut
from command import environment, run
from eventful import data, eventful, frames, on, wait_frames
from sse import EventStream
from timing import slow, until

Nodey = Callable[..., App]
pytestmark = pytest.mark.outside


ROUTES = """
[[routes]]
path = "/publish/*"
publish = ["comment.*", "order.>"]

[[routes]]
path = "/events"
events = ["comment.>", "order.>"]
"""


def publish(app: App, topic: str, value: Any = None, **headers: str) -> httpx.Response:
    fields = {name.replace("_", "-"): text for name, text in headers.items()}
    return httpx.post(f"http://127.0.0.1:{app.port}/publish/{topic}", json=value, headers=fields,
                      timeout=slow(10))


def seqs(app: App, count: int, topic: str = "comment.created", size: int = 0) -> list[int]:
    """Publishes so many; `size` bytes each."""
    found = []
    with httpx.Client(timeout=slow(10)) as client:
        for n in range(count):
            answer = client.post(f"http://127.0.0.1:{app.port}/publish/{topic}",
                                 json={"n": n, "pad": "x" * size})
            assert answer.status_code == 202, answer.text
            found.append(answer.json()["seq"])
    return found


@pytest.fixture
def app(nodey: Nodey) -> App:
    return nodey(config=ROUTES)


# ------------------------------------------------------------------------- publishing


def test_a_post_publishes_and_a_worker_handles_it(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=ROUTES + eventful("shop", seen, on("comment.*")))
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = publish(app, "comment.created", {"text": "hé"}, x_nodey_key="p1",
                     idempotency_key='"c-1"', traceparent=trace)
    assert (answer.status_code, answer.json()) == (202, {"seq": 1})
    (event,) = wait_frames(seen, 1)
    assert event["topic"] == "comment.created" and event["data"] == {"text": "hé"}
    assert event["key"] == "p1" and event["msgid"] == "c-1"
    assert event["traceparent"].startswith("00-0af7651916cd43dd8448eb211c80319c-")
    assert event["traceparent"] != trace, "a span of its own"


def test_the_same_idempotency_key_is_stored_once(app: App) -> None:
    first = publish(app, "order.paid", 1, idempotency_key="k")
    again = publish(app, "order.paid", 1, idempotency_key="k")
    assert first.status_code == 202 and again.status_code == 200
    assert again.json() == {"seq": first.json()["seq"], "duplicate": True}
    assert publish(app, "order.paid", 1).json() == {"seq": 2}


def test_what_is_acknowledged_survives_a_kill(nodey: Nodey) -> None:
    app = nodey(config=ROUTES, exit_code=-9)
    found = seqs(app, 5)
    app.kill()
    again = nodey(folder=app.folder)
    with EventStream(again, "/events?from=first") as stream:
        assert [event.seq for event in stream.take(5)] == found


def test_a_topic_that_the_route_does_not_open_is_refused(app: App) -> None:
    answer = publish(app, "user.created", {})
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == \
        "this path publishes comment.*, order.>, not user.created"
    assert publish(app, "comment.a.b", {}).status_code == 403
    assert publish(app, "order.a.b", {}).status_code == 202


@pytest.mark.parametrize("topic", ["", "a..b", "comment.*", "comment.%00", "comment.a%20b",
                                   "comment." + "x" * 300, "comment.a%2Fb"])
def test_what_is_no_topic_is_refused(app: App, topic: str) -> None:
    answer = publish(app, topic, {})
    assert answer.status_code in (400, 403), answer.text
    assert "json" in answer.headers["content-type"]


@pytest.mark.parametrize("body, where", [
    (b'{"a": 1,\n  "b": x}', "line 2, column 8"), (b'{"a": 1} 2', "line 1, column 10"),
    (b"{", "line 1, column 2"), (b"'a'", "line 1, column 1"), (b'"\xff"', "not UTF-8")])
def test_a_body_that_is_no_json_is_refused_with_its_place(app: App, body: bytes,
                                                          where: str) -> None:
    answer = app.request("POST", "/publish/order.x", body, {"content-type": "application/json"})
    assert answer.status == 400 and where in answer.json()["detail"], answer.text


def test_only_json_is_taken(app: App) -> None:
    for kind, status in (("text/plain", 415), ("application/x-www-form-urlencoded", 415),
                         ("application/json; charset=utf-8", 202),
                         ("application/cloudevents+json", 202)):
        answer = app.request("POST", "/publish/order.x", b"1", {"content-type": kind})
        assert answer.status == status, (kind, answer.text)


def test_another_method_is_refused(app: App) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = app.request(method, "/publish/order.x")
        assert answer.status == 405 and "POST" in answer.headers["allow"], answer
    answer = app.request("POST", "/events", b"1")
    assert answer.status == 405 and "GET" in answer.headers["allow"]


def test_a_key_that_is_too_long_is_refused(app: App) -> None:
    answer = publish(app, "order.x", 1, x_nodey_key="k" * 201)
    assert answer.status_code == 400 and "201 bytes" in answer.json()["detail"]


def test_line_ends_of_json_do_not_break_the_lines_of_others(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=ROUTES + eventful("shop", seen, on("order.*")))
    with EventStream(app, "/events") as stream:
        body = b'{\r\n  "a": [1,\n2],\r"b": "x\\ny"\n}'
        answer = app.request("POST", "/publish/order.x", body,
                             {"content-type": "application/json"})
        assert answer.status == 202
        assert stream.next().data == {"a": [1, 2], "b": "x\ny"}
    assert data(wait_frames(seen, 1)) == [{"a": [1, 2], "b": "x\ny"}]


def test_a_body_in_pieces_and_a_large_one(app: App) -> None:
    large = {"text": "y" * 3_000_000}
    with EventStream(app, "/events") as stream:
        text = json.dumps(large).encode()

        def pieces() -> Any:
            for at in range(0, len(text), 500_000):
                yield text[at:at + 500_000]

        answer = httpx.post(f"http://127.0.0.1:{app.port}/publish/order.big", content=pieces(),
                            headers={"content-type": "application/json"}, timeout=slow(20))
        assert answer.status_code == 202, answer.text
        assert stream.next().data == large
    with EventStream(app, "/events?from=first") as stream:
        assert stream.next().data == large


def test_a_body_that_is_too_large_is_refused(nodey: Nodey) -> None:
    app = nodey(config='[server]\nmax_body = "100K"\n' + ROUTES)
    assert publish(app, "order.x", "z" * 200_000).status_code == 413
    assert publish(app, "order.x", "z" * 50_000).json() == {"seq": 1}


def test_a_full_stream_is_told(nodey: Nodey, tmp_path: Path) -> None:
    config = '[server]\nshutdown_timeout = "1500ms"\n' + ROUTES + '[bus]\nmax_bytes = "1M"\n' + \
        eventful("slow", tmp_path / "seen", on("order.*", max=1))
    app = nodey(config=config)
    assert publish(app, "order.x", {"hang": True}).status_code == 202
    statuses = [publish(app, "order.x", "z" * 100_000).status_code for _ in range(16)]
    assert 507 in statuses, statuses
    full = publish(app, "order.x", "z" * 100_000)
    assert full.status_code == 507 and "retry-after" in full.headers
    assert "full" in full.json()["detail"], full.text


# ---------------------------------------------------------------------------- reading


def test_a_stream_of_events(app: App) -> None:
    with EventStream(app, "/events") as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        assert stream.headers["cache-control"] == "no-store"
        assert stream.block() == ["retry: 1000"]
        publish(app, "comment.created", {"id": 1})
        publish(app, "order.a.b", [2])
        first, second = stream.take(2)
        assert (first.seq, first.topic, first.data) == (1, "comment.created", {"id": 1})
        assert (second.seq, second.topic, second.data) == (2, "order.a.b", [2])


def test_it_begins_with_what_comes_unless_something_else_is_wanted(app: App) -> None:
    seqs(app, 3)
    with EventStream(app, "/events") as stream:
        publish(app, "order.x", "new")
        assert stream.next().data == "new"
    with EventStream(app, "/events?from=first") as stream:
        assert [event.seq for event in stream.take(4)] == [1, 2, 3, 4]
    with EventStream(app, "/events?from=3") as stream:
        assert [event.seq for event in stream.take(2)] == [3, 4]
    for query in ("from=yesterday", "from=-1", "last_event_id=x", "topic=a..b"):
        assert app.get(f"/events?{query}").status == 400, query


def test_after_a_restart_a_new_stream_begins_with_what_comes(nodey: Nodey) -> None:
    app = nodey(config=ROUTES)
    seqs(app, 5)
    app.stop()
    again = nodey(folder=app.folder)
    with EventStream(again, "/events") as stream:
        assert stream.silent()
        publish(again, "order.x", "fresh")
        assert stream.next().data == "fresh"


@pytest.mark.parametrize("by_query", [False, True])
def test_it_resumes_behind_the_last_id(app: App, by_query: bool) -> None:
    seqs(app, 10)
    query = "?last_event_id=6" if by_query else ""
    headers = {} if by_query else {"Last-Event-ID": "6"}
    with EventStream(app, f"/events{query}", headers) as stream:
        assert [event.seq for event in stream.take(4)] == [7, 8, 9, 10]
        publish(app, "order.x", 1)
        assert stream.next().seq == 11


def test_an_id_of_another_store_begins_at_the_first(app: App) -> None:
    seqs(app, 2)
    with EventStream(app, "/events", {"Last-Event-ID": "4711"}) as stream:
        assert [event.seq for event in stream.take(2)] == [1, 2]


def test_only_topics_that_the_route_opens_and_the_client_wants(nodey: Nodey,
                                                               tmp_path: Path) -> None:
    config = ROUTES + '[[routes]]\npath = "/all/*"\npublish = [">"]\n' + \
        eventful("shop", tmp_path / "seen", on("nothing"))
    app = nodey(config=config)
    with EventStream(app, "/events") as every, \
            EventStream(app, "/events?topic=comment.*") as some:
        for topic in ("secret.x", "order.x", "comment.a", "comment.a.b"):
            answer = httpx.post(f"http://127.0.0.1:{app.port}/all/{topic}", json=topic)
            assert answer.status_code == 202
        assert [event.data for event in every.take(3)] == ["order.x", "comment.a", "comment.a.b"]
        assert some.next().data == "comment.a"
        assert some.silent()
    assert app.get("/events?topic=secret.*").status == 403
    with EventStream(app, "/events?topic=%3E&from=first") as stream:
        assert stream.next().data == "order.x", "the pattern narrows and never widens"


def test_jobs_and_dead_letters_are_no_events_of_clients(nodey: Nodey, tmp_path: Path) -> None:
    config = '[[routes]]\npath = "/events"\nevents = [">"]\n' + \
        eventful("shop", tmp_path / "seen", on("order.*") | {"jobs": [{"queue": "order.q"}]})
    app = nodey(config=config)
    with EventStream(app, "/events?from=first") as stream:
        assert run(app.folder, "publish", "--queue", "order.q", "1").code == 0
        bad = run(app.folder, "publish", "order.bad", '{"nack": {"dead": true}}')
        assert bad.code == 0, bad
        until(lambda: "order.bad" in run(app.folder, "dead", "list").out, 10, "a dead letter")
        assert run(app.folder, "dead", "retry", "--all").code == 0
        run(app.folder, "publish", "order.good", "1")
        assert [event.topic for event in stream.take(2)] == ["order.bad", "order.good"]


def read_all(stream: EventStream, count: int, found: list[int]) -> threading.Thread:
    def read() -> None:
        found.extend(event.seq for event in stream.take(count))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def test_no_gap_and_no_double_between_the_store_and_what_comes(app: App) -> None:
    """Streams begin at any moment while much is published, each from the first on."""
    threads, streams = [], []
    lists: list[list[int]] = []
    before, total = 1500, 4500  # more than the tail holds are there before the first begins
    numbers = "\n".join(map(str, range(before)))
    assert run(app.folder, "publish", "order.n", "--lines", input=numbers).code == 0

    def publish_all() -> None:
        """In bursts, so that streams catch up and fall behind again and again."""
        process = subprocess.Popen([str(BINARY), "publish", "order.n", "--lines"], cwd=app.folder,
                                   env=environment(), stdin=subprocess.PIPE)
        assert process.stdin
        for n in range(before, total, 20):
            process.stdin.write(b"".join(b"%d\n" % i for i in range(n, n + 20)))
            process.stdin.flush()
            time.sleep(0.004 if n % 200 else 0.03)
        process.communicate(timeout=slow(20))
        assert process.returncode == 0

    writer = threading.Thread(target=publish_all)
    writer.start()
    for _ in range(8):
        stream = EventStream(app, "/events?from=first", timeout=30)
        streams.append(stream)
        lists.append([])
        threads.append(read_all(stream, total, lists[-1]))
        time.sleep(0.1)
    writer.join()
    for thread in threads:
        thread.join(slow(30))
    for stream, found in zip(streams, lists):
        assert found == list(range(1, total + 1)), (len(found), found[:3])
        assert stream.silent(0.1)
        stream.close()


def test_a_slow_client_is_not_buffered_for_and_misses_nothing(app: App) -> None:
    """It takes nothing while 100 MB are published, of which the store itself keeps some in memory."""
    size, count = 25_000, 4000
    expected = list(range(1, count + 1))
    with EventStream(app, "/events", timeout=60) as stream, \
            EventStream(app, "/events", timeout=60) as quick:
        seen: list[int] = []
        reader = read_all(quick, count, seen)
        before = app.rss()
        lines = "\n".join(json.dumps({"n": n, "pad": "x" * size}) for n in range(count))
        done = run(app.folder, "publish", "order.n", "--lines", input=lines, timeout=60)
        assert done.out == f"{count} published\n", done
        reader.join(slow(60))
        assert seen == expected, "the quick one is not held up"
        grown = app.rss() - before
        assert grown < 85 * 1024 * 1024 or app.sanitized, f"{grown} bytes for {size * count}"
        assert [event.seq for event in stream.take(count)] == expected


def test_many_clients_read_one_message(app: App) -> None:
    streams = [EventStream(app, "/events", timeout=30) for _ in range(300)]
    try:
        publish(app, "order.x", {"to": "all"})
        for stream in streams:
            assert stream.next().data == {"to": "all"}
    finally:
        for stream in streams:
            stream.close()
    publish(app, "order.x", 2)
    with EventStream(app, "/events") as stream:
        publish(app, "order.x", 3)
        assert stream.next().seq == 3, "who begins then is not given what was stored before"


class Crowd:
    """Many open streams, read together by one thread; each counts what it was given."""

    def __init__(self, app: App, count: int, path: str) -> None:
        self._selector = selectors.DefaultSelector()
        self.text: list[bytearray] = []
        request = f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n".encode()
        for n in range(count):
            connection = socket.create_connection(("127.0.0.1", app.port), slow(10))
            connection.sendall(request)
            connection.setblocking(False)
            self._selector.register(connection, selectors.EVENT_READ, n)
            self.text.append(bytearray())

    def read(self, end: bytes, seconds: float) -> None:
        """Until this is the last that each has."""
        deadline = time.monotonic() + slow(seconds)
        open_ones = {n for n, text in enumerate(self.text) if not text.endswith(end)}
        while open_ones and time.monotonic() < deadline:
            for key, _ in self._selector.select(0.1):
                assert isinstance(key.fileobj, socket.socket)
                piece = key.fileobj.recv(1 << 20)
                assert piece, f"stream {key.data} has ended"
                self.text[key.data] += piece
                if self.text[key.data].endswith(end):
                    open_ones.discard(key.data)
        assert not open_ones, f"{len(open_ones)} streams wait for more"

    def close(self) -> None:
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()


@pytest.mark.long
def test_a_thousand_clients_each_get_all_in_order(app: App) -> None:
    """One more takes nothing meanwhile: it holds up nobody, and gets all of it afterwards."""
    clients, count, size = 1000, 100, 2000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * clients)), hard))
    assert run(app.folder, "publish", "order.first", "0").code == 0
    fds, calm = app.fds(), app.rss()
    crowd = Crowd(app, clients, "/events")
    try:
        crowd.read(b"retry: 1000\n\n", 10)
        opened = app.rss() - calm
        with EventStream(app, "/events", timeout=60) as late:
            lines = "".join(f'{{"pad":"{"x" * size}","last":{n}}}\n' for n in range(count))
            assert run(app.folder, "publish", "order.n", "--lines", input=lines).code == 0
            crowd.read(f'"last":{count - 1}}}\n\n'.encode(), 20)
            grown = app.rss() - calm
            expected = list(range(2, count + 2))
            for text in crowd.text:
                _, _, body = text.partition(b"\r\n\r\n")
                assert [int(n) for n in re.findall(rb"^id: (\d+)$", body, re.M)] == expected
            assert [event.seq for event in late.take(count)] == expected
        # What each holds when it is open, and what is on its way to it: no more than some KiB.
        print(f"{clients} streams: {opened >> 10} KiB open, {grown >> 10} KiB with {count} events")
        assert app.sanitized or (opened < clients * 16384 and grown < clients * 65536), \
            (opened, grown)
    finally:
        crowd.close()
    until(lambda: app.fds() <= fds + 1, 10, "their descriptors are closed")
    publish(app, "order.x", 2)
    with EventStream(app, "/events", {"Last-Event-ID": str(count + 1)}) as stream:
        assert stream.next().data == 2


@pytest.mark.long
def test_a_silent_stream_is_kept_alive(app: App) -> None:
    with EventStream(app, "/events", timeout=25) as stream:
        assert stream.block() == ["retry: 1000"]
        began = time.monotonic()
        assert stream.block() == [":"]
        assert 10 < time.monotonic() - began < slow(20)


def test_a_client_that_leaves_is_forgotten(app: App) -> None:
    fds = app.fds()
    for _ in range(20):
        EventStream(app, "/events?from=first").close()
    seqs(app, 3)
    until(lambda: app.fds() <= fds + 1, 5, "their descriptors are closed")


def test_streams_end_with_nodey_which_does_not_wait_for_them(nodey: Nodey) -> None:
    app = nodey(config=ROUTES)
    with EventStream(app, "/events") as stream:
        began = time.monotonic()
        app.stop()
        assert time.monotonic() - began < slow(5)
        with pytest.raises(Cut, match="has ended"):
            stream.next()
            stream.next()


def test_a_route_that_is_no_more_ends_its_streams_and_others_go_on(nodey: Nodey) -> None:
    both = ROUTES + '[[routes]]\npath = "/other"\nevents = ["order.x"]\n'
    app = nodey(config=both)
    with EventStream(app, "/events") as kept, EventStream(app, "/other") as gone:
        (app.folder / "nodey.toml").write_text(ROUTES)
        assert run(app.folder, "reload").code == 0
        with pytest.raises(Cut, match="has ended"):
            gone.next()
        publish(app, "order.x", 1)
        assert kept.next().data == 1
    assert app.get("/other").status == 404


def test_head_asks_what_a_stream_would_be(app: App) -> None:
    answer = app.request("HEAD", "/events")
    assert answer.status == 200 and answer.headers["content-type"] == "text/event-stream"


def test_curl_reads_a_stream(app: App) -> None:
    seqs(app, 2)
    done = subprocess.run(["curl", "-sN", "--max-time", "1",
                           f"http://127.0.0.1:{app.port}/events?from=first"],
                          capture_output=True, text=True, timeout=slow(10), check=False)
    assert done.stdout.count("event: comment.created\n") == 2, done


PAGE = """<!doctype html><script>
const seen = [];
const source = new EventSource('/events?from=first');
source.addEventListener('comment.created', event => {
  seen.push([Number(event.lastEventId), JSON.parse(event.data).n]);
  if (seen.length === 2 || seen.length === 4)
    fetch('/publish/order.report', {method: 'POST', body: JSON.stringify(seen),
                                    headers: {'content-type': 'application/json'}});
});
</script>"""


@pytest.mark.long
def test_a_browser_resumes_by_itself_after_a_restart(nodey: Nodey) -> None:
    config = ROUTES + '[[routes]]\npath = "/*"\nroot = "public"\n'
    app = nodey(config=config, files={"public/index.html": PAGE})
    seqs(app, 2)

    def reported(count: int, app: App) -> Optional[list[Any]]:
        lines = run(app.folder, "events", "list", "order.report", "--format", "json").out
        found = [json.loads(line)["data"] for line in lines.splitlines()]
        return found[-1] if found and len(found[-1]) == count else None

    with chromium(f"http://127.0.0.1:{app.port}/"):
        until(lambda: reported(2, app), 60, "the page has seen two")
        app.stop()
        again = nodey(folder=app.folder, listen=f"127.0.0.1:{app.port}")
        seqs(again, 2)
        found = until(lambda: reported(4, again), 30, "the page has seen four") or []
    assert [n for _, n in found] == [0, 1, 0, 1]
    assert sorted({seq for seq, _ in found}) == [seq for seq, _ in found], "each once, in order"


def test_a_worker_that_hears_of_them_does_so_too(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=ROUTES + eventful("shop", seen, on("order.*", each=True)))
    with EventStream(app, "/events") as stream:
        publish(app, "order.x", 7)
        assert stream.next().data == 7
    wait_frames(seen, 1)
    assert data(frames(seen)) == [7]


# -------------------------------------------------------------- what is not there any more


SMALL = ROUTES + '[bus]\nmax_bytes = "1M"\n'


def pruned(app: App, count: int = 30) -> int:
    """Publishes more than the stream keeps; the newest that was removed."""
    assert seqs(app, count, size=100_000) == list(range(1, count + 1))
    kept = run(app.folder, "events", "list", "--format", "json").out.splitlines()
    first = int(json.loads(kept[0])["seq"])
    assert 1 < first < count
    return first - 1


def test_who_resumes_behind_what_was_removed_is_told(nodey: Nodey) -> None:
    app = nodey(config=SMALL)
    removed = pruned(app)
    gap = ["event: gap", f'data: {{"from":4,"to":{removed}}}']
    for path, headers in (("/events", {"Last-Event-ID": "3"}), ("/events?from=4", {}),
                          ("/events?last_event_id=3", {})):
        with EventStream(app, path, headers) as stream:
            assert stream.block() == ["retry: 1000"]
            assert stream.block() == [f"id: {removed}", *gap], path
            assert [e.seq for e in stream.take(30 - removed)] == list(range(removed + 1, 31))


def test_a_gap_is_told_once_and_only_to_whom_something_is_missing(nodey: Nodey) -> None:
    app = nodey(config=SMALL)
    removed = pruned(app)
    for path, first in (("/events?from=first", removed + 1), (f"/events?from={removed + 1}",
                                                              removed + 1),
                        (f"/events?last_event_id={removed}", removed + 1),
                        ("/events?from=30", 30)):
        with EventStream(app, path) as stream:
            assert stream.block() == ["retry: 1000"]
            assert stream.block()[0] == f"id: {first}", path
    app.stop()
    again = nodey(folder=app.folder)
    with EventStream(again, "/events", {"Last-Event-ID": "1"}) as stream:
        stream.block()
        assert stream.block() == [f"id: {removed}", "event: gap",
                                  f'data: {{"from":2,"to":{removed}}}'], "it is known for ever"
        assert [e.seq for e in stream.take(30 - removed)] == list(range(removed + 1, 31))
        publish(again, "order.x", 1)
        assert stream.next().seq == 31


def test_jobs_that_are_done_are_no_gap(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=SMALL + eventful("shop", seen, {"jobs": [{"queue": "q"}]}))
    (first,) = seqs(app, 1)
    for n in range(5):
        assert run(app.folder, "publish", "--queue", "q", str(n)).code == 0
    wait_frames(seen, 5)
    last = seqs(app, 1)[0]
    with EventStream(app, "/events", {"Last-Event-ID": str(first)}) as stream:
        assert stream.block() == ["retry: 1000"]
        assert stream.block()[0] == f"id: {last}"


def test_a_gap_in_one_stream_does_not_hide_the_other(nodey: Nodey) -> None:
    """What a stream of its own still has comes after the gap, and is not skipped."""
    config = SMALL + '[streams.orders]\ntopics = ["order.>"]\nmax_bytes = "10M"\n'
    app = nodey(config=config)
    kept = list(range(1, 71))  # more than is read at a time
    lines = "\n".join(map(str, kept))
    assert run(app.folder, "publish", "order.x", "--lines", input=lines).code == 0
    seqs(app, 30, size=100_000)
    first = int(json.loads(run(app.folder, "events", "list", "comment.*", "-n", "1000",
                               "--format", "json").out.splitlines()[0])["seq"])
    with EventStream(app, "/events?from=1") as stream:
        assert stream.block() == ["retry: 1000"]
        assert stream.block() == ["event: gap", f'data: {{"from":1,"to":{first - 1}}}']
        assert [e.seq for e in stream.take(71)] == [*kept, first], "and it is told once"


@pytest.mark.parametrize("query", ["", "?from=first"])
def test_who_reads_more_slowly_than_events_are_kept_is_told(nodey: Nodey, query: str) -> None:
    app = nodey(config=ROUTES + '[bus]\nmax_bytes = "1M"\n')
    assert seqs(app, 1) == [1]
    with EventStream(app, f"/events{query}", timeout=30) as stream:
        assert stream.block() == ["retry: 1000"]
        if query:
            assert stream.next().seq == 1
        count, size = 3001, 10_000
        text = "\n".join(json.dumps({"n": n, "pad": "x" * size}) for n in range(1, count))
        assert run(app.folder, "publish", "order.n", "--lines", input=text, timeout=60).code == 0
        last, gaps = 1, 0
        while last < count:
            fields = dict(line.split(": ", 1) for line in stream.block())
            if fields["event"] == "gap":
                gap = json.loads(fields["data"])
                assert gap["from"] == last + 1 and gap["to"] > last, (gap, last)
                last, gaps = gap["to"], gaps + 1
            else:
                assert int(fields["id"]) == last + 1
                last += 1
        assert last == count and gaps >= 1


def test_commands_say_what_is_not_there_any_more(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=SMALL + eventful("shop", seen, on("comment.*")))
    removed = pruned(app)
    said = f"from #4 to #{removed} is not there any more"
    for words in (("list", "--from", "4"), ("tail", "--from", "4", "-n", "1")):
        done = run(app.folder, "events", *words)
        assert done.code == 0 and said in done.err, done
        assert done.out.splitlines()[0].split()[1] == f"#{removed + 1}"
    done = run(app.folder, "events", "list", "--from", "4", "-n", "1", "--format", "json")
    gap, event = map(json.loads, done.out.splitlines())
    assert gap == {"gap": {"from": 4, "to": removed}} and event["seq"] == removed + 1
    assert not run(app.folder, "events", "list", "--from", "first").err
    done = run(app.folder, "events", "replay", "shop", "--from", "4")
    assert done.code == 0 and said in done.err and done.out == "shop begins anew at 4\n", done
    done = run(app.folder, "events", "replay", "shop", "--from", "4", "--format", "json")
    assert json.loads(done.out) == {"done": True, "gap": {"from": 4, "to": removed}}
    for start in ("first", str(removed + 1)):
        assert not run(app.folder, "events", "replay", "shop", "--from", start).err
