"""What is done to the service on purpose.  Every fault is bounded, and says what it may hurt."""

from __future__ import annotations

import random
import resource
import signal
import socket
import struct
import time
from dataclasses import dataclass
from typing import Callable, Iterable

import procs
from client import Connection, Cut, Hang, request_bytes
from load import Shot, judge, new_id
from stage import FROZEN, TIMEOUT, WHOLE, WORKERS, Stage, Violation, kill
from timing import slow, until
from traffic import DEADLINE


@dataclass(frozen=True)
class Injury:
    """What a fault has done."""

    what: str
    hurt: frozenset[str] = frozenset()  # whose requests may fail; of all others none
    proof: str = ""  # what the log must tell; "": nothing is due
    notice: float = 0.0  # how long nodey may take to notice, in seconds
    lost: frozenset[int] = frozenset()  # processes of which at least one must go


Fault = Callable[[Stage, random.Random], Injury]

ENDED = r"{name}#\d+ (?:warning|error): "


def hurt(what: str, name: str, proof: str, notice: float = 0.0,
         lost: Iterable[int] = ()) -> Injury:
    return Injury(what, frozenset({name}), proof.format(name=name), notice, frozenset(lost))


# -- processes that end or stop


def kill_one(stage: Stage, rng: random.Random) -> Injury:
    name = rng.choice((*WORKERS, "web", "beat"))
    pid = rng.choice(stage.pids(name))
    kill([pid])
    return hurt(f"kill -9 one of {name}", name, ENDED, lost=[pid])


def kill_all(stage: Stage, rng: random.Random) -> Injury:
    name = rng.choice((*WORKERS, "web"))
    kill(stage.pids(name))
    return hurt(f"kill -9 all of {name}", name, ENDED)


def kill_in_a_row(stage: Stage, rng: random.Random) -> Injury:
    name = rng.choice(WORKERS)
    for _ in range(rng.randint(3, 8)):
        kill(stage.pids(name))
        time.sleep(rng.uniform(0, 0.5))
    return hurt(f"kill -9 {name} again and again", name, ENDED)


def freeze(stage: Stage, rng: random.Random) -> Injury:
    name = rng.choice((*WORKERS, "web"))
    pid = rng.choice(stage.pids(name))
    kill([pid], signal.SIGSTOP)
    return hurt(f"SIGSTOP one of {name}", name, ENDED, FROZEN + 3, [pid])


def thaw(stage: Stage, rng: random.Random) -> Injury:
    name = rng.choice((*WORKERS, "web"))
    pid = rng.choice(stage.pids(name))
    kill([pid], signal.SIGSTOP)
    time.sleep(rng.uniform(0.2, 2.5))
    kill([pid], signal.SIGCONT)
    return hurt(f"SIGSTOP and SIGCONT one of {name}", name, "", FROZEN)


# -- requests that are evil

DEEDS: dict[str, tuple[str, ...]] = {
    "py": ("crash", "quit", "segv", "spin", "sleep", "leak", "hog", "flood", "noise", "half"),
    "js": ("crash", "quit", "abort", "spin", "throw", "reject", "never", "leak", "hog", "flood",
           "noise"),
    "web": ("crash", "quit", "spin", "cut", "flood"),
    "raw": ("garbage", "broken", "half", "halfexit", "huge&mb=3", "hugeline&mb=2",
            "closeout", "closein", "deaf", "exit&code=3", "exit&code=0", "hang",
            "noterm", "merged", "badlines", "flood&fd=1", "flood&fd=2",
            "endless&mb=2", "bomb&kind=depth", "bomb&kind=keys", "bomb&kind=number",
            "grandchild&how=group", "grandchild&how=session", "grandchild&how=daemon"),
}
# Their worker is given up, at once or when it is found out.
DEADLY = {"crash", "segv", "abort", "spin", "sleep", "leak", "hog", "hang", "half", "halfexit",
          "deaf", "closein", "closeout", "noterm", "huge&mb=3", "exit&code=3"}
# Nothing is wrong, or nothing that needs to be told.
UNSEEN = {"merged", "grandchild&how=group", "grandchild&how=session", "grandchild&how=daemon",
          "never", "reject", "quit", "cut", "flood", "noise"}
SLOW = {"spin": TIMEOUT + 3, "hog": 2.0, "half": TIMEOUT, "closein": TIMEOUT,
        "noterm": TIMEOUT + 3}
STATUSES = frozenset({200, 500, 502, 503, 504})


def provoke(stage: Stage, target: str) -> str:
    """Sends a request that is evil; how it ended."""
    id = new_id()
    shot = Shot(id, "evil", "GET", target + ("&" if "?" in target else "?") + f"id={id}",
                statuses=STATUSES)
    try:
        with stage.connect(DEADLINE) as connection:
            connection.send(request_bytes(shot.method, shot.target))
            answer = connection.read_response()
    except Cut:
        return "cut"
    except Hang as error:
        raise Violation(f"I2: no answer to {shot.target}: {error}") from None
    outcome = judge(shot, answer)
    if outcome != "ok":
        raise Violation(f"I1: {outcome}: {shot.target} -> {answer}")
    return str(answer.status)


def evil(stage: Stage, rng: random.Random) -> Injury:
    name = rng.choice(("py", "js", "raw", "raw", "web"))
    deed = rng.choice(DEEDS[name])
    target = f"/raw/evil/{deed}?do={deed}" if name == "raw" else f"/{name}/evil/{deed}"
    before = stage.pids(name)
    outcomes = [provoke(stage, target) for _ in range(rng.randint(1, 2))]
    proof = "" if deed in UNSEEN else rf"\b{name}\b"
    return hurt(f"{name}: {deed} -> {' '.join(outcomes)}", name, proof,
                SLOW.get(deed, FROZEN + TIMEOUT),
                before if deed in DEADLY and "500" not in outcomes else ())


def impostor(stage: Stage, rng: random.Random) -> Injury:
    """Answers under ids that are others', or nobody's, or were answered already."""
    deeds = rng.sample(("unknownid", "neighbours", "dup", "duplater"), 3)
    outcomes = [provoke(stage, f"/raw/evil/{deed}?do={deed}") for deed in deeds * 3]
    return hurt(f"raw: {' '.join(deeds)} -> {' '.join(sorted(set(outcomes)))}", "raw", "")


def flood(stage: Stage, rng: random.Random) -> Injury:
    """Enough that log files are changed for new ones meanwhile."""
    name = rng.choice(("py", "js", "web"))
    for _ in range(3):
        provoke(stage, f"/{name}/evil/flood")
    return hurt(f"{name}: three floods", name, rf"\b{name}\b.*(?:flood|lines)", 1)


# -- clients that are odd


def reset(connection: Connection) -> None:
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def clients_leave(stage: Stage, rng: random.Random) -> Injury:
    """At any moment of a request, by a reset or with an end of file."""
    for _ in range(40):
        name = rng.choice(("calm", "py", "js", "raw", "web"))
        body = bytes(rng.choice((0, 100, 70000, 300000)))
        whole = request_bytes("POST", f"/{name}/echo?id={new_id()}", body)
        connection = stage.connect()
        try:
            connection.send(whole[:rng.randint(1, len(whole))])
            time.sleep(rng.choice((0, 0, 0.005, 0.02)))
        except OSError:
            pass
        rng.choice((reset, Connection.close))(connection)
    return Injury("40 clients leave")


def slow_readers(stage: Stage, rng: random.Random) -> Injury:
    """Large answers that are taken bit by bit, and not to their end."""
    opened = []
    for _ in range(8):
        connection = Connection.__new__(Connection)
        connection.timeout, connection.kept = slow(DEADLINE), b""
        connection.socket = socket.socket()
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        connection.socket.settimeout(connection.timeout)
        connection.socket.connect(("127.0.0.1", stage.port))
        target = rng.choice(("/files/big.bin", "/raw/echo?do=heavy&kb=900&id=" + new_id()))
        connection.send(request_bytes("GET", target))
        opened.append(connection)
    for _ in range(rng.randint(3, 10)):
        for connection in opened:
            connection._exactly(rng.randint(1, 4096))
        time.sleep(0.1)
    for connection in opened:
        rng.choice((reset, Connection.close))(connection)
    return Injury("8 slow readers")


def nonsense(stage: Stage, rng: random.Random) -> Injury:
    """What is no HTTP."""
    for _ in range(30):
        data = rng.choice((
            bytes(rng.randrange(256) for _ in range(rng.randint(1, 3000))),
            b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"POST /py/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 300 + b"\r\n"))
        with stage.connect() as connection:
            try:
                connection.send(data)
                connection.socket.shutdown(socket.SHUT_WR)
                while connection.socket.recv(65536):
                    pass
            except TimeoutError:
                raise Violation(f"I2: no end after {data[:80]!r}") from None
            except OSError:
                pass
    return Injury("30 clients talk nonsense")


# -- people that change things; none of it may cost a request


def reload_new(stage: Stage, rng: random.Random) -> Injury:
    name = rng.choice(list(stage.versions))
    stage.versions[name] += 1
    stage.configure()
    if rng.random() < 0.5:
        stage.signal(signal.SIGHUP)
    else:
        stage.must("reload")
    return Injury(f"a new version of {name}", proof=rf"\b{name}\b")


def reload_bad(stage: Stage, rng: random.Random) -> Injury:
    """A configuration that cannot be: nothing changes."""
    text = stage.text()
    stage.configure(rng.choice((
        text + "\n[workers.py\n", text.replace("instances = 2", "instances = -2"),
        text + "\n[workers.more]\nscrip = 'x'\n", "\x00", text.replace('"programs/py.py"', '""'))))
    if rng.random() < 0.5:
        mark = stage.mark()
        stage.signal(signal.SIGHUP)
        until(lambda: "nothing has changed" in stage.said(mark), 5, "SIGHUP is answered in the log")
        proof = r"nodey\.toml"
    else:  # it is told to whoever asked for it
        done = stage.command("reload")
        if done.code == 0 or "nodey.toml" not in done.err:
            raise Violation(f"I8: a bad configuration was taken: {done}")
        proof = ""
    stage.configure()
    return Injury("a bad configuration", proof=proof)


def reload_broken(stage: Stage, rng: random.Random) -> Injury:
    """A new version that does not start: the old one goes on."""
    name, file = rng.choice((("py", "programs/py.py"), ("js", "programs/js.mjs")))
    path = stage.folder / file
    good = path.read_text()
    path.write_text("this is no program (\n" + good)
    try:
        done = stage.command("reload", name)
    finally:
        path.write_text(good)
    if done.code == 0:
        raise Violation(f"I8: a version that cannot start was taken: {done}")
    stage.must("reload", name)  # else whatever is replaced waits for failed_retry
    return Injury(f"a version of {name} that does not start", proof=rf"\b{name}\b")


def reload_named(stage: Stage, rng: random.Random) -> Injury:
    name = rng.choice((*WORKERS, "web"))
    stage.must("reload", name)
    return Injury(f"nodey reload {name}", proof=rf"\b{name}\b")


def hang_up(stage: Stage, rng: random.Random) -> Injury:
    for _ in range(rng.randint(5, 40)):
        stage.signal(signal.SIGHUP)
        time.sleep(rng.choice((0, 0.001, 0.02)))
    return Injury("a storm of SIGHUP", proof=r"(?i)reload|configuration|SIGHUP")


def scale(stage: Stage, rng: random.Random) -> Injury:
    name = rng.choice(("py", "js", "raw", "web"))
    number = rng.choice((1, 3, 4))
    stage.must("scale", name, str(number))
    time.sleep(rng.uniform(0, 0.5))
    stage.must("scale", name, str(WHOLE[name]))
    return Injury(f"scale {name} to {number} and back", proof=rf"\b{name}\b")


# -- people that stop things


def stop_start(stage: Stage, rng: random.Random) -> Injury:
    name = rng.choice((*WORKERS, "web", "beat"))
    stage.must("stop", name)
    time.sleep(rng.uniform(0, 0.5))
    stage.must("start", name)
    return hurt(f"stop and start {name}", name, r"\b{name}\b")


def restart(stage: Stage, rng: random.Random) -> Injury:
    name = rng.choice((*WORKERS, "web", "beat"))
    stage.must("restart", name)
    return hurt(f"restart {name}", name, r"\b{name}\b")


def signal_by_command(stage: Stage, rng: random.Random) -> Injury:
    name = rng.choice((*WORKERS, "web", "beat"))
    sig = rng.choice(("TERM", "KILL", "INT"))
    stage.must("kill", "-s", sig, name)
    # A worker that is told to end hands over in peace, of which the log says nothing.
    return hurt(f"kill -s {sig} {name}", name, ENDED if sig == "KILL" else "")


# -- the machine


def no_descriptors(stage: Stage, rng: random.Random) -> Injury:
    """None is left for a moment, in which a worker dies and clients come."""
    usual = resource.prlimit(stage.pid, resource.RLIMIT_NOFILE)
    name = rng.choice(("py", "js", "raw"))
    opened: list[Connection] = []
    try:
        resource.prlimit(stage.pid, resource.RLIMIT_NOFILE, (procs.fds(stage.pid) + 2, usual[1]))
        for _ in range(20):
            try:
                opened.append(stage.connect())
            except OSError:  # nodey turns away what it cannot take
                pass
        kill([rng.choice(procs_of(stage, name))])
        time.sleep(rng.uniform(0.5, 1.5))
    finally:
        resource.prlimit(stage.pid, resource.RLIMIT_NOFILE, usual)
        for connection in opened:
            connection.close()
    return Injury("no descriptors left", frozenset({name, "web", "files"}),
                  ENDED.format(name=name), 1)


def procs_of(stage: Stage, name: str) -> list[int]:
    """Its processes, found without asking nodey."""
    return [pid for pid in procs.children(stage.pid)
            if procs.environ(pid).get("NODEY_WORKER") == name and procs.alive(pid)]


# How often each comes, of every 50.
FAULTS: dict[Fault, int] = {
    kill_one: 4, kill_all: 2, kill_in_a_row: 1, freeze: 3, thaw: 2, evil: 14, impostor: 2,
    flood: 1, clients_leave: 2, slow_readers: 2, nonsense: 1, reload_new: 2, reload_bad: 2,
    reload_broken: 1, reload_named: 2, hang_up: 1, scale: 2, stop_start: 2, restart: 1,
    signal_by_command: 2, no_descriptors: 1,
}


def named(name: str) -> Fault:
    return next(fault for fault in FAULTS if fault.__name__ == name)


class Sequence:
    """The faults of a seed, in their order, each with dice of its own.

    How a fault goes depends on nothing that happened before it, so that the order is the
    same on every machine.
    """

    def __init__(self, seed: int, only: tuple[str, ...] = ()) -> None:
        self.seed = seed
        self.faults = [named(name) for name in only] or list(FAULTS)
        self.rng = random.Random(seed)
        self.number = 0
        self.deck: list[Fault] = []

    def next(self) -> tuple[int, Fault, random.Random]:
        self.number += 1
        if not self.deck:
            self.deck = [fault for fault in self.faults for _ in range(FAULTS[fault])]
            self.rng.shuffle(self.deck)
        return self.number, self.deck.pop(), random.Random(f"{self.seed}-{self.number}")
