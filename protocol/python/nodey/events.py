"""events: server-sent events (WHATWG HTML, 9.2)."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
    from typing import Any

    from .response import HeadersLike

    Event = str | Mapping[str, Any]

from .codec import encode
from .response import Response
from .streaming import EVENTS

_FIELDS = ("event", "data", "id", "retry", "comment")
_BREAKS = re.compile("\r\n|\r|\n")


def sse(
    events: Iterable[Event] | AsyncIterable[Event],
    *,
    status: int = 200,
    headers: HeadersLike | None = None,
) -> Response:
    """A stream of events for the browser's EventSource.

    events: usually a generator, also an async one.  Each is a str, the event's data, or a dict
        with any of: "data" (a str, or a value that becomes JSON), "event" (its name), "id"
        (the browser says the last one in `last-event-id` when it connects again), "retry"
        (milliseconds until then), "comment" (nothing but a sign of life).
    The client is told at once that it is connected, and each event is sent at once.  When it
    leaves, or nodey replaces the worker, the generator is closed.
    """
    made: Iterator[str] | AsyncIterator[str]
    if hasattr(events, "__aiter__"):
        made = _texts_async(events)  # type: ignore[arg-type]
    elif hasattr(events, "__iter__") and not isinstance(events, (str, bytes, dict)):
        made = _texts(events)
    else:
        raise TypeError(
            f"nodey.sse() takes a generator of events, or a list of them, not "
            f"{type(events).__name__}"
        )
    response = Response(made, status, headers)
    response.headers.setdefault("content-type", EVENTS)
    response.headers.setdefault("cache-control", "no-cache")
    return response


def _texts(events: Iterable[Event]) -> Iterator[str]:
    iterator = iter(events)
    try:
        for event in iterator:
            yield text_of(event)
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            close()


async def _texts_async(events: AsyncIterable[Event]) -> AsyncIterator[str]:
    iterator = events.__aiter__()
    try:
        async for event in iterator:
            yield text_of(event)
    finally:
        close = getattr(iterator, "aclose", None)
        if close is not None:
            await close()


def text_of(event: Event) -> str:
    """One event as it is sent."""
    if isinstance(event, str):
        event = {"data": event}
    if not isinstance(event, dict) or not event or not event.keys() <= set(_FIELDS):
        raise TypeError(
            f"an event is a str or a dict of {', '.join(_FIELDS)}, not "
            f"{event if isinstance(event, dict) else type(event).__name__}; "
            'write {"data": value} for a JSON value'
        )
    lines: list[str] = []
    if "comment" in event:
        lines += [f": {line}" for line in _BREAKS.split(str(event["comment"]))]
    for name in ("event", "id"):
        if name in event:
            lines.append(f"{name}: {_one_line(name, event[name])}")
    if "retry" in event:
        lines.append(f"retry: {event['retry']:d}")
    if "data" in event:
        data = event["data"]
        text = data if isinstance(data, str) else encode(data, "the data of an event")
        lines += [f"data: {line}" for line in _BREAKS.split(text)]
    return "\n".join(lines) + "\n\n"


def _one_line(name: str, value: object) -> str:
    text = str(value)
    if _BREAKS.search(text) or "\0" in text:
        raise ValueError(f"the {name} of an event has a line break or NUL: {text!r}")
    return text
