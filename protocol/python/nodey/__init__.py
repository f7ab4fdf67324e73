"""nodey: write a service as plain functions; a supervisor does the rest.

    import nodey

    @nodey.get("/hello")
    def hello(req: nodey.Request) -> dict:
        return {"hello": req.query.get("name", "world")}

A script like this is a whole worker: it is served when it ends (or at
``nodey.start()``).  In a worker, importing the package moves standard output to
standard error, because the real one carries the protocol; ``print`` is safe from then on.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False


def _is_for_runner() -> bool:
    """Whether ``python3 -m nodey.run`` imports the package on its way to that module.

    The script that it will run may be no user of the package at all, and then nothing
    must be taken from it; if it is one, it imports the package again.
    """
    if sys.argv[:1] != ["-m"]:  # What it is while the module is being looked for.
        return False
    frame = sys._getframe(2)  # Past this function and this module.
    while frame.f_back is not None and frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame.f_globals.get("__name__") == "runpy"


if TYPE_CHECKING or not _is_for_runner():
    from . import channel as _channel  # First: what is printed from here on goes to stderr.
    from .api import (
        after,
        ask,
        ask_async,
        before,
        delete,
        get,
        head,
        on_start,
        on_stop,
        options,
        patch,
        post,
        put,
        route,
        serve,
        set,
        start,
        token,
        ws,
    )
    from .errors import Error, HTTPError
    from .errors import NoAttribute as _NoAttribute
    from .log import log
    from .origin import PyNodey
    from .request import Headers, Request
    from .response import Response, html, json, redirect
    from .version import VERSION as __version__

if TYPE_CHECKING:
    from . import testing as testing
    from .bodies import BodyStream
    from .bus import enqueue, enqueue_async, job, on, publish, publish_async, seek, seek_async
    from .delivery import Context, Dead, Event, Retry
    from .events import sse
    from .exchange import Cancelled
    from .files import file
    from .forms import Form, Upload
    from .message import Published
    from .sockets import AsyncSocket, Closed, Socket


__all__ = [
    "AsyncSocket",
    "BodyStream",
    "Cancelled",
    "Closed",
    "Context",
    "Dead",
    "Error",
    "Event",
    "Form",
    "HTTPError",
    "Headers",
    "Published",
    "PyNodey",
    "Request",
    "Response",
    "Retry",
    "Socket",
    "Upload",
    "__version__",
    "after",
    "ask",
    "ask_async",
    "before",
    "delete",
    "enqueue",
    "enqueue_async",
    "file",
    "get",
    "head",
    "html",
    "job",
    "json",
    "log",
    "on",
    "on_start",
    "on_stop",
    "options",
    "patch",
    "post",
    "publish",
    "publish_async",
    "put",
    "redirect",
    "route",
    "seek",
    "seek_async",
    "serve",
    "set",
    "sse",
    "start",
    "token",
    "ws",
]

_LATER = {
    "AsyncSocket": "sockets",
    "BodyStream": "bodies",
    "Cancelled": "exchange",
    "Closed": "sockets",
    "Context": "delivery",
    "Dead": "delivery",
    "Event": "delivery",
    "Form": "forms",
    "Published": "message",
    "Retry": "delivery",
    "Socket": "sockets",
    "Upload": "forms",
    "enqueue": "bus",
    "enqueue_async": "bus",
    "file": "files",
    "job": "bus",
    "on": "bus",
    "publish": "bus",
    "publish_async": "bus",
    "seek": "bus",
    "seek_async": "bus",
    "sse": "events",
    "testing": "testing",
}


def __getattr__(name: str) -> object:
    """What is rarely needed is imported when it is."""
    module = _LATER.get(name)
    if module is None:
        raise _NoAttribute("nodey", name, lambda: [*__all__, "testing"])
    from importlib import import_module

    found = import_module(f"{__name__}.{module}")
    value: object = found if module == name else getattr(found, name)
    globals()[name] = value
    return value
