"""nodey.testing: the client that users test their workers with."""

from __future__ import annotations

import asyncio
import sys
import types
from pathlib import Path

import nodey
import pytest
from nodey.testing import Client
from process import ROOT, WORKERS

WORKER = """
    import asyncio, nodey
    events = []
    @nodey.on_start
    {a}def begin(): events.append("start")
    @nodey.on_stop
    {a}def end(): events.append("stop")
    @nodey.before
    {a}def mark(req): req.seen = "before"
    @nodey.get("/items/:id")
    {a}def item(req): return [req.params["id"], req.query.getlist("q"), req.seen, req.ip, req.url]
    @nodey.post("/json")
    {a}def json(req): return 201, req.json(), {{"x-a": ["1", "2"]}}
    @nodey.post("/form")
    {a}def form(req):
        files = {{f.name: [f.filename, f.content_type, f.data.hex()] for f in req.files.values()}}
        return [dict(req.form()), req.form().getlist("b"), files]
    @nodey.post("/body")
    {a}def body(req): return req.body
    @nodey.get("/price")
    {a}def price(req): return {ask}("Price", {{"sku": 1}})
    @nodey.get("/both")
    {a}def both(req): return {ask}("Own", (1, 2))
    @nodey.token("Own")
    {a}def own(args): return {{"own": args}}
    @nodey.token("Fails")
    {a}def fails(args): raise nodey.Error("aborted", "no", data={{"why": 1}})
    @nodey.get("/boom")
    {a}def boom(): raise ZeroDivisionError("boom")
    @nodey.get("/missing")
    {a}def missing(): raise nodey.HTTPError(404, "no such item", {{"x-b": "1"}})
    @nodey.get("/login")
    {a}def login(): return nodey.Response("in").set_cookie("user", "Ann; Lee")
    @nodey.get("/logout")
    {a}def logout(): return nodey.Response("out").delete_cookie("user")
    @nodey.get("/who")
    {a}def who(req): return req.cookies
    if __name__ == "__main__":
        raise SystemExit("run")
    nodey.start()
"""


@pytest.fixture(params=["def", "async def"])
def script(request, tmp_path) -> Path:
    import textwrap

    loop = request.param != "def"
    ask = "await nodey.ask_async" if loop else "nodey.ask"
    file = tmp_path / "shop.py"
    file.write_text(textwrap.dedent(WORKER.format(a="async " if loop else "", ask=ask)))
    return file


@pytest.fixture
def client(script):
    with Client(script) as client:
        yield client


def test_requests(client) -> None:
    result = client.get("/items/a%20b?q=1&q=ü")
    assert result.status == 200 and result.ok
    url = "http://localhost/items/a%20b?q=1&q=%C3%BC"
    assert result.json() == ["a b", ["1", "ü"], "before", "127.0.0.1", url]
    assert result.headers["Content-Type"] == "application/json"
    result = client.post("/json", json={"a": "é"})
    assert (result.status, result.json()) == (201, {"a": "é"})
    assert result.headers.getlist("x-a") == ["1", "2"]
    assert client.post("/body", data=b"\xff\x00").body == b"\xff\x00"
    assert client.post("/body", data="text").text == "text"


def test_forms_and_files(client) -> None:
    given = {"a": "1 é", "b": ["2", "3"]}
    assert client.post("/form", data=given).json() == [{"a": "1 é", "b": "2"}, ["2", "3"], {}]
    files = {"f": b"\r\n--x\xff", "g": ('n"\u00e9.txt', "text"), "h": ("p", b"", "image/png")}
    assert client.post("/form", data=given, files=files).json() == [
        {"a": "1 é", "b": "2"},
        ["2", "3"],
        {
            "f": ["f", "application/octet-stream", "0d0a2d2d78ff"],
            "g": ['n"\u00e9.txt', "text/plain", "74657874"],
            "h": ["p", "image/png", ""],
        },
    ]


def test_errors_as_clients_get_them(client) -> None:
    result = client.get("/missing")
    assert (result.status, result.headers["x-b"]) == (404, "1") and not result.ok
    assert result.json()["detail"] == "no such item"
    result = client.get("/nowhere")
    assert result.status == 404 and result.headers["content-type"] == "application/problem+json"
    assert result.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "nothing is served at /nowhere",
        "instance": "/nowhere",
    }
    assert client.delete("/json").status == 405
    assert client.post("/json", data="{").status == 400


def test_what_a_handler_raises_is_raised_or_is_500(client, script, capfd) -> None:
    with pytest.raises(ZeroDivisionError, match="boom") as caught:
        client.get("/boom")
    assert caught.traceback[-1].path == script
    quiet = Client(script, raise_errors=False)
    result = quiet.get("/boom")
    assert result.status == 500
    assert result.json()["detail"] == "ZeroDivisionError: boom"
    assert client.get("/who").status == 200


def test_asks(client) -> None:
    asked = []
    client.tokens = {"Price": lambda args: asked.append(args) or 9.5}
    assert client.get("/price").json() == 9.5 and asked == [{"sku": 1}]

    async def price(args):
        return args["sku"]

    client.tokens["Price"] = price
    assert client.get("/price").json() == 1
    assert client.get("/both").json() == {"own": [1, 2]}
    assert client.ask("Own", (1,)) == {"own": [1]}
    with pytest.raises(nodey.Error) as caught:
        client.ask("Fails")
    assert (caught.value.code, caught.value.data) == ("aborted", {"why": 1})
    del client.tokens["Price"]
    detail = client.get("/price").json()["detail"]
    assert "nobody answers 'Price'; in a test, client.tokens['Price'] = " in detail
    with pytest.raises(TypeError, match="set has no JSON form"):
        client.ask("Own", {1})


def test_cookies_are_kept(client) -> None:
    assert client.get("/login").cookies == {"user": "Ann; Lee"}
    assert client.cookies == {"user": "Ann; Lee"} and client.get("/who").json() == client.cookies
    client.get("/logout")
    assert client.cookies == {} and client.get("/who").json() == {}


def test_start_and_stop(script) -> None:
    with Client(script) as client:
        events = next(iter(client._engine.registry.tokens.values())).function.__globals__["events"]
        assert events == ["start"]
    assert events == ["start", "stop"]


def test_an_async_test_may_use_a_client(script) -> None:
    async def test():
        with Client(script) as client:
            return client.get("/items/1").json()

    assert asyncio.run(test())[0] == "1"


def test_clients_of_several_scripts_do_not_meet(tmp_path) -> None:
    (tmp_path / "shared.py").write_text("import nodey\nnodey.get('/shared')(lambda: 'shared')\n")
    clients = []
    for name in "ab":
        file = tmp_path / f"{name}.py"
        file.write_text(f"import nodey, shared\nnodey.get('/')(lambda: '{name}')\n")
        clients.append(Client(file))
    assert [client.get("/").text for client in clients] == ["a", "b"]
    assert [client.get("/shared").text for client in clients] == ["shared", "shared"]


def test_a_module_and_what_it_imports(tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mod_more.py").write_text("import nodey\nnodey.get('/more')(lambda: 1)\n")
    (tmp_path / "mod_a.py").write_text(
        "import nodey\nimport mod_more\nNAME = 'a'\n@nodey.get('/')\ndef root(): return NAME\n"
    )
    (tmp_path / "mod_b.py").write_text("import nodey\n@nodey.get('/')\ndef root(): return 'b'\n")
    import mod_a
    import mod_b

    client = Client(mod_a)
    monkeypatch.setattr(mod_a, "NAME", "patched")
    assert client.get("/").text == "patched" and client.get("/more").json() == 1
    other = Client(mod_b)
    assert other.get("/").text == "b" and other.get("/more").status == 404
    assert Client().get("/").text == "b"  # The last declaration wins.
    with pytest.raises(ValueError, match="the module empty declares no handler"):
        Client(types.ModuleType("empty"))
    for name in ("mod_a", "mod_b", "mod_more"):
        del sys.modules[name]


def test_a_script_that_asks_while_it_is_loaded(tmp_path) -> None:
    (tmp_path / "w.py").write_text(
        "import nodey\nprice = nodey.ask('Price')\nnodey.get('/')(lambda: price)\n"
    )
    assert Client(tmp_path / "w.py", tokens={"Price": lambda: 7}).get("/").json() == 7
    with pytest.raises(nodey.Error, match="nobody answers 'Price'"):
        Client(tmp_path / "w.py")


def test_a_script_that_leaves_and_one_that_is_not_there(tmp_path) -> None:
    (tmp_path / "w.py").write_text("raise SystemExit('no')\n")
    with pytest.raises(RuntimeError, match="w.py has left by sys.exit"):
        Client(tmp_path / "w.py")
    with pytest.raises(FileNotFoundError):
        Client(tmp_path / "nothing.py")


def test_the_workers_of_this_repository() -> None:
    client = Client(ROOT / "workers/fib.py")
    assert client.get("/fib?num=10").json() == {"fib": 55}
    assert client.ask("Fib", {"num": 7}) == 13
    assert client.get("/fib?num=99").status == 400
    echo = Client(WORKERS / "echo.py")
    assert echo.request("PUT", "/a", data="x", headers={"X-Test": "1"}).json()["header"] == "1"


def test_a_path_needs_its_slash() -> None:
    with pytest.raises(ValueError, match='begins with a slash: "/fib"'):
        Client(ROOT / "workers/fib.py").get("fib")
    with pytest.raises(ValueError, match="not both"):
        Client(ROOT / "workers/fib.py").post("/fib", json=1, data="x")


def test_query_parameters_may_be_given_apart(client) -> None:
    def q(target: str, **options) -> list:
        return client.get(target, **options).json()[1]

    assert q("/items/1", params={"q": "a b&c"}) == ["a b&c"]
    assert q("/items/1?q=0#part", params={"q": ["1", 2], "r": None}) == ["0", "1", "2"]
    assert q("/items/1", query_string={"q": "é"}) == ["é"]
    assert q("/items/1", query_string="q=1&q=2", params={"q": 0}) == ["0", "1", "2"]
    assert q("/items/1", params={}) == []
    url = client.get("/items/1", params={"q": "a b", "r": None}).json()[4]
    assert url == "http://localhost/items/1?q=a+b"


def test_results_know_other_libraries_names(client) -> None:
    result = client.get("/items/1")
    with pytest.raises(AttributeError, match="the result has no 'status_code': write result.statu"):
        result.status_code
    assert not hasattr(result, "get_json")


def test_what_is_raised_says_how_to_have_a_500_instead(tmp_path) -> None:
    (tmp_path / "w.py").write_text(
        "import nodey\nONE = ValueError('one')\n@nodey.get('/')\ndef root(): raise ONE\n"
    )
    client = Client(tmp_path / "w.py")
    for _attempt in range(2):
        with pytest.raises(ValueError) as caught:
            client.get("/")
    notes = getattr(caught.value, "__notes__", [])
    assert len(notes) == (sys.version_info >= (3, 11))  # Before, exceptions have none.
    assert all("raise_errors=False" in note and "500" in note for note in notes)
