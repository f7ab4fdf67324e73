"""nodey up in the background and for chosen programs, and nodey down."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Callable, Iterator, Optional

import pytest

import procs
from admin import Admin
from app import BINARY, App
from command import Done, Terminal, environment, run
from conftest import write_files
from programs import free_port, service, worker
from timing import slow, until

pytestmark = pytest.mark.outside

Nodey = Callable[..., App]

SLEEP = ["sleep", "1000"]

HELLO = '''\
import time, nodey


@nodey.get("/hello")
def hello(req):
    time.sleep(float(req.query.get("s", "0")))
    return "hello"
'''


class Project:
    """A folder in which nodey goes on behind the commands; ended with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, config: str, files: Optional[dict[str, str]] = None) -> "Project":
        write_files(self.folder, files or {})
        (self.folder / "nodey.toml").write_text(config)
        return self

    def run(self, *words: str, timeout: float = 60) -> Done:
        return run(self.folder, *words, timeout=timeout)

    def up(self, *words: str) -> Done:
        return self.run("up", "-d", "--listen", "127.0.0.1:0", *words)

    def pid(self) -> int:
        """Of the nodey that holds the data folder; 0 when there is none."""
        lock = self.folder / ".nodey/lock"
        pid = int(lock.read_text() or 0) if lock.exists() else 0
        return pid if pid and procs.alive(pid) and b"nodey" in procs.command(pid).encode() else 0

    def states(self) -> dict[str, str]:
        with Admin(self.folder) as admin:
            return {name: p["state"] for name, p in admin.programs().items()}

    def log(self) -> str:
        return (self.folder / ".nodey/nodey.log").read_text()

    def close(self) -> None:
        pid = self.pid()
        if pid:
            os.kill(pid, signal.SIGTERM)
            until(lambda: not procs.alive(pid), 20, "it ends")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    one = Project(tmp_path / "project")
    one.folder.mkdir()
    yield one
    one.close()


# ------------------------------------------------------------------------ in the background


def test_detached_it_serves_when_the_command_has_ended(project: Project) -> None:
    project.write(worker("hello") + service("db", SLEEP), {"workers/hello.py": HELLO})
    done = project.up()
    found = re.search(r"nodey is up on http://127\.0\.0\.1:(\d+) \(process (\d+)\); its log: (.*)",
                      done.out)
    assert done.code == 0 and found, done
    port, pid = int(found.group(1)), int(found.group(2))
    assert pid == project.pid() and Path(found.group(3)) == project.folder / ".nodey/nodey.log"
    assert re.search(r"^hello +ready +1/1$", done.out, re.M), done.out
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    assert os.getsid(pid) == pid, "no terminal that closes takes it along"
    assert [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)] == \
        ["/dev/null"] + [str(project.folder / ".nodey/nodey.log")] * 2
    assert f"nodey ready on http://127.0.0.1:{port}" in project.log()
    assert "\x1b" not in project.log()
    done = project.run("down")
    assert done.code == 0 and not procs.alive(pid)
    assert re.search(rf"stopping nodey \(process {pid}\) and 2 programs: hello db\n"
                     r"stopped after [0-9.]+ s", done.out), done
    assert project.run("down").out == "no nodey is up here: nothing to stop\n"


def test_it_survives_the_terminal_on_which_it_was_begun(project: Project) -> None:
    project.write(service("db", SLEEP))
    with Terminal(project.folder, ["up", "-d", "--listen", "127.0.0.1:0"]) as shown:
        shown.wait_for("nodey is up on")
        assert shown.end() == 0
    time.sleep(0.3)
    assert project.states() == {"db": "ready"}


def test_what_hinders_the_start_is_shown_and_is_the_exit_code(project: Project) -> None:
    project.write("[server]\nlisten = 5\n")
    done = project.run("up", "-d")
    assert done.code == 1 and "listen" in done.err and not project.pid()
    project.write(service("db", SLEEP))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        began = time.monotonic()
        done = project.run("up", "-d", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert done.code == 1 and "it did not start" in done.err, done
    assert "in use" in done.err, "the reason, from its log"
    assert time.monotonic() - began < slow(10) and not project.pid()
    assert project.up().code == 0, "and then it starts"


def test_one_that_is_up_already_is_left_alone_and_starts_what_is_named(
        project: Project) -> None:
    project.write(service("db", SLEEP) + service("web", SLEEP))
    assert project.up().code == 0
    pid = project.pid()
    assert project.run("stop", "db", "web").code == 0
    done = project.up("db", "--wait")
    assert done.code == 0 and "nodey is up already" in done.out and project.pid() == pid
    assert project.states() == {"db": "ready", "web": "stopped"}
    done = project.run("up", "--listen", "127.0.0.1:0")
    assert done.code == 1 and "runs here already" in done.err, "in the foreground there is one"


def test_waiting_ends_when_all_are_ready_or_done(project: Project) -> None:
    project.write(service("late", ["sh", "-c", "sleep 1; touch up; exec sleep 1000"],
                          healthcheck={"test": ["CMD", "test", "-f", "up"], "interval": "100ms",
                                       "start_interval": "100ms", "start_period": "20s"})
                  + service("migrate", ["sh", "-c", "sleep 0.2"], restart="no")
                  + service("debug", SLEEP, profiles=["debug"]))
    began = time.monotonic()
    done = project.run("up", "--wait", "--listen", "127.0.0.1:0")
    assert done.code == 0 and time.monotonic() - began >= 1, done
    assert project.states() == {"late": "ready", "migrate": "completed", "debug": "dormant"}
    assert "debug" not in done.out


@pytest.mark.parametrize("how", [
    service("bad", ["sh", "-c", "echo no luck >&2; exit 3"], restart="no"),
    service("bad", ["false"], restart="on-failure:1", backoff_min="10ms"),
])
def test_waiting_fails_with_a_program_that_cannot_be(project: Project, how: str) -> None:
    project.write(service("db", SLEEP) + how)
    done = project.run("up", "--wait", "--listen", "127.0.0.1:0")
    assert done.code == 1 and re.search(r"^bad +exited.*exit code", done.out, re.M), done
    assert project.states()["db"] == "ready", "the others go on"


def test_waiting_has_an_end(project: Project) -> None:
    project.write(service("never", SLEEP, start_timeout="100s",
                          healthcheck={"test": ["CMD", "false"], "interval": "100ms",
                                       "start_period": "100s"}))
    began = time.monotonic()
    done = project.up("--wait", "--wait-timeout", "1s")
    assert done.code == 1 and "after 1 s" in done.err, done
    assert 1 <= time.monotonic() - began < slow(5)


# -------------------------------------------------------------------------- some of them


def test_named_programs_start_with_what_they_need_and_others_do_not(project: Project) -> None:
    project.write(service("db", SLEEP) + service("cache", SLEEP)
                  + service("web", SLEEP, depends_on=["db"])
                  + service("debug", SLEEP, profiles=["debug"]))
    assert project.up("web").code == 0
    with Admin(project.folder) as admin:
        admin.wait_state("web", "ready")
    assert project.states() == {"db": "ready", "cache": "dormant", "web": "ready",
                                "debug": "dormant"}
    project.run("down")
    assert project.up("debug").code == 0, "a name is enough, whatever the profile"
    with Admin(project.folder) as admin:
        admin.wait_state("debug", "ready")
    assert project.states()["web"] == "dormant"
    project.run("down")
    done = project.up("wep")
    assert done.code == 1 and 'did you mean "web"' in done.err and not project.pid()


@pytest.mark.parametrize("words, running", [
    ((), {"db"}), (("--profile", "debug"), {"db", "debug"}),
    (("--profile", "debug", "--profile=tools"), {"db", "debug", "tool"}),
    (("--profile", "*"), {"db", "debug", "tool"}),
])
def test_profiles_are_asked_for(project: Project, words: tuple[str, ...],
                                running: set[str]) -> None:
    project.write(service("db", SLEEP) + service("debug", SLEEP, profiles=["debug"])
                  + service("tool", SLEEP, profiles=["tools", "ops"]))
    assert project.up(*words, "--wait").code == 0
    assert {name for name, state in project.states().items() if state == "ready"} == running


def test_a_profile_that_no_program_has_is_a_slip(project: Project) -> None:
    project.write(service("db", SLEEP) + service("debug", SLEEP, profiles=["debug"]))
    done = project.up("--profile", "debgu")
    assert done.code == 1 and 'did you mean "debug"' in done.err and not project.pid()


def test_compose_s_options_are_known(project: Project) -> None:
    project.write(service("db", SLEEP, port="auto", healthcheck={"test": "NONE"})
                  + service("one", SLEEP, port=free_port()))
    for words, why in ((["db=0"], "N from 1 to 1024"), (["db"], "NAME=N"), (["dc=2"], 'did you mean "db"'),
                       (["one=2"], "port = \"auto\"")):
        done = project.up("--scale", *words)
        assert done.code != 0 and why in done.err and not project.pid(), done
    done = project.up("--build", "--force-recreate", "--scale", "db=3", "--wait", "db")
    assert done.code == 0 and "there are no images" in done.err, done
    with Admin(project.folder) as admin:
        ports = [str(i["port"]) for i in admin.program("db")["instances"]]
    assert len(set(ports)) == 3
    assert project.run("ps").out.splitlines()[1].rstrip().endswith(", ".join(ports)), "all are told"


def test_a_name_starts_what_an_earlier_run_left_stopped(project: Project) -> None:
    project.write(service("db", SLEEP, restart="unless-stopped"))
    project.up()
    project.run("stop", "db")
    project.run("down")
    project.up()
    assert project.states() == {"db": "stopped"}
    project.run("down")
    project.up("db", "--wait")
    assert project.states() == {"db": "ready"}


# ------------------------------------------------------------------------- its exit code


@pytest.mark.parametrize("script, code", [
    ("sleep 0.3", 0), ("sleep 0.3; exit 7", 7), ("sleep 0.3; kill -9 $$", 137),
])
def test_one_programs_end_is_the_end_of_all_and_its_code(tmp_path: Path, script: str,
                                                         code: int) -> None:
    (tmp_path / "nodey.toml").write_text(
        service("db", SLEEP) + service("test", ["sh", "-c", script], restart="no"))
    done = run(tmp_path, "up", "--listen", "127.0.0.1:0", "--exit-code-from", "test")
    assert done.code == code and "test has ended, and nodey with it" in done.err, done


def test_who_never_ends_gives_no_exit_code(tmp_path: Path) -> None:
    (tmp_path / "nodey.toml").write_text(service("db", SLEEP))
    done = run(tmp_path, "up", "--exit-code-from", "db")
    assert done.code == 1 and 'restart = "no"' in done.err
    done = run(tmp_path, "up", "--exit-code-from", "bd")
    assert done.code == 1 and 'did you mean "db"' in done.err
    assert run(tmp_path, "up", "-d", "--exit-code-from", "db").code == 2


def test_in_the_foreground_a_program_that_fails_stops_nobody(nodey: Nodey) -> None:
    app = nodey(config=service("db", SLEEP) + service("bad", ["false"], restart="no"))
    with Admin(app.folder) as admin:
        admin.wait_state("bad", "exited")
        assert admin.programs()["db"]["state"] == "ready"
    assert app.returncode() is None


# ------------------------------------------------------------------------------------ down


def test_down_lets_requests_end(nodey: Nodey) -> None:
    app = nodey({"workers/hello.py": HELLO}, worker("hello"))
    with app.open_request("GET", "/hello?s=1") as slow_one:
        time.sleep(0.3)
        done = run(app.folder, "down")
        assert done.code == 0 and slow_one.read_response().body == b"hello"
    assert app.wait_exit(5) == 0 and "a person said so" in app.log()


def test_down_is_answered_also_when_nothing_runs(project: Project) -> None:
    project.write(service("db", SLEEP))
    for _ in range(5):
        assert project.up().code == 0
        assert project.run("stop", "db").code == 0
        done = project.run("down")
        assert (done.code, done.err) == (0, "") and "and 0 programs" in done.out, done


def test_down_has_the_time_that_it_is_given(nodey: Nodey) -> None:
    app = nodey(config=service("stubborn", ["sh", "-c", "trap '' TERM; echo set; "
                                            "while :; do sleep 0.1; done"],
                               stop_grace_period="60s"))
    app.wait_log(r"\bset$")
    began = time.monotonic()
    done = run(app.folder, "down", "-t", "1500ms")
    took = time.monotonic() - began
    assert done.code == 0 and 0.3 < took < slow(6), (took, done)
    assert app.wait_exit(5) == 0


def test_down_twice_at_once_is_down_once(nodey: Nodey) -> None:
    app = nodey(config=service("db", ["sh", "-c", "trap 'sleep 0.5; exit 0' TERM; echo set; "
                                      "while :; do sleep 0.05; done"]))
    app.wait_log(r"\bset$")
    both = [subprocess.Popen([str(BINARY), "down"], cwd=app.folder, env=environment(),
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(2)]
    outputs = [one.communicate(timeout=slow(20))[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], outputs
    assert app.wait_exit(5) == 0 and "stopping at once" not in app.log()


def test_down_knows_by_which_configuration(tmp_path: Path, nodey: Nodey) -> None:
    one, two = nodey(config=service("db", SLEEP)), nodey(config=service("db", SLEEP))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert run(elsewhere, "down", "-f", str(two.folder / "nodey.toml")).code == 0
    assert two.wait_exit(5) == 0 and one.returncode() is None


# ------------------------------------------------------------- options, when it is up already


def test_a_profile_that_is_asked_for_later_starts_then(project: Project) -> None:
    project.write(service("db", SLEEP) + service("job", SLEEP, profiles=["jobs"])
                  + service("other", SLEEP, profiles=["others"]))
    assert project.up().code == 0
    assert project.states()["job"] == "dormant"
    done = project.run("up", "-d", "--wait", "--profile", "jobs")
    assert done.code == 0 and "nodey is up already" in done.out, done
    assert project.states() == {"db": "ready", "job": "ready", "other": "dormant"}


def test_another_address_is_refused_while_it_is_up(project: Project) -> None:
    project.write(service("db", SLEEP))
    url = re.search(r"http://(127\.0\.0\.1:(\d+))", project.up().out)
    assert url
    for same in (url.group(1), url.group(2), f":{url.group(2)}", f"localhost:{url.group(2)}"):
        assert project.run("up", "-d", "--listen", same).code == 0, same
    other = free_port()
    done = project.run("up", "-d", "--listen", str(other))
    assert done.code == 1 and f"it is up already, on {url.group(0)}" in done.err, done
    assert str(other) in done.err and "nodey down" in done.err
