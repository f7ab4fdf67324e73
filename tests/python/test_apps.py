"""nodey.serve() and the runner: which apps there are, where they are found, and scripts that
start a server of their own."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any, Callable, Dict

import pytest
from process import SDK, Worker

sys.path.insert(0, str(SDK))

from nodey import apps  # noqa: E402
from nodey.errors import Error  # noqa: E402

Write = Callable[..., Worker]

WSGI = """
def {name}(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"{text}"]
"""


def wsgi(name: str = "app", text: str = "hi") -> str:
    return WSGI.format(name=name, text=text)


def served(worker: Worker, path: str = "/", id: int = 1, **members: Any) -> Any:
    """The body of an answer, once the worker is ready."""
    assert worker.ready()["routes"][-1] == {"path": "/*"}
    worker.get(path, id=id, **members)
    frame = worker.next()
    assert "body" in frame, frame
    return frame["body"]


def refused(worker: Worker) -> Dict[str, Any]:
    """What a worker says that cannot start."""
    frame: Dict[str, Any] = worker.next()
    assert frame["type"] == "error" and frame["id"] is None, frame
    assert frame["code"] == "failed_precondition"
    assert worker.end() == 1
    return frame


# ------------------------------------------------------------------------ kinds


def plain_wsgi(environ: Any, start_response: Any) -> Any: ...
def other_names(env: Any, start: Any, more: Any = None) -> Any: ...
def any_number(*args: Any) -> Any: ...
async def plain_asgi(scope: Any, receive: Any, send: Any) -> None: ...
def returns_a_coroutine(scope: Any, receive: Any, send: Any) -> Any: ...
def two_steps(scope: Any) -> Any: ...
async def async_of_two(environ: Any, start_response: Any) -> None: ...
def handler(req: Any) -> None: ...
def nothing() -> None: ...


class WsgiObject:
    def __call__(self, environ: Any, start_response: Any) -> Any: ...


class AsgiObject:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


class WsgiClass:
    def __init__(self, environ: Any, start_response: Any) -> None: ...


class AsgiTwoClass:
    def __init__(self, scope: Any) -> None: ...


@pytest.mark.parametrize(
    "app, kind",
    [
        (plain_wsgi, "wsgi"),
        (other_names, "wsgi"),
        (any_number, "wsgi"),
        (WsgiObject(), "wsgi"),
        (WsgiObject().__call__, "wsgi"),
        (WsgiClass, "wsgi"),
        (plain_asgi, "asgi"),
        (AsgiObject(), "asgi"),
        (AsgiObject().__call__, "asgi"),
        (returns_a_coroutine, "asgi"),
        (two_steps, "asgi2"),
        (AsgiTwoClass, "asgi2"),
        (async_of_two, None),
        (handler, None),
        (nothing, None),
        (sys, None),
        ("app", None),
        (None, None),
    ],
)
def test_kinds_of_apps(app: Any, kind: Any) -> None:
    assert apps.kind_of(app) == kind


def test_the_frameworks() -> None:
    import bottle
    import fastapi
    import flask
    import quart
    import starlette.applications
    from django.core.handlers.asgi import ASGIHandler
    from django.core.handlers.wsgi import WSGIHandler

    for app in (flask.Flask("a"), bottle.Bottle(), WSGIHandler.__new__(WSGIHandler)):
        assert apps.kind_of(app) == "wsgi", app
    asgi = ASGIHandler.__new__(ASGIHandler)
    for app in (fastapi.FastAPI(), starlette.applications.Starlette(), quart.Quart("a"), asgi):
        assert apps.kind_of(app) == "asgi", app
    assert apps.kind_of(flask.request) is None
    assert apps.kind_of(flask.current_app) is None


# ---------------------------------------------------------------------- finding


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A module with all sorts of apps."""
    module = types.ModuleType("nodey_test_shop")
    module.application = plain_wsgi  # type: ignore[attr-defined]
    module.site = types.SimpleNamespace(app=plain_asgi)  # type: ignore[attr-defined]
    module.create_app = lambda: plain_wsgi  # type: ignore[attr-defined]
    module.number = 1  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "nodey_test_shop", module)
    return module


@pytest.mark.parametrize(
    "name, app",
    [
        (":application", plain_wsgi),
        ("", plain_wsgi),
        (":site.app", plain_asgi),
        (":create_app()", plain_wsgi),
        (":create_app", plain_wsgi),
    ],
)
def test_an_app_by_its_name(shop: Any, name: str, app: Any) -> None:
    assert apps.load(f"nodey_test_shop{name}") is app


@pytest.mark.parametrize(
    "spec, message",
    [
        ("nodey_test_shop:aplication", "shop has no 'aplication'; did you mean 'application'?"),
        ("nodey_test_shop:site.ap", "SimpleNamespace has no 'ap'; did you mean 'app'?"),
        ("nodey_no_shop.wsgi:app", "has no module nodey_no_shop in "),
        (":app", "an app is named as 'package.module:name', not ':app'"),
        ("nodey_test_shop:", "an app is named as"),
        ("nodey_test_shop:zzz", "nodey_test_shop has no 'zzz'; it has 'application'"),
        ("server.js", """an app is 'package.module:name': to run the file,  script = "server.js\""""),
        ("api.py", """write  app = "api:app"  or, to run the file,  script = "api.py\""""),
        ("./shop/wsgi.py:run", """write  app = "shop.wsgi:run"  or, to run the file,"""),
        ("nodey.fils:app", "has no module nodey.fils in "),
        ("nodey.fils:app", "; did you mean 'files'?"),
    ],
)
def test_an_app_that_is_not_there(shop: Any, spec: str, message: str) -> None:
    with pytest.raises(Error) as caught:
        apps.load(spec)
    assert message in str(caught.value) and caught.value.code == "failed_precondition"


def test_which_global_is_the_app() -> None:
    import flask

    first, second = flask.Flask("one"), flask.Flask("two")
    assert apps.find_app({"application": plain_wsgi, "app": 3}) is plain_wsgi
    assert apps.find_app({"app": plain_asgi, "application": plain_wsgi}) is plain_asgi
    assert apps.find_app({"shop": first, "also": first, "request": flask.request}) is first
    assert apps.find_app({"shop": first, "other": second}) is None
    assert apps.find_app({"make_app": lambda: plain_wsgi}) is plain_wsgi
    assert apps.find_app({"make_app": handler, "create_app": 3}) is None
    assert apps.find_app({"handler": handler, "two": plain_wsgi, "App": WsgiClass}) is None


# ------------------------------------------------------------------------ serve


def test_an_app_and_handlers(write: Write) -> None:
    worker = write(
        wsgi(text="the app")
        + """
import nodey

@nodey.get("/mine/:name")
def mine(req):
    return "mine " + req.params["name"]

@nodey.token("Double")
def double(args):
    return args * 2

nodey.serve(app)
print("served")
"""
    )
    ready = worker.ready()
    assert ready["routes"] == [{"path": "/mine/:name", "method": "get"}, {"path": "/*"}]
    assert ready["tokens"] == ["Double"]
    for id, (method, path, body) in enumerate(
        [
            ("GET", "/mine/x", "mine x"),
            ("POST", "/mine/x", "the app"),
            ("GET", "/other", "the app"),
            ("GET", "/", "the app"),
        ],
        1,
    ):
        worker.send({"id": id, "method": method, "path": path})
        assert worker.next()["body"] == body, path
    worker.send({"type": "ask", "id": 9, "token": "Double", "args": 4})
    assert worker.next() == {"type": "answer", "id": 9, "value": 8}
    assert worker.end() == 0
    assert worker.errors() == "served\n"


def test_a_wsgi_app_beside_async_handlers(write: Write) -> None:
    worker = write(
        """
import nodey

@nodey.get("/mine")
async def mine():
    return "mine"

def app(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/pieces":
        return iter([b"one", body])
    return [body or b"hi"]

nodey.serve(app)
"""
    )
    assert served(worker, "/mine") == "mine"
    worker.get("/", id=2)
    assert worker.next()["body"] == "hi"
    worker.send({"id": 3, "method": "POST", "path": "/pieces", "more": True})
    worker.send({"type": "end", "id": 3, "body": "two"})
    frames = worker.next_of(3)
    assert [frame.get("body") for frame in frames] == ["one", "two", None]
    assert worker.end() == 0


def test_an_app_of_the_first_kind_of_asgi(write: Write) -> None:
    worker = write(
        """
class App:
    def __init__(self, scope):
        self.path = scope["path"]

    async def __call__(self, receive, send):
        headers = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.path.encode()})

import nodey
nodey.serve(App)
"""
    )
    assert served(worker, "/a") == "/a"


@pytest.mark.parametrize(
    "call, message",
    [
        ("nodey.serve(print)", None),
        ("nodey.serve(3)", "int is a int, and no app: a WSGI app is called with"),
        ("nodey.serve(nodey)", "is a module, and no app"),
        ("nodey.serve(lambda req: 1)", "and no app"),
        ("nodey.serve('nodey_nothing:app')", "has no module nodey_nothing"),
        ("nodey.serve(app, root_path='shop')", "root_path begins with a slash"),
        ("nodey.serve(app, lifespan='maybe')", "lifespan is 'auto', 'on' or 'off'"),
        ("nodey.serve(app, threads=-1)", "threads must be 0 to 1000"),
    ],
)
def test_what_cannot_be_served(write: Write, call: str, message: Any) -> None:
    worker = write(f"{wsgi()}\nimport nodey\n{call}\n")
    if message is not None:
        assert message in refused(worker)["message"]


def test_threads_must_be_a_number(write: Write) -> None:
    worker = write(wsgi(), env={"NODEY_THREADS": "many"})
    assert "NODEY_THREADS is a number up to 1000, not 'many'" in refused(worker)["message"]


def test_one_app_is_enough(write: Write) -> None:
    worker = write(f"{wsgi()}\nimport nodey\nnodey.serve(app)\nnodey.serve(app)\n")
    worker.ready()
    worker.close_input()
    assert worker.process.wait(20) == 1
    assert "nodey serves already" in worker.errors()


def test_by_hand(write: Write) -> None:
    worker = write(f"{wsgi()}\nimport nodey\nnodey.serve(app)\n", mode="hand", runner=False)
    worker.get("/")
    assert worker.next()["body"] == "hi"
    assert worker.end() == 0


# ----------------------------------------------------------------------- --app


def test_an_app_by_its_name_on_the_command_line(run: Any, tmp_path: Path) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "wsgi.py").write_text("import sys\n" + wsgi("application"))
    worker = run(Path("--app"), arguments=["shop.wsgi:application"], cwd=tmp_path)
    assert served(worker) == "hi"
    assert worker.end() == 0


def test_the_name_of_the_app_may_be_left_out(run: Any, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(wsgi("application"))
    worker = run(Path("--app"), arguments=["main"], cwd=tmp_path)
    assert served(worker) == "hi"


@pytest.mark.parametrize(
    "spec, text, message",
    [
        ("main:app", "import nodey_needs_this\n", 'needs the package "nodey_needs_this"'),
        ("main:app", "def f(:\n", "SyntaxError"),
        ("main:app", "raise ValueError('no secret key')\n", "ValueError: no secret key"),
        ("main:apq", wsgi(), "main has no 'apq'; did you mean 'app'?"),
        ("other:app", "", "has no module other"),
        ("maim:app", wsgi(), "is installed; did you mean 'main'?"),
        ("main", "x = 1\n", "the module main has no app: name it, as in main:application"),
        ("main:x", "x = 1\n", "main:x is a int, and no app"),
    ],
)
def test_an_app_that_cannot_be_imported(
    run: Any, tmp_path: Path, spec: str, text: str, message: str
) -> None:
    (tmp_path / "main.py").write_text(text)
    frame = refused(run(Path("--app"), arguments=[spec], cwd=tmp_path))
    assert message in frame["message"]
    assert "run.py" not in frame.get("stack", "")


@pytest.mark.parametrize("spec", ["maim:app", "main:apq", "main", "main:x", "main.py"])
def test_the_wrong_name_of_an_app_is_one_sentence(run: Any, tmp_path: Path, spec: str) -> None:
    (tmp_path / "main.py").write_text("x = 1\n")
    worker = run(Path("--app"), arguments=[spec], cwd=tmp_path)
    assert "stack" not in refused(worker)
    assert worker.errors() == ""


def test_a_failure_of_the_module_keeps_its_traceback(run: Any, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import nodey\nraise nodey.Error('internal', 'no')\n")
    frame = refused(run(Path("--app"), arguments=["main"], cwd=tmp_path))
    assert 'main.py", line 2' in frame["stack"] and "apps.py" not in frame["stack"]


def test_the_runner_tells_how_it_is_used(run: Any) -> None:
    worker = run(Path("--app"), mode="hand")
    worker.close_input()
    assert worker.process.wait(20) == 2
    assert "--app MODULE:NAME" in worker.errors()


# ------------------------------------------------------------------ left behind


@pytest.mark.parametrize(
    "text",
    [
        wsgi("app"),
        wsgi("application"),
        "def create_app():\n" + "\n".join("    " + line for line in wsgi().splitlines())
        + "\n    return app\n",
        "from bottle import Bottle\nshop = Bottle()\nshop.route('/')(lambda: 'hi')\n",
    ],
)
def test_a_script_that_leaves_an_app_behind(write: Write, text: str) -> None:
    worker = write(text)
    assert served(worker) == "hi"
    assert worker.end() == 0


def test_by_hand_as_well(write: Write) -> None:
    worker = write(wsgi(), mode="hand")
    worker.get("/")
    assert worker.next()["body"] == "hi"
    assert worker.end() == 0


def test_what_is_declared_comes_first(write: Write) -> None:
    worker = write(f"{wsgi()}\nimport nodey\n@nodey.get('/')\ndef mine(): return 'mine'\n")
    assert worker.ready()["routes"] == [{"path": "/", "method": "get"}]


def test_a_script_that_speaks_for_itself_is_left_alone(write: Write) -> None:
    """It never imports the SDK, and its standard output is its own."""
    worker = write(
        """
        import json, sys
        from wsgiref.util import FileWrapper
        import werkzeug
        app = print
        print('{"type":"ready"}', flush=True)
        for line in sys.stdin:
            print(json.dumps({"id": json.loads(line)["id"], "body": "mine"}), flush=True)
        """,
        private_fd=False,
    )
    assert worker.ready() == {"type": "ready"}
    worker.get("/")
    assert worker.next() == {"id": 1, "body": "mine"}
    assert worker.end() == 0


def test_a_factory_that_fails_is_explained(write: Write) -> None:
    worker = write("def create_app():\n    raise KeyError('SECRET')\n")
    assert "the app's factory failed: KeyError: 'SECRET'" in refused(worker)["message"]


# ------------------------------------------------------------- servers replaced

ATTACHED = {
    "flask": """
from flask import Flask
app = Flask(__name__)
app.get("/")(lambda: "hi")
if __name__ == "__main__":
    app.run(host="0.0.0.0", port=1, debug=True)
print("after")
""",
    "quart": """
from quart import Quart
app = Quart(__name__)
@app.get("/")
async def index():
    return "hi"
app.run(port=1)
print("after")
""",
    "quart in asyncio.run": """
import asyncio
from quart import Quart
app = Quart(__name__)
@app.get("/")
async def index():
    return "hi"
asyncio.run(app.run_task(port=1))
print("after")
""",
    "bottle": """
from bottle import route, run
@route("/")
def index():
    return "hi"
run(host="localhost", port=1)
print("after")
""",
    "bottle's object": """
from bottle import Bottle
app = Bottle()
@app.route("/")
def index():
    return "hi"
app.run(port=1)
print("after")
""",
    "uvicorn.run": """
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("hi"))])
if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=1)
print("after")
""",
    "uvicorn.run by name": """
import uvicorn
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
print("imported")
app = FastAPI()
@app.get("/", response_class=PlainTextResponse)
def index():
    return "hi"
if __name__ == "__main__":
    uvicorn.run("worker:app", port=1, reload=True)
print("after")
""",
    "uvicorn.Server": """
import asyncio, uvicorn
async def app(scope, receive, send):
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hi"})
server = uvicorn.Server(uvicorn.Config(app, port=1, lifespan="off"))
asyncio.run(server.serve())
print("after")
""",
    "hypercorn": """
import asyncio
from hypercorn.asyncio import serve
from hypercorn.config import Config
async def app(scope, receive, send):
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hi"})
asyncio.run(serve(app, Config()))
print("after")
""",
    "waitress": wsgi() + "import waitress\nwaitress.serve(app, listen='*:1')\nprint('after')\n",
    "werkzeug": wsgi()
    + "from werkzeug.serving import run_simple\n"
    + "run_simple('localhost', 1, app, use_reloader=True)\nprint('after')\n",
    "wsgiref": wsgi()
    + "from wsgiref.simple_server import make_server\n"
    + "with make_server('', 1, app) as server:\n    server.serve_forever()\nprint('after')\n",
}


@pytest.mark.parametrize("name", list(ATTACHED))
def test_a_script_that_starts_a_server_is_served_instead(write: Write, name: str) -> None:
    """Port 1 needs rights that tests may not have; and what is printed is no frame."""
    worker = write(ATTACHED[name])
    assert served(worker) == "hi"
    assert worker.end() == 0
    lines = worker.errors().split("\n")
    assert lines.count("after") == 1 and lines.count("imported") <= 1, lines
    assert "nning on" not in worker.errors()


def test_waitress_says_how_many_threads(write: Write) -> None:
    text = wsgi() + "import waitress\nwaitress.serve(app, listen='*:1', threads=5)\n"
    assert write(text).ready()["concurrency"] == 5


def test_an_app_that_is_neither_says_so(write: Write, tmp_path: Path) -> None:
    """A stand-in: what it is called is all that counts."""
    (tmp_path / "aiohttp").mkdir()
    (tmp_path / "aiohttp" / "__init__.py").write_text("")
    (tmp_path / "aiohttp" / "web.py").write_text(
        "class Application: pass\ndef run_app(app): raise SystemExit('a port was opened')\n"
    )
    worker = write("from aiohttp import web\nweb.run_app(web.Application())\n")
    assert "is an app of aiohttp, which is neither WSGI nor ASGI" in refused(worker)["message"]


def test_a_server_in_a_loop_of_the_script_says_what_to_do(write: Write) -> None:
    worker = write(
        """
        import asyncio, uvicorn
        async def app(scope, receive, send): ...
        async def main():
            await uvicorn.Server(uvicorn.Config(app, port=1)).serve()
        asyncio.run(main())
        """
    )
    assert "call nodey.serve(app) at the end of the script" in refused(worker)["message"]


def test_processes_of_the_script_open_what_they_like(write: Write) -> None:
    """A server in a process that the script starts is none of our business."""
    worker = write(
        """
        import multiprocessing, sys
        from wsgiref.simple_server import make_server

        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [text.encode()]

        def other(queue):
            queue.put(type(make_server("127.0.0.1", 0, app)).__name__)

        if __name__ == "__main__":
            queue = multiprocessing.get_context("fork").Queue()
            process = multiprocessing.get_context("fork").Process(target=other, args=(queue,))
            process.start()
            text = queue.get(timeout=20)
            process.join()
            make_server("", 1, app).serve_forever()
        """
    )
    assert served(worker) == "WSGIServer"


def test_attaching_costs_nothing_when_nothing_is_attached(write: Write) -> None:
    worker = write(
        """
        import sys, nodey

        @nodey.get("/")
        def loaded():
            return sorted(set(sys.modules) & {"nodey.apps", "nodey.wsgi", "inspect", "asyncio"})
        """
    )
    worker.ready()
    worker.get("/")
    assert worker.next()["json"] == []
