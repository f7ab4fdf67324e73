"""Answers and bodies in pieces, files, and event streams, in each engine."""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from process import Worker, body_of

HELLO = {"type": "hello", "protocol": 1, "limits": {"window": 1024, "chunk": 65536}}

GENERATORS = """
    import nodey
    def closing(pieces):
        try:
            yield from pieces
        finally:
            nodey.log.info("closed")
    {extra}
    @nodey.get("/text")
    def text(): return closing(["a", "é", "c"])
    @nodey.get("/bytes")
    def data(): yield b"a"; yield bytearray(b"\\xff")
    @nodey.get("/status")
    def status(): return 201, closing("ab"), {{"x-a": "1"}}
    @nodey.get("/response")
    def response(): return nodey.Response(closing("ab"), 202)
    @nodey.get("/empty")
    def empty(): return closing([])
    @nodey.get("/blanks")
    def blanks(): return closing(["", ""])
    @nodey.get("/file")
    def file(): return open(__file__, "rb")
    @nodey.get("/first")
    def first():
        raise ValueError("at once")
        yield ""
    @nodey.get("/raises")
    def raises():
        def pieces():
            yield "a"
            raise ValueError("half way")
        return closing(pieces())
    @nodey.get("/mixed")
    def mixed(): return closing(["a", b"b"])
    @nodey.get("/endless")
    def endless():
        import itertools
        return closing(itertools.repeat("x" * 100))
    @nodey.get("/refused")
    def refused():
        yield "a"
        raise nodey.HTTPError(403, "no more", headers={{"x-a": "1"}})
    {last}
"""

LOOP = "@nodey.on_start\n    async def loop(): pass"
ENGINES = {"sync": ("", ""), "threads": ("", "nodey.start(threads=2)"), "loop": (LOOP, "")}


@pytest.fixture(params=list(ENGINES))
def generators(write, request) -> Worker:
    extra, last = ENGINES[request.param]
    worker = write(
        GENERATORS.format(extra=extra, last=last), env={"PYTHONWARNINGS": "always"}
    )
    worker.ready()
    return worker


@pytest.mark.parametrize(
    "path, head, pieces",
    [
        ("/text", {"headers": {"content-type": "text/plain; charset=utf-8"}}, "a é c"),
        ("/status", {"status": 201, "headers": {"x-a": "1"}}, "a b"),
        ("/response", {"status": 202}, "a b"),
        ("/empty", {}, ""),
        ("/blanks", {}, ""),
    ],
)
def test_what_is_yielded_is_sent_piece_by_piece(generators, path, head, pieces) -> None:
    generators.get(path)
    answer = generators.answer()
    assert answer.pieces == [piece.encode() for piece in pieces.split()]
    assert answer.head.get("status", 200) == head.get("status", 200)
    assert answer.headers.items() >= head.get("headers", {}).items()
    assert generators.end_with_logs() == ["closed"]


def test_bytes_and_files_are_bytes(generators) -> None:
    generators.get("/bytes")
    answer = generators.answer()
    assert answer.body == b"a\xff" and answer.headers["content-type"] == "application/octet-stream"
    generators.get("/file")
    assert b"def file(): return open" in generators.answer().body
    assert generators.end() == 0
    assert generators.errors() == ""  # No warning of a file that was left open.


def test_a_failure_before_the_first_piece_is_an_ordinary_one(generators) -> None:
    generators.get("/first")
    answer = generators.answer()
    assert len(answer.frames) == 1 and answer.last["message"] == "ValueError: at once"


@pytest.mark.parametrize(
    "path, message",
    [("/raises", "ValueError: half way"), ("/mixed", "yields both str and bytes")],
)
def test_a_failure_later_breaks_the_answer_off(generators, path, message) -> None:
    generators.get(path)
    answer = generators.answer()
    assert answer.head["more"] and answer.body == b"a"
    assert answer.last["type"] == "error" and message in answer.last["message"]
    assert generators.end_with_logs() == ["closed"]
    assert len(generators.failures) == 1  # And it was logged.


def test_an_error_with_headers_breaks_off_as_well(generators) -> None:
    generators.get("/refused")
    answer = generators.answer()
    assert answer.body == b"a" and answer.last["type"] == "error"
    assert answer.last["message"] == "no more"


def test_a_head_request_is_given_no_pieces(generators) -> None:
    generators.send({"id": 1, "method": "HEAD", "path": "/endless"})
    answer = generators.answer()
    assert answer.body == b"" and answer.last["type"] == "end"
    # A generator that was never begun has nothing to clean up.
    assert generators.end_with_logs() == []


def test_a_sender_keeps_to_its_credit_to_the_byte(generators) -> None:
    generators.send(HELLO)
    generators.get("/endless")
    sizes = [len(body_of(frame)) for frame in generators.next_of(11)]
    assert sizes == [100] * 10 + [24]
    assert generators.silent_for(0.1)
    generators.send({"type": "credit", "id": 1, "bytes": 77})
    assert len(base64.b64decode(generators.next()["body64"])) == 76
    assert generators.next()["body64"] == "eA=="
    assert generators.silent_for(0.1)
    generators.send({"type": "cancel", "id": 1, "reason": "disconnect"})
    answer = generators.answer()
    assert answer.last["type"] == "error" and answer.last["code"] == "cancelled"
    assert generators.end_with_logs() == ["closed"]
    assert generators.failures == []  # Nothing is wrong with that.


def test_the_end_of_input_ends_who_waits_for_credit(generators) -> None:
    generators.send(HELLO)
    generators.get("/endless")
    generators.next_of(11)
    generators.close_input()
    assert generators.answer().last["code"] == "cancelled"
    assert generators.end_with_logs() == ["closed"]


def test_a_cancel_is_seen_while_there_is_credit(write) -> None:
    worker = write(
        """
        import nodey, time
        @nodey.get("/")
        def root():
            try:
                while True:
                    yield "x"
                    time.sleep(0.01)
            finally:
                nodey.log.info("closed")
        """
    )
    worker.ready()
    worker.get("/")
    assert worker.next()["body"] == "x"
    worker.send({"type": "cancel", "id": 1})
    assert worker.answer().last["code"] == "cancelled"
    assert worker.end_with_logs() == ["closed"]


def test_a_generator_that_is_no_event_stream_is_finished_when_nodey_drains(write) -> None:
    """Cut short it would look whole to its client."""
    worker = write(
        """
        import nodey, time
        @nodey.get("/")
        def root():
            for number in range(5):
                yield str(number)
                time.sleep(0.02)
        """
    )
    worker.ready()
    worker.get("/")
    assert worker.next()["body"] == "0"
    worker.send({"type": "drain", "grace": 5000})
    assert worker.answer().body == b"1234"
    assert worker.wait() == 0


@pytest.mark.parametrize("a", ["", "async "])
def test_an_iterator_that_somebody_else_holds_is_closed_too(write, a) -> None:
    """What has no other owner would be closed by its destructor anyway."""
    worker = write(
        f"""
        import nodey
        class Rows:
            left = 2
            def __iter__(self): return self
            def __next__(self):
                if not self.left:
                    raise StopIteration
                self.left -= 1
                return "row "
            def close(self): nodey.log.info("closed")
        class Late(Rows):
            def __aiter__(self): return self
            async def __anext__(self):
                if not self.left:
                    raise StopAsyncIteration
                return self.__next__()
            async def aclose(self): nodey.log.info("closed")
        rows = {"Late()" if a else "Rows()"}
        @nodey.get("/")
        {a}def root(): return rows
        """
    )
    worker.ready()
    worker.get("/")
    assert worker.answer().body == b"row row "
    assert worker.end_with_logs() == ["closed"]


ASYNC = """
    import asyncio, nodey
    async def letters(count):
        try:
            for _ in range(count):
                await asyncio.sleep(0)
                yield "x" * 100
        except asyncio.CancelledError:
            nodey.log.info("cancelled")
            raise
        finally:
            nodey.log.info("closed")
    @nodey.get("/returned")
    async def returned(): return letters(2)
    @nodey.get("/own")
    async def own(req):
        yield b"a"
        yield b"b"
    @nodey.get("/status")
    async def status(): return 201, letters(1)
    @nodey.get("/response")
    async def response(): return nodey.Response(letters(1), 202)
    @nodey.get("/endless")
    async def endless(): return letters(10**9)
    @nodey.get("/sync")
    async def sync(): return iter("ab")
    @nodey.get("/large")
    async def large(): return b"x" * 1000000
    @nodey.get("/long")
    async def long(): return "x" * 2000000
    @nodey.get("/waits")
    async def waits():
        async def events():
            try:
                yield "one"
                await asyncio.Event().wait()
            finally:
                nodey.log.info("closed")
        return nodey.sse(events())
"""


@pytest.fixture
def in_loop(write) -> Worker:
    worker = write(ASYNC)
    worker.ready()
    return worker


def test_async_generators_are_streamed_and_closed(in_loop) -> None:
    for path, status, body in (
        ("/returned", 200, b"x" * 200),
        ("/status", 201, b"x" * 100),
        ("/response", 202, b"x" * 100),
    ):
        in_loop.get(path)
        answer = in_loop.answer()
        assert (answer.head["status"], answer.body) == (status, body)
    in_loop.get("/own")
    assert in_loop.answer().pieces == [b"a", b"b"]
    in_loop.get("/sync")
    assert in_loop.answer().pieces == [b"a", b"b"]
    assert in_loop.end_with_logs() == ["closed"] * 3


def test_long_results_in_a_loop_wait_for_credit_and_for_nobody_else(in_loop) -> None:
    in_loop.get("/large", id=1)
    in_loop.get("/long", id=2)
    in_loop.get("/own", id=3)
    frames = []
    while len([f for f in frames if f["id"] == 3]) < 3:
        frames.append(in_loop.next())
    sizes = {id: sum(len(body_of(f)) for f in frames if f["id"] == id) for id in (1, 2)}
    assert sizes == {1: 262144, 2: 262144}
    for id, size in ((1, 1000000), (2, 2000000)):
        in_loop.send({"type": "credit", "id": id, "bytes": 2000000})
        assert sizes[id] + len(in_loop.answer(id).body) == size
    assert frames[0]["headers"]["content-length"] == "1000000"


def test_cancel_interrupts_an_async_generator(in_loop) -> None:
    in_loop.get("/endless")
    in_loop.next()
    in_loop.send({"type": "cancel", "id": 1, "reason": "disconnect"})
    assert in_loop.answer().last["code"] == "cancelled"
    assert in_loop.end_with_logs() == ["closed"] or in_loop.logs == ["cancelled", "closed"]


def test_drain_ends_an_event_stream_that_waits_for_its_next_event(in_loop) -> None:
    in_loop.get("/waits")
    assert in_loop.next()["headers"]["cache-control"] == "no-cache"
    assert in_loop.next()["body"] == "data: one\n\n"
    in_loop.send({"type": "drain", "grace": 5000})
    assert in_loop.answer().last == {"type": "end", "id": 1}
    # Interrupted once, and only the wait: the worker is not cancelled with it.
    assert in_loop.wait_with_logs() == (0, ["closed"])


@pytest.mark.parametrize("last", ["", "nodey.start(threads=1)"])
def test_drain_ends_an_event_stream_of_a_def_handler_between_two_events(write, last) -> None:
    worker = write(
        f"""
        import itertools, nodey, time
        @nodey.get("/")
        def root():
            def events():
                try:
                    for number in itertools.count():
                        yield str(number)
                        time.sleep(0.02)
                finally:
                    nodey.log.info("closed")
            return nodey.sse(events())
        {last}
        """
    )
    worker.ready()
    worker.get("/")
    assert worker.next_of(2)[1]["body"] == "data: 0\n\n"
    worker.send({"type": "drain", "grace": 5000})
    assert worker.answer().last == {"type": "end", "id": 1}
    assert worker.wait_with_logs() == (0, ["closed"])


def test_an_event_stream_tells_its_client_at_once_that_it_is_there(write) -> None:
    worker = write(
        """
        import nodey, time
        @nodey.get("/")
        def root():
            def events():
                time.sleep(0.5)
                yield "late"
            return nodey.sse(events())
        """
    )
    worker.ready()
    worker.get("/")
    begin = time.monotonic()
    assert worker.next()["more"] is True
    assert time.monotonic() - begin < 0.4
    assert worker.answer().body == b"data: late\n\n"


# ------------------------------------------------------------------------ events

EVENTS = [
    ("hello", "data: hello\n\n"),
    ("two\nlines\r\nor\rmore", "data: two\ndata: lines\ndata: or\ndata: more\n\n"),
    ({"data": {"a": 1}}, 'data: {"a":1}\n\n'),
    (
        {"event": "x", "data": "y", "id": 7, "retry": 500},
        "event: x\nid: 7\nretry: 500\ndata: y\n\n",
    ),
    ({"comment": "still here"}, ": still here\n\n"),
    ({"data": ""}, "data: \n\n"),
]


@pytest.mark.parametrize("event, text", EVENTS)
def test_events_are_written_as_the_browser_reads_them(event, text) -> None:
    from nodey.events import text_of

    assert text_of(event) == text


@pytest.mark.parametrize(
    "event, kind, words",
    [
        ({"price": 3}, TypeError, "write {\"data\": value}"),
        (3, TypeError, "not int"),
        ({}, TypeError, "an event is"),
        ({"event": "a\nb", "data": ""}, ValueError, "line break"),
        ({"id": "a\0", "data": ""}, ValueError, "NUL"),
        ({"data": float("nan")}, ValueError, "NaN"),
    ],
)
def test_what_is_no_event_is_a_clear_error(event, kind, words) -> None:
    from nodey.events import text_of

    with pytest.raises(kind, match=words.replace("{", "\\{")):
        text_of(event)


def test_sse_of_what_is_no_stream() -> None:
    import nodey

    with pytest.raises(TypeError, match="not str"):
        nodey.sse("data")


# ------------------------------------------------------------------------ files

FILES = """
    import nodey
    {extra}
    @nodey.get("/*")
    {a}def root(req): return nodey.file({folder!r} + "/" + req.params["*"])
    {last}
"""


@pytest.fixture(params=[*ENGINES, "async"])
def files(write, tmp_path, request) -> Worker:
    (tmp_path / "big.txt").write_bytes("é".encode() * 100000)
    (tmp_path / "big.bin").write_bytes(os.urandom(200000))
    (tmp_path / "small.txt").write_text("small")
    extra, last = ENGINES.get(request.param, ("", ""))
    a = "async " if request.param == "async" else ""
    worker = write(FILES.format(extra=extra, last=last, a=a, folder=str(tmp_path)))
    worker.ready()
    return worker


def test_a_big_file_is_sent_by_nodey_when_it_may(files, tmp_path) -> None:
    files.send({**HELLO, "roots": [str(tmp_path)]})
    files.get("/big.txt")
    frame = files.next()
    assert frame["file"] == str(tmp_path / "big.txt")
    assert frame["headers"]["content-type"] == "text/plain; charset=utf-8"
    assert not {"body", "body64", "more", "length"} & frame.keys()
    files.get("/small.txt")
    assert files.next()["body"] == "small"
    known = {"if-none-match": frame["headers"]["etag"]}
    files.get("/big.txt", headers=known)
    assert files.next()["status"] == 304


RANGES = [
    ("bytes=2-4", 2, 5),
    ("bytes=7-", 7, None),
    ("bytes=-3", -3, None),
    ("bytes=1-999999999", 1, None),
    ("bytes=-999999999", 0, None),
    ("bytes=10-199998", 10, 199999),
]


@pytest.mark.parametrize("is_sent_by_nodey", [True, False])
def test_a_range_of_a_file(files, tmp_path, is_sent_by_nodey) -> None:
    files.send({**HELLO, "limits": {}, "roots": [str(tmp_path)] if is_sent_by_nodey else []})
    for name in ("big.bin", "small.txt"):
        whole = (tmp_path / name).read_bytes()
        for field, start, end in RANGES:
            files.get(f"/{name}", headers={"range": field})
            answer = files.answer()
            wanted, head = whole[start:end], answer.head
            start = len(whole) + start if start < 0 else start
            if "file" in head:
                assert is_sent_by_nodey and name == "big.bin" and "body64" not in head
                offset = head.get("offset", 0)
                body = whole[offset : offset + head.get("length", len(whole))]
            else:
                assert not is_sent_by_nodey or len(wanted) <= 65536
                body = answer.body
            assert head["status"] == (206 if wanted else 416), (name, field)
            assert body == wanted, (name, field)
            place = f"{start}-{start + len(wanted) - 1}" if wanted else "*"
            assert head["headers"]["content-range"] == f"bytes {place}/{len(whole)}"
    assert files.end() == 0


def test_what_is_no_range_of_a_file(files) -> None:
    files.get("/small.txt")
    frame = files.next()
    assert frame["headers"]["accept-ranges"] == "bytes"
    tag, date = frame["headers"]["etag"], frame["headers"]["last-modified"]
    for headers, status in (
        ({"range": "bytes=5-"}, 416),
        ({"range": "bytes=-0"}, 416),
        ({"range": "bytes=0-1,3-4"}, 200),
        ({"range": "bytes=-"}, 200),
        ({"range": "bytes=3-1"}, 200),
        ({"range": "lines=0-1"}, 200),
        ({"range": "bytes=0-1", "if-range": tag}, 206),
        ({"range": "bytes=0-1", "if-range": '"other"'}, 200),
        ({"range": "bytes=0-1", "if-range": date}, 200),
        ({"range": "bytes=0-1", "if-none-match": tag}, 304),
    ):
        files.get("/small.txt", headers=headers)
        frame = files.next()
        assert frame["status"] == status if status != 200 else frame["body"] == "small", headers
        assert ("content-range" in frame["headers"]) == (status in (206, 416)), headers
    files.send({"id": 1, "method": "HEAD", "path": "/small.txt", "headers": {"range": "bytes=0-1"}})
    assert files.next()["status"] == 200


@pytest.mark.parametrize("roots", [[], ["/nowhere"], ["part"]])
def test_a_big_file_elsewhere_is_sent_in_pieces(files, tmp_path, roots) -> None:
    # A folder whose name only begins alike does not hold the file.
    roots = [str(tmp_path)[:-1] if root == "part" else root for root in roots]
    hello: Any = {**HELLO, "limits": {"window": 1048576}, "roots": roots}
    files.send(hello)
    files.get("/big.bin")
    answer = files.answer()
    assert answer.body == (tmp_path / "big.bin").read_bytes()
    assert answer.headers["content-length"] == "200000"
    assert len(answer.frames) >= 4


def test_a_link_that_leads_out_of_the_folders_is_not_named(files, tmp_path, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "secret.bin").write_bytes(bytes(100000))
    (tmp_path / "link.bin").symlink_to(elsewhere / "secret.bin")
    files.send({**HELLO, "limits": {"window": 1048576}, "roots": [str(tmp_path)]})
    files.get("/link.bin")
    assert len(files.answer().body) == 100000


def test_a_folder_holds_what_really_lies_in_it(tmp_path) -> None:
    from nodey.exchange import allowed_file

    (tmp_path / "in").mkdir()
    (tmp_path / "out.bin").write_text("")
    (tmp_path / "in" / "link.bin").symlink_to(tmp_path / "out.bin")
    roots = [str(tmp_path / "in")]
    assert allowed_file(roots, str(tmp_path / "in" / "a.bin"))
    assert not allowed_file(roots, str(tmp_path / "in" / "link.bin"))
    assert not allowed_file(roots, str(tmp_path / "in" / ".." / "out.bin"))
    assert not allowed_file([], str(tmp_path / "in" / "a.bin"))


# ---------------------------------------------------------------- request bodies

BODIES = """
    import hashlib, nodey, os, resource
    {extra}
    @nodey.post("/whole")
    def whole(req): return hashlib.sha256(req.body).hexdigest()
    @nodey.post("/twice")
    def twice(req): return [len(req.body), len(req.text), len(req.json()[0])]
    @nodey.post("/form")
    def form(req):
        file = req.files["f"]
        saved = file.save({folder!r})
        read = file.open()
        read.seek(-3, 2)
        return [req.form()["a"], len(file), read.read().decode(), saved.stat().st_size,
                len(file.data), len(req.body)]
    @nodey.token("Size")
    def size(args): return len(args["text"])
    @nodey.post("/stream", stream=True)
    def stream(req): return [len(piece) for piece in req.stream()]
    @nodey.post("/part", stream=True)
    def part(req):
        next(iter(req.stream()))
        return len(req.body)
    @nodey.get("/quick")
    def quick(): return "quick"
    {last}
"""


@pytest.fixture(params=list(ENGINES))
def bodies(write, tmp_path, request) -> Worker:
    extra, last = ENGINES[request.param]
    (tmp_path / "saved").mkdir()
    folder = str(tmp_path / "saved")
    worker = write(BODIES.format(extra=extra, last=last, folder=folder))
    worker.ready()
    return worker


def upload(worker: Worker, path: str, data: bytes, **members: Any) -> Any:
    """Sends a body in pieces, within the credit; returns the answer."""
    worker.send({"id": 1, "method": "POST", "path": path, "more": True, **members})
    credit, sent = 262144, 0
    while sent < len(data):
        while credit < min(65536, len(data) - sent):
            frame = worker.next()
            assert frame["type"] == "credit" and frame["bytes"] >= 131072, frame
            credit += frame["bytes"]
        piece = data[sent : sent + 65536]
        body = base64.b64encode(piece).decode()
        worker.send('{"type":"chunk","id":1,"body64":"%s"}' % body)
        sent += len(piece)
        credit -= len(piece)
    worker.send({"type": "end", "id": 1})
    frame = worker.next()
    while frame.get("type") == "credit":
        frame = worker.next()
    return frame


@pytest.mark.parametrize("size", [0, 1, 65536, 300001, 3000000])
def test_a_body_in_pieces_is_the_body(bodies, size) -> None:
    import hashlib

    data = os.urandom(size)
    frame = upload(bodies, "/whole", data)
    assert frame["body"] == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("text", ["AAAA****", "AA", "AB==", "A=AA", "AAAAA", ""])
def test_base64_that_is_none_does_not_take_the_short_way(text) -> None:
    from nodey.codec import piece_of

    line = b'{"type":"chunk","id":7,"body64":"%s"}' % text.encode()
    assert piece_of(line, 0, len(line)) is None
    good = b'{"type":"chunk","id":7,"body64":"AP8="}'
    piece = piece_of(b"x" + good + b"\n", 1, 1 + len(good))
    assert piece is not None and (piece.id, piece.data) == (7, b"\x00\xff")


def test_text_and_json_of_a_body_in_pieces(bodies) -> None:
    data = json.dumps(["é" * 700000], ensure_ascii=False).encode()
    frame = upload(bodies, "/twice", data)
    assert frame["json"] == [1400004, 700004, 700000]


@pytest.mark.parametrize("size", [10, 100000, 3000000])
def test_a_form_in_pieces(bodies, size) -> None:
    kind = "multipart/form-data; boundary=XX"
    data = (
        b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
        b'--XX\r\nContent-Disposition: form-data; name="f"; filename="f.bin"\r\n\r\n'
        + b"x" * (size - 3)
        + b"end\r\n--XX--\r\n"
    )
    frame = upload(bodies, "/form", data, headers={"content-type": kind})
    assert frame["json"] == ["1", size, "end", size, size, len(data)]


def test_arguments_of_a_token_in_pieces(bodies) -> None:
    data = json.dumps({"text": "x" * 200000}).encode()
    assert upload(bodies, "/any", data, token="Size")["json"] == 200000


def test_a_handler_of_pieces_begins_before_the_body_is_there(write) -> None:
    worker = write(
        """
        import nodey
        @nodey.post("/", stream=True)
        def root(req):
            for piece in req.stream():
                yield piece.upper()
        """
    )
    worker.ready()
    worker.send({"id": 1, "method": "POST", "path": "/", "more": True, "body": "a"})
    assert worker.next()["body64"] == "QQ=="
    worker.send({"type": "chunk", "id": 1, "body": "b"})
    assert worker.next()["body64"] == "Qg=="
    worker.send({"type": "cancel", "id": 1, "reason": "disconnect"})
    assert worker.answer().last["code"] == "cancelled"
    assert worker.end() == 0 and worker.failures == []


def test_a_body_that_was_read_in_part_is_not_whole(bodies) -> None:
    frame = upload(bodies, "/part", b"x" * 100000)
    assert "has been read already" in frame["message"]


def test_a_body_that_breaks_off_is_never_taken_for_a_whole_one(bodies) -> None:
    bodies.send({"id": 1, "method": "POST", "path": "/whole", "more": True, "body": "abc"})
    bodies.send({"type": "cancel", "id": 1, "reason": "disconnect"})
    assert bodies.answer().last["code"] == "cancelled"
    bodies.send({"id": 2, "method": "POST", "path": "/whole", "more": True, "body": "abc"})
    bodies.close_input()
    assert bodies.answer(2).last["code"] == "cancelled"
    assert bodies.end() == 0 and bodies.failures == []


def test_slow_clients_hold_no_thread(write) -> None:
    worker = write(BODIES.format(extra="", last="nodey.start(threads=1)", folder="/tmp"))
    worker.ready()
    for id in (1, 2, 3):
        worker.send({"id": id, "method": "POST", "path": "/whole", "more": True, "body": "a"})
    worker.get("/quick", id=4)
    assert worker.next() == {"id": 4, "body": "quick"}
    for id in (3, 2, 1):
        worker.send({"type": "end", "id": id})
        assert worker.next()["id"] == id


def test_a_body_of_an_async_handler_of_pieces(write) -> None:
    worker = write(
        """
        import nodey
        @nodey.post("/early", stream=True)
        async def early(req): return len(req.body)
        @nodey.post("/sync", stream=True)
        async def sync(req): return list(req.stream())
        @nodey.post("/read", stream=True)
        async def read(req):
            stream = req.stream()
            first = await stream.read()
            async for piece in stream:
                pass
            return [first.decode(), stream.trailers]
        """
    )
    worker.ready()
    for path, words in (("/early", "async for piece in"), ("/sync", "async for piece in")):
        worker.send({"id": 1, "method": "POST", "path": path, "more": True})
        assert words in worker.next()["message"]
    worker.send({"id": 1, "method": "POST", "path": "/read", "more": True, "body": "a"})
    worker.send({"type": "end", "id": 1, "trailers": {"x-sum": "1"}})
    assert worker.next()["json"] == ["a", {"x-sum": "1"}]


def test_by_hand_there_is_no_credit_and_no_end(write, tmp_path: Path) -> None:
    worker = write(
        """
        import nodey
        @nodey.get("/")
        def root():
            for _ in range(40):
                yield b"x" * 65536
        """,
        mode="hand",
    )
    worker.get("/")
    worker.close_input()
    assert len(worker.answer().body) == 40 * 65536
    assert worker.end() == 0


def test_a_big_upload_stays_out_of_memory(write) -> None:
    worker = write(
        """
        import nodey
        def resident():
            with open("/proc/self/status") as status:
                fields = dict(line.split(":", 1) for line in status)
            return int(fields["RssAnon"].split()[0]) // 1024
        before = resident()
        @nodey.post("/")
        def root(req): return [len(req.files["f"]), resident() - before]
        """
    )
    worker.ready()
    data = (
        b'--XX\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
        + bytes(40 << 20)
        + b"\r\n--XX--\r\n"
    )
    kind = {"content-type": "multipart/form-data; boundary=XX"}
    size, grown = upload(worker, "/", data, headers=kind)["json"]
    assert size == 40 << 20 and grown < 16
