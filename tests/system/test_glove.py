"""workers/glove: games of a glove, from the login to the notification, and with any part of it killed."""

from __future__ import annotations

import base64
import json
import math
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Iterator, Optional

import pytest

import procs
from app import App
from checks import kill
from client import Response
from command import run, run_pytest
from examples import Killer, Listener, Start, browse, copied
from timing import until
pytestmark = pytest.mark.outside

QUICK = {"[workers.login]": '[defaults]\nbackoff_max = "100ms"\nmax_restarts = 1000\n\n[workers.login]',
         'scale_idle = "10s"': 'scale_idle = "2s"'}


def start(nodey: Start, tmp_path: Path, replaced: Optional[dict[str, str]] = None, **options: Any) -> App:
    folder = copied("glove", tmp_path / "glove", {**QUICK, **(replaced or {})})
    return nodey(folder=folder, **options)


def log_in(app: App, user: str, password: Optional[str] = None) -> Response:
    body = {"user": user, "password": f"{user}-plays" if password is None else password}
    return app.post("/login", json.dumps(body).encode())


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def headers_of(app: App, user: str) -> dict[str, str]:
    answer = log_in(app, user)
    assert answer.status == 200, answer
    return bearer(answer.json()["token"])


def wave(frequency: float = 7.3, samples: int = 400) -> list[float]:
    return [round(math.sin(2 * math.pi * frequency * at / 100), 4) for at in range(samples)]


def game(id: str, sensors: Optional[dict[str, list[float]]] = None) -> bytes:
    body = {"id": id, "title": f"game {id}", "rate": 100, "sensors": sensors or {"thumb": wave()}}
    return json.dumps(body).encode()


def play(app: App, headers: dict[str, str], id: str, sensors: Optional[dict[str, list[float]]] = None) -> None:
    answer = app.request("POST", "/game", game(id, sensors), headers)
    assert answer.status == 200 and answer.json() == {"id": id}, answer


def stored(app: App, what: str = "user, game FROM result") -> list[tuple[Any, ...]]:
    db = sqlite3.connect(f"file:{app.folder}/data/glove.db?mode=ro", uri=True, timeout=10)
    try:
        return db.execute(f"SELECT {what}").fetchall()
    finally:
        db.close()


def notifications(app: App, headers: dict[str, str]) -> Listener:
    return Listener(lambda: app.port, "/notifications", headers)


# -- login


def test_a_password_opens_and_nothing_else_does(nodey: Start, tmp_path: Path) -> None:
    app = start(nodey, tmp_path)
    answer = log_in(app, "ann")
    assert answer.status == 200 and answer.json()["user"] == "ann"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert log_in(app, "ann", "bob-plays").status == 401
    assert log_in(app, "nobody", "ann-plays").status == 401
    assert log_in(app, "__proto__", "ann-plays").status == 401
    assert app.post("/login", b'{"user":"ann"}').status == 400
    assert app.post("/login", b"null").status == 400
    assert app.get("/games", headers={"Cookie": cookie.split(";")[0]}).json() == []
    users = json.loads((app.folder / "gateway" / "users.json").read_text())
    assert "plays" not in json.dumps(users) and len({hash.split("$")[4] for hash in users.values()}) == 2
    assert (app.folder / "data" / "secret").stat().st_mode & 0o077 == 0


def test_how_long_it_takes_does_not_tell_who_is_known(nodey: Start, tmp_path: Path) -> None:
    app = start(nodey, tmp_path)

    def quickest(user: str) -> float:
        took = []
        for _ in range(3):
            begin = time.monotonic()
            assert log_in(app, user, "wrong").status == 401
            took.append(time.monotonic() - begin)
        return min(took)

    known, unknown = quickest("ann"), quickest("nobody")
    assert known > 0.02, "a hash that is worth its name"
    assert 0.4 < unknown / known < 2.5, (known, unknown)


def test_too_many_attempts_must_wait(nodey: Start, tmp_path: Path) -> None:
    app = start(nodey, tmp_path)
    assert [log_in(app, "ann", "wrong").status for _ in range(6)] == [401] * 5 + [429]
    answer = log_in(app, "ann")
    assert answer.status == 429 and 1 <= int(answer.headers["retry-after"]) <= 60
    assert log_in(app, "bob").status == 200, "somebody else is not concerned"
    assert [log_in(app, "bob").status for _ in range(6)] == [200] * 6, "who is right has not tried"


def forged(token: str) -> Iterator[str]:
    text, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    other = base64.urlsafe_b64encode(json.dumps({**claims, "user": "bob"}).encode()).decode().rstrip("=")
    yield f"{other}.{signature}"
    yield f"{text}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    yield f"{text}.{signature[:-4]}"
    yield f"{text}."
    yield text
    yield "x.y"


def test_tokens_that_are_forged_or_old_are_refused(nodey: Start, tmp_path: Path) -> None:
    app = start(nodey, tmp_path, {'TOKEN_SECONDS = "3600"': 'TOKEN_SECONDS = "2"'})
    headers = headers_of(app, "ann")
    assert app.get("/games", headers=headers).status == 200
    token = headers["Authorization"].split()[1]
    for other in forged(token):
        answer = app.get("/games", headers=bearer(other))
        assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer", other
    for path in ("/games", "/notifications"):
        assert app.get(path).status == 401
    assert app.request("POST", "/game", game("g1")).status == 401
    time.sleep(2.1)
    assert app.get("/games", headers=headers).status == 401
    assert not (app.folder / "data" / "glove.db").exists() or stored(app) == []


# -- the loop


def test_a_game_comes_back_as_a_result_to_who_played_it(nodey: Start, tmp_path: Path) -> None:
    app = start(nodey, tmp_path)
    ann, bob = headers_of(app, "ann"), headers_of(app, "bob")
    with notifications(app, ann) as of_ann, notifications(app, bob) as of_bob:
        play(app, ann, "g1", {"thumb": wave(7.3), "index": wave(2.0)})
        play(app, bob, "g1", {"thumb": wave(12.0)})
        [first], [other] = of_ann.wait(1), of_bob.wait(1)
        time.sleep(0.3)
        assert len(of_ann.events) == len(of_bob.events) == 1, "each his own, once"
    assert first["game"] == "g1" and set(first["analysis"]) == {"thumb", "index"}
    thumb, index = first["analysis"]["thumb"], first["analysis"]["index"]
    assert abs(thumb["frequency"] - 7.3) < 0.05 and abs(index["frequency"] - 2) < 0.05
    assert abs(thumb["rms"] - 0.7071) < 0.01 and index["peaks"] == 8
    assert abs(other["analysis"]["thumb"]["frequency"] - 12) < 0.05
    assert sorted(stored(app)) == [("ann", "g1"), ("bob", "g1")]
    known = until(lambda: app.get("/games", headers=ann).json(), 5, "its metadata is stored")
    assert [(one["game"], one["title"], one["n"]) for one in known] == [("g1", "game g1", first["n"])]


def test_a_big_game_is_analysed_as_any_other(nodey: Start, tmp_path: Path) -> None:
    app = start(nodey, tmp_path)
    ann = headers_of(app, "ann")
    with notifications(app, ann) as of_ann:
        play(app, ann, "big", {name: wave(5.0, 30000) for name in ("thumb", "index")})
        [result] = of_ann.wait(1, 20)
    assert abs(result["analysis"]["index"]["frequency"] - 5) < 0.01


def test_a_game_that_is_sent_again_much_later_has_one_result(nodey: Start, tmp_path: Path) -> None:
    """When nodey has forgotten its id, the job is done again; the database knows it."""
    app = start(nodey, tmp_path, {"[queues.processing]": '[queues.processing]\ndedupe_window = "1ms"'})
    ann = headers_of(app, "ann")
    with notifications(app, ann) as of_ann:
        for _ in range(3):
            play(app, ann, "g1")
            time.sleep(0.2)
        play(app, ann, "g2")
        found = of_ann.wait(2)
        assert [one["game"] for one in found] == ["g1", "g2"]
    assert stored(app) == [("ann", "g1"), ("ann", "g2")]
    assert "error" not in app.log()


def test_what_was_missed_comes_when_the_client_is_back(nodey: Start, tmp_path: Path) -> None:
    app = start(nodey, tmp_path)
    ann = headers_of(app, "ann")
    with notifications(app, ann) as first:
        play(app, ann, "g1")
        first.wait(1)
    for n in (2, 3):
        play(app, ann, f"g{n}")
    until(lambda: len(stored(app)) == 3, 10, "all are done")
    back = notifications(app, {**ann, "Last-Event-ID": first.events[-1][0]})
    with back:
        assert [one["game"] for one in back.wait(2)] == ["g2", "g3"]


def test_every_gateway_notifies(nodey: Start, tmp_path: Path) -> None:
    """Clients are spread over both; when one gateway ends, its clients and only they come back."""
    app = start(nodey, tmp_path)
    ann = headers_of(app, "ann")
    clients = [notifications(app, ann) for _ in range(6)]
    for client in clients:
        client.__enter__()
    try:
        play(app, ann, "g1")
        for client in clients:
            client.wait(1)
        kill(app.worker_pids("gateway")[:1])
        moved = until(lambda: [c for c in clients if c.connects > 1], 10, "some come back")
        assert 0 < len(moved) < 6
        play(app, ann, "g2")
        for client in clients:
            assert [one["game"] for one in client.wait(2)] == ["g1", "g2"]
        assert sum(client.connects == 1 for client in clients) > 0
    finally:
        for client in clients:
            client.__exit__()


@pytest.mark.long
def test_processing_grows_with_the_backlog_and_shrinks_after_it(nodey: Start, tmp_path: Path) -> None:
    app = start(nodey, tmp_path)
    ann = headers_of(app, "ann")
    assert len(app.worker_pids("processing")) == 1
    heavy, most = {"thumb": wave(5.0, 16384)}, 0
    for n in range(40):
        play(app, ann, f"g{n}", heavy)
    while len(stored(app)) < 40:
        most = max(most, len(app.worker_pids("processing")))
        time.sleep(0.02)
    assert 2 <= most <= 4, most
    app.wait_log(r"processing .*messages? wait", 1)
    app.wait_workers(1, "processing", seconds=20)
    assert Counter(stored(app)) == Counter(("ann", f"g{n}") for n in range(40))


def test_a_virtual_environment_beside_the_script_is_used(nodey: Start, tmp_path: Path) -> None:
    folder = copied("glove", tmp_path / "glove", QUICK)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "processing" / ".venv")], check=True)
    site = next((folder / "processing" / ".venv" / "lib").glob("python3*")) / "site-packages"
    (site / "only_there.py").write_text("HERTZ = 1000\n")
    script = folder / "processing" / "processing.py"
    script.write_text(script.read_text().replace("import signals\n", "import only_there\nimport signals\n")
                      .replace('game["rate"]', "only_there.HERTZ"))
    app = nodey(folder=folder)
    ann = headers_of(app, "ann")
    with notifications(app, ann) as of_ann:
        play(app, ann, "g1")
        [result] = of_ann.wait(1)
    assert abs(result["analysis"]["thumb"]["frequency"] - 73) < 0.5
    assert ".venv" in procs.command(app.worker_pids("games")[0])


def test_saved_changes_are_taken_in_both_languages(nodey: Start, tmp_path: Path) -> None:
    app = start(nodey, tmp_path, args=["--watch"])
    ann = headers_of(app, "ann")

    def change(name: str, old: str, new: str, worker: str, count: int) -> None:
        file, pids = app.folder / name, app.worker_pids(worker)
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
        app.wait_workers(count, worker, without=pids)

    change("processing/signals.py", "round(mean, 6)", "4711.0", "processing", 1)
    with notifications(app, ann) as of_ann:
        play(app, ann, "g1")
        assert of_ann.wait(1)[0]["analysis"]["thumb"]["mean"] == 4711
    change("gateway/lib/game.js", "title.length > 100", "title.length > 3", "gateway", 2)
    assert app.request("POST", "/game", game("g2"), ann).status == 400


# -- with anything killed


class Players:
    """Threads that play so many games of each user, each until it is accepted."""

    def __init__(self, app: "Current", headers: dict[str, dict[str, str]], each: int) -> None:
        self.accepted: list[tuple[str, str]] = []
        self._app = app
        self._threads = [threading.Thread(target=self._play, args=(user, fields, at, each))
                         for user, fields in headers.items() for at in range(2)]

    def _play(self, user: str, headers: dict[str, str], at: int, each: int) -> None:
        for n in range(at, each, 2):
            until(lambda: self._is_accepted(headers, f"g{n}"), 60, f"g{n} of {user} is accepted")
            self.accepted.append((user, f"g{n}"))
            time.sleep(0.15)

    def _is_accepted(self, headers: dict[str, str], id: str) -> bool:
        try:
            return self._app.app.request("POST", "/game", game(id), headers).status == 200
        except Exception:
            return False  # nodey itself is away

    def __enter__(self) -> "Players":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()


class Current:
    """The nodey that runs now."""

    def __init__(self, app: App) -> None:
        self.app = app


@pytest.mark.long
def test_two_hundred_games_while_every_part_is_killed(nodey: Start, tmp_path: Path) -> None:
    current = Current(start(nodey, tmp_path))
    folder = current.app.folder
    headers = {user: headers_of(current.app, user) for user in ("ann", "bob")}
    told = {user: Listener(lambda: current.app.port, "/notifications", headers[user]) for user in headers}
    with told["ann"], told["bob"]:
        with Killer(lambda: current.app, ["gateway", "processing", "games", "login"], every=0.3) as killer:
            with Players(current, headers, 100) as players:
                for part in (60, 130):
                    until(lambda: len(players.accepted) >= part, 60, f"{part} games are accepted")
                    current.app.kill()
                    current.app = nodey(folder=folder)
        assert len(players.accepted) == len(set(players.accepted)) == 200
        for user, listener in told.items():
            listener.wait(100, 60)
        time.sleep(0.5)
        for user, listener in told.items():
            games = Counter(one["game"] for one in listener.data())
            assert games == Counter(f"g{n}" for n in range(100)), f"{user} is told of each game of his, once"
            assert listener.connects > 2
    assert Counter(stored(current.app)) == Counter(players.accepted), "each accepted game has one result"
    until(lambda: len(stored(current.app, "user, game FROM game")) == 200, 10, "their metadata, too")
    assert killer.count() >= 6 and {"gateway", "processing"} <= set(killer.kills), killer.kills
    print(f"2 kills of nodey, {killer.count()} of workers {killer.kills}, 200 games accepted, 0 lost")


# -- the rest


def test_its_own_tests_pass(tmp_path: Path) -> None:
    folder = copied("glove", tmp_path / "glove")
    javascript = run(folder, "run", "node", "--test", "--test-reporter=tap")
    assert javascript.code == 0 and "# pass 3" in javascript.out, javascript
    python = run_pytest(folder)
    assert python.code == 0 and "3 passed" in python.out, python


PAGE = """
        fill(all('#login')[0], { user: 'ann', password: 'wrong' });
        await until(() => all('#said')[0].textContent);
        seen.push(all('#said')[0].textContent);
        fill(all('#login')[0], { user: 'ann', password: 'ann-plays' });
        await until(() => !all('#game')[0].hidden);
        all('#play')[0].click();
        await until(() => all('#results tr').length === 3);
        seen.push(all('#results tr').map((row) => row.cells[1].textContent + ' ' + row.cells[2].textContent).join());
        all('#play')[0].click();
        await until(() => all('#results tr').length === 6);
        seen.push(new Set(all('#results tr').map((row) => row.dataset.game)).size);
"""


@pytest.mark.long
def test_the_page_plays_and_shows_results(nodey: Start, tmp_path: Path) -> None:
    seen = browse(nodey, copied("glove", tmp_path / "glove"), PAGE)
    assert seen == ["user or password is wrong", "thumb 5,index 6,middle 7", 2]
