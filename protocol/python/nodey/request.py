"""request: what a handler is given."""

from __future__ import annotations

from collections.abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Protocol

    from .bodies import BodyStream
    from .forms import Files, Form
    from .spool import Spool

    class Canceller(Protocol):
        def is_cancelled(self, frame: dict[str, Any]) -> bool: ...
        def exchange(self, frame: dict[str, Any]) -> Any: ...


from .codec import decode, encode, encode_utf8
from .errors import Error, NoAttribute


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """`from nodey import request` is another framework's habit, and finds this module."""
        raise NoAttribute("nodey", "request", tuple)


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


class MissingValue(Error, KeyError):
    """What req.query["x"] raises when there is no x: a KeyError, and for the client a 400."""

    def __init__(self, what: str, name: str) -> None:
        super().__init__("invalid_argument", f"the {what} has no {name!r}")


class Values(dict[str, str]):
    """Query parameters or form fields: a dict of the first value of each name.

    getlist() has all of them.  A name that is not there is the client's mistake: reading
    it raises a KeyError that is answered with 400; get() gives None.
    """

    __slots__ = ("_repeated",)

    _what = "query"

    def __init__(self) -> None:
        self._repeated: dict[str, list[str]] | None = None

    def __missing__(self, name: str) -> str:
        raise MissingValue(self._what, name)

    def add(self, name: str, value: str) -> None:
        """Adds a value after those of the same name."""
        if name not in self:
            self[name] = value
            return
        if self._repeated is None:
            self._repeated = {}
        self._repeated.setdefault(name, [self[name]]).append(value)

    def getlist(self, name: str) -> list[str]:
        """All values of a name in the order they came; empty when there is none."""
        if self._repeated is not None and name in self._repeated:
            return list(self._repeated[name])
        return [self[name]] if name in self else []


class Request:
    """An HTTP request.  Everything is worked out when it is first asked for.

    Further attributes may be set, by a `before` hook for instance; `state` is a dict for
    the same purpose that type checkers do not object to.  What is not there is explained when
    a handler has failed of it (habits.py): a __getattr__ would make all attributes slower.
    """

    __slots__ = ("_frame", "_canceller", "_query", "_form", "params", "__dict__")

    params: dict[str, str]
    """Path parameters, percent-decoded: "/users/:id" gives "id", "/files/*" gives "*"."""

    def __init__(
        self, frame: dict[str, Any], params: dict[str, str], canceller: Canceller | None = None
    ) -> None:
        self._frame = frame
        self._canceller = canceller
        self._query: Values | None = None
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
    def query(self) -> Values:
        """Query parameters, decoded: a dict of the first value of each, with getlist()."""
        query = self._query
        if query is None:
            query = self._query = parse_query(self.query_string)
        return query

    @property
    def query_all(self) -> dict[str, list[str]]:
        """Query parameters, decoded; all values of each in the order they came."""
        query = self.query
        return {name: query.getlist(name) for name in query}

    @property
    def state(self) -> dict[str, Any]:
        """Room for what hooks find out and handlers need: ``req.state["user"]``."""
        return self.__dict__

    @property
    def headers(self) -> Headers:
        """The headers; names in any case."""
        return Headers(self._frame.get("headers") or {})

    @property
    def cookies(self) -> dict[str, str]:
        """Cookies by name, percent-decoded; the first one when a name came twice."""
        return parse_cookies(self.headers.get("cookie", ""))

    @property
    def body(self) -> bytes:
        """The body's bytes; b"" when there is none.

        With a route's stream=True: waits for the body, unless in an `async def` handler.
        """
        frame = self._frame
        return self._spool().data() if frame.get("more") else body_of_frame(frame)

    def _spool(self) -> Spool:
        """The body of a request that came in pieces."""
        spool: Spool = self._exchange().gathered()
        return spool

    def _exchange(self) -> Any:
        from .exchange import exchange_for

        return exchange_for(self._canceller, self._frame)

    def stream(self) -> BodyStream:
        """The body's pieces as they come in, bytes: `for piece in req.stream()`, or with
        `async for`.

        For routes that are declared with stream=True, and once: what is read so is not in
        `body` any more.  Raises nodey.Error("cancelled") when the client leaves.
        """
        from .bodies import BodyStream

        return BodyStream(self._exchange())

    @property
    def text(self) -> str:
        """The body as UTF-8 text; bytes that are none become U+FFFD."""
        frame = self._frame
        if "body" in frame and not frame.get("more"):
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
        text = self.text
        if not text or text.isspace():
            raise Error("invalid_argument", "the body is empty; it should be JSON")
        try:
            return decode(text)
        except (ValueError, RecursionError) as problem:
            raise Error("invalid_argument", f"the body is not JSON: {problem}") from None

    def form(self) -> Form:
        """The fields of a form, urlencoded or multipart/form-data.

        A dict of the first value of each, with getlist(); its `files` are those of the
        request.  Raises nodey.Error("invalid_argument") for a malformed one and
        nodey.HTTPError(415) for another type of body; clients get 400 and 415 when they
        are not caught.  Empty when there is no body.
        """
        try:
            return self._form
        except AttributeError:
            from .forms import form_in, parse_form

            kind = self.headers.get("content-type", "")
            if self._frame.get("more"):
                self._form: Form = form_in(kind, self._spool().searchable())
            else:
                self._form = parse_form(kind, self.body)
            return self._form

    @property
    def files(self) -> Files:
        """The files of a multipart form by field name; see form() and forms.Upload."""
        return self.form().files

    @property
    def host(self) -> str:
        """The host that the client asked for, with its port if it named one, or ""."""
        return self.headers.get("host", "")

    @property
    def scheme(self) -> str:
        """ "http" or "https", as the client sees it."""
        scheme: str = self._frame.get("scheme", "http")
        return scheme

    @property
    def url(self) -> str:
        """The whole URL; without a Host header the host is "localhost"."""
        query = f"?{self.query_string}" if "query" in self._frame else ""
        return f"{self.scheme}://{self.host or 'localhost'}{self.path}{query}"

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

    def info(self, status: int, headers: Mapping[str, str | list[str]]) -> None:
        """Sends an interim answer before the real one: 103 with `link` headers, for instance,
        has browsers load what the page will need.
        """
        self._exchange().info(status, headers)

    def cancelled(self) -> bool:
        """Whether nobody waits for the answer any more (client gone, time over).

        Cheap enough for a loop that does real work in every turn: a system call.
        """
        return self._canceller is not None and self._canceller.is_cancelled(self._frame)


def parse_query(query: str) -> Values:
    """"a=1&b=2&a=3" as {"a": "1", "b": "2"} that also knows "3"; names without "=" have ""."""
    unquote = str
    if "%" in query or "+" in query:
        from urllib.parse import unquote_plus

        unquote = unquote_plus  # type: ignore[assignment]
    values = Values()
    for pair in query.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            name = unquote(name)
            if name in values:
                values.add(name, unquote(value))
            else:
                values[name] = unquote(value)
    return values


def parse_cookies(header: str) -> dict[str, str]:
    """"a=1; b=2" as a dict; pairs without "=" are nothing."""
    cookies: dict[str, str] = {}
    for pair in header.split(";"):
        name, equals, value = pair.strip().partition("=")
        if equals and name not in cookies:
            cookies[name] = value.strip('"')
    if "%" in header:
        from urllib.parse import unquote

        cookies = {name: unquote(value) for name, value in cookies.items()}
    return cookies


def body_of_frame(frame: dict[str, Any]) -> bytes:
    """The bytes of a frame's body; b"" when there is none."""
    if "body" in frame:
        return encode_utf8(frame["body"])
    if "body64" in frame:
        return decode_base64(frame["body64"])
    if "json" in frame:
        return encode_utf8(encode(frame["json"], "the body"))
    return b""


def decode_base64(text: str) -> bytes:
    """Standard base64 with padding.  Raises ValueError for anything else."""
    from binascii import a2b_base64, b2a_base64

    if len(text) % 4 or not text.isascii():
        raise ValueError("base64 without padding")
    data = a2b_base64(text)
    # a2b_base64 skips what it does not know: then there are too few bytes.
    if len(data) != len(text) // 4 * 3 - (text[-2:].count("=") if text else 0):
        raise ValueError("not the base64 alphabet")
    # The same bytes have one form: no bits are left over in the last characters.
    last = data[len(data) - len(data) % 3 :]
    if last and b2a_base64(last, newline=False).decode() != text[-4:]:
        raise ValueError("bits are left over at its end")
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
            if not are_headers(headers):
                return "headers must be an object of strings and arrays of strings"
    params = get("params")
    if params is not None:
        try:
            "".join(params.values())
        except (AttributeError, TypeError):
            return "params must be an object of strings"
    if "more" in frame and type(frame["more"]) is not bool:
        return "more must be true or false"
    if "upgrade" in frame and type(frame["upgrade"]) is not str:
        return "upgrade must be a string"
    if "body" in frame or "body64" in frame or "json" in frame:
        return body_fault(frame)
    return None


def are_headers(headers: Any) -> bool:
    """Whether it is an object of strings and arrays of strings."""
    return isinstance(headers, dict) and all(
        isinstance(value, str)
        or (isinstance(value, list) and all(isinstance(item, str) for item in value))
        for value in headers.values()
    )


def body_fault(frame: dict[str, Any], kind: str = "request") -> str | None:
    """Why the body of a frame is none, or None."""
    if ("body" in frame) + ("body64" in frame) + ("json" in frame) > 1:
        return f"a {kind} has one of body, body64 and json"
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
