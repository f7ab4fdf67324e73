"""Pools of tests/proof/bulk.py, which publishes much and counts what comes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence

from app import ROOT, App
from timing import slow, until
from workers import Setting, pool

PROOF = ROOT / "tests" / "proof"
IN = '[[routes]]\npath = "/in/*"\npublish = ["a.>"]\n\n'


def bulk(name: str, groups: Sequence[str] = (), topic: str = "a.>",
         pause: Optional[Mapping[str, float]] = None, most: int = 64,
         late: Optional[Path] = None, **settings: Setting) -> str:
    """A pool in which each of `groups` wants all of `topic`; see there for `pause`, `late`."""
    handling = {"max": most, "from": "first", "backoff": [50]}
    ready = {"subscribe": [{"topic": topic, "group": g, "timeout": 600000, **handling}
                           for g in groups]}
    word = json.dumps({"ready": ready, "pause": dict(pause or {}),
                       "late": str(late or os.devnull)})
    return pool(name, sys.executable, "-S", "-E", str(PROOF / "bulk.py"), word,
                **{"instances": 1, "timeout": "120s", "backoff_min": "10ms", **settings})


def flood(app: App, name: str, count: int, timeout: float = 90, **order: Any) -> dict[str, Any]:
    """Publishes so many; how it went."""
    body = json.dumps({"count": count, "topic": "a.b", **order}).encode()
    response = app.post(f"/{name}/flood", body, timeout)
    assert response.status == 200, response.text
    found: dict[str, Any] = json.loads(response.text)
    return found


def count(app: App, name: str, group: str) -> int:
    """How many have come to a group since its worker has started."""
    found = json.loads(app.get(f"/{name}/counts", timeout=30).text)
    return int(found["counts"].get(group, 0))


def wait_count(app: App, name: str, group: str, least: int, seconds: float = 30) -> None:
    until(lambda: count(app, name, group) >= least, seconds,
          f"{least} have come to {group}; now {count(app, name, group)}")


def figure(text: str) -> None:
    print(f"figure: {text}")


def post(app: App, data: Any = 1, topic: str = "a.b") -> int:
    """Publishes over HTTP; the status."""
    return app.post(f"/in/{topic}", json.dumps(data).encode()).status


def lag(app: App) -> dict[str, int]:
    """By group, as `nodey lag` tells it."""
    said = subprocess.run([str(app.binary), "lag", "--format", "json"], cwd=app.folder,
                          capture_output=True, text=True, timeout=slow(10))
    assert said.returncode == 0, said.stderr
    return {g["name"]: g["lag"] for g in json.loads(said.stdout)["groups"]}


def rows(app: App) -> int:
    said = subprocess.run([str(app.binary), "bus", "--format", "json"], cwd=app.folder,
                          capture_output=True, text=True, timeout=slow(10))
    assert said.returncode == 0, said.stderr
    streams = {s["name"]: s for s in json.loads(said.stdout)["streams"]}
    return int(streams["events"]["messages"])


def slowest_get(app: App, seconds: float) -> tuple[float, int]:
    """The 99th of 100 answers' times in ms, and how many there were."""
    took, end = [], time.monotonic() + seconds
    with app.connect() as connection:
        while time.monotonic() < end:
            begin = time.monotonic()
            assert connection.request("GET", "/web/counts").status == 200
            took.append(1000 * (time.monotonic() - begin))
            time.sleep(0.005)
    return sorted(took)[len(took) * 99 // 100], len(took)
