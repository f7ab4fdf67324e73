"""hooks: what runs around all handlers, and when the worker starts and stops."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .handler import Handler, InThread
    from .request import Canceller

from .errors import Error, one_line, traceback_text
from .handler import arity, is_coroutine_function
from .request import Request
from .response import Response, as_response

_ARGUMENTS = {"before": ("req",), "after": ("req", "response"), "on_start": (), "on_stop": ()}


class Hook:
    """One function: what it is called with, and how."""

    __slots__ = ("name", "is_async", "call")

    def __init__(self, function: Callable[..., Any], kind: str) -> None:
        given = _ARGUMENTS[kind]
        if not callable(function):
            raise TypeError(f"@nodey.{kind} stands above a function, not above {function!r}")
        needed, most = arity(function) or ([], float("inf"))
        if len(needed) > len(given) or 0 < most < len(given) or "*" in "".join(needed):
            name, listed = getattr(function, "__name__", "?"), ", ".join(needed)
            raise TypeError(
                f"@nodey.{kind} calls {name}({', '.join(given)}), but it is {name}({listed})"
            )
        takes = most >= len(given)
        self.name = getattr(function, "__qualname__", type(function).__name__)
        self.is_async = is_coroutine_function(function)
        self.call: Callable[..., Any] = function if takes else lambda *_arguments: function()


class Hooks:
    """All hooks of a worker.

    `before` and `on_start` run in the order in which they were declared, `after` and
    `on_stop` in the reverse order.
    """

    def __init__(self) -> None:
        self.before: list[Hook] = []
        self.after: list[Hook] = []
        self.on_start: list[Hook] = []
        self.on_stop: list[Hook] = []
        self.has_async = False  # Of those around requests.
        self.canceller: Canceller | None = None

    def add(self, kind: str, function: Callable[..., Any]) -> bool:
        """kind: the name of one of the four lists.  Returns whether the function is `async def`."""
        hook = Hook(function, kind)
        hooks: list[Hook] = getattr(self, kind)
        if kind in ("after", "on_stop"):
            hooks.insert(0, hook)
        else:
            hooks.append(hook)
        if kind in ("before", "after"):
            self.has_async = self.has_async or hook.is_async
        return hook.is_async

    @property
    def around_requests(self) -> bool:
        """Whether there is anything to do for a request."""
        return bool(self.before or self.after)

    # ---------------------------------------------------------------- requests

    def _request(self, frame: dict[str, Any], argument: Any) -> Request:
        """The request, also for a token's handler, which is given its arguments only."""
        if isinstance(argument, Request):
            return argument
        return Request(frame, frame.get("params") or {}, self.canceller)

    def run(self, handler: Handler, frame: dict[str, Any], argument: Any) -> Any:
        """The handler's result, or that of the hooks before and after it."""
        request = self._request(frame, argument)
        result: Any = None
        for hook in self.before:
            result = hook.call(request)
            if result is not None:
                break
        else:
            result = handler.call(argument)
        if not self.after:
            return result
        response = as_response(result, handler)
        for hook in self.after:
            response = self._replaced(response, hook.call(request, response), hook)
        return response

    async def run_async(
        self, handler: Handler, frame: dict[str, Any], argument: Any, in_thread: InThread
    ) -> Any:
        """run() in an event loop; what is not `async def` runs in a thread."""
        request = self._request(frame, argument)
        result: Any = None
        for hook in self.before:
            result = await _called(hook.is_async, hook.call, in_thread, request)
            if result is not None:
                break
        else:
            result = await _called(handler.is_async, handler.call, in_thread, argument)
        if not self.after:
            return result
        response = as_response(result, handler)
        for hook in self.after:
            replaced = await _called(hook.is_async, hook.call, in_thread, request, response)
            response = self._replaced(response, replaced, hook)
        return response

    @staticmethod
    def _replaced(response: Response, result: Any, hook: Hook) -> Response:
        return response if result is None else as_response(result, f"the result of {hook.name}")

    # ----------------------------------------------------------- start and stop

    def start(self) -> None:
        """Runs the `on_start` hooks; the first failure is the end.  Raises Error for it."""
        for hook in self.on_start:
            try:
                hook.call()
            except Exception as exc:
                raise _start_failure(hook, exc) from exc

    async def start_async(self, in_thread: InThread) -> None:
        for hook in self.on_start:
            try:
                await _called(hook.is_async, hook.call, in_thread)
            except Exception as exc:
                raise _start_failure(hook, exc) from exc

    def stop(self) -> None:
        """Runs the `on_stop` hooks.  One that fails is logged and keeps no other from it."""
        for hook in self.on_stop:
            try:
                hook.call()
            except Exception as exc:
                _stop_failure(hook, exc)

    async def stop_async(self, in_thread: InThread) -> None:
        for hook in self.on_stop:
            try:
                await _called(hook.is_async, hook.call, in_thread)
            except Exception as exc:
                _stop_failure(hook, exc)


async def _called(
    is_async: bool, function: Callable[..., Any], in_thread: InThread, *arguments: Any
) -> Any:
    if is_async:
        return await function(*arguments)
    return await in_thread(lambda: function(*arguments))


def _start_failure(hook: Hook, exc: Exception) -> Error:
    cause = str(exc) if isinstance(exc, Error) else one_line(exc)
    return Error("failed_precondition", f"on_start {hook.name} failed: {cause}")


def _stop_failure(hook: Hook, exc: Exception) -> None:
    from .log import write_log

    write_log("error", f"on_stop {hook.name} failed\n{traceback_text(exc)}", {})
