"""depends_on: what starts after what, what fails, what stops first; profiles."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Callable

import command
import pytest
from app import ROOT, App
from programs import Value, section, service
from timing import until

pytestmark = pytest.mark.outside

Nodey = Callable[..., App]

SERVED = [sys.executable, "-S", "-E", str(ROOT / "tests" / "workers" / "served.py")]
WEB = ("import nodey\n\n\n@nodey.get('/web')\ndef web(request):\n    return 'here'\n")


def served(name: str, *words: str, **settings: Value) -> str:
    return service(name, [*SERVED, *words], port="auto", **settings)


def shell(name: str, script: str, **settings: Value) -> str:
    return service(name, ["sh", "-c", script], **settings)


def web(**settings: Value) -> str:
    return section("workers", "web", {"script": "workers/web.py", "instances": 1, **settings})


def on(name: str, condition: str, **more: bool) -> dict[str, dict[str, Value]]:
    return {name: {"condition": condition, **more}}


def at(app: App, pattern: str) -> int:
    """Where in the log that stands, first."""
    return app.wait_log(pattern).start()


def test_it_waits_until_the_other_is_healthy(nodey: Nodey) -> None:
    app = nodey({"workers/web.py": WEB}, served("db", "late=0.7") +
                web(depends_on=on("db", "service_healthy")))
    assert app.get("/web").body == b"here"
    assert at(app, "web waits until db is ready") < at(app, r"db#0 \| listening")
    assert "web#0" not in app.log()[:at(app, r"db#0 \| listening")]


def test_a_dependency_that_is_missing_at_first_is_waited_for(nodey: Nodey) -> None:
    """O3: it waits and retries."""
    app = nodey({"workers/web.py": WEB, "left": "2"}, served("db", "fail=left") +
                web(depends_on=on("db", "service_healthy")))
    until(lambda: app.get("/web").status == 200, 20, "it is served")
    assert app.log().count("db#0 error: exited with status 1") == 2
    assert (app.folder / "left").read_text() == "0"


def test_started_is_less_than_healthy(nodey: Nodey) -> None:
    app = nodey({"workers/web.py": WEB}, served("db", "late=3") + web(depends_on=["db"]),
                wait=False)
    app.wait_log("web waits until db has started|the port opens when db is ready", 10)
    until(lambda: command.run(app.folder, "call", "web", "GET /web").out.strip() == "here", 10,
          "the worker answers")
    assert "listening" not in app.log()
    app.wait_ready()


def test_a_migration_runs_before_the_rest(nodey: Nodey) -> None:
    app = nodey({"workers/web.py": WEB},
                shell("migrate", "sleep 0.5; echo migrated", restart="on-failure") +
                web(depends_on=on("migrate", "service_completed_successfully")))
    assert app.get("/web").body == b"here"
    assert at(app, "migrate#0 has done its work") < at(app, "nodey ready on")
    assert app.log().count("| migrated") == 1


def test_a_migration_that_fails_holds_back_who_needs_it_alone(nodey: Nodey) -> None:
    app = nodey({"workers/web.py": WEB, "workers/free.py": WEB.replace("/web", "/free")},
                shell("migrate", "echo 'table Error' >&2; test -e fixed", restart="no") +
                web(depends_on=on("migrate", "service_completed_successfully")) +
                section("workers", "free", {"script": "workers/free.py", "instances": 1}))
    assert app.get("/free").status == 200
    refused = app.get("/web")
    assert refused.status in (404, 503)  # its routes are not known yet
    told = "web error: it is not started: it waits until migrate has completed: service migrate has " \
           r"ended, and is not to be started again \(exited with status 1\)"
    app.wait_log(told)
    time.sleep(0.5)
    assert len(re.findall(told, app.log())) == 1
    (app.folder / "fixed").touch()
    assert command.run(app.folder, "start", "migrate").code == 0
    until(lambda: app.get("/web").status == 200, 10, "it is served")


def test_what_is_not_required_may_fail(nodey: Nodey) -> None:
    app = nodey({"workers/web.py": WEB}, shell("extra", "exit 1", restart="no", port="auto") +
                web(depends_on=on("extra", "service_healthy", required=False)))
    assert app.get("/web").status == 200


def test_a_restart_takes_along_who_wants_it(nodey: Nodey) -> None:
    app = nodey(config=served("db") + served("one", depends_on=on("db", "service_healthy",
                                                                  restart=True)) +
                served("two", depends_on=on("db", "service_healthy")))
    assert command.run(app.folder, "restart", "db").code == 0
    until(lambda: app.log().count("one#0 | listening") == 2, 10, "it is started again")
    assert app.log().count("two#0 | listening") == 1
    assert app.log().rindex("db#0 | listening") < app.log().rindex("one#0 | listening")


@pytest.mark.parametrize("how", ["SIGTERM", "down"])
def test_who_depends_stops_first(nodey: Nodey, how: str) -> None:
    app = nodey(config=served("db") + served("api", depends_on=on("db", "service_healthy")) +
                served("front", depends_on=["api"]))
    if how == "down":
        assert command.run(app.folder, "down").code == 0
        app.wait_exit()
    else:
        app.stop()
    assert re.findall(r"(\w+)#0 \| stopping", app.log()) == ["front", "api", "db"]


def test_the_way_down_has_an_end(nodey: Nodey) -> None:
    """Who ignores its signal may not cost the others theirs."""
    app = nodey(config='[server]\nshutdown_timeout = "4s"\n' + served("db") +
                served("api", "deaf", depends_on=on("db", "service_healthy")))
    begun = time.monotonic()
    app.stop()
    assert time.monotonic() - begun < 6
    assert "db#0 | stopping" in app.log()


def test_profiles_and_what_they_need(nodey: Nodey) -> None:
    config = (served("always") + served("debug", profiles=["debug"], depends_on=["needed"]) +
              served("needed", profiles=["other"]) + served("rare", profiles=["rare"]))
    app = nodey(config=config)
    assert set(re.findall(r"(\w+)#0 \| listening", app.log())) == {"always"}
    app.stop()
    app = nodey(config=config, args=["--profile", "debug"])
    assert set(re.findall(r"(\w+)#0 \| listening", app.log())) == {"always", "debug", "needed"}


def test_those_that_are_named_and_what_they_need(nodey: Nodey) -> None:
    app = nodey(config=served("a", depends_on=["b"]) + served("b") + served("c"), args=["a"])
    assert set(re.findall(r"(\w+)#0 \| listening", app.log())) == {"a", "b"}


@pytest.mark.parametrize("config, told", [
    (served("db") + served("a", depends_on=["bd"]),
     'nodey.toml:8:15: depends_on "bd": there is no worker or service of that name; did you mean '
     '"db"?'),
    (served("a", depends_on=["b"]) + served("b", depends_on=["a"]),
     "nodey.toml:9:15: these wait for each other, and none would ever start: a -> b -> a"),
])
def test_mistakes_are_told_with_their_place(tmp_path: Path, config: str, told: str) -> None:
    (tmp_path / "nodey.toml").write_text(config)
    done = command.run(tmp_path, "check")
    assert done.code != 0
    assert told in done.err, done
