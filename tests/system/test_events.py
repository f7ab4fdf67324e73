"""Events and jobs from end to end: workers that speak the protocol by hand, and the real store."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any, Callable

import pytest

from app import App
from command import run
from eventful import (data, enqueue, entries, eventful, frames, job, on, publish, send,
                      wait_frames)
from timing import slow, until

Nodey = Callable[..., App]
# Handlers that hang do not hold up the end.
BRIEF = '\n[server]\nshutdown_timeout = "1s"\n'


def settled(journal: Path, count: int, seconds: float = 0.3) -> list[dict[str, Any]]:
    """The events, after a time in which more would have come."""
    wait_frames(journal, count)
    time.sleep(seconds)
    return frames(journal)


# ------------------------------------------------------------------ the way of one event


def test_what_is_published_is_stored_and_then_handled(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=eventful("shop", seen, on("order.*")))
    seq = publish(app, "shop", "order.created", {"id": 1}, key="o1", msgid="m1",
                  headers={"tenant": "x"})
    (event,) = settled(seen, 1)
    assert seq == 1 and event["seq"] == seq
    assert event["topic"] == "order.created" and event["group"] == "shop"
    assert event["key"] == "o1" and event["msgid"] == "m1" and event["attempt"] == 1
    assert event["headers"] == {"tenant": "x"} and event["data"] == {"id": 1}
    assert abs(event["time"] / 1000 - time.time()) < slow(10)
    assert event["traceparent"].startswith("00-") and "last" not in event
    assert list(event)[-1] == "data"


def test_the_effective_durability_is_told(nodey: Nodey, tmp_path: Path) -> None:
    app = nodey(config=eventful("shop", tmp_path / "seen", on("a")))
    app.wait_log(r"events and jobs: sqlite \S+, durable at fsync, in \.nodey/bus")
    os_app = nodey(config="[bus]\ndurability = \"os\"\n" + eventful("shop", tmp_path / "s2"))
    os_app.wait_log("durable at os, in")


def test_who_uses_no_events_has_no_store(nodey: Nodey, tmp_path: Path) -> None:
    app = nodey(config=eventful("shop", tmp_path / "seen"))
    assert app.get("/shop/pid").status == 200
    assert "events and jobs" not in app.log()
    assert not (app.folder / ".nodey" / "bus").exists()


def test_the_first_publish_opens_the_store(nodey: Nodey, tmp_path: Path) -> None:
    app = nodey(config=eventful("shop", tmp_path / "seen"))
    assert publish(app, "shop", "a.b", 1) == 1
    assert publish(app, "shop", "a.b", 2) == 2
    assert (app.folder / ".nodey" / "bus").is_dir()


DATA = ['{"n":12345678901234567890123, "b" : [1.10, 1e400 ,-0],"a":{}}',
        '{"ä":"\\u00e4 \U0001F600","z":1,"a":2,"a":3}', '"\\ud83d\\ude00\\/"', "null", "[]",
        '{"deep":' + "[" * 40 + "]" * 40 + "}"]


@pytest.mark.parametrize("text", DATA)
def test_the_bytes_of_data_are_kept(nodey: Nodey, tmp_path: Path, text: str) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=eventful("shop", seen, on("a", each=True) | job("q")))
    app.post("/shop/write", b'{"type":"publish","topic":"a","data":' + text.encode() + b"}")
    app.post("/shop/write", b'{"data":' + text.encode() + b',"type":"publish","queue":"q"}')
    wait_frames(seen, 2)
    lines = [e["line"] for e in entries(seen) if e["frame"].get("type") == "event"]
    assert [line[line.index('"data":') + 7:-1] for line in lines] == [text, text]


def test_large_data_comes_as_a_file(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=eventful("shop", seen, on("big")))
    text = json.dumps({"ms": 0, "x": "ü" * 200_000}, ensure_ascii=False)
    app.post("/shop/write", b'{"type":"publish","topic":"big","data":' + text.encode() + b"}")
    (event,) = settled(seen, 1)
    assert "data" not in event
    assert event["size"] == len(text.encode())
    assert Path(event["file"]).read_bytes() == text.encode()


def test_a_publisher_without_an_id_gets_no_answer(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=eventful("shop", seen, on("a")))
    app.post("/shop/write", b'{"type":"publish","topic":"a","data":1}')
    settled(seen, 1)
    assert not frames(seen, "ack")


# ------------------------------------------------------------------------- who gets what


def test_each_group_gets_each_event_once(nodey: Nodey, tmp_path: Path) -> None:
    mail, search = tmp_path / "mail", tmp_path / "search"
    app = nodey(config=eventful("mail", mail, on("user.*"), instances=2) +
                eventful("search", search, on("user.>")))
    for n in range(20):
        publish(app, "mail", "user.joined", n)
    assert sorted(data(settled(mail, 20))) == list(range(20))
    assert sorted(data(settled(search, 20))) == list(range(20))
    assert {f["group"] for f in frames(mail)} == {"mail"}


def test_one_pool_may_have_several_groups(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    ready = {"subscribe": [{"topic": "a", "group": "one"}, {"topic": "a", "group": "two"},
                           {"topic": "b", "group": "two"}]}
    app = nodey(config=eventful("shop", seen, ready))
    publish(app, "shop", "a")
    publish(app, "shop", "b")
    found = sorted((f["group"], f["topic"]) for f in settled(seen, 3))
    assert found == [("one", "a"), ("two", "a"), ("two", "b")]


def test_workers_of_a_pool_compete(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=eventful("shop", seen, on("a", max=1), instances=3))
    app.wait_workers(3, "shop")
    for n in range(12):
        publish(app, "shop", "a", {"n": n, "ms": 60})
    events = settled(seen, 12)
    assert sorted(f["data"]["n"] for f in events) == list(range(12))
    assert len({e["pid"] for e in entries(seen) if e["frame"].get("type") == "event"}) == 3


def test_no_instance_has_more_than_its_max(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=eventful("shop", seen, on("a", max=3)) + BRIEF)
    for n in range(7):
        publish(app, "shop", "a", {"hang": True})
    assert len(settled(seen, 3)) == 3
    assert app.get("/shop/pid").status == 200, "requests go on"


def test_two_pools_of_one_group_are_a_mistake_that_is_told(nodey: Nodey, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    app = nodey(config=eventful("one", one, on("a", group="g")) +
                eventful("two", two, on("a", group="g")))
    first = app.wait_log(r'group "g" is handled by (one|two) already').group(1)
    handles, idles = (one, two) if first == "one" else (two, one)
    publish(app, "two", "a")
    assert len(settled(handles, 1)) == 1 and not frames(idles)


def test_every_instance_hears_what_it_wants_each_of(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=eventful("gate", seen, on("user.*", each=True), instances=3))
    app.wait_workers(3, "gate")
    until(lambda: len(app.worker_pids("gate")) == 3, 5, "three are there")
    time.sleep(slow(0.3))
    publish(app, "gate", "user.left", {"user": 7})
    publish(app, "gate", "other.thing")
    found = settled(seen, 3)
    assert len(found) == 3 and all("id" not in f and f["data"] == {"user": 7} for f in found)
    pids = {e["pid"] for e in entries(seen) if e["frame"].get("type") == "event"}
    assert pids == set(app.worker_pids("gate"))


# --------------------------------------------------------------------------------- order


def test_one_key_is_handled_in_order_and_one_at_a_time(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=eventful("shop", seen, on("a", backoff=[30]), instances=2))
    rng = random.Random(7)
    for n in range(60):
        key = f"k{n % 4}"
        publish(app, "shop", "a", {"n": n, "ms": rng.choice([0, 5, 30]),
                                   "until": 2 if n % 13 == 0 else 0}, key=key)
    events = settled(seen, 60 + 5, 0.5)
    assert len(events) == 65, "each of the five that fail once comes twice"
    for key in range(4):
        numbers = [f["data"]["n"] for f in events if f["key"] == f"k{key}"]
        unique = sorted(set(numbers))
        assert unique == [n for n in range(60) if n % 4 == key]
        assert numbers == sorted(numbers), "a later one came before an earlier one was done"
    assert_alone(entries(seen))


def assert_alone(found: list[dict[str, Any]]) -> None:
    """By the worker's own clock: the next of a key comes after the one before has had its time."""
    ends: dict[str, float] = {}
    for entry in found:
        frame = entry["frame"]
        if frame.get("type") != "event":
            continue
        assert entry["at"] >= ends.get(frame["key"], 0) - 0.002, frame
        ends[frame["key"]] = entry["at"] + frame["data"]["ms"] / 1000


def test_without_a_key_nobody_waits(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=eventful("shop", seen, on("a")) + BRIEF)
    publish(app, "shop", "a", {"hang": True})
    publish(app, "shop", "a", {"n": 2})
    publish(app, "shop", "a", {"hang": True}, key="k")
    publish(app, "shop", "a", {"n": 4}, key="k")
    publish(app, "shop", "a", {"n": 5}, key="other")
    found = settled(seen, 4)
    assert [f["data"].get("n") for f in found] == [None, 2, None, 5]


# ------------------------------------------------------------------------------ failing


def test_what_fails_is_tried_again_and_then_a_dead_letter(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=eventful("shop", seen, on("a", attempts=3, backoff=[100, 200])))
    publish(app, "shop", "a", {"nack": {"error": {"name": "Broken", "message": "no such file",
                                                  "stack": "at line 1"}}})
    events = settled(seen, 3, 0.5)
    assert [f["attempt"] for f in events] == [1, 2, 3]
    assert [f.get("last", False) for f in events] == [False, False, True]
    assert len({f["id"] for f in events}) == 3 and len({f["seq"] for f in events}) == 1
    at = [e["at"] for e in entries(seen) if e["frame"].get("type") == "event"]
    assert 0.085 <= at[1] - at[0] < slow(1) and 0.17 <= at[2] - at[1] < slow(1)
    app.wait_log(r"dead letter: a #1, group shop, after 3 attempts: Broken: no such file")


def test_a_failure_is_told_once_and_a_dead_letter_with_its_cure(
        nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=eventful("shop", seen, on("a", attempts=2, backoff=[10]) |
                                job("q", attempts=1)))
    error = {"name": "Broken", "message": "no \"such\" file"}
    publish(app, "shop", "a", {"nack": {"error": error}}, msgid="m1")
    line = r"dead letter: a #1, id m1, group shop, after 2 attempts: Broken: no \\?\"such\\?\" file; "
    app.wait_log(line + r"once it is mended: nodey dead retry 2\b")
    enqueue(app, "shop", "q", {"error": "out of cheese"})
    app.wait_log(r"dead letter: job q #3, group q, after 1 attempt: \w+: out of cheese; once it is "
                 r"mended: nodey dead retry 4\b")
    assert "attempt 1 failed" not in app.log(), "the worker tells what its handlers threw"
    assert len(settled(seen, 3)) == 3
    done = run(app.folder, "dead", "retry", "2")
    assert done.code == 0, done
    assert len(settled(seen, 4)) >= 4, "that was the number of the letter"


def test_what_a_worker_cannot_tell_itself_is_told(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=eventful("shop", seen, on("*", timeout=200, attempts=5, backoff=[10])))
    publish(app, "shop", "late", {"obey": True})
    app.wait_log(r"warn.*late #1, group shop: attempt 1 failed: Timeout: it was not handled within")
    publish(app, "shop", "deadly", {"die": 2})
    app.wait_log(r"warn.*deadly #2, group shop: attempt 1 failed: WorkerExit: ")
    publish(app, "shop", "silent", {"line": '{"type":"nack","id":ID}'})
    app.wait_log(r"warn.*silent #3, group shop: attempt 1 failed: it was refused without a reason")


def test_in_the_debug_log_each_attempt_is_told(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config="[server]\nlog_level = \"debug\"\n\n" +
                eventful("shop", seen, on("a", attempts=2, backoff=[10])))
    publish(app, "shop", "a", {"nack": {"error": {"name": "Broken", "message": "no file"}}})
    app.wait_log(r"debug.*a #1, group shop: attempt 1 failed: Broken: no file")


def test_a_nack_may_say_when_and_that_it_is_no_use(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=eventful("shop", seen, on("a", attempts=2, backoff=[60000])))
    publish(app, "shop", "a", {"nack": {"delay": 150}})
    publish(app, "shop", "a", {"nack": {"dead": True, "error": {"message": "bad image"}}})
    events = settled(seen, 3)
    assert [f["seq"] for f in events] == [1, 2, 1]
    app.wait_log(r"dead letter: a #2, group shop, after 1 attempt: .*bad image")
    app.wait_log(r"dead letter: a #1, group shop, after 2 attempts")


def test_an_error_frame_is_a_nack(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=eventful("shop", seen, on("a", attempts=2, backoff=[10])))
    publish(app, "shop", "a", {"error": "out of cheese"})
    assert len(settled(seen, 2)) == 2
    app.wait_log(r"dead letter: a #1, .*out of cheese")


def test_its_time_is_over(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=eventful("shop", seen, on("a", timeout=200, attempts=2, backoff=[50])))
    publish(app, "shop", "a", {"obey": True})
    events = settled(seen, 2, 0.5)
    assert len(events) == 2 and events[0]["timeout"] == 200
    (first, _) = wait_frames(seen, 2, "cancel")
    assert first["id"] == events[0]["id"] and first["reason"] == "timeout"
    app.wait_log(r"dead letter: a #1, .*Timeout: it was not handled within 200 ms")


def test_a_late_answer_to_an_older_attempt_is_ignored(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=eventful("shop", seen, on("a", timeout=100, attempts=3, backoff=[10])))
    publish(app, "shop", "a", {"ms": 400})  # Each attempt's ack comes after its time.
    settled(seen, 3, 1)
    app.wait_log(r"dead letter: a #1, group shop, after 3 attempts")
    assert "an answer to nothing" not in app.log()
    assert publish(app, "shop", "b") > 0


def test_progress_gives_it_its_whole_time_again(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=eventful("shop", seen, on("a", timeout=int(slow(300)))))
    publish(app, "shop", "a", {"progress": 5, "ms": int(slow(100))})
    time.sleep(slow(0.8))
    assert len(frames(seen)) == 1 and not frames(seen, "cancel")
    assert "dead letter" not in app.log()


def test_one_at_a_time_that_does_not_answer_is_replaced(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    ready = {**on("a", timeout=200, attempts=2, backoff=[10]), "concurrency": 1}
    app = nodey(config=eventful("shop", seen, ready, kill_after="200ms",
                                stop_grace_period="300ms"))
    publish(app, "shop", "a", {"hang": True})
    app.wait_log("does not answer, long after the deadline", 10)
    wait_frames(seen, 2, seconds=10)
    assert len({e["pid"] for e in entries(seen) if e["frame"].get("type") == "event"}) == 2


# ---------------------------------------------------------------------------- dying


def test_a_worker_that_dies_gives_back_what_it_had(nodey: Nodey, tmp_path: Path) -> None:
    """D9: at once, by another one."""
    seen = tmp_path / "seen"
    app = nodey(config=eventful("shop", seen, on("a", max=1), instances=2))
    app.wait_workers(2, "shop")
    time.sleep(slow(0.3))
    publish(app, "shop", "a", {"die": 2})
    events = settled(seen, 2)
    assert [f["attempt"] for f in events] == [1, 2]
    at = [e["at"] for e in entries(seen) if e["frame"].get("type") == "event"]
    print(f"D9: redelivered {1000 * (at[1] - at[0]):.1f} ms after it was given to who died")
    assert at[1] - at[0] < slow(1)
    app.wait_log(r"killed by signal 9 .*while it worked on event a #1")


def test_sixteen_in_flight_come_again_and_one_poison_harms_no_neighbour(
        nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=eventful("shop", seen, on("a", max=16, attempts=3, backoff=[20]),
                                instances=2))
    app.wait_workers(2, "shop")
    time.sleep(slow(0.3))
    for n in range(15):
        publish(app, "shop", "a", {"n": n, "ms": int(slow(700))})
    publish(app, "shop", "a", {"die": True})
    app.wait_log(r"dead letter: a #16, group shop, after 3 attempts: WorkerExit", 30)
    assert "dead letter: a #1," not in app.log()
    until(lambda: len({f["seq"] for f in frames(seen)}) == 16, 10, "all came")
    time.sleep(slow(1))
    assert app.log().count("dead letter") == 1


def test_the_supervisor_is_killed_and_all_that_was_acked_is_there(
        nodey: Nodey, tmp_path: Path) -> None:
    """D1 in little: acknowledged, and not handled."""
    seen = tmp_path / "seen"
    first = nodey(config=eventful("shop", tmp_path / "none"))
    stored = [publish(first, "shop", "a", n, msgid=f"m{n}") for n in range(50)]
    first.kill()
    app = nodey(folder=first.folder, config=eventful("shop", seen, on("a", **{"from": "first"})))
    events = settled(seen, 50)
    assert [f["seq"] for f in events] == stored and data(events) == list(range(50))
    again = send(app, "shop", {"type": "publish", "topic": "a", "msgid": "m7"})
    assert again["duplicate"] is True and again["seq"] == stored[7]


def test_what_was_under_way_at_a_kill_comes_again(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    config = eventful("shop", seen, on("a"))
    first = nodey(config=config)
    for n in range(5):
        publish(first, "shop", "a", {"hang": True, "n": n})
    publish(first, "shop", "a", {"n": 5})
    wait_frames(seen, 6)
    time.sleep(slow(0.3))  # The ack of the last one is stored.
    first.kill()
    second = nodey(folder=first.folder, config=config)
    events = wait_frames(seen, 11)
    assert sorted(f["data"]["n"] for f in events[6:]) == [0, 1, 2, 3, 4]
    second.exit_code = None
    second.kill()


def test_a_stop_waits_for_handlers_and_gives_the_rest_back(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    config = "[server]\nshutdown_timeout = \"2s\"\n\n" + \
        eventful("shop", seen, on("a", attempts=1), stop_grace_period="300ms")
    first = nodey(config=config)
    publish(first, "shop", "a", {"ms": 300, "n": 1})
    publish(first, "shop", "a", {"hang": True, "n": 2})
    wait_frames(seen, 2)
    first.stop()
    assert "dead letter" not in first.log()
    app = nodey(folder=first.folder, config=config)
    events = settled(seen, 3)
    assert [(f["data"]["n"], f["attempt"]) for f in events] == [(1, 1), (2, 1), (2, 1)]
    app.exit_code = None
    app.kill()


# ------------------------------------------------------------------------- time and dedupe


def test_a_delay_is_never_short(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=eventful("shop", seen, job("q")))
    begun = time.time()
    send(app, "shop", {"type": "publish", "queue": "q", "delay": 400, "data": {"n": 1}})
    send(app, "shop", {"type": "publish", "queue": "q", "at": int(begun * 1000) + 200,
                       "data": {"n": 2}})
    enqueue(app, "shop", "q", {"n": 3})
    events = settled(seen, 3)
    assert [f["data"]["n"] for f in events] == [3, 2, 1]
    assert all(f["queue"] == "q" and "topic" not in f and f["group"] == "q" for f in events)
    at = {e["frame"]["data"]["n"]: e["at"] for e in entries(seen)
          if e["frame"].get("type") == "event"}
    assert at[1] - begun >= 0.4 and at[2] - begun >= 0.2


def test_one_msgid_is_stored_once(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=eventful("shop", seen, on("a")))
    first = send(app, "shop", {"type": "publish", "topic": "a", "msgid": "x", "data": 1})
    second = send(app, "shop", {"type": "publish", "topic": "a", "msgid": "x", "data": 2})
    assert "duplicate" not in first and second["duplicate"] is True
    assert second["seq"] == first["seq"]
    assert data(settled(seen, 1)) == [1]


# -------------------------------------------------------------------------------- outputs


def test_what_is_published_with_the_ack_belongs_to_the_story(
        nodey: Nodey, tmp_path: Path) -> None:
    seen, after = tmp_path / "seen", tmp_path / "after"
    app = nodey(config=eventful("shop", seen, on("a")) + eventful("next", after, on("b.*")))
    publish(app, "shop", "a", {"out": [{"topic": "b.one", "data": 1},
                                       {"topic": "b.two", "key": None, "data": 2},
                                       {"topic": "b.three", "key": "other", "data": 3}]},
            key="k", msgid="first")
    one, two, three = sorted(settled(after, 3), key=lambda f: str(f["data"]))
    (source,) = frames(seen)
    for event in (one, two, three):
        assert event["cause"] == "first" and event["correlation"] == "first"
        assert event["traceparent"][:35] == source["traceparent"][:35]
        assert event["traceparent"] != source["traceparent"]
    assert one["key"] == "k" and "key" not in two and three["key"] == "other"


def test_outputs_are_all_stored_or_none(nodey: Nodey, tmp_path: Path) -> None:
    seen, after = tmp_path / "seen", tmp_path / "after"
    app = nodey(config=eventful("shop", seen, on("a", attempts=1)) +
                eventful("next", after, on("b.>")))
    publish(app, "shop", "a", {"out": [{"topic": "b.one"}, {"topic": "b..two"}]})
    app.wait_log(r"dead letter: a #1, .*InvalidPublish: what it published with its ack is "
                 r"refused: ")
    assert not frames(after)


def test_what_is_published_for_an_event_names_its_cause(nodey: Nodey, tmp_path: Path) -> None:
    seen, after = tmp_path / "seen", tmp_path / "after"
    app = nodey(config=eventful("shop", seen, on("a")) + eventful("next", after, on("b")))
    seq = publish(app, "shop", "a", {"now": {"topic": "b"}}, key="k")
    (event,) = settled(after, 1)
    assert event["cause"] == str(seq) and event["correlation"] == str(seq)
    assert "key" not in event


def test_the_trace_of_a_request_goes_on(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=eventful("shop", seen, {**on("a"), "concurrency": 1}))
    trace = "0af7651916cd43dd8448eb211c80319c"
    response = app.request("POST", "/shop/send", b'{"type":"publish","topic":"a"}',
                           {"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    assert json.loads(response.text)["type"] == "ack"
    (event,) = settled(seen, 1)
    assert event["traceparent"][3:35] == trace and "b7ad6b7169203331" not in event["traceparent"]


# -------------------------------------------------------------------------------- replay


def test_a_group_begins_again_where_it_is_told_to(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=eventful("shop", seen, on("a")))
    seqs = [publish(app, "shop", "a", {"n": n}) for n in range(5)]
    settled(seen, 5)
    found = send(app, "shop", {"type": "seek", "group": "shop", "to": {"seq": seqs[3]}})
    assert found["type"] == "ack"
    assert [f["data"]["n"] for f in settled(seen, 7)][5:] == [3, 4]
    send(app, "shop", {"type": "seek", "group": "", "to": "first"})
    assert [f["data"]["n"] for f in settled(seen, 12)][7:] == [0, 1, 2, 3, 4]
    found = send(app, "shop", {"type": "seek", "group": "nobody", "to": "first"})
    assert found["type"] == "error" and 'there is no group "nobody"' in found["message"]


def test_a_new_group_may_begin_at_the_first(nodey: Nodey, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    first = nodey(config=eventful("shop", old, on("a")))
    for n in range(3):
        publish(first, "shop", "a", n)
    settled(old, 3)
    first.stop()
    app = nodey(folder=first.folder, config=eventful("shop", old, on("a")) +
                eventful("late", new, on("a", **{"from": "first"})) +
                eventful("later", tmp_path / "newer", on("a")))
    assert data(settled(new, 3)) == [0, 1, 2]
    publish(app, "shop", "a", 3)
    assert data(settled(tmp_path / "newer", 1)) == [3]
    assert data(settled(old, 4)) == [0, 1, 2, 3]


# --------------------------------------------------------------------------- what is wrong


BAD_FRAMES = [({"topic": "a..b"}, "invalid_argument"), ({"topic": "a.*"}, "invalid_argument"),
              ({"queue": ""}, "invalid_argument"), ({"topic": "a", "queue": "b"},
                                                    "invalid_argument"),
              ({}, "invalid_argument"), ({"topic": "a", "key": 5}, "invalid_argument"),
              ({"topic": "a", "key": "x" * 201}, "invalid_argument"),
              ({"topic": "a", "headers": {"a": 1}}, "invalid_argument"),
              ({"topic": "a", "delay": -5}, "invalid_argument"),
              ({"topic": "x" * 256}, "invalid_argument")]


def test_what_cannot_be_published_is_refused_with_a_reason(nodey: Nodey, tmp_path: Path) -> None:
    app = nodey(config=eventful("shop", tmp_path / "seen"))
    for members, code in BAD_FRAMES:
        found = send(app, "shop", {"type": "publish", **members})
        assert found["type"] == "error" and found["code"] == code, (members, found)
        assert len(found["message"]) > 10, found
    assert publish(app, "shop", "fine") == 1, "and nothing of it was stored"


@pytest.mark.parametrize("line", ['{"type":"ack","id":ID,"publish":{}}',
                                  '{"type":"nack","id":ID,"delay":"5s"}',
                                  '{"id":ID,"body":"done"}',
                                  '{"type":"answer","id":ID,"value":1}'])
def test_a_malformed_answer_is_an_attempt(nodey: Nodey, tmp_path: Path, line: str) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=eventful("shop", seen, on("a", attempts=2, backoff=[10])))
    publish(app, "shop", "a", {"line": line})
    settled(seen, 2)
    app.wait_log(r"dead letter: a #1, .*after 2 attempts: ProtocolError: worker shop ")
    assert publish(app, "shop", "b") > 0, "it lives"


def test_answers_to_nothing_are_ignored(nodey: Nodey, tmp_path: Path) -> None:
    app = nodey(config=eventful("shop", tmp_path / "seen", on("a")))
    for line in ('{"type":"ack","id":99999}', '{"type":"nack","id":99999}',
                 '{"type":"progress","id":99999}'):
        app.post("/shop/write", line.encode())
    assert publish(app, "shop", "b") > 0
    assert "99999" not in app.log()


def test_a_full_stream_refuses_and_loses_nothing(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    config = '[streams.small]\ntopics = ["big.*"]\nmax_bytes = "1M"\n\n'
    app = nodey(config=config + eventful("shop", seen, on("big.*", max=1)))
    text = "x" * 50_000
    stored, refused = 0, {}
    for n in range(40):
        found = send(app, "shop", {"type": "publish", "topic": "big.one",
                                   "data": {"hang": True, "x": text}})
        if found["type"] == "error":
            refused = found
            break
        stored += 1
    assert refused["code"] == "resource_exhausted" and stored >= 10, (stored, refused)
    assert publish(app, "shop", "small.other") > 0, "other streams go on"
    app.exit_code = None
    app.kill()


def test_bad_subscriptions_are_told_at_the_start(nodey: Nodey, tmp_path: Path) -> None:
    app = nodey(config=eventful("shop", tmp_path / "seen", on("a.>.b"), max_restarts=2),
                wait=False)
    app.wait_log(r'ready: a subscription\'s topic is "a\.>\.b"; it must be a topic such as')


def test_a_store_of_somebody_else_is_not_touched(nodey: Nodey, tmp_path: Path) -> None:
    first = nodey(config="[bus]\n\n" + eventful("shop", tmp_path / "seen"))
    publish(first, "shop", "a")
    second = nodey(folder=first.folder, wait=False, exit_code=1)
    assert second.wait_exit() == 1
    assert publish(first, "shop", "a") == 2


# ------------------------------------------------------------------------------- growing


def test_a_pool_grows_with_what_waits_and_shrinks_again(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    ready = {**job("q", max=1), "concurrency": 2}
    config = eventful("shop", seen, ready, scale_idle="1s")
    config = config.replace("instances = 1\n", "instances = { min = 1, max = 3 }\n")
    app = nodey(config=config)
    for n in range(30):
        enqueue(app, "shop", "q", {"ms": 600})
    app.wait_log(r"1 -> \d instances: \d+ messages wait", 20)
    wait_frames(seen, 30, seconds=60)
    app.wait_log(r"-> 1 instance: one was not needed", 30)


def test_a_changed_program_goes_on_with_its_group(nodey: Nodey, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    app = nodey(config=eventful("shop", one, on("a")))
    publish(app, "shop", "a", 1)
    settled(one, 1)
    (app.folder / "nodey.toml").write_text(eventful("shop", two, on("a")))
    os.kill(app.pid, 1)
    until(lambda: "ended" in app.log() or frames(two, "hello"), 15, "it is renewed")
    publish(app, "shop", "a", 2)
    assert data(settled(two, 1)) == [2]
    assert data(frames(one)) == [1]
