"""bodies: what Request.stream() gives."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from typing import Any


class BodyStream:
    """A request's body, piece by piece: bytes, for `for` and for `async for`."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Any) -> None:
        self._exchange = exchange

    @property
    def trailers(self) -> dict[str, Any]:
        """The fields that came after the body; empty before its end."""
        trailers: dict[str, Any] = self._exchange.trailers
        return trailers

    def read(self) -> Any:
        """The next piece, b"" at the end; to be awaited in an `async def` handler."""
        return self._exchange.read()

    def __iter__(self) -> Iterator[bytes]:
        if self._exchange.is_async:
            raise TypeError("`async for piece in req.stream()` reads it in an `async def` handler")
        return iter(self._exchange.read, b"")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            piece: bytes = await self._exchange.read()
            if not piece:
                return
            yield piece
