"""Descriptors run out, connections pile up; nothing spins, nothing leaks."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import time
from typing import Callable, Iterator

import pytest

import procs
from app import App
from checks import MEBIBYTE, kill
from load import Load, echo
from timing import slow, until
from workers import evil

Nodey = Callable[..., App]
pytestmark = pytest.mark.outside


def connect_some(port: int, count: int) -> list[socket.socket]:
    """So many connections, or as many as are taken within a moment each."""
    opened = []
    for _ in range(count):
        try:
            opened.append(socket.create_connection(("127.0.0.1", port), timeout=slow(1)))
        except OSError:
            break
    return opened


def close_all(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def limit_descriptors(app: App, spare: int) -> None:
    """From now on the supervisor may open only so many more than it has."""
    limit = app.fds() + spare
    resource.prlimit(app.pid, resource.RLIMIT_NOFILE, (limit, limit))


def test_without_descriptors_it_neither_spins_nor_dies_and_recovers(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=2))
    assert app.get("/evil?id=1").text == "1"
    calm = app.calm(2)
    with app.connect() as early:
        assert early.request("GET", "/evil?id=2").text == "2"
        limit_descriptors(app, 20)
        opened = connect_some(app.port, 200)
        until(lambda: app.fds() >= calm.fds + 15, 5, "its descriptors are used up")
        cpu, begun = procs.cpu_seconds(app.pid), time.monotonic()
        for id in range(20):
            assert early.request("GET", f"/evil?id={id}").text == str(id), "it was there before"
            time.sleep(0.05)
        share = (procs.cpu_seconds(app.pid) - cpu) / (time.monotonic() - begun)
        assert share < 0.3, f"{share:.0%} of a processor for waiting"
        assert app.fds() <= calm.fds + 21, "the limit had no effect"
        close_all(opened)
    until(lambda: serves(app), 5, "new connections are served again")
    calm.check()


def serves(app: App) -> bool:
    try:
        return app.get("/evil?id=1", timeout=2).status == 200
    except Exception:  # Whatever a refused or cut connection is; the deadline judges.
        return False


@pytest.mark.outside
def test_without_descriptors_a_dead_worker_comes_back_later(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=2, backoff_min="50ms", backoff_max="500ms",
                            max_restarts=1000))
    assert app.get("/evil?id=1").text == "1"
    calm = app.calm(2)
    before = app.wait_workers(2, "evil")
    limit_descriptors(app, 16)
    opened = connect_some(app.port, 100)
    until(lambda: app.fds() >= calm.fds + 10, 5, "connections hold descriptors")
    limit_descriptors(app, 0)  # The six that the two leave are fewer than one needs to start.
    kill(before)
    app.wait_log(r"evil#\d.*could not be started.*too many open files")
    assert procs.alive(app.pid)
    close_all(opened)
    app.wait_workers(2, "evil", without=before, seconds=15)
    until(lambda: serves(app), 10, "it serves again")
    calm.check()


@contextlib.contextmanager
def failing(app: App, calls: str, how: str, *more: str) -> Iterator[None]:
    """These system calls of the supervisor fail as long as this lasts."""
    tracer = subprocess.Popen(
        ["strace", "-p", str(app.pid), "-o", "/dev/null", *more, "-e", f"trace={calls}", "-e",
         f"inject={calls}:{how}"], stderr=subprocess.PIPE, text=True)
    try:
        assert tracer.stderr and "attached" in tracer.stderr.readline()
        yield
    finally:
        tracer.send_signal(signal.SIGTERM)
        tracer.communicate(timeout=slow(10))


FORKS = "clone,clone3,fork,vfork"


def test_without_a_process_a_dead_worker_comes_back_later(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=2, backoff_min="20ms", backoff_max="100ms"))
    assert app.get("/evil?id=1").text == "1"
    calm = app.calm(2)
    before = app.wait_workers(2, "evil")
    with failing(app, FORKS, "error=EAGAIN:when=1..5"):
        kill(before[:1])
        app.wait_log(r"evil#\d.*could not be started: resource temporarily unavailable")
        assert app.get("/evil?id=2").text == "2", "the other one serves"
        app.wait_workers(2, "evil", without=before[:1])
    tried = app.log().count("could not be started")
    assert tried == 5, f"it failed {tried} times"
    calm.check()


def test_a_start_that_fails_between_fork_and_exec_is_tried_again(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=2, backoff_min="20ms", backoff_max="100ms",
                            max_restarts=1000))
    assert app.get("/evil?id=1").text == "1"
    calm = app.calm(2)
    before = app.wait_workers(2, "evil")
    with failing(app, "execve", "error=ENOENT", "-f"):
        kill(before[:1])
        until(lambda: app.log().count("could not be started: no such file") >= 3, 10,
              "it is tried several times")
    app.wait_workers(2, "evil", without=before[:1])
    assert app.get("/evil?id=2").text == "2"
    calm.check()


def test_a_worker_killed_in_its_first_moments_is_a_failed_start_and_no_leak(
        nodey: Nodey) -> None:
    app = nodey(config=evil(words=("start=0.2",), instances=1, backoff_min="1ms",
                            backoff_max="5ms", max_restarts=1000))
    calm = app.calm(1)
    kill(app.worker_pids())
    for _ in range(30):
        children = until(lambda: [pid for pid in procs.children(app.pid)
                                  if procs.state(pid) not in ("", "Z")], 5, "a child is begun")
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    app.wait_workers(1, "evil")
    until(lambda: serves(app), 10, "it serves again")
    calm.check()


def test_two_thousand_idle_connections_cost_little_and_disturb_nobody(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=2))
    Load(app.port, echo("/evil"), connections=32, requests=300).start().join().require("ok")
    calm = app.calm(2)
    idle = []
    try:
        for _ in range(2000):
            connection = app.connect()
            idle.append(connection)
        for connection in idle[::10]:
            assert connection.request("GET", "/evil?id=1").text == "1"
        until(lambda: app.fds() >= calm.fds + 2000, 5, "all are accepted")
        calm.check_memory(2000 * 6 * 1024 + 2 * MEBIBYTE)
        load = Load(app.port, echo("/evil"), connections=8, requests=500).start()
        outcome = load.join()
        outcome.require("ok", at_least=500)
        assert outcome.percentile(0.99) < slow(0.5)
    finally:
        for connection in idle:
            connection.close()
    calm.check()


def test_an_idle_service_is_quiet(nodey: Nodey) -> None:
    app = nodey(config=evil(words=("features=ping",), instances=4))
    assert app.get("/evil?id=1").text == "1"
    start, cpu = len(app.log()), procs.cpu_seconds(app.pid)
    time.sleep(2)
    assert procs.cpu_seconds(app.pid) - cpu <= 0.04
    assert len(app.log()) == start, "an idle service has nothing to say"


def test_connection_churn_leaves_nothing_behind(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=2))
    assert app.get("/evil?id=1").text == "1"
    calm = app.calm(2)
    for n in range(1500):
        sock = socket.create_connection(("127.0.0.1", app.port), timeout=slow(5))
        if n % 3 == 1:  # A reset instead of an orderly end.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        if n % 3 == 2:
            sock.sendall(b"GET /evil?id=1 HTTP/1.1\r\nHost: a\r\n")
        sock.close()
    assert app.get("/evil?id=2").text == "2"
    calm.check(memory=8 * MEBIBYTE)


def test_bodies_of_every_size_leave_nothing_behind(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=2))
    load = Load(app.port, echo("/evil", posts=1, largest=600_000), connections=8,
                requests=60).start()
    load.join().require("ok", at_least=60)
    calm = app.calm(2)
    load = Load(app.port, echo("/evil", posts=1, largest=600_000), connections=8,
                requests=200).start()
    load.join().require("ok", at_least=200)
    calm.check()
