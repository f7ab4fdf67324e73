"""What lies in a store, read from a copy of its files and with nothing of nodey's."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Row:
    seq: int
    topic: str
    ts: int
    key: str
    id: str
    headers: dict[str, Any]
    data: bytes


@dataclass
class Stored:
    streams: dict[str, list[Row]] = field(default_factory=dict)
    hi: dict[str, int] = field(default_factory=dict)      # by group
    open: dict[str, bytes] = field(default_factory=dict)  # likewise, as it is stored
    pending: int = 0
    delayed: int = 0
    damage: str = "ok"


def read(folder: Path) -> Stored:
    """The files of `folder`, a bus directory that nobody uses now."""
    with tempfile.TemporaryDirectory() as copy:
        for name in ("bus.db", "bus.db-wal"):
            if (folder / name).exists():
                shutil.copy(folder / name, copy)
        db = sqlite3.connect(Path(copy) / "bus.db")
        try:
            return _read(db)
        finally:
            db.close()


def _read(db: sqlite3.Connection) -> Stored:
    found = Stored()
    found.damage = db.execute("PRAGMA integrity_check").fetchone()[0]
    topics = {(stream, topic): name for stream, topic, name in
              db.execute("SELECT stream, topic, name FROM tally")}
    for ident, name in db.execute("SELECT id, name FROM stream").fetchall():
        rows = db.execute(f"SELECT seq, topic, ts, key, id, headers, data FROM msg_{ident}"
                          " ORDER BY seq")
        found.streams[name] = [
            Row(seq, topics.get((ident, topic), "?"), ts, key or "-", msgid or str(seq),
                json.loads(headers) if headers else {}, data)
            for seq, topic, ts, key, msgid, headers, data in rows]
    for name, hi, opened in db.execute("SELECT name, hi, open FROM consumer"):
        found.hi[name], found.open[name] = hi, opened
    found.pending = db.execute("SELECT count(*) FROM pending").fetchone()[0]
    found.delayed = db.execute("SELECT count(*) FROM delayed").fetchone()[0]
    return found
