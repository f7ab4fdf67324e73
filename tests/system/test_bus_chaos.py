"""`nodey up --chaos`: what may happen to any message happens, and nothing is lost by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest

import command
from app import App
from timing import until
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
on('order', (e) => {
    note('seen', [e.data.n, e.attempt, e.key]);
    publish('done', e.data);
}, { backoff: [5], attempts: 20 });
on('done', (e) => note('done', e.data.n), { group: 'end', attempts: 20, backoff: [5] });
'''
FILES = {"workers/web.js": PUBLISHER, "workers/shop.js": HANDLER}
CONFIG = script("web", "js", instances=1) + \
    script("shop", "js", instances=1, backoff_min="10ms", backoff_max="20ms")
COUNT = 60


def read(app: App, name: str) -> list[Any]:
    path = Path(app.folder) / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run(nodey: Nodey, chaos: str, keys: int = 0, count: int = COUNT, seed: int = 7) -> list[Any]:
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
    assert {n for n, _, _ in read(app, "seen")} == set(range(count)), "none is lost"
    assert set(read(app, "done")) == set(range(count))
    return read(app, "seen")


def test_doubled_messages_are_handled_twice_and_count_once(nodey: Nodey) -> None:
    seen = run(nodey, "dup=100%")
    assert sorted(n for n, _, _ in seen) == sorted([*range(COUNT), *range(COUNT)])
    assert {attempt for _, attempt, _ in seen} == {1}, "it is no failure of the handler"


def test_a_share_of_them_is_doubled(nodey: Nodey) -> None:
    doubled = len(run(nodey, "dup=25%", count=80)) - 80
    assert 8 <= doubled <= 35


def test_naks_are_tried_again(nodey: Nodey) -> None:
    seen = run(nodey, "nak=40%")
    assert 10 <= len(seen) - COUNT
    assert max(attempt for _, attempt, _ in seen) >= 2


def test_nobody_is_dead_by_chaos_alone(nodey: Nodey) -> None:
    seen = run(nodey, "nak=100%", count=2)
    assert sorted({(n, attempt) for n, attempt, _ in seen}) == \
        [(n, attempt) for n in range(2) for attempt in range(1, 21)]


def test_killed_workers_lose_nothing(nodey: Nodey) -> None:
    seen = run(nodey, "kill=8%", count=40)
    assert len(seen) > 40, "some worker was killed"


def test_without_keys_they_come_in_any_order_and_with_keys_in_theirs(nodey: Nodey) -> None:
    numbers = [n for n, _, _ in run(nodey, "reorder=unkeyed")]
    assert numbers != sorted(numbers) and sorted(numbers) == list(range(COUNT))


def test_keys_keep_their_order_in_all_chaos(nodey: Nodey) -> None:
    seen = run(nodey, "dup=20%,delay=0..40ms,reorder=unkeyed,nak=20%", keys=5)
    assert len(seen) > COUNT
    for key in range(5):
        numbers = [n for n, _, of in seen if of == f"k{key}"]
        assert numbers == sorted(numbers) and len(set(numbers)) == COUNT // 5


def test_delays_hold_them_back(nodey: Nodey) -> None:
    app = nodey(FILES, CONFIG, args=("--chaos", "delay=700ms..800ms"))
    app.post("/put", b'{"from":0,"to":1}')
    edge = until(lambda: json.loads(command.run(app.folder, "trace", "1", "--format", "json").out)
                 ["messages"][0]["ends"], 10, "handled")
    end = edge[0]
    story = json.loads(command.run(app.folder, "trace", "1", "--format", "json").out)
    assert 650 <= end["time"] - story["messages"][0]["time"] < 5000


def test_what_is_kept_back_does_not_keep_nodey(nodey: Nodey) -> None:
    app = nodey(FILES, CONFIG, args=("--chaos", "delay=1h..1h"))
    app.post("/put", b'{"from":0,"to":3}')
    assert app.stop(timeout=10) == 0
    assert read(app, "seen") == []
    again = nodey(folder=app.folder)
    until(lambda: len(read(again, "done")) == 3, 10, "what was kept back is handled")


def test_the_same_seed_strikes_the_same(nodey: Nodey) -> None:
    """By their numbers: so nothing else may be published, whose number time would decide."""
    struck = []
    for seed in (3, 3, 4):
        app = nodey(FILES, CONFIG, args=("--chaos", "nak=30%", "--seed", str(seed)))
        app.post("/put", b'{"topic":"done","from":0,"to":30}')
        until(lambda: len(set(read(app, "done"))) == 30 and edge_of(app)["count"] == 30, 10,
              "all are handled")
        struck.append(sorted(read(app, "done")))
    assert struck[0] == struck[1] != struck[2]


def edge_of(app: App) -> Any:
    return json.loads(command.run(app.folder, "flow", "--json").out)["handled"][0]


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
