"""request: what a handler is given."""

from __future__ import annotations

from collections.abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Protocol

    class Canceller(Protocol):
        def is_cancelled(self, frame: dict[str, Any]) -> bool: ...


from .codec import decode, encode, encode_utf8
from .errors import Error


class Headers(Mapping[str, str]):
    """Request headers, whatever the case of the name.

    A field that came more than once is joined with ", " (cookies with "; ");
    getlist() has the single values.  Characters U+0080 to U+00FF stand for bytes.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    def __getitem__(self, name: str) -> str:
        name = name.lower()
        value = self._fields[name]
        if type(value) is str:
            return value
        return ("; " if name == "cookie" else ", ").join(value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._fields

    def __repr__(self) -> str:
        return f"Headers({self._fields!r})"

    def getlist(self, name: str) -> list[str]:
        """All values of a field in the order they came; empty when there is none."""
        value = self._fields.get(name.lower())
        if value is None:
            return []
        return [value] if type(value) is str else list(value)


class Request:
    """An HTTP request.  Everything is worked out when it is first asked for."""

    __slots__ = ("_frame", "_canceller", "_query", "params")

    params: dict[str, str]
    """Path parameters, percent-decoded: "/users/:id" gives "id", "/files/*" gives "*"."""

    def __init__(
        self, frame: dict[str, Any], params: dict[str, str], canceller: Canceller | None = None
    ) -> None:
        self._frame = frame
        self._canceller = canceller
        self._query: dict[str, list[str]] | None = None
        self.params = params

    def __repr__(self) -> str:
        return f"<Request {self.id} {self.method} {self.path}>"

    @property
    def id(self) -> int | str | None:
        """The number that this request has between supervisor and worker."""
        id: int | str | None = self._frame.get("id")
        return id

    @property
    def method(self) -> str:
        """Upper case: "GET"."""
        method: str = self._frame["method"]
        return method

    @property
    def path(self) -> str:
        """The path as it was received: percent-encoded, without the query."""
        path: str = self._frame["path"]
        return path

    @property
    def query_string(self) -> str:
        """What follows the "?", as it was received; "" when there is nothing."""
        query: str = self._frame.get("query", "")
        return query

    @property
    def query(self) -> dict[str, str]:
        """Query parameters, decoded; the first value of each."""
        return {name: values[0] for name, values in self.query_all.items()}

    @property
    def query_all(self) -> dict[str, list[str]]:
        """Query parameters, decoded; all values of each in the order they came."""
        if self._query is None:
            self._query = parse_query(self.query_string)
        return self._query

    @property
    def headers(self) -> Headers:
        """The headers; names in any case."""
        return Headers(self._frame.get("headers") or {})

    @property
    def cookies(self) -> dict[str, str]:
        """Cookies by name; the first one when a name came twice."""
        cookies: dict[str, str] = {}
        for pair in self.headers.get("cookie", "").split(";"):
            name, equals, value = pair.strip().partition("=")
            if equals and name not in cookies:
                cookies[name] = value.strip('"')
        return cookies

    @property
    def body(self) -> bytes:
        """The body's bytes; b"" when there is none."""
        frame = self._frame
        if "body" in frame:
            return encode_utf8(frame["body"])
        if "body64" in frame:
            return decode_base64(frame["body64"])
        if "json" in frame:
            return encode_utf8(encode(frame["json"], "the body"))
        return b""

    @property
    def text(self) -> str:
        """The body as UTF-8 text; bytes that are none become U+FFFD."""
        frame = self._frame
        if "body" in frame:
            text: str = frame["body"]
            return text
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body's JSON value.

        Raises nodey.Error("invalid_argument"), a 400 for the client when it is not
        caught, if the body is empty or not JSON.
        """
        if "json" in self._frame:
            return self._frame["json"]
        try:
            return decode(self.text)
        except ValueError as problem:
            raise Error("invalid_argument", f"the body is not JSON: {problem}") from None

    @property
    def ip(self) -> str | None:
        """The client's address, after trusted proxies; None when typed by hand."""
        ip: str | None = self._frame.get("ip")
        return ip

    @property
    def timeout(self) -> float | None:
        """Seconds that were left for the answer when the request was sent here, or None."""
        timeout = self._frame.get("timeout")
        return None if timeout is None else timeout / 1000

    def cancelled(self) -> bool:
        """Whether nobody waits for the answer any more (client gone, time over).

        Cheap enough for a loop that does real work in every turn: a system call.
        """
        return self._canceller is not None and self._canceller.is_cancelled(self._frame)


def parse_query(query: str) -> dict[str, list[str]]:
    """"a=1&b=2&a=3" as {"a": ["1", "3"], "b": ["2"]}; names without "=" have ""."""
    unquote = str
    if "%" in query or "+" in query:
        from urllib.parse import unquote_plus

        unquote = unquote_plus  # type: ignore[assignment]
    values: dict[str, list[str]] = {}
    for pair in query.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            values.setdefault(unquote(name), []).append(unquote(value))
    return values


def decode_base64(text: str) -> bytes:
    """Standard base64 with padding.  Raises ValueError for anything else."""
    from binascii import a2b_base64

    if len(text) % 4 or not text.isascii():
        raise ValueError("base64 without padding")
    data = a2b_base64(text)
    # a2b_base64 skips what it does not know: then there are too few bytes.
    if len(data) != len(text) // 4 * 3 - (text[-2:].count("=") if text else 0):
        raise ValueError("not the base64 alphabet")
    return data


# ------------------------------------------------------------------- validation


def request_fault(frame: dict[str, Any]) -> str | None:
    """Why a frame cannot be served as a request, or None.

    Only the outside is looked at on the common path: "".join() is the quickest way to
    ask whether all values are strings.
    """
    get = frame.get
    if type(get("path")) is not str or type(get("method")) is not str:
        return "a request needs a method and a path, both strings"
    if type(get("query", "")) is not str:
        return "query must be a string"
    headers = get("headers")
    if headers is not None:
        try:
            "".join(headers.values())
        except (AttributeError, TypeError):
            if not _are_headers(headers):
                return "headers must be an object of strings and arrays of strings"
    params = get("params")
    if params is not None:
        try:
            "".join(params.values())
        except (AttributeError, TypeError):
            return "params must be an object of strings"
    if "body" in frame or "body64" in frame or "json" in frame:
        return _body_fault(frame)
    return None


def _are_headers(headers: Any) -> bool:
    return isinstance(headers, dict) and all(
        isinstance(value, str)
        or (isinstance(value, list) and all(isinstance(item, str) for item in value))
        for value in headers.values()
    )


def _body_fault(frame: dict[str, Any]) -> str | None:
    if ("body" in frame) + ("body64" in frame) + ("json" in frame) > 1:
        return "a request has one of body, body64 and json"
    if type(frame.get("body", "")) is not str:
        return "body must be a string"
    if "body64" not in frame:
        return None
    if type(frame["body64"]) is not str:
        return "body64 must be a string"
    try:
        decode_base64(frame["body64"])
    except ValueError as problem:
        return f"body64 is not base64: {problem}"
    return None
