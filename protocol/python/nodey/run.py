"""run: `python3 -m nodey.run SCRIPT [ARGUMENT...]` runs a script as a worker.

It does what `python3 SCRIPT` does, and sees how the script ends: it serves what was
declared, and turns a failure, even of an `import` that stands before `import nodey`, into
a start-up error that says what to do.  SCRIPT may be a folder with __main__.py, main.py or
app.py.

A script that never imports nodey but is a web app is served too: one that starts a web
server (attach.py), and one that leaves an app among its globals.  Any other is left alone:
standard input and output stay its own.

`python3 -m nodey.run --app MODULE:NAME` imports a module and serves the app in it.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, ModuleType

MAINS = ("__main__.py", "main.py", "app.py")

# What a web app may be called among a script's globals; apps.py looks closer.
_FRAMEWORKS = ("flask", "fastapi", "starlette", "quart", "litestar", "bottle", "falcon")
_NAMES = ("app", "application", "asgi", "wsgi", "api", "server", "create_app", "make_app")


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

    def script() -> None:
        exec(code, module.__dict__)

    return _guarded(script) or _ended(module)


def run_app(spec: str, arguments: list[str]) -> int:
    """Serves the app of "module:name".  Returns the exit status."""
    sys.argv[:] = [spec, *arguments]
    if not getattr(sys.flags, "safe_path", False) and not sys.flags.isolated:
        sys.path[0] = os.getcwd()

    def app() -> None:
        import nodey.apps
        from nodey.worker import worker

        if not worker.started:  # A module may have served it while it was imported.
            nodey.apps.serve(spec)

    return _guarded(app)


def _guarded(work: Callable[[], None]) -> int:
    """Does what a script does.  Returns the exit status; SystemExit is raised."""
    try:
        work()
    except SystemExit as exc:
        if "nodey.startup" in sys.modules:
            _startup().script_left(exc.code)
        raise
    except KeyboardInterrupt:
        return 130
    except BaseException as exc:
        # Without the frames of this module.
        traceback = exc.__traceback__ and exc.__traceback__.tb_next
        return _failed(exc.with_traceback(traceback and traceback.tb_next))
    return 0


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


def _ended(module: ModuleType) -> int:
    """The script has come to its end."""
    if _may_have_app(module):
        undecided = "nodey.startup" not in sys.modules or _startup().is_undecided()
        if undecided and _guarded(lambda: _serve_left_behind(module)):
            return 1
    if "nodey.startup" in sys.modules:
        return int(_startup().end_of_script())
    if os.environ.get("NODEY") == "1" and _is_wanted():
        return int(_startup().ended_without_sdk())
    return 0


def _load(name: str) -> ModuleType:
    """A module of the package, without the package that it belongs to: see there."""
    from _frozen_importlib import module_from_spec
    from _frozen_importlib_external import spec_from_file_location

    file = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{name}.py")
    spec = spec_from_file_location(f"nodey.{name}", file)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _may_have_app(module: ModuleType) -> bool:
    """Whether it is worth a closer look; nodey must be imported for that."""
    if "nodey.startup" not in sys.modules and not _is_wanted():
        return False
    if any(name in sys.modules for name in _FRAMEWORKS):
        return True
    return any(callable(module.__dict__.get(name)) for name in _NAMES)


def _serve_left_behind(module: ModuleType) -> None:
    import nodey.apps

    nodey.apps.serve_left_behind(module.__dict__)


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
    if os.environ.get("NODEY") == "1":
        _load("stacks").tell()
    _load("attach").install()
    if len(sys.argv) > 2 and sys.argv[1] == "--app":
        return run_app(sys.argv[2], sys.argv[3:])
    if len(sys.argv) < 2 or sys.argv[1] == "--app":
        usage = "SCRIPT [ARGUMENT...] | --app MODULE:NAME"
        print(f"usage: python3 -m nodey.run {usage}", file=sys.stderr)
        return 2
    return run(sys.argv[1], sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
