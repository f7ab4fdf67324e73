"""streaming: answers in pieces: what generators yield, files, and what one line cannot hold.

Nothing has been sent before the first piece is there, so that a handler which fails until
then is answered like any other.  Event streams are the exception: their client wants to know
at once that it is connected.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from typing import Any

    from .exchange import AsyncExchange, Exchange
    from .handler import Handler, InThread

from .codec import decode, encode, encode_utf8
from .errors import failure_line
from .exchange import exchange_for
from .request import decode_base64
from .response import (
    LARGE,
    FileBody,
    Response,
    as_response,
    checked_status,
    full_line,
    goes_in_pieces,
    response_line,
)

_READ = 65536
EVENTS = "text/event-stream"


class Checked:
    """Looks at what an iterator yields: str or bytes, and no mixture."""

    __slots__ = ("_who", "kind")

    def __init__(self, who: object) -> None:
        self._who = who
        self.kind: type | None = None

    def __call__(self, piece: Any) -> Any:
        if not isinstance(piece, (str, bytes, bytearray, memoryview)):
            raise TypeError(
                f"{self._who} is a generator that yields {type(piece).__name__}: yield str or "
                "bytes, or return list(...) for a JSON array"
            )
        kind = str if isinstance(piece, str) else bytes
        if self.kind not in (None, kind):
            raise TypeError(f"{self._who} is a generator that yields both str and bytes")
        self.kind = kind
        return piece

    def content_type(self) -> str:
        """What the pieces are when nobody has said it."""
        return "text/plain; charset=utf-8" if self.kind is str else "application/octet-stream"


def _is_event_stream(response: Response) -> bool:
    return str(response.headers.get("content-type", "")).startswith(EVENTS)


def _engine() -> Any:
    from .worker import worker

    return worker.engine


def _begin(exchange: Any, response: Response, who: object, kind: str | None = None) -> None:
    """Gives the exchange its head.  kind: the content type when the response has none."""
    if kind is not None:
        response.headers.setdefault("content-type", kind)
    exchange.head(checked_status(response, who), response.headers, response.reason)


# ------------------------------------------------------------------ in a thread


def answer_in_pieces(frame: dict[str, Any], response: Response, who: object) -> str:
    """Answers with a body that goes_in_pieces().  Returns the line to send, or "".

    Raises what the handler's iterator raises as long as nothing was sent.
    """
    exchange = exchange_for(_engine(), frame)
    if response.trailers:
        response.value = in_one_piece(response.value, who)
    value = response.value
    try:
        if type(value) is FileBody:
            _send_file(exchange, frame, response, value, who)
        elif not hasattr(value, "__next__"):
            _begin(exchange, response, who, "application/octet-stream")
            exchange.end(value)
        elif not _send_pieces(exchange, frame, response, _pieces_of(value), who):
            response.value = ""
            return full_line(frame, response, who)
    except Exception as exc:
        if not exchange.begun:
            raise
        exchange.fail(exc, getattr(who, "name", str(who)))
    finally:
        _close(value)
    return ""


def in_one_piece(value: Any, who: object) -> Any:
    """A body that trailers will follow, as an iterator."""
    if hasattr(value, "__next__"):
        return value
    if value is ...:
        return iter(())
    is_body = isinstance(value, (str, bytes, bytearray, memoryview))
    return iter([value if is_body else encode(value, who)])


def trailers_of(response: Response) -> Any:
    """The fields after the body, which has been sent."""
    trailers = response.trailers
    return trailers() if callable(trailers) else trailers


def _pieces_of(value: Any) -> Iterator[Any]:
    """What an iterator yields; of an open file not its lines, but blocks."""
    read = getattr(value, "read", None)
    return value if read is None else iter(lambda: read(_READ) or None, None)


def _close(value: Any) -> None:
    close = getattr(value, "close", None)
    if close is not None:
        close()


def _send_pieces(
    exchange: Exchange,
    frame: dict[str, Any],
    response: Response,
    pieces: Iterator[Any],
    who: object,
) -> bool:
    """Sends what is yielded.  False: that is nothing, and nothing was sent."""
    checked = Checked(who)
    events = _is_event_stream(response)
    if frame.get("method") == "HEAD":
        _begin(exchange, response, who)
        exchange.begin()  # Or the answer would look like one with an empty body.
        exchange.end()
        return True
    if events:
        _begin(exchange, response, who)
        exchange.begin()
    for piece in pieces:
        checked(piece)
        if not exchange.begun and piece:
            _begin(exchange, response, who, checked.content_type())
        if piece:
            exchange.write(piece)
        if events and _engine().draining:
            break
    if response.trailers and not exchange.begun:
        _begin(exchange, response, who)
        exchange.begin()
    if exchange.begun:
        exchange.end(trailers=trailers_of(response))
    return exchange.begun


def _send_file(
    exchange: Exchange, frame: dict[str, Any], response: Response, body: FileBody, who: object
) -> None:
    _begin(exchange, response, who)
    if exchange.end_with_file(body.path, body.offset, body.size if body.is_part else None):
        return
    if frame.get("method") == "HEAD":
        exchange.begin()
        exchange.end()
        return
    left = body.size
    response.headers["content-length"] = str(left)
    _begin(exchange, response, who)
    with open(body.path, "rb") as opened:
        opened.seek(body.offset)
        while left > 0:
            piece = opened.read(min(left, _READ))
            if not piece:
                raise OSError(f"{body.path} has become shorter while it was sent")
            exchange.write(piece)
            left -= len(piece)
    exchange.end()


# -------------------------------------------------------------- in an event loop


async def answer_async(
    frame: dict[str, Any], result: Any, who: Handler, in_thread: InThread
) -> str:
    """response_line() for what an `async def` handler has returned and is not PLAIN."""
    if isinstance(result, (bytes, bytearray, memoryview)) and len(result) > LARGE:
        result = Response(result)
    if type(result) is not tuple and not isinstance(result, Response):
        if not hasattr(result, "__anext__") and not hasattr(result, "__next__"):
            return response_line(frame, result, who)
    response = as_response(result, who)._prepared(frame, who)
    if hasattr(response.value, "__anext__"):
        return await _answer_async(frame, response, who)
    if not response.trailers and not goes_in_pieces(response.value):
        return response_line(frame, response, who)
    if isinstance(response.value, (bytes, bytearray, memoryview)) and not response.trailers:
        exchange = _engine().exchange(frame)
        _begin(exchange, response, who, "application/octet-stream")
        await exchange.end(response.value)
        return ""
    # An iterator may block.
    line: str = await in_thread(lambda: answer_in_pieces(frame, response, who))
    return line


async def _answer_async(frame: dict[str, Any], response: Response, who: Handler) -> str:
    engine = _engine()
    exchange: AsyncExchange = engine.exchange(frame)
    value = response.value
    try:
        if not await _send_async(exchange, frame, response, value, who):
            response.value = ""
            return full_line(frame, response, who)
    except Exception as exc:
        if not exchange.begun:
            raise
        exchange.fail(exc, who.name)
    finally:
        close = getattr(value, "aclose", None)
        if close is not None:
            await close()
    return ""


async def _send_async(
    exchange: AsyncExchange,
    frame: dict[str, Any],
    response: Response,
    pieces: AsyncIterator[Any],
    who: Handler,
) -> bool:
    """_send_pieces() for an async iterator."""
    checked = Checked(who)
    if frame.get("method") == "HEAD":
        _begin(exchange, response, who)
        exchange.begin()
        await exchange.end()
        return True
    if _is_event_stream(response):
        _begin(exchange, response, who)
        exchange.begin()
        await _send_events(exchange, pieces, checked)
        return True
    async for piece in pieces:
        checked(piece)
        if not exchange.begun and piece:
            _begin(exchange, response, who, checked.content_type())
        if piece:
            await exchange.write(piece)
    if response.trailers and not exchange.begun:
        _begin(exchange, response, who)
        exchange.begin()
    if exchange.begun:
        await exchange.end(trailers=trailers_of(response))
    return exchange.begun


async def _send_events(
    exchange: AsyncExchange, pieces: AsyncIterator[Any], checked: Checked
) -> None:
    """Sends until the end, or until nodey drains, which interrupts the wait for an event."""
    import asyncio

    engine = _engine()
    exchange.task = task = asyncio.current_task()
    try:
        if not engine.draining:
            async for piece in pieces:
                if checked(piece):
                    await exchange.write(piece)
    except asyncio.CancelledError:
        if not engine.draining or exchange.reason is not None:
            raise
        uncancel = getattr(task, "uncancel", None)
        if uncancel is not None:
            uncancel()
    finally:
        exchange.task = None
    await exchange.end()


# ------------------------------------------------------- answers of many bytes


def split_line(line: str) -> tuple[dict[str, Any], bytes, str]:
    """A response of one line as its head, the body's bytes and their content type."""
    frame = decode(line)
    if "json" in frame:
        if "json" in frame.get("headers", ()):
            text = encode(frame["json"], "the answer")
        else:
            # The value is the last member: its text need not be made again.
            text = line[line.index('"json":') + 7 : -2]
        return frame, encode_utf8(text), "application/json"
    if "body64" in frame:
        return frame, decode_base64(frame["body64"]), "application/octet-stream"
    return frame, encode_utf8(frame.get("body", "")), "text/plain; charset=utf-8"


def response_of(line: str) -> Response:
    """A response of one line as one that goes in pieces."""
    frame, data, kind = split_line(line)
    response = Response(data, frame.get("status", 200), frame.get("headers"))
    response.reason = frame.get("reason")
    response.headers.setdefault("content-type", kind)
    return response


def send_long(line: str, frame: dict[str, Any], who: Any) -> str:
    """Sends a line that is too long for one; returns "", or the line of a failure."""
    response = response_of(line)
    exchange = exchange_for(_engine(), frame)
    try:
        _begin(exchange, response, who)
        exchange.end(response.value)
    except Exception as exc:
        if not exchange.begun:
            return failure_line(exc, frame, who.name)
        exchange.fail(exc, who.name)
    return ""


async def send_long_async(line: str, frame: dict[str, Any], who: Any) -> str:
    """send_long() in an event loop."""
    response = response_of(line)
    exchange = _engine().exchange(frame)
    try:
        _begin(exchange, response, who)
        await exchange.end(response.value)
    except Exception as exc:
        if not exchange.begun:
            return failure_line(exc, frame, who.name)
        exchange.fail(exc, who.name)
    return ""
