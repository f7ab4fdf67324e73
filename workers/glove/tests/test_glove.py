"""Run it with: nodey run python3 -m pytest"""

import math
import sys
from pathlib import Path
from typing import Any

import pytest
from nodey.testing import Bus

PROCESSING = Path(__file__).parent.parent / "processing"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is kept in the folder that the workers run in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(PROCESSING)
    for name in ("store", "signals"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def game(id: str, frequency: float = 7.3) -> dict[str, Any]:
    thumb = [2 + math.sin(2 * math.pi * frequency * at / 100) for at in range(1000)]
    return {"user": "ann", "id": id, "title": id, "rate": 100, "sensors": {"thumb": thumb}}


def test_a_game_is_analysed_stored_and_reconciled() -> None:
    with Bus(PROCESSING / "games.py", PROCESSING / "processing.py") as bus:
        bus.publish("game.received", {"user": "ann", "id": "g1", "title": "first"}, id="received ann/g1")
        bus.enqueue("processing", game("g1"), id="ann/g1")
        bus.idle()
        assert bus.published("reconciliation.done")[-1].data == {"user": "ann", "game": "g1"}
        assert bus.dead() == []
        answer = bus.client.ask("Results", {"user": "ann", "after": 0})
    thumb = answer[0]["analysis"]["thumb"]
    assert (answer[0]["n"], answer[0]["game"]) == (1, "g1")
    assert thumb["mean"] == pytest.approx(2, abs=0.01) and thumb["rms"] == pytest.approx(0.7071, abs=0.001)
    assert thumb["frequency"] == pytest.approx(7.3, abs=0.02)


def test_a_job_that_comes_twice_has_one_result() -> None:
    with Bus(PROCESSING / "processing.py") as bus:
        for _ in range(2):
            bus.enqueue("processing", game("g1"), id="ann/g1")
            bus.tick("10m")
        assert len(bus.enqueued()) == 2 and bus.dead() == []
        import store

        assert len(store.Store().results("ann", 0)) == 1
        assert store.Store().results("bob", 0) == store.Store().results("ann", 1) == []


def test_what_is_found_in_samples() -> None:
    import signals

    flat = signals.analyse([3.0] * 100, 100)
    assert flat == {"mean": 3.0, "rms": 0.0, "peaks": 0, "frequency": 0.0}
    for frequency in (0.7, 3.0, 12.5, 40.0):
        wave = [math.sin(2 * math.pi * frequency * at / 100) for at in range(777)]
        assert signals.analyse(wave, 100)["frequency"] == pytest.approx(frequency, rel=0.02)
    squeezes = [max(0.0, math.sin(2 * math.pi * at / 100)) ** 4 for at in range(500)]
    assert signals.analyse(squeezes, 100)["peaks"] == 5
    assert signals.fft([1, 0, 0, 0]) == [1, 1, 1, 1]
    assert sum(abs(value) ** 2 for value in signals.fft(wave[:512])) / 512 \
        == pytest.approx(sum(sample ** 2 for sample in wave[:512]))
