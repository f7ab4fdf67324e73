"""A closed-loop load client that knows which bytes belong to whom.

Every request carries an id of its own in its target and, when it has one, all through
its body; the answer must be exactly what an echo of that request is.  So an answer that
belongs to somebody else, a lost one, a doubled one and a cut one each show up under
their own name:

    ok        the answer that the request asked for
    refused   503 with Retry-After
    bad       502
    timeout   504
    wrong     another request's bytes, or a body that is not the expected one
    late      answered by a worker that had been told to end before it got the request
    cut       the connection ended before a whole answer was there
    hang      nothing within the deadline
    unsent    the connection was refused or lost before the request was wholly sent
    NNN       any other status
"""

from __future__ import annotations

import asyncio
import random
import re
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Callable, Iterable, Optional

from client import (Cut, Hang, Headers, Malformed, Response, body_length, parse_head,
                    request_bytes)
from timing import slow

ID = re.compile(rb"rq-[0-9a-f]{32}")


def new_id() -> str:
    return f"rq-{uuid.uuid4().hex}"


@dataclass(frozen=True)
class Shot:
    """One request and what a right answer to it is."""

    id: str
    kind: str
    method: str
    target: str
    body: bytes = b""
    expect: Optional[bytes] = None  # the answer's whole body; None: any
    statuses: frozenset[int] = frozenset({200})  # any of these is "ok"


Mix = Callable[[random.Random], Shot]


def echo(path: str, kind: str = "good", posts: float = 0.5, largest: int = 65536) -> Mix:
    """Requests to an echo worker: GETs, and POSTs with a body of up to `largest` bytes."""

    def mix(rng: random.Random) -> Shot:
        id = new_id()
        target = f"{path}?id={id}"
        if rng.random() >= posts:
            return Shot(id, kind, "GET", target, expect=id.encode())
        unit = f"{id} ü✓😀\\\"\n".encode()
        body = unit * rng.randint(1, max(1, int(largest * rng.random() ** 3) // len(unit)))
        return Shot(id, kind, "POST", target, body, expect=body)

    return mix


def evil(path: str, query: str, statuses: Iterable[int], method: str = "GET",
         kind: str = "evil", expect: Callable[[str], Optional[bytes]] = str.encode) -> Mix:
    """Requests that make the worker misbehave; the statuses are what may come of it.

    `expect` is the body of a 200 for an id: the id itself, as an echo answers.
    """
    allowed = frozenset(statuses)

    def mix(rng: random.Random) -> Shot:
        id = new_id()
        return Shot(id, kind, method, f"{path}?id={id}&{query}", expect=expect(id),
                    statuses=allowed)

    return mix


def blend(usual: Mix, other: Mix, share: float) -> Mix:
    """Mostly the usual one; the other one for that share of the requests."""
    return lambda rng: other(rng) if rng.random() < share else usual(rng)


def judge(shot: Shot, answer: Response) -> str:
    """The name of an outcome.  Foreign bytes are `wrong` whatever the status."""
    own = shot.id.encode()
    shown = answer.body + repr(answer.headers).encode()
    if any(found != own for found in ID.findall(shown)):
        return "wrong"
    if answer.status in shot.statuses:
        if shot.expect is not None and answer.status == 200 and answer.body != shot.expect:
            return "wrong"
        return "late" if "x-after-term" in answer.headers else "ok"
    if answer.status == 503:
        return "refused" if "retry-after" in answer.headers else "503"
    return {502: "bad", 504: "timeout"}.get(answer.status, str(answer.status))


@dataclass
class Record:
    """One request's life, in seconds of the monotonic clock."""

    shot: Shot
    outcome: str
    begun: float
    sent: Optional[float]  # when the last byte was given to the system; None: never
    ended: float
    detail: str
    headers: Headers

    @property
    def took(self) -> float:
        return self.ended - self.begun


@dataclass
class Outcome:
    records: list[Record] = field(default_factory=list)

    def counts(self, kind: Optional[str] = None) -> Counter[str]:
        return Counter(r.outcome for r in self.records if kind in (None, r.shot.kind))

    def unlike(self, *outcomes: str, kind: Optional[str] = None) -> list[Record]:
        """The records that ended in none of these ways."""
        return [r for r in self.records
                if kind in (None, r.shot.kind) and r.outcome not in outcomes]

    def lost_after(self, moment: float) -> list[Record]:
        """What was wholly sent before that moment and not rightly answered."""
        return [r for r in self.records
                if r.sent is not None and r.sent < moment and r.outcome != "ok"]

    def percentile(self, share: float, kind: Optional[str] = None) -> float:
        took = sorted(r.took for r in self.records if kind in (None, r.shot.kind))
        assert took, "no request was made"
        return took[min(len(took) - 1, int(len(took) * share))]

    def require(self, *outcomes: str, kind: Optional[str] = None, at_least: int = 1) -> None:
        """Fails unless there were enough requests and all ended in one of these ways."""
        counts = self.counts(kind)
        others = self.unlike(*outcomes, kind=kind)
        shown = "\n".join(f"  {r.outcome} after {r.took:.3f} s: {r.shot.method} {r.shot.target}"
                          f" -> {r.detail}" for r in others[:8])
        assert not others, f"{kind or 'all'}: {dict(counts)}; wanted only {outcomes}:\n{shown}"
        assert sum(counts.values()) >= at_least, f"too few requests: {dict(counts)}"


class Load:
    """Some connections that each send one request after the other, in a thread of its own.

    Bounded: ends after `seconds`, after `requests`, or at stop(), whichever comes
    first.  `timeout` is what one request may take before it counts as a hang, `pause`
    the mean of what a client waits before each, in seconds.
    """

    def __init__(self, port: int, mix: Mix, connections: int = 32,
                 seconds: float = 60, requests: Optional[int] = None,
                 timeout: float = 15, seed: Optional[int] = None, pause: float = 0,
                 quiet: bool = False) -> None:
        self.port = port
        self.mix = mix
        self.connections = connections
        self.seconds = seconds
        self.left = requests
        self.timeout = slow(timeout)
        self.pause = pause
        self.quiet = quiet
        self.seed = random.randrange(2**32) if seed is None else seed
        self.outcome = Outcome()
        self._stopped = threading.Event()
        self._failure: Optional[BaseException] = None
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def __enter__(self) -> "Load":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> "Load":
        if not self.quiet:
            print(f"load: seed {self.seed}")
        self._thread.start()
        return self

    def done(self) -> int:
        """How many requests have ended so far."""
        return len(self.outcome.records)

    def running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> Outcome:
        """Lets the requests under way end, sends no more."""
        self._stopped.set()
        return self.join()

    def join(self) -> Outcome:
        """Waits for the load's own end."""
        bound = self.seconds + 2 * self.timeout + slow(5)
        self._thread.join(bound)
        assert not self._thread.is_alive(), f"the load client did not end within {bound} s"
        if self._failure:
            raise self._failure
        return self.outcome

    def _run(self) -> None:
        try:
            asyncio.run(self._all())
        except BaseException as error:  # Handed to whoever joins; a thread has no caller.
            self._failure = error

    async def _all(self) -> None:
        self._end = time.monotonic() + self.seconds
        clients = [_Client(self, random.Random(f"{self.seed}-{n}"))
                   for n in range(self.connections)]
        await asyncio.gather(*(client.run() for client in clients))

    def next(self, rng: random.Random) -> Optional[Shot]:
        if self._stopped.is_set() or time.monotonic() >= self._end:
            return None
        if self.left is not None:
            if self.left == 0:
                return None
            self.left -= 1
        return self.mix(rng)


class _Client:
    """One connection of a load, opened anew whenever it was closed."""

    def __init__(self, load: Load, rng: random.Random) -> None:
        self.load = load
        self.rng = rng
        self.reader: Optional[asyncio.StreamReader] = None
        self.writer: Optional[asyncio.StreamWriter] = None

    async def run(self) -> None:
        while True:
            if self.load.pause:
                await asyncio.sleep(self.rng.expovariate(1 / self.load.pause))
            shot = self.load.next(self.rng)
            if shot is None:
                break
            await self._shoot(shot)
        self._close()

    async def _shoot(self, shot: Shot) -> None:
        begun = time.monotonic()
        sent: Optional[float] = None
        headers = Headers([])
        try:
            await asyncio.wait_for(self._send(shot), self.load.timeout)
            sent = time.monotonic()
            answer = await asyncio.wait_for(self._receive(shot), self.load.timeout)
            outcome, detail, headers = judge(shot, answer), repr(answer), answer.headers
            if headers.get("connection").lower() == "close":
                self._close()
        except (asyncio.TimeoutError, Hang) as error:
            outcome, detail = "hang", repr(error)
        except (ConnectionError, Cut, asyncio.IncompleteReadError, Malformed) as error:
            outcome, detail = ("unsent" if sent is None else "cut"), repr(error)
        if outcome in ("hang", "cut", "unsent"):
            self._close()
        if outcome == "unsent":
            await asyncio.sleep(0.01)  # A refusing port must not make this loop spin.
        record = Record(shot, outcome, begun, sent, time.monotonic(), detail, headers)
        self.load.outcome.records.append(record)

    async def _send(self, shot: Shot) -> None:
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1",
                                                                     self.load.port)
        self.writer.write(request_bytes(shot.method, shot.target, shot.body))
        await self.writer.drain()

    async def _receive(self, shot: Shot) -> Response:
        assert self.reader is not None
        head = (await self.reader.readuntil(b"\r\n\r\n"))[:-4]
        status, reason, headers = parse_head(head)
        length = body_length(shot.method, status, headers)
        if length is None:
            raise Malformed("a chunked answer: nodey knows every length")
        body = await self.reader.readexactly(length)
        return Response(status, reason, headers, body)

    def _close(self) -> None:
        if self.writer is not None:
            self.writer.transport.abort()
        self.reader = self.writer = None
