"""sync: `def` handlers, one at a time, in the main thread.

One thread at a time reads (the leader), usually the main one.  Whoever waits for an
answer also reads, so that two workers that ask each other always make progress:
answers are handed to those who wait for them, an ask that belongs to what this
worker itself waits for (`nested`) runs at once, on top of the stack, and everything
else is queued until the stack has unwound.  Other threads that ask follow the leader:
they sleep until their answer is there or the leader's place is free.

Answers of quick handlers are held back and written together.
"""

from __future__ import annotations

import _thread
import select
from collections import deque
from itertools import count
from time import monotonic, perf_counter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .exchange import Exchange
    from .handler import Handler
    from .worker import Worker

from . import hand
from .codec import Malformed, Piece, ask_line, cancel_line, error_line, request_line
from .errors import Error, error_of, failure_line, last_words, log_text
from .frames import (
    MAX_ID,
    PIECES,
    WINDOW,
    checked,
    chunk_size,
    closed_frame,
    gap_text,
    learn,
    pong_line,
    within_limit,
)
from .handling import current as handling
from .log import write_log
from .signals import Signals

_QUICK = 0.0002  # Seconds that a finished answer may be kept from its client.
_PREFETCH = 64
_LINGER_MS = 200


class Waiter:
    """A thread that waits: for the answer to an ask, or (the main one) for work."""

    __slots__ = ("answer", "bell")

    def __init__(self) -> None:
        self.answer: dict[str, Any] | None = None
        self.bell = _thread.allocate_lock()
        self.bell.acquire()

    def ring(self) -> None:
        """Wakes the thread; once is enough, however often it is called."""
        if self.bell.locked():
            try:
                self.bell.release()
            except RuntimeError:
                pass  # Somebody else rang in between.


class SyncEngine:
    """The synchronous engine."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.channel = worker.channel
        self.queue: deque[dict[str, Any]] = deque()
        self.nested: deque[dict[str, Any]] = deque()
        self.running: list[dict[str, Any]] = []
        self.asks: dict[int, Waiter] = {}
        self.ended = False  # No more work will come: end of file, drain or shutdown.
        self.closed = False  # End of file: no answers either.
        self.draining = False  # What would go on for ever is to be ended.
        self.exchanges: dict[Any, Exchange] = {}
        self.window = WINDOW
        self.chunk = chunk_size(self.channel.max_line)
        self.roots: list[str] = []
        self._opening = _thread.allocate_lock()
        self.main = _thread.get_ident()
        self.signals: Signals | None = None
        self._cancelled: set[Any] = set()
        self._ask_ids = count(1)
        self._idle = Waiter()
        self._reading = _thread.allocate_lock()
        self._sleepers: list[Waiter] = []
        self._poller = select.poll()
        self._poller.register(self.channel.input(), select.POLLIN)
        self._read_at = 0.0
        self._unknown: set[str] = set()
        self._waiting = _thread.allocate_lock()
        self.concurrency = 1
        self.prefetch = _PREFETCH

    def take_over(self, early: SyncEngine) -> None:
        """Goes on with what an engine that asked during start-up has read."""
        self.queue.extend(early.queue)
        self.nested.extend(early.nested)
        self.ended = early.ended
        self.draining = early.draining
        self.exchanges, self.window, self.roots = early.exchanges, early.window, early.roots
        for exchange in self.exchanges.values():
            exchange.move_to(self)
        if early.closed:
            self._end()

    # ----------------------------------------------------------------- serving

    def serve(self) -> None:
        """Serves until the end of input, drain, shutdown or SIGTERM."""
        self.signals = Signals(self.channel.supervised)
        self._poller.register(self.signals.fd, select.POLLIN)
        hooks = self.worker.registry.hooks
        try:
            if hooks is not None:
                hooks.start()
            self.worker.announce(self.concurrency, self.prefetch)
            while self._fill():
                self._work()
            self._finish()
            if hooks is not None:
                hooks.stop()
        finally:
            self._poller.unregister(self.signals.fd)
            self.signals.restore()
            self.worker.retire()

    def _finish(self) -> None:
        """All work has been begun; see that it is done."""
        self.channel.flush()

    def _fill(self) -> bool:
        """Waits until there is work; False when there will be none."""
        while not self.queue and not self.nested:
            self.channel.flush()
            if self.ended or self.channel.gone:
                return False
            if self.signals is not None and self.signals.terminated:
                return self._last_work()
            self._wait(self._idle, lambda: bool(self.queue or self.nested or self._must_end()))
        return True

    def _must_end(self) -> bool:
        return self.ended or (self.signals is not None and self.signals.terminated)

    def _last_work(self) -> bool:
        """After SIGTERM: asks for no more, and serves what was on its way."""
        assert self.signals is not None
        if self.channel.supervised and not self.signals.told:
            self.signals.told = True
            self.channel.write('{"type":"drain"}\n')
        deadline = monotonic() + _LINGER_MS / 1000
        self._wait(self._idle, lambda: bool(self.queue or self.nested or self.ended), deadline)
        return bool(self.queue or self.nested)

    def _work(self) -> None:
        """Serves what is queued, batching the answers of quick handlers."""
        queue, channel, find = self.queue, self.channel, self.worker.registry.find
        running, quarter = self.running, channel.max_line // 4
        now = perf_counter()
        while self.nested:
            self._serve_now(self.nested.popleft())
        while queue:
            frame = queue.popleft()
            try:
                handler, argument = find(frame)
            except Exception as exc:
                channel.hold(failure_line(exc, frame, "the router"), now)
                continue
            if channel.held:
                self._before(handler, now)
            running.append(frame)
            try:
                line = handler.serve(frame, argument)
            except BaseException as exc:
                channel.write(last_words(exc, frame))
                raise
            running.pop()
            if self._cancelled or self.exchanges:
                self._forget(frame)
            done = perf_counter()
            handler.note(done - now)
            now = done
            if len(line) > quarter:
                line = within_limit(line, channel.max_line, frame, handler)
            if line:
                channel.hold(line, now)
            if now - self._read_at > _QUICK:
                self._look()
                now = perf_counter()

    def _before(self, handler: Handler, now: float) -> None:
        """Lets held answers go, or sees to it that they are not held for long."""
        channel = self.channel
        if handler.cost > _QUICK or now - channel.held_since > _QUICK or not channel.may_hold:
            channel.flush()
        elif not channel.watched:
            channel.watch()

    def _serve_now(self, frame: dict[str, Any]) -> None:
        """Serves one frame on top of the stack."""
        try:
            handler, argument = self.worker.registry.find(frame)
        except Exception as exc:
            self.channel.write(failure_line(exc, frame, "the router"))
            return
        self.running.append(frame)
        # What it publishes has nothing to do with the event whose handler waits below.
        token = handling.set(None)
        try:
            line = handler.serve(frame, argument)
        except BaseException as exc:
            self.channel.write(last_words(exc, frame))
            raise
        finally:
            handling.reset(token)
        self.running.pop()
        self._forget(frame)
        if line:
            self.channel.write(within_limit(line, self.channel.max_line, frame, handler))

    def _forget(self, frame: dict[str, Any]) -> None:
        """What was served is over."""
        id = frame.get("id")
        self._cancelled.discard(id)
        exchange = self.exchanges.get(id)
        if exchange is not None and exchange.frame is frame:
            exchange.closed = True
            del self.exchanges[id]

    # ----------------------------------------------------------------- reading

    def _look(self) -> None:
        """Reads what is there, so that a cancel is seen before its request starts."""
        self._read_at = perf_counter()
        if self._reading.acquire(False):
            try:
                self._read(0)
            finally:
                self._step_down()

    def _wait(
        self, waiter: Waiter, done: Callable[[], bool], deadline: float | None = None
    ) -> None:
        """Leads or follows until done() or the deadline (monotonic seconds)."""
        while not done():
            left = None if deadline is None else deadline - monotonic()
            if left is not None and left <= 0:
                return
            if self._reading.acquire(False):
                try:
                    while not done():
                        left = None if deadline is None else deadline - monotonic()
                        if left is not None and left <= 0:
                            return
                        self._read(None if left is None else left * 1000 + 1)
                finally:
                    self._step_down()
                return
            self._sleepers.append(waiter)
            # The leader may have left just before; then it did not see this sleeper.
            if self._reading.locked() and not done():
                waiter.bell.acquire(True, -1 if left is None else left)
            self._sleepers.remove(waiter)

    def _step_down(self) -> None:
        self._reading.release()
        for waiter in list(self._sleepers):
            waiter.ring()

    def _read(self, timeout_ms: float | None) -> None:
        """Reads once and sorts what came.  Only for the leader."""
        fds = [fd for fd, _events in self._poller.poll(timeout_ms)]
        if self.signals is not None and self.signals.fd in fds:
            self.signals.acknowledge()
            self._idle.ring()
        if self.closed or self.channel.input() not in fds:
            return
        frames = self.channel.read()
        self._read_at = perf_counter()
        if frames is None:
            self._end()
            return
        queue = self.queue
        for frame in frames:
            if type(frame) is dict and "type" not in frame:
                id = frame.get("id")
                if type(id) is int and 0 <= id <= MAX_ID:
                    queue.append(frame)
                    continue
            if type(frame) is Piece:
                exchange = self.exchanges.get(frame.id) or self._expected(frame.id)
                if exchange is not None:
                    exchange.feed_piece(frame.data)
                continue
            self._sort(frame)
        if queue and self._sleepers:
            self._idle.ring()

    def _end(self) -> None:
        """The input has ended: nobody will be answered any more."""
        self.ended = True
        self.closed = True
        self._poller.unregister(self.channel.input())
        for id in list(self.asks):
            self._answer(id, closed_frame(id))
        self.draining = self.channel.supervised
        for exchange in list(self.exchanges.values()):
            exchange.go_away()
        self._idle.ring()

    # ------------------------------------------------------------------ frames

    def _sort(self, frame: Any) -> None:
        """Everything but a plain request."""
        frame = checked(frame)
        if type(frame) is Malformed:
            self.channel.write(error_line(frame.id, "invalid_argument", frame.message))
            return
        kind = frame.get("type")
        if kind is None or (kind == "ask" and not frame.get("nested")):
            self.queue.append(frame)
        elif kind == "event" and self.worker.registry.events is not None:
            self.queue.append(frame)
        elif kind == "ask":
            self.nested.append(frame)
            for waiter in list(self._sleepers):
                waiter.ring()
        elif kind == "answer" or kind == "error" or kind == "ack":
            self._answer(frame.get("id"), frame)
        elif kind in PIECES:
            exchange = self.exchanges.get(frame["id"]) or self._expected(frame["id"])
            if exchange is not None:
                exchange.feed(frame)
        elif kind == "cancel":
            self._cancel(frame["id"], frame.get("reason"))
        elif kind == "ping":
            self.channel.write(pong_line(frame["id"], len(self.running) + len(self.queue)))
        elif kind == "drain" or kind == "shutdown":
            self._stop(kind == "shutdown")
        elif kind == "hello":
            learn(self, frame)
        elif kind == "gap" and self.worker.registry.events is not None:
            write_log("warn", gap_text(frame), {})
        elif kind not in self._unknown:
            self._unknown.add(kind)
            log_text(f"a frame of the unknown type {kind!r} is ignored")

    def _answer(self, id: Any, frame: dict[str, Any]) -> None:
        # Taken out, because the first answer counts.
        waiter = self.asks.pop(id, None) if type(id) is int else None
        if waiter is not None:
            waiter.answer = frame
            waiter.ring()

    def _cancel(self, id: Any, reason: Any = None) -> None:
        for frames in (self.queue, self.nested):
            for frame in frames:
                if frame.get("id") == id:
                    frames.remove(frame)
                    self._forget(frame)
                    self.channel.write(error_line(id, "cancelled", "cancelled before it began"))
                    return
        if any(frame.get("id") == id for frame in self.running):
            self._cancelled.add(id)
            exchange = self.exchanges.get(id)
            if exchange is not None:
                exchange.cancel(str(reason or "disconnect"))

    def _stop(self, now: bool) -> None:
        self.ended = self.draining = True
        self._idle.ring()
        if now:
            for frame in [*self.queue, *self.running]:
                self._cancel(frame.get("id"), "shutdown")
        for exchange in list(self.exchanges.values()):
            exchange.go_away()

    def is_cancelled(self, frame: dict[str, Any]) -> bool:
        """Reads what is there; for Request.cancelled()."""
        self._look()
        return frame.get("id") in self._cancelled

    # --------------------------------------------------------------- exchanges

    def exchange(self, frame: dict[str, Any]) -> Exchange:
        """The exchange of a request that is being served; the same one each time."""
        from .exchange import Exchange

        id = frame.get("id")
        with self._opening:
            found = self.exchanges.get(id)
            if found is None or found.frame is not frame:
                found = self.exchanges[id] = Exchange(self, frame)
                if id in self._cancelled:
                    found.cancel("disconnect")
            return found

    def _expected(self, id: Any) -> Exchange | None:
        """The exchange of a request that is open and has none yet."""
        for frames in (self.running, self.queue):
            for frame in list(frames):
                if frame.get("id") == id:
                    return self.exchange(frame)
        return None

    def look(self) -> None:
        """Reads what is there, if nobody has for a while."""
        if perf_counter() - self._read_at > _QUICK:
            self._look()

    def pump(
        self, waiter: Waiter, done: Callable[[], bool], deadline: float | None = None
    ) -> None:
        """Reads, and serves nested asks, until done() or the deadline (monotonic seconds)."""
        in_main = _thread.get_ident() == self.main
        while not done():
            if in_main and self.nested:
                self._serve_now(self.nested.popleft())
                continue
            self._wait(waiter, lambda: done() or (in_main and bool(self.nested)), deadline)
            if deadline is not None and monotonic() >= deadline:
                return

    # --------------------------------------------------------------------- ask

    def serving_id(self) -> Any:
        """The id of what the calling thread serves, or None."""
        if self.running and _thread.get_ident() == self.main:
            return self.running[-1].get("id")
        return None

    def ask(self, token: str, args: Any, timeout: float | None) -> Any:
        if not self.channel.supervised:
            return hand.ask(self.worker, token, args)
        id = next(self._ask_ids)
        answer = self._answer_to(id, ask_line(id, self.serving_id(), token, timeout, args), timeout)
        if answer is None:
            self.channel.write(cancel_line(id, "timeout"))
            raise Error("deadline_exceeded", f"no answer to {token!r} within {timeout} s")
        return answer.get("value")

    def tell(self, kind: str, serving: Any, members: str) -> dict[str, Any]:
        """Has the supervisor do something, and returns its `ack`.  Raises Error.

        kind: "publish" or "seek".  serving: the id of what it is done for, or None.
        members: of the frame.
        """
        if not self.channel.supervised:
            return hand.tell(kind, members)
        id = next(self._ask_ids)
        line = request_line(kind, id, serving, members, self.channel.max_line)
        answer = self._answer_to(id, line, None)
        assert answer is not None
        return answer

    def _answer_to(self, id: int, line: str, timeout: float | None) -> dict[str, Any] | None:
        """Sends a line and waits for the frame that answers it; None when time is over.

        Raises Error when that is an `error`, or nobody is there.
        """
        waiter = self.asks[id] = Waiter()
        try:
            if self.closed or self.channel.gone:
                raise error_of(closed_frame(id))
            self.channel.write(line)
            deadline = None if timeout is None else monotonic() + timeout
            self.pump(waiter, lambda: waiter.answer is not None, deadline)
        finally:
            self.asks.pop(id, None)
        if waiter.answer is not None and waiter.answer["type"] == "error":
            raise error_of(waiter.answer)
        return waiter.answer
