"""stream: one request in pieces, both ways: what has come, what may be sent, and the lines.

Both sides may have only so many bytes under way as the other one can hold.  Each counter
here has one writer: `granted` the thread that reads, `sent` the one that answers.  So
they need no lock.
"""

from __future__ import annotations

import os
from binascii import b2a_base64
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Protocol

    from .channel import Channel
    from .spool import Spool
    from .sync import Waiter

    Bytes = bytes | bytearray | memoryview
    HeadersLike = Mapping[str, str | list[str]] | str

    class Host(Protocol):
        """What an exchange needs of its engine."""

        channel: Channel
        window: int
        roots: list[str]
        chunk: int
        draining: bool
        closed: bool

    class BlockingHost(Host, Protocol):
        def pump(self, waiter: Waiter, done: Callable[[], bool]) -> None: ...
        def look(self) -> None: ...


from .codec import encode_id, encode_utf8, error_line, quote
from .errors import Error, HTTPError, failure_line
from .frames import CHUNK, WINDOW
from .request import body_of_frame
from .response import encode_headers

_ENDLESS = 1 << 62
_SMALL = 4096  # Characters that are sent as text; beyond, base64 is quicker.
_BODYLESS = frozenset((204, 304))
_GOING_AWAY = 1001
_VANISHED = 1006


class Cancelled(Error):
    """Nobody wants the answer any more: the client has left, time is over, nodey stops.

    reason: "disconnect", "timeout" or "shutdown".
    """

    def __init__(self, reason: str) -> None:
        super().__init__("cancelled", f"cancelled: {reason}")
        self.reason = reason


class Stream:
    """What Exchange and AsyncExchange have in common."""

    is_async = False

    def __init__(self, engine: Host, frame: dict[str, Any]) -> None:
        self.frame = frame
        self.id = frame.get("id")
        self.begun = False  # The head has been sent, with more to follow.
        self.closed = False  # Our last frame has been sent.
        self.ended = not frame.get("more") and "upgrade" not in frame  # There is no more to read.
        self.trailers: dict[str, Any] = {}
        self.reason: str | None = None  # Of the cancel.
        self.close_code = 0  # How a WebSocket ended; 0: it has not.
        self.close_reason = ""
        self.is_socket = False
        self.pieces: deque[Any] = deque()
        self.collected: Spool | None = None  # The body, when nobody reads it in pieces.
        self._when_ended: Callable[[], None] | None = None
        self._engine = engine
        self._channel = engine.channel
        self._text_id = encode_id(self.id)
        self._head = ""
        self._headers = ""
        self._status = 200
        self._taken = 0
        self._granted_back = 0
        self._sent = 0
        # By hand nobody grants anything.
        self._granted = engine.window if engine.channel.supervised else _ENDLESS
        first = body_of_frame(frame)
        if first:
            self.pieces.append(first)

    # ------------------------------------------------------- told by the engine

    def feed(self, frame: dict[str, Any]) -> None:
        """A chunk, message, credit or end for this exchange."""
        kind = frame["type"]
        if self.closed:
            return
        if kind == "credit":
            self._granted += frame["bytes"]
            self.wake()
        elif kind == "message":
            self.pieces.append(frame["body"] if "body" in frame else body_of_frame(frame))
            self.wake()
        else:
            if kind == "end":
                self.trailers = frame.get("trailers") or {}
                self.ended = True
                if self.is_socket and not self.close_code:
                    self.close_code = frame.get("code", 1005)
                    self.close_reason = frame.get("reason", "")
            self.feed_piece(body_of_frame(frame))

    def feed_piece(self, data: bytes) -> None:
        """A chunk, decoded; or all that an end has."""
        if self.closed:
            return
        if self.collected is not None:
            self.collected.add(data)
            self._took(len(data))
        elif data:
            self.pieces.append(data)
        self.wake()

    def cancel(self, reason: str) -> None:
        """Nobody wants the answer any more."""
        self.reason = self.reason or reason
        if self.is_socket and not self.close_code:
            self.close_code = _VANISHED
        self.wake()

    def go_away(self) -> None:
        """nodey drains, or has gone: a WebSocket is closed, what waits looks up."""
        if self.is_socket and not self.closed:
            self.close_socket(_GOING_AWAY, "")
        self.wake()

    def move_to(self, engine: Any) -> None:
        """Another engine goes on with what this one's has read."""
        self._engine = engine

    def wake(self) -> None:
        """Has who waits look again."""
        done = self._when_ended
        if done is not None and self._is_whole():
            self._when_ended = None
            done()

    # ------------------------------------------------------------------ reading

    def _has_news(self) -> bool:
        return bool(self.pieces) or self.ended or self._is_over()

    def _is_over(self) -> bool:
        return self.reason is not None or self._engine.closed or self.closed

    def _next(self) -> Any:
        """The next piece, b"" at the end; once _has_news()."""
        if not self.pieces:
            if self.ended:
                return b""
            if self.closed and self.reason is None:
                raise RuntimeError("the answer has ended, and with it the request's body")
            raise Cancelled(self.reason or "shutdown")
        if self.reason is not None:
            raise Cancelled(self.reason)
        piece = self.pieces.popleft()
        self._took(len(piece))
        return piece

    def _took(self, size: int) -> None:
        """So many bytes are out of the way: sees to it that more can come."""
        self._taken += size
        if self._taken - self._granted_back >= WINDOW // 2 and not self.ended and not self.closed:
            more = self._taken - self._granted_back
            self._granted_back = self._taken
            if self._channel.supervised:
                self._say(f'{{"type":"credit","id":{self._text_id},"bytes":{more}}}\n')

    def _is_whole(self) -> bool:
        """Whether nothing more of the body will come."""
        return self.ended or self._is_over()

    def _whole(self) -> Spool:
        assert self.collected is not None
        if not self.ended:
            raise Cancelled(self.reason or "shutdown")
        return self.collected

    def collect(self, done: Callable[[], None]) -> None:
        """Has the whole body put into `collected`.

        done: called when nothing more will come; `ended` says whether all of it has.  By the
        thread that reads, or at once.
        """
        from .spool import Spool

        if self._taken:
            raise RuntimeError("a part of the body has been read already")
        self._when_ended = done
        collected = Spool()
        while self.pieces:
            piece = self.pieces.popleft()
            collected.add(piece)
            self._took(len(piece))
        self.collected = collected
        Stream.wake(self)

    # ------------------------------------------------------------------ writing

    def _say(self, line: str) -> None:
        self._channel.write(line)

    def _say_parts(self, parts: list[bytes]) -> None:
        self._channel.write_parts(parts)

    def _has_room(self) -> bool:
        return self._granted > self._sent or self._is_over() or self.close_code != 0

    def head(self, status: int, headers: HeadersLike, reason: str | None = None) -> None:
        """Begins the answer; held back until its first piece or its end.

        headers: lower-case names; or their JSON text, which is not looked at.
        """
        if self.begun or self.closed:
            raise RuntimeError("the head of the answer has been sent")
        head = f'{{"id":{self._text_id},"status":{status:d}'
        if reason is not None:
            head += f',"reason":{quote(reason)}'
        self._status = status
        self._headers = headers if isinstance(headers, str) else encode_headers(headers)
        self._head = head

    def _whole_head(self) -> str:
        """All of the head line but its body and its end."""
        head, self._head = self._head, ""
        if not head:
            head = f'{{"id":{self._text_id}'
        if len(self._headers) > 2:
            head += f',"headers":{self._headers}'
        return head

    def begin(self) -> None:
        """Sends the head, so that the client has it before there is a first piece."""
        if not self.begun and not self.closed:
            self.begun = True
            self._say(self._whole_head() + ',"more":true}\n')

    def _prefix(self) -> str:
        """What stands before the body member of the next line."""
        if self.begun:
            return f'{{"type":"chunk","id":{self._text_id},'
        self.begun = True
        return self._whole_head() + ',"more":true,'

    def _put(self, view: memoryview) -> int:
        """Sends as much of the bytes as may be sent; returns how many."""
        if not self.begun and self._engine.chunk < CHUNK:
            self.begin()  # Lines are short: it might not find room in that of the head.
        size = min(len(view), self._granted - self._sent, self._engine.chunk)
        self._sent += size
        start = encode_utf8(f'{self._prefix()}"body64":"')
        self._say_parts([start, b2a_base64(view[:size], newline=False), b'"}\n'])
        return size

    def _put_text(self, text: str) -> bool:
        """Sends a short text as it is.  False when it must go as bytes, in parts."""
        if len(text) > _SMALL:
            return False
        size = len(text) if text.isascii() else len(encode_utf8(text))
        if size > self._granted - self._sent or size * 6 > self._engine.chunk:
            return False
        self._sent += size
        self._say(f'{self._prefix()}"body":{quote(text)}}}\n')
        return True

    def _check_open(self) -> None:
        if self.reason is not None:
            raise Cancelled(self.reason)
        if self.closed:
            raise RuntimeError("the answer has ended")

    def _answer_whole(self, data: str | Bytes) -> bool:
        """The whole answer as one plain line.  False when it is too long for that."""
        if len(data) > self._granted:
            return False
        # A character may be four bytes.
        room = self._channel.max_line - 4 * (len(self._head) + len(self._headers)) - 64
        if isinstance(data, str):
            member = f'"body":{quote(data)}'
            if len(member) * (1 if member.isascii() else 4) > room:
                return False
        else:
            if len(data) * 4 // 3 > room:
                return False
            member = f'"body64":"{b2a_base64(data, newline=False).decode()}"'
        self._close(f"{self._whole_head()},{member}}}\n" if data else self._whole_head() + "}\n")
        return True

    def _add_length(self, size: int) -> None:
        """The length is known, so the client may be told."""
        if '"content-length":' not in self._headers and self._status not in _BODYLESS:
            rest = self._headers[1:] if len(self._headers) > 2 else "}"
            comma = "," if rest != "}" else ""
            self._headers = f'{{"content-length":"{size}"{comma}{rest}'

    def _end_line(self, trailers: Mapping[str, Any] | None) -> str:
        more = f',"trailers":{encode_headers(trailers)}' if trailers else ""
        return f'{{"type":"end","id":{self._text_id}{more}}}\n'

    def _close(self, line: str) -> None:
        """Sends the last frame."""
        self.closed = True
        self._say(line)

    def info(self, status: int, headers: HeadersLike) -> None:
        """Sends an interim answer: 102 to 199, such as 103 with links."""
        self._check_open()
        fields = headers if isinstance(headers, str) else encode_headers(headers)
        self._say(
            f'{{"type":"info","id":{self._text_id},"status":{status:d},"headers":{fields}}}\n'
        )

    def end_with_file(self, path: str, offset: int = 0, length: int | None = None) -> bool:
        """Has nodey send a file as the body of the answer that head() began, if it may.

        path: absolute.  length: bytes; None is up to its end.  False: nothing was sent, for
        the file is in none of the folders that nodey serves from (file_roots).
        """
        self._check_open()
        if self.begun or not allowed_file(self._engine.roots, path):
            return False
        member = f',"file":{quote(path)}'
        if offset:
            member += f',"offset":{offset:d}'
        if length is not None:
            member += f',"length":{length:d}'
        self._close(self._whole_head() + member + "}\n")
        return True

    def fail(self, exc: BaseException, where: str = "the answer") -> None:
        """Answers with the failure; once the head is out, the client sees a broken answer.

        where: what has raised, for the log.
        """
        if self.closed:
            return
        if isinstance(exc, HTTPError) and self.begun:
            line = error_line(self.id, exc.code, exc.message, data=exc.data)
        else:
            line = failure_line(exc, self.frame, where)
        self._close(line)

    # ---------------------------------------------------------------- WebSocket

    def accept(self, headers: HeadersLike) -> None:
        """Accepts the WebSocket that the request asks for."""
        self._check_open()
        if self.begun:
            raise RuntimeError("the WebSocket has been accepted")
        self.head(101, headers)
        self.is_socket = True
        self.begin()

    def _message(self, data: str | Bytes) -> None:
        """Sends a message; it is never split, so it may take more than was granted."""
        if isinstance(data, str):
            self._sent += len(data) if data.isascii() else len(encode_utf8(data))
            self._say(f'{{"type":"message","id":{self._text_id},"body":{quote(data)}}}\n')
            return
        self._sent += len(data)
        start = f'{{"type":"message","id":{self._text_id},"body64":"'.encode()
        self._say_parts([start, b2a_base64(data, newline=False), b'"}\n'])

    def _next_message(self) -> Any:
        """The next message, None when the WebSocket is closed; once _has_news()."""
        if self.closed or not self.pieces:
            return None
        piece = self.pieces.popleft()
        self._took(len(piece) if piece.isascii() else len(_as_bytes(piece)))
        return piece

    def close_socket(self, code: int, reason: str) -> None:
        """Closes the WebSocket; this is its last frame."""
        if self.closed:
            return
        self.close_code = self.close_code or code
        more = f',"reason":{quote(reason)}' if reason else ""
        self._close(f'{{"type":"end","id":{self._text_id},"code":{code:d}{more}}}\n')
        self.wake()


def _as_bytes(data: str | Bytes) -> Bytes:
    return encode_utf8(data) if isinstance(data, str) else data


def allowed_file(roots: list[str], path: str) -> bool:
    """Whether nodey may send this file: it is below one of its folders, links resolved."""
    real = os.path.realpath(path)
    return any(real.startswith(root if root.endswith("/") else root + "/") for root in roots)
