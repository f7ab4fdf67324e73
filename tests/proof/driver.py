"""Starts nodey, kills it, starts it again, ..., and lets it come to rest in the end."""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from oracle import Judge, Progress, Verdict, records
from store import read

HERE = Path(__file__).resolve().parent
# Where nodey dies of itself, and after how many passes at most.
POINTS = {"after_insert": 150, "before_commit": 60, "after_commit": 60, "before_reply": 60,
          "mid_checkpoint": 40, "mid_sweep": 2}
READY = re.compile(r"nodey ready on http://127\.0\.0\.1:(\d+)")
KEY_OF_HTTP = "-"
# No point at which it dies: see shim.c.  A kill at a random moment is then one within a commit
# more often than not.
LINGER = "linger"
CALLS = ("pwrite bus.db", "pwrite bus.db-wal", "fdatasync bus.db", "fdatasync bus.db-wal")
# With a number: at that call of the system that would change the store, see shim.c.
CALL = "call"

CONFIG = """
[server]
listen = "127.0.0.1:0"
[bus]
dedupe_window = "1h"
[streams.short]
topics = ["short.>"]
max_age = "100ms"
[[routes]]
path = "/in/*"
publish = ["fact.>"]
[workers.proof]
command = {command}
instances = 2
backoff_min = "5ms"
backoff_max = "20ms"
"""

SDKS = """
[workers.node]
script = "{here}/sdk.cjs"
instances = 1
[workers.python]
script = "{here}/sdk.py"
instances = 1
"""


@dataclass
class Tally:
    """What was done to it."""

    kills: int = 0
    random_kills: int = 0
    lingering: int = 0
    busy: int = 0  # publishes had no answer yet
    at_points: dict[str, int] = field(default_factory=dict)
    worker_kills: int = 0


def gone(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


class Life:
    """One process of nodey, from its start to its end."""

    def __init__(self, proof: "Proof", number: int, fault: str) -> None:
        env = {k: v for k, v in os.environ.items() if not k.startswith("NODEY")}
        env["PROOF_FOLDER"] = str(proof.folder)
        env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', '')}"
        if fault == LINGER:
            env["LD_PRELOAD"] = str(proof.shim)
            env["PROOF_DISK"] = str(proof.folder / "disk")
        elif fault.startswith(CALL):
            env["LD_PRELOAD"] = str(proof.shim)
            env["PROOF_DIE"] = fault.partition(":")[2]
            env["PROOF_DEATHS"] = str(proof.folder / "deaths")
        elif fault:
            env["NODEY_FAULT"] = fault
        self.proof = proof
        self.begin = proof.journal.stat().st_size
        self.log = proof.folder / "log"
        self.log_begin = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([proof.binary, "up"], cwd=proof.folder, env=env,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)
        self.number = number
        proof.life = self

    def wait_worker(self, seconds: float = 20) -> bool:
        """A worker is ready; False when nodey has died before."""
        end = time.monotonic() + seconds
        while self.proof.journal.stat().st_size == self.begin:
            if self.process.poll() is not None:
                return False
            if time.monotonic() > end:
                raise AssertionError(f"no worker became ready; the log:\n{self.text()}")
            time.sleep(0.002)
        return True

    def text(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self.log_begin)
            return log.read().decode(errors="replace")

    def wait_port(self) -> int:
        """0 when nodey has died before it told."""
        while not (found := READY.search(self.text())):
            if self.process.poll() is not None:
                return 0
            time.sleep(0.005)
        return int(found.group(1))

    def workers(self) -> list[int]:
        with self.proof.journal.open("rb") as journal:
            journal.seek(self.begin)
            lines = records(journal.read().decode(errors="replace"))
        return [int(line.split(" ")[2]) for line in lines if line.startswith("R ")]

    def sleep(self, seconds: float) -> bool:
        """False when nodey has died meanwhile."""
        try:
            self.process.wait(seconds)
            return False
        except subprocess.TimeoutExpired:
            return True

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def wait_workers_gone(self) -> None:
        """None of them writes into the next life."""
        end = time.monotonic() + 5
        for pid in self.workers():
            while not gone(pid):
                if time.monotonic() > end:
                    raise AssertionError(f"worker {pid} has outlived nodey by 5 s")
                time.sleep(0.002)


class Poster(threading.Thread):
    """Publishes over HTTP, one after the other, until nodey dies."""

    def __init__(self, proof: "Proof", life: Life, again: list[list[str]]) -> None:
        super().__init__(daemon=True)
        self.proof, self.life, self.again = proof, life, again
        self.fd = os.open(proof.journal, os.O_WRONLY | os.O_APPEND)

    def note(self, *words: object) -> None:
        os.write(self.fd, f"\n{' '.join(map(str, words))} .\n".encode())

    def run(self) -> None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.life.wait_port(), timeout=10)
            for ident, topic, key, at in self.again:
                self.post(connection, ident, topic)
            for n in range(100):
                self.post(connection, f"{self.life.number}.http.{n}", f"fact.t{n % 4}")
        except (OSError, http.client.HTTPException):
            pass  # It was killed: what has no answer is sent again.
        finally:
            os.close(self.fd)

    def post(self, connection: http.client.HTTPConnection, ident: str, topic: str) -> None:
        self.note("P", ident, topic, KEY_OF_HTTP, "-")
        connection.request("POST", f"/in/{topic}", json.dumps({"id": ident}),
                           {"Idempotency-Key": ident, "Content-Type": "application/json"})
        response = connection.getresponse()
        body = response.read()
        if response.status in (200, 202):
            found = json.loads(body)
            self.note("A", ident, found["seq"], int(found.get("duplicate", False)))
        else:
            self.note("E", ident, response.status)


class Proof:
    def __init__(self, folder: Path, binary: str, seed: int, each_call: bool = False,
                 most: int = 120) -> None:
        self.folder, self.binary, self.seed, self.most = folder, binary, seed, most
        self.each_call = each_call  # every second life, with a log that the one before has left
        self.journal = folder / "journal"
        self.journal.touch()
        self.rng = random.Random(seed)
        self.shim = folder / "shim.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(self.shim),
                        str(HERE / "shim.c"), "-ldl"], check=True)
        (folder / "disk").write_text(LINGER)
        self.tally = Tally()
        self.progress = Progress()
        self.read_to = 0
        self.begun = time.monotonic()
        self.life: Optional[Life] = None

    # -- one life

    def configure(self, sdks: bool) -> None:
        command = json.dumps([sys.executable, "-S", "-E", str(HERE / "worker.py"),
                              str(self.folder)])
        text = CONFIG.replace("{command}", command)
        text += SDKS.replace("{here}", str(HERE)) if sdks else ""
        (self.folder / "nodey.toml").write_text(text)

    def plan(self, number: int, publish: bool) -> list[list[str]]:
        """For the workers; what is to be posted again is returned."""
        again = [[ident, p.topic, p.key, p.at] for ident, p in self.progress.unacked.items()]
        posts = [words for words in again if ".http." in words[0] and self.rng.random() < 0.5]
        plan = {"life": number, "seed": self.seed, "publish": publish, "most": self.most,
                "resend": [words for words in again if words not in posts]}
        (self.folder / "plan.json").write_text(json.dumps(plan))
        return posts

    def begin(self, number: int, fault: str = "", sdks: bool = False,
              publish: bool = True) -> tuple[Life, Optional[Poster]]:
        self.configure(sdks)
        posts = self.plan(number, publish)
        life = Life(self, number, fault)
        if not life.wait_worker():
            return life, None
        poster = Poster(self, life, posts)
        poster.start()
        return life, poster

    def choose_fault(self, number: int) -> str:
        if self.each_call:
            return "" if number % 2 else f"{CALL}:{number // 2}"
        chance = self.rng.random()
        if chance < 0.5:
            return LINGER if chance < 0.3 else ""
        point = self.rng.choices(list(POINTS), [1 if p == "mid_sweep" else 4 for p in POINTS])[0]
        return f"{point}:{self.rng.randint(1, POINTS[point])}"

    def one_kill(self, number: int) -> None:
        fault = self.choose_fault(number)
        life, poster = self.begin(number, fault, sdks=number % 8 == 5)
        wait = self.rng.uniform(0.05, 0.5)
        if fault == LINGER and self.rng.random() < 0.5:  # else all has been published by then
            wait = self.rng.uniform(0.02, 0.15)
        if self.rng.random() < 0.15 and life.sleep(wait / 2):
            self.kill_worker(life)
        if fault not in ("", LINGER):  # Who sweeps lives for a second before.
            wait = 2 if fault.startswith("mid_sweep") else 0.6
        if life.sleep(wait):
            life.kill()
            self.tally.random_kills += 1
            self.tally.lingering += fault == LINGER
        elif life.process.returncode == -signal.SIGKILL and fault:
            point = fault.partition(":")[0]
            self.tally.at_points[point] = self.tally.at_points.get(point, 0) + 1
        else:
            raise AssertionError(f"nodey ended by itself, {life.process.returncode}:\n"
                                 f"{life.text()[-3000:]}")
        self.tally.kills += 1
        self.settle_down(life, poster)
        self.tally.busy += bool(self.progress.unacked)

    def kill_worker(self, life: Life) -> None:
        pids = [pid for pid in life.workers() if not gone(pid)]
        if pids:
            try:
                os.kill(self.rng.choice(pids), signal.SIGKILL)
                self.tally.worker_kills += 1
            except ProcessLookupError:
                pass

    def settle_down(self, life: Life, poster: Optional[Poster]) -> None:
        if poster:
            poster.join(15)
        life.wait_workers_gone()
        self.catch_up()

    def catch_up(self) -> None:
        with self.journal.open("rb") as journal:
            journal.seek(self.read_to)
            data = journal.read()
        data = data[:data.rfind(b"\n") + 1]
        self.read_to += len(data)
        self.progress.feed(records(data.decode()))

    # -- the whole

    def run(self, kills: int, seconds: float, patience: float = 90) -> None:
        """So many kills, or as many as fit into the time."""
        number = 0
        try:
            while number < kills and time.monotonic() - self.begun < seconds:
                number += 1
                self.one_kill(number)
            self.come_to_rest(number + 1, patience)
        finally:
            if self.life and self.life.process.poll() is None:
                self.life.kill()

    def come_to_rest(self, number: int, seconds: float) -> None:
        life, poster = self.begin(number, sdks=True, publish=False)
        assert poster, f"it does not start:\n{life.text()[-3000:]}"
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.2)
            self.catch_up()
            if not poster.is_alive() and not self.progress.unacked and \
                    not self.progress.waiting():
                break
        time.sleep(1)  # Outputs of the last ones are handled, back-offs end.
        life.process.terminate()
        code = life.process.wait(30)
        assert code == 0, f"the last nodey ended with {code}:\n{life.text()[-3000:]}"
        self.settle_down(life, poster)

    def judge(self) -> Verdict:
        lines = records(self.journal.read_text())
        verdict = Judge(lines, read(self.folder / ".nodey" / "bus"), self.progress).judge()
        if self.progress.unacked:
            verdict.wrong("never acknowledged", str(list(self.progress.unacked.items())[:3]))
        return verdict

    def deaths(self) -> Counter[str]:
        """At which calls it died, by their names."""
        file = self.folder / "deaths"
        return Counter(file.read_text().splitlines() if file.exists() else [])

    def figures(self, verdict: Verdict) -> dict[str, Any]:
        inside = sum(self.tally.at_points.values())
        return {"kills": self.tally.kills, "inside": inside, "acked": self.progress.acked,
                "lost": verdict.problems["acknowledged and lost"],
                "again": verdict.again, "twice": verdict.problems["stored twice"],
                "delivered": verdict.delivered, "points": self.tally.at_points,
                "deaths": self.deaths(), "lingering": self.tally.lingering, "busy": self.tally.busy,
                "worker_kills": self.tally.worker_kills, "resent": self.progress.resent,
                "duplicates": self.progress.duplicates}


def check_not_vacuous(figures: dict[str, Any], each_call: bool) -> list[str]:
    """What would make it prove nothing, as sentences."""
    kills = figures["kills"]
    if each_call:
        few = [call for call in CALLS if figures["deaths"][call] < 1]
        return [f"it proves little: none was killed at {call}" for call in few]
    wanted = {"acked": 20 * kills, "delivered": 20 * kills, "inside": kills // 6,
              "busy": kills // 3, "resent": kills // 2, "duplicates": kills // 20}
    return [f"it proves little: only {figures[name]} {name}, not {least}"
            for name, least in wanted.items() if figures[name] < least]
