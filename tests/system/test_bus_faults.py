"""D7, D8, D10: load, repetition and company that events and jobs must survive (tests/FAULTS.md).

Figures are printed: pytest -rP tests/system/test_bus_faults.py | grep figure:
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

import pytest

from app import App
from bulk import (IN, PROOF, bulk, count, figure, flood, lag, post, rows, slowest_get,
                  wait_count)
from checks import MEBIBYTE
from timing import slow, until

sys.path.insert(0, str(PROOF))
import store  # noqa: E402

Nodey = Callable[..., App]
pytestmark = pytest.mark.outside


class Peak(threading.Thread):
    """The most memory that a nodey has had while this ran."""

    def __init__(self, app: App) -> None:
        super().__init__(daemon=True)
        self.app, self.most, self.begun = app, 0, app.rss()
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.02):
            self.most = max(self.most, self.app.rss())

    def __enter__(self) -> "Peak":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    @property
    def grown(self) -> float:
        return (self.most - self.begun) / MEBIBYTE


# ------------------------------------------------------------------ D7: slow and absent ones


def test_one_slow_group_of_eight_costs_the_others_nothing(nodey: Nodey) -> None:
    fast = [f"g{n}" for n in range(7)]
    app = nodey(config=bulk("pub") + bulk("fast", fast) +
                bulk("slow", ["slow"], pause={"slow": 1000}, most=1))
    flood(app, "pub", 500)
    for group in fast:
        wait_count(app, "fast", group, 500)
    with Peak(app) as peak:
        begin = time.monotonic()
        flood(app, "pub", 10_000, size=200)
        for group in fast:
            wait_count(app, "fast", group, 10_500)
        took = time.monotonic() - begin
    slow_count = count(app, "slow", "slow")
    figure(f"7 groups had 10 000 each after {took:.1f} s, the slow one {slow_count}; "
           f"memory + {peak.grown:.1f} MiB")
    assert slow_count <= took + 10, "it is slow indeed"
    assert 70_000 / took > 1000 * slow_count / max(took, 1), "a thousandth of the others"
    assert app.sanitized or peak.grown < 48
    told = lag(app)
    assert {told[group] for group in fast} == {0}
    assert 10_500 - count(app, "slow", "slow") <= told["slow"] <= 10_501 - slow_count, told
    app.exit_code = None
    app.kill()


def test_what_one_group_has_not_read_is_never_removed(nodey: Nodey) -> None:
    """Retention under load: events are old at once, and one group reads nothing."""
    app = nodey(config="[bus]\nmax_age = \"100ms\"\nmax_bytes = \"64M\"\n\n" + bulk("pub") +
                bulk("quick", ["quick"]) + bulk("stuck", ["stuck"], pause={"stuck": -1}, most=8))
    for _ in range(4):
        flood(app, "pub", 1500)
        time.sleep(slow(0.2))
    wait_count(app, "quick", "quick", 6000)
    until(lambda: count(app, "stuck", "stuck") == 8, 5, "it has as many as it takes")
    time.sleep(slow(0.5))
    app.post("/stuck/free")
    wait_count(app, "stuck", "stuck", 6000)
    until(lambda: lag(app)["stuck"] == 0, 5, "all is handled")
    until(lambda: rows(app) == 0, 10, "then it is removed")
    assert count(app, "stuck", "stuck") == 6000, "each once"


def test_a_full_stream_refuses_and_drops_nothing(nodey: Nodey) -> None:
    app = nodey(config="[bus]\nmax_bytes = \"1M\"\n\n" + IN + bulk("pub") +
                bulk("stuck", ["stuck"], pause={"stuck": -1}, most=8))
    went = flood(app, "pub", 2000, size=1000)
    assert set(went["codes"]) == {"resource_exhausted"} and went["acked"] > 500, went
    assert post(app, "x" * 5000) == 507
    app.post("/stuck/free")
    wait_count(app, "stuck", "stuck", went["acked"])
    until(lambda: post(app, "x" * 5000) == 202, 10, "there is room again")


# -------------------------------------------------------------------------- publishers' floods


def test_a_flood_of_publishes_is_slowed_down_and_acks_go_on(nodey: Nodey) -> None:
    """Nobody waits for answers here: ten times what can be stored is always on its way."""
    app = nodey(config=bulk("pub", instances=2) + bulk("sink", ["sink"]) + bulk("web"))
    with Peak(app) as peak, ThreadPoolExecutor(2) as both:
        went = [both.submit(flood, app, "pub", 40_000, window=40_000, size=2000, timeout=120)
                for _ in range(2)]
        wait_count(app, "sink", "sink", 1000, 30)
        before = count(app, "sink", "sink")
        p99, answers = slowest_get(app, 2)
        after = count(app, "sink", "sink")
        done = [f.result() for f in went]
    total = sum(f["acked"] for f in done)
    wait_count(app, "sink", "sink", total, 60)
    figure(f"80 000 of 2 KiB at once: {80_000 / max(f['ms'] for f in done) * 1000:.0f}/s, memory "
           f"+ {peak.grown:.0f} MiB, meanwhile {(after - before) / 2:.0f} handled/s, "
           f"HTTP p99 {p99:.0f} ms of {answers}")
    assert total == 80_000 and not any(f["codes"] for f in done)
    assert after > before, "acks were starved"
    assert app.sanitized or peak.grown < 256
    assert p99 < slow(400)


# ---------------------------------------------------------------------------- D8: duplicates


def test_one_id_a_thousand_times_at_once_is_stored_once(nodey: Nodey) -> None:
    app = nodey(config=IN + bulk("pub", instances=2) + bulk("sink", ["sink"]))
    with ThreadPoolExecutor(4) as many:
        went = list(many.map(lambda _: flood(app, "pub", 250, window=250, msgid="same"),
                             range(4)))
    assert sum(f["acked"] for f in went) == 1000
    assert sum(f["duplicates"] for f in went) == 999
    assert {f["seqs"] for f in went} == {1}
    wait_count(app, "sink", "sink", 1)
    app.kill()
    (row,) = store.read(app.folder / ".nodey" / "bus").streams["events"]
    again = nodey(folder=app.folder)
    assert flood(again, "pub", 10, msgid="same")["duplicates"] == 10, "known after a kill, too"
    assert count(again, "sink", "sink") <= 1 and row.id == "same"


# -------------------------------------------------------------------------------- timers


def lateness(file: Path) -> dict[str, list[float]]:
    """By its name, how late each delivery of an event was, in ms."""
    found: dict[str, list[float]] = {}
    for line in file.read_text().splitlines():
        late, name = line.split(" ")
        found.setdefault(name, []).append(float(late))
    return found


@pytest.mark.long
def test_ten_thousand_delays_over_a_restart(nodey: Nodey, tmp_path: Path) -> None:
    early, after = tmp_path / "early", tmp_path / "after"
    first = nodey(config=bulk("pub") + bulk("sink", ["sink"], late=early))
    begun = time.monotonic()
    went = flood(first, "pub", 10_000, delays=[1500, 8000], size=20, window=512)
    assert went["acked"] == 10_000
    time.sleep(max(0.0, 3 - (time.monotonic() - begun)))
    first.kill()
    time.sleep(0.5)  # Some are due while nobody is there.
    app = nodey(folder=first.folder, config=bulk("pub") + bulk("sink", ["sink"], late=after))
    until(lambda: len(lateness(early).keys() | lateness(after).keys()) == 10_000, 30,
          "all have come")
    until(lambda: lag(app)["sink"] == 0, 5, "nothing is left")
    before, later = lateness(early), lateness(after)
    once = sorted(late for times in before.values() for late in times)
    again = before.keys() & later.keys()
    figure(f"10 000 timers, a kill among them: while it was up p50 {once[len(once) // 2]:.1f}, "
           f"p99 {once[len(once) * 99 // 100]:.1f} ms late; {len(again)} came twice")
    assert min(late for found in (before, later) for times in found.values()
               for late in times) >= 0, "too early"
    assert len(again) <= 64, "only what was with a worker comes again"
    assert all(len(times) == 1 for found in (before, later) for times in found.values())


# ------------------------------------------------------------------- D10: two on one directory


def test_two_nodeys_on_one_store(nodey: Nodey, tmp_path: Path) -> None:
    config = "[bus]\n\n" + bulk("pub", ["pub"])
    first = nodey(config=config)
    folder = tmp_path / "other"
    (folder / ".nodey").mkdir(parents=True)
    (folder / ".nodey" / "bus").symlink_to(first.folder / ".nodey" / "bus")
    second = nodey(folder=folder, config=config, wait=False, exit_code=1)
    second.wait_log(rf"is in use by another nodey, process {first.pid}; stop that one first")
    second.wait_exit()
    assert flood(first, "pub", 100)["acked"] == 100


# -------------------------------------------------------- what nobody uses any more


ORDERS = '[streams.orders]\ntopics = ["order.>"]\n\n'


def command(app: App, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([str(app.binary), *words], cwd=app.folder, capture_output=True,
                          text=True, timeout=slow(20))


def streams(app: App) -> set[str]:
    said = command(app, "bus", "--format", "json")
    return {s["name"] for s in json.loads(said.stdout)["streams"]}


def test_a_stream_that_is_no_longer_configured_is_told_and_can_be_dropped(nodey: Nodey) -> None:
    app = nodey(config=ORDERS + bulk("pub") +
                bulk("sink", ["mail"], topic="order.>", pause={"mail": -1}, most=4))
    assert flood(app, "pub", 12, topic="order.new")["acked"] == 12
    until(lambda: count(app, "sink", "mail") == 4, 5, "it holds four")
    refused = command(app, "bus", "drop", "orders")
    assert refused.returncode == 1 and "this run has that stream" in refused.stderr, refused
    app.kill()

    after = nodey(folder=app.folder, config="[bus]\n\n" + bulk("web", ["other"]))
    after.wait_log(r'stream "orders" is not in nodey\.toml, and holds 12 messages that group "mail" '
                   r"has not handled: put \[streams\.orders\] back, or drop it with all that it "
                   r"has: nodey bus drop orders")
    assert after.log().count('stream "') == 1, "of no other stream"
    assert "orders" in streams(after)
    gone = command(after, "bus", "drop", "orders")
    assert gone.stdout == "orders is gone, with all that it had\n", gone
    assert "orders" not in streams(after)
    again = command(after, "bus", "drop", "orders")
    assert again.returncode == 1 and 'there is no stream "orders"' in again.stderr, again
    after.stop()

    last = nodey(folder=app.folder, config=ORDERS + bulk("web", ["mail"], topic="order.>"))
    time.sleep(slow(0.3))
    assert "is not in nodey.toml" not in last.log() and count(last, "web", "mail") == 0


def test_a_stream_that_was_put_back_goes_on_where_it_was(nodey: Nodey) -> None:
    sink = bulk("sink", ["mail"], topic="order.>")
    app = nodey(config=ORDERS + bulk("pub") + sink)
    assert flood(app, "pub", 5, topic="order.new")["acked"] == 5
    wait_count(app, "sink", "mail", 5)
    until(lambda: lag(app)["mail"] == 0, 5, "all are handled")
    app.stop()
    without = nodey(folder=app.folder, config="[bus]\n\n" + bulk("web", ["other"]))
    assert "orders" in streams(without)
    time.sleep(slow(0.3))
    assert "is not in nodey.toml" not in without.log(), "nothing is unread"
    without.stop()
    back = nodey(folder=app.folder, config=ORDERS + bulk("pub") + sink)
    assert flood(back, "pub", 1, topic="order.new")["acked"] == 1
    wait_count(back, "sink", "mail", 1)
    assert count(back, "sink", "mail") == 1


@pytest.mark.long
def test_a_queue_that_no_program_handles_is_told(nodey: Nodey) -> None:
    app = nodey(config="[bus]\n\n" + bulk("pub"))
    assert flood(app, "pub", 3, queue="thumb", topic="")["acked"] == 3
    app.stop()
    after = nodey(folder=app.folder, config="[bus]\n\n" + bulk("web", ["other"]))
    after.wait_log(r'queue "thumb" holds 3 jobs, and no program handles them: put the one that '
                   r"did back, or drop them: nodey bus drop queue\.thumb", timeout=20)
    gone = command(after, "bus", "drop", "queue.thumb")
    assert gone.stdout == "queue.thumb is gone, with all that it had\n", gone
