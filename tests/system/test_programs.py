"""Programs seen and ordered by the control socket and by nodey's commands."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import stat
import threading
import time
from pathlib import Path
from typing import Callable, Iterator

import pytest

import procs
from admin import Admin, pids
from app import App
from command import Terminal, run
from programs import free_port, service, worker
from timing import slow, until

pytestmark = pytest.mark.outside

Nodey = Callable[..., App]

HELLO = '''\
import nodey


@nodey.get("/hello")
def hello(req):
    return "hello"
'''

# Ends when it is told to, and says so.
SLEEP = ["sleep", "1000"]

# Does not end when it is told to.
STUBBORN = ["sh", "-c", "trap '' TERM; echo set; while :; do sleep 0.1; done"]

# As long as the file `bad` is there it cannot start.
PICKY = '''\
import os, sys, nodey

if os.path.exists("bad"):
    sys.exit("the disk is made of cheese")


@nodey.get("/picky")
def picky(req):
    return str(os.getpid())
'''

STACK = {"workers/hello.py": HELLO}
CONFIG = (worker("hello", instances=2)
          + service("db", SLEEP, restart="unless-stopped",
                    env={"DB_PASSWORD": "correct-horse", "MODE": "fast"})
          + service("queue", SLEEP)
          + service("migrate", ["true"], restart="no")
          + service("broken", ["false"], restart="no")
          + service("debug", SLEEP, profiles=["debug"]))


@pytest.fixture
def stack(nodey: Nodey) -> Iterator[tuple[App, Admin]]:
    app = nodey(STACK, CONFIG)
    with Admin(app.folder) as admin:
        until(lambda: admin.programs()["hello"]["ready"] == 2, 10, "hello is ready")
        admin.wait_state("broken", "exited")
        admin.wait_state("migrate", "completed")
        yield app, admin


# ------------------------------------------------------------------------ what is told


def test_each_program_is_told_with_its_kind_and_state(stack: tuple[App, Admin]) -> None:
    app, admin = stack
    programs = admin.programs()
    assert {name: (p["kind"], p["state"]) for name, p in programs.items()} == {
        "hello": ("worker", "ready"), "db": ("service", "ready"), "queue": ("service", "ready"),
        "migrate": ("service", "completed"), "broken": ("service", "exited"),
        "debug": ("service", "dormant")}
    hello = programs["hello"]
    assert (hello["wanted"], hello["ready"], hello["restarts"], hello["queue"]) == (2, 2, 0, 0)
    assert [i["instance"] for i in hello["instances"]] == [0, 1]
    assert sorted(pids(hello)) == app.worker_pids("hello")
    assert all(i["health"] == "healthy" and i["uptime_ms"] >= 0 for i in hello["instances"])
    assert hello["routes"] == [{"method": "GET", "path": "/hello"}]
    assert programs["db"]["routes"] == [], "a service has no route that nobody gave it"
    assert "exit code 1" in programs["broken"]["why"]
    assert programs["broken"]["last_exit"] == {"code": 1, "signal": 0, "words": "exit code 1"}
    assert programs["migrate"]["why"] is None and programs["migrate"]["last_exit"]["code"] == 0
    assert "profile" in programs["debug"]["why"]


def test_what_it_uses_is_measured_only_when_it_is_asked_for(stack: tuple[App, Admin]) -> None:
    app, admin = stack
    assert all("usage" not in i for p in admin.programs().values() for i in p["instances"])
    measured = {p["name"]: p for p in admin.get("/v1/programs?usage=1")}
    usage = measured["hello"]["instances"][0]["usage"]
    rss = procs.rss(measured["hello"]["instances"][0]["pid"])
    assert 0.3 * rss < usage["memory"] < 3 * rss, (usage, rss)
    assert usage["cpu_us"] > 1000 and usage["threads"] >= 1 and usage["processes"] >= 1
    machine = admin.get("/v1")["machine"]
    assert machine["memory"] > usage["memory"] and machine["cpus"] >= 1
    later = admin.get("/v1/programs?usage=1")
    again = next(p for p in later if p["name"] == "hello")["instances"][0]["usage"]
    assert again["at_us"] > usage["at_us"] and again["cpu_us"] >= usage["cpu_us"]


def test_one_program_is_told_with_what_it_was_started_with(stack: tuple[App, Admin]) -> None:
    app, admin = stack
    db = admin.program("db")
    about = db["about"]
    assert about["command"] == SLEEP and about["cwd"] == str(app.folder)
    assert sorted(about["env"]) == ["DB_PASSWORD=***", "MODE=fast"]
    assert about["restart"] == "unless-stopped" and about["stop_signal"] == "TERM"
    assert "correct-horse" not in json.dumps(db)


def test_what_a_program_says_of_its_secrets_is_not_told_on(nodey: Nodey) -> None:
    app = nodey(config=service("bad", ["sh", "-c", "echo no entry for $DB_PASSWORD >&2; exit 1"],
                               env={"DB_PASSWORD": "correct-horse"}, start_timeout="5s",
                               port=free_port(), backoff_min="10ms", max_restarts=1))
    with Admin(app.folder) as admin:
        told = admin.wait_state("bad", "failed")
        assert "no entry for ***" in told["why"], told
        status, body = admin.order("bad", "start", wait=20)
        assert status == 409 and "no entry for ***" in body["detail"], body
        assert "correct-horse" not in json.dumps([told, body, admin.program("bad")])
    for words in (["ps", "-a"], ["describe", "bad"], ["start", "bad"]):
        done = run(app.folder, *words)
        assert "correct-horse" not in done.out + done.err, (words, done)


@pytest.mark.parametrize("method, path, status, words", [
    ("GET", "/v1/programs/hallo", 404, 'did you mean "hello"'),
    ("GET", "/v1/programs/zzzzzzzz", 404, "there are hello, db"),
    ("POST", "/v1/programs/db/explode", 404, "start, stop, restart"),
    ("GET", "/v1/programs/db/stop", 405, ""),
    ("POST", "/v1/programs/db", 405, ""),
    ("DELETE", "/v1/programs", 405, ""),
    ("POST", "/v1/programs/db/stop?wait=soon", 400, "wait is a time"),
    ("POST", "/v1/programs/db/stop?wait=99999999999999999999", 400, "wait is a time"),
    ("POST", "/v1/programs/db/scale", 400, "from 1 to 1024"),
    ("POST", "/v1/programs/db/scale?instances=0", 400, "stop it"),
    ("POST", "/v1/programs/db/scale?instances=-1", 400, "from 1"),
    ("POST", "/v1/programs/db/scale?instances=1025", 400, "1024"),
    ("POST", "/v1/programs/db/signal", 400, "SIGHUP"),
    ("POST", "/v1/programs/db/signal?signal=SIGNOTHING", 400, "SIGHUP"),
    ("POST", "/v1/programs/migrate/signal?signal=HUP", 409, "has no process (completed)"),
    ("POST", "/v1/programs/debug/reload", 409, "does not run (dormant)"),
    ("POST", "/v1/down?timeout=never", 400, "timeout is a time"),
    ("GET", "/v1/down", 405, ""),
])
def test_what_cannot_be_is_refused_in_words_and_changes_nothing(
        stack: tuple[App, Admin], method: str, path: str, status: int, words: str) -> None:
    app, admin = stack
    before = {name: (p["state"], p["wanted"], pids(p)) for name, p in admin.programs().items()}
    got, body = admin.ask(method, path)
    assert got == status and words in body.get("detail", ""), body
    after = {name: (p["state"], p["wanted"], pids(p)) for name, p in admin.programs().items()}
    assert after == before and app.returncode() is None


# ----------------------------------------------------------------------------- orders


def test_a_stopped_program_has_no_process_until_it_is_started(
        stack: tuple[App, Admin]) -> None:
    app, admin = stack
    was = pids(admin.programs()["db"])
    answer = admin.do("db", "stop", wait=10)
    assert (answer["changed"], answer["done"], answer["program"]["state"]) == \
        (True, True, "stopped")
    assert not any(procs.alive(pid) for pid in was)
    answer = admin.do("db", "stop", wait=10)
    assert (answer["changed"], answer["done"]) == (False, True), "twice is as once"
    answer = admin.do("db", "start", wait=10)
    assert (answer["changed"], answer["done"], answer["program"]["state"]) == \
        (True, True, "ready")
    now = pids(answer["program"])
    assert len(now) == 1 and now != was
    answer = admin.do("db", "start", wait=10)
    assert (answer["changed"], pids(answer["program"])) == (False, now)


def test_a_worker_that_is_stopped_refuses_requests_and_then_serves_again(
        stack: tuple[App, Admin]) -> None:
    app, admin = stack
    assert app.get("/hello").status == 200
    admin.do("hello", "stop", wait=10)
    assert app.get("/hello").status in (503, 404)
    admin.do("hello", "start", wait=10)
    assert app.get("/hello").status == 200


def test_a_restart_replaces_every_process_and_starts_what_was_stopped(
        stack: tuple[App, Admin]) -> None:
    app, admin = stack
    was = pids(admin.programs()["hello"])
    answer = admin.do("hello", "restart", wait=20)
    now = pids(answer["program"])
    assert answer["done"] and len(now) == 2 and not set(now) & set(was)
    assert not any(procs.alive(pid) for pid in was)
    admin.do("db", "stop", wait=10)
    assert admin.do("db", "restart", wait=10)["program"]["state"] == "ready"
    assert admin.do("migrate", "restart", wait=10)["program"]["state"] == "completed"
    status, body = admin.order("broken", "restart", wait=10)
    assert status == 409 and "exit code 1" in body["detail"], body


def test_without_waiting_an_order_is_answered_when_it_has_begun(nodey: Nodey) -> None:
    app = nodey(config=service("stubborn", STUBBORN, stop_grace_period="1500ms"))
    with Admin(app.folder) as admin:
        app.wait_log(r"\bset$")
        began = time.monotonic()
        answer = admin.do("stubborn", "stop")
        assert not answer["done"] and time.monotonic() - began < slow(0.5)
        assert answer["program"]["state"] == "stopping"
        status, body = admin.order("stubborn", "stop", wait="100ms")
        assert status == 504 and "still has processes" in body["detail"], body
        assert admin.do("stubborn", "stop", wait=10)["program"]["state"] == "stopped"
        assert time.monotonic() - began >= 1.4, "it had its grace period"


def test_a_reload_that_fails_says_why_and_the_old_version_goes_on(nodey: Nodey) -> None:
    app = nodey({"workers/picky.py": PICKY}, worker("picky"), args=["--no-watch"])
    with Admin(app.folder) as admin:
        old = app.get("/picky").body
        (app.folder / "bad").write_text("")
        status, body = admin.order("picky", "reload", wait=20)
        assert status == 409 and "runs the version before" in body["detail"], body
        assert body["detail"].count("does not start") == 1, body
        assert "cheese" in body["detail"], "the reason, in its own words"
        assert app.get("/picky").body == old
        (app.folder / "bad").unlink()
        answer = admin.do("picky", "reload", wait=20)
        assert answer["done"] and app.get("/picky").body != old


def test_who_cannot_start_is_told_of_to_whoever_waits(nodey: Nodey) -> None:
    app = nodey({"workers/picky.py": PICKY},
                worker("picky", max_restarts=1, failed_retry="1h"), args=["--no-watch"])
    with Admin(app.folder) as admin:
        admin.do("picky", "stop", wait=10)
        (app.folder / "bad").write_text("")
        status, body = admin.order("picky", "start", wait=20)
        assert status == 409 and "cheese" in body["detail"], body
        assert admin.programs()["picky"]["state"] == "failed"
        (app.folder / "bad").unlink()
        answer = admin.do("picky", "start", wait=20)
        assert answer["program"]["state"] == "ready", "now, and not when its pause is over"


def test_scaling_adds_and_removes_instances(stack: tuple[App, Admin]) -> None:
    app, admin = stack
    first = pids(admin.programs()["queue"])
    answer = admin.do("queue", "scale", instances=3, wait=10)
    assert answer["done"] and len(pids(answer["program"])) == 3
    assert pids(answer["program"])[0] == first[0], "what runs goes on"
    admin.do("queue", "scale", instances=1, wait=10)
    until(lambda: pids(admin.programs()["queue"]) == first, 10, "two have gone")
    assert admin.programs()["queue"]["wanted"] == 1


def test_a_fixed_port_is_for_one_instance(nodey: Nodey) -> None:
    app = nodey(config=service("web", SLEEP, port=1, healthcheck={"test": ["NONE"]}))
    with Admin(app.folder) as admin:
        status, body = admin.order("web", "scale", instances=2)
        assert status == 409 and 'port = "auto"' in body["detail"]
        assert admin.programs()["web"]["wanted"] == 1


def test_a_signal_reaches_the_whole_group_and_a_killed_one_comes_back(
        nodey: Nodey) -> None:
    app = nodey(config=service("trap", ["sh", "-c", "trap 'echo got it' USR1; "
                                        "echo set; while :; do sleep 0.05; done"]))
    with Admin(app.folder) as admin:
        app.wait_log(r"\bset$")
        assert admin.do("trap", "signal", signal="USR1")["signalled"] == 1
        app.wait_log("got it")
        was = pids(admin.programs()["trap"])
        admin.do("trap", "signal", signal=9)
        again = until(lambda: [p for p in pids(admin.programs()["trap"]) if p not in was], 10,
                      "another process")
        assert again and admin.programs()["trap"]["restarts"] == 1
        assert admin.programs()["trap"]["last_exit"]["signal"] == signal.SIGKILL


# ------------------------------------------------------------------- two admins at once


NAMES = ("one", "two", "three")


def test_a_thousand_orders_leave_what_a_model_says(nodey: Nodey) -> None:
    seed = int(os.environ.get("NODEY_SEED", "0")) or random.randrange(1 << 30)
    print(f"NODEY_SEED={seed}")
    dice = random.Random(seed)
    app = nodey(config="".join(service(name, SLEEP, restart="unless-stopped", backoff_min="10ms")
                               for name in NAMES))
    runs, wanted = dict.fromkeys(NAMES, True), dict.fromkeys(NAMES, 1)
    with Admin(app.folder) as first, Admin(app.folder) as second:
        for n in range(1000):
            admin, name = dice.choice((first, second)), dice.choice(NAMES)
            verb = dice.choice(("start", "stop", "restart", "scale", "reload", "signal"))
            parameters: dict[str, object] = {}
            if verb == "scale":
                parameters["instances"] = wanted[name] = dice.randint(1, 3)
            if verb == "signal":
                parameters["signal"] = "CONT"
            status, body = admin.order(name, verb, **parameters)
            was = runs[name]
            runs[name] = (was or verb in ("start", "restart")) and verb != "stop"
            allowed = (200,) if verb not in ("reload", "signal") else (200,) if verb == "reload" \
                and was else (200, 409)
            assert status in allowed, (n, name, verb, status, body)
            program = second.programs()[name]
            rests = program["state"] in ("stopped", "stopping")
            assert (not rests, program["wanted"]) == (runs[name], wanted[name]), (n, verb, program)
        settled(first, runs, wanted)
        assert remembered(app.folder) == {name for name in NAMES if not runs[name]}
        assert app.returncode() is None


def settled(admin: Admin, runs: dict[str, bool], wanted: dict[str, int]) -> None:
    """What is to run does so, in as many processes, and nothing else."""

    def check() -> bool:
        programs = admin.programs()
        return all(programs[name]["state"] == ("ready" if runs[name] else "stopped")
                   and len(pids(programs[name])) == (wanted[name] if runs[name] else 0)
                   for name in runs)

    until(check, 20, f"{runs} {wanted}; there is " + json.dumps(admin.programs())[:3000])


def remembered(folder: Path) -> set[str]:
    path = folder / ".nodey/state.json"
    return set(json.loads(path.read_text())["stopped"]) if path.exists() else set()


def test_admins_at_the_same_time_leave_one_consistent_state(nodey: Nodey) -> None:
    app = nodey(config="".join(service(name, SLEEP, restart="unless-stopped", backoff_min="10ms")
                               for name in NAMES))
    failures: list[str] = []

    def work(seed: int) -> None:
        dice = random.Random(seed)
        with Admin(app.folder) as admin:
            for _ in range(60):
                verb = dice.choice(("start", "stop", "restart", "scale", "reload"))
                parameters: dict[str, object] = {"wait": dice.choice((0, "20ms"))}
                if verb == "scale":
                    parameters["instances"] = dice.randint(1, 3)
                status, body = admin.order(dice.choice(NAMES), verb, **parameters)
                if status not in (200, 409, 504):
                    failures.append(f"{verb} {status} {body}")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with Admin(app.folder) as admin:
        programs = admin.programs()
        runs = {name: programs[name]["state"] not in ("stopped", "stopping") for name in NAMES}
        settled(admin, runs, {name: programs[name]["wanted"] for name in NAMES})
    assert remembered(app.folder) == {name for name in NAMES if not runs[name]}


ORDER = b"POST /v1/programs/stubborn/stop?wait=1h HTTP/1.1\r\nHost: n\r\n\r\n"


def test_who_waits_may_leave(nodey: Nodey) -> None:
    app = nodey(config=service("stubborn", STUBBORN, stop_grace_period="3s"))
    app.wait_log(r"\bset$")
    with Admin(app.folder) as admin:
        leaving = [Admin(app.folder) for _ in range(20)]
        for one in leaving:
            one.send(ORDER)
        admin.wait_state("stubborn", "stopping")
        time.sleep(0.2)  # Before that an end may be a client's who still listens.
        for one in leaving:
            one.close()
        with Admin(app.folder) as staying:
            assert staying.do("stubborn", "stop", wait=10)["done"], "nobody's answer but its own"
            for _ in range(50):
                assert staying.programs()["stubborn"]["state"] == "stopped"
                assert admin.get("/v1")["pid"] == app.pid


def test_nodey_may_end_while_somebody_waits(nodey: Nodey) -> None:
    app = nodey(config=service("stubborn", STUBBORN, stop_grace_period="2s"))
    app.wait_log(r"\bset$")
    waiting = [Admin(app.folder) for _ in range(3)]
    for one in waiting:
        one.send(ORDER)
    with Admin(app.folder) as admin:
        admin.wait_state("stubborn", "stopping")
        time.sleep(0.2)  # It has looked at what they wait for, several times.
        assert admin.programs()["stubborn"]["state"] == "stopping"
    assert app.stop(timeout=30) == 0
    for one in waiting:
        one.close()


# --------------------------------------------------------------- what lasts, what does not


def test_what_was_stopped_stays_so_in_the_next_run_if_it_is_unless_stopped(
        nodey: Nodey) -> None:
    config = service("keeps", SLEEP, restart="unless-stopped") + service("forgets", SLEEP)
    app = nodey(config=config)
    with Admin(app.folder) as admin:
        for name in ("keeps", "forgets"):
            admin.do(name, "stop", wait=10)
    path = app.folder / ".nodey/state.json"
    assert remembered(app.folder) == {"keeps"} and stat.S_IMODE(path.stat().st_mode) == 0o600
    app.kill()  # It is on the disk, and not only said at an orderly end.
    again = nodey(folder=app.folder)
    with Admin(app.folder) as admin:
        assert admin.wait_state("forgets", "ready") and admin.programs()["keeps"]["state"] == \
            "stopped"
        admin.do("keeps", "start", wait=10)
    assert remembered(app.folder) == set()
    again.stop()
    nodey(folder=app.folder)
    with Admin(app.folder) as admin:
        admin.wait_state("keeps", "ready")


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"stopped":7}', b"\x00\xff" * 500,
                                    b'{"stopped":["' + b"x" * 100 + b'",5,null,""]}',
                                    b"x" * (2 << 20)], ids=range(7))
def test_a_damaged_memory_costs_nothing_but_itself(nodey: Nodey, damage: bytes) -> None:
    config = service("keeps", SLEEP, restart="unless-stopped")
    app = nodey(config=config)
    app.stop()
    path = app.folder / ".nodey/state.json"
    path.write_bytes(damage)
    again = nodey(folder=app.folder)
    with Admin(app.folder) as admin:
        admin.wait_state("keeps", "ready")
        if not damage.startswith(b'{"stopped":['):
            assert re.search(r"state\.json (is damaged|cannot be read)", again.log())
        admin.do("keeps", "stop", wait=10)
    assert remembered(app.folder) == {"keeps"}


def test_a_memory_that_cannot_be_written_is_told_of_and_the_order_is_done(
        nodey: Nodey) -> None:
    app = nodey(config=service("keeps", SLEEP, restart="unless-stopped"))
    (app.folder / ".nodey/state.json").mkdir()
    with Admin(app.folder) as admin:
        assert admin.do("keeps", "stop", wait=10)["done"]
        admin.do("keeps", "start", wait=10)
        admin.do("keeps", "stop", wait=10)
    assert app.log().count("state.json cannot be written") == 1, "once is enough"
    assert [path.name for path in (app.folder / ".nodey").glob("state.json.*")] == []


# --------------------------------------------------------------------------- commands


def test_ps_shows_what_runs_and_with_a_what_rests(stack: tuple[App, Admin]) -> None:
    app, admin = stack
    admin.do("queue", "stop", wait=10)
    done = run(app.folder, "ps")
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[0][:4] == ["NAME", "KIND", "STATE", "READY"] and done.code == 0
    assert [line[:3] for line in lines[1:]] == [["hello", "worker", "ready"],
                                                ["db", "service", "ready"],
                                                ["broken", "service", "exited"]]
    assert lines[1][3] == "2/2" and "\x1b" not in done.out
    done = run(app.folder, "ps", "-a")
    states = {line.split()[0]: line.split()[2] for line in done.out.splitlines()[1:]}
    assert states == {"hello": "ready", "db": "ready", "queue": "stopped",
                      "migrate": "completed", "broken": "exited", "debug": "dormant"}
    assert "exit code 1" in done.out
    assert run(app.folder, "ps", "-q").out.split() == ["hello", "db", "broken"]
    assert run(app.folder, "ps", "-aq", ).code == 2, "words are not run together"
    assert run(app.folder, "ps", "queue").out.splitlines()[1].split()[2] == "stopped"
    done = run(app.folder, "ps", "hallo")
    assert done.code == 1 and 'did you mean "hello"' in done.err
    assert [p["name"] for p in json.loads(run(app.folder, "ps", "--format", "json").out)] == \
        ["hello", "db", "queue", "migrate", "broken", "debug"]
    assert run(app.folder, "ps", "--format", "xml").code == 2


def test_a_table_is_no_wider_than_the_terminal_and_coloured_there_alone(
        stack: tuple[App, Admin]) -> None:
    app, admin = stack
    for width in (30, 50, 80):
        with Terminal(app.folder, ["ps", "-a"], {"COLUMNS": str(width)}) as shown:
            assert shown.end() == 0
        assert "\x1b[32mready" in shown.seen and "\x1b[31mexited" in shown.seen
        plain = re.sub(r"\x1b\[[0-9;]*m", "", shown.seen).replace("\r", "")
        assert max(map(len, plain.splitlines())) <= width, plain
        assert "hello" in plain and "dormant" in plain, "what matters most stays"
    for words, env in ((["ps", "--no-color"], {}), (["ps"], {"NO_COLOR": "1"})):
        with Terminal(app.folder, words, env) as shown:
            assert shown.end() == 0
        assert "\x1b" not in shown.seen
        assert "rest: nodey ps -a" in shown.seen


def test_commands_give_orders_and_say_what_came_of_them(stack: tuple[App, Admin]) -> None:
    app, admin = stack
    done = run(app.folder, "stop", "db", "queue")
    assert (done.code, done.out) == (0, "db: stopped\nqueue: stopped\n"), done
    assert run(app.folder, "stop", "db").out == "db: stopped already\n"
    assert run(app.folder, "start", "db").out == "db: ready\n"
    assert run(app.folder, "restart", "queue").out == "queue: ready\n"
    assert run(app.folder, "scale", "queue", "2").out == "queue: 2 of 2 ready\n"
    assert run(app.folder, "scale", "queue=1", "db=2").code == 0
    assert (admin.programs()["queue"]["wanted"], admin.programs()["db"]["wanted"]) == (1, 2)
    assert run(app.folder, "reload", "hello").out == "hello: ready\n"
    until(lambda: len(pids(admin.programs()["hello"])) == 2, 10, "the old ones have gone")
    done = run(app.folder, "kill", "-s", "CONT", "hello")
    assert done.out == "hello: 2 processes got the signal\n"
    answer = json.loads(run(app.folder, "stop", "--format", "json", "db").out)
    assert answer["program"]["state"] == "stopped" and answer["done"] is True
    done = run(app.folder, "restart", "broken")
    assert (done.code, done.out) == (1, "") and "exit code 1" in done.err
    done = run(app.folder, "stop", "hallo", "queue")
    assert done.code == 1 and 'did you mean "hello"' in done.err
    assert done.out == "queue: stopped\n", "one that is wrong does not spare the others"
    assert run(app.folder, "stop", "--all").code == 0
    assert {p["state"] for p in admin.programs().values()} == \
        {"stopped", "completed", "exited", "dormant"}


@pytest.mark.parametrize("words", [
    ["stop"], ["restart"], ["kill"], ["scale", "db"], ["scale", "db", "many"], ["scale", "db", "-1"],
    ["scale", "db=two"], ["scale", "db", "queue"], ["kill", "-s", "NOTHING", "db"],
    ["stop", "--all", "db"], ["stop", "--wait-timeout", "soon", "db"], ["describe"],
    ["describe", "a", "b"], ["start", "--no-wait"], ["stats", "--format", "xml"],
    ["down", "-t", "x"], ["down", "now"], ["up", "--wait-timeout", "5s"],
])
def test_wrong_words_are_told_with_what_helps(tmp_path: Path, words: list[str]) -> None:
    done = run(tmp_path, *words)
    assert done.code == 2 and f"see nodey help {words[0]}" in done.err, done


def test_where_no_nodey_is_up_commands_say_so_with_a_code_of_its_own(tmp_path: Path) -> None:
    for words in (["ps"], ["stats"], ["top"], ["describe", "x"], ["start", "x"], ["stop", "x"],
                  ["restart", "x"], ["scale", "x", "2"], ["kill", "x"], ["reload"],
                  ["reload", "x"]):
        done = run(tmp_path, *words)
        assert done.code == 3 and done.err.startswith("nodey: no "), (words, done)
    done = run(tmp_path, "down")
    assert done.code == 0 and "nothing to stop" in done.out
    (tmp_path / "nodey.toml").write_text(service("db", SLEEP))
    assert "no nodey is up for nodey.toml" in run(tmp_path, "ps").err
    done = run(tmp_path, "down", "-f", "nowhere.toml")
    assert done.code == 3 and "nowhere.toml" in done.err, "a mistyped name is no success"


@pytest.mark.parametrize("words, told", [
    ([], r"deaf#0: did not end within 300 ms of SIGTERM: killed"),
    (["-t", "1s"], r"deaf#0: did not end within the time that was left: killed"),
])
def test_down_says_whom_it_killed(nodey: Nodey, words: list[str], told: str) -> None:
    grace = "1m" if words else "300ms"
    deaf = ["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"]
    app = nodey(config=service("deaf", deaf, stop_grace_period=grace)
                + service("good", ["sleep", "1000"]), exit_code=None)
    done = run(app.folder, "down", *words)
    assert done.code == 0 and told in done.out, done
    assert "good#0" not in done.out


def test_stats_has_the_columns_of_docker(nodey: Nodey) -> None:
    app = nodey(config=service("busy", ["sh", "-c", "while :; do :; done"])
                + service("idle", SLEEP, memory="64M"))
    done = run(app.folder, "stats", "--no-stream")
    head, *rows = [re.split(r"\s{2,}", line.strip()) for line in done.out.splitlines()]
    assert head == ["NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"]
    by_name = {row[0]: row for row in rows}
    assert float(by_name["busy#0"][1].rstrip("%")) > 20, "it burns what it gets"
    assert float(by_name["idle#0"][1].rstrip("%")) < 5
    assert by_name["idle#0"][2].endswith(" / 64.0MiB") and by_name["idle#0"][4] == "--"
    figures = {row["name"]: row for row in json.loads(
        run(app.folder, "stats", "--format", "json", "busy").out)}
    assert set(figures) == {"busy#0"} and figures["busy#0"]["cpu_percent"] > 20
    assert run(app.folder, "stats", "bussy").code == 1
    assert run(app.folder, "top").out.startswith("NAME"), "no terminal: as stats --no-stream"


def test_stats_goes_on_at_a_terminal_until_it_is_interrupted(stack: tuple[App, Admin]) -> None:
    app, admin = stack
    with Terminal(app.folder, ["stats", "hello"]) as shown:
        first = shown.wait_for(r"hello#1")
        shown.wait_for(r"\x1b\[\d+A.*hello#1", first)  # painted over
        shown.process.send_signal(signal.SIGINT)  # what Ctrl-C at a shell's terminal sends
        assert shown.end() == 0


def test_top_sorts_by_keys_and_gives_the_terminal_back(nodey: Nodey) -> None:
    app = nodey(config=service("busy", ["sh", "-c", "while :; do :; done"])
                + service("asleep", SLEEP) + service("broken", ["false"], restart="no"))
    for leave in ("q", "\x04"):
        with Terminal(app.folder, ["top"]) as shown:
            shown.wait_for(r"\x1b\[\?1049h")
            at = shown.wait_for(r"by CPU.*busy#0.*asleep#0.*broken +\S*exited", seconds=20)
            shown.type("n")
            at = shown.wait_for(r"by name.*asleep#0.*busy#0", at)
            shown.type("m")
            shown.wait_for(r"by memory", at)
            shown.type(leave)
            assert shown.end() == 0
        assert shown.seen.rstrip().endswith("\x1b[?25h\x1b[?1049l")


def test_top_gives_the_terminal_back_when_it_is_ended_or_nodey_goes(
        stack: tuple[App, Admin]) -> None:
    app, admin = stack
    with Terminal(app.folder, ["top"]) as shown:
        shown.wait_for("hello#0")
        shown.process.send_signal(signal.SIGTERM)
        assert shown.end() == 0
        assert "\x1b[?1049l" in shown.seen
    with Terminal(app.folder, ["top"]) as shown:
        shown.wait_for("hello#0")
        app.stop()
        assert shown.end() == 3
        assert shown.seen.index("\x1b[?1049l") < shown.seen.index("does not answer any more")


def test_describe_tells_all_but_secrets(stack: tuple[App, Admin]) -> None:
    app, admin = stack
    done = run(app.folder, "describe", "db")
    assert done.code == 0 and "correct-horse" not in done.out
    for pattern in (r"^name +db$", r"^state +ready$", r"^command +sleep 1000$",
                    r"DB_PASSWORD=\*\*\*", r"MODE=fast", r"^restart +unless-stopped$",
                    r"^stops by +SIGTERM, then SIGKILL after 10s$", r"^db#0 +ready +\d+"):
        assert re.search(pattern, done.out, re.M), (pattern, done.out)
    assert "GET /hello" in run(app.folder, "describe", "hello").out
    assert json.loads(run(app.folder, "describe", "--format", "json", "db").out)["name"] == "db"
    done = run(app.folder, "describe", "hallo")
    assert done.code == 1 and 'did you mean "hello"' in done.err


# ---------------------------------------------------------------------------- what it costs


def test_ps_is_quick_with_a_hundred_programs(nodey: Nodey) -> None:
    app = nodey(config="".join(service(f"s{n}", SLEEP) for n in range(100)))
    with Admin(app.folder) as admin:
        until(lambda: all(p["state"] == "ready" for p in admin.programs().values()), 30,
              "all are ready")
    took = []
    for _ in range(7):
        began = time.monotonic()
        done = run(app.folder, "ps")
        took.append(time.monotonic() - began)
        assert len(done.out.splitlines()) == 101
    print(f"nodey ps with 100 programs: {sorted(took)[0] * 1000:.1f} ms at best, "
          f"{sorted(took)[3] * 1000:.1f} ms in the middle")
    if not app.sanitized:
        assert sorted(took)[0] < slow(0.05), took


def test_an_idle_nodey_does_not_wake_up_whatever_was_asked_before(nodey: Nodey) -> None:
    app = nodey(config=service("idle", SLEEP))
    run(app.folder, "stats", "--no-stream")
    run(app.folder, "restart", "idle")
    run(app.folder, "ps")

    def switches() -> int:
        status = Path(f"/proc/{app.pid}/status").read_text()
        return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.M).group(1))

    def wakes() -> int:
        before = switches()
        time.sleep(2)
        return switches() - before

    counts: list[int] = []
    until(lambda: counts.append(wakes()) or counts[-1] <= 1, 20, f"it sleeps: {counts}")
