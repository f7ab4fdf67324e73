"""spool: a body that is collected: in memory while it is small, then in a temporary file."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import mmap
    from typing import IO

_MOST_IN_MEMORY = 1 << 20
_BREAK = b"\r\n"  # With it in front the first delimiter of a multipart form is like all others.


class Spool:
    """A body as it comes in, and then as a whole."""

    def __init__(self) -> None:
        self.size = 0
        self._parts: list[bytes] = []
        self._file: IO[bytes] | None = None
        self._map: mmap.mmap | None = None

    def add(self, piece: bytes) -> None:
        """Adds a piece."""
        self.size += len(piece)
        if self._file is not None:
            self._file.write(piece)
            return
        self._parts.append(piece)
        if self.size > _MOST_IN_MEMORY:
            from tempfile import TemporaryFile

            self._file = TemporaryFile(prefix="nodey-")
            self._file.write(_BREAK)
            self._file.writelines(self._parts)
            self._parts.clear()

    def data(self) -> bytes:
        """All of it."""
        if self._file is None:
            if len(self._parts) > 1:
                self._parts = [b"".join(self._parts)]
            return self._parts[0] if self._parts else b""
        return self.searchable()[len(_BREAK) :]

    def searchable(self) -> bytes | mmap.mmap:
        """All of it behind a line break, to be searched and sliced; of a big one only what is
        looked at is in memory."""
        if self._file is None:
            return _BREAK + self.data()
        if self._map is None:
            import mmap

            self._file.flush()
            self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._map
