"""nodey between a client and one upstream, beside other proxies before the same upstream."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from harness import load, servers
from harness.context import Context, Figures, Subject
from harness.errors import NotBuilt
from harness.report import Column, Table
from harness.server import Server, free_port

CONNECTIONS = 64
ROUNDS = 5  # short ones in turn
SIZES = {"16k": 16 << 10, "1m": 1 << 20}
COLUMNS = [
    Column("per_second", "req/s"),
    Column("p50_ms", "p50 ms", 2),
    Column("p99_ms", "p99 ms", 2),
    Column("own_us", "CPU µs/req of the proxy", 2),
]

NGINX = """
worker_processes 1;
daemon off;
error_log stderr warn;
pid @DIR@/nginx.pid;
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_body_temp_path @DIR@/body;
    proxy_temp_path @DIR@/proxy;
    fastcgi_temp_path @DIR@/fastcgi;
    uwsgi_temp_path @DIR@/uwsgi;
    scgi_temp_path @DIR@/scgi;
    upstream up { server 127.0.0.1:@UP@; keepalive 64; keepalive_requests 1000000000; }
    server {
        listen 127.0.0.1:@PORT@ backlog=4096;
        location / {
            proxy_pass http://up;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
        }
    }
}
"""

HAPROXY = """
global
    nbthread 1
    maxconn 8192
defaults
    mode http
    timeout connect 3s
    timeout client 60s
    timeout server 60s
    option forwardfor
    http-reuse always
frontend front
    bind 127.0.0.1:@PORT@
    default_backend up
backend up
    server one 127.0.0.1:@UP@ pool-max-conn 64
"""


def _before(server: Server, upstream: Server) -> Server:
    server.backends.append(upstream)
    return server


def _nodey(context: Context, upstream: Server) -> Server:
    routes = f'[[routes]]\npath = "/*"\nto = "http://127.0.0.1:{upstream.port}"\n'
    return _before(servers.nodey(context, "nodey", {}, routes=routes), upstream)


def _peer(context: Context, upstream: Server, name: str, conf: str, *options: str) -> Server:
    program = shutil.which(name, path=os.environ["PATH"] + os.pathsep + "/usr/sbin")
    if program is None:
        raise NotBuilt(f"{name} is not installed: apt-get install {name}")
    folder, port = context.folder(name), free_port()
    for key, value in {"PORT": port, "UP": upstream.port, "DIR": folder}.items():
        conf = conf.replace(f"@{key}@", str(value))
    (folder / "conf").write_text(conf)
    argv = [program, *options, str(folder / "conf")]
    return _before(Server(name=name, argv=argv, port=port, directory=folder), upstream)


def _asking(make: Callable[[Server], Server], context: Context, data: Path, path: str) -> Server:
    """Each proxy has an upstream of its own, so that none warms another's."""
    upstream = servers.nginx(context)
    (upstream.directory / "files").symlink_to(data)
    server = make(upstream)
    server.path = upstream.path = path
    if path != "/hello":
        server.expect = upstream.expect = None
    return server


def _own_cpu_seconds(server: Server) -> float:
    return server.all_cpu_seconds() - sum(b.all_cpu_seconds() for b in server.backends)


def _probe(server: Server, seconds: float) -> Figures:
    before = _own_cpu_seconds(server)
    found = load.wrk(server, CONNECTIONS, seconds)
    total = found.per_second * max(1, round(seconds))
    own = (_own_cpu_seconds(server) - before) / total * 1e6
    return {"per_second": found.per_second, "p50_ms": found.p50_ms, "p99_ms": found.p99_ms,
            "own_us": own}


def run(context: Context) -> list[Table]:
    context.directory.chmod(0o711)  # nginx's workers are nobody when the master is root
    data = context.folder("data")
    for name, size in SIZES.items():
        (data / name).write_bytes(random.Random(size).randbytes(size))
    makers = {
        "nodey": partial(_nodey, context),
        "nginx": lambda up: _peer(context, up, "nginx", NGINX, "-c"),
        "haproxy": lambda up: _peer(context, up, "haproxy", HAPROXY, "-db", "-f"),
    }
    tables = []
    for name, path in {"small": "/hello", "16k": "/files/16k", "1m": "/files/1m"}.items():
        table = Table(f"proxy {name}", f"{path} through a proxy, {CONNECTIONS} connections",
                      COLUMNS)
        context.compare(table, [
            Subject(who, partial(_asking, make, context, data, path), _probe)
            for who, make in makers.items()
        ], rounds=max(ROUNDS, context.rounds))
        table.ratio("nodey", "nginx", "per_second", ">=", 1.0)
        table.ratio("nginx", "nodey", "own_us", ">=", 1.0)
        tables.append(table)
    return tables
