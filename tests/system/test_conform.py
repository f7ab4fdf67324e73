"""`nodey check PROGRAM`: what is right passes, and each fault is called by its name."""

from __future__ import annotations

import json
import re
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

import procs
from app import ROOT
from command import Done, Terminal, run
from conftest import write_files
from timing import slow, until

pytestmark = pytest.mark.outside

WORKERS = ROOT / "tests/workers"
FAULTY = [sys.executable, "-S", "-E", str(WORKERS / "faulty.py")]

PATIENCE = f"{slow(2):g}s"


def check(folder: Path, *words: str) -> Done:
    return run(folder, "check", *words, timeout=100)


def verdict(folder: Path, *words: str) -> dict[str, Any]:
    done = check(folder, "--format", "json", *words)
    result: dict[str, Any] = json.loads(done.out)
    assert done.code == (0 if result["ok"] and result["finished"] else 1), done
    return result


def of(result: dict[str, Any], kind: str) -> list[str]:
    return [one["name"] for one in result["checks"] if one["result"] == kind]


# -------------------------------------------------------------------- what is right


@pytest.mark.parametrize("name", ["level0.sh", "level0.pl", "level0.lua"])
def test_a_few_lines_in_any_language_reach_level_0(tmp_path: Path, name: str) -> None:
    result = verdict(tmp_path, str(WORKERS / name))
    assert (result["level"], of(result, "fail"), of(result, "note")) == (0, [], []), result
    assert len(result["checks"]) >= 13


@pytest.mark.parametrize("name", ["level0.sh", "level0.pl", "level0.lua"])
def test_what_reaches_level_0_is_served(tmp_path: Path, name: str) -> None:
    write_files(tmp_path, {"nodey.toml": f'[workers.a]\nscript = "{WORKERS / name}"\n'})
    assert json.loads(run(tmp_path, "call", "/level0?name=Ann").out) == {"hello": "Ann"}
    assert json.loads(run(tmp_path, "call", "/level0").out) == {"hello": "world"}


def test_the_smallest_worker_of_the_protocols_text_reaches_level_0(tmp_path: Path) -> None:
    text = (ROOT / "protocol/PROTOCOL.md").read_text()
    script = re.search(r"```sh\n(.*?)```", text, re.DOTALL)
    assert script
    write_files(tmp_path, {"smallest.sh": script[1]})
    result = verdict(tmp_path, "smallest.sh")
    assert (result["level"], of(result, "fail")) == (0, []), result


@pytest.mark.parametrize("program", [
    "workers/fib.py", "workers/hello.js", "workers/dual/stock.js",
    "tests/python/workers/ask.py", "tests/node/workers/ask.js"])
def test_what_the_sdks_write_reaches_level_1(tmp_path: Path, program: str) -> None:
    result = verdict(tmp_path, str(ROOT / program))
    assert (result["level"], of(result, "fail")) == (1, []), result
    assert {"ask", "cancel", "drain", "ping"} <= set(result["features"])


@pytest.mark.parametrize("program", [
    "workers/blog/moderation.py", "workers/blog/query.mjs", "workers/glove/gateway/gateway.js",
    "workers/glove/processing/processing.py", "tests/python/workers/events.py",
    "tests/python/workers/events_async.py", "tests/node/workers/events.js"])
def test_what_handles_events_with_the_sdks_reaches_level_1(tmp_path: Path, program: str) -> None:
    result = verdict(tmp_path, str(ROOT / program))
    assert (result["level"], of(result, "fail")) == (1, []), result
    assert "events" in result["features"]
    assert len([one for one in result["checks"] if one["section"] == "20"]) >= 3


def test_a_module_finds_its_sdk_as_when_it_is_served(tmp_path: Path) -> None:
    write_files(tmp_path, {"workers/hello.mjs": "import { get } from 'nodey';\n"
                                                "get('/hello', () => 'hello');\n"})
    result = verdict(tmp_path, "workers/hello.mjs")
    assert (result["level"], of(result, "fail")) == (1, []), result


def test_what_is_right_is_told_in_one_line_each(tmp_path: Path) -> None:
    done = check(tmp_path, "--", *FAULTY)
    lines = [line for line in done.out.splitlines()[1:] if line]
    assert done.code == 0 and done.err == "", done
    assert all(line.startswith("  ok    ") for line in lines[:-1]), done
    assert re.fullmatch(r"level 1 is reached \(cancel, ask, nested, ping, drain\): "
                        r"\d\d ok, 0 failed", lines[-1])


def test_arguments_reach_the_program(tmp_path: Path) -> None:
    result = verdict(tmp_path, "--", *FAULTY, "", "level0")
    assert (result["level"], result["features"]) == (0, [])
    named = verdict(tmp_path, str(WORKERS / "faulty.py"), "string-id")
    assert named["program"][-1] == "string-id" and of(named, "fail") == ["answers a request"]


# ------------------------------------------------------------------- what is wrong

START = "starts, and says that it is ready"
ANSWER = "answers a request"
ONCE = "answers it once"
IDS = "takes the request's id for the id, and not another one in the line"
LARGE_ID = "gives large ids back exactly"
UNKNOWN = "ignores members that it does not know"
TEXT = "reads any text as a body"
LONG = "reads a line of 1 MiB"
LAST = "answers what is open at the end of its input, then ends"
MANY = "answers many requests that came at once"
NESTED = "answers a nested ask and a ping while it waits in an ask"

FAULTS = [
    # fault, the check that fails, part of why, part of how to mend it
    ("crash", START, "a bug at the start", ""),
    ("start-error", START, "it cannot start: DATABASE_URL is not set", ""),
    ("bad-ready", START, 'concurrency is "4"; it must be a whole number', ""),
    ("buffered", ANSWER, "only when its input had ended", "flush=True in Python"),
    ("no-line-end", ANSWER, "the LF at its end is missing", "line feed"),
    ("string-id", ANSWER, "came back as a string", "without quotes"),
    ("no-id", ANSWER, "without a usable id", "take the id from the line"),
    ("wrong-id", ANSWER, "the id 2, which is not open", "the id of the line"),
    ("bad-status", ANSWER, "status must be a whole number 100 to 999", ""),
    ("bad-header", ANSWER, "CR, LF or NUL", ""),
    ("streams", ANSWER, '"more" without having declared', '"features":["stream"]'),
    ("latin1", ANSWER, "not UTF-8", "write UTF-8"),
    ("pretty", ANSWER, "no frame", "not indented"),
    ("undeclared-ask", ANSWER, "without having declared the feature ask", '"features":["ask"]'),
    ("ask-for-nothing", ANSWER, "its ask is for 424242", '"for"'),
    ("hangs-after-an-ask", ANSWER, "nothing came within", ""),
    ("one-shot", ONCE, "exited with status 0 before it answered", "go on reading"),
    ("twice", ONCE, "has got its last frame already", "answer once"),
    ("rounded-id", LARGE_ID, "9007199250000000, which is not open", ""),
    ("greedy-id", IDS, "not open", ""),
    ("strict", UNKNOWN, "an unknown member", ""),
    ("unescaped", TEXT, "no frame", "must be escaped"),
    ("short-lines", LONG, "could not read the line", "whole lines"),
    ("never-ends", LAST, "still ran", "no further line"),
    ("last-first", MANY, "was answered before", "in the order"),
    ("no-pong", "answers ping", "no pong", "do not declare ping"),
    ("answers-hello", "takes hello without an answer", "has no answer", ""),
    ("unknown-type", "ignores types that it does not know", "has no answer", ""),
    ("dies-of-a-bad-line", "says so when a line is malformed, and goes on", "exited", ""),
    ("ignores-asks", "answers the asks for its tokens", "nothing came", ""),
    ("answers-an-ask-as-a-request", "answers the asks for its tokens",
     "answered with a response", '"type":"answer"'),
    ("answers-a-cancel-twice", "ignores a cancel of what is not open", "has no answer", ""),
    ("never-nested", NESTED, "nothing came", ""),
    ("asks-and-forgets", NESTED, "not open", ""),
    ("never-drains", "drain: answers what is open, and exits with its input still open",
     "still ran", "exit"),
    ("exits-with-3", "shutdown: ends what is open, and exits", "status 3 instead of 0", ""),
]


CREDIT = "stops an answer when its credit is used up, and goes on with more"
PIECES = [sys.executable, "-S", "-E", str(WORKERS / "pieces.py")]
FAULTS_OF_PIECES = [
    ("undeclared-pieces", ANSWER, '"more" without having declared', '"features":["stream"]'),
    ("pieces-after-the-end", ONCE, "has got its last frame already", "answer once"),
    ("greedy", CREDIT, "256 bytes of an answer came, and its credit was 0", "wait for credit"),
    ("deaf-to-credit", CREDIT, "nothing more came", "go on"),
    ("deaf-to-cancel", "ends an answer in pieces that is cancelled", "nothing came within", ""),
    ("answers-strangers", "ignores pieces and credit of what is not open", "has no answer", ""),
]


EVENTS = [sys.executable, "-S", "-E", str(WORKERS / "faulty_events.py")]
EVENT, JOB = "ends an event with one ack or nack", "ends a job with one ack or nack"
STRANGE = "ignores members of an event that it does not know"
TIME_IS_OVER = "ends an event whose time is over, and its next attempt"
FAULTS_OF_EVENTS = [
    ("undeclared", "declares the feature of what it subscribes to",
     "without having declared the feature events", '"features":["events"]'),
    ("bad-pattern", START, 'a subscription\'s topic is "order..paid"', ""),
    ("bad-queue", START, 'a job\'s queue is "mail.*"', ""),
    ("bad-topic", EVENT, 'nodey would refuse what it publishes: topic "order seen"', "letters"),
    ("no-topic", EVENT, "topic or queue must be there", "like a publish frame"),
    ("no-list", EVENT, "publish must be an array", ""),
    ("too-many", EVENT, "publishes more than 1024 messages", "frames of their own"),
    ("by-seq", EVENT, "the id 2, which is not open", "the id of the line"),
    ("string-id", EVENT, "id must be the number", ""),
    ("response", EVENT, "an event was answered with a response", '"type":"ack"'),
    ("bad-nack", "goes on when a handler fails, whatever the data are",
     "error must be an object with name, message and stack", ""),
    ("never", EVENT, "nothing came within", "one ack or nack"),
    ("twice", EVENT, "has got its last frame already", "answer once"),
    ("publishes-badly", EVENT, 'topic "order.*"', "letters"),
    ("no-jobs", JOB, "nothing came within", "one ack or nack"),
    ("strict", STRANGE, "refuses the same with a member", "no notice of others"),
    ("dies", "goes on when a handler fails, whatever the data are",
     "exited with status 1 before it answered; its last words: ValueError", '"type":"nack"'),
    ("busy", "ends many events that came at once", "nothing came within", "one ack or nack"),
    ("old-id", TIME_IS_OVER, "which is not open", "the id of the line"),
    ("forgets-cancelled", TIME_IS_OVER, "nothing came within", "one ack or nack"),
    ("answers-each", "takes what each instance hears without an answer", "not open", ""),
    ("answers-gap", "takes gap without an answer", "the id 1, which is not open", ""),
]


def test_a_worker_of_events_is_right_whatever_it_makes_of_the_data(tmp_path: Path) -> None:
    result = verdict(tmp_path, "--", *EVENTS)
    assert (result["level"], of(result, "fail"), of(result, "note")) == (1, [], []), result
    names = {name for _, name, _, _ in FAULTS_OF_EVENTS}
    assert "events" in result["features"] and names <= set(of(result, "ok"))


@pytest.mark.parametrize("fault, name, why, mend", FAULTS_OF_EVENTS,
                         ids=[fault[0] for fault in FAULTS_OF_EVENTS])
def test_a_fault_of_events_is_named(tmp_path: Path, fault: str, name: str, why: str,
                                    mend: str) -> None:
    result = verdict(tmp_path, "--timeout", PATIENCE, "--", *EVENTS, fault)
    failed = {one["name"]: one for one in result["checks"] if one["result"] == "fail"}
    assert name in failed, result
    assert why in failed[name]["why"] and mend in failed[name]["mend"], failed[name]
    assert len(failed) <= 2, "one fault is not told all over again"
    assert result["level"] in (None, 0)


def test_an_answer_in_pieces_is_right_when_it_keeps_to_its_credit(tmp_path: Path) -> None:
    result = verdict(tmp_path, "--", *PIECES)
    assert (result["level"], of(result, "fail"), of(result, "note")) == (1, [], []), result
    assert "stream" in result["features"] and CREDIT in of(result, "ok")


@pytest.mark.parametrize("fault, name, why, mend", FAULTS_OF_PIECES,
                         ids=[fault[0] for fault in FAULTS_OF_PIECES])
def test_a_fault_in_pieces_is_named(tmp_path: Path, fault: str, name: str, why: str,
                                    mend: str) -> None:
    result = verdict(tmp_path, "--timeout", PATIENCE, "--", *PIECES, fault)
    failed = {one["name"]: one for one in result["checks"] if one["result"] == "fail"}
    assert name in failed, result
    assert why in failed[name]["why"] and mend in failed[name]["mend"], failed[name]
    assert len(failed) <= 2, "one fault is not told all over again"


@pytest.mark.parametrize("fault, name, why, mend", FAULTS, ids=[fault[0] for fault in FAULTS])
def test_a_fault_is_named(tmp_path: Path, fault: str, name: str, why: str, mend: str) -> None:
    result = verdict(tmp_path, "--timeout", PATIENCE, "--", *FAULTY, fault)
    failed = {one["name"]: one for one in result["checks"] if one["result"] == "fail"}
    assert name in failed, result
    assert why in failed[name]["why"] and mend in failed[name]["mend"], failed[name]
    assert re.fullmatch(r"\d+", failed[name]["section"])
    assert len(failed) <= 2, "one fault is not told all over again"
    assert result["level"] in (None, 0)


def test_a_feature_that_is_not_kept_leaves_level_0(tmp_path: Path) -> None:
    done = check(tmp_path, "--timeout", PATIENCE, "--", *FAULTY, "never-drains")
    assert done.code == 1 and "level 0 is reached, but not what is declared (drain)" in done.out
    result = verdict(tmp_path, "--timeout", PATIENCE, "--", *FAULTY, "no-pong")
    assert (result["level"], result["failed_features"]) == (0, ["ping"])


def test_a_failure_shows_what_was_sent_and_what_came(tmp_path: Path) -> None:
    done = check(tmp_path, "--", *FAULTY, "string-id", "level0")
    failed = done.out[done.out.index("  FAIL"):]
    assert re.search(r'^        sent  \{"id":1,.*"method":"GET","path":"/faulty/1".*\}$', failed,
                     re.M), done
    assert '        came  {"id": "1", "json": {"path": "/faulty/1"}}' in failed
    assert "(PROTOCOL.md, section 7)" in failed and "mend: write the number" in failed
    assert "level 0 is not reached: 1 ok, 1 failed; the rest was not tried" in failed
    assert done.code == 1


def test_a_worker_is_checked_by_its_name(tmp_path: Path) -> None:
    write_files(tmp_path, {
        "programs/other.py": "import nodey, os\nassert os.environ['LEVEL'] == 'high'\n"
                             "assert os.path.basename(os.getcwd()) == 'data'\n"
                             "nodey.get('/other')(lambda req: 'other')\n",
        "data/x": "", "workers/bad.py": "import nodey\nx = (\n",
        "nodey.toml": '[workers.fine]\nscript = "programs/other.py"\ncwd = "data"\n'
                      'env = { LEVEL = "high" }\n'})
    result = verdict(tmp_path, "fine")
    assert (result["level"], of(result, "fail")) == (1, []), result
    assert result["program"][-1].endswith("programs/other.py")
    bad = check(tmp_path, "bad")
    assert bad.code == 1 and "\\x0a" not in bad.out, bad
    assert re.search(r"^        it says that it cannot start: .*bad\.py:2: SyntaxError", bad.out,
                     re.M), bad
    assert re.search(r"^            x = \($", bad.out, re.M), "each line of it is a line"
    assert "no worker here has that name" in check(tmp_path, "nobody").err
    write_files(tmp_path, {"fine": ""})
    assert "not executable" in check(tmp_path, "fine").err, "a file of that name goes first"


def test_what_was_said_is_shown_of_failures_or_on_demand(tmp_path: Path) -> None:
    usual = check(tmp_path, "--", *FAULTY, "chatters", "level0")
    assert "  note  " in usual.out and "sent  " not in usual.out, usual
    assert "came  " not in usual.out and "mend: print to stderr" in usual.out
    whole = check(tmp_path, "-v", "--", *FAULTY, "chatters", "level0")
    assert whole.out.count("        sent  ") >= 10 and "        came  " in whole.out, whole


def test_silence_and_chatter_are_only_noted(tmp_path: Path) -> None:
    silent = verdict(tmp_path, "--", *FAULTY, "silent", "level0")
    assert (silent["level"], of(silent, "note")) == (0, [START]), silent
    chatter = verdict(tmp_path, "--", *FAULTY, "chatters", "level0")
    assert (chatter["level"], of(chatter, "note")) == \
        (0, ["prints nothing but frames on its protocol output"]), chatter


def test_what_a_program_writes_cannot_paint_over_the_terminal(tmp_path: Path) -> None:
    write_files(tmp_path, {"painter.sh": "#!/bin/sh\nprintf '\\033[2J{\\033]0;x\\007\\n'\ncat\n"})
    with Terminal(tmp_path, ["check", "--timeout", "500ms", "painter.sh"]) as terminal:
        assert terminal.end(30) == 1
    assert "\x1b[2J" not in terminal.seen and "\x07" not in terminal.seen
    assert "\x1b[31mFAIL\x1b[0m" in terminal.seen


def test_nothing_is_left_of_a_program_that_will_not_end(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    write_files(tmp_path, {"stubborn.sh": "#!/bin/sh\ntrap '' TERM HUP\nsleep 300 &\n"
                                          "while :; do sleep 1; done\n"})
    started = time.monotonic()
    done = run(tmp_path, "check", "--timeout", "1s", "stubborn.sh", env={procs.RUN: mark},
               timeout=60)
    assert done.code == 1 and time.monotonic() - started < slow(20), done
    until(lambda: procs.run_is_gone(mark), 10, "its processes are gone")


@pytest.mark.parametrize("words, code, said", [
    (["nosuch.py"], 1, "nosuch.py: No such file"),
    (["."], 1, "is a folder"),
    (["notes.txt"], 1, "not executable"),
    (["--", "no-such-command"], 1, ""),
    (["--as", "nobody", "a.py"], 2, "--as knows fib"),
    (["--as", "fib"], 2, "--as needs a program"),
    (["-f", "x.toml", "a.py"], 2, "-f goes without a program"),
    (["--format", "xml"], 2, "--format knows json"),
])
def test_wrong_use_is_told_in_words(tmp_path: Path, words: list[str], code: int,
                                    said: str) -> None:
    write_files(tmp_path, {"notes.txt": "hello", "a.py": ""})
    done = check(tmp_path, *words)
    assert done.code == code and said in done.err, done
    assert said or "no-such-command: No such file or directory" in done.out, done


def test_check_without_a_program_still_checks_the_configuration(tmp_path: Path) -> None:
    write_files(tmp_path, {"nodey.toml": "[server]\nmax_bodi = 1\n", "good.toml":
                           "[workers.a]\ncommand = ['cat']\n"})
    done = check(tmp_path)
    assert done.code == 1 and "nodey.toml:2:1" in done.err, done
    assert check(tmp_path, "-f", "good.toml").code == 0
    assert check(tmp_path, "good.toml").code == 0


# ------------------------------------------------------------------ golden transcripts


GOLDEN = ["fib", "echo", "shapes", "ask", "slow", "noisy", "broken", "events"]
IN_PIECES = ["streams", "sockets"]


@pytest.mark.parametrize("worker", GOLDEN + IN_PIECES)
def test_the_golden_transcripts_can_be_run_against_any_program(tmp_path: Path,
                                                               worker: str) -> None:
    known = [json.loads(line)["name"] for line in
             (ROOT / "protocol/vectors/transcripts.jsonl").read_text().splitlines()
             if json.loads(line)["worker"] == worker]
    program = ROOT / "tests/python/workers" / f"{worker}.py"
    command = ["--", *PIECES] if worker in IN_PIECES else [str(program)]
    result = verdict(tmp_path, "--as", worker, *command)
    assert sorted(of(result, "ok")) == sorted(known) and not of(result, "fail"), result


@pytest.mark.parametrize("worker, program", [("fib", "echo"), ("echo", "fib"), ("broken", "fib"),
                                             ("ask", "fib"), ("slow", "echo")])
def test_who_is_somebody_else_fails_the_golden_transcripts(tmp_path: Path, worker: str,
                                                           program: str) -> None:
    path = ROOT / "tests/python/workers" / f"{program}.py"
    done = check(tmp_path, "--as", worker, str(path))
    assert done.code == 1 and "FAIL" in done.out and "expected" in done.out, done
    assert f"the golden transcripts of {worker}: " in done.out


@pytest.mark.parametrize("worker, fault, failing", [
    ("streams", "greedy", "an answer stops when its credit is used up, and goes on"),
    ("streams", "deaf-to-credit", "each answer has a credit of its own"),
    ("streams", "pieces-after-the-end", "an answer in pieces"),
    ("sockets", "greedy", "messages wait for credit, one may exceed it"),
])
def test_faults_in_pieces_fail_the_golden_transcripts(tmp_path: Path, worker: str, fault: str,
                                                      failing: str) -> None:
    result = verdict(tmp_path, "--timeout", PATIENCE, "--as", worker, "--", *PIECES, fault)
    assert failing in of(result, "fail"), result


@pytest.mark.parametrize("end, why", [
    ("echo '{\"type\":\"answer\",\"id\":1,\"value\":1}'; exit 1", "a frame too many"),
    ("exit 0", "exited with status 0"),
    ("sleep 60", "it does not end"),
])
def test_a_golden_transcript_ends_where_it_ends(tmp_path: Path, end: str, why: str) -> None:
    error = {"type": "error", "id": None, "code": "failed_precondition",
             "message": "DATABASE_URL is not set"}
    write_files(tmp_path, {"broken.sh": f"#!/bin/sh\necho '{json.dumps(error)}'\n{end}\n"})
    result = verdict(tmp_path, "--timeout", PATIENCE, "--as", "broken", "broken.sh")
    assert [one["why"] for one in result["checks"]] and why in result["checks"][0]["why"], result
