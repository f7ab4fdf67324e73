"""`nodey reload NAME`: another version takes over, and nobody who is served notices."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from typing import Callable

import command
import procs
import pytest
from admin import Admin, pids
from app import App
from client import Cut, Hang, Malformed, request_bytes
from load import Load, Mix, Shot, echo, new_id
from programs import Value, section, service, worker
from timing import slow, until
from ws import WebSocket

pytestmark = pytest.mark.outside

Nodey = Callable[..., App]

EVENTS = 10  # of a stream, 50 ms apart
RELOADS = 20

# An app of ASGI: nodey runs it as a worker, uvicorn as a service.
APP = '''
import asyncio, urllib.parse

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await talk(receive, send)
    else:
        await answer(scope, send)

async def talk(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})

async def answer(scope, send):
    query = dict(urllib.parse.parse_qsl(scope["query_string"].decode()))
    kind = b"text/event-stream" if scope["path"].endswith("/events") else b"text/plain"
    fields, body = [(b"content-type", kind)], query.get("id", "").encode()
    if "n" not in query:
        fields.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    if "n" not in query:
        await send({"type": "http.response.body", "body": body})
        return
    for n in range(int(query["n"])):
        await send({"type": "http.response.body", "body": b"data: %d\\n\\n" % n,
                    "more_body": True})
        await asyncio.sleep(0.05)
    await send({"type": "http.response.body"})
'''

NODE = '''
const nodey = require('nodey');
const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
nodey.get('/web/echo', (req) => req.query.id);
nodey.get('/web/events', (req) => nodey.sse(async function* () {
    for (let n = 0; n < Number(req.query.n); n++) { yield String(n); await later(50); }
}));
nodey.get('/web/lines', async function* (req) {
    for (let n = 0; n < Number(req.query.n); n++) { yield `data: ${n}\\n\\n`; await later(50); }
});
nodey.ws('/web/talk', async (socket) => {
    for await (const message of socket) await socket.send(message);
});
'''

ROUTE = '[[routes]]\npath = "/web/*"\nto = "web"\n'
UVICORN = [sys.executable, "-c",
           "import os, uvicorn; uvicorn.run('main:app', port=int(os.environ['PORT']), "
           "log_level='warning', ws='websockets-sansio')"]

KINDS = {
    "python": ({"main.py": APP}, section("workers", "web", {"app": "main:app", "instances": 2})
               + ROUTE),
    "node": ({"workers/web.js": NODE}, worker("web", "js", instances=2)),
    "service": ({"main.py": APP}, service("web", UVICORN, port="auto", instances=2) + ROUTE),
}


class Streams(threading.Thread):
    """Reads one answer in pieces after the other, and counts how each ended."""

    def __init__(self, app: App, path: str) -> None:
        super().__init__(daemon=True)
        self.app, self.path = app, path
        self.counts: Counter[str] = Counter()
        self._enough = threading.Event()

    def run(self) -> None:
        while not self._enough.is_set():
            try:
                self.counts[self._one()] += 1
            except (OSError, Cut, Hang, Malformed) as error:
                self.counts[f"cut: {error!r}"] += 1

    def _one(self) -> str:
        with self.app.connect(30) as connection:
            connection.send(request_bytes("GET", f"{self.path}?n={EVENTS}"))
            answer = connection.read_response()
        if answer.status != 200:
            return f"status {answer.status}"
        body = answer.body
        whole = b"".join(b"data: %d\n\n" % n for n in range(EVENTS))
        return "whole" if body == whole else "ended" if whole.startswith(body) else "wrong"

    def stop(self) -> Counter[str]:
        self._enough.set()
        self.join(slow(30))
        assert not self.is_alive()
        return self.counts


class Talks(threading.Thread):
    """Talks over one WebSocket after the other; a new one only when the last was closed."""

    def __init__(self, app: App) -> None:
        super().__init__(daemon=True)
        self.app = app
        self.counts: Counter[str] = Counter()
        self._enough = threading.Event()

    def run(self) -> None:
        while not self._enough.is_set():
            with WebSocket(self.app.port, "/web/talk", timeout=30) as socket:
                assert socket.status == 101, socket.status
                self.counts["opened"] += 1
                self._talk(socket)

    def _talk(self, socket: WebSocket) -> None:
        for n in range(1_000_000):
            if self._enough.is_set():
                return
            try:
                socket.send(f"message {n}")
            except OSError:
                pass  # what is to be read says why
            while (event := socket.events.get(timeout=slow(30)))[0] == "ping":
                pass  # the service's own
            if event != ("text", f"message {n}"):
                self.counts[f"{event[0]} {event[1] if len(event) > 1 else ''}".strip()] += 1
                return
            self.counts["echoed"] += 1
            time.sleep(0.02)

    def stop(self) -> Counter[str]:
        self._enough.set()
        self.join(slow(30))
        assert not self.is_alive()
        return self.counts


@pytest.mark.parametrize("kind", KINDS)
def test_twenty_reloads_under_load_break_nothing(nodey: Nodey, kind: str) -> None:
    files, config = KINDS[kind]
    app = nodey(files, config=config)
    watchers = [Streams(app, "/web/events"), Streams(app, "/web/lines"), Talks(app), Talks(app)]
    with Admin(app.folder) as admin, Load(app.port, echo("/web/echo", posts=0),
                                          connections=4, seconds=300) as load:
        for watcher in watchers:
            watcher.start()
        time.sleep(0.2)
        for turn in range(RELOADS):
            before = admin.program("web")
            after = admin.do("web", "reload", wait="60s")["program"]
            assert after["generation"] == before["generation"] + 1
            fresh = [i for i in after["instances"] if i["state"] != "draining"]
            assert len(fresh) == 2 and not {i["pid"] for i in fresh} & set(pids(before))
        events, lines, *talks = [watcher.stop() for watcher in watchers]
    outcome = load.stop()
    print(kind, "requests", outcome.counts(), "events", events, "lines", lines, "talks", talks)
    outcome.require("ok", at_least=100)
    assert set(lines) == {"whole"} and lines["whole"] >= 3, lines
    if kind == "service":  # nodey tells it nothing: what it has goes on to its end
        assert set(events) == {"whole"} and events["whole"] >= 3, events
        assert all(set(counts) == {"opened", "echoed"} and counts["opened"] == 1
                   for counts in talks), talks
    else:  # its SDK ends what would go on for ever, in good order, and the client comes again
        assert set(events) <= {"whole", "ended"} and sum(events.values()) >= 3, events
        assert all(set(counts) <= {"opened", "echoed", "close 1001", "close 1012"}
                   and counts["echoed"] >= 20 for counts in talks), talks
    with Admin(app.folder) as admin:
        until(lambda: len(admin.program("web")["instances"]) == 2, 30, "the old ones have ended")
    assert "killed" not in app.log(), "they ended when they were done"


# ------------------------------------------------------------------ a version that fails

SERVER = """
import os, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        well = self.path != "/health" or %r
        self.send_response(200 if well else 500)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"%s")
    def log_message(self, *_):
        pass

ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

BROKEN = {
    "ends": ("raise SystemExit('no such table: users')\n", "no such table: users"),
    "syntax": ("def (\n", "SyntaxError"),
    "never listens": ("import time\ntime.sleep(1000)\n", "was not well within 1000 ms"),
    "never well": (SERVER % (False, "bad"), "answered 500"),
}


def whole(path: str) -> Mix:
    return lambda _: Shot(new_id(), "good", "GET", path, expect=b"one")


def versioned(**settings: Value) -> str:
    return service("web", [sys.executable, "server.py"], port="auto", instances=2,
                   start_timeout="1s", stop_grace_period="1s",
                   healthcheck={"path": "/health", "interval": "1s"}, **settings) + ROUTE


@pytest.mark.parametrize("broken", BROKEN)
def test_a_service_whose_new_version_fails_goes_on_as_it_was(nodey: Nodey, broken: str) -> None:
    text, reason = BROKEN[broken]
    app = nodey({"server.py": SERVER % (True, "one")}, config=versioned())
    with Admin(app.folder) as admin:
        until(lambda: admin.program("web")["ready"] == 2, 10, "both are ready")
        before = pids(admin.program("web"))
        (app.folder / "server.py").write_text(text)
        statuses: Counter[str] = Counter()
        done = threading.Event()

        def ask() -> None:
            while not done.is_set():
                statuses[f"{(answer := app.get('/web/x')).status} {answer.text}"] += 1

        asking = threading.Thread(target=ask)
        asking.start()
        ended = command.run(app.folder, "reload", "web")
        done.set()
        asking.join()
        assert set(statuses) == {"200 one"}, statuses
        assert ended.code != 0 and reason in ended.err, ended
        app.wait_log("the new version does not start")
        assert app.log().count("the new version does not start") == 1
        assert reason in app.log()
        program = admin.program("web")
        assert pids(program) == before and program["state"] == "ready" and not program["renewing"]
        (app.folder / "server.py").write_text(SERVER % (True, "two"))
        assert command.run(app.folder, "reload", "web").code == 0
        assert app.get("/web/x").text == "two"
        until(lambda: not set(pids(admin.program("web"))) & set(before), 10, "the old ones end")


def test_of_many_reloads_at_once_two_generations_are_alive_at_most(nodey: Nodey) -> None:
    app = nodey({"server.py": SERVER % (True, "one")}, config=versioned())
    with Admin(app.folder) as admin, Load(app.port, whole("/web/x"), connections=2,
                                          seconds=300) as load:
        until(lambda: admin.program("web")["ready"] == 2, 10, "both are ready")
        most = 0
        for _ in range(50):
            admin.do("web", "reload")
            generations = {i["generation"] for i in admin.program("web")["instances"]
                           if i["state"] in ("ready", "busy")}
            assert len(generations) <= 1, "two versions never serve at the same time"
            most = max(most, len(procs.children(app.pid)))
            time.sleep(0.02)
        last = admin.program("web")["generation"]
        until(lambda: {i["generation"] for i in admin.program("web")["instances"]} == {last}, 20,
              "the last version serves alone")
        assert most <= 2 * 2 + 1, most
    load.stop().require("ok", at_least=50)


# ----------------------------------------------------------------------- what it says of it


def test_reload_waits_for_what_changed_and_says_what_became_of_it(nodey: Nodey) -> None:
    app = nodey({"server.py": SERVER % (True, "one")}, config=versioned(),
                args=["--no-watch"])
    with Admin(app.folder) as admin:
        until(lambda: all(i["state"] == "ready" for i in admin.program("web")["instances"]), 10,
              "every instance is ready")
        before = pids(admin.program("web"))
        (app.folder / "nodey.toml").write_text(versioned(env={"BREAK": "1"}))
        (app.folder / "server.py").write_text("this is no python\n")
        done = command.run(app.folder, "reload")
        assert done.code == 1, done
        assert "service web: changed, its processes are being replaced\n" in done.out, done
        assert "web could not be replaced: runs the version before: the new one does not " \
            "start: " in done.err and "SyntaxError" in done.err, done
        assert done.err.count("does not start") == 1, done
        assert pids(admin.program("web")) == before
        why = admin.program("web")["why"]
        assert why.startswith("runs the version before: the new one does not start"), why
        assert "runs the version before" in command.run(app.folder, "ps").out
        (app.folder / "server.py").write_text(SERVER % (True, "two"))
        (app.folder / "nodey.toml").write_text(versioned(env={"BREAK": "2"}))
        done = command.run(app.folder, "reload")
        assert done.code == 0 and "\nweb: ready\n" in done.out, done
        assert admin.program("web")["why"] is None
        assert app.get("/web/x").text == "two"
        (app.folder / "nodey.toml").write_text(versioned(env={"BREAK": "3"}))
        done = command.run(app.folder, "reload", "--no-wait")
        assert done.code == 0 and "web: ready" not in done.out, done


def test_a_fixed_port_is_said_to_end_first_and_a_bad_start_is_an_exit_code(nodey: Nodey) -> None:
    app = nodey(config=service("one", [sys.executable, "-m", "http.server", "0"]))
    (app.folder / "nodey.toml").write_text(
        service("one", ["sh", "-c", "exit 9"], backoff_min="50ms", backoff_max="50ms"))
    done = command.run(app.folder, "reload")
    assert "the old one ends first" in done.out and done.code == 1, done
    assert done.err.startswith("nodey: one "), done


@pytest.mark.parametrize("wrong, words", [
    ("pyton3", 'there is no program "pyton3" in PATH'),
    ("./absent", 'cannot run "./absent" in '),
    ("./notes.txt", "./notes.txt may not be executed: chmod +x it"),
    ("./data", "./data is a folder"),
])
def test_a_command_that_is_not_there_is_refused_with_its_place(nodey: Nodey, wrong: str,
                                                               words: str) -> None:
    app = nodey({"notes.txt": "x", "data/x": "y"}, config=service("one", ["sleep", "1000"]))
    with Admin(app.folder) as admin:
        before = pids(admin.program("one"))
        (app.folder / "nodey.toml").write_text(service("one", [wrong, "1000"]))
        for verb in ("reload", "check", "up"):
            done = command.run(app.folder, verb)
            assert done.code == 1 and f"nodey.toml:2:12: {words}" in done.err, (verb, done)
        assert pids(admin.program("one")) == before, "what serves goes on"
        assert command.run(app.folder, "ps").code == 0, "and the other commands work"


def test_a_command_is_looked_for_where_its_program_would(nodey: Nodey) -> None:
    app = nodey({"tools/mine": "#!/bin/sh\nexec sleep 1000\n", "sub/here": "#!/bin/sh\n"},
                config=service("one", ["sleep", "1000"]))
    (app.folder / "tools/mine").chmod(0o755)
    (app.folder / "sub/here").chmod(0o755)
    tools = str(app.folder / "tools")
    config = service("one", ["sleep", "1000"]) + service(
        "two", ["mine"], env={"PATH": f"{tools}:/usr/bin:/bin"}) + service(
        "three", ["./here"], cwd="sub", restart="no")
    (app.folder / "nodey.toml").write_text(config)
    assert command.run(app.folder, "check").code == 0
    assert command.run(app.folder, "reload").code == 0
    (app.folder / "nodey.toml").write_text(config.replace(tools, "/nowhere"))
    assert '"mine"' in command.run(app.folder, "check").err
