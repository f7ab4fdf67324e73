"""A folder of scripts is a service; what is wrong with it is said in words."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import Callable

import pytest

from app import BINARY, App
from timing import slow, until
from workers import script

Nodey = Callable[..., App]
pytestmark = pytest.mark.outside

HELLO_PY = '''
import nodey

@nodey.get("/from-python")
def hello(req):
    return {"hello": req.query.get("name", "world")}
'''

HELLO_JS = '''
const nodey = require('nodey');
nodey.get('/from-js', (req) => ({ hello: req.query.name || 'world' }));
'''

HELLO_MJS = '''
import nodey, { get } from 'nodey';
get('/from-mjs', (req) => ({ hello: req.query.name || 'world' }));
'''

HELLO_SH = '''#!/bin/sh
echo '{"type":"ready"}'
while read -r line; do
    id=$(printf %s "$line" | sed -n 's/.*"id":\\([0-9]*\\).*/\\1/p')
    printf '{"id":%s,"body":"hello from sh"}\\n' "$id"
done
'''


def test_scripts_of_every_kind_are_served_at_their_routes(nodey: Nodey) -> None:
    app = nodey({"workers/one.py": HELLO_PY, "workers/two.js": HELLO_JS,
                 "workers/three.mjs": HELLO_MJS,
                 "workers/four.cjs": HELLO_JS.replace("from-js", "from-cjs"),
                 "workers/five.sh": HELLO_SH})
    for route in ("from-python", "from-js", "from-mjs", "from-cjs"):
        answer = app.get(f"/{route}?name=Ann")
        assert (answer.status, answer.json()) == (200, {"hello": "Ann"}), (route, answer)
        assert answer.headers["content-type"].startswith("application/json")
    for path in ("/five", "/five/", "/five/a/b?c=d"):
        answer = app.get(path)
        assert (answer.status, answer.text) == (200, "hello from sh"), (path, answer)
        assert answer.headers["content-type"].lower().replace(" ", "") == "text/plain;charset=utf-8"


def test_what_nobody_serves_is_a_404_and_a_wrong_method_a_405(nodey: Nodey) -> None:
    app = nodey({"workers/one.py": HELLO_PY})
    assert app.get("/nothing").status == 404
    answer = app.post("/from-python", b"x")
    assert answer.status == 405 and "GET" in answer.headers["allow"], answer.headers
    head = app.request("HEAD", "/from-python")
    assert head.status == 200 and head.body == b"" and int(head.headers["content-length"]) > 0


def test_the_port_opens_when_the_workers_are_ready(nodey: Nodey) -> None:
    slow_start = "import time\ntime.sleep(1)\n" + HELLO_PY
    begun = time.monotonic()
    app = nodey({"workers/one.py": slow_start, "workers/two.js": HELLO_JS})
    assert time.monotonic() - begun >= 1
    begun = time.monotonic()
    assert app.get("/from-python").status == 200
    assert app.get("/from-js").status == 200
    assert time.monotonic() - begun < slow(0.5)


NOISY_PY = '''
import os, subprocess, sys
print("print at import, before nodey")
sys.stdout.write("a half line at import")
import nodey
print("print after import")

@nodey.get("/noisy")
def noisy(req):
    print("print in a handler")
    sys.stdout.write("write without a newline")
    os.write(1, b"os.write to one\\n")
    subprocess.run(["echo", "echo of a subprocess"], check=True)
    os.write(1, b'{"id":1,"body":"a forged frame"}\\n')
    return {"ok": True}
'''

NOISY_JS = '''
const { execFileSync } = require('child_process');
const fs = require('fs');
console.log('log before nodey');
const nodey = require('nodey');
nodey.get('/noisy-js', () => {
    console.log('log in a handler');
    process.stdout.write('write without a newline in js\\n');
    fs.writeSync(1, 'writeSync to one\\n');
    execFileSync('echo', ['echo of a js subprocess'], { stdio: 'inherit' });
    return { ok: true };
});
'''


def test_whatever_is_printed_lands_in_the_log_and_breaks_nothing(nodey: Nodey) -> None:
    app = nodey({"workers/py.py": NOISY_PY, "workers/js.js": NOISY_JS})
    for _ in range(20):
        for path in ("/noisy", "/noisy-js"):
            answer = app.get(path)
            assert (answer.status, answer.json()) == (200, {"ok": True}), (path, answer)
    for who, text in (("py", "print at import, before nodey"), ("py", "print after import"),
                      ("py", "print in a handler"), ("py", "os.write to one"),
                      ("py", "echo of a subprocess"), ("py", "a forged frame"),
                      ("js", "log before nodey"), ("js", "log in a handler"),
                      ("js", "write without a newline in js"), ("js", "writeSync to one"),
                      ("js", "echo of a js subprocess")):
        app.wait_log(rf"{who}#\d.*{re.escape(text)}")


def test_a_broken_script_shows_its_traceback_and_a_503_with_the_reason(nodey: Nodey) -> None:
    app = nodey({"workers/broken.py": "import nodey\n\ndef f(:\n    pass\n",
                 "workers/lost.js": "require('no-such-module-at-all');\nrequire('nodey');\n",
                 "workers/one.py": HELLO_PY})
    assert app.get("/from-python").status == 200
    app.wait_log(r"broken#\d.*SyntaxError", timeout=10)
    app.wait_log(r"broken#\d.*broken\.py:3: ")
    app.wait_log(r"lost#\d.*no-such-module-at-all")

    def detail(path: str) -> str:
        answer = app.get(path, timeout=20)
        assert answer.status == 503, answer
        return answer.json().get("detail", "")

    assert "SyntaxError" in until(lambda: detail("/broken"), 10, "a reason")
    assert "no-such-module-at-all" in until(lambda: detail("/lost"), 10, "a reason")


def test_an_exception_in_a_handler_is_a_500_and_a_traceback_in_the_log(nodey: Nodey) -> None:
    app = nodey({"workers/one.py": HELLO_PY + "\n@nodey.get('/boom')\ndef boom(req):\n"
                                              "    return 1 / 0\n",
                 "workers/two.js": HELLO_JS + "\nnodey.get('/boom-js', () => { null.x; });\n"},
                script("one") + script("two", "js"))
    for path, error in (("/boom", "ZeroDivisionError"), ("/boom-js", "TypeError")):
        answer = app.get(path)
        assert answer.status == 500, answer
        assert error in answer.text
        app.wait_log(error)
    before = app.wait_workers(2)
    assert app.get("/from-python").status == 200 and app.get("/from-js").status == 200
    assert app.worker_pids() == before, "an exception must not cost the worker"


def test_files_that_are_no_workers_are_left_alone(nodey: Nodey) -> None:
    app = nodey({"workers/one.py": HELLO_PY, "workers/_helper.py": "raise SystemExit(3)\n",
                 "workers/.hidden.py": "raise SystemExit(3)\n", "workers/notes.txt": "x",
                 "workers/types.d.ts": "x", "workers/node_modules/m/index.js": "throw 1",
                 "workers/__pycache__/c.py": "raise SystemExit(3)\n"})
    assert app.get("/from-python").status == 200
    assert set(re.findall(r"\b(\w+)#\d", app.log())) <= {"one"}


def test_the_configured_script_sees_its_own_folder_and_arguments(nodey: Nodey) -> None:
    app = nodey({"deep/er/here.py": "import os, nodey\nimport beside\n"
                                    "nodey.get('/here')(lambda req: [os.getcwd(), beside.X])\n",
                 "deep/er/beside.py": "X = 5\n"},
                '[workers.here]\nscript = "deep/er/here.py"\ninstances = 1\n')
    answer = app.get("/here")
    assert answer.json() == [str(app.folder), 5], answer


# ------------------------------------------------------------------ what is said of mistakes


def verb(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(BINARY), *args], cwd=folder, capture_output=True, text=True,
                          timeout=slow(10), stdin=subprocess.DEVNULL)


MISTAKES = {
    "an unknown key": ('[workers.fib]\nscript = "fib.py"\ninstnces = 2\n',
                       r'nodey\.toml:3:\d+: .*instnces.*"instances"'),
    "a syntax error": ("[workers.fib\n", r"nodey\.toml:1:\d+: "),
    "an unknown section": ('[sever]\nlisten = "127.0.0.1:0"\n',
                           r'nodey\.toml:1:\d+: .*"sever".*\[server\]'),
    "a bare duration": ('[workers.fib]\nscript = "fib.py"\ntimeout = 5\n',
                        r"nodey\.toml:3:\d+: .*timeout"),
    "a wrong type": ('[workers.fib]\nscript = "fib.py"\ninstances = "two"\n',
                     r"nodey\.toml:3:\d+: .*instances.*whole number"),
    "a missing script": ('[workers.fib]\nscript = "none.py"\n',
                         r"nodey\.toml:2:\d+: .*none\.py.*[Nn]o such file"),
    "a route to nobody": ('[workers.fib]\nscript = "fib.py"\n\n'
                          '[[routes]]\npath = "/x"\nto = "fub"\n',
                          r"nodey\.toml:\d+:\d+: .*fub.*fib"),
}


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.parametrize("command", ["check", "up"])
def test_a_mistake_in_the_configuration_is_refused_with_its_place(
        tmp_path: Path, name: str, command: str) -> None:
    config, pattern = MISTAKES[name]
    (tmp_path / "nodey.toml").write_text(config)
    (tmp_path / "fib.py").write_text(HELLO_PY)
    done = verb(tmp_path, command)
    assert done.returncode != 0
    assert re.search(pattern, done.stderr), done.stderr


def test_a_folder_with_nothing_to_run_is_refused_with_advice(tmp_path: Path) -> None:
    for command in ("check", "up"):
        done = verb(tmp_path, command)
        assert done.returncode != 0 and "workers/" in done.stderr, done.stderr


def test_two_scripts_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "workers").mkdir()
    (tmp_path / "workers" / "fib.py").write_text(HELLO_PY)
    (tmp_path / "workers" / "fib.js").write_text(HELLO_JS)
    done = verb(tmp_path, "check")
    assert done.returncode != 0
    assert "fib.py" in done.stderr and "fib.js" in done.stderr, done.stderr


def test_check_accepts_what_is_good_and_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "workers").mkdir()
    (tmp_path / "workers" / "touch.py").write_text("open('started', 'w')\nimport nodey\n")
    done = verb(tmp_path, "check")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "started").exists()
    (tmp_path / "other.toml").write_text('[workers.fib]\nscript = "workers/touch.py"\n')
    assert verb(tmp_path, "check", "-f", "other.toml").returncode == 0
    done = verb(tmp_path, "check", "-f", "missing.toml")
    assert done.returncode != 0 and "missing.toml" in done.stderr


def test_version_and_help_are_on_stdout(tmp_path: Path) -> None:
    done = verb(tmp_path, "version")
    assert done.returncode == 0 and re.search(r"\d+\.\d+\.\d+", done.stdout), done
    done = verb(tmp_path, "help")
    assert done.returncode == 0
    for word in ("up", "check", "version", "nodey help VERB"):
        assert word in done.stdout
    done = verb(tmp_path, "help", "config")
    assert done.returncode == 0
    for key in ("instances", "timeout", "listen", "max_line"):
        assert key in done.stdout


def test_an_unknown_command_or_option_is_refused_on_stderr(tmp_path: Path) -> None:
    for args in (["upp"], ["up", "--lissen", "x"], ["up", "--listen"], ["check", "extra"]):
        done = verb(tmp_path, *args)
        assert done.returncode != 0 and done.stderr and not done.stdout, (args, done)
