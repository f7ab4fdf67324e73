"""The dual backend as somebody has it: an Express and a Flask app, not a line of them changed."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import threading
import time
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import Any, Callable, Dict, List

import httpx
import pytest

import procs
from app import App, ROOT
from client import Response
from timing import slow, until

pytestmark = pytest.mark.outside

Nodey = Callable[..., App]

TEMPLATE = ROOT / "tests" / "fixtures" / "template"
PACKAGES = ROOT / "build" / "node" / "node_modules"

USERS = [{"id": 1, "name": "Ann", "balance": 10}, {"id": 2, "name": "Bo", "balance": 100}]
RATES = {"EUR": 1.5, "SEK": 0.25}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Template:
    """The folder, and how it is started."""

    def __init__(self, nodey: Nodey, parent: Path) -> None:
        self._nodey = nodey
        self.folder = parent / "template"
        shutil.copytree(TEMPLATE, self.folder, ignore=shutil.ignore_patterns(".nodey"))
        # What npm install would have put there.
        (self.folder / "workers/node/node_modules").symlink_to(PACKAGES)
        self.ports = {"NODE_PORT": free_port(), "PYTHON_PORT": free_port()}
        (self.folder / ".env").write_text(
            "".join(f"{name}={port}\n" for name, port in self.ports.items()))

    def delay(self, file: str, line: str) -> None:
        """Has a program take its time before its first line."""
        path = self.folder / "workers" / file
        path.write_text(f"{line}\n{path.read_text()}")

    def start(self, **options: Any) -> App:
        """With one process each, because the apps keep their data in memory."""
        text = (TEMPLATE / "nodey.toml").read_text() + "\n[defaults]\ninstances = 1\n"
        return self._nodey(folder=self.folder, config=text, args=["--no-dev"], **options)


@pytest.fixture
def template(nodey: Nodey, tmp_path: Path) -> Template:
    return Template(nodey, tmp_path)


@pytest.fixture
def app(template: Template) -> App:
    app = template.start()
    app.wait_log(r"node#0 \| users on port")  # nothing of its start is left to be disturbed
    return app


class Later:
    """A GET in a thread; result() is its answer."""

    def __init__(self, app: App, path: str) -> None:
        self._found: List[Response] = []
        self._thread = threading.Thread(
            target=lambda: self._found.append(app.get(path, timeout=30)), daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        return not self._thread.is_alive()

    def result(self) -> Response:
        self._thread.join(slow(35))
        assert self._found, "no answer"
        return self._found[0]


def kill(app: App, worker: str) -> List[int]:
    """Kills the one process of a worker; returns its id, which the next one does not have."""
    pids = app.worker_pids(worker)
    assert len(pids) == 1, pids
    os.kill(pids[0], SIGKILL)
    return pids


def ask(app: App, question: Dict[str, Any]) -> Any:
    answer = app.post("/ask", json.dumps(question).encode())
    assert answer.status == 200, answer
    return json.loads(base64.b64decode(answer.body, validate=True))


# ------------------------------------------------------------------------- what it serves


def test_the_routes_of_express_and_of_flask(app: App) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{app.port}", timeout=slow(10)) as client:
        users = client.get("/api/users")
        assert users.json() == USERS and users.headers["x-powered-by"] == "Express"
        made = client.post("/api/users", json={"name": "Cy", "balance": 1})
        assert (made.status_code, made.headers["location"]) == (201, "/api/users/3")
        assert client.get("/api/users").json() == [*USERS, made.json()]
        nobody = client.get("/api/users/9")
        assert (nobody.status_code, nobody.json()) == (404, {"error": "no such user"})
        assert client.put("/api/rates/EUR", json={"rate": 2}).json() == {"EUR": 2.0}
        assert client.get("/api/rates").json()["rates"] == {**RATES, "EUR": 2.0}


def test_handlers_ask_both_ways(app: App) -> None:
    assert app.get("/api/users/2?currency=SEK").json() == {**USERS[1], "balance": 25}
    assert app.get("/api/worth").json() == {"worth": 110}


def test_both_ask_each_other_while_they_start(app: App) -> None:
    assert app.get("/api/report").json() == {"users": 2, "rates": RATES}
    assert app.get("/api/rates").json()["users_at_start"] == 2
    app.wait_log(r"node#0 \| users on port \d+, with rates for EUR,SEK")


def test_tokens_and_routes_are_of_one_process_each_without_a_port(template: Template) -> None:
    app = template.start()
    assert app.get("/api/users").status == 200 and app.get("/api/rates").status == 200
    assert ask(app, {"asking_about": "Users"}) == USERS
    assert len(app.worker_pids("node")) == len(app.worker_pids("python")) == 1
    for worker in ("node", "python"):
        assert procs.children(app.worker_pids(worker)[0]) == []
    for name, port in template.ports.items():
        app.wait_log(rf"on port {port}")
        assert not is_open(port), f"{name} is open"


def test_clients_of_the_old_bridges_are_answered_as_before(app: App) -> None:
    assert ask(app, {"asking_about": "Users"}) == USERS
    assert ask(app, {"asking_about": "Rates"}) == RATES
    assert ask(app, {"asking_about": "User", "args": {"id": 1}}) == USERS[0]
    app.post("/api/users", b"{}")
    assert len(ask(app, {"asking_about": "Users"})) == 3, "it is the process that has the routes"


def test_clients_see_what_routes_json_lists_and_nothing_else(app: App) -> None:
    assert app.get("/health").status == 404
    assert app.get("/api/users/1/secrets").status == 404
    assert app.request("DELETE", "/api/users").status == 405
    assert "warning" not in app.log() and "is served by" not in app.log()


# ---------------------------------------------------------------------- when it starts


SLOW = {
    "python": ("python/app.py", "import time; time.sleep(1.5)"),
    "node": ("node/app.js", "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1500);"),
}


@pytest.mark.parametrize("worker", SLOW)
def test_the_port_opens_when_all_is_ready(template: Template, worker: str) -> None:
    """Where one was slow, the balancer of old answered 502."""
    template.delay(*SLOW[worker])
    port = free_port()
    begun = time.monotonic()
    app = template.start(wait=False, listen=f"127.0.0.1:{port}")
    until(lambda: is_open(port), 30, "the port")
    assert time.monotonic() - begun > 1.5, "it is open before the slow one is there"
    app.wait_ready()
    for path in ("/api/users", "/api/rates", "/api/report"):
        answer = app.get(path)
        assert answer.status == 200, (path, answer)


def test_a_request_waits_for_an_app_that_has_to_ask_before_it_listens(template: Template) -> None:
    """Node must answer Python before it has its own answer; its requests wait for that."""
    path = template.folder / "workers/node/app.js"
    text = path.read_text()
    wait = "await nodey.ask('Rates');"
    assert text.count(wait) == 1
    path.write_text(text.replace(
        wait, f"{wait} await new Promise((next) => setTimeout(next, 1500));"))
    app = template.start()
    assert app.get("/api/report").json() == {"users": 2, "rates": RATES}


# ------------------------------------------------------------------- when something fails


@pytest.mark.parametrize("worker,path", [("node", "/api/users"), ("python", "/api/rates")])
def test_a_request_waits_while_its_worker_restarts(app: App, worker: str, path: str) -> None:
    app.wait_workers(1, worker)
    for _ in range(2):
        gone = kill(app, worker)
        assert app.get(path, timeout=30).status == 200
        app.wait_workers(1, worker, without=gone)


def test_an_ask_waits_while_its_answerer_restarts(app: App) -> None:
    kill(app, "python")
    app.wait_log(r"python#0 error: killed by signal 9")
    assert app.get("/api/users/2?currency=SEK", timeout=30).json()["balance"] == 25
    kill(app, "node")
    app.wait_log(r"node#0 error: killed by signal 9")
    assert app.get("/api/worth", timeout=30).json() == {"worth": 110}


def test_a_get_that_a_crash_interrupts_is_tried_again(app: App) -> None:
    python = app.worker_pids("python")[0]
    os.kill(python, SIGSTOP)
    try:
        request = Later(app, "/api/users/2?currency=SEK")
        time.sleep(0.2)
        # Node takes its requests in their order: the one above has come before this one.
        assert app.get("/api/users").status == 200 and not request.is_done
        gone = kill(app, "node")
        app.wait_workers(1, "node", without=gone)
    finally:
        os.kill(python, SIGCONT)
    assert request.result().json() == {**USERS[1], "balance": 25}
