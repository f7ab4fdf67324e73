"""The database of games and results: data/glove.db."""

import json
import sqlite3
from pathlib import Path
from typing import Any

FILE = Path("data", "glove.db")
SCHEMA = """
    CREATE TABLE IF NOT EXISTS game (
        event TEXT PRIMARY KEY, user TEXT NOT NULL, game TEXT NOT NULL, title TEXT NOT NULL, received INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS result (
        n INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL UNIQUE,
        user TEXT NOT NULL, game TEXT NOT NULL, analysis TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS result_of_user ON result (user, n);
"""


class Store:
    """Several processes write: each statement is a transaction, and waits for the others'."""

    def __init__(self) -> None:
        FILE.parent.mkdir(exist_ok=True)
        self.db = sqlite3.connect(FILE, timeout=20, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        self.db.executescript(SCHEMA)

    def add_game(self, event: str, received: int, game: dict[str, Any]) -> None:
        """Once for an event, however often it comes."""
        self.db.execute(
            "INSERT INTO game (event, user, game, title, received) VALUES (?, ?, ?, ?, ?) ON CONFLICT (event) DO NOTHING",
            (event, game["user"], game["id"], game["title"], received),
        )

    def add_result(self, event: str, game: dict[str, Any], analysis: dict[str, Any]) -> None:
        """Likewise."""
        self.db.execute(
            "INSERT INTO result (event, user, game, analysis) VALUES (?, ?, ?, ?) ON CONFLICT (event) DO NOTHING",
            (event, game["user"], game["id"], json.dumps(analysis)),
        )

    def games(self, user: str) -> list[dict[str, Any]]:
        """The newest first; `n` is null while a game has no result."""
        rows = self.db.execute(
            "SELECT game, title, received, n FROM game LEFT JOIN result USING (user, game)"
            " WHERE user = ? ORDER BY received DESC LIMIT 100", (user,),
        )
        return [dict(row) for row in rows]

    def results(self, user: str, after: int) -> list[dict[str, Any]]:
        """In the order in which they were stored: what is there later has a greater n."""
        rows = self.db.execute(
            "SELECT n, game, analysis FROM result WHERE user = ? AND n > ? ORDER BY n LIMIT 100", (user, after)
        )
        return [{**dict(row), "analysis": json.loads(row["analysis"])} for row in rows]
