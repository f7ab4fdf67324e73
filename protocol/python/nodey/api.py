"""api: the functions that a script uses."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, NoReturn, TypeVar

    Function = TypeVar("Function", bound=Callable[..., Any])

from .registry import Registry
from .worker import worker


def route(
    path: str,
    methods: Iterable[str] = ("GET",),
    *,
    description: str = "",
    stream: bool = False,
    **others: NoReturn,
) -> Callable[[Function], Function]:
    """Declares a handler for a path and several methods.

    path: begins with "/"; a segment is literal, ":name" (one segment) or, last, "*"
        (the rest, which may be empty).
    methods: names in any case; an empty list means every method.
    description: one sentence for lists of routes.
    stream: the handler is called before the request's body is in, and reads it by
        ``req.stream()``, piece by piece.

    The handler is given a Request (or nothing, when it takes no argument) and returns
    str (text), bytes, a JSON value, ``(status, value)``, ``(status, value, headers)``, a
    Response, or a generator of str or bytes, whose pieces are sent as they come.  ``def``
    handlers are run one at a time; with one ``async def`` handler the worker runs asyncio,
    and its ``def`` handlers run in threads.  Raises TypeError for what is no handler, ValueError for a malformed path and
    for one that is taken.
    """
    if type(path) is not str:
        from .advice import check_path

        check_path(path)
    if others:
        from .habits import refuse_options

        refuse_options(f"@nodey.route({path!r})", others, ["methods", "description", "stream"])
    if isinstance(methods, str):
        methods = (methods,)
    names = [method.upper() for method in methods] or [""]

    def declare(function: Function) -> Function:
        for name in names:
            worker.declare(function, _adder(name, path, function, description, stream))
        return function

    return declare


def _route_of(
    verb: str, path: str, description: str, stream: bool, others: Mapping[str, object]
) -> Callable[[Function], Function]:
    """The route of one method.  others: options that there are not."""
    if others:
        from .habits import refuse_options

        refuse_options(f"@nodey.{verb}({path!r})", others, ["description", "stream"])
    return route(path, (verb.upper(),), description=description, stream=stream)


def _adder(
    method: str, path: str, function: Callable[..., Any], description: str, stream: bool
) -> Callable[[Registry], None]:
    return lambda to: to.add_route(method, path, function, description, stream)


def get(
    path: str, *, description: str = "", stream: bool = False, **others: NoReturn
) -> Callable[[Function], Function]:
    """Declares the handler of GET, and of HEAD when nothing else is; see route()."""
    return _route_of("get", path, description, stream, others)


def post(
    path: str, *, description: str = "", stream: bool = False, **others: NoReturn
) -> Callable[[Function], Function]:
    """Declares the handler of POST; see route()."""
    return _route_of("post", path, description, stream, others)


def put(
    path: str, *, description: str = "", stream: bool = False, **others: NoReturn
) -> Callable[[Function], Function]:
    """Declares the handler of PUT; see route()."""
    return _route_of("put", path, description, stream, others)


def patch(
    path: str, *, description: str = "", stream: bool = False, **others: NoReturn
) -> Callable[[Function], Function]:
    """Declares the handler of PATCH; see route()."""
    return _route_of("patch", path, description, stream, others)


def delete(
    path: str, *, description: str = "", stream: bool = False, **others: NoReturn
) -> Callable[[Function], Function]:
    """Declares the handler of DELETE; see route()."""
    return _route_of("delete", path, description, stream, others)


def head(
    path: str, *, description: str = "", stream: bool = False, **others: NoReturn
) -> Callable[[Function], Function]:
    """Declares the handler of HEAD; see route()."""
    return _route_of("head", path, description, stream, others)


def options(
    path: str, *, description: str = "", stream: bool = False, **others: NoReturn
) -> Callable[[Function], Function]:
    """Declares the handler of OPTIONS; see route()."""
    return _route_of("options", path, description, stream, others)


def ws(
    path: str, *, protocols: Iterable[str] = (), description: str = ""
) -> Callable[[Function], Function]:
    """Declares the handler of a WebSocket.

    path: as in route().
    protocols: the subprotocols that it speaks; the client's first one of them is agreed on.

    The handler is called once for each client, with a Socket, or with (socket, req).  An
    ``async def`` is given an AsyncSocket and many clients share a process; a ``def`` has a
    thread for each client (32 at a time, or ``nodey.start(threads=...)``).  The client is
    accepted by the first receive() or send(); to refuse it, raise nodey.HTTPError before, or
    return an answer.  When the handler returns, the socket is closed.
    """
    if type(path) is not str:
        from .advice import check_path

        check_path(path)

    def declare(function: Function) -> Function:
        worker.declare(
            function, lambda to: to.add_socket(path, function, protocols, description)
        )
        return function

    return declare


def token(name: str) -> Callable[[Function], Function]:
    """Declares what this worker answers when others ask() for the name.

    name: 1 to 128 bytes.  The function is given the args of the ask (nothing, when it
    takes no argument) and returns a JSON value; it may be ``async def``.
    """
    if callable(name):
        raise TypeError('a token needs a name: write @nodey.token("Name") above the function')

    def declare(function: Function) -> Function:
        worker.declare(function, lambda to: to.add_token(name, function))
        return function

    return declare


def set(tokens: Mapping[str, Callable[..., Any]]) -> None:
    """Declares several tokens at once: ``nodey.set({"Fib": fib})``; see token()."""
    for name, function in tokens.items():
        token(name)(function)


def _hook(kind: str, function: Function) -> Function:
    worker.declare(function, lambda to: to.add_hook(kind, function))
    return function


def before(function: Function) -> Function:
    """Declares what runs before the handler of each HTTP request: ``@nodey.before``.

    It is given the Request.  Returning None goes on to the next hook and then to the
    handler; anything else is the answer, by the rules of handlers, and neither is run.
    What it raises counts as raised by the handler.  Hooks run in the order in which they
    are declared, for requests that have a handler here.
    """
    return _hook("before", function)


def after(function: Function) -> Function:
    """Declares what runs after the handler of each HTTP request: ``@nodey.after``.

    It is given the Request and the Response, which it may change; what it returns, unless
    None, takes the Response's place.  Not run when the handler raised.  The hook declared
    last runs first, so that pairs of `before` and `after` enclose each other.
    """
    return _hook("after", function)


def on_start(function: Function) -> Function:
    """Declares what runs when the script has ended, before the worker takes work.

    Takes no argument.  Hooks run in the order in which they are declared; a failure keeps
    the worker from starting and is reported as the cause.
    """
    return _hook("on_start", function)


def on_stop(function: Function) -> Function:
    """Declares what runs when the last request has been answered, before the process ends.

    Takes no argument.  The hook declared last runs first; a failure is logged, and the
    others run all the same.
    """
    return _hook("on_stop", function)


def start(threads: int | None = None) -> None:
    """Serves until the supervisor has no more work, then returns.

    Needed only to run code afterwards or to have threads: a script that ends without
    it is served at its end.  To be called in the main thread; a second call does nothing.

    threads: 0 runs ``def`` handlers one at a time in the main thread, which is quickest
        for those that compute; 1 to 1000 runs that many at once, for those that wait.
        None: what the configuration says (`threads` of the worker), or 0; 32 when there is a
        ``def`` handler of a WebSocket.
    Raises ValueError for threads beside ``async def`` handlers.
    """
    worker.start(threads)


def serve(
    app: Any, threads: int | None = None, root_path: str = "", lifespan: str = "auto"
) -> None:
    """Serves a WSGI or ASGI app, such as one of Flask, Django, FastAPI or Starlette.

    It is given every request that no handler of this script takes.  Returns when the
    supervisor has no more work, as start() does.

    app: the app, or its name: "shop.wsgi:application", "shop:create_app()".
    threads: for WSGI, how many requests it works on at a time, each in a thread; 0 is one
        after the other.  None: what the configuration says (`threads` of the worker), or 0,
        whatever the app's own server would do.  ASGI apps have an event loop instead.
    root_path: the part of the path that the app does not know of, such as "/shop".
    lifespan: of an ASGI app: "auto" goes on without for one that has none, "on" does not,
        "off" does not ask.
    Raises nodey.Error when there is no such app, or it is none.
    """
    from .apps import serve as serve_app

    serve_app(app, threads, root_path, lifespan)


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
    _check_token(token)
    asyncio_events = sys.modules.get("asyncio.events")
    if asyncio_events is not None and asyncio_events._get_running_loop() is not None:
        raise RuntimeError("ask() would block the event loop: use await nodey.ask_async(...)")
    return worker.any_engine().ask(token, args, timeout)


async def ask_async(token: str, args: Any = None, *, timeout: float | None = None) -> Any:
    """ask() for ``async def`` handlers; see there.  Cancelling it cancels the ask."""
    _check_token(token)
    engine = worker.any_engine()
    native = getattr(engine, "ask_async", None)
    if native is not None:
        return await native(token, args, timeout)
    import asyncio

    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, engine.ask, token, args, timeout)


def _check_token(token: object) -> None:
    if type(token) is not str or not token:
        raise TypeError(f'ask() needs the name of a token first, as in ask("Fib"), not {token!r}')
