"""Requests that no honest client sends: each is refused, and the next client is served.

From RFC 9112 and the classes of request smuggling.  A case is its name, its bytes, and the
statuses that are right.  After a refusal the connection must end, and nothing that was
hidden behind the bad part may be taken for a request.
"""

from __future__ import annotations

import socket
from typing import Callable, Iterator, NamedTuple

import pytest

from app import App
from client import Connection, parse_head
from timing import slow

Nodey = Callable[..., App]

# Says what it got, so that a smuggled request would show itself.
ECHO = '''
import nodey

@nodey.route("/*", methods=[])
def echo(req):
    return f"reached {req.method} {req.path}"
'''

CONFIG = '''
[server]
max_body = "64K"
max_head = "8K"
max_target = "2K"
max_headers = 40
header_timeout = "1s"
body_timeout = "1s"
'''


class Case(NamedTuple):
    name: str
    data: bytes
    statuses: tuple[int, ...] = (400,)


HOST = b"Host: nodey.test\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: nodey.test\r\n\r\n"


def line(text: bytes) -> bytes:
    """A request with this first line."""
    return text + b"\r\n" + HOST + b"\r\n"


def get(fields: bytes) -> bytes:
    """A GET with these lines beside Host."""
    return b"GET /x HTTP/1.1\r\n" + HOST + fields + b"\r\n"


def post(fields: bytes, body: bytes = b"") -> bytes:
    """A POST with these lines beside Host, and another request behind its body."""
    return b"POST /x HTTP/1.1\r\n" + HOST + fields + b"\r\n" + body + SMUGGLED


def chunks(body: bytes) -> bytes:
    """A chunked POST with this wire body, and another request behind it."""
    return post(b"Transfer-Encoding: chunked\r\n", body)


REQUEST_LINE = [
    Case("no version", line(b"GET /x")),
    Case("only a method", line(b"GET")),
    Case("empty method", line(b" /x HTTP/1.1")),
    Case("two spaces after the method", line(b"GET  /x HTTP/1.1")),
    Case("two spaces before the version", line(b"GET /x  HTTP/1.1")),
    Case("blank before the method", line(b" GET /x HTTP/1.1")),
    Case("tab after the method", line(b"GET\t/x HTTP/1.1")),
    Case("tab before the version", line(b"GET /x\tHTTP/1.1")),
    Case("blank behind the version", line(b"GET /x HTTP/1.1 ")),
    Case("tab behind the version", line(b"GET /x HTTP/1.1\t")),
    Case("a word behind the version", line(b"GET /x HTTP/1.1 more")),
    Case("space in the target", line(b"GET /x y HTTP/1.1")),
    Case("vertical tab for a space", line(b"GET\x0b/x HTTP/1.1")),
    Case("form feed for a space", line(b"GET /x\x0cHTTP/1.1")),
    Case("NUL in the target", line(b"GET /x\0y HTTP/1.1")),
    Case("control character in the target", line(b"GET /x\x01 HTTP/1.1")),
    Case("DEL in the target", line(b"GET /x\x7f HTTP/1.1")),
    Case("bare UTF-8 in the target", line(b"GET /caf\xc3\xa9 HTTP/1.1")),
    Case("bare 0xFF in the target", line(b"GET /\xff HTTP/1.1")),
    Case("fragment in the target", line(b"GET /x#y HTTP/1.1")),
    Case("relative target", line(b"GET x HTTP/1.1")),
    Case("empty target", line(b"GET  HTTP/1.1")),
    Case("asterisk for GET", line(b"GET * HTTP/1.1")),
    Case("backslash target", line(b"GET \\x HTTP/1.1")),
    Case("unknown scheme", line(b"GET ftp://nodey.test/x HTTP/1.1")),
    Case("URL without a host", line(b"GET http:///x HTTP/1.1")),
    Case("URL with a user", line(b"GET http://user@nodey.test/x HTTP/1.1")),
    Case("URL with a bad port", line(b"GET http://nodey.test:99999/x HTTP/1.1")),
    Case("percent at the end", line(b"GET /x% HTTP/1.1")),
    Case("percent with one digit", line(b"GET /x%2 HTTP/1.1")),
    Case("percent without digits", line(b"GET /%zz HTTP/1.1")),
    Case("encoded NUL", line(b"GET /x%00 HTTP/1.1")),
    Case("%u escape", line(b"GET /%u002e HTTP/1.1")),
    Case("method that is no token", line(b"G@T /x HTTP/1.1")),
    Case("method with a NUL", line(b"GE\0T /x HTTP/1.1")),
    Case("method in quotes", line(b'"GET" /x HTTP/1.1')),
    Case("unknown method", line(b"BREW /x HTTP/1.1"), (501,)),
    Case("lower-case method", line(b"get /x HTTP/1.1"), (501,)),
    Case("CONNECT", line(b"CONNECT nodey.test:443 HTTP/1.1"), (501,)),
    Case("method of RTSP", line(b"DESCRIBE /x HTTP/1.1"), (501,)),
    Case("endless method", b"A" * 20000, (400, 414)),
    Case("target that is too long", line(b"GET /" + b"a" * 3000 + b" HTTP/1.1"), (414,)),
    Case("endless target", b"GET /" + b"a" * 20000, (414,)),
    Case("query that is too long", line(b"GET /?" + b"a" * 3000 + b" HTTP/1.1"), (414,)),
]

VERSION = [
    Case("lower-case version", line(b"GET /x http/1.1")),
    Case("no number", line(b"GET /x HTTP/")),
    Case("no minor number", line(b"GET /x HTTP/1")),
    Case("minor number missing", line(b"GET /x HTTP/1.")),
    Case("major number missing", line(b"GET /x HTTP/.1")),
    Case("three numbers", line(b"GET /x HTTP/1.1.1")),
    Case("comma for a dot", line(b"GET /x HTTP/1,1")),
    Case("letter behind the number", line(b"GET /x HTTP/1.1a")),
    Case("sign before the number", line(b"GET /x HTTP/+1.1")),
    Case("another protocol", line(b"GET /x ICE/1.0")),
    Case("HTTP/0.9", line(b"GET /x HTTP/0.9"), (505,)),
    Case("HTTP/1.2", line(b"GET /x HTTP/1.2"), (505,)),
    Case("HTTP/1.10", line(b"GET /x HTTP/1.10"), (505,)),
    Case("HTTP/01.1", line(b"GET /x HTTP/01.1"), (505,)),
    Case("HTTP/2.0", line(b"GET /x HTTP/2.0"), (505,)),
    Case("HTTP/9999.1", line(b"GET /x HTTP/9999.1"), (505,)),
    Case("preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (505,)),
    Case("TLS on a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 500),
]

LINE_ENDS = [
    Case("request line ends with LF", b"GET /x HTTP/1.1\n" + HOST + b"\r\n"),
    Case("field ends with LF", b"GET /x HTTP/1.1\r\nHost: nodey.test\nX: y\r\n\r\n"),
    Case("all lines end with LF", b"GET /x HTTP/1.1\nHost: nodey.test\n\n"),
    Case("head ends with LF", b"GET /x HTTP/1.1\r\n" + HOST + b"\n" + SMUGGLED),
    Case("head ends with LF LF", b"GET /x HTTP/1.1\r\nHost: nodey.test\n\n" + SMUGGLED),
    Case("lines end with CR", b"GET /x HTTP/1.1\rHost: nodey.test\r\r\n\r\n"),
    Case("CR in a value", get(b"X: a\rY: b\r\n")),
    Case("CR before CRLF", get(b"X: a\r\r\n")),
    Case("CR before the last CRLF", b"GET /x HTTP/1.1\r\n" + HOST + b"\r\r\n" + SMUGGLED),
    Case("LF CR for CRLF", b"GET /x HTTP/1.1\n\r" + HOST + b"\n\r"),
    Case("three empty lines in front", b"\r\n\r\n\r\n" + SMUGGLED),
    Case("LF in front", b"\n" + SMUGGLED),
    Case("blank line in front", b" \r\n" + SMUGGLED),
]

FIELDS = [
    Case("folded line", get(b"X: a\r\n b\r\n")),
    Case("line folded with a tab", get(b"X: a\r\n\tb\r\n")),
    Case("folded Content-Length", post(b"Content-Length:\r\n 5\r\n", b"hello")),
    Case("folded Transfer-Encoding", post(b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n")),
    Case("first line is folded", b"GET /x HTTP/1.1\r\n " + HOST + HOST + b"\r\n"),
    Case("space before the colon", get(b"X : a\r\n")),
    Case("tab before the colon", get(b"X\t: a\r\n")),
    Case("space in the name", get(b"X Y: a\r\n")),
    Case("empty name", get(b": a\r\n")),
    Case("no colon", get(b"nonsense\r\n")),
    Case("parenthesis in the name", get(b"X(): a\r\n")),
    Case("quotes around the name", get(b'"X": a\r\n')),
    Case("slash in the name", get(b"X/Y: a\r\n")),
    Case("UTF-8 in the name", get(b"X\xc3\xa9: a\r\n")),
    Case("NUL in the name", get(b"X\0: a\r\n")),
    Case("control character in the name", get(b"X\x01: a\r\n")),
    Case("NUL in the value", get(b"X: a\0b\r\n")),
    Case("control character in the value", get(b"X: a\x01b\r\n")),
    Case("vertical tab in the value", get(b"X: a\x0bb\r\n")),
    Case("form feed in the value", get(b"X: \x0ca\r\n")),
    Case("escape in the value", get(b"X: \x1b[31m\r\n")),
    Case("DEL in the value", get(b"X: a\x7f\r\n")),
    Case("too many fields", get(b"X: y\r\n" * 50), (431,)),
    Case("a field that is too large", get(b"X: " + b"a" * 9000 + b"\r\n"), (431,)),
    Case("an endless field", b"GET /x HTTP/1.1\r\nX: " + b"a" * 20000, (431,)),
    Case("an endless name", b"GET /x HTTP/1.1\r\n" + b"a" * 20000, (431,)),
    Case("many fields that are too much", get(b"".join(b"X%d: %s\r\n" % (i, b"a" * 400)
                                                       for i in range(30))), (431,)),
    Case("Connection names very many", get(b"Connection: " + b",".join([b"x"] * 60) + b"\r\n")),
]

HOSTS = [
    Case("no Host", b"GET /x HTTP/1.1\r\n\r\n"),
    Case("no Host, but others", b"GET /x HTTP/1.1\r\nX: y\r\n\r\n"),
    Case("empty Host", b"GET /x HTTP/1.1\r\nHost:\r\n\r\n"),
    Case("the same Host twice", get(HOST)),
    Case("two Hosts", get(b"Host: evil.test\r\n")),
    Case("two Hosts in HTTP/1.0", b"GET /x HTTP/1.0\r\n" + HOST + b"Host: evil.test\r\n\r\n"),
    Case("Host with a space", b"GET /x HTTP/1.1\r\nHost: a b\r\n\r\n"),
    Case("Host is a list", b"GET /x HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    Case("Host with a path", b"GET /x HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    Case("Host with a user", b"GET /x HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    Case("Host is a URL", b"GET /x HTTP/1.1\r\nHost: http://a\r\n\r\n"),
    Case("Host with a word for a port", b"GET /x HTTP/1.1\r\nHost: a:http\r\n\r\n"),
    Case("Host with a large port", b"GET /x HTTP/1.1\r\nHost: a:70000\r\n\r\n"),
    Case("Host with two ports", b"GET /x HTTP/1.1\r\nHost: a:80:80\r\n\r\n"),
    Case("Host is only a port", b"GET /x HTTP/1.1\r\nHost: :80\r\n\r\n"),
    Case("Host with an open bracket", b"GET /x HTTP/1.1\r\nHost: [::1\r\n\r\n"),
    Case("Host with nonsense in brackets", b"GET /x HTTP/1.1\r\nHost: [x]\r\n\r\n"),
    Case("Host with markup", b"GET /x HTTP/1.1\r\nHost: a<b>\r\n\r\n"),
    Case("Host in UTF-8", b"GET /x HTTP/1.1\r\nHost: caf\xc3\xa9\r\n\r\n"),
    Case("URL without Host", b"GET http://nodey.test/x HTTP/1.1\r\n\r\n"),
]

LENGTHS = [
    Case("plus sign", post(b"Content-Length: +5\r\n", b"hello")),
    Case("minus sign", post(b"Content-Length: -5\r\n", b"hello")),
    Case("minus zero", post(b"Content-Length: -0\r\n")),
    Case("a list of equals", post(b"Content-Length: 5, 5\r\n", b"hello")),
    Case("a list of others", post(b"Content-Length: 5, 6\r\n", b"hello")),
    Case("a comma at the end", post(b"Content-Length: 5,\r\n", b"hello")),
    Case("two equal fields", post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello")),
    Case("two other fields", post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello")),
    Case("two numbers", post(b"Content-Length: 5 5\r\n", b"hello")),
    Case("hexadecimal", post(b"Content-Length: 0x5\r\n", b"hello")),
    Case("a fraction", post(b"Content-Length: 5.0\r\n", b"hello")),
    Case("an exponent", post(b"Content-Length: 5e0\r\n", b"hello")),
    Case("a word", post(b"Content-Length: five\r\n", b"hello")),
    Case("a letter behind", post(b"Content-Length: 5a\r\n", b"hello")),
    Case("an underscore", post(b"Content-Length: 1_0\r\n", b"0123456789")),
    Case("empty", post(b"Content-Length:\r\n", b"hello")),
    Case("only blanks", post(b"Content-Length:   \r\n", b"hello")),
    Case("2^64", post(b"Content-Length: 18446744073709551616\r\n")),
    Case("2^64 + 5", post(b"Content-Length: 18446744073709551621\r\n", b"hello")),
    Case("forty digits", post(b"Content-Length: " + b"9" * 40 + b"\r\n")),
    Case("full-width digits", post("Content-Length: \uff15\r\n".encode(), b"hello")),
    Case("in quotes", post(b'Content-Length: "5"\r\n', b"hello")),
    Case("with a control character", post(b"Content-Length: \x0b5\r\n", b"hello")),
    Case("space before its colon", post(b"Content-Length : 5\r\n", b"hello")),
    Case("more than is accepted", post(b"Content-Length: 65537\r\n"), (413,)),
    Case("far more than is accepted", post(b"Content-Length: 9999999999999\r\n"), (413,)),
    Case("none in an old POST", b"POST /x HTTP/1.0\r\n\r\nhello", (411,)),
]

BODY = b"0\r\n\r\n"

CODINGS = [
    Case("beside a length", post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", BODY)),
    Case("before a length", post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", BODY)),
    Case("twice", post(b"Transfer-Encoding: chunked\r\n" * 2, BODY)),
    Case("two fields", post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", BODY),
         (400, 501)),
    Case("two fields, the other way",
         post(b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n", BODY), (400, 501)),
    Case("chunked, chunked", post(b"Transfer-Encoding: chunked, chunked\r\n", BODY)),
    Case("chunked not last", post(b"Transfer-Encoding: chunked, gzip\r\n", BODY)),
    Case("chunked and identity", post(b"Transfer-Encoding: chunked, identity\r\n", BODY)),
    Case("comma behind", post(b"Transfer-Encoding: chunked,\r\n", BODY)),
    Case("comma in front", post(b"Transfer-Encoding: ,chunked\r\n", BODY)),
    Case("empty coding", post(b"Transfer-Encoding:\r\n", BODY)),
    Case("vertical tab in front", post(b"Transfer-Encoding: \x0bchunked\r\n", BODY)),
    Case("space before colon", post(b"Transfer-Encoding : chunked\r\n", BODY)),
    Case("tab before colon", post(b"Transfer-Encoding\t: chunked\r\n", BODY)),
    Case("NUL behind", post(b"Transfer-Encoding: chunked\0\r\n", BODY)),
    Case("LF in front", post(b"Foo: x\nTransfer-Encoding: chunked\r\n", BODY)),
    Case("in HTTP/1.0",
         b"POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY + SMUGGLED),
    Case("gzip before", post(b"Transfer-Encoding: gzip, chunked\r\n", BODY), (501,)),
    Case("gzip alone", post(b"Transfer-Encoding: gzip\r\n", BODY), (501,)),
    Case("identity", post(b"Transfer-Encoding: identity\r\n", BODY), (400, 501)),
    Case("cow", post(b"Transfer-Encoding: cow\r\n", BODY), (501,)),
    Case("xchunked", post(b"Transfer-Encoding: xchunked\r\n", BODY), (501,)),
    Case("chunkedx", post(b"Transfer-Encoding: chunkedx\r\n", BODY), (400, 501)),
    Case("chunked in quotes", post(b'Transfer-Encoding: "chunked"\r\n', BODY), (400, 501)),
    Case("chunked with a parameter", post(b"Transfer-Encoding: chunked;q=1\r\n", BODY), (400, 501)),
]

CHUNKS = [
    Case("size with 0x", chunks(b"0x5\r\nhello\r\n0\r\n\r\n")),
    Case("size with a plus", chunks(b"+5\r\nhello\r\n0\r\n\r\n")),
    Case("size with a minus", chunks(b"-5\r\nhello\r\n0\r\n\r\n")),
    Case("size is empty", chunks(b"\r\nhello\r\n0\r\n\r\n")),
    Case("size is a word", chunks(b"xyz\r\nhello\r\n0\r\n\r\n")),
    Case("blank before the size", chunks(b" 5\r\nhello\r\n0\r\n\r\n")),
    Case("blank behind the size", chunks(b"5 \r\nhello\r\n0\r\n\r\n")),
    Case("tab behind the size", chunks(b"5\t\r\nhello\r\n0\r\n\r\n")),
    Case("underscore in the size", chunks(b"0_5\r\nhello\r\n0\r\n\r\n")),
    Case("size of 2^64", chunks(b"10000000000000000\r\nhello\r\n0\r\n\r\n"), (400, 413)),
    Case("size of 2^64 + 5", chunks(b"10000000000000005\r\nhello\r\n0\r\n\r\n"), (400, 413)),
    Case("size with forty digits", chunks(b"0" * 39 + b"5\r\nhello\r\n0\r\n\r\n")),
    Case("size line ends with LF", chunks(b"5\nhello\r\n0\r\n\r\n")),
    Case("size line ends with CR", chunks(b"5\rhello\r\n0\r\n\r\n")),
    Case("data ends with LF", chunks(b"5\r\nhello\n0\r\n\r\n")),
    Case("data without an end", chunks(b"5\r\nhello0\r\n\r\n")),
    Case("data longer than its size", chunks(b"5\r\nhello world\r\n0\r\n\r\n")),
    Case("data shorter than its size", chunks(b"8\r\nhello\r\n0\r\n\r\n")),
    Case("last line ends with LF", chunks(b"5\r\nhello\r\n0\r\n\n")),
    Case("last chunk ends with LF LF", chunks(b"5\r\nhello\r\n0\n\n")),
    Case("extension without a name", chunks(b"5;\r\nhello\r\n0\r\n\r\n")),
    Case("extension ends with LF", chunks(b"5;a\nhello\r\n0\r\n\r\n")),
    Case("LF within an extension", chunks(b"5;a=b\nc\r\nhello\r\n0\r\n\r\n")),
    Case("extension with a NUL", chunks(b"5;a=\0\r\nhello\r\n0\r\n\r\n")),
    Case("extension with an open quote", chunks(b'5;a="b\r\nhello\r\n0\r\n\r\n')),
    Case("endless extension", chunks(b"5;a=" + b"b" * 40000 + b"\r\nhello\r\n0\r\n\r\n")),
    Case("more than is accepted", chunks(b"10001\r\n" + b"a" * 200), (413,)),
    Case("more than is accepted in all", chunks(b"8000\r\n" + b"a" * 0x8000 + b"\r\n"
                                                b"8001\r\n" + b"a" * 0x8001), (413,)),
    Case("folded trailer", chunks(b"0\r\nX: a\r\n b\r\n\r\n")),
    Case("trailer ends with LF", chunks(b"0\r\nX: a\n\r\n")),
    Case("trailer without a colon", chunks(b"0\r\nnonsense\r\n\r\n")),
    Case("space before a trailer's colon", chunks(b"0\r\nX : a\r\n\r\n")),
    Case("NUL in a trailer", chunks(b"0\r\nX: \0\r\n\r\n")),
    Case("endless trailers", chunks(b"0\r\n" + b"X: y\r\n" * 5000), (431,)),
]

EXPECTATIONS = [
    Case("unknown expectation", post(b"Expect: tea\r\nContent-Length: 5\r\n", b"hello"), (417,)),
    Case("two expectations", post(b"Expect: 100-continue, x\r\nContent-Length: 5\r\n", b"hello"),
         (417,)),
    Case("empty expectation", post(b"Expect:\r\nContent-Length: 5\r\n", b"hello"), (417,)),
]

CASES = {
    "request line": REQUEST_LINE, "version": VERSION, "line ends": LINE_ENDS, "fields": FIELDS,
    "host": HOSTS, "length": LENGTHS, "coding": CODINGS, "chunks": CHUNKS,
    "expectation": EXPECTATIONS,
}


@pytest.fixture
def site(nodey: Nodey) -> App:
    return nodey({"workers/echo.py": ECHO}, config=CONFIG)


def is_problem(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    _, _, headers = parse_head(head)
    return (headers.get("content-type") == "application/problem+json"
            and headers.get("connection") == "close"
            and headers.get("content-length") == str(len(body)))


def send_until_end(app: App, data: bytes) -> tuple[bytes, bool]:
    """All that is answered, and whether the connection ended by itself."""
    received = b""
    with Connection(app.port, 5) as connection:
        try:
            connection.send(data)
        except ConnectionError:
            pass  # It may have heard enough.
        try:
            while True:
                piece = connection.socket.recv(65536)
                if not piece:
                    return received, True
                received += piece
        except ConnectionError:
            return received, True
        except socket.timeout:
            return received, False


def faults(app: App, case: Case) -> Iterator[str]:
    answer, ended = send_until_end(app, case.data)
    status = answer[9:12].decode("latin-1")
    if status not in map(str, case.statuses):
        yield f"answered {answer[:200]!r}, expected {case.statuses}"
    elif not is_problem(answer):
        yield f"no problem+json that closes: {answer[:400]!r}"
    if b"reached" in answer:
        yield f"something reached the worker: {answer[:400]!r}"
    if not ended:
        yield f"the connection was left open for {slow(5):g} s"
    good = app.get("/good")
    if (good.status, good.body) != (200, b"reached GET /good"):
        yield f"the next client got {good!r}"


@pytest.mark.parametrize("group", CASES)
def test_a_malformed_request_is_refused_and_hides_nothing(site: App, group: str) -> None:
    found = [f"{case.name}: {fault}" for case in CASES[group] for fault in faults(site, case)]
    assert not found, "\n".join(found)


# What is odd but right: (name, bytes, bodies of the answers in order).
TOLERATED = [
    ("two empty lines in front", b"\r\n\r\n" + SMUGGLED, [b"reached GET /smuggled"]),
    ("no blank behind the colon", b"GET /x HTTP/1.1\r\nHost:a\r\n\r\n", [b"reached GET /x"]),
    ("blanks around a value", get(b"X: \t a \t\r\n"), [b"reached GET /x"]),
    ("an empty value", get(b"X:\r\n"), [b"reached GET /x"]),
    ("obs-text in a value", get(b"X: caf\xe9\r\n"), [b"reached GET /x"]),
    ("leading zeros in a length", post(b"Content-Length: 0005\r\n", b"hello"),
     [b"reached POST /x", b"reached GET /smuggled"]),
    ("a GET with a body", get(b"Content-Length: 5\r\n") + b"hello" + SMUGGLED,
     [b"reached GET /x", b"reached GET /smuggled"]),
    ("chunked in any case", post(b"Transfer-Encoding: CHUNKED\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
     [b"reached POST /x", b"reached GET /smuggled"]),
    ("extensions and trailers", chunks(b'5;a;b=c;d="e;\\"f"\r\nhello\r\n0\r\nX: y\r\n\r\n'),
     [b"reached POST /x", b"reached GET /smuggled"]),
    ("absolute form", line(b"GET HTTP://nodey.test/x HTTP/1.1"), [b"reached GET /x"]),
    ("host in brackets", b"GET /x HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", [b"reached GET /x"]),
    ("HTTP/1.0 without Host", b"GET /x HTTP/1.0\r\n\r\n", [b"reached GET /x"]),
]


@pytest.mark.parametrize(("name", "data", "bodies"), TOLERATED, ids=[case[0] for case in TOLERATED])
def test_what_is_odd_but_right_is_served(site: App, name: str, data: bytes,
                                         bodies: list[bytes]) -> None:
    with site.connect() as connection:
        connection.send(data)
        assert [connection.read_response().body for _ in bodies] == bodies, name


def test_every_case_is_refused_when_it_comes_byte_by_byte(site: App) -> None:
    """Where a piece ends must not change what is seen: a sample, one byte at a time."""
    sample = [case for group in CASES.values() for case in group[::4] if len(case.data) < 150]
    assert len(sample) > 30
    for case in sample:
        with Connection(site.port, 5) as connection:
            try:
                for i in range(len(case.data)):
                    connection.send(case.data[i:i + 1])
            except ConnectionError:
                pass
            status = connection.read_response().status
            assert status in case.statuses, f"{case.name}: {status}"


def test_there_are_enough_cases() -> None:
    names = [(group, case.name) for group, cases in CASES.items() for case in cases]
    assert len(names) >= 200 and len(set(names)) == len(names)
