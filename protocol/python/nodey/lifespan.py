"""lifespan: an ASGI app's own start and end, before the first request and after the last."""

from __future__ import annotations

import asyncio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from .registry import Registry

from .errors import Error, log_text, traceback_text

_LAST_WORDS_SECONDS = 1.0


class Lifespan:
    """The conversation with an app about its life.  must: an app that has none is a failure."""

    def __init__(self, app: Callable[..., Awaitable[None]], state: dict[str, Any], must: bool):
        self._app = app
        self._state = state
        self._must = must
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Lets the app start.  Raises Error when it cannot."""
        loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._asked = 0
        self._answers = [loop.create_future(), loop.create_future()]
        self._task = asyncio.ensure_future(self._run())
        failure = await self._answer(0)
        if failure is None:
            return
        await asyncio.wait([self._task], timeout=_LAST_WORDS_SECONDS)
        cause = None
        if self._task.done() and not self._task.cancelled():
            cause = self._task.exception()
        last = failure.strip().rpartition("\n")[2] or "it does not say why"
        if cause is None and failure.strip() != last:
            log_text(failure)
        raise Error("failed_precondition", last) from cause

    async def shutdown(self) -> None:
        """Lets the app end.  Raises Error when that fails."""
        if self._task is None or self._task.done():
            return
        self._stopping.set()
        failure = await self._answer(1)
        await asyncio.wait([self._task], timeout=_LAST_WORDS_SECONDS)
        self._task.cancel()
        if failure is not None:
            raise Error("internal", failure.strip().rpartition("\n")[2])

    async def _answer(self, index: int) -> str | None:
        """None when it went well, also for an app that knows no lifespan; or what failed."""
        answer, task = self._answers[index], self._task
        assert task is not None
        await asyncio.wait([answer, task], return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            failure: str | None = answer.result()
            return failure
        exc = None if task.cancelled() else task.exception()
        if index == 1:
            return None if exc is None else str(exc)
        if not self._must:
            return None
        if exc is not None:
            raise exc
        raise Error("failed_precondition", "the app has no lifespan, and lifespan is 'on'")

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self._state,
        }
        await self._app(scope, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        self._asked += 1
        if self._asked == 1:
            return {"type": "lifespan.startup"}
        await self._stopping.wait()
        if self._asked > 2:
            await asyncio.Event().wait()  # There is nothing more to tell.
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: dict[str, Any]) -> None:
        event, _, result = message["type"].rpartition(".")
        index = {"lifespan.startup": 0, "lifespan.shutdown": 1}.get(event)
        if index is None or result not in ("complete", "failed"):
            raise RuntimeError(f"{message['type']!r} is no message of a lifespan")
        if self._answers[index].done():
            raise RuntimeError(f"{event} has been answered already")
        failure = None if result == "complete" else message.get("message") or "it failed"
        self._answers[index].set_result(failure)


def add_lifespan(registry: Registry, handler: Any, must: bool) -> None:
    """Has the app's lifespan take place around everything that is served."""
    conversation = Lifespan(handler.function, handler.state, must)

    async def startup() -> None:
        await conversation.startup()

    async def shutdown() -> None:
        try:
            await conversation.shutdown()
        except Error:
            raise
        except Exception as exc:
            log_text(traceback_text(exc))

    startup.__qualname__ = shutdown.__qualname__ = "lifespan"
    registry.add_hook("on_start", startup)
    registry.add_hook("on_stop", shutdown)
