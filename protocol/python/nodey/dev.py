"""dev: what a worker looks at besides when it runs under --dev (NODEY_DEV=1)."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable
    from typing import Any

    from .handler import Handler

from .log import log


def is_wanted() -> bool:
    """Whether somebody is at work on the script."""
    return os.environ.get("NODEY_DEV") == "1"


def warn_of_none(handlers: Iterable[Handler]) -> None:
    """Has a handler's first None logged: it is a lawful answer, and mostly a `return` that
    was forgotten.  The calls after it are the handler's own again."""
    for handler in handlers:
        _wrap(handler)


def _wrap(handler: Handler) -> None:
    call = handler.call

    def looked_at(result: Any) -> Any:
        if result is None and handler.call is not call:
            handler.call = call
            name, _, label = handler.name.rpartition(" (")
            log.warn(
                f"handler {name} of {label[:-1]} returned nothing: the answer is null; "
                'was a "return" forgotten?'
            )
        return result

    async def awaited(result: Awaitable[Any]) -> Any:
        return looked_at(await result)

    if handler.is_async:
        handler.call = lambda argument: awaited(call(argument))
    else:
        handler.call = lambda argument: looked_at(call(argument))
