"""apps: WSGI and ASGI apps, found, told apart and served as they are."""

from __future__ import annotations

import inspect
import os
import sys
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .handler import Handler
    from .registry import Registry

from . import dev, startup
from .errors import Error, one_line
from .worker import worker

NAMES = ("app", "application", "asgi", "wsgi", "api", "server")
FACTORIES = ("create_app", "make_app")

_MAX_THREADS = 1000

# What somebody may take for the name of an app.
_FILES = (".py", ".js", ".cjs", ".mjs", ".ts")


# ------------------------------------------------------------------------ kinds


def kind_of(app: object) -> str | None:
    """ "wsgi", "asgi", "asgi2" (the old form, in two steps), or None for what is no app."""
    if not callable(app) or isinstance(app, ModuleType):
        return None
    call = app if inspect.isroutine(app) or inspect.isclass(app) else type(app).__call__
    try:
        signature = inspect.signature(app)
    except (TypeError, ValueError):
        return "asgi" if inspect.iscoroutinefunction(call) else "wsgi"
    except Exception:
        return None  # A stand-in for something that is not there yet, such as flask.request.
    if inspect.iscoroutinefunction(call):
        return "asgi" if _takes(signature, 3) else None
    if _takes(signature, 2):
        return "wsgi"
    if _takes(signature, 3):
        return "asgi"
    return "asgi2" if _needs(signature) == ["scope"] else None


def _takes(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True


def _needs(signature: inspect.Signature) -> list[str]:
    """The names of the parameters that a call must give."""
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.default is parameter.empty and parameter.kind not in optional
    ]


def _is_factory(value: object) -> bool:
    """Whether it is a function to be called without arguments, which then gives the app."""
    if not inspect.isfunction(value) or kind_of(value) is not None:
        return False
    return not _needs(inspect.signature(value))


def _no_app(app: object, name: str) -> Error:
    kind = type(app)
    if kind.__module__.startswith("aiohttp."):
        text = f"{name} is an app of aiohttp, which is neither WSGI nor ASGI: nodey cannot serve it"
        return Error("failed_precondition", text)
    what = f"a {kind.__name__}" if not isinstance(app, ModuleType) else "a module"
    return Error(
        "failed_precondition",
        f"{name} is {what}, and no app: a WSGI app is called with (environ, start_response), "
        "an ASGI app is awaited with (scope, receive, send)",
    )


# ---------------------------------------------------------------------- finding


def load(spec: str) -> Any:
    """The app of "package.module:name", ":name.attribute", ":factory()" or only a module.

    Raises Error, and whatever the module raises when it is imported.
    """
    path, colon, name = spec.partition(":")
    if not path or (colon and not name):
        text = f"an app is named as 'package.module:name', not {spec!r}"
        raise Error("failed_precondition", text)
    if "/" in path or path.endswith(_FILES):
        raise _is_file(path, colon + name)
    module = _module(path, spec)
    if not colon:
        app = find_app(vars(module))
        if app is None:
            text = f"the module {path} has no app: name it, as in {path}:application"
            raise Error("failed_precondition", text)
        return app
    is_call = name.endswith("()")
    value: Any = module
    for part in name.removesuffix("()").split("."):
        value = _attribute(value, part, spec)
    return value() if is_call or _is_factory(value) else value


def _module(path: str, spec: str) -> ModuleType:
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    if main is not None and file and os.path.basename(file) == f"{path}.py":
        return main  # The script names itself; a second import would run it again.
    try:
        __import__(path)
    except ModuleNotFoundError as exc:
        if exc.name is None or not f"{path}.".startswith(f"{exc.name}."):
            raise
        raise _no_module(exc.name, spec) from None
    return sys.modules[path]


def _is_file(path: str, name: str) -> Error:
    """What to write when the name of an app is that of a file.  name: ":name", or ""."""
    stem, ending = os.path.splitext(path)
    text = f"app = {path + name!r} names a file, and an app is 'package.module:name': "
    if ending in ("", ".py"):
        module = stem.removeprefix("./").strip("/").replace("/", ".")
        text += f"write  app = \"{module}{name or ':app'}\"  or, "
    text += f'to run the file,  script = "{path}"'
    return Error("failed_precondition", text)


def _no_module(name: str, spec: str) -> Error:
    """name: of the module, or of the package that it should be in."""
    from .advice import did_you_mean

    package, _, last = name.rpartition(".")
    folders = getattr(sys.modules.get(package), "__path__", ()) if package else [os.getcwd()]
    near = did_you_mean(last, [found for folder in folders for found in _modules_in(folder)])
    text = f"the app {spec!r} has no module {name} in {os.getcwd()} or what is installed{near}"
    return Error("failed_precondition", text)


def _modules_in(folder: str) -> list[str]:
    """The names of what can be imported from a folder."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return []
    stems = [
        entry.name if entry.is_dir() else entry.name.removesuffix(".py")
        for entry in entries
        if entry.is_dir() or entry.name.endswith(".py")
    ]
    return [stem for stem in stems if stem.isidentifier() and not stem.startswith("__")]


def _attribute(value: Any, name: str, spec: str) -> Any:
    try:
        return getattr(value, name)
    except AttributeError:
        pass
    from .advice import did_you_mean

    hint = did_you_mean(name, [key for key in dir(value) if not key.startswith("_")])
    apps = [key for key in NAMES if kind_of(getattr(value, key, None))]
    if not hint and apps:
        hint = f"; it has {apps[0]!r}"
    owner = value.__name__ if isinstance(value, ModuleType) else type(value).__name__
    text = f"the app {spec!r} is not there: {owner} has no {name!r}{hint}"
    raise Error("failed_precondition", text)


def find_app(namespace: Mapping[str, Any]) -> Any:
    """The app among a module's globals, or None: by its usual names, then by its framework,
    then what a factory gives."""
    for name in NAMES:
        value = namespace.get(name)
        if value is not None and not inspect.isclass(value) and kind_of(value) is not None:
            return value
    found = {id(value): value for value in namespace.values() if _is_of_framework(value)}
    if len(found) == 1:
        return next(iter(found.values()))
    for name in FACTORIES:
        factory: Any = namespace.get(name)
        if _is_factory(factory):
            return factory()
    return None


_FRAMEWORKS = frozenset(("flask", "fastapi", "starlette", "quart", "litestar", "bottle", "falcon"))
_APP_CLASSES = frozenset(("Flask", "FastAPI", "Starlette", "Quart", "Litestar", "Bottle", "App"))


def _is_of_framework(value: object) -> bool:
    return any(
        base.__name__ in _APP_CLASSES and base.__module__.partition(".")[0] in _FRAMEWORKS
        for base in type(value).__mro__
    )


# ---------------------------------------------------------------------- serving


def serve(
    app: Any, threads: int | None = None, root_path: str = "", lifespan: str = "auto"
) -> None:
    """See api.serve()."""
    if worker.started:
        raise RuntimeError("nodey serves already: call nodey.serve() once, instead of start()")
    root_path = root_path.rstrip("/")
    if root_path and not root_path.startswith("/"):
        raise ValueError(f"root_path begins with a slash, as in '/shop', not {root_path!r}")
    if lifespan not in ("auto", "on", "off"):
        raise ValueError(f"lifespan is 'auto', 'on' or 'off', not {lifespan!r}")
    name = app if isinstance(app, str) else _name(app)
    if isinstance(app, str):
        app = load(app)
    kind = kind_of(app)
    if kind is None:
        raise _no_app(app, name)
    if "django.core.handlers.base" in sys.modules and dev.is_wanted():
        app = dev.with_static_files(app)
    handler: Handler
    if kind == "wsgi":
        from .wsgi import WsgiHandler

        handler = WsgiHandler(app, name, root_path)
    else:
        from .asgi import AsgiHandler

        handler = AsgiHandler(app if kind == "asgi" else _single(app), name, root_path)
    worker.declare(app, lambda to: _add(to, handler))
    if kind != "wsgi" and lifespan != "off":
        from .lifespan import add_lifespan

        add_lifespan(worker.registry, handler, must=lifespan == "on")
    _start(_threads(threads) if kind == "wsgi" and not worker.registry.has_async else 0)


def _start(threads: int) -> None:
    try:
        worker.start(threads)
    except Exception as exc:
        # The script is left by it, and that it has begun to serve does not help anybody.
        if not startup.report_failure(exc):
            raise
        sys.exit(1)


def _add(to: Registry, handler: Handler) -> None:
    to.add_app(handler, handler.is_async)
    to.has_sockets = to.has_sockets or handler.is_async


def _name(app: object) -> str:
    """What to call an app in sentences: its function or class, with its module."""
    named = app if hasattr(app, "__qualname__") else type(app)
    module = getattr(named, "__module__", "") or ""
    root = module.partition(".")[0]
    return named.__qualname__ if root in ("", "__main__") else f"{root}.{named.__qualname__}"


def _single(app: Any) -> Callable[..., Any]:
    """An app of ASGI 2 as one of ASGI 3."""

    async def single(scope: Any, receive: Any, send: Any) -> None:
        await app(scope)(receive, send)

    return single


def _threads(threads: int | None) -> int:
    """How many at a time: what the caller says, or the configuration.  Raises ValueError."""
    if threads is not None:
        return threads
    text = os.environ.get("NODEY_THREADS", "") or "0"
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not 0 <= number <= _MAX_THREADS:
        raise ValueError(f"NODEY_THREADS is a number up to {_MAX_THREADS}, not {text!r}")
    return number


def serve_left_behind(namespace: Mapping[str, Any]) -> bool:
    """For run.py: serves the app that a script has left among its globals, if there is one."""
    try:
        app = find_app(namespace)
    except Exception as exc:
        raise Error("failed_precondition", f"the app's factory failed: {one_line(exc)}") from exc
    if app is None:
        return False
    serve(app)
    return True
