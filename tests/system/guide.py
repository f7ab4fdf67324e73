"""Reads a guide written in Markdown, and does what it tells its reader to do.

A heading begins a section, which starts from nothing in a folder of its own.  In it

- a fence of code is a whole file, named by a comment in its first line, or in its second
  when the first is a shebang; JSON, which has no comments, is named behind the word json.
  A file shown once more in the same section is edited, and one of an earlier section is
  there when this one names it;
- a fence of console is what one types behind "$ ", each with exactly what it prints.
  `nodey up` stands for the terminal that nodey runs at; below it, and in a console fence
  that begins without "$ ", are lines that this terminal shows, in their order.
  `nodey up -d` is one in the background, on any port;
- a fence of text is only to be read.

In what is expected, "..." stands for anything within its line.  The guides' address is
ADDRESS; nodey is started there by the first command that uses it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Mapping, Optional, Union

from app import BINARY, ROOT, App
from conftest import write_files
from timing import slow

ADDRESS = "127.0.0.1:8000"
CODE = ("python", "js", "mjs", "ts", "sh", "toml", "json", "yaml", "dockerfile")
NAME = re.compile(r"(?:#|//) (\.?[\w][\w./-]*)")
HEADING = re.compile(r"#{1,6} +(.*?) *#*")
FENCE = re.compile(r"(\s*)```+\s*(\w*)\s*(.*)")
LATE = re.compile(r"nodey (logs|ps|why|events|jobs|lag|dead|flow|trace)\b")  # tell of what was a moment ago
STEP_SECONDS = 30
SETTLE_SECONDS = 15


@dataclass(frozen=True)
class File:
    name: str
    text: str


@dataclass(frozen=True)
class Step:
    """A command and what it prints; an empty command: what nodey's terminal shows."""

    command: str
    expected: list[str]
    line: int


@dataclass
class Section:
    guide: str
    title: str
    parts: list[Union[File, Step]] = field(default_factory=list)
    lent: list[File] = field(default_factory=list)  # of earlier sections
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        words = re.sub(r"[^\w]+", "-", self.title.lower()).strip("-")
        return f"{self.guide.removesuffix('README.md').replace('/', '-') or 'readme-'}{words}"

    def steps(self) -> list[Step]:
        return [part for part in self.parts if isinstance(part, Step)]

    def files(self) -> list[File]:
        return [part for part in self.parts if isinstance(part, File)]

    def names(self, file: str) -> bool:
        """Whether a command or a file of it speaks of that file."""
        word = re.compile(rf"(?<![\w./-]){re.escape(file)}(?![\w/-])")
        return any(word.search(part.command if isinstance(part, Step) else part.text)
                   for part in self.parts)


# -- reading


def sections_of(path: Path) -> list[Section]:
    """The sections of a guide that have code or commands in them."""
    return parse(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))


def parse(text: str, guide: str) -> list[Section]:
    sections = [Section(guide, "top")]
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        here, line = f"{guide}:{at + 1}", lines[at]
        heading, fence = HEADING.fullmatch(line), FENCE.fullmatch(line)
        at += 1
        if fence:
            end = next((n for n in range(at, len(lines)) if lines[n].strip() == "```"), None)
            if end is None:
                sections[-1].faults.append(f"{here}: this fence has no end")
                break
            _read_fence(sections[-1], here, fence, lines[at:end], at + 1)
            at = end + 1
        elif heading:
            sections.append(Section(guide, heading.group(1)))
        elif line.startswith("    $ "):
            sections[-1].faults.append(f"{here}: a command in no ```console is not tried")
    for section in sections:
        if section.files() and not section.steps():
            section.faults.append(f"{guide}: nothing tries the code of '{section.title}'")
    _lend(sections)
    return [section for section in sections if section.parts or section.faults]


def _lend(sections: list[Section]) -> None:
    shown: dict[str, File] = {}
    for section in sections:
        own = {file.name: file for file in section.files()}
        section.lent = [file for name, file in shown.items()
                        if name not in own and section.names(name)]
        shown.update(own)


def _read_fence(section: Section, here: str, fence: re.Match[str], lines: list[str],
                first: int) -> None:
    indent, language, rest = fence.groups()
    if indent:
        section.faults.append(f"{here}: a fence must begin with its line")
    elif language == "console":
        section.parts += _read_console(lines, first)
    elif language in CODE:
        name = rest if language == "json" else _name_in(lines)
        if not name or name.startswith("/") or ".." in name:
            section.faults.append(f"{here}: this code does not say what file it is")
        else:
            section.parts.append(File(name, "\n".join(lines) + "\n"))
    elif language != "text":
        section.faults.append(f"{here}: nobody tries a fence of '{language}'; "
                              "what is only to be read is ```text")


def _name_in(lines: list[str]) -> str:
    line = next((line for line in lines[:2] if not line.startswith("#!")), "")
    found = NAME.fullmatch(line)
    return found.group(1) if found else ""


def _read_console(lines: list[str], first: int) -> list[Step]:
    steps = []
    for number, line in enumerate(lines, first):
        if line.startswith("$ "):
            steps.append(Step(line[2:], [], number))
        elif steps:
            steps[-1].expected.append(line)
        else:
            steps.append(Step("", [line], number))
    return steps


# -- comparing


def like(expected: str) -> re.Pattern[str]:
    """What a line must be in whole."""
    return re.compile(".*".join(map(re.escape, expected.split("..."))))


def agrees(expected: list[str], printed: str) -> bool:
    """Whether a command printed just that; its last line may lack its end, as curl's do."""
    lines = printed.removesuffix("\n").split("\n") if printed else []
    return len(lines) == len(expected) and all(
        like(want).fullmatch(line) for want, line in zip(expected, lines))


def find_lines(expected: list[str], shown: str, start: int) -> Optional[int]:
    """Where those lines end in what is shown from `start` on; others may be among them.

    Columns are as wide as what has been shown: one space is as good as several.
    """
    wanted = [like(" ".join(line.split())) for line in expected]
    at = start
    while wanted:
        end = shown.find("\n", at)
        if end < 0:
            return None
        if wanted[0].fullmatch(" ".join(shown[at:end].split())):
            wanted.pop(0)
        at = end + 1
    return at


# -- doing


class Reader:
    """Follows one section in an empty folder.

    start: starts nodey in a folder, at a terminal.  bin: a folder for what the commands
    find on PATH.
    """

    def __init__(self, section: Section, folder: Path, bin: Path,
                 start: Callable[[Path], App]) -> None:
        self._section = section
        self._folder = folder
        self._start = start
        self._env = _environment(bin)
        self._app: Optional[App] = None
        self._shown = 0  # how far the terminal's lines have been followed
        self._settling = False  # something was changed, and nodey is about to notice
        self._lasting: list[str] = []  # cd and export, which last in the reader's shell
        self._detached = False  # the reader has started a nodey in the background

    def follow(self) -> None:
        try:
            self._follow()
        finally:
            if self._detached:  # it would outlive a section that fails
                self._run("nodey down --timeout 1s")

    def _follow(self) -> None:
        first = {file.name: file.text for file in self._section.lent}
        for file in self._section.files():
            first.setdefault(file.name, file.text)
        write_files(self._folder, first)
        seen: set[str] = set()
        for part in self._section.parts:
            if isinstance(part, Step):
                self._take(part)
            elif part.name in seen:
                write_files(self._folder, {part.name: part.text})
                self._settling = self._app is not None
            else:
                seen.add(part.name)

    def _take(self, step: Step) -> None:
        if step.command in ("", "nodey up"):
            self._watch(step)
        elif re.match(r"(cd|export) ", step.command):
            self._lasting.append(step.command)
        else:
            self._type(step)

    def _served(self) -> App:
        if self._app is None:
            self._app = self._start(self._folder)
        return self._app

    def _watch(self, step: Step) -> None:
        app = self._served()
        expected = self._at_port(step.expected)
        deadline = time.monotonic() + slow(SETTLE_SECONDS)
        while True:
            end = find_lines(expected, app.log(), self._shown)
            if end is not None:
                self._shown = end
                return
            if time.monotonic() >= deadline:
                raise AssertionError(self._says(step, expected, app.log()[self._shown:]))
            time.sleep(0.02)

    def _type(self, step: Step) -> None:
        asks = ADDRESS in step.command
        detaches = re.match(r"nodey up .*(-d|--wait)\b", step.command)
        self._detached |= bool(detaches)
        late = self._app and LATE.match(step.command)
        if asks:
            self._served()
        before = self._sources()
        any_port = ["export LOADBALANCER_PORT=0"] if detaches else []
        command = "\n".join(self._at_port([*self._lasting, *any_port, step.command]))
        expected = self._at_port(step.expected)
        deadline = time.monotonic() + slow(SETTLE_SECONDS)
        while True:
            done = self._run(command)
            # Where nothing is expected, a command has nothing but its status to fail with.
            if agrees(expected, done.stdout) and (expected or done.returncode == 0):
                break
            if not (late or asks and self._settling) or time.monotonic() >= deadline:
                raise AssertionError(self._says(step, expected, done.stdout, done.stderr))
            time.sleep(0.1)
        if asks:
            self._settling = False
        elif self._app and self._sources() != before:
            self._settling = True

    def _run(self, command: str) -> subprocess.CompletedProcess[str]:
        """In a session of its own, which ends with it."""
        process = subprocess.Popen(
            ["bash", "-c", command], cwd=self._folder, env=self._env, text=True,
            encoding="utf-8", errors="replace", stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        try:
            out, err = process.communicate(timeout=slow(STEP_SECONDS))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=slow(5))
            raise AssertionError(f"{self._section.guide}: this does not end within "
                                 f"{slow(STEP_SECONDS):g} s: {command}") from None
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def _sources(self) -> dict[str, tuple[int, int]]:
        """What nodey watches, as it is now."""
        found = {}
        for path in [*self._folder.glob("*.toml"), *self._folder.glob("workers/**/*")]:
            if path.is_file() and "__pycache__" not in path.parts:
                found[str(path)] = (path.stat().st_mtime_ns, path.stat().st_size)
        return found

    def _at_port(self, lines: list[str]) -> list[str]:
        port = self._app.port if self._app else 0
        return [line.replace(ADDRESS, f"127.0.0.1:{port}") for line in lines]

    def _says(self, step: Step, expected: list[str], printed: str, errors: str = "") -> str:
        return "\n".join([f"{self._section.guide}:{step.line}: $ {step.command or 'nodey up'}",
                          "-- the guide says:", *expected, "-- but it is:", printed,
                          *(["-- and on stderr:", errors] if errors else [])])


def _environment(bin: Path) -> Mapping[str, str]:
    """The reader's: nodey and its SDKs are installed, and curl speaks only when it must."""
    modules = bin / "node_modules"
    modules.mkdir(parents=True)
    (modules / "nodey").symlink_to(ROOT / "protocol" / "node")
    # What nodey starts must find the SDKs by nodey, and not because they are installed.
    (bin / "nodey").write_text(
        f'#!/bin/sh\nexec env -u PYTHONPATH -u NODE_PATH "{BINARY}" "$@"\n')
    (bin / "nodey").chmod(0o755)
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("NODEY", "NODE_", "PYTHON")) and "COLOR" not in name}
    return {**kept, "no_proxy": "*", "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(ROOT / "protocol" / "python"), "NODE_PATH": str(modules),
            "PATH": os.pathsep.join([str(bin), str(Path(sys.executable).parent),
                                     kept.get("PATH", "")])}
