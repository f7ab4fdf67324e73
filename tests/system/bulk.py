"""Pools of tests/proof/bulk.py, which publishes much and counts what comes."""

from __future__ import annotations

import json
import sys
from typing import Any, Mapping, Optional, Sequence

from app import ROOT, App
from timing import until
from workers import Setting, pool

PROOF = ROOT / "tests" / "proof"


def bulk(name: str, groups: Sequence[str] = (), topic: str = "a.>",
         pause: Optional[Mapping[str, float]] = None, jobs: Sequence[str] = (), most: int = 64,
         **settings: Setting) -> str:
    """A pool in which each of `groups` wants all of `topic`; see there for `pause`."""
    handling = {"max": most, "from": "first", "backoff": [50]}
    ready = {"subscribe": [{"topic": topic, "group": g, "timeout": 600000, **handling}
                           for g in groups],
             "jobs": [{"queue": q, **handling} for q in jobs]}
    word = json.dumps({"ready": ready, "pause": dict(pause or {})})
    return pool(name, sys.executable, "-S", "-E", str(PROOF / "bulk.py"), word,
                **{"instances": 1, "timeout": "120s", "backoff_min": "10ms", **settings})


def flood(app: App, name: str, count: int, timeout: float = 90, **order: Any) -> dict[str, Any]:
    """Publishes so many; how it went."""
    body = json.dumps({"count": count, "topic": "a.b", **order}).encode()
    response = app.post(f"/{name}/flood", body, timeout)
    assert response.status == 200, response.text
    found: dict[str, Any] = json.loads(response.text)
    return found


def state(app: App, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(app.get(f"/{name}/counts", timeout=30).text)
    return found


def count(app: App, name: str, group: str) -> int:
    return int(state(app, name)["counts"].get(group, 0))


def wait_count(app: App, name: str, group: str, least: int, seconds: float = 30) -> None:
    until(lambda: count(app, name, group) >= least, seconds,
          f"{least} have come to {group}; now {count(app, name, group)}")
