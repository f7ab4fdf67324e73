"""delivery: an event or a job in a handler's hands, and the ways in which handling fails."""

from __future__ import annotations

from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .log import Log
    from .message import Duration
    from .request import Canceller

from .codec import decode, encode_id
from .errors import NoAttribute
from .message import duration_ms

_PROGRESS_SECONDS = 0.1


class Retry(Exception):
    """Raised by a handler of events or jobs: try again, after a time of the handler's own.

    delay: "1m", "1.5s" and the like, whole milliseconds, or a timedelta; None leaves it to the
        back-off, as any other exception does.
    message: why, for people.
    The attempt counts: after the last one it is a dead letter.
    """

    def __init__(self, delay: Duration | None = None, message: str = "") -> None:
        super().__init__(message or "to be tried again")
        self.delay_ms = None if delay is None else duration_ms(delay, "Retry: delay")
        self.message = message


class Dead(Exception):
    """Raised by a handler of events or jobs: no attempt can succeed, it is a dead letter at once.

    message: why, for people; `nodey dead` shows it.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message or "given up by its handler")
        self.message = message


class _Attempted:
    """What an event and its context both say of the attempt."""

    __slots__ = ("_frame",)

    def __init__(self, frame: dict[str, Any]) -> None:
        self._frame = frame

    @property
    def attempt(self) -> int:
        """1 the first time, then 2, 3, ..."""
        return int(self._frame.get("attempt", 1))

    @property
    def last(self) -> bool:
        """Whether no attempt follows when this one fails."""
        return self._frame.get("last") is True


class Event(_Attempted):
    """A fact that somebody published, or a job that was given to this handler.

    Its attributes can be read only.
    """

    __slots__ = ("_data", "_has_data")

    def __init__(self, frame: dict[str, Any]) -> None:
        """frame: an `event` that frames.checked() has let through."""
        super().__init__(frame)
        self._data: Any = None
        self._has_data = False

    def __repr__(self) -> str:
        kind = "topic" if self.topic is not None else "queue"
        return f"<Event {kind}={self.topic or self.queue!r} id={self.id!r} attempt={self.attempt}>"

    if not TYPE_CHECKING:  # Checkers know the attributes.

        def __getattr__(self, name: str) -> object:
            """Called for what is not there, other libraries' names for instance."""
            raise NoAttribute("the event", name, lambda: dir(self))

    @property
    def id(self) -> str:
        """The same for all attempts and groups: the publisher's own id, or the seq as text."""
        found = self._frame.get("msgid")
        return found if isinstance(found, str) else str(self._frame.get("seq"))

    @property
    def topic(self) -> str | None:
        """Of an event; None for a job."""
        return self._frame.get("topic")

    @property
    def queue(self) -> str | None:
        """Of a job; None for an event."""
        return self._frame.get("queue")

    @property
    def data(self) -> Any:
        """What was published, a JSON value.

        Big data lies in a file, which is read when this is asked for the first time.
        """
        if not self._has_data:
            self._data = self._read()
            self._has_data = True
        return self._data

    def _read(self) -> Any:
        path = self._frame.get("file")
        if path is None:
            return self._frame.get("data")
        try:
            with open(path, encoding="utf-8") as file:
                return decode(file.read())
        except FileNotFoundError:
            text = (
                f"the data of the event {self.id} is gone: its file is there until the event is "
                "settled; read event.data before the handler returns"
            )
            raise RuntimeError(text) from None

    @property
    def key(self) -> str | None:
        """Events of one key come one at a time and in order; None when there is no order."""
        return self._frame.get("key")

    @property
    def seq(self) -> int:
        """Its number; that of what was published later is greater."""
        return int(self._frame.get("seq", 0))

    @property
    def time(self) -> int:
        """When it was stored: milliseconds since 1970."""
        return int(self._frame.get("time", 0))

    @property
    def group(self) -> str:
        """Who gets it: the workers of one group share the work."""
        return str(self._frame.get("group", ""))

    @property
    def cause(self) -> str | None:
        """The id of what was being handled when it was published, or None."""
        return self._frame.get("cause")

    @property
    def correlation(self) -> str:
        """The id of what the whole story began with; its own if it is the first."""
        return str(self._frame.get("correlation") or self.id)

    @property
    def traceparent(self) -> str | None:
        """The trace context (W3C) that it belongs to, or None."""
        return self._frame.get("traceparent")

    @property
    def headers(self) -> dict[str, str]:
        """What the publisher has added to the data; may be empty."""
        return dict(self._frame.get("headers") or {})


class Context(_Attempted):
    """What a handler with a second argument is given beside the event: this attempt."""

    __slots__ = ("_canceller", "_say", "_deadline", "_said", "log")

    def __init__(
        self, frame: dict[str, Any], canceller: Canceller | None, say: Callable[[str], None]
    ) -> None:
        """say: sends a line."""
        from .log import log

        super().__init__(frame)
        self._canceller = canceller
        self._say = say
        self._said = float("-inf")
        self.log: Log = log
        self._deadline = self._time_is_over_at()

    def _time_is_over_at(self) -> float | None:
        timeout = self._frame.get("timeout")
        if not isinstance(timeout, (int, float)) or timeout <= 0:
            return None
        return monotonic() + timeout / 1000

    @property
    def deadline(self) -> float | None:
        """When the attempt counts as failed, by time.monotonic(); None when never."""
        return self._deadline

    @property
    def timeout(self) -> float | None:
        """Seconds that are left, 0 or more; None when there is no limit."""
        return None if self._deadline is None else max(self._deadline - monotonic(), 0.0)

    def cancelled(self) -> bool:
        """Whether the result will not count any more: time is over, or nodey stops.

        Cheap enough for a loop that does real work in every turn.  An `async def` handler
        is cancelled by itself.
        """
        return self._canceller is not None and self._canceller.is_cancelled(self._frame)

    def progress(self) -> None:
        """Says that the handler gets on: its timeout begins anew.

        May be called as often as one likes; ten times a second it is passed on.
        """
        now = monotonic()
        if self._frame.get("id") is None or now - self._said < _PROGRESS_SECONDS:
            return
        self._said = now
        self._deadline = self._time_is_over_at()
        self._say(f'{{"type":"progress","id":{encode_id(self._frame["id"])}}}\n')
