"""Checks of services: what each kind says, and what comes of it."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from typing import Callable, Optional

import procs
import programs
import pytest
from app import App
from checks import wait_gone
from programs import Value, free_port
from timing import slow, until

Nodey = Callable[..., App]
pytestmark = pytest.mark.outside

# A web server that does as a file says: "200", "500", "302", "hang", "garbage", "close".
SERVER = """
import os, socket, sys, threading, time
family = socket.AF_INET6 if "v6" in sys.argv else socket.AF_INET
listener = socket.socket(family)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("::1" if "v6" in sys.argv else "127.0.0.1", int(os.environ["PORT"])))
listener.listen(64)
print("listening", flush=True)

def serve(client):
    head = client.recv(65536).decode()
    if head:
        print(" ".join(head.replace("\\r\\n", "|").split()), flush=True)
        word = open("word").read().strip()
        if word == "hang":
            time.sleep(1000)
        elif word == "garbage":
            client.sendall(b"no HTTP at all\\r\\n\\r\\n")
        elif word != "close":
            client.sendall(f"HTTP/1.1 {word} X\\r\\nLocation: /\\r\\nContent-Length: 0\\r\\n\\r\\n".encode())
    client.close()

while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""

QUICK = {"interval": "100ms", "start_interval": "50ms", "timeout": "500ms", "retries": 2}


def service(check: dict, command: Optional[list[str]] = None, **more: Value) -> str:
    return programs.service("web", command or [sys.executable, "-S", "-u", "server.py"],
                            healthcheck={**QUICK, **check},
                            **{"start_timeout": "10s", "backoff_min": "50ms", **more})


def start(nodey: Nodey, check: dict, word: str = "200", **more: Value) -> App:
    return nodey({"server.py": SERVER, "word": word},
                 config=service(check, port="auto", **more))


@pytest.mark.parametrize("word", ["200", "302", "399"])
def test_a_path_that_answers_well_is_well(nodey: Nodey, word: str) -> None:
    app = start(nodey, {"path": "/health?deep=1"}, word)
    asked = app.wait_log(r"web#0 \| GET /health\?deep=1 HTTP/1\.1\|Host: (\S+?)\|")
    assert asked.group(1).startswith("localhost:"), "who checks the Host lets localhost in"
    time.sleep(slow(0.5))
    assert "unhealthy" not in app.log() and "replaced" not in app.log()


@pytest.mark.parametrize("word, reason", [
    ("500", r"GET /health answered 500"),
    ("404", r"GET /health answered 404"),
    ("hang", r"GET /health gave no answer within 500 ms"),
    ("garbage", r"GET /health: .+"),
    ("close", r"GET /health: the connection ended before the answer did"),
])
def test_a_service_that_becomes_ill_is_replaced_and_the_reason_shown(
        nodey: Nodey, word: str, reason: str) -> None:
    app = start(nodey, {"path": "/health"})
    app.wait_log(r"web#0 \| GET /health")
    begun = time.monotonic()
    (app.folder / "word").write_text(word)
    app.wait_log(r"web#0 .*" + reason, 10)
    assert time.monotonic() - begun < slow(4)
    (app.folder / "word").write_text("200")
    before = len(app.log())
    app.wait_log(r"web#0 \| listening", 10, before if word != "hang" else 0)


def test_one_failure_among_successes_is_forgiven(nodey: Nodey) -> None:
    app = start(nodey, {"path": "/health", "retries": 3, "interval": "300ms"})
    app.wait_log(r"web#0 \| GET /health")
    (app.folder / "word").write_text("500")
    count = app.log().count("| GET /health")
    until(lambda: app.log().count("| GET /health") > count, 5, "one check has failed")
    (app.folder / "word").write_text("200")
    time.sleep(slow(1))
    assert app.log().count("| listening") == 1


def test_without_a_word_its_port_must_accept_a_connection(nodey: Nodey) -> None:
    late = SERVER.replace("listener.listen", "time.sleep(0.7)\nlistener.listen")
    app = nodey({"server.py": late, "word": "200"}, wait=False,
                config=f'[services.web]\ncommand = ["{sys.executable}", "-S", "server.py"]\n'
                       'port = "auto"\n')
    app.wait_log(r"web#0 \| listening", 10)
    app.wait_ready()
    log = app.log()
    assert log.index("| listening") < log.index("nodey ready"), "it was ready before it was"


def test_a_service_on_the_other_loopback_is_found(nodey: Nodey) -> None:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        family = "v4"  # This machine has no IPv6: then the first loopback is all there is.
    else:
        family = "v6"
    app = nodey({"server.py": SERVER, "word": "200"},
                config=service({"path": "/"}, [sys.executable, "-S", "-u", "server.py", family],
                               port="auto"))
    app.wait_log(r"web#0 \| GET / ")


def test_a_connection_elsewhere_can_be_the_check(nodey: Nodey) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(64)
        port = other.getsockname()[1]
        app = nodey(config=service({"tcp": f"localhost:{port}"}, ["sleep", "1000"]))
        other.settimeout(slow(5))
        other.accept()[0].close()
    app.wait_log(rf"web#0 .*connection refused at localhost:{port}", 10)


def test_a_command_tells_by_its_status_and_its_last_words(nodey: Nodey) -> None:
    script = "cat state && exit $(cat status)"
    app = nodey({"state": "fine\n", "status": "0"},
                config=service({"test": f"{script}; exit 9"}, ["sleep", "1000"]))
    time.sleep(slow(0.3))
    assert "status" not in app.log()
    (app.folder / "state").write_text("first line\nno response\n\n")
    (app.folder / "status").write_text("2")
    app.wait_log(r"web#0 .*ended with status 2: no response\b", 10)


def test_a_command_runs_as_the_service_does(nodey: Nodey) -> None:
    """Its environment, its folder, no input, no descriptor but the three."""
    script = 'echo "$WORD $PWD $(ls /proc/self/fd | tr "\\n" " ") $(readlink /proc/self/fd/0)"'
    app = nodey({"sub/x": ""}, wait=False,
                config=service({"test": ["CMD", "sh", "-c", script + "; exit 1"]},
                               ["sleep", "1000"], env={"WORD": "swordfish"}, cwd="sub",
                               start_timeout="1s"))
    # `ls` has its folder open as well.
    app.wait_log(rf"status 1: swordfish {app.folder}/sub 0 1 2 3 +/dev/null", 15)


def test_a_missing_command_is_named(nodey: Nodey) -> None:
    app = nodey(wait=False, config=service({"test": ["CMD", "no-such-check"]},
                                           ["sleep", "1000"], start_timeout="700ms"))
    app.wait_log(r"no-such-check ended with status 127: nodey: cannot run no-such-check: "
                 r"No such file", 10)


def test_a_check_that_hangs_is_killed_with_all_that_it_started(nodey: Nodey) -> None:
    mark = f"{1000 + free_port()}"  # A number of seconds that nobody else sleeps.
    app = nodey(wait=False, config=service({"test": f"sleep {mark} & sleep {mark}"},
                                           ["sleep", "1000"], start_timeout="2s"))
    until(lambda: procs.naming(f"sleep {mark}"), 10, "the check runs")
    app.wait_log(r"did not end within 500 ms", 10)
    app.stop()
    wait_gone(procs.naming(f"sleep {mark}"), 3)


def test_the_end_does_not_wait_for_a_check(nodey: Nodey) -> None:
    app = start(nodey, {"path": "/", "timeout": "60s", "interval": "200ms"})
    app.wait_log(r"web#0 \| GET / ")
    (app.folder / "word").write_text("hang")
    count = app.log().count("| GET / ")
    until(lambda: app.log().count("| GET / ") > count, 5, "a check hangs")
    time.sleep(slow(0.3))
    begun = time.monotonic()
    app.stop()
    assert time.monotonic() - begun < slow(3)


@pytest.mark.outside
@pytest.mark.parametrize("check", [{"path": "/"}, {"test": "exit 0"}])
def test_hundreds_of_checks_leave_nothing_behind(nodey: Nodey, check: dict) -> None:
    app = start(nodey, {**check, "interval": "10ms"})
    time.sleep(slow(1))
    fds, rss = app.fds(), app.rss()
    time.sleep(slow(3))
    until(lambda: app.fds() <= fds + 6, 5, f"descriptors back to {fds}; now {app.fds()}")
    assert app.sanitized or app.rss() - rss < 256 << 10, f"{app.rss() - rss} bytes more"
    until(lambda: not procs.zombies(app.pid), 5, "no zombies")


def test_a_check_finds_what_a_frozen_service_cannot_say(nodey: Nodey) -> None:
    app = start(nodey, {"path": "/"})
    app.wait_log(r"web#0 \| GET / ")
    [pid] = [child for child in procs.children(app.pid) if "server.py" in procs.command(child)]
    os.kill(pid, signal.SIGSTOP)
    wait_gone([pid], 10, "the frozen service")
    app.wait_log(r"web#0 .*GET / gave no answer within 500 ms", 5)
