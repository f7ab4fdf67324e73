"""log: structured log lines: ``nodey.log.info("paid", order=7)``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

from .channel import channel
from .codec import encode, encode_id, quote
from .errors import log_text


class Log:
    """One method per level.  Fields are JSON values; of others the repr() is logged."""

    def debug(self, message: str, **fields: Any) -> None:
        """What helps to find an error."""
        _log("debug", message, fields)

    def info(self, message: str, **fields: Any) -> None:
        """What happened."""
        _log("info", message, fields)

    def warn(self, message: str, **fields: Any) -> None:
        """What somebody should look at some day."""
        _log("warn", message, fields)

    warning = warn

    def error(self, message: str, **fields: Any) -> None:
        """What somebody should look at now."""
        _log("error", message, fields)


def _log(level: str, message: str, fields: dict[str, Any]) -> None:
    text = "{" + ",".join(f"{quote(name)}:{_field(value)}" for name, value in fields.items()) + "}"
    if not channel.supervised:
        log_text(f"{level}: {message} {text if fields else ''}")
        return
    from .worker import worker

    id = worker.engine.serving_id() if worker.engine is not None else None
    line = f'{{"type":"log","level":"{level}","message":{quote(str(message))}'
    if id is not None:
        line += f',"id":{encode_id(id)}'
    if fields:
        line += f',"fields":{text}'
    channel.write(line + "}\n")


def _field(value: Any) -> str:
    try:
        return encode(value, "the field")
    except (TypeError, ValueError):
        return quote(repr(value))


log = Log()
