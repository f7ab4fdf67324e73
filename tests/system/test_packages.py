"""The SDKs as packages of npm and pip: complete, typed, and of use without nodey's help."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any, Callable, Mapping, Optional, Sequence, Set

import pytest

import command
from app import BINARY, ROOT, App
from timing import slow, until

pytestmark = pytest.mark.outside

Nodey = Callable[..., App]

NODE_SOURCE = ROOT / "protocol" / "node"
PYTHON_SOURCE = ROOT / "protocol" / "python"
TYPES = ROOT / "tests" / "types"
MODULES = ROOT / "build" / "node" / "node_modules"

REQUEST = '{"id":1,"method":"GET","path":"/where","query":"n=21"}\n'

WORKER_JS = """
const nodey = require('nodey');
nodey.get('/where', (req) => ({ double: req.query.n * 2, from: require.resolve('nodey') }));
"""

WORKER_MJS = """
import { createRequire } from 'node:module';
import { get } from 'nodey';
get('/where', (req) => ({ double: req.query.n * 2, from: createRequire(import.meta.url).resolve('nodey') }));
"""

WORKER_PY = """
import nodey

@nodey.get("/where")
def where(req):
    return {"double": int(req.query["n"]) * 2, "from": nodey.__file__}
"""


def run(words: Sequence[object], folder: Path, input: str = "",
        env: Optional[Mapping[str, str]] = None) -> subprocess.CompletedProcess[str]:
    """A command that is to succeed, without anything of nodey in its environment."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("NODEY", "NODE_", "PYTHON", "MYPY", "npm_"))}
    done = subprocess.run([str(word) for word in words], cwd=folder, input=input, text=True,
                          capture_output=True, timeout=slow(90), check=False,
                          env={**kept, **(env or {})})
    assert done.returncode == 0, f"{words} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


# ------------------------------------------------------------------------ what is made


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `npm pack` makes."""
    folder = tmp_path_factory.mktemp("npm")
    run(["npm", "pack", "--ignore-scripts", "--pack-destination", folder], NODE_SOURCE)
    return next(folder.glob("*.tgz"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip wheel` makes, of a copy, because setuptools leaves things behind."""
    folder = tmp_path_factory.mktemp("pip")
    shutil.copytree(PYTHON_SOURCE, folder / "source",
                    ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    run([sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation",
         "--wheel-dir", folder, folder / "source"], folder)
    return next(folder.glob("*.whl"))


@pytest.fixture
def installed_js(tarball: Path, tmp_path: Path) -> Path:
    """A folder of somebody who has said `npm install nodey`."""
    folder = tmp_path / "js"
    folder.mkdir()
    (folder / "package.json").write_text('{"name": "mine", "private": true}')
    run(["npm", "install", "--offline", "--no-audit", "--no-fund", tarball], folder)
    return folder


@pytest.fixture
def installed_py(wheel: Path, tmp_path: Path) -> Path:
    """A folder with a virtual environment of somebody who has said `pip install nodey`."""
    folder = tmp_path / "py"
    folder.mkdir()
    run([sys.executable, "-m", "venv", "--without-pip", "venv"], folder)
    run([sys.executable, "-m", "pip", "--python", folder / "venv/bin/python", "install",
         "--quiet", "--no-index", "--no-deps", "--no-compile", wheel], folder)
    return folder


def files_below(folder: Path) -> Set[str]:
    """What belongs to a package; not what tools keep in hidden folders."""
    inner = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in inner
            if not any(part.startswith(".") or part == "__pycache__" for part in path.parts)}


def paths_in(value: Any) -> Set[str]:
    """Every path that a package.json's `exports` names."""
    if isinstance(value, str):
        return {value}
    return set().union(*(paths_in(inner) for inner in value.values()))


def test_the_package_of_npm_is_complete(tarball: Path) -> None:
    with tarfile.open(tarball) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
        about = json.load(packed.extractfile("package/package.json") or sys.stdin)
        licence = (packed.extractfile("package/LICENSE") or sys.stdin).read()
    assert names == files_below(NODE_SOURCE), "what is in the folder is in the package, and nothing else"
    named = paths_in(about["exports"]) | {about["main"], about["module"], about["types"]}
    assert {path.removeprefix("./") for path in named} <= names
    assert licence == (ROOT / "LICENSE").read_bytes()
    assert about["engines"] == {"node": ">=18"} and about["license"] == "MIT"
    assert about["keywords"] and about["description"] and "dependencies" not in about


def test_the_package_of_pip_is_complete(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = {name for name in packed.namelist() if name.startswith("nodey/")}
        inner = next(name for name in packed.namelist() if name.endswith(".dist-info/METADATA"))
        about = packed.read(inner).decode()
        licence = packed.read(inner.replace("METADATA", "licenses/LICENSE"))
    assert names == {f"nodey/{name}" for name in files_below(PYTHON_SOURCE / "nodey")}
    assert "nodey/py.typed" in names
    assert licence == (ROOT / "LICENSE").read_bytes()
    assert wheel.name.endswith("-py3-none-any.whl")
    for line in ("License-Expression: MIT", "Requires-Python: >=3.9", "# nodey for Python",
                 "Description-Content-Type: text/markdown", "Classifier: Typing :: Typed"):
        assert f"\n{line}\n" in about, line
    assert "Requires-Dist" not in about


def test_both_packages_have_the_version_of_the_program(tarball: Path, wheel: Path) -> None:
    version = re.search(r"\d+\.\d+\.\d+", run([BINARY, "version"], ROOT).stdout)
    assert version
    assert tarball.name == f"nodey-{version[0]}.tgz"
    assert wheel.name.startswith(f"nodey-{version[0]}-")
    said = run(["node", "-e", "console.log(require('fs').readFileSync('lib/life.cjs', 'utf8')"
                              ".match(/VERSION = '(.*)'/)[1])"], NODE_SOURCE).stdout
    assert said.strip() == version[0]


# ---------------------------------------------------------------------- used by hand


@pytest.mark.parametrize("name,text", [("w.js", WORKER_JS), ("w.mjs", WORKER_MJS)])
def test_node_by_hand(installed_js: Path, name: str, text: str) -> None:
    (installed_js / name).write_text(text)
    said = run(["node", name], installed_js, REQUEST).stdout
    own = str(installed_js / "node_modules" / "nodey" / "index.cjs")
    assert json.loads(said) == {"id": 1, "json": {"double": 42, "from": own}}


def test_python_by_hand(installed_py: Path) -> None:
    (installed_py / "w.py").write_text(WORKER_PY)
    said = run([installed_py / "venv/bin/python", "w.py"], installed_py, REQUEST).stdout
    answer = json.loads(said)
    assert (answer["id"], answer["json"]["double"]) == (1, 42)
    assert answer["json"]["from"].startswith(str(installed_py / "venv/lib"))


def test_tests_of_workers_by_hand(installed_js: Path, installed_py: Path) -> None:
    (installed_js / "w.js").write_text(WORKER_JS)
    (installed_js / "w.test.js").write_text("""
const { client } = require('nodey/testing');
require('node:test')('it', async () => {
    const { double } = (await client('w.js').get('/where?n=4')).json();
    require('node:assert').equal(double, 8);
});
""")
    run(["node", "--test"], installed_js)
    (installed_py / "w.py").write_text(WORKER_PY)
    (installed_py / "t.py").write_text(
        "from nodey.testing import Client\n"
        "assert Client('w.py').get('/where?n=4').json()['double'] == 8\n")
    run([installed_py / "venv/bin/python", "t.py"], installed_py)


# ---------------------------------------------------------------------- used by nodey


WAYS = {
    "command": 'command = ["node", "w.js"]',
    "script": 'script = "w.js"',
}


@pytest.mark.parametrize("way", WAYS)
def test_nodey_runs_the_package_that_node_finds(nodey: Nodey, installed_js: Path, way: str
                                                ) -> None:
    (installed_js / "w.js").write_text(WORKER_JS)
    app = nodey(folder=installed_js, config=f"[workers.w]\ninstances = 1\n{WAYS[way]}\n")
    own = str(installed_js / "node_modules" / "nodey" / "index.cjs")
    assert app.get("/where?n=2").json() == {"double": 4, "from": own}


def test_nodey_runs_the_package_of_a_virtual_environment(nodey: Nodey, installed_py: Path
                                                         ) -> None:
    (installed_py / "w.py").write_text(WORKER_PY)
    app = nodey(folder=installed_py, config="""
        [workers.w]
        instances = 1
        command = ["venv/bin/python", "-I", "w.py"]
    """)
    answer = app.get("/where?n=2").json()
    assert answer["double"] == 4
    assert answer["from"].startswith(str(installed_py / "venv/lib"))


APP_JS = """
const { Nodey } = require('nodey');
const nodey = new Nodey();
nodey.set({ Double: (n) => n * 2 });
nodey.start();
require('node:http').createServer(async (req, res) => {
    res.end(String(await nodey.ask('Double', 21)));
}).listen(3000);
"""

LATE_JS = """
require('node:http').createServer((req, res) => res.end('42')).listen(3000);
setTimeout(() => require('nodey').set({ Late: () => 'late' }), 100);
"""


@pytest.mark.parametrize("text", [APP_JS, LATE_JS], ids=["before", "after"])
def test_an_app_with_its_own_package_is_one_worker(nodey: Nodey, installed_js: Path, text: str
                                                   ) -> None:
    """What nodey preloads must not bring a second SDK to the same pipe."""
    (installed_js / "w.js").write_text(text)
    app = nodey(folder=installed_js, config='[workers.w]\nscript = "w.js"\ninstances = 1\n')
    assert app.get("/").text == "42"
    token, value = ("Double", "8") if text is APP_JS else ("Late", '"late"')
    until(lambda: command.run(installed_js, "ask", token, "4").out.strip() == value, 10,
          "the answer of what was set when the server was listening")


# ----------------------------------------------------------------------- versions


def test_a_package_of_another_protocol_is_refused_with_what_to_do(
        nodey: Nodey, installed_js: Path, installed_py: Path) -> None:
    (installed_js / "w.js").write_text(WORKER_JS)
    life = installed_js / "node_modules/nodey/lib/life.cjs"
    life.write_text(life.read_text().replace("const PROTOCOL = 1;", "const PROTOCOL = 2;"))
    version = next((installed_py / "venv").rglob("nodey/version.py"))
    version.write_text(version.read_text().replace("PROTOCOL = 1", "PROTOCOL = 2"))
    (installed_py / "w.py").write_text(WORKER_PY)
    app = nodey(folder=installed_js, args=["--no-dev"], wait=False, config=f"""
        [defaults]
        instances = 1
        [workers.js]
        script = "w.js"
        [workers.py]
        command = ["{installed_py}/venv/bin/python", "-I", "{installed_py}/w.py"]
    """)
    advice = "remove it, for nodey carries one that fits, or install"
    app.wait_log(rf"js#0 \| error.* speaks protocol 1; the package in "
                 rf"{installed_js}/node_modules/nodey speaks 2: {advice}", 20)
    app.wait_log(rf"the package in {installed_py}/venv/.*/nodey speaks protocol 2, "
                 rf"the supervisor 1: {advice}", 20)


def test_a_ready_of_another_protocol_is_refused(nodey: Nodey) -> None:
    """Whatever the SDK should have said by itself."""
    app = nodey({"workers/w.sh": "#!/bin/sh\necho '{\"type\":\"ready\",\"protocol\":2}'\ncat >&2\n"},
                args=["--no-dev"], wait=False)
    app.wait_log(r"w#\d+ error: ready: protocol is 2; it must be 1, "
                 "the version that this supervisor speaks", 20)


def test_packages_refuse_a_nodey_of_another_protocol(installed_js: Path, installed_py: Path
                                                     ) -> None:
    (installed_js / "w.js").write_text(WORKER_JS)
    (installed_py / "w.py").write_text(WORKER_PY)
    env = {**os.environ, "NODEY": "1", "NODEY_PROTOCOL": "2", "NODEY_WORKER": "w"}
    for words, folder in ((["node", "w.js"], installed_js),
                          ([f"{installed_py}/venv/bin/python", "w.py"], installed_py)):
        done = subprocess.run(words, cwd=folder, env=env, input=REQUEST, text=True,
                              capture_output=True, timeout=slow(20), check=False)
        frame = json.loads(done.stdout.splitlines()[0])
        assert (frame["type"], frame["id"], done.returncode) == ("error", None, 1), done
        assert "protocol" in frame["message"] and "2" in frame["message"], frame
        assert "remove it" in frame["message"], frame


# -------------------------------------------------------------------------- types


def tsc(folder: Path, *words: str) -> None:
    types = folder / "node_modules" / "@types"
    types.mkdir(exist_ok=True)
    (types / "node").symlink_to(MODULES / "@types/node")
    run(["node", MODULES / "typescript/bin/tsc", "--noEmit", "--strict", "--target", "es2022",
         *words], folder)


@pytest.mark.parametrize("module,resolution,name", [
    ("nodenext", "nodenext", "everything.mts"),
    ("nodenext", "nodenext", "everything.cts"),
    ("esnext", "bundler", "everything.mts"),
])
def test_typescript_knows_every_function(installed_js: Path, module: str, resolution: str,
                                         name: str) -> None:
    shutil.copy(TYPES / name, installed_js)
    tsc(installed_js, "--module", module, "--moduleResolution", resolution, name)


def test_mypy_knows_every_function(installed_py: Path) -> None:
    shutil.copy(TYPES / "everything.py", installed_py)
    run([sys.executable, "-m", "mypy", "--strict", "--cache-dir", installed_py / "cache",
         "--python-executable", installed_py / "venv/bin/python", "everything.py"], installed_py)


def test_the_python_package_is_strictly_typed_itself(tmp_path: Path) -> None:
    run([sys.executable, "-m", "mypy", "--cache-dir", tmp_path, "--config-file",
         PYTHON_SOURCE / "pyproject.toml", "-p", "nodey"], PYTHON_SOURCE)


def names_in(file: str) -> Set[str]:
    return set(re.findall(r"\w+", (TYPES / file).read_text()))


def test_the_samples_use_all_that_there_is() -> None:
    """Or the tests above say nothing about what is new."""
    listed = run(["node", "-p", "Object.keys(require('./testing.cjs')).concat("
                                "Object.keys(require('./index.cjs'))).join(' ')"], NODE_SOURCE)
    assert set(listed.stdout.split()) - {"default"} <= names_in("everything.mts")
    imported = run(["node", "--input-type=module", "-e", f"""
        const own = await import('{NODE_SOURCE}/index.mjs');
        const required = Object.keys(own.default).filter((name) => !(name in own));
        console.log(required.join(' '));
    """], NODE_SOURCE)
    assert imported.stdout.split() == [], "what require() gives, import gives by name"
    listed = run([sys.executable, "-c", "import nodey; print(*nodey.__all__)"], PYTHON_SOURCE)
    assert set(listed.stdout.split()) <= names_in("everything.py")
