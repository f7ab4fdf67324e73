"""Mistakes in declarations and in calls, and the words for them."""

from __future__ import annotations

import functools
import traceback
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import nodey
import pytest
from nodey.codec import encode
from nodey.handler import Handler
from nodey.registry import Registry


def refusal(path: object, function: object = lambda: None) -> str:
    with pytest.raises((TypeError, ValueError)) as caught:
        Registry().add_route("GET", path, function, "")  # type: ignore[arg-type]
    return str(caught.value)


@pytest.mark.parametrize(
    "path, words",
    [
        ("users", 'a path begins with a slash, as in "/users"'),
        ("/users/<int:id>", 'a parameter is written ":id", not "<int:id>"'),
        ("/users/<id>", 'a parameter is written ":id"'),
        ("/users/{id:path}", 'a parameter is written ":id"'),
        ("/users?id=1", "a path has no query"),
        (7, "not int"),
    ],
)
def test_a_path_that_is_none(path, words) -> None:
    assert words in refusal(path)


def test_decorators_without_parentheses() -> None:
    with pytest.raises(TypeError, match=r'write @nodey.get\("/path"\)'):
        nodey.get(lambda: None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r'write @nodey.token\("Name"\)'):
        nodey.token(lambda: None)  # type: ignore[arg-type]


class Api:
    def one(self, req: object) -> None: ...

    def two(self, req: object, more: object) -> None: ...


def wrapper_of(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def injected(function):
    @functools.wraps(function)
    def wrapper(req):
        return function(req, "more")

    return wrapper


def two(req, more): ...


def named(req, *, more): ...


@pytest.mark.parametrize(
    "function, words",
    [
        ("text", "is not callable: 'text'"),
        (two, "is called with one argument, req, but needs others: two(req, more)"),
        (named, "named(req, *, more)"),
        (Api().two, "two(req, more)"),
        (Api.one, "one(self, req)"),
        (wrapper_of(two), "two(req, more)"),
        (staticmethod(two), "is a staticmethod"),
    ],
)
def test_a_handler_that_cannot_be_called(function, words) -> None:
    assert words in refusal("/x", function)


def test_a_handler_that_expects_its_parameter_is_told_where_it_is() -> None:
    def user(id): ...

    assert 'write def user(req), and req.params["id"] in it' in refusal("/users/:id", user)


@pytest.mark.parametrize(
    "function",
    [
        lambda: None,
        lambda req: None,
        lambda req, more=1: None,
        lambda *args: None,
        lambda req, *, more=1: None,
        Api().one,
        functools.partial(two, more=1),
        functools.lru_cache(maxsize=1)(lambda: None),
        injected(two),
        wrapper_of(lambda: None),
        print,
    ],
)
def test_handlers_that_can_be_called(function) -> None:
    Handler(function, "GET /x").call(1)


def test_the_name_of_a_decorator_misspelt() -> None:
    with pytest.raises(AttributeError) as caught:
        nodey.gett
    assert str(caught.value) == "nodey has no 'gett'; did you mean 'get'?"
    assert not hasattr(nodey, "unheard_of")


@pytest.mark.parametrize(
    "name, words",
    [
        ("abort", 'raise nodey.HTTPError(404, "why")'),
        ("HTTPException", 'raise nodey.HTTPError(404, "why")'),
        ("BadRequest", 'raise nodey.HTTPError(400, "why")'),
        ("jsonify", "return the dict or list itself"),
        ("send_file", "write nodey.file(path)"),
        ("Flask", 'no app object is needed: write @nodey.get("/path") above a function'),
    ],
)
def test_other_frameworks_names_are_understood(name, words) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(nodey, name)
    assert str(caught.value) == f"nodey has no {name!r}: {words}"
    printed = "".join(traceback.format_exception_only(type(caught.value), caught.value))
    assert printed == f"AttributeError: nodey has no {name!r}: {words}\n"


def test_the_request_is_no_global() -> None:
    from nodey import request  # The module, and not what was meant.

    with pytest.raises(AttributeError) as caught:
        request.args
    assert str(caught.value) == (
        "nodey has no 'request': a handler's first argument is the request: def hello(req)"
    )


def test_habits_are_of_names_that_are_not_there() -> None:
    from nodey.habits import _HABITS
    from nodey.request import Request
    from nodey.testing import Result

    modules = {"request", "run"}
    assert not [name for name in _HABITS["nodey"].keys() - modules if hasattr(nodey, name)]
    assert not [name for name in _HABITS["the request"] if hasattr(Request({}, {}), name)]
    assert not [name for name in _HABITS["the result"] if hasattr(Result({}, "/"), name)]


def test_an_option_that_a_route_does_not_have() -> None:
    with pytest.raises(TypeError) as caught:
        nodey.get("/x", cache="60s")  # type: ignore[arg-type]
    assert str(caught.value) == (
        "@nodey.get('/x') has no option 'cache': caching is configured: "
        "[[routes]] with path, to and cache in nodey.toml"
    )
    with pytest.raises(TypeError, match="there is description, stream; did you mean 'description'"):
        nodey.post("/x", descripton="")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r'@nodey.route\(path, methods=\["GET", "POST"\]\)'):
        nodey.get("/x", methods=["GET"])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="there is methods, description, stream$"):
        nodey.route("/x", strict_slashes=False)  # type: ignore[arg-type]


def test_a_code_that_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="is no code such as 'not_found'"):
        nodey.Error("no such user")
    with pytest.raises(ValueError, match="nodey.Response"):
        nodey.HTTPError(302)
    with pytest.raises(TypeError, match="is a number"):
        nodey.HTTPError("not found")  # type: ignore[arg-type]


def test_ask_without_a_token() -> None:
    with pytest.raises(TypeError, match=r'as in ask\("Fib"\)'):
        nodey.ask({"num": 1})  # type: ignore[arg-type]


@dataclass
class Point:
    x: int


class Plain:
    def __init__(self) -> None:
        self.x = 1


async def later() -> None: ...


@pytest.mark.parametrize(
    "value, words",
    [
        ({"a": [1, {"when": datetime.now()}]}, "at ['a'][1]['when'], datetime has no JSON form"),
        (datetime.now(), "use .isoformat()"),
        (Point(1), "Point has no JSON form: use dataclasses.asdict(...)"),
        (Plain(), "Plain has no JSON form: make a dict of it"),
        ([Decimal("1.5")], "at [0], Decimal has no JSON form: use str(...) or float(...)"),
        ({"path": Path("/")}, "use str(...)"),
        ({"data": b"x"}, "base64"),
        ({"keys": {}.keys()}, "dict_keys has no JSON form: use list(...)"),
        ({"ids": {1}}, "use sorted(...) or list(...)"),
        ({"f": len}, "call it, or leave it out"),
        ({"r": nodey.Response()}, "return the Response itself"),
        (range(3), "use list(...)"),
    ],
)
def test_what_is_no_json_is_named_with_its_place_and_a_way_out(value, words) -> None:
    with pytest.raises(TypeError) as caught:
        encode(value, "the result of user (GET /u)")
    assert str(caught.value).startswith("the result of user (GET /u) is not JSON: ")
    assert words in str(caught.value)


def test_a_coroutine_in_a_result_needs_an_await() -> None:
    coroutine = later()
    with pytest.raises(TypeError, match="`await` is missing"):
        encode({"a": coroutine}, "it")
    coroutine.close()


def test_declaring_too_late_is_an_error(write) -> None:
    worker = write(
        """
        import nodey
        @nodey.get("/")
        def root():
            nodey.get("/late")(lambda: 1)
        """
    )
    worker.ready()
    worker.get("/")
    assert "before nodey.start()" in worker.next()["message"]


def test_an_ask_that_is_not_awaited_says_so(write) -> None:
    worker = write(
        """
        import nodey
        @nodey.get("/")
        def root(): return nodey.ask_async("Far")
        """
    )
    worker.ready()
    worker.get("/")
    assert "is awaitable; declare the handler with `async def`" in worker.next()["message"]
    assert worker.end() == 0
    assert "never awaited" not in worker.errors()
