"""D5 to D11, R5 to R8: what events and jobs must survive besides kills (tests/FAULTS.md).

Figures are printed: pytest -rP tests/system/test_bus_faults.py | grep figure:
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from app import ROOT, App
from bulk import PROOF, bulk, count, flood, state, wait_count
from checks import MEBIBYTE
from timing import slow, until

sys.path.insert(0, str(PROOF))
import store  # noqa: E402

Nodey = Callable[..., App]
FIXTURES = ROOT / "tests" / "fixtures" / "bus"
IN = '[[routes]]\npath = "/in/*"\npublish = ["a.>"]\n\n'


def figure(text: str) -> None:
    print(f"figure: {text}")


def post(app: App, data: Any = 1, topic: str = "a.b") -> int:
    """Publishes over HTTP; the status."""
    return app.post(f"/in/{topic}", json.dumps(data).encode()).status


def lag(app: App) -> dict[str, int]:
    """By group, as `nodey lag` tells it."""
    said = subprocess.run([str(app.binary), "lag", "--format", "json"], cwd=app.folder,
                          capture_output=True, text=True, timeout=slow(10))
    assert said.returncode == 0, said.stderr
    return {g["name"]: g["lag"] for g in json.loads(said.stdout)["groups"]}


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


def slowest_get(app: App, seconds: float) -> tuple[float, int]:
    """The 99th of 100 answers' times in ms, and how many there were."""
    took, end = [], time.monotonic() + seconds
    with app.connect() as connection:
        while time.monotonic() < end:
            begin = time.monotonic()
            assert connection.request("GET", "/web/counts").status == 200
            took.append(1000 * (time.monotonic() - begin))
            time.sleep(0.005)
    return sorted(took)[len(took) * 99 // 100], len(took)


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


def rows(app: App) -> int:
    said = subprocess.run([str(app.binary), "bus", "--format", "json"], cwd=app.folder,
                          capture_output=True, text=True, timeout=slow(10))
    assert said.returncode == 0, said.stderr
    streams = {s["name"]: s for s in json.loads(said.stdout)["streams"]}
    return int(streams["events"]["messages"])


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


@pytest.mark.long
def test_ten_thousand_delays_over_a_restart(nodey: Nodey) -> None:
    config = bulk("pub") + bulk("sink", ["sink"])
    first = nodey(config=config)
    begun = time.monotonic()
    went = flood(first, "pub", 10_000, delays=[1500, 8000], size=20, window=512)
    assert went["acked"] == 10_000
    time.sleep(max(0.0, 3 - (time.monotonic() - begun)))
    before = state(first, "sink")
    first.kill()
    time.sleep(0.5)  # Some are due while nobody is there.
    app = nodey(folder=first.folder)
    until(lambda: before["different"] + state(app, "sink")["different"] >= 10_000, 30,
          "all have come")
    until(lambda: lag(app)["sink"] == 0, 5, "nothing is left")
    after = state(app, "sink")
    late = before["late"] + after["late"]
    on_time = sorted(before["late"])
    figure(f"10 000 timers, a kill among them: earliest {min(late):.1f} ms, while it was up p50 "
           f"{on_time[len(on_time) // 2]:.1f}, p99 {on_time[len(on_time) * 99 // 100]:.1f} ms "
           f"late; {len(late) - 10_000} came twice")
    assert min(late) >= 0, "too early"
    assert len(late) - 10_000 <= 64, "only what was with a worker comes again"
    assert before["most"] <= 1 and after["most"] <= 1


# ------------------------------------------------------------------------ R5 to R8: bad disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MiB where the store of the first app will be."""
    where = tmp_path / "app0" / ".nodey" / "bus"
    where.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m,mode=700", "tmpfs", str(where)],
                   check=True)
    yield where
    subprocess.run(["umount", "-l", str(where)], check=True)


def test_a_disk_that_gets_full_refuses_publishes_only(
        nodey: Nodey, tmp_path: Path, small_disk: Path) -> None:
    app = nodey(folder=tmp_path / "app0", config="[bus]\nmin_free = \"4M\"\n\n" + IN +
                bulk("pub") + bulk("web") +
                bulk("sink", ["sink"], pause={"sink": -1}, most=64))
    assert flood(app, "pub", 64)["acked"] == 64
    until(lambda: count(app, "sink", "sink") == 64, 5, "it holds them all")
    ballast = small_disk / "ballast"
    with ballast.open("wb") as file, pytest.raises(OSError):
        while True:
            file.write(b"b" * MEBIBYTE)
            file.flush()
    until(lambda: post(app) == 507, 5, "publishes are refused")
    went = flood(app, "pub", 50)
    assert went["acked"] == 0 and set(went["codes"]) == {"resource_exhausted"}, went
    app.post("/sink/free")
    until(lambda: lag(app)["sink"] == 0, 10, "what was handled is settled all the same")
    assert app.get("/web/counts").status == 200, "and requests go on"
    ballast.unlink()
    until(lambda: post(app) == 202, 10, "it is well again by itself")
    assert flood(app, "pub", 100)["acked"] == 100
    wait_count(app, "sink", "sink", 165)
    app.wait_log("publishes are refused")
    app.wait_log("the disk has room again|publishes are accepted")
    app.kill()
    stored = store.read(small_disk)
    assert stored.damage == "ok" and len(stored.streams["events"]) >= 165
    assert not stored.open["sink"]


def test_a_disk_that_is_full_without_a_warning(
        nodey: Nodey, tmp_path: Path, small_disk: Path) -> None:
    """Nothing is kept free: ENOSPC comes out of a write."""
    app = nodey(folder=tmp_path / "app0", config="[bus]\nmin_free = 0\n\n" + IN +
                bulk("pub") + bulk("web") + bulk("sink", ["sink"]))
    went = flood(app, "pub", 60_000, size=2000, window=256)
    assert went["acked"] > 1000 and set(went["codes"]) == {"resource_exhausted"}, went
    assert app.get("/web/counts").status == 200
    app.kill()
    stored = store.read(small_disk)
    assert stored.damage == "ok"
    assert len(stored.streams["events"]) == went["acked"], "exactly what was acknowledged"


def test_a_folder_that_cannot_be_written_is_told_at_start(nodey: Nodey, tmp_path: Path) -> None:
    folder = tmp_path / "app0"
    bus = folder / ".nodey" / "bus"
    bus.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(bus)], check=True)
    try:
        app = nodey(folder=folder, config=bulk("sink", ["sink"]) + "[bus]\n", wait=False,
                    exit_code=1)
        app.wait_log(r"\.nodey/bus/\w+ cannot be written: Read-only file system")
        app.wait_exit()
    finally:
        subprocess.run(["umount", "-l", str(bus)], check=True)


def test_a_folder_that_vanishes_takes_no_more_promises(nodey: Nodey) -> None:
    """What is written to files without a name would be acknowledged, and gone at the next start."""
    app = nodey(config=IN + bulk("sink", ["sink"]) + bulk("web"))
    assert post(app) == 202
    shutil.rmtree(app.folder / ".nodey" / "bus")
    until(lambda: post(app) == 503, 5, "publishes are refused")
    assert app.get("/web/counts").status == 200
    app.wait_log(r"\.nodey/bus was removed, or another folder is in its place: publishes are refused")


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(PROOF / "shim.c"),
                    "-ldl"], check=True)
    return library


def preload(shim: Path, disk: Path) -> dict[str, str]:
    return {"LD_PRELOAD": str(shim), "PROOF_DISK": str(disk)}


def test_a_disk_that_cannot_sync_acknowledges_nothing_that_is_lost(
        nodey: Nodey, tmp_path: Path, shim: Path) -> None:
    """R7: for two seconds each fsync fails.  Whether what it was doing is stored can be told
    only when the file can be read again, so those who wait for that get their answers then."""
    disk = tmp_path / "disk"
    app = nodey(config=IN + bulk("pub") + bulk("web") + bulk("sink", ["sink"]),
                env=preload(shim, disk))
    assert flood(app, "pub", 200)["acked"] == 200
    disk.write_text("eio")
    with ThreadPoolExecutor(1) as one:
        unsure = one.submit(flood, app, "pub", 50, timeout=30)
        app.wait_log(r"the store has failed: .*it is closed and opened again")
        assert post(app) == 503, "who comes now is refused at once"
        went = flood(app, "pub", 50)
        assert went["acked"] == 0 and set(went["codes"]) == {"unavailable"}, went
        assert app.get("/web/counts").status == 200
        assert not unsure.done()
        time.sleep(2)
        disk.write_text("fine")
        told = unsure.result()
    assert told["acked"] + told["codes"].get("unavailable", 0) == 50, told
    until(lambda: post(app) == 202, 10, "it is well again by itself")
    assert flood(app, "pub", 200)["acked"] == 200
    total = 200 + told["acked"] + 1 + 200
    wait_count(app, "sink", "sink", total)
    app.kill()
    stored = store.read(app.folder / ".nodey" / "bus")
    assert stored.damage == "ok" and len(stored.streams["events"]) == total
    figure(f"fsync failed for 2 s: of 50 under way {told['acked']} were stored and told so")


def test_a_slow_disk_slows_no_request(nodey: Nodey, tmp_path: Path, shim: Path) -> None:
    """R8: each fsync takes half a second; the loop never waits for one."""
    disk = tmp_path / "disk"
    app = nodey(config=IN + bulk("pub") + bulk("web") + bulk("sink", ["sink"]),
                env=preload(shim, disk))
    usual, _ = slowest_get(app, 1)
    disk.write_text("slow")
    with ThreadPoolExecutor(1) as one:
        went = one.submit(flood, app, "pub", 1000, window=250, timeout=60)
        p99, answers = slowest_get(app, 3)
        done = went.result()
    figure(f"fsync of 500 ms: HTTP p99 {p99:.1f} ms of {answers}, {usual:.1f} ms before; 1000 "
           f"published, 250 at a time, in {done['ms'] / 1000:.1f} s, the slowest {done['slowest']:.0f} ms")
    assert done["acked"] == 1000 and done["slowest"] > 450
    assert p99 < slow(100)
    disk.write_text("fine")


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


# ------------------------------------------------------------------------- D11: formats


def test_a_store_of_format_1_is_read(nodey: Nodey, tmp_path: Path) -> None:
    """Its sample was written by a nodey that was killed: 20 events, 5 of them not handled."""
    folder = tmp_path / "app0"
    shutil.copytree(FIXTURES / "format-1", folder / ".nodey" / "bus")
    app = nodey(folder=folder, config="[bus]\nmax_age = \"3650d\"\n\n" +
                bulk("sink", ["sink"]) + bulk("pub"))
    wait_count(app, "sink", "sink", 5)
    until(lambda: lag(app)["sink"] == 0, 5, "nothing is left")
    assert count(app, "sink", "sink") == 5 and rows(app) == 20
    assert flood(app, "pub", 1)["acked"] == 1


def test_a_store_of_a_newer_format_is_refused(nodey: Nodey, tmp_path: Path) -> None:
    folder = tmp_path / "app0"
    (folder / ".nodey" / "bus").mkdir(parents=True)
    with sqlite3.connect(folder / ".nodey" / "bus" / "bus.db") as db:
        db.executescript("PRAGMA journal_mode=WAL; CREATE TABLE later(a); PRAGMA application_id=1852793957;"
                         "PRAGMA user_version=99")
    before = (folder / ".nodey" / "bus" / "bus.db").read_bytes()
    app = nodey(folder=folder, config="[bus]\n\n" + bulk("sink", ["sink"]), wait=False,
                exit_code=1)
    app.wait_log(r"bus\.db has format 99, written by a newer nodey; this one reads up to \d+: "
                 r"use the newer one")
    app.wait_exit()
    assert (folder / ".nodey" / "bus" / "bus.db").read_bytes() == before


# ------------------------------------------------------------- D3, D4: cut and changed bytes


@pytest.fixture
def written(nodey: Nodey) -> tuple[Path, int]:
    """A store as a kill has left it: 200 events, whose data are 0, 1, ..."""
    app = nodey(config=bulk("pub", ["none"], topic="none"))
    assert flood(app, "pub", 200, size=300, window=4)["acked"] == 200
    app.kill()
    return app.folder, 200


def damaged(nodey: Nodey, folder: Path, copy: Path, change: Callable[[Path], None]) -> list[int]:
    """What a nodey serves of a changed copy; empty when it refuses with a sentence."""
    shutil.copytree(folder / ".nodey" / "bus", copy / ".nodey" / "bus")
    change(copy / ".nodey" / "bus")
    app = nodey(folder=copy, config="[bus]\n\n" + bulk("web", ["reader"]), wait=False,
                exit_code=None)
    until(lambda: "nodey ready" in app.log() or app.returncode() is not None, 20, "it decides")
    if app.returncode() is not None:
        assert app.returncode() == 1, app.log()
        assert "damaged" in app.log() or "cannot be used" in app.log(), app.log()
        return []
    said = subprocess.run([str(app.binary), "events", "list", "--format", "json", "-n", "1000"],
                          cwd=copy, capture_output=True, text=True, timeout=slow(20))
    assert said.returncode == 0, said.stderr
    served = [json.loads(line) for line in said.stdout.splitlines()]
    for event in served:
        assert event["data"] == {"n": event["data"]["n"], "pad": "x" * 300}, event
        assert event["data"]["n"] == event["seq"] - 1, event
    seqs = [event["seq"] for event in served]
    assert seqs == sorted(set(seqs))
    if seqs != list(range(1, 201)):
        assert "damaged" in app.log() or "cut" in app.log() or "log" in app.log(), app.log()
    app.kill()
    return seqs


@pytest.mark.long
def test_a_log_that_is_cut_loses_its_end_only(
        nodey: Nodey, tmp_path: Path, written: tuple[Path, int]) -> None:
    folder, total = written
    size = (folder / ".nodey" / "bus" / "bus.db-wal").stat().st_size
    counts = []
    for n in range(6):
        cut = size * (n + 1) // 7 + n

        def change(bus: Path, cut: int = cut) -> None:
            os.truncate(bus / "bus.db-wal", cut)

        seqs = damaged(nodey, folder, tmp_path / f"cut{n}", change)
        assert seqs == list(range(1, len(seqs) + 1)), "no hole"
        counts.append(len(seqs))
    figure(f"a log of {size} bytes, cut at six places: {counts} of {total} events are there")
    assert counts == sorted(counts) and counts[0] < total


@pytest.mark.long
def test_a_changed_byte_is_never_served(
        nodey: Nodey, tmp_path: Path, written: tuple[Path, int]) -> None:
    """The file itself, for the log's end is cut where a sum is wrong, as after a crash."""
    folder, total = written
    app = nodey(folder=folder)
    app.stop()  # All of the log goes to the file.
    size = (folder / ".nodey" / "bus" / "bus.db").stat().st_size
    counts = []
    for n in range(8):
        at = size * n // 8 + 700 + 13 * n

        def change(bus: Path, at: int = at) -> None:
            with (bus / "bus.db").open("r+b") as file:
                file.seek(at)
                byte = file.read(1)[0]
                file.seek(at)
                file.write(bytes([byte ^ 1 << at % 8]))

        counts.append(len(damaged(nodey, folder, tmp_path / f"flip{n}", change)))
    figure(f"a file of {size} bytes, a bit changed at eight places: {counts} of {total} served")
    assert min(counts) < total, "at least one of them mattered"
