"""handling: which event or job the running code handles, and what it publishes meanwhile.

A light module: the synchronous engine needs it, whether there are events or not.
"""

from __future__ import annotations

from _thread import allocate_lock
from contextvars import ContextVar

_MOST_OUTPUTS = 1024


class Handling:
    """One attempt, from its begin to its ack or nack.

    What is published within is kept, to be stored with the ack, or dropped without it.
    """

    __slots__ = ("key", "cause", "_lock", "_room", "_outputs")

    def __init__(self, key: str | None, room: int, cause: str = "") -> None:
        """key: of what is handled.  room: the bytes that the outputs may have together.
        cause: members that say what led to a message which leaves by itself, of an event that
        each process gets; nodey keeps nothing of it."""
        self.key = key
        self.cause = cause
        self._lock = allocate_lock()
        self._room = room
        self._outputs: list[str] | None = []

    def add(self, members: str) -> bool:
        """Keeps a message; False when the attempt is over and it has to leave by itself.

        Raises ValueError when they are too many for the line of the ack.
        """
        with self._lock:
            if self._outputs is None:
                return False
            count = len(self._outputs) + 1
            size = len(members.encode("utf-8", "replace")) + 3
            if count > _MOST_OUTPUTS or size > self._room:
                raise ValueError(
                    f"message {count} of this handler does not go into the line of its ack any "
                    f"more, which takes {_MOST_OUTPUTS} messages and as many bytes as a line has: "
                    "give now=True, and it leaves by itself"
                )
            self._room -= size
            self._outputs.append(members)
            return True

    def settle(self) -> list[str]:
        """The attempt is over: what was kept; later messages leave by themselves."""
        with self._lock:
            outputs, self._outputs = self._outputs or [], None
            return outputs


current: ContextVar[Handling | None] = ContextVar("nodey_handling", default=None)
"""What the running code handles; tasks and asyncio.to_thread() inherit it."""
