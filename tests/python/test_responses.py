"""Cookies, redirects and files."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

import nodey
import pytest
from nodey.cookies import http_date
from nodey.files import disposition, type_of
from nodey.response import ResponseHeaders, encode_headers


def cookie(name: str = "a", value: str = "1", **attributes) -> str:
    field = nodey.Response().set_cookie(name, value, **attributes).headers["set-cookie"]
    assert isinstance(field, str)
    return field


@pytest.mark.parametrize(
    "attributes, field",
    [
        ({}, "a=1; Path=/; SameSite=Lax"),
        ({"path": None, "samesite": None}, "a=1"),
        ({"value": "Ann Lee; é,\"x\""}, "a=Ann%20Lee%3B%20%C3%A9%2C%22x%22; Path=/; SameSite=Lax"),
        ({"value": "a=b/c+d%", "samesite": None, "path": None}, "a=a=b/c+d%25"),
        (
            {"max_age": 60, "secure": True, "httponly": True, "samesite": "Strict"},
            "a=1; Max-Age=60; Path=/; SameSite=Strict; Secure; HttpOnly",
        ),
        (
            {"expires": datetime(2030, 1, 1), "domain": "example.org", "samesite": None},
            "a=1; Expires=Tue, 01 Jan 2030 00:00:00 GMT; Path=/; Domain=example.org",
        ),
        (
            {"expires": datetime(2030, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))},
            "a=1; Expires=Tue, 01 Jan 2030 00:00:00 GMT; Path=/; SameSite=Lax",
        ),
        (
            {"samesite": "none", "secure": True, "partitioned": True},
            "a=1; Path=/; SameSite=None; Secure; Partitioned",
        ),
    ],
)
def test_cookies(attributes, field) -> None:
    assert cookie(**attributes) == field


@pytest.mark.parametrize(
    "attributes, words",
    [
        ({"name": "a b"}, "is no name for a cookie"),
        ({"name": ""}, "is no name"),
        ({"name": "a=b"}, "is no name"),
        ({"name": "a\r\nb"}, "is no name"),
        ({"name": "é"}, "is no name"),
        ({"path": "x"}, "begins with a slash"),
        ({"path": "/;Domain=x"}, "is no Path"),
        ({"domain": "a\r\nb"}, "is no Domain"),
        ({"samesite": "some"}, 'samesite is "lax"'),
        ({"samesite": "None"}, "needs secure=True"),
        ({"partitioned": True}, "needs secure=True"),
        ({"name": "__Secure-a"}, "needs secure=True"),
        ({"name": "__Host-a", "secure": True, "path": "/x"}, 'needs path="/"'),
        ({"value": "x" * 5000}, "browsers keep 4096"),
    ],
)
def test_a_cookie_that_browsers_would_throw_away(attributes, words) -> None:
    with pytest.raises(ValueError, match=words):
        cookie(**attributes)


def test_several_cookies_and_a_deleted_one() -> None:
    response = nodey.Response("x").set_cookie("a", "1").set_cookie("b", "2")
    response.delete_cookie("__Host-c")
    fields = response.headers["set-cookie"]
    assert [field.partition(";")[0] for field in fields] == ["a=1", "b=2", "__Host-c="]
    assert "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT" in fields[2] and "Secure" in fields[2]


def test_a_cookie_comes_back_as_it_was_set() -> None:
    value = 'Ann; é, "x" 100%'
    pair = cookie(value=value).partition(";")[0]
    req = nodey.testing.request("GET", "/", headers={"cookie": f"x=1; {pair}"})
    assert req.cookies == {"x": "1", "a": value}


def test_headers_of_a_response() -> None:
    headers = ResponseHeaders({"Content-Type": "a"})
    headers["X-A"] = "1"
    headers.add("x-a", "2")
    headers.add("X-B", "3")
    assert headers["x-a"] == ["1", "2"] and "X-b" in headers and len(headers) == 3
    assert headers.pop("CONTENT-TYPE") == "a" and headers.setdefault("x-B", "4") == "3"
    assert ResponseHeaders([("a", "1"), ("A", "2")])["a"] == ["1", "2"]
    assert encode_headers(headers) == '{"x-a":["1","2"],"x-b":"3"}'
    with pytest.raises(TypeError, match="headers are a mapping, not str"):
        nodey.Response("x", 200, "text/html")  # type: ignore[arg-type]


def test_redirects_and_helpers() -> None:
    response = nodey.redirect("/é?q=a b&x=%20#f", 303)
    assert response.status == 303
    assert response.headers["location"] == "/%C3%A9?q=a%20b&x=%20#f"
    split = nodey.redirect("/a\r\nset-cookie: b=1").headers["location"]
    assert split == "/a%0D%0Aset-cookie:%20b=1"
    with pytest.raises(ValueError, match="301, 302"):
        nodey.redirect("/", 200)
    page = nodey.html("<p>", 404, {"X-A": "1"})
    assert (page.value, page.status) == ("<p>", 404)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    text = nodey.json("text")
    assert (text.value, text.headers["content-type"]) == ('"text"', "application/json")
    assert nodey.json({"a": 1}, 201).value == {"a": 1}


FILES = """
    import nodey
    @nodey.get("/one")
    def one(req): return nodey.file("page.html")
    @nodey.get("/save")
    def save(req): return nodey.file("data.bin", download=req.query.get("as", True))
    @nodey.get("/static/*")
    def static(req): return nodey.file(req.params["*"], root="public", headers={"x-a": "1"})
    @nodey.get("/big")
    def big(): return nodey.file("big.bin")
"""


@pytest.fixture
def files(write, tmp_path):
    (tmp_path / "public" / "css").mkdir(parents=True)
    (tmp_path / "page.html").write_text("<p>é")
    (tmp_path / "data.bin").write_bytes(b"\x00\xff")
    (tmp_path / "big.bin").write_bytes(b"\xff" * 9000)
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "public/css/a.css").write_text("p {}")
    (tmp_path / "public/link").symlink_to(tmp_path / "secret.txt")
    os.utime(tmp_path / "page.html", (1893456000, 1893456000))
    worker = write(FILES, cwd=tmp_path, env={"NODEY_MAX_LINE": "10000"})
    worker.ready()
    return worker


def test_a_file(files) -> None:
    files.get("/one")
    frame = files.next()
    headers = frame["headers"]
    assert frame["status"] == 200 and frame["body"] == "<p>é"
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["last-modified"] == "Tue, 01 Jan 2030 00:00:00 GMT"
    assert headers["etag"].strip('"').isprintable() and headers["etag"].startswith('"')


@pytest.mark.parametrize(
    "name, value, known",
    [
        ("if-none-match", "{etag}", True),
        ("if-none-match", '"x", W/{etag}', True),
        ("if-none-match", "*", True),
        ("if-none-match", '"x"', False),
        ("if-modified-since", "Tue, 01 Jan 2030 00:00:00 GMT", True),
        ("if-modified-since", "Mon, 31 Dec 2029 23:59:59 GMT", False),
        ("if-modified-since", "yesterday", False),
    ],
)
def test_a_file_that_the_client_has_is_not_sent_again(files, name, value, known) -> None:
    files.get("/one")
    etag = files.next()["headers"]["etag"]
    files.get("/one", headers={name: value.replace("{etag}", etag)})
    frame = files.next()
    if known:
        assert frame["status"] == 304 and "body" not in frame
        assert set(frame["headers"]) == {"etag", "last-modified"}
    else:
        assert frame["status"] == 200 and frame["body"] == "<p>é"


def test_a_tag_counts_before_a_date(files) -> None:
    date = "Tue, 01 Jan 2030 00:00:00 GMT"
    files.get("/one", headers={"if-none-match": '"x"', "if-modified-since": date})
    assert files.next()["status"] == 200


def test_a_download(files) -> None:
    files.get("/save")
    frame = files.next()
    assert frame["body64"] == "AP8="
    assert frame["headers"]["content-type"] == "application/octet-stream"
    assert frame["headers"]["content-disposition"] == 'attachment; filename="data.bin"'
    files.get("/save?as=na%C3%AFve%22.bin")
    assert files.next()["headers"]["content-disposition"] == (
        "attachment; filename=\"na_ve_.bin\"; filename*=UTF-8''na%C3%AFve%22.bin"
    )


@pytest.mark.parametrize(
    "path", ["nothing", "css", "", "..%2fsecret.txt", "css/..%2f..%2fsecret.txt", "link", "%00"]
)
def test_nothing_outside_the_root_is_served(files, path) -> None:
    files.get("/static/css/a.css")
    frame = files.next()
    assert frame["body"] == "p {}" and frame["headers"]["x-a"] == "1"
    files.get(f"/static/{path}")
    assert files.next()["code"] == "not_found"


def test_a_file_too_big_for_a_line_goes_in_pieces(files) -> None:
    files.get("/big")
    answer = files.answer()
    assert len(answer.body) == 9000 and answer.last["type"] == "end"
    assert answer.headers["content-length"] == "9000"


def test_types_and_names() -> None:
    assert type_of("A.HTML") == "text/html" and type_of("a.tar.gz") == "application/octet-stream"
    assert type_of("a.mp4") == "video/mp4" and type_of("Makefile") == "application/octet-stream"
    assert disposition("a\r\nb") == "attachment; filename=\"a__b\"; filename*=UTF-8''a%0D%0Ab"
    assert http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT"


def test_an_async_generator_of_a_def_handler_says_what_to_declare(write) -> None:
    worker = write(
        """
        import nodey
        async def letters(): yield "x"
        @nodey.get("/")
        def root(): return letters()
        """
    )
    worker.ready()
    worker.get("/")
    assert "an async generator; declare the handler with `async def`" in worker.next()["message"]
