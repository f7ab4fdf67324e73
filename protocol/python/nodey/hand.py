"""hand: a worker without a supervisor, started by a person."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .worker import Worker

from .codec import decode, encode
from .errors import Error


def greet() -> None:
    """One line for somebody who sits at a terminal and wonders what to type."""
    if os.isatty(0):
        example = '{"id":1,"method":"GET","path":"/"}'
        print(f"nodey: by hand; type {example} or Ctrl-D to end", file=sys.stderr)


def ask(worker: Worker, token: str, args: Any) -> Any:
    """Asks this very process, which is the only one there is."""
    handler = local_handler(worker, token)
    if handler.is_async:
        raise Error("unavailable", f"{token!r} is `async def`: use await nodey.ask_async(...)")
    return decode(encode(handler.call(copy_of(args, token)), handler))


def local_handler(worker: Worker, token: str) -> Any:
    handler = worker.tokens.get(token)
    if handler is None:
        raise Error(
            "unavailable",
            f"nobody here answers {token!r}: by hand a worker can ask only itself; "
            "run it under nodey to reach the others",
        )
    return handler


def copy_of(args: Any, token: str) -> Any:
    """The args as the answerer would see them: JSON and nobody else's."""
    return decode(encode(args, f"the args of ask({token!r})"))
