"""By hand: at a terminal, from files, at Python's own prompt, and in test runners."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Optional

import nodey.hand
import pytest
from nodey.codec import Malformed
from process import DEADLINE, environment

SCRIPT = """\
import nodey
@nodey.get("/greet", description="says hello")
{a}def greet(req):
    print("printed")
    return {{"hello": req.query.get("name", "world"), "list": [1]}}
@nodey.post("/echo")
def echo(req): return req.headers["content-type"] + " " + req.text
@nodey.get("/page")
def page(): return nodey.html("<p>\\x1b[2J").set_cookie("a", "1")
@nodey.get("/boom")
def boom(): return 1 / 0
@nodey.token("Fib")
def fib(args): return args["num"]
"""


class Terminal:
    """A script whose input and output are a terminal."""

    def __init__(self, *command: str, folder: Path, error: Optional[int] = None) -> None:
        self.leader, terminal = os.openpty()
        env = {**environment("hand", "", {}), "TERM": "dumb"}
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=env,
            cwd=folder,
            start_new_session=True,
            preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
        )
        self.terminal = terminal

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.leader)
        os.close(self.terminal)

    def until(self, text: str) -> str:
        """What is shown, up to a text that must come."""
        seen, end = "", time.monotonic() + DEADLINE
        while text not in seen:
            assert select.select([self.leader], [], [], max(end - time.monotonic(), 0))[0], seen
            seen += os.read(self.leader, 4096).decode().replace("\r\n", "\n")
        return seen

    def type(self, text: str, until: str = "> ") -> str:
        """Types a line; what is shown up to the next prompt, without the echo and it."""
        os.write(self.leader, text.encode() + b"\n")
        echo, _, shown = self.until("\n").partition("\n")
        while not shown.endswith(until):
            shown += self.until(until)
        return shown.rpartition("\n")[0]


@pytest.mark.parametrize("a", ["", "async "])
@pytest.mark.parametrize("runner", [[], ["-m", "nodey.run"]])
def test_a_prompt(tmp_path, a, runner) -> None:
    (tmp_path / "demo.py").write_text(SCRIPT.format(a=a))
    with Terminal(*runner, "demo.py", folder=tmp_path) as terminal:
        assert "GET /path?query" in terminal.until("demo> ")
        lines = terminal.type("GET /greet?name=Ann").splitlines()
        assert lines[0] == "printed" and lines[1].startswith("200 OK  ")
        assert lines[2:4] == ["{", '  "hello": "Ann",'] and lines[-1] == "}"
        assert terminal.type('POST /echo {"a": 1}').splitlines()[1] == 'application/json {"a": 1}'
        assert "x-www-form-urlencoded a=1" in terminal.type("post /echo a=1")
        page = terminal.type("/page").splitlines()
        assert page[1:3] == [
            "content-type: text/html; charset=utf-8",
            "set-cookie: a=1; Path=/; SameSite=Lax",
        ]
        assert page[3] == "<p>\\x1b[2J"  # Shown, not done.
        boom = terminal.type("/boom")
        assert boom.count("ZeroDivisionError") == 2 and "500 internal: ZeroDivision" in boom
        assert terminal.type('ask Fib {"num":10}') == "10"
        assert terminal.type('{"method":"GET","path":"/nowhere"}').startswith("404 not_found")
        assert "not understood: hello" in terminal.type("hello")
        assert "GET     /greet  says hello" in terminal.type("routes")
        assert "Ctrl-D" in terminal.type("help")
        os.write(terminal.leader, b"\x04")
        assert terminal.process.wait(DEADLINE) == 0


def test_an_interrupt_ends_it_and_leaves_the_terminal_as_it_was(tmp_path) -> None:
    import termios

    (tmp_path / "demo.py").write_text(SCRIPT.format(a=""))
    with Terminal("demo.py", folder=tmp_path) as terminal:
        terminal.until("demo> ")
        os.write(terminal.leader, b"GET /gre")
        terminal.until("GET /gre")
        os.write(terminal.leader, b"\x03")
        assert terminal.process.wait(DEADLINE) in (130, -signal.SIGINT)
        flags = termios.tcgetattr(terminal.terminal)[3]
        assert flags & termios.ECHO and flags & termios.ICANON


def test_requests_from_a_file(tmp_path) -> None:
    (tmp_path / "demo.py").write_text(SCRIPT.format(a=""))
    (tmp_path / "requests.jsonl").write_text(
        '{"id":1,"method":"GET","path":"/greet"}\n'
        '{"type":"ask","id":2,"token":"Fib","args":{"num":3}}'
    )
    with open(tmp_path / "requests.jsonl") as file:
        done = subprocess.run(
            [sys.executable, "demo.py"],
            stdin=file,
            capture_output=True,
            text=True,
            env=environment("hand", "", {}),
            cwd=tmp_path,
            timeout=20,
        )
    assert done.stdout.splitlines() == [
        '{"id":1,"json":{"hello":"world","list":[1]}}',
        '{"type":"answer","id":2,"value":3}',
    ]
    assert (done.stderr, done.returncode) == ("printed\n", 0)


TYPED = [
    ("GET /a?b=c d", {"method": "GET", "path": "/a", "query": "b=c", "body": "d"}),
    ("get", {"method": "GET", "path": "/"}),
    ("GET http://localhost:8000/a?b", {"method": "GET", "path": "/a", "query": "b"}),
    ("/é/%20?ü", {"method": "GET", "path": "/%C3%A9/%20", "query": "%C3%BC"}),
    ("PUT /x [1]", {"method": "PUT", "path": "/x", "body": "[1]"}),
    ("ask A.b", {"type": "ask", "token": "A.b"}),
    ('ask A "x"', {"type": "ask", "token": "A", "args": "x"}),
    ("ASK A 1", {"type": "ask", "token": "A", "args": 1}),
]


@pytest.mark.parametrize("text, expected", TYPED)
def test_what_is_typed_as_a_frame(text, expected) -> None:
    frame = nodey.hand.frame_of(text, 7)
    frame.pop("headers", None)
    assert frame == {"id": 7, **expected}


@pytest.mark.parametrize("text", ["hello", "GET x", "ask", "ask A {", "fetch /x"])
def test_what_is_typed_wrong(text) -> None:
    assert isinstance(nodey.hand.frame_of(text, 7), Malformed)


def python(folder: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        input=given,
        capture_output=True,
        text=True,
        env=environment("hand", "", {}),
        cwd=folder,
        timeout=20,
    )


def test_at_pythons_prompt_nothing_is_taken_and_nothing_served(tmp_path) -> None:
    done = python(
        tmp_path,
        "-i",
        "-q",
        given="""\
import os, nodey
@nodey.get("/fib")
def fib(req): return {"fib": int(req.query["num"])}

@nodey.get("/fib")
def fib(req): return {"fib": 2 * int(req.query["num"])}

print("as ever")
_ = os.write(1, b"here too\\n")
fib(nodey.testing.request("GET", "/fib?num=5"))
nodey.testing.Client().get("/fib?num=7").json()
nodey.start()
""",
    )
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["as ever", "here too", "{'fib': 10}", "{'fib': 14}"]
    assert "which is this prompt" in done.stderr


def test_a_script_that_is_looked_at_with_i_is_not_served(tmp_path) -> None:
    (tmp_path / "demo.py").write_text(SCRIPT.format(a=""))
    done = python(tmp_path, "-i", "-q", "demo.py", given="fib({'num': 3})\n")
    assert (done.stdout, done.returncode) == ("3\n", 0)


def test_a_test_runner_keeps_its_output_and_its_end(tmp_path) -> None:
    (tmp_path / "demo.py").write_text(SCRIPT.format(a=""))
    (tmp_path / "test_demo.py").write_text(
        "import unittest\n"
        "class T(unittest.TestCase):\n"
        "    def test(self):\n"
        "        import demo, nodey\n"
        "        print(nodey.testing.Client(demo).get('/greet').json()['hello'])\n"
    )
    done = python(tmp_path, "-m", "unittest", "test_demo")
    assert done.stdout == "printed\nworld\n" and "OK" in done.stderr and done.returncode == 0


def test_a_test_that_is_a_script_keeps_them_too(tmp_path) -> None:
    (tmp_path / "demo.py").write_text(SCRIPT.format(a=""))
    (tmp_path / "try.py").write_text(
        "from nodey.testing import Client\n"
        "client = Client('demo.py')\n"
        "assert client.get('/greet?name=Ann').json()['hello'] == 'Ann'\n"
        "print('ok')\n"
    )
    given = '{"id":1,"method":"GET","path":"/greet"}\n'  # Nobody is to answer this.
    done = python(tmp_path, "try.py", given=given)
    assert (done.stdout, done.stderr, done.returncode) == ("printed\nok\n", "", 0)
