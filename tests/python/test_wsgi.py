"""WSGI apps over the worker protocol: PEP 3333, and what becomes one line."""

from __future__ import annotations

import base64
import hashlib
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import pytest
from process import Worker

Write = Callable[..., Worker]

ENVIRON = """
import json

def app(environ, start_response):
    shown = {key: value for key, value in environ.items() if isinstance(value, (str, bool, tuple))}
    shown["body"] = environ["wsgi.input"].read().decode("latin-1")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(shown).encode()]
"""


def body_of(frame: Dict[str, Any]) -> bytes:
    """The bytes of the body in a frame."""
    if "body" in frame:
        return frame["body"].encode()
    return base64.b64decode(frame.get("body64", ""))


def environ_for(write: Write, script: str = ENVIRON, **members: Any) -> Dict[str, Any]:
    import json

    worker = write(script)
    worker.ready()
    worker.send({"id": 1, "method": "GET", "path": "/", **members})
    frame = worker.next()
    assert frame["id"] == 1 and "body" in frame, frame
    environ: Dict[str, Any] = json.loads(frame["body"])
    return environ


def chunk(id: int, data: bytes, type: str = "chunk") -> Dict[str, Any]:
    return {"type": type, "id": id, "body64": base64.b64encode(data).decode()}


class Download:
    """Takes an answer in pieces, granting credit as a supervisor does, and checks that the
    worker stays within it."""

    def __init__(self, worker: Worker, window: int, step: int) -> None:
        self.worker, self.credit, self.step = worker, window, step
        self.frames: List[Dict[str, Any]] = []
        self.body = b""
        self.consumed = 0

    def run(self, id: int) -> Dict[str, Any]:
        """Until the last frame, which it returns."""
        while True:
            if self.credit == 0:
                assert self.worker.silent_for(0.1), "it sends without credit"
            if self.consumed >= self.step or self.credit == 0:
                self.worker.send({"type": "credit", "id": id, "bytes": self.consumed})
                self.credit += self.consumed
                self.consumed = 0
            frame = self.worker.next()
            self.frames.append(frame)
            data = body_of(frame)
            self.body += data
            self.credit -= len(data)
            self.consumed += len(data)
            assert self.credit >= 0, "it sends more than it may"
            assert len(data) <= 65536
            if frame.get("type") in ("end", "error") or not (frame.get("more") or "type" in frame):
                return frame


# ---------------------------------------------------------------------- environ


def test_the_environ_of_a_plain_request(write: Write) -> None:
    environ = environ_for(write, path="/a/b", ip="203.0.113.9", headers={"host": "shop.test:8080"})
    assert environ["REQUEST_METHOD"] == "GET"
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("", "/a/b")
    assert environ["QUERY_STRING"] == ""
    assert environ["REMOTE_ADDR"] == "203.0.113.9"
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("shop.test", "8080")
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["HTTP_HOST"] == "shop.test:8080"
    assert environ["wsgi.url_scheme"] == "http" and environ["wsgi.version"] == [1, 0]
    assert environ["wsgi.multithread"] is False and environ["wsgi.run_once"] is False
    assert environ["wsgi.input_terminated"] is True
    assert "CONTENT_LENGTH" not in environ and environ["body"] == ""


@pytest.mark.parametrize(
    "host, scheme, expected",
    [
        (None, None, ("localhost", "80")),
        ("shop.test", None, ("shop.test", "80")),
        ("shop.test", "https", ("shop.test", "443")),
        ("[::1]:90", "https", ("[::1]", "90")),
        ("[::1]", None, ("[::1]", "80")),
    ],
)
def test_the_server_is_who_was_asked_for(write: Write, host: Any, scheme: Any, expected: Any):
    members: Dict[str, Any] = {"headers": {"host": host} if host else {}}
    if scheme:
        members["scheme"] = scheme
    environ = environ_for(write, **members)
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == expected
    assert environ["wsgi.url_scheme"] == scheme or "http"


def test_the_path_is_decoded_to_bytes_and_shown_as_latin_1(write: Write) -> None:
    environ = environ_for(write, path="/caf%C3%A9/a%2Fb/%zz", query="x=%C3%A9&y")
    assert environ["PATH_INFO"].encode("latin-1") == "/café/a/b/%zz".encode()
    assert environ["QUERY_STRING"] == "x=%C3%A9&y"


def test_headers_become_keys(write: Write) -> None:
    headers = {
        "accept": ["text/html", "*/*"],
        "cookie": ["a=1", "b=2"],
        "x-user": "ann",
        "x_user": "mallory",
        "content-type": "text/x",
        "content-length": "2",
        "x-name": "caf\u00e9",
    }
    environ = environ_for(write, method="POST", headers=headers, body="hi")
    assert environ["HTTP_ACCEPT"] == "text/html, */*"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert environ["HTTP_X_USER"] == "ann", "a name with _ must not pass for one with -"
    assert environ["CONTENT_TYPE"] == "text/x" and environ["CONTENT_LENGTH"] == "2"
    assert "HTTP_CONTENT_TYPE" not in environ and "HTTP_CONTENT_LENGTH" not in environ
    assert environ["HTTP_X_NAME"] == "caf\u00e9"
    assert environ["body"] == "hi"


def test_a_body_that_came_in_chunks_has_a_length(write: Write) -> None:
    environ = environ_for(write, method="POST", body64="AAEC")
    assert environ["CONTENT_LENGTH"] == "3" and environ["body"] == "\x00\x01\x02"


@pytest.mark.parametrize(
    "path, expected",
    [
        ("/shop/cart", ("/shop", "/cart")),
        ("/shop", ("/shop", "")),
        ("/shopping", ("/shop", "/shopping")),
    ],
)
def test_what_stands_above_the_app(write: Write, path: str, expected: Any) -> None:
    script = ENVIRON + "\nimport nodey\nnodey.serve(app, root_path='/shop/')\n"
    environ = environ_for(write, script, path=path)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == expected


# -------------------------------------------------------------------- validator

VALIDATED = """
import sys
from wsgiref.validate import validator

@validator
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/boom":
        raise KeyError("boom")
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/write":
        write(b"written ")
    if path == "/pieces":
        return (piece for piece in [b"", b"one ", b"", b"two ", body])
    return [b"got ", body]
"""


def test_the_validator_has_nothing_to_say(write: Write) -> None:
    worker = write(VALIDATED)
    worker.ready()
    worker.get("/?a=1", id=1)
    # What comes through the validator is an iterator, of which nobody knows the length.
    assert [piece.get("body") for piece in worker.next_of(2)] == ["got ", None]
    post = {"method": "POST", "headers": {"content-length": "4"}, "body": "body"}
    worker.send({"id": 2, "path": "/", **post})
    assert [piece.get("body") for piece in worker.next_of(3)] == ["got ", "body", None]
    worker.send({"id": 3, "path": "/pieces", **post})
    pieces = worker.next_of(4)
    assert [piece.get("body") for piece in pieces] == ["one ", "two ", "body", None]
    worker.send({"id": 4, "path": "/write", **post})
    pieces = worker.next_of(4)
    assert "".join(piece.get("body", "") for piece in pieces) == "written got body"
    worker.get("/boom", id=5)
    assert worker.next()["message"] == "KeyError: 'boom'"
    assert worker.end() == 0
    assert worker.errors() == ""


# ------------------------------------------------------------- what is one line


def answers(write: Write, text: str, **members: Any) -> List[Dict[str, Any]]:
    """All frames of the answer of an app whose body is this text."""
    lines = "\n".join("    " + line for line in text.strip().splitlines())
    worker = write(f"import sys\ndef app(environ, start_response):\n{lines}\n")
    worker.ready()
    worker.get("/", **members)
    frames = [worker.next()]
    while frames[0].get("more") and frames[-1].get("type") not in ("end", "error"):
        frames.append(worker.next())
    assert worker.end() == 0
    return frames


def test_a_list_is_one_line(write: Write) -> None:
    frames = answers(write, 'start_response("200 OK", [])\nreturn [b"a", b"", b"b"]')
    assert frames == [{"id": 1, "headers": {}, "body64": "YWI="}]


def test_an_iterator_that_keeps_its_promise_is_one_line(write: Write) -> None:
    text = """
start_response("201 Created", [("Content-Length", "3"), ("Content-Type", "text/plain")])
return iter([b"", b"abc", b""])
"""
    headers = {"content-length": "3", "content-type": "text/plain"}
    assert answers(write, text) == [{"id": 1, "status": 201, "headers": headers, "body": "abc"}]


def test_nothing_is_one_line(write: Write) -> None:
    frames = answers(write, 'start_response("204 No Content", [])\nreturn iter(())')
    assert frames == [{"id": 1, "status": 204, "headers": {}}]


def test_fields_of_the_same_name_stay_apart(write: Write) -> None:
    text = """
start_response("200 OK", [("Set-Cookie", "a=1"), ("set-cookie", "b=2"), ("SET-COOKIE", "c=3"),
                          ("Connection", "close"), ("X-Name", "caf\\u00e9")])
return []
"""
    headers = {"set-cookie": ["a=1", "b=2", "c=3"], "x-name": "caf\u00e9"}
    assert answers(write, text) == [{"id": 1, "headers": headers}]


def test_an_unusual_reason_is_kept(write: Write) -> None:
    frames = answers(write, 'start_response("404 Gone fishing", [])\nreturn []')
    assert frames == [{"id": 1, "status": 404, "reason": "Gone fishing", "headers": {}}]


@pytest.mark.parametrize(
    "kind, body, expected",
    [
        ("text/html; charset=utf-8", "é".encode(), {"body": "é"}),
        ("application/json", b'"\\n"', {"body": '"\\n"'}),
        ("application/problem+json", b"{}", {"body": "{}"}),
        ("image/svg+xml", b"<svg/>", {"body": "<svg/>"}),
        ("text/html", b"\xe9", {"body64": "6Q=="}),
        ("image/png", b"PNG", {"body64": "UE5H"}),
        ("application/octet-stream", b"\0\0", {"body64": "AAA="}),
    ],
)
def test_text_is_sent_as_text(write: Write, kind: str, body: bytes, expected: Any) -> None:
    text = f'start_response("200 OK", [("Content-Type", {kind!r})])\nreturn [{body!r}]'
    (frame,) = answers(write, text)
    assert {key: value for key, value in frame.items() if key.startswith("body")} == expected


def test_the_first_piece_of_a_stream_does_not_wait_for_the_second(write: Write, tmp_path: Path):
    worker = write(
        """
        import os, time
        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            yield b"first"
            while not os.path.exists("go"):
                time.sleep(0.01)
            yield b"second"
        """,
        cwd=tmp_path,
    )
    worker.ready()
    worker.get("/")
    assert worker.next()["body"] == "first"
    assert worker.silent_for(0.2)
    (tmp_path / "go").touch()
    assert worker.next()["body"] == "second"
    assert worker.next() == {"type": "end", "id": 1}


def test_no_more_is_sent_than_was_promised(write: Write) -> None:
    text = """
start_response("200 OK", [("Content-Length", "3"), ("Content-Type", "text/plain")])
return iter([b"a", b"bcd", b"e"])
"""
    frames = answers(write, text)
    assert "".join(frame.get("body", "") for frame in frames) == "abc"


@pytest.mark.parametrize("members", ["streaming = False", "def __len__(self): return 1"])
def test_an_answer_does_not_wait_for_what_the_app_does_afterwards(
    write: Write, tmp_path: Path, members: str
) -> None:
    """Whether it is known as a whole at once, or when its promised length has come."""
    worker = write(
        """
        import os, time
        class Body(list):
            MEMBERS
            def close(self):
                while not os.path.exists("go"):
                    time.sleep(0.01)
                print("closed")
        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
            return Body([b"hi"])
        """.replace("MEMBERS", members),
        cwd=tmp_path,
    )
    worker.ready()
    worker.get("/")
    assert worker.next()["body"] == "hi"
    (tmp_path / "go").touch()
    assert worker.end() == 0
    assert "closed" in worker.errors()


# ----------------------------------------------------------------------- errors


def test_an_exception_is_answered_and_logged(write: Write) -> None:
    worker = write("def app(environ, start_response):\n    1 / 0\n", env={"NODEY_DEV": "1"})
    worker.ready()
    worker.get("/x")
    frame = worker.next()
    assert frame["code"] == "internal" and frame["message"].startswith("ZeroDivisionError")
    assert "1 / 0" in frame["stack"] and "wsgi.py" not in frame["stack"]
    assert worker.failures[0]["message"].startswith("GET /x failed in app")


@pytest.mark.parametrize(
    "text, message",
    [
        ('return []', "has not called start_response"),
        ('start_response(200, [])', "the status is a str"),
        ('start_response("OK", [])', "the status is '200 OK' or the like, not 'OK'"),
        ('start_response("200 OK", [("a", 1)])', "header a is a str, not int"),
        ('start_response("200 OK", [("a", "b\\r\\nc: d")])', "line break"),
        ('start_response("200 OK", [("a", "\\u20ac")])', "above U+00FF"),
        ('start_response("200 OK", []); start_response("200 OK", [])', "a second time"),
        ('start_response("200 OK", [])\nreturn iter(["text"])', "pieces of bytes, not str"),
    ],
)
def test_mistakes_are_explained(write: Write, text: str, message: str) -> None:
    frame = answers(write, text)[-1]
    assert frame["type"] == "error" and message in frame["message"], frame


def test_an_error_page_takes_the_place_of_an_answer_that_has_not_begun(write: Write) -> None:
    text = """
start_response("200 OK", [("A", "1")])
try:
    1 / 0
except ZeroDivisionError:
    start_response("500 Oops", [("Content-Type", "text/plain")], sys.exc_info())
return [b"sorry"]
"""
    (frame,) = answers(write, text)
    assert (frame["status"], frame["body"]) == (500, "sorry") and "a" not in frame["headers"]


def test_an_error_after_the_beginning_breaks_the_answer(write: Write) -> None:
    text = """
write = start_response("200 OK", [("Content-Type", "text/plain")])
write(b"half")
try:
    1 / 0
except ZeroDivisionError:
    start_response("500 Oops", [], sys.exc_info())
"""
    head, error = answers(write, text)
    assert head["body"] == "half" and head["more"] is True
    assert error["type"] == "error" and error["message"].startswith("ZeroDivisionError")


CLOSING = """
class Body:
    def __init__(self, path):
        self.path, self.count = path, 0
    def __iter__(self):
        return self
    def __next__(self):
        self.count += 1
        if self.path == "/boom" and self.count == 3:
            raise ValueError("no more")
        if self.path == "/short" and self.count == 3:
            raise StopIteration
        return b"x" * 50000
    def close(self):
        print(f"closed {self.path} after {self.count}")

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "image/png")])
    return Body(environ["PATH_INFO"])
"""


def test_what_is_iterated_is_closed(write: Write) -> None:
    worker = write(CLOSING)
    worker.ready()
    worker.get("/short", id=1)
    assert Download(worker, 262144, 1).run(1)["type"] == "end"
    worker.get("/boom", id=2)
    assert Download(worker, 262144, 1).run(2)["message"] == "ValueError: no more"
    worker.end()
    assert worker.errors().split("\n")[:2] == ["closed /short after 3", "closed /boom after 3"]


def test_a_client_that_leaves_ends_the_iteration(write: Write) -> None:
    worker = write(CLOSING)
    worker.ready()
    worker.get("/endless", id=1)
    head = worker.next()
    assert head["more"] is True
    worker.send({"type": "cancel", "id": 1, "reason": "disconnect"})
    while True:
        frame = worker.next()
        if frame["type"] == "error":
            break
    assert frame["code"] == "cancelled" and not worker.failures
    worker.end()
    assert "closed /endless after" in worker.errors()


def test_the_process_may_be_ended(write: Write) -> None:
    worker = write("import sys\ndef app(environ, start_response):\n    sys.exit(3)\n")
    worker.ready()
    worker.get("/")
    assert "sys.exit(3)" in worker.next()["message"]
    assert worker.wait() == 3


# ---------------------------------------------------------------- flow of bytes


def test_a_long_answer_waits_for_credit(write: Write) -> None:
    worker = write(
        """
        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "image/png")])
            return (bytes([i % 251]) * 100000 for i in range(20))
        """
    )
    worker.ready()
    worker.send({"type": "hello", "protocol": 1, "limits": {"window": 131072, "chunk": 65536}})
    worker.get("/")
    download = Download(worker, 131072, 65536)
    assert download.run(1) == {"type": "end", "id": 1}
    expected = b"".join(bytes([i % 251]) * 100000 for i in range(20))
    assert hashlib.sha256(download.body).digest() == hashlib.sha256(expected).digest()


@pytest.mark.parametrize("size", [65536, 65537, 1000000])
def test_a_long_list_is_sent_whole(write: Write, size: int) -> None:
    worker = write(
        f"""
        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "image/png")])
            return [b"x" * {size}]
        """
    )
    worker.ready()
    worker.get("/")
    frame = worker.next()
    if not frame.get("more"):
        assert body_of(frame) == b"x" * size
        return
    assert frame["headers"]["content-length"] == str(size)
    download = Download(worker, 262144 - len(body_of(frame)), 65536)
    download.run(1)
    assert len(body_of(frame)) + len(download.body) == size


UPLOAD = """
import hashlib

def app(environ, start_response):
    body = environ["wsgi.input"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/lines":
        return [repr([body.readline(), body.readlines(10), next(iter(body)), body.read()]).encode()]
    if environ["PATH_INFO"] == "/early":
        return [b"no need"]
    digest, size = hashlib.sha256(), 0
    left = int(environ["CONTENT_LENGTH"])
    while size < left:
        piece = body.read(min(100000, left - size))
        if not piece:
            break
        size += len(piece)
        digest.update(piece)
    return [f"{size} {digest.hexdigest()}".encode()]
"""


def upload(worker: Worker, data: bytes, headers: Dict[str, str], path: str = "/") -> str:
    """Sends a body within the credit that is granted; returns the text of the answer."""
    window = worker.ready().get("window", 262144)
    send = {"id": 1, "method": "POST", "path": path, "headers": headers, "more": True}
    worker.send(send)
    sent = granted = 0
    while sent < len(data):
        while granted + window <= sent:
            frame = worker.next()
            assert frame["type"] == "credit" and frame["bytes"] >= window // 2, frame
            granted += frame["bytes"]
        size = min(65536, len(data) - sent, granted + window - sent)
        worker.send(chunk(1, data[sent : sent + size]))
        sent += size
    worker.send({"type": "end", "id": 1})
    while True:
        frame = worker.next()
        if frame.get("type") != "credit":
            return str(frame["body"])


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 1500001])
def test_an_upload_in_pieces(write: Write, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    text = upload(write(UPLOAD), data, {"content-length": str(size)})
    assert text == f"{size} {hashlib.sha256(data).hexdigest()}"


def test_an_upload_of_unknown_length_is_given_one(write: Write) -> None:
    """Frameworks read as much as the length says, and nothing when there is none."""
    data = bytes(range(256)) * 5000
    assert upload(write(UPLOAD), data, {}) == f"{len(data)} {hashlib.sha256(data).hexdigest()}"


def test_lines_of_a_body_in_pieces(write: Write) -> None:
    data = b"one\ntwo\nthree three\nfour\nrest\nof it"
    text = upload(write(UPLOAD), data, {"content-length": str(len(data))}, "/lines")
    assert text == repr([b"one\n", [b"two\n", b"three three\n"], b"four\n", b"rest\nof it"])


def test_an_answer_may_come_before_the_body(write: Write) -> None:
    worker = write(UPLOAD)
    worker.ready()
    head = {"method": "POST", "more": True, "headers": {"content-length": "9"}}
    worker.send({"id": 1, "path": "/early", **head}, chunk(1, b"abc"))
    assert worker.next()["body"] == "no need"
    worker.send(chunk(1, b"def"), {"id": 2, "method": "GET", "path": "/early"})
    assert worker.next() == {"id": 2, "headers": {"content-type": "text/plain"}, "body": "no need"}


def test_a_client_that_leaves_while_it_sends_is_an_oserror(write: Write) -> None:
    worker = write(
        """
        def app(environ, start_response):
            try:
                environ["wsgi.input"].read()
            except OSError as exc:
                print("seen", type(exc).__name__)
                raise
        """
    )
    worker.ready()
    head = {"method": "POST", "path": "/", "more": True, "headers": {"content-length": "9"}}
    worker.send({"id": 1, **head}, chunk(1, b"abc"))
    time.sleep(0.1)
    worker.send({"type": "cancel", "id": 1, "reason": "disconnect"})
    assert worker.next()["code"] == "cancelled"
    worker.end()
    assert "seen ConnectionAbortedError" in worker.errors() and not worker.failures


# ------------------------------------------------------------------------ files

FILES = """
import os

class Odd:
    def __init__(self, file):
        self.read = file.read

def app(environ, start_response):
    name = environ["QUERY_STRING"] or "data.bin"
    file = open(name, "rb")
    if environ["PATH_INFO"] == "/rest":
        file.seek(10)
    if environ["PATH_INFO"] == "/odd":
        file = Odd(file)
    headers = [("Content-Type", "image/png")]
    if environ["PATH_INFO"] == "/length":
        headers.append(("Content-Length", "7"))
    if environ["PATH_INFO"] == "/gone":
        os.rename(name, "other.bin")
    if environ["PATH_INFO"] == "/another":
        os.rename(name, "other.bin")
        open(name, "w").write("not what was opened")
    start_response("200 OK", headers)
    return environ["wsgi.file_wrapper"](file, 1000)
"""


def file_answer(write: Write, folder: Path, path: str, roots: List[str]) -> List[Dict[str, Any]]:
    data = bytes(range(256)) * 10
    (folder / "data.bin").write_bytes(data)
    worker = write(FILES, cwd=folder)
    worker.ready()
    worker.send({"type": "hello", "protocol": 1, "limits": {}, "roots": roots})
    worker.get(path)
    frames = [worker.next()]
    while frames[0].get("more") and frames[-1].get("type") != "end":
        frames.append(worker.next())
    return frames


@pytest.mark.parametrize(
    "path, members",
    [
        ("/", {}),
        ("/rest", {"offset": 10}),
        ("/length", {"length": 7}),
    ],
)
def test_a_file_is_sent_by_nodey(write: Write, tmp_path: Path, path: str, members: Any) -> None:
    (frame,) = file_answer(write, tmp_path, path, [str(tmp_path)])
    assert frame["headers"]["content-type"] == "image/png"
    assert frame["file"] == str(tmp_path / "data.bin")
    found = {key: frame[key] for key in ("offset", "length") if frame.get(key)}
    assert found == members


@pytest.mark.parametrize(
    "path, root", [("/", None), ("/", "elsewhere"), ("/odd", "."), ("/gone", "."), ("/another", ".")]
)
def test_any_other_file_is_read(
    write: Write, tmp_path: Path, path: str, root: Optional[str]
) -> None:
    roots = [] if root is None else [str((tmp_path / root).resolve())]
    frames = file_answer(write, tmp_path, path, roots)
    assert "file" not in frames[0]
    assert b"".join(map(body_of, frames)) == bytes(range(256)) * 10


# ---------------------------------------------------------------------- threads

SLEEPY = """
import threading
both = threading.Barrier(2, timeout=20)

def app(environ, start_response):
    both.wait()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(environ["wsgi.multithread"]).encode()]
"""


def test_threads_by_configuration(write: Write) -> None:
    worker = write(SLEEPY, env={"NODEY_THREADS": "2"})
    assert worker.ready()["concurrency"] == 2
    worker.get("/", id=1)
    worker.get("/", id=2)
    assert [frame["body"] for frame in worker.next_of(2)] == ["True", "True"]


def test_the_script_has_the_last_word_on_threads(write: Write) -> None:
    script = SLEEPY + "\nimport nodey\nnodey.serve(app, threads=3)\n"
    assert write(script, env={"NODEY_THREADS": "2"}).ready()["concurrency"] == 3


def test_uploads_and_downloads_in_threads(write: Write) -> None:
    data = bytes(range(256)) * 4000
    worker = write(UPLOAD, env={"NODEY_THREADS": "2"})
    text = upload(worker, data, {"content-length": str(len(data))})
    assert text == f"{len(data)} {hashlib.sha256(data).hexdigest()}"


# ------------------------------------------------------------------------ drain


def test_a_stream_of_events_ends_when_nodey_drains(write: Write) -> None:
    worker = write(
        """
        import time
        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/event-stream")])
            while True:
                yield b"data: 1\\n\\n"
                time.sleep(0.02)
        """
    )
    worker.ready()
    worker.get("/")
    assert worker.next()["body"] == "data: 1\n\n"
    worker.send({"type": "drain", "grace": 10000})
    while True:
        frame = worker.next()
        if frame["type"] == "end":
            break
        assert frame["type"] == "chunk"
    assert worker.wait() == 0
