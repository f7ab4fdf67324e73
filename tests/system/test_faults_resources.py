"""Faults R1 to R3 of tests/FAULTS.md: no descriptors, and no processes, alike for all kinds."""

from __future__ import annotations

import resource
import socket
import time
from typing import Any, Callable, Iterator

import pytest

import command
import procs
from admin import Admin
from app import App
from checks import Baseline, kill
from test_resources import FORKS, close_all, connect_some, failing
from timing import slow, until
from wicked import KINDS, running, say, serving, wait_running, wicked

pytestmark = pytest.mark.outside

Nodey = Callable[..., App]

QUICK: dict[str, Any] = {"backoff_min": "20ms", "backoff_max": "200ms", "max_restarts": 1000}


@pytest.fixture
def crowd() -> Iterator[list[socket.socket]]:
    sockets: list[socket.socket] = []
    yield sockets
    close_all(sockets)


def fill(app: App, crowd: list[socket.socket], limit: int) -> None:
    """More connections than it may have descriptors."""
    resource.prlimit(app.pid, resource.RLIMIT_NOFILE, (limit, limit))
    crowd += connect_some(app.port, 500)
    until(lambda: app.fds() >= limit - 6, 5, "its descriptors are used up")


@pytest.mark.parametrize("kind", KINDS)
def test_500_connections_and_64_descriptors(nodey: Nodey, kind: str,
                                            crowd: list[socket.socket]) -> None:
    """R1: who was there first is served, orders are taken, nothing spins; then all is well."""
    app = nodey(config=wicked(kind, instances=2))
    wait_running(app, 2)
    assert serving(app)
    calm = Baseline(app)
    with app.connect() as early, Admin(app.folder) as admin:
        assert early.request("GET", "/w?id=0").text == "0"
        fill(app, crowd, 64)
        cpu, begun = procs.cpu_seconds(app.pid), time.monotonic()
        for id in range(30):
            assert early.request("GET", f"/w?id={id}").text == str(id)
            time.sleep(0.05)
        share = (procs.cpu_seconds(app.pid) - cpu) / (time.monotonic() - begun)
        say("R1", "share of a processor while full", 1000 * share, "thousandths")
        assert share < 0.3
        assert admin.program("w")["state"] == "ready"
        assert app.fds() <= 64
        begun = time.monotonic()
        close_all(crowd)
        until(lambda: serving(app), 5, "new connections are served again")
        say("R1", "until it serves again", 1000 * (time.monotonic() - begun))
        assert time.monotonic() - begun < slow(3)
    calm.check(extra_fds=2)


def test_orders_are_taken_when_the_port_has_used_up_all_descriptors(
        nodey: Nodey, crowd: list[socket.socket]) -> None:
    """R1: a person who wants to see what is wrong gets in."""
    app = nodey(config=wicked("python"))
    wait_running(app, 1)
    fill(app, crowd, 64)
    done = command.run(app.folder, "ps")
    assert done.code == 0 and "ready" in done.out, done


@pytest.mark.parametrize("kind", KINDS)
def test_who_dies_while_there_are_no_descriptors_comes_back(nodey: Nodey, kind: str) -> None:
    """R2: a pause and another try, and nodey lives."""
    app = nodey(config=wicked(kind, instances=2, **QUICK))
    before = wait_running(app, 2)
    calm = Baseline(app)
    allowed = resource.prlimit(app.pid, resource.RLIMIT_NOFILE)
    # What the dead ones had is not enough for new ones.
    resource.prlimit(app.pid, resource.RLIMIT_NOFILE, (calm.fds - 6, allowed[1]))
    kill(before)
    app.wait_log(r"w#\d.*could not be started.*too many open files", 10)
    assert procs.alive(app.pid)
    begun = time.monotonic()
    resource.prlimit(app.pid, resource.RLIMIT_NOFILE, allowed)
    wait_running(app, 2, without=before, seconds=15)
    until(lambda: serving(app), 10, "it serves again")
    say("R2", "until all run again", 1000 * (time.monotonic() - begun))
    calm.check(extra_fds=2)


@pytest.mark.parametrize("kind", KINDS)
def test_when_no_process_can_be_made_it_is_tried_again(nodey: Nodey, kind: str) -> None:
    """R3: exactly as often as it failed, with pauses; the others serve meanwhile."""
    app = nodey(config=wicked(kind, instances=2, **QUICK))
    before = wait_running(app, 2)
    calm = Baseline(app)
    with failing(app, FORKS, "error=EAGAIN:when=1..5"):
        kill(before[:1])
        app.wait_log(r"w#\d.*could not be started: resource temporarily unavailable")
        assert app.get("/w?id=2").text == "2", "the other one serves"
        begun = time.monotonic()
        wait_running(app, 2, without=before[:1])
    say("R3", "until it runs, after 5 failures", 1000 * (time.monotonic() - begun))
    assert app.log().count("could not be started") == 5
    assert set(before[1:]) < set(running(app))
    calm.check(extra_fds=2)
