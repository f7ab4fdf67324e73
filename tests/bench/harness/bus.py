"""Servers of events and jobs: nodey's, and Redis, NATS and RabbitMQ; and their load drivers."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import load, paths, proc
from harness.context import Context, Figures
from harness.errors import BenchError, NotBuilt
from harness.server import HOST, Server, free_port, get

SOURCES = paths.BENCH / "bus"
PROGRAMS = {"worker": ["worker.c"], "peer": ["peer.c", "wires.c", "amqp.c"]}
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # the one that keeps its user
PEER_READY_SECONDS = 60.0
BYTES = 200


def program(name: str) -> Path:
    """A driver of bus/, compiled when a source of it is newer."""
    made = paths.BUILD / f"bus-{name}"
    sources = [SOURCES / source for source in [*PROGRAMS[name], "figures.c"]]
    newest = max(path.stat().st_mtime for path in [*sources, *SOURCES.glob("*.h")])
    if not (made.exists() and made.stat().st_mtime >= newest):
        argv = ["cc", "-O2", "-std=gnu17", "-D_GNU_SOURCE", "-o", str(made)]
        load.run([*argv, *map(str, sources)], 60)
    return made


@dataclass(frozen=True)
class Hearing:
    """A subscription of a worker."""

    topic: str  # or "queue:NAME"
    group: str
    most: int = 256  # unsettled at a time
    start: str = "new"

    def words(self) -> list[str]:
        return [self.topic, self.group, str(self.most), self.start]


def nodey(
    context: Context,
    name: str,
    pools: Mapping[str, Sequence[Hearing]],
    *,
    durability: str = "fsync",
    instances: Mapping[str, int] | None = None,
    scripts: Mapping[str, Path] | None = None,
    folder: Path | None = None,
) -> Server:
    """nodey whose pools are the C worker, with these subscriptions, or programs of an SDK."""
    if context.nodey is None:
        raise NotBuilt("nodey is not built")
    folder, port = folder or context.folder(name), free_port()
    lines = ["[server]", 'access_log = "off"']
    lines += ["[bus]", f"durability = {json.dumps(durability)}", 'max_bytes = "100G"']
    for pool, hearings in pools.items():
        words = [str(program("worker")), *(w for hearing in hearings for w in hearing.words())]
        lines += [f"[workers.{pool}]", f"command = {json.dumps(words)}", 'timeout = "10m"']
        lines += [f"instances = {(instances or {}).get(pool, 1)}", 'backoff_min = "10ms"']
        lines += ['backoff_max = "20ms"']  # workers die on purpose
    for pool, script in (scripts or {}).items():
        shutil.copy(script, folder)
        lines += [f"[workers.{pool}]", f"script = {json.dumps(script.name)}", "instances = 1"]
    (folder / "nodey.toml").write_text("\n".join(lines) + "\n")
    interpreters = [str(Path(context.python).parent), str(Path(context.node).parent)]
    return Server(
        name=name,
        argv=[str(context.nodey), "up", "-f", "nodey.toml", "--listen", f"127.0.0.1:{port}"],
        port=port,
        directory=folder,
        path=f"/{next(iter(pools))}/stats",
        expect=None,
        env={"PATH": os.pathsep.join([*interpreters, os.environ["PATH"]])},
    )


def ask(server: Server, path: str, seconds: float = 600) -> dict[str, Any]:
    """What a worker answers."""
    status, body = get(server.port, path, timeout=seconds + 60)
    if status != 200:
        raise BenchError(f"GET {path} answered {status} {body[:200]!r}")
    return dict(json.loads(body))


def publish(server: Server, *, pool: str = "pub", **parameters: object) -> dict[str, Any]:
    """Has the worker publish: see bus/worker.c."""
    words = "&".join(f"{key}={value}" for key, value in {"bytes": BYTES, **parameters}.items())
    found = ask(server, f"/{pool}/publish?{words}")
    if found["refused"]:
        raise BenchError(f"{found['refused']} messages were refused: {server.log_tail()}")
    return found


def wait_handled(server: Server, pool: str, count: int, seconds: float = 120) -> dict[str, Any]:
    """The pool's account, once it has handled that many."""
    deadline = time.monotonic() + seconds
    while (found := ask(server, f"/{pool}/stats"))["handled"] < count:
        if time.monotonic() > deadline:
            raise BenchError(f"{pool} handled {found['handled']} of {count} in {seconds:g} s")
        time.sleep(0.02)
    return found


def figures(server: Server, before: float, measured: Mapping[str, Any]) -> Figures:
    """Rate, latency and CPU of one closed loop that has just ended."""
    spent = server.all_cpu_seconds() - before
    return {
        "per_second": measured["per_second"],
        "p50_ms": measured["p50_us"] / 1000,
        "p99_ms": measured["p99_us"] / 1000,
        "cpu_us": spent / measured["stored"] * 1e6,
        "client": measured["client_cpu"] * 100,
    }


def probe_nodey(depth: int, server: Server, seconds: float) -> Figures:
    """The CPU time is the supervisor's alone, as a peer's is without its client."""
    before = proc.cpu_seconds(server.pid)
    measured = publish(server, depth=depth, seconds=seconds)
    found = figures(server, 0, measured)
    found["cpu_us"] = (proc.cpu_seconds(server.pid) - before) / measured["stored"] * 1e6
    return found


@dataclass
class Peer(Server):
    """A server that is ready when it can be connected to."""

    wire: str = ""
    words: tuple[str, ...] = ()  # more arguments of its driver
    ready_seconds: float = PEER_READY_SECONDS

    def answers(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), 1).close()
        except OSError:
            return False
        return True


def probe_peer(connections: int, depth: int, server: Server, seconds: float) -> Figures:
    assert isinstance(server, Peer)
    argv = [str(program("peer")), server.wire, str(server.port), str(connections), str(depth)]
    before = server.all_cpu_seconds()
    measured = json.loads(load.run([*argv, str(BYTES), str(seconds), *server.words], seconds))
    return figures(server, before, measured)


def _program(name: str, package: str) -> str:
    found = shutil.which(name, path=os.environ["PATH"] + os.pathsep + "/usr/sbin")
    if found is None:
        raise NotBuilt(f"{name} is not installed: apt-get install {package}")
    return found


def redis(context: Context, name: str, fsync: str = "always") -> Server:
    """A stream in a server that answers after the fsync of its append-only file."""
    folder, port = context.folder(name), free_port()
    argv = [_program("redis-server", "redis-server"), "--port", str(port), "--bind", HOST]
    argv += ["--dir", str(folder), "--appendonly", "yes", "--appendfsync", fsync, "--save", ""]
    return Peer(name=name, argv=argv, port=port, directory=folder, wire="redis")


def nats(context: Context, name: str) -> Server:
    """JetStream with file storage."""
    folder, port = context.folder(name), free_port()
    argv = [_program("nats-server", "nats-server"), "-a", HOST, "-p", str(port), "-js"]
    argv += ["-sd", str(folder)]
    return Peer(name=name, argv=argv, port=port, directory=folder, wire="nats")


def rabbitmq(context: Context, name: str, queue_type: str = "quorum") -> Server:
    """With a port mapper of its own, which would else outlive it."""
    if not RABBITMQ.exists():
        raise NotBuilt("rabbitmq-server is not installed: apt-get install rabbitmq-server")
    folder, port, mapper = context.folder(name), free_port(), free_port()
    env = {
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(mapper),
        "ERL_EPMD_ADDRESS": HOST,
        "RABBITMQ_NODENAME": "bench@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": HOST,
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "logs"),
        "RABBITMQ_CONFIG_FILE": str(folder / "none"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none.sh"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
    }
    (folder / "plugins").write_text("[].\n")
    epmd = Peer(
        name="epmd", argv=[_program("epmd", "erlang-base")], port=mapper, directory=folder, env=env
    )
    server = Peer(
        name=name, argv=[str(RABBITMQ)], port=port, directory=folder, env=env, wire="amqp"
    )
    server.words = (queue_type,)
    server.backends.append(epmd)
    return server
