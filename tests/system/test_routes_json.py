"""routes.json, .env and POST /ask of the systems of old: served as they are."""

from __future__ import annotations

import base64
import json
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from app import BINARY, App, ROOT
from client import Connection, Response, exchange_bytes, request_bytes
from timing import slow, until

Nodey = Callable[..., App]
pytestmark = pytest.mark.outside

DUAL = ROOT / "tests" / "fixtures" / "dual"

USERS = [{"id": 1, "name": "Ann", "code": "EUR", "balance": 10},
         {"id": 2, "name": "Bo", "code": "SEK", "balance": 100}]


def put(app: App, path: str, body: bytes) -> Response:
    return app.request("PUT", path, body)


def ask(app: App, question: Any) -> Response:
    return app.post("/ask", json.dumps(question).encode())


def value(answer: Response) -> Any:
    assert answer.status == 200, answer
    assert answer.headers["content-type"].startswith("text/plain"), answer.headers
    return json.loads(base64.b64decode(answer.body, validate=True))


# ------------------------------------------------------------------ the whole of the old one


@pytest.fixture
def dual(nodey: Nodey, tmp_path: Path) -> Iterator[App]:
    folder = tmp_path / "dual"
    shutil.copytree(DUAL, folder, ignore=shutil.ignore_patterns(".nodey"))
    app = nodey(folder=folder)
    yield app


def test_the_routes_of_both_languages_are_served(dual: App) -> None:
    assert dual.get("/api/users").json() == USERS
    assert dual.get("/api/users/2").json() == {**USERS[1], "balance": 25}
    assert put(dual, "/api/rates/EUR", b"3.5").json() == {"EUR": 3.5}
    assert dual.get("/api/rates").json()["rates"] == {"EUR": 1.5, "SEK": 0.25}
    answer = dual.post("/api/users")
    assert answer.status == 405 and answer.headers["allow"] == "GET, HEAD", answer
    assert put(dual, "/api/rates", b"").status == 405
    assert dual.get("/api/nothing").status == 404


def test_both_ask_each_other_while_they_start(dual: App) -> None:
    dual.wait_log(r"node#\d .*rates for EUR and SEK")
    assert dual.get("/api/rates").json()["users"] == len(USERS)


def test_clients_of_the_old_bridges_are_answered_as_before(dual: App) -> None:
    assert value(ask(dual, {"asking_about": "Users"})) == USERS
    assert value(ask(dual, {"asking_about": "Rates"})) == {"EUR": 1.5, "SEK": 0.25}
    assert value(ask(dual, {"asking_about": "User", "args": {"id": 1}})) == USERS[0]
    assert value(ask(dual, {"args": {"code": "SEK"}, "asking_about": "Rate"})) == 0.25


def test_a_comma_too_many_is_told_of_with_its_line(dual: App) -> None:
    line = (DUAL / "routes.json").read_text().splitlines().index("    },", 20) + 1
    dual.wait_log(rf'routes\.json:{line}: the comma before "\]" is one too many')


def test_the_port_of_the_env_file_is_served(tmp_path: Path) -> None:
    folder = tmp_path / "dual"
    shutil.copytree(DUAL, folder, ignore=shutil.ignore_patterns(".nodey"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = folder / ".env"
    env.write_text(re.sub(r"(?m)^LOADBALANCER_PORT=.*$", f"LOADBALANCER_PORT={port}",
                          env.read_text()))
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen([str(BINARY), "up"], cwd=folder, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=stderr)
    try:
        until(lambda: f"nodey ready on http://127.0.0.1:{port}" in log.read_text(), 30,
              "the port of .env")
        answer = exchange_bytes(port, request_bytes("GET", "/api/users",
                                                    headers={"Connection": "close"}))
        assert answer.startswith(b"HTTP/1.1 200 ") and b'"name":"Bo"' in answer, answer
    finally:
        process.terminate()
        assert process.wait(slow(35)) == 0, log.read_text()


# ------------------------------------------------------------------ routes.json, piece by piece

WHERE_JS = '''
const nodey = require('nodey');
nodey.all('/*', (req) => ({ who: process.env.NODEY_WORKER, path: req.path, params: req.params }));
'''

GREET = {
    "py": """
import nodey

@nodey.token("Greet")
def greet(args):
    return args
""",
    "js": "require('nodey').set({ Greet: (args) => args });",
}


@pytest.mark.parametrize("language", ["py", "js"])
def test_a_token_gets_what_the_route_the_query_and_the_body_say(nodey: Nodey,
                                                                language: str) -> None:
    app = nodey({f"workers/hi.{language}": GREET[language]},
                config="[[routes]]\npath = '/greet/:name'\nto = 'hi:Greet'\n")
    assert app.get("/greet/Ann?loud=1").json() == {"name": "Ann", "loud": "1"}
    assert app.post("/greet/Bo", b'{"name":"x","n":1}').json() == {"name": "Bo", "n": 1}
    assert app.post("/greet/Bo", b"[1]").json() == [1]


def test_express_paths_lead_where_they_led(nodey: Nodey) -> None:
    routes = [{"path": "/a/:id?", "target": "one"}, {"path": "/files/*", "target": "two"},
              {"path": "/b{/:x}", "method": "get", "target": "two"}]
    app = nodey({"workers/one.js": WHERE_JS, "workers/two.js": WHERE_JS,
                 "routes.json": json.dumps({"routes": routes})})
    for path, who in (("/a", "one"), ("/a/7", "one"), ("/files/x/y", "two"), ("/b", "two"),
                      ("/b/7", "two")):
        answer = app.get(path)
        assert (answer.json()["who"], answer.json()["path"]) == (who, path), answer
    assert app.post("/b/7").status == 405
    assert app.get("/elsewhere").status == 404, "routes.json lists all that its workers serve"


def test_a_route_of_the_configuration_wins_and_it_is_said(nodey: Nodey) -> None:
    app = nodey({"workers/one.js": WHERE_JS, "workers/two.js": WHERE_JS,
                 "routes.json": '[{"path": "/x", "method": ["get", "post"], "target": "two"}]'},
                '[[routes]]\npath = "/x"\nmethod = "GET"\nto = "one"\n')
    assert app.get("/x").json()["who"] == "one"
    assert app.post("/x").json()["who"] == "two"
    app.wait_log(r'routes\.json:1: GET "/x" is served by "one" already')


MISTAKES = {
    "no JSON": ('[\n  {"path": "/x" "method": "GET"}\n]', r"routes\.json:2:17: "),
    "an unknown target": ('[{"path": "/x",\n"target": "on"}]',
                          r'routes\.json:2:11: target names no worker "on".*"one"'),
    "two of a language": ('[{"path": "/x", "target": "node"}]',
                          r'routes\.json:1:27: target "node" .*"one", "two"'),
    "a regular expression": ('[{"path": "/ab?c", "target": "one"}]',
                             r'routes\.json:1:11: path "/ab\?c": '),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_routes_json_is_refused_with_its_place(tmp_path: Path, name: str) -> None:
    text, pattern = MISTAKES[name]
    (tmp_path / "workers").mkdir()
    for worker in ("one", "two"):
        (tmp_path / "workers" / f"{worker}.js").write_text(WHERE_JS)
    (tmp_path / "routes.json").write_text(text)
    for command in ("check", "up"):
        done = subprocess.run([str(BINARY), command], cwd=tmp_path, capture_output=True,
                              text=True, timeout=slow(10), stdin=subprocess.DEVNULL)
        assert done.returncode != 0 and re.search(pattern, done.stderr), done


# ------------------------------------------------------------------ POST /ask, piece by piece

ENDPOINT = "[server]\nask_endpoint = true\n"

ANSWERS_PY = '''
import nodey

@nodey.token("Echo")
def echo(args):
    return args

@nodey.token("Broken")
def broken(args):
    raise nodey.Error("resource_exhausted", "no more of it")

'''

CATCH_ALL_JS = '''
const nodey = require('nodey');
nodey.all('/*', () => 'caught');
'''

OWN_ASK_JS = "require('nodey').post('/ask', () => 'my own');\n"


def test_without_the_switch_there_is_no_such_path(nodey: Nodey) -> None:
    app = nodey({"workers/a.py": ANSWERS_PY})
    assert ask(app, {"asking_about": "Echo"}).status == 404


def test_any_json_goes_in_and_comes_out(nodey: Nodey) -> None:
    app = nodey({"workers/a.py": ANSWERS_PY}, ENDPOINT)
    for args in (None, 0, "\n\u00e4\U0001f600", [1, [2]], {"a": {"b": True}}, "x" * 100000):
        assert value(ask(app, {"asking_about": "Echo", "args": args})) == args
    pretty = json.dumps({"asking_about": "Echo", "args": {"a": [1, 2]}}, indent=4)
    assert value(app.post("/ask", pretty.replace("\n", "\r\n").encode())) == {"a": [1, 2]}


def test_what_is_no_question_is_refused_and_costs_nothing(nodey: Nodey) -> None:
    app = nodey({"workers/a.py": ANSWERS_PY}, ENDPOINT)
    for body in (b"", b"[]", b"{", b"null", b"{}", b'{"asking_about": 5}',
                 b'{"asking_about": ""}', b'{"asking_about": "a\\u0000b"}',
                 b'{"asking_about": "Echo"} x', b'{"asking_about": "Echo", "args": }',
                 b"[" * 100, b'{"asking_about": "Echo", "args": ' + b"[" * 64 + b"]" * 64 + b"}"):
        answer = app.post("/ask", body)
        assert answer.status == 400, (body, answer)
        assert "asking_about" in answer.json()["detail"]
    assert value(ask(app, {"asking_about": "Echo", "args": 1})) == 1


def test_errors_are_problems_with_their_own_status(nodey: Nodey) -> None:
    app = nodey({"workers/a.py": ANSWERS_PY}, ENDPOINT)
    answer = ask(app, {"asking_about": "Nobody"})
    assert answer.status == 404 and "Nobody" in answer.json()["detail"], answer
    answer = ask(app, {"asking_about": "Broken"})
    assert answer.status == 429 and "no more of it" in answer.json()["detail"], answer


def test_a_route_for_this_very_path_wins_and_one_for_all_does_not(nodey: Nodey) -> None:
    app = nodey({"workers/a.py": ANSWERS_PY, "workers/own.js": OWN_ASK_JS}, ENDPOINT)
    assert ask(app, {"asking_about": "Echo"}).text == "my own"
    app = nodey({"workers/a.py": ANSWERS_PY, "workers/all.js": CATCH_ALL_JS}, ENDPOINT)
    assert value(ask(app, {"asking_about": "Echo", "args": 1})) == 1
    assert app.get("/ask").text == "caught"
    app = nodey({"workers/a.py": ANSWERS_PY, "workers/all.js": CATCH_ALL_JS,
                 "routes.json": '[{"path": "/ask", "method": "post", "target": "all"}]'},
                ENDPOINT)
    assert ask(app, {"asking_about": "Echo"}).text == "caught"


SLOW_JS = '''
const fs = require('fs');
const nodey = require('nodey');
nodey.token('Slow', (args, context) => new Promise((resolve) => {
    fs.writeFileSync('begun', '');
    context.signal.addEventListener('abort', () => { fs.writeFileSync('ended', ''); resolve(0); });
}));
'''


def test_a_client_that_leaves_takes_its_question_along(nodey: Nodey) -> None:
    app = nodey({"workers/a.js": SLOW_JS}, ENDPOINT)
    body = json.dumps({"asking_about": "Slow"}).encode()
    with Connection(app.port, 10) as connection:
        connection.send(request_bytes("POST", "/ask", body))
        until((app.folder / "begun").exists, 10, "the question at the worker")
        assert not (app.folder / "ended").exists()
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    until((app.folder / "ended").exists, 10, "the end of what nobody waits for")
