"""Workers ask each other, across languages, without deadlock and without losing an answer."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Callable
from urllib.parse import quote

from app import App
from checks import kill
from client import Response
from load import Load, echo
from timing import slow
from workers import evil, script

Nodey = Callable[..., App]

# Each serves GET /NAME?token=T&...: asks that token, the query as the arguments, and
# answers {"value": ...} or {"code": ..., "message": ...}.
PYTHON_ASKER = '''
import json
import nodey

@nodey.get("/{name}")
def {name}(req):
    args = dict(req.query)
    timeout = float(args.pop("timeout", "10"))
    try:
        return {{"value": nodey.ask(args.pop("token"), args, timeout=timeout)}}
    except nodey.Error as error:
        return {{"code": error.code, "message": str(error)}}
'''

NODE_ASKER = '''
const nodey = require('nodey');

nodey.get('/{name}', async (req) => {{
    const {{ token, timeout, ...args }} = {{ ...req.query }};
    try {{
        return {{ value: await nodey.ask(token, args, {{ timeout: +(timeout || 10) * 1000 }}) }};
    }} catch (error) {{
        return {{ code: error.code, message: error.message }};
    }}
}});
'''

PYTHON_TOKENS = '''
import os, time
import nodey

@nodey.token("PyUpper")
def upper(args):
    return args["text"].upper()

@nodey.token("PySleep")
def sleep(args):
    time.sleep(float(args["seconds"]))
    return "slept"

@nodey.token("PyDie")
def die(args):
    os._exit(9)

@nodey.token("PyRefuse")
def refuse(args):
    raise nodey.Error("not_found", "no such thing")

@nodey.token("PyRaise")
def fail(args):
    raise ValueError("out of cheese")

@nodey.token("PyEcho")
def echo(args):
    return args
'''

NODE_TOKENS = '''
const nodey = require('nodey');
nodey.set({
    JsUpper: ({ text }) => text.toUpperCase(),
    JsEcho: (args) => args,
    JsDie: () => process.exit(9),
});
'''


def python_asker(name: str) -> str:
    return PYTHON_ASKER.format(name=name)


def node_asker(name: str) -> str:
    return NODE_ASKER.format(name=name)


def together(app: App, paths: list[str], timeout: float = 15) -> list[Response]:
    """The answers to requests that are sent at the same moment."""
    opened = [app.open_request("GET", path, timeout=timeout) for path in paths]
    answers = [connection.read_response() for connection in opened]
    for connection in opened:
        connection.close()
    return answers


def test_node_and_python_ask_each_other(nodey: Nodey) -> None:
    app = nodey({"workers/p.py": python_asker("p"), "workers/n.js": node_asker("n"),
                 "workers/pt.py": PYTHON_TOKENS, "workers/nt.js": NODE_TOKENS},
                script("p") + script("n", "js") + script("pt") + script("nt", "js"))
    for asker in ("p", "n"):
        for token in ("PyUpper", "JsUpper"):
            assert app.get(f"/{asker}?token={token}&text=abc").json() == {"value": "ABC"}


def test_values_cross_both_languages_unchanged(nodey: Nodey) -> None:
    value = "ü✓😀\"\\/\n\t\x00" + "x" * 5000
    app = nodey({"workers/p.py": python_asker("p"), "workers/n.js": node_asker("n"),
                 "workers/pt.py": PYTHON_TOKENS, "workers/nt.js": NODE_TOKENS},
                script("p") + script("n", "js") + script("pt") + script("nt", "js"))
    for asker in ("p", "n"):
        for token in ("PyEcho", "JsEcho"):
            answer = app.get(f"/{asker}?token={token}&v={quote(value)}")
            assert answer.json() == {"value": {"v": value}}


ROUND = '''
import nodey

@nodey.get("/{me}")
def {me}(req):
    return nodey.ask("{other}", {{"n": int(req.query["n"])}})

@nodey.token("{me}")
def {me}_token(args):
    return 0 if args["n"] == 0 else 1 + nodey.ask("{other}", {{"n": args["n"] - 1}})
'''


def test_two_sync_pools_of_one_that_ask_each_other_do_not_deadlock(nodey: Nodey) -> None:
    app = nodey({"workers/ping.py": ROUND.format(me="ping", other="pong"),
                 "workers/pong.py": ROUND.format(me="pong", other="ping")},
                script("ping") + script("pong"))
    begun = time.monotonic()
    answers = together(app, ["/ping?n=4", "/pong?n=4"] * 3)
    assert [answer.status for answer in answers] == [200] * 6, answers
    assert [answer.json() for answer in answers] == [4] * 6
    assert time.monotonic() - begun < slow(3)


def test_a_hundred_mutual_asks_under_load_all_end(nodey: Nodey) -> None:
    app = nodey({"workers/ping.py": ROUND.format(me="ping", other="pong"),
                 "workers/pong.py": ROUND.format(me="pong", other="ping")},
                script("ping") + script("pong", instances=2))
    answers = together(app, ["/ping?n=3", "/pong?n=6"] * 50, timeout=30)
    assert [answer.status for answer in answers] == [200] * 100
    assert [answer.json() for answer in answers] == [3, 6] * 50


def test_deep_asks_to_and_fro_from_many_clients_at_once_all_end(nodey: Nodey) -> None:
    """Each stack is then a mix of many conversations, and only its top can go on."""
    app = nodey({"workers/ping.py": ROUND.format(me="ping", other="pong"),
                 "workers/pong.py": ROUND.format(me="pong", other="ping")},
                script("ping") + script("pong"))
    depths = [2 + i * 7 % 45 for i in range(40)]
    answers = together(app, [f"/{('ping', 'pong')[i % 2]}?n={n}" for i, n in enumerate(depths)],
                       timeout=20)
    assert [answer.json() for answer in answers] == depths


def test_a_worker_may_ask_its_own_pool(nodey: Nodey) -> None:
    app = nodey({"workers/me.py": ROUND.format(me="me", other="me")}, script("me"))
    assert app.get("/me?n=10").json() == 10


def test_the_depth_of_asks_is_limited(nodey: Nodey) -> None:
    app = nodey({"workers/ping.py": ROUND.format(me="ping", other="pong"),
                 "workers/pong.py": ROUND.format(me="pong", other="ping")},
                script("ping") + script("pong"))
    answer = app.get("/ping?n=1000")
    assert answer.status != 200, answer
    assert "resource_exhausted" in answer.text or answer.status == 429, answer
    assert app.get("/ping?n=2").json() == 2
    assert app.get("/ping?n=40", timeout=20).json() == 40


def test_a_token_that_nobody_answers_is_unimplemented_at_once(nodey: Nodey) -> None:
    app = nodey({"workers/p.py": python_asker("p"), "workers/n.js": node_asker("n")},
                script("p") + script("n", "js"))
    for asker in ("p", "n"):
        begun = time.monotonic()
        answer = app.get(f"/{asker}?token=Nobody").json()
        assert answer["code"] == "unimplemented", answer
        assert "Nobody" in answer["message"], answer
        assert time.monotonic() - begun < slow(1)


def test_an_answerer_that_dies_is_an_error_at_once_and_the_next_ask_is_answered(
        nodey: Nodey) -> None:
    app = nodey({"workers/p.py": python_asker("p"), "workers/n.js": node_asker("n"),
                 "workers/pt.py": PYTHON_TOKENS, "workers/nt.js": NODE_TOKENS},
                script("p") + script("n", "js") + script("pt", backoff_min="10ms")
                + script("nt", "js", backoff_min="10ms"))
    for asker in ("p", "n"):
        for language in ("Py", "Js"):
            begun = time.monotonic()
            answer = app.get(f"/{asker}?token={language}Die").json()
            assert answer["code"] in ("internal", "unavailable"), answer
            assert time.monotonic() - begun < slow(1)
            answer = app.get(f"/{asker}?token={language}Upper&text=again").json()
            assert answer == {"value": "AGAIN"}


def test_an_asker_that_dies_leaves_its_answerer_in_service(nodey: Nodey) -> None:
    app = nodey({"workers/p.py": python_asker("p"), "workers/pt.py": PYTHON_TOKENS},
                script("p", backoff_min="10ms") + script("pt"))
    answerer = app.worker_pids("pt")
    with app.open_request("GET", "/p?token=PySleep&seconds=1") as connection:
        time.sleep(0.3)  # The ask is under way.
        kill(app.worker_pids("p"))
        connection.close()
    assert app.get("/p?token=PyUpper&text=next").json() == {"value": "NEXT"}
    assert app.worker_pids("pt") == answerer


def test_an_ask_that_takes_too_long_is_a_deadline_exceeded(nodey: Nodey) -> None:
    app = nodey({"workers/p.py": python_asker("p"), "workers/n.js": node_asker("n"),
                 "workers/pt.py": PYTHON_TOKENS},
                '[server]\nshutdown_timeout = "1s"\n' + script("p") + script("n", "js")
                + script("pt", instances=2))
    for asker in ("p", "n"):
        begun = time.monotonic()
        answer = app.get(f"/{asker}?token=PySleep&seconds={slow(2)}&timeout=0.5").json()
        assert answer["code"] == "deadline_exceeded", answer
        assert 0.4 < time.monotonic() - begun < slow(1.5)


def test_an_ask_has_no_more_time_than_the_request_that_it_serves(nodey: Nodey) -> None:
    app = nodey({"workers/n.js": node_asker("n"), "workers/pt.py": PYTHON_TOKENS},
                '[server]\nshutdown_timeout = "1s"\n' + script("n", "js", timeout="1s")
                + script("pt"))
    begun = time.monotonic()
    answer = app.get(f"/n?token=PySleep&seconds={slow(3)}&timeout=20")
    assert answer.status == 504 or answer.json().get("code") == "deadline_exceeded", answer
    assert time.monotonic() - begun < slow(2)


def test_the_error_of_an_answerer_reaches_the_asker_with_its_code(nodey: Nodey) -> None:
    app = nodey({"workers/p.py": python_asker("p"), "workers/n.js": node_asker("n"),
                 "workers/pt.py": PYTHON_TOKENS},
                script("p") + script("n", "js") + script("pt"))
    for asker in ("p", "n"):
        refused = app.get(f"/{asker}?token=PyRefuse").json()
        assert refused["code"] == "not_found" and "no such thing" in refused["message"]
        failed = app.get(f"/{asker}?token=PyRaise").json()
        assert failed["code"] == "internal" and "out of cheese" in failed["message"]


SLOW_STARTER = "import time\ntime.sleep(1.5)\n" + PYTHON_TOKENS

EARLY_ASKER = '''
import nodey
value = nodey.ask("PyUpper", {"text": "early"}, timeout=10)

@nodey.get("/early")
def early(req):
    return {"value": value}
'''


def test_an_ask_at_start_up_waits_for_the_peer(nodey: Nodey) -> None:
    app = nodey({"workers/early.py": EARLY_ASKER, "workers/pt.py": SLOW_STARTER},
                script("early") + script("pt", tokens=["PyUpper"]))
    assert app.get("/early").json() == {"value": "EARLY"}


def test_a_worker_that_knows_no_asks_gets_a_post_with_the_arguments(
        nodey: Nodey, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    app = nodey({"workers/p.py": python_asker("p")},
                script("p") + evil(words=("tokens=Mirror", f"journal={journal}"), instances=1))
    answer = app.get("/p?token=Mirror&n=5")
    assert answer.json() == {"value": '{"n":"5"}'}, "the body that it echoes, as text"
    assert journal.read_text().count("request") == 1


def test_asks_and_requests_to_the_same_pool_both_get_through(nodey: Nodey) -> None:
    app = nodey({"workers/p.py": python_asker("p")},
                script("p") + evil(words=("tokens=Mirror", "features=ask"), instances=2))
    failures: list[object] = []

    def ask_often() -> None:
        for n in range(100):
            answer = app.get(f"/p?token=Mirror&n={n}").json()
            if answer != {"value": {"n": str(n)}}:
                failures.append(answer)

    with Load(app.port, echo("/evil", posts=0), connections=8) as load:
        thread = threading.Thread(target=ask_often)
        thread.start()
        thread.join(slow(30))
    assert not thread.is_alive() and not failures, failures[:5]
    load.outcome.require("ok", at_least=100)
