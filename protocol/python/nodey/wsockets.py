"""wsockets: the WebSockets of an ASGI app, by messages."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .asgi import AsgiHandler

from .appline import fields_of_bytes
from .asgi import ClientGone
from .codec import encode
from .errors import failure_line
from .exchange import AsyncExchange, Cancelled

_CONNECTING, _OPEN, _REFUSING, _CLOSED = range(4)
_NO_STATUS, _VANISHED = 1005, 1006
_NORMAL, _FAILED = 1000, 1011


class WebSocketCycle:
    """One WebSocket."""

    def __init__(self, handler: AsgiHandler, exchange: AsyncExchange) -> None:
        self._handler = handler
        self._exchange = exchange
        self._phase = _CONNECTING
        self._is_told = False  # websocket.connect has been received.

    def _is_over(self) -> bool:
        exchange = self._exchange
        return bool(
            exchange.close_code
            or exchange.reason is not None
            or exchange.closed
            or exchange.ended
            or self._handler.engine.closed
        )

    async def receive(self) -> dict[str, Any]:
        """See the ASGI specification."""
        if not self._is_told:
            self._is_told = True
            return {"type": "websocket.connect"}
        exchange = self._exchange
        await exchange.until(lambda: bool(exchange.pieces) or self._is_over())
        if exchange.pieces and exchange.reason is None and not exchange.closed:
            data = await exchange.read()
            member = "text" if isinstance(data, str) else "bytes"
            return {"type": "websocket.receive", member: data}
        self._phase = _CLOSED
        code = exchange.close_code or (_VANISHED if exchange.reason else _NO_STATUS)
        return {"type": "websocket.disconnect", "code": code, "reason": exchange.close_reason}

    async def send(self, message: dict[str, Any]) -> None:
        """See the ASGI specification."""
        kind, phase, exchange = message["type"], self._phase, self._exchange
        if phase != _REFUSING and self._is_over():
            raise ClientGone("the WebSocket is closed")
        try:
            if kind == "websocket.send" and phase == _OPEN:
                await self._send(message)
            elif kind == "websocket.accept" and phase == _CONNECTING:
                self._accept(message)
            elif kind == "websocket.close" and phase == _OPEN:
                self._phase = _CLOSED
                exchange.close_socket(message.get("code") or _NORMAL, message.get("reason") or "")
            elif kind == "websocket.close" and phase == _CONNECTING:
                await self._refuse()
            elif kind == "websocket.http.response.start" and phase == _CONNECTING:
                fields = fields_of_bytes(message.get("headers") or ())
                exchange.head(message["status"], encode(fields, "the headers"))
                self._phase = _REFUSING
            elif kind == "websocket.http.response.body" and phase == _REFUSING:
                await self._refuse_with(message)
            else:
                raise RuntimeError(f"{kind!r} is not what may come {_WHEN[phase]}")
        except Cancelled as exc:
            raise ClientGone(f"the client has gone: {exc.reason}") from None

    async def _send(self, message: dict[str, Any]) -> None:
        text: Any = message.get("text")
        data: Any = message.get("bytes")
        if text is None and data is None:
            raise RuntimeError("'websocket.send' has neither text nor bytes")
        await self._exchange.send(data if text is None else text)

    def _accept(self, message: dict[str, Any]) -> None:
        fields = fields_of_bytes(message.get("headers") or ())
        protocol = message.get("subprotocol")
        if protocol is not None:
            fields["sec-websocket-protocol"] = protocol
        self._exchange.accept(encode(fields, "the headers"))
        self._phase = _OPEN

    async def _refuse(self) -> None:
        self._exchange.head(403, "{}")
        await self._exchange.end()
        self._phase = _CLOSED

    async def _refuse_with(self, message: dict[str, Any]) -> None:
        body, more = message.get("body", b""), message.get("more_body")
        if not more:
            await self._exchange.end(body)
            self._phase = _CLOSED
        elif body:
            await self._exchange.write(body)

    # ------------------------------------------------------------ after the app

    def finish(self, exc: Exception | None) -> str:
        """The app has returned or raised.  The line to send, or ""."""
        exchange = self._exchange
        if exc is not None and self._is_over() and isinstance(exc, OSError):
            exc = None  # It is what send() has raised.
        if exchange.closed:
            if exc is not None:
                failure_line(exc, exchange.frame, self._handler.name)
            return ""
        if not exchange.begun:
            if exchange.reason is not None:
                exc = Cancelled(exchange.reason)
            exchange.fail(
                exc or RuntimeError("the app returned without accepting or closing the WebSocket"),
                self._handler.name,
            )
            return ""
        if not exchange.is_socket:
            exchange.fail(exc or RuntimeError("the app's answer is incomplete"), self._handler.name)
            return ""
        if exc is not None:
            failure_line(exc, exchange.frame, self._handler.name)  # For the log.
        code = exchange.close_code or (_NORMAL if exc is None else _FAILED)
        exchange.close_socket(_NORMAL if code in (_NO_STATUS, _VANISHED) else code, "")
        return ""


_WHEN = {
    _CONNECTING: "before 'websocket.accept'",
    _OPEN: "in an open WebSocket",
    _REFUSING: "in an answer that refuses the WebSocket",
    _CLOSED: "after the end of the WebSocket",
}


async def serve_websocket(
    handler: AsgiHandler, frame: dict[str, Any], scope: dict[str, Any]
) -> str:
    """Serves a request that asks for a WebSocket; see AsgiHandler.serve_async()."""
    engine = handler.engine
    exchange = engine.exchange(frame)
    exchange.interrupts = False
    cycle = WebSocketCycle(handler, exchange)
    failure: Exception | None = None
    try:
        await handler.function(scope, cycle.receive, cycle.send)
    except Exception as exc:
        failure = exc
    return cycle.finish(failure)
