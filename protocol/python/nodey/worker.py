"""worker: what this process serves, and the functions that say so."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Protocol, TypeVar

    Function = TypeVar("Function", bound=Callable[..., Any])

    class Engine(Protocol):
        """One way of serving: sync.py, threads.py, aio.py."""

        def serve(self) -> None: ...
        def ask(self, token: str, args: Any, timeout: float | None) -> Any: ...
        def serving_id(self) -> Any: ...
        def is_cancelled(self, frame: dict[str, Any]) -> bool: ...


from . import startup
from .channel import Channel, channel
from .codec import frame_line
from .errors import Error
from .handler import Handler
from .request import Request, request_fault
from .router import Router
from .version import PROTOCOL, VERSION


class Worker:
    """All handlers of this process, and the engine that runs them."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.engine: Engine | None = None
        self.started = False
        self.router = Router()
        self.routes: list[dict[str, str]] = []
        self.tokens: dict[str, Handler] = {}
        self.has_async = False

    # ------------------------------------------------------------- declaration

    def add_route(
        self, method: str, path: str, function: Callable[..., Any], description: str
    ) -> None:
        handler = Handler(function, f"{method or 'ANY'} {path}")
        self.router.add(method, path, handler)
        route = {"path": path}
        if method:
            route["method"] = method.lower()
        if description:
            route["description"] = description
        self.routes.append(route)
        self._added(handler)

    def add_token(self, name: str, function: Callable[..., Any]) -> None:
        if not isinstance(name, str) or not 0 < len(name.encode()) <= 128:
            raise ValueError(f"a token is a name of 1 to 128 bytes, not {name!r}")
        handler = Handler(function, f"token {name}")
        self.tokens[name] = handler
        self._added(handler)

    def _added(self, handler: Handler) -> None:
        if self.started:
            raise RuntimeError("nodey: declare handlers before nodey.start()")
        self.has_async = self.has_async or handler.is_async
        startup.serve_at_end(self.start)

    # ----------------------------------------------------------------- serving

    def start(self, threads: int = 0) -> None:
        """See start() below."""
        if self.started:
            return
        if threads < 0 or threads > 1000:
            raise ValueError(f"threads must be 0 to 1000, not {threads}")
        if threads and self.has_async:
            raise ValueError("threads are for `def` handlers; this worker has `async def` ones")
        self.started = True
        startup.finished()
        offered = os.environ.get("NODEY_PROTOCOL", str(PROTOCOL)).split(",")
        if str(PROTOCOL) not in [major.strip() for major in offered]:
            raise Error(
                "failed_precondition",
                f"the SDK speaks protocol {PROTOCOL}, the supervisor {','.join(offered)}",
            )
        self._make_engine(threads).serve()

    def _make_engine(self, threads: int) -> Engine:
        """The engine for the handlers; frames that came during start-up are kept."""
        from .sync import SyncEngine

        early = self.engine
        if self.has_async:
            from .aio import AsyncEngine

            self.engine = AsyncEngine(self)
        elif threads:
            from .threads import ThreadEngine

            self.engine = ThreadEngine(self, threads)
        elif early is None:
            self.engine = SyncEngine(self)
        assert self.engine is not None
        return self.engine

    def any_engine(self) -> Engine:
        """The engine; before start(), when only ask() is possible, a synchronous one."""
        if self.engine is None:
            from .sync import SyncEngine

            self.engine = SyncEngine(self)
        return self.engine

    def ready_line(self, concurrency: int, prefetch: int) -> str:
        ready: dict[str, Any] = {
            "type": "ready",
            "protocol": PROTOCOL,
            "sdk": f"nodey-python/{VERSION}",
            "pid": os.getpid(),
            "concurrency": concurrency,
            "prefetch": prefetch,
            "features": ["cancel", "ask", "nested", "ping", "drain"],
            "routes": self.routes,
            "tokens": list(self.tokens),
        }
        if os.environ.get("NODEY_DEV") == "1":
            ready["files"] = startup.loaded_files()
        return frame_line(ready)

    # ---------------------------------------------------------------- dispatch

    def find(self, frame: dict[str, Any]) -> tuple[Handler, Any]:
        """The handler of a request or ask, and its argument.  Raises Error."""
        if "type" in frame:
            return self.token_handler(frame["token"]), frame.get("args")
        fault = request_fault(frame)
        if fault is not None:
            raise Error("invalid_argument", fault)
        token = frame.get("token")
        if token is not None:
            return self._find_token(frame, token)
        handler, params = self.router.find(frame["method"], frame["path"])
        given = frame.get("params")
        if given:
            params = {**given, **params}
        return handler, Request(frame, params, self.engine)

    def _find_token(self, frame: dict[str, Any], token: Any) -> tuple[Handler, Any]:
        """A request for a token: its arguments are the JSON body, else the query."""
        if not isinstance(token, str):
            raise Error("invalid_argument", "token must be a string")
        request = Request(frame, frame.get("params") or {}, self.engine)
        has_body = "json" in frame or bool(request.body)
        return self.token_handler(token), request.json() if has_body else request.query

    def token_handler(self, token: str) -> Handler:
        """Raises Error("unimplemented") for a token that is not here."""
        handler = self.tokens.get(token)
        if handler is None:
            raise Error("unimplemented", f"this worker does not answer {token!r}")
        return handler


worker = Worker(channel)


# ---------------------------------------------------------------------- public


def route(
    path: str, methods: Iterable[str] = ("GET",), *, description: str = ""
) -> Callable[[Function], Function]:
    """Declares a handler for a path and several methods.

    path: begins with "/"; a segment is literal, ":name" (one segment) or, last, "*"
        (the rest, which may be empty).
    methods: names in any case; an empty list means every method.
    description: one sentence for lists of routes.

    The handler is given a Request (or nothing, when it takes no argument) and returns
    str (text), bytes, a JSON value, ``(status, value)``, ``(status, value, headers)`` or
    a Response.  ``def`` handlers are run one at a time; with one ``async def`` handler
    the worker runs asyncio, and its ``def`` handlers run in threads.
    Raises ValueError for a malformed path and for one that is taken.
    """
    if isinstance(methods, str):
        methods = (methods,)
    names = [method.upper() for method in methods] or [""]

    def declare(function: Function) -> Function:
        for name in names:
            worker.add_route(name, path, function, description)
        return function

    return declare


def get(path: str, *, description: str = "") -> Callable[[Function], Function]:
    """Declares the handler of GET, and of HEAD when nothing else is; see route()."""
    return route(path, ("GET",), description=description)


def post(path: str, *, description: str = "") -> Callable[[Function], Function]:
    """Declares the handler of POST; see route()."""
    return route(path, ("POST",), description=description)


def put(path: str, *, description: str = "") -> Callable[[Function], Function]:
    """Declares the handler of PUT; see route()."""
    return route(path, ("PUT",), description=description)


def patch(path: str, *, description: str = "") -> Callable[[Function], Function]:
    """Declares the handler of PATCH; see route()."""
    return route(path, ("PATCH",), description=description)


def delete(path: str, *, description: str = "") -> Callable[[Function], Function]:
    """Declares the handler of DELETE; see route()."""
    return route(path, ("DELETE",), description=description)


def head(path: str, *, description: str = "") -> Callable[[Function], Function]:
    """Declares the handler of HEAD; see route()."""
    return route(path, ("HEAD",), description=description)


def options(path: str, *, description: str = "") -> Callable[[Function], Function]:
    """Declares the handler of OPTIONS; see route()."""
    return route(path, ("OPTIONS",), description=description)


def token(name: str) -> Callable[[Function], Function]:
    """Declares what this worker answers when others ask() for the name.

    name: 1 to 128 bytes.  The function is given the args of the ask (nothing, when it
    takes no argument) and returns a JSON value; it may be ``async def``.
    """

    def declare(function: Function) -> Function:
        worker.add_token(name, function)
        return function

    return declare


def set(tokens: Mapping[str, Callable[..., Any]]) -> None:
    """Declares several tokens at once: ``nodey.set({"Fib": fib})``; see token()."""
    for name, function in tokens.items():
        worker.add_token(name, function)


def start(threads: int = 0) -> None:
    """Serves until the supervisor has no more work, then returns.

    Needed only to run code afterwards or to have threads: a script that ends without
    it is served at its end.  To be called in the main thread; a second call does nothing.

    threads: 0 runs ``def`` handlers one at a time in the main thread, which is quickest
        for those that compute; 1 to 1000 runs that many at once, for those that wait.
    Raises ValueError for threads beside ``async def`` handlers.
    """
    worker.start(threads)


def ask(token: str, args: Any = None, *, timeout: float | None = None) -> Any:
    """Asks whoever answers the token, in any worker and language, and returns the value.

    args: any JSON value.
    timeout: seconds; None leaves it to the supervisor and to the time that the request
        being served has left.
    Raises nodey.Error: "unimplemented" when nobody answers the token, "unavailable" when
    nobody is ready, "deadline_exceeded" when time is over, otherwise the answerer's
    own; TypeError or ValueError when args are not JSON; RuntimeError in a running event
    loop.  While a synchronous worker waits it can answer asks that depend on it.
    """
    asyncio_events = sys.modules.get("asyncio.events")
    if asyncio_events is not None and asyncio_events._get_running_loop() is not None:
        raise RuntimeError("ask() would block the event loop: use await nodey.ask_async(...)")
    return worker.any_engine().ask(token, args, timeout)


async def ask_async(token: str, args: Any = None, *, timeout: float | None = None) -> Any:
    """ask() for ``async def`` handlers; see there.  Cancelling it cancels the ask."""
    engine = worker.any_engine()
    native = getattr(engine, "ask_async", None)
    if native is not None:
        return await native(token, args, timeout)
    import asyncio

    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, engine.ask, token, args, timeout)
