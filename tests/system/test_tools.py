"""The commands around nodey: config, env, exec, init, completion, the manual, the unit."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Callable

import pytest

import procs
from app import BINARY, ROOT, App
from command import Done, Terminal, environment, run
from timing import until

pytestmark = pytest.mark.outside

HELLO = "import nodey\n\n@nodey.get('/hello')\ndef hello():\n    return 'hello'\n"

# Every value here is a secret, in one way or another; it must be seen nowhere.
SECRETS = {"dotenv": "dotenv-5ecret", "file": "file-5ecret", "config": "config-5ecret",
           "address": "address-5ecret", "pattern": "pattern-5ecret", "own": "own-5ecret"}


def put(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def ok(done: Done) -> str:
    assert done.code == 0, done
    return done.out


# -- config


def test_config_prints_what_loads_again_as_the_same(tmp_path: Path) -> None:
    put(tmp_path, workers__hello_DOT_py=HELLO, api_DOT_py="", _DOT_env="WHO=world\nAPI_KEY=1234567\n",
        nodey_DOT_toml="""
            include = ["sub/nodey.toml"]
            [workers.api]
            script = "api.py"
            env = { GREETING = "hello ${WHO}, $$5" }
            [services.db]
            command = "sleep 100"
            port = 6379
            [[routes]]
            path = "/db/*"
            to = "db"
            """, sub__nodey_DOT_toml='[workers.inner]\ncommand = ["cat"]\n')
    printed = ok(run(tmp_path, "config", "--show-secrets"))
    (tmp_path / "again.toml").write_text(printed)
    assert ok(run(tmp_path, "config", "--show-secrets", "-f", "again.toml")) == printed
    assert 'GREETING = "hello world, $$5"' in printed and 'API_KEY = "1234567"' in printed
    assert ok(run(tmp_path, "config", "--names")).split() == ["api", "db", "inner", "hello"]

    tree = json.loads(ok(run(tmp_path, "config", "--format", "json")))
    assert tree["workers"]["api"]["env"] == {"WHO": "world", "API_KEY": "***",
                                             "GREETING": "hello world, $5"}
    assert tree["workers"]["hello"]["script"] == str(tmp_path / "workers/hello.py")
    assert tree["workers"]["hello"]["timeout"] == "30s"
    assert tree["services"]["db"]["port"] == 6379
    assert tree["routes"] == [{"path": "/db/*", "to": "db"}]

    one = ok(run(tmp_path, "config", "inner"))
    assert "[workers.inner]" in one and "[workers.api]" not in one and "[server]" not in one


def test_config_says_what_is_wrong_and_what_a_setting_means(tmp_path: Path) -> None:
    put(tmp_path, workers__hello_DOT_py=HELLO)
    wrong = run(tmp_path, "config", "helo")
    assert wrong.code == 1 and 'did you mean "hello"?' in wrong.err and wrong.out == ""
    assert run(tmp_path, "config", "--format", "yaml").code == 2
    explained = ok(run(tmp_path, "config", "--explain", "healthcheck.interval"))
    assert explained == ok(run(tmp_path, "help", "config", "healthcheck.interval"))
    assert "between two checks" in explained
    assert run(tmp_path, "config", "--explain", "nonsense").code == 2
    put(tmp_path, nodey_DOT_toml="[server]\nlisten = 5\n")
    bad = run(tmp_path, "config")
    assert bad.code == 1 and bad.err.startswith("nodey: nodey.toml:2:10: ") and bad.out == ""
    assert run(tmp_path, "config", "-q").code == 1


@pytest.mark.parametrize("command, word", [
    ("sleep 1 && sleep 2", "&&"), ("cat a | sort", "|"), ("cat >out", ">out"),
    ("cat 2>&1", "2>&1"), ("sleep 1; sleep 2", "1;"), ("echo $$(date)", "$(date)"),
    ("sleep 1 &", "&"),
])
def test_check_warns_of_what_no_shell_reads(tmp_path: Path, command: str, word: str) -> None:
    put(tmp_path, nodey_DOT_toml=f"[services.a]\nport = 45672\ncommand = {json.dumps(command)}\n")
    done = run(tmp_path, "check")
    assert done.code == 0
    assert "nodey.toml:3:" in done.out + done.err
    assert f'no shell runs this command: "{word}" is a word like any other' in done.out + done.err
    assert 'command = ["sh", "-c", "..."]' in done.out + done.err


@pytest.mark.parametrize("command", [
    '"sh -c \'sleep 1 && sleep 2 | cat > x\'"', '["echo", "a", "&&", "b"]',
    '"echo http://h/?a=1&b=2 a;b \\\\; \'|\'"',
])
def test_check_lets_pass_what_a_shell_gets_or_nobody_means(tmp_path: Path, command: str) -> None:
    put(tmp_path, nodey_DOT_toml=f"[services.a]\ncommand = {command}\n")
    done = run(tmp_path, "check")
    assert done.code == 0 and "no shell" not in done.out + done.err, done


def test_check_names_both_places_of_a_route(tmp_path: Path) -> None:
    """Also when their parameters have different names."""
    put(tmp_path, nodey_DOT_toml="""[services.a]
command = "cat"
port = 45673
[[routes]]
path = "/u/:id/x"
to = "a"
[[routes]]
path = "/u/:name/x"
to = "a"
""")
    done = run(tmp_path, "check")
    assert done.code == 1
    assert 'nodey.toml:7:1: route "/u/:name/x" stands twice, first in line 4' in done.err + done.out


# -- env, exec, run


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    put(tmp_path, shop__app_DOT_py=HELLO, _DOT_env="A=dotenv\nB=dotenv\nC=dotenv\n",
        shop_DOT_env="B=file\nC=file\n", nodey_DOT_toml="""
        [workers.shop]
        script = "shop/app.py"
        cwd = "shop"
        env_file = "shop.env"
        env = { C = "config", DB_PASSWORD = "hunter2hunter2" }
        [services.clear]
        command = "sleep 100"
        env_clear = true
        env = { ONLY = "this" }
        """)
    return tmp_path


def variables(text: str, end: str = "\n") -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.split(end) if line)


def test_env_is_what_the_program_gets(shop: Path, nodey: Callable[..., App]) -> None:
    printed = variables(ok(run(shop, "env", "shop", env={"OUTER": "shell"})))
    assert [printed[name] for name in "ABC"] == ["dotenv", "file", "config"]
    assert printed["DB_PASSWORD"] == "***" and printed["OUTER"] == "shell"
    assert not [name for name in printed if name in ("NODEY", "NODEY_FD", "NODEY_RUN")]
    shown = variables(ok(run(shop, "env", "--show-secrets", "-0", "shop")), "\0")
    assert shown["DB_PASSWORD"] == "hunter2hunter2"
    clear = variables(ok(run(shop, "env", "clear", env={"OUTER": "shell"})))
    assert clear["ONLY"] == "this" and "OUTER" not in clear and "A" not in clear

    app = nodey(folder=shop)
    pid = app.wait_workers(len(app.worker_pids("shop")), "shop")[0]
    real = {name: value for name, value in procs.environ(pid).items()
            if not name.startswith("NODEY")}
    mine = {name: value for name, value in
            variables(ok(run(shop, "env", "--show-secrets", "-0", "shop")), "\0").items()
            if not name.startswith("NODEY")}
    for name in ("A", "B", "C", "DB_PASSWORD", "PYTHONPATH", "NODE_PATH", "PYTHONUNBUFFERED"):
        assert mine[name] == real[name], name


def test_exec_stands_in_the_place_of_the_program(shop: Path) -> None:
    done = run(shop, "exec", "shop", "sh", "-c", "pwd; echo $A $B $C $DB_PASSWORD $1; exit 7",
               "sh", "--env")
    assert done.code == 7
    assert done.out == f"{shop}/shop\ndotenv file config hunter2hunter2 --env\n"
    done = run(shop, "exec", "-e", "C=mine", "-e", "D=new", "-w", "..", "shop", "--",
               "sh", "-c", "pwd; echo $C $D")
    assert ok(done) == f"{shop}\nmine new\n"
    assert ok(run(shop, "exec", "clear", "sh", "-c", "echo $ONLY $OUTER",
                  env={"OUTER": "x"})) == "this\n"
    assert ok(run(shop, "exec", "shop", "cat", input="typed")) == "typed"
    assert run(shop, "exec", "shop", "python3", "-c", "import nodey; exit(9)").code == 9


@pytest.mark.parametrize("word", ["-i", "-t", "-it", "--tty", "-T"])
def test_exec_takes_what_docker_s_takes(shop: Path, word: str) -> None:
    assert ok(run(shop, "exec", word, "shop", "echo", "-it")) == "-it\n"


def test_exec_says_why_it_cannot(shop: Path) -> None:
    done = run(shop, "exec", "shopp", "true")
    assert done.code == 1 and 'did you mean "shop"?' in done.err
    assert run(shop, "exec").code == 2 and run(shop, "exec", "shop").code == 2
    assert run(shop, "exec", "-e", "novalue", "shop", "true").code == 2
    done = run(shop, "exec", "shop", "no-such-command")
    assert done.code == 127 and "no-such-command" in done.err
    (shop / "shop/plain").write_text("")
    assert run(shop, "exec", "shop", "./plain").code == 126
    done = run(shop, "exec", "-w", "nowhere", "shop", "true")
    assert done.code == 1 and "nowhere" in done.err
    done = run(shop, "exec", "-u", "nobody-of-that-name", "shop", "true")
    assert done.code == 1 and "nobody-of-that-name" in done.err


def test_exec_uses_the_virtual_environment(shop: Path) -> None:
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", str(shop / ".venv")],
                   check=True)
    out = ok(run(shop, "exec", "shop", "python3", "-c",
                 "import sys, os; print(sys.prefix, os.environ['VIRTUAL_ENV'])"))
    assert out == f"{shop}/.venv {shop}/.venv\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_exec_runs_as_the_program_s_user(shop: Path) -> None:
    os.chmod(shop, 0o755)
    for parent in list(shop.parents)[:3]:
        os.chmod(parent, os.stat(parent).st_mode | 0o055)
    config = (shop / "nodey.toml").read_text().replace('[services.clear]\n',
                                                       '[services.clear]\nuser = "nobody"\n')
    (shop / "nodey.toml").write_text(config)
    nobody = pwd.getpwnam("nobody")
    assert ok(run(shop, "exec", "clear", "sh", "-c", "id -u; id -g; id -G; echo $HOME")) == \
        f"{nobody.pw_uid}\n{nobody.pw_gid}\n{nobody.pw_gid}\n{nobody.pw_dir}\n"
    assert ok(run(shop, "exec", "-u", "daemon", "shop", "id", "-un")) == "daemon\n"


def test_exec_as_another_user_can_read_the_sdk(tmp_path: Path) -> None:
    """In a data folder that nobody has been in before."""
    put(tmp_path, hello_DOT_py=HELLO, nodey_DOT_toml="""
        [workers.hello]
        script = "hello.py"
        """)
    os.chmod(tmp_path, 0o755)
    for parent in list(tmp_path.parents)[:3]:
        os.chmod(parent, os.stat(parent).st_mode | 0o055)
    done = run(tmp_path, "exec", "-u", "nobody", "hello", "python3", "-c",
               "import os, sys, nodey; sys.exit(9 if os.getuid() else 0)")
    assert done.code == 9, done


def test_exec_knows_the_port(tmp_path: Path, nodey: Callable[..., App]) -> None:
    config = """
        [services.fixed]
        command = "sleep 100"
        port = 45671
        healthcheck = { test = "true" }
        [services.any]
        command = "sleep 100"
        port = "auto"
        healthcheck = { test = "true" }
        """
    put(tmp_path, nodey_DOT_toml=config)
    words = ["sh", "-c", "echo port $PORT"]
    assert ok(run(tmp_path, "exec", "fixed", *words)) == "port 45671\n"
    down = run(tmp_path, "exec", "any", *words, env={"PORT": "1"})
    assert ok(down) == "port\n"
    assert "PORT is not set: any has port = \"auto\", and no instance of it is up" in down.err
    app = nodey(folder=tmp_path)
    [pid] = [pid for pid in procs.children(app.pid)
             if procs.environ(pid).get("PORT", "45671") != "45671"]
    up = run(tmp_path, "exec", "any", *words)
    assert ok(up) == f"port {procs.environ(pid)['PORT']}\n" and up.err == ""


@pytest.mark.parametrize("verb", ["stop", "restart", "kill", "scale", "env", "exec", "describe"])
def test_who_needs_a_name_says_which_there_are(shop: Path, verb: str) -> None:
    done = run(shop, verb)
    assert done.code == 2 and done.out == ""
    assert ": there is shop, clear; see nodey help " + verb in done.err, done
    (shop / "nodey.toml").write_text("[server]\nlisten = 5\n")
    assert run(shop, verb).code == 2


def test_exec_has_the_terminal(shop: Path) -> None:
    with Terminal(shop, ["exec", "shop", "sh", "-c", "test -t 0 && test -t 1 && read a && "
                                                    "echo got $a; exit 5"]) as terminal:
        terminal.type("word\r")
        terminal.wait_for("got word")
        assert terminal.end() == 5


def test_exec_works_beside_a_nodey_that_is_up(shop: Path, nodey: Callable[..., App]) -> None:
    app = nodey(folder=shop)
    before = app.worker_pids()
    assert ok(run(shop, "exec", "shop", "echo", "hi")) == "hi\n"
    assert app.worker_pids() == before and app.get("/hello").body == b"hello"


# -- init


def test_init_writes_what_is_there_and_never_twice(
        tmp_path: Path, nodey: Callable[..., App]) -> None:
    folder = put(tmp_path / "site", app_DOT_py="""
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"from wsgi"]
""", wsgi_DOT_py="from app import app as application\n", _DOT_gitignore="*.log",
                 Procfile="web: x\n", docker__nothing="")
    shown = ok(run(folder, "init", "--print"))
    assert not (folder / "nodey.toml").exists()
    out = ok(run(folder, "init"))
    assert (folder / "nodey.toml").read_text() == shown
    assert "nodey import Procfile" in out and "nodey up" in out
    assert (folder / ".gitignore").read_text() == "*.log\n.nodey/\n"
    assert run(folder, "check").code == 0
    again = run(folder, "init")
    assert again.code == 1 and "already" in again.err
    assert (folder / "nodey.toml").read_text() == shown
    assert (folder / ".gitignore").read_text() == "*.log\n.nodey/\n"
    app = nodey(folder=folder)
    assert app.get("/anything").body == b"from wsgi"


@pytest.mark.parametrize("files, expected", [
    ({"package.json": '{"scripts": {"start": "node server.js"}}',
      "server.js": "require('http').createServer((q, s) => s.end()).listen(process.env.PORT)"},
     {"workers": ["web"], "script": "server.js"}),
    ({"package.json": '{"scripts": {"start": "vite --port $PORT"}}'},
     {"services": ["web"], "routes": 1}),
    ({"server.js": "require('http').createServer((q, s) => s.end()).listen(process.env.PORT)"},
     {"workers": ["web"], "script": "server.js"}),
    ({"server.js": "console.log('no server')"}, {}),
    ({"package.json": "no JSON"}, {}),
    ({"manage.py": "", "shop/__init__.py": "", "shop/wsgi.py": "application = 1"},
     {"workers": ["web"], "app": "shop.wsgi:application"}),
    ({"dist/index.html": "<p>", "workers/hello.py": HELLO}, {"workers": ["hello"], "routes": 1}),
    ({"workers/hello.py": HELLO}, {"workers": ["hello"]}),
])
def test_init_knows_what_it_sees(tmp_path: Path, files: dict[str, str],
                                 expected: dict[str, object]) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    done = run(tmp_path, "init")
    assert done.code == 0 and done.err == "", done
    if not expected:
        assert "nodey new hello" in done.out
        return
    tree = json.loads(ok(run(tmp_path, "config", "--format", "json")))
    assert list(tree["workers"]) == expected.get("workers", [])
    assert list(tree["services"]) == expected.get("services", [])
    assert len(tree["routes"]) == expected.get("routes", 0)
    if "script" in expected:
        assert tree["workers"]["web"]["script"] == str(tmp_path / str(expected["script"]))
    if "app" in expected:
        assert tree["workers"]["web"]["app"] == expected["app"]


# -- completion, the manual


def complete(folder: Path, line: str) -> list[str]:
    """What bash offers for a line, whose last word is the one that is completed."""
    script = f"""
        nodey() {{ {BINARY} "$@"; }}
        source <({BINARY} completion bash)
        COMP_LINE={line!r}; read -ra COMP_WORDS <<<"$COMP_LINE"
        [[ $COMP_LINE == *' ' ]] && COMP_WORDS+=('')
        COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
        complete -p nodey | grep -q -- '-F _nodey' || echo 'not registered'
        _nodey {BINARY}
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=environment(), check=True,
                          capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_verbs_options_programs_and_files(shop: Path) -> None:
    verbs = complete(shop, "nodey ")
    assert {"up", "config", "exec", "reload", "check"} <= set(verbs)
    assert not [verb for verb in verbs if verb.startswith("_")]
    assert complete(shop, "nodey exe") == ["exec"]
    assert set(complete(shop, "nodey config --")) >= {"--file", "--format", "--show-secrets"}
    assert complete(shop, "nodey config --show") == ["--show-secrets"]
    assert complete(shop, "nodey exec ") == ["shop", "clear"]
    assert complete(shop, "nodey exec cl") == ["clear"]
    assert complete(shop, "nodey env s") == ["shop"]
    assert complete(shop, "nodey exec -e A=b s") == ["shop"]
    assert complete(shop, "nodey config -f no") == ["nodey.toml"]
    assert complete(shop, "nodey exec shop sho") == ["shop", "shop.env"]
    assert complete(shop, "nodey config --format j") == ["json"]
    assert complete(shop, "nodey completion ") == ["bash", "zsh", "fish"]
    assert complete(shop, "nodey nonsense ") == []
    put(shop, other_DOT_toml='[workers.elsewhere]\ncommand = "cat"\n')
    assert complete(shop, "nodey env -f other.toml ") == ["elsewhere"]
    (shop / "nodey.toml").write_text("this is no TOML")
    assert complete(shop, "nodey env ") == []


def test_every_verb_lists_its_options_and_does_nothing_else(tmp_path: Path) -> None:
    for verb in complete(tmp_path, "nodey "):
        options = complete(tmp_path, f"nodey {verb} -")
        documented = ok(run(tmp_path, "help", verb))
        for option in options:
            assert option.startswith("-"), verb
            if len(option) > 2 and option not in ("--config", "--language"):
                assert option in documented or any(
                    other in documented for other in options if other != option), (verb, option)
        assert list(tmp_path.iterdir()) == [], verb


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_good_for_its_shell(tmp_path: Path, shell: str) -> None:
    script = ok(run(tmp_path, "completion", shell))
    assert "__complete" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)
    assert run(tmp_path, "completion", "tcsh").code == 2
    assert run(tmp_path, "completion").code == 2


@pytest.mark.parametrize("page", ["nodey", "nodey.toml"])
def test_the_manual_is_whole_and_without_warnings(tmp_path: Path, page: str) -> None:
    text = ok(run(tmp_path, "man", page))
    if page == "nodey":
        for verb in complete(tmp_path, "nodey "):
            assert f'.SS "{verb}' in text.replace("\\-", "-"), verb
    else:
        for key in ("listen", "stop_grace_period", "start_interval", "strip_prefix", "pids"):
            assert f'.B "{key}"' in text, key
    assert str(tmp_path) not in text
    if shutil.which("groff"):
        done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-z"], input=text, text=True,
                              capture_output=True, check=True)
        assert done.stderr == ""
    assert run(tmp_path, "man", "nonsense").code == 2


# -- the unit


def unit(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.split("\n")
                if "=" in line and not line.startswith("#"))


def test_a_unit_keeps_what_its_programs_reserve(tmp_path: Path) -> None:
    """What is kept for a group is kept only if it is kept for those above it, too."""
    reserving = ("[workers.hello]\nscript = 'workers/hello.py'\ninstances = 3\n"
                 "memory_reservation = '10M'\n")
    folder = put(tmp_path / "a", workers__hello_DOT_py=HELLO, nodey_DOT_toml=reserving)
    assert unit(ok(run(folder, "install-service", "--print")))["MemoryLow"] == str(3 * 10 << 20)
    folder = put(tmp_path / "b", workers__hello_DOT_py=HELLO)
    assert "MemoryLow" not in unit(ok(run(folder, "install-service", "--print")))


def test_a_unit_says_what_systemd_must_know(tmp_path: Path) -> None:
    folder = put(tmp_path / "my shop 100%", workers__hello_DOT_py=HELLO,
                 nodey_DOT_toml='[server]\nlisten = "127.0.0.1:8123"\nshutdown_timeout = "1m"\n')
    text = ok(run(folder, "install-service", "--print"))
    found = unit(text)
    assert text.startswith("# /etc/systemd/system/nodey-my-shop-100-.service\n")
    assert found["Type"] == "notify" and found["Restart"] == "always"
    assert found["KillMode"] == "mixed" and found["Delegate"] == "yes"
    assert int(found["TimeoutStopSec"]) > 60 and int(found["WatchdogSec"]) > 0
    assert found["User"] == pwd.getpwuid(os.stat(folder).st_uid).pw_name
    doubled = str(folder).replace("%", "%%")
    assert found["WorkingDirectory"] == doubled
    assert found["ExecStart"] == f'{BINARY} up --no-dev -f "{doubled}/nodey.toml"'
    assert found["ExecReload"] == f'{BINARY} reload -f "{doubled}/nodey.toml"'
    named = ok(run(folder, "install-service", "--print", "--name", "shop", "--user", "daemon",
                   "--socket"))
    assert "# /etc/systemd/system/shop.socket\n" in named
    assert unit(named)["User"] == "daemon"
    assert unit(named)["ListenStream"] == "127.0.0.1:8123"
    if shutil.which("systemd-analyze"):
        service, socket = named.split("# /etc/systemd/system/shop.socket\n")
        (tmp_path / "shop.service").write_text(service)
        (tmp_path / "shop.socket").write_text(socket)
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", "./shop.service",
                               "./shop.socket"], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0 and done.stderr == "", done.stderr


def test_a_unit_warns_of_what_systemd_would_not_find(tmp_path: Path) -> None:
    """As with nvm and pyenv, whose folders only a shell has in its PATH."""
    folders = [tmp_path / "nvm", tmp_path / "pyenv"]
    for path, name in zip(folders, ["only-here", "sleep"]):
        path.mkdir()
        (path / name).symlink_to("/bin/sleep")
    put(tmp_path, nodey_DOT_toml="""
        [services.a]
        command = "only-here 1"
        [services.b]
        command = "sleep 1"
        [services.fine]
        command = "cat"
        [services.own]
        command = "sleep 1"
        env = { PATH = "/bin" }
        """)
    path = os.pathsep.join([str(folders[0]), str(folders[1]), "/usr/bin", "/bin"])
    plain = subprocess.run([str(BINARY), "install-service", "--print", "--name", "u"],
                           cwd=tmp_path, env={"PATH": path}, capture_output=True, text=True)
    assert plain.returncode == 0
    said = plain.stderr
    assert f"a runs only-here, which is {folders[0]}/only-here here, and not to be found" in said
    assert f"b runs sleep, which is {folders[1]}/sleep here, and " in said
    assert "fine" not in said and "own" not in said
    assert "systemctl edit u " in said
    assert f'Environment="PATH={folders[0]}:{folders[1]}:/usr/local/sbin:' in said
    calm = subprocess.run([str(BINARY), "install-service", "--print"], cwd=tmp_path,
                          env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
    assert "only-here" not in calm.stderr and "sleep" not in calm.stderr


def test_a_unit_needs_a_good_configuration_and_name(tmp_path: Path) -> None:
    assert run(tmp_path, "install-service", "--print").code == 1
    put(tmp_path, workers__hello_DOT_py=HELLO)
    assert run(tmp_path, "install-service", "--print", "--name", "a/b").code == 2
    done = run(tmp_path, "install-service", "--print", "--user", "nobody-of-that-name")
    assert done.code == 1 and "nobody-of-that-name" in done.err


# -- secrets


def test_secrets_are_seen_nowhere(tmp_path: Path, nodey: Callable[..., App]) -> None:
    s = SECRETS
    speak = """
import nodey, os, sys
print("started with", os.environ["DOTENV_TOKEN"], file=sys.stderr)

@nodey.get("/speak")
def speak():
    for name in ("DOTENV_TOKEN", "FILE_PASSWORD", "CONFIG_KEY", "DATABASE", "MY_DSN", "OWN_SECRET"):
        print("out", name, os.environ[name])
        nodey.log.info("log " + os.environ[name]) if hasattr(nodey, "log") else None
    return "spoken"

@nodey.get("/raise")
def fail():
    raise ValueError("cannot connect with " + os.environ["DATABASE"])

@nodey.get("/crash")
def crash():
    sys.stderr.write("crashing with " + os.environ["CONFIG_KEY"] + "\\n")
    sys.stderr.flush()
    os._exit(3)
"""
    folder = put(tmp_path / "app", workers__speak_DOT_py=speak,
                 _DOT_env=f"DOTENV_TOKEN={s['dotenv']}\n",
                 file_DOT_env=f"FILE_PASSWORD={s['file']}\n", nodey_DOT_toml=f"""
        [server]
        secrets = ["*_DSN"]
        [workers.speak]
        instances = 1
        env_file = "file.env"
        [workers.speak.env]
        CONFIG_KEY = "{s['config']}"
        DATABASE = "postgres://shop:{s['address']}@localhost/shop"
        MY_DSN = "{s['pattern']}"
        [services.tells]
        command = "sh -c 'echo service $CONFIG_PASSWORD; sleep 1000'"
        env = {{ CONFIG_PASSWORD = "{s['config']}" }}
        """)
    (folder / "nodey.toml").write_text(
        (folder / "nodey.toml").read_text().replace("$CONFIG_PASSWORD", "$$CONFIG_PASSWORD"))
    app = nodey(folder=folder, env={"OWN_SECRET": s["own"]}, args=["--dev"])
    assert app.get("/speak").body == b"spoken"
    app.wait_log(r"out OWN_SECRET \*\*\*")
    app.wait_log(r"out DATABASE postgres://shop:\*\*\*@localhost/shop")
    app.wait_log(r"service \*\*\*")
    page = app.get("/crash").body.decode(errors="replace")
    for accept in ("text/html", "application/json"):
        page += app.get("/raise", {"Accept": accept}).body.decode(errors="replace")
    assert page.count("cannot connect with postgres://shop:***@localhost/shop") >= 3
    app.wait_log(r"crashing with \*\*\*")
    until(lambda: app.get("/speak").status == 200, 10, "it serves again")

    seen = {"log": app.log(), "stdout": app.stdout(), "error page": page}
    for pid in app.processes():
        seen[f"command line of {pid}"] = procs.command(pid)
    for words in (["config"], ["config", "--format", "json"], ["env", "speak"], ["ps"],
                  ["describe", "speak"], ["why", "speak"], ["logs"], ["stats", "--no-stream"]):
        done = run(folder, *words, env={"OWN_SECRET": s["own"]})
        assert done.code != 2, done
        seen["nodey " + " ".join(words)] = done.out + done.err
    for path in (folder / ".nodey").rglob("*"):
        if path.is_file():
            seen[str(path)] = path.read_bytes().decode(errors="replace")
    assert any("incidents/" in where and "crashing with ***" in text for where, text in seen.items())
    for where, text in seen.items():
        for kind, value in SECRETS.items():
            assert value not in text, f"the {kind} secret is shown by {where}:\n{text[-2000:]}"


def test_install_copies_manual_and_completion(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "-n", "install", f"DESTDIR={tmp_path}", "PREFIX=/usr"], cwd=ROOT,
        capture_output=True, text=True, check=False)
    for name in ("man1/nodey.1", "man5/nodey.toml.5", "completions/nodey", "_nodey", "nodey.fish"):
        assert name in done.stdout, (name, done.stderr)
