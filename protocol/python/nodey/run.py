"""run: `python3 -m nodey.run SCRIPT [ARGUMENT...]` runs a script as a worker.

It does what `python3 SCRIPT` does, and sees how the script ends: it serves what was
declared, and turns a failure, even of an `import` that stands before `import nodey`, into
a start-up error that says what to do.  SCRIPT may be a folder with __main__.py, main.py or
app.py.  A script that never imports nodey is left alone: standard input and output stay
its own.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType

MAINS = ("__main__.py", "main.py", "app.py")


def program_in(path: str) -> str:
    """The file to run for a script or a folder.  Raises OSError when there is none."""
    if not os.path.isdir(path):
        return path
    for name in MAINS:
        file = os.path.join(path, name)
        if os.path.isfile(file):
            return file
    raise FileNotFoundError(f"{path} has none of {', '.join(MAINS)}")


def run(path: str, arguments: list[str]) -> int:
    """Runs a script to its end and serves it.  Returns the exit status."""
    module = type(sys)("__main__")
    sys.modules["__main__"] = module
    sys.argv[:] = [path, *arguments]
    try:
        file = os.path.abspath(program_in(path))
        # What `-m` has put first is the working directory, which a script does not look in.
        if not getattr(sys.flags, "safe_path", False) and not sys.flags.isolated:
            sys.path[0] = os.path.dirname(os.path.realpath(file))
        code = _prepare(module, file)
    except (OSError, SyntaxError, ValueError) as exc:
        return _failed(exc.with_traceback(None))
    try:
        exec(code, module.__dict__)
    except SystemExit as exc:
        if "nodey.startup" in sys.modules:
            _startup().script_left(exc.code)
        raise
    except KeyboardInterrupt:
        return 130
    except BaseException as exc:
        # Without the frame of this function.
        return _failed(exc.with_traceback(exc.__traceback__ and exc.__traceback__.tb_next))
    return _ended()


def _prepare(module: ModuleType, file: str) -> CodeType:
    """The script's code, with its module looking like that of `python3 SCRIPT`."""
    from _frozen_importlib_external import SourceFileLoader

    loader = SourceFileLoader("__main__", file)
    module.__dict__.update(
        __file__=file,
        __builtins__=__builtins__,
        __loader__=loader,
        __package__=None,
        __spec__=None,
        __cached__=None,
    )
    with open(file, "rb") as opened:
        source = opened.read()
    code: CodeType = compile(source, file, "exec", dont_inherit=True)
    return code


def _startup() -> ModuleType:
    import nodey.startup

    return nodey.startup


def _failed(exc: BaseException) -> int:
    """The script cannot start, or has ended badly."""
    if not _startup().script_failed(exc) or sys.excepthook is not sys.__excepthook__:
        sys.excepthook(type(exc), exc, exc.__traceback__)
    return 1


def _ended() -> int:
    """The script has come to its end."""
    if "nodey.startup" in sys.modules:
        return int(_startup().end_of_script())
    if os.environ.get("NODEY") == "1" and _is_wanted():
        return int(_startup().ended_without_sdk())
    return 0


def _is_wanted() -> bool:
    """Whether the supervisor still has its end of standard input open."""
    import select

    poller = select.poll()
    try:
        poller.register(0, select.POLLIN)
        return not any(event & (select.POLLHUP | select.POLLNVAL) for _fd, event in poller.poll(0))
    except OSError:
        return False


def main() -> int:
    """See above."""
    # For context.has_runner(); and the package that `-m` has imported on its way here is
    # imported again by a script that wants it.
    sys.modules["nodey.run"] = sys.modules["__main__"]
    sys.modules.pop("nodey", None)
    if len(sys.argv) < 2:
        print("usage: python3 -m nodey.run SCRIPT [ARGUMENT...]", file=sys.stderr)
        return 2
    return run(sys.argv[1], sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
