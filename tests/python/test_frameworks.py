"""What the frameworks' own servers do besides, and what the log says of their failures."""

from __future__ import annotations

from typing import Any, Callable, List

import pytest
from process import Worker

Write = Callable[..., Worker]
DEV = {"NODEY_DEV": "1"}

DJANGO = """
import django.conf, django.urls, nodey
from django.http import HttpResponse

def boom(request):
    return int("boom")

def hello(request):
    return HttpResponse("hello")

django.conf.settings.configure(
    DEBUG={debug},
    SECRET_KEY="secret",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    STATIC_URL={url!r},
    INSTALLED_APPS=[{staticfiles}"django.contrib.admin", "django.contrib.auth",
                    "django.contrib.contenttypes", "django.contrib.messages"],
)
urlpatterns = [django.urls.path("boom", boom), django.urls.path("hello", hello)]
from django.core.{kind} import get_{kind}_application as make
application = make()
"""
CSS = "/static/admin/css/base.css"


def django(
    write: Write,
    kind: str,
    debug: bool = True,
    url: Any = "/static/",
    staticfiles: bool = True,
    **env: str,
) -> Worker:
    apps = '"django.contrib.staticfiles", ' if staticfiles else ""
    worker = write(DJANGO.format(kind=kind, debug=debug, url=url, staticfiles=apps), env=env)
    worker.ready()
    return worker


def told(worker: Worker, *paths: str, **members: Any) -> List[str]:
    """What the log says of requests, once the worker has ended."""
    for path in paths:
        worker.get(path, **members)
        worker.answer()
    logs = worker.end_with_logs()
    return [frame["message"] for frame in worker.failures] + logs


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_under_dev_the_static_files_of_django_are_served(write: Write, kind: str) -> None:
    worker = django(write, kind, **DEV)
    worker.get(CSS)
    answer = worker.answer()
    assert answer.headers["content-type"].startswith("text/css") and b"DJANGO" in answer.body
    worker.get("/hello")
    assert worker.answer().body == b"hello"
    worker.get("/static/nothing.css")
    assert worker.answer().head["status"] == 404
    assert worker.end() == 0


@pytest.mark.parametrize(
    "options",
    [{}, {"debug": False, **DEV}, {"staticfiles": False, **DEV}, {"url": None, **DEV}],
    ids=str,
)
def test_elsewhere_they_are_not(write: Write, options: Any) -> None:
    worker = django(write, "wsgi", **options)
    worker.get(CSS)
    assert worker.answer().head["status"] == 404
    worker.get("/hello")
    assert worker.answer().body == b"hello"


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
@pytest.mark.parametrize("debug", [True, False])
def test_a_failure_in_django_is_logged_once(write: Write, kind: str, debug: bool) -> None:
    worker = django(write, kind, debug)
    (record,) = told(worker, "/boom")
    lines = record.splitlines()
    assert lines[0] == "Internal Server Error: /boom"
    assert lines[2].endswith("in boom") and lines[3] == '    return int("boom")'
    assert "site-packages" not in record and lines[-1].startswith("ValueError")
    assert worker.errors() == ""


def test_django_that_is_told_how_to_log_does_so(write: Write) -> None:
    logging = """
LOGGING={"version": 1, "formatters": {"own": {"format": "own: %(message)s"}},
  "handlers": {"own": {"class": "logging.StreamHandler", "formatter": "own"}},
  "loggers": {"django": {"handlers": ["own"], "propagate": False}}},
ROOT_URLCONF"""
    text = DJANGO.format(kind="wsgi", debug=True, url="/", staticfiles="")
    worker = write(text.replace("ROOT_URLCONF", logging))
    worker.ready()
    assert told(worker, "/boom") == []
    assert "own: Internal Server Error: /boom" in worker.errors()


FAILING = {
    "flask": """
        import flask
        app = flask.Flask(__name__)
        app.testing = True
        @app.get("/boom")
        def boom(): return inner()
        """,
    "flask's own log": """
        import flask
        app = flask.Flask(__name__)
        @app.get("/boom")
        def boom(): return inner()
        """,
    "fastapi": """
        import fastapi
        app = fastapi.FastAPI()
        @app.get("/boom")
        async def boom(): return inner()
        """,
    "middleware": """
        import fastapi
        app = fastapi.FastAPI()
        @app.middleware("http")
        async def outer(request, call_next): return await call_next(request)
        @app.get("/boom")
        def boom(): return inner()
        """,
    "nodey": """
        import nodey
        @nodey.get("/boom")
        def boom(): return inner()
        """,
}
INNER = """
        def inner():
            import statistics
            return statistics.mean([])
"""


@pytest.mark.parametrize("name", list(FAILING))
def test_the_log_has_the_frames_of_the_user_and_what_they_have_called(
    write: Write, name: str
) -> None:
    worker = write(FAILING[name] + INNER)
    worker.ready()
    (record,) = told(worker, "/boom")
    places = [line.split(", ") for line in record.splitlines() if line.startswith("  File ")]
    names = [place[-1][3:] for place in places]
    called = ["boom", "inner", "mean"]
    assert names == (["outer", *called] if name == "middleware" else called)
    said = "Exception on /boom" if name == "flask's own log" else "GET /boom failed in "
    assert record.startswith(said) and "StatisticsError" in record


def test_the_page_under_dev_has_all_of_them(write: Write) -> None:
    worker = write(FAILING["flask"] + INNER, env=DEV)
    worker.ready()
    worker.get("/boom")
    frame = worker.answer().last
    assert "in wsgi_app" in frame["stack"] and "in inner" in frame["stack"]


def test_a_failure_within_a_framework_is_shown_whole(write: Write) -> None:
    worker = write(
        """
        import flask
        app = flask.Flask(__name__)
        app.before_request_funcs[None] = [3]
        """
    )
    worker.ready()
    (record,) = told(worker, "/boom")
    assert "in full_dispatch_request" in record


def test_a_websocket_that_comes_to_wsgi_is_told_of_once(write: Write) -> None:
    worker = write(FAILING["flask"])
    worker.ready()
    headers = {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-version": "13"}
    assert told(worker, "/live", "/live", headers=headers) == [
        "a WebSocket was asked for at /live, and WSGI has none: use an ASGI app, or @nodey.ws in a "
        "script"
    ]
