"""Routes with a root: which files are served, as what, in which parts, and which never are."""

from __future__ import annotations

import email.parser
import gzip
import hashlib
import os
import random
import re
import socket
import time
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from signal import SIGHUP
from typing import Callable, Mapping, Optional

import pytest

from app import App
from client import Response, request_bytes
from timing import slow, until
from workers import pool, raw

Nodey = Callable[..., App]

ROUTE = '[[routes]]\npath = "/app/*"\nroot = "dist"\n'
PAGE = b"<!doctype html><title>app</title>\n"
SCRIPT = b"console.log('hello');\n"
BIG = random.Random(1).randbytes(3_000_000)


def start(nodey: Nodey, tmp_path: Path, route: str = ROUTE, more: str = "", **files: bytes) -> App:
    """A nodey that serves tmp_path/site/dist."""
    site = tmp_path / "site"
    (site / "dist" / "assets").mkdir(parents=True)
    contents = {"index.html": PAGE, "assets/app.js": SCRIPT, "assets/index.html": b"<p>assets\n",
                "big.bin": BIG, "empty.txt": b"", "digits.txt": b"0123456789" * 100, **files}
    for name, data in contents.items():
        (site / "dist" / name).parent.mkdir(parents=True, exist_ok=True)
        (site / "dist" / name).write_bytes(data)
    (site / "secret.txt").write_text("TOP SECRET")
    (site / "nodey.toml").write_text(route + more)
    return nodey(folder=site)


def dist(app: App) -> Path:
    return app.folder / "dist"


def old(path: Path, seconds: float = 1000) -> None:
    """Sets a file's time back, so that nothing depends on how fast the test is."""
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


# -- what is served


@pytest.mark.parametrize("path, body, kind", [
    ("/app/", PAGE, "text/html; charset=utf-8"),
    ("/app/index.html", PAGE, "text/html; charset=utf-8"),
    ("/app/assets/", b"<p>assets\n", "text/html; charset=utf-8"),
    ("/app/assets/app.js", SCRIPT, "text/javascript; charset=utf-8"),
    ("/app/assets/%61pp.js?v=1", SCRIPT, "text/javascript; charset=utf-8"),
    ("/app/assets/../assets/./app.js", SCRIPT, "text/javascript; charset=utf-8"),
    ("/app/empty.txt", b"", "text/plain; charset=utf-8"),
    pytest.param("/app/big.bin", BIG, "application/octet-stream", id="big"),
    ("/app/caf%C3%A9%20%231.txt", b"a name", "text/plain; charset=utf-8"),
    ("/app/.well-known/acme", b"token", "application/octet-stream"),
    ("/app/data", b"plain", "application/octet-stream"),
])
def test_a_file_is_served_as_what_it_is(nodey: Nodey, tmp_path: Path, path: str, body: bytes,
                                        kind: str) -> None:
    app = start(nodey, tmp_path, **{"café #1.txt": b"a name", ".well-known/acme": b"token",
                                    "data": b"plain"})
    for _ in range(3):  # opened the first time, at hand after that
        answer = app.get(path)
        assert (answer.status, answer.body) == (200, body)
        assert answer.headers.all("content-type") == [kind]
        assert answer.headers.all("content-length") == [str(len(body))]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["accept-ranges"] == "bytes"
        assert re.fullmatch(r'"[0-9a-f-]+"', answer.headers["etag"])
        head = app.request("HEAD", path)
        assert head.status == 200 and head.body == b""
        for name in ("content-type", "content-length", "etag", "last-modified"):
            assert head.headers[name] == answer.headers[name]


@pytest.mark.parametrize("path", [
    "/app/missing", "/app/missing/", "/app/index.html/", "/app/index.html/x", "/app/INDEX.html",
    "/app/../secret.txt", "/app/..%2fsecret.txt", "/app/%2e%2e/secret.txt",
    "/app/%2e%2e%2fsecret.txt", "/app/..%5csecret.txt", "/app/..\\secret.txt",
    "/app/assets/..%2f..%2fsecret.txt", "/app/assets%2fapp.js", "/app//index.html",
    "/app/assets//app.js", "/app//etc/passwd", "/app/%2fetc/passwd", "/app/%252e%252e/secret.txt",
    "/app/.hidden", "/app/.git/config", "/app/assets/.env", "/app/assets/.well-known/x",
    "/app/.well-known/.secret", "/app/...", "/app/link.txt", "/app/linked/secret.txt",
    "/app/absolute.txt", "/app/fifo", "/app/socket", "/app/device", "/app/nofolder/",
    "/app/" + "a" * 5000, "/app/" + "a/" * 2500, "/app/caf%e9",
])
def test_what_is_no_file_of_the_folder_is_not_there(nodey: Nodey, tmp_path: Path,
                                                    path: str) -> None:
    app = start(nodey, tmp_path, **{".hidden": b"x", ".git/config": b"x", "assets/.env": b"x",
                                    "assets/.well-known/x": b"x", ".well-known/.secret": b"x"})
    (dist(app) / "link.txt").symlink_to("../secret.txt")
    (dist(app) / "linked").symlink_to("..")
    (dist(app) / "absolute.txt").symlink_to("/etc/passwd")
    (dist(app) / "device").symlink_to("/dev/zero")
    (dist(app) / "nofolder").mkdir()
    os.mkfifo(dist(app) / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        (tmp_path / "s").symlink_to(dist(app))
        listener.bind(str(tmp_path / "s" / "socket"))
        answer = app.get(path)
    assert answer.status == 404, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert b"TOP SECRET" not in answer.body and b"root:" not in answer.body
    assert str(app.folder).encode() not in answer.body


def test_a_nul_is_refused(nodey: Nodey, tmp_path: Path) -> None:
    assert start(nodey, tmp_path).get("/app/index.html%00.txt").status == 400


def test_links_within_the_folder_are_followed(nodey: Nodey, tmp_path: Path) -> None:
    app = start(nodey, tmp_path)
    (dist(app) / "a.js").symlink_to("assets/app.js")
    (dist(app) / "assets" / "b.js").symlink_to("../assets/app.js")
    (dist(app) / "c.js").symlink_to(dist(app) / "assets" / "app.js")
    (dist(app) / "d").symlink_to("assets")
    for path in ("a.js", "assets/b.js", "c.js", "d/app.js"):
        assert app.get(f"/app/{path}").body == SCRIPT, path


@pytest.mark.parametrize("path, target", [
    ("/app", "/app/"), ("/app?x=1&y", "/app/?x=1&y"), ("/app?", "/app/?"),
    ("/app/assets", "/app/assets/"), ("/app/assets?a/b", "/app/assets/?a/b"),
    ("/app/a%20b", "/app/a%20b/"),
])
def test_a_folder_is_asked_for_with_its_slash(nodey: Nodey, tmp_path: Path, path: str,
                                              target: str) -> None:
    app = start(nodey, tmp_path, **{"a b/index.html": b"x"})
    answer = app.get(path)
    assert (answer.status, answer.headers["location"]) == (301, target)
    assert app.get(answer.headers["location"]).status == 200


@pytest.mark.parametrize("path", ["//evil.example", "//evil.example/", "//evil.example/..",
                                  "/\\evil.example", "/%5cevil.example", "//", "/%2fevil.example"])
def test_no_redirect_leads_to_another_host(nodey: Nodey, tmp_path: Path, path: str) -> None:
    app = start(nodey, tmp_path, ROUTE.replace("/app/*", "/*"))
    (dist(app) / "evil.example").mkdir()
    answer = app.get(path)
    assert not re.match(r"/?[/\\]", answer.headers.get("location", "x")[1:]), answer.headers
    assert answer.status in (200, 404)


def test_only_get_and_head(nodey: Nodey, tmp_path: Path) -> None:
    app = start(nodey, tmp_path)
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        answer = app.request(method, "/app/index.html")
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


def test_indexes_and_cache_control_are_as_configured(nodey: Nodey, tmp_path: Path) -> None:
    route = ROUTE + 'index = ["home.htm", "index.html"]\ncache_control = "max-age=60, public"\n'
    app = start(nodey, tmp_path, route, **{"assets/home.htm": b"home"})
    assert app.get("/app/").body == PAGE
    answer = app.get("/app/assets/")
    assert answer.body == b"home" and answer.headers["cache-control"] == "max-age=60, public"
    again = app.get("/app/assets/", {"If-None-Match": answer.headers["etag"]})
    assert (again.status, again.headers["cache-control"]) == (304, "max-age=60, public")
    assert "cache-control" not in app.get("/app/missing").headers


@pytest.mark.parametrize("path, accept, status", [
    ("/app/users/7", "*/*", 200), ("/app/users/7/", "*/*", 200), ("/app/v1.2/notes", "*/*", 200),
    ("/app/v1.2", "*/*", 404), ("/app/v1.2", "text/html,*/*;q=0.8", 200),
    ("/app/assets/gone.js", "*/*", 404), ("/app/gone.png", "image/*", 404),
    ("/app/nofolder/", "*/*", 200), ("/app/.env", "text/html", 404),
    ("/app/a%2fb", "text/html", 404), ("/app/..%5cx", "text/html", 404),
])
def test_a_single_page_finds_its_way_itself(nodey: Nodey, tmp_path: Path, path: str, accept: str,
                                            status: int) -> None:
    app = start(nodey, tmp_path, ROUTE + "spa = true\n")
    (dist(app) / "nofolder").mkdir()
    answer = app.get(path, {"Accept": accept})
    assert answer.status == status
    assert (answer.body == PAGE) == (status == 200)
    assert app.get("/app/assets/app.js").body == SCRIPT


def test_files_and_workers_share_the_paths(nodey: Nodey, tmp_path: Path) -> None:
    more = pool("mirror", *raw("counter.py", "/api/*"), instances=1)
    app = start(nodey, tmp_path, ROUTE.replace("/app/*", "/*") + "spa = true\n", more)
    assert app.get("/index.html").body == PAGE
    assert app.get("/users").body == PAGE
    assert app.get("/api/x").json()["run"] == 1
    assert app.request("POST", "/api/x").status == 200
    assert app.request("POST", "/index.html").status == 405


def test_no_worker_is_needed(nodey: Nodey, tmp_path: Path) -> None:
    app = start(nodey, tmp_path, '[[routes]]\npath = "/"\nroot = "dist"\n')
    assert app.get("/").body == PAGE and not app.worker_pids()
    assert app.get("/index.html").status == 404, "that route is of / alone"


def test_a_folder_that_is_not_there_is_an_error_of_the_configuration(nodey: Nodey) -> None:
    app = nodey(config=ROUTE, wait=False, exit_code=1)
    assert app.wait_exit() == 1
    assert 'root "dist": No such file or directory; make the folder' in app.log()


# -- changes


def test_a_change_is_served_at_once(nodey: Nodey, tmp_path: Path) -> None:
    app = start(nodey, tmp_path)
    path = dist(app) / "assets" / "app.js"
    old(path)
    seen = {app.get("/app/assets/app.js").headers["etag"] for _ in range(3)}
    assert len(seen) == 1
    for i in range(20):  # of the same length, as fast as that goes
        path.write_bytes(SCRIPT.replace(b"hello", b"h%04d" % i))
        answer = app.get("/app/assets/app.js")
        assert b"h%04d" % i in answer.body
    path.unlink()
    assert app.get("/app/assets/app.js").status == 404
    path.symlink_to("../../secret.txt")
    assert app.get("/app/assets/app.js").status == 404


def test_what_is_at_hand_is_as_good_as_the_file(nodey: Nodey, tmp_path: Path) -> None:
    """Changes that are hard to see: the same length, and the time put back."""
    app = start(nodey, tmp_path)
    path = dist(app) / "assets" / "app.js"
    os.utime(path, (1_000_000_000, 1_000_000_000))
    time.sleep(3)  # it is kept only once its last change is some time ago
    assert [app.get("/app/assets/app.js").body for _ in range(3)] == [SCRIPT] * 3
    path.write_bytes(SCRIPT.upper())
    os.utime(path, (1_000_000_000, 1_000_000_000))
    assert app.get("/app/assets/app.js").body == SCRIPT.upper()
    if os.geteuid() != 0:
        path.chmod(0)
        assert app.get("/app/assets/app.js").status == 404


def test_the_folder_may_be_replaced_and_come_back(nodey: Nodey, tmp_path: Path) -> None:
    app = start(nodey, tmp_path)
    old(dist(app) / "index.html")
    assert app.get("/app/").body == PAGE
    dist(app).rename(app.folder / "before")
    answer = app.get("/app/")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    dist(app).mkdir()
    (dist(app) / "index.html").write_bytes(b"new\n")
    assert app.get("/app/").body == b"new\n"


def test_routes_to_files_change_while_it_runs(nodey: Nodey, tmp_path: Path) -> None:
    app = start(nodey, tmp_path, ROUTE, pool("mirror", *raw("counter.py", "/api/*"), instances=1))
    config = app.folder / "nodey.toml"
    with app.connect() as slow_reader:
        slow_reader.send(request_bytes("GET", "/app/big.bin"))
        slow_reader.socket.recv(1, socket.MSG_PEEK)
        config.write_text(config.read_text().replace("/app/*", "/new/*"))
        app.signal(SIGHUP)
        until(lambda: app.get("/new/").body == PAGE, 5, "the new route serves")
        assert app.get("/app/").status == 404
        assert slow_reader.read_response().body == BIG


# -- conditions


ETAG, OLD_DATE, DATE, NEW_DATE = "ETAG", "OLD", "DATE", "NEW"


@pytest.mark.parametrize("fields, status", [
    ({"If-None-Match": ETAG}, 304), ({"If-None-Match": f"W/{ETAG}"}, 304),
    ({"If-None-Match": f'"x", {ETAG}'}, 304), ({"If-None-Match": '"x"'}, 200),
    ({"If-None-Match": "*"}, 304),
    ({"If-Modified-Since": DATE}, 304), ({"If-Modified-Since": NEW_DATE}, 304),
    ({"If-Modified-Since": OLD_DATE}, 200), ({"If-Modified-Since": "yesterday"}, 200),
    ({"If-None-Match": '"x"', "If-Modified-Since": NEW_DATE}, 200),
    ({"If-None-Match": ETAG, "If-Modified-Since": OLD_DATE}, 304),
    ({"If-Match": ETAG}, 200), ({"If-Match": f"W/{ETAG}"}, 412), ({"If-Match": '"x"'}, 412),
    ({"If-Match": "*"}, 200), ({"If-Match": f'"x", {ETAG}'}, 200),
    ({"If-Unmodified-Since": DATE}, 200), ({"If-Unmodified-Since": OLD_DATE}, 412),
    ({"If-Match": ETAG, "If-Unmodified-Since": OLD_DATE}, 200),
    ({"If-Match": '"x"', "If-None-Match": ETAG}, 412),
    ({"If-Match": ETAG, "If-None-Match": ETAG}, 304),
    ({"Range": "bytes=0-3"}, 206), ({"Range": "bytes=0-3", "If-None-Match": ETAG}, 304),
    ({"Range": "bytes=0-3", "If-Match": '"x"'}, 412),
    ({"Range": "bytes=0-3", "If-Range": ETAG}, 206),
    ({"Range": "bytes=0-3", "If-Range": f"W/{ETAG}"}, 200),
    ({"Range": "bytes=0-3", "If-Range": '"x"'}, 200),
    ({"Range": "bytes=0-3", "If-Range": DATE}, 206),
    ({"Range": "bytes=0-3", "If-Range": OLD_DATE}, 200),
    ({"Range": "bytes=9999-", "If-Range": '"x"'}, 200),
    ({"Range": "bytes=9999-", "If-None-Match": ETAG}, 304),
])
def test_conditions(nodey: Nodey, tmp_path: Path, fields: Mapping[str, str], status: int) -> None:
    app = start(nodey, tmp_path)
    old(dist(app) / "digits.txt")
    first = app.get("/app/digits.txt")
    moment = parsedate_to_datetime(first.headers["last-modified"]).timestamp()
    words = {ETAG: first.headers["etag"], DATE: first.headers["last-modified"],
             OLD_DATE: formatdate(moment - 1, usegmt=True),
             NEW_DATE: formatdate(moment + 1, usegmt=True)}

    def filled(value: str) -> str:
        for word, meaning in words.items():
            value = value.replace(word, meaning)
        return value

    answer = app.get("/app/digits.txt", {name: filled(value) for name, value in fields.items()})
    assert answer.status == status
    whole = b"0123456789" * 100
    assert answer.body == {200: whole, 206: whole[:4], 304: b""}.get(status, answer.body)
    if status == 304:
        assert answer.headers["etag"] == first.headers["etag"]
        assert "content-type" not in answer.headers and "last-modified" not in answer.headers
    head = app.request("HEAD", "/app/digits.txt",
                       headers={name: filled(value) for name, value in fields.items()})
    assert head.status == (200 if status == 206 else status) and head.body == b""


# -- ranges


def parts(answer: Response) -> list[tuple[str, bytes]]:
    """Content-Range and bytes of each part, as a mail program reads them."""
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = email.parser.BytesParser().parsebytes(head + answer.body)
    assert message.is_multipart() and message.get_content_type() == "multipart/byteranges"
    return [(part["content-range"], part.get_payload(decode=True))
            for part in message.get_payload()]


@pytest.mark.parametrize("field, first, last", [
    ("bytes=0-0", 0, 0), ("bytes=10-19", 10, 19), ("bytes=990-", 990, 999),
    ("bytes=-10", 990, 999), ("bytes=-5000", 0, 999), ("bytes=0-5000", 0, 999),
    ("bytes=0-9,5-19", 0, 19), ("bytes=500-509,9999-", 500, 509),
])
def test_one_range(nodey: Nodey, tmp_path: Path, field: str, first: int, last: int) -> None:
    app = start(nodey, tmp_path)
    whole = b"0123456789" * 100
    answer = app.get("/app/digits.txt", {"Range": field})
    assert answer.status == 206 and answer.body == whole[first:last + 1]
    assert answer.headers["content-range"] == f"bytes {first}-{last}/1000"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_several_ranges_come_in_their_order(nodey: Nodey, tmp_path: Path) -> None:
    app = start(nodey, tmp_path)
    answer = app.get("/app/digits.txt", {"Range": "bytes=-5,0-9,300-304"})
    assert answer.status == 206 and "content-range" not in answer.headers
    assert parts(answer) == [("bytes 995-999/1000", b"56789"), ("bytes 0-9/1000", b"0123456789"),
                             ("bytes 300-304/1000", b"01234")]
    assert answer.body.count(b"Content-Type: text/plain; charset=utf-8\r\n") == 3


def test_long_parts_of_a_long_file(nodey: Nodey, tmp_path: Path) -> None:
    app = start(nodey, tmp_path)
    single = app.get("/app/big.bin", {"Range": "bytes=1000-2000999"})
    assert single.status == 206 and single.body == BIG[1000:2001000]
    wanted = [(0, 999_999), (1_500_000, 2_499_999), (2_999_999, 2_999_999)]
    with app.connect(20) as connection:
        field = "bytes=" + ",".join(f"{first}-{last}" for first, last in wanted)
        for _ in range(2):
            several = connection.request("GET", "/app/big.bin", headers={"Range": field})
            assert re.findall(rb"Content-Range: bytes (\d+)-(\d+)/3000000\r\n", several.body) == [
                (b"%d" % first, b"%d" % last) for first, last in wanted]
            for first, last in wanted:
                assert BIG[first:last + 1] in several.body
            assert len(several.body) < sum(last - first + 1 for first, last in wanted) + 600


@pytest.mark.parametrize("field", ["bytes=1000-", "bytes=5000-6000", "bytes=-0", "bytes=9999-,-0"])
def test_a_range_beyond_the_end_is_refused(nodey: Nodey, tmp_path: Path, field: str) -> None:
    answer = start(nodey, tmp_path).get("/app/digits.txt", {"Range": field})
    assert (answer.status, answer.headers["content-range"]) == (416, "bytes */1000")


@pytest.mark.parametrize("field", ["bytes=5-4", "lines=0-1", "bytes=", "bytes=a-b", "0-5",
                                   "bytes=" + ",".join(f"{i * 20}-{i * 20}" for i in range(17))])
def test_a_range_that_makes_no_sense_is_as_good_as_none(nodey: Nodey, tmp_path: Path,
                                                        field: str) -> None:
    answer = start(nodey, tmp_path).get("/app/digits.txt", {"Range": field})
    assert answer.status == 200 and len(answer.body) == 1000


def test_a_range_does_not_come_from_what_is_at_hand(nodey: Nodey, tmp_path: Path) -> None:
    app = start(nodey, tmp_path)
    old(dist(app) / "digits.txt")
    for _ in range(3):
        assert len(app.get("/app/digits.txt").body) == 1000
        assert app.get("/app/digits.txt", {"Range": "bytes=1-3"}).body == b"123"


# -- what lies beside a file


def packed(nodey: Nodey, tmp_path: Path) -> App:
    app = start(nodey, tmp_path, **{"a.css": b"plain", "a.css.gz": gzip.compress(b"plain"),
                                    "a.css.br": b"as br", "a.css.zst": b"as zstd",
                                    "b.css": b"plain", "b.css.gz": gzip.compress(b"plain"),
                                    "c.png": b"plain", "c.png.gz": b"never asked for",
                                    "gone.css.gz": b"of nothing"})
    for path in dist(app).rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    return app


@pytest.mark.parametrize("path, accept, coding", [
    ("a.css", "gzip, deflate, br, zstd", "br"), ("a.css", "gzip, zstd", "zstd"),
    ("a.css", "gzip", "gzip"), ("a.css", "br;q=0.5, gzip", "gzip"), ("a.css", "*", "br"),
    ("a.css", "br;q=0, *;q=0.1", "zstd"), ("a.css", "identity", "-"), ("a.css", None, "-"),
    ("b.css", "br, gzip", "gzip"), ("b.css", "br, zstd", "-"), ("c.png", "gzip", "-"),
])
def test_a_packed_file_goes_to_who_accepts_it(nodey: Nodey, tmp_path: Path, path: str,
                                              accept: Optional[str], coding: str) -> None:
    app = packed(nodey, tmp_path)
    bodies = {"-": b"plain", "br": b"as br", "zstd": b"as zstd", "gzip": gzip.compress(b"plain")}
    for _ in range(3):
        answer = app.get(f"/app/{path}", {"Accept-Encoding": accept} if accept else {})
        assert answer.headers.get("content-encoding", "-") == coding
        assert answer.body[10:] == bodies[coding][10:] and len(answer.body) == len(bodies[coding])
        kind = "image/png" if path == "c.png" else "text/css; charset=utf-8"
        assert answer.headers["content-type"] == kind
        assert ("vary" in answer.headers) == (path != "c.png")


def test_each_coding_has_a_tag_and_ranges_of_its_own(nodey: Nodey, tmp_path: Path) -> None:
    app = packed(nodey, tmp_path)
    answers = {accept: app.get("/app/a.css", {"Accept-Encoding": accept})
               for accept in ("br", "gzip", "zstd", "identity")}
    tags = {answer.headers["etag"] for answer in answers.values()}
    assert len(tags) == 4
    tag = answers["br"].headers["etag"]
    assert app.get("/app/a.css", {"Accept-Encoding": "br", "If-None-Match": tag}).status == 304
    assert app.get("/app/a.css", {"Accept-Encoding": "gzip", "If-None-Match": tag}).status == 200
    part = app.get("/app/a.css", {"Accept-Encoding": "br", "Range": "bytes=3-"})
    assert (part.status, part.body, part.headers["content-range"]) == (206, b"br", "bytes 3-4/5")
    assert part.headers["content-encoding"] == "br"


def test_an_older_packed_file_is_not_served(nodey: Nodey, tmp_path: Path) -> None:
    app = packed(nodey, tmp_path)
    (dist(app) / "a.css").write_bytes(b"new")
    answer = app.get("/app/a.css", {"Accept-Encoding": "br, gzip, zstd"})
    assert answer.body == b"new" and "content-encoding" not in answer.headers
    assert answer.headers["vary"] == "Accept-Encoding"


def test_a_packed_file_alone_is_only_itself(nodey: Nodey, tmp_path: Path) -> None:
    app = packed(nodey, tmp_path)
    assert app.get("/app/gone.css", {"Accept-Encoding": "gzip"}).status == 404
    itself = app.get("/app/gone.css.gz", {"Accept-Encoding": "gzip"})
    assert itself.headers["content-type"] == "application/gzip"
    assert itself.body == b"of nothing" and "content-encoding" not in itself.headers


def test_a_packed_link_to_elsewhere_is_not_served(nodey: Nodey, tmp_path: Path) -> None:
    app = packed(nodey, tmp_path)
    (dist(app) / "d.css").write_bytes(b"plain")
    old(dist(app) / "d.css")
    (dist(app) / "d.css.gz").symlink_to("../secret.txt")
    answer = app.get("/app/d.css", {"Accept-Encoding": "gzip"})
    assert answer.body == b"plain" and "content-encoding" not in answer.headers


# -- many, and at once


def test_answers_come_in_the_order_of_the_requests(nodey: Nodey, tmp_path: Path) -> None:
    app = start(nodey, tmp_path)
    paths = {"/app/big.bin": BIG, "/app/": PAGE, "/app/empty.txt": b"",
             "/app/assets/app.js": SCRIPT}
    with app.connect(20) as connection:
        connection.send(b"".join(request_bytes("GET", path) for path in paths) * 3)
        for _ in range(3):
            for path, body in paths.items():
                answer = connection.read_response()
                assert hashlib.sha1(answer.body).digest() == hashlib.sha1(body).digest(), path


def test_no_descriptor_is_left_open(nodey: Nodey, tmp_path: Path) -> None:
    app = packed(nodey, tmp_path)
    app.get("/app/")
    before = app.fds()
    everything: list[tuple[str, str, dict[str, str]]] = [
        ("GET", "/app/", {}), ("HEAD", "/app/", {}), ("GET", "/app/assets", {}),
        ("GET", "/app/missing", {}), ("GET", "/app/big.bin", {}), ("HEAD", "/app/big.bin", {}),
        ("GET", "/app/a.css", {"Accept-Encoding": "br, gzip"}),
        ("GET", "/app/b.css", {"Accept-Encoding": "br, gzip", "If-Match": '"x"'}),
        ("GET", "/app/big.bin", {"If-None-Match": "*"}),
        ("GET", "/app/big.bin", {"Range": "bytes=0-9,1000-1009"}),
        ("GET", "/app/big.bin", {"Range": "bytes=9999999-"}),
        ("GET", "/app/digits.txt", {"Range": "bytes=5-9"}),
    ]
    for method, path, headers in everything * 5:
        assert app.request(method, path, headers=headers).status < 500
    for _ in range(5):  # clients that leave in the middle
        for field in ("bytes=0-", "bytes=0-1400000,1500000-2900000"):
            with app.connect() as connection:
                connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.send(request_bytes("GET", "/app/big.bin", headers={"Range": field}))
                connection.socket.recv(100)
    until(lambda: app.fds() <= before, slow(5), f"{before} descriptors, as before")
