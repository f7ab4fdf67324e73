"""aio: `async def` handlers, a task for each request, in one event loop.

`def` handlers of such a worker run in threads, each in a copy of the request's context,
so that they may block and may call ask().
"""

from __future__ import annotations

import asyncio
import contextvars
import signal
import sys
from itertools import count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from .exchange import AsyncExchange, BridgedExchange
    from .threads import Pool
    from .worker import Worker

from . import hand
from .codec import (
    Malformed,
    Piece,
    ask_line,
    cancel_line,
    decode,
    encode,
    error_line,
    request_line,
)
from .errors import Error, error_of, failure_line, last_words, log_text, one_line
from .frames import (
    PIECES,
    WINDOW,
    checked,
    chunk_size,
    closed_frame,
    gap_text,
    learn,
    line_size,
    pong_line,
    within_limit,
)
from .log import write_log
from .sync import SyncEngine

_CONCURRENCY = 1000
_THREADS = 64
_LINGER_SECONDS = 0.2
_LAG_SECONDS = 1.0

_serving: contextvars.ContextVar[Any] = contextvars.ContextVar("nodey_serving", default=None)


class AsyncEngine:
    """The asyncio engine."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.channel = worker.channel
        self.loop: asyncio.AbstractEventLoop | None = None
        self._early = worker.engine
        self._asks: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._ask_ids = count(1)
        self._tasks: dict[asyncio.Task[None], dict[str, Any]] = {}
        self._in_threads: list[dict[str, Any] | None] = []
        self._cancelled: list[dict[str, Any]] = []
        self._pool: Pool | None = None
        self._flush_planned = False
        self.closed = False
        self.draining = False
        self.exchanges: dict[Any, AsyncExchange] = {}
        self.window = WINDOW
        self.chunk = chunk_size(self.channel.max_line)
        self.roots: list[str] = []
        self._frames_read = 0
        self._lag_ms: float | None = None
        self._unknown: set[str] = set()

    # ----------------------------------------------------------------- serving

    def serve(self) -> None:
        """Serves until the end of input, drain, shutdown or SIGTERM."""
        old = signal.getsignal(signal.SIGINT)
        if self.channel.supervised:
            signal.signal(signal.SIGINT, lambda number, frame: None)
        try:
            _run(self._main())
        finally:
            self.channel.flush()
            self.worker.retire()
            signal.signal(signal.SIGINT, old)

    async def _main(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._ending = asyncio.Event()
        self.loop.add_signal_handler(signal.SIGTERM, self._terminate)
        hooks, listening = self.worker.registry.hooks, self._listen()
        if hooks is not None:
            await hooks.start_async(self.in_thread)
        self.worker.announce(_CONCURRENCY, 0)
        if isinstance(self._early, SyncEngine):
            self.window, self.roots = self._early.window, self._early.roots
            self._take([*self._early.nested, *self._early.queue])
            if self._early.ended:
                self._ending.set()
        while not listening and not self.closed:
            self._on_readable()
            await asyncio.sleep(0)
        await self._ending.wait()
        while self._tasks:
            await asyncio.wait(list(self._tasks))
        if hooks is not None:
            await hooks.stop_async(self.in_thread)
        if self._pool is not None:
            self._pool.join()
        if not self.closed:
            self.loop.remove_reader(self.channel.input())
        self.loop.remove_signal_handler(signal.SIGTERM)

    def _listen(self) -> bool:
        """Has the loop watch the input.  False: epoll refuses regular files, which never
        block."""
        assert self.loop is not None
        try:
            self.loop.add_reader(self.channel.input(), self._on_readable)
            return True
        except PermissionError:
            return False

    def _on_readable(self) -> None:
        frames = self.channel.read()
        if frames is None:
            self._end_of_input()
        else:
            self._take(frames)

    def _end_of_input(self) -> None:
        assert self.loop is not None
        if not self.closed:
            self.closed = True
            self.loop.remove_reader(self.channel.input())
            for id in list(self._asks):
                self._answer(id, closed_frame(id))
        self.draining = self.draining or self.channel.supervised
        for exchange in list(self.exchanges.values()):
            exchange.go_away()
        self._ending.set()

    def _terminate(self) -> None:
        """SIGTERM: asks for no more work, and ends when none comes for a while."""
        assert self.loop is not None
        if self.channel.supervised:
            self.send('{"type":"drain"}\n')
        self.loop.call_later(_LINGER_SECONDS, self._linger, self._frames_read)

    def _linger(self, frames_read: int) -> None:
        assert self.loop is not None
        if frames_read == self._frames_read:
            self._ending.set()
        else:
            self.loop.call_later(_LINGER_SECONDS, self._linger, self._frames_read)

    def send(self, line: str) -> None:
        """Sends a line together with the others of this turn of the loop."""
        assert self.loop is not None
        self.channel.held.append(line)
        if not self._flush_planned:
            self._flush_planned = True
            self.loop.call_soon(self._flush)

    def _post(self, line: str) -> None:
        """send() for those who may be in another thread, with a loop of their own."""
        assert self.loop is not None
        if asyncio.get_running_loop() is self.loop:
            self.send(line)
        else:
            self.loop.call_soon_threadsafe(self.send, line)

    def _flush(self) -> None:
        self._flush_planned = False
        self.channel.flush()
        if self.channel.gone:
            self._end_of_input()

    # ------------------------------------------------------------------ frames

    def _take(self, frames: list[Any]) -> None:
        self._frames_read += len(frames)
        for frame in frames:
            if type(frame) is Piece:
                exchange = self.exchanges.get(frame.id) or self._expected(frame.id)
                if exchange is not None:
                    exchange.feed_piece(frame.data)
                continue
            frame = checked(frame)
            if type(frame) is Malformed:
                self.send(error_line(frame.id, "invalid_argument", frame.message))
                continue
            kind = frame.get("type")
            is_event = kind == "event" and self.worker.registry.events is not None
            if kind is None or kind == "ask" or is_event:
                assert self.loop is not None
                task = self.loop.create_task(self._serve(frame))
                self._tasks[task] = frame
                task.add_done_callback(self._forget)
            else:
                self._control(kind, frame)

    def _forget(self, task: asyncio.Task[None]) -> None:
        frame = self._tasks.pop(task)
        exchange = self.exchanges.get(frame.get("id"))
        if exchange is not None and exchange.frame is frame:
            del self.exchanges[exchange.id]
        # Here, because a task that is cancelled before its first step runs no code.
        is_broadcast = frame.get("type") == "event" and frame.get("id") is None
        if task.cancelled() and not is_broadcast and not (exchange is not None and exchange.closed):
            self.send(error_line(frame.get("id"), "cancelled", "cancelled"))

    def _control(self, kind: str, frame: dict[str, Any]) -> None:
        if kind == "answer" or kind == "error" or kind == "ack":
            self._answer(frame.get("id"), frame)
        elif kind in PIECES:
            exchange = self.exchanges.get(frame["id"]) or self._expected(frame["id"])
            if exchange is not None:
                exchange.feed(frame)
        elif kind == "cancel":
            self._cancel(frame["id"], frame.get("reason"))
        elif kind == "ping":
            self.send(pong_line(frame["id"], len(self._tasks), self._lag()))
        elif kind == "drain":
            self._go_away()
        elif kind == "shutdown":
            for open_frame in list(self._tasks.values()):
                self._cancel(open_frame.get("id"), "shutdown")
            self._go_away()
        elif kind == "hello":
            learn(self, frame)
        elif kind == "gap" and self.worker.registry.events is not None:
            write_log("warn", gap_text(frame), {})
        elif kind not in self._unknown:
            self._unknown.add(kind)
            log_text(f"a frame of the unknown type {kind!r} is ignored")

    def _answer(self, id: Any, frame: dict[str, Any]) -> None:
        future = self._asks.get(id) if type(id) is int else None
        if future is not None:
            # An ask may come from another thread's loop.
            future.get_loop().call_soon_threadsafe(_resolve, future, frame)

    def _go_away(self) -> None:
        """No more work will come, and what would go on for ever is to end."""
        self.draining = True
        self._ending.set()
        for exchange in list(self.exchanges.values()):
            exchange.go_away()

    def _cancel(self, id: Any, reason: Any = None) -> None:
        exchange = self.exchanges.get(id)
        for task, frame in list(self._tasks.items()):
            if frame.get("id") == id:
                self._cancelled.append(frame)
                # A thread cannot be interrupted; its handler can ask req.cancelled().
                in_thread = any(other is frame for other in self._in_threads)
                if not in_thread and (exchange is None or exchange.interrupts):
                    task.cancel()
        if exchange is not None:
            exchange.cancel(str(reason or "disconnect"))

    def _lag(self) -> float | None:
        """Worst delay of the loop in ms since the last ping; measured from the first one on."""
        assert self.loop is not None
        lag, known = self._lag_ms, self._lag_ms is not None
        self._lag_ms = 0.0
        if not known:
            self.loop.call_later(_LAG_SECONDS, self._tick, self.loop.time() + _LAG_SECONDS)
        return lag

    def _tick(self, due: float) -> None:
        assert self.loop is not None
        now = self.loop.time()
        self._lag_ms = max(self._lag_ms or 0.0, (now - due) * 1000)
        self.loop.call_later(_LAG_SECONDS, self._tick, now + _LAG_SECONDS)

    def is_cancelled(self, frame: dict[str, Any]) -> bool:
        return any(other is frame for other in self._cancelled)

    def serving_id(self) -> Any:
        frame = _serving.get()
        return None if frame is None else frame.get("id")

    # ---------------------------------------------------------------- handlers

    async def _serve(self, frame: dict[str, Any]) -> None:
        _serving.set(frame)
        try:
            line = await self._line_for(frame)
            if line:
                self.send(line)
        except asyncio.CancelledError:
            raise
        except BaseException as exc:
            # A handler ends the process (sys.exit); its request is still answered.
            self.channel.write(last_words(exc, frame))
            raise
        finally:
            if self._cancelled:
                self._cancelled[:] = [other for other in self._cancelled if other is not frame]

    async def _line_for(self, frame: dict[str, Any]) -> str:
        try:
            if frame.get("more") and not self.worker.registry.streams(frame):
                await self.exchange(frame).gather()
            handler, argument = self.worker.registry.find(frame)
            if handler.is_async or handler.needs_loop:
                line = await handler.serve_async(frame, argument, self.in_thread)
            else:
                line = await self.in_thread(lambda: handler.serve(frame, argument))
        except Exception as exc:
            return failure_line(exc, frame, "the router")
        if line and line_size(line, self.channel.max_line) > self.channel.max_line:
            if "type" not in frame:
                from .streaming import send_long_async

                return await send_long_async(line, frame, handler)
            return within_limit(line, self.channel.max_line, frame, handler)
        return line

    async def in_thread(self, function: Callable[[], Any]) -> Any:
        """Runs what is not `async def`, for the frame being served if there is one.

        With `nested` it never waits for a free thread.
        """
        from .threads import Pool

        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        context = contextvars.copy_context()
        frame = _serving.get()

        def job() -> None:
            try:
                result = context.run(function)
                loop.call_soon_threadsafe(_resolve, future, result)
            except BaseException as exc:
                loop.call_soon_threadsafe(_reject, future, exc)

        if self._pool is None:
            self._pool = Pool(_THREADS)
        self._in_threads.append(frame)
        try:
            self._pool.run(job, extra=frame is not None and bool(frame.get("nested")))
            return await future
        finally:
            for index, other in enumerate(self._in_threads):
                if other is frame:
                    del self._in_threads[index]
                    break

    # --------------------------------------------------------------- exchanges

    def exchange(self, frame: dict[str, Any]) -> AsyncExchange:
        """The exchange of a request that is being served; the same one each time."""
        from .exchange import AsyncExchange

        id = frame.get("id")
        found = self.exchanges.get(id)
        if found is None or found.frame is not frame:
            found = self.exchanges[id] = AsyncExchange(self, frame)
            if self.is_cancelled(frame):
                found.cancel("disconnect")
        return found

    def exchange_in_thread(self, frame: dict[str, Any]) -> AsyncExchange | BridgedExchange:
        """The same for a `def` handler, which runs beside the loop and may wait."""
        from .exchange import BridgedExchange

        assert self.loop is not None
        if asyncio._get_running_loop() is self.loop:
            return self.exchange(frame)

        async def find() -> AsyncExchange:
            return self.exchange(frame)

        found = asyncio.run_coroutine_threadsafe(find(), self.loop).result()
        return BridgedExchange(found, self.loop)

    def _expected(self, id: Any) -> AsyncExchange | None:
        """The exchange of a request that is open and has none yet."""
        for frame in self._tasks.values():
            if frame.get("id") == id:
                return self.exchange(frame)
        return None

    # --------------------------------------------------------------------- ask

    def ask(self, token: str, args: Any, timeout: float | None) -> Any:
        """From a thread: the loop asks, the thread waits."""
        if self.loop is None or not self.loop.is_running():
            raise Error("unavailable", "the worker does not serve any more")
        ask = self.ask_async(token, args, timeout)
        return asyncio.run_coroutine_threadsafe(ask, self.loop).result()

    async def ask_async(self, token: str, args: Any, timeout: float | None) -> Any:
        if not self.channel.supervised:
            return await self._ask_here(token, args)
        id = next(self._ask_ids)
        line = ask_line(id, self.serving_id(), token, timeout, args)
        try:
            frame = await self._answer_to(id, line, timeout)
        except asyncio.TimeoutError:
            self._post(cancel_line(id, "timeout"))
            text = f"no answer to {token!r} within {timeout} s"
            raise Error("deadline_exceeded", text) from None
        except asyncio.CancelledError:
            self._post(cancel_line(id, "disconnect"))
            raise
        return frame.get("value")

    def tell(self, kind: str, serving: Any, members: str) -> dict[str, Any]:
        """From a thread; see SyncEngine.tell()."""
        if self.loop is None or not self.loop.is_running():
            raise Error("unavailable", "the worker does not serve any more")
        telling = self.tell_async(kind, serving, members)
        return asyncio.run_coroutine_threadsafe(telling, self.loop).result()

    async def tell_async(self, kind: str, serving: Any, members: str) -> dict[str, Any]:
        if not self.channel.supervised:
            return hand.tell(kind, members)
        id = next(self._ask_ids)
        line = request_line(kind, id, serving, members, self.channel.max_line)
        return await self._answer_to(id, line, None)

    async def _answer_to(self, id: int, line: str, timeout: float | None) -> dict[str, Any]:
        """Sends a line and waits for the frame that answers it.  Raises Error when that is
        an `error`, or nobody is there, and asyncio.TimeoutError."""
        if self.closed:
            raise error_of(closed_frame(id))
        future = self._asks[id] = asyncio.get_running_loop().create_future()
        self._post(line)
        try:
            frame: dict[str, Any] = await asyncio.wait_for(future, timeout)
        finally:
            del self._asks[id]
        if frame["type"] == "error":
            raise error_of(frame)
        return frame

    async def _ask_here(self, token: str, args: Any) -> Any:
        handler = hand.local_handler(self.worker, token)
        args = hand.copy_of(args, token)
        if handler.is_async:
            value = await handler.call(args)
        else:
            value = await asyncio.get_running_loop().run_in_executor(None, handler.call, args)
        return decode(encode(value, handler))


def _run(main: Coroutine[Any, Any, None]) -> None:
    """asyncio.run(), with uvloop's loop when that is installed."""
    try:
        import uvloop
    except ImportError:
        uvloop = None  # type: ignore[assignment, unused-ignore]
    # Not within the `except`: all that handlers raise would be told as its consequence.
    if uvloop is None:
        asyncio.run(main)
    elif sys.version_info >= (3, 11):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main)
    else:
        uvloop.install()
        asyncio.run(main)


def _resolve(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _reject(future: asyncio.Future[Any], exc: BaseException) -> None:
    if isinstance(exc, StopIteration):
        # A future does not take it, and then nobody would ever be answered.
        exc = RuntimeError(f"raised {one_line(exc)}").with_traceback(exc.__traceback__)
    if not future.done():
        future.set_exception(exc)
