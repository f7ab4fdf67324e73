"""Workers that do not start, crash for ever or do not end; the reason is told."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Callable

import procs
import pytest
from app import App
from checks import kill, wait_gone
from command import run
from load import Load, echo
from timing import slow, until
from workers import doomed, evil, pool, starts

pytestmark = pytest.mark.outside

Nodey = Callable[..., App]


# ------------------------------------------------------------------ W6, W7: crash loops


def test_a_crash_loop_ends_in_failed_with_few_forks_and_a_reason_at_once(
        nodey: Nodey, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    app = nodey(config=doomed("dud", "exit", "7", f"journal={journal}", instances=1,
                              max_restarts=4, backoff_min="10ms", backoff_max="50ms",
                              failed_retry="60s") + evil(instances=1))
    app.wait_log(r"dud.*failed", timeout=15)
    forks = starts(journal)
    assert 2 <= forks <= 8, f"{forks} forks for max_restarts = 4"
    begun = time.monotonic()
    answer = app.get("/dud")
    assert answer.status == 503, answer
    assert time.monotonic() - begun < slow(0.5), "a failed pool must refuse at once"
    assert "7" in answer.json()["detail"], f"the exit code is the reason: {answer}"
    assert app.get("/evil?id=5").text == "5"
    cpu = procs.cpu_seconds(app.pid)
    time.sleep(1)
    assert starts(journal) == forks, "a failed pool must rest until failed_retry"
    assert procs.cpu_seconds(app.pid) - cpu < 0.1, "a failed pool must cost nothing"


def test_a_failed_pool_is_tried_again_after_a_while(nodey: Nodey, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    app = nodey(config=doomed("dud", "exit", "7", f"journal={journal}", instances=1,
                              max_restarts=2, backoff_min="10ms", backoff_max="20ms",
                              failed_retry="1s") + evil(instances=1))
    app.wait_log(r"dud.*failed", timeout=15)
    forks = starts(journal)
    until(lambda: starts(journal) > forks, 5, "a new try")


def test_the_backoff_grows_between_the_restarts(nodey: Nodey, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    app = nodey(config=doomed("dud", "exit", "1", f"journal={journal}", instances=1,
                              max_restarts=5, backoff_min="100ms", backoff_max="30s")
                + evil(instances=1))
    app.wait_log(r"dud.*failed", timeout=30)
    times = [float(line.split()[2]) for line in journal.read_text().splitlines()]
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    assert len(gaps) >= 3
    assert gaps[0] < gaps[-1] and gaps[-1] >= 0.3, f"gaps between the starts: {gaps}"


def test_a_worker_that_keeps_dying_young_still_serves_between_its_deaths(nodey: Nodey) -> None:
    app = nodey(config=doomed("flap", "after", "0.4", instances=2, backoff_min="20ms",
                              backoff_max="200ms"))
    load = Load(app.port, echo("/flap", posts=0), connections=4, seconds=slow(4)).start()
    outcome = load.join()
    outcome.require("ok", "bad")
    counts = outcome.counts()
    assert counts["ok"] > 20 * counts["bad"], counts


# ------------------------------------------------------------------ W8, W9: start and stop


def test_a_worker_that_never_says_ready_is_ended_and_tried_again(
        nodey: Nodey, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    app = nodey(config=doomed("mute", "mute", f"journal={journal}", instances=1, ready="frame",
                              start_timeout="500ms", stop_grace_period="500ms",
                              queue_timeout="300ms", backoff_min="10ms") + evil(instances=1))
    app.wait_log(r"mute#0.*(start_timeout|ready)", timeout=10)
    until(lambda: starts(journal) >= 2, 10, "a second try")
    answer = app.get("/mute")
    assert answer.status == 503, answer
    assert app.get("/evil?id=3").text == "3"


def test_one_that_is_not_ready_in_time_holds_up_the_port_no_longer(nodey: Nodey) -> None:
    app = nodey(config='[workers.never]\ncommand = "sleep 1000"\nready = "frame"\n'
                + 'start_timeout = "6s"\n\n' + evil(instances=1))
    log = app.log()
    assert "the port opens when never is ready" in log
    assert log.index("was not ready within") < log.index("nodey ready on")
    assert app.get("/evil?id=5").text == "5"


def test_no_request_reaches_a_worker_before_it_is_ready(nodey: Nodey) -> None:
    app = nodey(config=evil(words=("start=1",), instances=1, backoff_min="10ms"))
    before = app.worker_pids("evil")
    kill(before)
    begun = time.monotonic()
    assert app.get("/evil?id=1").text == "1"
    assert 0.8 <= time.monotonic() - begun < slow(8)


def test_the_end_of_a_worker_that_ignores_sigterm_is_bounded(nodey: Nodey) -> None:
    app = nodey(config=evil(words=("noterm=1",), instances=2, stop_grace_period="1s"))
    assert app.get("/evil?id=1").text == "1"
    begun = time.monotonic()
    assert app.stop(timeout=8) == 0
    assert time.monotonic() - begun < slow(4)


def test_a_hung_request_on_a_worker_that_ignores_sigterm_frees_its_place(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=1, timeout="500ms", kill_after="300ms",
                            stop_grace_period="500ms", queue_timeout="20s"))
    before = app.worker_pids("evil")
    assert app.get("/evil?do=noterm").status == 504
    assert app.get("/evil?id=2", timeout=20).text == "2"
    wait_gone(before, 5, "the worker that ignores SIGTERM")


# ------------------------------------------------------------------ W15: cannot be started


def failed_answer(nodey: Nodey, section: str) -> tuple[App, str]:
    """What a request to the pool `bad` is told, beside a healthy pool."""
    app = nodey(config=section + evil(instances=1))
    assert app.get("/evil?id=3").text == "3"
    app.wait_log(r"bad\b")
    answer = until(lambda: answer_503(app), 10, "a 503 with a reason")
    return app, answer


def answer_503(app: App) -> str:
    answer = app.get("/bad", timeout=15)
    assert answer.status == 503, answer
    return answer.json().get("detail", "")


SOON = {"instances": 1, "max_restarts": 1, "backoff_min": "10ms", "backoff_max": "20ms",
        "queue_timeout": "500ms", "failed_retry": "200ms"}


def reason(app: App, words: str) -> str:
    """What a client is told, once it is this."""
    answer = answer_503(app)
    return answer if words in answer else ""


def crashing(folder: Path) -> Path:
    """A program that is there when the configuration is loaded, and ends at once."""
    script = folder / "program.sh"
    script.write_text("#!/bin/sh\nexit 1\n")
    script.chmod(0o755)
    return script


@pytest.mark.parametrize("what, why", [("/no/such/program", "No such file or directory"),
                                       ("plain.txt", "may not be executed: chmod \\+x it")])
def test_a_command_that_cannot_run_is_an_error_of_the_configuration(
        tmp_path: Path, what: str, why: str) -> None:
    (tmp_path / "plain.txt").write_text("#!/bin/sh\n")
    command = what if what.startswith("/") else str(tmp_path / what)
    (tmp_path / "nodey.toml").write_text(pool("bad", command))
    for verb in ("check", "up"):
        done = run(tmp_path, verb)
        assert done.code == 1 and re.search(rf"nodey\.toml:\d+:\d+: .*{what}.*{why}", done.err)


def test_a_command_that_has_gone_is_named_with_its_cause(nodey: Nodey, tmp_path: Path) -> None:
    script = crashing(tmp_path)
    app = nodey(config=pool("bad", str(script), **SOON) + evil(instances=1))
    script.unlink()
    app.wait_log(r"bad.*program\.sh.*[Nn]o such file")
    answer = until(lambda: reason(app, "o such file"), 10, "a 503 with the reason")
    assert "program" in answer, answer
    assert str(tmp_path) not in answer, "in production a client is not told where things are"


def test_a_command_that_lost_its_permission_is_named_with_its_cause(
        nodey: Nodey, tmp_path: Path) -> None:
    script = crashing(tmp_path)
    app = nodey(config=pool("bad", str(script), **SOON) + evil(instances=1))
    script.chmod(0o644)
    app.wait_log(r"bad.*program\.sh.*[Pp]ermission denied")
    answer = until(lambda: reason(app, "ermission denied"), 10, "a 503 with the reason")
    assert "program.sh" in answer, answer


def test_a_missing_interpreter_is_told_from_a_missing_script(
        nodey: Nodey, tmp_path: Path) -> None:
    script = tmp_path / "odd.sh"
    script.write_text("#!/no/such/shell\n")
    script.chmod(0o755)
    app, answer = failed_answer(nodey, pool("bad", str(script), **SOON))
    app.wait_log(r"bad.*odd\.sh")
    assert "odd.sh" in answer and "the interpreter that its first line" in answer, answer


def test_a_command_that_exits_127_is_not_taken_for_a_missing_one(nodey: Nodey) -> None:
    app, answer = failed_answer(nodey, pool("bad", "/bin/sh", "-c", "exit 127", **SOON))
    assert "127" in answer and "o such file" not in answer, answer


def test_a_missing_working_folder_is_named(nodey: Nodey) -> None:
    app = nodey(config=evil("bad", cwd="no/such/folder", **SOON) + evil(instances=1), wait=False,
                exit_code=None)
    # Either the configuration is refused, or the pool fails; both must say what is missing.
    app.wait_log(r"no/such/folder.*([Nn]o such file|not exist)", timeout=15)


def test_a_start_up_error_frame_is_the_cause_that_is_shown(nodey: Nodey) -> None:
    app, answer = failed_answer(nodey, doomed("bad", "error", "DATABASE_URL is not set", **SOON))
    app.wait_log(r"bad.*DATABASE_URL is not set")
    assert "DATABASE_URL is not set" in answer, answer


def test_a_worker_of_another_protocol_version_is_named_and_not_restarted_for_ever(
        nodey: Nodey) -> None:
    app, answer = failed_answer(nodey, doomed("bad", "protocol", **SOON))
    app.wait_log(r"bad.*protocol")
