"""sockets: the WebSockets of `@nodey.ws` handlers.

nodey does the protocol: handshake, masks, fragments, pings, compression, and whether text is
UTF-8.  What is left are messages, and the end.
"""

from __future__ import annotations

import _thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator
    from typing import Any, NoReturn

    from .handler import InThread

from .errors import Error, failure_line
from .exchange import Cancelled, exchange_for
from .handler import Handler, arity, code_flags
from .request import Request
from .response import response_line

_COROUTINE = 0x80
_NORMAL = 1000
_NO_CODE = 1005
_VANISHED = 1006
_POLICY = 1008
_FAILED = 1011
_MOST_REASON = 123  # Bytes: a control frame has no room for more.


class Closed(Exception):
    """The WebSocket is closed: raised by receive() and send(), and no failure of a handler.

    code: 1000 normally, 1001 when a page or nodey goes away, 1005 when none was given, 1006
        when the client has vanished; applications have 4000 to 4999.
    reason: what the client said, or "".
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"the WebSocket is closed ({code}){': ' + reason if reason else ''}")
        self.code = code
        self.reason = reason


class _Common:
    """What both kinds of sockets have."""

    def __init__(self, exchange: Any, request: Request, protocols: tuple[str, ...]) -> None:
        self._exchange = exchange
        self.request = request
        self.protocol = _chosen(request, protocols)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.request.id} {self.request.path}>"

    @property
    def closed(self) -> bool:
        """Whether no message can be sent any more."""
        exchange = self._exchange
        return bool(exchange.closed or exchange.close_code or exchange.reason)

    def accept(self) -> None:
        """Accepts the client; the first receive() or send() does too.

        Until then the handler may refuse it, by raising nodey.HTTPError.
        """
        if not self._exchange.begun:
            protocol = {"sec-websocket-protocol": self.protocol} if self.protocol else {}
            try:
                self._exchange.accept(protocol)
            except Cancelled:
                raise Closed(_VANISHED) from None

    def _before_send(self, message: Any) -> Any:
        """Accepts, and raises for what cannot be sent."""
        if not isinstance(message, (str, bytes, bytearray, memoryview)):
            raise TypeError(
                f"a message is str or bytes, not {type(message).__name__}: for JSON, "
                "socket.send(json.dumps(value))"
            )
        self.accept()
        if self.closed:
            raise self._end()
        return message

    def _received(self, message: Any) -> Any:
        if message is None:
            raise self._end()
        return message

    def _end(self) -> Closed:
        exchange = self._exchange
        return Closed(exchange.close_code or _VANISHED, exchange.close_reason)


class Socket(_Common):
    """A WebSocket for a `def` handler, which has a thread of its own.

    request: what it began with.  protocol: the subprotocol that was agreed on, or "".
    Iterating gives the messages until the socket is closed.
    """

    def __init__(self, exchange: Any, request: Request, protocols: tuple[str, ...]) -> None:
        super().__init__(exchange, request, protocols)
        self._sending = _thread.allocate_lock()

    def receive(self) -> str | bytes:
        """The next message: str or bytes, as it was sent.  Raises Closed at the end."""
        self.accept()
        message: str | bytes = self._received(self._exchange.receive())
        return message

    def __iter__(self) -> Iterator[str | bytes]:
        while True:
            try:
                yield self.receive()
            except Closed:
                return

    def send(self, message: str | bytes) -> None:
        """Sends a message; waits while the client is slow to take it.  Any thread may.

        Raises Closed when there is nobody to send it to.
        """
        message = self._before_send(message)
        with self._sending:
            try:
                self._exchange.send(message)
            except (Cancelled, RuntimeError):
                raise self._end() from None

    def close(self, code: int = _NORMAL, reason: str = "") -> None:
        """Closes the socket.  code: 1000, or 3000 to 4999.  reason: at most 123 bytes."""
        check_close(code, reason)
        self.accept()
        self._exchange.close_socket(code, reason)


class AsyncSocket(_Common):
    """A WebSocket for an `async def` handler; see Socket."""

    def __iter__(self) -> NoReturn:
        raise TypeError(
            "the messages of an `async def` handler's socket come with  async for message in socket"
        )

    async def receive(self) -> str | bytes:
        """The next message: str or bytes, as it was sent.  Raises Closed at the end."""
        self.accept()
        message: str | bytes = self._received(await self._exchange.receive())
        return message

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        while True:
            try:
                message = await self.receive()
            except Closed:
                return
            yield message

    async def send(self, message: str | bytes) -> None:
        """Sends a message; waits while the client is slow to take it.

        Raises Closed when there is nobody to send it to.
        """
        message = self._before_send(message)
        try:
            await self._exchange.send(message)
        except (Cancelled, RuntimeError):
            raise self._end() from None

    async def close(self, code: int = _NORMAL, reason: str = "") -> None:
        """Closes the socket.  code: 1000, or 3000 to 4999.  reason: at most 123 bytes."""
        check_close(code, reason)
        self.accept()
        self._exchange.close_socket(code, reason)


def _chosen(request: Request, protocols: tuple[str, ...]) -> str:
    """The first subprotocol that the client offers and the handler speaks, or ""."""
    for field in request.headers.getlist("sec-websocket-protocol"):
        for offered in field.split(","):
            if offered.strip() in protocols:
                return offered.strip()
    return ""


def check_close(code: int, reason: str) -> None:
    """Raises ValueError for what cannot be said when a WebSocket is closed (RFC 6455, 7.4)."""
    known = isinstance(code, int) and (1000 <= code <= 1014 or 3000 <= code <= 4999)
    if not known or code in (1004, _NO_CODE, _VANISHED):
        raise ValueError(f"a WebSocket is closed with 1000, or 3000 to 4999, not {code!r}")
    if len(reason.encode("utf-8", "replace")) > _MOST_REASON:
        raise ValueError(f"the reason has at most {_MOST_REASON} bytes")


# --------------------------------------------------------------------- handlers


class SocketHandler(Handler):
    """The function behind a `@nodey.ws`: called with the socket, and with the request if it
    takes two arguments."""

    __slots__ = ("protocols", "takes_request")

    has_result = False

    def __init__(
        self, function: Callable[..., Any], path: str, protocols: Iterable[str]
    ) -> None:
        label = f"ws {path}"
        if not callable(function):
            raise TypeError(f"the handler of {label} is not callable: {function!r}")
        needed, most = arity(function) or ([], 1.0)
        name = getattr(function, "__qualname__", type(function).__name__)
        if len(needed) > 2 or most < 1 or "*" in "".join(needed):
            raise TypeError(
                f"the handler of {label} is called with (socket) or (socket, req), but it is "
                f"{name}({', '.join(needed)})"
            )
        super().__init__(lambda _request: None, label, streams=True)
        self.name = f"{name} ({label})"
        self.function = function
        self.is_async = bool(code_flags(function) & _COROUTINE)
        self.takes_request = most >= 2 and len(needed) != 1
        self.protocols = tuple([protocols] if isinstance(protocols, str) else protocols)
        self.call = self._call_async if self.is_async else self._call

    def _arguments(self, socket: _Common) -> tuple[Any, ...]:
        return (socket, socket.request) if self.takes_request else (socket,)

    def _exchange(self, request: Request) -> Any:
        return exchange_for(request._canceller, request._frame)

    def _call(self, request: Request) -> Any:
        """As hooks see it: the result is None, or the answer that refuses the client."""
        socket = Socket(self._exchange(request), request, self.protocols)
        try:
            result = self.function(*self._arguments(socket))
            if result is None:
                socket.accept()
            return result
        except Closed:
            return None

    async def _call_async(self, request: Request) -> Any:
        socket = AsyncSocket(self._exchange(request), request, self.protocols)
        try:
            result = await self.function(*self._arguments(socket))
            if result is None:
                socket.accept()
            return result
        except Closed:
            return None

    def serve(self, frame: dict[str, Any], argument: Any) -> str:
        exchange = self._exchange(argument)
        try:
            if self.hooks is None:
                result = self.call(argument)
            else:
                result = self.hooks.run(self, frame, argument)
            return self._over(exchange, frame, result)
        except Exception as exc:
            return self._failed(exchange, frame, exc)

    async def serve_async(self, frame: dict[str, Any], argument: Any, in_thread: InThread) -> str:
        exchange = self._exchange(argument)
        try:
            if self.hooks is None:
                result = await self.call(argument)
            else:
                result = await self.hooks.run_async(self, frame, argument, in_thread)
            return self._over(exchange, frame, result)
        except Exception as exc:
            return self._failed(exchange, frame, exc)

    def _over(self, exchange: Any, frame: dict[str, Any], result: Any) -> str:
        """The handler has returned: closes the socket, or refuses the client."""
        if not exchange.begun and exchange.reason is None:
            return response_line(frame, result, self)
        code = exchange.close_code
        exchange.close_socket(_NORMAL if code in (0, _NO_CODE, _VANISHED) else code, "")
        return ""

    def _failed(self, exchange: Any, frame: dict[str, Any], exc: Exception) -> str:
        line = failure_line(exc, frame, self.name)
        if not exchange.begun:
            return line
        # The client is told no more than that it was not its fault.
        if isinstance(exc, Error):
            reason = exc.message.encode("utf-8", "replace")[:_MOST_REASON]
            exchange.close_socket(_POLICY, reason.decode("utf-8", "ignore"))
        else:
            exchange.close_socket(_FAILED, "")
        return ""
