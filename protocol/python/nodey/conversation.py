"""conversation: streams and WebSockets of testing.Client, which go on while the test does."""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from .standin import StandIn


from .compose import body_of, problem_frame
from .errors import HTTPError
from .request import Headers
from .sockets import Closed, check_close
from .standin import Desk

_SECONDS = 10.0


class _Conversation:
    """A handler that runs in a thread of its own, and what it sends."""

    def __init__(
        self, engine: StandIn, frame: dict[str, Any], after: Callable[[], None]
    ) -> None:
        """after: raises what the handler has raised, when it is over."""
        self._engine = engine
        self._frame = frame
        self._after = after
        self._desk = Desk(live=True)
        self._read = 0
        self._charge = engine.in_charge()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        self._engine.answer(self._frame, self._desk)

    def _begin(self) -> dict[str, Any]:
        self._engine.raised = None
        self._charge.__enter__()
        self._thread.start()
        return self._next()

    def _next(self) -> dict[str, Any]:
        """The next frame.  Raises TimeoutError when none comes."""
        desk = self._desk
        with desk.news:
            if not desk.news.wait_for(lambda: len(desk.frames) > self._read, _SECONDS):
                raise TimeoutError(f"nothing was sent within {_SECONDS:.0f} s")
            frame = desk.frames[self._read]
            self._read += 1
        size = len(body_of(frame)[0])
        if size and frame.get("type") in ("chunk", "message"):
            self._tell({"type": "credit", "bytes": size})
        return frame

    def _tell(self, frame: dict[str, Any]) -> None:
        """Gives the exchange a frame, in its loop if it has one."""
        self._in_loop(lambda: self._desk.exchange.feed(frame))

    def _in_loop(self, work: Callable[[], None]) -> None:
        loop = self._desk.loop
        if loop is None:
            work()
        else:
            loop.call_soon_threadsafe(work)

    def _leave(self) -> None:
        """Waits until the handler is over."""
        self._thread.join(_SECONDS)
        self._charge.__exit__(None, None, None)
        if self._thread.is_alive():
            raise TimeoutError(f"the handler did not end within {_SECONDS:.0f} s")


class StreamResult(_Conversation):
    """An answer in pieces.

    status: a number.  headers: names in any case.  Iterating gives the pieces, bytes, one by
    one as the handler makes them; lines() the lines, str.
    """

    def __enter__(self) -> StreamResult:
        head = self._begin()
        while head.get("type") == "info":
            head = self._next()
        if head.get("type") == "error":
            head = problem_frame(head, self._frame["path"])
        self.status: int = head.get("status", 200)
        self._first, kind = body_of(head)
        fields = {**({"content-type": kind} if kind else {}), **(head.get("headers") or {})}
        self.headers = Headers(fields)
        self._more = bool(head.get("more"))
        self.trailers: dict[str, Any] = {}
        return self

    def __iter__(self) -> Iterator[bytes]:
        if self._first:
            first, self._first = self._first, b""
            yield first
        while self._more:
            frame = self._next()
            self._more = frame.get("type") == "chunk"
            if frame.get("type") == "error":
                self._after()
                raise ConnectionError(f"the answer was broken off: {frame.get('message')}")
            self.trailers = frame.get("trailers", {})
            piece = body_of(frame)[0]
            if piece:
                yield piece

    def lines(self) -> Iterator[str]:
        """The lines of the body, without their ends."""
        rest = ""
        for piece in self:
            *whole, rest = (rest + piece.decode("utf-8", "replace")).split("\n")
            yield from whole
        if rest:
            yield rest

    def read(self) -> bytes:
        """What is left of the body."""
        return b"".join(self)

    def __exit__(self, *exc: object) -> None:
        exchange, working = self._desk.exchange, self._engine.working
        if exchange is not None and not self._desk.over.is_set():
            self._in_loop(lambda: exchange.cancel("disconnect"))
            if exchange.is_async and working is not None:
                working.cancel()
        self._leave()


class WebSocket(_Conversation):
    """The client's end of a WebSocket.  protocol: the subprotocol that was agreed on, or ""."""

    def __enter__(self) -> WebSocket:
        head = self._begin()
        if head.get("status") != 101:
            self._leave()
            self._after()
            status = head.get("status")
            if head.get("type") == "error":
                head = problem_frame(head, self._frame["path"])
                status = head["status"]
            text = body_of(head)[0].decode("utf-8", "replace")
            raise HTTPError(max(int(status or 200), 400), f"refused with {status}: {text}")
        self.protocol: str = (head.get("headers") or {}).get("sec-websocket-protocol", "")
        self.close_code = 0
        return self

    def send(self, message: str | bytes) -> None:
        """Sends a message."""
        if isinstance(message, str):
            self._tell({"type": "message", "body": message})
        else:
            from binascii import b2a_base64

            body = b2a_base64(message, newline=False).decode()
            self._tell({"type": "message", "body64": body})

    def receive(self) -> str | bytes:
        """The next message.  Raises nodey.Closed at the end, TimeoutError after 10 s."""
        while True:
            frame = self._next()
            kind = frame.get("type")
            if kind == "message":
                message: str | bytes = frame["body"] if "body" in frame else body_of(frame)[0]
                return message
            if kind in ("end", "error"):
                self.close_code = frame.get("code", 1005) if kind == "end" else 1011
                self._after()
                raise Closed(self.close_code, frame.get("reason", ""))

    def __iter__(self) -> Iterator[str | bytes]:
        while True:
            try:
                yield self.receive()
            except Closed:
                return

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes the socket."""
        check_close(code, reason)
        if not self.close_code and not self._desk.over.is_set():
            self.close_code = code
            self._tell({"type": "end", "code": code, "reason": reason})

    def __exit__(self, *exc: object) -> None:
        self.close()
        self._leave()
