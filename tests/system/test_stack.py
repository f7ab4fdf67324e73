"""workers/stack, which was a docker-compose stack: its failure table, row by row, with times.

Each row is tried with a service of the stack, which is Node, and with one in Python.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable
from urllib.parse import unquote

import pytest

from app import ROOT, App
from browser import chromium
from client import Response
from command import run
from conftest import write_files
from timing import slow, until

pytestmark = pytest.mark.outside

STACK = ROOT / "workers" / "stack"
PACKAGES = ROOT / "build" / "node" / "node_modules"

Start = Callable[..., App]

# What a/server.js and lib/operate.js are, in Python and without a package.
PYTHON = r'''
import json, os, resource, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

kept = []

def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 2**20

class Handler(BaseHTTPRequestHandler):
    def answer(self, status, body):
        data = json.dumps({"pid": os.getpid(), "memory": memory(), **body}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        url = urlsplit(self.path)
        query = {name: int(values[0]) for name, values in parse_qs(url.query).items()}
        if url.path == "/time":
            time.sleep(query["after"] / 1000)
        elif url.path == "/work":
            end = time.process_time() + query["ms"] / 1000
            while time.process_time() < end:
                pass
        self.answer(200, {"status": "ok"})

    def do_POST(self):
        url = urlsplit(self.path)
        size = int(parse_qs(url.query).get("mb", ["20"])[0])
        self.server.todo = {"/crash": lambda: sys.exit("crashed on purpose"), "/freeze": freeze,
                            "/leak": lambda: kept.append(b"x" * (size << 20))}[url.path]
        self.answer(202, {"begun": True})

    def log_message(self, *args):
        pass

class Server(HTTPServer):
    todo = None

    def service_actions(self):
        todo, self.todo = self.todo, None
        if todo:
            todo()

def freeze():
    while True:
        pass

server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)

def end(*_):
    print("SIGTERM: finishing what is under way", flush=True)
    threading.Thread(target=server.shutdown).start()

signal.signal(signal.SIGTERM, end)
server.serve_forever(0.05)
print("all is finished", flush=True)
'''

COMMANDS = {"node": "node b/server.js", "python": "python3 service.py"}
QUICK = 'healthcheck = { path = "/health", interval = "300ms", timeout = "300ms", retries = 3, start_period = "15s" }'


@pytest.fixture(params=["node", "python"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def files(folder: Path) -> Path:
    """The stack's own files, and the service in Python."""
    shutil.copytree(STACK, folder, ignore=shutil.ignore_patterns("node_modules", ".nodey"), dirs_exist_ok=True)
    (folder / "node_modules").symlink_to(PACKAGES)
    (folder / "service.py").write_text(PYTHON)
    return folder


def start(nodey: Start, tmp_path: Path, kind: str, settings: str = QUICK, more: str = "", **options: Any) -> App:
    """The service as "s", below /s."""
    folder = tmp_path / "stack" if (tmp_path / "stack").exists() else files(tmp_path / "stack")
    config = f"""
        [server]
        discover = false
        [services.s]
        command = "{COMMANDS[kind]}"
        port = "auto"
        {settings}
        [[routes]]
        path = "/s/*"
        to = "s"
        strip_prefix = "/s"
        {more}
    """
    return nodey(folder=folder, config=re.sub(r"(?m)^ +", "", config), **options)


def pid(app: App) -> int:
    return int(app.get("/s/health").json()["pid"])


def try_pid(app: App) -> int:
    answer = app.get("/s/health", timeout=slow(20))
    return int(answer.json()["pid"]) if answer.status == 200 else 0


def wait_other(app: App, old: int, seconds: float = 15) -> int:
    return until(lambda: try_pid(app) not in (0, old) and try_pid(app), seconds, f"another process than {old} answers")


def program(app: App, name: str = "s") -> dict[str, Any]:
    done = run(app.folder, "ps", "--format", "json")
    assert done.code == 0, done
    found = json.loads(done.out)
    rows = found if isinstance(found, list) else found["programs"]
    return next(row for row in rows if row["name"] == name)


def restarts(app: App) -> int:
    return int(program(app)["restarts"])


class Told:
    """Prints how long a row took."""

    def __init__(self, kind: str, row: str) -> None:
        self.text, self.begin = f"{kind}: {row}", time.monotonic()

    def done(self, what: str = "replaced") -> float:
        took = time.monotonic() - self.begin
        print(f"{self.text}: {what} after {took * 1000:.0f} ms", file=sys.stderr)
        return took


# -- the table


def test_more_memory_than_its_limit_is_killed_and_restarted(nodey: Start, tmp_path: Path, kind: str) -> None:
    app = start(nodey, tmp_path, kind, f'{QUICK}\nmemory = "128M"')
    old, told = pid(app), Told(kind, "RAM limit exceeded")
    assert app.post("/s/leak?mb=200").status == 202
    app.wait_log(r"s#0 error: .*memory limit of 128M.*killed", 15)
    told.done("killed")
    wait_other(app, old)
    told.done("restarted")
    assert restarts(app) == 1
    assert json.loads(app.get("/s/health").body)["memory"] < 128


def test_a_frozen_one_is_unhealthy_then_replaced(nodey: Start, tmp_path: Path, kind: str) -> None:
    app = start(nodey, tmp_path, kind, f'{QUICK}\nstop_grace_period = "1s"')
    old, told = pid(app), Told(kind, "freeze")
    assert app.post("/s/freeze").status == 202
    app.wait_log(r"s#0 \w+: unhealthy: GET /health gave no answer", 15)
    told.done("unhealthy")
    assert wait_other(app, old) != old
    told.done()
    until(lambda: not Path(f"/proc/{old}").exists(), 15, "the frozen process is gone")


def test_above_its_soft_limit_it_is_recycled_without_a_failed_request(nodey: Start, tmp_path: Path,
                                                                      kind: str) -> None:
    app = start(nodey, tmp_path, kind, f'{QUICK}\nmax_memory = "110M"\nmemory = "400M"')
    old = pid(app)
    answers: list[Response] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            answers.append(app.get("/s/time?after=10"))

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        told = Told(kind, "above its soft limit")
        assert app.post("/s/leak?mb=100").status == 202
        wait_other(app, old)
        told.done("recycled")
        until(lambda: not Path(f"/proc/{old}").exists(), 15, "the old process is gone")
    finally:
        ended.set()
        asker.join()
    assert {answer.status for answer in answers} == {200} and len(answers) > 5
    assert "memory limit" not in app.log()


def test_a_crash_is_followed_by_a_restart(nodey: Start, tmp_path: Path, kind: str) -> None:
    app = start(nodey, tmp_path, kind)
    old, told = pid(app), Told(kind, "crash")
    assert app.post("/s/crash").status == 202
    app.wait_log(r"s#0 \| .*crashed on purpose", 10)
    wait_other(app, old)
    told.done("restarted")
    assert restarts(app) == 1


def test_what_it_depends_on_may_come_later(nodey: Start, tmp_path: Path, kind: str) -> None:
    """It waits; what is missing is tried again and again."""
    app = start(nodey, tmp_path, kind, f'{QUICK}\ndepends_on = {{ db = {{ condition = "service_healthy" }} }}', more="""
        [services.db]
        command = ["/bin/sh", "-c", "test -e there || { echo no disk; exit 1; }; exec sleep 600"]
        restart = "always"
        healthcheck = { test = "test -e there", interval = "200ms" }
        max_restarts = 1000
        backoff_max = "300ms"
    """, wait=False)
    app.wait_log(r"(?s)(db#0 \| no disk.*){3}", 10)
    assert not app.worker_pids("s") and "b listens" not in app.log()
    told = Told(kind, "dependency missing at boot")
    (app.folder / "there").write_text("")
    app.wait_ready()
    until(lambda: try_pid(app), 15, "it is there, too")
    told.done("ready")


def test_short_of_cpu_time_it_is_slow_and_not_dead(nodey: Start, tmp_path: Path, kind: str) -> None:
    app = start(nodey, tmp_path, kind, 'healthcheck = { path = "/health", interval = "500ms", timeout = "5s", '
                                       'retries = 6 }\ncpus = 0.2')
    old, told = pid(app), Told(kind, "CPU throttled")
    answer = app.get("/s/work?ms=300", timeout=slow(20))
    took = told.done("answered")
    assert answer.status == 200 and took >= 0.25
    assert pid(app) == old and restarts(app) == 0
    if "cpus by priority only" not in app.log():
        assert took > 0.7, "0.3 s of work at a fifth of a CPU"


def ask_in_background(app: App, path: str) -> tuple[threading.Thread, list[Response]]:
    answers: list[Response] = []
    thread = threading.Thread(target=lambda: answers.append(app.get(path, timeout=slow(20))))
    thread.start()
    return thread, answers


def test_stop_is_graceful_and_stays(nodey: Start, tmp_path: Path, kind: str) -> None:
    app = start(nodey, tmp_path, kind, f'{QUICK}\nrestart = "unless-stopped"')
    old = pid(app)
    thread, answers = ask_in_background(app, "/s/time?after=1000")
    time.sleep(0.3)
    told = Told(kind, "stop")
    assert run(app.folder, "stop", "s").code == 0
    thread.join()
    assert answers[0].status == 200
    app.wait_log(r"s#0 \| all is finished", 10)
    until(lambda: not Path(f"/proc/{old}").exists(), 10, "it has ended")
    told.done("ended")
    assert app.get("/s/health").status == 503
    assert "Killed" not in app.log()
    time.sleep(0.5)
    assert app.worker_pids("s") == []
    assert run(app.folder, "start", "s").code == 0
    until(lambda: try_pid(app), 15, "it is back")


def test_down_ends_all_and_nothing_comes_back(nodey: Start, tmp_path: Path, kind: str) -> None:
    app = start(nodey, tmp_path, kind, f'{QUICK}\nrestart = "always"')
    old = pid(app)
    thread, answers = ask_in_background(app, "/s/time?after=1000")
    time.sleep(0.3)
    told = Told(kind, "down")
    assert run(app.folder, "down").code == 0
    thread.join()
    assert answers[0].status == 200
    assert app.wait_exit() == 0
    told.done("ended")
    assert not Path(f"/proc/{old}").exists()
    assert "restarting" not in app.log() and app.log().count("all is finished") == 1


def test_what_was_stopped_stays_so_in_the_next_run(nodey: Start, tmp_path: Path) -> None:
    app = start(nodey, tmp_path, "python", f'{QUICK}\nrestart = "unless-stopped"')
    assert pid(app)
    assert run(app.folder, "stop", "s").code == 0
    assert run(app.folder, "down").code == 0
    app.wait_exit()
    again = start(nodey, tmp_path, "python", f'{QUICK}\nrestart = "unless-stopped"')
    assert again.worker_pids("s") == [] and again.get("/s/health").status == 503
    assert run(again.folder, "start", "s").code == 0
    until(lambda: try_pid(again), 15, "it is back")


# -- the stack itself


@pytest.fixture
def stack(nodey: Start, tmp_path: Path) -> App:
    return nodey(folder=files(tmp_path / "stack"))


def test_all_of_it_is_healthy_in_three_seconds(nodey: Start, tmp_path: Path) -> None:
    folder = files(tmp_path / "stack")
    begin = time.monotonic()
    app = nodey(folder=folder)
    took = time.monotonic() - begin
    print(f"nodey up of the stack to all healthy: {took * 1000:.0f} ms", file=sys.stderr)
    for name in "ab":
        assert program(app, name)["state"] == "ready"
        health = app.get(f"/api/{name}/health").json()
        assert health["status"] == "ok" and health["service"] == name
    assert took < slow(3)
    assert app.log().index("a listens") < app.log().index("b listens")


def test_prefixes_are_cut_and_files_are_served(stack: App) -> None:
    assert stack.get("/api/a/").json() == {"service": "a", "greeting": "hello from a"}
    assert stack.get("/api/b/").json() == {"service": "b", "greeting": "hello from b"}
    assert stack.post("/api/a/count").json() == {"count": 1}
    assert "T" in stack.get("/api/b/time").json()["time"]
    assert stack.get("/api/c/").status == 404 and stack.get("/api/a/nothing").status == 404
    assert stack.get("/").text.startswith("<!doctype html>")
    assert b"createApp" in stack.get("/vendor/vue.global.prod.js").body
    assert stack.get("/vendor/../nodey.toml").status in (400, 404)


def test_from_the_top_folder_it_is_left_out_and_run_by_its_file(nodey: Start, tmp_path: Path) -> None:
    files(tmp_path / "top" / "workers" / "stack")
    write_files(tmp_path / "top", {"workers/hello.py": "import nodey\n\n@nodey.get('/hello')\n"
                                                       "def hello(req):\n    return 'hi'\n"})
    app = nodey(folder=tmp_path / "top")
    assert '"workers/stack": left out, it is a project with a nodey.toml of its own' in app.log()
    assert app.get("/hello").status == 200 and app.get("/api/a/").status == 404
    app.stop()
    other = nodey(folder=tmp_path / "top", args=["-f", "workers/stack/nodey.toml"])
    assert other.get("/api/a/").json()["service"] == "a"


WATCH = """
<!doctype html><script>
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const seen = [];
addEventListener('load', async () => {
    const frame = document.createElement('iframe');
    frame.src = '/';
    document.body.append(frame);
    const cards = () => [...(frame.contentDocument?.querySelectorAll('section[data-service]') || [])];
    const until = async (check) => { while (!check()) await wait(50); };
    await until(() => cards().filter((c) => c.classList.contains('up')).length === 2);
    seen.push(cards().map((c) => c.dataset.service).join());
    seen.push(String(cards().every((c) => /\\d+ MB/.test(c.textContent))));
    const buttons = [...cards()[0].querySelectorAll('button')].map((b) => b.textContent);
    seen.push(buttons.join());
    cards()[0].querySelector('button').click();
    await until(() => cards()[0].textContent.includes('restarts seen1'));
    seen.push('restarted');
    await fetch('/api/a/seen?' + encodeURIComponent(JSON.stringify(seen)));
});
</script><body></body>
"""


@pytest.mark.long
def test_the_page_in_a_browser(nodey: Start, tmp_path: Path) -> None:
    """Shows both live; its button crashes one, and it sees that one come back."""
    folder = files(tmp_path / "stack")
    (folder / "web" / "watch.html").write_text(WATCH)
    app = nodey(folder=folder, args=[], env={"LISTEN": "127.0.0.1:0"}, config=(folder / "nodey.toml").read_text()
                .replace("[server]", '[server]\naccess_log = "combined"'))
    with chromium(f"http://127.0.0.1:{app.port}/watch.html"):
        line = until(lambda: next((line for line in app.stdout().splitlines() if "/api/a/seen?" in line), None), 60,
                     "the page has reported")
    seen = json.loads(unquote(line.split("/api/a/seen?")[1].split(" ")[0]))
    assert seen == ["a,b", "true", "crash,freeze,leak 20 MB,leak 200 MB", "restarted"]
