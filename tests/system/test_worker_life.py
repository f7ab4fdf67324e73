"""Workers die, freeze, leave children behind and are recycled; the service goes on."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import Callable

import pytest

import procs
from app import App
from checks import kill, wait_gone
from load import Load, blend, echo, evil as evil_shot, new_id
from timing import slow, until
from workers import all_ready, evil, starts

pytestmark = pytest.mark.outside

Nodey = Callable[..., App]


def kill_one_at_a_time(app: App, name: str, count: int, every: float) -> int:
    """Kills workers by turns; returns how many there were to kill."""
    killed = 0
    for n in range(count):
        pids = app.worker_pids(name)
        if pids:
            kill([pids[n % len(pids)]])
            killed += 1
        time.sleep(every)  # The rhythm is the fault that is injected.
    return killed


# ------------------------------------------------------------------ W1, W2: killed


@pytest.mark.long
def test_killing_one_of_three_every_half_second_fails_no_get(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=3))
    calm = app.calm(3)
    with Load(app.port, echo("/evil", posts=0)) as load:
        until(lambda: load.done() > 100, 5, "the load has begun")
        killed = kill_one_at_a_time(app, "evil", 20, 0.5)
    load.outcome.require("ok", at_least=500)
    assert killed == 20
    app.wait_workers(3, "evil")
    calm.check()
    assert len(re.findall(r"signal 9|SIGKILL", app.log())) >= killed


def test_killing_all_workers_at_once_answers_the_queued_requests(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=3))
    before = all_ready(app, 3)
    kill(before)
    load = Load(app.port, echo("/evil", posts=0), connections=16, requests=64).start()
    load.join().require("ok", at_least=64)
    app.wait_workers(3, "evil", without=before)


def test_killing_a_whole_pool_leaves_another_pool_alone(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=2) + evil("other", instances=2))
    with Load(app.port, echo("/other"), connections=8) as load:
        until(lambda: load.done() > 50, 5, "the load has begun")
        for _ in range(5):
            before = app.wait_workers(2, "evil")
            kill(before)
            app.wait_workers(2, "evil", without=before)
    load.outcome.require("ok", at_least=100)


def test_a_post_that_its_worker_died_with_is_a_502_and_is_not_repeated(
        nodey: Nodey, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    app = nodey(config=evil(words=(f"journal={journal}",), instances=2))
    id = new_id()
    answer = app.request("POST", f"/evil?do=exit&code=3&id={id}", b"x")
    assert answer.status == 502, answer
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert "exit" in answer.json()["detail"], answer
    assert journal.read_text().count(id) == 1


def test_a_get_that_its_worker_died_with_is_repeated_once(nodey: Nodey, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    app = nodey(config=evil(words=(f"journal={journal}",), instances=2))
    id = new_id()
    answer = app.get(f"/evil?do=exitonce&flag={tmp_path}/flag&id={id}")
    assert (answer.status, answer.text) == (200, id)
    assert journal.read_text().count(id) == 2
    id = new_id()
    answer = app.get(f"/evil?do=exit&id={id}")
    assert answer.status == 502, answer
    assert journal.read_text().count(id) == 2, "a poisonous request must not go round the pool"


def test_a_request_is_told_of_its_workers_death_at_once(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=1))
    with app.open_request("POST", "/evil?do=hang", b"x") as connection:
        time.sleep(0.2)  # It cannot be seen from outside when the worker has the line.
        begun = time.monotonic()
        kill(app.worker_pids("evil"))
        assert connection.read_response().status == 502
    assert time.monotonic() - begun < slow(0.5)


def test_exit_code_0_in_the_middle_of_work_is_a_502_and_a_new_worker(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=1))
    before = app.worker_pids("evil")
    assert app.post("/evil?do=exit&code=0").status == 502
    app.wait_workers(1, "evil", without=before)
    assert app.get("/evil?id=7").text == "7"


# ------------------------------------------------------------------ W3, W4: frozen


def test_a_frozen_idle_worker_misses_its_pings_and_is_replaced(nodey: Nodey) -> None:
    app = nodey(config=evil(words=("features=ping",), instances=2, ping_interval="200ms",
                            ping_timeout="500ms", ping_kill="1500ms",
                            stop_grace_period="500ms"))
    before = all_ready(app, 2)
    frozen = before[0]
    kill([frozen], signal.SIGSTOP)
    wait_gone([frozen], 6, "the frozen worker")
    after = app.wait_workers(2, "evil")
    assert before[1] in after, "the healthy one was replaced as well"
    app.wait_log(r"evil#\d.*(ping|answer|frozen|unhealthy)")


def test_a_worker_that_misses_its_pings_gets_no_new_work(nodey: Nodey) -> None:
    app = nodey(config=evil(words=("features=ping", "concurrency=8"), instances=2,
                            ping_interval="100ms", ping_timeout="300ms", ping_kill="30s"))
    before = all_ready(app, 2)
    kill([before[0]], signal.SIGSTOP)
    app.wait_log(r"evil#\d.*(ping|answer|frozen|unhealthy)", timeout=5)
    load = Load(app.port, echo("/evil", posts=0), connections=8, requests=200, timeout=5).start()
    load.join().require("ok", at_least=200)
    kill([before[0]], signal.SIGCONT)
    app.wait_log("healthy")
    load = Load(app.port, evil_shot("/evil", "do=slow&ms=20", {200}), requests=64).start()
    served = {record.headers["x-pid"] for record in load.join().records}
    assert served == set(map(str, before)), "who answers pings again must get work again"


def test_a_frozen_busy_worker_costs_a_504_and_is_replaced(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=1, timeout="1s", kill_after="500ms",
                            stop_grace_period="500ms"))
    before = app.worker_pids("evil")
    with app.open_request("GET", "/evil?do=hang") as connection:
        begun = time.monotonic()
        kill(before, signal.SIGSTOP)
        assert connection.read_response().status == 504
        assert time.monotonic() - begun < slow(2)
    wait_gone(before, 5, "the frozen worker")
    assert app.get("/evil?id=9").text == "9"


def test_a_worker_that_thaws_after_its_504_hands_nobody_the_late_answer(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=1, timeout="500ms", kill_after="30s", queue_timeout="20s"))
    before = app.worker_pids("evil")
    late = new_id()
    with app.open_request("POST", f"/evil?do=slow&ms=100&id={late}", b"late") as connection:
        kill(before, signal.SIGSTOP)
        assert connection.read_response().status == 504
        kill(before, signal.SIGCONT)
    load = Load(app.port, echo("/evil"), connections=4, requests=50).start()
    load.join().require("ok", at_least=50)
    assert app.worker_pids("evil") == before


# ------------------------------------------------------------------ W11, W12: grandchildren


@pytest.mark.parametrize("how", ["group", "session", "daemon"])
def test_a_grandchild_cannot_hold_the_door(nodey: Nodey, how: str) -> None:
    app = nodey(config=evil(instances=1))
    assert app.get("/evil?id=1").text == "1"
    calm = app.calm(1)
    before = app.worker_pids("evil")
    grandchild = int(app.get(f"/evil?do=grandchild&how={how}").text)
    assert procs.alive(grandchild)
    begun = time.monotonic()
    kill(before)
    app.wait_workers(1, "evil", without=before, seconds=5)
    assert app.get("/evil?id=2").text == "2"
    assert time.monotonic() - begun < slow(2.5), "the grandchild delayed the replacement"
    wait_gone([grandchild], 3, "the grandchild")
    calm.check()


def test_a_living_workers_children_are_left_alone(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=2))
    left, right = all_ready(app, 2)
    answer = app.get("/evil?do=grandchild&how=daemon")
    owner, grandchild = int(answer.headers["x-pid"]), int(answer.text)
    other = right if owner == left else left
    kill([other])
    app.wait_workers(2, "evil", without=[other])
    assert app.get("/evil?id=2").text == "2"
    assert procs.alive(grandchild), "it belongs to a worker that lives"


# ------------------------------------------------------------------ planned ends


def test_max_requests_recycles_under_load_without_a_failure(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=3, max_requests=40))
    calm = app.calm(3)
    before = all_ready(app, 3)
    load = Load(app.port, echo("/evil", largest=4096), connections=16, seconds=slow(3)).start()
    outcome = load.join()
    outcome.require("ok", at_least=500)
    lives = {record.headers["x-pid"] for record in outcome.records}
    assert len(lives) >= 6, "each of the three is recycled, at most once a second"
    assert not set(before) & set(app.wait_workers(3, "evil")), "an old one was left"
    assert not re.search(r"evil#\d.*(crash|failed|backoff|back-off)", app.log())
    calm.check()


def test_max_requests_bounds_what_a_process_serves(nodey: Nodey) -> None:
    """Not to the request: the old one lives a second, and until its successor is ready."""
    app = nodey(config=evil(instances=1, max_requests=10))
    served = []
    for _ in range(35):
        answer = app.get("/evil?do=count")
        served.append(int(answer.text))
        if served[-1] >= 10:
            successor = app.wait_workers(1, "evil", without=[int(answer.headers["x-pid"])])
            assert procs.alive(successor[0])
    assert max(served) < 20 and served.count(1) >= 3, served


def test_ttl_recycles_under_load_without_a_failure(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=3, ttl="1s"))
    before = all_ready(app, 3)
    load = Load(app.port, echo("/evil", largest=4096), connections=16, seconds=slow(4)).start()
    load.join().require("ok", at_least=200)
    assert not set(before) & set(app.wait_workers(3, "evil")), "no worker was recycled"


def test_a_worker_gets_no_new_work_once_it_was_told_to_end(nodey: Nodey, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    app = nodey(config=evil(words=(f"journal={journal}", "concurrency=4"), instances=3,
                            ttl="700ms"))
    mix = blend(echo("/evil", posts=0), evil_shot("/evil", "do=slow&ms=200", {200}, kind="slow"),
                0.2)
    load = Load(app.port, mix, connections=12, seconds=slow(4)).start()
    load.join().require("ok", at_least=100)
    late = load.outcome.counts()["late"]
    assert late == 0, f"{late} requests were given to workers that had been told to end"
    assert starts(journal) > 6, "no worker was recycled"


# ------------------------------------------------------------------ W17: for ever


def test_a_hundred_restarts_leave_nothing_behind(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=4, backoff_min="1ms", backoff_max="10ms",
                            max_restarts=1000))
    for id in range(20):
        assert app.get(f"/evil?id={id}").text == str(id)
    pids = app.wait_workers(4, "evil")
    calm = app.calm(4)
    for _ in range(25):
        kill(pids)
        pids = app.wait_workers(4, "evil", without=pids)
        assert app.get("/evil?id=1").text == "1"
    calm.check(memory=4 << 20)


def test_restarts_while_spawning_leave_nothing_behind(nodey: Nodey) -> None:
    """W16: killed at any moment between the fork and the first frame."""
    app = nodey(config=evil(instances=2, backoff_min="1ms", backoff_max="10ms",
                            max_restarts=1000) + evil("other", instances=1))
    assert app.get("/evil?id=1").text == "1"
    calm = app.calm(3)
    stop = threading.Event()

    def kill_on_sight() -> None:
        while not stop.is_set():
            kill([pid for pid in procs.children(app.pid)
                  if procs.environ(pid).get("NODEY_WORKER") == "evil"])
            stop.wait(0.003)

    killer = threading.Thread(target=kill_on_sight)
    killer.start()
    try:
        load = Load(app.port, echo("/other"), connections=4, seconds=3).start()
        load.join().require("ok", at_least=100)
    finally:
        stop.set()
        killer.join()
    app.wait_workers(2, "evil")
    until(lambda: app.get("/evil?id=1").status == 200, 20, "the pool serves again")
    calm.check()
    assert os.path.isdir(f"/proc/{app.pid}")


def test_a_crash_names_the_request_that_was_being_worked_on(nodey: Nodey) -> None:
    app = nodey({"workers/dies.py": "import os, nodey\n@nodey.post('/dies')\n"
                                    "def dies(req): os._exit(3)\n"})
    assert app.post("/dies?why=x").status == 502
    app.wait_log(r"dies#\d .*exited with status 3 while it worked on POST /dies\?why=x "
                 r"\(request [0-9a-f]{24}\)")


def test_a_line_that_is_not_ended_is_shown_after_a_while(nodey: Nodey) -> None:
    app = nodey({"workers/asks.py": "import sys, nodey\n@nodey.get('/asks')\n"
                                    "def asks(req):\n    sys.stderr.write('name? ')\n"
                                    "    sys.stderr.flush()\n    return 'asked'\n"})
    assert app.get("/asks").text == "asked"
    app.wait_log(r"asks#\d \| name\? ?$")
    start = len(app.log())
    assert app.get("/asks").text == "asked"
    app.wait_log(r"asks#\d \| name\? ?$", start=start)
