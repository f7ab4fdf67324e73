"""appline: status, header fields and a body as an app gives them, in the form of a line.

What an app says again and again (names, statuses, content types) is worked out once and
kept; how much is kept has a bound, because some of it may come from clients.
"""

from __future__ import annotations

from binascii import b2a_base64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

from .codec import encode, quote

ONE_LINE_MAX = 65536
"""Bytes of a body that is sent in one line with its head; a longer one is sent in pieces."""

_KEPT = 1000
_HOP_BY_HOP = frozenset(("connection", "keep-alive", "proxy-connection", "transfer-encoding"))
_TEXT_TYPES = ("json", "javascript", "xml", "x-www-form-urlencoded", "yaml")

_names: dict[str | bytes, str] = {}
_is_text: dict[str, bool] = {}


def _name(name: str | bytes) -> str:
    """The name of a field in lower case; "" for one that is none of an app's business."""
    known = _names.get(name)
    if known is None:
        text = name if isinstance(name, str) else bytes(name).decode("latin-1")
        known = text.lower()
        if known in _HOP_BY_HOP:
            known = ""
        if len(_names) < _KEPT:
            _names[name] = known
    return known


def fields_of(pairs: Iterable[tuple[str | bytes, str]]) -> dict[str, Any]:
    """Header fields by name, those that come more than once as a list.

    Leaves out what belongs to the connection, which is not the app's.  Raises TypeError or
    ValueError for what cannot be a header.
    """
    fields: dict[str, Any] = {}
    for name, value in pairs:
        key = _names.get(name)
        if key is None:
            key = _name(name)
        if key in fields:
            known = fields[key]
            fields[key] = [*known, value] if type(known) is list else [known, value]
        elif key:
            fields[key] = value
    try:
        joined = "".join(fields.values())
    except TypeError:
        joined = _joined(fields)
    if "\n" in joined or "\r" in joined or "\0" in joined:
        raise ValueError(f"a header has a line break or NUL in its value: {joined[:200]!r}")
    if not joined.isascii() and max(joined) > "\xff":
        raise ValueError(f"a header has a character above U+00FF in its value: {joined[:200]!r}")
    return fields


def _joined(fields: dict[str, Any]) -> str:
    """All values in one, some of them being lists.  Raises TypeError for what is no str."""
    pieces: list[str] = []
    for name, value in fields.items():
        for item in value if type(value) is list else [value]:
            if not isinstance(item, str):
                raise TypeError(f"header {name} is a str, not {type(item).__name__}")
            pieces.append(item)
    return "".join(pieces)


def fields_of_bytes(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, Any]:
    """The same for the byte strings of ASGI."""
    return fields_of([(name, value.decode("latin-1")) for name, value in pairs])


def is_text(content_type: Any) -> bool:
    """Whether bodies of this content type are worth trying as text, which people can read."""
    if type(content_type) is not str:
        return False
    known = _is_text.get(content_type)
    if known is None:
        kind = content_type.partition(";")[0].strip().lower()
        known = kind.startswith("text/") or kind.endswith(_TEXT_TYPES)
        if len(_is_text) < _KEPT:
            _is_text[content_type] = known
    return known


def body_member(body: bytes, text: bool) -> str:
    """The member of a frame that holds these bytes.  text: see is_text()."""
    if text:
        try:
            return f'"body":{quote(body.decode())}'
        except UnicodeDecodeError:
            pass
    return f'"body64":"{b2a_base64(body, newline=False).decode()}"'


def answer_line(id: Any, status: str, fields: dict[str, Any], body: bytes) -> str:
    """A whole answer.  id: as JSON.  status: its members, with a comma at the end, or ""."""
    line = f'{{"id":{id},{status}"headers":{encode(fields, "the headers")}'
    if body:
        line += "," + body_member(body, is_text(fields.get("content-type")))
    return line + "}\n"
