"""The same faults in a worker of Python, in one of Node, and in a service: wicked.* (see there)."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Mapping, Sequence

import procs
from admin import Admin
from app import ROOT, App
from programs import Value, section
from timing import until

PROGRAMS = ROOT / "tests" / "workers"

WORKERS = ["python", "node"]
KINDS = [*WORKERS, "service"]


def route(path: str, to: str) -> str:
    return f"[[routes]]\npath = {json.dumps(path)}\nto = {json.dumps(to)}\n\n"


def wicked(kind: str, lives: str = "", journal: str = "", **settings: Value) -> str:
    """The program w of that kind, at /w; `lives` says how (WICKED in wicked.py)."""
    env: Mapping[str, Any] = {"WICKED": lives, **({"JOURNAL": journal} if journal else {})}
    more: dict[str, Value] = {"instances": 1, "env": env, **settings}
    if kind == "service":
        command = [sys.executable, "-S", "-E", str(PROGRAMS / "wicked.py")]
        return (section("services", "w", {"command": command, "port": "auto", **more})
                + route("/w", "w"))
    suffix = "py" if kind == "python" else "cjs"
    return section("workers", "w", {"script": str(PROGRAMS / f"wicked.{suffix}"), **more})


def running(app: App) -> list[int]:
    """The processes of w and of nothing else."""
    return [pid for pid in procs.children(app.pid)
            if "wicked." in procs.command(pid) and procs.alive(pid)]


def wait_running(app: App, count: int, without: Sequence[int] = (),
                 seconds: float = 10) -> list[int]:
    """Waits until so many serve, and no process besides them runs nor is in `without`."""

    def check() -> list[int]:
        with Admin(app.folder) as admin:
            places = admin.programs()["w"]["instances"]
        ready = {place.get("pid") for place in places if place["state"] in ("ready", "busy")}
        pids = running(app)
        return pids if set(pids) == ready and len(ready) == count and not ready & set(without) \
            else []

    return until(check, seconds, f"{count} processes other than {list(without)}")


def serving(app: App) -> bool:
    """Whether a request is answered now; what stands in its way is no matter."""
    try:
        return app.get("/w?id=1", timeout=5).text == "1"
    except Exception:  # noqa: BLE001: refused, cut, hanging: it does not serve
        return False


def say(fault: str, what: str, value: float, unit: str = "ms") -> None:
    """A figure of the list of faults, for whoever runs this with -s or reads the report."""
    print(f"figure: {fault} {what}: {value:.0f} {unit}"
          f" ({os.environ.get('PYTEST_CURRENT_TEST', '').split('::')[-1].split(' ')[0]})")
