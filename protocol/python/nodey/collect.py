"""collect: generators as whole answers.

The protocol has no bodies in pieces yet, so what a handler yields is joined, up to what
one line can hold.  The generator is closed whatever happens.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

from .channel import channel
from .response import PLAIN, Response


class _Pieces:
    """What a generator has yielded so far: str or bytes, and no mixture."""

    def __init__(self, who: object) -> None:
        self._who = who
        self._pieces: list[Any] = []
        self._kind: type | None = None
        self._size = 0

    def add(self, piece: Any) -> None:
        kind = str if isinstance(piece, str) else bytes
        if not isinstance(piece, (str, bytes, bytearray, memoryview)):
            raise TypeError(
                f"{self._who} is a generator that yields {type(piece).__name__}: yield str or "
                "bytes, or return list(...) for a JSON array"
            )
        if self._kind not in (None, kind):
            raise TypeError(f"{self._who} is a generator that yields both str and bytes")
        self._kind = kind
        self._size += len(piece)
        if self._size > channel.max_line:
            raise ValueError(
                f"{self._who} is a generator of more than {channel.max_line} bytes, "
                "the most that one answer can hold"
            )
        self._pieces.append(piece)

    def joined(self) -> str | bytes:
        return b"".join(self._pieces) if self._kind is bytes else "".join(self._pieces)


def collected(iterator: Any, who: object) -> str | bytes:
    """All that an iterator yields, or an open file has; closes it.

    Raises TypeError or ValueError, naming `who`, for what is no text, no bytes or too much.
    """
    pieces = _Pieces(who)
    try:
        for piece in iterator:
            pieces.add(piece)
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            close()
    return pieces.joined()


async def collected_async(iterator: Any, who: object) -> str | bytes:
    """The same for an async generator."""
    pieces = _Pieces(who)
    try:
        async for piece in iterator:
            pieces.add(piece)
    finally:
        close = getattr(iterator, "aclose", None)
        if close is not None:
            await close()
    return pieces.joined()


async def settled(result: Any, who: object) -> Any:
    """A handler's result with a collected body where it had an async generator."""
    if hasattr(result, "__anext__"):
        return await collected_async(result, who)
    if type(result) is tuple and len(result) > 1 and hasattr(result[1], "__anext__"):
        return (result[0], await collected_async(result[1], who), *result[2:])
    if isinstance(result, Response) and type(result.value) not in PLAIN:
        if hasattr(result.value, "__anext__"):
            result.value = await collected_async(result.value, who)
    return result
