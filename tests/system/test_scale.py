"""The number of instances follows the load, and programs do not all start at once."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import command
import pytest
from admin import Admin
from app import BINARY, App
from load import Load, echo
from programs import section, service, worker
from timing import slow, until

pytestmark = pytest.mark.outside

Nodey = Callable[..., App]

SLOW = '''
import time
import nodey

@nodey.get("/slow")
def answer(req):
    time.sleep(%s)
    return req.query["id"]
'''

COMPUTES = '''
const nodey = require('nodey');
nodey.get('/slow', (req) => {
    const end = Date.now() + 20;
    while (Date.now() < end);
    return req.query.id;
});
nodey.get('/waits', async (req) => {
    await new Promise((resolve) => setTimeout(resolve, 100));
    return req.query.id;
});
'''

STEP = r"lazy (\d+) -> (\d+) instances?: (.*)"


def lazy(**settings: Any) -> str:
    return worker("lazy", **{"instances": {"min": 1, "max": 4}, "scale_idle": "1s", **settings})


def steps(app: App) -> list[tuple[int, int, str]]:
    return [(int(a), int(b), why) for a, b, why in re.findall(STEP, app.log())]


def wakeups(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return sum(map(int, re.findall(r"^\w*voluntary_ctxt_switches:\s+(\d+)", status, re.M)))


class Burst(Load):
    """Requests that each take long, from so many at a time."""

    def __init__(self, app: App, clients: int, path: str = "/slow") -> None:
        super().__init__(app.port, echo(path, posts=0), connections=clients, timeout=30)


def test_more_instances_come_within_a_second_and_go_when_they_are_idle(nodey: Nodey) -> None:
    app = nodey({"workers/lazy.py": SLOW % 0.3}, config=lazy())
    first = app.wait_workers(1, "lazy")
    begun = time.monotonic()
    with Burst(app, 8) as load:
        app.wait_log(STEP)
        assert time.monotonic() - begun < slow(1), "sustained queueing is seen within a second"
        app.wait_workers(4, "lazy")
        with Admin(app.folder) as admin:
            program = admin.program("lazy")
            assert (program["wanted"], program["min"], program["max"]) == (4, 1, 4)
            assert re.match(r"\d -> 4 instances: requests waited \d+ ms", program["why"])
        time.sleep(slow(1.5))  # longer than scale_idle
        assert len(app.worker_pids("lazy")) == 4, "none goes while all are needed"
    load.stop().require("ok", at_least=8)
    up = steps(app)
    assert [why.split()[0] for _, _, why in up] == ["requests"] * len(up)
    assert all(int(why.split()[2]) >= 200 for _, _, why in up), up
    assert app.wait_workers(1, "lazy", seconds=20) == first
    down = steps(app)[len(up):]
    assert down == [(4, 3, "one was not needed for 1 s"), (3, 2, "one was not needed for 1 s"),
                    (2, 1, "one was not needed for 1 s")]


def test_it_goes_down_one_at_a_time_and_drops_nothing(nodey: Nodey) -> None:
    app = nodey({"workers/lazy.py": SLOW % 0.25}, config=lazy())
    with Burst(app, 8) as load:
        app.wait_workers(4, "lazy")
    load.stop().require("ok")
    # One client goes on: what drains is asked for nothing, and what it has is answered.
    with Burst(app, 1) as load:
        app.wait_log(r"lazy 3 -> 2 instances", 15)
        app.wait_workers(2, "lazy")
    load.stop().require("ok", at_least=4)
    times = [float(h) * 3600 + float(m) * 60 + float(s) for h, m, s in re.findall(
        r"(\d\d):(\d\d):(\d\d\.\d+).*one was not needed", app.log())]
    assert all(b - a > 0.9 for a, b in zip(times, times[1:])), times


def test_short_requests_need_no_more_instances(nodey: Nodey) -> None:
    app = nodey({"workers/lazy.py": SLOW % 0.002}, config=lazy())
    with Burst(app, 8) as load:
        time.sleep(slow(1.5))
        count = len(app.worker_pids("lazy"))
    load.stop().require("ok", at_least=100)
    assert count == 1 and not steps(app), app.log()


def test_one_slow_request_alone_needs_no_other_instance(nodey: Nodey) -> None:
    app = nodey({"workers/lazy.py": SLOW % 1.5}, config=lazy())
    assert app.get("/slow?id=x").text == "x"
    assert not steps(app), app.log()


def test_an_event_loop_that_only_computes_gets_help_and_one_that_waits_does_not(
        nodey: Nodey) -> None:
    if (os.cpu_count() or 1) < 2:
        app = nodey({"workers/lazy.js": COMPUTES}, config=lazy_js())
        with Burst(app, 8):
            time.sleep(slow(2))
        assert not steps(app), "more than there are processors would not compute more"
        return
    app = nodey({"workers/lazy.js": COMPUTES}, config=lazy_js())
    with Burst(app, 8, "/waits") as load:
        time.sleep(slow(1.5))
        assert not steps(app), app.log()
    load.stop().require("ok", at_least=8)
    with Burst(app, 8) as load:
        app.wait_log(r"lazy 1 -> 2 instances: each computes \d+ % of the time", 10)
        app.wait_workers(2, "lazy")
    load.stop().require("ok", at_least=8)
    app.wait_workers(1, "lazy", seconds=20)


def lazy_js() -> str:
    return worker("lazy", "js", instances={"min": 1, "max": 4}, scale_idle="1s")


MEMORY = "MemTotal:       16000000 kB\nMemAvailable:  %10d kB\n"


@pytest.fixture
def scarce(tmp_path: Path) -> Iterator[tuple[App, Path]]:
    """With 11 MiB of free memory, and the file that says so: in a mount namespace of its own."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(MEMORY % 12_000)
    wrapper = tmp_path / "confined"
    wrapper.write_text(f"#!/bin/sh\nexec unshare --mount sh -c 'mount --bind {meminfo} "
                       f"/proc/meminfo && exec {BINARY} \"$@\"' sh \"$@\"\n")
    wrapper.chmod(0o755)
    folder = tmp_path / "confined-app"
    (folder / "workers").mkdir(parents=True)
    (folder / "workers" / "lazy.py").write_text(SLOW % 0.3)
    (folder / "nodey.toml").write_text(lazy())
    app = App(folder, binary=wrapper)
    try:
        yield app.wait_ready(), meminfo
    finally:
        problems = app.finish()
    assert not problems, problems


def test_never_into_swap_and_that_is_told_once(scarce: tuple[App, Path]) -> None:
    app, meminfo = scarce
    with Burst(app, 6) as load:
        app.wait_log(r"lazy warning: no more than 1 instance: one takes \d+ MiB, and 11 MiB of memory "
                     r"are free")
        with Admin(app.folder) as admin:
            assert admin.program("lazy")["why"].startswith("no more than 1 instance")
        time.sleep(slow(2.5))
        assert len(app.worker_pids("lazy")) == 1
        assert app.log().count("no more than") == 1
        meminfo.write_text(MEMORY % 12_000_000)
        app.wait_log(STEP, 10)
    load.stop().require("ok")


def test_what_memory_refused_is_not_told_when_nobody_needs_it(scarce: tuple[App, Path]) -> None:
    app, _ = scarce
    with Admin(app.folder) as admin:
        with Burst(app, 6) as load:
            app.wait_log("no more than 1 instance")
        load.stop().require("ok")
        until(lambda: not admin.program("lazy").get("why"), 5, "nothing is in its way")


def test_a_persons_number_holds_until_the_next_reload(nodey: Nodey) -> None:
    app = nodey({"workers/lazy.py": SLOW % 0.3}, config=lazy())
    with Admin(app.folder) as admin:
        admin.do("lazy", "scale", instances=2)
        app.wait_workers(2, "lazy")
        assert admin.program("lazy")["why"] == "a person wants 2 instances"
        with Burst(app, 8) as load:
            time.sleep(slow(1.5))
        load.stop().require("ok")
        assert not steps(app) and len(app.worker_pids("lazy")) == 2
        time.sleep(slow(1.5))  # longer than scale_idle
        assert len(app.worker_pids("lazy")) == 2
        status, _ = admin.ask("POST", "/v1/reload")
        assert status == 200
    app.wait_workers(1, "lazy", seconds=20)
    with Burst(app, 8) as load:
        app.wait_workers(4, "lazy")
    load.stop().require("ok")


def test_a_smaller_range_is_obeyed_at_once(nodey: Nodey) -> None:
    app = nodey({"workers/lazy.py": SLOW % 0.3}, config=lazy(scale_idle="1h"))
    with Burst(app, 8) as load:
        app.wait_workers(4, "lazy")
    load.stop().require("ok")
    (app.folder / "nodey.toml").write_text(lazy(instances={"min": 1, "max": 2}, scale_idle="1h"))
    with Admin(app.folder) as admin:
        admin.ask("POST", "/v1/reload")
    app.wait_workers(2, "lazy")
    (app.folder / "nodey.toml").write_text(lazy(instances={"min": 3, "max": 4}, scale_idle="1h"))
    with Admin(app.folder) as admin:
        admin.ask("POST", "/v1/reload")
    app.wait_workers(3, "lazy")


def test_an_idle_pool_wakes_nobody(nodey: Nodey) -> None:
    app = nodey({"workers/lazy.py": SLOW % 0.3}, config=lazy(ping_interval="off"))
    with Burst(app, 8) as load:
        app.wait_workers(4, "lazy")
    load.stop().require("ok")
    app.wait_workers(1, "lazy", seconds=20)
    time.sleep(slow(1))
    before = wakeups(app.pid)
    time.sleep(3)
    assert wakeups(app.pid) - before <= 3, "nothing is to be decided"


def test_ps_shows_why(nodey: Nodey) -> None:
    app = nodey({"workers/lazy.py": SLOW % 0.3}, config=lazy())
    with Burst(app, 8):
        app.wait_log(STEP)
        shown = command.run(app.folder, "ps")
    assert re.search(r"^lazy .* \d/[234] .* -> [234] instances: requests waited \d+ ms$", shown.out,
                     re.M), shown.out


# ---------------------------------------------------------------------- not all at once


STAMP = """
import os, time
def note(what):
    with open(os.path.join(os.path.dirname(__file__), "..", "journal"), "a") as file:
        file.write(f"{time.monotonic()} {what} {os.environ['NODEY_WORKER']}\\n")
note("begin")
time.sleep(0.15)
import nodey
nodey.get("/" + os.environ["NODEY_WORKER"])(lambda req: "ok")
@nodey.on_start
def started():
    note("end")
"""


def journal(app: App) -> list[tuple[float, str, str]]:
    lines = (app.folder / "journal").read_text().splitlines()
    return sorted((float(at), what, name) for at, what, name in map(str.split, lines))


def limit() -> int:
    return max(4, 2 * len(os.sched_getaffinity(0)))


def staggered(app: App) -> int:
    """The most that had begun and were not ready at one time."""
    now = most = 0
    for _, what, _ in journal(app):
        now += 1 if what == "begin" else -1
        most = max(most, now)
    return most


def crowd(nodey: Nodey, names: list[str], config: str, **more: Any) -> App:
    files = {f"workers/{name}.py": STAMP for name in names}
    return nodey(files, config=config, **more)


def test_a_crowd_does_not_start_all_at_once(nodey: Nodey) -> None:
    names = [f"w{n:02}" for n in range(24)]
    app = crowd(nodey, names, "".join(worker(name) for name in names))
    assert app.get("/w23").text == "ok"
    begun = [name for _, what, name in journal(app) if what == "begin"]
    assert sorted(begun) == names
    assert 2 <= staggered(app) <= limit(), journal(app)


def test_the_first_of_each_goes_before_the_second_of_any(nodey: Nodey) -> None:
    names = [f"w{n:02}" for n in range(12)]
    app = crowd(nodey, names, "".join(worker(name, instances=2) for name in names))
    app.wait_workers(24, seconds=30)
    until(lambda: len(journal(app)) == 48, 10, "all are ready")
    begun = [name for _, what, name in journal(app) if what == "begin"]
    first = {name: begun.index(name) for name in names}
    # Every fourth place is for whoever has waited longest.
    assert max(first.values()) < 12 * 4 / 3 + limit(), begun


def test_what_others_wait_for_goes_first(nodey: Nodey) -> None:
    crowd_names = [f"w{n:02}" for n in range(16)]
    config = "".join(worker(name) for name in crowd_names)
    config += worker("zz_base") + worker("above", depends_on=["zz_base"])
    app = crowd(nodey, [*crowd_names, "zz_base", "above"], config)
    until(lambda: len(journal(app)) == 36, 20, "all are ready")
    begun = [name for _, what, name in journal(app) if what == "begin"]
    assert begun.index("zz_base") <= 2 * limit(), begun  # the last but one, were it not needed


def test_a_restart_is_not_kept_waiting_by_the_first_starts_of_others(nodey: Nodey) -> None:
    names = [f"w{n:02}" for n in range(20)]
    early = section("workers", "aa", {"script": "workers/aa.py", "instances": 1,
                                      "backoff_min": "10ms", "backoff_max": "10ms"})
    files = {f"workers/{name}.py": STAMP for name in names}
    files["workers/aa.py"] = STAMP.replace('note("begin")', """
note("begin")
if not os.path.exists("crashed"):
    open("crashed", "w").close()
    os._exit(1)
""")
    app = nodey(files, config=early + "".join(worker(name) for name in names))
    begun = [name for _, what, name in journal(app) if what == "begin"]
    again = len(begun) - 1 - begun[::-1].index("aa")
    assert begun.count("aa") == 2 and again <= 2 * limit() + 2, begun


def after_them(name: str) -> str:
    """A worker that wants to start when the services have begun to."""
    return worker(name, depends_on={"stuck0": {"condition": "service_started"}})


def test_who_does_not_become_ready_blocks_the_others_for_seconds_only(nodey: Nodey) -> None:
    stuck = limit() + 1
    config = "".join(service(f"stuck{n}", ["sleep", "1000"], port=9 + n, start_timeout="60s")
                     for n in range(stuck))
    app = crowd(nodey, ["fine"], config + after_them("fine"), wait=False)
    begun = time.monotonic()
    until(lambda: (app.folder / "journal").exists(), 15, "the worker starts after all")
    assert time.monotonic() - begun > 4, "and the others have had their time"
    with Admin(app.folder) as admin:
        programs = admin.programs()
    assert programs["fine"]["state"] in ("starting", "ready")


def test_those_in_line_are_shown_as_starting_and_can_be_stopped(nodey: Nodey) -> None:
    stuck = limit()
    config = "".join(service(f"stuck{n}", ["sleep", "1000"], port=9 + n, start_timeout="60s")
                     for n in range(stuck))
    app = crowd(nodey, ["late"], config + after_them("late"), wait=False)
    until(lambda: (app.folder / ".nodey/control.sock").exists(), 5, "it can be spoken to")
    with Admin(app.folder) as admin:
        assert admin.programs()["late"]["state"] == "starting"
        admin.do("late", "stop")
        assert admin.programs()["late"]["state"] == "stopped"
        time.sleep(slow(3) + 3)
        assert not (app.folder / "journal").exists(), "it was taken out of the line"
