"""Answers of workers, compressed as the client accepts it, and read by other implementations."""

from __future__ import annotations

import gzip
import subprocess
import zlib
from typing import Callable, Mapping, Optional
from urllib.parse import quote

import brotli
import pytest
import zstandard

from app import App
from client import Response, request_bytes
from procs import rss
from timing import slow, until
from workers import pool, raw

Nodey = Callable[..., App]
CODINGS = ["gzip", "br", "zstd"]


def decode(coding: str, data: bytes) -> bytes:
    if coding == "gzip":
        return gzip.decompress(data)
    if coding == "br":
        return brotli.decompress(data)
    assert coding == "zstd", coding
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


def start(nodey: Nodey, server: str = "", routes: str = "") -> App:
    # A client that leaves at once may have ended its side only: a long answer goes on until the end.
    return nodey(config=f'[server]\nshutdown_timeout = "1s"\n{server}\n' + pool("packer", *raw("packer.py"), instances=1)
                 + routes)


def path(name: str, *fields: str, **more: object) -> str:
    query = [f"h={quote(field)}" for field in fields]
    return f"/{name}?" + "&".join(query + [f"{key}={value}" for key, value in more.items()])


def text(size: int) -> bytes:
    lines = "".join(f"{i * i * 2654435761 % 1000003} is a line\n" for i in range(size // 8 + 1))
    return lines[:size].encode()


def get(app: App, target: str, accept: Optional[str] = "gzip, br, zstd", method: str = "GET",
        **more: str) -> Response:
    headers: Mapping[str, str] = {"Accept-Encoding": accept, **more} if accept else more
    return app.request(method, target, headers=headers, timeout=20)


def coding(response: Response) -> str:
    return response.headers.get("content-encoding", "-")


# -- whole answers


@pytest.mark.parametrize("name", CODINGS)
@pytest.mark.parametrize("size", [1024, 65535, 65536, 262144, 262145, 3_000_000])
def test_a_body_of_any_size_comes_out_as_it_went_in(nodey: Nodey, name: str, size: int) -> None:
    app = start(nodey)
    answer = get(app, path("whole", size=size), name)
    assert coding(answer) == name
    assert decode(name, answer.body) == text(size)
    assert len(answer.body) < size * 0.7
    assert answer.headers.all("vary") == ["Accept-Encoding"]


def test_the_clients_weights_go_before_the_servers_order(nodey: Nodey) -> None:
    app = start(nodey)
    target = path("whole", size=5000)
    asked = {"gzip, deflate, br, zstd": "zstd", "gzip, br": "br", "gzip": "gzip", "*": "zstd",
             "br;q=0.5, gzip;q=0.8": "gzip", "zstd;q=0, *": "br", "identity": "-", "": "-",
             "gzip;q=0": "-", "deflate": "-", "identity;q=0": "-", "gzip;q=0.2, identity": "-"}
    assert {accept: coding(get(app, target, accept)) for accept in asked} == asked
    assert coding(get(app, target, None)) == "-"
    plain = get(app, target, None)
    assert plain.body == text(5000) and plain.headers["vary"] == "Accept-Encoding"


def test_the_configured_codings_alone_are_used_and_in_their_order(nodey: Nodey) -> None:
    target = path("whole", size=5000)
    app = start(nodey, 'compress = ["gzip", "zstd"]')
    assert coding(get(app, target)) == "gzip"
    assert coding(get(app, target, "br, zstd")) == "zstd"
    assert coding(get(app, target, "br")) == "-"


def test_an_empty_list_turns_it_off(nodey: Nodey) -> None:
    app = start(nodey, "compress = []")
    answer = get(app, path("whole", size=5000))
    assert coding(answer) == "-" and "vary" not in answer.headers


def test_what_is_short_stays_as_it_is(nodey: Nodey) -> None:
    app = start(nodey)
    assert [coding(get(app, path("whole", size=n))) for n in (0, 1023, 1024)] == ["-", "-", "zstd"]
    app = start(nodey, 'compress_min = "100"')
    assert [coding(get(app, path("whole", size=n))) for n in (99, 100)] == ["-", "zstd"]


@pytest.mark.parametrize("fields, wanted", [
    (["Content-Type: text/html; charset=utf-8"], True),
    (["Content-Type: application/json"], True),
    (["Content-Type: application/vnd.api+json"], True),
    (["Content-Type: image/svg+xml"], True),
    (["Content-Type: APPLICATION/JSON"], True),
    (["Content-Type: image/png"], False),
    (["Content-Type: application/octet-stream"], False),
    (["Content-Type: text/event-stream"], False),
    (["Content-Encoding: x"], False),
    (["Cache-Control: no-transform"], False),
    (["Cache-Control: public, No-Transform"], False),
    (["Cache-Control: no-cache"], True),
    (["Repr-Digest: sha-256=:AA==:"], False),
])
def test_what_may_be_compressed(nodey: Nodey, fields: list[str], wanted: bool) -> None:
    app = start(nodey)
    answer = get(app, path("whole", *fields, size=5000))
    assert coding(answer) in ("zstd",) if wanted else ("-", "x")
    assert ("vary" in answer.headers) == wanted
    body = decode("zstd", answer.body) if wanted else answer.body
    assert body == text(5000)


@pytest.mark.parametrize("status, wanted", [(200, "br"), (201, "br"), (404, "br"), (500, "br"),
                                            (206, "-")])
def test_the_status_counts(nodey: Nodey, status: int, wanted: str) -> None:
    app = start(nodey)
    assert coding(get(app, path("whole", size=5000, status=status), "br")) == wanted


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_stays_without_one(nodey: Nodey, status: int) -> None:
    app = start(nodey)
    answer = get(app, path("whole", "Content-Length: 5000", status=status))
    assert answer.status == status and coding(answer) == "-" and answer.body == b""


def test_fields_that_described_the_bytes_are_made_to_fit(nodey: Nodey) -> None:
    app = start(nodey)
    fields = ['ETag: "abc"', "Accept-Ranges: bytes", "Vary: Cookie", "Content-Length: 5000"]
    packed, plain = (get(app, path("whole", *fields, size=5000), accept)
                     for accept in ("gzip", None))
    assert packed.headers["etag"] == 'W/"abc"' and plain.headers["etag"] == '"abc"'
    assert "accept-ranges" not in packed.headers and "accept-ranges" in plain.headers
    assert packed.headers["vary"] == plain.headers["vary"] == "Cookie, Accept-Encoding"
    assert packed.headers.all("content-length") == [str(len(packed.body))]
    weak = get(app, path("whole", 'ETag: W/"abc"', "Vary: *", size=5000))
    assert weak.headers["etag"] == 'W/"abc"' and weak.headers["vary"] == "*"


def test_what_would_become_longer_stays_as_it_is(nodey: Nodey) -> None:
    app = start(nodey, "compress_min = 1")
    answer = get(app, path("whole", size=5))
    assert coding(answer) == "-" and answer.body == text(5)


def test_head_has_the_fields_of_get(nodey: Nodey) -> None:
    app = start(nodey)
    for fields, size in ((["Content-Length: 5000"], 0), ([], 5000)):
        answer = get(app, path("whole", *fields, size=size), "br", "HEAD")
        assert coding(answer) == "br" and answer.headers["vary"] == "Accept-Encoding"
        assert answer.headers.get("content-length", "-") != "5000" and answer.body == b""
    short = get(app, path("whole", "Content-Length: 50"), "br", "HEAD")
    assert coding(short) == "-" and short.headers["content-length"] == "50"


def test_http_1_0_has_it_too(nodey: Nodey) -> None:
    app = start(nodey)
    for size in (5000, 2_000_000):
        data = app.raw(f"GET {path('whole', size=size)} HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n"
                       .encode())
        head, _, body = data.partition(b"\r\n\r\n")
        assert b"\r\nContent-Encoding: gzip" in head and b"Transfer-Encoding" not in head
        assert gzip.decompress(body) == text(size)


def test_connections_stay_open_and_answers_in_order(nodey: Nodey) -> None:
    app = start(nodey)
    with app.connect(20) as connection:
        sizes = [2000, 1_000_000, 500, 300_000, 4000]
        connection.send(b"".join(request_bytes("GET", path("whole", size=size),
                                               headers={"Accept-Encoding": "br"})
                                 for size in sizes))
        for size in sizes:
            answer = connection.read_response()
            body = decode("br", answer.body) if size >= 1024 else answer.body
            assert body == text(size)


def test_curl_reads_it(nodey: Nodey) -> None:
    app = start(nodey)
    for size in (5000, 2_000_000):
        out = subprocess.run(["curl", "-s", "--compressed",
                              f"http://127.0.0.1:{app.port}{path('whole', size=size)}"],
                             capture_output=True, timeout=slow(20), check=True).stdout
        assert out == text(size)


def test_a_long_answer_delays_nobody_and_waits_for_its_client(nodey: Nodey) -> None:
    """Who does not read costs its own body, and not what compressing it at once would."""
    app = start(nodey)
    get(app, path("whole", size=4_000_000))
    before = rss(app.pid)
    waiting = [app.open_request("GET", path("whole", size=4_000_000)) for _ in range(3)]
    for connection in waiting:
        assert get(app, path("whole", size=10)).status == 200
        connection.close()
    if not app.sanitized:
        until(lambda: rss(app.pid) < before + (40 << 20), 10, "what was begun is let go of")


def test_a_client_that_leaves_in_the_middle_harms_nobody(nodey: Nodey) -> None:
    app = start(nodey)
    for name in CODINGS:
        for target in (path("whole", size=4_000_000), path("hold", size=50000)):
            connection = app.connect()
            connection.send(request_bytes("GET", target, headers={"Accept-Encoding": name}))
            connection.socket.recv(1000)
            connection.close()
    until(lambda: get(app, path("whole", size=5000)).status == 200, 10, "it serves")


# -- answers in pieces


@pytest.mark.parametrize("name", CODINGS)
def test_each_piece_reaches_the_client_at_once(nodey: Nodey, name: str) -> None:
    app = start(nodey)
    readers = {"gzip": zlib.decompressobj(wbits=31).decompress,
               "br": brotli.Decompressor().process,
               "zstd": zstandard.ZstdDecompressor().decompressobj().decompress}
    with app.connect(20) as connection:
        connection.send(request_bytes("GET", path("hold", size=3000),
                                      headers={"Accept-Encoding": name}))
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.socket.recv(65536)
        head, _, rest = data.partition(b"\r\n\r\n")
        assert f"Content-Encoding: {name}".encode() in head
        assert b"Transfer-Encoding: chunked" in head
        found = b""
        while found != text(3000):  # nothing follows: what is not here by now will never be
            while b"\r\n" not in rest:
                rest += connection.socket.recv(65536)
            size, _, rest = rest.partition(b"\r\n")
            while len(rest) < int(size, 16) + 2:
                rest += connection.socket.recv(65536)
            found += readers[name](rest[:int(size, 16)])
            rest = rest[int(size, 16) + 2:]
            assert text(3000).startswith(found)


@pytest.mark.parametrize("name", CODINGS)
def test_pieces_make_one_body(nodey: Nodey, name: str) -> None:
    app = start(nodey)
    answer = get(app, path("pieces", n=200), name)
    assert coding(answer) == name and answer.headers["vary"] == "Accept-Encoding"
    assert decode(name, answer.body) == b"".join(b"data: piece %d\n\n" % i for i in range(200))
    head = get(app, path("pieces", n=2), name, "HEAD")
    assert coding(head) == name and head.body == b""


def test_events_are_compressed_only_where_that_is_wanted(nodey: Nodey) -> None:
    target = path("pieces", "Content-Type: text/event-stream", n=3)
    assert coding(get(start(nodey), target)) == "-"
    app = start(nodey, 'compress_types = ["text/*", "text/event-stream"]')
    answer = get(app, target, "br")
    assert coding(answer) == "br" and decode("br", answer.body).count(b"data: ") == 3


def test_pieces_of_a_known_length_lose_it(nodey: Nodey) -> None:
    app = start(nodey)
    body = b"".join(b"data: piece %d\n\n" % i for i in range(100))
    target = path("pieces", f"Content-Length: {len(body)}", n=100)
    packed, plain = get(app, target, "gzip"), get(app, target, None)
    assert gzip.decompress(packed.body) == plain.body == body
    assert "content-length" not in packed.headers
    assert plain.headers["content-length"] == str(len(body))


# -- kept answers

ROUTE = '[[routes]]\npath = "/whole"\nto = "packer"\ncache = "60s"\n'


def test_a_kept_answer_is_compressed_once_for_each_coding(nodey: Nodey) -> None:
    app = start(nodey, routes=ROUTE)
    target = path("whole", 'ETag: "v"', size=50000)
    seen = []
    for accept in ("gzip", "br", "zstd", None, "gzip;q=0.9", "br, gzip;q=0.1", "zstd, x", ""):
        answer = get(app, target, accept)
        name = coding(answer)
        seen.append((answer.headers["x-cache"], name, answer.headers["x-run"]))
        body = answer.body if name == "-" else decode(name, answer.body)
        assert body == text(50000) and answer.headers["vary"] == "Accept-Encoding"
        assert answer.headers["etag"] == ('"v"' if name == "-" else 'W/"v"')
    assert seen == [("MISS", "gzip", "1"), ("MISS", "br", "2"), ("MISS", "zstd", "3"),
                    ("MISS", "-", "4"), ("HIT", "gzip", "1"), ("HIT", "br", "2"),
                    ("HIT", "zstd", "3"), ("HIT", "-", "4")]
    assert get(app, target, "gzip", **{"If-None-Match": 'W/"v"'}).status == 304


def test_what_cannot_be_kept_is_compressed_as_well(nodey: Nodey) -> None:
    app = start(nodey, routes=ROUTE)
    for size in (50000, 1_000_000):
        target = path("whole", "Set-Cookie: a=b", size=size)
        for state in ("MISS", "BYPASS"):
            answer = get(app, target, "br")
            assert (answer.headers["x-cache"], coding(answer)) == (state, "br")
            assert decode("br", answer.body) == text(size)
