"""Limits act: memory, processes, CPU, files; and what is in force is said at the start.

A machine may or may not have cgroups that nodey can write to.  Where it has, the kernel keeps
the limits; else nodey does.  What a program is allowed is the same either way.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from typing import Callable

import procs
import pytest
import reports
from admin import Admin
from app import App
from checks import MEBIBYTE, wait_gone
from command import run
from programs import Value, free_port, service, worker
from timing import slow, until

pytestmark = pytest.mark.outside

Nodey = Callable[..., App]

PYTHON = '''
import os, threading, time
import nodey

held = []

@nodey.get("/pid")
def pid(req):
    time.sleep(float(req.query.get("sleep", 0)))
    return str(os.getpid())

@nodey.get("/grow")
def grow(req):
    held.append(b"x" * (int(req.query["mib"]) << 20))
    return str(os.getpid())

@nodey.get("/big")
def big(req):
    try:
        held.append(bytearray(int(req.query["mib"]) << 20))
        return "it was given"
    except MemoryError:
        return "MemoryError"

def leak_on():
    while True:
        held.append(b"x" * (5 << 20))
        time.sleep(0.1)

@nodey.get("/leak")
def leak(req):
    threading.Thread(target=leak_on, daemon=True).start()
    return str(os.getpid())

@nodey.get("/child")
def child(req):
    if os.fork() == 0:
        kept = b"x" * (int(req.query["mib"]) << 20)
        time.sleep(1000)
    return str(os.getpid())

@nodey.get("/forks")
def forks(req):
    held.append(b"x" * (int(req.query["mib"]) << 20))
    for _ in range(5):
        if os.fork() == 0:
            time.sleep(1000)
    return str(os.getpid())

@nodey.get("/proc")
def proc(req):
    return open("/proc/self/" + req.query["file"]).read()
'''

NODE = '''
const fs = require('fs');
const nodey = require('nodey');

const held = [];
const grow = (mib) => held.push(Buffer.alloc(mib << 20, 1));

nodey.get('/pid', (req) => new Promise((done) =>
    setTimeout(() => done(String(process.pid)), 1000 * Number(req.query.sleep ?? 0))));
nodey.get('/grow', (req) => { grow(Number(req.query.mib)); return String(process.pid); });
nodey.get('/big', (req) => { held.push(Buffer.alloc(Number(req.query.mib) << 20)); return 'it was given'; });
nodey.get('/leak', () => { setInterval(() => grow(5), 100); return String(process.pid); });
nodey.get('/proc', (req) => fs.readFileSync('/proc/self/' + req.query.file, 'utf8'));
'''

LANGUAGES = [pytest.param("py", id="python"), pytest.param("js", id="node")]


def start(nodey: Nodey, language: str, **settings: Value) -> App:
    text = PYTHON if language == "py" else NODE
    more = {"backoff_min": "20ms", **settings}
    return nodey({f"workers/hog.{language}": text}, config=worker("hog", language, **more))


def by_cgroup(app: App, what: str) -> bool:
    """Whether the kernel keeps this limit here, by what nodey said of it."""
    return bool(re.search(rf"limits: [^;(]*\b{what}\b[^;(]* by cgroup", app.log()))


def limit_of(app: App, name: str) -> list[str]:
    """Soft and hard, as the worker's /proc/self/limits shows them."""
    text = app.get("/proc?file=limits").text
    found = re.search(rf"^{name} +(\S+) +(\S+)", text, re.MULTILINE)
    assert found, text
    return [found.group(1), found.group(2)]


def counted(pid: int) -> int:
    """The memory that is held against a limit: what its group is charged with, or else its RSS."""
    try:
        with open(f"/proc/{pid}/cgroup") as file:
            own = re.search(r"^0::(/(?:.*/)?nodey-\d+/.*)$", file.read(), re.MULTILINE)
        if own:
            with open(f"/sys/fs/cgroup{own.group(1)}/memory.current") as file:
                return int(file.read())
    except (FileNotFoundError, ProcessLookupError):
        pass
    return procs.rss(pid)


# -- memory


@pytest.mark.parametrize("language", LANGUAGES)
def test_who_leaks_50_mib_a_second_is_killed_within_two_seconds_of_the_limit(
        nodey: Nodey, language: str) -> None:
    app = start(nodey, language, memory="200M", max_memory="200M")
    pid = int(app.get("/leak").text)
    until(lambda: counted(pid) > 190 * MEBIBYTE or not procs.alive(pid), 15, "it leaks")
    passed = time.monotonic()
    # The kernel first takes back what it can read again, such as the program itself: with a
    # slow disk that goes on for a while.
    most = 30 if by_cgroup(app, "memory") else 2
    wait_gone([pid], most, "the hog")
    assert time.monotonic() - passed < slow(most)
    app.wait_log(r"hog#0 .*its memory limit of 200M")
    until(lambda: app.get("/pid").text != str(pid), 10, "another answers")


@pytest.mark.parametrize("language", LANGUAGES)
def test_who_stays_below_the_limit_is_left_alone(nodey: Nodey, language: str) -> None:
    app = start(nodey, language, memory="200M", max_memory="195M")
    pid = app.get("/grow?mib=100").text
    time.sleep(slow(2))
    assert app.get("/pid").text == pid
    assert "max_memory" not in app.log() and "limit of" not in app.log()


@pytest.mark.parametrize("language", LANGUAGES)
def test_above_the_soft_limit_the_work_is_finished_and_the_next_one_ready_first(
        nodey: Nodey, language: str) -> None:
    app = start(nodey, language, max_memory="130M", instances=1)
    pid = app.get("/grow?mib=140").text
    answers: list[str] = []
    busy = app.open_request("GET", "/pid?sleep=2.5")
    found = app.wait_log(r"hog#0 warning: it uses (\d+)M, above its max_memory of 130M")
    assert 130 <= int(found.group(1)) < 260

    def ask() -> None:
        while not answers or answers[-1] == pid:
            answers.append(app.get("/pid", timeout=20).text)
            time.sleep(0.02)

    thread = threading.Thread(target=ask)
    thread.start()
    late = busy.read_response()
    thread.join(slow(20))
    busy.close()
    assert late.status == 200 and late.text == pid, "what was under way was finished"
    assert answers[-1] != pid and all(answer.isdigit() for answer in answers), "none failed"
    wait_gone([int(pid)], 10, "the old one")
    assert "killed" not in app.log() and "limit of" not in app.log()


def test_who_is_above_the_soft_limit_from_the_beginning_is_not_replaced_all_the_time(
        nodey: Nodey) -> None:
    app = start(nodey, "py", max_memory="1M")
    app.wait_log("above its max_memory of 1M")
    time.sleep(slow(1.5))
    count = len(re.findall("above its max_memory", app.log()))
    assert 1 <= count <= 2 + slow(1.5), f"replaced {count} times"


def test_what_a_child_uses_counts(nodey: Nodey) -> None:
    app = start(nodey, "py", memory="150M", max_memory="150M")
    pid = int(app.get("/child?mib=160").text)
    wait_gone([pid], 4, "the parent of a hog")
    app.wait_log(r"hog#0 .*its memory limit of 150M")
    until(lambda: len(app.worker_pids()) == 1, 5, "the child has gone as well")


def test_what_forked_children_share_with_their_parent_counts_once(nodey: Nodey) -> None:
    """80 MiB and five forks of it are six times 80 MiB of RSS, but no more memory."""
    app = start(nodey, "py", memory="300M", max_memory="200M")
    pid = int(app.get("/forks?mib=80").text)
    time.sleep(slow(3))
    assert app.worker_pids() == [pid], app.log()
    with Admin(app.folder) as admin:
        usage = admin.get("/v1/programs?usage=1")[0]["instances"][0]["usage"]
    assert 80 << 20 < usage["memory"] < 190 << 20, usage
    app.get("/child?mib=310")
    wait_gone([pid], 4, "the parent of a real hog")
    app.wait_log(r"hog#0 .*its memory limit of 300M")


def test_one_great_step_is_refused_to_python(nodey: Nodey) -> None:
    app = start(nodey, "py", memory="200M")
    if by_cgroup(app, "memory"):
        assert limit_of(app, "Max data size")[0] == "unlimited"
    else:
        assert app.get("/big?mib=3000").text == "MemoryError"
        assert limit_of(app, "Max data size")[0] == str((2 * 200 << 20) + (1 << 30))


def test_node_may_reserve_what_it_likes(nodey: Nodey) -> None:
    app = start(nodey, "js", memory="200M")
    assert limit_of(app, "Max data size") == ["unlimited", "unlimited"]


def test_a_service_is_limited_like_a_worker(nodey: Nodey) -> None:
    hog = "held = []\nimport time\nwhile True:\n  held.append(b'x' * (5 << 20)); time.sleep(.05)\n"
    app = nodey({"hog.py": hog}, config=service(
        "hog", [sys.executable, "-S", "hog.py"], memory="100M", max_memory="100M"))
    app.wait_log(r"hog#0 .*its memory limit of 100M.*restarting", 10)
    start = len(app.log())
    app.wait_log(r"hog#0 .*its memory limit of 100M", 10, start)


def test_a_service_on_its_own_port_is_restarted_at_its_soft_limit(nodey: Nodey) -> None:
    hog = ("import http.server, sys, threading, time\n"
           "server = http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), "
           "http.server.BaseHTTPRequestHandler)\n"
           "print('began', flush=True)\n"
           "threading.Thread(target=server.serve_forever, daemon=True).start()\n"
           "time.sleep(1.5)\nheld = b'x' * (100 << 20)\ntime.sleep(1000)\n")
    port = free_port()
    app = nodey({"hog.py": hog}, config=service(
        "hog", [sys.executable, "-S", "hog.py", str(port)], port=port, max_memory="80M"))
    app.wait_log(r"hog#0 warning: it uses 1\d\dM, above its max_memory of 80M", 10)
    app.wait_log(r"hog#0 \| began", 10, app.log().index("max_memory of 80M"))


@pytest.mark.parametrize("first", ["", 'memory = "900M"\nmax_memory = "900M"\n'],
                         ids=["none", "higher"])
def test_a_limit_that_comes_with_a_reload_acts_on_what_runs(nodey: Nodey, first: str) -> None:
    head = worker("hog", backoff_min="20ms").rstrip() + "\n"
    app = nodey({"workers/hog.py": PYTHON}, config=head + first)
    pid = int(app.get("/grow?mib=150").text)
    (app.folder / "nodey.toml").write_text(head + 'memory = "100M"\nmax_memory = "100M"\n')
    done = run(app.folder, "reload")
    assert done.code == 0, done
    wait_gone([pid], 4, "what is above the new limit")
    app.wait_log(r"hog#0 .*its memory limit of 100M")
    assert app.log().count(" limits: ") == 1


# -- processes


BOMB = '''
import os, time
print("begun", flush=True)
for n in range(500):
    try:
        if os.fork() == 0:
            time.sleep(1000)
            os._exit(0)
    except OSError:
        print("refused", flush=True)
        break
    time.sleep(0.002)
time.sleep(1000)
'''


def test_a_fork_bomb_is_kept_small_or_ended_with_all_that_it_made(nodey: Nodey) -> None:
    app = nodey({"bomb.py": BOMB, "workers/good.py": PYTHON}, config=service(
        "bomb", [sys.executable, "-S", "bomb.py"], pids=100, backoff_min="1h",
        backoff_max="1h") + worker("good"))
    if by_cgroup(app, "pids"):
        app.wait_log(r"bomb#0 \| refused")
        assert len(procs.naming("bomb.py")) <= 100
    else:
        app.wait_log(r"bomb#0 .*it had \d+ processes and threads, above its pids limit of 100", 10)
        until(lambda: not procs.naming("bomb.py"), 5, "all of the bomb are gone")
        report = reports.wait_report(app, "bomb")
        assert re.match(r"killed by nodey: it had \d+ processes and threads, above its pids limit "
                        r"of 100", report["sentence"]), report
        assert "not by nodey" not in report["sentence"] and "dmesg" not in report["advice"]
        assert report["reason"] == "pids" and "`pids`" in report["advice"]
    assert app.get("/pid").status == 200


def test_500_children_do_not_keep_nodey_from_its_own_work_nor_from_its_end(nodey: Nodey) -> None:
    app = nodey({"many.py": BOMB, "workers/good.py": PYTHON},
                config=service("bomb", [sys.executable, "-S", "many.py"]) + worker("good"))
    until(lambda: len(procs.naming("many.py")) > 450, 20, "many processes")
    before = app.worker_pids("good")
    os.kill(before[0], signal.SIGKILL)
    app.wait_workers(1, "good", without=before)
    begun = time.monotonic()
    app.stop()
    assert time.monotonic() - begun < slow(12)
    assert not procs.naming("many.py")


# -- the rest


def test_files_and_cores_are_limited_exactly(nodey: Nodey) -> None:
    app = start(nodey, "py", nofile=123, core="1M")
    assert limit_of(app, "Max open files") == ["123", "123"]
    assert limit_of(app, "Max core file size") == [str(1 << 20), str(1 << 20)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_a_word_there_are_no_limits_but_no_core_files(nodey: Nodey,
                                                             language: str) -> None:
    app = start(nodey, language)
    assert limit_of(app, "Max core file size") == ["0", "0"]
    assert limit_of(app, "Max data size")[0] == "unlimited"
    assert "limits:" not in app.log()


def test_a_program_dies_of_memory_before_nodey_does(nodey: Nodey) -> None:
    app = start(nodey, "py")
    with open(f"/proc/{app.pid}/oom_score_adj") as file:
        own = int(file.read())
    assert int(app.get("/proc?file=oom_score_adj").text) == min(own + 200, 1000)


def test_a_cpu_limit_is_kept_or_at_least_yields(nodey: Nodey) -> None:
    spin = "while True: pass\n"
    app = nodey({"spin.py": spin, "workers/good.py": PYTHON},
                config=service("spin", [sys.executable, "-S", "spin.py"], cpus=0.2) +
                worker("good"))
    [pid] = until(lambda: procs.naming("spin.py"), 5, "it spins")
    if by_cgroup(app, "cpus"):
        used = procs.cpu_seconds(pid)
        time.sleep(2)
        assert procs.cpu_seconds(pid) - used < 0.8
    else:
        assert os.getpriority(os.PRIO_PROCESS, pid) == os.getpriority(os.PRIO_PROCESS, app.pid) + 5
        assert re.search(r"nodey warning: limits: .*cpus by priority only", app.log())


def test_what_is_in_force_is_said_once_and_why_it_is_no_more(nodey: Nodey) -> None:
    app = nodey({"workers/good.py": PYTHON}, config=worker(
        "good", memory="500M", memory_reservation="10M", cpus=1.5, pids=100))
    lines = [line for line in app.log().splitlines() if " limits: " in line]
    assert len(lines) == 1, lines
    for what in ("memory", "memory_reservation", "cpus", "pids"):
        assert re.search(rf"\b{what}\b", lines[0]), lines[0]
    weaker = [what for what in ("memory", "cpus", "pids") if not by_cgroup(app, what)]
    assert ("warning" in lines[0]) == bool(weaker)
    if weaker:
        assert re.search(r"\(.{10,}\)$", lines[0]), "the reason is missing"


def test_nobody_is_woken_who_has_no_limits(nodey: Nodey) -> None:
    app = nodey(config=service("quiet", ["sleep", "1000"]))
    time.sleep(slow(0.5))

    def wake_ups() -> int:
        with open(f"/proc/{app.pid}/status") as file:
            found = re.search(r"^voluntary_ctxt_switches:\s*(\d+)", file.read(), re.MULTILINE)
        assert found
        return int(found.group(1))

    before = wake_ups()
    time.sleep(4)
    assert wake_ups() - before <= 2
