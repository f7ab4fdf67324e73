"""forms: urlencoded and multipart bodies (RFC 7578)."""

from __future__ import annotations

import io
import os
import re
from urllib.parse import unquote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap
    from pathlib import Path
    from typing import Any, BinaryIO

from .errors import Error, HTTPError
from .request import MissingValue, Values, parse_query

_URLENCODED = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
MOST_FIELDS = 1000
_MOST_PART_HEADER = 8192
_MOST_BOUNDARY = 70
_MOST_PADDING = 64
_LARGE = 65536  # Bytes of a file that is not copied out of the body.

_PARAMETER = re.compile(r';\s*([\w!#$%&\'*+.^`|~-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;"\s]*)\s*')


class Upload:
    """A file in a form.

    name: the field.  filename: as the client called it, without folders; "" when it did
    not.  content_type: what the client says it is.  A big one stays in a temporary file:
    open() and save() read it from there, `data` has all of it in memory.
    """

    __slots__ = ("name", "filename", "content_type", "_view")

    def __init__(
        self, name: str, filename: str, content_type: str, data: bytes | memoryview
    ) -> None:
        self.name = name
        self.filename = filename
        self.content_type = content_type
        self._view = data

    def __repr__(self) -> str:
        return f"<Upload {self.filename!r}, {self.content_type}, {len(self)} bytes>"

    def __len__(self) -> int:
        return len(self._view)

    @property
    def data(self) -> bytes:
        """The bytes."""
        return self._view if isinstance(self._view, bytes) else bytes(self._view)

    def __bool__(self) -> bool:
        return True  # Also when it is empty: a file was sent.

    @property
    def size(self) -> int:
        """The number of bytes."""
        return len(self._view)

    def read(self) -> bytes:
        """The bytes; the same as `data`."""
        return self.data

    @property
    def text(self) -> str:
        """The bytes as UTF-8 text; those that are none become U+FFFD."""
        return self.data.decode("utf-8", "replace")

    def open(self) -> BinaryIO:
        """A file object for libraries that want one."""
        if isinstance(self._view, bytes):
            return io.BytesIO(self._view)
        return io.BufferedReader(_View(self._view))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the bytes to a file and returns its path; replaces what was there.

        path: the file, or a folder that exists, for a file with the client's name in it.
        """
        from pathlib import Path

        target = Path(path)
        if target.is_dir():
            if not self.filename:
                raise ValueError(f"the file in {self.name!r} has no name; say one to save()")
            target = target / self.filename
        target.write_bytes(self._view)
        return target


class _View(io.RawIOBase):
    """A part of a temporary file as a file of its own."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = (0, self._at, len(self._view))[whence]
        self._at = max(base + offset, 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        piece = self._view[self._at : self._at + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


class Files(dict[str, Upload]):
    """The files of a form: a dict of the first of each field; getlist() has all."""

    __slots__ = ("_all",)

    def __init__(self) -> None:
        super().__init__()
        self._all: list[Upload] = []

    def __missing__(self, name: str) -> Upload:
        raise MissingValue("form's files", name)

    def add(self, upload: Upload) -> None:
        """Adds a file after those of the same field."""
        self._all.append(upload)
        self.setdefault(upload.name, upload)

    def getlist(self, name: str) -> list[Upload]:
        """All files of a field in the order they came; empty when there is none."""
        return [upload for upload in self._all if upload.name == name]


class Form(Values):
    """The fields of a form: a dict of the first value of each, with getlist() and files."""

    __slots__ = ("files",)

    _what = "form"

    def __init__(self) -> None:
        super().__init__()
        self.files = Files()


def _malformed(why: str) -> Error:
    return Error("invalid_argument", f"the form is malformed: {why}")


def parse_form(content_type: str, body: bytes) -> Form:
    """See Request.form()."""
    return form_in(content_type, b"\r\n" + body)


def form_in(content_type: str, body: bytes | mmap) -> Form:
    """The same for a body with a line break in front, which may be a mapped file."""
    kind, parameters = parse_parameters(content_type)
    if kind == _MULTIPART:
        return _parse_multipart(body, parameters.get("boundary", ""))
    form = Form()
    if len(body) <= 2:
        return form
    if kind != _URLENCODED:
        raise HTTPError(
            415, f"expected a form ({_URLENCODED} or {_MULTIPART}), not {kind or 'a bare body'}"
        )
    text = body[2:].decode("utf-8", "replace")
    if text.count("&") >= MOST_FIELDS:
        raise _malformed(f"it has more than {MOST_FIELDS} fields")
    fields = parse_query(text)
    for name in fields:
        for value in fields.getlist(name):
            form.add(name, value)
    return form


def parse_parameters(field: str) -> tuple[str, dict[str, str]]:
    """'form-data; name="a"' as ("form-data", {"name": "a"}); names in lower case."""
    value, semicolon, rest = field.partition(";")
    parameters: dict[str, str] = {}
    for match in _PARAMETER.finditer(semicolon + rest):
        text = match[2]
        if text.startswith('"'):
            text = text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
        parameters.setdefault(match[1].lower(), text)
    return value.strip().lower(), parameters


def _parse_multipart(text: bytes | mmap, boundary: str) -> Form:
    if not 0 < len(boundary) <= _MOST_BOUNDARY or not boundary.isascii():
        raise _malformed("its Content-Type has no usable boundary")
    # The line break in front makes the first delimiter like all others.
    delimiter = b"\r\n--" + boundary.encode()
    form = Form()
    begin, count = -1, 0
    for at, after, closing in _delimiters(text, delimiter):
        if begin >= 0:
            count += 1
            if count > MOST_FIELDS:
                raise _malformed(f"it has more than {MOST_FIELDS} parts")
            _add_part(form, text, begin, at)
        if closing:
            return form
        begin = after
    if begin < 0:
        raise _malformed("its boundary is not in it")
    raise _malformed("it ends in the middle of a part")


def _delimiters(text: bytes | mmap, delimiter: bytes) -> Iterator[tuple[int, int, bool]]:
    """Where each delimiter line begins, where what follows it does, whether it is the last.

    A part is taken to begin with the line break of its delimiter, so that one without
    headers has an empty line before its bytes like all others.
    """
    at = text.find(delimiter)
    while at >= 0:
        after = at + len(delimiter)
        if text[after : after + 2] == b"--":
            yield at, after, True
            return
        # Other bytes may begin like the delimiter; only blanks may follow a real one.
        line_end = text.find(b"\r\n", after, after + _MOST_PADDING)
        if line_end >= 0 and not text[after:line_end].strip(b" \t"):
            yield at, line_end, False
            after = line_end
        at = text.find(delimiter, after)


def _add_part(form: Form, text: bytes | mmap, begin: int, end: int) -> None:
    """One part: its headers, an empty line, its bytes."""
    head_end = text.find(b"\r\n\r\n", begin, min(end, begin + _MOST_PART_HEADER) + 4)
    if head_end < 0:
        raise _malformed("a part has no empty line after its headers, or too long ones")
    headers: dict[str, str] = {}
    for line in text[begin:head_end].decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    kind, parameters = parse_parameters(headers.get("content-disposition", ""))
    if kind != "form-data" or "name" not in parameters:
        raise _malformed("a part has no Content-Disposition: form-data with a name")
    coding = headers.get("content-transfer-encoding", "binary").lower()
    if coding not in ("7bit", "8bit", "binary"):
        raise _malformed(f"a part has the transfer encoding {coding}, which forms do not have")
    name, size = _unescaped(parameters["name"]), end - head_end - 4
    filename = _filename(parameters)
    if filename is None:
        form.add(name, _decoded(text[head_end + 4 : end], headers.get("content-type", "")))
    elif filename or size:  # Neither: a file input in which nothing was chosen.
        content_type = headers.get("content-type") or "application/octet-stream"
        big = size > _LARGE and not isinstance(text, bytes)
        data = memoryview(text)[head_end + 4 : end] if big else text[head_end + 4 : end]
        form.files.add(Upload(name, filename, content_type, data))


def _unescaped(text: str) -> str:
    """Browsers write quotes and line breaks in names so; and nothing else."""
    return text.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")


def _filename(parameters: dict[str, str]) -> str | None:
    """The name without folders, so that save() stays where it should; None for a field."""
    name = parameters.get("filename")
    extended = parameters.get("filename*", "")
    if extended.lower().startswith("utf-8''"):
        name = unquote(extended[7:])
    if name is None:
        return None
    name = _unescaped(name).replace("\\", "/").rpartition("/")[2]
    name = "".join(c for c in name if c.isprintable())
    return "" if name in (".", "..") else name


def _decoded(data: bytes, content_type: str) -> str:
    charset = parse_parameters(content_type)[1].get("charset", "utf-8")
    try:
        return data.decode(charset, "replace")
    except LookupError:
        return data.decode("utf-8", "replace")
