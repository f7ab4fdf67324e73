"""Files that change while nodey serves them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from app import App
from checks import kill
from load import Load, echo
from programs import free_port, service
from timing import slow, until

Nodey = Callable[..., App]
pytestmark = pytest.mark.outside

SERVE = '''
import nodey

@nodey.get("/echo")
def answer(req):
    return req.query["id"]

@nodey.get("/version")
def version(req):
    return "%s"
'''

SERVE_JS = '''
const nodey = require('nodey');
nodey.get('/version', () => '%s');
'''

BROKEN = [
    "def (\n",
    "import no_such_module_anywhere\n",
    "raise RuntimeError('not today')\n",
    "import os\nos._exit(7)\n",
    "import nodey\n",
]


def save(path: Path, text: str) -> None:
    """As editors do: another file, renamed over it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text)
    os.replace(beside, path)


def serves(app: App, text: str, path: str = "/version") -> None:
    until(lambda: app.get(path).text == text, 10, f"{path} answers {text}")


def watching(nodey: Nodey, files: dict[str, str], **more: Any) -> App:
    more.setdefault("config", "[defaults]\ninstances = 1\n")
    return nodey(files, args=["--watch"], **more)


@pytest.mark.long
def test_two_hundred_edits_under_load_lose_no_request(nodey: Nodey) -> None:
    app = watching(nodey, {"workers/serve.py": SERVE % 0},
                   config="[workers.serve]\nscript = 'workers/serve.py'\ninstances = 2\n")
    script = app.folder / "workers" / "serve.py"
    with Load(app.port, echo("/echo", posts=0), connections=8, seconds=900) as load:
        for edit in range(1, 201):
            if edit % 10 == 0:
                start = len(app.log())
                save(script, BROKEN[edit // 10 % len(BROKEN)] + f"# {edit}\n")
                app.wait_log("the new version does not start", 10, start)
                assert app.get("/version").text == str(edit - 1)
            else:
                save(script, SERVE % edit)
                serves(app, str(edit))
    load.stop().require("ok", at_least=1000)
    assert len(app.worker_pids()) == 2


def test_a_script_that_is_dropped_in_is_served_and_one_that_is_removed_ends(
        nodey: Nodey) -> None:
    app = watching(nodey, {"workers/one.py": SERVE % 1})
    save(app.folder / "workers" / "two.js", SERVE_JS.replace("/version", "/two") % "two")
    serves(app, "two", "/two")
    save(app.folder / "workers" / "inner" / "three.py", SERVE.replace("/version", "/three")
         .replace("/echo", "/echo3") % "three")
    serves(app, "three", "/three")
    (app.folder / "workers" / "two.js").unlink()
    until(lambda: app.get("/two").status == 404, 10, "/two is gone")
    until(lambda: not app.worker_pids("two"), 10, "its processes have ended")
    assert app.get("/version").text == "1"
    assert app.get("/three").text == "three"


def test_a_request_under_way_is_answered_by_a_script_that_has_been_removed(
        nodey: Nodey) -> None:
    app = watching(nodey, {"workers/keep.py": SERVE % 1, "workers/slow.py": '''
import time
import nodey

@nodey.get("/slow")
def slow(req):
    time.sleep(2)
    return "late but whole"
'''})
    with app.open_request("GET", "/slow") as connection:
        time.sleep(0.2)
        (app.folder / "workers" / "slow.py").unlink()
        until(lambda: app.get("/slow").status == 404, 10, "no new ones are taken")
        assert connection.read_response().text == "late but whole"


@pytest.mark.parametrize("language", ["py", "cjs", "mjs"])
def test_a_module_that_a_script_loads_counts(nodey: Nodey, language: str) -> None:
    main, module = {
        "py": ("import nodey, lib.words\n@nodey.get('/version')\ndef v(req):\n"
               "    return lib.words.VALUE\n", "VALUE = '%s'\n"),
        "cjs": ("const nodey = require('nodey'); const words = require('./lib/words.cjs');\n"
                "nodey.get('/version', () => words.value);\n", "exports.value = '%s';\n"),
        "mjs": ("import nodey from 'nodey';\nimport { value } from './lib/words.mjs';\n"
                "nodey.get('/version', () => value);\n", "export const value = '%s';\n"),
    }[language]
    app = watching(nodey, {f"workers/main.{language}": main,
                           f"workers/lib/words.{language}": module % "old"},
                   config=f"[workers.main]\nscript = 'workers/main.{language}'\n"
                          "instances = 1\n[server]\ndiscover = false\n")
    assert app.get("/version").text == "old"
    save(app.folder / "workers" / "lib" / f"words.{language}", module % "new")
    serves(app, "new")


def test_what_a_script_loads_from_far_away_is_no_change_but_its_edits_are(nodey: Nodey) -> None:
    app = watching(nodey, {"workers/main.js": "const nodey = require('nodey');\n"
                           "const far = require('../shared/far.js');\n"
                           "nodey.get('/version', () => far.value);\n",
                           "shared/far.js": "exports.value = 'old';\n"},
                   config="[workers.main]\nscript = 'workers/main.js'\ninstances = 1\n")
    assert app.get("/version").text == "old"
    time.sleep(slow(1))
    assert "reloading" not in app.log(), app.log()
    save(app.folder / "shared/far.js", "exports.value = 'new';\n")
    serves(app, "new")


def test_a_broken_version_leaves_the_old_one_and_its_traceback_is_told(nodey: Nodey) -> None:
    app = watching(nodey, {"workers/serve.py": SERVE % "good"})
    pids = app.worker_pids("serve")
    save(app.folder / "workers" / "serve.py", "import nodey\n\nvalue = undefined_name\n")
    app.wait_log("the new version does not start")
    log = app.log()
    assert log.count("the new version does not start") == 1
    assert "NameError" in log and "value = undefined_name" in log and "line 3" in log
    assert app.get("/version").text == "good"
    assert app.worker_pids("serve") == pids
    save(app.folder / "workers" / "serve.py", SERVE % "better")
    serves(app, "better")
    until(lambda: not set(app.worker_pids("serve")) & set(pids), 10, "the old ones end")


def test_what_mends_a_broken_version_may_be_a_file_that_it_never_loaded(nodey: Nodey) -> None:
    app = watching(nodey, {"workers/serve.py": SERVE % 1})
    save(app.folder / "workers" / "serve.py", "import words\n" + SERVE % 2)
    app.wait_log("the new version does not start")
    save(app.folder / "workers" / "words.py", "A = 1\n")
    serves(app, "2")


def test_a_worker_that_never_started_is_mended_by_saving_it(nodey: Nodey) -> None:
    app = watching(nodey, {"workers/serve.py": "import nodey\n(\n",
                           "workers/other.py": SERVE.replace("version", "other") % 1})
    assert app.get("/serve").status == 503
    save(app.folder / "workers" / "serve.py", SERVE.replace("/echo", "/echo2") % "mended")
    serves(app, "mended")


def test_changes_that_matter_to_nobody_reload_nothing(nodey: Nodey) -> None:
    app = watching(nodey, {"workers/serve.py": SERVE % 1})
    pids = app.worker_pids()
    for name in (".git/HEAD", "node_modules/x/index.js", "__pycache__/serve.pyc", "serve.py~",
                 ".serve.py.swp", "dist/bundle.js", ".venv/bin/python3x", "notes.txt",
                 "other.log"):
        path = app.folder / "workers" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    os.utime(app.folder / "workers")
    time.sleep(slow(1.5))
    assert "reloading" not in app.log(), app.log()
    assert app.worker_pids() == pids


@pytest.mark.outside
def test_a_program_that_writes_its_own_files_is_not_reloaded_for_ever(nodey: Nodey) -> None:
    app = watching(nodey, {"workers/serve.py": '''
import os, pathlib, time
stamp = pathlib.Path(__file__).with_name("stamp.py")
stamp.write_text(f"VALUE = {time.time_ns()}\\n")
import stamp
''' + SERVE % 1})
    app.wait_log("that does not reload it any more", 30)
    count = app.log().count("reloading")
    assert count == 5, app.log()
    time.sleep(slow(2))
    assert app.log().count("reloading") == count
    save(app.folder / "workers" / "serve.py", SERVE % 2)
    serves(app, "2")


def test_without_watching_nothing_is_reloaded_until_it_is_asked_for(nodey: Nodey) -> None:
    app = nodey({"workers/serve.py": SERVE % 1})
    save(app.folder / "workers" / "serve.py", SERVE % 2)
    save(app.folder / "workers" / "more.js", SERVE_JS.replace("/version", "/more") % "more")
    time.sleep(slow(1.5))
    assert app.get("/version").text == "1"
    assert app.get("/more").status == 404
    app.signal(signal.SIGHUP)
    serves(app, "2")
    serves(app, "more", "/more")


# ---------------------------------------------------------------- the configuration


CONFIG = '''
[workers.one]
script = "workers/one.py"
instances = 2
env = {{ WORD = "{word}" }}
timeout = "{timeout}"

[workers.two]
script = "workers/two.py"
instances = 1
'''

WORD = '''
import os
import re
import nodey

@nodey.get("/%s")
def word(req):
    return os.environ.get("WORD", "none")
'''


@pytest.fixture
def pair(nodey: Nodey) -> Iterator[App]:
    yield nodey({"workers/one.py": WORD % "one", "workers/two.py": WORD % "two"},
                config=CONFIG.format(word="old", timeout="30s"))


def reload(app: App, config: str) -> None:
    (app.folder / "nodey.toml").write_text(config)
    app.signal(signal.SIGHUP)


def test_only_what_a_configuration_changes_is_replaced(pair: App) -> None:
    one, two = pair.wait_workers(2, "one"), pair.wait_workers(1, "two")
    reload(pair, CONFIG.format(word="new", timeout="30s"))
    serves(pair, "new", "/one")
    assert pair.worker_pids("two") == two
    assert not set(pair.wait_workers(2, "one", without=one)) & set(one)


def test_a_setting_that_processes_need_not_know_replaces_none(pair: App) -> None:
    pids = pair.wait_workers(3)
    reload(pair, CONFIG.format(word="old", timeout="9s") + '[[routes]]\npath = "/more"\nto = "one"\n')
    until(lambda: pair.get("/more").status == 404 and "no route" not in pair.get("/more").text
          or pair.get("/more").status == 200, 10, "the route is there")
    assert pair.worker_pids() == pids


def test_instances_follow_the_configuration(pair: App) -> None:
    one = pair.wait_workers(2, "one")
    config = CONFIG.format(word="old", timeout="30s")
    reload(pair, config.replace("instances = 2", "instances = 4"))
    assert set(one) < set(pair.wait_workers(4, "one"))
    reload(pair, config.replace("instances = 2", "instances = 1"))
    assert set(pair.wait_workers(1, "one")) < set(one)


@pytest.mark.parametrize("bad", ["[workers.one\n", "[server]\nno_such_key = 1\n",
                                 "[workers.one]\nscript = 'workers/missing.py'\n",
                                 "[[routes]]\npath = '/x'\nto = 'nobody'\n"])
def test_a_bad_configuration_changes_nothing_and_says_why(pair: App, bad: str) -> None:
    pids = pair.wait_workers(3)
    reload(pair, bad)
    found = pair.wait_log(r"nodey\.toml:(\d+):(\d+): .*; nothing has changed")
    assert int(found.group(1)) >= 1
    until(lambda: pair.worker_pids() == pids, 5, "the same processes")  # one may be in its exec
    assert pair.get("/one").text == "old" and pair.get("/two").text == "none"
    reload(pair, CONFIG.format(word="good again", timeout="30s"))
    serves(pair, "good again", "/one")


def test_what_needs_a_restart_is_told(pair: App) -> None:
    reload(pair, '[server]\nlisten = "127.0.0.1:1"\n' + CONFIG.format(word="old", timeout="30s"))
    pair.wait_log(r"\[server\] listen has changed: that needs a restart")
    assert pair.get("/one").status == 200


def test_a_limit_of_the_front_changes_at_once(pair: App) -> None:
    body = b"x" * 5000
    assert pair.post("/one", body).status == 405
    reload(pair, '[server]\nmax_body = "4K"\n' + CONFIG.format(word="old", timeout="30s"))
    until(lambda: pair.post("/one", body).status == 413, 5, "the limit is in force")


def test_a_worker_may_be_renamed(pair: App) -> None:
    reload(pair, CONFIG.format(word="renamed", timeout="30s").replace("[workers.one]",
                                                                      "[workers.uno]"))
    serves(pair, "renamed", "/one")
    until(lambda: not pair.worker_pids("one"), 10, "the old name's processes end")


@pytest.mark.outside
def test_twenty_reloads_under_load_lose_no_request(nodey: Nodey) -> None:
    config = ('[workers.serve]\nscript = "workers/serve.py"\ninstances = 2\n'
              'env = {{ ROUND = "{}" }}\n')
    app = nodey({"workers/serve.py": SERVE % 1}, config=config.format(0))
    with Load(app.port, echo("/echo", posts=0), connections=8) as load:
        for turn in range(1, 21):
            before = app.worker_pids()
            reload(app, config.format(turn))
            app.wait_workers(2, without=before)
    load.stop().require("ok", at_least=100)


@pytest.mark.outside
def test_many_reloads_at_once_do_not_pile_up(nodey: Nodey) -> None:
    config = ('[workers.serve]\nscript = "workers/serve.py"\ninstances = 2\n'
              'env = {{ ROUND = "{}" }}\n')
    app = nodey({"workers/serve.py": SERVE % 1}, config=config.format(0))
    most = 0
    for turn in range(1, 51):
        reload(app, config.format(turn))
        most = max(most, len(app.worker_pids()))
        time.sleep(0.02)
    until(lambda: len(app.worker_pids()) == 2, 10, "two processes are left")
    # Two generations, and what is on its way out of those that were overtaken.
    assert most <= 8, most
    assert app.get("/version").text == "1"


def test_nothing_is_left_behind_by_reloads(nodey: Nodey) -> None:
    config = ('[workers.serve]\nscript = "workers/serve.py"\ninstances = 1\n'
              'env = {{ ROUND = "{}" }}\n')
    app = nodey({"workers/serve.py": SERVE % 1}, config=config.format(0))
    calm = app.calm(1)
    for turn in range(1, 11):
        before = app.worker_pids()
        reload(app, config.format(turn))
        app.wait_workers(1, without=before)
    calm.check()


# -------------------------------------------------------------------- what is told


def test_a_new_version_and_a_new_program_are_told_when_they_are_ready(nodey: Nodey) -> None:
    app = watching(nodey, {"workers/serve.py": SERVE % 1})
    start = len(app.log())
    save(app.folder / "workers" / "serve.py", SERVE % 2)
    app.wait_log(r"serve workers/serve\.py changed: reloading\n.* serve ready: GET /echo, "
                 r"GET /version$", start=start)
    save(app.folder / "workers" / "more.js", SERVE_JS.replace("/version", "/more") % 1)
    app.wait_log(r"more ready: GET /more$", start=start)
    assert "ready:" not in app.log()[:start], "the start itself is told otherwise"


def test_a_broken_program_is_not_tried_again_for_anothers_changes(nodey: Nodey) -> None:
    app = watching(nodey, {"workers/broken.py": "import nodey\n(\n",
                           "workers/serve.py": SERVE % 1})
    app.wait_log("broken#0")
    start = len(app.log())
    save(app.folder / "workers" / "serve.py", SERVE % 2)
    (app.folder / "workers" / "state.txt").write_text("x")
    serves(app, "2")
    assert "starting it again" not in app.log()[start:]


def test_a_route_that_two_declare_is_told_once_whoever_is_first(nodey: Nodey) -> None:
    same = "import time, nodey\ntime.sleep(%s)\n@nodey.get('/same')\ndef same(req): return 1\n"
    app = watching(nodey, {"workers/a.py": same % 0.5, "workers/b.py": same % 0})
    sentence = "route GET /same is served by a already"
    app.wait_log(sentence)
    save(app.folder / "workers" / "b.py", same % 0.1)
    app.wait_log("b ready:")
    assert app.log().count(sentence) == 1


def test_the_link_to_the_sdk_is_put_back_when_npm_has_removed_it(nodey: Nodey) -> None:
    app = nodey({"workers/serve.mjs": "import nodey from 'nodey';\n"
                                      "nodey.get('/version', () => 'linked');\n"},
                config="[defaults]\ninstances = 1\n")
    link = app.folder / "workers" / "node_modules" / "nodey"
    assert link.is_symlink()
    link.unlink()
    kill(app.worker_pids())
    serves(app, "linked")
    assert link.is_symlink()


# ------------------------------------------------------------------------- services


WEB = """
import os, words
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = words.VALUE.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
TO_WEB = '[[routes]]\npath = "/web"\nto = "web"\n'


def web(nodey: Nodey, files: dict[str, str], **settings: Any) -> App:
    config = service("web", [sys.executable, "site/web.py"], **{"port": "auto", **settings})
    return watching(nodey, {"site/web.py": WEB, "site/words.py": "VALUE = 'one'\n", **files},
                    config=config + TO_WEB)


def reloads(app: App) -> int:
    return app.log().count("reloading")


def test_a_service_is_reloaded_when_what_lies_beside_its_file_changes(nodey: Nodey) -> None:
    app = web(nodey, {})
    start = len(app.log())
    save(app.folder / "site/words.py", "VALUE = 'two'\n")
    serves(app, "two", "/web")
    app.wait_log(r"web site/words\.py changed: reloading", start=start)
    save(app.folder / "site/words.py", "VALUE = (\n")
    app.wait_log("the new version does not start .*SyntaxError")
    assert app.get("/web").text == "two"
    save(app.folder / "site/words.py", "VALUE = 'three'\n")
    serves(app, "three", "/web")


def test_a_service_at_a_fixed_port_is_restarted(nodey: Nodey) -> None:
    app = web(nodey, {}, port=free_port())
    save(app.folder / "site/words.py", "VALUE = 'two'\n")
    serves(app, "two", "/web")


def test_what_is_no_part_of_a_service_reloads_nothing(nodey: Nodey) -> None:
    app = web(nodey, {"site/made/cache.py": "", "site/now.tmp.py": "", "site/deep/a/b.py": "",
                      "site/other/api.py": WEB.replace("words.VALUE", "'api'").replace(
                          ", words", ""), "site/other/more.py": ""},
              ignore=["made", "*.tmp.py", "site/deep/a"])
    config = (app.folder / "nodey.toml").read_text()
    save(app.folder / "nodey.toml", config + service(
        "api", [sys.executable, "site/other/api.py"], port="auto"))
    app.wait_log("api ready", 10)
    count = reloads(app)
    for name in ("made/cache.py", "now.tmp.py", "deep/a/b.py", "other/more.py", "data.json",
                 "app.log", "logs/today.py", ".git/index.py", "node_modules/x.js", "new.py",
                 "dist/x.js", "__pycache__/web.pyc", "site.sqlite"):
        path = app.folder / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("changed = 1\n")
    app.wait_log(r"api site/other/more\.py changed: reloading")  # it belongs to that one
    time.sleep(slow(1))
    assert reloads(app) == count + 1, app.log()
    save(app.folder / "site/words.py", "VALUE = 'two'\n")  # and the rest is still seen
    serves(app, "two", "/web")


def test_what_nodey_keeps_itself_is_no_change(nodey: Nodey) -> None:
    chatty = WEB.replace("def do_GET(self):", "def do_GET(self):\n        print('x' * 100, flush=True)")
    config = ('[server]\ndata_dir = "site/data"\n'
              + service("web", [sys.executable, "site/web.py"], port="auto") + TO_WEB)
    app = watching(nodey, {"site/web.py": chatty, "site/words.py": "VALUE = 'one'\n"},
                   config=config)
    (app.folder / "site/data/mine.py").write_text("x = 1\n")
    for _ in range(20):
        assert app.get("/web").text == "one"
        (app.folder / "site/data/mine.py").write_text(f"x = {time.time()}\n")
        time.sleep(0.05)
    time.sleep(slow(1))
    assert reloads(app) == 0, app.log()


def test_a_watched_folder_of_a_service_counts_whole(nodey: Nodey) -> None:
    app = web(nodey, {"pages/a.html": "a"}, watch=["pages"])
    (app.folder / "pages/a.html").write_text("b")
    app.wait_log(r"web pages/a\.html changed: reloading")
    app.wait_log(r"web ready", 10)
    until(lambda: app.get("/web").text == "one", 10, "it serves")
    time.sleep(slow(0.5))
    (app.folder / "pages/b.html").write_text("b")
    app.wait_log(r"web pages/b\.html changed: reloading")


@pytest.mark.outside
def test_a_service_that_writes_its_own_files_is_not_reloaded_for_ever(nodey: Nodey) -> None:
    app = watching(nodey, {"job/run.py": """
import pathlib, time
time.sleep(0.3)
pathlib.Path(__file__).with_name("stamp.py").write_text(f"VALUE = {time.time_ns()}\\n")
time.sleep(1000)
""", "job/stamp.py": ""}, config=service("job", [sys.executable, "job/run.py"]))
    app.wait_log(r"job/stamp\.py is written whenever the program starts: that does not reload it",
                 40)
    count = app.log().count("stamp.py changed")
    assert count == 5, app.log()
    time.sleep(slow(2))
    assert app.log().count("stamp.py changed") == count


@pytest.mark.outside
def test_a_checkout_of_many_files_is_one_reload(nodey: Nodey) -> None:
    names = [f"m{n:03}" for n in range(200)]
    app = web(nodey, {f"site/{name}.py": "A = 1\n" for name in names})

    def git(*words: str) -> None:
        subprocess.run(["git", "-C", str(app.folder), "-c", "user.name=t", "-c",
                        "user.email=t@example.org", *words], check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    git("add", "site")
    git("commit", "-qm", "one")
    git("checkout", "-qb", "other")
    for name in names:
        (app.folder / f"site/{name}.py").write_text("A = 22\n")
    save(app.folder / "site/words.py", "VALUE = 'other'\n")
    git("commit", "-qam", "two")
    serves(app, "other", "/web")
    time.sleep(slow(1))
    count = reloads(app)
    git("checkout", "-q", "main")
    serves(app, "one", "/web")
    time.sleep(slow(1.5))
    assert reloads(app) == count + 1, app.log()


def test_more_files_than_are_looked_at_is_told_once(nodey: Nodey) -> None:
    files = {f"site/d{n // 100}/m{n}.py": "" for n in range(4200)}
    app = web(nodey, files)
    app.wait_log(r"more than 4096 files lie below .*/site: not all of them are watched; name "
                 r"what does not matter in `ignore`")
    save(app.folder / "site/web.py", WEB + "\n")
    app.wait_log(r"site/web\.py changed: reloading")
    assert app.log().count("more than 4096 files") == 1


# ------------------------------------------------------------------ more than the kernel tells


def queued_most() -> int:
    return int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


def test_a_change_that_the_kernel_did_not_tell_of_is_seen(nodey: Nodey) -> None:
    """Its queue is full of others when the script changes, because nodey is late."""
    app = watching(nodey, {"workers/serve.py": SERVE % 1})
    app.signal(signal.SIGSTOP)
    names = [app.folder / "workers" / name for name in ("a.txt", "b.txt")]
    for turn in range(queued_most() // 2 + 10):
        for name in names:  # by turns: equal events in a row are one
            name.touch()
    save(app.folder / "workers" / "serve.py", SERVE % 2)
    app.signal(signal.SIGCONT)
    serves(app, "2")
    save(app.folder / "workers" / "serve.py", SERVE % 3)
    serves(app, "3")


def test_more_folders_than_are_watched_is_told_once(nodey: Nodey, tmp_path: Path) -> None:
    folder, sites = tmp_path / "wide", ["a", "b", "c"]
    for site in sites:
        for n in range(2800):
            (folder / site / f"d{n}").mkdir(parents=True)
    programs = {f"{site}/{name}.py": text for site in sites
                for name, text in (("web", WEB), ("words", "VALUE = 'one'\n"))}
    config = "".join(service(site, [sys.executable, f"{site}/web.py"], port="auto")
                     for site in sites)
    app = watching(nodey, programs, config=config, folder=folder)
    sentence = r"\d+ folders are not watched for changes, because 8192 are: name in `ignore`"
    app.wait_log(sentence)
    save(folder / "a/words.py", "VALUE = 'two'\n")
    app.wait_log(r"a a/words\.py changed: reloading")
    app.wait_log(r"a ready", 10)
    time.sleep(slow(0.5))
    assert len(re.findall(sentence, app.log())) == 1
