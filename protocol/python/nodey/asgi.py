"""asgi: serves an app of ASGI 3, such as one of FastAPI, Starlette or Quart.

An answer that is whole when its first piece comes is one line, and then no exchange is made
for it.  A request stands in the engine's table of exchanges all the same, for the app is
told of a client that leaves, and is not interrupted.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any, NoReturn

    from .handler import InThread

    App = Callable[[Any, Any, Any], Awaitable[None]]

from .appline import ONE_LINE_MAX, answer_line, fields_of_bytes, is_text
from .codec import encode, encode_id
from .errors import failure_line
from .exchange import AsyncExchange, Cancelled
from .frames import within_limit
from .handler import Handler
from .request import body_of_frame
from .scope import scope_of, websocket_scope_of

_BLOCK = 65536
_REQUESTED, _STARTED, _STREAMING, _TRAILERS, _SENT, _COMPLETE = range(6)

_statuses = {
    int(status): "" if status == 200 else f'"status":{int(status)},'
    for status in HTTPStatus
    if status >= 200
}


class ClientGone(OSError):
    """What send() raises when nobody reads any more."""


class HttpCycle:
    """One request and its answer.

    For the engine it is the exchange of the request: told of pieces of the body, of a
    client that leaves, and when nodey drains.
    """

    __slots__ = (
        "frame",
        "id",
        "interrupts",
        "closed",
        "reason",
        "_handler",
        "_engine",
        "_exchange",
        "_phase",
        "_status",
        "_fields",
        "_has_trailers",
        "_trailers",
        "_has_read",
        "_is_endless",
        "_waiting",
        "_in_thread",
    )

    def __init__(self, handler: AsgiHandler, frame: dict[str, Any], in_thread: InThread) -> None:
        self.frame = frame
        self.id = frame.get("id")
        self.interrupts = False
        self.closed = False
        self.reason: str | None = None
        self._handler = handler
        self._engine = handler.engine
        self._exchange: AsyncExchange | None = None
        self._phase = _REQUESTED
        self._status = 200
        self._fields: dict[str, Any] = {}
        self._has_trailers = False
        self._trailers: dict[str, Any] = {}
        self._has_read = False
        self._is_endless = False
        self._waiting: list[asyncio.Future[None]] = []
        self._in_thread = in_thread
        if "more" in frame:
            # The engine's own, for pieces may have come before there was this object.
            self._exchange = self._engine.exchange(frame)
        self._engine.exchanges[self.id] = self

    # ------------------------------------------------------- told by the engine

    def feed(self, frame: dict[str, Any]) -> None:
        """A chunk, a credit or an end."""
        if self._exchange is not None:
            self._exchange.feed(frame)

    def feed_piece(self, data: bytes) -> None:
        """A chunk, decoded."""
        if self._exchange is not None:
            self._exchange.feed_piece(data)

    def cancel(self, reason: str) -> None:
        """Nobody wants the answer any more."""
        self.reason = self.reason or reason
        if self._exchange is not None:
            self._exchange.cancel(reason)
        self.wake()

    def go_away(self) -> None:
        """nodey drains, or is gone."""
        if self._exchange is not None:
            self._exchange.wake()
        self.wake()

    def wake(self) -> None:
        """Has who waits for the client to leave look again."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    # --------------------------------------------------------------- for the app

    def _is_over(self) -> bool:
        """Whether nothing more will be read from this client, nor sent to it."""
        return (
            self.reason is not None
            or self._phase == _COMPLETE
            or self._engine.closed
            or (self._is_endless and self._engine.draining)
        )

    async def receive(self) -> dict[str, Any]:
        """See the ASGI specification."""
        if not self._has_read and self.reason is None:
            if self._exchange is None or self._phase == _COMPLETE:
                self._has_read = True
                body = body_of_frame(self.frame) if self._phase != _COMPLETE else b""
                return {"type": "http.request", "body": body, "more_body": False}
            try:
                piece = await self._exchange.read()
            except (Cancelled, RuntimeError):
                return {"type": "http.disconnect"}
            more = bool(self._exchange.pieces) or not self._exchange.ended
            self._has_read = not more
            return {"type": "http.request", "body": piece, "more_body": more}
        while not self._is_over():
            future = self._engine.loop.create_future()
            self._waiting.append(future)
            await future
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        """See the ASGI specification."""
        kind = message["type"]
        phase = self._phase
        if kind == "http.response.body" and phase in (_STARTED, _STREAMING):
            body = message.get("body", b"")
            if (
                phase == _STARTED
                and self._exchange is None
                and not self._has_trailers
                and len(body) <= ONE_LINE_MAX
                and (not message.get("more_body") or self._promised() == len(body) > 0)
            ):
                self._answer(body, bool(message.get("more_body")))
            else:
                await self._send_piece(body, bool(message.get("more_body")))
        elif kind == "http.response.start" and phase == _REQUESTED:
            self._status = message["status"]
            self._fields = fields_of_bytes(message.get("headers") or ())
            self._has_trailers = bool(message.get("trailers"))
            self._is_endless = str(self._fields.get("content-type")).startswith(
                "text/event-stream"
            )
            self._phase = _STARTED
        elif kind == "http.response.pathsend" and phase == _STARTED:
            await self._send_path(message["path"])
        elif kind == "http.response.trailers" and phase == _TRAILERS:
            self._trailers.update(fields_of_bytes(message.get("headers") or ()))
            if not message.get("more_trailers"):
                await self._end()
        elif kind == "http.response.early_hint" and phase == _REQUESTED:
            links = [bytes(link).decode("latin-1") for link in message["links"]]
            if self.reason is None:
                self._open().info(103, encode({"link": links}, "the links"))
        elif kind == "http.response.body" and phase == _SENT and not message.get("body"):
            if not message.get("more_body"):
                self._complete()
        elif phase != _COMPLETE:
            raise RuntimeError(f"{kind!r} is not what comes next: {_EXPECTED[phase]}")
        else:
            raise RuntimeError(f"{kind!r} came after the answer was complete")

    def _open(self) -> AsyncExchange:
        """The exchange, made when anything comes or goes in pieces."""
        exchange = self._exchange
        if exchange is None:
            exchange = self._exchange = AsyncExchange(self._engine, self.frame)
            if self.reason is not None:
                exchange.cancel(self.reason)
        return exchange

    def _complete(self) -> None:
        self._phase = _COMPLETE
        self.closed = True
        if self._waiting:
            self.wake()

    def _promised(self) -> int:
        """The bytes of the answer, if the app has said how many they are."""
        length = self._fields.get("content-length")
        return int(length) if type(length) is str and length.isdigit() else -1

    def _answer(self, body: bytes, more: bool) -> None:
        """Sends the whole answer as one line.  more: the app will say once more that it is."""
        id, handler = self.id, self._handler
        if type(id) is not int:
            id = encode_id(id)
        status = _statuses.get(self._status)
        if status is None:
            status = _status_member(self._status)
        line = answer_line(id, status, self._fields, body)
        if len(line) > handler.line_max:
            line = within_limit(line, handler.line_max * 4, self.frame, handler)
        self._engine.send(line)
        if more:
            self.closed = True
            self._phase = _SENT
        else:
            self._complete()

    async def _send_piece(self, body: bytes, more: bool) -> None:
        exchange = self._open()
        if self._phase == _STARTED:
            self._phase = _STREAMING
            exchange.head(self._status, encode(self._fields, "the headers"))
        if self._is_over():
            await self._leave()
        try:
            if not more and not self._has_trailers:
                await exchange.end(self._as_text(body))
                self._complete()
                return
            if body:
                await exchange.write(self._as_text(body))
            else:
                exchange.begin()
        except Cancelled:
            await self._leave()
        if not more:
            self._phase = _TRAILERS

    async def _leave(self) -> NoReturn:
        """Raises what send() raises when nobody reads any more.

        Who listens as well is to be the first to know, and may have the sender cancelled.
        """
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        raise ClientGone("the client has gone")

    def _as_text(self, body: bytes) -> bytes | str:
        """A short piece as text if that is what it is: people read it."""
        if len(body) <= 4096 and is_text(self._fields.get("content-type")):
            try:
                return str(body, "utf-8")
            except UnicodeDecodeError:
                pass  # Its end may be in the middle of a character.
        return body

    async def _end(self) -> None:
        assert self._exchange is not None
        try:
            await self._exchange.end(trailers=self._trailers or None)
        except Cancelled:
            await self._leave()
        self._complete()

    async def _send_path(self, path: str) -> None:
        """Has nodey send a file, or sends it."""
        exchange = self._open()
        exchange.head(self._status, encode(self._fields, "the headers"))
        if self.reason is None and exchange.end_with_file(path):
            self._complete()
            return
        self._phase = _STREAMING
        file = await self._in_thread(lambda: open(path, "rb"))
        with file:
            while True:
                data = await self._in_thread(lambda: file.read(_BLOCK))
                if self._is_over():
                    await self._leave()
                if not data:
                    break
                await self._send_piece(data, True)
        await self._end()

    # ------------------------------------------------------------ after the app

    async def finished(self) -> str:
        """The app has returned.  The line to send, or ""."""
        if self.closed:
            return ""
        if self._is_over():
            return await self._gone()
        what = _EXPECTED[self._phase]
        return self._failure(RuntimeError(f"the app returned too early: {what}"))

    async def failed(self, exc: Exception) -> str:
        """The app has raised.  The line to send, or ""."""
        if self.closed:
            # The client has its answer; what failed came after it.
            failure_line(exc, self.frame, self._handler.name)
            return ""
        if self._is_over() and (isinstance(exc, OSError) or self.reason is not None):
            return await self._gone()
        return self._failure(exc)

    def _failure(self, exc: Exception) -> str:
        self.closed = True
        if self._exchange is None:
            return failure_line(exc, self.frame, self._handler.name)
        self._exchange.fail(exc, self._handler.name)
        return ""

    async def _gone(self) -> str:
        """The last frame of an answer that nobody waits for, or that nodey wants to end."""
        self.closed = True
        if self.reason is None and self._phase == _STREAMING and not self._engine.closed:
            assert self._exchange is not None
            await self._exchange.end()
            return ""
        return self._failure(Cancelled(self.reason or "shutdown"))


_EXPECTED = {
    _REQUESTED: "it has not sent 'http.response.start'",
    _STARTED: "it has not sent 'http.response.body'",
    _STREAMING: "it has not sent 'http.response.body' without 'more_body'",
    _TRAILERS: "it has not sent 'http.response.trailers'",
    _SENT: "the length that was promised has been sent",
}


def _status_member(status: Any) -> str:
    """The member of a line.  Raises ValueError for what is no status of an answer."""
    if type(status) is not int and not isinstance(status, HTTPStatus):
        raise TypeError(f"the status is a number, not {status!r}")
    if not 200 <= status <= 599:
        raise ValueError(f"the status is 200 to 599, not {status}")
    return f'"status":{int(status)},'


class AsgiHandler(Handler):
    """An app as the handler of all requests."""

    __slots__ = ("engine", "line_max", "state", "_root_path")

    def __init__(self, app: App, name: str, root_path: str) -> None:
        self.name = f"{name} (ASGI)"
        self.function: Any = app
        self.call: Any = app
        self.hooks = None
        self.is_async = True
        self.cost = float("inf")
        self.streams = True  # The body may still be on its way.
        self.state: dict[str, Any] = {}
        self.engine: Any = None
        self.line_max = 0
        self._root_path = root_path

    def __str__(self) -> str:
        return f"the answer of {self.name}"

    async def serve_async(self, frame: dict[str, Any], argument: Any, in_thread: InThread) -> str:
        """Calls the app; returns the line that answers, "" when it has been sent."""
        engine: Any = self.engine
        if engine is None:
            from .worker import worker

            engine = worker.engine
            self.engine = engine
            self.line_max = engine.channel.max_line // 4
        scope = scope_of(frame, self._root_path, self.state)
        if "upgrade" in frame:
            from .wsockets import serve_websocket

            return await serve_websocket(self, frame, websocket_scope_of(scope))
        cycle = HttpCycle(self, frame, in_thread)
        try:
            await self.function(scope, cycle.receive, cycle.send)
        except Exception as exc:
            return await cycle.failed(exc)
        return await cycle.finished()
