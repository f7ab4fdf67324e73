"""Health acts: who is frozen is found, says where it is, and is replaced; in both languages."""

from __future__ import annotations

import os
import signal
import time
from typing import Callable

import pytest

import procs
import reports
from app import App
from checks import kill, wait_gone
from timing import slow, until
from workers import evil, script

pytestmark = pytest.mark.outside

Nodey = Callable[..., App]

PINGED = {"ping_interval": "200ms", "ping_timeout": "300ms", "ping_kill": "900ms",
          "stop_grace_period": "300ms", "timeout": "2s", "kill_after": "300ms"}

# What pings find: workers that do many things at a time, or nothing.
LANGUAGES = {"python": (reports.asynchronous, "py"), "node": (reports.node, "mjs")}


def start(nodey: Nodey, language: str, **settings: object) -> App:
    files, suffix = LANGUAGES[language]
    return nodey(files=files("w"), config=script("w", suffix, **{**PINGED, **settings}))


def names_spin(report: reports.Report) -> bool:
    """The innermost call of the program's own is the one that is busy."""
    return any("spin" in line for line in report.get("stack", [])[:3])


# ---------------------------------------------------------------- busy loops (W14)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_busy_event_loop_is_found_by_ping_with_its_stack(nodey: Nodey, language: str) -> None:
    app = start(nodey, language)
    before = app.worker_pids("w")
    begun = time.monotonic()
    with app.open_request("GET", "/w/busy") as connection:
        wait_gone(before, 6, "the frozen worker")
        took = time.monotonic() - begun
        # What froze one would freeze the next: it is not begun again, though it is a GET.
        assert connection.read_response().status in (502, 504)
    assert took < slow(4), took
    app.wait_workers(1, "w", without=before)
    until(lambda: app.get("/w/hello").text == "hello", 5, "another serves")
    report = reports.wait_report(app, "w")
    assert report["reason"] == "frozen" and "answers no ping" in report["sentence"]
    assert report["did"] == "was using the CPU"
    assert names_spin(report), report.get("stack")
    assert any(f"w.{LANGUAGES[language][1]}" in line for line in report["stack"])
    assert [one["what"] for one in report["requests"]] == ["GET /w/busy"]
    assert report["usage"]["cpu_ms"] > 300 and report["usage"]["memory"] > 1 << 20


def test_what_froze_one_does_not_freeze_the_next(nodey: Nodey) -> None:
    """The client is told; a GET that may be the cause is not begun again, and nobody waits long."""
    app = start(nodey, "node", instances=2, timeout="20s", stop_grace_period="20s")
    before = app.wait_workers(2, "w")
    begun = time.monotonic()
    answer = app.get("/w/busy", timeout=15)
    assert answer.status == 502 and "frozen" not in answer.text
    assert time.monotonic() - begun < slow(4), "a second to end, and not its grace period"
    app.wait_workers(2, "w")
    assert len(set(before) & set(app.worker_pids("w"))) == 1, "the other has gone on"
    assert len(reports.reports(app)) == 1


def test_a_busy_sync_worker_is_found_by_its_deadline_with_its_stack(nodey: Nodey) -> None:
    app = nodey(files=reports.python("w"), config=script("w", **{**PINGED, "timeout": "500ms"}))
    before = app.worker_pids("w")
    begun = time.monotonic()
    answer = app.get("/w/busy")
    assert answer.status == 504 and time.monotonic() - begun < slow(1.5)
    wait_gone(before, 4, "the stuck worker")
    assert time.monotonic() - begun < slow(3)
    assert app.get("/w/hello").text == "hello"
    report = reports.wait_report(app, "w")
    assert report["reason"] == "stuck"
    assert names_spin(report), report.get("stack")
    [request] = report["requests"]
    assert request["what"] == "GET /w/busy" and request["given_up"] and request["begun"]
    assert request["id"] == answer.headers["x-request-id"]
    assert request["ms"] >= 800


def test_the_others_go_on_while_one_is_busy(nodey: Nodey) -> None:
    app = nodey(files=reports.python("w"), config=script("w", instances=3, timeout="2s",
                                                         kill_after="300ms",
                                                         stop_grace_period="300ms"))
    with app.open_request("GET", "/w/busy") as connection:
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            assert app.get("/w/hello").text == "hello"
        assert connection.read_response().status == 504
    app.wait_workers(3, "w")


def test_a_node_service_that_its_health_check_finds_frozen_has_a_stack(nodey: Nodey) -> None:
    """It knows nothing of nodey: what tells is Node itself."""
    server = ("const http = require('http');\n"
              "function freeze() { while (true) {} }\n"
              "http.createServer((q, r) => { if (q.url === '/freeze') freeze(); r.end('fine'); })\n"
              "    .listen(process.env.PORT, '127.0.0.1');\n")
    app = nodey(files={"server.js": server}, config=(
        "[services.api]\ncommand = \"node server.js\"\nport = \"auto\"\ntimeout = \"1s\"\n"
        "stop_grace_period = \"300ms\"\n"
        "healthcheck = { path = \"/\", interval = \"300ms\", timeout = \"300ms\", retries = 2 }\n"
        "[[routes]]\npath = \"/*\"\nto = \"api\"\n"))
    connection = app.open_request("GET", "/freeze")
    report = reports.wait_report(app, "api", seconds=12)
    connection.close()
    assert report["kind"] == "service" and report["reason"] == "frozen"
    assert any("at freeze (" in line and "server.js:2" in line for line in report["stack"][:3])
    until(lambda: app.get("/").text == "fine", 8, "another serves")


# ---------------------------------------------------------------- stopped (W3, W4)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_stopped_idle_worker_is_found_by_ping(nodey: Nodey, language: str) -> None:
    app = start(nodey, language)
    before = app.worker_pids("w")
    kill(before, signal.SIGSTOP)
    begun = time.monotonic()
    wait_gone(before, 6, "the stopped worker")
    assert time.monotonic() - begun < slow(3), "heartbeat and grace"
    app.wait_workers(1, "w", without=before)
    report = reports.wait_report(app, "w")
    assert report["reason"] == "frozen" and "SIGSTOP" in report["did"]
    assert "need not be wrong" in report["advice"]
    assert "stack" not in report and report["requests"] == []


def test_a_stopped_worker_is_asked_to_end_before_it_is_killed(nodey: Nodey) -> None:
    """SIGTERM alone would wait for ever in a process that is stopped."""
    app = start(nodey, "node", stop_grace_period="20s")
    before = app.worker_pids("w")
    kill(before, signal.SIGSTOP)
    wait_gone(before, 8, "the stopped worker")
    assert reports.wait_report(app, "w")["exit"] != {"signal": "SIGKILL"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_who_thaws_before_it_is_killed_hands_nobody_a_late_answer(nodey: Nodey,
                                                                  language: str) -> None:
    app = start(nodey, language, timeout="500ms", ping_timeout="300ms", ping_kill="30s")
    before = app.worker_pids("w")
    assert app.get("/w/hello").text == "hello"
    kill(before, signal.SIGSTOP)
    assert app.get("/w/hello?late=1", timeout=8).status in (503, 504)
    app.wait_log("unhealthy")
    kill(before, signal.SIGCONT)
    app.wait_log("healthy again")
    for _ in range(20):
        assert app.get("/w/hello").text == "hello"
    assert app.worker_pids("w") == before
    assert not reports.folder(app).exists() or not reports.reports(app)


# ------------------------------------------------------------------ what asking costs


def test_who_ends_by_itself_when_it_is_asked_is_not_waited_for(nodey: Nodey) -> None:
    """evil.py has no SDK: it catches no SIGQUIT, which would kill it, and is not asked."""
    app = nodey(config=evil(instances=1, timeout="300ms", kill_after="200ms",
                            stop_grace_period="300ms"))
    before = app.worker_pids("evil")
    assert app.get("/evil?do=hang").status == 504
    wait_gone(before, 4, "the stuck worker")
    report = reports.wait_report(app, "evil")
    assert report["reason"] == "stuck" and report["exit"] != {"signal": "SIGQUIT"}
    assert "stack" not in report


def test_anybody_may_ask_python_where_it_is(nodey: Nodey) -> None:
    app = nodey(files=reports.python("w"), config=script("w"))
    [pid] = app.worker_pids("w")
    with app.open_request("GET", "/w/slow?s=1") as connection:
        time.sleep(0.3)
        os.kill(pid, signal.SIGQUIT)
        app.wait_log(r"w\.py\", line \d+ in slow")
        assert connection.read_response().text == f"slow {pid}", "it goes on"
    assert procs.alive(pid)


def test_no_debugger_is_open_unless_somebody_is_frozen(nodey: Nodey) -> None:
    app = start(nodey, "node")
    assert app.get("/w/hello").text == "hello"
    [pid] = app.worker_pids("w")
    inodes = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    assert not [name for name in inodes if name.startswith("socket:")], inodes
