"""advice: what to do about a mistake; imported only when one was made."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_PLAIN = (str, int, float, type(None))
_MOST_STEPS = 10000

_BY_TYPE = {
    "bytes": "return bytes on their own, or put text in: base64.b64encode(...).decode()",
    "bytearray": "return bytes on their own, or put text in: base64.b64encode(...).decode()",
    "set": "use sorted(...) or list(...)",
    "frozenset": "use sorted(...) or list(...)",
    "datetime": "use .isoformat()",
    "date": "use .isoformat()",
    "time": "use .isoformat()",
    "timedelta": "use .total_seconds()",
    "Decimal": "use str(...) or float(...)",
    "Fraction": "use str(...) or float(...)",
    "UUID": "use str(...)",
    "PosixPath": "use str(...)",
    "complex": "use [z.real, z.imag]",
    "coroutine": "`await` is missing before a call",
    "Response": "return the Response itself",
    "function": "call it, or leave it out",
    "method": "call it, or leave it out",
    "builtin_function_or_method": "call it, or leave it out",
    "module": "leave it out",
}


def json_advice(value: object) -> str:
    """How to make JSON of a value that is none, as the end of a sentence, or ""."""
    kind = type(value)
    advice = _BY_TYPE.get(kind.__name__)
    if hasattr(kind, "__dataclass_fields__"):
        advice = "use dataclasses.asdict(...)"
    elif hasattr(kind, "model_dump"):
        advice = "use .model_dump()"
    elif hasattr(kind, "_value2member_map_"):
        advice = "use .value"
    elif hasattr(kind, "tolist"):
        advice = "use .tolist()"
    elif advice is None and hasattr(kind, "__iter__"):
        advice = "use list(...)"
    elif advice is None and kind.__module__ not in ("builtins", "types") and vars_of(value):
        advice = "make a dict of it, for instance with vars(...)"
    return f": {advice}" if advice else ""


def vars_of(value: object) -> dict[str, Any]:
    """The attributes of an object that has any."""
    return getattr(value, "__dict__", None) or {}


def place_of_fault(value: object) -> str:
    """Where in a value the first thing stands that is no JSON: `at ["a"][3], `, or ""."""
    steps = 0
    stack: list[tuple[Any, str]] = [(value, "")]
    while stack and steps < _MOST_STEPS:
        steps += 1
        item, place = stack.pop()
        if isinstance(item, _PLAIN):
            continue
        if isinstance(item, dict):
            children = [(child, f"{place}[{key!r}]") for key, child in item.items()]
        elif isinstance(item, (list, tuple)):
            children = [(child, f"{place}[{index}]") for index, child in enumerate(item)]
        else:
            return f"at {place}, " if place else ""
        stack.extend(reversed(children))
    return ""


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The known word that was probably meant, or "".  cutoff: how alike, 0 to 1."""
    from difflib import get_close_matches

    found = get_close_matches(word, list(known), 1, cutoff)
    return found[0] if found else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ "; did you mean ...?" when a known word is near, else ""."""
    found = nearest(word, known)
    return f"; did you mean {found!r}?" if found else ""


# ----------------------------------------------------------------- declarations


def check_path(path: object) -> None:
    """Raises TypeError or ValueError for what cannot be the path of a route."""
    if not isinstance(path, str):
        if callable(path):
            raise TypeError('a route needs a path: write @nodey.get("/path") above the function')
        raise TypeError(f'a path is a str such as "/users/:id", not {type(path).__name__}')
    if not path.startswith("/") and path != "*":
        raise ValueError(f'route {path!r}: a path begins with a slash, as in "/{path}"')
    if "?" in path:
        raise ValueError(
            f"route {path!r}: a path has no query; the handler finds that in req.query"
        )
    for segment in path.split("/"):
        name = _foreign_parameter(segment)
        if name:
            raise ValueError(f'route {path!r}: a parameter is written ":{name}", not "{segment}"')


def _foreign_parameter(segment: str) -> str:
    """The name in another framework's "<int:id>" or "{id}", or ""."""
    if segment[:1] + segment[-1:] not in ("<>", "{}"):
        return ""
    first, _, last = segment[1:-1].partition(":")
    return (last or first) if segment[0] == "<" else first


def refuse_handler(function: Any, label: str, needed: list[str], params: Iterable[str]) -> None:
    """Raises the TypeError that says why a function cannot be called with one argument.

    label: what it is declared for.  needed: the parameters that a call must give, those
    that must be named with a "*" before them.  params: the parameters of the route's path.
    """
    if isinstance(function, (staticmethod, classmethod)):
        raise TypeError(
            f"the handler of {label} is a {type(function).__name__}: declare a plain function"
        )
    if not callable(function):
        raise TypeError(f"the handler of {label} is not callable: {function!r}")
    name = name_of(function)
    argument = "args" if label.startswith("token ") else "req"
    if len(needed) == 1 and needed[0] in params:
        raise TypeError(
            f"the handler of {label} is given the request: "
            f'write def {name}(req), and req.params["{needed[0]}"] in it'
        )
    listed = ", ".join(needed)
    raise TypeError(
        f"the handler of {label} is called with one argument, {argument}, "
        f"but needs others: {name}({listed})"
    )


def name_of(function: Any) -> str:
    """A function's name, for sentences."""
    return str(getattr(function, "__name__", type(function).__name__))
