"""An HTTP server for nodey to proxy to, which behaves as badly as its path says."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import struct
import threading
from pathlib import Path
from typing import Awaitable, Callable, Optional
from urllib.parse import parse_qs, urlsplit

Fields = list[tuple[str, str]]
PATTERN = bytes(range(256)) * 256  # 64 KiB


def pattern(size: int) -> bytes:
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


class Request:
    """One that has arrived: its head, and its body once it was read."""

    def __init__(self, method: str, target: str, fields: Fields, peer: int) -> None:
        self.method, self.target, self.fields, self.peer = method, target, fields, peer
        self.path = urlsplit(target).path
        self.query = {k: v[0] for k, v in parse_qs(urlsplit(target).query).items()}
        self.body = b""
        self.trailers: Fields = []

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key.lower() == name]

    def get(self, name: str) -> str:
        return ", ".join(self.all(name))


class Upstream:
    """Serves from a thread of its own, until close()."""

    def __init__(self, name: str = "", port: int = 0, path: Optional[Path] = None,
                 keeps: int = 0) -> None:
        self.name = name
        self._keeps = keeps  # seconds that it promises to keep a connection; 0: says nothing
        self.requests: list[Request] = []
        self.connections = 0
        self.open = 0
        self.received = 0  # bytes of bodies
        self.port = port
        self._path = path
        self._loop = asyncio.new_event_loop()
        self._release = asyncio.Event()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=[started], daemon=True)
        self._thread.start()
        assert started.wait(10)

    # -- for the test

    @property
    def url(self) -> str:
        return f"unix:{self._path}" if self._path else f"http://127.0.0.1:{self.port}"

    def hits(self, path: str) -> int:
        return sum(r.path == path for r in self.requests)

    def last(self) -> Request:
        return self.requests[-1]

    def release(self) -> None:
        """Those at /held go on."""
        self._loop.call_soon_threadsafe(self._release.set)

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._main.cancel)
            self._thread.join(10)

    # -- the server

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._main = self._loop.create_task(self._serve(started))
        try:
            self._loop.run_until_complete(self._main)
        except asyncio.CancelledError:
            pass
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    async def _serve(self, started: threading.Event) -> None:
        if self._path:
            server = await asyncio.start_unix_server(self._connection, str(self._path))
        else:
            server = await asyncio.start_server(self._connection, "127.0.0.1", self.port,
                                                backlog=1024)
            self.port = server.sockets[0].getsockname()[1]
        started.set()
        async with server:
            await server.serve_forever()

    async def _connection(self, reader: asyncio.StreamReader,
                          writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while await self._one(reader, writer, self.connections):
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
                   peer: int) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = head.split("\r\n")
        method, target, _ = lines[0].split(" ")
        fields = [(name, value.strip()) for name, _, value in
                  (line.partition(":") for line in lines[1:] if line)]
        request = Request(method, target, fields, peer)
        self.requests.append(request)
        name = "do_" + request.path.strip("/").partition("/")[0].replace("-", "_")
        handler: Handler = getattr(self, name, self.do_echo)
        return await handler(request, reader, writer)

    async def _read_body(self, request: Request, reader: asyncio.StreamReader) -> bytes:
        digest = hashlib.sha256()

        async def take(size: int) -> None:
            while size:
                piece = await reader.read(min(size, 65536))
                if not piece:
                    raise asyncio.IncompleteReadError(b"", size)
                digest.update(piece)
                self.received += len(piece)
                size -= len(piece)
                if len(request.body) < 65536:
                    request.body += piece

        if request.get("transfer-encoding") == "chunked":
            while size := int(await reader.readline(), 16):
                await take(size)
                assert await reader.readline() == b"\r\n"
            while (line := (await reader.readline()).decode().strip()):
                key, _, value = line.partition(":")
                request.trailers.append((key.lower(), value.strip()))
        else:
            await take(int(request.get("content-length") or 0))
        return digest.digest()

    def answer(self, writer: asyncio.StreamWriter, body: bytes = b"", status: str = "200 OK",
               *fields: str, length: bool = True) -> None:
        lines = [f"HTTP/1.1 {status}", *fields]
        if self._keeps:
            lines.append(f"Keep-Alive: timeout={self._keeps}")
        if length:
            lines.append(f"Content-Length: {len(body)}")
        writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    # -- its ways, by the first segment of the path

    async def do_echo(self, request: Request, reader: asyncio.StreamReader,
                      writer: asyncio.StreamWriter) -> bool:
        digest = await self._read_body(request, reader)
        said = {"name": self.name, "method": request.method, "target": request.target,
                "fields": request.fields, "sha256": digest.hex(),
                "trailers": request.trailers, "peer": request.peer}
        body = json.dumps(said).encode()
        self.answer(writer, b"" if request.method == "HEAD" else body, "200 OK",
                    f"X-Name: {self.name}", length=request.method != "HEAD")
        return request.method != "HEAD"

    async def do_bytes(self, request: Request, reader: asyncio.StreamReader,
                       writer: asyncio.StreamWriter) -> bool:
        size = int(request.query["n"])
        chunked = "chunked" in request.query
        self.answer(writer, b"", "200 OK", "Transfer-Encoding: chunked" if chunked
                    else f"Content-Length: {size}", length=False)
        while size:
            piece = pattern(min(size, 65536))
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            await writer.drain()
            size -= len(piece)
        if chunked:
            writer.write(b"0\r\nX-Sum: seven\r\n\r\n")
        return True

    async def do_status(self, request: Request, reader: asyncio.StreamReader,
                        writer: asyncio.StreamWriter) -> bool:
        status = request.path.rsplit("/", 1)[1]
        bodiless = status in ("204", "304") or request.method == "HEAD"
        fields = ["Content-Length: 5"] if request.method == "HEAD" or status == "304" else []
        self.answer(writer, b"" if bodiless else b"hello", f"{status} Whatever", 'ETag: "a"',
                    *fields, length=not bodiless)
        return True

    async def do_hop(self, request: Request, reader: asyncio.StreamReader,
                     writer: asyncio.StreamWriter) -> bool:
        self.answer(writer, b"x", "200 OK", "Connection: keep-alive, X-Secret", "X-Secret: 1",
                    "Keep-Alive: timeout=5", "Proxy-Authenticate: Basic", "X-Open: 2")
        return True

    async def do_hints(self, request: Request, reader: asyncio.StreamReader,
                       writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n"
                     b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
        self.answer(writer, b"late")
        return True

    async def do_hints_forever(self, request: Request, reader: asyncio.StreamReader,
                               writer: asyncio.StreamWriter) -> bool:
        while True:
            writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0)

    async def do_close(self, request: Request, reader: asyncio.StreamReader,
                       writer: asyncio.StreamWriter) -> bool:
        """Says nothing at all."""
        return False

    async def do_refuse_late(self, request: Request, reader: asyncio.StreamReader,
                             writer: asyncio.StreamWriter) -> bool:
        """Answers, and closes without having said so: the connection is stale."""
        self.answer(writer, b"once")
        return False

    async def do_close_once(self, request: Request, reader: asyncio.StreamReader,
                            writer: asyncio.StreamWriter) -> bool:
        if self.hits(request.path) > 1:
            await self._read_body(request, reader)
            self.answer(writer, b"again")
            return True
        return False

    async def do_hang(self, request: Request, reader: asyncio.StreamReader,
                      writer: asyncio.StreamWriter) -> bool:
        await reader.read(1 << 30)
        return False

    async def do_held(self, request: Request, reader: asyncio.StreamReader,
                      writer: asyncio.StreamWriter) -> bool:
        await self._release.wait()
        self.answer(writer, b"held")
        return True

    async def do_slow(self, request: Request, reader: asyncio.StreamReader,
                      writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(float(request.query["s"]))
        self.answer(writer, b"slow")
        return True

    async def do_half_head(self, request: Request, reader: asyncio.StreamReader,
                           writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
        return False

    async def do_short(self, request: Request, reader: asyncio.StreamReader,
                       writer: asyncio.StreamWriter) -> bool:
        self.answer(writer, b"only this", "200 OK", "Content-Length: 100", length=False)
        return False

    async def do_short_chunks(self, request: Request, reader: asyncio.StreamReader,
                              writer: asyncio.StreamWriter) -> bool:
        self.answer(writer, b"4\r\nfour\r\n", "200 OK", "Transfer-Encoding: chunked",
                    length=False)
        return False

    async def do_stall(self, request: Request, reader: asyncio.StreamReader,
                       writer: asyncio.StreamWriter) -> bool:
        self.answer(writer, b"a part", "200 OK", "Content-Length: 100", length=False)
        await reader.read(1 << 30)
        return False

    async def do_to_close(self, request: Request, reader: asyncio.StreamReader,
                          writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")
        return False

    async def do_raw(self, request: Request, reader: asyncio.StreamReader,
                     writer: asyncio.StreamWriter) -> bool:
        """What the query says, byte by byte."""
        writer.write(bytes.fromhex(request.query["hex"]))
        await writer.drain()
        await asyncio.sleep(0.2)
        return False

    async def do_stuck(self, request: Request, reader: asyncio.StreamReader,
                       writer: asyncio.StreamWriter) -> bool:
        """Neither reads nor answers."""
        await self._release.wait()
        return False

    async def do_early(self, request: Request, reader: asyncio.StreamReader,
                       writer: asyncio.StreamWriter) -> bool:
        """Answers before it has read the body, and never reads it."""
        self.answer(writer, b"too much", "413 Content Too Large")
        await writer.drain()
        await asyncio.sleep(1)
        return False

    async def do_sse(self, request: Request, reader: asyncio.StreamReader,
                     writer: asyncio.StreamWriter) -> bool:
        self.answer(writer, b"", "200 OK", "Content-Type: text/event-stream", "Connection: close",
                    length=False)
        for n in range(int(request.query.get("n", "3"))):
            writer.write(b"data: %d\n\n" % n)
            await writer.drain()
            await asyncio.sleep(float(request.query.get("pause", "0.3")))
        return False

    async def do_upgrade(self, request: Request, reader: asyncio.StreamReader,
                         writer: asyncio.StreamWriter) -> bool:
        """Another protocol: bytes come back in upper case, after its first words."""
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: shout\r\n"
                     b"Connection: Upgrade\r\n\r\nhello ")
        while piece := await reader.read(65536):
            writer.write(piece.upper())
            await writer.drain()
        writer.write(b"BYE")
        return False


Handler = Callable[[Request, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool]]


def reset(sock: socket.socket) -> None:
    """Closes with RST, as a client does that is killed."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
