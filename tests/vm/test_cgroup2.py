"""The kernel keeps limits, shown on a real tree of cgroup version 2: see the script cgroup2.

Here nodey runs where nothing else has made a tree yet: as root it uses the top of it, as a user
what was handed to that user.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Iterator

import procs
import pytest
import reports
from app import BINARY, App
from command import run
from conftest import nodey, write_files  # noqa: F401 -- the fixture
from programs import Value, service, worker
from timing import until

Nodey = Callable[..., App]

TOP = Path("/sys/fs/cgroup")
MEBIBYTE = 1 << 20

PROGRAM = '''
import os, signal, time
import nodey

held = []

@nodey.get("/pid")
def pid(req):
    return str(os.getpid())

@nodey.post("/grow")
def grow(req):
    held.append(b"x" * (int(req.query["mib"]) << 20))
    return str(os.getpid())

@nodey.post("/share")
def share(req):
    """Memory that is charged to the group, and that no process of it has mapped."""
    with open(f"/dev/shm/{os.getpid()}", "wb") as file:
        os.unlink(file.name)
        for _ in range(int(req.query["mib"])):
            file.write(b"x" * (1 << 20))
        held.append(os.dup(file.fileno()))
    return str(os.getpid())
'''

# Forks twice, into a session of its own and without a word of the environment that it came
# with, and hears no signal that can be ignored.  Its name is all that it can be known by.
ESCAPE = '''
import os, signal, sys, time
if sys.argv[1] == "escaped":
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    print("escaped", flush=True)
    time.sleep(1000)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve(sys.executable, [sys.executable, "-S", __file__, "escaped"], {})
    os._exit(0)
os.wait()
if sys.argv[1] == "leave":
    time.sleep(0.3)
    sys.exit(1)
time.sleep(1000)
'''


def group_of(pid: int) -> Path:
    """The group that the process is in."""
    path = Path(f"/proc/{pid}/cgroup").read_text().strip()
    assert path.startswith("0::/"), path
    return TOP / path[4:]


def number_in(group: Path, file: str, key: str) -> int:
    found = re.search(rf"^{key} (\d+)$", (group / file).read_text(), re.MULTILINE)
    assert found, (group / file).read_text()
    return int(found.group(1))


def groups(below: Path = TOP) -> list[str]:
    """Every group that a nodey has made there."""
    return sorted(str(path.relative_to(below)) for path in below.glob("nodey*/**/")
                  if path.is_dir())


def escaped() -> list[int]:
    return procs.naming("escape.py escaped")


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    assert groups() == [] and escaped() == []
    yield
    until(lambda: groups() == [] and escaped() == [], 1, f"{groups()}, {escaped()} are gone")


def hog(nodey: Nodey, **settings: Value) -> App:
    return nodey({"workers/hog.py": PROGRAM},
                 config=worker("hog", backoff_min="20ms", **settings))


# -- memory


def test_one_above_its_memory_is_killed_and_its_neighbour_is_not(nodey: Nodey) -> None:
    app = hog(nodey, memory="150M", max_memory="150M", instances=2)
    before = app.wait_workers(2)
    assert "limits: memory by cgroup" in app.log()
    folders = [group_of(pid) for pid in before]
    assert len(set(folders)) == 2 and (folders[0] / "memory.max").read_text() == "157286400\n"
    assert app.post("/grow?mib=200").status in (502, 503)
    app.wait_log(r"hog#\d .*it needed more than its memory limit of 150M")
    after = app.wait_workers(2)
    assert len(set(before) & set(after)) == 1, (before, after, "one of two was killed")
    report = reports.wait_report(app, "hog")
    assert report["reason"] == "memory", report
    assert report["sentence"].startswith("too much memory: it needed more than its memory limit "
                                         "of 150M; "), report
    dead = folders[before.index((set(before) - set(after)).pop())]
    until(lambda: not dead.exists(), 1, "its group is gone")


def test_who_dies_of_the_limit_of_all_is_not_said_to_have_been_above_its_own(
        nodey: Nodey) -> None:
    app = hog(nodey, memory="1G")
    [pid] = app.wait_workers(1)
    (group_of(pid).parent / "memory.max").write_text(str(150 * MEBIBYTE))
    app.post("/grow?mib=300")
    report = reports.wait_report(app, "hog")
    assert "its memory limit" not in app.log(), "that was 1 GiB, and it had 300 MiB"
    assert report["reason"] == "crash" and "SIGKILL" in report["sentence"], report


def test_memory_that_is_in_no_process_counts(nodey: Nodey) -> None:
    """A file in memory: the kernel knows whose it is, /proc does not."""
    app = hog(nodey, memory="200M", max_memory="200M")
    pid = int(app.post("/share?mib=90").text)
    assert procs.rss(pid) < 90 * MEBIBYTE
    done = run(app.folder, "stats", "--no-stream", "--format", "json")
    assert done.code == 0, done
    row = json.loads(done.out)[0]
    assert 90 * MEBIBYTE < row["memory"] < 150 * MEBIBYTE and row["memory_limit"] == 200 << 20, row
    app.post("/share?mib=150")
    app.wait_log("it needed more than its memory limit of 200M")


def read_file(group: Path, path: Path, mib: int) -> None:
    """Has the group read a new file of the disk, which the kernel then keeps for it."""
    path.write_bytes(b"x" * (mib << 20))
    with path.open() as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    script = f"echo 0 >{group}/cgroup.procs && cat {path} >/dev/null && cat {path} >/dev/null"
    subprocess.run(["sh", "-c", script], check=True)


def test_what_is_reserved_is_taken_from_others_first(nodey: Nodey) -> None:
    files = {"workers/kept.py": PROGRAM, "workers/other.py": PROGRAM}
    app = nodey(files, config=worker("kept", memory_reservation="200M") +
                worker("other", memory="1G"))
    assert "limits: memory and memory_reservation by cgroup" in app.log()
    kept, other = (group_of(app.worker_pids(name)[0]) for name in ("kept", "other"))
    for number, group in enumerate((kept, other)):
        read_file(group, Path(f"/var/tmp/read{number}"), 100)  # /tmp is in memory here
    before = [number_in(group, "memory.stat", "file") for group in (kept, other)]
    with contextlib.suppress(BlockingIOError):  # what could not be had
        (TOP / "memory.reclaim").write_text("120M")
    after = [number_in(group, "memory.stat", "file") for group in (kept, other)]
    assert after[0] > before[0] - 10 * MEBIBYTE, (before, after)
    assert after[1] < before[1] - 20 * MEBIBYTE, (before, after)


# -- CPU and processes


def test_who_may_use_a_fifth_of_a_cpu_gets_a_fifth(nodey: Nodey) -> None:
    spin = "import os\nos.fork()\nwhile True: pass\n"
    app = nodey({"spin.py": spin},
                config=service("spin", [sys.executable, "-S", "spin.py"], cpus=0.2))
    pid = until(lambda: procs.naming("spin.py"), 5, "it spins")[0]
    group = group_of(pid)
    time.sleep(1)
    begun, used = time.monotonic(), number_in(group, "cpu.stat", "usage_usec")
    throttled = number_in(group, "cpu.stat", "nr_throttled")
    time.sleep(5)
    share = (number_in(group, "cpu.stat", "usage_usec") - used) / 1e6 / (time.monotonic() - begun)
    # Less is what a crowded machine has left for the virtual one.
    assert 0.1 < share < 0.24, "two processes share the fifth"
    assert number_in(group, "cpu.stat", "nr_throttled") - throttled > 15
    done = run(app.folder, "stats", "--no-stream", "--format", "json")
    assert 10 < json.loads(done.out)[0]["cpu_percent"] < 35, done


def test_who_may_have_20_processes_has_no_more(nodey: Nodey) -> None:
    bomb = ("import os, time\nprint('begun', flush=True)\nfor n in range(60):\n  try:\n"
            "    if os.fork() == 0: time.sleep(1000)\n  except OSError as error:\n"
            "    print('refused', n, error, flush=True); break\ntime.sleep(1000)\n")
    app = nodey({"bomb.py": bomb},
                config=service("bomb", [sys.executable, "-S", "bomb.py"], pids=20))
    app.wait_log(r"bomb#0 \| refused 19 ")
    pids = procs.naming("bomb.py")
    assert len(pids) == 20
    assert number_in(group_of(pids[0]), "pids.events", "max") == 1


# -- the end


def escaping(nodey: Nodey, how: str, **settings: Value) -> App:
    app = nodey({"escape.py": ESCAPE}, config=service(
        "escape", [sys.executable, "-S", "escape.py", how], pids=100, **settings))
    until(escaped, 10, "it has escaped")
    return app


def test_what_has_escaped_by_two_forks_ends_with_its_program(nodey: Nodey) -> None:
    app = escaping(nodey, "stay")
    [pid] = escaped()
    assert os.getsid(pid) not in (pid, os.getsid(app.pid)) and procs.parent(pid) == app.pid
    assert group_of(pid).name.startswith("escape-0-")
    [row] = json.loads(run(app.folder, "stats", "--format", "json").out)
    assert row["processes"] == 2, "what has escaped counts as its program's"
    assert run(app.folder, "stop", "escape").code == 0
    until(lambda: not escaped(), 1, "it is gone")
    assert app.returncode() is None


def test_one_end_after_the_other_leaves_no_groups(nodey: Nodey) -> None:
    app = escaping(nodey, "leave", backoff_min="10ms", backoff_max="10ms")
    until(lambda: app.log().count("escaped") > 5, 30, "it was started six times")
    assert len(groups()) <= 4, groups()
    assert len(escaped()) <= 2


def test_nodey_leaves_no_group_also_when_many_have_to_be_killed_at_its_end(nodey: Nodey) -> None:
    app = escaping(nodey, "stay", instances=8)
    until(lambda: len(escaped()) == 8, 10, "all have escaped")
    assert len(groups()) == 9, groups()
    app.stop()
    assert escaped() == [] and groups() == []


def test_what_a_killed_nodey_has_left_is_cleared_by_the_next(nodey: Nodey) -> None:
    app = escaping(nodey, "stay", instances=2)
    until(lambda: len(escaped()) == 2, 10, "both have escaped")
    app.kill()
    until(lambda: procs.run_is_gone(app.run), 5, "its own are gone")
    assert len(escaped()) == 2, "else this test shows nothing"
    old = groups()
    assert len(old) == 3, old
    nodey({"workers/good.py": PROGRAM}, config=worker("good", pids=50))
    assert not set(old) & set(groups())
    until(lambda: not escaped(), 1, "what has escaped is gone")


def test_the_next_touches_nothing_of_one_that_runs(nodey: Nodey) -> None:
    app = escaping(nodey, "stay")
    mine, pids = groups(), escaped()
    other = nodey({"workers/good.py": PROGRAM}, config=worker("good", pids=50))
    other.stop()
    assert groups() == mine and escaped() == pids and app.returncode() is None


# -- a user


def give(group: Path, user: str) -> None:
    """As systemd does it for Delegate=yes."""
    (TOP / "cgroup.subtree_control").write_text("+cpu +memory +pids +io")
    group.mkdir()
    account = pwd.getpwnam(user)
    for name in ("", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"):
        os.chown(group / name, account.pw_uid, account.pw_gid)


@contextlib.contextmanager
def as_user(group: Path, config: str, files: dict[str, str]) -> Iterator[App]:
    """nodey in that group as the user `web`."""
    account = pwd.getpwnam("web")
    folder = Path(tempfile.mkdtemp(prefix="web"))
    write_files(folder, {**files, "nodey.toml": config})
    wrapper = folder / "as-web"
    wrapper.write_text(f"#!/bin/sh\necho $$ >{group}/cgroup.procs && exec setpriv --reuid=web "
                       f"--regid=web --clear-groups --no-new-privs {BINARY} \"$@\"\n")
    wrapper.chmod(0o755)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, account.pw_uid, account.pw_gid)
    app = App(folder, binary=wrapper)
    try:
        yield app.wait_ready()
    finally:
        problems = app.finish()
        shutil.rmtree(folder)
    assert not problems, problems


@pytest.fixture
def given() -> Iterator[Path]:
    group = TOP / "given"
    give(group, "web")
    yield group
    for path in sorted(group.glob("**/"), reverse=True):
        path.rmdir()


def test_a_user_limits_in_the_group_that_was_handed_over(given: Path) -> None:
    limits = worker("hog", memory="150M", max_memory="150M", cpus=1.5, pids=50,
                    backoff_min="20ms")
    with as_user(given, limits, {"workers/hog.py": PROGRAM}) as app:
        assert "limits: memory, cpus and pids by cgroup" in app.log()
        assert os.stat(f"/proc/{app.pid}").st_uid == pwd.getpwnam("web").pw_uid
        [pid] = app.wait_workers(1)
        assert group_of(pid) == given / f"nodey-{app.pid}" / group_of(pid).name
        assert group_of(app.pid) == given / "nodey"
        app.post("/grow?mib=200")
        app.wait_log(r"hog#0 .*it needed more than its memory limit of 150M")
        app.wait_workers(1, without=[pid])
    assert groups(given) == [], "nothing is left in it"
    assert (given / "cgroup.subtree_control").read_text().strip() == ""


def test_a_user_whose_group_it_is_not_is_told_so_and_limits_by_watching() -> None:
    group = TOP / "given"
    group.mkdir()
    try:
        with as_user(group, worker("hog", memory="150M"), {"workers/hog.py": PROGRAM}) as app:
            found = app.wait_log(r"limits: memory by watching \((.*)\)")
            assert re.search(r"the cgroup /sys/fs/cgroup/given cannot be used: Permission denied",
                             found.group(1))
            assert group_of(app.pid) == group
    finally:
        group.rmdir()
