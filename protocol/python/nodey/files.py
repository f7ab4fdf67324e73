"""files: a file as an answer."""

from __future__ import annotations

import os
import re
from stat import S_ISREG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .response import HeadersLike

from .cookies import http_date
from .errors import Error
from .response import FileBody, Response

_SMALL = 65536  # Bytes up to which a file goes in one line.
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")

# The common ones by ourselves: the system's table differs from machine to machine, and
# reading it takes milliseconds.
_TYPES = {
    ".css": "text/css",
    ".csv": "text/csv",
    ".gif": "image/gif",
    ".htm": "text/html",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".json": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".xml": "application/xml",
    ".zip": "application/zip",
}


def file(
    path: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    download: str | bool = False,
    content_type: str | None = None,
    status: int = 200,
    headers: HeadersLike | None = None,
) -> Response:
    """A file as an answer, with its type, ETag and Last-Modified; a client that has it
    already is told so (304), and one that asks for a part is given that (206).

    path: relative to the working directory, or to `root`.
    root: a folder that the file must be in; give it whenever the path comes from a client.
    download: True has the browser save the file under its own name, a str under that one.
    content_type: instead of the one that the name's ending suggests.
    Raises nodey.Error("not_found"), a 404, when there is no such file.
    """
    return FileResponse(path, root, download, content_type, status, headers)


def _inside(path: str, root: str) -> str:
    """The path below the folder; Error("not_found") for one that leads out of it."""
    folder = os.path.realpath(root)
    # A path from a client begins with no slash, but who knows.
    whole = os.path.realpath(os.path.join(folder, path.lstrip("/")))
    if os.path.commonpath((folder, whole)) != folder:
        raise Error("not_found", f"there is no file {path}")
    return whole


def type_of(path: str) -> str:
    """The media type by the name's ending, without a charset."""
    known = _TYPES.get(os.path.splitext(path)[1].lower())
    if known is not None:
        return known
    import mimetypes

    kind, encoding = mimetypes.guess_type(path)
    return "application/octet-stream" if kind is None or encoding is not None else kind


class FileResponse(Response):
    """What file() returns; a small file is read when the answer is made, a big one is sent by
    nodey itself when it may, and in pieces otherwise.
    """

    __slots__ = ("_path", "_size", "_modified", "_charset")

    def __init__(
        self,
        path: str | os.PathLike[str],
        root: str | os.PathLike[str] | None,
        download: str | bool,
        content_type: str | None,
        status: int,
        headers: HeadersLike | None,
    ) -> None:
        super().__init__(..., status, headers)
        shown = os.fspath(path)
        try:
            self._path = shown if root is None else _inside(shown, os.fspath(root))
            info = os.stat(self._path)
        except (OSError, ValueError):  # ValueError: a NUL in the path.
            raise Error("not_found", f"there is no file {shown}") from None
        if not S_ISREG(info.st_mode):
            raise Error("not_found", f"{shown} is not a file")
        self._size = info.st_size
        self._modified = int(info.st_mtime)
        self._charset = content_type is None
        fields = self.headers
        fields.setdefault("content-type", content_type or type_of(self._path))
        fields.setdefault("etag", f'"{info.st_mtime_ns:x}-{info.st_size:x}"')
        fields.setdefault("last-modified", http_date(self._modified))
        if download:
            name = os.path.basename(self._path) if download is True else download
            fields["content-disposition"] = disposition(name)

    def _prepared(self, frame: dict[str, Any], who: object) -> Response:
        if frame.get("method") in ("GET", "HEAD") and self.status == 200 and self._is_known(frame):
            kept = Response(..., 304, self.headers)
            kept.headers.pop("content-type", None)
            kept.headers.pop("content-disposition", None)
            return kept
        part = self._range(frame) if frame.get("method") == "GET" and self.status == 200 else None
        offset, end = part or (0, self._size)
        if part is not None and offset >= end:
            return Response("", 416, {"content-range": f"bytes */{self._size}"})
        answer = Response(..., self.status, self.headers)
        answer.value, is_text = self._read(offset, end)
        fields = answer.headers
        if self.status == 200:
            fields.setdefault("accept-ranges", "bytes")
        if part is not None:
            answer.status = 206
            fields["content-range"] = f"bytes {offset}-{end - 1}/{self._size}"
        kind = str(fields["content-type"])
        if self._charset and is_text and kind.startswith("text/"):
            fields["content-type"] = f"{kind}; charset=utf-8"
        return answer

    def _range(self, frame: dict[str, Any]) -> tuple[int, int] | None:
        """Where the one range that a request wants begins and ends; None for the whole file,
        also when it wants several (RFC 9110, 14.2).  Empty: nothing of it is in the file."""
        given = frame.get("headers") or {}
        wanted = given.get("range")
        found = _RANGE.fullmatch(wanted) if isinstance(wanted, str) else None
        if found is None or found[0] == "bytes=-":
            return None
        # A date is too coarse to tell whether it is still the same file.
        if given.get("if-range", self.headers["etag"]) != self.headers["etag"]:
            return None
        first, last, size = found[1], found[2], self._size
        if not first:
            return max(0, size - int(last)), size
        if not last:
            return int(first), size
        return (int(first), min(size, int(last) + 1)) if int(first) <= int(last) else None

    def _is_known(self, frame: dict[str, Any]) -> bool:
        """Whether the client has this very file (RFC 9110, 13.1)."""
        given = frame.get("headers") or {}
        tags = given.get("if-none-match")
        if tags is not None:
            text = tags if isinstance(tags, str) else ",".join(tags)
            listed = [tag.strip() for tag in text.split(",")]
            own = str(self.headers["etag"])
            return bool({"*", own, f"W/{own}"}.intersection(listed))
        since = given.get("if-modified-since")
        return isinstance(since, str) and self._modified <= _seconds_of(since)

    def _read(self, offset: int, end: int) -> tuple[bytes | str | FileBody, bool]:
        """The body from `offset` to `end`, and whether the file is text; a short body is read."""
        is_part = end - offset != self._size
        with open(self._path, "rb") as opened:
            data = opened.read(_SMALL + 1)
            is_text = _begins_as_text(data)
            if is_part and end - offset <= _SMALL:
                opened.seek(offset)
                return opened.read(end - offset), is_text
        if is_part or len(data) > _SMALL:
            path = os.path.realpath(self._path)
            return FileBody(path, offset, end - offset, is_part), is_text
        try:
            return data.decode(), True
        except UnicodeDecodeError:
            return data, False


def _begins_as_text(data: bytes) -> bool:
    """Whether bytes are UTF-8, but for a last character that may be cut."""
    from codecs import getincrementaldecoder

    try:
        getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return False
    return True


def _seconds_of(date: str) -> float:
    """An HTTP date as seconds since 1970; -1 for what is none."""
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return -1


def disposition(name: str) -> str:
    """Content-Disposition for a download, for any name (RFC 6266)."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in name)
    field = f'attachment; filename="{plain}"'
    if plain != name:
        from urllib.parse import quote

        field += f"; filename*=UTF-8''{quote(name, safe='')}"
    return field
