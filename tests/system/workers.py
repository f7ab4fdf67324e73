"""Configuration text for pools of raw workers: scripts that speak the protocol by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Mapping, Optional, Union

from app import ROOT, App
from timing import until

SCRIPTS = ROOT / "tests" / "workers"

Setting = Union[str, int, bool, list[str]]


def section(name: str, settings: Mapping[str, Setting]) -> str:
    """A [workers.NAME] section; TOML writes these values as JSON does."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    return "\n".join([f"[workers.{name}]", *lines]) + "\n\n"


def pool(name: str, *command: str, **settings: Setting) -> str:
    """A pool of a command."""
    return section(name, {"command": list(command), **settings})


def script(name: str, suffix: str = "py", **settings: Setting) -> str:
    """A pool of workers/NAME.SUFFIX; one instance unless something else is said."""
    return section(name, {"script": f"workers/{name}.{suffix}", "instances": 1, **settings})


def raw(script: str, *words: str) -> list[str]:
    """The command of a script in tests/workers; -S -E spares it what it does not need."""
    return [sys.executable, "-S", "-E", str(SCRIPTS / script), *words]


def evil(name: str = "evil", words: tuple[str, ...] = (), **settings: Setting) -> str:
    """A pool of evil.py (see there what it can be told)."""
    return pool(name, *raw("evil.py", *words), **settings)


def all_ready(app: App, count: int, path: str = "/evil") -> list[int]:
    """Waits until so many processes of evil.py answer requests; their pids."""

    def serving() -> Optional[list[int]]:
        opened = [app.open_request("GET", f"{path}?do=slow&ms=30") for _ in range(2 * count)]
        found = {int(connection.read_response().headers["x-pid"]) for connection in opened}
        for connection in opened:
            connection.close()
        return sorted(found) if len(found) == count else None

    return until(serving, 10, f"{count} workers answer at {path}")


def doomed(name: str, *words: str, **settings: Setting) -> str:
    """A pool of doomed.py (see there)."""
    return pool(name, *raw("doomed.py", *words), **settings)


def starts(journal: Path) -> int:
    """How often workers with that journal have started."""
    return journal.read_text().count(" start") if journal.exists() else 0
