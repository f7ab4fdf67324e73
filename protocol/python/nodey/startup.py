"""startup: a script that declares handlers and ends is a worker.

Under run.py that is simple, because it runs the script and knows when it has ended.
Nobody calls us when a script that was started directly has come to its end, so we ask
to be called: from Python 3.12 on by sys.monitoring, when the script's own code returns.
Older versions have only exit hooks, which have to find out whether the script came to
its end or was left by sys.exit().  (From 3.12 on an exit hook is no place to serve from:
no thread can be started there any more.)
"""

from __future__ import annotations

import atexit
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType, TracebackType

from .channel import channel
from .codec import error_line
from .context import has_runner, is_worker, main_frame
from .errors import Error, is_said_by_sdk, log_text, one_line, traceback_text

_serve: Callable[[], None] | None = None
_script: FrameType | None = None
_started = False
_failed = False
_is_worker = is_worker()


def serve_at_end(serve: Callable[[], None]) -> None:
    """Has `serve` called when the script ends; the first call decides.

    Does nothing at a prompt and in tests.
    """
    global _serve, _script
    if _serve is not None or not _is_worker:
        return
    _serve = serve
    if has_runner():
        return
    _script = main_frame()
    if _script is None:
        return
    if not channel.supervised:
        atexit.register(_at_exit)
    if sys.version_info >= (3, 12):
        _call_at_return(_script.f_code)
    else:
        import threading

        # Before user threads are waited for, which may never end.
        threading._register_atexit(_at_exit)  # type: ignore[attr-defined, unused-ignore]


def cancel() -> None:
    """This process is no worker after all: nothing is served at its end."""
    global _is_worker, _script, _serve
    _is_worker = False
    _script = _serve = None


def finished() -> None:
    """Serving has begun, so nothing is left to do at the end."""
    global _script, _started
    _script = None
    _started = True


# ------------------------------------------------------------- the script's end


def end_of_script() -> int:
    """For run.py, when the script has come to its end: serves, returns the exit status."""
    if _started or _failed or _is_helper_process() or not _is_worker:
        return 1 if _failed else 0
    if _serve is None:
        return _report_no_handler()
    return _serve_now()


def is_undecided() -> bool:
    """For run.py: whether the script has ended without anything that is to be served."""
    return _is_worker and not (_started or _failed or _serve or _is_helper_process())


def script_left(status: object = None) -> None:
    """For run.py: the script was left by sys.exit(status)."""
    if channel.supervised and not _started and not _is_helper_process():
        why = f": {status}" if isinstance(status, str) else ""
        text = f"the script exited before it could serve{why}"
        report_failure(Error("failed_precondition", text))


def script_failed(exc: BaseException) -> bool:
    """For run.py: the script has raised.  Returns whether that has been told to people."""
    return not _started and not _is_helper_process() and report_failure(exc)


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
    if _failed or _started or not _is_worker or _is_helper_process() or has_runner():
        return
    if script is None:
        if channel.supervised and _serve is None:
            _leave(_report_no_handler())
        return
    if not _came_to_its_end(script):
        script_left()
        return
    if sys.version_info < (3, 12):
        _undo_the_end(script)
    _leave(_serve_now())


def _leave(status: int) -> None:
    """An exit hook cannot set the exit status otherwise."""
    if status:
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
        if not report_failure(exc):
            log_text(traceback_text(exc))
        return 1
    return 0


def _is_helper_process() -> bool:
    """multiprocessing imports the script again in the processes that it starts."""
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


# -------------------------------------------------------------------- failures


def script_name() -> str:
    """The script's file name, for sentences."""
    file = getattr(sys.modules.get("__main__"), "__file__", None) or sys.argv[0]
    return os.path.basename(file) or "the script"


def ended_without_sdk() -> int:
    """For run.py: a script that never imported this package has ended by itself."""
    text = (
        f"{script_name()} has ended, but a worker serves until its standard input ends: "
        'import nodey and add @nodey.get("/path") above a function'
    )
    report_failure(Error("failed_precondition", text))
    return 1


def _report_no_handler() -> int:
    """A script that is a worker and has nothing to serve."""
    text = (
        f'{script_name()} registered no handler: add @nodey.get("/path") above a function, '
        '@nodey.on("topic") above one that handles events, '
        'or @nodey.token("Name") above one that other workers ask'
    )
    if channel.supervised:
        report_failure(Error("failed_precondition", text))
        return 1
    log_text(text)
    return 1


def report_failure(exc: BaseException) -> bool:
    """Tells why this worker cannot start: the supervisor, or by hand whoever can be helped
    with a better message than a traceback.  Returns whether anybody was told."""
    global _failed
    from .explain import explained

    if _failed:
        return True
    known, stack = explained(exc), None
    if not channel.supervised:
        if known is not None:
            log_text(known.message)
        return known is not None
    _failed = True
    if known is not None:
        message, stack = known.message, known.stack
    else:
        message = str(exc) if isinstance(exc, Error) else one_line(exc)
        if exc.__traceback__ is not None and not is_said_by_sdk(exc):
            stack = traceback_text(exc)
    channel.write(error_line(None, "failed_precondition", message, stack=stack))
    return True


def report_uncaught() -> None:
    """Has an exception that ends the script before it serves reported."""
    show = sys.excepthook

    def hook(
        kind: type[BaseException], exc: BaseException, traceback: TracebackType | None
    ) -> None:
        told = not _started and report_failure(exc)
        if not told or show is not sys.__excepthook__:
            show(kind, exc, traceback)

    sys.excepthook = hook


if _is_worker and not has_runner():
    report_uncaught()
    if channel.supervised:
        atexit.register(_at_exit)
