"""Requests and routes, as handlers see them."""

from __future__ import annotations

import sys
import traceback

import pytest
from nodey import Error, HTTPError
from nodey.habits import explain_misuse
from nodey.handler import Handler
from nodey.request import Request, parse_query
from nodey.router import Router
from nodey.testing import Client


def request(**members):
    return Request({"id": 1, "method": "GET", "path": "/", **members}, {})


def test_query_parameters() -> None:
    query = parse_query("a=1&b=2&a=3&a=4")
    assert query == {"a": "1", "b": "2"}
    assert query.getlist("a") == ["1", "3", "4"] and query.getlist("b") == ["2"]
    assert query.getlist("c") == [] and query.get("c") is None
    assert parse_query("") == {}
    assert parse_query("a&&b=") == {"a": "", "b": ""}
    assert parse_query("q=a+b%20c&%C3%A9=%ff") == {"q": "a b c", "é": "\ufffd"}
    assert request(query="a=1&a=2").query_all == {"a": ["1", "2"]}


def test_a_query_parameter_that_is_not_there_is_the_clients_mistake() -> None:
    with pytest.raises(KeyError) as caught:
        request(query="a=1").query["b"]
    assert isinstance(caught.value, Error)
    assert caught.value.code == "invalid_argument"
    assert caught.value.message == "the query has no 'b'"


def test_headers_in_any_case() -> None:
    headers = request(headers={"x-a": "1", "accept": ["a", "b"], "cookie": ["a=1", "b=2"]}).headers
    assert headers["X-A"] == "1" and "x-A" in headers and "y" not in headers
    assert headers["Accept"] == "a, b" and headers.getlist("ACCEPT") == ["a", "b"]
    assert headers.getlist("none") == [] and headers.get("none") is None
    assert headers["cookie"] == "a=1; b=2"
    assert list(headers) == ["x-a", "accept", "cookie"] and len(headers) == 3


def test_cookies() -> None:
    assert request(headers={"cookie": 'a=1; b="two"; a=3; odd; c=x=y'}).cookies == {
        "a": "1",
        "b": "two",
        "c": "x=y",
    }
    assert request().cookies == {}


def test_bodies() -> None:
    assert request().body == b"" and request().text == ""
    assert request(body="é").body == "é".encode() and request(body="é").text == "é"
    assert request(body64="/w==").body == b"\xff" and request(body64="/w==").text == "\ufffd"
    assert request(json=[1, "é"]).body == '[1,"é"]'.encode()
    assert request(body=' {"a":1}\n').json() == {"a": 1}
    assert request(json=None).json() is None
    for bad in (request(), request(body="{"), request(body="NaN"), request(body="1 2")):
        with pytest.raises(Error) as caught:
            bad.json()
        assert caught.value.code == "invalid_argument"


def router(*patterns: str) -> Router:
    made = Router()
    for pattern in patterns:
        method, path = pattern.split(" ")
        made.add(method.replace("ANY", ""), path, Handler(lambda: None, pattern))
    return made


FOUND = [
    ("GET /", "GET /", {}),
    ("GET /users/me", "GET /users/me", {}),
    ("GET /users/42", "GET /users/:id", {"id": "42"}),
    ("GET /users/a%2Fb%20c", "GET /users/:id", {"id": "a/b c"}),
    ("POST /users/me", "POST /users/:id", {"id": "me"}),
    ("HEAD /users/me", "GET /users/me", {}),
    ("HEAD /users/1/posts", "HEAD /users/:id/posts", {"id": "1"}),
    ("GET /files", "GET /files/*", {"*": ""}),
    ("GET /files/", "GET /files/*", {"*": ""}),
    ("GET /files/a/b%20c", "GET /files/*", {"*": "a/b c"}),
    ("GET /named/x/y", "GET /named/*rest", {"rest": "x/y"}),
    ("GET /caf%C3%A9", "GET /café", {}),
    ("GET /%75sers/me", "GET /users/me", {}),
    ("PURGE /any/1", "ANY /any/:x", {"x": "1"}),
    ("GET /any/1", "GET /any/:y", {"y": "1"}),
    ("OPTIONS *", "OPTIONS *", {}),
]
PATTERNS = [
    "GET /files/*",
    "GET /users/:id",
    "POST /users/:id",
    "GET /users/me",
    "GET /",
    "GET /users/:id/posts",
    "HEAD /users/:id/posts",
    "GET /named/*rest",
    "GET /café",
    "GET /any/:y",
    "ANY /any/:x",
    "OPTIONS *",
]


@pytest.mark.parametrize("line, pattern, params", FOUND)
def test_the_most_specific_route_wins(line, pattern, params) -> None:
    method, path = line.split(" ")
    handler, found = router(*PATTERNS).find(method, path)
    assert f"({pattern})" in handler.name
    assert found == params


@pytest.mark.parametrize("path", ["/none", "/users", "/users/", "/users/1/2", "//", "*x", ""])
def test_a_path_that_is_nowhere(path) -> None:
    with pytest.raises(Error) as caught:
        router("GET /users/:id", "GET /").find("GET", path)
    assert caught.value.code == "not_found"


def test_a_wrong_method_names_the_right_ones() -> None:
    with pytest.raises(HTTPError) as caught:
        router("GET /a", "POST /a", "PUT /:x").find("DELETE", "/a")
    assert caught.value.status == 405
    assert caught.value.headers == {"allow": "GET, HEAD, POST, PUT"}


@pytest.mark.parametrize("path", ["users", "/a/*/b", "/:"])
def test_a_malformed_route_is_refused(path) -> None:
    with pytest.raises(ValueError):
        router(f"GET {path}")


def test_a_route_that_is_taken_is_refused() -> None:
    with pytest.raises(ValueError, match="already served"):
        router("GET /a", "GET /a")



def test_params_of_the_supervisor_and_of_the_worker(write) -> None:
    worker = write(
        """
        import nodey
        @nodey.get("/users/:id")
        def user(req): return req.params
        """
    )
    worker.ready()
    worker.get("/users/a%20b")
    assert worker.next()["json"] == {"id": "a b"}
    worker.get("/users/1", params={"*": "users/1"})
    assert worker.next()["json"] == {"*": "users/1", "id": "1"}
    worker.send({"id": 2, "method": "POST", "path": "/users/1"})
    frame = worker.next()
    assert frame["status"] == 405 and frame["headers"]["allow"] == "GET, HEAD"
    assert worker.end() == 0


def test_a_request_for_a_token_gives_it_the_body_or_the_query(write) -> None:
    worker = write(
        """
        import nodey
        @nodey.token("Echo")
        def echo(args): return {"args": args}
        """
    )
    worker.ready()
    post = {"id": 1, "method": "POST", "path": "/x", "token": "Echo"}
    worker.send({**post, "body": '{"a":1}'})
    assert worker.next() == {"id": 1, "json": {"args": {"a": 1}}}
    worker.send({**post, "json": [1]})
    assert worker.next() == {"id": 1, "json": {"args": [1]}}
    worker.get("/x?a=1", token="Echo")
    assert worker.next() == {"id": 1, "json": {"args": {"a": "1"}}}
    worker.send({**post, "body": "{"})
    assert worker.next()["code"] == "invalid_argument"
    worker.send({**post, "token": "Nope"})
    assert worker.next()["code"] == "unimplemented"
    assert worker.end() == 0


def test_handlers_with_and_without_an_argument(write) -> None:
    worker = write(
        """
        import functools, nodey
        def plain(function):
            @functools.wraps(function)
            def wrapper(*args): return function(*args)
            return wrapper
        class Api:
            def none(self): return "none"
            def one(self, req): return req.path
            def __call__(self, req): return "call"
        api = Api()
        nodey.get("/none")(api.none)
        nodey.get("/one")(api.one)
        nodey.get("/call")(api)
        nodey.get("/partial")(functools.partial(lambda a, req: a, "partial"))
        @nodey.get("/wrapped")
        @plain
        def wrapped(): return "wrapped"
        """
    )
    worker.ready()
    for name in ("none", "call", "partial", "wrapped"):
        worker.get(f"/{name}")
        assert worker.next()["body"] == name
    worker.get("/one")
    assert worker.next()["body"] == "/one"


@pytest.mark.parametrize(
    "name, words",
    [
        ("args", "write req.query"),
        ("get_json", "write req.json()"),
        ("data", "write req.body, or req.text"),
        ("values", "write req.query, or req.form() for the fields of a form"),
        ("url_root", 'write f"{req.scheme}://{req.host}"'),
        ("remote_addr", "write req.ip"),
    ],
)
def test_other_frameworks_attributes_are_understood(tmp_path, name, words) -> None:
    said = failure(tmp_path, f"def root(req): return req.{name}")
    assert said == f"AttributeError: the request has no {name!r}: {words}\n"


def failure(folder, handler: str) -> str:
    """The last line of the traceback of a handler."""
    (folder / "w.py").write_text(f"import nodey\n@nodey.get('/')\n{handler}\n")
    with pytest.raises(Exception) as caught:
        Client(folder / "w.py").get("/")
    return traceback.format_exception_only(type(caught.value), caught.value)[0]


def test_an_attribute_misspelt_is_guessed() -> None:
    exc = AttributeError("'Request' object has no attribute 'coookies'")
    try:
        raise exc
    except AttributeError:
        explain_misuse(exc)
    assert str(exc) == "the request has no 'coookies'; did you mean 'cookies'?"


def test_also_one_that_a_hook_has_set(tmp_path) -> None:
    handler = "def root(req):\n    req.customer = 1\n    return req.custmer"
    guess = "; did you mean 'customer'?" if sys.version_info >= (3, 10) else ""
    assert failure(tmp_path, handler) == f"AttributeError: the request has no 'custmer'{guess}\n"


TAKEN_FOR_VALUES = """
import nodey
@nodey.{method}("/item")
def item(req): return req.json["a"]
@nodey.{method}("/get")
def get(req): return req.json.get("a")
@nodey.{method}("/in")
def into(req): return "a" in req.json
@nodey.{method}("/form")
def form(request):
    return {{
        "name": request.form["name"],
    }}
@nodey.{method}("/held")
def held(req):
    data = req.json
    return data["a"]
@nodey.{method}("/other")
def other(req):
    return req.json(), str.upper["a"], req.json
"""


@pytest.mark.parametrize(
    "path, words",
    [
        ("/item", "req.json is a method, call it: req.json()"),
        ("/get", "req.json is a method, call it: req.json()"),
        ("/in", "req.json is a method, call it: req.json()"),
        ("/form", "request.form is a method, call it: request.form()"),
        ("/held", "data holds the method req.json, call it: data = req.json()"),
    ],
)
def test_a_method_taken_for_a_value_says_so(tmp_path, path, words) -> None:
    (tmp_path / "w.py").write_text(TAKEN_FOR_VALUES.format(method="post"))
    with pytest.raises((TypeError, AttributeError)) as caught:
        Client(tmp_path / "w.py").post(path, json={"a": 1})
    assert str(caught.value).endswith(f": {words}")
    assert "'method'" in str(caught.value) or "'function'" in str(caught.value)
    detail = Client(tmp_path / "w.py", raise_errors=False).post(path, json={}).json()["detail"]
    assert detail.endswith(f": {words}")


def test_another_methods_mistake_is_left_as_it_is(tmp_path) -> None:
    (tmp_path / "w.py").write_text(TAKEN_FOR_VALUES.format(method="post"))
    with pytest.raises(TypeError) as caught:
        Client(tmp_path / "w.py").post("/other", json={"a": 1})
    assert str(caught.value) == "'method_descriptor' object is not subscriptable"
