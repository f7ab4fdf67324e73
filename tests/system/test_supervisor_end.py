"""The supervisor's own end, whichever way it comes, and its start in odd surroundings."""

from __future__ import annotations

import os
import random
import re
import select
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator

import pytest

import procs
from app import BINARY, App
from checks import kill, wait_gone, wait_run_gone
from client import Connection, Cut
from load import Load, Outcome, blend, echo, evil as evil_shot
from timing import slow, until
from workers import Setting, evil, pool, raw

Nodey = Callable[..., App]
pytestmark = pytest.mark.outside


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


# ------------------------------------------------------------------ S1: SIGKILL


@pytest.mark.long
def test_sigkill_leaves_nothing_behind_20_of_20_times(nodey: Nodey) -> None:
    for _ in range(20):
        app = nodey(config=evil(instances=2) + evil("deaf", words=("noterm=1",), instances=1))
        app.wait_workers(3)
        for how in ("group", "session", "daemon"):
            assert procs.alive(int(app.get(f"/evil?do=grandchild&how={how}").text))
        until(lambda: len(app.processes()) >= 7, 5, "all have been started")
        app.kill()
        wait_run_gone(app.run, 3)


def test_sigkill_reaches_what_a_node_worker_has_started(nodey: Nodey) -> None:
    app = nodey({"workers/starts.js": """
const nodey = require('nodey');
const { spawn } = require('child_process');
nodey.get('/starts', () => {
    const child = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' });
    child.unref();
    return String(child.pid);
});
"""})
    child = int(app.get("/starts").text)
    assert procs.alive(child)
    app.kill()
    wait_gone([child], 3)


def test_sigkill_while_workers_are_being_spawned_leaves_nothing_behind(nodey: Nodey) -> None:
    rng = random.Random(1)
    for _ in range(20):
        app = nodey(config=evil(instances=6), wait=False)
        time.sleep(rng.uniform(0, 0.15))  # Any moment of the start will do.
        app.kill()
        wait_run_gone(app.run, 3)


def test_sigkill_ends_the_workers_even_without_nodeys_helper(nodey: Nodey) -> None:
    """Two nets: the kernel's for the workers, and a process that sees to the rest."""
    app = nodey(config=evil(instances=2) + evil("deaf", words=("noterm=1",), instances=1))
    workers = app.wait_workers(3)
    helpers = app.helpers()
    assert helpers, "nothing would end what the workers leave behind"
    kill(helpers)
    wait_gone(helpers, 3)
    assert app.get("/evil?id=1").text == "1"
    app.kill()
    wait_gone(workers, 1)


def test_sigkill_under_load_leaves_nothing_behind(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=4))
    load = Load(app.port, echo("/evil"), seconds=20).start()
    until(lambda: load.done() > 50, 5, "the load has begun")
    app.kill()
    wait_run_gone(app.run, 3)
    outcome = load.stop()
    assert not outcome.unlike("ok", "cut", "unsent"), outcome.counts()


def test_it_starts_again_in_the_same_folder_and_on_the_same_port_after_sigkill(
        nodey: Nodey) -> None:
    first = nodey(config=evil(instances=2))
    assert first.get("/evil?id=1").text == "1"
    first.kill()
    second = nodey(folder=first.folder, listen=f"127.0.0.1:{first.port}")
    assert second.port == first.port
    assert second.get("/evil?id=2").text == "2"


# ------------------------------------------------------------------ S2, S3: the orderly end


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_an_orderly_end_under_load_loses_no_request_that_was_sent(nodey: Nodey, sig: int) -> None:
    app = nodey(config=evil(instances=4))
    mix = blend(echo("/evil"), evil_shot("/evil", "do=slow&ms=500", {200}, "POST", "slow"), 0.05)
    load = Load(app.port, mix, seconds=30).start()
    until(lambda: load.done() > 200, 10, "the load has begun")
    begun = time.monotonic()
    app.signal(sig)
    assert app.wait_exit(30) == 0
    took = time.monotonic() - begun
    outcome = load.stop()
    lost = outcome.lost_after(begun)
    assert not lost, [(r.outcome, r.detail, r.shot.target) for r in lost[:5]]
    assert not outcome.unlike("ok", "unsent", "cut", "refused"), outcome.counts()
    assert took < slow(5), f"the end took {took:.1f} s"


def test_a_request_under_way_at_sigterm_is_answered_and_told_to_close(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=1))
    with app.open_request("POST", "/evil?do=slow&ms=1500", b"the last one") as connection:
        with app.open_request("POST", "/evil?do=slow&ms=100", b"queued") as queued:
            until(lambda: app.worker_pids("evil"), 1, "a worker")
            time.sleep(0.3)  # Both have reached the supervisor.
            app.signal(signal.SIGTERM)
            answer = connection.read_response()
            assert (answer.status, answer.body) == (200, b"the last one")
            assert answer.headers["connection"].lower() == "close"
            assert queued.read_response().body == b"queued"
    assert app.wait_exit(10) == 0


def test_nothing_is_accepted_after_sigterm(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=1))
    with app.open_request("POST", "/evil?do=slow&ms=1500", b"x") as connection:
        time.sleep(0.3)
        app.signal(signal.SIGTERM)

        def refused() -> bool:
            try:
                with Connection(app.port, 1):
                    return False
            except (ConnectionRefusedError, ConnectionResetError):
                return True

        until(refused, 1, "connections are refused")
        assert connection.read_response().status == 200
    assert app.wait_exit(10) == 0


def test_an_interrupt_from_the_terminal_does_not_reach_the_workers(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=1))
    with app.open_request("POST", "/evil?do=slow&ms=1000", b"still here") as connection:
        time.sleep(0.3)
        os.killpg(app.pid, signal.SIGINT)
        assert connection.read_response().body == b"still here"
    assert app.wait_exit(10) == 0


def test_a_signal_that_a_wrapper_passes_on_as_well_counts_once(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=1))
    with app.open_request("POST", "/evil?do=slow&ms=800", b"not cut off") as connection:
        until(lambda: app.worker_pids("evil"), 1, "a worker")
        time.sleep(0.3)  # It has reached the supervisor.
        app.signal(signal.SIGTERM)
        time.sleep(0.02)  # Two signals at the same moment are one for the kernel already.
        app.signal(signal.SIGTERM)
        assert connection.read_response().body == b"not cut off"
    assert app.wait_exit(10) == 0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(nodey: Nodey, second: int) -> None:
    app = nodey(config=evil(words=("noterm=1",), instances=2, timeout="60s"), exit_code=None)
    with app.open_request("POST", "/evil?do=hang", b"x"):
        time.sleep(0.3)
        app.signal(signal.SIGTERM)
        app.wait_log(r"(?i)(stop|shut|drain|end|signal)")
        time.sleep(0.3)
        assert app.returncode() is None, "the first signal waits for the open request"
        begun = time.monotonic()
        app.signal(second)
        app.wait_exit(3)
    assert time.monotonic() - begun < slow(1.5)
    wait_run_gone(app.run, 1)


def test_the_shutdown_timeout_bounds_the_end(nodey: Nodey) -> None:
    app = nodey(config='[server]\nshutdown_timeout = "2s"\n\n'
                + evil(words=("noterm=1",), instances=2, timeout="60s",
                       stop_grace_period="30s"), exit_code=None)
    with app.open_request("POST", "/evil?do=hang", b"x"):
        time.sleep(0.3)
        begun = time.monotonic()
        app.stop(timeout=8)
    assert 1.5 < time.monotonic() - begun < slow(5)


def test_a_worker_stuck_with_what_was_given_up_does_not_delay_the_end(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=2, timeout="300ms", kill_after="500ms",
                            stop_grace_period="500ms"))
    assert app.post("/evil?do=hang").status == 504
    begun = time.monotonic()
    assert app.stop(timeout=30) == 0
    assert time.monotonic() - begun < slow(4), "nobody waits for that answer any more"


def test_idle_keep_alive_connections_do_not_delay_the_end(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=1))
    with app.connect() as idle, app.connect():
        assert idle.request("GET", "/evil?id=1").text == "1"
        begun = time.monotonic()
        assert app.stop(timeout=10) == 0
        assert time.monotonic() - begun < slow(3)
        with pytest.raises((Cut, ConnectionError)):
            idle.request("GET", "/evil?id=2")


def test_sigterm_during_the_start_ends_it_cleanly(nodey: Nodey) -> None:
    app = nodey(config=evil(words=("start=20",), instances=2, stop_grace_period="1s"), wait=False)
    app.wait_workers(2, "evil")
    begun = time.monotonic()
    assert app.stop(timeout=8) == 0
    assert time.monotonic() - begun < slow(4)


def test_workers_may_finish_their_own_cleaning_up(nodey: Nodey, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    app = nodey(config=evil(words=(f"journal={journal}",), instances=2))
    assert app.stop() == 0
    assert journal.read_text().count(" end") == 2, journal.read_text()


# ------------------------------------------------------------------ S7: the port is taken


def test_a_port_that_is_taken_is_a_clear_error_and_leaves_the_first_alone(nodey: Nodey) -> None:
    first = nodey(config=evil(instances=1))
    second = nodey(config=evil(instances=2), listen=f"127.0.0.1:{first.port}", wait=False,
                   exit_code=None)
    assert second.wait_exit(10) not in (0, None)
    assert re.search(rf"127\.0\.0\.1:{first.port}.*in use", second.log()), second.log()
    wait_run_gone(second.run, 3)
    assert first.get("/evil?id=1").text == "1"


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "nonsense", "256.1.1.1:80", "127.0.0.1:x",
                                     "192.0.2.1:8000"])
def test_an_address_that_cannot_be_listened_on_is_a_clear_error(nodey: Nodey,
                                                                address: str) -> None:
    app = nodey(config=evil(instances=1), listen=address, wait=False, exit_code=None)
    assert app.wait_exit(10) > 0
    assert address.partition(":")[0] in app.log(), app.log()


# ------------------------------------------------------------------ S12: odd descriptors


@contextmanager
def unwatched(folder: Path, redirections: str = "", output: int = subprocess.DEVNULL,
              **settings: Setting) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A nodey whose standard descriptors nobody reads; the process and its port."""
    (folder / "nodey.toml").write_text(evil(instances=2, **settings))
    port, run = free_port(), f"stdio-{os.getpid()}-{time.monotonic_ns()}"
    process = subprocess.Popen(
        ["/bin/sh", "-c", f'exec "$@" {redirections}', "sh", str(BINARY), "up", "--listen",
         f"127.0.0.1:{port}"], cwd=folder, env={**os.environ, procs.RUN: run},
        stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    try:
        until(lambda: serves(port), 15, "it serves")
        yield process, port
        process.send_signal(signal.SIGTERM)
        assert process.wait(slow(15)) == 0
    finally:
        process.kill()
        process.wait()
        wait_run_gone(run, 3)


def serves(port: int) -> bool:
    try:
        with Connection(port, 5) as connection:
            return connection.request("GET", "/evil?id=1").status == 200
    except (ConnectionError, Cut):
        return False


def require_good(port: int, requests: int, flood: int = 0) -> Outcome:
    """That many requests, all of which must be answered; each with so many log lines."""
    mix = evil_shot("/evil", f"do=flood&fd=2&n={flood}", {200}) if flood else echo("/evil")
    outcome = Load(port, mix, connections=4, requests=requests).start().join()
    outcome.require("ok", at_least=requests)
    return outcome


@pytest.mark.parametrize("redirections", ["<&- >&- 2>&-", "<&-", ">&- 2>&-", "2>/dev/full",
                                          ">/dev/full 2>/dev/full", "2>&-"])
def test_it_serves_with_closed_and_full_standard_descriptors(tmp_path: Path,
                                                             redirections: str) -> None:
    with unwatched(tmp_path, redirections) as (_, port):
        require_good(port, 200)
        require_good(port, 10, flood=2000)


def test_a_blocked_stderr_does_not_stop_the_service(tmp_path: Path) -> None:
    read, write = os.pipe()
    try:
        with unwatched(tmp_path, output=write, log_rate=100000) as (_, port):
            require_good(port, 20, flood=5000)
            assert not select.select([], [write], [], 0)[1], "the pipe was meant to be full"
            assert require_good(port, 300).percentile(0.99) < slow(0.5)
    finally:
        os.close(read)
        os.close(write)


def test_a_reader_of_the_log_that_goes_away_does_not_stop_the_service(tmp_path: Path) -> None:
    read, write = os.pipe()
    with unwatched(tmp_path, output=write) as (_, port):
        os.close(read)
        os.close(write)
        require_good(port, 20, flood=500)
        require_good(port, 100)


# ------------------------------------------------------------------ workers stay clean


def test_a_worker_inherits_four_descriptors_and_no_signal_masks(nodey: Nodey) -> None:
    app = nodey(config=pool("plain", *raw("inherited.py"), instances=1))
    found = app.get("/plain").json()
    assert found["fds"] == [0, 1, 2, 3]
    assert found["leads_its_group"]
    assert found["blocked"] == []
    # Python itself ignores these two.
    assert set(found["ignored"]) <= {signal.SIGPIPE, signal.SIGXFSZ}


def test_a_worker_gets_the_environment_of_the_contract(nodey: Nodey) -> None:
    app = nodey(config=pool("plain", *raw("inherited.py"), instances=1)
                + '[workers.plain.env]\nCOLOUR = "blue"\n', env={"SHAPE": "round"})
    env = app.get("/plain").json()["env"]
    assert env["NODEY"] == "1" and env["NODEY_FD"] == "3"
    assert "1" in env["NODEY_PROTOCOL"].split(",")
    assert env["NODEY_WORKER"] == "plain" and env["NODEY_INSTANCE"] == "0"
    assert env["NODEY_MAX_LINE"] == str(16 << 20)
    assert env["PYTHONUNBUFFERED"] == "1"
    assert env["COLOUR"] == "blue" and env["SHAPE"] == "round"
    assert os.path.isfile(f"{env['PYTHONPATH'].split(':')[0]}/nodey/__init__.py")
    assert os.path.isfile(f"{env['NODE_PATH'].split(':')[0]}/nodey/package.json")
