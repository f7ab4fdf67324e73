"""frames: what all engines do with frames besides serving them."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .handler import Handler

from .codec import Malformed, frame_line
from .errors import failure_line

MAX_ID = 2**53 - 1
WINDOW = 262144  # Bytes of a body that may be under way, unless somebody says otherwise.
CHUNK = 65536  # The most bytes of a body in one frame.


def closed_frame(id: int) -> dict[str, Any]:
    """The answer to an ask that nobody can answer any more."""
    message = "the supervisor has closed the connection"
    return {"type": "error", "id": id, "code": "unavailable", "message": message}


_NEEDS_ID = frozenset(
    ("ask", "answer", "cancel", "ping", "chunk", "end", "credit", "message", "ack")
)
PIECES = frozenset(("chunk", "end", "credit", "message"))
"""The types of frames that belong to an exchange."""


def checked(frame: Any) -> Any:
    """The frame, or a Malformed when an id, a type or a member it needs is missing."""
    if type(frame) is not dict:
        return frame
    id = frame.get("id")
    id_valid = (type(id) is int and 0 <= id <= MAX_ID) or (type(id) is str and id != "")
    if "type" not in frame:
        if not id_valid and id is not None:
            return Malformed(None, "id must be an integer, a string or null")
        if "method" not in frame:
            return Malformed(id, "a frame has a type, or is a request with method and path")
        return frame
    kind = frame["type"]
    if type(kind) is not str:
        return Malformed(None, "type must be a string")
    if kind in _NEEDS_ID and not id_valid:
        return Malformed(None, f"{kind} needs an id")
    if kind == "ask" and type(frame.get("token")) is not str:
        return Malformed(id, "ask needs a token, a string")
    if kind == "event":
        fault = _event_fault(frame, id_valid)
        if fault is not None:
            return Malformed(id if id_valid else None, fault)
    if kind in PIECES:
        from .pieces import piece_fault

        fault = piece_fault(kind, frame)
        if fault is not None:
            return Malformed(None, fault)
    return frame


def _event_fault(frame: dict[str, Any], id_valid: bool) -> str | None:
    """What keeps an event from being handled, or None."""
    if not id_valid and frame.get("id") is not None:
        return "the id of an event is an integer or a string"
    if (type(frame.get("topic")) is str) == (type(frame.get("queue")) is str):
        return "an event has a topic or a queue, a string"
    for name in ("key", "msgid", "file", "cause", "correlation", "traceparent"):
        if type(frame.get(name, "")) is not str:
            return f"{name} of an event is a string"
    for name in ("seq", "time", "attempt"):
        if type(frame.get(name, 0)) is not int:
            return f"{name} of an event is an integer"
    if type(frame.get("headers", {})) is not dict:
        return "headers of an event is an object"
    return None


def gap_text(frame: dict[str, Any]) -> str:
    """A `gap` in words."""
    return (
        f"the group {frame.get('group')!r} has lost the events {frame.get('from')} to "
        f"{frame.get('to')}: its stream was full, and discards the oldest"
    )


def chunk_size(max_line: int) -> int:
    """The most bytes of a body in one frame, which base64 makes longer by a third."""
    return min(CHUNK, (max_line - 256) // 4 * 3)


def learn(engine: Any, hello: dict[str, Any]) -> None:
    """Takes from a `hello` what an engine goes by."""
    limits = hello.get("limits")
    if isinstance(limits, dict):
        window, chunk = limits.get("window"), limits.get("chunk")
        if type(window) is int and window > 0:
            engine.window = window
        if type(chunk) is int and chunk > 0:
            engine.chunk = min(chunk, engine.chunk)
    roots = hello.get("roots")
    if isinstance(roots, list):
        engine.roots = [root for root in roots if isinstance(root, str)]


def line_size(line: str, max_line: int) -> int:
    """The bytes of a line; of one that is short enough anyway its characters."""
    return len(line) if len(line) <= max_line // 4 else len(line.encode("utf-8", "replace"))


def within_limit(line: str, max_line: int, frame: dict[str, Any], handler: Handler) -> str:
    """The line; one that the supervisor would throw away is sent in pieces, which leaves "",
    or is an error in its place.
    """
    size = line_size(line, max_line)
    if size <= max_line:
        return line
    if "type" not in frame:
        from .streaming import send_long

        return send_long(line, frame, handler)
    text = f"{handler} has {size} bytes as a line, over the limit of {max_line}"
    return failure_line(ValueError(text), frame, handler.name)


def pong_line(id: Any, inflight: int, lag_ms: float | None = None) -> str:
    """The answer to a ping, with the resident memory where /proc tells it."""
    pong: dict[str, Any] = {"type": "pong", "id": id, "inflight": inflight}
    if lag_ms is not None:
        pong["lag"] = round(lag_ms, 1)
    try:
        with open("/proc/self/statm", "rb") as file:
            pong["rss"] = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        pass  # Not Linux: the member is optional.
    return frame_line(pong)
