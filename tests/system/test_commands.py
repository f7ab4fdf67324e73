"""`nodey call`, `ask`, `repl`, `reload`, `new`, `help`, and the socket behind them."""

from __future__ import annotations

import json
import re
import signal
import socket
import stat
import subprocess
import threading
import time
import uuid
from pathlib import Path
from typing import Any, Callable

import pytest

import procs
from app import BINARY, ROOT, App
from client import Connection, request_bytes
from command import Terminal, environment, run, run_pytest
from conftest import write_files
from timing import slow, until
from workers import pool, raw

Nodey = Callable[..., App]
pytestmark = pytest.mark.outside

FIB = '''
import os
import nodey

@nodey.get("/fib")
def fib(req):
    print("computing")
    a, b = 0, 1
    for _ in range(int(req.query.get("num", 10))):
        a, b = b, a + b
    return {"fib": a}

@nodey.get("/users/:id")
def user(req):
    return {"id": req.params["id"]}

@nodey.get("/parent")
def parent(req):
    return os.getppid()

@nodey.get("/bytes")
def some_bytes(req):
    return b"\\x00\\xff\\xfe"

@nodey.token("Fib")
def ask_fib(args):
    return fib_of(args["num"])

@nodey.token("Same")
def same(args):
    return args

@nodey.token("Fail")
def fail(args):
    raise nodey.Error("not_found", "no such thing", data={"id": 7})

@nodey.token("Slow")
def slow(args):
    import time
    time.sleep(args)

def fib_of(num):
    a, b = 0, 1
    for _ in range(num):
        a, b = b, a + b
    return a
'''

HELLO = '''
const nodey = require('nodey');
nodey.get('/hello', (req) => ({ hello: req.query.name || 'world' }));
'''

PROGRAMS = {"workers/fib.py": FIB, "workers/hello.js": HELLO}

# Answers each request with its own frame.
MIRROR = pool("mirror", *raw("mirror.py"), instances=1)


def folder_of(tmp_path: Path, files: dict[str, str]) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    write_files(folder, files)
    return folder


def control(folder: Path) -> Connection:
    """A connection to the control socket of that folder's nodey."""
    connection = Connection.__new__(Connection)
    connection.timeout = slow(10)
    connection.kept = b""
    connection.socket = socket.socket(socket.AF_UNIX)
    connection.socket.settimeout(connection.timeout)
    connection.socket.connect(str(folder / ".nodey/control.sock"))
    return connection


def ask_control(folder: Path, method: str, path: str, body: bytes = b"",
                headers: dict[str, str] | None = None) -> Any:
    with control(folder) as connection:
        return connection.request(method, path, body, {"Connection": "close", **(headers or {})})


# ---------------------------------------------------------------------------- call


def test_a_call_goes_to_the_nodey_that_is_up(nodey: Nodey) -> None:
    app = nodey(PROGRAMS)
    done = run(app.folder, "call", "fib", "GET /fib?num=10")
    assert (done.code, done.bytes, done.err) == (0, b'{"fib":55}', ""), done
    assert run(app.folder, "call", "fib", "/parent").out == str(app.pid)
    sub = app.folder / "workers"  # from elsewhere, by the configuration
    (app.folder / "nodey.toml").write_text("")
    done = run(sub, "call", "-f", "../nodey.toml", "fib", "/parent")
    assert done.out == str(app.pid), done


def test_without_a_nodey_the_programs_run_for_one_call(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, PROGRAMS)
    mark = uuid.uuid4().hex
    done = run(folder, "call", "fib", "GET /fib?num=20", env={procs.RUN: mark})
    assert (done.code, done.bytes) == (0, b'{"fib":6765}'), done
    assert "computing" in done.err, "what the program prints is shown, but not on stdout"
    assert "ready on" not in done.err and "shutting" not in done.err, "no chatter of nodey's own"
    until(lambda: procs.run_is_gone(mark), 5, "every process of the call is gone")
    assert [path.name for path in (folder / ".nodey").iterdir()] == ["sdk"]


def test_private_runs_go_side_by_side_with_each_other_and_with_a_bad_neighbour(
        tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {**PROGRAMS, "workers/bad.py": "import nodey\nboom(\n"})
    calls = [subprocess.Popen([str(BINARY), "call", "fib", f"/fib?num={n}"], cwd=folder,
                              env=environment(), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) for n in (5, 6, 7)]
    answers = [call.communicate(timeout=slow(30))[0] for call in calls]
    assert answers == [b'{"fib":5}', b'{"fib":8}', b'{"fib":13}']
    done = run(folder, "call", "bad", "/x")
    assert done.code == 3 and done.out == "" and "bad" in done.err, done


def test_a_private_run_ends_with_a_command_that_is_killed(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, PROGRAMS)
    mark = uuid.uuid4().hex
    with subprocess.Popen([str(BINARY), "ask", "Slow", "60"], cwd=folder,
                          env=environment({procs.RUN: mark}), stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as command:
        until(lambda: len(procs.of_run(mark)) >= 4, 15, "the programs run")
        command.send_signal(signal.SIGKILL)
        command.wait()
    until(lambda: procs.run_is_gone(mark), 10, "nothing of the run is left")
    assert not list((folder / ".nodey").glob("*.sock"))


@pytest.mark.parametrize("words, sent", [
    (["mirror", "GET /a?b=c"], {"method": "GET", "path": "/a", "query": "b=c"}),
    (["mirror", "GET", "/a"], {"method": "GET", "path": "/a", "query": None}),
    (["mirror", "/a"], {"method": "GET", "path": "/a"}),
    (["mirror", "DELETE /a/b"], {"method": "DELETE", "path": "/a/b"}),
    (["mirror", "get /a"], {"method": "GET"}),
    (["mirror", "PUT"], {"method": "PUT", "path": "/"}),
    (["mirror", "GET /a b?q=ä \"x\""], {"path": "/a%20b", "query": "q=%C3%A4%20%22x%22"}),
    (["mirror", "/a", "-d", "text"], {"method": "POST", "body": "text"}),
    (["mirror", "PUT /a", "-d", '{"a":1}'], {"method": "PUT", "body": '{"a":1}'}),
    (["mirror", "/a", "-d", "@body.txt"], {"body": "from a file\n"}),
    (["mirror", "/a", "--data=-"], {"body": "from stdin"}),
    (["/a", "-d", ""], {"method": "POST", "path": "/a", "body": None}),
    (["GET", "/a"], {"method": "GET", "path": "/a"}),
])
def test_what_is_typed_is_what_is_sent(nodey: Nodey, words: list[str],
                                       sent: dict[str, Any]) -> None:
    app = nodey(config=MIRROR)
    (app.folder / "body.txt").write_text("from a file\n")
    done = run(app.folder, "call", *words, input="from stdin")
    assert done.code == 0, done
    frame = json.loads(done.out)
    assert {name: frame.get(name) for name in sent} == sent


def test_headers_are_sent_and_the_body_says_what_it_is(nodey: Nodey) -> None:
    app = nodey(config=MIRROR)
    done = run(app.folder, "call", "mirror", "/a", "-H", "X-One: 1", "-H", "x-two:  b c ")
    headers = json.loads(done.out)["headers"]
    assert (headers["x-one"], headers["x-two"]) == ("1", "b c")
    assert "content-type" not in headers
    for body, kind in (('{"a":1}', "application/json"), ("plain", "text/plain; charset=utf-8")):
        done = run(app.folder, "call", "mirror", "/a", "-d", body)
        assert json.loads(done.out)["headers"]["content-type"] == kind
    done = run(app.folder, "call", "mirror", "/a", "-d", "{}", "-H", "Content-Type: text/x")
    assert json.loads(done.out)["headers"]["content-type"] == "text/x"


def test_the_answer_can_be_had_whole(nodey: Nodey) -> None:
    app = nodey(config=MIRROR)
    answer = json.dumps({"headers": {"x-a": "1", "set-cookie": ["a=1", "b=2"]}, "status": 201,
                         "body": "made"})
    target = "/a?answer=" + answer
    done = run(app.folder, "call", "mirror", target, "-i")
    head, _, body = done.out.partition("\n\n")
    assert (head.splitlines()[0], body) == ("HTTP/1.1 201 Created", "made"), done
    assert "x-a: 1" in head and "set-cookie: b=2" in head
    whole = json.loads(run(app.folder, "call", "mirror", target, "--format", "json").out)
    assert (whole["status"], whole["body"]) == (201, "made")
    assert whole["headers"]["set-cookie"] == ["a=1", "b=2"]
    raw_bytes = run(app.folder, "call", "mirror", '/a?answer={"body64":"AP/+","body":null}')
    assert raw_bytes.code in (0, 1)


def test_bytes_come_out_as_they_are(nodey: Nodey) -> None:
    app = nodey(PROGRAMS)
    assert run(app.folder, "call", "fib", "/bytes").bytes == b"\x00\xff\xfe"
    whole = json.loads(run(app.folder, "call", "fib", "/bytes", "--format", "json").out)
    assert whole["body64"] == "AP/+"


@pytest.mark.parametrize("words, method", [
    (["POST /a b?c=1", '{"a": 1}'], "POST"), (["PUT", "/a b?c=1", '{"a": 1}'], "PUT"),
    (["/a b?c=1", '{"a": 1}'], "POST"),
])
def test_a_body_may_stand_behind_the_path(nodey: Nodey, words: list[str], method: str) -> None:
    app = nodey(config=MIRROR)
    frame = json.loads(run(app.folder, "call", "mirror", *words).out)
    assert (frame["method"], frame["path"], frame["query"]) == (method, "/a%20b", "c=1")
    assert json.loads(frame["body"]) == {"a": 1}
    assert frame["headers"]["content-type"] == "application/json"


def test_a_route_keeps_its_parameters_and_any_path_may_be_called(nodey: Nodey) -> None:
    app = nodey({**PROGRAMS}, config=MIRROR + '[[routes]]\npath = "/twice/:n"\nto = "mirror"\n')
    assert json.loads(run(app.folder, "call", "fib", "/users/42").out) == {"id": "42"}
    frame = json.loads(run(app.folder, "call", "mirror", "/twice/2").out)
    assert frame["params"] == {"n": "2"}
    # /fib is another worker's, and goes to the one that was named all the same.
    assert json.loads(run(app.folder, "call", "mirror", "/fib").out)["path"] == "/fib"


def test_without_a_request_the_first_route_is_called(nodey: Nodey) -> None:
    app = nodey(PROGRAMS)
    assert run(app.folder, "call", "hello").out == '{"hello":"world"}'
    assert run(app.folder, "call", "fib").out == '{"fib":55}'


@pytest.mark.parametrize("words, code, said", [
    (["fib", "/nope"], 1, "404 Not Found"),
    (["fib", "POST /fib"], 1, "405 Method Not Allowed"),
    (["nosuch", "/fib"], 1, 'no worker is called "nosuch"; there are fib, hello'),
    (["/nope"], 1, "no route for this path"),
    ([], 2, "needs a worker's name"),
    (["fib", "fib?num=1"], 2, "is no request"),
    (["fib", "/fib", "-H", "nonsense"], 2, "-H takes 'Name: value'"),
    (["fib", "/fib", "-H", "Content-Length: 3"], 2, "is set by nodey"),
    (["fib", "/fib", "-H", "A: b\r\nC: d"], 2, "-H takes 'Name: value'"),
    (["fib", "/fib", "--nope"], 2, "has no option --nope"),
    (["fib", "/fib", "-d"], 2, "-d lacks its value"),
    (["fib", "/fib", "--timeout", "5"], 2, "--timeout is a time such as 5s"),
    (["fib", "/fib", "--format", "xml"], 2, "--format knows json"),
    (["fib", "a", "b", "c", "d"], 2, 'takes no further word: "d"'),
    (["fib", "POST", "/fib", "a=1"], 2, '"a=1" is neither a method, a path nor a body'),
    (["fib", "POST /fib", "{}", "[]"], 2, '"[]" is neither a method, a path nor a body'),
    (["fib", "POST /fib", "{}", "-d", "1"], 2, 'one body is enough: "{}" or -d'),
    (["fib", "/fib", "-d", "@nosuch"], 1, "nosuch: No such file"),
    (["-f", "nosuch.toml", "fib", "/fib"], 3, "nosuch.toml"),
])
def test_exit_codes_and_words_say_what_is_wrong(nodey: Nodey, words: list[str], code: int,
                                                said: str) -> None:
    app = nodey(PROGRAMS)
    done = run(app.folder, "call", *words)
    assert done.code == code and said in done.err, done
    assert code == 1 or done.out == "", done


def test_a_call_gives_up_when_it_was_told_to(nodey: Nodey) -> None:
    app = nodey(config=MIRROR + "[server]\nshutdown_timeout = '1s'\n")
    started = time.monotonic()
    done = run(app.folder, "call", "mirror", "/a?sleep=20", "--timeout", "300ms")
    assert done.code == 3 and time.monotonic() - started < slow(8), done
    app.exit_code = None  # it ends while its worker sleeps


# ----------------------------------------------------------------------------- ask


def test_an_ask_prints_the_value(nodey: Nodey) -> None:
    app = nodey(PROGRAMS)
    done = run(app.folder, "ask", "Fib", '{"num":20}')
    assert (done.code, done.bytes, done.err) == (0, b"6765\n", ""), done
    assert run(app.folder, "ask", "Same").out == "null\n"
    assert run(app.folder, "ask", "Same", "-", input='{"a":\r\n [1.50,\n "x\\n"]}').out == \
        '{"a":[1.5,"x\\n"]}\n'
    (app.folder / "args.json").write_text('[1,\n2]\n')
    assert run(app.folder, "ask", "Same", "@args.json").out == "[1,2]\n"


def test_an_ask_needs_no_nodey_to_be_up(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, PROGRAMS)
    done = run(folder, "ask", "Fib", '{"num":10}')
    assert (done.code, done.out) == (0, "55\n"), done


def test_a_level_0_worker_is_asked_by_a_request(nodey: Nodey) -> None:
    app = nodey(config=pool("mirror", *raw("mirror.py"), instances=1, tokens=["Mirror"]))
    frame = json.loads(json.loads(run(app.folder, "ask", "Mirror", '{"a":1}').out))
    assert (frame["method"], frame["path"], frame["body"]) == \
        ("POST", "/.nodey/ask/Mirror", '{"a":1}')


@pytest.mark.parametrize("words, code, said", [
    (["Fail"], 1, "not_found: no such thing"),
    (["Fail"], 1, '"id":7'),
    (["Fbi"], 1, 'unimplemented: no worker answers the token "Fbi"; known are Fail, Fib, Same'),
    (["Slow", "5", "--timeout", "100ms"], 1, "deadline_exceeded"),
    (["Fib", "{num:1}"], 2, "not JSON"),
    (["Fib", "1 2"], 2, "something follows the value, at character 3"),
    ([], 2, "needs a token"),
    (["x" * 129], 2, "1 to 128 bytes"),
])
def test_a_failed_ask_says_its_code(nodey: Nodey, words: list[str], code: int,
                                    said: str) -> None:
    app = nodey({"workers/fib.py": FIB}, config="[workers.fib]\nscript = 'workers/fib.py'\n"
                                                "kill_after = '100ms'\n"
                                                "[server]\nshutdown_timeout = '1s'\n")
    done = run(app.folder, "ask", *words)
    assert done.code == code and said in done.err and done.out == "", done


# ---------------------------------------------------------------------------- repl


def test_the_repl_reads_lines_from_a_pipe_without_a_prompt(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, PROGRAMS)
    lines = "GET /fib?num=5\n\n# a remark\n/hello?name=Ann\nask Same {\"a\": [1]}\n"
    done = run(folder, "repl", input=lines)
    assert (done.code, done.out) == (0, '{"fib":5}\n{"hello":"Ann"}\n{"a":[1]}\n'), done


def test_the_repl_tells_of_every_line_that_fails_and_goes_on(nodey: Nodey) -> None:
    app = nodey(PROGRAMS, config=MIRROR)
    lines = "POST /x {\"a\": 1}\nGET /nope\nbla\nask Nope\nask\nroutes\nhelp\nexit\nGET /fib\n"
    done = run(app.folder, "repl", "mirror", input=lines)
    frames = [json.loads(line) for line in done.out.splitlines() if line.startswith("{")]
    assert done.code == 1 and frames[0]["body"] == '{"a": 1}', done
    assert frames[0]["headers"]["content-type"] == "application/json"
    assert frames[1]["path"] == "/nope" and len(frames) == 2, "exit ends it"
    assert "is no request" in done.err and "unimplemented" in done.err
    assert "an ask names a token" in done.err
    assert "mirror (ready)" in done.out and "fib (ready)" not in done.out
    assert "Ctrl-D" in done.out


def test_what_is_typed_ahead_at_the_repl_counts(nodey: Nodey) -> None:
    app = nodey(PROGRAMS)
    with Terminal(app.folder, ["repl", "fib"]) as terminal:
        terminal.wait_for("fib> ")
        terminal.type("GET /fib?num=10\rGET /fib?num=20\r\x04")
        at = terminal.wait_for(r'"fib".{0,12}: .{0,8}55')
        terminal.wait_for(r'"fib".{0,12}: .{0,8}6765', at)
        assert terminal.end() == 0


def test_the_repl_on_a_terminal_has_a_prompt_a_history_and_can_be_edited(nodey: Nodey) -> None:
    app = nodey(PROGRAMS)
    with Terminal(app.folder, ["repl", "fib"]) as terminal:
        at = terminal.wait_for("fib> ")
        terminal.type("GET /fub?num=10" + "\x1b[D" * 8 + "\x7fi" + "\r")
        at = terminal.wait_for(r'"fib".{0,12}: .{0,8}55.*?fib> ', at)
        terminal.type("\x1b[A\x7f\x7f20\r")  # the line before, with another number
        at = terminal.wait_for(r'"fib".{0,12}: .{0,8}6765.*?fib> ', at)
        terminal.type("garbage\x03")  # Ctrl-C gives the line up
        at = terminal.wait_for(r"\^C.*?fib> ", at)
        terminal.type("\x1b[A\x1b[A\r")  # two lines back
        at = terminal.wait_for(r'"fib".{0,12}: .{0,8}55', at)
        terminal.type("\x04")
        assert terminal.end() == 0


# -------------------------------------------------------------------------- reload


def test_reload_says_what_changed(nodey: Nodey) -> None:
    app = nodey(PROGRAMS)
    done = run(app.folder, "reload")
    assert (done.code, done.out) == (0, "nothing has changed\n"), done
    write_files(app.folder, {"workers/late.py": FIB.replace("/fib", "/late").replace(
        "/users", "/lusers").replace("/parent", "/lparent").replace("/bytes", "/lbytes")})
    done = run(app.folder, "reload")
    assert done.code == 0 and re.search(r"^.*\blate\b.*$", done.out, re.M), done
    until(lambda: app.get("/late?num=3").status == 200, 10, "the new program serves")
    changes = json.loads(run(app.folder, "reload", "--format", "json").out)
    assert changes == {"changes": [], "renewed": []}


def test_a_bad_file_changes_nothing_and_is_named_with_its_place(nodey: Nodey) -> None:
    app = nodey(PROGRAMS, config="[server]\nmax_body = '1M'\n")
    (app.folder / "nodey.toml").write_text("[server]\nmax_bodi = '1M'\n")
    done = run(app.folder, "reload")
    assert done.code == 1 and done.out == "", done
    assert re.search(r"nodey\.toml:2:1: .*max_body", done.err) and "nothing changed" in done.err
    assert app.get("/fib").status == 200


def test_reload_needs_a_nodey(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, PROGRAMS)
    done = run(folder, "reload")
    assert done.code == 3 and "nodey up" in done.err, done


# ----------------------------------------------------------------------------- new


@pytest.mark.parametrize("words, name", [
    (["greet"], "greet.py"), (["greet", "--lang", "python"], "greet.py"),
    (["greet", "--lang=js"], "greet.js"), (["greet.js"], "greet.js"),
    (["greet", "-l", "sh"], "greet.sh"), (["workers/greet.sh"], "greet.sh"),
])
def test_a_new_program_serves_at_once_as_it_says(tmp_path: Path, words: list[str],
                                                 name: str) -> None:
    done = run(tmp_path, "new", *words)
    path = tmp_path / "workers" / name
    assert done.code == 0 and path.exists() and "@" not in path.read_text().replace("@nodey", "")
    typed = re.search(r"nodey call (\w+) '(.*)'", done.out)
    assert typed and "nodey up" in done.out, done
    called = run(tmp_path, "call", typed[1], typed[2])
    assert (called.code, json.loads(called.out)) == (0, {"hello": "Ann"}), called
    assert "somebody says hello" in called.err, "it shows how to log"
    checked = run(tmp_path, "check", f"workers/{name}")
    assert checked.code == 0 and "FAIL" not in checked.out, checked


def test_a_new_typescript_program_says_what_it_needs(tmp_path: Path) -> None:
    done = run(tmp_path, "new", "greet.ts")
    text = (tmp_path / "workers/greet.ts").read_text()
    assert done.code == 0 and "Node 22" in done.out
    assert "nodey.get('/greet'" in text and "import nodey from 'nodey'" in text


@pytest.mark.parametrize("words, code, said", [
    (["taken"], 1, "workers/taken.py is there already"),
    (["taken.js"], 1, "workers/taken.py is there already"),
    (["a/b"], 2, "a name has"), (["../x"], 2, "a name has"), ([".hidden"], 2, "a name has"),
    (["_x"], 2, "nobody's worker"), (["x", "--lang", "cobol"], 2, "py, js, ts or sh"),
    (["x.py", "--lang", "js"], 2, "is no js file"), ([], 2, "needs a name"),
])
def test_new_never_overwrites_and_refuses_bad_names(tmp_path: Path, words: list[str], code: int,
                                                    said: str) -> None:
    write_files(tmp_path, {"workers/taken.py": "mine"})
    done = run(tmp_path, "new", *words)
    assert done.code == code and said in done.err, done
    assert (tmp_path / "workers/taken.py").read_text() == "mine"
    assert [path.name for path in (tmp_path / "workers").iterdir()] == ["taken.py"]


# ---------------------------------------------------------------------------- run


TEST_PY = """
from nodey.testing import Client

worker = Client("workers/fib.py")

def test_fib():
    assert worker.get("/fib?num=20").json() == {"fib": 6765}

def test_fault():
    assert worker.get("/fib?num=20").json() == {"fib": FAULT}
"""

TEST_JS = """
IMPORTS
test('hello', async () => {
    const worker = client('workers/hello.js');
    assert.deepEqual((await worker.get('/hello?name=Ann')).json(), { hello: 'Ann' });
});
"""

IMPORTS = {
    "js": "const assert = require('node:assert/strict');\nconst { test } = require('node:test');\n"
          "const { client } = require('nodey/testing');\n",
    "mjs": "import assert from 'node:assert/strict';\nimport { test } from 'node:test';\n"
           "import { client } from 'nodey/testing';\n"}


def test_run_shows_pytest_the_way_to_the_sdk(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {**PROGRAMS, "test_fib.py": TEST_PY.replace("FAULT", "6765")})
    done = run_pytest(folder)
    assert done.code == 0 and "2 passed" in done.out, done
    assert not (folder / "node_modules").exists(), "what Python does not need is not made"
    write_files(folder, {"test_fib.py": TEST_PY.replace("FAULT", "0")})
    done = run_pytest(folder)
    assert done.code == 1 and "1 failed, 1 passed" in done.out, done


@pytest.mark.parametrize("kind", ["js", "mjs"])
@pytest.mark.parametrize("place", ["", "test/"])
def test_run_shows_node_the_way_to_the_sdk(tmp_path: Path, kind: str, place: str) -> None:
    name = f"{place}hello.test.{kind}"
    folder = folder_of(tmp_path, {**PROGRAMS, name: TEST_JS.replace("IMPORTS", IMPORTS[kind])})
    done = run(folder, "run", "node", "--test", "--test-reporter=tap")
    assert done.code == 0 and "# pass 1\n" in done.out, done


def test_run_puts_a_virtual_environment_first(tmp_path: Path) -> None:
    write_files(tmp_path, {"venv/bin/python": "", "venv/bin/greet.sh": "#!/bin/sh\necho mine $1\n",
                           ".nodey/x": ""})
    (tmp_path / "venv/bin/python").chmod(0o755)
    done = run(tmp_path, "run", "greet.sh", "-f")
    assert (done.code, done.out) == (0, "mine -f\n"), done
    shown = run(tmp_path, "run", "sh", "-c", 'echo "$VIRTUAL_ENV $PYTHONPATH $NODE_PATH"',
                env={"PYTHONPATH": "/a", "NODE_PATH": "/b"}).out
    assert re.fullmatch(rf"{tmp_path}/venv \S+/python:/a \S+/node:/b\n", shown), shown


def test_run_is_what_it_runs(tmp_path: Path) -> None:
    write_files(tmp_path, {"plain": "", "elsewhere/nodey.toml":
                           '[server]\ndata_dir = "data"\n[workers.a]\ncommand = "true"\n'})
    assert run(tmp_path, "run", "sh", "-c", "exit 7").code == 7
    assert run(tmp_path, "run", "cat", input="words").out == "words"
    signals = run(tmp_path, "run", "grep", "SigIgn", "/proc/self/status").out
    assert int(signals.split()[1], 16) & 1 << 12 == 0, "SIGPIPE ends the command as it would"
    done = run(tmp_path, "run", "no-such-command")
    assert done.code == 127 and 'no command "no-such-command"' in done.err, done
    done = run(tmp_path, "run", "./plain")
    assert done.code == 126 and "Permission denied" in done.err, done
    assert run(tmp_path, "run").code == 2
    assert run(tmp_path, "run", "-f", "nosuch.toml", "true").code == 1
    assert run(tmp_path, "run", "-f", "elsewhere/nodey.toml", "true").code == 0
    assert (tmp_path / "elsewhere/data/sdk").is_dir()


# ------------------------------------------------------------------ help and manners


VERBS = ["up", "new", "run", "call", "ask", "repl", "reload", "check"]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(tmp_path: Path, verb: str) -> None:
    done = run(tmp_path, "help", verb)
    assert done.code == 0 and done.out.startswith(f"nodey {verb}") and len(done.out) > 200, done
    assert run(tmp_path, verb, "--help").out == done.out
    assert f"nodey {verb}" in run(tmp_path, "help").out
    assert not list(tmp_path.iterdir()), "asking for help does nothing else"


def test_an_unknown_verb_is_told_the_nearest(tmp_path: Path) -> None:
    for wrong, right in (("cal", "call"), ("relaod", "reload"), ("chek", "check")):
        done = run(tmp_path, wrong)
        assert done.code == 2 and f'did you mean "{right}"' in done.err, done
    assert run(tmp_path, "help", "cal").code == 2
    done = run(tmp_path, "zzzzzz")
    assert done.code == 2 and "did you mean" not in done.err


def test_other_tools_words_lead_to_nodey_s(tmp_path: Path) -> None:
    for wrong, right in (("pull", "nodey reload"), ("port", "nodey ps"), ("status", "nodey ps"),
                         ("inspect", "nodey describe NAME"), ("log", "nodey logs")):
        done = run(tmp_path, wrong)
        assert done.code == 2 and f'no command "{wrong}": here it is {right}' in done.err, done


def test_an_option_with_a_slip_is_told_the_nearest(tmp_path: Path) -> None:
    for words, right in (("up --detatch", "--detach"), ("ps --al", "--all"), ("logs --folow=1", "--follow")):
        done = run(tmp_path, *words.split())
        assert done.code == 2 and f"did you mean {right}?" in done.err, done
    for words in "up --zzzzzz", "up -Z", "up --b":
        done = run(tmp_path, *words.split())
        assert done.code == 2 and "did you mean" not in done.err, done


def test_a_folder_for_another_tool_is_known(tmp_path: Path) -> None:
    (tmp_path / "compose.yml").write_text("services: {}\n")
    done = run(tmp_path, "up")
    assert done.code == 1 and "there is a compose.yml: nodey import . -o nodey.toml" in done.err, done


COLOUR = re.compile(r"\x1b\[\d")


def test_json_is_pretty_on_a_terminal_and_colours_can_be_refused(nodey: Nodey) -> None:
    app = nodey(PROGRAMS)
    seen = {}
    for name, words, env in (("plain", [], {}), ("option", ["--no-color"], {}),
                             ("variable", [], {"NO_COLOR": "1"})):
        with Terminal(app.folder, ["call", "fib", "/fib?num=10", *words], env) as terminal:
            assert terminal.end() == 0
            seen[name] = terminal.seen.replace("\r", "")
    assert COLOUR.search(seen["plain"])
    assert COLOUR.sub("", seen["plain"]).count("\n") == 3
    assert seen["option"] == seen["variable"] == '{\n  "fib": 55\n}\n'


def test_bytes_do_not_spoil_a_terminal(nodey: Nodey) -> None:
    app = nodey(PROGRAMS)
    with Terminal(app.folder, ["call", "fib", "/bytes"]) as terminal:
        assert terminal.end() == 0
    assert "3 bytes of application/octet-stream" in terminal.seen and "\0" not in terminal.seen


def test_the_log_of_a_private_run_is_dimmed_on_a_terminal(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, PROGRAMS)
    with Terminal(folder, ["call", "fib", "/fib?num=10"]) as terminal:
        assert terminal.end() == 0
    line = next(line for line in terminal.seen.splitlines() if "computing" in line)
    assert line.startswith("\x1b[2m") and line.endswith("\x1b[0m"), repr(line)


# ------------------------------------------------------------------------- the socket


def test_the_socket_is_the_owners_alone_and_goes_with_nodey(nodey: Nodey) -> None:
    app = nodey(PROGRAMS)
    path = app.folder / ".nodey/control.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    app.stop()
    assert not path.exists()


def test_it_says_what_runs(nodey: Nodey) -> None:
    app = nodey(PROGRAMS, config=MIRROR)
    about = ask_control(app.folder, "GET", "/v1").json()
    assert about["pid"] == app.pid and about["private"] is False and about["settled"] is True
    assert about["urls"] == [f"http://127.0.0.1:{app.port}"]
    assert (about["config"], about["dir"]) == ("nodey.toml", str(app.folder))
    workers = {w["name"]: w for w in ask_control(app.folder, "GET", "/v1/programs").json()}
    assert set(workers) == {"fib", "hello", "mirror"}
    fib = workers["fib"]
    assert (fib["state"], fib["trouble"], fib["queue"]) == ("ready", None, 0)
    assert {i["pid"] for i in fib["instances"] if i["state"] == "ready"} <= \
        set(app.worker_pids("fib"))
    assert {"method": "GET", "path": "/fib"} in fib["routes"]
    assert fib["tokens"] == ["Fail", "Fib", "Same", "Slow"]
    app.get("/fib")
    served = ask_control(app.folder, "GET", "/v1/programs").json()
    assert sum(i["served"] for w in served if w["name"] == "fib" for i in w["instances"]) == 1


@pytest.mark.parametrize("method, path, headers, status", [
    ("GET", "/", {}, 404), ("GET", "/v2", {}, 404), ("POST", "/v1", {}, 405),
    ("GET", "/v1/reload", {}, 405), ("GET", "/v1/ask/Fib", {}, 405),
    ("POST", "/v1/ask/%zz", {}, 400), ("POST", "/v1/ask/", {}, 400),
    ("POST", "/v1/ask/Fib", {"x-nodey-timeout": "soon"}, 400),
    ("GET", "/fib", {"x-nodey-worker": "nosuch"}, 404),
    ("GET", "/fib", {"x-nodey-worker": "fib"}, 200),
    ("GET", "/fib", {"x-nodey-worker": "*"}, 200),
])
def test_what_it_does_not_know_is_refused_in_words(nodey: Nodey, method: str, path: str,
                                                   headers: dict[str, str], status: int) -> None:
    app = nodey(PROGRAMS)
    answer = ask_control(app.folder, method, path, headers=headers)
    assert answer.status == status, answer
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"


def test_arguments_that_are_no_json_never_reach_a_worker(nodey: Nodey) -> None:
    app = nodey(PROGRAMS, config="[workers.fib]\nscript = 'workers/fib.py'\nmax_line = '1M'\n")
    for body in (b"{", b"1 2", b'"\xff"', b"[" * 70 + b"]" * 70, b'"a\nb"'):
        answer = ask_control(app.folder, "POST", "/v1/ask/Same", body)
        assert (answer.status, answer.json()["code"]) == (400, "invalid_argument"), body
    answer = ask_control(app.folder, "POST", "/v1/ask/Same", b'{"a":\n[1,\r\n2]}')
    assert (answer.status, answer.json()) == (200, {"a": [1, 2]})
    large = ask_control(app.folder, "POST", "/v1/ask/Same", b'"' + b"x" * (2 << 20) + b'"')
    assert large.status == 413, large
    assert app.get("/fib").status == 200 and "bad line" not in app.log()


def test_it_answers_while_no_worker_is_up(nodey: Nodey) -> None:
    app = nodey(config=pool("gone", "/bin/false", instances=1), wait=False)
    until(lambda: (app.folder / ".nodey/control.sock").exists(), 10, "the socket is there")
    gone = until(lambda: next((w for w in ask_control(app.folder, "GET", "/v1/programs").json()
                               if w["trouble"]), None), 10, "its trouble is told")
    assert gone["state"] in ("starting", "backoff", "failed") and "does not start" in gone["trouble"]
    until(lambda: ask_control(app.folder, "GET", "/v1").json()["settled"], 20, "it has settled")
    answer = ask_control(app.folder, "GET", "/x", headers={"x-nodey-worker": "gone"})
    assert answer.status == 503 and "does not start" in answer.json()["detail"]
    answer = ask_control(app.folder, "POST", "/v1/ask/Fib")
    assert (answer.status, answer.json()["code"]) == (501, "unimplemented")


def test_it_answers_under_load(nodey: Nodey) -> None:
    app = nodey(config=MIRROR)
    end = threading.Event()

    def load() -> None:
        with app.connect(30) as connection:
            while not end.is_set():
                assert connection.request("GET", "/a").status == 200

    threads = [threading.Thread(target=load) for _ in range(16)]
    for thread in threads:
        thread.start()
    slowest = 0.0
    for _ in range(50):
        started = time.monotonic()
        assert ask_control(app.folder, "GET", "/v1/programs").status == 200
        slowest = max(slowest, time.monotonic() - started)
    end.set()
    for thread in threads:
        thread.join()
    assert slowest < slow(1), f"one took {slowest:.2f} s"


def test_the_socket_of_a_nodey_that_was_killed_is_replaced(nodey: Nodey) -> None:
    app = nodey(PROGRAMS)
    app.kill()
    assert (app.folder / ".nodey/control.sock").exists()
    done = run(app.folder, "call", "fib", "/fib?num=5")  # nobody answers there: a private run
    assert (done.code, done.out) == (0, '{"fib":5}'), done
    again = nodey(folder=app.folder)
    assert run(app.folder, "call", "fib", "/parent").out == str(again.pid)


def test_what_lies_where_the_socket_belongs_is_replaced(nodey: Nodey, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {**PROGRAMS, ".nodey/control.sock": "left by a backup"})
    app = nodey(folder=folder)
    assert run(folder, "call", "fib", "/parent").out == str(app.pid)


def test_an_ask_whose_client_has_left_is_cancelled(nodey: Nodey) -> None:
    app = nodey({"workers/wait.py": """
import asyncio
import nodey

@nodey.token("Wait")
async def wait(args):
    open(args, "w").close()
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        open(args + ".cancelled", "w").close()
        raise
"""})
    mark = app.folder / "mark"
    with control(app.folder) as connection:
        connection.send(request_bytes("POST", "/v1/ask/Wait", json.dumps(str(mark)).encode()))
        until(mark.exists, 10, "the ask has begun")
        time.sleep(0.3)  # An earlier end of the sending side would be a half-close.
    until(Path(f"{mark}.cancelled").exists, 10, "it is cancelled")
    assert ask_control(app.folder, "GET", "/v1").status == 200


def test_a_second_nodey_does_not_take_the_first_ones_socket(nodey: Nodey) -> None:
    app = nodey(PROGRAMS)
    second = nodey(folder=app.folder, wait=False, exit_code=1)
    assert second.wait_exit() == 1
    assert run(app.folder, "call", "fib", "/parent").out == str(app.pid)


def test_a_folder_may_be_deeper_than_a_sockets_name_is_long(nodey: Nodey, tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-rather-long-name-of-a-folder"] * 6)
    deep.mkdir(parents=True)
    write_files(deep, PROGRAMS)
    done = run(deep, "call", "fib", "/fib?num=5")
    assert (done.code, done.out) == (0, '{"fib":5}'), done
    app = nodey(folder=deep)
    assert run(deep, "call", "fib", "/parent").out == str(app.pid)
    app.stop()
    assert not (deep / ".nodey/control.sock").exists()


def test_clients_of_the_socket_that_misbehave_harm_nobody(nodey: Nodey) -> None:
    app = nodey(PROGRAMS)
    for data in (b"\x00\xff\x16\x03\x01", b"GET\r\n\r\n", b"GET /v1 HTTP/1.1\r\n\r\n",
                 b"POST /v1/ask/Slow HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n10"):
        with control(app.folder) as connection:
            connection.send(data)
    left = control(app.folder)  # leaves in the middle of a slow ask, and of a relayed request
    left.send(request_bytes("GET", "/fib", headers={"x-nodey-worker": "fib"}))
    left.close()
    assert ask_control(app.folder, "GET", "/v1").status == 200
    assert app.get("/fib").status == 200
    app.exit_code = None  # a worker may still sleep


def test_a_worker_cannot_be_reached_by_the_header_over_the_port(nodey: Nodey) -> None:
    app = nodey(PROGRAMS, config=MIRROR)
    assert app.get("/fib", headers={"x-nodey-worker": "mirror"}).json() == {"fib": 55}
    assert app.get("/v1/workers").json()["path"] == "/v1/workers", "the mirror's, as any path"


def test_the_examples_in_the_help_work(nodey: Nodey) -> None:
    app = nodey(folder=None, files={name: (ROOT / name).read_text()
                                    for name in ("workers/fib.py", "workers/hello.js")})
    text = run(app.folder, "help", "call").out + run(app.folder, "help", "ask").out
    examples = re.findall(r"^  nodey (call fib|ask Fib) '(.*)'$", text, re.M)
    assert len(examples) == 2
    for verb, argument in examples:
        done = run(app.folder, *verb.split(), argument)
        assert done.code == 0 and "55" in done.out, done
