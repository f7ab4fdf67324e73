"""bridge: what is written with the logging module becomes `log` frames.

Imported only when a supervised script has imported logging.
"""

from __future__ import annotations

import logging

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

from .errors import traceback_text
from .log import write_log

_KNOWN = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime"}


class Bridge(logging.Handler):
    """The root handler of a worker that has configured none of its own."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
            if record.exc_info and record.exc_info[1] is not None:
                text += "\n" + traceback_text(record.exc_info[1], brief=True).rstrip()
            elif record.exc_text:
                text += "\n" + record.exc_text
            if record.stack_info:
                text += "\n" + record.stack_info
            fields: dict[str, Any] = {"logger": record.name}
            fields.update((k, v) for k, v in vars(record).items() if k not in _KNOWN)
            write_log(_level(record.levelno), text, fields)
        except Exception:
            self.handleError(record)


def _level(number: int) -> str:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warn"
    return "info" if number >= logging.INFO else "debug"


def install() -> None:
    """Makes the bridge the root handler, unless there is one."""
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(Bridge())
        _silence_django()


def _silence_django() -> None:
    """Takes away what Django prints with unless it is configured otherwise: the bridge is
    given the same records."""
    logger = logging.getLogger("django")
    for handler in list(logger.handlers) if logger.propagate else ():
        if type(handler) is logging.StreamHandler and handler.formatter is None:
            logger.removeHandler(handler)
