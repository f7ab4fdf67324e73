"""Pools of tests/workers/eventful.py, and what they saw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Optional, Sequence

from app import App
from timing import until
from workers import Setting, pool, raw


def eventful(name: str, journal: Path, ready: Optional[dict[str, Any]] = None,
             **settings: Setting) -> str:
    """A pool of eventful.py, one instance unless something else is said."""
    words = raw("eventful.py", str(journal), json.dumps(ready or {}))
    return pool(name, *words, **{"instances": 1, "backoff_min": "10ms", "backoff_max": "50ms",
                                 **settings})


def on(topic: str, **members: Any) -> dict[str, Any]:
    """What `ready` says of one subscription."""
    return {"subscribe": [{"topic": topic, **members}]}


def job(queue: str, **members: Any) -> dict[str, Any]:
    return {"jobs": [{"queue": queue, **members}]}


def send(app: App, name: str, frame: dict[str, Any], timeout: float = 10) -> dict[str, Any]:
    """Has the worker write that frame; what came for its id."""
    response = app.post(f"/{name}/send", json.dumps(frame).encode(), timeout)
    assert response.status == 200, response.text
    found: dict[str, Any] = json.loads(response.text)
    return found


def publish(app: App, name: str, topic: str, data: Any = None, **members: Any) -> int:
    """Publishes an event that must be stored; its seq."""
    found = send(app, name, {"type": "publish", "topic": topic, **members, "data": data})
    assert found["type"] == "ack", found
    return int(found["seq"])


def enqueue(app: App, name: str, queue: str, data: Any = None, **members: Any) -> int:
    found = send(app, name, {"type": "publish", "queue": queue, **members, "data": data})
    assert found["type"] == "ack", found
    return int(found["seq"])


def entries(journal: Path) -> list[dict[str, Any]]:
    """All that came to workers of this journal; not what is just being written."""
    if not journal.exists():
        return []
    return [json.loads(line) for line in journal.read_text().rpartition("\n")[0].splitlines()]


def frames(journal: Path, kind: str = "event") -> list[dict[str, Any]]:
    return [e["frame"] for e in entries(journal) if e["frame"].get("type") == kind]


def wait_frames(journal: Path, count: int, kind: str = "event", seconds: float = 10,
                wanted: Callable[[dict[str, Any]], bool] = lambda _: True) \
        -> list[dict[str, Any]]:
    """Waits until so many have come, and returns them."""

    def check() -> Optional[list[dict[str, Any]]]:
        found = [frame for frame in frames(journal, kind) if wanted(frame)]
        return found if len(found) >= count else None

    return until(check, seconds, f"{count} frames {kind}; now "
                                 f"{[f for f in frames(journal, kind)][-5:]}")


def data(found: Sequence[dict[str, Any]]) -> list[Any]:
    return [frame["data"] for frame in found]
