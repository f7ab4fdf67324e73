"""The service that is soaked: its folder, its configuration, and the nodey that runs it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any, Iterable, Optional

import procs
from admin import Admin, pids
from app import BINARY, DEFECTS, READY, is_sanitized
from client import Connection
from command import Done, run
from timing import slow, until
from workers import raw

PROGRAMS = Path(__file__).with_name("programs")

# Pools that faults are done to; `calm` is not among them.
WORKERS = ("py", "js", "raw", "live")
SERVICES = ("web", "beat")
WHOLE = {"calm": 1, "py": 2, "js": 2, "raw": 2, "live": 1, "web": 2, "beat": 1}

TIMEOUT = 3  # of a request, in seconds
FROZEN = 5  # until a process that answers no ping is killed
BIG = 8 << 20

QUICK = """\
backoff_min = "50ms"
backoff_max = "1s"
max_restarts = 100000
stop_grace_period = "2s"
"""

CONFIG = """\
[server]
discover = false
shutdown_timeout = "5s"
log_max_size = "256K"
log_max_files = 3

[workers.calm]
script = "programs/calm.py"
instances = 1

[workers.py]
script = "programs/py.py"
instances = 2
max_memory = "120M"
memory = "400M"
env = { VERSION = "@py@" }
@worker@

[workers.js]
script = "programs/js.mjs"
instances = 2
max_memory = "180M"
memory = "500M"
env = { VERSION = "@js@" }
@worker@

[workers.raw]
command = @raw@
instances = 2
max_line = "1M"
env = { VERSION = "@raw-version@" }
@worker@

[workers.live]
script = "programs/live.py"
instances = 1
env = { VERSION = "@live@" }
@worker@

[services.web]
command = ["node", "programs/web.mjs"]
instances = 2
port = "auto"
timeout = "3s"
queue_timeout = "4s"
healthcheck = { path = "/health", interval = "500ms", timeout = "2s", retries = 2 }
env = { VERSION = "@web@" }
@quick@

[services.beat]
command = ["sh", "-c", "while :; do echo beat; sleep 1; done"]
@quick@

[[routes]]
path = "/raw/*"
to = "raw"

[[routes]]
path = "/web/*"
to = "web"

[[routes]]
path = "/files/*"
root = "files"
"""

WORKER = f"""\
timeout = "{TIMEOUT}s"
queue_timeout = "4s"
kill_after = "300ms"
ping_interval = "300ms"
ping_timeout = "2s"
ping_kill = "{FROZEN}s"
{QUICK}"""


class Violation(Exception):
    """Something that must hold does not."""


class Stage:
    """A nodey under soak, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run_id = uuid.uuid4().hex
        self.versions = {name: 0 for name in ("py", "js", "raw", "live", "web")}
        self.sanitized = is_sanitized(BINARY)
        shutil.copytree(PROGRAMS, folder / "programs")
        (folder / "files").mkdir()
        (folder / "files" / "small.txt").write_text("a small file\n")
        (folder / "files" / "big.bin").write_bytes(os.urandom(1 << 16) * (BIG >> 16))
        self.configure()
        self._log = open(folder / "nodey.log", "wb")
        self.process = subprocess.Popen(
            [str(BINARY), "up", "--listen", "127.0.0.1:0"], cwd=folder, env=self._environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._log,
            start_new_session=True)
        self.pid = self.process.pid
        self.port = 0

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith("NODEY") and name not in ("PYTHONPATH", "NODE_PATH")}
        kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
        return {**kept, procs.RUN: self.run_id}

    def wait_ready(self) -> None:
        def found() -> Optional[re.Match[str]]:
            self.must_live()
            return READY.search(self.said(0))

        match = until(found, 60, "nodey is ready")
        assert match
        self.port = int(match.group(1))

    # -- its configuration

    def text(self) -> str:
        """The configuration, with the versions that its programs have now."""
        named = {"worker": WORKER, "quick": QUICK, "raw": json.dumps(raw("evil.py")),
                 "raw-version": str(self.versions["raw"]),
                 **{name: str(n) for name, n in self.versions.items() if name != "raw"}}
        return re.sub(r"@([a-z-]+)@", lambda match: named[match[1]], CONFIG)

    def configure(self, text: Optional[str] = None) -> None:
        """Replaces the file at once, as editors do."""
        fresh = self.folder / "nodey.toml.new"
        fresh.write_text(self.text() if text is None else text)
        fresh.rename(self.folder / "nodey.toml")

    # -- what it says

    def mark(self) -> int:
        """Where its log ends now."""
        return (self.folder / "nodey.log").stat().st_size

    def said(self, since: int) -> str:
        with open(self.folder / "nodey.log", "rb") as file:
            file.seek(since)
            return file.read().decode(errors="replace")

    def must_live(self) -> None:
        code = self.process.poll()
        if code is not None:
            raise Violation(f"I3: nodey has ended with {code}: {self.said(0)[-2000:]}")

    def must_be_sound(self, since: int) -> None:
        """Nothing of a sanitizer or of an assertion stands in its log."""
        said = self.said(since)
        defect = DEFECTS.search(said)
        if defect:
            raise Violation(f"I3: a defect: {said[defect.start():defect.start() + 3000]}")

    # -- its programs

    def programs(self) -> dict[str, dict[str, Any]]:
        with Admin(self.folder) as admin:
            return admin.programs()

    def pids(self, name: str) -> list[int]:
        return pids(self.programs()[name])

    def strays(self, programs: dict[str, dict[str, Any]]) -> list[str]:
        """What is not as it is when all is well, as sentences."""
        found = []
        for name, count in WHOLE.items():
            program = programs[name]
            instances = [one["state"] for one in program["instances"]]
            healthy = [one["health"] for one in program["instances"]]
            if (program["wanted"], program["ready"], len(instances)) != (count, count, count):
                found.append(f"{name}: {program['ready']} of {program['wanted']} ready, "
                             f"{instances}, {program['why']}")
            elif program["renewing"] or any(word in ("unhealthy", "starting") for word in healthy):
                found.append(f"{name}: renewing={program['renewing']}, {healthy}")
        return found

    def ports(self) -> set[int]:
        """Where its services listen."""
        return {one["port"] for program in self.programs().values()
                for one in program["instances"] if one.get("port")}

    def command(self, *words: str) -> Done:
        return run(self.folder, *words)

    def must(self, *words: str) -> Done:
        done = self.command(*words)
        if done.code != 0:
            raise Violation(f"nodey {' '.join(words)}: {done}")
        return done

    def connect(self, timeout: float = 15) -> Connection:
        return Connection(self.port, timeout)

    def signal(self, sig: int) -> None:
        self.process.send_signal(sig)

    # -- its end

    def end(self) -> None:
        """Ends it as systemd would; fails when it does not end well, or leaves something."""
        self.signal(signal.SIGTERM)
        try:
            code = self.process.wait(slow(15))
        except subprocess.TimeoutExpired:
            raise Violation(f"I3: nodey does not end: {self.said(0)[-2000:]}") from None
        if code != 0:
            raise Violation(f"I3: nodey's exit code is {code}: {self.said(0)[-2000:]}")
        try:
            until(lambda: procs.run_is_gone(self.run_id), 2, "no process of the run")
        except AssertionError:
            left = {pid: procs.command(pid) for pid in procs.of_run(self.run_id)}
            raise Violation(f"I7: left over after the end: {left}") from None

    def sweep(self) -> None:
        """Ends whatever still runs, by force."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        kill(procs.of_run(self.run_id))
        self._log.close()


def kill(targets: Iterable[int], sig: int = signal.SIGKILL) -> None:
    """Signals each that is still there."""
    for pid in targets:
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            pass
