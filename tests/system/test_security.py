"""Who programs run as, what they inherit, and how what cannot be arranged is told."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Callable, Iterator

import pytest
from app import BINARY, App
from checks import kill, wait_gone
from command import run
from programs import Value, free_port, service, worker
from timing import slow

pytestmark = pytest.mark.outside

Nodey = Callable[..., App]

PYTHON = '''
import json, os
import nodey

@nodey.get("/who")
def who(req):
    status = open("/proc/self/status").read()
    return {"uid": os.getuid(), "euid": os.geteuid(), "gid": os.getgid(),
            "groups": os.getgroups(), "cwd": os.getcwd(), "pid": os.getpid(),
            "env": {name: os.environ.get(name) for name in ("HOME", "USER", "LOGNAME")},
            "no_new_privileges": "NoNewPrivs:\\t1" in status}
'''

NODE = '''
const fs = require('fs');
const nodey = require('nodey');

nodey.get('/who', () => ({
    uid: process.getuid(), euid: process.geteuid(), gid: process.getgid(),
    groups: process.getgroups(), cwd: process.cwd(), pid: process.pid,
    env: { HOME: process.env.HOME, USER: process.env.USER, LOGNAME: process.env.LOGNAME },
    no_new_privileges: fs.readFileSync('/proc/self/status', 'utf8').includes('NoNewPrivs:\\t1'),
}));
'''

SOURCES = {"py": PYTHON, "js": NODE}
LANGUAGES = [pytest.param("py", id="python"), pytest.param("js", id="node")]
IS_ROOT = os.geteuid() == 0
NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that every user may enter: pytest's own are root's alone.  Comes before `nodey`."""
    folder = Path(tempfile.mkdtemp(prefix="nodey-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def start(nodey: Nodey, folder: Path, language: str, **settings: Value) -> App:
    return nodey({f"workers/who.{language}": SOURCES[language]}, folder=folder,
                 config=worker("who", language, **settings))


def everybodys(folder: Path) -> str:
    """nodey where every user may run it: the checkout may lie in a home that is closed."""
    return str(shutil.copy2(BINARY, folder / "nodey"))


def as_nobody(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """nodey, run by somebody who is not root."""
    demote = {"user": NOBODY.pw_uid, "group": NOBODY.pw_gid, "extra_groups": []} if IS_ROOT else {}
    return subprocess.run([everybodys(folder), *words], cwd=folder, capture_output=True, text=True,
                          timeout=slow(20), check=False, **demote)


# -- another user


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_worker_runs_as_the_user_that_it_is_told(open_folder: Path, nodey: Nodey,
                                                   language: str) -> None:
    if not IS_ROOT:
        (open_folder / "nodey.toml").write_text(service("who", ["true"], user="root"))
        assert "runs as root" in run(open_folder, "check").err
        return
    app = start(nodey, open_folder, language, user="nobody")
    who = app.get("/who").json()
    assert who["uid"] == who["euid"] == NOBODY.pw_uid and who["gid"] == NOBODY.pw_gid
    assert set(who["groups"]) == {NOBODY.pw_gid}
    assert who["env"] == {"HOME": NOBODY.pw_dir, "USER": "nobody", "LOGNAME": "nobody"}
    assert who["no_new_privileges"] is True


@pytest.mark.parametrize("user, group, uid, gid", [
    ("54321:12345", None, 54321, 12345),
    ("54321", None, 54321, 54321),
    ("nobody", "daemon", NOBODY.pw_uid, pwd.getpwnam("daemon").pw_gid),
    (None, "daemon", 0, pwd.getpwnam("daemon").pw_gid),
])
def test_users_and_groups_by_name_and_number(open_folder: Path, nodey: Nodey, user: str,
                                             group: str, uid: int, gid: int) -> None:
    if not IS_ROOT:
        return
    settings = {key: value for key, value in (("user", user), ("group", group)) if value}
    app = start(nodey, open_folder, "py", **settings)
    who = app.get("/who").json()
    assert (who["uid"], who["gid"]) == (uid, gid)
    if uid == 54321:
        assert who["groups"] == [gid], "nothing of root's is left"
        assert who["env"]["HOME"] == "/"


def test_what_is_configured_wins_over_the_users_home(open_folder: Path, nodey: Nodey) -> None:
    settings = {"user": "nobody"} if IS_ROOT else {}
    app = start(nodey, open_folder, "py", env={"HOME": "/srv"}, **settings)
    assert app.get("/who").json()["env"]["HOME"] == "/srv"


def test_another_users_worker_dies_with_nodey(open_folder: Path, nodey: Nodey) -> None:
    """The kernel forgets that wish when the user changes: it must be told again."""
    settings = {"user": "nobody"} if IS_ROOT else {}
    app = start(nodey, open_folder, "py", **settings)
    pid = app.get("/who").json()["pid"]
    kill(app.helpers())
    wait_gone(app.helpers(), 3, "the helper")
    app.kill()
    wait_gone([pid], 2, "the worker")


def test_a_folder_that_the_user_may_not_enter_is_named(open_folder: Path, nodey: Nodey) -> None:
    closed = open_folder / "closed"
    closed.mkdir(0o700)
    if not IS_ROOT:
        closed.chmod(0)
    settings = {"user": "nobody"} if IS_ROOT else {}
    app = nodey(folder=open_folder, wait=False, config=service(
        "shut", ["true"], cwd=str(closed), **settings))
    app.wait_log(rf"cannot enter the folder {closed}: Permission denied")
    closed.chmod(0o700)


def test_nobody_becomes_somebody_else(open_folder: Path) -> None:
    (open_folder / "nodey.toml").write_text(service("web", ["true"], user="daemon"))
    done = as_nobody(open_folder, "check")
    assert done.returncode != 0
    assert re.search(r"nodey\.toml:3:8: only a nodey that runs as root can run \[services\.web\]",
                     done.stderr), done


def test_who_one_is_already_needs_no_rights(open_folder: Path) -> None:
    me = "nobody" if IS_ROOT else pwd.getpwuid(os.geteuid()).pw_name
    (open_folder / "nodey.toml").write_text(service("web", ["true"], user=me))
    assert as_nobody(open_folder, "check").returncode == 0


@pytest.mark.parametrize("settings, words", [
    ({"user": "no-such-user"}, r':3:8: user: there is no user "no-such-user"'),
    ({"group": "no-such-group"}, r':3:9: group: there is no group "no-such-group"'),
    ({"user": "root:no-such-group"}, r':3:8: user: there is no group "no-such-group"'),
    ({"user": ":root"}, r':3:8: user: ":root" is no user'),
    ({"user": "99999999999"}, r':3:8: user: there is no user "99999999999"'),
])
def test_who_does_not_exist_is_a_clear_error_with_its_place(open_folder: Path, settings: dict,
                                                            words: str) -> None:
    (open_folder / "nodey.toml").write_text(service("web", ["true"], **settings))
    done = run(open_folder, "check")
    assert done.code != 0 and re.search(words, done.err), done


# -- rights and what is inherited


def test_a_set_user_id_program_gains_nothing(open_folder: Path, nodey: Nodey) -> None:
    if not IS_ROOT:
        return
    gain = open_folder / "gain"
    shutil.copy("/usr/bin/id", gain)
    gain.chmod(0o4755)
    app = nodey(folder=open_folder, config=service("safe", [str(gain), "-u"], user="nobody",
                                                   restart="no") +
                service("open", [str(gain), "-u"], user="nobody", restart="no",
                        no_new_privileges=False))
    safe = app.wait_log(r"safe#0 \| (\d+)").group(1)
    free = app.wait_log(r"open#0 \| (\d+)").group(1)
    assert safe == str(NOBODY.pw_uid)
    assert free == "0", "this machine mounts it nosuid: the test says nothing"


def test_a_service_has_three_descriptors_and_no_input(nodey: Nodey) -> None:
    app = nodey(config=service("look", ["sh", "-c", "ls -l /proc/$$/fd; exec sleep 1000"]))
    app.wait_log(r"look#0 \| .* 2 -> pipe")
    time.sleep(slow(0.2))
    found = re.findall(r"look#0 \| .* (\d+) -> (\S+)", app.log())
    assert [number for number, _ in found] == ["0", "1", "2"], found
    assert found[0][1] == "/dev/null"


def test_with_env_clear_nothing_of_nodeys_environment_is_passed_on(nodey: Nodey) -> None:
    app = nodey(env={"SECRET_OF_NODEY": "hush"}, config=service(
        "clear", ["/bin/sh", "-c", "env; exec sleep 1000"], env_clear=True,
        env={"GIVEN": "yes"}) + service("open", ["/bin/sh", "-c", "env; exec sleep 1000"]))
    app.wait_log(r"clear#0 \| GIVEN=yes")
    app.wait_log(r"open#0 \| SECRET_OF_NODEY=")
    assert "clear#0 | SECRET_OF_NODEY" not in app.log()


# -- what cannot be run (W15)


JOB = service("job", ["true"], restart="no")
AFTER = {"job": {"condition": "service_completed_successfully"}}


@pytest.mark.parametrize("command, words", [
    (["./no-such-program"], r"nodey: cannot run \./no-such-program: No such file or directory"),
    (["./plain.txt"], r"nodey: cannot run \./plain\.txt: Permission denied\. Make it executable"),
    (["./odd.sh"], r"nodey: cannot run \./odd\.sh: No such file or directory\. The file is there, "
                   r"but not the interpreter"),
])
def test_a_service_that_cannot_be_run_says_why(nodey: Nodey, command: list[str],
                                               words: str) -> None:
    """One that a job could have made, so that nodey cannot know before."""
    app = nodey({"plain.txt": "text", "odd.sh": "#!/no/such/interpreter\n"}, wait=False,
                config=JOB + service("bad", command, backoff_min="50ms", depends_on=AFTER))
    app.wait_log(r"bad#0 \| " + words)


def test_a_service_that_exits_127_is_not_taken_for_a_missing_one(nodey: Nodey) -> None:
    app = nodey(wait=False, config=service("bad", ["sh", "-c", "exit 127"], backoff_min="50ms"))
    app.wait_log(r"bad#0 .*127")
    assert "nodey: cannot" not in app.log()


def test_a_limit_that_cannot_be_given_ends_the_start_with_a_sentence(open_folder: Path) -> None:
    """Never silently less than was asked for."""
    port = free_port()
    (open_folder / "nodey.toml").write_text(
        f'[server]\nlisten = "127.0.0.1:{port}"\ndata_dir = "{open_folder}/data"\n' +
        service("many", ["sleep", "1000"], nofile=1000000))
    (open_folder / "data").mkdir()
    (open_folder / "data").chmod(0o777)
    demote = {"user": NOBODY.pw_uid, "group": NOBODY.pw_gid, "extra_groups": []} if IS_ROOT else {}
    process = subprocess.Popen(
        ["prlimit", "--nofile=4096:4096", everybodys(open_folder), "up"], cwd=open_folder,
        stderr=subprocess.PIPE, text=True, **demote)
    assert process.stderr
    try:
        line = ""
        while "many#0 |" not in line:
            line = process.stderr.readline()
            assert line, "it ended without a word"
        assert "nodey: cannot limit its open files to 1000000: Operation not permitted" in line
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=slow(20))


# -- process 1 (S11), and pids that come round (S10)


def in_pid_namespace(app_folder: Path, script: str) -> "subprocess.CompletedProcess[str]":
    """A shell script as process 1 of a namespace of its own, with its own /proc."""
    return subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", script],
        cwd=app_folder, capture_output=True, text=True, timeout=slow(60), check=False,
        env={**os.environ, "NODEY": str(BINARY)})


LEAVES = '''
import os, sys, time
print("up", flush=True)
while True:
    # A grandchild that is left behind by its parent, and ends on its own.
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(0.05)
        os._exit(0)
    os.wait()
    time.sleep(0.01)
'''


def test_as_process_1_it_reaps_what_others_leave_and_ends_on_sigterm(open_folder: Path) -> None:
    if not IS_ROOT:
        return
    (open_folder / "leaves.py").write_text(LEAVES)
    (open_folder / "nodey.toml").write_text(
        '[server]\nlisten = "127.0.0.1:0"\n' +
        service("leaves", ["/usr/bin/python3", "-S", "leaves.py"]))
    look = ('sleep 4; cat /proc/[0-9]*/stat | sed "s/.*) //" | grep -c ^Z >zombies; '
            'ps -e | wc -l >count; kill -TERM 1')
    done = in_pid_namespace(open_folder, f"({look}) & exec $NODEY up")
    zombies = int((open_folder / "zombies").read_text())
    assert zombies <= 2, f"{zombies} zombies; {done.stderr[-1000:]}"
    assert done.returncode == 0, done.stderr[-2000:]
    assert "shutting down" in done.stderr


def test_a_pid_that_has_come_round_is_never_signalled(open_folder: Path) -> None:
    """With 100 pids to go round, restarts soon give a bystander the pid of what is dead."""
    if not IS_ROOT:
        return
    (open_folder / "nodey.toml").write_text(
        '[server]\nlisten = "127.0.0.1:0"\n' +
        service("quick", ["sh", "-c", "sleep 0.02; exit 1"], instances=4, backoff_min="1ms",
                backoff_max="10ms", max_restarts=100000, stop_grace_period="100ms") +
        service("hangs", ["sleep", "1000"], ttl="300ms", stop_grace_period="50ms"))
    # Bystanders of another parent: short sleeps that must all end by themselves.
    crowd = ('n=0; while [ $n -lt 400 ]; do sleep 0.01 || echo "status $?" >>killed; '
             'n=$((n+1)); done; echo done >finished')
    script = (f"echo 400 >/proc/sys/kernel/pid_max 2>/dev/null; "
              f"$NODEY up 2>log & nodey=$!; ({crowd}); kill -TERM $nodey; wait $nodey")
    before = Path("/proc/sys/kernel/pid_max").read_text()
    done = in_pid_namespace(open_folder, script)
    after = Path("/proc/sys/kernel/pid_max").read_text()
    if after != before:  # Before Linux 6.14 it is the whole machine's.
        Path("/proc/sys/kernel/pid_max").write_text(before)
    assert (open_folder / "finished").exists(), done
    assert not (open_folder / "killed").exists(), (open_folder / "killed").read_text()
    assert done.returncode == 0, (open_folder / "log").read_text()[-2000:]
