"""Bodies of 2 GiB: how much memory nodey takes for them, whoever is slow."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path

from harness import curl, proc, servers
from harness.context import Context, progress
from harness.errors import BenchError
from harness.report import Column, Table
from harness.server import Server, get

MEGABYTES = 2048
SLOW_MEGABYTES = 64
SLOW_SECONDS = 20
SETTLE_SECONDS = 3  # for what a slow client's buffers take at first
CLIENT_PIECE = 128  # bytes that a slow client takes, eight times a second
MIB = 1024 * 1024
MOST_MIB = 32
COLUMNS = [
    Column("grown_mib", "RSS peak, grown by MiB", 1),
    Column("peak_mib", "RSS peak MiB", 1),
    Column("mb_per_second", "MB/s"),
    Column("waiting_kib", "written after that, KiB", 1),
]


def _transfer(server: Server, path: str, *options: str, megabytes: int = MEGABYTES) -> dict[str, float]:
    return curl.transfer(server, path, *options, size=megabytes << 20)


def _written(server: Server, path: str) -> int:
    """Bytes of the answer that the worker itself says it has written."""
    status, body = get(server.port, path)
    if status != 200:
        raise BenchError(f"{path} answers {status}")
    return int(json.loads(body)["bytes"])


def _slow_client(server: Server, down: str, counter: str) -> dict[str, float]:
    """A client that reads 1 KiB a second: the worker is to wait, and not to fill our memory."""
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.settimeout(10)
        client.sendall(f"GET {down}?mb={MEGABYTES} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        first, until, settled = 0, time.monotonic() + SLOW_SECONDS, time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < until:
            if not client.recv(CLIENT_PIECE):
                raise BenchError("the connection has ended")
            time.sleep(CLIENT_PIECE / 1024)
            if not first and time.monotonic() > settled:
                first = _written(server, counter)
        return {"waiting_kib": (_written(server, counter) - first) / 1024}


def _measure(
    table: Table, name: str, server: Server, run: Callable[[], dict[str, float]]
) -> None:
    """The peak of nodey's memory while run() goes on, and by how much it has grown."""
    progress(f"{table.name}: {name}")
    before = proc.rss_bytes(server.pid)
    proc.reset_peak(server.pid)
    try:
        figures = run()
    except (BenchError, OSError) as error:
        table.fail(name, str(error))
        return
    peak = proc.peak_rss_bytes(server.pid)
    table.add(name, {"grown_mib": (peak - before) / MIB, "peak_mib": peak / MIB, **figures})
    table.limit(name, "grown_mib", "MiB", "<", MOST_MIB)
    if "waiting_kib" in figures:
        table.limit(name, "waiting_kib", "KiB", "<=", SLOW_SECONDS)


def _make_file(path: Path, megabytes: int) -> Path:
    with open(path, "wb") as file:
        for _ in range(megabytes):
            file.write(bytes(MIB))
    return path


def _start(context: Context, big: Path) -> Server:
    pools = {"app": servers.Pool("../peers/node_streams.js"), "py": servers.Pool("bodies.py")}
    server = servers.nodey(context, "nodey", pools, server={"max_body": "4G", "send_timeout": "5m"})
    (server.directory / "big").hardlink_to(big)
    return server


def run(context: Context) -> list[Table]:
    table = Table("bodies", f"{MEGABYTES >> 10} GiB each way, and nodey's memory", COLUMNS)
    data = context.folder("data")
    big, small = _make_file(data / "big", MEGABYTES), _make_file(data / "small", SLOW_MEGABYTES)
    send = ("-X", "POST", "-H", "Expect:", "-T")
    server = _start(context, big)
    try:
        server.start()
        server.path = "/py/hello"
        server.wait_ready()
        for name, work in {
            "down, Node": lambda: _transfer(server, f"/down?mb={MEGABYTES}"),
            "up, Node": lambda: _transfer(server, "/up", *send, str(big)),
            "down, Python": lambda: _transfer(server, f"/py/down?mb={MEGABYTES}"),
            "up, Python": lambda: _transfer(server, "/py/up", *send, str(big)),
            "file": lambda: _transfer(server, "/py/big"),
            "client of 1 KiB/s, Node": lambda: _slow_client(server, "/down", "/written"),
            "client of 1 KiB/s, Python": lambda: _slow_client(server, "/py/down", "/py/written"),
            "slow worker": lambda: _transfer(
                server, f"/py/slow?seconds={SLOW_SECONDS}", *send, str(small), megabytes=SLOW_MEGABYTES
            ),
        }.items():
            _measure(table, name, server, work)
    finally:
        server.stop()
    return [table]
