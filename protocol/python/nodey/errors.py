"""errors: what handlers raise, what ask() raises, and how a failure is answered."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

from .codec import encode, encode_id, error_line, quote

_STATUS_OF_CODE = {
    "invalid_argument": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "not_found": 404,
    "already_exists": 409,
    "aborted": 409,
    "failed_precondition": 412,
    "resource_exhausted": 429,
    "cancelled": 499,
    "internal": 500,
    "unimplemented": 501,
    "unavailable": 503,
    "deadline_exceeded": 504,
}
_CODE_OF_STATUS = {status: code for code, status in _STATUS_OF_CODE.items()}

_PACKAGE = os.path.dirname(os.path.abspath(__file__))

# What an exception says may be as long as a request; a line may not.
_MESSAGE_MAX = 4000
_STACK_MAX = 32000


class Error(Exception):
    """A failure with a code that travels: raised by a handler it becomes the answer,
    and ask() raises it when the answer was one.

    code: one of "invalid_argument" (400 over HTTP), "unauthenticated" (401),
        "permission_denied" (403), "not_found" (404), "already_exists" and "aborted"
        (409), "failed_precondition" (412), "resource_exhausted" (429), "cancelled"
        (499), "internal" (500), "unimplemented" (501), "unavailable" (503),
        "deadline_exceeded" (504); another one counts as "internal".
    message: a sentence for people; clients see it.
    status: an HTTP status, 400 to 599, instead of the code's own.
    data: further facts, any JSON value.
    """

    def __init__(
        self, code: str, message: str = "", *, status: int | None = None, data: Any = None
    ) -> None:
        super().__init__(message or code)
        if not isinstance(code, str) or not code.replace("_", "").isalnum():
            raise ValueError(
                f"{code!r} is no code such as 'not_found'; "
                "nodey.HTTPError(404, message) goes by the status"
            )
        if status is not None and not 400 <= status <= 599:
            raise ValueError(
                f"the status of an error is 400 to 599, not {status}; "
                "for any other return nodey.Response(value, status)"
            )
        self.code = code
        self.message = message
        self.status = status
        self.data = data


class HTTPError(Error):
    """A failure known by its HTTP status: ``raise nodey.HTTPError(404, "no such user")``.

    status: 400 to 599.
    detail: a sentence for people; clients see it.
    headers: further response headers, such as ``{"www-authenticate": "Basic"}``.
    data: further facts, any JSON value.
    """

    def __init__(
        self,
        status: int,
        detail: str = "",
        headers: Mapping[str, str | list[str]] | None = None,
        *,
        data: Any = None,
    ) -> None:
        if not isinstance(status, int):
            raise TypeError(f"the status of an HTTPError is a number, not {status!r}")
        code = _CODE_OF_STATUS.get(status)
        if code is None:
            code = "invalid_argument" if status < 500 else "internal"
        super().__init__(code, detail, status=int(status), data=data)
        self.detail = detail
        self.headers = headers


class NoAttribute(AttributeError):
    """An attribute that is not there, and what to write instead.

    That is found out only when somebody reads it: `import`, hasattr() and getattr() with a
    default ask for attributes that are not there as well.
    """

    def __init__(self, owner: str, name: str, known: Callable[[], Iterable[str]]) -> None:
        """owner: see habits.missing().  known: gives the attributes that are there."""
        super().__init__(owner, name)
        self.name = name  # Or Python would set it, and add a guess of its own.
        self._known = known

    def __str__(self) -> str:
        from .habits import missing

        owner, name = self.args
        return missing(owner, name, self._known())


# For people it is what Python's own is.
NoAttribute.__name__ = NoAttribute.__qualname__ = "AttributeError"
NoAttribute.__module__ = "builtins"


observer: Callable[[BaseException], None] | None = None
"""Is told of what handlers raise, instead of the log; for nodey.testing."""


def failure_line(exc: BaseException, frame: dict[str, Any], where: str) -> str:
    """The line that answers a request or an ask whose handler raised.

    where: the handler, for the log.  An Error is an answer like any other; everything
    else is a bug and is logged, once, with its traceback.
    """
    if frame.get("type") == "event":
        from .attempt import failed_line

        return failed_line(exc, frame, where)
    id = frame.get("id")
    if isinstance(exc, Error):
        try:
            if isinstance(exc, HTTPError) and exc.headers and "type" not in frame:
                return _problem_line(id, exc)
            return error_line(id, exc.code, exc.message, _own_status(exc), data=exc.data)
        except (TypeError, ValueError) as problem:
            exc = problem
    elif isinstance(exc, (AttributeError, TypeError)):
        from .habits import explain_misuse

        explain_misuse(exc)
    log_failure(exc, frame, where)
    stack = traceback_text(exc) if os.environ.get("NODEY_DEV") == "1" else None
    return error_line(id, "internal", one_line(exc), stack=stack)


def log_failure(exc: BaseException, frame: dict[str, Any], where: str) -> None:
    """Logs what a handler has raised, or tells the observer, if there is one."""
    if observer is not None:
        observer(exc)
        return
    failed = f"{_asked_for(frame)} failed in {where.partition(' (')[0]}"
    _log(failed, traceback_text(exc, brief=True), frame)


def last_words(exc: BaseException, frame: dict[str, Any]) -> str:
    """The line that answers a request or an ask whose handler ends the process.

    sys.exit() is logged with its traceback: whoever calls it in a handler, or calls what
    does, would not find out why the worker is gone.  Ctrl-C is not: somebody knows.
    """
    if frame.get("type") == "event" and frame.get("id") is None:
        return ""  # A broadcast, which nobody waits for.
    if not isinstance(exc, SystemExit):
        return error_line(frame.get("id"), "internal", f"the handler ended: {one_line(exc)}")
    text = traceback_text(exc)
    why = f"a handler ended the program: sys.exit({'' if exc.code is None else repr(exc.code)})"
    _log(f"{_asked_for(frame)}: {why}", text, frame)
    stack = text if os.environ.get("NODEY_DEV") == "1" else None
    return error_line(frame.get("id"), "internal", why[:_MESSAGE_MAX], stack=stack)


def _asked_for(frame: dict[str, Any]) -> str:
    if frame.get("type") == "event":
        name = frame.get("topic") or f"job {frame.get('queue')}"
        return f"{name} (seq {frame.get('seq')}, attempt {frame.get('attempt', 1)})"
    if "type" in frame:
        return f"ask {frame.get('token')}"
    return f"{frame.get('method')} {frame.get('path')}"


def _log(message: str, text: str, frame: dict[str, Any]) -> None:
    """One record with all there is to know: what was asked for, its id, the traceback."""
    from .channel import channel

    id = encode_id(frame.get("id"))
    if not channel.supervised:
        log_text(f"{message}, id {id}\n{text}")
        return
    record = quote(f"{message}\n{text.rstrip()}")
    channel.write(f'{{"type":"log","level":"error","id":{id},"message":{record}}}\n')


def _own_status(exc: Error) -> int | None:
    return exc.status if exc.status != _STATUS_OF_CODE.get(exc.code) else None


def _problem_line(id: Any, exc: HTTPError) -> str:
    """An error frame carries no headers, so this is a response (RFC 9457)."""
    from .response import encode_headers

    problem: dict[str, Any] = {"status": exc.status, "detail": exc.message, "code": exc.code}
    if exc.data is not None:
        problem["data"] = exc.data
    headers = encode_headers({"content-type": "application/problem+json", **(exc.headers or {})})
    body = encode(problem, "the data of the error")
    return f'{{"id":{encode_id(id)},"status":{exc.status},"headers":{headers},"json":{body}}}\n'


def error_of(frame: dict[str, Any]) -> Error:
    """The exception for an `error` frame."""
    status = frame.get("status")
    valid = type(status) is int and 400 <= status <= 599
    error = Error(
        "internal",
        str(frame.get("message") or ""),
        status=status if valid else None,
        data=frame.get("data"),
    )
    error.code = str(frame.get("code") or "internal")
    error.args = (error.message or error.code,)
    return error


def status_of(code: str) -> int:
    """The HTTP status that goes with a code."""
    return _STATUS_OF_CODE.get(code, 500)


def one_line(exc: BaseException) -> str:
    """ "ValueError: what was wrong", even for exceptions that cannot be printed."""
    try:
        text = str(exc)
    except Exception:
        text = "(its str() failed)"
    if len(text) > _MESSAGE_MAX:
        text = text[:_MESSAGE_MAX] + "..."
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__


def traceback_text(exc: BaseException, brief: bool = False) -> str:
    """The traceback, without the frames that are the SDK's own.

    brief: of those of a library only the ones that the user's own code has called last; a
    framework has many on the way to it, and they are always the same.
    """
    import traceback

    whole = traceback.TracebackException(type(exc), exc, exc.__traceback__)
    if whole.__cause__ is not None and not _frames_of_others(whole):
        whole = whole.__cause__  # The SDK has only said it in other words.
    _leave_out_frames(whole, brief, set())
    text = "".join(whole.format())
    if len(text) <= _STACK_MAX:
        return text
    half = _STACK_MAX // 2
    return f"{text[:half]}\n[... {len(text) - _STACK_MAX} characters ...]\n{text[-half:]}"


def _frames_of_others(whole: Any) -> list[Any]:
    return [entry for entry in whole.stack if os.path.dirname(entry.filename) != _PACKAGE]


def is_said_by_sdk(exc: BaseException) -> bool:
    """Whether it is an Error that came about without any code but the SDK's."""
    if not isinstance(exc, Error) or exc.__cause__ is not None:
        return False
    trace = exc.__traceback__
    while trace is not None:
        if os.path.dirname(os.path.abspath(trace.tb_frame.f_code.co_filename)) != _PACKAGE:
            return False
        trace = trace.tb_next
    return True


def _called_last(stack: list[Any]) -> list[Any]:
    """The user's own frames, with all that follow the last of them."""
    from .sources import is_own_source

    own = [
        index
        for index, entry in enumerate(stack)
        if not entry.filename.startswith("<") and is_own_source(os.path.abspath(entry.filename))
    ]
    return [stack[index] for index in own[:-1]] + stack[own[-1] :] if own else stack


def _leave_out_frames(whole: Any, brief: bool, seen: set[int]) -> None:
    """whole: a TracebackException, with those that led to it."""
    if whole is None or id(whole) in seen:
        return
    seen.add(id(whole))
    kept = _frames_of_others(whole)
    if kept:
        whole.stack[:] = _called_last(kept) if brief else kept
    for other in (whole.__cause__, whole.__context__, *(getattr(whole, "exceptions", None) or ())):
        _leave_out_frames(other, brief, seen)


def log_text(text: str) -> None:
    """Text to standard error, in one piece."""
    if sys.stderr is not None:
        sys.stderr.write(f"nodey: {text.rstrip()}\n")
        sys.stderr.flush()
