"""The soak itself: a round for each fault, and the sum of them."""

from __future__ import annotations

import random
import re
import statistics
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Optional

import procs
import traffic
from checks import open_files
from client import Cut, Hang, request_bytes
from faults import Fault, Injury, Sequence
from load import Outcome, new_id
from stage import Stage, Violation
from timing import slow

RECOVERY = 5.0  # until everything is as before, once the fault is noticed
SPARE_FDS = 3
SPARE_MEMORY = 32 << 20
SETTLE = 0.3  # of load before a fault and after the recovery
ECHOES = ("calm", "py", "js", "raw", "live", "web")


@dataclass
class Sum:
    """What is told at the end."""

    rounds: Counter[str] = field(default_factory=Counter)
    outcomes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    recoveries: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    fds: list[int] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        total = sum(sum(counts.values()) for counts in self.outcomes.values())
        lines = [f"{sum(self.rounds.values())} faults, {total} requests"]
        for kind, counts in sorted(self.outcomes.items()):
            lines.append(f"  {kind:8} " + ", ".join(f"{n} {name}" for name, n
                                                    in counts.most_common()))
        lines.append("fault                  times   back to normal: median, longest (s)")
        for name, count in self.rounds.most_common():
            times = self.recoveries[name] or [0.0]
            lines.append(f"  {name:20} {count:6} {statistics.median(times):10.2f} "
                         f"{max(times):8.2f}")
        if self.fds:
            lines.append(f"descriptors: {self.fds[0]} in calm; from {min(self.fds)} to "
                         f"{max(self.fds)} after faults, {self.fds[-1]} at the end")
            calm, most, last = (size / 2**20 for size in
                                (self.memory[0], max(self.memory), self.memory[-1]))
            lines.append(f"memory: {calm:.1f} MiB in calm, {most:.1f} at most after a fault, "
                         f"{last:.1f} at the end")
        return "\n".join(lines)


class Soak:
    def __init__(self, stage: Stage, seed: int, only: tuple[str, ...] = ()) -> None:
        self.stage = stage
        self.seed = seed
        self.sequence = Sequence(seed, only)
        self.sum = Sum()
        self._injured: Optional[BaseException] = None

    def run(self, seconds: float) -> bool:
        """True when everything held."""
        crowd = None
        try:
            self.stage.wait_ready()
            crowd = traffic.Crowd(self.stage.port)
            self.crowd = crowd
            self.warm_up()
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                self.round(*self.sequence.next())
        except (Violation, AssertionError) as error:
            print(f"\nNOT GOOD: {error}\n", flush=True)
            return False
        finally:
            if crowd:
                crowd.stop()
                print(f"lasting clients: {dict(crowd.counts())}")
            print(self.sum, flush=True)
        return self.end()

    def end(self) -> bool:
        try:
            self.stage.end()
            self.stage.must_be_sound(0)
        except Violation as error:
            print(f"\nNOT GOOD: {error}\n")
            return False
        print("soak: everything held")
        return True

    # -- rounds

    def warm_up(self) -> None:
        """Load without a fault; then what is held is what is held in calm."""
        self.wait_whole(slow(30))
        for number in range(2):
            load = traffic.start(self.stage.port, 60, self.seed + number)
            time.sleep(4)
            self.add(load.stop(), frozenset())
        self.wait_crowd()
        self.fds = self.count_fds()
        self.memory = procs.rss(self.stage.pid)
        self.sum.fds.append(self.fds)
        self.sum.memory.append(self.memory)

    def round(self, number: int, fault: Fault, rng: random.Random) -> None:
        name = fault.__name__
        mark = self.stage.mark()
        load = traffic.start(self.stage.port, 300, self.seed + number)
        try:
            time.sleep(SETTLE)
            injury = fault(self.stage, rng)
            begun = time.monotonic()
            limit = injury.notice + RECOVERY
            self.wait_whole(slow(limit), injury.lost)
            recovery = time.monotonic() - begun
            time.sleep(SETTLE)
        except (Violation, AssertionError, OSError, Cut, Hang) as error:
            load.stop()
            raise Violation(f"in fault {number}, {name}: {error}\n"
                            f"{self.stage.said(mark)[-3000:]}") from error
        outcome = load.stop()
        self.sum.rounds[name] += 1
        self.sum.recoveries[name].append(recovery)
        print(f"{number:4} {injury.what:52} {len(outcome.records):5} requests, "
              f"back to normal in {recovery:5.2f} s", flush=True)
        try:
            self.add(outcome, injury.hurt)
            self.check(injury, mark)
        except (Violation, AssertionError, OSError) as error:
            raise Violation(f"after fault {number}, {injury.what}: {error}\n"
                            f"{self.stage.said(mark)[-3000:]}") from error

    def add(self, outcome: Outcome, injured: frozenset[str]) -> None:
        for record in outcome.records:
            self.sum.outcomes[record.shot.kind][record.outcome] += 1
        found = traffic.judge(outcome, injured) + self.crowd.problems()
        if found:
            raise Violation("\n".join(found[:10]))
        if not outcome.records:
            raise Violation("I2: no request was answered")

    # -- what must hold

    def wait_whole(self, seconds: float, lost: frozenset[int] = frozenset()) -> None:
        """All programs have their instances, and a request to each is answered.

        Of the processes in `lost` at least one is there no more.
        """
        until = time.monotonic() + seconds
        while True:
            self.stage.must_live()
            try:
                strays = self.stage.strays(self.stage.programs())
            except (OSError, Cut) as error:
                strays = [f"its control socket: {error!r}"]
            if lost and all(procs.alive(pid) for pid in lost):
                strays.append(f"still there: {sorted(lost)}")
            if not strays:
                strays = [name for name in ECHOES if not self.echoes(name)]
            if not strays:
                return
            if time.monotonic() > until:
                raise Violation(f"I4: not as before after {seconds:g} s: {strays}")
            time.sleep(0.05)

    def echoes(self, name: str) -> bool:
        id = new_id()
        try:
            with self.stage.connect() as connection:
                connection.send(request_bytes("GET", f"/{name}/echo?id={id}"))
                answer = connection.read_response()
        except (OSError, Cut):
            return False
        except Hang as error:
            raise Violation(f"I2: {name} does not answer: {error}") from None
        return answer.status == 200 and answer.text == id

    def wait_crowd(self) -> None:
        """All lasting clients get what they want again."""
        now, until = time.monotonic(), time.monotonic() + slow(RECOVERY)
        while who := self.crowd.waiting(now):
            self.fail_on(self.crowd.problems())
            if time.monotonic() > until:
                raise Violation(f"I4: nothing comes at {who}")
            time.sleep(0.02)

    @staticmethod
    def fail_on(problems: list[str]) -> None:
        if problems:
            raise Violation("\n".join(problems))

    def check(self, injury: Injury, mark: int) -> None:
        self.stage.must_live()
        self.stage.must_be_sound(mark)
        self.wait_crowd()
        self.wait_proof(injury, mark)
        until = time.monotonic() + slow(5)
        while (leak := self.leak()) and time.monotonic() < until:
            time.sleep(0.05)
        self.fail_on([leak] if leak else [])
        self.sum.fds.append(self.count_fds())
        self.sum.memory.append(procs.rss(self.stage.pid))
        grown = self.sum.memory[-1] - self.memory
        if grown > SPARE_MEMORY and not self.stage.sanitized:
            raise Violation(f"I5: memory grew by {grown / 2**20:.1f} MiB")

    def leak(self) -> str:
        zombies = procs.zombies(self.stage.pid)
        if zombies:
            return f"I5: zombies: {zombies}"
        fds = self.count_fds()
        if abs(fds - self.fds) > SPARE_FDS:
            return f"I5: {fds} descriptors, {self.fds} in calm: {open_files(self.stage.pid)}"
        return ""

    def count_fds(self) -> int:
        """Without those to services, which are kept for the next request."""
        return procs.fds(self.stage.pid) - self.kept()

    def kept(self) -> int:
        """Connections to services that are open; those that a service has closed don't count."""
        ports = self.stage.ports()
        mine = {text.partition("=")[2] for text in open_files(self.stage.pid)}
        found = 0
        with open("/proc/net/tcp") as file:
            for line in file.readlines()[1:]:
                fields = line.split()
                remote = int(fields[2].split(":")[1], 16)
                if fields[3] == "01" and remote in ports and f"socket:[{fields[9]}]" in mine:
                    found += 1
        return found

    def wait_proof(self, injury: Injury, mark: int) -> None:
        """The log tells of it."""
        if not injury.proof:
            return
        until = time.monotonic() + slow(2)
        while not re.search(injury.proof, self.stage.said(mark)):
            if time.monotonic() > until:
                raise Violation(f"I8: nothing in the log of it: {injury.proof}")
            time.sleep(0.05)
