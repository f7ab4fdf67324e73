"""subscription: what a worker wants of events and jobs, and whom a message is for."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from .request import Canceller

from .attempt import Attempt, EventHandler
from .errors import Error


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
