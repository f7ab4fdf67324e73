"""The checks can fail: each is shown a stand-in for nodey with one planted fault.

A check that passes here on a broken stand-in would pass on a broken nodey as well.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Callable, Iterator

import pytest

import procs
from app import App
from timing import until
from checks import Baseline, wait_gone, wait_run_gone
from client import Headers, Response
from load import Load, Outcome, Shot, blend, echo, evil, judge

pytestmark = pytest.mark.outside  # there is no nodey in it

Planted = Callable[..., App]

PLANTED = Path(__file__).with_name("planted.py")


@pytest.fixture
def planted(tmp_path: Path) -> Iterator[Planted]:
    """A factory of stand-ins with a fault; whatever the fault is, they are gone afterwards."""
    binary = tmp_path / "planted"
    binary.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{PLANTED}" "$@"\n')
    binary.chmod(0o755)
    apps: list[App] = []

    def start(fault: str = "") -> App:
        app = App(tmp_path, env={"FAULT": fault}, binary=binary)
        apps.append(app)
        return app.wait_ready()

    yield start
    for app in apps:
        for pid in app.processes():
            os.kill(pid, signal.SIGKILL)
        app.finish()


def load(app: App, requests: int = 60) -> Outcome:
    return Load(app.port, echo("/evil", largest=300), connections=4, requests=requests,
                timeout=0.5).start().join()


def test_a_faultless_stand_in_passes_every_check(planted: Planted) -> None:
    app = planted()
    calm = Baseline(app)
    load(app).require("ok", at_least=60)
    calm.check(extra_fds=4)
    assert app.finish() == []
    assert planted("helped").finish() == []


@pytest.mark.parametrize("fault, outcome", [
    ("lose", "hang"), ("cut", "cut"), ("swap", "wrong"), ("foreign", "wrong"), ("field", "wrong"),
    ("short", "wrong"), ("bare", "503"), ("late", "late"), ("502", "bad"), ("504", "timeout"),
    ("503", "refused"), ("500", "500"), ("404", "404"),
])
def test_the_load_client_names_the_fault(planted: Planted, fault: str,
                                         outcome: str) -> None:
    found = load(planted(fault))
    assert found.counts()[outcome] >= 4, found.counts()
    assert set(found.counts()) == {"ok", outcome}
    with pytest.raises(AssertionError, match=outcome):
        found.require("ok")


def test_too_few_requests_do_not_pass(planted: Planted) -> None:
    with pytest.raises(AssertionError, match="too few"):
        load(planted()).require("ok", at_least=61)


def test_a_service_that_is_not_there_does_not_pass() -> None:
    outcome = Load(1, echo("/evil"), connections=2, requests=4).start().join()
    assert outcome.counts() == {"unsent": 4}


def test_kinds_are_counted_apart(planted: Planted) -> None:
    app = planted()
    mix = blend(echo("/evil"), evil("/evil", "do=x", {502}), 0.5)
    outcome = Load(app.port, mix, connections=2, requests=40).start().join()
    outcome.require("ok", kind="good")
    with pytest.raises(AssertionError):
        outcome.require("ok", kind="evil")


def test_requests_that_a_hasty_end_loses_are_found(planted: Planted) -> None:
    app = planted("lose")
    running = Load(app.port, echo("/evil"), connections=8, seconds=5, timeout=10).start()
    while running.done() < 20:
        time.sleep(0.01)
    time.sleep(0.3)
    begun = time.monotonic()
    app.stop()
    assert running.stop().lost_after(begun)


def test_foreign_bytes_are_wrong_whatever_the_status() -> None:
    own, other = f"rq-{uuid.uuid4().hex}", f"rq-{uuid.uuid4().hex}"
    shot = Shot(own, "good", "GET", "/", expect=own.encode(), statuses=frozenset({200, 502}))
    for status in (200, 404, 502, 503):
        assert judge(shot, Response(status, "", Headers([]), other.encode())) == "wrong"
        assert judge(shot, Response(status, "", Headers([("x", other)]), own.encode())) == "wrong"


@pytest.mark.parametrize("fault", ["fds", "memory", "zombies"])
def test_a_leak_is_found(planted: Planted, fault: str) -> None:
    app = planted(fault)
    load(app, 40)
    calm = Baseline(app)
    load(app, 300)
    with pytest.raises(AssertionError, match={"fds": "descriptors", "memory": "memory grew",
                                              "zombies": "no zombies"}[fault]):
        calm.check(extra_fds=4, seconds=1)


@pytest.mark.parametrize("fault, problem", [
    ("orphan", "left over"), ("helper", "left over"), ("code", "exit code is 3"),
    ("sanitizer", "a defect shows"),
    ("undefined", "a defect shows"), ("assertion", "a defect shows"),
])
def test_a_bad_end_is_found(planted: Planted, fault: str,
                            problem: str) -> None:
    problems = planted(fault).finish()
    assert len(problems) == 1 and problem in problems[0], problems


def test_an_end_that_does_not_come_is_found(planted: Planted) -> None:
    app = planted("stay")
    with pytest.raises(AssertionError, match="did not end"):
        app.stop(timeout=1)
    app.kill()


def test_a_log_line_that_does_not_come_is_found(planted: Planted) -> None:
    app = planted()
    begun = time.monotonic()
    with pytest.raises(AssertionError, match="not in the log"):
        app.wait_log("no such line", timeout=0.5)
    assert time.monotonic() - begun < 10


def test_a_start_that_fails_is_found(tmp_path: Path) -> None:
    app = App(tmp_path, binary=Path("/bin/false"), exit_code=1)
    with pytest.raises(AssertionError, match="did not become ready"):
        app.wait_ready(5)
    assert app.finish() == []


def test_a_process_that_stays_is_found_in_any_session_and_group() -> None:
    run = uuid.uuid4().hex
    child = subprocess.Popen(["sleep", "60"], env={**os.environ, procs.RUN: run},
                             start_new_session=True)
    try:
        until(lambda: procs.of_run(run) == [child.pid], 5, "it has become what it is")
        with pytest.raises(AssertionError, match="sleep"):
            wait_run_gone(run, 0.3)
        with pytest.raises(AssertionError, match="sleep"):
            wait_gone([child.pid], 0.3)
        assert procs.of_run(run) == [child.pid]
    finally:
        child.kill()
        child.wait()
    wait_run_gone(run, 1)
