"""exchange: one request whose body, or whose answer, comes in pieces.

`engine.exchange(frame)` gives an Exchange (its methods block, and read for the engine while
they do) or, in an event loop, an AsyncExchange with the same names.  Who wants to answer so
returns "" from Handler.serve(), for there is no line left to send.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Mapping
    from typing import Any

    from .spool import Spool
    from .stream import BlockingHost, Bytes, HeadersLike

from .codec import encode_utf8
from .stream import Cancelled as Cancelled
from .stream import Stream
from .stream import allowed_file as allowed_file
from .sync import Waiter


class Exchange(Stream):
    """An exchange for a thread that may wait."""

    def __init__(self, engine: BlockingHost, frame: dict[str, Any]) -> None:
        super().__init__(engine, frame)
        self._host = engine
        self._waiters: list[Waiter] = []

    def move_to(self, engine: Any) -> None:
        self._engine = self._host = engine

    def wake(self) -> None:
        super().wake()
        for waiter in list(self._waiters):
            waiter.ring()

    def _until(self, done: Callable[[], bool]) -> None:
        waiter = Waiter()
        self._waiters.append(waiter)
        try:
            self._host.pump(waiter, done)
        finally:
            self._waiters.remove(waiter)

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants the answer any more."""
        if self.reason is None:
            self._host.look()
        return self.reason is not None

    def gathered(self) -> Spool:
        """The whole body.  Raises Cancelled when it will not come."""
        if self.collected is None:
            self.collect(lambda: None)
        if not self._is_whole():
            self._until(self._is_whole)
        return self._whole()

    def read(self) -> Any:
        """The next piece of the request's body, b"" at the end.

        Raises Cancelled when the rest will not come.
        """
        if not self._has_news():
            self._until(self._has_news)
        return self._next()

    def write(self, data: str | Bytes) -> None:
        """Sends a piece of the answer; waits until the client's side can take it.

        Raises Cancelled when nobody wants it any more.
        """
        self._host.look()
        self._check_open()
        if isinstance(data, str):
            if self._put_text(data):
                return
            data = encode_utf8(data)
        view = memoryview(data).cast("B")
        while view:
            if self._granted <= self._sent:
                self._until(self._has_room)
                if self._granted <= self._sent:
                    raise Cancelled(self.reason or "shutdown")
                self._check_open()
            view = view[self._put(view) :]

    def end(
        self, data: str | Bytes = b"", *, trailers: Mapping[str, str | list[str]] | None = None
    ) -> None:
        """Ends the answer, with a last piece; a whole answer is one plain line."""
        self._check_open()
        if not self.begun and not trailers:
            if self._answer_whole(data):
                return
            data = encode_utf8(data) if isinstance(data, str) else data
            self._add_length(len(data))
        if data:
            self.write(data)
        else:
            self.begin()
        self._close(self._end_line(trailers))

    def send(self, message: str | Bytes) -> None:
        """Sends a message of a WebSocket; waits while the client's side can take none.

        Raises Cancelled when nobody will take it any more.
        """
        self._host.look()
        self._check_open()
        if self._granted <= self._sent:
            self._until(self._has_room)
            if self._granted <= self._sent:
                raise Cancelled(self.reason or "shutdown")
            self._check_open()
        self._message(message)

    def receive(self) -> str | bytes | None:
        """The next message of a WebSocket, None when it is closed; see `close_code`."""
        if not self._has_news():
            self._until(self._has_news)
        message: str | bytes | None = self._next_message()
        return message


class AsyncExchange(Stream):
    """An exchange in an event loop.

    interrupts: whether a cancel also cancels the task that serves the request; who looks
        at `cancelled` and wants to end by itself sets it to False.
    """

    is_async = True

    def __init__(self, engine: Any, frame: dict[str, Any]) -> None:
        super().__init__(engine, frame)
        self.interrupts = True
        self.task: asyncio.Task[Any] | None = None  # To be interrupted when nodey drains.
        self._loop: asyncio.AbstractEventLoop = engine.loop
        self._waiting: list[asyncio.Future[None]] = []
        self._send_line = engine.send

    def _say(self, line: str) -> None:
        self._send_line(line)

    def go_away(self) -> None:
        super().go_away()
        if self.task is not None:
            self.task.cancel()

    def wake(self) -> None:
        super().wake()
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants the answer any more."""
        return self.reason is not None

    async def until(self, done: Callable[[], bool]) -> None:
        """Waits until done(), which is looked at whenever something has come."""
        while not done():
            future: asyncio.Future[None] = self._loop.create_future()
            self._waiting.append(future)
            await future

    def gathered(self) -> Spool:
        """The whole body, which gather() has collected."""
        if self.collected is None:
            raise RuntimeError(
                "the body is not in yet: `async for piece in req.stream()` reads it, or leave out "
                "stream=True, and the handler is called when it is"
            )
        return self._whole()

    async def gather(self) -> Spool:
        """Waits for the whole body.  Raises Cancelled when it will not come."""
        if self.collected is None:
            self.collect(lambda: None)
        await self.until(self._is_whole)
        return self._whole()

    async def read(self) -> Any:
        """See Exchange.read()."""
        if not self._has_news():
            await self.until(self._has_news)
        return self._next()

    async def drain(self) -> None:
        """Waits until something may be sent, or nobody wants it any more."""
        if self._granted <= self._sent:
            await self.until(self._has_room)

    async def write(self, data: str | Bytes) -> None:
        """See Exchange.write()."""
        self._check_open()
        if isinstance(data, str):
            if self._put_text(data):
                return
            data = encode_utf8(data)
        view = memoryview(data).cast("B")
        while view:
            if self._granted <= self._sent:
                await self.until(self._has_room)
                if self._granted <= self._sent:
                    raise Cancelled(self.reason or "shutdown")
                self._check_open()
            view = view[self._put(view) :]

    async def end(
        self, data: str | Bytes = b"", *, trailers: Mapping[str, str | list[str]] | None = None
    ) -> None:
        """See Exchange.end()."""
        self._check_open()
        if not self.begun and not trailers:
            if self._answer_whole(data):
                return
            data = encode_utf8(data) if isinstance(data, str) else data
            self._add_length(len(data))
        if data:
            await self.write(data)
        else:
            self.begin()
        self._close(self._end_line(trailers))

    async def send(self, message: str | Bytes) -> None:
        """See Exchange.send()."""
        self._check_open()
        if self._granted <= self._sent:
            await self.until(self._has_room)
            if self._granted <= self._sent:
                raise Cancelled(self.reason or "shutdown")
            self._check_open()
        self._message(message)

    async def receive(self) -> str | bytes | None:
        """See Exchange.receive()."""
        if not self._has_news():
            await self.until(self._has_news)
        message: str | bytes | None = self._next_message()
        return message


class BridgedExchange:
    """An AsyncExchange for a thread beside its loop."""

    is_async = False

    def __init__(self, exchange: AsyncExchange, loop: asyncio.AbstractEventLoop) -> None:
        self._exchange = exchange
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exchange, name)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        import asyncio

        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        async def call() -> Any:
            return function(*arguments)

        return self._run(call())

    @property
    def cancelled(self) -> bool:
        return self._exchange.cancelled

    def gathered(self) -> Spool:
        found: Spool = self._run(self._exchange.gather())
        return found

    def read(self) -> Any:
        return self._run(self._exchange.read())

    def receive(self) -> str | bytes | None:
        found: str | bytes | None = self._run(self._exchange.receive())
        return found

    def send(self, message: str | Bytes) -> None:
        self._run(self._exchange.send(message))

    def accept(self, headers: HeadersLike) -> None:
        self._call(self._exchange.accept, headers)

    def close_socket(self, code: int, reason: str) -> None:
        self._call(self._exchange.close_socket, code, reason)

    def head(self, status: int, headers: HeadersLike, reason: str | None = None) -> None:
        self._exchange.head(status, headers, reason)

    def write(self, data: str | Bytes) -> None:
        self._run(self._exchange.write(data))

    def end(self, data: str | Bytes = b"", *, trailers: Any = None) -> None:
        self._run(self._exchange.end(data, trailers=trailers))

    def begin(self) -> None:
        self._call(self._exchange.begin)

    def info(self, status: int, headers: HeadersLike) -> None:
        self._call(self._exchange.info, status, headers)

    def end_with_file(self, path: str, offset: int = 0, length: int | None = None) -> bool:
        done: bool = self._call(self._exchange.end_with_file, path, offset, length)
        return done

    def fail(self, exc: BaseException, where: str = "the answer") -> None:
        self._call(self._exchange.fail, exc, where)


def exchange_for(engine: Any, frame: dict[str, Any]) -> Any:
    """The exchange for whoever calls: in an event loop an AsyncExchange, beside it one whose
    methods block."""
    beside_loop = getattr(engine, "exchange_in_thread", None)
    return engine.exchange(frame) if beside_loop is None else beside_loop(frame)
