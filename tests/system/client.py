"""A strict HTTP/1.1 client on one socket: it sees every byte and forgives nothing."""

from __future__ import annotations

import json
import socket
from typing import Any, Iterator, Mapping, Optional

from timing import slow


class Cut(Exception):
    """The connection ended before a whole answer was there."""


class Hang(Exception):
    """Nothing more came within the deadline."""


class Malformed(Exception):
    """What came is not HTTP/1.1."""


class Headers:
    """Field lines in order; names compare without case."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = pairs

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.pairs if key.lower() == name.lower()]

    def get(self, name: str, default: str = "") -> str:
        values = self.all(name)
        return ", ".join(values) if values else default

    def __getitem__(self, name: str) -> str:
        values = self.all(name)
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    def __iter__(self) -> Iterator[str]:
        return iter(key for key, _ in self.pairs)

    def __repr__(self) -> str:
        return repr(self.pairs)


class Response:
    def __init__(self, status: int, reason: str, headers: Headers, body: bytes) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self.body = body

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"<{self.status} {self.reason}: {self.body[:300]!r}>"


def parse_head(head: bytes) -> tuple[int, str, Headers]:
    """The status line and fields of an answer, without the empty line."""
    lines = head.decode("latin-1").split("\r\n")
    version, _, rest = lines[0].partition(" ")
    status, _, reason = rest.partition(" ")
    if version != "HTTP/1.1" or len(status) != 3 or not status.isdigit():
        raise Malformed(f"status line {lines[0]!r}")
    pairs = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip() or "\n" in line or "\r" in line:
            raise Malformed(f"field line {line!r}")
        pairs.append((name, value.strip()))
    return int(status), reason, Headers(pairs)


def body_length(method: str, status: int, headers: Headers) -> Optional[int]:
    """How many body bytes follow the head; None for a chunked body."""
    if method == "HEAD" or status in (204, 304):
        return 0
    if headers.get("transfer-encoding").lower() == "chunked":
        return None
    lengths = headers.all("content-length")
    if len(lengths) != 1 or not lengths[0].isdigit():
        raise Malformed(f"no usable length of the body: {headers!r}")
    return int(lengths[0])


def request_bytes(method: str, path: str, body: bytes = b"",
                  headers: Optional[Mapping[str, str]] = None) -> bytes:
    """A whole request, Host and Content-Length added where they are missing."""
    fields = {"Host": "nodey.test", **(headers or {})}
    if body or method in ("POST", "PUT", "PATCH"):
        fields.setdefault("Content-Length", str(len(body)))
    lines = [f"{method} {path} HTTP/1.1"] + [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Connection:
    """One connection to a port of this machine.  `timeout` bounds each wait for bytes."""

    def __init__(self, port: int, timeout: float = 10) -> None:
        self.timeout = slow(timeout)
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=self.timeout)
        self.kept = b""

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def _more(self) -> None:
        try:
            data = self.socket.recv(65536)
        except socket.timeout:
            raise Hang(f"after {self.kept[:200]!r}") from None
        except ConnectionError as error:
            raise Cut(f"{error} after {self.kept[:200]!r}") from None
        if not data:
            raise Cut(f"end of file after {self.kept[:200]!r}")
        self.kept += data

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.kept:
            self._more()
        found, _, self.kept = self.kept.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self.kept) < size:
            self._more()
        found, self.kept = self.kept[:size], self.kept[size:]
        return found

    def _chunks(self) -> bytes:
        body = b""
        while True:
            size = int(self._until(b"\r\n"), 16)
            body += self._exactly(size)
            if self._until(b"\r\n") != b"":
                raise Malformed("chunk without its end")
            if size == 0:
                return body

    def read_response(self, method: str = "GET") -> Response:
        """The next answer; interim ones (1xx) are passed over."""
        while True:
            status, reason, headers = parse_head(self._until(b"\r\n\r\n"))
            if status >= 200:
                break
        length = body_length(method, status, headers)
        body = self._chunks() if length is None else self._exactly(length)
        return Response(status, reason, headers, body)

    def request(self, method: str, path: str, body: bytes = b"",
                headers: Optional[Mapping[str, str]] = None) -> Response:
        self.send(request_bytes(method, path, body, headers))
        return self.read_response(method)


def exchange_bytes(port: int, data: bytes, half_close: bool = False,
                   timeout: float = 5) -> bytes:
    """Sends bytes as they are; everything that comes back until the end or the timeout."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=slow(timeout)) as sock:
        try:
            sock.sendall(data)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
        except (ConnectionError, socket.timeout):
            pass  # The other side may answer and close before it has read everything.
        try:
            while True:
                piece = sock.recv(65536)
                if not piece:
                    return received
                received += piece
        except (ConnectionError, socket.timeout):
            return received
