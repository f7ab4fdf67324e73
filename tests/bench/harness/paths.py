"""Where things are: the repository, the peers that setup installed, the nodey to measure."""

from __future__ import annotations

import os
from pathlib import Path

from harness.errors import BenchError

BENCH = Path(__file__).resolve().parents[1]
ROOT = BENCH.parents[1]
BUILD = ROOT / "build" / "bench"
PEERS = BENCH / "peers"
WORKERS = BENCH / "workers"
BINARIES = [ROOT / "build" / "release" / "nodey", ROOT / "build" / "nodey"]


def find_nodey(wanted: Path | None) -> Path | None:
    """The wanted binary, or else the newest that was built, or else None."""
    if wanted is not None:
        if not os.access(wanted, os.X_OK):
            raise BenchError(f"{wanted} is not a program")
        return wanted.resolve()
    built = [path for path in BINARIES if path.exists()]
    return max(built, key=lambda path: path.stat().st_mtime, default=None)


def require_peers() -> None:
    if not (BUILD / "venv").is_dir() or not (BUILD / "node_modules").is_dir():
        raise BenchError("the peers are not installed; run tests/bench/setup first")
