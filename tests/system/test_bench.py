"""`nodey bench`: what it tells is what happened, and it leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from html.parser import HTMLParser
from pathlib import Path
from signal import SIGINT, SIGTERM
from typing import Any, Callable, Iterator, Mapping, Optional

import pytest

import procs
from app import BINARY, App
from conftest import write_files
from timing import slow, until

pytestmark = pytest.mark.outside

COUNTING = """
import threading
import time
import nodey

count = 0
lock = threading.Lock()

@nodey.get("/hit")
def hit(req):
    global count
    with lock:
        count += 1
    return {"hit": True}

@nodey.get("/count")
def how_many(req):
    return {"count": count}

@nodey.get("/missing")
def missing(req):
    raise nodey.HTTPError(404, "no")

@nodey.get("/stall")
def stall(req):
    global count
    count += 1
    if count == 40:
        time.sleep(0.4)
    return {}

@nodey.post("/echo")
def echo(req):
    good = req.body == b"a body" and req.headers.get("x-who") == "me, myself"
    return nodey.Response(status=201 if good else 400)
"""

CONFIG = """
[workers.counter]
script = "counter.py"
instances = 1
"""


class Bench:
    """One `nodey bench`, started and watched."""

    def __init__(self, args: tuple[str, ...], folder: Path, env: Mapping[str, str]) -> None:
        self.run = uuid.uuid4().hex
        self.temporary = folder / "tmp"
        self.temporary.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [str(BINARY), "bench", *args], cwd=folder, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(self.temporary), "LC_ALL": "C.UTF-8", **env,
                 procs.RUN: self.run})
        self.out = self.err = ""

    def wait(self, seconds: float = 40) -> "Bench":
        try:
            self.out, self.err = self.process.communicate(timeout=slow(seconds))
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return self

    @property
    def code(self) -> int:
        return self.process.returncode

    def json(self) -> Any:
        assert self.code == 0, self.err
        assert self.err == "", "it is to be quiet when nobody looks on"
        return json.loads(self.out)

    def leftovers(self) -> list[str]:
        """What it left: processes of its own, and files."""
        left = [procs.command(pid) for pid in procs.of_run(self.run)]
        return left + [str(path) for path in self.temporary.iterdir()]

    def finish(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.wait()
        until(lambda: not procs.of_run(self.run), 3, "all its processes have ended")
        assert self.leftovers() == []


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """A factory: bench("-d", "1s", folder=..., env=...) is a running one."""
    started: list[Bench] = []

    def start(*args: str, folder: Path = tmp_path,
              env: Optional[Mapping[str, str]] = None) -> Bench:
        started.append(Bench(args, folder, env or {}))
        return started[-1]

    yield start
    for each in started:
        each.finish()


@pytest.fixture
def counter(nodey: Callable[..., App]) -> App:
    return nodey(files={"counter.py": COUNTING}, config=CONFIG)


def url(app: App, path: str) -> str:
    return f"http://127.0.0.1:{app.port}{path}"


# -- a server


def test_what_is_told_is_what_the_server_saw(counter: App, bench: Callable[..., Bench]) -> None:
    told = bench(url(counter, "/hit"), "-c", "4", "-d", "500ms", "--warmup", "0s",
                 "--format", "json").wait().json()
    seen = json.loads(counter.get("/count").body)["count"]
    assert told["statuses"] == {"200": told["requests"]}
    assert told["failures"] == dict.fromkeys(told["failures"], 0)
    assert told["latency_us"]["count"] == seen - 1, "but for the one that knocked"
    assert 0 <= told["latency_us"]["count"] - told["requests"] <= 4, "under way at the end"
    assert told["rate"] == pytest.approx(told["requests"] / told["seconds"], rel=0.01)
    latency = told["latency_us"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["p99.9"]
    assert latency["p99.9"] <= latency["max"]
    assert sum(row["count"] for row in told["distribution"]) == latency["count"]
    # Of each connection one request is under way all the time.
    assert latency["mean"] == pytest.approx(4e6 / told["rate"], rel=0.2)


def test_an_open_loop_shows_what_a_stall_delayed(counter: App,
                                                 bench: Callable[..., Bench]) -> None:
    told = bench(url(counter, "/stall"), "-c", "1", "-r", "200", "-d", "1s", "--warmup", "0",
                 "--format", "json").wait().json()
    assert told["latency_us"]["count"] == 200
    # 0.4 s of the second stood still: about 80 requests were delayed, the first ones most.
    assert told["latency_us"]["p90"] > 150_000
    assert told["latency_us"]["p50"] < told["latency_us"]["p90"]


def test_errors_are_told_by_status_and_in_words(counter: App,
                                                bench: Callable[..., Bench]) -> None:
    text = bench(url(counter, "/missing"), "-c", "2", "-d", "200ms", "--warmup", "0").wait()
    assert text.code == 0
    assert re.search(r"answers   404: \d", text.out)
    assert "of them are errors" in text.out


def test_method_fields_and_body_arrive(counter: App, bench: Callable[..., Bench]) -> None:
    args = (url(counter, "/echo"), "-d", "200ms", "--warmup", "0", "-c", "2", "--format", "json")
    good = bench(*args, "--data", "a body", "-H", "X-Who: me, myself").wait().json()
    bad = bench(*args, "--data", "a body").wait().json()
    assert list(good["statuses"]) == ["201"]
    assert list(bad["statuses"]) == ["400"]
    assert good["method"] == "POST"


def test_ctrl_c_ends_early_with_what_was_measured(counter: App,
                                                  bench: Callable[..., Bench]) -> None:
    running = bench(url(counter, "/hit"), "-d", "10m", "--warmup", "0", "--format", "json")
    until(lambda: json.loads(counter.get("/count").body)["count"] > 100, 10, "it asks")
    running.process.send_signal(SIGINT)
    running.wait(10)
    assert running.code == 130
    told = json.loads(running.out)
    assert told["requests"] > 0
    assert told["seconds"] < 60


def test_text_draws_bars_that_the_terminal_can_show(counter: App,
                                                    bench: Callable[..., Bench]) -> None:
    args = (url(counter, "/hit"), "-d", "200ms", "--warmup", "0", "-c", "2")
    assert "█" in bench(*args).wait().out
    plain = bench(*args, env={"LC_ALL": "C"}).wait().out
    assert re.search(r"  up to +[\d.]+ us +[\d.]+ %  #*\n", plain)
    assert plain.isascii()


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)
        self.foreign += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "rect"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check_page(text: str) -> None:
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    assert {"svg", "rect", "title"} <= page.seen
    assert page.foreign == [], "a page of its own, that needs no other file"


def test_html_is_one_page_with_bars(counter: App, bench: Callable[..., Bench]) -> None:
    found = bench(url(counter, "/hit?a=<b>"), "-d", "200ms", "--warmup", "0",
                  "--format", "html").wait()
    assert found.code == 0
    check_page(found.out)
    assert "a=&lt;b&gt;" in found.out


# -- by name


def test_a_worker_and_a_route_of_the_nodey_that_is_up(counter: App,
                                                      bench: Callable[..., Bench]) -> None:
    args = ("-d", "100ms", "--warmup", "0", "-c", "1", "--format", "json")
    by_name = bench("counter", *args, folder=counter.folder).wait().json()
    by_path = bench("/hit?x=1", *args, folder=counter.folder).wait().json()
    assert by_name["url"] == url(counter, "/hit")
    assert by_path["url"] == url(counter, "/hit?x=1")
    assert by_path["statuses"] == {"200": by_path["requests"]}
    by_method = bench("counter", "-m", "POST", *args, folder=counter.folder).wait().json()
    assert by_method["url"] == url(counter, "/echo")


def test_a_nodey_of_its_own_when_none_is_up(tmp_path: Path, bench: Callable[..., Bench]) -> None:
    write_files(tmp_path, {"counter.py": COUNTING, "nodey.toml": CONFIG})
    told = bench("counter", "-d", "200ms", "--warmup", "0", "-c", "2", "--format",
                 "json").wait().json()
    assert told["statuses"] == {"200": told["requests"]}


def test_ctrl_c_ends_its_own_nodey_too(tmp_path: Path, bench: Callable[..., Bench]) -> None:
    write_files(tmp_path, {"counter.py": COUNTING, "nodey.toml": CONFIG})
    running = bench("counter", "-d", "10m")
    until(lambda: len(procs.of_run(running.run)) >= 3, 20, "bench, nodey and the worker run")
    running.process.send_signal(SIGTERM)
    assert running.wait(20).code == 143


def test_a_worker_that_does_not_start_is_told_with_its_reason(
        tmp_path: Path, bench: Callable[..., Bench]) -> None:
    write_files(tmp_path, {"nodey.toml": "[workers.x]\nscript = 'nowhere.py'\n"})
    failed = bench("x").wait()
    assert failed.code == 1
    assert "nowhere.py" in failed.err


def test_an_unknown_name_is_told_with_those_that_there_are(
        counter: App, bench: Callable[..., Bench]) -> None:
    failed = bench("nobody", folder=counter.folder).wait()
    assert failed.code == 1
    assert failed.err == 'nodey bench: there is no worker "nobody" here; there is counter\n'


# -- wrong use


@pytest.mark.parametrize("args, code, words", [
    (("https://example.com/",), 1, "no TLS is spoken here"),
    (("ftp://example.com/",), 1, "no http:// URL"),
    (("http://127.0.0.1:1/",), 3, "cannot connect to 127.0.0.1:1"),
    (("http://no-such-host.invalid/",), 3, 'cannot find the host "no-such-host.invalid"'),
    (("http://x/", "-c", "0"), 2, "-c takes"),
    (("http://x/", "-d", "soon"), 2, "-d takes a time"),
    (("http://x/", "-d", "0"), 2, "too short"),
    (("http://x/", "-r", "-5"), 2, "-r takes"),
    (("http://x/", "-r", "nan"), 2, "-r takes"),
    (("http://x/", "-H", "nothing"), 2, "-H takes"),
    (("http://x/", "--format", "xml"), 2, "text, json or html"),
    (("http://x/", "-H", "a b: c"), 3, "is no header field"),
    (("http://x/", "--frequency", "5"), 2, "--frequency"),
    (("-r", "5"), 2, "-r needs a URL or a NAME"),
    (("http://x/", "http://y/"), 2, "http://y/"),
])
def test_wrong_use_is_told(bench: Callable[..., Bench], args: tuple[str, ...], code: int,
                           words: str) -> None:
    failed = bench(*args).wait()
    assert words in failed.err
    assert failed.code == code
    assert failed.out == ""


# -- pipe and bridge


def check_way(way: Mapping[str, Any]) -> None:
    assert way["failed"] == 0
    for figure in ("p50_us", "handler_us", "overhead_us", "rate"):
        values = way[figure]
        assert 0 < values["low"] <= values["median"] <= values["high"], (figure, values)
    # A median of differences lies near the difference of the medians.
    cost = way["p50_us"]["median"] - way["handler_us"]["median"]
    assert abs(cost - way["overhead_us"]["median"]) <= way["p50_us"]["high"] - way["p50_us"]["low"] + 1


def test_pipe_and_bridge_side_by_side(bench: Callable[..., Bench]) -> None:
    told = bench("-d", "2s", "-c", "8", "--format", "json").wait(60).json()
    assert [(way["language"], way["way"]) for way in told["ways"]] == [
        ("node", "pipe"), ("node", "bridge"), ("python", "pipe"), ("python", "bridge")]
    assert told["rounds"] == 5 and told["connections"] == 8
    for way in told["ways"]:
        check_way(way)


def test_the_comparison_as_a_page_and_as_text(bench: Callable[..., Bench]) -> None:
    check_page(bench("-d", "500ms", "-c", "4", "--format", "html").wait(60).out)
    text = bench("-d", "500ms", "-c", "4", env={"LC_ALL": "C"}).wait(60).out
    assert text.isascii()
    assert len(re.findall(r"(?m)^  .*(?:pipe|HTTP bridge) +#+ ", text)) == 8
    for language in ("Node", "Python"):
        assert re.search(rf"  {language}: .*;\n +with 4 connections ", text)


def only(folder: Path, name: str, program: str) -> dict[str, str]:
    """An environment in which that program is all that can be found, but for a shell."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    wrapper = bin_folder / name
    wrapper.write_text(f'#!/bin/sh\nexec {program} "$@"\n')
    wrapper.chmod(0o755)
    return {"PATH": str(bin_folder)}


def test_without_node_its_half_and_the_bridge_are_left_out(
        tmp_path: Path, bench: Callable[..., Bench]) -> None:
    env = only(tmp_path, "python3", sys.executable)
    text = bench("-d", "200ms", "-c", "2", env=env).wait(60)
    assert text.code == 0, text.err
    assert "Left out: Node, and the bridge" in text.out
    assert re.search(r"  Python +pipe +\d", text.out)
    assert not re.search(r"HTTP bridge +\d", text.out)


def test_without_python_its_half_is_left_out(tmp_path: Path,
                                             bench: Callable[..., Bench]) -> None:
    env = only(tmp_path, "node", str(shutil.which("node")))
    told = bench("-d", "200ms", "-c", "2", "--format", "json", env=env).wait(60).json()
    assert [way["language"] for way in told["ways"]] == ["node", "node"]
    assert told["python"] is None


def test_with_neither_there_is_nothing_to_compare(tmp_path: Path,
                                                  bench: Callable[..., Bench]) -> None:
    failed = bench(env=only(tmp_path, "true", "/bin/true")).wait()
    assert failed.code == 1
    assert "neither node nor python3" in failed.err


@pytest.mark.parametrize("seconds", [0.0, 0.5, 3.0])
def test_ctrl_c_leaves_no_process_and_no_file(bench: Callable[..., Bench],
                                              seconds: float) -> None:
    running = bench("-d", "10m")
    until(lambda: any(running.temporary.iterdir()), 10, "it has begun")
    try:
        running.process.wait(slow(seconds))
    except subprocess.TimeoutExpired:
        pass
    running.process.send_signal(SIGINT)
    running.wait(20)
    assert running.code == 130
    assert running.leftovers() == []
