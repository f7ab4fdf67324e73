"""testing: a worker's handlers in a unit test, without a supervisor and a process.

    client = nodey.testing.Client("workers/fib.py")

    def test_fib() -> None:
        assert client.get("/fib?num=10").json() == {"fib": 55}

Requests take the way they take in a worker: through the router, the hooks, the rules for
return values and JSON.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import ModuleType
    from typing import Any

    from .compose import FileLike
    from .conversation import StreamResult, WebSocket

from . import startup
from .channel import channel
from .codec import decode
from .compose import body_of, cookie_header, problem_frame, request_frame, with_query
from .errors import NoAttribute, error_of
from .letters import DeadLetter as DeadLetter
from .rehearsal import Bus as Bus
from .request import Headers, Request, parse_cookies
from .standin import StandIn, copied, in_thread, registry_of
from .worker import worker

# Whoever imports this is a test, and wants to print and to end like one.
startup.cancel()
channel.give_back()
worker.registry.replaces = True

_NOTE = "nodey.testing raises what a handler raised; Client(..., raise_errors=False) gets a 500"
_OWN = os.path.dirname(os.path.abspath(__file__))


def request(
    method: str,
    target: str,
    *,
    json: Any = ...,
    data: Any = None,
    files: Mapping[str, FileLike] | None = None,
    headers: Mapping[str, str | list[str]] | None = None,
    params: dict[str, str] | None = None,
) -> Request:
    """A Request, to call a handler with as the function that it is.

    The parameters are those of Client.request(); params: those of the route's path.
    """
    return Request(request_frame(method, target, json, data, files, headers), params or {})


class Result:
    """The answer to a request.

    status: a number.  headers: names in any case; getlist() has each Set-Cookie.
    body: bytes.
    """

    def __init__(self, frame: dict[str, Any], path: str) -> None:
        if frame.get("type") == "error":
            frame = problem_frame(frame, path)
        self.status: int = frame.get("status", 200)
        self.body, kind = body_of(frame)
        fields = {**({"content-type": kind} if kind else {}), **(frame.get("headers") or {})}
        self.headers = Headers(fields)

    def __repr__(self) -> str:
        return f"<Result {self.status} {self.text[:80]!r}>"

    if not TYPE_CHECKING:  # Checkers know the attributes.

        def __getattr__(self, name: str) -> object:
            """Called for what is not there, other libraries' names for instance."""
            raise NoAttribute("the result", name, lambda: dir(self))

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status < 400

    @property
    def text(self) -> str:
        """The body as UTF-8 text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body's JSON value.  Raises ValueError when it is none."""
        return decode(self.body.decode())

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that the answer sets, percent-decoded; "" for those it deletes."""
        fields = self.headers.getlist("set-cookie")
        return parse_cookies("; ".join(field.partition(";")[0] for field in fields))


class Client:
    """Sends requests to handlers.

    target: a script or a folder, which is run afresh and apart from others, under a name
        that is not "__main__"; a module that declared handlers when it was imported; a Bus,
        for the same handlers as its own; None for everything that was declared so far.
    raise_errors: what a handler raises, other than nodey.Error, is raised by the request;
        False makes it the answer 500 that clients get.
    tokens: what nodey.ask() finds instead of other workers, also while the script is run:
        ``{"Price": lambda args: 3}``.  The worker's own tokens are found without that.

    `tokens` and `cookies` are attributes too; cookies are sent with each request and kept
    up to date by the answers.  As a context manager the client runs the hooks `on_start`
    and `on_stop`; otherwise nobody does.
    """

    def __init__(
        self,
        target: str | os.PathLike[str] | ModuleType | Bus | None = None,
        *,
        raise_errors: bool = True,
        tokens: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        self.raise_errors = raise_errors
        self.cookies: dict[str, str] = {}
        self._engine = StandIn(dict(tokens or {}))
        if isinstance(target, Bus):
            self._engine.bus, self._engine.registry = target, target.registry
        else:
            with self._engine.in_charge():
                self._engine.registry = registry_of(target)
        self._engine.registry.seal(self._engine)

    @property
    def tokens(self) -> dict[str, Callable[..., Any]]:
        """Fakes for what other workers answer, by token."""
        return self._engine.tokens

    @tokens.setter
    def tokens(self, tokens: Mapping[str, Callable[..., Any]]) -> None:
        self._engine.tokens = dict(tokens)

    # ---------------------------------------------------------------- requests

    def request(
        self,
        method: str,
        target: str,
        *,
        json: Any = ...,
        data: Any = None,
        files: Mapping[str, FileLike] | None = None,
        headers: Mapping[str, str | list[str]] | None = None,
        params: Mapping[str, Any] | str | None = None,
        query_string: Mapping[str, Any] | str | None = None,
    ) -> Result:
        """Sends a request and returns the answer.

        target: the path, with the query if there is one.
        json: a value for a JSON body.
        data: a mapping for a form (a value may be a list), or a str or bytes as the body.
        files: a multipart form with these, by field: bytes, or (name, bytes), or (name,
            bytes, content type); the fields of `data` are in it too.
        headers: names in any case.
        params: further query parameters, as a mapping (a value may be a list, None leaves it
            out) or as text; `query_string` is another word for it.
        Raises what the handler raised; see raise_errors.
        """
        __tracebackhide__ = True
        target = with_query(with_query(target, params), query_string)
        frame = request_frame(method, target, json, data, files, headers)
        if self.cookies:
            frame["headers"].setdefault("cookie", cookie_header(self.cookies))
        result = Result(self._served(frame), frame["path"])
        self.cookies.update(result.cookies)
        self.cookies = {name: value for name, value in self.cookies.items() if value}
        return result

    def get(self, target: str, **options: Any) -> Result:
        """GET; see request()."""
        __tracebackhide__ = True
        return self.request("GET", target, **options)

    def post(self, target: str, **options: Any) -> Result:
        """POST; see request()."""
        __tracebackhide__ = True
        return self.request("POST", target, **options)

    def put(self, target: str, **options: Any) -> Result:
        """PUT; see request()."""
        __tracebackhide__ = True
        return self.request("PUT", target, **options)

    def patch(self, target: str, **options: Any) -> Result:
        """PATCH; see request()."""
        __tracebackhide__ = True
        return self.request("PATCH", target, **options)

    def delete(self, target: str, **options: Any) -> Result:
        """DELETE; see request()."""
        __tracebackhide__ = True
        return self.request("DELETE", target, **options)

    def head(self, target: str, **options: Any) -> Result:
        """HEAD; the answer has the body that would not be sent.  See request()."""
        __tracebackhide__ = True
        return self.request("HEAD", target, **options)

    # ------------------------------------------------------- streams, WebSockets

    def stream(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str | list[str]] | None = None,
        data: Any = None,
    ) -> StreamResult:
        """Sends a request and gives its answer piece by piece, as it is made.

        To be used in a `with`: leaving it is the client's leaving, also of a stream that has
        no end.  The parameters are those of request().
        """
        from .conversation import StreamResult

        frame = request_frame(method, target, ..., data, None, headers)
        return StreamResult(self._engine, frame, self._raise_what_was_raised)

    def websocket(
        self,
        target: str,
        *,
        protocols: Iterable[str] = (),
        headers: Mapping[str, str | list[str]] | None = None,
    ) -> WebSocket:
        """Opens a WebSocket; to be used in a `with`, which closes it.

        protocols: the subprotocols that the client offers.
        Raises nodey.HTTPError when the handler refuses the client.
        """
        from .conversation import WebSocket

        fields = dict(headers or {})
        offered = ", ".join(protocols)
        if offered:
            fields["sec-websocket-protocol"] = offered
        frame = request_frame("GET", target, ..., None, None, fields)
        frame["upgrade"] = "websocket"
        return WebSocket(self._engine, frame, self._raise_what_was_raised)

    def ask(self, token: str, args: Any = None) -> Any:
        """What the worker answers to an ask.

        Raises nodey.Error as the asker would see it, and what the handler raised.
        """
        __tracebackhide__ = True
        frame = {"type": "ask", "id": 1, "token": token, "args": copied(args)}
        answer = self._served(frame)
        if answer["type"] == "error":
            raise error_of(answer)
        return answer.get("value")

    def _served(self, frame: dict[str, Any]) -> dict[str, Any]:
        """The last frame that a worker would send for this one."""
        __tracebackhide__ = True
        engine = self._engine
        engine.raised = None
        with engine.in_charge():
            answer = engine.answer(frame)
        self._raise_what_was_raised()
        return answer

    def _raise_what_was_raised(self) -> None:
        __tracebackhide__ = True
        engine = self._engine
        raised, engine.raised = engine.raised, None
        if raised is not None and self.raise_errors:
            trace = raised.__traceback__
            while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OWN):
                trace = trace.tb_next
            if hasattr(raised, "add_note") and _NOTE not in getattr(raised, "__notes__", ()):
                raised.add_note(_NOTE)  # From Python 3.11 on.
            raise raised.with_traceback(trace)

    # ----------------------------------------------------------- start and stop

    def __enter__(self) -> Client:
        registry, engine = self._engine.registry, self._engine
        if registry.hooks is not None:
            with engine.in_charge():
                if registry.has_async:
                    engine.run(registry.hooks.start_async(in_thread))
                else:
                    registry.hooks.start()
        return self

    def __exit__(self, *exc: object) -> None:
        registry, engine = self._engine.registry, self._engine
        try:
            if registry.hooks is not None:
                with engine.in_charge():
                    if registry.has_async:
                        engine.run(registry.hooks.stop_async(in_thread))
                    else:
                        registry.hooks.stop()
        finally:
            self.close()

    def close(self) -> None:
        """Ends the event loop of `async def` handlers; leaving the context does it too."""
        self._engine.close()

    def __del__(self) -> None:
        engine = getattr(self, "_engine", None)
        if engine is not None:
            engine.close()
