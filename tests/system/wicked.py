"""The same faults in a worker of Python, in one of Node, and in a service: wicked.* (see there)."""

from __future__ import annotations

import json
import sys
from typing import Any, Callable

from app import ROOT, App
from programs import Value, section
from timing import until

PROGRAMS = ROOT / "tests" / "workers"

WORKERS = ["python", "node"]
KINDS = [*WORKERS, "service"]

SUFFIX = {"python": "py", "node": "cjs"}
FREE = 'port = "auto"'


def wicked(kind: str, lives: str = "", name: str = "w", **settings: Value) -> str:
    """A program of that kind at /w; `lives` says how (WICKED in wicked.py)."""
    env = {"WICKED": lives, **dict(settings.pop("env", {}))}  # type: ignore[call-overload]
    all_settings: dict[str, Value] = {"instances": 1, "env": env, **settings}
    if kind == "service":
        command = [sys.executable, "-S", "-E", str(PROGRAMS / "wicked.py")]
        return (section("services", name, {"command": command, "port": "auto", **all_settings})
                + section("routes", "", {})[:0]
                + f'[[routes]]\npath = "/w"\nto = {json.dumps(name)}\n\n')
    file = str(PROGRAMS / f"wicked.{SUFFIX[kind]}")
    return section("workers", name, {"script": file, **all_settings})


def pids(app: App) -> list[int]:
    """The processes of the program, while each says which it is."""
    from admin import Admin, pids as listed

    with Admin(app.folder) as admin:
        return sorted(listed(admin.program("w")))
