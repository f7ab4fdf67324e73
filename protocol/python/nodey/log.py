"""log: structured log lines: ``nodey.log.info("paid", order=7)``."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

from .channel import channel
from .codec import encode, encode_id, quote
from .errors import log_text, traceback_text


class Log:
    """One method per level.

    message: what happened; with further arguments it is a format, as in the logging module.
    fields: facts for machines, JSON values; of others the repr() is logged.
    Within a handler the line carries the id of the request that is being served.
    """

    def debug(self, message: object, *args: object, **fields: Any) -> None:
        """What helps to find an error."""
        write_log("debug", _text(message, args), fields)

    def info(self, message: object, *args: object, **fields: Any) -> None:
        """What happened."""
        write_log("info", _text(message, args), fields)

    def warn(self, message: object, *args: object, **fields: Any) -> None:
        """What somebody should look at some day."""
        write_log("warn", _text(message, args), fields)

    warning = warn

    def error(self, message: object, *args: object, **fields: Any) -> None:
        """What somebody should look at now."""
        write_log("error", _text(message, args), fields)

    def exception(self, message: object, *args: object, **fields: Any) -> None:
        """error() with the traceback of the exception that is being handled."""
        text, exc = _text(message, args), sys.exc_info()[1]
        if exc is not None:
            text += "\n" + traceback_text(exc).rstrip()
        write_log("error", text, fields)


def _text(message: object, args: tuple[object, ...]) -> str:
    text = str(message)
    if not args:
        return text
    try:
        return text % args
    except (TypeError, ValueError):
        # A log line must not be what breaks a handler.
        return f"{text} {args!r}"


def write_log(level: str, message: str, fields: dict[str, Any]) -> None:
    """Writes one line, to standard error when there is no supervisor."""
    text = "{" + ",".join(f"{quote(name)}:{_field(value)}" for name, value in fields.items()) + "}"
    if not channel.supervised:
        log_text(f"{level}: {message} {text if fields else ''}")
        return
    from .worker import worker

    id = worker.engine.serving_id() if worker.engine is not None else None
    line = f'{{"type":"log","level":"{level}"'
    if id is not None:
        line += f',"id":{encode_id(id)}'
    line += f',"message":{quote(message)}'
    if fields:
        line += f',"fields":{text}'
    channel.write(line + "}\n")


def _field(value: Any) -> str:
    try:
        return encode(value, "the field")
    except (TypeError, ValueError):
        return quote(repr(value))


log = Log()
