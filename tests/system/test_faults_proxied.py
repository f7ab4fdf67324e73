"""Requests at a service that does not answer: what it costs who asked, and who must end."""

from __future__ import annotations

import signal
import time
from typing import Any, Callable

import pytest

from admin import Admin
from app import App
from checks import kill, wait_gone
from timing import slow, until
from wicked import running, say, serving, wait_running, wicked

pytestmark = pytest.mark.outside

Nodey = Callable[..., App]

CHECKED = {"path": "/w", "interval": "200ms", "start_interval": "50ms", "timeout": "300ms",
           "retries": 2}


def start(nodey: Nodey, route: str = "", **settings: Any) -> App:
    app = nodey(config=wicked("service", stop_grace_period="300ms", **settings) + route)
    until(lambda: serving(app), 10, "it serves")
    return app


def test_a_request_that_hangs_holds_up_a_replacement_for_its_time_only(nodey: Nodey) -> None:
    """Draining: the route lets it wait for a minute, but whoever is replaced ends in a second."""
    app = start(nodey, 'timeout = "1m"\n', timeout="1s")
    before = wait_running(app, 1)
    with app.open_request("POST", "/w?do=slow&ms=60000", b"x") as connection:
        time.sleep(0.2)
        begun = time.monotonic()
        with Admin(app.folder) as admin:
            admin.do("w", "reload")
        until(lambda: set(running(app)) - set(before), 10, "the new one runs beside it")
        assert set(before) <= set(running(app)), "it has its time"
        wait_gone(before, 8, "the old one")
        took = time.monotonic() - begun
        assert connection.read_response().status == 502
    say("W9", "from the reload to the end of who hangs (1000 + 300)", 1000 * took)
    assert 1 <= took < 1.3 + slow(1.5)
    assert app.get("/w?id=1").text == "1"


def test_what_a_frozen_one_was_doing_is_not_done_again(nodey: Nodey) -> None:
    """What froze one may freeze the next, a GET, too."""
    app = start(nodey, instances=2, healthcheck=CHECKED)
    before = wait_running(app, 2)
    for n in range(20):  # retries have a budget, a tenth of what went well: it is not that
        assert app.get(f"/w?id={n}").status == 200
    with app.open_request("GET", "/w?do=slow&ms=60000") as connection:
        time.sleep(0.3)
        kill(before, signal.SIGSTOP)  # whichever of them has it
        begun = time.monotonic()
        assert connection.read_response().status == 502
        say("W3", "the 502 of a GET that was begun", 1000 * (time.monotonic() - begun))
        assert time.monotonic() - begun < slow(4)
    wait_running(app, 2, without=before)
