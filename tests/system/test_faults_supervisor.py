"""Faults S1 to S8 of tests/FAULTS.md: nodey's own end, its reloads, and two at a time."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from typing import Any, Callable

import pytest

import command
import procs
from admin import Admin
from app import App
from checks import Baseline, wait_run_gone
from client import Connection, parse_head
from load import Load, echo
from programs import free_port, section, service
from timing import slow, until
from wicked import KINDS, running, say, serving, wait_running, wicked
from ws import WebSocket

pytestmark = pytest.mark.outside

Nodey = Callable[..., App]


# ------------------------------------------------------------------ S1, S8: SIGKILL


# A process, its child, one in a session of its own, and one whose parent is gone.
TREE = "sleep 3600 & setsid sleep 3600 & setsid sh -c 'sleep 3600 & echo grown'; wait"


@pytest.mark.long
def test_sigkill_leaves_nothing_behind_100_of_100_times(nodey: Nodey) -> None:
    """S1: at any moment from the first start on."""
    rng = random.Random(1)
    took = []
    for _ in range(100):
        app = nodey(config=service("tree", ["sh", "-c", TREE], instances=3), wait=False)
        time.sleep(rng.uniform(0, 0.25))  # Any moment will do.
        begun = time.monotonic()
        app.kill()
        wait_run_gone(app.run, 3)
        took.append(time.monotonic() - begun)
    say("S1", "until nothing is left, the longest of 100", 1000 * max(took))


@pytest.mark.parametrize("kind", KINDS)
def test_sigkill_under_load_takes_along_whatever_was_begun(nodey: Nodey, kind: str) -> None:
    """S1: workers within a second, whatever they have left behind within three."""
    app = nodey(config=wicked(kind, "noterm", instances=2))
    pids = wait_running(app, 2)
    for how in ("child", "session", "daemon"):
        assert procs.alive(int(app.get(f"/w?do={how}").text))
    load = Load(app.port, echo("/w", largest=2000), connections=4, seconds=20).start()
    until(lambda: load.done() > 50, 10, "the load has begun")
    begun = time.monotonic()
    app.kill()
    until(lambda: not any(map(procs.alive, pids)), 1, "the workers are gone")
    say("S1", "until the workers are gone", 1000 * (time.monotonic() - begun))
    wait_run_gone(app.run, 3)
    say("S1", "until all is gone", 1000 * (time.monotonic() - begun))
    assert not load.stop().unlike("ok", "cut", "unsent")


def test_after_sigkill_a_fixed_port_is_free_for_the_same_service(nodey: Nodey) -> None:
    """S8: the next nodey needs no help, neither with the lock nor with the socket or port."""
    config = wicked("service", port=free_port())
    first = nodey(config=config)
    until(lambda: serving(first), 10, "it serves")
    old = running(first)
    first.kill()
    second = nodey(folder=first.folder)
    until(lambda: serving(second), 10, "it serves again")
    assert not set(running(second)) & set(old)
    with Admin(second.folder) as admin:
        assert admin.program("w")["restarts"] == 0, "the port was taken at first"


# ------------------------------------------------------------------ S2, S3: the orderly end


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_the_end_under_load_loses_nothing_that_was_sent(nodey: Nodey, kind: str,
                                                        sig: int) -> None:
    """S2, S3: from a terminal the whole group gets the signal, and workers go on all the same."""
    app = nodey(config=wicked(kind, instances=3))
    wait_running(app, 3)
    load = Load(app.port, echo("/w", largest=20000), connections=8, seconds=30).start()
    until(lambda: load.done() > 100, 10, "the load has begun")
    with app.open_request("POST", "/w?do=slow&ms=700", b"the last one") as connection:
        time.sleep(0.2)  # It cannot be seen from outside when nodey has it.
        begun = time.monotonic()
        if sig == signal.SIGINT:
            os.killpg(app.pid, sig)
        else:
            app.signal(sig)
        answer = connection.read_response()
        assert (answer.status, answer.body) == (200, b"the last one")
        assert answer.headers["connection"].lower() == "close"
    assert app.wait_exit(20) == 0
    took = time.monotonic() - begun
    say("S2", "the end, with a request of 700 ms", 1000 * took)
    # Connections that nodey keeps to a service must not keep the service.
    assert took < slow(2)
    outcome = load.stop()
    lost = outcome.lost_after(begun)
    assert not lost, [(r.outcome, r.detail, r.shot.target) for r in lost[:5]]
    assert not outcome.unlike("ok", "unsent", "cut", "refused"), outcome.counts()


# ------------------------------------------------------------------ S4: reloads


LIVE_PY = '''
import asyncio
import nodey

@nodey.get("/py")
async def echo(req):
    return req.query["id"]

@nodey.get("/py/sse")
async def events():
    async def ticks():
        for n in range(100000):
            yield str(n)
            await asyncio.sleep(0.02)
    return nodey.sse(ticks())

@nodey.ws("/py/ws")
async def talk(socket):
    async for message in socket:
        await socket.send(message)
'''

LIVE_JS = '''
const nodey = require('nodey');
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

nodey.get('/js', (req) => req.query.id);
nodey.get('/js/sse', () => nodey.sse(async function* () {
    for (let n = 0; n < 100000; n++) {
        yield String(n);
        await pause(20);
    }
}()));
nodey.ws('/js/ws', async (socket) => {
    for await (const message of socket) await socket.send(message);
});
'''

PATHS = ("/py", "/js")


def live(turn: int) -> str:
    return "".join(section("workers", suffix, {"script": f"workers/live.{suffix}", "instances": 2,
                                               "env": {"ROUND": str(turn)}})
                   for suffix in ("py", "js"))


def open_streams(app: App, word: str) -> tuple[list[WebSocket], list[Connection]]:
    """A WebSocket and an event stream of each language, in the middle of what they do."""
    sockets = [WebSocket(app.port, f"{path}/ws") for path in PATHS]
    streams = [app.open_request("GET", f"{path}/sse") for path in PATHS]
    for ws in sockets:
        ws.send(word)
        assert ws.next() == ("text", word)
    for stream in streams:
        assert parse_head(stream._until(b"\r\n\r\n"))[0] == 200
    return sockets, streams


def check_farewell(ws: WebSocket) -> None:
    """The old process says goodbye, with the code by which a page knows to come again."""
    assert ws.next()[:2] == ("close", 1001), "the connection broke"
    ws.close(1001)
    assert ws.rest() == [("eof",)]
    ws.drop()


def check_whole(stream: Connection) -> None:
    """Every event from the first to one that is whole, and then the end that is one."""
    events = stream._chunks().decode().strip().split("\n\n")
    assert events == [f"data: {n}" for n in range(len(events))] and events
    stream.close()


@pytest.mark.long
def test_twenty_reloads_under_load_lose_no_request_and_cut_no_stream(nodey: Nodey) -> None:
    """S4: what is open stays so until its process has been told, and then ends in good order."""
    app = nodey({"workers/live.py": LIVE_PY, "workers/live.js": LIVE_JS}, config=live(0))
    app.wait_workers(4)
    loads = [Load(app.port, echo(path, posts=0), connections=4, seconds=120).start()
             for path in PATHS]
    begun = time.monotonic()
    for turn in range(1, 21):
        sockets, streams = open_streams(app, str(turn))
        (app.folder / "nodey.toml").write_text(live(turn))
        done = command.run(app.folder, "reload")
        assert done.code == 0, done
        for ws in sockets:
            check_farewell(ws)
        for stream in streams:
            check_whole(stream)
    say("S4", "20 reloads of four workers", 1000 * (time.monotonic() - begun))
    for load in loads:
        load.stop().require("ok", at_least=200)
        say("S4", "answers meanwhile, all of them good", load.done(), "answers")
    app.wait_workers(4)


# ------------------------------------------------------------------ S5: reloads of what is bad


BAD = {
    "syntax": "[workers.w\n",
    "an unknown key": '[workers.w]\nscript = "workers/w.py"\nno_such_key = 1\n',
    "a bad value": '[workers.w]\nscript = "workers/w.py"\ntimeout = "soon"\n',
    "a missing script": '[workers.w]\nscript = "workers/missing.py"\n',
    "a missing file of variables": '[services.w]\ncommand = "sleep 9"\nenv_file = "missing.env"\n',
    "a route to nobody": '[services.w]\ncommand = "sleep 9"\n\n'
                         '[[routes]]\npath = "/x"\nto = "nobody"\n',
    "a circle": '[services.a]\ncommand = "sleep 9"\ndepends_on = ["b"]\n'
                '[services.b]\ncommand = "sleep 9"\ndepends_on = ["a"]\n',
}

VOLATILE = ("served", "inflight", "uptime_ms", "usage", "queue", "state", "ready", "settled")


def lasting(value: Any) -> Any:
    """What only an order or a reload may change."""
    if isinstance(value, dict):
        return {key: lasting(item) for key, item in value.items() if key not in VOLATILE}
    return [lasting(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_a_bad_configuration_is_refused_whole_everywhere(nodey: Nodey, bad: str) -> None:
    """S5: `check`, `reload`, SIGHUP and the control socket say where; nothing has changed."""
    app = nodey(config=wicked("node", instances=2))
    wait_running(app, 2)
    config = app.folder / "nodey.toml"
    with Admin(app.folder) as admin:
        before = lasting(admin.get("/v1/programs"))
        with Load(app.port, echo("/w", posts=0), connections=2) as load:
            until(lambda: load.done() > 20, 10, "the load has begun")
            config.write_text(bad)
            for verb in ("check", "reload"):
                done = command.run(app.folder, verb)
                assert done.code not in (0, None) and "nodey.toml:" in done.err, done
            status, body = admin.ask("POST", "/v1/reload")
            assert status == 422 and "nodey.toml:" in body["detail"], body
            start = len(app.log())
            app.signal(signal.SIGHUP)
            app.wait_log(r"nodey\.toml:\d+:\d+: .*; nothing has changed", start=start)
            done_before = load.done()
            until(lambda: load.done() > done_before + 20, 10, "the load goes on")
        assert lasting(admin.get("/v1/programs")) == before
    load.outcome.require("ok", at_least=40)


# ------------------------------------------------------------------ S6: many reloads


@pytest.mark.parametrize("kind", KINDS)
def test_fifty_reloads_in_a_second_have_two_generations_at_most(nodey: Nodey, kind: str) -> None:
    """S6: 2N + 1 besides those on their way out, counted all the while; at the end N, all new."""
    count = 3

    def version(turn: int) -> str:
        return wicked(kind, f"turn={turn}", instances=count)

    app = nodey(config=version(0))
    wait_running(app, count)
    calm = Baseline(app)
    most, alive, ended = [0], [0], threading.Event()

    def watch() -> None:
        with Admin(app.folder) as admin:
            while not ended.is_set():
                states = [place["state"] for place in admin.programs()["w"]["instances"]]
                most[0] = max(most[0], len(states) - states.count("draining"))
                alive[0] = max(alive[0], len(running(app)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with Load(app.port, echo("/w", posts=0), connections=2) as load:
            for turn in range(1, 51):
                (app.folder / "nodey.toml").write_text(version(turn))
                app.signal(signal.SIGHUP)
                time.sleep(0.02)
            until(lambda: {procs.environ(pid).get("WICKED") for pid in running(app)}
                  == {"turn=50"}, 20, "the last version alone")
    finally:
        ended.set()
        watcher.join()
    say("S6", f"that serve or get ready, at most, of {count}", most[0], "processes")
    say("S6", f"with those on their way out, at most, of {count}", alive[0], "processes")
    load.outcome.require("ok", at_least=20)
    wait_running(app, count)
    assert most[0] <= 2 * count + 1
    assert alive[0] <= 3 * count + 1
    calm.check(extra_fds=2)


# ------------------------------------------------------------------ S7: two at a time


def test_a_second_nodey_in_the_folder_is_refused_and_names_the_first(nodey: Nodey) -> None:
    """S7: also with other ports; before it has started anything."""
    port = free_port()
    first = nodey(config=wicked("service", port=port))
    until(lambda: serving(first), 10, "it serves")
    before = running(first)
    second = nodey(folder=first.folder, wait=False, exit_code=None)
    assert second.wait_exit(10) not in (0, None)
    assert str(first.pid) in second.log(), second.log()
    assert not procs.of_run(second.run)
    assert running(first) == before and serving(first)
