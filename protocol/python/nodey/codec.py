"""codec: frames as text, both ways.

The json module's public functions spend most of their time around the C code that
does the work: one scanner and one encoder, kept, cost a third of loads() and dumps().
Envelopes are formatted by hand; only values go through the encoder.
"""

from __future__ import annotations

import json.encoder
from json.decoder import JSONDecoder
from json.encoder import JSONEncoder, encode_basestring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

quote = encode_basestring
"""A string as JSON, quotes included, not limited to ASCII."""


class Malformed:
    """A line that is no frame: the id to answer it with, and what is wrong."""

    __slots__ = ("id", "message")

    def __init__(self, id: Any, message: str) -> None:
        self.id = id
        self.message = message


# ---------------------------------------------------------------------- reading

PIECE = b'{"type":"chunk","id":'
"""How a line that is a piece of a body begins."""
_PIECE_VALUE = b',"body64":"'


class Piece:
    """A `chunk` frame whose body has been decoded."""

    __slots__ = ("id", "data")

    def __init__(self, id: int, data: bytes) -> None:
        self.id = id
        self.data = data


def piece_of(data: bytes, start: int, end: int) -> Piece | None:
    """The piece in the line data[start:end], if it is written the way nodey writes it.

    Big bodies come in such lines, and going through text would cost more than all the rest.
    """
    start += len(PIECE)
    value = data.find(_PIECE_VALUE, start, start + 40)
    id = data[start:value]
    first = value + len(_PIECE_VALUE)
    size = end - 2 - first
    if value < 0 or not id.isdigit() or len(id) > 16 or size % 4 or size < 4:
        return None
    if data[end - 2 : end] != b'"}':
        return None
    from binascii import Error, a2b_base64, b2a_base64

    try:
        body = a2b_base64(memoryview(data)[first : end - 2])
    except Error:
        return None
    # Characters that are no base64 are skipped: then there are too few bytes.
    missing = data.count(b"=", end - 4, end - 2)
    if len(body) != size // 4 * 3 - missing:
        return None
    last = body[len(body) - len(body) % 3 :]
    if last and b2a_base64(last, newline=False) != data[end - 6 : end - 2]:
        return None
    return Piece(int(id), body)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decoder: Any = JSONDecoder(parse_constant=_no_constant)
_scan = _decoder.scan_once


def decode_lines(lines: list[str]) -> list[Any]:
    """Frames (dicts) and Malformed, in the order of the lines; empty lines vanish."""
    frames: list[Any] = []
    append = frames.append
    for line in lines:
        try:
            frame, end = _scan(line, 0)
            if end == len(line) and type(frame) is dict:
                append(frame)
                continue
        except (StopIteration, ValueError, RecursionError):
            pass
        _decode_slowly(line, append)
    return frames


def _decode_slowly(line: str, append: Any) -> None:
    """White space around the frame, and everything that is none."""
    text = line.strip(" \t\r")
    if not text:
        return
    try:
        frame = decode(text)
    except (ValueError, RecursionError) as problem:
        shown = text if len(text) <= 80 else text[:80] + "..."
        append(Malformed(None, f"line is not JSON: {shown} ({problem})"))
        return
    if type(frame) is dict:
        append(frame)
    else:
        append(Malformed(None, f"line is not a JSON object: {text[:80]}"))


def decode(text: str) -> Any:
    """The value of a JSON text.  Raises ValueError, for NaN and Infinity as well."""
    text = text.strip(" \t\r\n")
    try:
        value, end = _scan(text, 0)
    except StopIteration as stop:
        raise ValueError(f"no value at character {stop.value}") from None
    if end != len(text):
        raise ValueError(f"extra text at character {end}")
    return value


# ---------------------------------------------------------------------- writing


def _no_default(value: object) -> NoReturn:
    from .advice import json_advice

    raise TypeError(f"{type(value).__name__} has no JSON form{json_advice(value)}")


def _make_encode() -> Callable[[Any], str]:
    """The quickest way from a value to compact JSON that this interpreter has."""
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return JSONEncoder(
            ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_no_default
        ).encode
    # Without markers a structure that contains itself ends in RecursionError, and
    # nothing is left behind in the encoder when a value turns out to be no JSON.
    parts = make(None, _no_default, encode_basestring, None, ":", ",", False, False, False)
    return lambda value: "".join(parts(value, 0))


_plain_encode = _make_encode()


def _make_quick_encode() -> Callable[[Any], str]:
    """The same by orjson when it is installed, which is quicker with what is big.

    It writes null for NaN, and has other words for what it refuses: whatever has a null in it,
    or is refused, is left to the plain encoder.
    """
    try:
        import orjson
    except ImportError:
        return _plain_encode
    dumps = orjson.dumps
    options = (
        orjson.OPT_PASSTHROUGH_DATACLASS
        | orjson.OPT_PASSTHROUGH_DATETIME
        | orjson.OPT_PASSTHROUGH_SUBCLASS
    )

    def quick(value: Any) -> str:
        try:
            data = dumps(value, None, options)
        except Exception:
            return _plain_encode(value)
        return _plain_encode(value) if b"null" in data else data.decode()

    return quick


_encode = _make_quick_encode()


def encode(value: Any, what: object) -> str:
    """JSON text of a value.

    what: a name for the value in the message (its str() is taken only then).
    Raises TypeError for what has no JSON form and ValueError for NaN, Infinity and
    structures that contain themselves.
    """
    try:
        return _encode(value)
    except TypeError as problem:
        from .advice import place_of_fault

        raise TypeError(f"{what} is not JSON: {place_of_fault(value)}{problem}") from None
    except ValueError as problem:
        raise ValueError(f"{what} is not JSON (NaN, Infinity?): {problem}") from None
    except RecursionError:
        raise ValueError(f"{what} is not JSON: it is too deep or contains itself") from None


def encode_id(id: Any) -> str:
    """An id as JSON, as it was received."""
    return str(id) if type(id) is int else "null" if id is None else _encode(id)


def encode_utf8(text: str) -> bytes:
    """UTF-8 with U+FFFD for every lone surrogate."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        whole = text.encode("utf-16-le", "surrogatepass")
        return whole.decode("utf-16-le", "replace").encode()


# ----------------------------------------------------------------------- frames


def answer_line(id: Any, value: Any, what: object) -> str:
    return f'{{"type":"answer","id":{encode_id(id)},"value":{encode(value, what)}}}\n'


def ask_line(id: int, serving: Any, token: str, timeout: float | None, args: Any) -> str:
    """serving: the id of the request or ask that this one is asked for, or None."""
    head = f'{{"type":"ask","id":{id},'
    if serving is not None:
        head += f'"for":{encode_id(serving)},'
    head += f'"token":{quote(token)},'
    if timeout is not None:
        head += f'"timeout":{max(int(timeout * 1000), 0)},'
    return f'{head}"args":{encode(args, f"the args of ask({token!r})")}}}\n'


def request_line(kind: str, id: int, serving: Any, members: str, max_line: int) -> str:
    """A `publish` or `seek` that wants to be answered.  serving: see ask_line().

    Raises ValueError for a line that the supervisor would throw away.
    """
    head = f'{{"type":"{kind}","id":{id},'
    if serving is not None:
        head += f'"for":{encode_id(serving)},'
    line = f"{head}{members}}}\n"
    if len(line) > max_line // 4 and len(line.encode("utf-8", "replace")) > max_line:
        name = members.partition('"data":')[0][:300]
        raise ValueError(
            f"the message has {len(line)} characters as a line, over the limit of {max_line} "
            f"bytes: put what is big into a file, and publish where it lies ({name})"
        )
    return line


def cancel_line(id: int, reason: str) -> str:
    return f'{{"type":"cancel","id":{id},"reason":{quote(reason)}}}\n'


def error_line(
    id: Any,
    code: str,
    message: str,
    status: int | None = None,
    stack: str | None = None,
    data: Any = None,
) -> str:
    line = (
        f'{{"type":"error","id":{encode_id(id)},"code":{quote(code)},"message":{quote(message)}'
    )
    if status is not None:
        line += f',"status":{status}'
    if stack is not None:
        line += f',"stack":{quote(stack)}'
    if data is not None:
        line += f',"data":{encode(data, "the data of the error")}'
    return line + "}\n"


def frame_line(frame: dict[str, Any]) -> str:
    """Any other frame; not for hot paths."""
    return encode(frame, "the frame") + "\n"
