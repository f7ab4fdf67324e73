"""Judges a journal (see worker.py) and a store: was anything lost, doubled or out of order?

It knows nothing of how nodey works, only what it promises.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Iterable

from store import Row, Stored

# What each group takes, and which of them publish with their ack.
TOPICS = {"plain": "fact.", "keyed": "fact.", "sink": "out.", "short": "short.",
          "work": "work", "node": "fact.sdk", "python": "fact.sdk"}
WITH_OUTPUT = ("plain", "work", "node", "python")
MAX = {"plain": 16, "keyed": 8, "sink": 32, "short": 16, "work": 4, "node": 8, "python": 16}
# Their messages are not there for ever: swept when old, or deleted when done.
PASSING = ("short.", "work")


def records(text: str) -> list[str]:
    """The journal's lines, without those that a kill has cut."""
    return [line[:-2] for line in text.split("\n") if line.endswith(" .")]


def takes(group: str, topic: str) -> bool:
    return topic.startswith(TOPICS[group])


@dataclass
class Publish:
    topic: str
    key: str
    at: str
    acked: bool = False
    seq: int = 0


class Progress:
    """Reads what is new in the journal: who has what, and what is still to be done."""

    def __init__(self) -> None:
        self.published: dict[str, Publish] = {}
        self.unacked: dict[str, Publish] = {}
        self.settled: dict[str, set[str]] = {group: set() for group in TOPICS}
        self.failed: dict[str, set[str]] = {group: set() for group in TOPICS}
        self.acked = self.resent = self.duplicates = 0

    def feed(self, lines: Iterable[str]) -> None:
        for line in lines:
            word = line.split(" ")
            if word[0] == "P":
                self._publish(word)
            elif word[0] == "A":
                self._acked(word)
            elif word[0] == "S":
                kind = self.settled if word[4] == "ack" else self.failed
                kind[word[1]].add(word[3])

    def _publish(self, word: list[str]) -> None:
        if word[1] in self.published:
            self.resent += 1
            return
        self.published[word[1]] = self.unacked[word[1]] = Publish(word[2], word[3], word[4])

    def _acked(self, word: list[str]) -> None:
        self.duplicates += word[3] == "1"
        if self.unacked.pop(word[1], None):
            self.acked += 1
        found = self.published[word[1]]
        found.acked = True
        found.seq = found.seq or int(word[2])

    def waiting(self) -> list[str]:
        """What was acknowledged and nobody has answered, for better or worse."""
        return [f"{group}: {ident}" for ident, p in self.published.items() if p.acked
                for group in TOPICS if takes(group, p.topic)
                and ident not in self.settled[group] and ident not in self.failed[group]]


@dataclass
class Turn:
    """Of one key in one group, within one life of nodey."""

    seq: int = 0
    state: str = "ack"
    pid: str = ""


@dataclass
class Verdict:
    problems: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    delivered: int = 0
    again: int = 0

    def wrong(self, what: str, example: str) -> None:
        self.problems[what] += 1
        self.examples.setdefault(what, example)


class Judge:
    def __init__(self, lines: list[str], stored: Stored, progress: Progress) -> None:
        self.lines = lines
        self.stored = stored
        self.progress = progress
        self.verdict = Verdict()
        self.rows: dict[int, Row] = {}
        self.by_id: dict[str, list[Row]] = defaultdict(list)
        self.dead: Counter[tuple[str, str]] = Counter()
        self.outputs: Counter[tuple[str, str]] = Counter()
        for name, rows in stored.streams.items():
            for row in rows:
                self._index(name, row)

    def _index(self, stream: str, row: Row) -> None:
        if stream == "dead":
            why = row.headers.get("nodey-dead", {})
            self.dead[why.get("group", "?"), why.get("id", "?")] += 1
            return
        self.rows[row.seq] = row
        self.by_id[row.id].append(row)
        if row.topic.startswith("out."):
            data = json.loads(row.data)
            self.outputs[data["group"], data["of"]] += 1

    def judge(self) -> Verdict:
        if self.stored.damage != "ok":
            self.verdict.wrong("the store is damaged", self.stored.damage)
        self._publishes()
        self._deliveries()
        self._settles()
        self._leftovers()
        return self.verdict

    # -- what was published

    def _publishes(self) -> None:
        for ident, p in self.progress.published.items():
            if p.topic.startswith(PASSING):
                continue
            rows = self.by_id.get(ident, [])
            if p.acked and not rows:
                self.verdict.wrong("acknowledged and lost", f"{ident} {p}")
            if len(rows) > 1:
                self.verdict.wrong("stored twice", f"{ident} as {[r.seq for r in rows]}")
            if rows and p.seq and p.at == "-" and rows[0].seq != p.seq:
                self.verdict.wrong("stored as another seq than was said", f"{ident} {p}")
            if rows and (rows[0].topic, rows[0].key) != (p.topic, p.key):
                self.verdict.wrong("stored as something else", f"{ident} {p} {rows[0]}")

    # -- what was delivered, in the order of the journal

    def _deliveries(self) -> None:
        self.turns: dict[tuple[str, str], Turn] = {}
        self.held: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.over: set[tuple[str, str]] = set()
        self.seen: dict[str, int] = {}
        self.keys: dict[int, str] = {}
        self.times: Counter[tuple[str, str]] = Counter()
        self.lists = self._keys()
        self.done: set[tuple[str, str]] = set(self.dead)
        life = ""
        for line in self.lines:
            word = line.split(" ")
            if word[0] == "R" and word[1] != life:
                life = word[1]
                self.turns.clear()
                self.held.clear()
            elif word[0] == "D":
                self._delivery(line, word)
            elif word[0] == "S":
                self._answer(word)
            elif word[0] == "X":
                self.verdict.wrong("the content is not its own", line)

    def _keys(self) -> dict[tuple[str, str], list[Row]]:
        """Per group and key what is stored of it, in order."""
        found: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in sorted(self.rows.values(), key=lambda r: r.seq):
            if row.key == "-" or row.topic.startswith(PASSING):
                continue
            for group in TOPICS:
                if takes(group, row.topic):
                    found[group, row.key].append(row)
        self.floors: Counter[tuple[str, str]] = Counter()
        return found

    def _delivery(self, line: str, word: list[str]) -> None:
        _, group, seq, ident, key, _, pid, at, of = word
        self.verdict.delivered += 1
        self.times[group, ident] += 1
        self.verdict.again += self.times[group, ident] > 1
        if (group, ident) in self.over:
            self.verdict.wrong("delivered after its settling was durable", line)
        if group == "sink":
            source, _, input_id = of.partition(":")
            self.over.add((source, input_id))
        if self.seen.setdefault(ident, int(seq)) != int(seq):
            self.verdict.wrong("delivered under two numbers", f"{line}, {self.seen[ident]}")
        row = self.rows.get(int(seq))
        if not TOPICS[group].startswith(PASSING) and (not row or row.id != ident):
            self.verdict.wrong("delivered and not stored", line)
        p = self.progress.published.get(ident)
        if p and p.at != "-" and int(at) < int(p.at):
            self.verdict.wrong("delivered too early", f"{line}: {p.at}")
        held = self.held[pid, group]
        held.add(seq)
        if len(held) > MAX[group]:
            self.verdict.wrong("more at a time than allowed", f"{line}: {len(held)}")
        if key != "-":
            self.keys[int(seq)] = key
            self._order(line, group, key, int(seq), pid)

    def _order(self, line: str, group: str, key: str, seq: int, pid: str) -> None:
        turn = self.turns.setdefault((group, key), Turn())
        if seq < turn.seq:
            self.verdict.wrong("an earlier one of its key after a later one", line)
        elif seq > turn.seq and turn.seq and turn.state == "open" and not self._is_dead(
                group, turn.seq):
            self.verdict.wrong("two of a key at a time", f"{line}, beside {turn.seq}")
        self.turns[group, key] = Turn(seq, "open", pid)
        rows, place = self.lists.get((group, key), []), self.floors[group, key]
        while place < len(rows) and (group, rows[place].id) in self.done:
            place += 1
        self.floors[group, key] = place
        if place < len(rows) and rows[place].seq < seq:
            self.verdict.wrong("a key went on without an earlier one",
                               f"{line}, before {rows[place].seq}")

    def _is_dead(self, group: str, seq: int) -> bool:
        row = self.rows.get(seq)
        return bool(row) and (group, row.id if row else "") in self.dead

    def _answer(self, word: list[str]) -> None:
        _, group, seq, ident, verdict, pid = word
        self.held[pid, group].discard(seq)
        turn = self.turns.get((group, self.keys.get(int(seq), "-")))
        if turn and turn.seq == int(seq) and verdict != "nack":
            turn.state = verdict
        if verdict != "nack":
            self.done.add((group, ident))

    # -- what became of it

    def _settles(self) -> None:
        settled = self.progress.settled
        for ident, p in self.progress.published.items():
            for group in TOPICS:
                if not takes(group, p.topic) or not (p.acked or ident in self.by_id):
                    continue
                dead, out = self.dead[group, ident], self.outputs[group, ident]
                if ident not in settled[group] and not dead:
                    self.verdict.wrong("settled for a group that never answered",
                                       f"{group} {ident}")
                if group in WITH_OUTPUT and out + dead != 1:
                    self.verdict.wrong("outputs and dead letters are not one",
                                       f"{group} {ident}: {out} and {dead}")
                elif dead > 1:
                    self.verdict.wrong("more than one dead letter", f"{group} {ident}: {dead}")

    def _leftovers(self) -> None:
        for group, opened in self.stored.open.items():
            newest = max((r.seq for r in self.rows.values() if takes(group, r.topic)), default=0)
            if opened or self.stored.hi[group] < newest:
                self.verdict.wrong("left unsettled", f"{group}: {opened!r}, up to "
                                                     f"{self.stored.hi[group]} of {newest}")
        if self.stored.pending or self.stored.delayed or self.stored.streams.get("queue.work"):
            self.verdict.wrong("left behind", f"{self.stored.pending} put off, "
                                              f"{self.stored.delayed} delayed")
