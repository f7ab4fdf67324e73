"""message: what is published: its options, checked, and as the members of a frame."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from datetime import datetime, timedelta
    from typing import Any, Union

    Duration = Union[int, str, timedelta]
    """Milliseconds, or text such as "10m", "1.5s", "300ms", "2h", "7d"."""
    Moment = Union[int, str, datetime]
    """Milliseconds since 1970, ISO 8601 text with a time zone, or an aware datetime."""

from .codec import encode, encode_id, quote

_MOST = 2**53 - 1
_NAME_MAX = 255
_ID_MAX = 200
_FIRST_MS = 10**11  # March 1973; a number below it is one of seconds.
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(ms|s|m|h|d)")
_TOKEN = re.compile(r"[A-Za-z0-9_-]+")


class Inherited:
    """The key of what is being handled, or none."""

    def __repr__(self) -> str:
        return "the handled message's"


INHERITED = Inherited()


class Published:
    """What publish() and enqueue() return; it may be awaited as well.

    seq: the message's number, greater than that of every earlier one; None when it is not
        stored yet: buffered, or for later.
    duplicate: `id` was known: nothing was stored, and `seq` is that of the first one.
    buffered: it leaves with the ack of what is being handled.
    """

    __slots__ = ("seq", "duplicate", "buffered", "_task")

    def __init__(
        self,
        seq: int | None = None,
        duplicate: bool = False,
        buffered: bool = False,
        task: Any = None,
    ) -> None:
        """task: an asyncio.Task that gives what this is to be."""
        self.seq = seq
        self.duplicate = duplicate
        self.buffered = buffered
        self._task = task

    def __repr__(self) -> str:
        return f"Published(seq={self.seq}, duplicate={self.duplicate}, buffered={self.buffered})"

    def __await__(self) -> Generator[Any, None, Published]:
        if self._task is not None:
            stored: Published = yield from self._task.__await__()
            return stored
        return self


# -------------------------------------------------------------------- durations


def duration_ms(value: object, what: str) -> int:
    """A duration in ms.  what: "delay" or so, for the sentence.  Raises TypeError, ValueError."""
    wanted = "write '10m', '1.5s' or '300ms', or whole milliseconds"
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match is None:
            raise ValueError(f"{what}={value!r} is no duration: {wanted}")
        found = round(float(match[1]) * _UNITS[match[2]])
    elif type(value) is int:
        found = value
    elif type(value).__name__ == "timedelta" and hasattr(value, "total_seconds"):
        found = round(value.total_seconds() * 1000)
    elif isinstance(value, float):
        # Whoever writes 1.5 means seconds.
        raise ValueError(f"{what}={value!r}: a number is whole milliseconds; {wanted}")
    else:
        raise TypeError(f"{what} is a duration, not {value!r}: {wanted}")
    if not 0 <= found <= _MOST:
        raise ValueError(f"{what}={value!r} is out of range: a duration is 0 or more")
    return found


def moment_ms(value: object, what: str) -> int:
    """A point in time in ms since 1970.  Raises TypeError, ValueError."""
    wanted = "write datetime.now(timezone.utc) + timedelta(...), or milliseconds since 1970"
    if isinstance(value, str):
        from datetime import datetime

        try:
            text = value.strip()
            value = datetime.fromisoformat(text[:-1] + "+00:00" if text[-1:] in "zZ" else text)
        except ValueError:
            said = f"{what}={value!r} is no time such as '2030-01-31T08:00:00Z'"
            raise ValueError(said) from None
    if hasattr(value, "tzinfo") and hasattr(value, "timestamp"):
        if value.tzinfo is None:
            raise ValueError(f"{what}={str(value)!r} has no time zone: {wanted}")
        value = round(value.timestamp() * 1000)
    if isinstance(value, float) or (type(value) is int and abs(value) < _FIRST_MS):
        raise ValueError(
            f"{what}={value!r} are no milliseconds since 1970 (time.time() gives seconds): {wanted}"
        )
    if type(value) is not int:
        raise TypeError(f"{what} is a point in time, not {value!r}: {wanted}")
    if not 0 <= value <= _MOST:
        raise ValueError(f"{what}={value!r} is out of range: {wanted}")
    return value


# ------------------------------------------------------------------------ names


def check_name(name: object, verb: str, kind: str) -> str:
    """Raises TypeError or ValueError for what cannot be the topic or queue of a message.

    verb: the function, for the sentence.  kind: "topic" or "queue".
    """
    example = '"comment.created"' if kind == "topic" else '"thumb"'
    if not isinstance(name, str):
        wanted = f"a {kind} first, as in {verb}({example}, data)"
        raise TypeError(f"{verb}() needs {wanted}, not {name!r}")
    fault = name_fault(name)
    if fault and ("*" in name or ">" in name) and kind == "topic":
        fault = "wildcards are for @nodey.on(), and a message has one topic"
    if fault:
        raise ValueError(f"{verb}({name!r}): {fault}")
    return name


def name_fault(name: str, pattern: bool = False) -> str:
    """What is wrong with a topic, a queue or a group, or a pattern of topics; "" if nothing is."""
    if len(name.encode("utf-8", "replace")) > _NAME_MAX:
        return f"a name has at most {_NAME_MAX} bytes"
    tokens = name.split(".")
    for index, token in enumerate(tokens):
        if pattern and (token == "*" or (token == ">" and index == len(tokens) - 1)):
            continue
        if pattern and token == ">":
            return 'the wildcard ">" stands for the rest, and only at the end: "comment.>"'
        if not _TOKEN.fullmatch(token):
            shown = repr(token) if token else "an empty one"
            more = ', with "*" for any one and a last ">" for the rest' if pattern else ""
            return (
                f"a name is words of A-Z a-z 0-9 _ - with dots between{more}; {shown} is none"
            )
    return ""


def _check_text(value: object, what: str) -> str:
    """A key or an id."""
    if not isinstance(value, str):
        hint = f"; write {what}=str({value!r})" if isinstance(value, int) else ""
        raise TypeError(f"{what} is a str, not {value!r}{hint}")
    if not 0 < len(value.encode("utf-8", "replace")) <= _ID_MAX:
        hint = "None is for none" if not value else f"this one has {len(value)} characters"
        raise ValueError(f"{what} has 1 to {_ID_MAX} bytes; {hint}")
    return value


def _headers_text(headers: Any) -> str:
    if not isinstance(headers, dict) and not hasattr(headers, "items"):
        raise TypeError(f"headers is a dict of str, not {headers!r}")
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"headers is a dict of str: {name!r} is {value!r}; write str(...)")
    return encode(dict(headers), "headers")


# --------------------------------------------------------------------- contents


def members_of(
    verb: str,
    kind: str,
    name: object,
    data: Any,
    key: str | None | Inherited = INHERITED,
    id: str | None = None,
    at: Moment | None = None,
    delay: Duration | None = None,
    headers: Mapping[str, str] | None = None,
) -> str:
    """A message as the members of a JSON object, data last.

    verb: "publish" or "enqueue", for sentences.  kind: "topic" or "queue".
    Raises TypeError and ValueError, with a sentence that names the option.
    """
    parts = [f'"{kind}":{quote(check_name(name, verb, kind))}']
    what = f"{verb}({name!r}): "
    try:
        if key is None:
            parts.append('"key":null')
        elif not isinstance(key, Inherited):
            parts.append(f'"key":{quote(_check_text(key, "key"))}')
        if id is not None:
            parts.append(f'"msgid":{quote(_check_text(id, "id"))}')
        if at is not None and delay is not None:
            raise ValueError("give `at` or `delay`, not both")
        if at is not None:
            parts.append(f'"at":{moment_ms(at, "at")}')
        if delay is not None:
            parts.append(f'"delay":{duration_ms(delay, "delay")}')
        if headers is not None:
            parts.append(f'"headers":{_headers_text(headers)}')
    except (TypeError, ValueError) as exc:
        raise type(exc)(what + str(exc)) from None
    parts.append(f'"data":{encode(data, f"the data of {verb}({name!r})")}')
    return ",".join(parts)


def with_key(members: str, key: str | None) -> str:
    """The members of a message that says nothing of a key, with that of the handled one."""
    return members if key is None else f'"key":{quote(key)},{members}'


def cause_members(frame: dict[str, Any]) -> str:
    """What says of a message that this event led to it; the members of others follow."""
    id = frame.get("msgid") or str(frame.get("seq"))
    members = f'"cause":{quote(id)},"correlation":{quote(frame.get("correlation") or id)},'
    trace = frame.get("traceparent")
    return members if trace is None else f'{members}"traceparent":{quote(trace)},'


# ----------------------------------------------------------------------- frames


def ack_line(id: Any, outputs: Sequence[str]) -> str:
    """outputs: the members of what is published with the ack."""
    if not outputs:
        return f'{{"type":"ack","id":{encode_id(id)}}}\n'
    listed = ",".join(f"{{{members}}}" for members in outputs)
    return f'{{"type":"ack","id":{encode_id(id)},"publish":[{listed}]}}\n'


def nack_line(
    id: Any, name: str, message: str, stack: str | None, delay_ms: int | None, dead: bool
) -> str:
    """delay_ms: instead of the back-off.  dead: to the dead letters at once."""
    line = f'{{"type":"nack","id":{encode_id(id)}'
    if dead:
        line += ',"dead":true'
    elif delay_ms is not None:
        line += f',"delay":{delay_ms}'
    line += f',"error":{{"name":{quote(name)},"message":{quote(message)}'
    if stack is not None:
        line += f',"stack":{quote(stack)}'
    return line + "}}\n"
