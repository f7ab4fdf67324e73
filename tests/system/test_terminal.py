"""What nodey writes at a terminal, and what it writes when nobody looks."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Callable, Iterator, Mapping, Optional

import pytest

from app import BINARY, App
from client import exchange_bytes, request_bytes
from conftest import write_files
from timing import slow
from workers import script

Nodey = Callable[..., App]
pytestmark = pytest.mark.outside

HELLO_PY = '''\
import nodey


@nodey.get("/hello")
def hello(req):
    print("saying hello\\x1b[2J")
    return "hello"


@nodey.get("/fail")
def fail(req):
    return 1 / 0
'''

OTHER_PY = HELLO_PY.replace('"/', '"/other/').replace("import nodey", "import nodey\n", 1)

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


class Terminal:
    """nodey up, at a pseudo-terminal."""

    def __init__(self, folder: Path, env: Optional[Mapping[str, str]] = None) -> None:
        kept = {name: value for name, value in os.environ.items()
                if name not in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "PYTHONPATH",
                                "NODE_PATH") and not name.startswith("NODEY")}
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            [str(BINARY), "up", "--listen", "127.0.0.1:0"], cwd=folder, stdin=slave,
            stdout=slave, stderr=slave, start_new_session=True,
            env={**kept, "TERM": "xterm-256color", **(env or {})})
        os.close(slave)
        self._bytes = b""

    @property
    def raw(self) -> str:
        return self._bytes.decode(errors="replace").replace("\r\n", "\n")

    @property
    def text(self) -> str:
        return ESCAPE.sub("", self.raw)

    def wait(self, pattern: str, seconds: float = 20) -> re.Match[str]:
        deadline = time.monotonic() + slow(seconds)
        while True:
            found = re.search(pattern, self.text, re.M)
            if found:
                return found
            left = deadline - time.monotonic()
            assert left > 0, f"not at the terminal: {pattern}\n{self.text}"
            if select.select([self._master], [], [], left)[0]:
                self._bytes += os.read(self._master, 65536)

    def get(self, path: str) -> None:
        port = self.wait(r"nodey ready on http://127\.0\.0\.1:(\d+)").group(1)
        exchange_bytes(int(port), request_bytes("GET", path, headers={"Connection": "close"}))

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + slow(20)
        while self._process.poll() is None and time.monotonic() < deadline:
            if select.select([self._master], [], [], 0.05)[0]:
                try:
                    self._bytes += os.read(self._master, 65536)
                except OSError:  # Nobody holds the other end any more.
                    time.sleep(0.01)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._master)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(files: Mapping[str, str], env: Optional[Mapping[str, str]] = None) -> Terminal:
        write_files(tmp_path, files)
        opened.append(Terminal(tmp_path, env))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_a_person_sees_what_is_served_and_what_is_not(
        terminal: Callable[..., Terminal]) -> None:
    shown = terminal({"workers/hello.py": HELLO_PY, "workers/bad.py": "import nodey\n{}['x']\n",
                      "workers/data.bin": "x"})
    shown.wait(r"^nodey ready on http://127\.0\.0\.1:\d+$")
    shown.wait(r"^  hello  GET /hello, GET /fail +workers/hello\.py$")
    shown.wait(r"^  bad +does not start: .*KeyError")
    shown.wait(r"^  .*data\.bin.*left out")
    shown.wait(r"^Watching for changes\. +Ctrl-C ends it\.$")
    assert "\x1b[1mnodey ready on" in shown.raw


def test_names_have_colours_and_a_column_of_their_own(
        terminal: Callable[..., Terminal]) -> None:
    shown = terminal({"workers/hello.py": HELLO_PY, "workers/a-longer-name.py": OTHER_PY})
    shown.get("/other/hello")
    shown.wait("a-longer-name#0")
    shown.get("/hello")
    line = shown.wait(r"^\d\d:\d\d:\d\d\.\d{3} hello#\d +\| saying hello\\x1b\[2J$").group()
    assert line.index("|") == len("12:34:56.789 a-longer-name#0 ")
    assert "\x1b[2J" not in shown.raw, "a worker cannot clear the screen"
    colours = {name: set(re.findall(rf"(\x1b\[\d+m){name}#\d", shown.raw))
               for name in ("hello", "a-longer-name")}
    assert all(len(found) == 1 for found in colours.values()), colours
    assert re.search(r"^\x1b\[2m\d\d:\d\d:\d\d\.\d{3}", shown.raw, re.M), "the time is dim"


def test_an_error_stands_out_with_its_traceback_below(
        terminal: Callable[..., Terminal]) -> None:
    shown = terminal({"workers/hello.py": HELLO_PY})
    shown.get("/fail")
    first = shown.wait(r"^\S+ hello#\d \| error .*\(.*request [0-9a-f]{8}\)$").group()
    last = shown.wait(r"^ +\| ZeroDivisionError: division by zero$").group()
    assert last.index("|") == first.index("|"), "the lines below are aligned"
    assert "\x1b[1;31merror\x1b[0m" in shown.raw


def test_each_request_is_a_line(terminal: Callable[..., Terminal]) -> None:
    shown = terminal({"workers/hello.py": HELLO_PY})
    shown.get("/hello?a=1")
    shown.get("/fail")
    shown.get("/nowhere")
    shown.wait(r"^\S+ hello +GET /hello\?a=1  200  \d+(\.\d)? ms$")
    shown.wait(r"^\S+ hello +GET /fail  500  \d+(\.\d)? ms$")
    shown.wait(r"^\S+ nodey +GET /nowhere  404  \d+(\.\d)? ms$")
    assert "\x1b[32m200\x1b[0m" in shown.raw and "\x1b[1;31m500\x1b[0m" in shown.raw


@pytest.mark.parametrize("setting", ['access_log = "off"', 'dev = "off"'])
def test_requests_are_lines_only_where_they_are_wanted(
        terminal: Callable[..., Terminal], setting: str) -> None:
    shown = terminal({"workers/hello.py": HELLO_PY, "nodey.toml": f"[server]\n{setting}\n"})
    shown.get("/hello")
    shown.get("/fail")
    shown.wait("ZeroDivisionError")
    assert "GET /hello  200" not in shown.text, shown.text


def test_what_is_no_worker_is_told_once(terminal: Callable[..., Terminal]) -> None:
    shown = terminal({"workers/util.py": "X = 1\n", ".env": "LOADBALANCER_PORT=3456\n"})
    shown.wait(r"^Watching for changes")
    assert shown.text.count("util.py is not served") == 1, shown.text
    assert "LOADBALANCER_PORT" not in shown.text, "--listen has decided"


def test_no_color_takes_only_the_colours_away(terminal: Callable[..., Terminal]) -> None:
    shown = terminal({"workers/hello.py": HELLO_PY}, {"NO_COLOR": "1"})
    shown.get("/hello")
    shown.wait(r"^\d\d:\d\d:\d\d\.\d{3} hello#\d +\| saying hello")
    shown.wait(r"^  hello +GET /hello")
    assert "\x1b" not in shown.raw


def test_a_pipe_gets_one_line_about_the_start(nodey: Nodey) -> None:
    app = nodey({"programs/hello.py": HELLO_PY},
                "[workers.hello]\nscript = \"programs/hello.py\"\n")
    lines = app.log().splitlines()
    assert len(lines) == 1, lines
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z nodey ready on http://\S+",
                        lines[0])
    app.get("/hello")
    app.wait_log(r"^\S+Z hello#\d \| saying hello")
    assert "\x1b" not in app.log()


@pytest.mark.parametrize("name", ["FORCE_COLOR", "CLICOLOR_FORCE"])
def test_colours_can_be_had_in_a_pipe(nodey: Nodey, name: str) -> None:
    app = nodey({"workers/hello.py": HELLO_PY}, script("hello"), env={name: "1"})
    app.get("/hello")
    app.wait_log(r"\x1b\[\d+mhello#")


def test_json_is_never_coloured(nodey: Nodey) -> None:
    app = nodey({"workers/hello.py": HELLO_PY},
                "[server]\nlog_format = \"json\"\n" + script("hello"),
                env={"FORCE_COLOR": "1"})
    app.get("/hello")
    app.wait_log("saying hello")
    assert all(line.startswith("{") and line.endswith("}") for line in app.log().splitlines())
    assert "\x1b" not in app.log()
