"""A request that ends whoever works on it is refused, instead of going round the pool."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Callable

import pytest

import command
import procs
import reports
from app import App
from timing import slow, until
from workers import evil, script

pytestmark = pytest.mark.outside

Nodey = Callable[..., App]

# Restarts without a pause, so that a test need not wait for the next victim.
QUICK = {"backoff_min": "1ms", "backoff_max": "5ms"}


def poison(app: App, path: str = "/shop/exit", body: bytes = b"poison") -> int:
    """One request to a pool that stands: its status."""
    app.wait_workers(1, "shop")
    return app.post(path, body).status


def test_the_third_worker_is_the_last_that_it_ends(nodey: Nodey) -> None:
    app = nodey(files=reports.python("shop"), config=script("shop", **QUICK))
    assert [poison(app) for _ in range(3)] == [502, 502, 502]
    before = app.wait_workers(1, "shop")
    begun = time.monotonic()
    answer = app.post("/shop/exit", b"poison")
    assert time.monotonic() - begun < slow(0.5), "it is answered at once"
    assert answer.status == 500 and answer.headers["content-type"] == "application/problem+json"
    report = reports.wait_report(app, "shop", lambda r: r.get("quarantine"))
    assert answer.json()["incident"] == report["id"]
    assert "ended 3 workers in a row" in answer.json()["detail"]
    assert report["id"] in answer.json()["detail"]
    assert app.worker_pids("shop") == before, "nobody has died of it"
    assert report["quarantine"][0]["what"] == "POST /shop/exit"
    assert report["quarantine"][0]["deaths"] == 3
    assert "is answered with 500 until" in command.run(app.folder, "why", "shop").out


def test_others_are_served_meanwhile(nodey: Nodey) -> None:
    app = nodey(files=reports.python("shop"), config=script("shop", **QUICK))
    for _ in range(3):
        poison(app)
    assert poison(app) == 500
    assert app.get("/shop/hello").text == "hello"
    assert app.post("/shop/exit", b"harmless").status == 200, "another body is another request"
    assert app.post("/shop/exit?x=1", b"harmless").status == 200


def test_it_is_told_once(nodey: Nodey) -> None:
    app = nodey(files=reports.python("shop"), config=script("shop", **QUICK))
    for _ in range(12):
        poison(app)
    assert len(re.findall(r"POST /shop/exit ended 3 workers in a row: refused", app.log())) == 1


def test_a_get_is_tried_twice_and_counts_twice(nodey: Nodey, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    app = nodey(config=evil(words=(f"journal={journal}",), instances=2, **QUICK))
    assert app.get("/evil?do=exit&id=poison").status == 502
    app.wait_workers(2, "evil")
    answer = app.get("/evil?do=exit&id=poison")
    assert answer.status == 502 and answer.json()["incident"]
    assert journal.read_text().count("poison") == 3, "the third death is not tried again"
    app.wait_workers(2, "evil")
    assert app.get("/evil?do=exit&id=poison").status == 500
    assert journal.read_text().count("poison") == 3


def test_what_is_answered_in_between_is_innocent(nodey: Nodey, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    app = nodey(files=reports.python("shop"), config=script("shop", quarantine=2, **QUICK))
    for _ in range(3):  # a fourth within ten seconds would open the route
        flag.touch()
        assert poison(app, f"/shop/exitif?flag={flag}") == 502
        flag.unlink()
        app.wait_workers(1, "shop")
        assert app.post(f"/shop/exitif?flag={flag}", b"poison").text == "stayed"


def test_who_stood_beside_it_is_acquitted(nodey: Nodey) -> None:
    """Of an async worker's requests all are suspected, and those that are answered are not."""
    app = nodey(files=reports.asynchronous("chat"), config=script("chat", **QUICK))
    for _ in range(2):
        app.wait_workers(1, "chat")
        until(lambda: app.get("/chat/hello").status == 200, 5, "it serves")
        beside = app.open_request("GET", "/chat/wait")
        time.sleep(0.1)
        app.get("/chat/exit")
        beside.close()
    app.wait_workers(1, "chat")
    assert app.get("/chat/exit").status == 500
    assert app.get("/chat/hello").text == "hello"


def test_a_new_version_is_asked_again(nodey: Nodey) -> None:
    app = nodey(files=reports.python("shop"), config=script("shop", **QUICK))
    for _ in range(3):
        poison(app)
    assert poison(app) == 500
    source = app.folder / "workers" / "shop.py"
    source.write_text(source.read_text().replace('os._exit(5)', 'return "cured"'))
    before = app.wait_workers(1, "shop")
    assert command.run(app.folder, "reload").code == 0
    app.wait_workers(1, "shop", without=before)
    until(lambda: app.post("/shop/exit", b"poison").text == "cured", 5, "it is asked again")


def test_off_means_off(nodey: Nodey) -> None:
    app = nodey(files=reports.python("shop"), config=script("shop", quarantine=0, **QUICK))
    assert {poison(app) for _ in range(7)} == {502}


def test_one_is_enough_when_one_is_said(nodey: Nodey) -> None:
    app = nodey(files=reports.python("shop"), config=script("shop", quarantine=1, **QUICK))
    assert [poison(app), poison(app)] == [502, 500]


def test_a_request_that_freezes_workers_is_refused_too(nodey: Nodey) -> None:
    app = nodey(files=reports.python("shop"),
                config=script("shop", quarantine=2, timeout="300ms", kill_after="100ms",
                              stop_grace_period="100ms", **QUICK))
    for _ in range(2):
        before = app.wait_workers(1, "shop")
        assert app.get("/shop/busy").status == 504
        app.wait_workers(1, "shop", without=before)
    until(lambda: app.get("/shop/busy").status == 500, 10, "it is refused")
    assert app.get("/shop/hello").text == "hello"
    report = reports.wait_report(app, "shop", lambda r: r.get("quarantine"))
    assert report["reason"] == "stuck" and report["requests"][0]["what"] == "GET /shop/busy"


def test_a_route_that_ends_four_workers_in_ten_seconds_is_opened(nodey: Nodey) -> None:
    """W14: each time another request, so that none of them is to blame alone."""
    app = nodey(files=reports.python("shop"), config=script("shop", quarantine=3, **QUICK))
    refused = None
    for n in range(6):
        app.wait_workers(1, "shop")
        answer = app.get(f"/shop/item/{n}")
        if answer.status == 500:
            refused = answer
            break
        assert answer.status == 502
    assert refused and n == 2, "two of each are ended: the route is refused after the fourth"
    assert "requests like this one ended more than 3 workers within 10 s" in refused.text
    assert app.get("/shop/hello").text == "hello"
    assert re.search(r"requests like GET /shop/item/1 ended more than 3 workers", app.log())
    until(lambda: app.get("/shop/item/99").status == 502, 15, "it is asked again later")


def test_kills_from_outside_under_load_quarantine_nobody(nodey: Nodey) -> None:
    """W1: what is answered in between stays innocent, however often somebody kills."""
    from checks import kill
    from load import Load, echo

    app = nodey(config=evil(instances=3, **QUICK))
    with Load(app.port, echo("/evil", posts=0), connections=8) as load:
        until(lambda: load.done() > 50, 5, "the load has begun")
        for n in range(8):
            pids = app.worker_pids("evil")
            if pids:
                kill([pids[n % len(pids)]])
            time.sleep(0.25)
    load.outcome.require("ok", at_least=200)
    assert "in a row: refused" not in app.log()


def test_an_ask_that_ends_workers_is_refused_too(nodey: Nodey) -> None:
    source = ("import os, nodey\n"
              "@nodey.token('Die')\n"
              "def die(args):\n"
              "    os._exit(6)\n")
    app = nodey(files={"workers/grave.py": source}, config=script("grave", **QUICK))
    for _ in range(3):
        app.wait_workers(1, "grave")
        done = command.run(app.folder, "ask", "Die", '{"x": 1}')
        assert done.code == 1 and "ended while it handled this" in done.err, done
    before = app.wait_workers(1, "grave")
    done = command.run(app.folder, "ask", "Die", '{"x": 1}')
    assert done.code == 1 and "ended 3 workers in a row" in done.err, done
    assert app.worker_pids("grave") == before


def test_a_stream_that_is_under_way_is_not_suspected(nodey: Nodey) -> None:
    """Clients come back with the same request again and again, whoever ends the worker."""
    from checks import kill
    from client import request_bytes

    source = ("import asyncio, nodey\n"
              "@nodey.get('/news')\n"
              "async def news(req):\n"
              "    async def ticks():\n"
              "        while True:\n"
              "            yield 'tick'\n"
              "            await asyncio.sleep(0.05)\n"
              "    return nodey.sse(ticks())\n")
    app = nodey(files={"workers/press.py": source}, config=script("press", **QUICK))
    for _ in range(5):
        [pid] = app.wait_workers(1, "press")
        with app.connect() as connection:
            connection.send(request_bytes("GET", "/news"))
            connection._until(b"tick")
            kill([pid])
            until(lambda: not procs.alive(pid), 5, "it is gone")
    assert "refused" not in app.log()
