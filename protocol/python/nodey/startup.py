"""startup: a script that declares handlers and ends is a worker.

There are two ways to get there.  `python -m nodey script.py` runs the script and then
serves: the plain way.  `python script.py` leaves only the interpreter's exit hook to
start from, which has to find out for itself whether the script came to its end, and in
which new threads cannot be started on Python 3.12 and later; nodey.start() as the
script's last line avoids both.
"""

from __future__ import annotations

import atexit
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType
    from typing import Any

from .channel import channel
from .codec import error_line
from .errors import Error, one_line, traceback_text

_serve: Callable[[], None] | None = None
_script: FrameType | None = None
_by_runner = False
_failed = False
in_exit_hook = False


def serve_at_end(serve: Callable[[], None]) -> None:
    """Has `serve` called when the script ends; the first call decides."""
    global _serve, _script
    if _serve is not None:
        return
    _serve = serve
    if _by_runner:
        return
    _script = _main_frame()
    if channel.supervised:
        sys.excepthook = _report_and(sys.excepthook)
    atexit.register(_at_exit)


def finished() -> None:
    """Serving has begun, so nothing is left to do at the end."""
    global _script
    _script = None


def _main_frame() -> FrameType | None:
    """The running frame of the script itself."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == "__main__":
            return frame
        frame = frame.f_back
    return None


def _came_to_its_end(frame: FrameType) -> bool:
    """Whether a finished module returned, rather than being left by an exception.

    Of sys.exit() the exit hook is told nothing.  But the frame remembers the last
    instruction, and a module returns only at its end.
    """
    import opcode

    last = opcode.opname[frame.f_code.co_code[frame.f_lasti]]
    return last.startswith("RETURN") or last.startswith("INSTRUMENTED_RETURN")


def _at_exit() -> None:
    global in_exit_hook, _script
    script, _script = _script, None
    if script is None or _serve is None or _failed or _is_helper_process():
        return
    if not _came_to_its_end(script):
        report_failure(Error("failed_precondition", "the script exited before it could serve"))
        return
    in_exit_hook = True
    code = run(_serve)
    if code:
        # An exit hook cannot set the exit status otherwise.
        sys.stderr.flush()
        os._exit(code)


def run(serve: Callable[[], None]) -> int:
    """Serves and returns the exit status; a failure to start is reported."""
    try:
        serve()
    except SystemExit as exc:
        # A handler called sys.exit(): its request has been answered.
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
    message = str(exc) if isinstance(exc, (Error, SystemExit)) else one_line(exc)
    channel.write(error_line(None, "failed_precondition", message, stack=stack))


def _report_and(show: Callable[..., Any]) -> Callable[..., Any]:
    def hook(
        kind: type[BaseException], exc: BaseException, traceback: TracebackType | None
    ) -> None:
        if _script is not None:
            report_failure(exc)
        show(kind, exc, traceback)

    return hook


# ------------------------------------------------------------------ the runner


def run_script(path: str, arguments: list[str]) -> int:
    """Runs a script as the main module, serves what it declared, returns the status."""
    global _by_runner
    from types import ModuleType

    _by_runner = True
    sys.argv = [path, *arguments]
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    module = ModuleType("__main__")
    module.__dict__.update(__file__=path, __builtins__=__builtins__)
    sys.modules["__main__"] = module
    try:
        with open(path, "rb") as file:
            code = compile(file.read(), path, "exec")
        exec(code, module.__dict__)
    except SystemExit as exc:
        if exc.code not in (None, 0):
            report_failure(exc)
        raise
    except BaseException as exc:
        report_failure(exc)
        raise
    return 0 if _serve is None else run(_serve)


def loaded_files() -> list[str]:
    """The source files that make up the worker, without the libraries."""
    libraries = (sys.prefix, sys.base_prefix, os.path.dirname(os.path.abspath(__file__)))
    files = [
        os.path.abspath(file)
        for file in (getattr(module, "__file__", None) for module in list(sys.modules.values()))
        if isinstance(file, str)
    ]
    return sorted({file for file in files if not file.startswith(libraries)})
