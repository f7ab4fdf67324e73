"""What clients do meanwhile: requests of every kind, and sockets and streams that last."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from typing import Callable, Optional

from client import Connection, Cut, Hang, Malformed, parse_head, request_bytes
from load import Load, Mix, Outcome, Shot, echo, new_id
from timing import slow
from ws import BadServer, WebSocket

CONNECTIONS = 24
PAUSE = 0.05  # of a client between two requests, on the average: the machine is not the subject
DEADLINE = 14  # longer than everything that nodey may wait for: see the stage's timeouts

# How a request may end whose program was hurt meanwhile.
HURT = frozenset({"ok", "refused", "bad", "timeout", "cut", "unsent"})


def small_file(_: random.Random) -> Shot:
    return Shot(new_id(), "files", "GET", "/files/small.txt", expect=b"a small file\n")


MIXES: list[tuple[float, Mix]] = [
    (0.30, echo("/calm/echo", "calm")),
    (0.20, echo("/py/echo", "py")),
    (0.15, echo("/js/echo", "js")),
    (0.15, echo("/raw/echo", "raw")),
    (0.05, echo("/live/echo", "live", posts=0)),
    (0.10, echo("/web/echo", "web")),
    (0.05, small_file),
]


def mixed(rng: random.Random) -> Shot:
    mix = rng.choices([mix for _, mix in MIXES], [share for share, _ in MIXES])[0]
    return mix(rng)


def start(port: int, seconds: float, seed: int) -> Load:
    """A closed loop over every program, for one round."""
    return Load(port, mixed, CONNECTIONS, seconds=seconds, timeout=DEADLINE, seed=seed,
                pause=PAUSE, quiet=True).start()


def judge(outcome: Outcome, hurt: frozenset[str]) -> list[str]:
    """What ended as it must not, when the programs in `hurt` were hurt meanwhile."""
    found = []
    for record in outcome.records:
        allowed = HURT if record.shot.kind in hurt else {"ok"}
        if record.outcome not in allowed:
            law = {"wrong": "I1", "hang": "I2"}.get(record.outcome, "I6")
            found.append(f"{law}: {record.outcome} after {record.took:.3f} s: "
                         f"{record.shot.method} {record.shot.target} "
                         f"({len(record.shot.body)} bytes) -> {record.detail[:600]}")
    return found


class Lasting:
    """A client that keeps one socket or stream open, and opens it again whenever it ended."""

    def __init__(self, port: int, path: str) -> None:
        self.port = port
        self.path = path
        self.counts: Counter[str] = Counter()
        self.problem = ""  # what must never be; ends the client
        self.last = 0.0  # when something right came the last time
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=path, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join(slow(DEADLINE) + 5)

    def _run(self) -> None:
        while not self._ended.is_set() and not self.problem:
            try:
                self._once()
            except (OSError, Cut, Malformed, AssertionError) as error:
                self.counts["lost"] += 1
                if isinstance(error, BadServer):
                    self.problem = f"I1: {self.path}: {error}"
            except Hang as error:
                self.problem = f"I2: nothing came at {self.path}: {error}"
            self._ended.wait(0.1)

    def _once(self) -> None:
        raise NotImplementedError

    def _right(self) -> None:
        self.counts["messages"] += 1
        self.last = time.monotonic()


class Socket(Lasting):
    """Sends a text of its own every now and then, and wants it back."""

    def _once(self) -> None:
        with WebSocket(self.port, self.path, timeout=DEADLINE) as socket:
            if socket.status != 101:
                self.counts["refused"] += 1
                return
            self.counts["opened"] += 1
            while not self._ended.is_set():
                text = new_id() * random.randint(1, 50)
                socket.send(text)
                event = socket.next()
                if event[0] in ("close", "eof"):
                    self.counts["closed"] += 1
                    return
                if event[0] == "nothing":
                    raise Hang("no echo")
                if event != ("text", text):
                    self.problem = f"I1: {self.path}: sent {text!r}, got {event!r}"
                    return
                self._right()
                self._ended.wait(0.1)


class Events(Lasting):
    """Takes events, each of which names this stream and its number."""

    def _once(self) -> None:
        id = new_id()
        with Connection(self.port, DEADLINE) as connection:
            connection.send(request_bytes("GET", f"{self.path}?id={id}"))
            status, _, _ = parse_head(connection._until(b"\r\n\r\n"))
            if status != 200:
                self.counts["refused"] += 1
                return
            self.counts["opened"] += 1
            number, text = 0, b""
            while not self._ended.is_set():
                size = int(connection._until(b"\r\n"), 16)
                text += connection._exactly(size)
                connection._exactly(2)
                if size == 0:
                    self.counts["closed"] += 1
                    return
                while b"\n\n" in text:
                    event, _, text = text.partition(b"\n\n")
                    if event.startswith(b":"):
                        continue
                    if event != f"data: {id} {number}".encode():
                        self.problem = f"I1: {self.path}: wanted {id} {number}, got {event!r}"
                        return
                    number += 1
                    self._right()


class Crowd:
    """The lasting clients together."""

    def __init__(self, port: int) -> None:
        kinds: list[tuple[Callable[[int, str], Lasting], str]] = [
            (Socket, "/live/socket"), (Socket, "/live/socket"), (Socket, "/js/socket"),
            (Events, "/live/events"), (Events, "/live/events")]
        self.clients = [kind(port, path) for kind, path in kinds]

    def problems(self) -> list[str]:
        return [client.problem for client in self.clients if client.problem]

    def waiting(self, since: float) -> Optional[str]:
        """Who has got nothing since that moment."""
        return next((client.path for client in self.clients if client.last < since), None)

    def counts(self) -> Counter[str]:
        total: Counter[str] = Counter()
        for client in self.clients:
            total.update(client.counts)
        return total

    def stop(self) -> None:
        for client in self.clients:
            client._ended.set()
        for client in self.clients:
            client.stop()
