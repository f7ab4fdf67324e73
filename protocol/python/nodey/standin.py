"""standin: what answers nodey.ask() while testing.Client serves, and loads what is tested."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    import concurrent.futures
    import threading
    from collections.abc import Awaitable, Callable, Iterator
    from typing import Any

    from .rehearsal import Bus
    from .sync import Waiter

from . import errors
from .codec import decode, encode
from .compose import joined
from .errors import Error
from .frames import CHUNK, WINDOW
from .handler import Handler
from .registry import Registry
from .run import program_in
from .worker import worker


class Desk:
    """The engine of one exchange, and the supervisor who reads what it sends."""

    def __init__(self, live: bool = False) -> None:
        """live: somebody takes the pieces one by one, and pays for them in credit."""
        import threading

        self.channel: Any = self
        self.window, self.chunk, self.max_line = WINDOW, CHUNK, 1 << 30
        self.roots: list[str] = []
        self.draining = self.closed = False
        self.supervised = live
        self.loop: asyncio.AbstractEventLoop | None = None
        self.exchange: Any = None
        self.frames: list[dict[str, Any]] = []
        self.news = threading.Condition()
        self.over = threading.Event()

    def write(self, line: str) -> None:
        """A line, as a worker's channel is given it."""
        with self.news:
            self.frames.append(decode(line))
            self.news.notify_all()

    send = write

    def write_parts(self, parts: list[bytes]) -> None:
        self.write(b"".join(parts).decode())

    def look(self) -> None:
        """Nothing has come that was not given to the exchange at once."""

    def pump(self, waiter: Waiter, done: Callable[[], bool]) -> None:
        while not done():
            waiter.bell.acquire()


class StandIn:
    """The engine of a process that does not serve."""

    def __init__(self, tokens: dict[str, Callable[..., Any]]) -> None:
        """tokens: fakes for what other workers answer; may be changed at any time."""
        self.tokens = tokens
        self.registry = Registry()
        self.bus: Bus | None = None  # Takes what is published; None: the latest one there is.
        self.raised: BaseException | None = None
        self.draining = False
        self._serving: list[dict[str, Any]] = []
        self._desks: dict[int, Desk] = {}
        self.working: concurrent.futures.Future[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @contextmanager
    def in_charge(self) -> Iterator[None]:
        """Has nodey.ask() come here, and failures, for a while."""
        engine, observer = worker.engine, errors.observer
        worker.engine, errors.observer = self, self._observe
        try:
            yield
        finally:
            worker.engine, errors.observer = engine, observer

    def _observe(self, exc: BaseException) -> None:
        self.raised = self.raised or exc

    def answer(self, frame: dict[str, Any], desk: Desk | None = None) -> dict[str, Any]:
        """What a request or an ask is answered with; of pieces all of them together.

        desk: takes the pieces one by one, instead.
        """
        self._desks[id(frame)] = desk = desk or Desk()
        try:
            line = self.line_for(frame)
        finally:
            del self._desks[id(frame)]
        if line:
            desk.write(line)
        desk.over.set()
        return joined(desk.frames)

    def exchange(self, frame: dict[str, Any]) -> Any:
        """The exchange of a request that is being served."""
        import asyncio

        from .exchange import AsyncExchange, Exchange

        desk = self._desks[id(frame)]
        if desk.exchange is None:
            desk.loop = asyncio._get_running_loop()
            desk.exchange = (
                Exchange(desk, frame) if desk.loop is None else AsyncExchange(desk, frame)
            )
        elif desk.loop is not None and asyncio._get_running_loop() is None:
            from .exchange import BridgedExchange

            return BridgedExchange(desk.exchange, desk.loop)
        return desk.exchange

    def line_for(self, frame: dict[str, Any]) -> str:
        """Serves a request or an ask, as worker's engines do."""
        self._serving.append(frame)
        try:
            handler, argument = self.registry.find(frame)
            if handler.needs_loop:
                line: str = self.run(handler.serve_async(frame, argument, in_thread))
                return line
            return handler.serve(frame, argument)
        except Exception as exc:
            return errors.failure_line(exc, frame, "the router")
        finally:
            self._serving.pop()

    def run(self, awaitable: Awaitable[Any]) -> Any:
        """Runs something in the one event loop, which has a thread of its own, so that
        `async def` tests can use a client too."""
        self.working = self.begin(awaitable)
        return self.working.result()

    def begin(self, awaitable: Awaitable[Any]) -> concurrent.futures.Future[Any]:
        """run() that does not wait for the end."""
        import asyncio
        import threading

        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
            self._thread.start()

        async def run() -> Any:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(run(), self._loop)

    def close(self) -> None:
        """Ends the event loop."""
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            if not loop.is_running():  # As it may be when the interpreter ends.
                loop.close()

    # ------------------------------------------------------- as worker.Engine

    def serve(self) -> None:
        """Nothing: whoever tests asks for every single answer."""

    def serving_id(self) -> Any:
        return self._serving[-1].get("id") if self._serving else None

    def is_cancelled(self, frame: dict[str, Any]) -> bool:
        return False

    def ask(self, token: str, args: Any, timeout: float | None) -> Any:
        handler = self._answerer(token)
        value = handler.call(copied(args))
        return copied(self.run(value) if handler.is_async else value, handler)

    async def ask_async(self, token: str, args: Any, timeout: float | None) -> Any:
        handler = self._answerer(token)
        if handler.is_async:
            return copied(await handler.call(copied(args)), handler)
        return copied(await in_thread(lambda: handler.call(copied(args))), handler)

    def tell(self, kind: str, serving: Any, members: str) -> dict[str, Any]:
        from .rehearsal import latest_bus

        bus = self.bus or latest_bus()
        if bus is None:
            raise Error(
                "unavailable",
                "nobody takes what is published; in a test, bus = nodey.testing.Bus() before does",
            )
        return bus.tell(kind, serving, members)

    async def tell_async(self, kind: str, serving: Any, members: str) -> dict[str, Any]:
        return self.tell(kind, serving, members)

    def _answerer(self, token: str) -> Handler:
        if token in self.tokens:
            return Handler(self.tokens[token], f"token {token}")
        known = self.registry.tokens.get(token)
        if known is not None:
            return known
        from .advice import did_you_mean

        near = did_you_mean(token, [*self.tokens, *self.registry.tokens])
        raise Error(
            "unimplemented",
            f"nobody answers {token!r}; in a test, client.tokens[{token!r}] = lambda args: ..."
            f" does{near}",
        )


def copied(value: Any, what: object = "the args") -> Any:
    """A value as it arrives elsewhere: JSON, and nobody else's."""
    return decode(encode(value, what))


async def in_thread(function: Callable[[], Any]) -> Any:
    """Runs what may block beside the event loop."""
    import asyncio
    import contextvars

    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(None, context.run, function)


# ---------------------------------------------------------------------- loading

_loaded: set[str] = set()


def registry_of(target: str | os.PathLike[str] | ModuleType | None) -> Registry:
    """What a script, a folder or a module declares; None: all that was declared so far."""
    if target is None:
        return worker.registry
    if isinstance(target, ModuleType):
        return _declared_by(target)
    return _run_script(os.fspath(target))


def _declared_by(module: ModuleType) -> Registry:
    """What a module, with the modules that it uses, has declared when it was imported."""
    names, queue = {module.__name__}, [module]
    declaring = {name for name, _add in worker.declarations}
    while queue:
        for value in list(vars(queue.pop()).values()):
            name = value.__name__ if isinstance(value, ModuleType) else value_module(value)
            if name in declaring and name not in names and name in sys.modules:
                names.add(name)
                queue.append(sys.modules[name])
    registry = Registry()
    registry.replaces = True
    for name, add in worker.declarations:
        if name in names:
            add(registry)
    if registry.empty and registry.hooks is None:
        raise ValueError(f"the module {module.__name__} declares no handler")
    return registry


def value_module(value: object) -> str:
    """The module that a function or class is from, or ""."""
    name = getattr(value, "__module__", "")
    return name if isinstance(name, str) else ""


def _run_script(path: str) -> Registry:
    """Runs a script apart from all others, up to where it would be served."""
    file = os.path.abspath(program_in(path))
    folder = os.path.dirname(file)
    _forget_helpers(folder)
    name = "nodey_tested_" + os.path.splitext(os.path.basename(file))[0]
    module = ModuleType(name)
    module.__file__ = file
    sys.modules[name] = module
    if folder not in sys.path:
        sys.path.insert(0, folder)
    with open(file, "rb") as opened:
        code = compile(opened.read(), file, "exec", dont_inherit=True)
    saved, before = (worker.registry, worker.declarations), set(sys.modules)
    worker.registry, worker.declarations, worker.loading = Registry(), [], True
    try:
        exec(code, module.__dict__)
        return worker.registry
    except SystemExit as exc:
        raise RuntimeError(f"{path} has left by sys.exit({exc.code!r})") from exc
    finally:
        worker.registry, worker.declarations = saved
        worker.loading = False
        _loaded.update(set(sys.modules) - before)


def _forget_helpers(folder: str) -> None:
    """Modules beside the script declare what they do once, when they are imported."""
    for name in list(_loaded):
        file = getattr(sys.modules.get(name), "__file__", None)
        if isinstance(file, str) and os.path.abspath(file).startswith(folder + os.sep):
            del sys.modules[name]
            _loaded.discard(name)
