"""startup: a script that declares handlers and ends is a worker.

Nobody calls us when a script has come to its end, so we ask to be called: from Python
3.12 on by sys.monitoring, when the script's own code returns.  Older versions have only
exit hooks, which have to find out whether the script came to its end or was left by
sys.exit().  (From 3.12 on an exit hook is no place to serve from: no thread can be
started there any more.)
"""

from __future__ import annotations

import atexit
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType, TracebackType
    from typing import Any

from .channel import channel
from .codec import error_line
from .errors import Error, one_line, traceback_text

_serve: Callable[[], None] | None = None
_script: FrameType | None = None
_started = False
_failed = False


def serve_at_end(serve: Callable[[], None]) -> None:
    """Has `serve` called when the script ends; the first call decides."""
    global _serve, _script
    if _serve is not None:
        return
    _serve = serve
    _script = _main_frame()
    if _script is None:
        return
    atexit.register(_at_exit)
    if sys.version_info >= (3, 12):
        _call_at_return(_script.f_code)
    else:
        import threading

        # Before user threads are waited for, which may never end.
        threading._register_atexit(_at_exit)  # type: ignore[attr-defined, unused-ignore]


def finished() -> None:
    """Serving has begun, so nothing is left to do at the end."""
    global _script, _started
    _script = None
    _started = True


def _main_frame() -> FrameType | None:
    """The running frame of the script itself."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == "__main__":
            return frame
        frame = frame.f_back
    return None


def _call_at_return(code: CodeType) -> None:
    """Serves when this code, which is running, returns."""
    monitoring = sys.monitoring  # type: ignore[attr-defined, unused-ignore]
    free = [tool for tool in (3, 4) if monitoring.get_tool(tool) is None]
    if not free:
        return  # The exit hook remains.
    tool = free[0]

    def on_return(code: CodeType, offset: int, value: object) -> None:
        monitoring.set_local_events(tool, code, 0)
        monitoring.free_tool_id(tool)
        if _script is not None and not _is_helper_process():
            status = _serve_now()
            if status:
                sys.exit(status)

    monitoring.use_tool_id(tool, "nodey")
    monitoring.register_callback(tool, monitoring.events.PY_RETURN, on_return)
    monitoring.set_local_events(tool, code, monitoring.events.PY_RETURN)


def _came_to_its_end(frame: FrameType) -> bool:
    """Whether a finished module returned, rather than being left by an exception.

    An exit hook is told nothing of sys.exit().  But the frame remembers its last
    instruction, and a module returns only at its end.
    """
    import opcode

    return "RETURN" in opcode.opname[frame.f_code.co_code[frame.f_lasti]]


def _at_exit() -> None:
    script = _script
    if script is None or _failed or _is_helper_process():
        return
    if not _came_to_its_end(script):
        finished()
        report_failure(Error("failed_precondition", "the script exited before it could serve"))
        return
    if sys.version_info < (3, 12):
        _undo_the_end(script)
    status = _serve_now()
    if status:
        # An exit hook cannot set the exit status otherwise.
        sys.stderr.flush()
        os._exit(status)


def _undo_the_end(script: FrameType) -> None:
    """Before Python 3.12: makes the exit hook a place to serve from, like the script."""
    # These two flags are all that keeps handlers from using threads here.
    for name, flag in (
        ("threading", "_SHUTTING_DOWN"),
        ("concurrent.futures.thread", "_shutdown"),
    ):
        if name in sys.modules:
            setattr(sys.modules[name], flag, False)
    # Taken away when a script ends; multiprocessing needs it to import the script.
    script.f_globals.setdefault("__file__", script.f_code.co_filename)


def _serve_now() -> int:
    """Serves and returns the exit status; a failure to start is reported."""
    assert _serve is not None
    try:
        _serve()
    except SystemExit as exc:
        # A handler called sys.exit(); its request has been answered.
        return exc.code if isinstance(exc.code, int) else 0 if exc.code is None else 1
    except KeyboardInterrupt:
        return 130
    except Exception as exc:
        report_failure(exc)
        sys.excepthook(type(exc), exc, exc.__traceback__)
        return 1
    return 0


def _is_helper_process() -> bool:
    """multiprocessing imports the script again in the processes that it starts."""
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def loaded_files() -> list[str]:
    """The source files that make up the worker, without the libraries."""
    libraries = (sys.prefix, sys.base_prefix, os.path.dirname(os.path.abspath(__file__)))
    files = [
        os.path.abspath(file)
        for file in (getattr(module, "__file__", None) for module in list(sys.modules.values()))
        if isinstance(file, str)
    ]
    return sorted({file for file in files if not file.startswith(libraries)})


# -------------------------------------------------------------------- failures


def report_failure(exc: BaseException) -> None:
    """Tells the supervisor why this worker cannot start."""
    global _failed
    if _failed:
        return
    _failed = True
    if not channel.supervised:
        return
    stack = traceback_text(exc) if exc.__traceback__ is not None else None
    message = str(exc) if isinstance(exc, Error) else one_line(exc)
    channel.write(error_line(None, "failed_precondition", message, stack=stack))


def report_uncaught() -> None:
    """Has an exception that ends the script before it serves reported."""
    show = sys.excepthook

    def hook(
        kind: type[BaseException], exc: BaseException, traceback: TracebackType | None
    ) -> None:
        if not _started:
            report_failure(exc)
        show(kind, exc, traceback)

    sys.excepthook = hook


if channel.supervised:
    report_uncaught()
