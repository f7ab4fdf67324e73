"""threads: `def` handlers in n threads at once, for those that mostly wait.

The main thread reads and hands out; everything about reading and asking is the
synchronous engine's, in which a thread that asks is a follower.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .worker import Worker

from .codec import error_line
from .errors import failure_line
from .frames import within_limit
from .sync import SyncEngine


class Pool:
    """Up to `size` threads, started when they are needed, and extra ones on request."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._extra: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._open = 0

    def run(self, job: Callable[[], None], *, extra: bool = False) -> None:
        """Has the job run in some thread; extra: in a new one, even if all are busy.

        The job must not raise.  Raises RuntimeError when the interpreter is ending.
        """
        if extra:
            thread = threading.Thread(target=job, name="nodey-nested", daemon=True)
            self._extra = [old for old in self._extra if old.is_alive()]
            thread.start()
            self._extra.append(thread)
            return
        with self._lock:
            self._open += 1
            wanted = min(self._open, self._size)
        if len(self._threads) < wanted:
            name = f"nodey-{len(self._threads) + 1}"
            thread = threading.Thread(target=self._loop, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)
        self._jobs.put(job)

    def _loop(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            try:
                job()
            finally:
                with self._lock:
                    self._open -= 1

    def join(self) -> None:
        """Waits until all jobs have been done."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads + self._extra:
            thread.join()


class ThreadEngine(SyncEngine):
    """The engine of start(threads=n)."""

    def __init__(self, worker: Worker, threads: int) -> None:
        early = worker.engine
        super().__init__(worker)
        self.concurrency = threads
        self.prefetch = 0
        self._pool = Pool(threads)
        self._local = threading.local()
        self._finishing = False
        if isinstance(early, SyncEngine):
            self.take_over(early)

    def _work(self) -> None:
        while self.nested:
            self._hand_out(self.nested.popleft(), extra=True)
        while self.queue:
            self._hand_out(self.queue.popleft(), extra=False)

    def _hand_out(self, frame: dict[str, Any], extra: bool) -> None:
        self.running.append(frame)
        if frame.get("more") and not self.worker.registry.streams(frame):
            # No thread has to wait for a client that is slow to send.
            exchange = self.exchange(frame)
            exchange.collect(lambda: self._begin(frame, extra))
            return
        self._begin(frame, extra)

    def _begin(self, frame: dict[str, Any], extra: bool) -> None:
        self._pool.run(lambda: self._serve_here(frame), extra=extra)

    def _serve_here(self, frame: dict[str, Any]) -> None:
        """Serves one frame in the calling thread of the pool."""
        self._local.id = frame.get("id")
        try:
            if self._is_void(frame):
                line = error_line(frame.get("id"), "cancelled", "cancelled before it began")
            else:
                line = self._line_for(frame)
        except BaseException as exc:
            # sys.exit() in a thread ends the thread only; here not even that.
            line = failure_line(exc, frame, "a handler")
        # By identity: two requests typed by hand may be equal.
        with self._waiting:
            self.running[:] = [other for other in self.running if other is not frame]
        self._forget(frame)
        if line:
            self.channel.write(line)
        if self._finishing and not self.running and self.signals is not None:
            self.signals.wake()

    def _is_void(self, frame: dict[str, Any]) -> bool:
        """Whether nobody wants the answer any more, or the body has not come whole."""
        exchange = self.exchanges.get(frame.get("id"))
        lacks = exchange is not None and exchange.collected is not None and not exchange.ended
        return lacks or frame.get("id") in self._cancelled

    def _line_for(self, frame: dict[str, Any]) -> str:
        try:
            handler, argument = self.worker.registry.find(frame)
        except Exception as exc:
            return failure_line(exc, frame, "the router")
        line = handler.serve(frame, argument)
        return within_limit(line, self.channel.max_line, frame, handler) if line else line

    def _finish(self) -> None:
        self._finishing = True
        # What runs may still ask, and be asked (`nested`).
        while self.running:
            self._wait(self._idle, lambda: bool(self.queue or self.nested or not self.running))
            self._work()
        self._pool.join()
        super()._finish()

    def serving_id(self) -> Any:
        return getattr(self._local, "id", None)
