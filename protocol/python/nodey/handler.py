"""handler: a user's function, and how it wants to be called."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

from .codec import answer_line
from .errors import failure_line
from .response import response_line

_VARARGS = 0x04  # Flags of code objects; inspect has them too, and costs 10 ms to import.
_COROUTINE = 0x80

_DECAY = 0.1


class Handler:
    """A function with a name, its calling convention and its recent cost.

    Its str() begins the sentences that say what is wrong with its result.
    """

    __slots__ = ("name", "is_async", "call", "cost")

    def __init__(self, function: Callable[..., Any], label: str) -> None:
        if not callable(function):
            raise TypeError(f"the handler of {label} is not callable: {function!r}")
        name = getattr(function, "__qualname__", type(function).__name__)
        self.name = f"{name} ({label})"
        self.is_async = is_coroutine_function(function)
        self.call: Callable[[Any], Any] = (
            function if takes_argument(function) else lambda _argument: function()
        )
        # Seconds; nobody knows yet, so the first call counts as slow.
        self.cost = float("inf")

    def __str__(self) -> str:
        return f"the result of {self.name}"

    def note(self, seconds: float) -> None:
        """Remembers how long a call took: at once when slower, bit by bit when quicker."""
        if seconds > self.cost or self.cost == float("inf"):
            self.cost = seconds
        else:
            self.cost += (seconds - self.cost) * _DECAY

    def serve(self, frame: dict[str, Any], argument: Any) -> str:
        """Calls a `def` handler and returns the line that answers the frame.

        Exceptions become answers, except those that end the process.
        """
        try:
            result = self.call(argument)
            if "type" in frame:
                return answer_line(frame["id"], result, self)
            return response_line(frame.get("id"), result, self)
        except Exception as exc:
            return failure_line(exc, frame, self.name)

    async def serve_async(self, frame: dict[str, Any], argument: Any) -> str:
        """The same for an `async def` handler."""
        try:
            result = await self.call(argument)
            if "type" in frame:
                return answer_line(frame["id"], result, self)
            return response_line(frame.get("id"), result, self)
        except Exception as exc:
            return failure_line(exc, frame, self.name)


def _innermost(function: Any) -> Any:
    """The function behind functools.wraps() and functools.partial()."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


def is_coroutine_function(function: Any) -> bool:
    """Whether calling it gives something to await."""
    while hasattr(function, "func") and hasattr(function, "args"):
        function = function.func  # functools.partial
    if not hasattr(function, "__code__"):
        function = getattr(type(function), "__call__", None)
    code = getattr(function, "__code__", None)
    return code is not None and bool(code.co_flags & _COROUTINE)


def takes_argument(function: Any) -> bool:
    """Whether a positional argument can be passed; `def hello():` is a handler too."""
    function = _innermost(function)
    code = getattr(function, "__code__", None)
    if code is None:
        return True
    bound = getattr(function, "__self__", None) is not None
    return code.co_argcount - bound > 0 or bool(code.co_flags & _VARARGS)
