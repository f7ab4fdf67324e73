"""rehearsal: testing.Bus, events and jobs in a unit test: no supervisor, a clock of its own.

The bus is the supervisor of the handlers that a test has declared: it gives them `event`
frames, and reads the lines with which they answer.
"""

from __future__ import annotations

import os
import time
from collections import deque
from contextvars import ContextVar
from queue import Empty, SimpleQueue
from threading import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Callable, Iterable, Mapping
    from types import ModuleType
    from typing import Any, Union

    from .message import Duration, Moment
    from .registry import Registry
    from .testing import Client

    Target = Union[str, "os.PathLike[str]", ModuleType, None]

from .codec import decode
from .delivery import Event
from .letters import DeadLetter, Delivery, Failure
from .message import Published, check_name, duration_ms, members_of, nack_line
from .settings import start_of
from .standin import StandIn, copied, in_thread, registry_of
from .subscription import Subscription, matches

_AT_A_TIME = 16
_DEDUPE_MS = 120_000
_BOUND_SECONDS = 10.0
_PATIENCE_SECONDS = 2.0  # For a handler that hangs, before its time is let run out.

_serving: ContextVar[Any] = ContextVar("nodey_rehearsed", default=None)
_latest: Bus | None = None


def latest_bus() -> Bus | None:
    """The bus that takes what is published outside of its own handlers."""
    return _latest


class _Engine(StandIn):
    """What the handlers' nodey.publish() and nodey.ask() come to."""

    def __init__(self, bus: Bus, tokens: dict[str, Callable[..., Any]]) -> None:
        super().__init__(tokens)
        self.bus = bus

    def serving_id(self) -> Any:
        return _serving.get()


class Bus:
    """Runs handlers of events and jobs in this process, one step at a time.

        bus = nodey.testing.Bus("workers/moderate.py")
        bus.publish("comment.created", {"text": "hello"})
        bus.idle()
        assert bus.published("comment.moderated")[-1].data["status"] == "approved"

    targets: scripts, folders or modules, as in Client; none stands for everything that was
        declared so far.  A group without a name is called after its script.
    tokens: what nodey.ask() finds instead of other workers, as in Client.

    Groups, keys, attempts, back-off (without jitter), dead letters, and outputs that count
    only when their handler succeeds: all is as under nodey.  Time passes by tick() only.
    What a Client's handlers publish arrives here, too; `client` is one for the same script.
    """

    def __init__(
        self, *targets: Target, tokens: Mapping[str, Callable[..., Any]] | None = None
    ) -> None:
        global _latest
        self._engine = _Engine(self, dict(tokens or {}))
        self._registries: list[Registry] = []
        self._subscriptions: list[tuple[str, Subscription, int]] = []  # Group, target.
        self._most: dict[tuple[str, bool, bool], int] = {}  # That a group has at a time.
        with self._engine.in_charge():
            for target in targets or (None,):
                self._add(target)
        self._now = int(time.time() * 1000)
        self._seq = 0
        self._ids = 0
        self._log: list[dict[str, Any]] = []
        self._delayed: list[tuple[int, dict[str, Any]]] = []
        self._known: dict[tuple[Any, str], tuple[int | None, int]] = {}
        self._waiting: list[Delivery] = []
        self._broadcasts: deque[Delivery] = deque()
        self._running: dict[int, Delivery] = {}
        self._over: SimpleQueue[tuple[int, str]] = SimpleQueue()
        self._dead: list[DeadLetter] = []
        self._failed: list[DeadLetter] = []
        self._lock = RLock()
        self._client: Client | None = None
        _latest = self

    def _add(self, target: Target) -> None:
        registry = registry_of(target)
        if not self._registries:
            self._engine.registry = registry
        self._registries.append(registry)
        registry.seal(self._engine)
        for name, handler in registry.tokens.items():
            self._engine.tokens.setdefault(name, handler.function)
        own = "" if target is None else getattr(target, "__name__", None) or _stem(target)
        for one in registry.events.all if registry.events is not None else ():
            usual = one.name if one.job else own
            group = one.settings.get("group") or usual
            self._subscriptions.append((group, one, len(self._registries)))
            place = (group, one.job, one.each)
            self._most[place] = max(self._most.get(place, 0), one.max or _AT_A_TIME)

    # -------------------------------------------------------------- publishing

    def publish(
        self,
        topic: str,
        data: Any = None,
        *,
        key: str | None = None,
        id: str | None = None,
        at: Moment | None = None,
        delay: Duration | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Published:
        """Publishes from outside; see nodey.publish().  Handlers run in idle() and tick()."""
        return self._take(
            members_of("publish", "topic", topic, data, key, id, at, delay, headers)
        )

    def enqueue(
        self,
        queue: str,
        data: Any = None,
        *,
        key: str | None = None,
        id: str | None = None,
        at: Moment | None = None,
        delay: Duration | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Published:
        """Gives a job from outside; see nodey.enqueue()."""
        return self._take(
            members_of("enqueue", "queue", queue, data, key, id, at, delay, headers)
        )

    def _take(self, members: str) -> Published:
        frame = self.tell("publish", None, members)
        return Published(frame.get("seq"), frame.get("duplicate") is True)

    def tell(self, kind: str, serving: Any, members: str) -> dict[str, Any]:
        """As SyncEngine.tell(); for engines."""
        content = decode(f"{{{members}}}")
        with self._lock:
            if kind == "seek":
                self.seek(content["group"], content["to"])
                return {"type": "ack"}
            cause = self._running.get(serving) if serving is not None else None
            seq, duplicate = self._store(content, cause.message if cause is not None else None)
        return {"type": "ack", "seq": seq, "duplicate": duplicate}

    def _store(
        self, content: dict[str, Any], cause: dict[str, Any] | None
    ) -> tuple[int | None, bool]:
        """Its seq, None when that has to wait, and whether it was there before."""
        dedupe = (content.get("queue"), content.get("msgid", ""))
        known = self._known.get(dedupe)
        if dedupe[1] and known is not None and self._now - known[1] < _DEDUPE_MS:
            return known[0], True
        message = {name: value for name, value in content.items() if value is not None}
        message.setdefault("data", None)
        if cause is not None:
            message["cause"] = _id_of(cause)
            message["correlation"] = cause.get("correlation") or _id_of(cause)
            if "key" not in content and "key" in cause:
                message["key"] = cause["key"]
        due = message.pop("at", None)
        if "delay" in message:
            due = self._now + message.pop("delay")
        if due is not None and due > self._now:
            self._delayed.append((due, message))
            seq = None
        else:
            seq = self._append(message)
        if dedupe[1]:
            self._known[dedupe] = (seq, self._now)
        return seq, False

    def _append(self, message: dict[str, Any]) -> int:
        self._seq += 1
        message.update(seq=self._seq, time=self._now)
        message.setdefault("correlation", _id_of(message))
        self._log.append(message)
        self._fan_out(message, None)
        return self._seq

    def _fan_out(self, message: dict[str, Any], only: str | None) -> None:
        """Has the groups wait for a message.  only: this one group."""
        chosen: dict[tuple[str, int], tuple[int, list[Subscription]]] = {}
        for group, one, target in self._subscriptions:
            if one.job:
                fits = one.name == message.get("queue")
            else:
                fits = "topic" in message and matches(one.name, message["topic"])
            if not fits or (only is not None and group != only):
                continue
            # Each process, or the first that wants it: a group is in one place.
            own, fitting = chosen.setdefault((group, target if one.each else 0), (target, []))
            if own == target:
                fitting.append(one)
        for (group, _place), (target, fitting) in chosen.items():
            events = self._registries[target - 1].events
            assert events is not None
            handler, one = events.attempt_of(fitting), fitting[0]
            queue = self._broadcasts if one.each else self._waiting
            queue.append(Delivery(message, group, one, handler, self._now))

    # ----------------------------------------------------------------- running

    def idle(self, timeout: float = _BOUND_SECONDS) -> None:
        """Runs the handlers until nothing is due any more; what is put off stays so.

        timeout: seconds of real time.  Raises TimeoutError, which names what still runs.
        """
        self._settle(timeout, False)

    def tick(self, duration: Duration) -> None:
        """Lets time pass, with all that falls due on the way, in order: delays, back-offs
        and the timeouts of `async def` handlers that hang.

        duration: "10m", "1.5s", whole milliseconds or a timedelta.
        """
        target = self._now + duration_ms(duration, "tick")
        self._settle(_BOUND_SECONDS, True)
        while True:
            with self._lock:
                due = self._next_due()
                if due is None or due > target:
                    break
                self._now = max(due, self._now)
                has_ended_some = self._expire()
            if has_ended_some:
                # Whose `finally` and `except CancelledError` are to run before time goes on.
                self._engine.run(_a_few_turns())
            self._settle(_BOUND_SECONDS, True)
        self._now = target

    def now(self) -> int:
        """The bus's time: milliseconds since 1970."""
        return self._now

    def _next_due(self) -> int | None:
        moments = [due for due, _message in self._delayed]
        moments += [one.due for one in self._waiting if one.due > self._now]
        moments += [one.expires for one in self._running.values() if one.expires is not None]
        return min(moments, default=None)

    def _expire(self) -> bool:
        """Stores what was delayed until now, and ends handlers whose time is over.

        Returns whether there were any of these.
        """
        falling = [one for one in self._delayed if one[0] <= self._now]
        self._delayed = [one for one in self._delayed if one[0] > self._now]
        for _due, message in falling:  # All at this very moment: tick() stops at each.
            self._append(message)
        running = list(self._running.items())
        over = [(id, one) for id, one in running if (one.expires or self._now + 1) <= self._now]
        for id, one in over:
            assert one.future is not None
            del self._running[id]
            one.future.cancel()
            text = f"not handled within {one.timeout_ms} ms"
            self._fail(one, {"error": {"name": "Timeout", "message": text}})
        return bool(over)

    def _settle(self, timeout: float, may_hang: bool) -> None:
        """may_hang: leaves handlers alone that do not end, if the clock can end them."""
        start = time.monotonic()
        news = start
        with self._engine.in_charge():
            while True:
                if time.monotonic() - start > timeout:
                    raise TimeoutError(self._busy_text(timeout))
                if self._reap(0.0) or self._begin_next():
                    news = time.monotonic()
                    continue
                with self._lock:
                    running = list(self._running.values())
                if not running:
                    return
                can_expire = may_hang and all(one.expires is not None for one in running)
                if can_expire and time.monotonic() - news > _PATIENCE_SECONDS:
                    return
                if self._reap(0.05):
                    news = time.monotonic()

    def _busy_text(self, timeout: float) -> str:
        with self._lock:
            busy = [*self._running.values(), *self._waiting][:5]
        names = "; ".join(map(str, busy)) or "handlers that publish to each other for ever"
        return f"the bus is not idle after {timeout:g} s: {names}"

    def _reap(self, seconds: float) -> bool:
        """Takes the answer of a handler that has ended, if there is one in time."""
        try:
            id, line = self._over.get(timeout=seconds) if seconds else self._over.get_nowait()
        except Empty:
            return False
        with self._lock:
            delivery = self._running.pop(id, None)
            if delivery is not None:
                self._answer(delivery, line)
        return True

    def _begin_next(self) -> bool:
        """Has the next handler begin; one that is no `async def` also ends."""
        with self._lock:
            delivery = self._broadcasts.popleft() if self._broadcasts else self._next_waiting()
            if delivery is None:
                return False
            self._ids += 1
            id = self._ids
            frame = delivery.frame = self._frame_for(delivery, id)
            self._running[id] = delivery
            handler = delivery.handler
        token = _serving.set(id)
        try:
            if handler.is_async:
                if delivery.timeout_ms:
                    delivery.expires = self._now + delivery.timeout_ms
                serving = handler.serve_async(frame, frame, in_thread)
                delivery.future = future = self._engine.begin(serving)
                future.add_done_callback(lambda over: self._over.put((id, _line(over))))
                return True
            line = handler.serve(frame, frame)
        except BaseException:
            del self._running[id]
            raise
        finally:
            _serving.reset(token)
        self._over.put((id, line))
        return True

    def _next_waiting(self) -> Delivery | None:
        """The oldest that is due, whose key is free, and whose group has a hand left."""
        blocked = {(one.group, one.message.get("key")) for one in self._running.values()}
        busy: dict[tuple[str, bool, bool], int] = {}
        for one in self._running.values():
            busy[one.place] = busy.get(one.place, 0) + 1
        for one in sorted(self._waiting, key=lambda one: int(one.message["seq"])):
            key = (one.group, one.message.get("key"))
            is_free = key[1] is None or key not in blocked
            blocked.add(key)
            if is_free and one.due <= self._now:
                if busy.get(one.place, 0) < self._most[one.place]:
                    self._waiting.remove(one)
                    return one
        return None

    def _frame_for(self, delivery: Delivery, id: int) -> dict[str, Any]:
        delivery.attempt += 1
        message = {name: value for name, value in delivery.message.items() if name != "data"}
        frame = {"type": "event", **message, "group": delivery.group, "attempt": delivery.attempt}
        if not delivery.subscription.each:
            frame["id"] = id
        if delivery.attempt >= delivery.most_attempts:
            frame["last"] = True
        if delivery.timeout_ms:
            frame["timeout"] = delivery.timeout_ms
        # Through JSON: what a handler does to its data is its own affair.
        frame["data"] = copied(delivery.message["data"])
        return frame

    def _answer(self, delivery: Delivery, line: str) -> None:
        """Goes by the line that a handler has answered with."""
        frame: dict[str, Any] = decode(line) if line else {"type": "ack"}
        if frame["type"] == "ack":
            for content in frame.get("publish", ()):
                self._store(content, delivery.message)
        else:
            self._fail(delivery, frame)

    def _fail(self, delivery: Delivery, nack: Mapping[str, Any]) -> None:
        error = Failure(nack.get("error") or {"message": nack.get("message")})
        letter = DeadLetter(Event(delivery.frame), delivery.group, error, delivery.attempt)
        self._failed.append(letter)
        if delivery.subscription.each:
            return
        if nack.get("dead") or delivery.attempt >= delivery.most_attempts:
            self._dead.append(letter)
            return
        delay = nack.get("delay")
        delivery.due = self._now + (delivery.backoff_ms() if delay is None else int(delay))
        delivery.expires = None
        self._waiting.append(delivery)

    # ----------------------------------------------------------------- results

    def published(self, pattern: str = ">") -> list[Event]:
        """The events whose topic fits, oldest first, whoever has published them."""
        events = [one for one in self._log if "topic" in one]
        return [Event(one) for one in events if matches(pattern, one["topic"])]

    def enqueued(self, queue: str | None = None) -> list[Event]:
        """The jobs of a queue, or of all, oldest first, whether they are done or not."""
        if queue is not None:
            check_name(queue, "enqueued", "queue")
        jobs = [one for one in self._log if "queue" in one]
        return [Event(one) for one in jobs if queue in (None, one["queue"])]

    def dead(self) -> list[DeadLetter]:
        """What has been given up, oldest first."""
        return list(self._dead)

    def failed(self) -> list[DeadLetter]:
        """Every attempt that has failed, oldest first; most of them come again."""
        return list(self._failed)

    def seek(self, group: str, to: Any) -> None:
        """Has a group begin elsewhere; see nodey.seek()."""
        start = start_of(to, "to")
        groups = {name for name, one, _target in self._subscriptions if not one.each}
        if group not in groups:
            known = ", ".join(sorted(map(repr, groups)))
            raise ValueError(f"there is no group {group!r}, only {known}")
        with self._lock:
            self._waiting = [one for one in self._waiting if one.group != group]
            for message in self._log:
                if _is_after(message, start):
                    self._fan_out(message, group)
            self._broadcasts.clear()

    # ------------------------------------------------------------------ client

    @property
    def registry(self) -> Registry:
        """What the first target declares."""
        return self._registries[0]

    @property
    def client(self) -> Client:
        """A Client for the handlers of requests in the same script."""
        if self._client is None:
            from .testing import Client

            self._client = Client(self)
        return self._client

    def __enter__(self) -> Bus:
        self._run_hooks("start", self._registries)
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self._run_hooks("stop", self._registries)
        finally:
            self.close()

    def _run_hooks(self, kind: str, registries: Iterable[Registry]) -> None:
        with self._engine.in_charge():
            for registry in registries:
                if registry.hooks is None:
                    continue
                if registry.has_async:
                    self._engine.run(getattr(registry.hooks, f"{kind}_async")(in_thread))
                else:
                    getattr(registry.hooks, kind)()

    def close(self) -> None:
        """Ends the event loop of `async def` handlers; leaving the context does it too."""
        global _latest
        if _latest is self:
            _latest = None
        if self._client is not None:
            self._client.close()
        self._engine.close()

    def __del__(self) -> None:
        engine = getattr(self, "_engine", None)
        if engine is not None:
            engine.close()


def _stem(target: Any) -> str:
    return str(os.path.splitext(os.path.basename(os.path.normpath(os.fspath(target))))[0])


def _id_of(message: Mapping[str, Any]) -> str:
    return str(message.get("msgid") or message["seq"])


def _is_after(message: Mapping[str, Any], start: Any) -> bool:
    if isinstance(start, dict):
        if "seq" in start:
            return bool(message["seq"] >= start["seq"])
        return bool(message["time"] >= start["time"])
    return bool(start == "first")


async def _a_few_turns() -> None:
    import asyncio

    for _ in range(3):
        await asyncio.sleep(0)


def _line(future: concurrent.futures.Future[str]) -> str:
    """What a handler has answered; of one that was cancelled a nack."""
    if not future.cancelled() and future.exception() is None:
        return future.result()
    why = "cancelled" if future.cancelled() else repr(future.exception())
    return nack_line(0, "Cancelled", why, None, None, False)
