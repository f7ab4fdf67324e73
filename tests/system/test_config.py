"""The configuration from outside: what its files say reaches the workers, or is refused in words."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Callable, Mapping, Optional

import pytest

from app import BINARY, ROOT, App

Nodey = Callable[..., App]

# Answers what of its environment, folder and arguments the query asks for.
TELL = '''
import os, sys
import nodey

@nodey.get("/{name}")
def tell(req):
    return {{"env": {{key: os.environ.get(key) for key in req.query.get("env", "").split(",")}},
            "cwd": os.getcwd(), "argv": sys.argv}}
'''


AGAIN = '''
@nodey.token("Again")
def again(args):
    return "again"
'''


def tell(name: str) -> str:
    return TELL.format(name=name)


def run(folder: Path, *args: str, env: Optional[Mapping[str, str]] = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([str(BINARY), *args], cwd=folder, capture_output=True, text=True,
                          timeout=60, env={**os.environ, **(env or {})})


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def env_of(app: App, path: str, *names: str) -> "dict[str, Optional[str]]":
    answer = app.get(f"{path}?env={','.join(names)}")
    assert answer.status == 200, answer
    return answer.json()["env"]


def test_the_environment_of_a_worker_has_four_sources(nodey: Nodey) -> None:
    config = '''
[defaults]
instances = 1
env = { A = "defaults", DEEP = "${B}-${NONE:-none}" }

[workers.one]
env_file = "one.env"
env = { D = "own", N = 7, YES = true }

[workers.bare]
env_clear = true
env_file = "one.env"
command = ["%s", "-m", "nodey.run", "more/bare.py"]
''' % sys.executable
    app = nodey({"workers/one.py": tell("one"), "more/bare.py": tell("bare"),
                 ".env": "A=dot\nB=dot\nC=dot\nD=dot\nSHELL_WINS=dot\nQ=\"two\\nlines\" # c\n",
                 "one.env": "C=file\nD=file\nE=file $B\n"},
                config=config, env={"SHELL_WINS": "shell", "OTHER": "shell"})
    names = ("A", "B", "C", "D", "E", "N", "YES", "Q", "SHELL_WINS", "OTHER", "DEEP")
    assert env_of(app, "/one", *names) == {
        "A": "defaults", "B": "dot", "C": "file", "D": "own", "E": "file dot", "N": "7",
        "YES": "true", "Q": "two\nlines", "SHELL_WINS": "shell", "OTHER": "shell",
        "DEEP": "dot-none"}
    assert env_of(app, "/bare", *names) == {
        "A": "defaults", "B": None, "C": "file", "D": "file", "E": "file dot", "N": None,
        "YES": None, "Q": None, "SHELL_WINS": None, "OTHER": None, "DEEP": "dot-none"}


def test_variables_decide_how_many_serve_and_what_runs(nodey: Nodey) -> None:
    config = '''
[workers.one]
command = "'${PYTHON}' -m nodey.run one.py $WORD '$$HOME' ${NONE:+no}"
instances = "${COUNT:-2}"
cwd = "${FOLDER:?where?}"
'''
    app = nodey({"sub/one.py": tell("one")}, config=config,
                env={"PYTHON": sys.executable, "WORD": "two words", "FOLDER": "sub"})
    answer = app.get("/one").json()
    assert answer["argv"][1:] == ["two", "words", "$HOME"]
    assert answer["cwd"] == str(app.folder / "sub")
    app.wait_workers(2)


def test_included_files_are_served_from_their_own_folders(nodey: Nodey) -> None:
    app = nodey({"one/nodey.toml": '[defaults]\ninstances = 1\n[workers.one]\n'
                                   'script = "one.py"\nenv = { WHO = "${WHO}" }\n',
                 "one/one.py": tell("one") + AGAIN, "one/.env": "WHO=one\nOUTER=inner\n",
                 "two/nodey.toml": '[workers.two]\nscript = "two.py"\ninstances = 1\n'
                                   '[[routes]]\npath = "/again"\nto = "one:Again"\n',
                 "two/two.py": tell("two"), ".env": "OUTER=outer\n"},
                config='include = ["*/nodey.toml"]\n')
    one, two = app.get("/one?env=WHO,OUTER").json(), app.get("/two?env=WHO,OUTER").json()
    assert one["cwd"] == str(app.folder / "one")
    assert two["cwd"] == str(app.folder / "two")
    assert one["env"] == {"WHO": "one", "OUTER": "outer"}
    assert two["env"] == {"WHO": None, "OUTER": "outer"}
    assert (app.get("/again").status, app.get("/again").text) == (200, "again")


def test_a_section_configures_the_program_of_its_name(nodey: Nodey) -> None:
    app = nodey({"workers/one.py": tell("one"), "workers/two.py": tell("two"),
                 "workers/three.py": tell("three")},
                config='[defaults]\ninstances = 1\n[workers.one]\ninstances = 2\n'
                       '[workers.other]\nscript = "workers/two.py"\n')
    for name in ("one", "two", "three"):
        assert app.get(f"/{name}").status == 200, name
    assert len(app.worker_pids()) == 4, app.worker_pids()


def test_discovery_can_be_switched_off(nodey: Nodey) -> None:
    app = nodey({"workers/one.py": tell("one"), "workers/two.py": tell("two")},
                config='[server]\ndiscover = false\n[workers.one]\nscript = "workers/one.py"\n'
                       'instances = 1\n')
    assert app.get("/one").status == 200
    assert app.get("/two").status == 404


@pytest.mark.parametrize("source", ["environment", "dotenv"])
def test_the_port_of_old_is_where_it_listens(tmp_path: Path, source: str) -> None:
    write(tmp_path, {"workers/one.py": tell("one")})
    if source == "dotenv":
        write(tmp_path, {".env": "LOADBALANCER_PORT=3456\n"})
    env = {"LOADBALANCER_PORT": "3456"} if source == "environment" else {}
    done = run(tmp_path, "check", env=env)
    assert done.returncode == 0, done
    name = "the environment" if source == "environment" else ".env"
    assert f"listen is 127.0.0.1:3456 by LOADBALANCER_PORT of {name}" in done.stdout


@pytest.mark.parametrize("files, said", [
    ({"nodey.toml": '[workers.a]\ncommand = "x"\ninstances = "${N:-no}"\n'},
     'nodey.toml:3:13: instances must be a whole number 1..1024, or { min = 1, max = 8 }, not "no", which '
     '"${N:-no}" stands for'),
    ({"nodey.toml": '[workers.a]\ncommand = "${RUN_WHAT:?set RUN_WHAT}"\n'},
     "nodey.toml:2:11: the variable RUN_WHAT is not set: set RUN_WHAT"),
    ({"nodey.toml": '[workers.a]\ncommand = "awk $1"\n'},
     'nodey.toml:2:11: "$1" begins no variable: write "$$" for a dollar sign'),
    ({"nodey.toml": '[workers.a]\ncommand = "x"\nenv_file = "a.env"\n'},
     "nodey.toml:3:12: env_file: a.env: No such file or directory"),
    ({"nodey.toml": '[workers.a]\ncommand = "x"\n', ".env": 'A=1\nB="x\n'},
     '.env:2:3: lacks a closing "'),
    ({"nodey.toml": 'include = ["more.toml"]\n'},
     'nodey.toml:1:12: include "more.toml": No such file or directory'),
    ({"nodey.toml": 'include = ["b.toml"]\n[workers.a]\ncommand = "x"\n',
      "b.toml": '[workers.a]\ncommand = "x"\n'},
     "b.toml:1:10: [workers.a] stands in nodey.toml:2:10 too: rename one"),
    ({"nodey.toml": '[defaults]\ninstnces = 2\n'},
     'nodey.toml:2:1: unknown key "instnces" in [defaults]; did you mean "instances"?'),
])
@pytest.mark.parametrize("verb", ["check", "up"])
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, verb: str,
                                              files: Mapping[str, str], said: str) -> None:
    write(tmp_path, files)
    done = run(tmp_path, verb)
    assert (done.returncode, done.stderr) == (1, f"nodey: {said}\n")


def test_check_tells_what_it_found(tmp_path: Path) -> None:
    write(tmp_path, {"workers/fib.py": tell("fib"), "workers/util.py": "x = 1\n",
                     "nodey.toml": '[workers.fib]\ninstances = 3\n[workers.web]\n'
                                   'command = "node web.js --port $$P"\ninstances = 1\n'
                                   'env = { X = "$NOT_SET_ANYWHERE" }\n'
                                   '[[routes]]\npath = "/v1/fib"\nmethod = "get"\nto = "fib:Fib"\n'
                                   '[[routes]]\npath = "/*"\nto = "web"\n'})
    done = run(tmp_path, "check")
    assert done.returncode == 0, done
    lines = done.stdout.splitlines()
    assert "worker fib: workers/fib.py, 3 instances" in lines
    assert lines[lines.index("worker fib: workers/fib.py, 3 instances") + 1] == "  route GET /v1/fib -> Fib"
    assert "worker web: node web.js --port $P, 1 instance" in lines
    assert "  route /*" in lines
    assert any(line.startswith("note: nodey.toml:6:13: the variable NOT_SET_ANYWHERE is not set")
               for line in lines), lines
    assert any("workers/util.py" in line for line in lines), lines
    assert lines[-1] == "nodey.toml is valid"


def test_the_configuration_of_the_repository_serves_what_it_names() -> None:
    done = run(ROOT, "check")
    assert done.returncode == 0, done
    workers = re.findall(r"^worker (\w+): (.*), (\d+) instance", done.stdout, re.MULTILINE)
    assert workers == [("fib", "workers/fib.py", workers[0][2]), ("hello", "workers/hello.js", "1"),
                       ("shout", "workers/shout.sh", "2"), ("stock", "workers/dual/stock.js", "1"),
                       ("pricing", "workers/dual/pricing.py", "1")]


def test_help_tells_all_about_one_setting(tmp_path: Path) -> None:
    done = run(tmp_path, "help", "config", "workers.instances")
    assert done.returncode == 0
    assert "integer: 1 to 1024" in done.stdout and "instances = 4" in done.stdout
    done = run(tmp_path, "help", "config", "[server]", "listen")
    assert done.returncode == 0 and "needs a restart" in done.stdout
    done = run(tmp_path, "help", "config", "instnces")
    assert done.returncode == 2
    assert done.stderr == ("nodey: there is no setting called instnces; did you mean "
                           "workers.instances?\n")


@pytest.mark.parametrize("words, said", [
    (["bind"], "bind is called listen here:\n\n[server] listen\n"),
    (["workers.replicas"], "replicas is called instances here:\n\n[workers.NAME] instances\n"),
    (["server.replicas"], None),
])
def test_help_knows_what_others_call_a_setting(tmp_path: Path, words: list[str],
                                               said: Optional[str]) -> None:
    done = run(tmp_path, "help", "config", *words)
    assert done.returncode == (0 if said else 2), done
    assert done.stdout.startswith(said) if said else "no setting called replicas" in done.stderr


def test_the_reference_in_the_readme_is_what_the_program_says() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "scripts" / "reference"), "--check"],
                          capture_output=True, text=True, timeout=60,
                          env={**os.environ, "NODEY_BIN": str(BINARY)})
    assert done.returncode == 0, done.stderr
    listed = set(re.findall(r"^  (\w+)  +(?:bool|integer|duration|size|choice|string|path|list|"
                            r"table|command) ", run(ROOT, "help", "config").stdout, re.MULTILINE))
    rows = set(re.findall(r"^\| `(\w+)` \| ", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert len(listed) > 50 and listed <= rows, listed - rows
