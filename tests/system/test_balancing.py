"""Requests wait at the pool, not behind a busy worker; what cannot be served is refused soon."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import pytest

from app import App
from checks import kill
from load import Load, blend, echo, evil as evil_shot, new_id
from timing import slow, until
from workers import evil, script

pytestmark = pytest.mark.outside

Nodey = Callable[..., App]

FIB_PY = '''
import nodey

def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

@nodey.get("/fib")
def answer(req):
    return {"fib": fib(int(req.query["num"]))}
'''


def busy(app: App, connections: list[Any], path: str, journal: Path) -> None:
    """Sends a request that lasts, and waits until a worker has it."""
    id = new_id()
    connections.append(app.open_request("GET", f"{path}&id={id}"))
    until(lambda: journal.exists() and id in journal.read_text(), 5, "a worker has the request")


def test_a_slow_calculation_does_not_delay_the_quick_ones(nodey: Nodey) -> None:
    app = nodey({"workers/fib.py": FIB_PY}, script("fib", instances=2, timeout="120s"))
    assert app.get("/fib?num=5").json() == {"fib": 5}
    with app.open_request("GET", "/fib?num=32", timeout=120) as connection:
        connection.socket.setblocking(False)
        quick = 0
        while quick < 20:
            begun = time.monotonic()
            assert app.get("/fib?num=10").json() == {"fib": 55}
            assert time.monotonic() - begun < slow(0.3), "it waited behind the slow one"
            quick += 1
        with pytest.raises(BlockingIOError):
            connection.socket.recv(1)
        connection.socket.settimeout(slow(60))
        assert connection.read_response().json() == {"fib": 2178309}


def test_prefetch_is_taken_back_from_a_slow_worker(nodey: Nodey) -> None:
    """Requests that wait in the pipe behind a slow one must not share its fate."""
    app = nodey({"workers/work.py": '''
import time
import nodey

@nodey.get("/work")
def work(req):
    time.sleep(float(req.query.get("ms", "0")) / 1000)
    return {"id": req.query["id"]}
'''}, script("work", instances=2, timeout="60s"))
    quick = echo_json("/work", "ms=0")
    Load(app.port, quick, connections=16, requests=500).start().join().require("ok")
    with app.open_request("GET", f"/work?ms={slow(3000)}&id=slow", timeout=60) as connection:
        load = Load(app.port, quick, connections=16, requests=500).start()
        outcome = load.join()
        outcome.require("ok", at_least=500)
        worst = max(record.took for record in outcome.records)
        assert worst < slow(2), f"one waited {worst:.1f} s behind the slow one"
        assert connection.read_response().status == 200


def echo_json(path: str, query: str, kind: str = "good") -> Any:
    """Requests whose answer is {"id": their id}."""

    def mix(rng: Any) -> Any:
        shot = evil_shot(path, query, {200}, kind=kind)(rng)
        return replace(shot, expect=b'{"id":"%s"}' % shot.id.encode())

    return mix


def test_a_full_queue_refuses_with_retry_after(nodey: Nodey, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    app = nodey(config=evil(words=(f"journal={journal}",), instances=1, queue=3, timeout="30s",
                            queue_timeout="30s"))
    opened: list[Any] = []
    busy(app, opened, "/evil?do=slow&ms=1500", journal)
    opened += [app.open_request("GET", f"/evil?id=q{n}") for n in range(3)]
    answer = until(lambda: refusal(app), 2, "the queue is full")
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert [connection.read_response().status for connection in opened] == [200] * 4


def refusal(app: App) -> Any:
    begun = time.monotonic()
    answer = app.get("/evil?id=extra", timeout=20)
    if answer.status == 503:
        assert time.monotonic() - begun < slow(0.3), "a refusal must not wait"
        return answer
    return None


def test_a_request_does_not_wait_longer_than_queue_timeout(nodey: Nodey, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    app = nodey(config=evil(words=(f"journal={journal}",), instances=1, timeout="30s",
                            queue_timeout="500ms"))
    opened: list[Any] = []
    busy(app, opened, f"/evil?do=slow&ms={slow(3000):g}", journal)
    begun = time.monotonic()
    answer = app.get("/evil?id=2")
    assert answer.status == 503 and "retry-after" in answer.headers, answer
    assert 0.4 < time.monotonic() - begun < slow(1.5)
    assert opened[0].read_response().status == 200


def test_a_request_during_a_restart_waits_for_the_new_worker(nodey: Nodey) -> None:
    app = nodey(config=evil(words=("start=0.7",), instances=1, backoff_min="10ms"))
    before = app.worker_pids("evil")
    kill(before)
    begun = time.monotonic()
    answer = app.get("/evil?id=1")
    assert (answer.status, answer.text) == (200, "1")
    assert time.monotonic() - begun >= 0.5
    app.wait_workers(1, "evil", without=before)


def test_overload_is_refused_and_what_is_taken_is_served(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=2, queue=8, queue_timeout="1s"))
    mix = evil_shot("/evil", "do=slow&ms=20", {200})
    load = Load(app.port, mix, connections=64, seconds=slow(3)).start()
    outcome = load.join()
    outcome.require("ok", "refused")
    counts = outcome.counts()
    assert counts["refused"] > 0 and counts["ok"] > 60, counts
    refused = sorted(r.took for r in outcome.records if r.outcome == "refused")
    assert refused[len(refused) // 2] < slow(0.2), "refusals must be quick"


def test_mixed_load_fails_nothing_and_the_quick_stay_quick(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=4))
    mix = blend(echo("/evil", posts=0), evil_shot("/evil", "do=slow&ms=300", {200}, kind="slow"),
                0.01)
    load = Load(app.port, mix, connections=16, seconds=slow(5)).start()
    outcome = load.join()
    outcome.require("ok", at_least=500)
    assert outcome.counts("slow")["ok"] > 0
    assert outcome.percentile(0.5, "good") < slow(0.1)


def test_all_instances_get_their_share(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=4))
    load = Load(app.port, evil_shot("/evil", "do=slow&ms=5", {200}), connections=16,
                requests=400).start()
    outcome = load.join()
    outcome.require("ok", at_least=400)
    shares = Counter(record.headers["x-instance"] for record in outcome.records)
    assert len(shares) == 4 and min(shares.values()) >= 25, shares


# ------------------------------------------------------------------ clients that leave


def test_a_client_that_leaves_cancels_its_request_and_frees_the_slot(
        nodey: Nodey, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    app = nodey(config=evil(words=(f"journal={journal}", "features=cancel"), instances=1,
                            timeout="60s", queue_timeout="20s"))
    before = app.worker_pids("evil")
    opened: list[Any] = []
    busy(app, opened, "/evil?do=wait", journal)
    time.sleep(0.3)  # An earlier end of the sending side would be a half-close.
    opened[0].close()
    until(lambda: "cancel disconnect" in journal.read_text(), 3, "the worker saw the cancel")
    begun = time.monotonic()
    assert app.get("/evil?id=5").text == "5"
    assert time.monotonic() - begun < slow(2)
    assert app.worker_pids("evil") == before


def test_a_cancelled_request_frees_one_of_many_slots(nodey: Nodey, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    app = nodey(config=evil(words=(f"journal={journal}", "features=cancel", "concurrency=3"),
                            instances=1, timeout="60s", queue_timeout="20s"))
    opened: list[Any] = []
    for _ in range(3):
        busy(app, opened, "/evil?do=wait", journal)
    with app.open_request("GET", "/evil?id=queued") as queued:
        time.sleep(0.3)
        opened[1].close()
        assert queued.read_response().text == "queued"
    assert journal.read_text().count("cancel disconnect") == 1
    for connection in opened:
        connection.close()


def test_a_queued_request_whose_client_leaves_never_reaches_a_worker(
        nodey: Nodey, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    app = nodey(config=evil(words=(f"journal={journal}",), instances=1, timeout="30s"))
    opened: list[Any] = []
    busy(app, opened, "/evil?do=slow&ms=1500", journal)
    gone = [new_id() for _ in range(5)]
    leaving = [app.open_request("GET", f"/evil?id={id}") for id in gone]
    time.sleep(0.4)
    for connection in leaving:
        connection.close()
    assert opened[0].read_response().status == 200
    assert app.get("/evil?id=after").text == "after"
    assert not any(id in journal.read_text() for id in gone)


def test_a_thousand_clients_that_leave_leave_nothing_behind(nodey: Nodey) -> None:
    app = nodey(config=evil(words=("features=cancel",), instances=2))
    assert app.get("/evil?id=1").text == "1"
    calm = app.calm(2)

    def leave_early() -> None:
        for n in range(250):
            with app.connect() as connection:
                connection.send(f"GET /evil?id=x{n}&do=slow&ms=1 HTTP/1.1\r\n".encode())
                if n % 3:
                    connection.send(b"Host: a\r\n\r\n")

    leavers = [threading.Thread(target=leave_early) for _ in range(4)]
    for leaver in leavers:
        leaver.start()
    load = Load(app.port, echo("/evil", posts=0), connections=4, requests=300).start()
    outcome = load.join()
    for leaver in leavers:
        leaver.join()
    outcome.require("ok", at_least=300)
    calm.check()
    assert app.get("/evil?id=1").text == "1"
