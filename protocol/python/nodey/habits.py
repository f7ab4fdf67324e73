"""habits: what people write who know other frameworks, and nodey's word for it; imported
only when somebody did."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

from .advice import did_you_mean

_ERROR = 'raise nodey.HTTPError(404, "why")'
_NO_APP = 'no app object is needed: write @nodey.get("/path") above a function'
_ARGUMENT = "a handler's first argument is the request: def hello(req)"
_QUERY = "write req.query"
_BODY = "write req.body, or req.text"
_IP = "write req.ip"
_TYPE = 'write req.headers.get("content-type")'
_ROOT = 'write f"{req.scheme}://{req.host}"'
_SOCKET = 'write @nodey.ws("/path") above a function that is given a socket'
_ON = 'write @nodey.on("topic") above a function that is given the event'
_PUBLISH = 'write nodey.publish("topic", data)'
_JOB = 'write @nodey.job("queue") above a function, and nodey.enqueue("queue", data)'
_ACK = "returning from the handler is the ack: leave it out"
_NACK = 'raise an exception, nodey.Retry("1m") for a time of your own, nodey.Dead("why") for never'
_SCHEDULE = "schedules are configured: [schedule] in nodey.toml"
_CACHE = "caching is configured: [[routes]] with path, to and cache in nodey.toml"

_HABITS = {
    "nodey": {
        "abort": _ERROR,
        "BadRequest": 'raise nodey.HTTPError(400, "why")',
        "HTTPException": _ERROR,
        "HttpError": _ERROR,
        "NotFound": _ERROR,
        "jsonify": "return the dict or list itself",
        "JSONResponse": "return the dict or list itself, or nodey.json(value, status)",
        "dumps": "return the dict or list itself",
        "make_response": "write nodey.Response(value, status, headers)",
        "HTMLResponse": "write nodey.html(text)",
        "render_template": "write nodey.html(text)",
        "RedirectResponse": "write nodey.redirect(url)",
        "FileResponse": "write nodey.file(path)",
        "send_file": "write nodey.file(path)",
        "send_from_directory": "write nodey.file(name, root=folder)",
        "static": "write nodey.file(name, root=folder)",
        "request": _ARGUMENT,
        "App": _NO_APP,
        "FastAPI": _NO_APP,
        "Flask": _NO_APP,
        "Nodey": _NO_APP,
        "app": _NO_APP,
        "run": _NO_APP,
        "listen": _NO_APP,
        "before_request": "write @nodey.before",
        "after_request": "write @nodey.after",
        "on_event": 'write @nodey.on("topic") for events, @nodey.on_start and @nodey.on_stop for '
        "the worker's own life",
        "subscribe": _ON,
        "subscriber": _ON,
        "consumer": _ON,
        "consume": _ON,
        "listener": _ON,
        "event": _ON,
        "emit": _PUBLISH,
        "produce": _PUBLISH,
        "dispatch": _PUBLISH,
        "send": _PUBLISH,
        "task": _JOB,
        "shared_task": _JOB,
        "actor": _JOB,
        "delay": _JOB,
        "apply_async": _JOB,
        "send_task": _JOB,
        "Celery": "no app object is needed: " + _JOB,
        "cron": _SCHEDULE,
        "schedule": _SCHEDULE,
        "every": _SCHEDULE,
        "middleware": "write @nodey.before or @nodey.after",
        "cache": _CACHE,
        "call": 'write nodey.ask("Token", args)',
        "expose": 'write @nodey.token("Token")',
        "logger": "write nodey.log",
        "StreamingResponse": "return a generator of str or bytes",
        "EventSourceResponse": "write nodey.sse(generator)",
        "WebSocket": _SOCKET,
        "websocket": _SOCKET,
        "socket": _SOCKET,
    },
    "the request": {
        "args": _QUERY,
        "GET": _QUERY,
        "query_params": _QUERY,
        "values": "write req.query, or req.form() for the fields of a form",
        "POST": "write req.form()",
        "FILES": "write req.files",
        "get_json": "write req.json()",
        "is_json": _TYPE,
        "mimetype": _TYPE,
        "content_type": _TYPE,
        "content_length": "write len(req.body)",
        "content": _BODY,
        "data": _BODY,
        "get_data": _BODY,
        "read": _BODY,
        "COOKIES": "write req.cookies",
        "META": "write req.headers",
        "authorization": 'write req.headers.get("authorization")',
        "user_agent": 'write req.headers.get("user-agent")',
        "match_info": "write req.params",
        "path_params": "write req.params",
        "view_args": "write req.params",
        "client": _IP,
        "remote": _IP,
        "remote_addr": _IP,
        "base_url": _ROOT,
        "host_url": _ROOT,
        "url_root": _ROOT,
        "full_path": 'write f"{req.path}?{req.query_string}"',
        "session": "keep what a client should bring again in a cookie: "
        "nodey.Response(...).set_cookie(name, value), and req.cookies",
    },
    "the event": {
        "ack": _ACK,
        "done": _ACK,
        "complete": _ACK,
        "nack": _NACK,
        "nak": _NACK,
        "reject": _NACK,
        "retry": _NACK,
        "fail": _NACK,
        "term": 'raise nodey.Dead("why")',
        "body": "write event.data",
        "json": "write event.data, which is the value",
        "payload": "write event.data",
        "message": "write event.data",
        "value": "write event.data",
        "args": "write event.data",
        "get": "write event.data.get(...)",
        "type": "write event.topic",
        "name": "write event.topic, or event.queue",
        "subject": "write event.topic",
        "routing_key": "write event.topic",
        "timestamp": "write event.time, in milliseconds",
        "attempts": "write event.attempt",
        "retries": "write event.attempt - 1",
        "msgid": "write event.id",
        "correlation_id": "write event.correlation",
        "causation_id": "write event.cause",
        "progress": "it is the context's: def handler(event, ctx), and ctx.progress()",
        "cancelled": "it is the context's: def handler(event, ctx), and ctx.cancelled()",
    },
    "the result": {
        "status_code": "write result.status",
        "content": "write result.body",
        "data": "write result.body, or result.text",
        "get_data": "write result.body, or result.text",
        "get_json": "write result.json()",
        "is_json": 'write result.headers["content-type"]',
        "location": 'write result.headers["location"]',
    },
}

_OPTIONS = {
    "retries": "write attempts=, which counts the first one too",
    "max_retries": "write attempts=, which counts the first one too",
    "max_attempts": "write attempts=",
    "retry_backoff": 'write backoff=["1s", "5s", "30s"]',
    "concurrency": "write max=",
    "max": "write concurrency=",
    "prefetch": "write max=",
    "start": 'write from_="first" or from_="new"',
    "from": 'write from_="first" or from_="new"',
    "broadcast": "write each=True",
    "ack": "returning is the ack, raising the nack: leave it out",
    "auto_ack": "returning is the ack, raising the nack: leave it out",
    "countdown": 'write delay="10m"',
    "eta": "write at=",
    "msgid": "write id=",
    "message_id": "write id=",
    "dedupe": "write id=",
    "partition_key": "write key=",
    "ordering_key": "write key=",
    "routing_key": "the first argument is the topic",
    "priority": "there are no priorities; give what is urgent a queue of its own",
    "durable": "durability is configured: [streams.NAME] with durability in nodey.toml",
    "cache": _CACHE,
    "methods": '@nodey.route(path, methods=["GET", "POST"]) takes several methods',
    "summary": "write description=",
    "timeout": "a timeout is configured: [[routes]] with path, to and timeout in nodey.toml",
}


def missing(owner: str, name: str, known: Iterable[str]) -> str:
    """What to say of an attribute that is not there.

    owner: a key of _HABITS.  known: the attributes that are there.
    """
    habit = _HABITS[owner].get(name)
    return f"{owner} has no {name!r}" + (f": {habit}" if habit else did_you_mean(name, known))


def refuse_options(what: str, options: Iterable[str], known: Iterable[str]) -> None:
    """Raises the TypeError for keyword arguments that a declaration does not have.

    what: the declaration, such as '@nodey.get("/")'.  options: the unknown ones' names.
    """
    name = next(iter(options))
    raise TypeError(
        f"{what} has no option {name!r}: "
        + (_OPTIONS.get(name) or f"there is {', '.join(known)}{did_you_mean(name, known)}")
    )


# -------------------------------------------------------------- the request, misused

_NOT_THERE = re.compile(r"'Request' object has no attribute '(\w+)'")
# A function that was declared by @nodey.job is a plain function still.
_NOT_A_TASK = re.compile(r"'function' object has no attribute '(delay|apply_async|s|send|si)'")
# What Python says of req.json["a"], req.json.get("a"), "a" in req.json and the like.
_NOT_CALLED = re.compile(r"'(method|function)' object (is not|has no|does not)|of type 'method'")


def explain_misuse(exc: BaseException) -> None:
    """Has a TypeError or AttributeError say what to write, when a handler took the request for
    that of another framework: for its attributes, or its methods for properties."""
    trace = exc.__traceback__
    if trace is None or len(exc.args) != 1:
        return
    while trace.tb_next is not None:
        trace = trace.tb_next
    said = str(exc.args[0])
    absent = _NOT_THERE.fullmatch(said)
    job = _NOT_A_TASK.fullmatch(said)
    if job:
        exc.args = (f"{said}: write nodey.enqueue(\"queue\", data), with the queue's name",)
        exc.name = None  # type: ignore[attr-defined]
    elif absent:
        exc.args = (missing("the request", absent[1], _attributes(exc)),)
        exc.name = None  # type: ignore[attr-defined]  # Or Python would add its own guess.
    elif _NOT_CALLED.search(said):
        sentence = _method_in(trace.tb_frame, trace.tb_lineno)
        if sentence:
            exc.args = (f"{said}: {sentence}",)


def _attributes(exc: BaseException) -> Iterable[str]:
    """Those of the request, with what hooks have set where Python tells which one it is."""
    from .request import Request

    return dir(getattr(exc, "obj", None) or Request)


def _method_in(frame: FrameType, line: int) -> str:
    """The sentence for a method of the request that is named in a line without a call, or
    that a variable in it holds; or ""."""
    import linecache
    from types import MethodType

    from .request import Request

    text = linecache.getline(frame.f_code.co_filename, line, frame.f_globals)
    for match in re.finditer(r"\b(\w+)\.(json|form)\b(?!\s*\()", text):
        if isinstance(frame.f_locals.get(match[1]), Request):
            return f"{match[0]} is a method, call it: {match[0]}()"
    for name, value in frame.f_locals.items():
        if isinstance(value, MethodType) and isinstance(value.__self__, Request):
            if re.search(rf"\b{name}\b", text):
                method = f"req.{value.__name__}"
                return f"{name} holds the method {method}, call it: {name} = {method}()"
    return ""
