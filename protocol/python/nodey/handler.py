"""handler: a user's function, and how it wants to be called."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from typing import Any

    from .hooks import Hooks

    InThread = Callable[[Callable[[], Any]], Awaitable[Any]]

from .codec import answer_line
from .errors import failure_line
from .response import PLAIN, response_line

# Flags of code objects; inspect has them too, and costs 10 ms to import.
_VARARGS = 0x04
_COROUTINE = 0x80
_ASYNC_GENERATOR = 0x200

_DECAY = 0.1


class Handler:
    """A function with a name, its calling convention and its recent cost.

    Its str() begins the sentences that say what is wrong with its result.
    """

    __slots__ = ("name", "function", "is_async", "call", "cost", "hooks", "streams")

    has_result = True  # What the function returns is the answer.

    def __init__(
        self,
        function: Callable[..., Any],
        label: str,
        params: Iterable[str] = (),
        streams: bool = False,
    ) -> None:
        """streams: it is called before the request's body is in."""
        takes = takes_argument(function, label, params)
        name = getattr(function, "__qualname__", type(function).__name__)
        self.name = f"{name} ({label})"
        self.function = function
        self.hooks: Hooks | None = None
        self.streams = streams
        flags = code_flags(function)
        self.is_async = bool(flags & (_COROUTINE | _ASYNC_GENERATOR))
        self.call: Callable[[Any], Any] = function if takes else lambda _argument: function()
        if self.is_async and not is_coroutine_function(function):
            self.call = _awaitable(self.call)
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
        """Calls a `def` handler and returns the line that answers the frame, or "" when it
        has been answered in pieces.

        Exceptions become answers, except those that end the process.
        """
        try:
            if "type" in frame:
                return answer_line(frame["id"], self.call(argument), self)
            if self.hooks is None:
                return response_line(frame, self.call(argument), self)
            return response_line(frame, self.hooks.run(self, frame, argument), self)
        except Exception as exc:
            return failure_line(exc, frame, self.name)

    @property
    def needs_loop(self) -> bool:
        """Whether serve_async() must be used: the handler or a hook is `async def`."""
        return self.is_async or (self.hooks is not None and self.hooks.has_async)

    async def serve_async(self, frame: dict[str, Any], argument: Any, in_thread: InThread) -> str:
        """The same when the handler or a hook is `async def`.

        in_thread: runs what is not, so that it may block.
        """
        try:
            if "type" in frame:
                return answer_line(frame["id"], await self.call(argument), self)
            if self.hooks is None:
                result = await self.call(argument)
            else:
                result = await self.hooks.run_async(self, frame, argument, in_thread)
            if type(result) not in PLAIN:
                from .streaming import answer_async

                return await answer_async(frame, result, self, in_thread)
            return response_line(frame, result, self)
        except Exception as exc:
            return failure_line(exc, frame, self.name)


def _awaitable(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Has everything awaited alike: an `async def` with `yield`, whose call is a generator
    at once, and a plain wrapper around an `async def`."""

    async def call(argument: Any) -> Any:
        result = function(argument)
        return await result if hasattr(result, "__await__") else result

    return call


def _signature_of(function: Any) -> tuple[Any, Any, int]:
    """The code object and the plain function whose parameters decide, and how many of
    them are bound.

    A wrapper that takes *args passes on what it is given: then those of what it wraps do.
    """
    while True:
        plain = getattr(function, "__func__", function)
        bound = int(getattr(function, "__self__", None) is not None)
        if not hasattr(plain, "__code__") and not isinstance(function, type):
            plain, bound = getattr(type(function), "__call__", None), 1
        code = getattr(plain, "__code__", None)
        passes_on = code is None or code.co_flags & _VARARGS
        if not passes_on or not hasattr(function, "__wrapped__"):
            return code, plain, bound
        function = function.__wrapped__


def code_flags(function: Any) -> int:
    """What a call comes to: the flags of the code behind wrappers, partials and methods."""
    while True:
        if hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif hasattr(function, "func") and hasattr(function, "args"):
            function = function.func
        else:
            break
    return _own_flags(function)


def _own_flags(function: Any) -> int:
    if not hasattr(function, "__code__"):
        function = getattr(type(function), "__call__", None)
    code = getattr(function, "__code__", None)
    return 0 if code is None else int(code.co_flags)


def is_coroutine_function(function: Any) -> bool:
    """Whether calling it gives something to await, and nothing else."""
    while hasattr(function, "func") and hasattr(function, "args"):
        function = function.func
    return bool(_own_flags(function) & _COROUTINE)


def arity(function: Any) -> tuple[list[str], float] | None:
    """The parameters that a call must give (with a "*" those that must be named), and how
    many arguments it takes at most; None for what does not tell."""
    code, plain, bound = _signature_of(function)
    if code is None:
        return None
    count = code.co_argcount
    by_name = code.co_varnames[count : count + code.co_kwonlyargcount]
    needed = list(code.co_varnames[bound : count - len(plain.__defaults__ or ())])
    needed += [f"*, {name}" for name in by_name if name not in (plain.__kwdefaults__ or {})]
    return needed, float("inf") if code.co_flags & _VARARGS else count - bound


def takes_argument(function: Any, label: str, params: Iterable[str] = ()) -> bool:
    """Whether an argument is to be passed; `def hello():` is a handler too.

    label, params: see advice.refuse_handler(), which raises the TypeError for what can be
    called with neither one argument nor none.
    """
    found = arity(function) if callable(function) else ([], 0.0)
    if found is None:
        return True
    needed, most = found
    if (
        not callable(function)
        or len(needed) > 1
        or (needed and (needed[0].startswith("*") or needed[0] in params))
    ):
        from .advice import refuse_handler

        refuse_handler(function, label, needed, params)
    return most > 0
