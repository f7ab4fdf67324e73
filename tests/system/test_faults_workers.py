"""Faults W1 to W17 of tests/FAULTS.md, alike in Python, in Node and in services."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import Any, Callable

import pytest

import command
import procs
from admin import Admin
from app import App
from checks import Baseline, kill, wait_gone
from load import Load, echo
from timing import slow, until
from wicked import KINDS, WORKERS, running, say, serving, wait_running, wicked
from workers import evil

pytestmark = pytest.mark.outside

Nodey = Callable[..., App]

QUICK: dict[str, Any] = {"backoff_min": "10ms", "backoff_max": "100ms"}


def median(found: list[float]) -> float:
    return sorted(found)[len(found) // 2]


# ------------------------------------------------------------------ W1, W2: killed


@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_costs_at_most_what_its_process_was_doing(nodey: Nodey, kind: str) -> None:
    """W1: a GET is given to another one; a POST that had begun is a 502, and no other is."""
    app = nodey(config=wicked(kind, instances=3))
    wait_running(app, 3)
    until(lambda: serving(app), 10, "it serves")
    calm = Baseline(app)
    kills, connections = 6, 6
    with Load(app.port, echo("/w", posts=0.3), connections=connections) as load:
        until(lambda: load.done() > 50, 10, "the load has begun")
        for n in range(kills):
            pids = wait_running(app, 3)
            kill([pids[n % 3]])
            time.sleep(0.4)  # The rhythm is the fault that is injected.
    load.outcome.require("ok", "bad", at_least=200)
    bad = load.outcome.unlike("ok")
    assert all(record.shot.method == "POST" for record in bad), "a GET was not repeated"
    # Python's worker does one thing at a time; the others have at most all connections'.
    assert len(bad) <= kills * (1 if kind == "python" else connections)
    say("W1", "requests that ended in 502", len(bad), f"of {kills} kills")
    wait_running(app, 3)
    calm.check(extra_fds=connections)


@pytest.mark.parametrize("kind", KINDS)
def test_who_was_killed_is_told_of_at_once_and_soon_replaced(nodey: Nodey, kind: str) -> None:
    """W1: 502 within 50 ms; ready again within the time of a start and 100 ms."""
    config = wicked(kind, **QUICK) if kind == "service" else wicked(kind, quarantine=0, **QUICK)
    app = nodey(config=config)
    wait_running(app, 1)
    told, again = [], []
    for _ in range(3):
        time.sleep(1.1)  # What has been well for a second is started again without a pause.
        before = running(app)
        with app.open_request("POST", "/w?do=slow&ms=60000", b"x") as connection:
            time.sleep(0.2)  # It cannot be seen from outside when the process has it.
            begun = time.monotonic()
            kill(before)
            assert connection.read_response().status == 502
            told.append(time.monotonic() - begun)
        assert app.get("/w?id=1").text == "1"
        again.append(time.monotonic() - begun)
    say("W1", "from the kill to the 502", 1000 * median(told))
    say("W1", "from the kill to the next answer", 1000 * median(again))
    assert median(told) < slow(0.15)
    assert median(again) < slow(1.5)


@pytest.mark.parametrize("kind", KINDS)
def test_with_all_killed_at_once_requests_wait_for_the_next(nodey: Nodey, kind: str) -> None:
    """W2: nothing hangs, nothing is refused, and other programs notice nothing."""
    app = nodey(config=wicked(kind, instances=3) + evil("other", instances=1))
    until(lambda: serving(app), 10, "it serves")
    with Load(app.port, echo("/other"), connections=4) as other:
        before = wait_running(app, 3)
        time.sleep(1.2)  # So long that their ends are no crash loop.
        kill(before)
        if kind != "service":  # A begun GET is done once more, and not on each that ends, too.
            wait_gone(before, 5, "all of them")
        load = Load(app.port, echo("/w", posts=0), connections=16, requests=64).start()
        load.join().require("ok", at_least=64)
    other.outcome.require("ok", at_least=20)
    wait_running(app, 3, without=before)
    say("W2", "the longest wait", 1000 * load.outcome.percentile(1))


# ------------------------------------------------------------------ W3: frozen


CHECKED = {"path": "/w", "interval": "200ms", "start_interval": "50ms", "timeout": "300ms",
           "retries": 2}
PINGED = {"ping_interval": "200ms", "ping_timeout": "300ms", "ping_kill": "700ms"}


@pytest.mark.parametrize("kind", ["node", "service"])
def test_of_three_the_frozen_one_costs_nobody_more_than_its_own(nodey: Nodey, kind: str) -> None:
    """W3: gone within the heartbeat's time and the grace."""
    how: dict[str, Any] = {"healthcheck": CHECKED} if kind == "service" else PINGED
    app = nodey(config=wicked(kind, instances=3, timeout="2s", stop_grace_period="300ms", **how))
    until(lambda: serving(app), 10, "it serves")
    before = wait_running(app, 3)
    with Load(app.port, echo("/w", posts=0), connections=4, timeout=10) as load:
        until(lambda: load.done() > 50, 10, "the load has begun")
        begun = time.monotonic()
        kill(before[:1], signal.SIGSTOP)
        wait_gone(before[:1], 6, "the frozen one")
        took = time.monotonic() - begun
        wait_running(app, 3, without=before[:1])
    say("W3", "from the freeze to its end", 1000 * took)
    assert took < slow(4)
    load.outcome.require("ok", "timeout", "bad", at_least=100)
    assert len(load.outcome.unlike("ok")) <= 4, "more than what it had"
    assert set(before[1:]) < set(running(app)), "who is well was replaced"


@pytest.mark.parametrize("kind", WORKERS)
def test_a_request_in_a_frozen_worker_has_its_deadline(nodey: Nodey, kind: str) -> None:
    """W3, W4: 504 in time; a process that is stopped does not act on SIGTERM, and goes too."""
    app = nodey(config=wicked(kind, timeout="700ms", kill_after="300ms", ping_interval="1h",
                              stop_grace_period="300ms", quarantine=0))
    until(lambda: serving(app), 10, "it serves")
    before = running(app)
    with app.open_request("POST", "/w?do=slow&ms=60000", b"x") as connection:
        time.sleep(0.1)
        begun = time.monotonic()
        kill(before, signal.SIGSTOP)
        assert connection.read_response().status == 504
        say("W3", "the 504 of a deadline of 700 ms", 1000 * (time.monotonic() - begun))
        assert time.monotonic() - begun < slow(2)
    if kind == "python":  # Node's goes on with what else it has, until a ping finds it.
        wait_gone(before, 5, "the frozen one")
        until(lambda: serving(app), 5, "another serves")
    else:
        kill(before, signal.SIGCONT)
        until(lambda: serving(app), 5, "it serves again")
        begun = time.monotonic()
        app.stop()
        assert time.monotonic() - begun < slow(3), "nobody waits for that answer any more"


# ------------------------------------------------------------------ W5: planned and clean ends


@pytest.mark.parametrize("kind", KINDS)
def test_exit_0_within_a_request_is_a_crash_for_the_request(nodey: Nodey, kind: str) -> None:
    app = nodey(config=wicked(kind, **QUICK))
    until(lambda: serving(app), 10, "it serves")
    before = running(app)
    answer = app.post("/w?do=exit&code=0", b"x")
    assert answer.status == 502, answer
    wait_running(app, 1, without=before)
    until(lambda: serving(app), 10, "it serves again")


@pytest.mark.parametrize("kind", WORKERS)
def test_who_has_had_its_requests_is_replaced_without_a_pause_or_a_loss(nodey: Nodey,
                                                                       kind: str) -> None:
    """W5: what is planned is no crash: no back-off, no report, no failed request."""
    app = nodey(config=wicked(kind, instances=2, max_requests=30, backoff_min="1h",
                              backoff_max="1h"))
    until(lambda: serving(app), 10, "it serves")
    before = wait_running(app, 2)
    load = Load(app.port, echo("/w", posts=0.5, largest=2000), connections=4,
                seconds=2.5).start()
    load.join().require("ok", at_least=100)
    assert not set(before) & set(wait_running(app, 2)), "an old one was left"
    assert not re.search(r"restarting|crash|failed", app.log())
    with Admin(app.folder) as admin:
        assert admin.program("w")["restarts"] == 0
        assert admin.get("/v1/incidents") == []


# ------------------------------------------------------------------ W6, W7: again and again


@pytest.mark.parametrize("kind", KINDS)
def test_a_crash_loop_is_at_most_12_starts_in_a_minute(nodey: Nodey, tmp_path: Path,
                                                       kind: str) -> None:
    """W6, with a clock of a twentieth: the defaults (100 ms, 30 s, 30 s) divided by 20."""
    journal = tmp_path / "journal"
    app = nodey(config=wicked(kind, "exit=7", str(journal), backoff_min="5ms",
                              backoff_max="1500ms", failed_retry="1500ms") + evil(instances=1))
    begun = time.monotonic()
    cpu = procs.cpu_seconds(app.pid)
    until(journal.exists, 10, "it has begun")
    time.sleep(max(0.0, 3 - (time.monotonic() - begun)))
    starts = journal.read_text().count(" start")
    share = (procs.cpu_seconds(app.pid) - cpu) / (time.monotonic() - begun)
    say("W6", "starts within a twentieth of a minute", starts, "starts")
    say("W6", "nodey's share of a processor", 1000 * share, "thousandths")
    assert 4 <= starts <= 12, journal.read_text()
    times = [float(line.split()[2]) for line in journal.read_text().splitlines()]
    assert sum(at < times[0] + 0.9 for at in times) <= 8, f"the pauses do not grow: {times}"
    # There are 20 times as many starts in that time as with the defaults: 2 % of those, 40 here.
    assert share < 0.4
    lines = re.findall(r"w#0 error: exited with status 7", app.log())
    assert len(lines) <= starts, "more than a line for each"
    assert app.get("/evil?id=5").text == "5"


@pytest.mark.parametrize("kind", KINDS)
def test_who_has_failed_refuses_at_once_and_a_person_may_try_again(nodey: Nodey, tmp_path: Path,
                                                                   kind: str) -> None:
    """W6: the way out of `failed` need not be waiting."""
    journal = tmp_path / "journal"
    app = nodey(config=wicked(kind, "exit=7", str(journal), max_restarts=3, failed_retry="1h",
                              **QUICK) + evil(instances=1))
    with Admin(app.folder) as admin:
        admin.wait_state("w", "failed")
        forks = journal.read_text().count(" start")
        assert forks <= 4
        command.run(app.folder, "restart", "w")
        until(lambda: journal.read_text().count(" start") > forks, 10, "it is tried again")


@pytest.mark.parametrize("kind", KINDS)
def test_what_runs_for_a_while_again_and_again_is_flapping(nodey: Nodey, kind: str) -> None:
    """W7: no crash loop by the clock of each start, and yet an alarm; its time up is kept."""
    app = nodey(config=wicked(kind, "after=0.7", instances=2, backoff_min="10ms",
                              backoff_max="50ms"))
    load = Load(app.port, echo("/w", posts=0), connections=2, seconds=60).start()
    app.wait_log("w error: flapping: it has become ready and ended again 5 times within 60 s", 15)
    with Admin(app.folder) as admin:
        assert admin.program("w")["flapping"] is True
    counts = load.stop().counts()
    share = counts["ok"] / sum(counts.values())
    say("W7", "answers that are good", 1000 * share, "thousandths")
    assert share > 0.9, counts
    assert not set(counts) - {"ok", "bad", "refused", "cut"}, counts
    assert app.log().count("flapping") == 1


# ------------------------------------------------------------------ W8, W9: start and end


@pytest.mark.parametrize("kind", KINDS)
def test_the_old_version_serves_as_long_as_the_new_one_does_not_start(nodey: Nodey,
                                                                      kind: str) -> None:
    """W8: a new version that never is ready costs nobody a request."""
    more: dict[str, Any] = {"instances": 2, "start_timeout": "700ms", "stop_grace_period": "300ms"}
    app = nodey(config=wicked(kind, **more))
    until(lambda: serving(app), 10, "it serves")
    before = wait_running(app, 2)
    with Load(app.port, echo("/w", posts=0.5, largest=2000), connections=4) as load:
        (app.folder / "nodey.toml").write_text(wicked(kind, "late=600", **more))
        app.signal(signal.SIGHUP)
        app.wait_log("the new version does not start", 10)
    load.outcome.require("ok", at_least=50)
    assert set(wait_running(app, 2)) == set(before)


@pytest.mark.parametrize("kind", KINDS)
def test_who_ignores_sigterm_ends_with_its_grace(nodey: Nodey, kind: str) -> None:
    """W9: from the first signal it has its grace and at most half a second."""
    app = nodey(config=wicked(kind, "noterm", instances=2, stop_grace_period="1s"))
    pids = wait_running(app, 2)
    begun = time.monotonic()
    assert app.stop() == 0
    took = time.monotonic() - begun
    say("W9", "the end with a grace of 1000 ms", 1000 * took)
    # A worker is first told by the end of its input, and has a second before SIGTERM.
    before = 0 if kind == "service" else 1
    assert before + 0.9 < took < before + 1 + slow(1.5)
    wait_gone(pids, 1)
    assert app.log().count("did not end within 1000 ms of SIGTERM: killed") == 2


# ------------------------------------------------------------------ W10 to W12: what they leave


@pytest.mark.parametrize("kind", KINDS)
def test_500_children_go_with_their_parent(nodey: Nodey, kind: str) -> None:
    """W10: also when it was killed; nodey's own starts are not hindered."""
    app = nodey(config=wicked(kind, **QUICK))
    until(lambda: serving(app), 10, "it serves")
    before = running(app)
    assert app.get("/w?do=many&n=500", timeout=30).text == "begun"
    assert len(app.processes()) > 500
    begun = time.monotonic()
    kill(before)
    wait_running(app, 1, without=before)
    until(lambda: serving(app), 10, "it serves again")
    until(lambda: len(app.processes()) <= 3, 5, "all of them are gone")
    say("W10", "until 500 are gone and it serves again", 1000 * (time.monotonic() - begun))


@pytest.mark.parametrize("how", ["child", "session", "daemon"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_process_leaves_behind_holds_up_nothing(nodey: Nodey, kind: str,
                                                       how: str) -> None:
    """W11, W12: it holds the pipes, in our session, its own, or without a parent."""
    app = nodey(config=wicked(kind, **QUICK))
    until(lambda: serving(app), 10, "it serves")
    calm, before = Baseline(app), running(app)
    left = int(app.get(f"/w?do={how}").text)
    assert procs.alive(left)
    begun = time.monotonic()
    kill(before)
    wait_running(app, 1, without=before, seconds=5)
    say("W11", f"until another runs ({how})", 1000 * (time.monotonic() - begun))
    until(lambda: serving(app), 10, "it serves again")
    assert time.monotonic() - begun < slow(3)
    wait_gone([left], 3, "what it left")
    calm.check()


# ------------------------------------------------------------------ W14: a busy loop


@pytest.mark.parametrize("kind", WORKERS)
def test_a_request_that_never_ends_costs_one_process(nodey: Nodey, kind: str) -> None:
    """W14: the others serve on; one bad request ends one process, a GET at most two."""
    app = nodey(config=wicked(kind, instances=3, timeout="1s", kill_after="300ms",
                              stop_grace_period="300ms", ping_interval="200ms",
                              ping_timeout="300ms", ping_kill="700ms", **QUICK))
    until(lambda: serving(app), 10, "it serves")
    before = wait_running(app, 3)
    with app.open_request("POST", "/w?do=spin", b"x") as connection:
        time.sleep(0.1)
        load = Load(app.port, echo("/w", posts=0, largest=2000), connections=2,
                    seconds=0.8).start()
        assert connection.read_response().status in (502, 504)
        outcome = load.join()
    until(lambda: len(set(running(app)) & set(before)) == 2 and len(running(app)) == 3, 8,
          "one is replaced, and no other")
    bad = outcome.unlike("ok")
    assert len(bad) <= 2, "no more than what stood behind it"
    say("W14", "requests beside it", len(outcome.records), f"of which {len(bad)} failed")


# ------------------------------------------------------------------ W15 to W17: starts


@pytest.mark.parametrize("command_line, words", [
    ("/no/such/program", "o such file"),
    ("./plain.txt", "(ermission denied|may not be executed)"),
    ("./odd.sh", "(interpreter|no.such.shell)"),
])
@pytest.mark.parametrize("table", ["services", "workers"])
def test_what_cannot_be_started_is_named_with_its_cause(nodey: Nodey, table: str,
                                                        command_line: str, words: str) -> None:
    """W15, where it is looked for: the log, the state, `nodey why` and the answer."""
    odd = {"plain.txt": "no program\n", "odd.sh": "#!/no/such/shell\n"}
    app = nodey(odd, config=f'[{table}.bad]\ncommand = ["{command_line}"]\nmax_restarts = 1\n'
                'backoff_min = "10ms"\n\n' + evil(instances=1), wait=False, exit_code=None)
    name = os.path.basename(command_line)
    app.wait_log(rf"(bad#0|nodey\.toml:\d+:\d+:).*{re.escape(name)}.*{words}")
    if "nodey.toml:" in app.log():  # It was seen before anything was begun.
        assert app.wait_exit(10) != 0
        return
    app.wait_ready()
    with Admin(app.folder) as admin:
        program = admin.wait_state("bad", "failed", "backoff")
        assert re.search(words, repr(program)), program
    assert re.search(words, command.run(app.folder, "why", "bad").out)


@pytest.mark.long
@pytest.mark.parametrize("kind", [*KINDS, "sleep"])
def test_a_thousand_restarts_leave_nothing_behind(nodey: Nodey, kind: str) -> None:
    """W17: no descriptor, no zombie, no memory. 1000 of what starts quickly, 80 of the others."""
    instances, rounds = (10, 100) if kind == "sleep" else (8, 10)
    more: dict[str, Any] = {"backoff_min": "1ms", "backoff_max": "5ms", "max_restarts": 1000000,
            "instances": instances}
    quick = '[services.w]\ncommand = ["sleep", "3600"]\n' + "\n".join(
        f"{key} = {value!r}".replace("'", '"') for key, value in more.items()) + "\n"
    app = nodey(config=quick if kind == "sleep" else wicked(kind, quarantine=0, **more)
                if kind != "service" else wicked(kind, **more))

    def all_run(without: list[int]) -> list[int]:
        def check() -> list[int]:
            pids = [pid for pid in procs.children(app.pid) if procs.alive(pid)]
            return pids if len(pids) == instances and not set(pids) & set(without) else []

        return until(check, 15, f"{instances} other processes")

    pids = all_run([])
    for _ in range(3):  # What is reserved once is not lost.
        kill(pids)
        pids = all_run(pids)
    until(lambda: kind == "sleep" or serving(app), 15, "it serves")
    calm = Baseline(app)
    begun = time.monotonic()
    for _ in range(rounds):
        kill(pids)
        pids = all_run(pids)
    say("W17", f"{instances * rounds} restarts", 1000 * (time.monotonic() - begun))
    until(lambda: kind == "sleep" or serving(app), 15, "it serves")
    all_run([])
    calm.check(memory=4 << 20)
