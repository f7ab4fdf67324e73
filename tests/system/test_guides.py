"""The guides are true: every file and every command in them is tried, as a reader would."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import uuid
from pathlib import Path
from signal import SIGINT
from typing import Callable, Iterator

import pytest

import guide
from app import BINARY, ROOT, App, Drain
from conftest import APPS
from guide import Reader, Section, agrees, find_lines, parse, sections_of

pytestmark = pytest.mark.outside

PACKAGES = ROOT / "build" / "node" / "node_modules"
GUIDES = ("README.md", "protocol/python/README.md", "protocol/node/README.md")
SECTIONS = [section for guide in GUIDES for section in sections_of(ROOT / guide)]


COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Screen(Drain):
    """What a terminal shows; Linux ends it with an error."""

    def _run(self) -> None:
        try:
            super()._run()
        except OSError:
            with self._changed:
                self._ended = True
                self._changed.notify_all()


class AtTerminal(App):
    """`nodey up` as a person starts it: at a terminal, and ended with Ctrl-C."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = uuid.uuid4().hex
        self.exit_code = 0
        self.binary = BINARY
        self.port = 0
        self._service = ""
        master, slave = pty.openpty()
        self._process = subprocess.Popen(
            [str(BINARY), "up", "--listen", "127.0.0.1:0"], cwd=folder, start_new_session=True,
            env=self._environment({"NO_COLOR": "", "TERM": "xterm"}), stdin=slave,
            stdout=slave, stderr=slave)
        os.close(slave)
        self.pid = self._process.pid
        self._master = os.fdopen(master, "rb", buffering=0)
        self._out = self._err = Screen(self._master)

    def log(self) -> str:
        return COLOUR.sub("", super().log()).replace("\r\n", "\n")

    def stop(self, sig: int = SIGINT, timeout: float = 35) -> int:
        return super().stop(sig, timeout)

    def _close(self) -> None:
        super()._close()
        self._master.close()


@pytest.fixture
def follow(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., None]]:
    """Does what a section says; then nodey must end well and leave nothing behind."""
    apps: list[App] = []

    def start(folder: Path) -> App:
        apps.append(AtTerminal(folder))
        return apps[-1].wait_ready()

    def follow(section: Section) -> None:
        folder = tmp_path / "app"
        folder.mkdir()
        (tmp_path / "node_modules").symlink_to(PACKAGES)  # as npm install would have them found
        Reader(section, folder, tmp_path / "bin", start).follow()

    request.node.stash[APPS] = apps
    yield follow
    problems = [problem for app in apps for problem in app.finish()]
    assert not problems, "\n".join(problems)


Follow = Callable[[Section], None]


@pytest.mark.parametrize("section", SECTIONS, ids=str)
def test_what_a_guide_says_is_so(section: Section, follow: Follow) -> None:
    assert not section.faults, "\n".join(section.faults)
    follow(section)


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_is_more_than_words(guide: str) -> None:
    sections = [section for section in SECTIONS if section.guide == guide]
    assert len(sections) >= 5 and sum(len(each.steps()) for each in sections) >= 10


# ------------------------------------------------------------------ a guide that is wrong

HELLO = """
## Hello

```python
# workers/hello.py
import nodey

@nodey.get("/hello")
def hello(req):
    return {"hello": req.query.get("name", "world"), "id": req.id}
```

```console
$ curl 'http://127.0.0.1:8000/hello?name=Ann'
{"hello":"Ann","id":...}
```
"""


def line_of(text: str, start: str) -> int:
    return next(n for n, line in enumerate(text.split("\n"), 1) if line.startswith(start))


def faults(text: str) -> str:
    return "\n".join(fault for section in parse(text, "G.md") for fault in section.faults)


def test_a_guide_that_is_right_passes(follow: Follow) -> None:
    section, = parse(HELLO, "G.md")
    assert not section.faults and section.title == "Hello"
    follow(section)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not come is not waited for very long."""
    monkeypatch.setattr(guide, "SETTLE_SECONDS", 0.5)


@pytest.mark.parametrize("right, wrong", [
    ('{"hello":"Ann",', '{"hello":"Bob",'),
    ('"id":...}\n', '"id":...}\n\n'),
    ('{"hello":"Ann","id":...}\n', ""),
    ('{"hello":"Ann","id":...}', '...\n...'),
    ("/hello?name", "/hullo?name"),
    ("return {", "return 1 / 0, {"),
])
def test_a_guide_that_is_wrong_fails_and_says_where(follow: Follow, right: str,
                                                    wrong: str) -> None:
    assert HELLO.count(right) == 1
    section, = parse(HELLO.replace(right, wrong), "G.md")
    where = rf"^G\.md:{line_of(HELLO, '$ curl')}: \$ curl '[^']*name=Ann'\n-- the guide says:"
    with pytest.raises(AssertionError, match=where):
        follow(section)


EDITED = HELLO + """
```python
# workers/hello.py
import nodey

@nodey.get("/hello")
def hello(req):
    return "edited"
```

```console
$ curl http://127.0.0.1:8000/hello
edited
$ sed -i s/edited/again/ workers/hello.py
$ curl http://127.0.0.1:8000/hello
again
```

```console
... hello workers/hello.py changed: reloading
... hello workers/hello.py changed: reloading
```
"""


def test_a_file_that_is_shown_again_is_edited(follow: Follow) -> None:
    section, = parse(EDITED, "G.md")
    follow(section)


def test_an_edit_that_is_not_served_fails(follow: Follow, impatient: None) -> None:
    section, = parse(EDITED.replace("\nagain", "\nnever"), "G.md")
    with pytest.raises(AssertionError, match=r"the guide says:\nnever\n.*but it is:\nagain"):
        follow(section)


def test_what_the_terminal_does_not_show_fails(follow: Follow, impatient: None) -> None:
    more = "... hello workers/hello.py changed: reloading\n```\n"
    section, = parse(EDITED.removesuffix("```\n") + more, "G.md")
    with pytest.raises(AssertionError, match=r"^G\.md:\d+: \$ nodey up\n"):
        follow(section)


def test_a_command_that_does_not_end_is_ended(follow: Follow,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guide, "STEP_SECONDS", 0.5)
    section, = parse("# Long\n```console\n$ sleep 1000 | cat\n```\n", "G.md")
    with pytest.raises(AssertionError, match=r"^G\.md: this does not end .*: sleep 1000 \| cat"):
        follow(section)


BACKGROUND = HELLO.replace("$ curl 'http://127.0.0.1:8000/hello?name=Ann'", "$ nodey up -d --wait") \
    .replace('{"hello":"Ann","id":...}', """nodey is up on http://127.0.0.1:... (process ...); its log: ...
NAME ...
hello ...
$ false""")


def test_a_nodey_in_the_background_does_not_outlive_a_section_that_fails(
        follow: Follow, tmp_path: Path) -> None:
    section, = parse(BACKGROUND, "G.md")
    with pytest.raises(AssertionError, match=r"\$ false"):
        follow(section)
    lock = tmp_path / "app" / ".nodey" / "lock"
    done = subprocess.run([str(BINARY), "ps"], cwd=lock.parent.parent, capture_output=True)
    assert lock.exists() and done.returncode == 3, "it ran, and is down"


def test_what_is_told_of_a_moment_ago_may_come_a_moment_later(follow: Follow,
                                                              impatient: None) -> None:
    told = HELLO + "```console\n$ nodey logs hello --raw --grep hello\n"
    said = told.replace("return {", "print('hello, all')\n    return {")
    section, = parse(said + "hello, all\n```\n", "G.md")
    follow(section)


def test_what_is_never_told_fails(follow: Follow, impatient: None) -> None:
    section, = parse(HELLO + "```console\n$ nodey logs hello --raw --grep bye\nbye\n```\n", "G.md")
    with pytest.raises(AssertionError, match=r"the guide says:\nbye\n"):
        follow(section)


def test_a_command_that_prints_nothing_must_end_well(follow: Follow) -> None:
    section, = parse("# Silent\n```console\n$ true\n$ rm no-such-file\n```\n", "G.md")
    with pytest.raises(AssertionError, match=r"^G\.md:4: \$ rm[^$]*No such file"):
        follow(section)


def test_a_file_of_an_earlier_section_is_there_when_it_is_named(follow: Follow) -> None:
    sections = parse(HELLO + "## Search\n```console\n$ grep -c world workers/hello.py\n1\n```\n"
                     "## Other\n```console\n$ ls -A\n```\n", "G.md")
    assert [bool(section.lent) for section in sections] == [False, True, False]
    follow(sections[1])


@pytest.mark.parametrize("text, fault", [
    ("# A\n```python\n# workers/a.py\nimport nodey\n```\n", "G.md: nothing tries the code of 'A'"),
    ("# A\n```python\nimport nodey\n```\n```console\n$ true\n```\n", "G.md:2: .*what file it is"),
    ("# A\n```python\n# ../a.py\n```\n```console\n$ true\n```\n", "G.md:2: .*what file it is"),
    ("# A\n```\n$ curl x\n```\n", "G.md:2: nobody tries a fence of ''"),
    ("# A\n```bash\n$ curl x\n```\n", "G.md:2: nobody tries a fence of 'bash'"),
    ("# A\n\n    $ curl x\n", "G.md:3: a command in no"),
    ("# A\n  ```console\n  $ true\n  ```\n", "G.md:2: a fence must begin"),
    ("# A\n```console\n$ true\n", "G.md:2: this fence has no end"),
])
def test_what_nobody_would_try_is_a_fault(text: str, fault: str) -> None:
    assert re.search(fault, faults(text)), faults(text)
    assert not faults("# A\n```text\n$ curl x\n```\n")


def test_dots_stand_for_anything_within_a_line_and_nothing_else_does() -> None:
    assert agrees(["a ... c", "{...}"], "a b c\n{}\n") and agrees(["a"], "a")
    for expected, printed in ((["a ... c"], "a\n c"), (["a.c"], "abc"), (["a"], "a\n\n"),
                              (["a"], "a "), ([], "a"), (["a"], ""), (["..."], "")):
        assert not agrees(expected, printed), (expected, printed)


def test_the_terminals_lines_are_whole_and_in_order() -> None:
    shown = "one\nmore\ntwo  \nthree"
    assert find_lines(["one", "two"], shown, 0) == len("one\nmore\ntwo  \n")
    for missing in (["two", "one"], ["one", "tw"], ["one", "one"], ["three"]):
        assert find_lines(missing, shown, 0) is None, missing
