"""response: what a handler returns, as a line."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from typing import Any

    Value = str | list[str]
    Trailers = Mapping[str, Value] | Callable[[], Mapping[str, Value]]
    HeadersLike = Mapping[str, str | list[str]] | Iterable[tuple[str, str]]

from .codec import encode, encode_id, quote


class ResponseHeaders(MutableMapping[str, "Value"]):
    """Response headers, whatever the case of the name.

    A value is a str, or a list of str for several fields of that name (as Set-Cookie
    needs).  add() adds a field, assigning replaces all of that name.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: HeadersLike | None = None) -> None:
        self._fields: dict[str, Any] = {}
        if fields is None:
            return
        if isinstance(fields, Mapping):
            for name, value in fields.items():
                self._fields[str(name).lower()] = value
        elif isinstance(fields, (list, tuple)):
            for name, value in fields:
                self.add(name, value)
        else:
            raise TypeError(f"headers are a mapping, not {type(fields).__name__}")

    def __getitem__(self, name: str) -> Value:
        value: Value = self._fields[name.lower()]
        return value

    def __setitem__(self, name: str, value: Value) -> None:
        self._fields[name.lower()] = value

    def __delitem__(self, name: str) -> None:
        del self._fields[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"ResponseHeaders({self._fields!r})"

    def add(self, name: str, value: str) -> None:
        """Adds a field beside those of the same name."""
        known = self._fields.get(name.lower())
        if known is None:
            self._fields[name.lower()] = value
        else:
            self._fields[name.lower()] = [*([known] if isinstance(known, str) else known), value]


class Response:
    """An answer with a status and headers.

    value: the body, by the same rules as a handler's return value: str is text, bytes
        are bytes, what a generator yields is sent piece by piece, anything else is JSON.
        Left out: no body.
    status: 100 to 599.
    headers: values are strings or lists of strings (several fields of that name, as
        Set-Cookie needs); characters up to U+00FF.
    reason: the reason phrase of HTTP/1.1, when it is to be an unusual one.
    trailers: fields that follow the body; a function is called for them when all of the
        body has been sent.
    """

    __slots__ = ("value", "status", "headers", "reason", "trailers")

    def __init__(
        self,
        value: Any = ...,
        status: int = 200,
        headers: HeadersLike | None = None,
        *,
        reason: str | None = None,
        trailers: Trailers | None = None,
    ) -> None:
        self.value = value
        self.status = status
        self.headers = ResponseHeaders(headers)
        self.reason = reason
        self.trailers = trailers

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status}>"

    def set_cookie(
        self,
        name: str,
        value: str = "",
        *,
        max_age: int | None = None,
        expires: datetime | float | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: str | None = "lax",
        partitioned: bool = False,
    ) -> Response:
        """Adds a cookie; returns the response itself.

        value: any text; what a cookie cannot hold is percent-encoded, and
            Request.cookies decodes it.
        max_age: seconds; without it and `expires` the cookie ends with the browser.
        expires: a datetime (one without a time zone is UTC) or seconds since 1970.
        samesite: "lax", "strict", "none" (which needs secure=True), or None to leave it out.
        Raises ValueError for what browsers would throw away.
        """
        from .cookies import cookie_field

        self.headers.add(
            "set-cookie",
            cookie_field(
                name,
                value,
                max_age=max_age,
                expires=expires,
                path=path,
                domain=domain,
                secure=secure,
                httponly=httponly,
                samesite=samesite,
                partitioned=partitioned,
            ),
        )
        return self

    def delete_cookie(
        self,
        name: str,
        *,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
    ) -> Response:
        """Has the browser forget a cookie; path and domain are those it was set with."""
        secure = secure or name.startswith(("__Host-", "__Secure-"))
        return self.set_cookie(
            name, "", max_age=0, expires=0, path=path, domain=domain, secure=secure
        )

    def _prepared(self, frame: dict[str, Any], who: object) -> Response:
        """The response to this very request; a file is read here."""
        return self


class FileBody:
    """A file, or a part of one, as the body of an answer.

    path: absolute.  offset, size: bytes.  is_part: it is not the whole file.
    """

    __slots__ = ("path", "offset", "size", "is_part")

    def __init__(self, path: str, offset: int, size: int, is_part: bool) -> None:
        self.path = path
        self.offset = offset
        self.size = size
        self.is_part = is_part


LARGE = 196608
"""Bytes from which on an answer does not go in one line."""
PLAIN = frozenset((dict, list, str, int, float, bool, type(None)))
_JSON_TYPES = PLAIN - {str}
_BODYLESS = frozenset((204, 304))
_REDIRECTS = frozenset((301, 302, 303, 307, 308))


def json(value: Any, status: int = 200, headers: HeadersLike | None = None) -> Response:
    """A JSON answer, also of a str, which would be text otherwise."""
    if not isinstance(value, str):
        return Response(value, status, headers)
    response = Response(encode(value, "the value"), status, headers)
    response.headers.setdefault("content-type", "application/json")
    return response


def html(text: str, status: int = 200, headers: HeadersLike | None = None) -> Response:
    """An HTML page.  The text is sent as it is: escape what came from others (html.escape)."""
    response = Response(text, status, headers)
    response.headers.setdefault("content-type", "text/html; charset=utf-8")
    return response


def redirect(url: str, status: int = 302, headers: HeadersLike | None = None) -> Response:
    """Sends the client to another URL.

    url: absolute, or a path.  Characters that a URL cannot have are percent-encoded.
    status: 301 or 308 for ever, 302 or 307 for now, 303 after a form; 307 and 308 keep
        the method.
    """
    if status not in _REDIRECTS:
        raise ValueError(f"the status of a redirect is 301, 302, 303, 307 or 308, not {status}")
    from urllib.parse import quote as percent_encode

    response = Response(..., status, headers)
    response.headers["location"] = percent_encode(url, safe="/:?#[]@!$&'()*+,;=%-._~")
    return response


def response_line(frame: dict[str, Any], result: Any, who: object) -> str:
    """The line that answers a request with what its handler `who` returned.

    Raises TypeError or ValueError, naming the handler, for what cannot be an answer.
    """
    id = frame.get("id")
    if type(id) is not int:
        id = encode_id(id)
    kind = type(result)
    if kind in _JSON_TYPES:
        return f'{{"id":{id},"json":{encode(result, who)}}}\n'
    if kind is str:
        return f'{{"id":{id},"body":{quote(result)}}}\n'
    if kind is tuple:
        result = _from_tuple(result, who)
    if not isinstance(result, Response):
        if not goes_in_pieces(result):
            return f'{{"id":{id},{_body(result, who)}}}\n'
        result = Response(result)
    response = result._prepared(frame, who)
    if response.trailers or (
        type(response.value) not in PLAIN and goes_in_pieces(response.value)
    ):
        from .streaming import answer_in_pieces

        return answer_in_pieces(frame, response, who)
    return full_line(frame, response, who)


def as_response(result: Any, who: object) -> Response:
    """A handler's result as a Response, for those who want to change it."""
    if isinstance(result, Response):
        return result
    return _from_tuple(result, who) if type(result) is tuple else Response(result)


def goes_in_pieces(value: Any) -> bool:
    """Whether a value of no plain type does not go in one line; see streaming.py."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return len(value) > LARGE
    return hasattr(value, "__next__") or type(value) is FileBody


def checked_status(response: Response, who: object) -> int:
    """The status.  Raises ValueError for what is none."""
    status = response.status
    if not isinstance(status, int) or not 100 <= status <= 599:
        raise ValueError(f"{who} has the status {status!r}; it must be 100 to 599")
    return status


def full_line(frame: dict[str, Any], response: Response, who: object) -> str:
    """The line of a response that does not go in pieces."""
    status = checked_status(response, who)
    members = [f'"id":{encode_id(frame.get("id"))}', f'"status":{status:d}']
    if response.reason is not None:
        members.append(f'"reason":{quote(response.reason)}')
    if response.headers:
        members.append(f'"headers":{encode_headers(response.headers)}')
    value = response.value
    if value is not ... and not (value is None and status in _BODYLESS):
        members.append(_body(value, who))
    return "{" + ",".join(members) + "}\n"


def _from_tuple(result: tuple[Any, ...], who: object) -> Response:
    if 2 <= len(result) <= 3 and isinstance(result[0], int):
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
    if hasattr(value, "__await__") or hasattr(value, "__anext__"):
        kind = "awaitable" if hasattr(value, "__await__") else "an async generator"
        close = getattr(value, "close", None)
        if close is not None:
            close()  # Or Python would warn, later and elsewhere, of what was never awaited.
        raise TypeError(f"{who} is {kind}; declare the handler with `async def`")
    if isinstance(value, Response):
        raise TypeError(f"{who} has a Response inside a Response or tuple; return one of them")
    return f'"json":{encode(value, who)}'


def encode_headers(headers: Mapping[str, Any]) -> str:
    """Headers as JSON.  Raises TypeError or ValueError for what no header can be."""
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
