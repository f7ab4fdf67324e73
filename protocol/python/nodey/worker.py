"""worker: this process as a worker: what it declares, and the engine that serves it."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    class Engine(Protocol):
        """One way of serving: sync.py, threads.py, aio.py, and testing.py's own."""

        def serve(self) -> None: ...
        def ask(self, token: str, args: Any, timeout: float | None) -> Any: ...
        def tell(self, kind: str, serving: Any, members: str) -> dict[str, Any]: ...
        def serving_id(self) -> Any: ...
        def is_cancelled(self, frame: dict[str, Any]) -> bool: ...
        def exchange(self, frame: dict[str, Any]) -> Any: ...


from . import sources, startup
from .channel import Channel, channel
from .codec import frame_line
from .context import is_interactive
from .errors import Error
from .registry import Registry
from .version import PROTOCOL, VERSION


_SOCKET_THREADS = 32
_FEATURES = ("stream", "cancel", "ask", "nested", "ping", "drain", "sendfile")


class Worker:
    """The one worker that a process is."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.engine: Engine | None = None
        self.started = False
        self._watch: sources.Watch | None = None
        self.loading = False  # nodey.testing runs a script to see what it declares.
        # By module, for tests of one of several.
        self.declarations: list[tuple[str, Callable[[Registry], None]]] = []
        self.registry = Registry()
        self.registry.replaces = is_interactive()

    # ------------------------------------------------------------- declaration

    def declare(self, function: Any, add: Callable[[Registry], None]) -> None:
        """Adds a handler or a hook; the script will then be served at its end."""
        if self.started:
            raise RuntimeError("nodey: declare handlers and hooks before nodey.start()")
        add(self.registry)
        self.declarations.append((getattr(function, "__module__", None) or "", add))
        if not self.loading:
            startup.serve_at_end(self.start)

    # ----------------------------------------------------------------- serving

    def start(self, threads: int | None = None) -> None:
        """See api.start()."""
        if self.started or self.loading:
            return
        if is_interactive() and not self.channel.supervised:
            raise RuntimeError(
                "nodey.start() serves standard input, which is this prompt: call the handlers "
                "as functions, or use nodey.testing.Client()"
            )
        if threads is None:
            threads = self._usual_threads()
        if not isinstance(threads, int) or threads < 0 or threads > 1000:
            raise ValueError(f"threads must be 0 to 1000, not {threads!r}")
        if threads and self.registry.has_async:
            raise ValueError("threads are for `def` handlers; this worker has `async def` ones")
        self.started = True
        startup.finished()
        offered = os.environ.get("NODEY_PROTOCOL", str(PROTOCOL)).split(",")
        if str(PROTOCOL) not in [major.strip() for major in offered]:
            raise Error(
                "failed_precondition",
                f"the package in {os.path.dirname(__file__)} speaks protocol {PROTOCOL}, the "
                f"supervisor {','.join(offered)}: remove it, for nodey carries one that fits, "
                "or install the one of this version of nodey",
            )
        self.channel.take()
        if not self.channel.supervised:
            from . import hand

            hand.prepare(self)
        from . import dev

        engine = self._make_engine(threads)
        self.registry.seal(engine)
        if dev.is_wanted():
            dev.warn_of_none(self.registry.router.handlers())
            if self.registry.has_async:
                dev.tell_of_forgotten_awaits()
        engine.serve()

    def _usual_threads(self) -> int:
        """How many threads there are when the script does not say."""
        if self.registry.has_async:
            return 0
        given = os.environ.get("NODEY_THREADS", "")
        if given:
            return int(given) if given.isdigit() else 0
        # One client of a WebSocket would keep a worker without threads to itself.
        sockets = _SOCKET_THREADS if self.registry.has_sockets else 0
        events = self.registry.events
        return max(sockets, events.threads if events is not None else 0)

    def _make_engine(self, threads: int) -> Engine:
        """The engine for the handlers; frames that came during start-up are kept."""
        from .sync import SyncEngine

        early = self.engine
        if self.registry.has_async:
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

    def announce(self, concurrency: int, prefetch: int) -> None:
        """Says that the worker is ready."""
        if not self.channel.supervised:
            from . import hand

            hand.greet()
            return
        if "logging" in sys.modules:
            from .bridge import install

            install()
        if not sources.are_wanted():
            self.channel.write(self._ready_line(concurrency, prefetch, None))
            return

        def tell(files: list[str]) -> None:
            self.channel.write(self._ready_line(concurrency, prefetch, files))

        self._watch = sources.Watch(tell)
        tell(self._watch.files)
        self._watch.start()

    def retire(self) -> None:
        """Serving has ended."""
        if self._watch is not None:
            self._watch.stop()
        if not self.channel.supervised:
            from . import hand

            hand.leave()
        self.channel.unwatch()

    def _ready_line(self, concurrency: int, prefetch: int, files: list[str] | None) -> str:
        """files: the worker's source files, None to say nothing of them."""
        registry = self.registry
        features = [*_FEATURES, *(["ws"] if registry.has_sockets else [])]
        if registry.events is not None:
            features.append("events")
        ready: dict[str, Any] = {
            "type": "ready",
            "protocol": PROTOCOL,
            "sdk": f"nodey-python/{VERSION}",
            "pid": os.getpid(),
            "concurrency": concurrency,
            "prefetch": prefetch,
            "features": features,
            "routes": registry.routes,
            "tokens": list(registry.tokens),
        }
        if registry.events is not None:
            ready.update(registry.events.declared(concurrency))
        if files is not None:
            ready["files"] = files
        return frame_line(ready)


worker = Worker(channel)
