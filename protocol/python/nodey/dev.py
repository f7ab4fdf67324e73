"""dev: what a worker looks at besides when it runs under --dev (NODEY_DEV=1)."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable
    from typing import Any

    from .handler import Handler

from .channel import channel
from .errors import log_text
from .log import log


def is_wanted() -> bool:
    """Whether somebody is at work on the script."""
    return os.environ.get("NODEY_DEV") == "1"


def warn_of_none(handlers: Iterable[Handler]) -> None:
    """Has a handler's first None logged: it is a lawful answer, and mostly a `return` that
    was forgotten.  The calls after it are the handler's own again."""
    for handler in handlers:
        if handler.has_result:
            _wrap(handler)


def with_static_files(app: Any) -> Any:
    """What Django's runserver makes of an app: one that serves the files of STATIC_URL too,
    when the project is in DEBUG and has django.contrib.staticfiles."""
    from django.conf import settings  # type: ignore[import-untyped, unused-ignore]
    from django.core.handlers.asgi import ASGIHandler  # type: ignore[import-untyped, unused-ignore]
    from django.core.handlers.wsgi import WSGIHandler  # type: ignore[import-untyped, unused-ignore]

    if not isinstance(app, (ASGIHandler, WSGIHandler)) or hasattr(app, "handles_files"):
        return app
    installed = "django.contrib.staticfiles" in settings.INSTALLED_APPS
    if not (settings.DEBUG and installed and settings.STATIC_URL):
        return app
    from django.contrib.staticfiles import handlers  # type: ignore[import-untyped, unused-ignore]

    if isinstance(app, WSGIHandler):
        return handlers.StaticFilesHandler(app)
    return handlers.ASGIStaticFilesHandler(app)


def tell_of_forgotten_awaits() -> None:
    """Has the log say where an `await` is missing.

    Python tells where the coroutine has ended, which may be anywhere, and its text is long.
    """
    import re
    import warnings

    # Has Python's text end with the place of the call.
    sys.set_coroutine_origin_tracking_depth(1)
    place = re.compile(
        r"coroutine '.*' was never awaited\nCoroutine created at .*\n"
        r'  File "(?P<file>.*)", line (?P<line>\d+), in (?P<name>.*)(?:\n    (?P<source>.*))?'
    )
    show = warnings.showwarning

    def shown(message: Any, category: Any, *others: Any, **more: Any) -> None:
        found = place.match(str(message)) if category is RuntimeWarning else None
        if found is None:
            show(message, category, *others, **more)
            return
        from .explain import shown_path

        where = f"{shown_path(found['file'])}:{found['line']}"
        say = log_text if channel.is_writing else log.warn
        say(f'an "await" is missing in {found["name"]}, {where}:  {found["source"] or ""}'.rstrip())

    warnings.showwarning = shown


def _wrap(handler: Handler) -> None:
    call = handler.call

    def looked_at(result: Any) -> Any:
        if result is None and handler.call is not call:
            handler.call = call
            name, _, label = handler.name.rpartition(" (")
            log.warn(
                f"handler {name} of {label[:-1]} returned nothing: the answer is null; "
                'was a "return" forgotten?'
            )
        return result

    async def awaited(result: Awaitable[Any]) -> Any:
        return looked_at(await result)

    if handler.is_async:
        handler.call = lambda argument: awaited(call(argument))
    else:
        handler.call = lambda argument: looked_at(call(argument))
