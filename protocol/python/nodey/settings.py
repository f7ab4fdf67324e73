"""settings: what a declaration of a handler of events or jobs says besides the name, checked."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .message import Duration

from .message import duration_ms, moment_ms, name_fault

_MOST_AT_A_TIME = 100000
_MOST_ATTEMPTS = 1000
_MOST_BACKOFFS = 64


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
