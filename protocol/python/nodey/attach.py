"""attach: scripts that start a web server of their own are served by nodey instead.

When a script imports one of the modules below, the function in it that would open a port
is replaced by one that gives nodey the app.  Nothing is done to modules that are not
imported, and nothing at all in processes that the script starts by itself.

This module is loaded by run.py, before a script has imported the package and for scripts
that never do.  So it imports nothing of it until there is, or will be, an app.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


def _is_ours() -> bool:
    """Whether this process is the worker, not one that multiprocessing has started."""
    process = sys.modules.get("multiprocessing.process")
    return process is None or process.parent_process() is None


def _serve(app: Any, **options: Any) -> None:
    import nodey.apps

    nodey.apps.serve(app, **options)


def _replace(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Puts make(original) in the place of owner.name; child processes get the original."""
    original = getattr(owner, name, None)
    if original is None:
        return  # Another version, which does it in another way.
    ours = make(original)

    def either(*arguments: Any, **options: Any) -> Any:
        return (ours if _is_ours() else original)(*arguments, **options)

    for attribute in ("__name__", "__qualname__", "__doc__", "__module__"):
        try:
            setattr(either, attribute, getattr(original, attribute))
        except (AttributeError, TypeError):
            pass
    setattr(owner, name, either)


async def _nothing() -> None:
    """What is left to await when the app has been served."""


def _outside_of_a_loop(call: str) -> None:
    """Raises RuntimeError in a running event loop, for the worker needs one of its own.

    asyncio.run(serve(app)) is fine: its argument is worked out before there is a loop.
    """
    asyncio = sys.modules.get("asyncio.events")
    if asyncio is not None and asyncio._get_running_loop() is not None:
        raise RuntimeError(
            f"{call} is awaited in an event loop of the script's own, and nodey needs to run "
            "the loop: call nodey.serve(app) at the end of the script instead"
        )


# ------------------------------------------------------------------ the modules


def _flask(module: ModuleType) -> None:
    def make(original: Any) -> Any:
        def run(
            self: Any, host: Any = None, port: Any = None, debug: Any = None, **options: Any
        ) -> None:
            if debug is not None:
                self.debug = bool(debug)
            _serve(self)

        return run

    _replace(module.Flask, "run", make)


def _quart(module: ModuleType) -> None:
    def make_run(original: Any) -> Any:
        def run(
            self: Any, host: Any = None, port: Any = None, debug: Any = None, **options: Any
        ) -> None:
            if debug is not None:
                self.debug = bool(debug)
            _serve(self)

        return run

    def make_task(original: Any) -> Any:
        def run_task(self: Any, *arguments: Any, **options: Any) -> Any:
            _outside_of_a_loop("app.run_task()")
            _serve(self)
            return _nothing()

        return run_task

    _replace(module.Quart, "run", make_run)
    _replace(module.Quart, "run_task", make_task)


def _bottle(module: ModuleType) -> None:
    def make(original: Any) -> Any:
        def run(app: Any = None, *arguments: Any, **options: Any) -> None:
            app = app or module.default_app()
            _serve(module.load_app(app) if isinstance(app, str) else app)

        return run

    _replace(module, "run", make)


def _uvicorn(module: ModuleType) -> None:
    def make(original: Any) -> Any:
        def run(app: Any, **options: Any) -> None:
            _serve_uvicorn(app, options.get)

        return run

    _replace(module, "run", make)


def _serve_uvicorn(app: Any, option: Callable[[str], Any]) -> None:
    if isinstance(app, str) and option("app_dir"):
        sys.path.insert(0, str(option("app_dir")))
    if option("factory"):
        app = f"{app}()" if isinstance(app, str) else app()
    root_path, lifespan = option("root_path") or "", option("lifespan") or "auto"
    _serve(app, root_path=root_path, lifespan=lifespan)


def _uvicorn_server(module: ModuleType) -> None:
    def make_run(original: Any) -> Any:
        def run(self: Any, *arguments: Any, **options: Any) -> None:
            config = self.config
            _serve_uvicorn(config.app, lambda name: getattr(config, name, None))

        return run

    def make_serve(original: Any) -> Any:
        def serve(self: Any, *arguments: Any, **options: Any) -> Any:
            _outside_of_a_loop("server.serve()")
            config = self.config
            _serve_uvicorn(config.app, lambda name: getattr(config, name, None))
            return _nothing()

        return serve

    _replace(module.Server, "run", make_run)
    _replace(module.Server, "serve", make_serve)


def _hypercorn(module: ModuleType) -> None:
    def make(original: Any) -> Any:
        def serve(app: Any, config: Any, **options: Any) -> Any:
            _outside_of_a_loop("hypercorn's serve()")
            _serve(app, root_path=getattr(config, "root_path", "") or "")
            return _nothing()

        return serve

    _replace(module, "serve", make)


def _waitress(module: ModuleType) -> None:
    def make(original: Any) -> Any:
        def serve(app: Any, **options: Any) -> None:
            _serve(app, threads=options.get("threads"), root_path=options.get("url_prefix", ""))

        return serve

    _replace(module, "serve", make)


def _werkzeug(module: ModuleType) -> None:
    def make(original: Any) -> Any:
        def run_simple(
            hostname: Any, port: Any, application: Any, *arguments: Any, **options: Any
        ) -> None:
            _serve(application)

        return run_simple

    _replace(module, "run_simple", make)


class _Server:
    """What make_server() returns: as much of a server as is used without a port."""

    def __init__(self, host: str, port: int, app: Any) -> None:
        self.server_address = (host, port)
        self.server_name, self.server_port = host, port
        self.application = app

    def get_app(self) -> Any:
        return self.application

    def set_app(self, app: Any) -> None:
        self.application = app

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        _serve(self.application)

    def handle_request(self) -> None:
        _serve(self.application)

    def shutdown(self) -> None:
        pass

    def server_close(self) -> None:
        pass

    def __enter__(self) -> _Server:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


def _wsgiref(module: ModuleType) -> None:
    def make(original: Any) -> Any:
        def make_server(host: str, port: int, app: Any, *arguments: Any, **options: Any) -> Any:
            return _Server(host, port, app)

        return make_server

    _replace(module, "make_server", make)


def _aiohttp(module: ModuleType) -> None:
    def make(original: Any) -> Any:
        def run_app(app: Any, *arguments: Any, **options: Any) -> None:
            _serve(app)  # Says that it is neither WSGI nor ASGI.

        return run_app

    _replace(module, "run_app", make)


def _none(module: ModuleType) -> None:
    """Only says that the script is an app."""


PATCHES: dict[str, Callable[[ModuleType], None]] = {
    "aiohttp.web": _aiohttp,
    "bottle": _bottle,
    "flask.app": _flask,
    "hypercorn.asyncio": _hypercorn,
    "quart.app": _quart,
    "starlette.applications": _none,
    "uvicorn.main": _uvicorn,
    "uvicorn.server": _uvicorn_server,
    "waitress": _waitress,
    "werkzeug.serving": _werkzeug,
    "wsgiref.simple_server": _wsgiref,
}


# May be imported by a script that is no app: one that speaks for itself on standard output.
_MAY_BE_OTHERS = frozenset(("werkzeug.serving", "wsgiref.simple_server"))


class Finder:
    """Finds nothing by itself; has the modules above changed when they have been loaded."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """See importlib.abc.MetaPathFinder."""
        if name not in PATCHES:
            return None
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    _change_when_loaded(name, spec.loader)
                    return spec
        return None


def _change_when_loaded(name: str, loader: Any) -> None:
    load = getattr(loader, "exec_module", None)
    if load is None:
        return

    def exec_module(module: ModuleType) -> None:
        del loader.exec_module  # The loader's own is the class's.
        load(module)
        PATCHES[name](module)
        if name not in _MAY_BE_OTHERS and _is_ours():
            import nodey  # noqa: F401  # From here on what is printed goes to the log.

    try:
        loader.exec_module = exec_module
    except AttributeError:
        pass  # A loader of another kind: the script opens its port, as it would without us.


def install() -> None:
    """From now on what is imported is looked at."""
    sys.meta_path.insert(0, Finder())
