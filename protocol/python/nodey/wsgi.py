"""wsgi: serves an app of PEP 3333, such as one of Flask or Django.

An answer that is known to be whole when its first piece comes is one line.  Everything else
is sent piece by piece, at once, for the client may be waiting for the first of them.
"""

from __future__ import annotations

import os
import stat
from http import HTTPStatus
from io import BufferedReader, FileIO, RawIOBase
from time import perf_counter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

from .appline import ONE_LINE_MAX, answer_line, fields_of, is_text
from .codec import encode, encode_id, quote
from .environ import base_of, environ_of, with_body
from .errors import failure_line, log_text, traceback_text
from .exchange import Cancelled, allowed_file
from .frames import within_limit
from .handler import Handler
from .log import log
from .request import body_of_frame

_BLOCK = 65536
_SHORT = 4096
_SPOOL_MEMORY = 1048576
_KEPT = 1000
_PHRASES = {str(int(status)): status.phrase for status in HTTPStatus}

_statuses: dict[str, tuple[int, str, str | None]] = {}


class FileWrapper:
    """environ["wsgi.file_wrapper"]: a file that nodey may send by itself."""

    def __init__(self, filelike: Any, blksize: int = _BLOCK) -> None:
        self.filelike = filelike
        self.blksize = blksize
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        data: bytes = self.filelike.read(self.blksize)
        if data:
            return data
        raise StopIteration


class _Body(RawIOBase):
    """The body of a request that comes in pieces, for a BufferedReader."""

    def __init__(self, exchange: Any) -> None:
        self._exchange = exchange
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            try:
                self._rest = memoryview(self._exchange.read())
            except Cancelled as exc:
                raise ConnectionAbortedError(f"the rest of the body will not come: {exc}") from exc
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def _spooled(exchange: Any) -> tuple[Any, int]:
    """All of a body whose length nobody knows, as a file, and its length."""
    from tempfile import SpooledTemporaryFile

    file = SpooledTemporaryFile(_SPOOL_MEMORY)
    while True:
        piece = exchange.read()
        if not piece:
            break
        file.write(piece)
    size = file.tell()
    file.seek(0)
    return file, size


def _status_of(status: Any) -> tuple[int, str, str | None]:
    """ "404 Not Found" as a number, the members of a line, and the reason if it is unusual."""
    known = _statuses.get(status) if type(status) is str else None
    if known is not None:
        return known
    if not isinstance(status, str):
        text = f"the status is a str such as '200 OK', not {type(status).__name__}"
        raise TypeError(f"start_response(): {text}")
    code, _, phrase = status.partition(" ")
    if len(code) != 3 or not code.isdigit() or not 200 <= int(code) <= 599:
        raise ValueError(f"start_response(): the status is '200 OK' or the like, not {status!r}")
    reason = phrase if phrase and phrase != _PHRASES.get(code) else None
    members = "" if code == "200" else f'"status":{code},'
    if reason is not None:
        members += f'"reason":{quote(reason)},'
    if len(_statuses) < _KEPT:
        _statuses[status] = (int(code), members, reason)
    return int(code), members, reason


class _Answer:
    """One request on its way through the app, and what the app has said so far."""

    __slots__ = ("handler", "frame", "exchange", "status", "fields", "began")

    def __init__(self, handler: WsgiHandler, frame: dict[str, Any]) -> None:
        self.handler = handler
        self.frame = frame
        self.exchange: Any = None  # Once anything comes or goes in pieces.
        self.status: tuple[int, str, str | None] | None = None
        self.fields: dict[str, Any] = {}
        self.began = False  # The head has been sent.

    def environ(self) -> dict[str, Any]:
        """The environ of the request."""
        frame = self.frame
        environ = environ_of(frame, self.handler.base)
        if "HTTP_SEC_WEBSOCKET_KEY" in environ:
            self.handler.warn_of_websocket(frame)
        if "more" not in frame:
            return with_body(environ, body_of_frame(frame))
        exchange = self._exchange()
        if "CONTENT_LENGTH" in environ:
            environ["wsgi.input"] = BufferedReader(_Body(exchange), _BLOCK)
        else:
            environ["wsgi.input"], size = _spooled(exchange)
            environ["CONTENT_LENGTH"] = str(size)
        return environ

    def _exchange(self) -> Any:
        if self.exchange is None:
            self.exchange = self.handler.open(self.frame)
        return self.exchange

    # ------------------------------------------------------ what the app calls

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """See PEP 3333."""
        if exc_info:
            try:
                if self.began:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self.status is not None:
            raise AssertionError("start_response() is called a second time without exc_info")
        self.status = _status_of(status)
        self.fields = fields_of(headers)
        return self.write

    def write(self, data: bytes) -> None:
        """What start_response() returns: sends a piece at once."""
        self._begin()
        if data:
            self.exchange.write(_as_text(data, self.fields))

    def _begin(self) -> None:
        """Has the exchange have the head; it goes with the first piece."""
        if self.began:
            return
        exchange, status = self._exchange(), self.status
        assert status is not None
        self.began = True
        exchange.head(status[0], encode(self.fields, "the headers"), status[2])

    # ------------------------------------------------------------- what it says

    def line(self, result: Iterable[bytes]) -> str:
        """The answer as a line; "" when it has been sent in pieces."""
        if self.began:  # By write().
            return self._in_pieces(b"", iter(result), None)
        if type(result) is list or type(result) is tuple:
            return self._whole(result[0] if len(result) == 1 else b"".join(result))
        if type(result) is FileWrapper and self._is_file(result):
            return ""
        if getattr(result, "streaming", None) is False:  # Django's, whose length may be unknown.
            return self._whole(b"".join(result))
        pieces = iter(result)
        piece = b""
        for piece in pieces:
            if piece:
                break
        length = self.fields.get("content-length")
        if not piece:
            return self._whole(piece)
        if length == str(len(piece)) and not self.began:
            line = self._whole(piece)
            if line:
                self.handler.release(line)
            for _ in pieces:
                pass  # To its end, for what the app does there.
            return ""
        return self._in_pieces(piece, pieces, length)

    def _check_started(self) -> None:
        if self.status is None:
            raise AssertionError(f"{self.handler.name} has not called start_response()")

    def _whole(self, body: bytes) -> str:
        if self.began:
            return self._in_pieces(body, iter(()), None)
        self._check_started()
        assert self.status is not None
        if self.exchange is None and len(body) <= ONE_LINE_MAX:
            frame, handler = self.frame, self.handler
            id = frame.get("id")
            if type(id) is not int:
                id = encode_id(id)
            line = answer_line(id, self.status[1], self.fields, body)
            if len(line) > handler.line_max:
                line = within_limit(line, handler.line_max * 4, frame, handler)
            return line
        self._begin()
        self.exchange.end(_as_text(body, self.fields))
        return ""

    def _in_pieces(self, piece: bytes, pieces: Iterator[bytes], length: str | None) -> str:
        """Sends what there is and what comes.  length: the bytes that were promised."""
        self._check_started()
        self._begin()
        exchange, engine = self.exchange, self.handler.engine
        left = int(length) if length is not None and length.isdigit() else 1 << 62
        endless = str(self.fields.get("content-type")).startswith("text/event-stream")
        while True:
            if piece:
                if not isinstance(piece, (bytes, bytearray, memoryview)):
                    kind = type(piece).__name__
                    raise TypeError(f"{self.handler.name} gives pieces of bytes, not {kind}")
                if len(piece) > left:
                    piece = piece[:left]
                left -= len(piece)
                exchange.write(_as_text(piece, self.fields))
            if endless and engine.draining:
                break  # It would go on for ever.
            try:
                piece = next(pieces)
            except StopIteration:
                break
        exchange.end()
        return ""

    def _is_file(self, wrapper: FileWrapper) -> bool:
        """Has nodey send the file, if it is a plain one that nodey may open by its name."""
        file, roots = wrapper.filelike, self.handler.engine.roots
        raw = file.raw if type(file) is BufferedReader else file
        if not roots or type(raw) is not FileIO or not isinstance(raw.name, str):
            return False
        path = os.path.abspath(raw.name)
        try:
            own, named = os.fstat(raw.fileno()), os.stat(path)
            offset = file.tell()
        except (OSError, ValueError):
            return False
        # It may have another name by now, or none.
        if not stat.S_ISREG(own.st_mode) or not os.path.samestat(own, named):
            return False
        if not allowed_file(roots, path):
            return False
        self._check_started()
        self._begin()
        length = self.fields.get("content-length")
        known = int(length) if length is not None and length.isdigit() else None
        return bool(self.exchange.end_with_file(path, offset, known))

    def failed(self, exc: Exception) -> str:
        """The line that says so; "" when the exchange has."""
        exchange = self.exchange
        if exchange is None:
            return failure_line(exc, self.frame, self.handler.name)
        if exchange.reason is not None:  # Whatever came of it: nobody wants to know.
            exc = Cancelled(exchange.reason)
        exchange.fail(exc, self.handler.name)
        return ""


def _as_text(body: bytes, fields: dict[str, Any]) -> str | bytes:
    """A short piece as text if that is what it is: people read it."""
    if len(body) <= _SHORT and is_text(fields.get("content-type")):
        try:
            return str(body, "utf-8")
        except UnicodeDecodeError:
            pass  # Its end may be in the middle of a character.
    return body


class WsgiHandler(Handler):
    """An app as the handler of all requests."""

    __slots__ = ("engine", "base", "line_max", "open", "_holds", "_is_warned")

    def __init__(self, app: Callable[..., Any], name: str, root_path: str) -> None:
        self.name = f"{name} (WSGI)"
        self.function = self.call = app
        self.hooks = None
        self.is_async = False
        self.cost = float("inf")
        self.streams = True  # The body may still be on its way.
        self.base = base_of(root_path, False, FileWrapper)
        self.engine: Any = None
        self.line_max = 0
        self.open: Callable[[dict[str, Any]], Any] = lambda frame: None
        self._holds = False
        self._is_warned = False

    def __str__(self) -> str:
        return f"the answer of {self.name}"

    def attach(self, engine: Any) -> None:
        """engine: serves the requests."""
        from .sync import SyncEngine

        self.line_max = engine.channel.max_line // 4
        self.open = getattr(engine, "exchange_in_thread", engine.exchange)
        self._holds = type(engine) is SyncEngine
        self.base["wsgi.multithread"] = not self._holds
        self.engine = engine

    def warn_of_websocket(self, frame: dict[str, Any]) -> None:
        """A client that wants a WebSocket is told no more than what the app says; once, the
        log tells why."""
        if not self._is_warned:
            self._is_warned = True
            log.warn(
                f"a WebSocket was asked for at {frame['path']}, and WSGI has none: "
                "use an ASGI app, or @nodey.ws in a script"
            )

    def release(self, line: str) -> None:
        """Lets an answer go, though the app is not done: what is left to do may take long."""
        engine, channel = self.engine, self.engine.channel
        if not self._holds:
            loop = getattr(engine, "loop", None)
            if loop is None:
                channel.write(line)
            else:
                loop.call_soon_threadsafe(engine.send, line)
            return
        channel.hold(line, perf_counter())
        if not channel.may_hold:
            channel.flush()
        elif not channel.watched:
            channel.watch()

    def serve(self, frame: dict[str, Any], argument: Any) -> str:
        """Calls the app and returns the line that answers; "" when that has been sent."""
        if self.engine is None:
            from .worker import worker

            self.attach(worker.engine)
        answer = _Answer(self, frame)
        try:
            result = self.function(answer.environ(), answer.start_response)
        except Exception as exc:
            return answer.failed(exc)
        try:
            line = answer.line(result)
        except Exception as exc:
            line = answer.failed(exc)
        except BaseException:
            self._close(result)
            raise
        if not hasattr(result, "close"):
            return line
        if line:
            self.release(line)
        self._close(result)
        return ""

    def _close(self, result: Any) -> None:
        close = getattr(result, "close", None)
        if close is None:
            return
        try:
            close()
        except Exception as exc:
            log_text(f"close() of {self} failed\n{traceback_text(exc)}")
