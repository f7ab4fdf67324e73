"""What a worker that handles events serves: its routes, or nothing, and by its name only what it may."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest

from app import App
from command import run
from eventful import entries, eventful, on
from timing import until
from workers import script

Nodey = Callable[..., App]

HANDLERS = {
    "py": "import nodey\n\n@nodey.on('a')\ndef a(event): pass\n",
    "js": "require('nodey').on('a', () => {});\n",
}
JOBS = {
    "py": "import nodey\n\n@nodey.job('a')\ndef a(event): pass\n",
    "js": "require('nodey').job('a', () => {});\n",
}


def routes_of(app: App, name: str) -> Any:
    done = run(app.folder, "describe", name, "--format", "json")
    assert done.code == 0, done
    return json.loads(done.out)["routes"]


@pytest.mark.parametrize("handlers", [HANDLERS, JOBS], ids=["events", "jobs"])
@pytest.mark.parametrize("ext", ["py", "js"])
def test_who_only_handles_has_no_path(nodey: Nodey, ext: str, handlers: dict[str, str]) -> None:
    app = nodey({f"workers/mail.{ext}": handlers[ext]}, script("mail", ext, instances=1))
    for path in ("/mail", "/mail/", "/mail/deep/er?x=1"):
        response = app.get(path)
        assert (response.status, response.json()["detail"]) == (404, "no route for this path")
    assert routes_of(app, "mail") == []


def test_whoever_develops_is_told_why(nodey: Nodey) -> None:
    app = nodey({"workers/mail.py": HANDLERS["py"]}, script("mail", instances=1), args=["--dev"])
    assert app.get("/mail/x").json()["detail"] == \
        "no route for this path: mail handles events and jobs, and serves no path of its name"
    assert app.get("/mail").json()["detail"].endswith("serves no path of its name")
    assert app.get("/mailbox").json()["detail"] == "no route for this path"
    assert app.get("/").json()["detail"] == "no route for this path"


def test_the_path_is_free_for_others(nodey: Nodey) -> None:
    files = {"workers/mail.py": HANDLERS["py"],
             "workers/web.py": "import nodey\n\n@nodey.get('/mail/:id')\n"
                               "def mail(req): return 'web: ' + req.params['id']\n"}
    app = nodey(files, script("mail", instances=1) + script("web", instances=1))
    assert app.get("/mail/7").text == "web: 7"


def test_a_route_that_is_configured_still_leads_there(nodey: Nodey) -> None:
    route = '[[routes]]\npath = "/post/*"\nto = "mail"\n'
    app = nodey({"workers/mail.py": HANDLERS["py"]}, script("mail", instances=1) + route)
    assert "nothing is served at /post/1" in app.get("/post/1").text
    assert app.get("/mail/1").json()["detail"] == "no route for this path"


def test_a_worker_by_hand_that_says_nothing_of_routes_serves_its_name(nodey: Nodey,
                                                                     tmp_path: Path) -> None:
    app = nodey(config=eventful("shop", tmp_path / "seen", on("a")))
    assert app.get("/shop/pid").status == 200


def test_a_worker_by_hand_that_says_it_has_none_is_asked_nothing(nodey: Nodey,
                                                                tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    app = nodey(config=eventful("shop", seen, {**on("a"), "routes": []}))
    assert app.get("/shop/pid").status == 404
    until(lambda: entries(seen), 10, "hello")
    assert not [e for e in entries(seen) if "method" in e["frame"]]


def test_without_subscriptions_an_empty_list_is_as_none(nodey: Nodey, tmp_path: Path) -> None:
    app = nodey(config=eventful("shop", tmp_path / "seen", {"routes": []}))
    assert app.get("/shop/pid").status == 200
