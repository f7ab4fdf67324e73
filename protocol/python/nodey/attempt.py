"""attempt: one go at handling an event or a job: who is called, and what is answered."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from .handler import InThread
    from .request import Canceller

from .channel import channel
from .codec import encode_id
from .delivery import Context, Dead, Event, Retry
from .errors import log_failure, one_line, traceback_text
from .handler import Handler, arity, code_flags
from .handling import Handling, current
from .message import Published, ack_line, cause_members, nack_line

_COROUTINE = 0x80
_YIELDS = 0x20 | 0x200
_MESSAGE_MAX = 4000


class EventHandler(Handler):
    """The function behind `@nodey.on` or `@nodey.job`: called with the event, and with the
    Context if it takes two arguments.  What it returns is of no account."""

    __slots__ = ("takes",)

    has_result = False

    def __init__(self, function: Callable[..., Any], label: str) -> None:
        if not callable(function) or isinstance(function, (staticmethod, classmethod)):
            raise TypeError(f"the handler of {label} is no function: {function!r}")
        needed, most = arity(function) or ([], 1.0)
        name = getattr(function, "__qualname__", type(function).__name__)
        if len(needed) > 2 or "*" in "".join(needed):
            raise TypeError(
                f"the handler of {label} is called with (event) or (event, ctx), but it is "
                f"{name}({', '.join(needed)})"
            )
        flags = code_flags(function)
        if flags & _YIELDS:
            raise TypeError(
                f"{name} of {label} yields: nobody would take the pieces; "
                "nodey.publish() what others are to know"
            )
        super().__init__(lambda _event: None, label)
        self.name = f"{name} ({label})"
        self.function = function
        self.is_async = bool(flags & _COROUTINE)
        # A second parameter with a default is the function's own.
        self.takes = 2 if len(needed) == 2 or most == float("inf") else int(min(most, 1))

    def handle(self, event: Event, context: Context) -> None:
        """Calls the function, a `def`."""
        self._check_result(self.function(*(event, context)[: self.takes]))

    async def handle_async(self, event: Event, context: Context, in_thread: InThread) -> None:
        """The same in an event loop, for either kind of function."""
        if not self.is_async:
            await in_thread(lambda: self.handle(event, context))
            if context.cancelled():
                from asyncio import CancelledError

                # Of the task, which cannot be while a thread is at work.
                raise CancelledError
            return
        result = self.function(*(event, context)[: self.takes])
        if hasattr(result, "__await__"):
            result = await result
        self._check_result(result)

    def _check_result(self, result: Any) -> None:
        """Raises TypeError for a result that has still to be done."""
        if type(result) is Published or result is None:
            return
        if hasattr(result, "__await__") or hasattr(result, "__next__"):
            raise TypeError(
                f"{self.name} returned a {type(result).__name__}, which never ran: "
                "write `async def` and `await`"
            )


class _Turn:
    """One attempt under way: the event, and what its handlers publish meanwhile.

    Leaving it is the end of the attempt, and makes of an exception the `line` that says so.
    """

    __slots__ = ("frame", "event", "context", "handling", "where", "line", "_token")

    def __init__(self, frame: dict[str, Any], canceller: Canceller | None, where: str) -> None:
        """where: who is at work, for the log."""
        self.frame = frame
        self.event = Event(frame)
        self.context = Context(frame, canceller, channel.write)
        # Room for the ack around the messages, whose id may be a string.
        room = channel.max_line - 64 - len(encode_id(frame.get("id")))
        cause = cause_members(frame) if frame.get("id") is None else ""
        self.handling = Handling(frame.get("key"), room, cause)
        self.where = where
        self.line = ""

    def __enter__(self) -> _Turn:
        self._token = current.set(self.handling)
        return self

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> bool:
        self.handling.settle()
        current.reset(self._token)
        if not isinstance(exc, Exception):
            return False
        self.line = failed_line(exc, self.frame, self.where)
        return True


class Attempt(Handler):
    """Who handles a message: the handlers of its group that want it, one after the other.

    They succeed together, with one ack; the first that raises is the failure of all, and the
    rest does not run.  A broadcast has no end that they could share: there each is alone.
    """

    __slots__ = ("row", "canceller")

    has_result = False

    def __init__(self, row: Sequence[EventHandler], canceller: Canceller | None) -> None:
        super().__init__(lambda _event: None, "event")
        self.name = ", ".join(one.name for one in row)
        self.row = row
        self.canceller = canceller
        self.is_async = any(one.is_async for one in row)

    def serve(self, frame: dict[str, Any], argument: Any) -> str:
        is_broadcast = frame.get("id") is None
        if is_broadcast and len(self.row) > 1:
            for alone in self._apart():
                alone.serve(frame, argument)
            return ""
        with _Turn(frame, self.canceller, self.name) as turn:
            for one in self.row:
                turn.where = one.name
                one.handle(turn.event, turn.context)
            outputs = turn.handling.settle()
            if is_broadcast:
                _publish_all(outputs)
            else:
                turn.line = ack_line(frame["id"], outputs)
        return turn.line

    async def serve_async(self, frame: dict[str, Any], argument: Any, in_thread: InThread) -> str:
        is_broadcast = frame.get("id") is None
        if is_broadcast and len(self.row) > 1:
            from asyncio import gather

            await gather(*(one.serve_async(frame, argument, in_thread) for one in self._apart()))
            return ""
        with _Turn(frame, self.canceller, self.name) as turn:
            for one in self.row:
                turn.where = one.name
                await one.handle_async(turn.event, turn.context, in_thread)
            outputs = turn.handling.settle()
            if not is_broadcast:
                turn.line = ack_line(frame["id"], outputs)
            elif outputs:
                await in_thread(lambda: _publish_all(outputs))
        return turn.line

    def _apart(self) -> list[Attempt]:
        return [Attempt((one,), self.canceller) for one in self.row]


def _publish_all(outputs: Iterable[str]) -> None:
    """Publishes what a handler of a broadcast has left: there is no ack it could go with."""
    from .worker import worker

    for members in outputs:
        worker.any_engine().tell("publish", None, members)


def failed_line(exc: BaseException, frame: dict[str, Any], where: str) -> str:
    """The line that says that an attempt has failed; "" for a broadcast, which has but one.

    Retry and Dead are a handler's own decision.  Everything else is logged, once, with its
    traceback.
    """
    if not isinstance(exc, (Retry, Dead)):
        if isinstance(exc, (AttributeError, TypeError)):
            from .habits import explain_misuse

            explain_misuse(exc)
        log_failure(exc, frame, where)
    id = frame.get("id")
    if id is None:
        return ""
    dead = isinstance(exc, Dead)
    delay = exc.delay_ms if isinstance(exc, Retry) else None
    message = one_line(exc).partition(": ")[2][:_MESSAGE_MAX]
    return nack_line(id, type(exc).__name__, message, traceback_text(exc), delay, dead)
