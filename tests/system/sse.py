"""Server-sent events as a browser reads them, byte by byte and with nothing left out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Mapping, Optional

from app import App
from client import Connection, Cut, Headers, Hang, parse_head, request_bytes
from timing import slow


@dataclass(frozen=True)
class Event:
    seq: int
    topic: str
    data: Any


class EventStream:
    """One open stream; a context manager."""

    def __init__(self, app: App, path: str, headers: Optional[Mapping[str, str]] = None,
                 timeout: float = 10) -> None:
        self._connection = Connection(app.port, timeout)
        self._connection.send(request_bytes("GET", path, b"", headers))
        status, _, self.headers = parse_head(self._connection._until(b"\r\n\r\n"))
        self.status = status
        self.text = b""
        self.comments = 0
        assert status == 200, (status, self._connection.kept)

    def __enter__(self) -> "EventStream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def _chunk(self) -> None:
        size = int(self._connection._until(b"\r\n"), 16)
        self.text += self._connection._exactly(size)
        assert self._connection._until(b"\r\n") == b""
        if size == 0:
            raise Cut("the stream has ended")

    def block(self) -> list[str]:
        """The lines up to the next empty one."""
        while b"\n\n" not in self.text:
            self._chunk()
        block, _, self.text = self.text.partition(b"\n\n")
        return block.decode().split("\n")

    def next(self) -> Event:
        while True:
            lines = self.block()
            fields = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
            self.comments += any(line.startswith(":") for line in lines)
            if "data" in fields:
                assert len(lines) == 3, lines
                return Event(int(fields["id"]), fields["event"], json.loads(fields["data"]))

    def take(self, count: int) -> list[Event]:
        return [self.next() for _ in range(count)]

    def silent(self, seconds: float = 0.3) -> bool:
        """Whether nothing comes."""
        self._connection.socket.settimeout(slow(seconds))
        try:
            event = self.next()
        except Hang:
            return True
        finally:
            self._connection.socket.settimeout(self._connection.timeout)
        raise AssertionError(f"there is {event}")


__all__ = ["Event", "EventStream", "Headers"]
