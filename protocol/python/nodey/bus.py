"""bus: the functions of a script for events and jobs."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
    from typing import Any, NoReturn, TypeVar, Union

    from .message import Duration, Moment
    from .registry import Registry

    Function = TypeVar("Function", bound=Callable[..., Any])
    Start = Union[str, Mapping[str, Any]]

from .attempt import EventHandler
from .codec import encode, quote
from .handling import Handling, current
from .log import log
from .message import INHERITED, Inherited, Published, check_name, members_of, name_fault, with_key
from .settings import check_group, settings_of, start_of
from .subscription import Subscription
from .worker import worker

_PUBLISH_OPTIONS = ("key", "id", "at", "delay", "headers", "now")
_ON_OPTIONS = ("group", "from_", "each", "max", "attempts", "backoff", "timeout")
_JOB_OPTIONS = ("concurrency", "attempts", "backoff", "timeout")

_has_warned = False
_open: set[Any] = set()  # Tasks of late messages; asyncio itself holds tasks weakly.


# ------------------------------------------------------------------- publishing


def publish(
    topic: str,
    data: Any = None,
    *,
    key: str | None | Inherited = INHERITED,
    id: str | None = None,
    at: Moment | None = None,
    delay: Duration | None = None,
    headers: Mapping[str, str] | None = None,
    now: bool = False,
    **others: NoReturn,
) -> Published:
    """States a fact: every group whose pattern fits the topic will get it.

    topic: words with dots between, such as "comment.created".
    data: any JSON value.
    key: messages of one key are handled one at a time, in order; 1 to 200 bytes.  Within a
        handler of an event or a job it is that of what is handled, unless it is given; None
        for none.
    id: of one id only the first message is stored, for a while; 1 to 200 bytes.
    at, delay: not before: a datetime with a time zone, ISO text or milliseconds since 1970;
        "10m", "1.5s", whole milliseconds or a timedelta.
    headers: further facts, texts by name.
    now: within a handler of an event or a job, do not wait for its end.

    Returns when it is stored, as durably as its stream says.  Within a handler of an event or
    a job it returns at once: the message is stored together with the handler's success, all
    or nothing, and dropped when the handler raises.
    Raises nodey.Error: "resource_exhausted" when the stream is full, "invalid_argument",
    "unavailable" when nobody can store it (with the same `id` it may be published again);
    TypeError or ValueError for arguments that cannot be; RuntimeError in a running event
    loop, where await nodey.publish_async(...) is meant.
    """
    _refuse("publish", topic, others, _PUBLISH_OPTIONS)
    members = members_of("publish", "topic", topic, data, key, id, at, delay, headers)
    return _published("publish", members, key, now)


async def publish_async(
    topic: str,
    data: Any = None,
    *,
    key: str | None | Inherited = INHERITED,
    id: str | None = None,
    at: Moment | None = None,
    delay: Duration | None = None,
    headers: Mapping[str, str] | None = None,
    now: bool = False,
    **others: NoReturn,
) -> Published:
    """publish() for `async def`; see there.  Cancelling it does not take the message back."""
    _refuse("publish_async", topic, others, _PUBLISH_OPTIONS)
    members = members_of("publish_async", "topic", topic, data, key, id, at, delay, headers)
    return await _published_async(members, key, now)


def enqueue(
    queue: str,
    data: Any = None,
    *,
    key: str | None | Inherited = INHERITED,
    id: str | None = None,
    at: Moment | None = None,
    delay: Duration | None = None,
    headers: Mapping[str, str] | None = None,
    now: bool = False,
    **others: NoReturn,
) -> Published:
    """Gives an order: one worker that has a `@nodey.job` of the queue will do it.

    queue: a name such as "thumb".  The rest is as in publish().
    """
    _refuse("enqueue", queue, others, _PUBLISH_OPTIONS)
    members = members_of("enqueue", "queue", queue, data, key, id, at, delay, headers)
    return _published("enqueue", members, key, now)


async def enqueue_async(
    queue: str,
    data: Any = None,
    *,
    key: str | None | Inherited = INHERITED,
    id: str | None = None,
    at: Moment | None = None,
    delay: Duration | None = None,
    headers: Mapping[str, str] | None = None,
    now: bool = False,
    **others: NoReturn,
) -> Published:
    """enqueue() for `async def`; see publish_async()."""
    _refuse("enqueue_async", queue, others, _PUBLISH_OPTIONS)
    members = members_of("enqueue_async", "queue", queue, data, key, id, at, delay, headers)
    return await _published_async(members, key, now)


def _refuse(verb: str, name: Any, others: Mapping[str, object], known: Sequence[str]) -> None:
    """Raises TypeError for options that there are not."""
    if others:
        from .habits import refuse_options

        refuse_options(f"{verb}({name!r})", others, known)


def _in_loop() -> bool:
    asyncio_events = sys.modules.get("asyncio.events")
    return asyncio_events is not None and asyncio_events._get_running_loop() is not None


def _led_to(handling: Handling, members: str, key: str | None | Inherited) -> str:
    """A message that leaves by itself, with what it has from the one that is handled."""
    if isinstance(key, Inherited):
        members = with_key(members, handling.key)
    return handling.cause + members


def _kept(
    handling: Handling | None, members: str, key: str | None | Inherited, now: bool
) -> bool:
    """Whether the message waits for the end of what is being handled."""
    if handling is None or now:
        return False
    # With an ack nodey adds the rest; a broadcast has none.
    if handling.add(_led_to(handling, members, key) if handling.cause else members):
        return True
    _warn_of_late(members)
    return False


def _warn_of_late(members: str) -> None:
    global _has_warned
    if not _has_warned:
        _has_warned = True
        log.warn(
            "a message was published after its handler had ended, so it went out by itself: "
            f"an `await` is missing, or something outlives the handler ({members[:80]})"
        )


def _published(verb: str, members: str, key: str | None | Inherited, now: bool) -> Published:
    handling = current.get()
    if _kept(handling, members, key, now):
        return Published(buffered=True)
    sent = _sent(handling, members, key, now)
    if not _in_loop():
        return _stored(worker.any_engine().tell(*sent))
    if handling is None or now:
        raise RuntimeError(
            f"{verb}() would block the event loop: use await nodey.{verb}_async(...)"
        )
    return _send_later(_tell_async(*sent))


async def _published_async(members: str, key: str | None | Inherited, now: bool) -> Published:
    handling = current.get()
    if _kept(handling, members, key, now):
        return Published(buffered=True)
    return await _tell_async(*_sent(handling, members, key, now))


def _sent(
    handling: Handling | None, members: str, key: str | None | Inherited, now: bool
) -> tuple[str, Any, str]:
    """What an engine's tell() is given for a message that leaves by itself."""
    if handling is not None:
        members = _led_to(handling, members, key)
    if handling is not None and not now:
        return "publish", None, members  # What it would be for has ended.
    return "publish", worker.any_engine().serving_id(), members


def _stored(frame: Mapping[str, Any]) -> Published:
    return Published(frame.get("seq"), frame.get("duplicate") is True)


async def _tell_async(kind: str, serving: Any, members: str) -> Published:
    engine = worker.any_engine()
    native = getattr(engine, "tell_async", None)
    if native is not None:
        return _stored(await native(kind, serving, members))
    import asyncio

    loop = asyncio.get_running_loop()
    return _stored(await loop.run_in_executor(None, engine.tell, kind, serving, members))


def _send_later(sending: Coroutine[Any, Any, Published]) -> Published:
    """In a loop, for who need not await it."""
    import asyncio

    task = asyncio.ensure_future(sending)
    _open.add(task)
    task.add_done_callback(_sent_later)
    return Published(task=task)


def _sent_later(task: Any) -> None:
    _open.discard(task)
    if not task.cancelled() and task.exception() is not None:
        log.error(f"a message was not stored: {task.exception()}")


# --------------------------------------------------------------------- handlers


def on(
    pattern: str | Iterable[str],
    *,
    group: str | None = None,
    from_: Start | None = None,
    each: bool = False,
    max: int | None = None,
    attempts: int | None = None,
    backoff: Sequence[Duration] | Duration | None = None,
    timeout: Duration | None = None,
    **others: NoReturn,
) -> Callable[[Function], Function]:
    """Declares a handler of events.

    pattern: a topic, in which "*" is any one word and a last ">" the rest; or several.
    group: whose place in the stream it is; None: the worker's name.  Each group gets every
        event, and its workers share them.
    from_: where a new group begins: "new" (that is None, too), "first", {"seq": number} or
        {"time": datetime}.
    each: every process gets every event, from now on, once; what it misses is lost.
    max: at most so many at a time in this process.  None: 16 in an event loop, one otherwise.
    attempts: after so many it is a dead letter; None: 10.
    backoff: what to wait before the second, third, ... attempt; the last one repeats.  None:
        1s, 5s, 30s, 2m, 10m, 1h.
    timeout: of one attempt; 0 is none.  None: 30s.

    The function is given the Event, and a Context if it takes two arguments.  When it
    returns, the event is settled; when it raises, it comes again: after the back-off, or
    after the time that nodey.Retry says, or, with nodey.Dead, never.  When several handlers of
    one group want an event, they run in the order in which they were declared, and are settled
    together: the first that raises is the failure, and the rest does not run.  `attempts`,
    `backoff` and `timeout` of the first that wants it count.
    """
    _refuse("@nodey.on", pattern, others, _ON_OPTIONS)
    patterns = _patterns_of(pattern)
    settings = settings_of(
        f"@nodey.on({pattern!r})",
        {
            "group": group,
            "from_": from_,
            "each": each,
            "max": max,
            "attempts": attempts,
            "backoff": backoff,
            "timeout": timeout,
        },
    )
    return _declaring(patterns, False, settings)


def job(
    queue: str,
    *,
    concurrency: int | None = None,
    attempts: int | None = None,
    backoff: Sequence[Duration] | Duration | None = None,
    timeout: Duration | None = None,
    **others: NoReturn,
) -> Callable[[Function], Function]:
    """Declares a handler of jobs, which enqueue() gives.

    queue: its name.
    concurrency: at most so many at a time in this process; of a `def` handler, in so many
        threads.  None: 16 in an event loop, one otherwise.
    timeout: of one attempt; None and 0 are none.
    The rest is as in on().
    """
    if concurrency is None:
        concurrency = others.pop("max", None)  # As on() calls it.
    _refuse("@nodey.job", queue, others, _JOB_OPTIONS)
    if callable(queue):
        raise TypeError('a job has a queue: write @nodey.job("thumb") above the function')
    check_name(queue, "@nodey.job", "queue")
    settings = settings_of(
        f"@nodey.job({queue!r})",
        {"concurrency": concurrency, "attempts": attempts, "backoff": backoff, "timeout": timeout},
    )
    return _declaring([queue], True, settings)


def _patterns_of(pattern: Any) -> list[str]:
    if callable(pattern):
        raise TypeError('a handler has a topic: write @nodey.on("comment.*") above the function')
    patterns = [pattern] if isinstance(pattern, str) else pattern
    if not isinstance(patterns, (list, tuple, set, frozenset)) or not patterns:
        raise TypeError(f'@nodey.on() needs a topic, as in @nodey.on("comment.*"), not {pattern!r}')
    for one in patterns:
        if not isinstance(one, str):
            raise TypeError(f"@nodey.on(): a topic is a str, not {one!r}")
        fault = name_fault(one, pattern=True)
        if fault:
            raise ValueError(f"@nodey.on({one!r}): {fault}")
    return list(dict.fromkeys(patterns))


def _declaring(
    names: list[str], is_job: bool, settings: dict[str, Any]
) -> Callable[[Function], Function]:
    def declare(function: Function) -> Function:
        label = ("job " if is_job else "on ") + ", ".join(names)
        handler = EventHandler(function, label)

        def add(to: Registry) -> None:
            for name in names:
                to.add_subscription(Subscription(name, is_job, handler, settings))

        worker.declare(function, add)
        return function

    return declare


# ----------------------------------------------------------------------- groups


def seek(group: str, to: Start) -> None:
    """Has a group begin elsewhere, for all its workers.

    to: "first", "new", {"seq": number} or {"time": datetime}.
    Raises nodey.Error when there is no such group; otherwise as publish().
    """
    members = _seek_members(group, to)
    if _in_loop():
        raise RuntimeError("seek() would block the event loop: use await nodey.seek_async(...)")
    worker.any_engine().tell("seek", None, members)


async def seek_async(group: str, to: Start) -> None:
    """seek() for `async def`; see there."""
    await _tell_async("seek", None, _seek_members(group, to))


def _seek_members(group: str, to: Start) -> str:
    check_group(group)
    return f'"group":{quote(group)},"to":{encode(start_of(to, "to"), "to")}'
