"""A stream that lets the oldest go, and a store that is behind: what is lost is told, and who is too fast waits."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import threading
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from app import App
from client import Hang
from command import run
from eventful import entries, eventful, frames, on, publish, send, wait_frames
from timing import until
from workers import script

Nodey = Callable[..., App]

# Room for twenty messages of 50000 bytes.
SMALL = '[streams.small]\ntopics = ["big.*"]\nmax_bytes = "1M"\ndiscard = "old"\n\n'
TEXT = "x" * 50_000
BRIEF = '\n[server]\nshutdown_timeout = "1s"\n'


def fill(app: App, count: int = 40) -> list[int]:
    """Publishes more than there is room for; the seqs."""
    return [publish(app, "front", "big.one", {"n": n, "x": TEXT}) for n in range(count)]


def kept(app: App) -> list[int]:
    """The seqs of what is still there."""
    done = run(app.folder, "events", "list", "--stream", "small", "--format", "json")
    assert done.code == 0, done
    return [json.loads(line)["seq"] for line in done.out.splitlines()]


def lost_in(gaps: list[dict[str, Any]]) -> set[int]:
    return {seq for gap in gaps for seq in range(gap["from"], gap["to"] + 1)}


def test_a_group_is_told_what_it_has_lost(nodey: Nodey, tmp_path: Path) -> None:
    seen, front = tmp_path / "seen", tmp_path / "front"
    app = nodey(config=SMALL + eventful("front", front) + BRIEF +
                eventful("slow", seen, on("big.*", max=1, timeout=600_000)))
    first = publish(app, "front", "big.one", {"ms": 3000})
    wait_frames(seen, 1)
    seqs = [first, *fill(app)]
    gaps = wait_frames(seen, 1, "gap")
    assert all(set(gap) == {"type", "group", "from", "to"} and gap["group"] == "slow"
               for gap in gaps), gaps
    left = kept(app)
    assert 10 < len(left) < len(seqs), "the newest are there"
    assert left == seqs[-len(left):]
    until(lambda: {event["seq"] for event in frames(seen)} >= set(left), 30, "what is left comes")
    handled = [event["seq"] for event in frames(seen)]
    gone = set(seqs) - set(left)
    assert lost_in(frames(seen, "gap")) == gone, "what is named was removed, and nothing else"
    assert set(seqs) - set(handled) <= gone, "what it did not get was named"
    assert handled == sorted(set(handled)), "in order, each once"
    assert not frames(front, "gap"), "who is in no group of it hears nothing"
    assert publish(app, "front", "big.one", {"n": "after"}) and wait_frames(
        seen, 1, wanted=lambda e: e["data"].get("n") == "after"), "it goes on"


def test_every_instance_of_the_group_is_told_and_no_other_group(nodey: Nodey,
                                                               tmp_path: Path) -> None:
    seen, quick = tmp_path / "seen", tmp_path / "quick"
    app = nodey(config=SMALL + eventful("front", tmp_path / "front") + BRIEF +
                eventful("slow", seen, on("big.*", max=1, timeout=600_000), instances=2) +
                eventful("quick", quick, on("big.one")))
    for _ in range(2):
        publish(app, "front", "big.other", {"ms": 2000})
    wait_frames(seen, 2)
    for n in range(40):
        publish(app, "front", "big.one", {"n": n, "x": TEXT})
        wait_frames(quick, 1 + n)
    until(lambda: len({e["pid"] for e in entries(seen) if e["frame"]["type"] == "gap"}) == 2, 10,
          "both hear of it")
    assert not frames(quick, "gap") and len(frames(quick)) == 40, "it had read all that is for it"


def test_nothing_is_lost_or_told_where_new_ones_are_refused(nodey: Nodey, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=SMALL.replace('"old"', '"new"') + eventful("front", tmp_path / "front") +
                BRIEF + eventful("slow", seen, on("big.*", max=1, timeout=600_000)))
    publish(app, "front", "big.one", {"ms": 1500})
    answers = [send(app, "front", {"type": "publish", "topic": "big.one", "data": {"x": TEXT}})
               for _ in range(40)]
    stored = [one["seq"] for one in answers if one["type"] == "ack"]
    assert 10 < len(stored) < 40
    wait_frames(seen, 1 + len(stored), seconds=30)
    assert [event["seq"] for event in frames(seen)][1:] == stored and not frames(seen, "gap")


SLOW = {
    "py": '''
import nodey, time

@nodey.on("big.*", from_="first", max=1)
def slow(event):
    time.sleep(event.data.get("ms", 0) / 1000)
    with open("seen", "a") as file:
        print(event.seq, file=file)
''',
    "async.py": '''
import asyncio, nodey

@nodey.on("big.*", from_="first", max=1)
async def slow(event):
    await asyncio.sleep(event.data.get("ms", 0) / 1000)
    with open("seen", "a") as file:
        print(event.seq, file=file)
''',
    "js": '''
const fs = require('node:fs');
const { setTimeout: sleep } = require('node:timers/promises');
require('nodey').on('big.*', async (event) => {
    await sleep(event.data.ms ?? 0);
    fs.appendFileSync('seen', `${event.seq}\\n`);
}, { from: 'first', max: 1 });
''',
}


@pytest.mark.outside
@pytest.mark.parametrize("kind", sorted(SLOW))
def test_the_sdks_log_what_was_lost_and_go_on(nodey: Nodey, tmp_path: Path, kind: str) -> None:
    ext = kind.rpartition(".")[2] if "." in kind else kind
    app = nodey({f"workers/slow.{ext}": SLOW[kind]}, SMALL + eventful("front", tmp_path / "front") +
                BRIEF + script("slow", ext, instances=1))
    seqs = [publish(app, "front", "big.one", {"ms": 1500}), *fill(app)]
    app.wait_log(r"slow.*group '?slow'?.*(?:\d+) to (\d+)", 20)
    handled = app.folder / "seen"
    until(lambda: handled.exists() and handled.read_text().split()[-1:] == [str(seqs[-1])], 20,
          "the newest is handled")
    told = re.findall(r"group '?slow'?\D*?(\d+) to (\d+)", app.log())
    named = {seq for begin, end in told for seq in range(int(begin), int(end) + 1)}
    assert set(seqs) - {int(one) for one in handled.read_text().split()} <= named
    assert re.search(r"full", app.log())


# ------------------------------------------------------------------------- congestion


def test_who_publishes_faster_than_the_store_waits_and_loses_nothing(nodey: Nodey,
                                                                    tmp_path: Path) -> None:
    """The store hangs: at 64 MiB the worker is not read any more, and clients are to come later."""
    front, other = tmp_path / "front", tmp_path / "other"
    app = nodey({"flood.py": FLOOD}, '[streams.flood]\ntopics = ["flood.*"]\nmax_bytes = "2G"\n\n'
                '[[routes]]\npath = "/publish/*"\npublish = ["calm.*"]\n\n'
                '[workers.flood]\ncommand = ["python3", "-u", "flood.py"]\ninstances = 1\n\n' +
                eventful("front", front) + eventful("other", other, on("calm.*")))
    publish(app, "front", "calm.one", 0)
    wait_frames(other, 1)
    answers: list[Any] = []
    flood = threading.Thread(target=lambda: answers.append(app.get("/flood/go", timeout=100).json()))
    with hanging(app.pid):
        flood.start()
        refused = until(lambda: post(app, timeout=0.5) == 503, 30, "clients are refused")
        assert refused and not answers
        assert memory(app.pid) < 250 << 20, "no more is read than is taken"
        assert app.get("/front/pid", timeout=5).status == 200, "what is no publish goes on"
    flood.join(100)
    assert answers == [{"stored": COUNT, "in_order": True, "refused": 0}]
    until(lambda: post(app, timeout=10) == 202, 20, "clients publish again")
    publish(app, "front", "calm.three", "after")
    wait_frames(other, 1, wanted=lambda e: e["data"] == "after")


def post(app: App, timeout: float) -> int:
    """The status of a client's publish; 0: it waits to be stored."""
    try:
        return app.request("POST", "/publish/calm.two", b"{}", timeout=timeout,
                           headers={"content-type": "application/json"}).status
    except Hang:
        return 0


def memory(pid: int) -> int:
    """Resident, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@contextlib.contextmanager
def hanging(pid: int) -> Iterator[None]:
    """All threads of a process but its first are stopped, as by a disk that does not answer."""
    seize, interrupt, detach = 0x4206, 0x4207, 17
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    threads = [tid for tid in map(int, os.listdir(f"/proc/{pid}/task")) if tid != pid]
    assert threads, "the store has a thread"
    try:
        for tid in threads:
            assert libc.ptrace(seize, tid, None, None) == 0, os.strerror(ctypes.get_errno())
            libc.ptrace(interrupt, tid, None, None)
        for tid in threads:
            os.waitpid(tid, 0x40000000)  # __WALL: threads, too.
        yield
    finally:
        for tid in threads:
            libc.ptrace(detach, tid, None, None)


COUNT = 400
FLOOD = f'''
import json, sys

def emit(frame):
    sys.stdout.write(json.dumps(frame) + "\\n")

emit({{"type": "ready", "concurrency": 10, "features": ["cancel", "drain", "ping"]}})
sys.stdout.flush()
seqs, request, refused = [], None, 0
for line in sys.stdin:
    frame = json.loads(line)
    if frame.get("type") == "ping":
        emit({{"type": "pong", "id": frame["id"]}})
    elif frame.get("type") == "ack":
        seqs.append(frame["seq"])
    elif frame.get("type") == "error":
        refused += 1
    elif "method" in frame:
        request = frame["id"]
        for n in range({COUNT}):
            emit({{"type": "publish", "id": n, "topic": "flood.x", "data": "y" * 1_000_000}})
    if request is not None and len(seqs) + refused == {COUNT}:
        emit({{"id": request, "json": {{"stored": len(seqs), "in_order": seqs == sorted(seqs), "refused": refused}}}})
        request = None
    sys.stdout.flush()
'''
