"""letters: what testing.Bus keeps of a message: on its way to a handler, and when that fails."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Mapping
    from typing import Any

    from .attempt import Attempt
    from .delivery import Event
    from .subscription import Subscription

_BACKOFF = (1000, 5000, 30_000, 120_000, 600_000, 3_600_000)
_ATTEMPTS = 10
_TIMEOUT_MS = 30_000


class Failure:
    """Why an attempt failed.  name: of the exception.  stack: the traceback."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        self.name = str(error.get("name") or "Error")
        self.message = str(error.get("message") or "")
        self.stack = str(error.get("stack") or "")

    def __str__(self) -> str:
        return f"{self.name}: {self.message}" if self.message else self.name

    def __repr__(self) -> str:
        return f"<{self}>"


class DeadLetter:
    """An event or job that a group has given up, or that has failed once.

    event: as the handler has seen it last.  group: whose.  error: a Failure.  attempts: how
    many there were.
    """

    def __init__(self, event: Event, group: str, error: Failure, attempts: int) -> None:
        self.event = event
        self.group = group
        self.error = error
        self.attempts = attempts

    def __repr__(self) -> str:
        return f"<{self.event!r} in {self.group!r}, attempt {self.attempts}: {self.error}>"


class Delivery:
    """A message on its way through one group.  subscription: whose options count."""

    def __init__(
        self,
        message: dict[str, Any],
        group: str,
        subscription: Subscription,
        handler: Attempt,
        due: int,
    ) -> None:
        self.message = message
        self.group = group
        self.subscription = subscription
        self.handler = handler
        self.attempt = 0
        self.due = due
        self.expires: int | None = None  # By the bus's clock, while it is being handled.
        self.future: concurrent.futures.Future[str] | None = None
        self.frame: dict[str, Any] = {}

    @property
    def place(self) -> tuple[str, bool, bool]:
        """What its turn is counted in: the group, of jobs, of broadcasts."""
        return (self.group, self.subscription.job, self.subscription.each)

    @property
    def most_attempts(self) -> int:
        return int(self.subscription.settings.get("attempts", _ATTEMPTS))

    @property
    def timeout_ms(self) -> int:
        usual = 0 if self.subscription.job else _TIMEOUT_MS
        return int(self.subscription.settings.get("timeout", usual))

    def backoff_ms(self) -> int:
        """What follows the attempt that has just failed."""
        table = self.subscription.settings.get("backoff") or _BACKOFF
        return int(table[min(self.attempt, len(table)) - 1])

    def __str__(self) -> str:
        return f"{self.handler.name} with seq {self.message['seq']}"
