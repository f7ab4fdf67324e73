"""Services: any command, supervised; restart policies; a person's stop, start and restart."""

from __future__ import annotations

import http.client
import os
import re
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Callable

import command
import procs
import pytest
import reports
from admin import Admin
from app import ROOT, App
from checks import wait_gone
from programs import Value, free_port, section, service
from timing import slow, until

Nodey = Callable[..., App]
pytestmark = pytest.mark.outside

SERVED = [sys.executable, "-S", "-E", str(ROOT / "tests" / "workers" / "served.py")]
ROUTE = '[[routes]]\npath = "/web/*"\nto = "web"\n'


def served(name: str, *words: str, **settings: Value) -> str:
    return service(name, [*SERVED, *words], **settings)


def ask(port: int, path: str = "/", timeout: float = 10) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=slow(timeout))
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def ports(app: App, name: str = "web#0") -> list[int]:
    """Where its instances have said that they listen."""
    return [int(n) for n in re.findall(rf"{name} \| listening on (\d+)", app.log())]


def starts(app: App) -> int:
    journal = app.folder / "starts"
    return len(journal.read_text().splitlines()) if journal.exists() else 0


# ------------------------------------------------------------------------------- its life

def test_a_service_runs_at_a_port_that_it_is_told(nodey: Nodey) -> None:
    app = nodey(config=served("web", port="auto"))
    [port] = ports(app)
    pid = int(ask(port).split()[0])
    assert procs.parent(pid) == app.pid
    assert procs.environ(pid)["PORT"] == str(port)
    assert "NODEY_PROTOCOL" not in procs.environ(pid)
    app.stop()
    app.wait_log(r"web#0 \| stopping")  # from stderr
    wait_gone([pid], 5)


def test_the_port_opens_when_services_are_ready(nodey: Nodey) -> None:
    begun = time.monotonic()
    app = nodey(config=served("web", "late=0.6", port="auto"))
    assert time.monotonic() - begun > 0.6
    log = app.log()
    assert log.index("listening on") < log.index("nodey ready on")


def test_each_instance_has_a_port(nodey: Nodey) -> None:
    app = nodey(config=served("web", port="auto", instances=3))
    until(lambda: len(ports(app, r"web#\d")) == 3, 10, "three listen")
    found = ports(app, r"web#\d")
    assert len({int(ask(port).split()[0]) for port in found}) == 3


ELSEWHERE = """\
import http.server, os, sys
port = int(os.environ["PORT"])
if os.path.exists("lost"):
    port = int(open("lost").read())
print("at", port, flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", port), http.server.SimpleHTTPRequestHandler) \\
    .serve_forever()
"""


@pytest.mark.parametrize("words", [["python3", "vite.py"], ["sh", "-c", "python3 vite.py; exit 1"]])
def test_who_listens_elsewhere_is_told_where_and_what_to_do(nodey: Nodey,
                                                            words: list[str]) -> None:
    """Such as a development server that reads no PORT; also when another process started it."""
    wanted, taken = free_port(), free_port()
    app = nodey({"vite.py": ELSEWHERE, "lost": str(taken)}, exit_code=None, wait=False,
                config=service("vite", words, port=wanted, start_timeout="1500ms"))
    app.wait_log(rf"vite#0.*it was not well within 1500 ms: it listens on {taken}, not on its "
                 rf"port {wanted}: let it take the port from the variable PORT, or say "
                 rf"port = {taken}")
    report = reports.wait_report(app, "vite")
    assert f"it listens on {taken}, not on its port {wanted}" in report["sentence"]


def test_who_does_not_listen_at_all_is_not_said_to(nodey: Nodey) -> None:
    app = nodey(exit_code=None, wait=False,
                config=service("mute", ["sleep", "60"], port=free_port(), start_timeout="600ms"))
    app.wait_log(r"mute#0.*it was not well within 600 ms: (?!it listens)")


def test_a_stranger_at_its_port_is_not_taken_for_it(nodey: Nodey) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen(64)
        port = stranger.getsockname()[1]
        app = nodey(config=served("web", port=port, backoff_max="300ms") + ROUTE, wait=False)
        app.wait_log(rf"web#0.*port {port} is in use, by \S+ \(process {os.getpid()}\)")
        shown = command.run(app.folder, "ps")
        row = next(line for line in shown.out.splitlines() if line.startswith("web "))
        assert re.search(rf"(starting|backoff) +0/1 .*: port {port} is in use", row), row
        assert "service web" not in row
    app.wait_log(rf"web#0 \| listening on {port}", 10)


def test_who_ended_badly_is_among_what_runs(nodey: Nodey) -> None:
    app = nodey(config=served("web", port="auto") +
                service("bad", ["sh", "-c", "exit 3"], restart="no") +
                service("good", ["sh", "-c", "exit 0"], restart="no"), wait=False)
    app.wait_log("bad#0.*exited with status 3")
    app.wait_log("good#0.*has done its work")
    rows = [line.split()[:3] for line in command.run(app.folder, "ps").out.splitlines()]
    assert ["bad", "service", "exited"] in rows
    assert not [row for row in rows if row[0] == "good"]


def test_what_is_tried_again_soon_has_not_failed_yet(nodey: Nodey) -> None:
    app = nodey(config=service("bad", ["sh", "-c", "exit 3"], max_restarts=6, failed_retry="1h",
                               backoff_min="100ms", backoff_max="400ms"), wait=False)
    app.wait_log("bad#0.*restarting in")
    with Admin(app.folder) as admin:
        states = []
        until(lambda: states.append(admin.programs()["bad"]["state"]) or states[-1] == "failed",
              20, "it is given up")
    assert app.log().count("restarting in") == 5 and "next try in" in app.log()
    assert "backoff" in states, states


def test_who_is_killed_comes_back(nodey: Nodey) -> None:
    port = free_port()
    app = nodey(config=served("web", port=port))
    pid = int(ask(port).split()[0])
    assert command.run(app.folder, "kill", "-s", "KILL", "web").code == 0
    app.wait_log(r"web#0 error: killed by signal 9 .*; restarting (now|in \d+ ms)")
    until(lambda: len(ports(app)) == 2, 10, "it listens again")
    assert int(ask(port).split()[0]) != pid


def test_who_ignores_the_signal_is_killed_in_time(nodey: Nodey) -> None:
    app = nodey(config=served("web", "deaf", port="auto", stop_grace_period="1s"))
    pid = int(ask(ports(app)[0]).split()[0])
    begun = time.monotonic()
    app.stop()
    took = time.monotonic() - begun
    wait_gone([pid], 5)
    app.wait_log(r"web#0 warn\w*: did not end within 1000 ms of SIGTERM: killed")
    assert 1 <= took < 1 + slow(1.5), took


def test_who_leaves_a_child_with_its_pipe_is_replaced(nodey: Nodey) -> None:
    script = ("import os, subprocess, sys, time; open('starts', 'a').write('x\\n')\n"
              "if len(open('starts').read().split()) > 1: time.sleep(1000)\n"
              "subprocess.Popen(['sleep', '987.5'], start_new_session=True)\n"
              "sys.exit(1)")
    begun = time.monotonic()
    app = nodey(config=service("left", [sys.executable, "-S", "-c", script]))
    until(lambda: starts(app) == 2, 10, "it is started again")
    assert time.monotonic() - begun < slow(4)
    until(lambda: not [pid for pid in procs.of_run(app.run)
                       if procs.command(pid).startswith("sleep 987.5")], 5, "it is swept up")


# --------------------------------------------------------------------------- restart policies

def script(kind: str, status: str) -> str:
    """A program that writes down its starts and ends so: "3", or "TERM" by that signal."""
    end = f"exit {status}" if status.isdigit() else f"kill -{status} $$"
    return section(kind, "a", {"command": ["sh", "-c", f"echo x >> starts; {end}"],
                               "restart": "RESTART", "backoff_min": "10ms",
                               "backoff_max": "50ms"})


@pytest.mark.parametrize("kind", ["services", "workers"])
@pytest.mark.parametrize("restart, status, count, told", [
    ("no", "0", 1, "has done its work: exited with status 0"),
    ("no", "3", 1, 'exited with status 3; it is not started again: restart = "no"'),
    ("no", "KILL", 1, r"killed by signal 9 .*; it is not started again"),
    ("on-failure", "0", 1, "has done its work"),
    ("on-failure:2", "3", 3, 'exited with status 3 after 2 restarts, and restart = '
                             '"on-failure:2" allows no more'),
    ("on-failure:2", "KILL", 3, "killed by signal 9 .* after 2 restarts"),
    ("always", "125", 1, "exited with status 125, which says that it must not be started"),
    ("unless-stopped", "125", 1, "exited with status 125"),
])
def test_who_is_not_started_again(nodey: Nodey, kind: str, restart: str, status: str,
                                  count: int, told: str) -> None:
    app = nodey(config=script(kind, status).replace("RESTART", restart))
    app.wait_log(f"a#0 (error: )?{told}")
    time.sleep(0.3)
    assert starts(app) == count


@pytest.mark.parametrize("kind", ["services", "workers"])
@pytest.mark.parametrize("restart, status", [
    ("always", "0"), ("always", "3"), ("unless-stopped", "0"), ("unless-stopped", "KILL"),
    ("on-failure", "3"), ("on-failure", "KILL"),
])
def test_who_is_started_again(nodey: Nodey, kind: str, restart: str, status: str) -> None:
    app = nodey(config=script(kind, status).replace("RESTART", restart))
    until(lambda: starts(app) > 4, 10, "it is started again and again")


def test_a_crash_loop_slows_down(nodey: Nodey) -> None:
    """W6: 100 ms, doubling."""
    app = nodey(config=service("a", ["sh", "-c", "echo x >> starts; exit 1"]))
    time.sleep(3)
    assert 4 <= starts(app) <= 7
    assert len(re.findall("a#0 error: exited", app.log())) == starts(app)  # a line for each


def test_what_flaps_is_told_once(nodey: Nodey) -> None:
    """W7."""
    app = nodey(config=section("workers", "a", {
        "command": ["sh", "-c", "echo '{\"type\":\"ready\",\"protocol\":1}'; sleep 0.05; exit 1"],
        "instances": 1, "backoff_min": "10ms", "backoff_max": "20ms", "ready": "frame"}))
    app.wait_log("a error: flapping: it has become ready and ended again 5 times within 60 s")
    time.sleep(0.5)
    assert app.log().count("flapping") == 1


# ------------------------------------------------------------------------ by a person's word

def test_what_a_person_stopped_stays_so_after_a_reload(nodey: Nodey) -> None:
    config = served("web", port="auto") + served("other", port="auto")
    app = nodey(config=config)
    pid = int(ask(ports(app)[0]).split()[0])
    done = command.run(app.folder, "stop", "web")
    assert done.code == 0, done
    wait_gone([pid], 5)
    (app.folder / "nodey.toml").write_text(
        served("web", port="auto", env={"VERSION": "2"}) + served("other", port="auto"))
    done = command.run(app.folder, "reload")
    assert done.code == 0, done
    time.sleep(0.5)
    assert len(ports(app)) == 1, "a reload has started it"
    assert ask(ports(app, "other#0")[0])
    done = command.run(app.folder, "start", "web")
    assert done.code == 0, done
    until(lambda: len(ports(app)) == 2, 10, "it is started")
    assert ask(ports(app)[1]).endswith(" 2")


def test_a_restart_ends_it_before_it_starts(nodey: Nodey) -> None:
    port = free_port()
    app = nodey(config=served("web", port=port))
    before = ask(port)
    done = command.run(app.folder, "restart", "web")
    assert done.code == 0, done
    until(lambda: len(ports(app)) == 2, 10, "it is started again")
    assert ask(port) != before
    log = app.log()
    assert log.index("| stopping") < log.rindex("| listening on")
    assert "Address already in use" not in log


# ----------------------------------------------------------------------------------- reload

def load_while(app: App, act: Callable[[], None]) -> tuple[int, list[str], set[str]]:
    """Requests from several clients meanwhile: how many, what failed, and who answered."""
    ended = threading.Event()
    bad: list[str] = []
    seen: set[str] = set()
    count = [0]

    def client() -> None:
        while not ended.is_set():
            try:
                answer = app.get("/web/slow?ms=5")
                if answer.status != 200:
                    bad.append(f"{answer.status} {answer.body!r}")
                seen.add(answer.body.decode())
            except (OSError, AssertionError) as error:
                bad.append(repr(error))
            count[0] += 1

    clients = [threading.Thread(target=client) for _ in range(4)]
    for each in clients:
        each.start()
    try:
        act()
    finally:
        ended.set()
        for each in clients:
            each.join()
    return count[0], bad, seen


def test_a_rolling_reload_drops_nothing(nodey: Nodey) -> None:
    app = nodey(config=served("web", port="auto", instances=2) + ROUTE)

    def reload() -> None:
        for version in range(1, 6):
            (app.folder / "nodey.toml").write_text(
                served("web", port="auto", instances=2, env={"VERSION": str(version)}) + ROUTE)
            done = command.run(app.folder, "reload")
            assert done.code == 0, done
            until(lambda: app.get("/web/").body.endswith(b" %d" % version), 20,
                  f"version {version} serves")

    count, bad, seen = load_while(app, reload)
    assert not bad, bad[:5]
    assert count > 20 and len(seen) >= 6
    until(lambda: len(procs.children(app.pid)) <= 3, 10, "the old ones have gone")


def test_a_broken_version_leaves_the_old_one_serving(nodey: Nodey) -> None:
    app = nodey(config=served("web", port="auto") + ROUTE)
    before = app.get("/web/").body
    (app.folder / "nodey.toml").write_text(
        service("web", ["sh", "-c", "echo 'no such Error' >&2; exit 7"], port="auto") + ROUTE)
    command.run(app.folder, "reload")
    app.wait_log("the new version does not start .*: the old one goes on until it is mended")
    assert app.get("/web/").body == before


def test_a_new_version_at_a_fixed_port_comes_after_the_old_one(nodey: Nodey) -> None:
    port = free_port()
    app = nodey(config=served("web", port=port))
    assert ask(port).endswith(" ")
    (app.folder / "nodey.toml").write_text(served("web", port=port, env={"VERSION": "2"}))
    assert command.run(app.folder, "reload").code == 0
    until(lambda: len(ports(app)) == 2, 10, "the new one listens")
    assert ask(port).endswith(" 2")
    assert "Address already in use" not in app.log()
    assert "restarting" not in app.log()  # nothing has crashed


def test_a_worker_that_becomes_a_service_is_another_program(nodey: Nodey) -> None:
    hello = "import nodey\n\n\n@nodey.get('/web')\ndef web(request):\n    return 'worker'\n"
    app = nodey({"workers/web.py": hello}, section("workers", "web", {
        "script": "workers/web.py", "instances": 1}))
    assert app.get("/web").body == b"worker"
    old = [pid for pid in procs.children(app.pid) if "web.py" in procs.command(pid)]
    assert old
    (app.folder / "workers" / "web.py").unlink()
    (app.folder / "nodey.toml").write_text(served("web", port="auto") + ROUTE)
    done = command.run(app.folder, "reload")
    assert done.code == 0 and "service web: new" in done.out, done
    until(lambda: app.get("/web/").status == 200, 10, "the service serves")
    wait_gone(old, 10)


def test_what_a_reload_adds_starts_in_its_order(nodey: Nodey) -> None:
    app = nodey(config=served("web", port="auto"))
    (app.folder / "nodey.toml").write_text(
        served("front", port="auto", depends_on={"db": {"condition": "service_healthy"}})
        + served("web", port="auto") + served("db", "late=0.5", port="auto"))
    assert command.run(app.folder, "reload").code == 0
    app.wait_log(r"front#0 \| listening", 10)
    assert app.log().index("db#0 | listening") < app.log().index("front#0 |")
    assert len(ports(app)) == 1  # what was there is left alone


# --------------------------------------------------------------------------------- the rest

def test_a_run_for_one_command_starts_no_service(tmp_path: Path) -> None:
    (tmp_path / "workers").mkdir()
    (tmp_path / "workers" / "hello.py").write_text(
        "import nodey\n\n\n@nodey.get('/hello')\ndef hello(request):\n    return 'hi'\n")
    (tmp_path / "nodey.toml").write_text(
        service("db", ["sh", "-c", "echo x >> starts; sleep 1000"], port=free_port())
        + '[workers.hello]\ndepends_on = ["db"]\n')
    done = command.run(tmp_path, "call", "hello", "GET /hello")
    assert done.code == 0 and "hi" in done.out, done
    assert not (tmp_path / "starts").exists()


def test_a_service_has_no_route_of_its_own(nodey: Nodey) -> None:
    app = nodey(config=served("web", port="auto"))
    assert app.get("/web/").status == 404
