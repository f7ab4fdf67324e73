"""Durable publishing: nodey's bus beside Redis Streams, RabbitMQ and NATS JetStream.

What a server promises with its answer stands in the name of each row.  `fsync`: it outlives
a power failure; `os`: it is with the kernel and outlives the server only.  Figures of two
levels are in two tables, so that nobody compares one's disk with another's page cache.
"""

from __future__ import annotations

from functools import partial

from harness import bus
from harness.context import Context, Subject
from harness.report import Column, Table

IN_FLIGHT = 64
COLUMNS = [
    Column("per_second", "stored/s"),
    Column("p50_ms", "p50 ms", 2),
    Column("p99_ms", "p99 ms", 2),
    Column("cpu_us", "server CPU µs each", 1),
    Column("client", "client CPU %"),
]


def _nodey(context: Context, durability: str) -> Subject:
    name = f"nodey, {durability}"
    make = partial(bus.nodey, context, name, {"pub": []}, durability=durability)
    return Subject(name, make, partial(bus.probe_nodey, IN_FLIGHT))


def _fsync(context: Context) -> Table:
    title = f"stored with an fsync, {bus.BYTES} B, {IN_FLIGHT} unanswered"
    table = Table("bus, fsync", title, COLUMNS)
    one = partial(bus.probe_peer, 1, IN_FLIGHT)
    many = partial(bus.probe_peer, IN_FLIGHT, 1)
    redis, rabbit = "Redis, fsync (always)", "RabbitMQ quorum, fsync"
    subjects = [
        _nodey(context, "fsync"),
        Subject(redis, partial(bus.redis, context, redis), one),
        Subject(f"{redis}, 64 clients", partial(bus.redis, context, "redis 64"), many),
        Subject(rabbit, partial(bus.rabbitmq, context, rabbit), one),
        Subject(f"{rabbit}, 64 clients", partial(bus.rabbitmq, context, "rabbitmq 64"), many),
    ]
    context.compare(table, subjects)
    table.ratio("nodey, fsync", redis, "per_second", ">=", 1.5)
    table.ratio("nodey, fsync", f"{redis}, 64 clients", "per_second", ">=", 1.5)
    table.ratio("nodey, fsync", rabbit, "per_second", ">=", 4)
    table.ratio("nodey, fsync", f"{rabbit}, 64 clients", "per_second", ">=", 4)
    return table


def _os(context: Context) -> Table:
    title = f"stored in the page cache, {bus.BYTES} B, {IN_FLIGHT} unanswered"
    table = Table("bus, os", title, COLUMNS)
    nats = "NATS JetStream file, os"
    subjects = [
        _nodey(context, "os"),
        Subject(nats, partial(bus.nats, context, nats), partial(bus.probe_peer, 1, IN_FLIGHT)),
        Subject(
            f"{nats}, 64 clients",
            partial(bus.nats, context, "nats 64"),
            partial(bus.probe_peer, IN_FLIGHT, 1),
        ),
    ]
    context.compare(table, subjects)
    table.ratio("nodey, os", nats, "per_second", ">=", 2)
    table.ratio("nodey, os", f"{nats}, 64 clients", "per_second", ">=", 2)
    return table


def run(context: Context) -> list[Table]:
    return [_fsync(context), _os(context)]
