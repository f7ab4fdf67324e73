"""errors: what handlers raise, what ask() raises, and how a failure is answered."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

from .codec import encode, encode_id, error_line

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
        if status is not None and not 400 <= status <= 599:
            raise ValueError(f"the status of an error is 400 to 599, not {status}")
        self.code = code
        self.message = message
        self.status = status
        self.data = data


class HTTPError(Error):
    """A failure known by its HTTP status: ``raise nodey.HTTPError(404, "no such user")``.

    status: 400 to 599.
    message: a sentence for people; clients see it.
    headers: further response headers, such as ``{"www-authenticate": "Basic"}``.
    data: further facts, any JSON value.
    """

    def __init__(
        self,
        status: int,
        message: str = "",
        *,
        headers: Mapping[str, str | list[str]] | None = None,
        data: Any = None,
    ) -> None:
        code = _CODE_OF_STATUS.get(status)
        if code is None:
            code = "invalid_argument" if status < 500 else "internal"
        super().__init__(code, message, status=status, data=data)
        self.headers = headers


def failure_line(exc: BaseException, frame: dict[str, Any], where: str) -> str:
    """The line that answers a request or an ask whose handler raised.

    where: the handler, for the log.  An Error is an answer like any other; everything
    else is a bug and is logged, once, with its traceback.
    """
    id = frame.get("id")
    if isinstance(exc, Error):
        try:
            if isinstance(exc, HTTPError) and exc.headers and "type" not in frame:
                return _problem_line(id, exc)
            return error_line(id, exc.code, exc.message, _own_status(exc), data=exc.data)
        except (TypeError, ValueError) as problem:
            exc = problem
    text = traceback_text(exc)
    log_text(f"{where}, id {encode_id(id)}: {text}")
    stack = text if os.environ.get("NODEY_DEV") == "1" else None
    return error_line(id, "internal", one_line(exc), stack=stack)


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
    return Error(
        str(frame.get("code") or "internal"),
        str(frame.get("message") or ""),
        status=status if valid else None,
        data=frame.get("data"),
    )


def one_line(exc: BaseException) -> str:
    """ "ValueError: what was wrong", even for exceptions that cannot be printed."""
    try:
        text = str(exc)
    except Exception:
        text = "(its str() failed)"
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__


def traceback_text(exc: BaseException) -> str:
    """The traceback from the first frame that is not the SDK's own."""
    import traceback

    tb = exc.__traceback__
    while tb is not None and tb.tb_next is not None:
        if os.path.dirname(os.path.abspath(tb.tb_frame.f_code.co_filename)) != _PACKAGE:
            break
        tb = tb.tb_next
    return "".join(traceback.format_exception(type(exc), exc, tb))


def log_text(text: str) -> None:
    """Text to standard error, in one piece."""
    if sys.stderr is not None:
        sys.stderr.write(f"nodey: {text.rstrip()}\n")
        sys.stderr.flush()
