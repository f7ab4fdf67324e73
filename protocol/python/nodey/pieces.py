"""pieces: whether the frames of a body in pieces are what they must be."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

from .request import are_headers, body_fault

_MOST_BYTES = 2**53 - 1


def piece_fault(kind: str, frame: dict[str, Any]) -> str | None:
    """Why a chunk, end, credit or message is none, or None."""
    if kind == "credit":
        more = frame.get("bytes")
        if type(more) is not int or not 0 < more <= _MOST_BYTES:
            return "credit needs bytes, a number from 1 on"
        return None
    fault = body_fault(frame, kind)
    if fault is None and "json" in frame:
        fault = f"{kind} has no json"
    if fault is not None:
        return fault
    if kind != "end":
        has_body = "body" in frame or "body64" in frame
        return None if has_body else f"{kind} needs body or body64"
    if not are_headers(frame.get("trailers", {})):
        return "trailers must be an object of strings and arrays of strings"
    code = frame.get("code", 1000)
    if type(code) is not int or not 1000 <= code <= 4999:
        return "the code of an end must be 1000 to 4999"
    if type(frame.get("reason", "")) is not str:
        return "the reason of an end must be a string"
    return None
