"""compose: requests as nodey would send them, and answers as clients would get them; for
testing.py."""

from __future__ import annotations

import os
from http import HTTPStatus
from itertools import count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    FileLike = bytes | str | tuple[str, bytes] | tuple[str, bytes, str]

from binascii import b2a_base64
from urllib.parse import quote, urlencode

from .codec import encode, encode_utf8
from .errors import status_of
from .files import type_of
from .hand import encoded
from .request import decode_base64

_ids = count(1)


def request_frame(
    method: str,
    target: str,
    json: Any,
    data: Any,
    files: Mapping[str, FileLike] | None,
    headers: Mapping[str, str | list[str]] | None,
) -> dict[str, Any]:
    """The frame of a request; the parameters are those of testing.Client.request()."""
    if not target.startswith("/"):
        raise ValueError(f'a path begins with a slash: "/{target}"')
    path, mark, query = target.partition("#")[0].partition("?")
    fields: dict[str, str | list[str]] = {"host": "localhost"}
    body, kind = _body(json, data, files)
    if kind:
        fields["content-type"] = kind
    for name, value in (headers or {}).items():
        fields[name.lower()] = value if isinstance(value, list) else str(value)
    frame: dict[str, Any] = {
        "id": next(_ids),
        "method": method.upper(),
        "path": encoded(path),
        "headers": fields,
        "ip": "127.0.0.1",
    }
    if mark:
        frame["query"] = encoded(query)
    if body:
        try:
            frame["body"] = body.decode()
        except UnicodeDecodeError:
            frame["body64"] = b2a_base64(body, newline=False).decode()
    return frame


def with_query(target: str, query: Mapping[str, Any] | str | None) -> str:
    """A target with more in its query: a mapping (of values, of lists of them; None leaves a
    name out), or what stands behind the "?"."""
    if query is None:
        return target
    if not isinstance(query, str):
        query = urlencode(list(_pairs({k: v for k, v in query.items() if v is not None})))
    target = target.partition("#")[0]
    return f"{target}{'&' if '?' in target else '?'}{query}" if query else target


def _body(json: Any, data: Any, files: Mapping[str, FileLike] | None) -> tuple[bytes, str]:
    """The bytes and the content type, "" for none."""
    if (json is not ...) + (data is not None or files is not None) > 1:
        raise ValueError("a request has json or data and files, not both")
    if json is not ...:
        return encode_utf8(encode(json, "the body")), "application/json"
    if files is not None:
        return _multipart(_pairs(data), files)
    if isinstance(data, str):
        return encode_utf8(data), ""
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data), ""
    if data is None:
        return b"", ""
    return urlencode(list(_pairs(data))).encode(), "application/x-www-form-urlencoded"


def _pairs(data: Any) -> Iterable[tuple[str, str]]:
    for name, value in (data or {}).items():
        for item in value if isinstance(value, (list, tuple)) else [value]:
            yield name, str(item)


def _multipart(
    fields: Iterable[tuple[str, str]], files: Mapping[str, FileLike]
) -> tuple[bytes, str]:
    boundary = f"nodey-{os.urandom(12).hex()}"
    lines: list[bytes] = []
    for name, value in fields:
        lines += [_part(boundary, f'name="{_in_quotes(name)}"', ""), value.encode()]
    for name, given in files.items():
        filename, content, *kind = given if isinstance(given, tuple) else (name, given)
        if isinstance(content, str):
            content = content.encode()
        where = f'name="{_in_quotes(name)}"; filename="{_in_quotes(filename)}"'
        lines += [_part(boundary, where, kind[0] if kind else type_of(filename)), content]
    body = b"".join(line + (b"\r\n" if index % 2 else b"") for index, line in enumerate(lines))
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def _part(boundary: str, where: str, kind: str) -> bytes:
    content_type = f"Content-Type: {kind}\r\n" if kind else ""
    return (
        f"--{boundary}\r\nContent-Disposition: form-data; {where}\r\n{content_type}\r\n".encode()
    )


def _in_quotes(name: str) -> str:
    """As browsers do it."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def cookie_header(cookies: Mapping[str, str]) -> str:
    """Cookies as a browser sends them back."""
    return "; ".join(f"{name}={quote(value)}" for name, value in cookies.items())


# ---------------------------------------------------------------------- answers


def problem_frame(frame: dict[str, Any], path: str) -> dict[str, Any]:
    """What nodey makes of an `error` frame: a problem document (RFC 9457)."""
    status = frame.get("status") or status_of(str(frame.get("code")))
    problem: dict[str, Any] = {"type": "about:blank", "title": reason_of(status), "status": status}
    if frame.get("message"):
        problem["detail"] = frame["message"]
    problem["instance"] = path
    if "data" in frame:
        problem["data"] = frame["data"]
    headers = {"content-type": "application/problem+json"}
    return {"status": status, "headers": headers, "json": problem}


def joined(frames: list[dict[str, Any]]) -> dict[str, Any]:
    """An answer in pieces as one frame: the head with the whole body, or the last error."""
    frames = [frame for frame in frames if frame.get("type") != "info"]
    head, last = frames[0], frames[-1]
    if len(frames) == 1 or last.get("type") == "error":
        return last
    kind = body_of(head)[1]
    whole: dict[str, Any] = {}
    for name in ("id", "status", "headers"):
        if name in head:
            whole[name] = head[name]
    if kind:
        whole["headers"] = {"content-type": kind, **(head.get("headers") or {})}
    body = b"".join(body_of(frame)[0] for frame in frames)
    whole["body64"] = b2a_base64(body, newline=False).decode()
    if "trailers" in last:
        whole["trailers"] = last["trailers"]
    return whole


def reason_of(status: int) -> str:
    """The reason phrase of a status, or ""."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Client Closed Request" if status == 499 else ""


def body_of(frame: dict[str, Any]) -> tuple[bytes, str]:
    """A response's bytes, and the content type that they have when it names none."""
    if "body" in frame:
        return encode_utf8(frame["body"]), "text/plain; charset=utf-8"
    if "body64" in frame:
        return decode_base64(frame["body64"]), "application/octet-stream"
    if "json" in frame:
        return encode_utf8(encode(frame["json"], "the body")), "application/json"
    return b"", ""
