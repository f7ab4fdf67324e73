"""D3, D4, D11, R5 to R8: what bad disks and files do to events and jobs (tests/FAULTS.md)."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, Iterator

import pytest

from app import ROOT, App
from bulk import (IN, PROOF, bulk, count, figure, flood, lag, post, rows, slowest_get,
                  wait_count)
from checks import MEBIBYTE
from timing import slow, until

sys.path.insert(0, str(PROOF))
import store  # noqa: E402

Nodey = Callable[..., App]
pytestmark = pytest.mark.outside
FIXTURES = ROOT / "tests" / "fixtures" / "bus"
FAILED = r"the store has failed: .*it is closed, and cannot be opened again: .*publishes are refused"
MEMORY = '[streams.fleeting]\ntopics = ["m.>"]\ndurability = "memory"\n\n'


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
    app.wait_log(r"\.nodey/bus was removed, or another folder is in its place: publishes are "
                 r"refused")


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
        app.wait_log(FAILED)
        assert post(app) == 503, "who comes now is refused at once"
        went = flood(app, "pub", 50)
        assert went["acked"] == 0 and set(went["codes"]) == {"unavailable"}, went
        assert app.get("/web/counts").status == 200
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


@pytest.mark.long
def test_a_disk_that_fails_for_long_keeps_acks_and_lets_publishers_go(
        nodey: Nodey, tmp_path: Path, shim: Path) -> None:
    """R7 for longer than a publisher waits: it is told that nobody knows.  What was handled
    meanwhile is settled when the disk is well, once, and the log has a line or two of it."""
    disk = tmp_path / "disk"
    config = IN + bulk("pub") + bulk("sink", ["sink"], pause={"sink": -1}, most=64)
    app = nodey(config=config, env=preload(shim, disk))
    assert flood(app, "pub", 20)["acked"] == 20
    until(lambda: count(app, "sink", "sink") == 20, 5, "it holds them all")
    disk.write_text("eio")
    with ThreadPoolExecutor(1) as one:
        unsure = one.submit(flood, app, "pub", 1, timeout=60)
        app.wait_log(FAILED)
        app.post("/sink/free")
        told = unsure.result()
    assert told["codes"] == {"unavailable": 1} and told["acked"] == 0, told
    assert 9500 < told["slowest"] < 10_000 + slow(1000), told
    time.sleep(1)
    said = app.log()
    assert said.count("error: the store has failed") == 1, said
    assert said.count("cannot be opened again") == 1 and said.count("is tried again") == 1, said
    disk.write_text("fine")
    app.wait_log(r"the store is open again, after \d+ s and \d+ failures", timeout=10)
    until(lambda: lag(app)["sink"] == 0, 15, "what was handled is settled")
    there = rows(app)
    assert 20 <= there <= 21 and count(app, "sink", "sink") == there, "nothing came again"
    assert post(app) == 202
    wait_count(app, "sink", "sink", there + 1)
    until(lambda: lag(app)["sink"] == 0, 5, "that, too")
    app.kill()
    again = nodey(folder=app.folder, config=config)
    assert post(again) == 202
    wait_count(again, "sink", "sink", 1)
    assert count(again, "sink", "sink") == 1, "what was settled does not come again"
    figure(f"fsync failed for 11 s: a publisher was told after {told['slowest'] / 1000:.1f} s, 20 "
           "acks were stored after it, none came again")


def test_streams_in_memory_do_not_mind_the_disk(
        nodey: Nodey, tmp_path: Path, shim: Path) -> None:
    """The file is closed and opened again; what is beside it stays."""
    disk = tmp_path / "disk"
    app = nodey(config=IN + MEMORY + bulk("pub") +
                bulk("sink", ["sink"], topic="m.>", pause={"sink": -1}, most=8),
                env=preload(shim, disk))
    assert flood(app, "pub", 30, topic="m.x")["acked"] == 30
    until(lambda: count(app, "sink", "sink") == 8, 5, "it holds eight")
    disk.write_text("eio")
    with ThreadPoolExecutor(1) as one:
        unsure = one.submit(flood, app, "pub", 1, timeout=60)
        app.wait_log(FAILED)
        disk.write_text("fine")
        unsure.result()
    until(lambda: flood(app, "pub", 1, topic="m.x")["acked"] == 1, 10, "it is well again")
    app.post("/sink/free")
    wait_count(app, "sink", "sink", 31)
    until(lambda: lag(app)["sink"] == 0, 5, "nothing is left")
    assert count(app, "sink", "sink") == 31


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
           f"published, 250 at a time, in {done['ms'] / 1000:.1f} s, the slowest "
           f"{done['slowest']:.0f} ms")
    assert done["acked"] == 1000 and done["slowest"] > 450
    assert p99 < slow(100)
    disk.write_text("fine")


# ------------------------------------------------------------------------- D11: formats


def test_a_store_of_format_1_is_read(nodey: Nodey, tmp_path: Path) -> None:
    """Its sample was written by a nodey that was killed: of four events one was handled, and one
    put off by its handler, until 2036 as is a fifth; a job waits."""
    folder = tmp_path / "app0"
    shutil.copytree(FIXTURES / "format-1", folder / ".nodey" / "bus")
    app = nodey(folder=folder, config="[bus]\nmax_age = \"3650d\"\n\n" +
                bulk("sink", ["query"], topic="post.*") + bulk("pub"))
    wait_count(app, "sink", "query", 2)
    until(lambda: lag(app)["query"] == 1, 5, "only what was put off is left")
    assert count(app, "sink", "query") == 2 and rows(app) == 4
    assert flood(app, "pub", 1)["acked"] == 1


def test_a_store_of_a_newer_format_is_refused(nodey: Nodey, tmp_path: Path) -> None:
    folder = tmp_path / "app0"
    (folder / ".nodey" / "bus").mkdir(parents=True)
    db = sqlite3.connect(folder / ".nodey" / "bus" / "bus.db")
    db.executescript("PRAGMA journal_mode=WAL; CREATE TABLE later(a);"
                     "PRAGMA application_id=1852793957; PRAGMA user_version=99")
    db.close()
    before = (folder / ".nodey" / "bus" / "bus.db").read_bytes()
    app = nodey(folder=folder, config="[bus]\n\n" + bulk("sink", ["sink"]), wait=False,
                exit_code=1)
    app.wait_log(r"bus\.db has format 99, written by a newer nodey; this one reads up to \d+: "
                 r"use the newer one")
    app.wait_exit()
    assert (folder / ".nodey" / "bus" / "bus.db").read_bytes() == before


# ------------------------------------------------------------- D3, D4: cut and changed bytes


EVENTS = 24


@pytest.fixture
def written(nodey: Nodey) -> Path:
    """A store as a kill has left it: 24 events, all of them still in its log."""
    app = nodey(config=bulk("pub", ["none"], topic="none"))
    assert flood(app, "pub", EVENTS, size=300, window=1)["acked"] == EVENTS
    app.kill()
    return app.folder


def damaged(nodey: Nodey, folder: Path, copy: Path, change: Callable[[Path], None]) -> list[int]:
    """What a nodey serves of a changed copy; empty when it refuses with a sentence."""
    shutil.copytree(folder / ".nodey" / "bus", copy / ".nodey" / "bus")
    change(copy / ".nodey" / "bus")
    app = nodey(folder=copy, config="[bus]\n\n" + bulk("web", ["reader"]), wait=False,
                exit_code=None)
    until(lambda: "nodey ready" in app.log() or app.returncode() is not None, 20, "it decides")
    if app.returncode() is not None:
        assert app.wait_exit() == 1, app.log()
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
    if seqs != list(range(1, EVENTS + 1)):
        assert "damaged" in app.log() or "cut" in app.log() or "log" in app.log(), app.log()
    app.kill()
    return seqs


@pytest.mark.long
def test_a_log_that_is_cut_loses_its_end_only(
        nodey: Nodey, tmp_path: Path, written: Path) -> None:
    folder = written
    size = (folder / ".nodey" / "bus" / "bus.db-wal").stat().st_size
    counts = []
    for n in range(6):
        cut = size * (n + 1) // 7 + n

        def change(bus: Path, cut: int = cut) -> None:
            os.truncate(bus / "bus.db-wal", cut)

        seqs = damaged(nodey, folder, tmp_path / f"cut{n}", change)
        assert seqs == list(range(1, len(seqs) + 1)), "no hole"
        counts.append(len(seqs))
    figure(f"a log of {size} bytes, cut at six places: {counts} of {EVENTS} events are there")
    assert counts == sorted(counts) and counts[0] < EVENTS


@pytest.mark.long
def test_a_changed_byte_is_never_served(
        nodey: Nodey, tmp_path: Path, written: Path) -> None:
    """The file itself, for the log's end is cut where a sum is wrong, as after a crash."""
    folder = written
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
    figure(f"a file of {size} bytes, a bit changed at eight places: {counts} of {EVENTS} served")
    assert min(counts) < EVENTS, "at least one of them mattered"
