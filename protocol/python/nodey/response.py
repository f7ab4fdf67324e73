"""response: what a handler returns, as a line."""

from __future__ import annotations

from collections.abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

from .codec import encode, encode_id, quote


class Response:
    """An answer with a status and headers.

    value: the body, by the same rules as a handler's return value: str is text, bytes
        are bytes, anything else is JSON.  Left out: no body.
    status: 100 to 599.
    headers: values are strings or lists of strings (several fields of that name, as
        Set-Cookie needs); characters up to U+00FF.
    reason: the reason phrase of HTTP/1.1, when it is to be an unusual one.
    """

    __slots__ = ("value", "status", "headers", "reason")

    def __init__(
        self,
        value: Any = ...,
        status: int = 200,
        headers: Mapping[str, str | list[str]] | None = None,
        *,
        reason: str | None = None,
    ) -> None:
        self.value = value
        self.status = status
        self.headers = headers
        self.reason = reason


_JSON_TYPES = frozenset((dict, list, int, float, bool, type(None)))
_BODYLESS = frozenset((204, 304))


def response_line(id: Any, result: Any, who: object) -> str:
    """The line that answers request `id` with what its handler `who` returned.

    Raises TypeError or ValueError, naming the handler, for what cannot be an answer.
    """
    id = id if type(id) is int else encode_id(id)
    kind = type(result)
    if kind in _JSON_TYPES:
        return f'{{"id":{id},"json":{encode(result, who)}}}\n'
    if kind is str:
        return f'{{"id":{id},"body":{quote(result)}}}\n'
    if kind is tuple:
        result = _from_tuple(result, who)
    if not isinstance(result, Response):
        return f'{{"id":{id},{_body(result, who)}}}\n'
    return _full_line(id, result, who)


def _full_line(id: Any, response: Response, who: object) -> str:
    status = response.status
    if not isinstance(status, int) or not 100 <= status <= 599:
        raise ValueError(f"{who} has the status {status!r}; it must be 100 to 599")
    members = [f'"id":{id}', f'"status":{status:d}']
    if response.reason is not None:
        members.append(f'"reason":{quote(response.reason)}')
    if response.headers:
        members.append(f'"headers":{encode_headers(response.headers)}')
    value = response.value
    if value is not ... and not (value is None and status in _BODYLESS):
        members.append(_body(value, who))
    return "{" + ",".join(members) + "}\n"


def _from_tuple(result: tuple[Any, ...], who: object) -> Response:
    if 2 <= len(result) <= 3 and type(result[0]) is int:
        headers = result[2] if len(result) == 3 else None
        if headers is None or isinstance(headers, Mapping):
            return Response(result[1], result[0], headers)
    raise TypeError(
        f"{who} is a tuple, which means (status, value) or (status, value, headers); "
        "return a list for a JSON array"
    )


def _body(value: Any, who: object) -> str:
    """A body's member: "body", "body64" or "json"."""
    if isinstance(value, str):
        return f'"body":{quote(str(value))}'
    if isinstance(value, (bytes, bytearray, memoryview)):
        from binascii import b2a_base64

        return f'"body64":"{b2a_base64(value, newline=False).decode()}"'
    if hasattr(value, "__next__") or hasattr(value, "__anext__"):
        raise TypeError(
            f"{who} is a generator, and streaming is not there yet; "
            "return the whole value, for instance a list or a str"
        )
    if hasattr(value, "__await__"):
        raise TypeError(f"{who} is awaitable; declare the handler with `async def`")
    if isinstance(value, Response):
        raise TypeError(f"{who} has a Response inside a Response or tuple; return one of them")
    return f'"json":{encode(value, who)}'


def encode_headers(headers: Mapping[str, Any]) -> str:
    """Headers as JSON.  Raises TypeError or ValueError for what no header can be."""
    if not isinstance(headers, Mapping):
        raise TypeError(f"headers are a mapping, not {type(headers).__name__}")
    fields = {
        str(name).lower(): (
            [_header(name, item) for item in value]
            if isinstance(value, (list, tuple))
            else _header(name, value)
        )
        for name, value in headers.items()
    }
    return encode(fields, "the headers")


def _header(name: object, value: object) -> str:
    if not isinstance(value, (str, int)):
        raise TypeError(f"header {name} is a str or a list of str, not {type(value).__name__}")
    text = str(value)
    if "\n" in text or "\r" in text or "\0" in text:
        raise ValueError(f"header {name} has a line break or NUL in its value")
    if not text.isascii() and max(text) > "\xff":
        raise ValueError(f"header {name} has a character above U+00FF in its value")
    return text
