"""Megabytes a second: bodies through an unmodified Node server, and a file that nodey sends."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from harness import curl, servers
from harness.context import Context, Figures, Subject
from harness.report import Column, Table
from harness.server import Server

MEGABYTES = 512
COLUMNS = [Column("mb_per_second", "MB/s")]


def _curl(server: Server, path: str, *options: str) -> Figures:
    return curl.transfer(server, path, *options, size=MEGABYTES << 20)


def _download(server: Server, _seconds: float, path: str = f"/down?mb={MEGABYTES}") -> Figures:
    return _curl(server, path)


def _upload(big: Path, server: Server, _seconds: float) -> Figures:
    return _curl(server, "/up", "-T", str(big), "-X", "POST", "-H", "Expect:")


def _unmodified(context: Context) -> Server:
    app = servers.Pool("../peers/node_streams.js")
    return servers.nodey(context, "nodey+Node", {"app": app}, server={"max_body": "4G"})


def _with_file(context: Context, name: str, make, big: Path) -> Server:
    server = make(context)
    (server.directory / "big").hardlink_to(big)
    return server


def _python_file(context: Context) -> Server:
    return servers.nodey(context, "nodey file", {"file": servers.Pool("file.py")})


def run(context: Context) -> list[Table]:
    context.directory.chmod(0o711)  # nginx's workers are nobody when the master is root
    big = context.folder("data") / "big"
    with open(big, "wb") as file:
        for _ in range(MEGABYTES):
            file.write(bytes(1 << 20))
    tables = []
    for name, title, probe in (
        ("download", "from an unmodified Node server, in pieces", _download),
        ("upload", "into an unmodified Node server", partial(_upload, big)),
    ):
        table = Table(name, f"{MEGABYTES} MiB {title}", COLUMNS)
        context.compare(table, [
            Subject("nodey+Node", partial(_unmodified, context), probe),
            Subject("node http", partial(servers.node_streams, context), probe),
        ])
        table.limit("nodey+Node", "mb_per_second", "MB/s", ">=", 200)
        table.ratio("nodey+Node", "node http", "mb_per_second", ">=", 0.2)
        tables.append(table)
    table = Table("file", f"a file of {MEGABYTES} MiB", COLUMNS)
    send = partial(_download, path="/big")
    context.compare(table, [
        Subject("nodey file", partial(_with_file, context, "nodey file", _python_file, big), send),
        Subject("nginx", partial(_with_file, context, "nginx", servers.nginx, big), send),
    ])
    table.limit("nodey file", "mb_per_second", "MB/s", ">=", 1000)
    table.ratio("nodey file", "nginx", "mb_per_second", ">=", 0.8)
    return [*tables, table]
