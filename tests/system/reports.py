"""The reports of `nodey why`, read from their folder, and workers that give cause for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Optional

from app import App
from timing import until

Report = dict[str, Any]

PYTHON = """\
import os, sys, time
import nodey

def spin():
    while True:
        pass

@nodey.get("/@name@/hello")
def hello(req):
    return "hello"

@nodey.get("/@name@/busy")
def busy(req):
    spin()

@nodey.get("/@name@/exit")
def leave(req):
    print("about to leave", file=sys.stderr)
    os._exit(3)

@nodey.post("/@name@/exitif")
def leave_if(req):
    if os.path.exists(req.query.get("flag", "")):
        os._exit(3)
    return "stayed"

@nodey.get("/@name@/item/:id")
def item(req):
    os._exit(4)

@nodey.post("/@name@/exit")
def take(req):
    if req.body == b"poison":
        os._exit(5)
    return "harmless"

@nodey.get("/@name@/segv")
def segv(req):
    import ctypes
    ctypes.string_at(0)

@nodey.get("/@name@/slow")
def slow(req):
    time.sleep(float(req.query.get("s", "0.5")))
    return f"slow {os.getpid()}"
"""

ASYNC = """\
import asyncio, os
import nodey

def spin():
    while True:
        pass

@nodey.get("/@name@/hello")
async def hello(req):
    return "hello"

@nodey.get("/@name@/busy")
async def busy(req):
    spin()

@nodey.get("/@name@/wait")
async def wait(req):
    await asyncio.sleep(30)

@nodey.get("/@name@/exit")
async def leave(req):
    os._exit(3)
"""

NODE = """\
import nodey from 'nodey';

function spin() { while (true) {} }

nodey.get('/@name@/hello', () => 'hello');
nodey.get('/@name@/busy', () => spin());
nodey.get('/@name@/exit', () => { process.stderr.write('about to leave\\n'); process.exit(3); });
nodey.get('/@name@/abort', () => process.abort());
nodey.post('/@name@/throw', () => {
    setTimeout(() => { throw new Error('nobody caught this'); });
    return new Promise(() => {});
});
"""


def python(name: str) -> dict[str, str]:
    return {f"workers/{name}.py": PYTHON.replace("@name@", name)}


def asynchronous(name: str) -> dict[str, str]:
    return {f"workers/{name}.py": ASYNC.replace("@name@", name)}


def node(name: str) -> dict[str, str]:
    return {f"workers/{name}.mjs": NODE.replace("@name@", name)}


def folder(app: App) -> Path:
    return app.folder / ".nodey" / "incidents"


def reports(app: App, program: Optional[str] = None) -> list[Report]:
    """Newest first."""
    found = [json.loads(file.read_text()) for file in sorted(folder(app).glob("*.json"))]
    return [one for one in reversed(found) if program in (None, one["program"])]


def wait_report(app: App, program: str, good: Callable[[Report], object] = lambda report: True,
                seconds: float = 8) -> Report:
    """The newest report of a program for which `good` holds."""

    def find() -> Optional[Report]:
        return next((one for one in reports(app, program) if good(one)), None)

    return until(find, seconds, f"there is a report of {program}")
