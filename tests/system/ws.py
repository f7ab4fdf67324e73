"""A raw WebSocket client: sends any bytes it is told to, and takes nothing on trust."""

from __future__ import annotations

import base64
import hashlib
import os
import queue
import socket
import threading
import zlib
from typing import Mapping, Optional, Union

from client import Headers, parse_head
from timing import slow

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
NAMES = {TEXT: "text", BINARY: "binary", PING: "ping", PONG: "pong"}

# What the server says: ("text", "hi"), ("binary", b"..."), ("pong", b"..."),
# ("close", code, reason), with code None when there is none; and at last ("eof",).
Event = tuple


class BadServer(AssertionError):
    """What came is no WebSocket of a server's."""


def masked(payload: bytes, mask: bytes) -> bytes:
    key = (mask * (len(payload) // 4 + 1))[:len(payload)]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
    return number.to_bytes(len(payload), "big")


def frame(opcode: int, payload: bytes = b"", fin: bool = True, rsv: int = 0,
          mask: Optional[bytes] = b"\x12\x34\x56\x78", length: Optional[int] = None) -> bytes:
    """As a client sends it; `length` is told instead of the payload's own."""
    told = len(payload) if length is None else length
    bit = 0x80 if mask else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if told < 126:
        head += bytes([bit | told])
    elif told < 65536:
        head += bytes([bit | 126]) + told.to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + told.to_bytes(8, "big")
    return head + (mask + masked(payload, mask) if mask else payload)


def close_payload(code: int, reason: Union[str, bytes] = b"") -> bytes:
    return code.to_bytes(2, "big") + (reason.encode() if isinstance(reason, str) else reason)


def fragments(opcode: int, payload: bytes, size: int, rsv: int = 0) -> list[bytes]:
    """A message in frames of so many bytes."""
    pieces = [payload[at:at + size] for at in range(0, len(payload), size)] or [b""]
    last = len(pieces) - 1
    return [frame(CONTINUATION if n else opcode, piece, fin=n == last, rsv=0 if n else rsv)
            for n, piece in enumerate(pieces)]


def compressed(payload: bytes, bits: int = 15, level: int = 6) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -bits)
    return (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


class WebSocket:
    """One socket.  Everything that comes is read by a thread, unless `read` is False."""

    def __init__(self, port: int, path: str = "/echo", offer: Optional[str] = None,
                 headers: Optional[Mapping[str, str]] = None, read: bool = True,
                 timeout: float = 10, receive_buffer: int = 0) -> None:
        self.timeout = slow(timeout)
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(self.timeout)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.events: "queue.Queue[Event]" = queue.Queue()
        self.packed = 0  # messages that came compressed
        self._kept = b""
        self.key = base64.b64encode(os.urandom(16)).decode()
        self._shake_hands(path, offer, headers or {})
        self._thread: Optional[threading.Thread] = None
        if read and self.status == 101:
            self.read_on()

    def _shake_hands(self, path: str, offer: Optional[str],
                     headers: Mapping[str, str]) -> None:
        fields = {"Host": "nodey.test", "Connection": "Upgrade", "Upgrade": "websocket",
                  "Sec-WebSocket-Key": self.key, "Sec-WebSocket-Version": "13"}
        if offer:
            fields["Sec-WebSocket-Extensions"] = offer
        fields.update(headers)
        lines = [f"{name}: {value}" for name, value in fields.items() if value]
        self.send_raw("\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode("latin-1"))
        while b"\r\n\r\n" not in self._kept:
            piece = self.socket.recv(65536)
            assert piece, f"the connection ended in the handshake: {self._kept!r}"
            self._kept += piece
        head, _, self._kept = self._kept.partition(b"\r\n\r\n")
        self.status, self.reason, self.headers = parse_head(head)
        self.extensions = self.headers.get("sec-websocket-extensions")
        if self.status == 101:
            self._check_accepted(self.headers)

    def _check_accepted(self, headers: Headers) -> None:
        proof = hashlib.sha1((self.key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode())
        assert headers.all("sec-websocket-accept") == [base64.b64encode(proof.digest()).decode()]
        assert [v.lower() for v in headers.all("upgrade")] == ["websocket"]
        assert [v.lower() for v in headers.all("connection")] == ["upgrade"]
        assert "content-length" not in headers and "transfer-encoding" not in headers

    def __enter__(self) -> "WebSocket":
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()

    def drop(self) -> None:
        """Ends the connection without a word."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        if self._thread:
            self._thread.join(slow(5))
        self.socket.close()

    def body(self) -> bytes:
        """Of an answer that is not 101: all up to its length."""
        size = int(self.headers["content-length"])
        while len(self._kept) < size:
            self._kept += self.socket.recv(65536)
        return self._kept

    # -- sending

    def send_raw(self, data: bytes, chop: int = 0) -> None:
        for at in range(0, len(data), chop or len(data) or 1):
            self.socket.sendall(data[at:at + chop] if chop else data)

    def send(self, message: Union[str, bytes]) -> None:
        if isinstance(message, str):
            self.send_raw(frame(TEXT, message.encode()))
        else:
            self.send_raw(frame(BINARY, message))

    def ping(self, payload: bytes = b"") -> None:
        self.send_raw(frame(PING, payload))

    def close(self, code: Optional[int] = 1000, reason: Union[str, bytes] = "") -> None:
        self.send_raw(frame(CLOSE, b"" if code is None else close_payload(code, reason)))

    # -- receiving

    def read_on(self) -> None:
        self._thread = threading.Thread(target=self._read, name="websocket", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            self.socket.settimeout(None)
            while True:
                self.events.put(self._message())
        except BadServer as error:
            self.events.put(("bad", str(error)))
        except (OSError, EOFError):
            self.events.put(("eof",))

    def _exactly(self, size: int) -> bytes:
        pieces, have = [self._kept], len(self._kept)
        while have < size:
            piece = self.socket.recv(min(1 << 20, max(65536, size - have)))
            if not piece:
                raise EOFError
            pieces.append(piece)
            have += len(piece)
        data = b"".join(pieces)
        self._kept = data[size:]
        return data[:size]

    def _message(self) -> Event:
        """The next frame; nodey sends each message as one."""
        first, second = self._exactly(2)
        if not first & 0x80 or first & 0x30 or second & 0x80:
            raise BadServer(f"a frame begins with {first:#x} {second:#x}")
        opcode, size = first & 0x0F, second
        if size >= 126:
            if opcode >= CLOSE:
                raise BadServer("a long control frame")
            size = int.from_bytes(self._exactly(2 if size == 126 else 8), "big")
            if size < 126 or second == 127 and size < 65536:
                raise BadServer(f"a length of {size} is written too long")
        payload = self._exactly(size)
        if first & 0x40:
            if opcode not in (TEXT, BINARY) or "permessage-deflate" not in self.extensions:
                raise BadServer("RSV1 where it does not belong")
            self.packed += 1
            payload = zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff")
        return self._event(opcode, payload)

    @staticmethod
    def _event(opcode: int, payload: bytes) -> Event:
        if opcode == CLOSE:
            if len(payload) == 1:
                raise BadServer("a close of one byte")
            code = int.from_bytes(payload[:2], "big") if payload else None
            return ("close", code, payload[2:].decode())
        if opcode not in NAMES:
            raise BadServer(f"opcode {opcode}")
        return (NAMES[opcode], payload.decode() if opcode == TEXT else payload)

    def next(self, timeout: Optional[float] = None) -> Event:
        """What comes next; ("nothing",) when that is nothing within the time."""
        try:
            return self.events.get(timeout=self.timeout if timeout is None else timeout)
        except queue.Empty:
            return ("nothing",)

    def rest(self) -> list[Event]:
        """Everything up to the end of the connection."""
        found = [self.next()]
        while found[-1] not in (("eof",), ("nothing",)) and found[-1][0] != "bad":
            found.append(self.next())
        return found

    def finish(self, code: Optional[int] = 1000) -> None:
        """A clean end, begun here."""
        self.close(code)
        assert self.rest() == [("close", code, ""), ("eof",)]
