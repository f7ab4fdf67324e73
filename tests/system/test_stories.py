"""`nodey record`, `nodey test` and `nodey replay`: stories kept, and played again."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Optional

import pytest

import command
from app import BINARY, App
from conftest import write_files
from storied import FILES, POOLS, put
from test_flow import handled
from timing import slow

Nodey = Callable[..., App]
pytestmark = pytest.mark.outside

# As `nodey record` writes it, shorter: one comment that is refused and one that is not.
STORY: list[dict[str, Any]] = [
    {"kind": "story", "version": 1, "programs": ["moderation", "posts"]},
    {"kind": "pub", "t": 0, "from": "posts", "topic": "comment.created", "id": "70",
     "key": "p1", "data": {"id": "c1", "text": "an orange"}},
    {"kind": "pub", "t": 9, "from": "moderation", "topic": "comment.moderated", "id": "71",
     "key": "p1", "cause": "70", "data": {"id": "c1", "text": "an orange", "status": "rejected",
     "review": "1e8c6a0e-5d5c-4a3f-8a7e-2f6d1f5d9b10"}},
    {"kind": "pub", "t": 12, "from": "posts", "topic": "comment.updated", "id": "72",
     "key": "p1", "cause": "71", "data": {"id": "c1", "text": "an orange", "status": "rejected",
     "review": "1e8c6a0e-5d5c-4a3f-8a7e-2f6d1f5d9b10", "at": 1760000000000}},
    {"kind": "pub", "t": 20, "from": "posts", "topic": "comment.created", "id": "73",
     "key": "p1", "data": {"id": "c2", "text": "an apple"}},
    {"kind": "pub", "t": 29, "from": "moderation", "topic": "comment.moderated", "id": "74",
     "key": "p1", "cause": "73", "data": {"id": "c2", "text": "an apple", "status": "approved",
     "review": "*"}},
    {"kind": "pub", "t": 32, "from": "posts", "topic": "comment.updated", "id": "75",
     "key": "p1", "cause": "74", "data": {"id": "c2", "text": "*", "status": "approved",
     "review": "*", "at": "*"}},
]


def write(folder: Path, lines: list[dict[str, Any]], name: str = "story.ndjson") -> None:
    (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def blog(tmp_path: Path) -> Path:
    """The blog's folder, where none is up, with the story."""
    write_files(tmp_path, FILES)
    (tmp_path / "nodey.toml").write_text(POOLS)
    write(tmp_path, STORY)
    return tmp_path


def play(folder: Path, *words: str) -> command.Done:
    return command.run(folder, "test", *(words or ("story.ndjson",)))


def changed(number: int, **members: Any) -> list[dict[str, Any]]:
    """The story with other data in that line."""
    lines = [dict(line) for line in STORY]
    lines[number]["data"] = {**lines[number]["data"], **members}
    return lines


# ------------------------------------------------------------------------------- test


def test_a_story_that_ends_as_it_did_passes(blog: Path) -> None:
    done = play(blog)
    assert done.code == 0, done
    assert "story.ndjson: as it was, 2 given, 4 expected" in done.out
    assert not (blog / ".nodey" / "bus").exists()


def test_what_differs_is_told_in_words(blog: Path) -> None:
    write(blog, changed(2, status="approved"))
    done = play(blog)
    assert done.code == 1
    assert done.out.splitlines() == [
        "story.ndjson: 1 difference",
        '  comment.moderated from moderation, key p1: data.status is "rejected", and was '
        '"approved"']


def test_what_is_missing_and_what_is_new_is_told(blog: Path) -> None:
    extra = {"kind": "pub", "t": 50, "from": "moderation", "topic": "comment.flagged",
             "cause": "73", "data": {"n": 1}}
    write(blog, [*STORY[:-1], extra])
    done = play(blog)
    assert done.code == 1 and "2 differences" in done.out
    assert '  comment.flagged from moderation: it is missing, with {"n":1}' in done.out
    assert "  comment.updated from posts, key p1: it is new, with " in done.out


def test_the_order_of_a_key_counts_and_that_of_others_does_not(blog: Path) -> None:
    swapped = [STORY[0], STORY[1], STORY[4], STORY[5], STORY[2], STORY[3], STORY[6]]
    write(blog, swapped)
    done = play(blog)
    assert done.code == 1 and "it came after comment.moderated, and was before it" in done.out
    other_keys = [dict(line, key="p2") if line.get("data", {}).get("id") == "c2" else line
                  for line in swapped]
    write(blog, other_keys)
    assert play(blog).code == 0


def test_values_that_are_others_each_time_are_of_one_form(blog: Path) -> None:
    write(blog, changed(2, review="none"))
    done = play(blog)
    assert done.code == 1 and "data.review is" in done.out
    write(blog, changed(2, review="2026-01-02T03:04:05Z"))
    done = play(blog)
    assert done.code == 1 and "data.review is" in done.out, "a time is no UUID"
    write(blog, changed(3, at=12))
    done = play(blog)
    assert done.code == 1 and "data.at is" in done.out


def test_members_that_are_new_or_gone_differ(blog: Path) -> None:
    write(blog, changed(2, lang="en"))
    done = play(blog)
    assert done.code == 1 and 'data.lang is missing, and was "en"' in done.out
    lines = changed(2)
    del lines[2]["data"]["text"]
    write(blog, lines)
    done = play(blog)
    assert done.code == 1 and 'data.text is "an orange", and was missing' in done.out


def test_of_one_program_the_others_words_are_given(blog: Path) -> None:
    """No other runs: what moderation said is given to posts, whatever moderation does now."""
    (blog / "workers" / "moderation.py").write_text("raise SystemExit('must not run')")
    done = play(blog, "story.ndjson", "--only", "posts")
    assert done.code == 0 and "4 given, 2 expected" in done.out, done
    done = play(blog, "story.ndjson", "--only", "query")
    assert done.code == 1 and "query takes no part in it" in done.err


# Two subscriptions of one group, a part of the id, a list and a header.
ECHO = """
const { on, publish } = require('nodey');
on('a', (e) => publish('b', { of: e.id, list: [1, 2, 3] }, { headers: { lang: 'en' } }));
on('*', () => {});
"""
ECHOED: list[dict[str, Any]] = [
    {"kind": "story", "programs": ["echo"]},
    {"kind": "pub", "t": 0, "from": "http", "topic": "a", "id": "70", "key": "k"},
    {"kind": "pub", "t": 1, "from": "echo", "topic": "b", "id": "71", "key": "k", "cause": "70",
     "headers": {"lang": "en"}, "data": {"of": "70", "list": [1, 2, 3]}},
]


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    write_files(tmp_path, {"workers/echo.js": ECHO})
    write(tmp_path, ECHOED)
    return tmp_path


def test_ids_of_messages_are_others_in_each_run(echo: Path) -> None:
    done = play(echo)
    assert done.code == 0 and "1 given, 1 expected" in done.out, done


@pytest.mark.parametrize("members, words", [
    ({"data": {"of": "99", "list": [1, 2, 3]}},
     ['b from echo, key k: data.of is "1", and was "99"']),
    ({"data": {"of": "70", "list": [1, 2]}}, ["data.list is [1,2,3], and was [1,2]"]),
    ({"data": {"of": "70", "list": [1, 5, 3]}}, ["data.list[1] is 2, and was 5"]),
    ({"headers": {"lang": "de"}}, ['headers.lang is "en", and was "de"']),
    ({"key": "other"}, ["b from echo, key other: it is missing", "b from echo, key k: it is new"]),
    ({"queue": "b", "topic": None},
     ["job b from echo, key k: it is missing", "  b from echo, key k: it is new"]),
])
def test_whatever_differs_is_a_difference(echo: Path, members: dict[str, Any],
                                          words: list[str]) -> None:
    line = {name: value for name, value in {**ECHOED[2], **members}.items() if value is not None}
    write(echo, [*ECHOED[:2], line])
    done = play(echo)
    assert done.code == 1 and done.out.count("\n") == 1 + len(words), done
    for one in words:
        assert one in done.out, done


def test_one_message_is_not_two(echo: Path) -> None:
    write(echo, [*ECHOED, ECHOED[2]])
    done = play(echo)
    assert done.code == 1 and "1 difference\n" in done.out and "it is missing" in done.out, done


def test_the_publishers_own_id_is_kept(echo: Path) -> None:
    named = {**ECHOED[1], "id": "order-7", "msgid": "order-7"}
    write(echo, [ECHOED[0], named, {**ECHOED[2], "cause": "order-7",
                                    "data": {"of": "order-7", "list": [1, 2, 3]}}])
    assert play(echo, "--update", "story.ndjson").code == 0
    _, first, second = map(json.loads, (echo / "story.ndjson").read_text().splitlines())
    assert (first["msgid"], second["cause"], second["data"]["of"]) == ("order-7",) * 3
    assert "msgid" not in second
    assert play(echo).code == 0


def test_what_each_process_hears_leads_to_something(echo: Path) -> None:
    """Nobody says when the handler of a broadcast is done."""
    script = echo / "workers" / "echo.js"
    script.write_text(ECHO.replace("(e) => publish", "async (e) => await later(20) ?? publish")
                      .replace("} }));", "} }), { each: true });")
                      + "const later = (ms) => new Promise((done) => setTimeout(done, ms));\n")
    for _ in range(3):
        done = play(echo)
        assert done.code == 0 and "1 given, 1 expected" in done.out, done


def test_a_story_runs_its_programs_and_nothing_else(echo: Path) -> None:
    (echo / "other.js").write_text("require('fs').writeFileSync('ran', '');\n")
    (echo / "nodey.toml").write_text("""
[workers.echo]
script = "workers/echo.js"
instances = 3
[workers.other]
script = "other.js"
[services.db]
command = ["touch", "ran"]
[schedule.often]
every = "1s"
publish = "a"
""")
    script = echo / "workers" / "echo.js"
    script.write_text(ECHO + "require('fs').appendFileSync('starts', 'x');\n")
    late = {**ECHOED[1], "id": "72", "t": 2500, "topic": "c"}
    write(echo, [*ECHOED, late])
    (echo / "tmp").mkdir()
    done = command.run(echo, "replay", "story.ndjson", env={"TMPDIR": str(echo / "tmp")})
    assert done.code == 0 and done.out.count("\n") == 1, done
    assert (echo / "starts").read_text() == "x" and not (echo / "ran").exists()
    assert not list((echo / "tmp").iterdir()), "its folder is gone"
    begun = time.monotonic()
    write(echo, [*ECHOED, {**late, "t": 60_000}])
    assert play(echo).code == 0
    assert command.run(echo, "replay", "story.ndjson", "--speed", "max").code == 0
    assert time.monotonic() - begun < 30


def test_update_writes_what_came_and_that_passes(blog: Path) -> None:
    path = blog / "workers" / "moderation.py"
    path.write_text(path.read_text().replace('"approved"', '"fine"'))
    assert play(blog).code == 1
    done = play(blog, "--update", "story.ndjson")
    assert done.code == 0, done
    lines = [json.loads(line) for line in (blog / "story.ndjson").read_text().splitlines()]
    assert [line.get("topic") for line in lines] == [line.get("topic") for line in STORY]
    assert lines[5]["data"]["status"] == "fine"
    assert play(blog).code == 0


def test_a_story_takes_less_than_a_second(blog: Path) -> None:
    play(blog)
    took = []
    for _ in range(3):
        begun = time.monotonic()
        assert play(blog).code == 0
        took.append(time.monotonic() - begun)
    assert min(took) < slow(1), took


def test_the_nodey_that_is_up_notices_nothing(nodey: Nodey) -> None:
    app = nodey(FILES, POOLS)
    put(app, "post.created", {}, key="p1")
    handled(app, "post.created", 1)
    write(app.folder, STORY)
    assert play(app.folder).code == 0
    found = json.loads(command.run(app.folder, "flow", "--json").out)
    assert [e["topic"] for e in found["published"]] == ["post.created"]


def test_dead_letters_are_expected_like_any_other_message(blog: Path) -> None:
    given = {"kind": "pub", "t": 0, "from": "posts", "topic": "post.created", "id": "1",
             "key": "p1", "data": {"dead": True}}
    header = {"kind": "story", "programs": ["query"]}
    write(blog, [header, given])
    done = play(blog)
    assert done.code == 1 and done.out.endswith(
        '  the dead letter post.created from posts, key p1: it is new, with {"dead":true}, '
        "because query failed: Dead: it is broken\n"), done
    assert play(blog, "--update", "story.ndjson").code == 0
    assert play(blog).code == 0


def test_a_program_that_hangs_is_told(blog: Path) -> None:
    path = blog / "workers" / "moderation.py"
    path.write_text(path.read_text().replace("    status =", "    import time; time.sleep(9)\n"
                                                             "    status ="))
    done = play(blog, "story.ndjson", "--timeout", "500ms")
    assert done.code == 1
    assert "what message 1 led to was not handled within 500 ms" in done.err


def test_a_program_that_does_not_start_is_told(blog: Path) -> None:
    (blog / "workers" / "moderation.py").write_text("import no_such_module\n")
    done = play(blog)
    assert done.code in (1, 3) and "no_such_module" in done.err, done


@pytest.mark.parametrize("text, words", [
    ("{\n", "story.ndjson:1: "),
    ('{"kind":"story","programs":["posts"]}\n{"kind":"pubs"}\n', "story.ndjson:2: its kind is"),
    ('{"kind":"pub"}', "either a topic or a queue"),
    ("", "there is no pub in it"),
    ('{"kind":"pub","topic":"a"}', "it names no program"),
    ('{"kind":"story","programs":["pots"]}\n{"kind":"pub","topic":"a"}',
     'there is no program "pots"'),
])
def test_a_bad_story_is_told_with_its_line(blog: Path, text: str, words: str) -> None:
    (blog / "story.ndjson").write_text(text)
    done = play(blog)
    assert done.code != 0 and words in done.err, done


def test_usage(blog: Path) -> None:
    assert command.run(blog, "test").code == 2
    assert play(blog, "none.ndjson").code == 1
    assert play(blog, "story.ndjson", "--timeout", "soon").code == 2
    assert command.run(blog, "replay", "story.ndjson", "--speed", "-1").code == 2
    assert command.run(blog, "record").code == 2


# ------------------------------------------------------------------------------ record


def record(app: App, *words: str) -> "subprocess.Popen[bytes]":
    recorder = subprocess.Popen(
        [str(BINARY), "record", "-o", "kept.ndjson", *words], cwd=app.folder,
        env=command.environment(), stderr=subprocess.PIPE)
    assert recorder.stderr and b"recording into" in recorder.stderr.readline()
    time.sleep(slow(0.2))
    return recorder


def finish(recorder: "subprocess.Popen[bytes]", folder: Path) -> list[dict[str, Any]]:
    time.sleep(slow(0.3))
    recorder.terminate()
    assert recorder.wait(slow(10)) == 0
    if recorder.stderr:
        assert recorder.stderr.read().endswith(b" lines; nodey test kept.ndjson plays it again\n")
        recorder.stderr.close()
    return [json.loads(line) for line in (folder / "kept.ndjson").read_text().splitlines()]


def test_what_is_recorded_passes_its_test(nodey: Nodey) -> None:
    app = nodey(FILES, POOLS)
    recorder = record(app)
    put(app, "post.created", {"retry": True}, key="p1")
    put(app, "comment.created", {"id": "c1", "text": "an orange"}, key="p1")
    handled(app, "comment.updated", 1)
    lines = finish(recorder, app.folder)
    kinds = [line["kind"] for line in lines]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "pub": 4, "event": 5, "ack": 4, "nack": 1}
    assert all(0 <= line["t"] < 60_000 for line in lines)
    (nack,) = [line["end"] for line in lines if line["kind"] == "nack"]
    assert nack["error"] == "Retry: not yet" and nack["group"] == "query"
    done = play(app.folder, "kept.ndjson")
    assert done.code == 0 and "2 given, 2 expected" in done.out, done


def test_one_story_alone_is_recorded(nodey: Nodey) -> None:
    app = nodey(FILES, POOLS)
    first = put(app, "post.created", {}, key="p0")
    recorder = record(app, "--corr", str(first + 1))
    put(app, "comment.created", {"id": "c1", "text": "x"}, key="p1")
    handled(app, "comment.updated", 1)
    put(app, "post.created", {}, key="p2")
    lines = finish(recorder, app.folder)
    assert [line["topic"] for line in lines if line["kind"] == "pub"] == [
        "comment.created", "comment.moderated", "comment.updated"]
    assert len([line for line in lines if line["kind"] == "ack"]) == 3


def test_record_ends_by_itself(nodey: Nodey) -> None:
    app = nodey(FILES, POOLS)
    begun = time.monotonic()
    done = command.run(app.folder, "record", "-o", "stories/kept.ndjson", "--for", "500ms")
    assert done.code == 0 and 0.4 < time.monotonic() - begun < slow(5)
    assert (app.folder / "stories" / "kept.ndjson").exists(), "the folder is made"
    assert done.err.endswith("nothing has happened\n")
    done = command.run(app.folder, "record", "-o", "no/such/kept.ndjson", "--for", "500ms")
    assert done.code == 1 and "no/such/kept.ndjson: No such file" in done.err, done


# ------------------------------------------------------------------------------ replay


def replay(blog: Path, *words: str) -> list[dict[str, Any]]:
    done = command.run(blog, "replay", "story.ndjson", *words)
    assert done.code == 0, done
    return [json.loads(line) for line in done.out.splitlines()]


def test_replay_prints_what_came(blog: Path) -> None:
    lines = replay(blog, "--speed", "max")
    assert [(line["from"], line["topic"], line["data"]["status"]) for line in lines] == [
        ("moderation", "comment.moderated", "rejected"), ("posts", "comment.updated", "rejected"),
        ("moderation", "comment.moderated", "approved"), ("posts", "comment.updated", "approved")]
    assert replay(blog, "--speed", "max", "--only", "moderation")[0]["from"] == "moderation"


def gap(lines: list[dict[str, Any]]) -> Optional[int]:
    times = [line["t"] for line in lines if line["topic"] == "comment.moderated"]
    return int(times[1]) - int(times[0])


def test_replay_keeps_the_time(blog: Path) -> None:
    late = [dict(line, t=line["t"] + 1500) if line.get("t", 0) >= 20 else line for line in STORY]
    write(blog, late)
    assert 1400 <= (gap(replay(blog)) or 0) < slow(3) * 1000
    assert 300 <= (gap(replay(blog, "--speed", "3")) or 0) < slow(1.2) * 1000
