"""`nodey up --chaos`: what may happen to any message happens, and nothing is lost by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

import pytest

import command
from app import App
from timing import slow, until
from workers import script

Nodey = Callable[..., App]
pytestmark = pytest.mark.outside

# Has no part in what befalls handlers.
PUBLISHER = '''
const { publish, post } = require('nodey');
post('/put', async (req) => {
    const { topic = 'order', from, to, keys } = req.json();
    for (let n = from; n < to; n += 1) {
        await publish(topic, { n }, keys ? { key: `k${n % keys}` } : {});
    }
    return true;
});
'''

# Notes each attempt; publishes one message with each ack.
HANDLER = '''
const fs = require('node:fs');
const { on, publish } = require('nodey');
const note = (file, value) => fs.appendFileSync(file, `${JSON.stringify(value)}\\n`);
const { pid } = process;
const often = { backoff: [5], attempts: 20 };
on('order', ({ data: { n }, attempt, key, time }) => {
    note('seen', { n, attempt, key, pid, late: Date.now() - time });
    publish('done', { n });
}, often);
on('done', (e) => note('done', e.data.n), { ...often, group: 'end' });
for (const group of ['one', 'other']) {
    on('pair', ({ data: { n }, attempt }) => note(group, [n, attempt]), { ...often, group });
}
on('slow', async ({ data: { n }, attempt }) => {
    note('slow', ['begins', n, attempt, pid]);
    await new Promise((resolve) => setTimeout(resolve, 50));
    note('slow', ['ends', n, attempt, pid]);
}, { backoff: [5], attempts: 4, group: 'slow', max: 1 });
on('once', async () => {
    note('once', ['begins', pid]);
    await new Promise((resolve) => setTimeout(resolve, 700));
    note('once', ['ends', pid]);
}, { attempts: 1, group: 'once' });
'''
FILES = {"workers/web.js": PUBLISHER, "workers/shop.js": HANDLER}
CONFIG = script("web", "js", instances=1) + \
    script("shop", "js", instances=1, backoff_min="10ms", backoff_max="20ms", max_restarts=1000)
COUNT = 60


class Seen(NamedTuple):
    """One attempt at an order."""

    n: int
    attempt: int
    key: Optional[str]
    pid: int
    late: int  # ms after it was stored


def read(app: App, name: str) -> list[Any]:
    path = Path(app.folder) / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run(nodey: Nodey, chaos: str, keys: int = 0, count: int = COUNT, seed: int = 7) -> list[Seen]:
    """Every attempt, once each order has been handled and its output stored once."""
    app = nodey(FILES, CONFIG, args=("--chaos", chaos, "--seed", str(seed)))
    app.post("/put", json.dumps({"from": 0, "to": count, "keys": keys}).encode())

    def edge() -> Any:
        flow = json.loads(command.run(app.folder, "flow", "--json").out)
        published = {e["topic"]: e["count"] for e in flow["published"]}
        settled = {e["topic"]: e["count"] for e in flow["handled"]}
        return published.get("order", 0) >= count and \
            settled.get("done", 0) == settled.get("order", 0) == published["order"] and published

    published = until(edge, 30, "everything handled")
    assert published["done"] == published["order"], "an output is stored once for each input"
    dead = json.loads(command.run(app.folder, "dead", "list", "--format", "json").out or "[]")
    assert dead == [], "chaos makes no dead letters"
    seen = [Seen(entry["n"], entry["attempt"], entry.get("key"), entry["pid"], entry["late"])
            for entry in read(app, "seen")]
    assert {one.n for one in seen} == set(range(count)), "none is lost"
    assert set(read(app, "done")) == set(range(count))
    return seen


def test_doubled_messages_are_handled_twice_and_count_once(nodey: Nodey) -> None:
    seen = run(nodey, "dup=100%")
    assert sorted(one.n for one in seen) == sorted([*range(COUNT), *range(COUNT)])
    assert {one.attempt for one in seen} == {1}, "it is no failure of the handler"
    assert len({one.pid for one in seen}) == 1


def test_a_share_of_them_is_doubled_early_and_late(nodey: Nodey) -> None:
    """Of each hundred 25 are expected; six deviations are 26."""
    seen = run(nodey, "dup=25%", count=200)
    for hundred in range(2):
        doubled = len([one for one in seen if one.n // 100 == hundred]) - 100
        assert 5 <= doubled <= 45, (hundred, doubled)


def test_naks_are_tried_again_and_each_attempt_has_its_own_luck(nodey: Nodey) -> None:
    seen = run(nodey, "nak=40%")
    attempts = [max(one.attempt for one in seen if one.n == n) for n in range(COUNT)]
    assert len(seen) == sum(attempts) and len({one.pid for one in seen}) == 1
    assert attempts.count(1) >= 15 and attempts.count(2) >= 5 and max(attempts) < 18, attempts


def test_nobody_is_dead_by_chaos_alone(nodey: Nodey) -> None:
    seen = run(nodey, "nak=100%", count=2)
    assert sorted({(one.n, one.attempt) for one in seen}) == \
        [(n, attempt) for n in range(2) for attempt in range(1, 21)]


def test_killed_workers_lose_nothing(nodey: Nodey) -> None:
    seen = run(nodey, "kill=15%")
    assert len(seen) > COUNT and len({one.pid for one in seen}) > 1, "some worker was killed"


def slow_attempts(nodey: Nodey, count: int, chaos: str, seed: int) -> tuple[App, list[Any]]:
    """All of one key: else the next comes first when a retry is due after its new worker is up."""
    app = nodey(FILES, CONFIG, args=("--chaos", chaos, "--seed", str(seed)))
    app.post("/put", json.dumps({"topic": "slow", "from": 0, "to": count, "keys": 1}).encode())
    until(lambda: handled(app).get("slow") == count, 30, "all are handled")
    return app, read(app, "slow")


def test_workers_are_killed_while_they_handle_and_when_they_have(nodey: Nodey) -> None:
    app, noted = slow_attempts(nodey, 6, "kill=100%", seed=7)
    begun = [(n, attempt) for what, n, attempt, _ in noted if what == "begins"]
    ended = [(n, attempt) for what, n, attempt, _ in noted if what == "ends"]
    assert begun == sorted(begun) and begun[-1] == (5, 4), "the last attempt is let alone"
    assert {(n, 4) for n in range(6)} <= set(ended) < set(begun)
    assert 6 < len(ended) < len(begun), "some had ended, and some had not"
    assert len({pid for *_, pid in noted}) == len({(n, attempt) for n, attempt in begun
                                                   if attempt < 4}) + 1
    words = [end["error"] for seq in range(1, 7) for end in ends(app, seq) if "error" in end]
    whiles = [word for word in words if word.endswith("killed by --chaos while it handled it")]
    afters = [word for word in words if word.endswith("handled, and its worker killed by --chaos")]
    assert len(words) == len(whiles) + len(afters) == 18 and min(len(whiles), len(afters)) >= 2


def test_who_is_at_its_last_attempt_is_not_killed_with_others(nodey: Nodey) -> None:
    app = nodey(FILES, CONFIG, args=("--chaos", "kill=100%", "--seed", "7"))
    app.post("/put", b'{"topic":"once","from":0,"to":1}')
    app.post("/put", b'{"topic":"slow","from":0,"to":6}')
    until(lambda: handled(app) == {"once": 1, "slow": 6}, 20, "all are handled")
    once = read(app, "once")
    assert once == [["begins", once[0][1]], ["ends", once[0][1]]]


def test_groups_have_their_own_luck(nodey: Nodey) -> None:
    app = nodey(FILES, CONFIG, args=("--chaos", "nak=50%", "--seed", "7"))
    app.post("/put", json.dumps({"topic": "pair", "from": 0, "to": 30}).encode())
    until(lambda: handled(app).get("pair") == 60, 10, "all are handled")
    assert sorted(read(app, "one")) != sorted(read(app, "other"))


def test_without_keys_they_come_in_any_order(nodey: Nodey) -> None:
    numbers = [one.n for one in run(nodey, "reorder=unkeyed")]
    assert numbers != sorted(numbers) and sorted(numbers) == list(range(COUNT))


def test_with_keys_reorder_is_for_others(nodey: Nodey) -> None:
    numbers = [one.n for one in run(nodey, "reorder=unkeyed", keys=COUNT)]
    assert numbers == list(range(COUNT))


def test_keys_keep_their_order_in_all_chaos(nodey: Nodey) -> None:
    seen = run(nodey, "dup=20%,delay=0..40ms,reorder=unkeyed,nak=20%,kill=3%", keys=5)
    assert len(seen) > COUNT
    for key in range(5):
        numbers = [one.n for one in seen if one.key == f"k{key}"]
        assert numbers == sorted(numbers) and len(set(numbers)) == COUNT // 5


def test_delays_hold_them_back(nodey: Nodey) -> None:
    app = nodey(FILES, CONFIG, args=("--chaos", "delay=700ms..800ms"))
    app.post("/put", b'{"from":0,"to":1}')
    end = until(lambda: ends(app, 1), 10, "handled")[0]
    story = json.loads(command.run(app.folder, "trace", "1", "--format", "json").out)
    assert 650 <= end["time"] - story["messages"][0]["time"] < 5000


def test_delays_are_all_there_are_between_the_two(nodey: Nodey) -> None:
    late = sorted(one.late for one in run(nodey, "delay=100ms..500ms", keys=COUNT))
    assert late[0] >= 95 and late[0] < late[len(late) // 4] - 30, late
    assert late[len(late) * 3 // 4] - late[len(late) // 4] < 450, late
    assert 200 <= late[len(late) // 2] <= slow(0.45) * 1000, late


def test_what_is_kept_back_does_not_keep_nodey(nodey: Nodey) -> None:
    app = nodey(FILES, CONFIG, args=("--chaos", "delay=1h..1h"))
    app.post("/put", b'{"from":0,"to":3}')
    assert app.stop(timeout=10) == 0
    assert read(app, "seen") == []
    again = nodey(folder=app.folder)
    until(lambda: len(read(again, "done")) == 3, 10, "what was kept back is handled")


@pytest.mark.parametrize("chaos", ["nak=30%", "dup=30%", "kill=10%,nak=20%"])
def test_the_same_seed_strikes_the_same(nodey: Nodey, chaos: str) -> None:
    """By their numbers: so nothing else may be published, whose number time would decide."""
    struck = []
    for seed in (3, 3, 4):
        _, noted = slow_attempts(nodey, 8, chaos, seed)
        struck.append([(n, attempt) for what, n, attempt, _ in noted if what == "begins"])
    assert struck[0] == struck[1] != struck[2]


def handled(app: App) -> dict[str, int]:
    """How many of each topic, by all groups."""
    found: dict[str, int] = {}
    for edge in json.loads(command.run(app.folder, "flow", "--json").out)["handled"]:
        found[edge["topic"]] = found.get(edge["topic"], 0) + edge["count"]
    return found


def ends(app: App, seq: int) -> list[dict[str, Any]]:
    """How the attempts at a message ended."""
    story = json.loads(command.run(app.folder, "trace", str(seq), "--format", "json").out)
    found: list[dict[str, Any]] = story["messages"][0]["ends"]
    return found


def test_it_is_told_with_its_seed(nodey: Nodey) -> None:
    app = nodey(FILES, CONFIG, args=("--chaos", "dup=5%,delay=0..2s"))
    app.wait_log(r"chaos is on, .*--chaos dup=5%,delay=0ms\.\.2000ms --seed \d+")


@pytest.mark.parametrize("words, why", [
    (("--chaos", "dup=5"), 'dup is a share such as 5%, from 0% to 100%, not "5"'),
    (("--chaos", "dup=101%"), 'not "101%"'),
    (("--chaos", "dups=5%"), 'there is no "dups": it knows dup, delay, reorder, kill and nak'),
    (("--chaos", "delay=2s..1s"), 'delay is a time or two'),
    (("--chaos", "delay="), 'delay is a time or two'),
    (("--chaos", "reorder=keyed"), "messages with a key keep their order"),
    (("--chaos", "dup=60%,nak=60%"), "more than 100% together"),
    (("--chaos", ""), "it needs words"),
    (("--seed", "7"), "--seed goes with --chaos"),
    (("--chaos", "dup=5%", "--seed", "x"), "--seed is a number"),
])
def test_wrong_words_are_told(tmp_path: Path, words: tuple[str, ...], why: str) -> None:
    done = command.run(tmp_path, "up", *words)
    assert done.code == 2 and why in done.err, done
