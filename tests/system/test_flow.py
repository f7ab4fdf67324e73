"""`nodey flow` and `nodey trace`: what is drawn is what happened."""

from __future__ import annotations

import json
import re
from pathlib import Path
from signal import SIGKILL
from typing import Any, Callable

import pytest

import command
from app import App
from storied import FILES, POOLS, put
from timing import until
from workers import script

Nodey = Callable[..., App]
pytestmark = pytest.mark.outside


def flow(app: App) -> dict[str, Any]:
    done = command.run(app.folder, "flow", "--json")
    assert done.code == 0, done
    found: dict[str, Any] = json.loads(done.out)
    return found


def handled(app: App, topic: str, count: int) -> dict[str, Any]:
    """The edge of the topic, once its handler has done so many."""

    def check() -> Any:
        edges = [e for e in flow(app)["handled"]
                 if e.get("topic") == topic and e["count"] + e["dead"] >= count]
        return edges[0] if edges else None

    edge: dict[str, Any] = until(check, 10, f"{count} {topic} handled; now {flow(app)}")
    return edge


def marks(app: App) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for mark in flow(app)["marks"]:
        found.setdefault(mark["kind"], []).append(mark["words"])
    return found


def blog(nodey: Nodey, **more: Any) -> App:
    return nodey(FILES, POOLS, **more)


def tell_a_story(app: App) -> int:
    seq = put(app, "comment.created", {"id": "c1", "text": "an apple"}, key="p1")
    handled(app, "comment.updated", 1)
    return seq


def test_the_edges_are_who_published_and_who_handled(nodey: Nodey) -> None:
    app = blog(nodey)
    put(app, "post.created", {"id": "p1", "retry": True}, key="p1")
    tell_a_story(app)
    found = flow(app)
    assert {(e["program"], e["topic"], e["stream"], e["count"], e["keyed"])
            for e in found["published"]} == {
        ("posts", "post.created", "events", 1, 1),
        ("posts", "comment.created", "events", 1, 1),
        ("moderation", "comment.moderated", "events", 1, 1),
        ("posts", "comment.updated", "events", 1, 1)}
    assert {(e["topic"], e["group"], e["program"], e["count"], e["retries"], e["dead"])
            for e in found["handled"]} == {
        ("post.created", "query", "query", 1, 1, 0),
        ("comment.created", "moderation", "moderation", 1, 0, 0),
        ("comment.moderated", "posts", "posts", 1, 0, 0),
        ("comment.updated", "query", "query", 1, 0, 0)}
    assert {(e["program"], e["topic"], e["to"]) for e in found["led"]} == {
        ("moderation", "comment.created", "comment.moderated"),
        ("posts", "comment.moderated", "comment.updated")}
    edge = handled(app, "comment.updated", 1)
    assert edge["rate"] > 0 and 0 <= edge["run_ms"]["p50"] <= edge["run_ms"]["p99"] < 10_000


def test_the_table_names_who_where_and_what_is_wrong(nodey: Nodey) -> None:
    app = blog(nodey)
    put(app, "post.deleted", {})
    tell_a_story(app)
    done = command.run(app.folder, "flow")
    rows = [line.split()[:4] for line in done.out.splitlines()]
    assert ["posts", "comment.created", "moderation", "1"] in rows, done
    assert ["posts", "post.deleted", "nobody"] in [row[:3] for row in rows], done
    assert ["nobody", "post.created", "query"] in [row[:3] for row in rows], done
    assert "nobody handles post.deleted, which posts publishes" in done.out


def test_marks_say_what_looks_wrong(nodey: Nodey) -> None:
    app = blog(nodey)
    assert sorted(marks(app)) == ["unfed"]
    put(app, "post.created", {}, key="p1")
    put(app, "post.created", {})
    put(app, "user.left", {}, key="u1")
    tell_a_story(app)
    assert marks(app) == {
        "unheard": ["nobody handles user.left, which posts publishes"],
        "unkeyed": ["1 of 2 messages post.created that posts published have no key, and so no "
                    "order"]}


def test_a_circle_is_of_causes_and_not_of_programs(nodey: Nodey) -> None:
    ring = '''
const { on, publish } = require('nodey');
on('ping', (e) => e.data.n > 0 && publish('pong', { n: e.data.n - 1 }));
on('pong', (e) => publish('ping', e.data), { group: 'second' });
'''
    app = nodey({**FILES, "workers/ring.js": ring})
    tell_a_story(app)  # from posts to moderation and back to posts, which is no circle
    assert "circle" not in marks(app)
    put(app, "ping", {"n": 2})
    until(lambda: "circle" in marks(app), 10, "a circle")
    assert marks(app)["circle"] == [
        "a circle: ping leads ring to publish pong, which leads ring to publish ping"]


# A topic and a queue of one name, a group of its own, an `each`; and what takes its time.
SHOP = """
const { on, job, enqueue, publish, post } = require('nodey');
on('order.*', () => {}, { group: 'mail' });
on('order.*', () => {}, { each: true });
on('bill', () => {});
on('timed', (e) => new Promise((resolve) => setTimeout(resolve, e.data.ms)));
on('begin', async () => {
    for (let n = 0; n < 1100; n += 1) publish('timed', { ms: 0 }, { now: true });
    publish('finish', null);
});
job('thumb', () => {});
post('/sell', async () => {
    await Promise.all([publish('order.placed', 1), publish('bill', 1), enqueue('bill', 1),
        enqueue('thumb', 1), publish('user.left', 1)]);
    return true;
});
"""
WITH_SHOP = {**FILES, "workers/shop.js": SHOP}
POOL_SHOP = script("shop", "js", instances=1)


def sell(nodey: Nodey) -> App:
    app = nodey(WITH_SHOP, POOLS + POOL_SHOP)
    assert app.post("/sell", b"").status == 200
    handled(app, "order.placed", 1)
    handled(app, "bill", 1)
    until(lambda: [e for e in flow(app)["handled"] if e.get("queue") == "thumb"], 10, "the job")
    return app


def test_jobs_events_groups_and_each_are_told_apart(nodey: Nodey) -> None:
    app = sell(nodey)
    found = flow(app)
    assert {(e.get("topic"), e.get("queue"), e["stream"]) for e in found["published"]} == {
        ("order.placed", None, "events"), ("bill", None, "events"), (None, "bill", "queue.bill"),
        (None, "thumb", "queue.thumb"), ("user.left", None, "events")}
    assert {(e.get("topic"), e.get("queue"), e["group"]) for e in found["handled"]} == {
        ("order.placed", None, "mail"), ("bill", None, "shop"), (None, "thumb", "thumb")}
    assert [(e["group"], e.get("each")) for e in found["subscriptions"]
            if e.get("topic") == "order.*"] == [("mail", None), ("shop", True)]
    table = [re.split(r"  +", line) for line in command.run(app.folder, "flow").out.splitlines()]
    assert ["shop", "order.placed", "shop (each)"] in [row[:3] for row in table], table
    assert ["shop", "order.placed", "shop (mail)", "1"] in [row[:4] for row in table]
    assert ["shop", "job thumb", "shop", "1"] in [row[:4] for row in table]
    shape = command.run(app.folder, "flow", "--shape").out.splitlines()
    for line in ("shop publishes jobs of thumb", "shop publishes bill",
                 "shop publishes jobs of bill",
                 "shop handles jobs of thumb in group thumb", "shop handles bill in group shop",
                 "shop subscribes to order.* in group shop"):
        assert line in shape, shape


def test_a_picture_shows_queues_and_groups(nodey: Nodey) -> None:
    app = sell(nodey)
    mermaid = command.run(app.folder, "flow", "--mermaid").out.splitlines()
    for line in ('queue_thumb[("thumb")]', 'program_shop["shop"] --> queue_thumb',
                 'queue_thumb --> program_shop["shop"]', 'topic_bill(["bill"])',
                 'topic_order_2eplaced -- "mail" --> program_shop["shop"]',
                 'topic_bill --> program_shop["shop"]'):
        assert f"  {line}" in mermaid, mermaid
    dot = command.run(app.folder, "flow", "--dot").out.splitlines()
    for line in ('queue_thumb [label="thumb" shape=cylinder]',
                 'topic_bill [label="bill" shape=plain]',
                 'topic_order_2eplaced -> program_shop [label="mail"]',
                 'topic_bill -> program_shop'):
        assert f"  {line}" in dot, dot


def test_marks_are_of_kinds_and_patterns_and_told_once(nodey: Nodey) -> None:
    app = sell(nodey)
    put(app, "user.left", 1)
    found = marks(app)
    assert found["unheard"] == ["nobody handles jobs of bill, which shop publishes",
                                "nobody handles user.left, which shop publishes"]
    assert not [words for words in found["unfed"] if "order" in words or "thumb" in words]
    assert "unkeyed" not in found, "there is no order to lose where nothing has a key"


def test_a_program_that_is_removed_waits_for_nothing(nodey: Nodey) -> None:
    app = sell(nodey)
    config = app.folder / "nodey.toml"
    config.write_text(config.read_text().replace(POOL_SHOP, ""))
    (app.folder / "workers" / "shop.js").unlink()  # which would be found by itself
    assert command.run(app.folder, "reload").code == 0
    until(lambda: {e["program"] for e in flow(app)["subscriptions"]} == {"moderation", "posts",
                                                                       "query"}, 10, "it is gone")
    assert "nobody handles bill" not in str(marks(app)), "what was handled had its reader"


def test_dead_letters_and_their_retries_are_no_news(nodey: Nodey) -> None:
    app = blog(nodey)
    put(app, "post.created", {"dead": True}, key="p1")
    edge = handled(app, "post.created", 1)
    assert (edge["count"], edge["retries"], edge["dead"]) == (0, 0, 1)
    assert command.run(app.folder, "dead", "retry", "--all").code == 0
    edge = handled(app, "post.created", 2)
    assert (edge["count"], edge["retries"], edge["dead"]) == (0, 0, 2)
    assert [(e["program"], e["count"]) for e in flow(app)["published"]] == [("posts", 1)]


def test_times_are_of_waiting_and_of_running(nodey: Nodey) -> None:
    app = nodey(WITH_SHOP, POOLS + POOL_SHOP)
    for ms in [600, *[0] * 10]:
        put(app, "timed", {"ms": ms}, key="one after the other")
    edge = handled(app, "timed", 11)
    assert edge["run_ms"]["p50"] < 100 < 500 < edge["run_ms"]["p99"], edge
    assert edge["wait_ms"]["p50"] > 100, edge


def test_what_an_earlier_run_stored_leads_to_something(nodey: Nodey) -> None:
    app = blog(nodey)
    assert command.run(app.folder, "stop", "moderation").code == 0
    put(app, "comment.created", {"id": "c1", "text": "an apple"}, key="p1")
    app.stop()
    again = blog_in(nodey, app.folder)
    handled(again, "comment.updated", 1)
    assert ("moderation", "comment.created", "comment.moderated") in {
        (e["program"], e["topic"], e["to"]) for e in flow(again)["led"]}


WATCHERS = {
    "js": """
const { on, publish } = require('nodey');
on('post.*', async (e) => {
    await publish('seen', e.traceparent);
    await publish('seen', e.traceparent, { key: null, now: true });
}, { each: true });
""",
    "py": """
import nodey
@nodey.on("post.*", each=True)
def watch(e):
    nodey.publish("seen", e.traceparent)
    nodey.publish("seen", e.traceparent, key=None, now=True)
""",
    "async.py": """
import nodey
@nodey.on("post.*", each=True)
async def watch(e):
    await nodey.publish_async("seen", e.traceparent)
    await nodey.publish_async("seen", e.traceparent, key=None, now=True)
""",
    "busy.py": """
import time
import nodey
@nodey.on("post.*", each=True)
def watch(e):
    time.sleep(0.5)  # a request is given to this process meanwhile
    nodey.publish("seen", e.traceparent)
    nodey.publish("seen", e.traceparent, key=None, now=True)
@nodey.get("/busy")
def busy(req):
    return "done"
"""}

# Publishes from within a request; notes what each "seen" comes with.
NOTED = """
const fs = require('node:fs');
const { on, publish, post } = require('nodey');
on('seen', (e) => fs.appendFileSync('noted', `${JSON.stringify({ ...e })}\\n`));
post('/post', (req) => publish('post.created', null, req.json()));
"""


@pytest.mark.parametrize("kind", WATCHERS)
@pytest.mark.parametrize("options", [{"key": "p1"}, {"key": "p1", "id": "the \"first\""}])
def test_what_a_handler_of_each_publishes_belongs_to_the_story(
        nodey: Nodey, kind: str, options: dict[str, str]) -> None:
    """Nodey keeps nothing of an event that each process gets: the SDK says what it led to."""
    suffix = kind.rpartition(".")[2]
    app = nodey({"workers/watch." + suffix: WATCHERS[kind], "workers/noted.js": NOTED},
                script("watch", suffix, instances=1) + script("noted", "js", instances=1))
    put_seq = int(app.post("/post", json.dumps(options).encode()).json()["seq"])
    assert kind != "busy.py" or app.get("/busy").text == "done"
    handled(app, "seen", 2)
    noted = [json.loads(line) for line in (app.folder / "noted").read_text().splitlines()]
    cause = options.get("id", str(put_seq))
    assert [(e["cause"], e["correlation"]) for e in noted] == [(cause, cause)] * 2
    assert sorted(str(e.get("key")) for e in noted) == ["None", "p1"]
    for e in noted:
        version, trace, span, flags = e["traceparent"].split("-")
        assert e["data"].split("-")[1] == trace and e["data"].split("-")[2] != span
    assert [(e["program"], e["topic"], e["to"], e["count"]) for e in flow(app)["led"]] == [
        ("watch", "post.created", "seen", 2)]
    story = json.loads(command.run(app.folder, "trace", str(put_seq), "--format", "json").out)
    assert [m["topic"] for m in story["messages"]] == ["post.created", "seen", "seen"]


def blog_in(nodey: Nodey, folder: Path) -> App:
    """The same folder once more."""
    return nodey(folder=folder)


def test_edges_outlive_a_kill(nodey: Nodey) -> None:
    app = blog(nodey, exit_code=None)
    tell_a_story(app)
    kept = app.folder / ".nodey" / "bus" / "flow.json"
    until(lambda: kept.exists() and "comment.updated" in kept.read_text(), 10, "flow.json")
    before = [(e["program"], e["topic"]) for e in flow(app)["published"]]
    app.signal(SIGKILL)
    app.wait_exit()
    again = blog_in(nodey, app.folder)
    assert [(e["program"], e["topic"]) for e in flow(again)["published"]] == before
    assert handled(again, "comment.updated", 1)["count"] == 1


def test_counts_outlive_an_orderly_end(nodey: Nodey) -> None:
    app = blog(nodey)
    tell_a_story(app)
    put(app, "post.created", {}, key="p1")
    handled(app, "post.created", 1)
    app.stop()
    again = blog_in(nodey, app.folder)
    assert handled(again, "post.created", 1)["count"] == 1
    assert {(e["topic"], e["count"], e["keyed"]) for e in flow(again)["published"]} == {
        (topic, 1, 1) for topic in ("post.created", "comment.created", "comment.moderated",
                                    "comment.updated")}
    put(again, "post.created", {}, key="p1")
    assert handled(again, "post.created", 2)["count"] == 2


def test_damaged_edges_are_told_and_begin_anew(nodey: Nodey) -> None:
    app = blog(nodey)
    tell_a_story(app)
    app.stop()
    kept = app.folder / ".nodey" / "bus" / "flow.json"
    kept.write_text('{"version":1,"edges":[{"kind":"handled","topic":1},[],{"ki')
    again = blog_in(nodey, app.folder)
    again.wait_log(r"flow\.json is damaged: nodey flow begins anew")
    assert flow(again)["published"] == []


def test_pictures(nodey: Nodey) -> None:
    app = blog(nodey)
    tell_a_story(app)
    mermaid = command.run(app.folder, "flow", "--mermaid").out
    assert mermaid.startswith("flowchart LR\n")
    for line in ('topic_comment_2ecreated(["comment.created"])',
                 'program_posts["posts"] --> topic_comment_2ecreated',
                 'topic_comment_2ecreated --> program_moderation["moderation"]',
                 'program_moderation["moderation"] --> topic_comment_2emoderated'):
        assert f"  {line}\n" in mermaid, mermaid
    assert len(set(mermaid.splitlines())) == len(mermaid.splitlines())
    dot = command.run(app.folder, "flow", "--dot").out
    assert dot.startswith("digraph flow {") and dot.endswith("}\n")
    assert "  topic_comment_2ecreated -> program_moderation\n" in dot


def test_check_tells_the_difference_in_words(nodey: Nodey) -> None:
    app = blog(nodey)
    tell_a_story(app)
    shape = command.run(app.folder, "flow", "--shape").out
    assert "moderation handles comment.created in group moderation\n" in shape
    (app.folder / "flow.txt").write_text(f"# our flow\n\n{shape}")
    (app.folder / "flow.json").write_text(command.run(app.folder, "flow", "--json").out)
    tell_a_story(app)  # other numbers, the same picture
    for name in ("flow.txt", "flow.json"):
        done = command.run(app.folder, "flow", "--check", name)
        assert (done.code, done.out) == (0, ""), done
    shorter = shape.replace("query handles comment.updated in group query\n", "")
    (app.folder / "flow.txt").write_text(shorter)
    done = command.run(app.folder, "flow", "--check", "flow.txt")
    assert done.code == 1 and done.out.splitlines() == [
        "+ query handles comment.updated in group query: it is new",
        "1 difference from flow.txt; when that is as it should be: nodey flow --shape > flow.txt"]
    (app.folder / "flow.txt").write_text(shape + "mail handles post.created in group mail\n")
    put(app, "user.left", {})
    done = command.run(app.folder, "flow", "--check", "flow.txt")
    assert done.code == 1
    assert done.out.splitlines()[:2] == [
        "- mail handles post.created in group mail: it was so, and is not any more",
        "+ posts publishes user.left: it is new"]


def test_check_names_what_cannot_be_read(nodey: Nodey) -> None:
    app = blog(nodey)
    (app.folder / "bad.json").write_text('{"published":\n [}')
    done = command.run(app.folder, "flow", "--check", "bad.json")
    assert done.code == 1 and "bad.json:2:" in done.err
    done = command.run(app.folder, "flow", "--check", "none.txt")
    assert done.code == 1 and "none.txt" in done.err and "--shape" in done.err


def test_trace_tells_the_whole_story_by_any_of_its_messages(nodey: Nodey) -> None:
    app = blog(nodey)
    put(app, "post.created", {"title": "another story"}, key="p9")
    seq = tell_a_story(app)
    wanted = ["comment.created", "comment.moderated", "comment.updated"]
    for n in range(3):
        done = command.run(app.folder, "trace", str(seq + n), "--format", "json")
        story = json.loads(done.out)
        assert [m["topic"] for m in story["messages"]] == wanted and story["whole"]
        assert story["correlation"] == str(seq)
        assert [e["program"] for m in story["messages"] for e in m["ends"]] == [
            "moderation", "posts", "query"]
    text = command.run(app.folder, "trace", str(seq)).out
    depth = [len(line) - len(line.lstrip("│├└ ")) for line in text.splitlines()
             if any(topic in line for topic in wanted)]
    assert depth == sorted(set(depth)) and len(depth) == 3, text
    assert "another story" not in text


def test_trace_is_a_tree_of_what_led_to_what(nodey: Nodey) -> None:
    app = blog(nodey)
    seq = tell_a_story(app)
    lines = command.run(app.folder, "trace", str(seq)).out.splitlines()
    numbers = re.compile(r"\d\d:\d\d:\d\d\.\d{3} |waited \d+ ms, ran \d+ ms|  \{.*")
    assert [numbers.sub("", line) for line in lines] == [
        f"comment.created #{seq} from posts, key p1",
        "├ moderation handled it: ",
        f"└ comment.moderated #{seq + 1} from moderation, key p1",
        "  ├ posts handled it: ",
        f"  └ comment.updated #{seq + 2} from posts, key p1",
        "    └ query handled it: "]


def test_trace_tells_all_of_a_long_story(nodey: Nodey) -> None:
    """Longer than a page of the store, of an earlier run."""
    app = nodey(WITH_SHOP, POOLS + POOL_SHOP)
    seq = put(app, "begin", None)
    until(lambda: [e for e in flow(app)["published"] if e.get("topic") == "finish"], 20, "its end")
    handled(app, "timed", 1100)
    app.stop()
    again = blog_in(nodey, app.folder)
    story = json.loads(command.run(again.folder, "trace", str(seq), "--format", "json").out)
    assert len(story["messages"]) == 1102 and story["whole"]


def test_trace_tells_of_failures_and_dead_letters(nodey: Nodey) -> None:
    app = blog(nodey)
    seq = put(app, "post.created", {"retry": True}, key="p1")
    handled(app, "post.created", 1)
    text = command.run(app.folder, "trace", str(seq)).out
    assert "query failed" in text and "attempt 1: Retry: not yet" in text
    assert "query handled it" in text and "attempt 2" in text
    dead = put(app, "post.created", {"dead": True}, key="p1")
    handled(app, "post.created", 2)
    text = command.run(app.folder, "trace", str(dead)).out
    assert "query gave it up" in text and "it is broken" in text


def test_trace_as_a_sequence_diagram(nodey: Nodey) -> None:
    app = blog(nodey)
    seq = tell_a_story(app)
    assert command.run(app.folder, "trace", str(seq), "--mermaid").out.splitlines() == [
        "sequenceDiagram", "  posts->>moderation: comment.created",
        "  moderation->>posts: comment.moderated", "  posts->>query: comment.updated"]
    seq = put(app, "post.created", {"retry": True}, key="p2")
    handled(app, "post.created", 1)
    assert command.run(app.folder, "trace", str(seq), "--mermaid").out.splitlines() == [
        "sequenceDiagram", "  posts--xquery: post.created", "  Note over query: Retry  not yet",
        "  posts->>query: post.created (attempt 2)"]


def test_trace_finds_in_the_store_what_an_earlier_run_stored(nodey: Nodey) -> None:
    app = blog(nodey)
    seq = tell_a_story(app)
    app.stop()
    again = blog_in(nodey, app.folder)
    story = json.loads(command.run(again.folder, "trace", str(seq + 2), "--format", "json").out)
    assert [m["seq"] for m in story["messages"]] == [seq, seq + 1, seq + 2]


def test_trace_of_what_is_not_there(nodey: Nodey) -> None:
    app = blog(nodey)
    tell_a_story(app)
    for word in ("4711", "no-such-id"):
        done = command.run(app.folder, "trace", word)
        assert done.code == 1 and word in done.err
    assert command.run(app.folder, "trace").code == 2


def test_nothing_is_up(tmp_path: Path) -> None:
    (tmp_path / "workers").mkdir()
    (tmp_path / "workers" / "query.js").write_text(FILES["workers/query.js"])
    for words in (("flow",), ("trace", "1"), ("record", "-o", "x")):
        done = command.run(tmp_path, *words)
        assert done.code == 3 and "nodey up" in done.err, done
