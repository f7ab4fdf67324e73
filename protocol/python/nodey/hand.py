"""hand: a worker without a supervisor, started by a person.

From a pipe or a file it takes frames.  At a terminal it also takes what one would rather
type: `GET /fib?num=10`, `POST /x {"a":1}` and `ask Fib {"num":10}`; and where its output
is the terminal too there is a prompt (prompt.py).
"""

from __future__ import annotations

import os
import sys
from itertools import count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .prompt import Prompt
    from .worker import Worker

from .codec import Malformed, decode, decode_lines, encode
from .errors import Error, log_text

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
FORMS = 'GET /path?query, POST /path {"a":1}, ask Token {"a":1}'

_ids = count(1)
_prompt: Prompt | None = None


def prepare(worker: Worker) -> None:
    """Before the engine is made: what is read may be typed by a person."""
    global _prompt
    channel = worker.channel
    if not os.isatty(channel.input()):
        return
    channel.decode = decode_typed
    if os.isatty(channel.output()):
        from .prompt import Prompt

        _prompt = Prompt(worker)


def greet() -> None:
    """When serving begins."""
    if _prompt is not None:
        _prompt.start()
    elif os.isatty(0):  # A terminal is left where it is.
        print(f"nodey: by hand; type {FORMS}, or Ctrl-D to end", file=sys.stderr)


def leave() -> None:
    """When serving has ended."""
    if _prompt is not None:
        _prompt.leave()


# ---------------------------------------------------------------- typed requests


def decode_typed(lines: list[str]) -> list[Any]:
    """codec.decode_lines() for lines that may be typed requests."""
    frames: list[Any] = []
    for line in lines:
        text = line.strip()
        if text.startswith("{") or not text:
            frames += decode_lines([line])
        else:
            frames.append(frame_of(text, next(_ids)))
    return frames


def frame_of(text: str, id: int) -> Any:
    """A typed request or ask as a frame, a Malformed when it is none."""
    word, _, rest = text.partition(" ")
    rest = rest.strip()
    if text.startswith("/"):
        return _request("GET", text, id)
    if word.upper() in _METHODS:
        return _request(word.upper(), rest or "/", id)
    if word.lower() == "ask" and rest:
        return _ask(rest, id)
    return Malformed(None, f"not understood: {text[:80]} (try {FORMS}, or a frame)")


def _request(method: str, rest: str, id: int) -> Any:
    target, _, body = rest.partition(" ")
    body = body.strip()
    if "://" in target:
        target = "/" + target.partition("://")[2].partition("/")[2]
    if not target.startswith("/"):
        return Malformed(None, f"a path begins with a slash: {method} /{target}")
    path, mark, query = target.partition("?")
    frame: dict[str, Any] = {"id": id, "method": method, "path": encoded(path)}
    if mark:
        frame["query"] = encoded(query)
    if body:
        frame["headers"] = {"content-type": _type_of(body)}
        frame["body"] = body
    return frame


def encoded(text: str) -> str:
    """Percent-encodes what no URL can have, and leaves alone what is encoded already."""
    if text.isascii() and text.isprintable():
        return text
    from urllib.parse import quote

    return quote(text, safe="/:?#[]@!$&'()*+,;=%-._~")


def _type_of(body: str) -> str:
    """What somebody who types a body means it to be."""
    try:
        decode(body)
        return "application/json"
    except (ValueError, RecursionError):
        is_form = "=" in body and " " not in body
        return "application/x-www-form-urlencoded" if is_form else "text/plain"


def _ask(rest: str, id: int) -> Any:
    token, _, text = rest.partition(" ")
    frame: dict[str, Any] = {"type": "ask", "id": id, "token": token}
    if text.strip():
        try:
            frame["args"] = decode(text.strip())
        except (ValueError, RecursionError) as problem:
            return Malformed(None, f"the arguments of ask {token} are not JSON: {problem}")
    return frame


# ------------------------------------------------------------------------- ask


def ask(worker: Worker, token: str, args: Any) -> Any:
    """Asks this very process, which is the only one there is."""
    handler = local_handler(worker, token)
    if handler.is_async:
        raise Error("unavailable", f"{token!r} is `async def`: use await nodey.ask_async(...)")
    return decode(encode(handler.call(copy_of(args, token)), handler))


def tell(kind: str, members: str) -> dict[str, Any]:
    """What the supervisor would be told.  There is none: people are shown what it is."""
    log_text(f"{kind} {{{members}}}, which by hand goes nowhere: run the worker under nodey")
    return {"type": "ack"}


def local_handler(worker: Worker, token: str) -> Any:
    handler = worker.registry.tokens.get(token)
    if handler is None:
        from .advice import did_you_mean

        raise Error(
            "unavailable",
            f"nobody here answers {token!r}: by hand a worker can ask only itself; "
            f"run it under nodey to reach the others{did_you_mean(token, worker.registry.tokens)}",
        )
    return handler


def copy_of(args: Any, token: str) -> Any:
    """The args as the answerer would see them: JSON and nobody else's."""
    return decode(encode(args, f"the args of ask({token!r})"))
