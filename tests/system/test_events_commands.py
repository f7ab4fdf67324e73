"""nodey publish, events, jobs, lag, dead and bus, and what ps and describe say of events."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any, Callable

import pytest

from app import BINARY, ROOT, App
from command import Done, Terminal, environment, run
from eventful import data, eventful, frames, job, on, wait_frames
from timing import slow, until

Nodey = Callable[..., App]
pytestmark = pytest.mark.outside


SOON = '[server]\nshutdown_timeout = "1500ms"\n'  # some of the workers here do not let go
BARE = '[[routes]]\npath = "/events"\nevents = [">"]\n'


def lines(done: Done) -> list[Any]:
    assert done.code == 0, done
    return [json.loads(line) for line in done.out.splitlines()]


def good(done: Done) -> str:
    assert done.code == 0 and not done.err, done
    return done.out


def rows(text: str) -> list[list[str]]:
    """A table without its titles."""
    return [line.split() for line in text.splitlines()[1:]]


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    return tmp_path / "seen"


@pytest.fixture
def shop(nodey: Nodey, seen: Path) -> App:
    """A pool that handles order.* and the queue thumb."""
    ready = on("order.*", attempts=2, backoff=[50]) | job("thumb", max=1, attempts=1)
    return nodey(config=SOON + eventful("shop", seen, ready))


@pytest.fixture
def bare(nodey: Nodey) -> App:
    """Events are configured, and nobody handles any."""
    return nodey(config=BARE)


# ---------------------------------------------------------------------------- publish


def test_publish_says_the_number_and_a_worker_gets_it(shop: App, seen: Path) -> None:
    assert good(run(shop.folder, "publish", "order.created", '{"id": 7}', "--key", "k")) == \
        "order.created 1\n"
    (event,) = wait_frames(seen, 1)
    assert event["data"] == {"id": 7} and event["key"] == "k" and event["topic"] == "order.created"


def test_publish_with_an_id_is_done_once(bare: App) -> None:
    assert good(run(bare.folder, "publish", "a.b", "1", "--id", "x")) == "a.b 1\n"
    assert good(run(bare.folder, "publish", "a.b", "1", "--id", "x")) == \
        "a.b 1 (it was published before)\n"
    again = run(bare.folder, "publish", "a.b", "1", "--id", "x", "--format", "json")
    assert lines(again) == [{"seq": 1, "duplicate": True}]


def test_publish_takes_data_from_stdin_and_files(bare: App) -> None:
    (bare.folder / "data.json").write_text('{"from": "file"}\n')
    good(run(bare.folder, "publish", "a.b", "-", input='{\n "from": "stdin"\n}\n'))
    good(run(bare.folder, "publish", "a.b", "@data.json"))
    good(run(bare.folder, "publish", "a.b"))
    found = lines(run(bare.folder, "events", "list", "--format", "json"))
    assert data(found) == [{"from": "stdin"}, {"from": "file"}, None]
    assert {event["origin"] for event in found} == {"cli"}


def test_a_job_goes_to_one_worker(shop: App, seen: Path) -> None:
    assert good(run(shop.folder, "publish", "--queue", "thumb", "[1]")) == "thumb 1\n"
    (event,) = wait_frames(seen, 1)
    assert event["queue"] == "thumb" and event["data"] == [1]


def test_a_delay_is_waited_for(shop: App, seen: Path) -> None:
    began = time.time()
    assert good(run(shop.folder, "publish", "--queue", "thumb", "1", "--delay", "700ms")) == \
        "thumb later\n"
    assert table(run(shop.folder, "jobs"))[0]["DELAYED"] == "1"
    assert "1 events and jobs delayed" in good(run(shop.folder, "lag"))
    wait_frames(seen, 1)
    assert time.time() - began >= 0.7
    at = run(shop.folder, "publish", "order.x", "2", "--at", "2031-01-01T00:00:00Z")
    assert good(at) == "order.x later\n"
    past = run(shop.folder, "publish", "order.x", "3", "--at", "2021-01-01T00:00:00Z")
    assert good(past).startswith("order.x "), "what lies in the past is now"
    assert data(wait_frames(seen, 2)) == [1, 3]


def test_lines_publish_many_in_order(bare: App) -> None:
    text = "\n".join(json.dumps({"n": n}) for n in range(2000)) + "\n\n"
    assert good(run(bare.folder, "publish", "row.x", "--lines", input=text)) == "2000 published\n"
    found = lines(run(bare.folder, "events", "list", "-n", "2000", "--format", "json"))
    assert [event["data"]["n"] for event in found] == list(range(2000))
    assert [event["seq"] for event in found] == list(range(1, 2001))


def test_lines_are_published_as_they_come(bare: App) -> None:
    process = subprocess.Popen([str(BINARY), "publish", "row.x", "--lines"], cwd=bare.folder,
                               env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(b"1\n")
    process.stdin.flush()
    until(lambda: run(bare.folder, "events", "list").out, 10, "the first is stored")
    out, _ = process.communicate(b"2", timeout=slow(10))
    assert out == b"2 published\n" and process.returncode == 0


def test_a_bad_line_is_named(bare: App) -> None:
    done = run(bare.folder, "publish", "row.x", "--lines", input="1\n2\n{x\n4\n")
    assert done.code == 1 and "record 3" in done.err and "column 2" in done.err, done


@pytest.mark.parametrize("words, code, said", [
    ((), 2, "needs a topic"),
    (("a.b", "{x"), 1, "DATA: it is no JSON: line 1, column 2"),
    (("a..b", "1"), 1, 'topic "a..b"'),
    (("a.*", "1"), 1, 'topic "a.*"'),
    (("a", "1", "--delay", "soon"), 2, "--delay is a time"),
    (("a", "1", "--at", "soon"), 2, '"soon" is no time'),
    (("a", "1", "--at", "18:40", "--delay", "1s"), 2, "one must go"),
    (("a", "1", "--key", "k" * 201), 1, "the key has 201 bytes"),
    (("a", "@nothing"), 1, "nothing: No such file"),
    (("a", "--lines", "--id", "x"), 2, "--id is of one"),
])
def test_what_cannot_be_published(bare: App, words: tuple[str, ...], code: int,
                                  said: str) -> None:
    done = run(bare.folder, "publish", *words)
    assert (done.code, said in done.err, done.out) == (code, True, ""), done


def test_the_first_publish_makes_the_store(nodey: Nodey, seen: Path) -> None:
    app = nodey(config=eventful("shop", seen))
    assert "no store yet" in good(run(app.folder, "bus"))
    assert good(run(app.folder, "events", "list")) == ""
    assert rows(good(run(app.folder, "lag"))) == []
    assert rows(good(run(app.folder, "dead", "list"))) == []
    assert not (app.folder / ".nodey" / "bus").exists(), "looking makes none"
    good(run(app.folder, "publish", "a.b", "1"))
    assert (app.folder / ".nodey" / "bus").exists()


# ----------------------------------------------------------------------------- events


def test_events_list(bare: App) -> None:
    for n in range(25):
        good(run(bare.folder, "publish", f"t.{'even' if n % 2 == 0 else 'odd'}", str(n)))
    found = good(run(bare.folder, "events", "list")).splitlines()
    assert len(found) == 20 and "#6 t.odd 5" in found[0] and "#25 t.even 24" in found[-1]
    odd = good(run(bare.folder, "events", "list", "*.odd", "-n", "2")).splitlines()
    assert ["#22 t.odd 21" in odd[0], "#24 t.odd 23" in odd[1], len(odd)] == [True, True, 2]
    first = good(run(bare.folder, "events", "list", "--from", "first", "-n", "3"))
    assert [line.split()[1] for line in first.splitlines()] == ["#1", "#2", "#3"]
    assert good(run(bare.folder, "events", "list", "--from", "99")) == "", "it is not there yet"
    later = good(run(bare.folder, "events", "list", "--from", "23"))
    assert [line.split()[1] for line in later.splitlines()] == ["#23", "#24", "#25"]


def test_events_from_a_time(bare: App) -> None:
    good(run(bare.folder, "publish", "t.old", "1"))
    time.sleep(1.2)
    good(run(bare.folder, "publish", "t.new", "2"))
    assert "t.old" not in good(run(bare.folder, "events", "list", "--from", "1s"))
    both = good(run(bare.folder, "events", "list", "--from", "1h"))
    assert "t.old" in both and "t.new" in both


def test_events_tail_shows_what_comes(bare: App) -> None:
    good(run(bare.folder, "publish", "t.before", "0"))
    with Terminal(bare.folder, ["events", "tail", "-n", "1"]) as tail:
        at = tail.wait_for(r"#1 \S*t\.before")
        good(run(bare.folder, "publish", "t.now", '{"a": "\x9b2J"}', "--key", "k\x1b[2J"))
        tail.wait_for(r"#2 .*t\.now.* key=k.* \{", at)
        assert "\x9b" not in tail.seen and "\x1b[2J" not in tail.seen, tail.seen
        bare.stop()
        assert tail.end() in (0, 3)


def test_events_tail_follows_a_pattern_in_json(bare: App) -> None:
    process = subprocess.Popen(
        [str(BINARY), "events", "tail", "b.>", "--from", "first", "-n", "2", "--format", "json"],
        cwd=bare.folder, env=environment(), stdout=subprocess.PIPE)
    for topic in ("a.x", "b.x", "b", "b.x.y", "b.z"):
        good(run(bare.folder, "publish", topic, "1"))
    out, _ = process.communicate(timeout=slow(10))
    assert process.returncode == 0
    assert [json.loads(line)["topic"] for line in out.splitlines()] == ["b.x", "b.x.y"]


def test_jobs_of_a_queue_and_dead_letters_are_streams_too(shop: App, seen: Path) -> None:
    for n in range(2):
        good(run(shop.folder, "publish", "other.x", str(n)))
    good(run(shop.folder, "publish", "--queue", "thumb", '{"hang": true}'))
    good(run(shop.folder, "publish", "--queue", "thumb", "2"))
    wait_frames(seen, 1)
    queued = lines(run(shop.folder, "events", "list", "--queue", "thumb", "--format", "json"))
    assert [(m["queue"], m["data"]) for m in queued] == [("thumb", {"hang": True}), ("thumb", 2)]
    last = lines(run(shop.folder, "events", "list", "-n", "2", "--format", "json"))
    assert data(last) == [0, 1], "jobs are no events, and do not count as such"


def test_replay_handles_again(shop: App, seen: Path) -> None:
    for n in range(3):
        good(run(shop.folder, "publish", "order.x", str(n)))
    wait_frames(seen, 3)
    done = run(shop.folder, "events", "replay", "shop", "--from", "2")
    assert good(done) == "shop begins anew at 2\n"
    assert data(wait_frames(seen, 5)) == [0, 1, 2, 1, 2]


def test_replay_asks_on_a_terminal(shop: App, seen: Path) -> None:
    good(run(shop.folder, "publish", "order.x", "1"))
    wait_frames(seen, 1)
    for answer, code in (("n\n", 1), ("y\n", 0)):
        with Terminal(shop.folder, ["events", "replay", "shop", "--from", "first"]) as asked:
            asked.wait_for(r"Go on\? \[y/N\]")
            asked.type(answer)
            assert asked.end() == code, asked.seen
    wait_frames(seen, 2)
    with Terminal(shop.folder, ["events", "replay", "shop", "--from", "first", "--yes"]) as sure:
        assert sure.end() == 0 and "Go on" not in sure.seen
    assert len(wait_frames(seen, 3)) == 3


@pytest.mark.parametrize("words, code, said", [
    ((), 2, "tail, list, replay or drop"), (("watch",), 2, 'not "watch"'),
    (("replay",), 2, "needs a group"), (("replay", "shop"), 2, "needs --from"),
    (("replay", "nobody", "--from", "first"), 1, 'no group "nobody"'),
    (("drop",), 2, "needs a group"), (("drop", "nobody"), 1, 'no group "nobody"'),
    (("drop", "shop", "--from", "first"), 2, "takes no --from"),
    (("drop", "shop"), 1, "1 process of shop subscribes to it: stop the program (nodey stop shop)"),
    (("list", "a..b"), 1, "topic is no pattern"), (("list", "--from", "soon"), 2, "is no time"),
    (("list", "-n", "0"), 2, "-n is a number"),
    (("list", "--queue", "q", "--stream", "s"), 2, "one must go"),
    (("list", "--queue", "q"), 1, 'no queue "q"; nodey bus lists them'),
    (("list", "--stream", "s"), 1, 'no stream "s"; nodey bus lists them'),
])
def test_what_events_refuses(shop: App, words: tuple[str, ...], code: int, said: str) -> None:
    done = run(shop.folder, "events", *words)
    assert (done.code, said in done.err, done.out) == (code, True, ""), done


# ------------------------------------------------------------------------ jobs and lag


def table(done: Done) -> list[dict[str, str]]:
    """A table whose cells have no blanks, by its titles."""
    titles, *found = [line.split() for line in good(done).splitlines()]
    return [dict(zip(titles, row)) for row in found]


def test_jobs_shows_what_waits(shop: App, seen: Path) -> None:
    good(run(shop.folder, "publish", "--queue", "thumb", '{"obey": true}'))
    wait_frames(seen, 1)
    for n in range(3):
        good(run(shop.folder, "publish", "--queue", "thumb", str(n)))
    (row,) = table(run(shop.folder, "jobs"))
    assert (row["QUEUE"], row["WAITING"], row["RUNNING"]) == ("thumb", "3", "1"), row
    (found,) = json.loads(good(run(shop.folder, "jobs", "thumb", "--format", "json")))
    assert found["waiting"] == 3 and found["running"] == 1 and found["served"] is True
    assert found["oldest_ms"] > 0
    missing = run(shop.folder, "jobs", "shop")
    assert missing.code == 1 and 'no queue "shop"; nodey jobs lists them' in missing.err


def test_jobs_counts_what_is_delayed_by_queue(nodey: Nodey, seen: Path) -> None:
    app = nodey(config=SOON + eventful("shop", seen, job("a") | on("order.*")) +
                '[queues.c]\ndurability = "memory"\n')

    def delayed(app: App) -> dict[str, tuple[str, str]]:
        return {row["QUEUE"]: (row["WAITING"], row["DELAYED"])
                for row in table(run(app.folder, "jobs"))}

    for queue, count in (("a", 3), ("b", 2), ("c", 4)):
        for _ in range(count):
            good(run(app.folder, "publish", "--queue", queue, "1", "--delay", "1h"))
    good(run(app.folder, "publish", "order.x", "1", "--delay", "1h"))
    good(run(app.folder, "publish", "--queue", "b", "1"))
    assert delayed(app) == {"a": ("0", "3"), "b": ("1", "2"), "c": ("0", "4")}
    lagging = {row["GROUP"] for row in table(run(app.folder, "lag")) if "GROUP" in row}
    assert "b" not in lagging, "nobody has ever served it, so it has no group"
    (found,) = json.loads(good(run(app.folder, "jobs", "b", "--format", "json")))
    assert (found["waiting"], found["delayed"], found["served"]) == (1, 2, False)
    app.stop()
    again = nodey(folder=app.folder)
    assert delayed(again) == {"a": ("0", "3"), "b": ("1", "2")}, "memory does not outlive nodey"
    assert json.loads(good(run(again.folder, "bus", "--format", "json")))["engine"]["delayed"] == 6
    good(run(again.folder, "publish", "--queue", "b", "1", "--delay", "3s"))
    assert delayed(again)["b"] == ("1", "3")
    until(lambda: delayed(again)["b"] == ("2", "2"), 10, "its time has come")


def test_a_store_that_did_not_count_what_is_delayed_is_counted(nodey: Nodey,
                                                               tmp_path: Path) -> None:
    folder = tmp_path / "app0"
    sample = ROOT / "tests" / "fixtures" / "bus" / "format-1"  # an event is put off until 2036
    shutil.copytree(sample, folder / ".nodey" / "bus")
    app = nodey(folder=folder, config='[bus]\nmax_age = "3650d"\n' + BARE)
    found = json.loads(good(run(app.folder, "bus", "--format", "json")))
    assert {s["name"]: s["delayed"] for s in found["streams"]} == \
        {"dead": 0, "events": 1, "queue.mail": 0}
    assert found["engine"]["delayed"] == 1


def test_dead_letters_are_counted_beyond_a_thousand(nodey: Nodey, seen: Path) -> None:
    ready = on("order.*") | job("shop", attempts=1)
    app = nodey(config=SOON + eventful("shop", seen, ready))

    def dead() -> list[tuple[str, str]]:
        return sorted((row["STREAM"], row["DEAD"]) for row in table(run(app.folder, "lag")))

    good(run(app.folder, "publish", "order.a", "--lines", input="\n".join([DEAD] * 1203)))
    good(run(app.folder, "publish", "--queue", "shop", DEAD))
    stored = "SELECT sum(stored) FROM tally WHERE stream = " \
             "(SELECT id FROM stream WHERE name = 'dead')"
    until(lambda: rows(good(run(app.folder, "bus", "sql", stored))) == [["1204"]], 30,
          "all are dead, and nobody has counted them yet")
    assert dead() == [("events", "1203"), ("queue.shop", "1")], "one name, and two"
    some = [str(letter["seq"]) for letter in letters(app, "-n", "7", "--topic", "order.a")]
    good(run(app.folder, "dead", "drop", *some))
    assert dead() == [("events", "1196"), ("queue.shop", "1")]
    good(run(app.folder, "dead", "retry", "--group", "shop", "--topic", "shop"))
    until(lambda: dead() == [("events", "1196"), ("queue.shop", "1")], 10, "it failed once more")
    good(run(app.folder, "dead", "drop", "--topic", "order.a"))
    assert dead() == [("events", "0"), ("queue.shop", "1")]


def test_lag_counts_what_is_not_handled(shop: App, seen: Path) -> None:
    good(run(shop.folder, "publish", "order.x", "1"))
    wait_frames(seen, 1)
    until(lambda: table(run(shop.folder, "lag", "shop"))[0]["LAG"] == "0", 10, "it is handled")
    good(run(shop.folder, "publish", "order.x", '{"hang": true}'))
    wait_frames(seen, 2)
    groups = {row["GROUP"]: row for row in table(run(shop.folder, "lag"))}
    assert set(groups) == {"shop", "thumb"} and groups["shop"]["LAG"] == "1"
    missing = run(shop.folder, "lag", "shopp")
    assert missing.code == 1 and 'no group "shopp"' in missing.err
    found = json.loads(good(run(shop.folder, "lag", "--format", "json")))
    assert {group["name"]: group["in_flight"] for group in found["groups"]} == \
        {"shop": 1, "thumb": 0}


def test_lag_can_be_watched(shop: App) -> None:
    with Terminal(shop.folder, ["lag", "-w"]) as watching:
        at = watching.wait_for(r"GROUP.*shop")
        good(run(shop.folder, "publish", "order.x", '{"hang": true}'))
        watching.wait_for(r"shop\S*\s+events\s+1\b", at)
        watching.process.send_signal(signal.SIGINT)
        assert watching.end() == 0


def test_a_group_of_a_program_that_is_gone_is_shown_and_can_be_dropped(nodey: Nodey,
                                                                       seen: Path) -> None:
    app = nodey(config=SOON + eventful("old", seen, on("order.*") | job("old")))
    good(run(app.folder, "publish", "order.x", '{"hang": true}'))
    wait_frames(seen, 1)
    app.stop()
    again = nodey(folder=app.folder, config=BARE)
    assert "old" in good(run(again.folder, "lag")) and "nobody" in run(again.folder, "lag").out
    assert 'no group "older"' in run(again.folder, "events", "drop", "older").err
    assert good(run(again.folder, "events", "drop", "old")) == "old is forgotten\n"
    (left,) = table(run(again.folder, "lag"))
    assert left["STREAM"] == "queue.old", "the queue of that name is another one"
    good(run(again.folder, "events", "drop", "queue.old"))
    assert rows(good(run(again.folder, "lag"))) == []


def test_a_group_is_dropped_at_once_when_its_program_is_stopped_or_gone(nodey: Nodey,
                                                                        seen: Path) -> None:
    both = eventful("shop", seen, on("order.*") | job("shop")) + BARE
    app = nodey(config=SOON + both)

    def groups() -> list[tuple[str, str]]:
        return sorted((row["GROUP"], row["STREAM"]) for row in table(run(app.folder, "lag")))

    for n in range(3):
        good(run(app.folder, "publish", "order.x", str(n)))
    wait_frames(seen, 3)
    refused = run(app.folder, "events", "drop", "shop", "--format", "json")
    assert refused.code == 1 and "nodey stop shop" in refused.err, refused
    assert groups() == [("shop", "events"), ("shop", "queue.shop")], "nothing has changed"
    good(run(app.folder, "stop", "shop"))
    good(run(app.folder, "publish", "order.x", "3"))
    good(run(app.folder, "publish", "--queue", "shop", '"job"'))
    done = run(app.folder, "events", "drop", "shop", "--format", "json")
    assert json.loads(good(done)) == {"done": True}
    assert groups() == [("shop", "queue.shop")], "the queue of the same name stays"
    good(run(app.folder, "start", "shop"))
    assert data(wait_frames(seen, 4))[3] == "job"
    until(lambda: len(groups()) == 2, 10, "it is a new group")
    good(run(app.folder, "publish", "order.x", "4"))
    assert data(wait_frames(seen, 5)) == [0, 1, 2, "job", 4], "what it had not read is forgotten"
    (app.folder / "nodey.toml").write_text(SOON + BARE)
    good(run(app.folder, "reload"))
    until(lambda: run(app.folder, "lag").out.count("nobody serves it") == 2, 10, "both are let go")
    good(run(app.folder, "events", "drop", "queue.shop"))
    assert groups() == [("shop", "events")]
    with Terminal(app.folder, ["events", "drop", "shop"]) as asked:
        asked.wait_for(r"never will.*Go on\? \[y/N\]")
        asked.type("n\n")
        assert asked.end() == 1
    good(run(app.folder, "events", "drop", "shop"))
    assert rows(good(run(app.folder, "lag"))) == []


def test_ps_and_describe_show_the_backlog(shop: App, seen: Path) -> None:
    for n in range(2):
        good(run(shop.folder, "publish", "--queue", "thumb", '{"obey": true}'))
    wait_frames(seen, 1)
    (row,) = table(run(shop.folder, "ps"))
    assert row["BACKLOG"] == "2", row
    text = good(run(shop.folder, "describe", "shop"))
    assert "thumb, 2 to do" in text and "shop, 0 to do" in text
    programs = json.loads(good(run(shop.folder, "ps", "--format", "json")))
    assert sorted((g["name"], g["backlog"]) for g in programs[0]["groups"]) == \
        [("shop", 0), ("thumb", 2)]


# ------------------------------------------------------------------------------- dead


DEAD = '{"nack": {"dead": true, "error": {"name": "BadImage", "message": "no pixels", "stack": ' \
       '"at thumb.py:3"}}}'


def letters(app: App, *words: str) -> list[Any]:
    found: list[Any] = json.loads(good(run(app.folder, "dead", "list", "--format", "json",
                                           *words)))
    return found


def wait_letters(app: App, count: int) -> list[Any]:
    return until(lambda: found if len(found := letters(app)) == count else None, 10,
                 f"{count} dead letters") or []


def test_a_dead_letter_is_shown(shop: App) -> None:
    good(run(shop.folder, "publish", "order.bad", DEAD, "--key", "k9"))
    (letter,) = wait_letters(shop, 1)
    assert letter["topic"] == "order.bad" and letter["group"] == "shop" and letter["key"] == "k9"
    assert letter["attempts"] == 1 and letter["original"] == 1
    assert letter["error"] == {"name": "BadImage", "message": "no pixels",
                               "stack": "at thumb.py:3"}
    listed = good(run(shop.folder, "dead", "list"))
    assert "BadImage: no pixels" in listed and "order.bad" in listed
    shown = good(run(shop.folder, "dead", "show", str(letter["seq"])))
    assert "at thumb.py:3" in shown and '"nack": {' in shown and "k9" in shown
    whole = json.loads(good(run(shop.folder, "dead", "show", str(letter["seq"]), "--format",
                                "json")))
    assert whole["data"] == json.loads(DEAD)
    assert table(run(shop.folder, "lag", "shop"))[0]["DEAD"] == "1"


def test_a_dead_letter_is_retried_or_dropped(shop: App, seen: Path) -> None:
    for _ in range(2):
        good(run(shop.folder, "publish", "order.bad", DEAD))
    second, first = wait_letters(shop, 2)
    assert good(run(shop.folder, "dead", "drop", str(first["seq"]))) == "1 dropped\n"
    assert [letter["seq"] for letter in letters(shop)] == [second["seq"]]
    assert good(run(shop.folder, "dead", "retry", str(second["seq"]))) == \
        "1 to be handled again\n"
    assert len(wait_frames(seen, 3)) == 3
    (again,) = wait_letters(shop, 1)
    assert again["seq"] > second["seq"], "it failed once more, and is another letter"
    for words in (("drop", str(first["seq"])), ("retry", "999"), ("show", "999")):
        done = run(shop.folder, "dead", *words)
        assert done.code == 1 and "no" in done.err and "dead letter" in done.err, done


def test_many_are_retried_or_dropped_together(shop: App, seen: Path) -> None:
    many = "\n".join([DEAD] * 230)
    good(run(shop.folder, "publish", "order.a", "--lines", input=many))
    good(run(shop.folder, "publish", "order.b", DEAD))
    good(run(shop.folder, "publish", "--queue", "thumb", DEAD))
    until(lambda: len(letters(shop, "-n", "1000")) == 232, 20, "232 dead letters")
    assert len(letters(shop)) == 100, "the newest, when nobody says how many"
    assert len(letters(shop, "--group", "thumb")) == 1
    assert len(letters(shop, "--topic", "order.a", "-n", "1000")) == 230
    assert good(run(shop.folder, "dead", "drop", "--topic", "order.a")) == "230 dropped\n"
    assert {letter.get("topic") or letter["queue"] for letter in letters(shop)} == \
        {"order.b", "thumb"}
    handled = len(frames(seen))
    assert good(run(shop.folder, "dead", "retry", "--group", "thumb")) == \
        "1 to be handled again\n"
    wait_frames(seen, handled + 1)
    assert good(run(shop.folder, "dead", "retry", "--all")).endswith(" to be handled again\n")
    until(lambda: len(letters(shop)) == 2, 10, "both failed again, and once each")


@pytest.mark.parametrize("words, said", [
    (("retry",), "needs a number"), (("show",), "the number of one"), (("show", "x"), '"x"'),
    (("drop", "1", "--all"), "either numbers"), (("forget",), 'not "forget"'),
    (("list", "5"), "did you mean show"), (("list", "-n", "0"), "-n is a number")])
def test_what_dead_refuses(bare: App, words: tuple[str, ...], said: str) -> None:
    done = run(bare.folder, "dead", *words)
    assert (done.code, said in done.err, done.out) == (2, True, ""), done


# -------------------------------------------------------------------------------- bus


def test_bus_tells_the_store_and_its_streams(nodey: Nodey) -> None:
    app = nodey(config=BARE + '[streams.orders]\ntopics = ["order.>"]\ndurability = "os"\n')
    good(run(app.folder, "publish", "order.x", "1"))
    good(run(app.folder, "publish", "a.b", "1"))
    text = good(run(app.folder, "bus"))
    assert "sqlite 3." in text and "commits" in text
    streams = {row.split()[0]: row.split()[1:3] for row in text.splitlines()
               if row.startswith(("orders", "events"))}
    assert streams == {"orders": ["os", "1"], "events": ["fsync", "1"]}
    found = json.loads(good(run(app.folder, "bus", "--format", "json")))
    assert found["open"] is True and found["engine"]["commits"] > 0


def test_bus_sql_answers_and_changes_nothing(bare: App) -> None:
    good(run(bare.folder, "publish", "a.b", "1"))
    text = good(run(bare.folder, "bus", "sql", "SELECT name, work FROM stream ORDER BY name"))
    assert text.splitlines()[0].split() == ["name", "work"]
    assert ["events", "0"] in rows(text)
    found = json.loads(good(run(bare.folder, "bus", "sql", "-", "--format", "json",
                                input="SELECT 1 AS one, NULL, 'ä'")))
    assert found["columns"][0] == "one" and found["rows"] == [[1, None, "ä"]]
    empty = json.loads(good(run(bare.folder, "bus", "sql", "SELECT 1 WHERE 0", "--format",
                                "json")))
    assert empty["rows"] == []
    assert len(rows(good(run(bare.folder, "bus", "sql", "-n", "3",
                             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) "
                             "SELECT i FROM n LIMIT 100")))) == 3
    for bad in ("DELETE FROM stream", "PRAGMA journal_mode=DELETE", "SELECT 1; SELECT 2",
                "ATTACH 'x' AS y", "SELECT nothing FROM nowhere", ""):
        done = run(bare.folder, "bus", "sql", bad)
        assert done.code == 1 and done.err, (bad, done)
    assert good(run(bare.folder, "publish", "a.b", "2")) == "a.b 2\n", "it goes on"


def test_bus_backup_is_a_whole_copy(bare: App) -> None:
    for n in range(20):
        good(run(bare.folder, "publish", "a.b", str(n)))
    assert good(run(bare.folder, "bus", "backup", "copy.db")) == "copy.db is a whole copy\n"
    with sqlite3.connect(bare.folder / "copy.db") as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert ("events",) in copy.execute("SELECT name FROM stream").fetchall()
    again = run(bare.folder, "bus", "backup", "copy.db")
    assert again.code == 1 and "there already" in again.err
    missing = run(bare.folder, "bus", "backup", "no/folder/copy.db")
    assert missing.code == 1 and missing.err


@pytest.mark.parametrize("words, said", [(("vacuum",), 'not "vacuum"'), (("sql",), "a question"),
                                         (("backup",), "name of a file")])
def test_what_bus_refuses(bare: App, words: tuple[str, ...], said: str) -> None:
    done = run(bare.folder, "bus", *words)
    assert (done.code, said in done.err) == (2, True), done


# -------------------------------------------------------------------------------- all


VERBS = ("publish", "events", "jobs", "lag", "dead", "bus")


def test_when_no_nodey_is_up(tmp_path: Path) -> None:
    (tmp_path / "nodey.toml").write_text(BARE)
    for words in (("publish", "a.b", "1"), ("events", "list"), ("events", "tail"), ("jobs",),
                  ("lag",), ("dead", "list"), ("bus",), ("bus", "sql", "SELECT 1"),
                  ("events", "replay", "g", "--from", "first")):
        done = run(tmp_path, *words)
        assert done.code == 3 and "no nodey is up" in done.err and not done.out, (words, done)


def test_each_has_help_completion_and_a_manual(tmp_path: Path) -> None:
    manual = run(tmp_path, "man").out
    for verb in VERBS:
        text = run(tmp_path, verb, "--help").out
        assert text.startswith(f"nodey {verb}") and "Exit code" in text
        assert f'.SS "{verb}' in manual
        offered = run(tmp_path, "__complete", "1", "nodey", verb[:3]).out
        assert f"{verb}\t" in offered
        options = run(tmp_path, "__complete", "2", "nodey", verb, "--f").out
        assert "--format" in options, (verb, options)
    for verb, parts in (("events", "tail list replay drop"), ("dead", "list show retry drop"),
                        ("bus", "sql backup drop")):
        offered = run(tmp_path, "__complete", "2", "nodey", verb, "").out
        assert offered.split() == parts.split()
