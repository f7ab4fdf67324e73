"""nodey: write a service as plain functions; a supervisor does the rest.

    import nodey

    @nodey.get("/hello")
    def hello(req: nodey.Request) -> dict:
        return {"hello": req.query.get("name", "world")}

A script like this is a whole worker: it is served when it ends (or at
``nodey.start()``).  Importing the package moves standard output to standard error,
because the real one carries the protocol; ``print`` is safe from then on.
"""

from __future__ import annotations

from . import channel as _channel  # First: what is printed from here on goes to stderr.
from .errors import Error, HTTPError
from .log import log
from .origin import PyNodey
from .request import Headers, Request
from .response import Response
from .version import VERSION as __version__
from .worker import (
    ask,
    ask_async,
    delete,
    get,
    head,
    options,
    patch,
    post,
    put,
    route,
    set,
    start,
    token,
)

__all__ = [
    "Error",
    "HTTPError",
    "Headers",
    "PyNodey",
    "Request",
    "Response",
    "__version__",
    "ask",
    "ask_async",
    "delete",
    "get",
    "head",
    "log",
    "options",
    "patch",
    "post",
    "put",
    "route",
    "set",
    "start",
    "token",
]
