"""What lies in workers/: what is taken for a worker, what is not and why, what runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest

from app import App

Nodey = Callable[..., App]
pytestmark = pytest.mark.outside


def hello(path: str, value: str = "'hello'") -> str:
    return f"import nodey\nnodey.get('{path}')(lambda req: {value})\n"


def hello_js(path: str, value: str = "'hello'") -> str:
    return f"require('nodey').get('{path}', () => ({value}));\n"


SHOP_JS = "require('./serve')('/shop');\n"
SERVE_JS = "module.exports = (path) => require('nodey').get(path, () => 'a shop');\n"

CALC_PY = '''
import nodey
from numbers_of_ours import BEST

nodey.get("/calc")(lambda req: BEST)
'''


def notes(app: App) -> str:
    return app.log().split("nodey ready on")[0]


FLASK_PY = '''
from flask import Flask, request

app = Flask(__name__)

@app.get("/notes")
def notes():
    return {"for": request.args["for"]}
'''

WSGI_PY = '''
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"plain {environ['PATH_INFO']}".encode()]
'''

HTTP_JS = '''
const http = require('node:http');

http.createServer((req, res) => res.end(`clock ${req.url}`)).listen(3000);
'''

DJANGO = {
    "manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site_one.settings')\n",
    "site_one/__init__.py": "",
    "site_one/settings.py": "SECRET_KEY = 'x'\nROOT_URLCONF = 'site_one.urls'\n"
                            "ALLOWED_HOSTS = ['*']\n",
    "site_one/urls.py": "import os\nfrom django.http import HttpResponse\n"
                        "from django.urls import path\n\nurlpatterns = [\n"
                        "    path('shop/', lambda request: HttpResponse('a shop in ' +\n"
                        "         os.path.basename(os.getcwd())))]\n",
    "site_one/wsgi.py": "import os\nfrom django.core.wsgi import get_wsgi_application\n"
                        "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site_one.settings')\n"
                        "application = get_wsgi_application()\n",
}

ROUTES = "".join(f'[[routes]]\npath = "{path}"\nto = "{worker}"\n' for path, worker in (
    ("/notes", "notes"), ("/plain/*", "plain"), ("/clock/*", "clock"), ("/shop/*", "shop")))


# ------------------------------------------------------------------ files and folders


def test_a_folder_with_a_main_file_is_one_worker(nodey: Nodey) -> None:
    app = nodey({"workers/shop/package.json": '{"main": "src/shop.js"}',
                 "workers/shop/src/shop.js": SHOP_JS, "workers/shop/src/serve.js": SERVE_JS,
                 "workers/calc/main.py": CALC_PY,
                 "workers/calc/numbers_of_ours.py": "BEST = 42\n",
                 "workers/pack/__main__.py": hello("/pack"),
                 "workers/dual/one.py": hello("/one"), "workers/dual/two.js": hello_js("/two")})
    assert app.get("/shop").text == "a shop"
    assert app.get("/calc").json() == 42
    for path in ("/pack", "/one", "/two"):
        assert app.get(path).text == "hello", path
    assert {name for name in ("shop", "calc", "pack", "one", "two")
            if app.worker_pids(name)} == {"shop", "calc", "pack", "one", "two"}
    assert "workers/: calc/ (python3), dual/one.py (python3), pack/ (python3), shop/ (node), " \
           "dual/two.js (node) are served" in notes(app), app.log()


def test_what_is_no_worker_is_left_out_with_a_reason(nodey: Nodey) -> None:
    trap = "open('started', 'w')\n"
    app = nodey({"workers/one.py": hello("/one") + "import util\n",
                 "workers/util.py": "X = 1\n", "workers/money.js": "exports.x = 1;\n",
                 "workers/_private.py": trap,
                 "workers/test_one.py": "import nodey\n" + trap,
                 "workers/lib/index.js": "require('fs').writeFileSync('started', '');\n",
                 "workers/venv/x.py": "import nodey\n" + trap,
                 "workers/data.bin": "x", "workers/deploy.bash": "touch started\n"})
    assert app.get("/one").text == "hello"
    assert app.worker_pids() == app.worker_pids("one")
    assert not (app.folder / "started").exists()
    for note in ('workers/util.py is not served: it neither imports nodey nor is a web app (if it is to be a worker, '
                 'add "import nodey" and @nodey.get("/util"))',
                 'workers/money.js is not served: it neither imports nodey nor is a web app (if it is to be a '
                 'worker, add "const nodey = require(\'nodey\')" and nodey.get("/money", ...))',
                 '"workers/test_one.py": left out, a test',
                 '"workers/lib": left out, nothing in it imports nodey or is a web app (a module of others?)',
                 '"workers/data.bin": left out, neither a script that nodey knows nor executable'
                 ' (chmod +x)',
                 '"workers/deploy.bash": left out, it reads no requests (if it does, chmod +x)',
                 "workers/: one.py (python3) is served"):
        assert note in notes(app), (note, app.log())
    for silent in ("_private", "venv"):
        assert silent not in notes(app), app.log()


def test_a_worker_written_by_hand_needs_no_sdk(nodey: Nodey) -> None:
    by_hand = '''
import json, sys
print(json.dumps({"type": "ready"}), flush=True)
for line in sys.stdin:
    print(json.dumps({"id": json.loads(line)["id"], "body": "by hand"}), flush=True)
'''
    app = nodey({"workers/raw.py": by_hand})
    assert app.get("/raw").text == "by hand"


def test_a_perl_script_that_nobody_made_executable_is_served(nodey: Nodey) -> None:
    perl = ("$| = 1;\nwhile (<STDIN>) {\n"
            "    print qq({\"id\":$1,\"body\":\"from perl\"}\\n) if /\"id\":(\\d+)/;\n}\n")
    app = nodey({"workers/old.pl": perl}, '[defaults]\ninstances = 1\n')
    assert app.get("/old").text == "from perl"
    assert "workers/: old.pl (perl) is served" in notes(app)


# ------------------------------------------------------------------ what runs them


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that holds a module which is nowhere else."""
    folder = tmp_path_factory.mktemp("environment") / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    packages = next(folder.glob("lib/python3*/site-packages"))
    (packages / "only_here.py").write_text("NAME = 'of the environment'\n")
    return folder


ONLY_HERE_PY = hello("/only", "__import__('only_here').NAME")


@pytest.mark.parametrize("place", [".venv", "workers/.venv", "workers/app/venv"])
def test_a_virtual_environment_is_used_without_activation(
        nodey: Nodey, tmp_path: Path, venv: Path, place: str) -> None:
    folder = tmp_path / "app"
    script = folder / "workers" / "app" / "app.py"
    script.parent.mkdir(parents=True)
    script.write_text(ONLY_HERE_PY)
    (folder / place).symlink_to(venv)
    app = nodey(folder=folder)
    assert app.get("/only").text == "of the environment"
    assert re.search(r"app/ \(python3 \.?venv\)", notes(app)), app.log()


def test_a_virtual_environment_may_be_configured(nodey: Nodey, venv: Path) -> None:
    app = nodey({"workers/a.py": ONLY_HERE_PY}, f'[workers.a]\nvenv = "{venv}"\n')
    assert app.get("/only").text == "of the environment"


def test_the_first_line_of_a_script_says_what_runs_it(nodey: Nodey) -> None:
    app = nodey({"workers/dev.py": "#!/usr/bin/env -S python3 -X dev\n"
                                   + hello("/dev", "__import__('sys').flags.dev_mode"),
                 "workers/flag.js": "#!/usr/bin/env -S node --title=first-line\n"
                                    + hello_js("/flag", "process.title")})
    assert app.get("/dev").json() is True
    assert app.get("/flag").text == "first-line"


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


NODE_SH = '''#!/bin/sh
if [ "$1" = --version ]; then echo {version}; exit; fi
case "$1" in --experimental-strip-types) shift; export STRIPPED=1;; esac
exec {node} "$@"
'''


def real_node() -> str:
    found = subprocess.run(["node", "-p", "process.execPath"], capture_output=True, text=True,
                           check=True)
    return found.stdout.strip()


@pytest.mark.parametrize("version, stripped", [("v22.7.0", "1"), ("v24.0.0", "by itself")])
def test_typescript_is_run_when_node_strips_types(
        nodey: Nodey, tmp_path: Path, version: str, stripped: str) -> None:
    tools = tmp_path / "tools"
    program(tools, "node", NODE_SH.format(version=version, node=real_node()))
    app = nodey({"workers/typed.ts": hello_js("/typed", "process.env.STRIPPED ?? 'by itself'")},
                env={"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"})
    assert app.get("/typed").text == stripped


def test_typescript_that_node_cannot_run_is_left_out_with_the_version(
        nodey: Nodey, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    program(tools, "node", NODE_SH.format(version="v18.20.4", node=real_node()))
    app = nodey({"workers/typed.ts": hello_js("/typed"), "workers/one.py": hello("/one")},
                env={"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"})
    assert app.get("/one").text == "hello"
    assert '"workers/typed.ts": left out, TypeScript needs Node 22.6 or newer, and this is ' \
           "v18.20.4" in notes(app), app.log()


def test_a_language_that_is_not_installed_is_named_and_the_others_are_served(
        nodey: Nodey, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "python3").symlink_to(sys.executable)
    app = nodey({"workers/one.py": hello("/one"), "workers/two.js": hello_js("/two"),
                 "workers/three.rb": "# \"id\"\n"}, env={"PATH": str(tools)})
    assert app.get("/one").text == "hello"
    app.wait_log(r"two#\d.*apt-get install nodejs")
    answer = app.get("/two")
    assert answer.status == 503 and "apt-get install nodejs" in answer.json()["detail"], answer
    assert "ruby is not installed, which runs such files (apt-get install ruby)" in notes(app)


# ------------------------------------------------------------------------------- apps


def test_apps_that_know_nothing_of_nodey_are_served(nodey: Nodey) -> None:
    app = nodey({"workers/notes.py": FLASK_PY, "workers/plain.py": WSGI_PY,
                 "workers/clock.js": HTTP_JS,
                 "workers/router.js": "module.exports = require('node:http').Agent;\n",
                 **{f"workers/shop/{name}": text for name, text in DJANGO.items()},
                 "nodey.toml": ROUTES})
    assert app.get("/notes?for=Ann").json() == {"for": "Ann"}
    assert app.get("/plain/a%20b").text == "plain /plain/a b"
    assert app.get("/clock/1?x=2").text == "clock /clock/1?x=2"
    assert app.get("/shop/").text == "a shop in shop", "a Django project runs in its own folder"
    assert "workers/: clock.js (node), notes.py (python3), plain.py (python3), shop/ (Django) " \
           "are served" in notes(app), app.log()
    assert "workers/router.js is not served: it neither imports nodey nor is a web app" \
           in notes(app)


def test_an_app_is_configured_by_its_name_alone(nodey: Nodey) -> None:
    app = nodey({"site/pages/__init__.py": "", "site/pages/web.py": WSGI_PY + "\n\ndef make():\n"
                 "    import os\n    return lambda environ, start: (start('200 OK', []),\n"
                 "        [os.environ['NODEY_THREADS'].encode()])[1]\n",
                 "nodey.toml": '[workers.whole]\napp = "pages.web:application"\ncwd = "site"\n'
                               '[workers.made]\napp = "pages.web:make()"\ncwd = "site"\n'
                               'threads = 3\n'
                               '[[routes]]\npath = "/whole/*"\nto = "whole"\n'
                               '[[routes]]\npath = "/made"\nto = "made"\n'})
    assert app.get("/whole/x").text == "plain /whole/x"
    assert app.get("/made").text == "3"


def test_an_app_whose_module_is_not_there_is_noted_and_says_why_it_does_not_start(
        nodey: Nodey) -> None:
    app = nodey({"pages/__init__.py": "", "workers/one.py": hello("/one"),
                 "nodey.toml": '[workers.web]\napp = "pages.wsgi:application"\n'})
    assert app.get("/one").text == "hello"
    assert 'app "pages.wsgi:application": there is no pages/wsgi.py in ' in notes(app), app.log()
    app.wait_log(r"has no module pages\.wsgi in ")
