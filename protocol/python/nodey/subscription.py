"""subscription: the handlers of events and jobs, and which of them a message is for."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from .handler import InThread
    from .log import Log
    from .message import Duration
    from .request import Canceller

from .channel import channel
from .codec import encode_id
from .delivery import Context, Dead, Event, Retry
from .errors import Error, log_failure, one_line, traceback_text
from .handler import Handler, arity, code_flags
from .handling import Handling, current
from .message import Published, ack_line, duration_ms, moment_ms, nack_line, name_fault

_COROUTINE = 0x80
_YIELDS = 0x20 | 0x200
_MOST_AT_A_TIME = 100000
_MOST_ATTEMPTS = 1000
_MOST_BACKOFFS = 64
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


class Attempt(Handler):
    """Who handles a message: the handlers of its group that want it, one after the other.

    They succeed together, with one ack; the first that raises is the failure of all, and the
    rest does not run.
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
        if frame.get("id") is None and len(self.row) > 1:
            for alone in self._apart():
                alone.serve(frame, argument)
            return ""
        handling, where = self._begin(frame), self.name
        token = current.set(handling)
        try:
            event, context = Event(frame), Context(frame, self.canceller, channel.write)
            for one in self.row:
                where = one.name
                one.handle(event, context)
            return self._handled(frame, handling.settle())
        except Exception as exc:
            return failed_line(exc, frame, where)
        finally:
            handling.settle()
            current.reset(token)

    async def serve_async(self, frame: dict[str, Any], argument: Any, in_thread: InThread) -> str:
        if frame.get("id") is None and len(self.row) > 1:
            from asyncio import gather

            await gather(*(one.serve_async(frame, argument, in_thread) for one in self._apart()))
            return ""
        handling, where = self._begin(frame), self.name
        token = current.set(handling)
        try:
            event, context = Event(frame), Context(frame, self.canceller, channel.write)
            for one in self.row:
                where = one.name
                await one.handle_async(event, context, in_thread)
            outputs = handling.settle()
            if frame.get("id") is None and outputs:
                await in_thread(lambda: _publish_all(outputs))
                return ""
            return self._handled(frame, outputs)
        except Exception as exc:
            return failed_line(exc, frame, where)
        finally:
            handling.settle()
            current.reset(token)

    def _apart(self) -> list[Attempt]:
        """For a broadcast, which has no end that the handlers could share."""
        return [Attempt((one,), self.canceller) for one in self.row]

    def _begin(self, frame: dict[str, Any]) -> Handling:
        # Room for the ack around the messages, whose id may be a string.
        return Handling(frame.get("key"), channel.max_line - 64 - len(encode_id(frame.get("id"))))

    def _handled(self, frame: dict[str, Any], outputs: list[str]) -> str:
        """The line that settles an event, with what was published meanwhile."""
        if frame.get("id") is not None:
            return ack_line(frame["id"], outputs)
        _publish_all(outputs)
        return ""


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


# ---------------------------------------------------------------- subscriptions


class Subscription:
    """One pattern of `@nodey.on`, or the queue of `@nodey.job`."""

    __slots__ = ("name", "job", "group", "begin", "each", "max", "settings", "handler")

    def __init__(
        self, name: str, job: bool, handler: EventHandler, settings: Mapping[str, Any]
    ) -> None:
        """settings: the members of its declaration, other than the name."""
        self.name = name
        self.job = job
        self.handler = handler
        self.settings = settings
        self.group: str = settings.get("group") or (name if job else own_group())
        self.each = bool(settings.get("each"))
        self.max: int | None = settings.get("max")

    def declaration(self, concurrency: int) -> dict[str, Any]:
        """As it stands in `ready`.  concurrency: what the worker can do at a time."""
        found = {"queue" if self.job else "topic": self.name, **self.settings}
        if self.max is not None:
            found["max"] = min(self.max, concurrency)
        return found

    def __str__(self) -> str:
        return f"@nodey.{'job' if self.job else 'on'}({self.name!r})"


def own_group() -> str:
    """The group of who names none: the worker's name."""
    return os.environ.get("NODEY_WORKER", "")


def matches(pattern: str, topic: str) -> bool:
    """Whether a pattern takes a topic: "*" is one token, a last ">" one or more."""
    wanted, found = pattern.split("."), topic.split(".")
    if wanted[-1] == ">":
        if len(found) < len(wanted):
            return False
        wanted, found = wanted[:-1], found[: len(wanted) - 1]
    return len(wanted) == len(found) and all(
        one in ("*", other) for one, other in zip(wanted, found)
    )


class Subscriptions:
    """All of a worker."""

    def __init__(self) -> None:
        self.all: list[Subscription] = []
        self._canceller: Canceller | None = None
        self._attempts: dict[tuple[EventHandler, ...], Attempt] = {}

    def add(self, new: Subscription, replaces: bool) -> None:
        """replaces: it may be a function of before that was changed.

        Raises ValueError for a second handler of a queue.
        """
        for index, old in enumerate(self.all):
            if (old.job, old.name, old.group, old.each) != (new.job, new.name, new.group, new.each):
                continue
            if replaces and (new.job or _is_anew(old.handler.function, new.handler.function)):
                self.all[index] = new
                return
            if new.job:
                name = old.handler.name.partition(" (")[0]
                raise ValueError(f"{new} has a handler already, {name}; an order is for one")
        self.all.append(new)

    @property
    def threads(self) -> int:
        """How many threads the `def` handlers ask for; 0 when one after the other will do."""
        wanted = {
            id(one.handler): one.max or 1 for one in self.all if not one.handler.is_async
        }.values()
        return min(sum(wanted), 1000) if any(count > 1 for count in wanted) else 0

    def declared(self, concurrency: int) -> dict[str, Any]:
        """The members of `ready`."""
        found: dict[str, Any] = {}
        for member, jobs in (("subscribe", False), ("jobs", True)):
            listed = [one.declaration(concurrency) for one in self.all if one.job is jobs]
            if listed:
                found[member] = listed
        return found

    def find(self, frame: dict[str, Any]) -> Attempt:
        """The handlers of an `event`.  Raises Error when there is none."""
        topic, group = frame.get("topic"), frame.get("group")
        if topic is None:
            queue = frame.get("queue")
            fitting = [one for one in self.all if one.job and one.name == queue]
        else:
            fitting = [one for one in self.all if not one.job and matches(one.name, topic)]
            each = frame.get("id") is None
            fitting = [one for one in fitting if one.each == each]
            # A group of no name of its own is the worker's, whatever that is called.
            fitting = [one for one in fitting if one.group == group] or [
                one for one in fitting if not one.settings.get("group")
            ]
        if not fitting:
            what = f"topic {topic!r}" if topic is not None else f"queue {frame.get('queue')!r}"
            raise Error("unimplemented", f"this worker has no handler of the {what} in {group!r}")
        return self.attempt_of(fitting)

    def attempt_of(self, fitting: Iterable[Subscription]) -> Attempt:
        """The handlers of these, in the order of their declaration, each once."""
        row = tuple(dict.fromkeys(one.handler for one in fitting))
        found = self._attempts.get(row)
        if found is None:
            found = self._attempts[row] = Attempt(row, self._canceller)
        return found

    def seal(self, canceller: Canceller | None) -> None:
        """Everything is declared.  canceller: tells whether a message is cancelled."""
        self._canceller = canceller
        self._attempts.clear()


def _is_anew(old: Any, new: Any) -> bool:
    """Whether a function was declared before, under its name."""
    names = ("__module__", "__qualname__")
    return all(getattr(old, name, old) == getattr(new, name, new) for name in names)


# --------------------------------------------------------------------- settings


def settings_of(what: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a declaration as members of `ready`.  Raises TypeError, ValueError.

    what: the declaration, for sentences.  given: by name; None leaves it to the supervisor.
    """
    found: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        try:
            found[_MEMBERS.get(name, name)] = _CHECKS[name](value)
        except (TypeError, ValueError) as exc:
            raise type(exc)(f"{what}: {exc}") from None
    if found.get("each"):
        found["each"] = True
        for name in ("from", "attempts", "backoff"):
            if name in found:
                said = "from_" if name == "from" else name
                text = f"an event of each=True comes once, from now on, so {said} means nothing"
                raise ValueError(f"{what}: {text}")
    else:
        found.pop("each", None)
    return found


def _number(what: str, most: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if type(value) is not int:
            raise TypeError(f"{what} is a number from 1 to {most}, not {value!r}")
        if not 1 <= value <= most:
            raise ValueError(f"{what} is a number from 1 to {most}, not {value}")
        return value

    return check


def _each(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError(f"each is True or False, not {value!r}")
    return value


def check_group(value: Any) -> str:
    """The name of a group.  Raises TypeError, ValueError."""
    if not isinstance(value, str):
        raise TypeError(f"group is a name, not {value!r}")
    fault = name_fault(value)
    if fault:
        raise ValueError(f"group={value!r}: {fault}")
    return value


def start_of(value: Any, what: str = "from_") -> Any:
    """Where a group begins, as a member of a frame.  Raises TypeError, ValueError."""
    if value in ("first", "new"):
        return value
    if isinstance(value, dict) and len(value) == 1:
        if type(value.get("seq")) is int and value["seq"] >= 0:
            return {"seq": value["seq"]}
        if "time" in value:
            return {"time": moment_ms(value["time"], "time")}
    text = f'{what} is "first", "new", {{"seq": number}} or {{"time": datetime}}, not {value!r}'
    raise (ValueError if isinstance(value, (str, dict)) else TypeError)(text)


def _backoff(value: Any) -> list[int]:
    delays: list[Duration] = list(value) if isinstance(value, (list, tuple)) else [value]
    if not 0 < len(delays) <= _MOST_BACKOFFS:
        raise ValueError(f"backoff has 1 to {_MOST_BACKOFFS} durations, not {len(delays)}")
    return [duration_ms(delay, "backoff") for delay in delays]


_MEMBERS = {"from_": "from", "concurrency": "max"}
_CHECKS: dict[str, Callable[[Any], Any]] = {
    "group": check_group,
    "from_": start_of,
    "each": _each,
    "max": _number("max", _MOST_AT_A_TIME),
    "concurrency": _number("concurrency", _MOST_AT_A_TIME),
    "attempts": _number("attempts", _MOST_ATTEMPTS),
    "backoff": _backoff,
    "timeout": lambda value: duration_ms(value, "timeout"),
}
