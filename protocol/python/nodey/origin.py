"""origin: the interface that nodey's ancestor had, on the same core."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

from . import api
from .startup import serve_at_end
from .worker import worker


class PyNodey:
    """Tokens to answer and to ask for, without ports, threads and retry loops.

        nodey = PyNodey()
        nodey.set({"Price": price})
        nodey.start()

    All objects of this class speak for the one worker that the process is.
    """

    def set(self, tokens: Mapping[str, Callable[..., Any]]) -> PyNodey:
        """Declares what this worker answers; see nodey.token().  Returns itself."""
        api.set(tokens)
        return self

    def ask(self, token: str, args: Any = None, *, timeout: float | None = None) -> Any:
        """Asks whoever answers the token; see nodey.ask()."""
        return api.ask(token, args, timeout=timeout)

    def start(self) -> None:
        """Says that all tokens are set.  Does not wait: serving begins when the script
        has come to its end, so that what follows (as in the ancestor) still runs."""
        serve_at_end(worker.start)
