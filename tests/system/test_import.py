"""`nodey import`: what compose, foreman and PM2 were told, as a nodey.toml that loads.

fixtures/import has a folder for each case, with what is to come of it: expected.toml, and
expected.txt, which is what a person is told.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Mapping

import pytest

from app import ROOT
from command import Done, run
from conftest import write_files
from timing import slow

pytestmark = pytest.mark.outside

FIXTURES = ROOT / "tests" / "fixtures" / "import"
STACK = ROOT / "workers" / "stack"

# Each with the exit code: 1 where something is lost.
CASES = {"shop": 0, "django": 1, "mongo": 1, "anchors": 1, "profiles": 0, "extends": 0,
         "long": 1, "traefik": 1, "web": 1, "procfile": 0, "pm2": 1, "pm2json": 0, "routes": 1}


def import_(folder: Path, *words: str, env: Mapping[str, str] = {}) -> Done:
    return run(folder, "import", *(words or (".",)), env=env)


def compose(folder: Path, text: str, **files: str) -> Done:
    write_files(folder, {"compose.yaml": text, **files})
    return import_(folder)


def loaded(folder: Path, text: str) -> None:
    """It is good, as far as that can be said where its programs are not installed."""
    (folder / "nodey.toml").write_text(text)
    done = run(folder, "config", "--quiet")
    assert done.code == 0, done


# -- the ten, and the others


@pytest.mark.parametrize("name", CASES)
def test_a_whole_project(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    shutil.copytree(FIXTURES / name, folder)
    done = import_(folder)
    assert done.out == (folder / "expected.toml").read_text()
    assert done.err == (folder / "expected.txt").read_text()
    assert done.code == CASES[name]
    loaded(folder, done.out)


def test_the_stack_that_nodey_replaces(tmp_path: Path) -> None:
    shutil.copytree(STACK, tmp_path / "stack", ignore=shutil.ignore_patterns("node_modules", ".nodey"))
    folder = tmp_path / "stack"
    (folder / "node_modules/vue/dist").mkdir(parents=True)
    done = run(folder, "import", "before", "-o", "imported.toml")
    assert done.code == 0, done
    assert (folder / "imported.toml").read_text() == (FIXTURES / "stack.toml").read_text()
    assert "Not carried over" not in done.err
    assert done.err.endswith("imported.toml is written: nodey up -f imported.toml\n")
    assert run(folder, "config", "-q", "-f", "imported.toml").code == 0


def test_every_remark_stands_beside_what_it_is_about() -> None:
    """What is said on standard error is in the file, too."""
    for name in CASES:
        told = (FIXTURES / name / "expected.txt").read_text().splitlines()
        text = " ".join(line.removeprefix("# ") for line in
                        (FIXTURES / name / "expected.toml").read_text().splitlines())
        for line in told:
            if line.startswith("  "):
                sentence = line.strip().split(": ", 1)[1] if ":" in line.split(" ")[2] else line.strip()
                assert " ".join(sentence.split()) in " ".join(text.split()), (name, sentence)


# -- the command


def test_where_it_is_written_decides_how_paths_are_called(tmp_path: Path) -> None:
    write_files(tmp_path, {"in/compose.yaml": "services: {a: {build: ./x, command: ./run, env_file: a.env}}",
                           "in/x/Dockerfile": "FROM node:20\nWORKDIR /app\nCOPY . .\n", "in/a.env": "A=1\n"})
    (tmp_path / "out").mkdir()
    for target, prefix in (("in/nodey.toml", ""), ("nodey.toml", "in/"), ("out/nodey.toml", "../in/")):
        assert import_(tmp_path, "in", "-o", target).code == 0
        text = (tmp_path / target).read_text()
        assert f'cwd = "{prefix}x"' in text and f'env_file = ["{prefix}a.env"]' in text
        assert run(tmp_path, "config", "-q", "-f", target).code == 0


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    write_files(tmp_path, {"Procfile": "web: node a.js\n", "nodey.toml": "# mine\n"})
    done = import_(tmp_path, "Procfile", "-o", "nodey.toml")
    assert done.code == 2 and "nodey.toml is there already: --force overwrites it" in done.err
    assert (tmp_path / "nodey.toml").read_text() == "# mine\n"
    assert import_(tmp_path, "Procfile", "-o", "nodey.toml", "--force").code == 0
    assert "[services.web]" in (tmp_path / "nodey.toml").read_text()
    assert sorted(os.listdir(tmp_path)) == ["Procfile", "nodey.toml"]


def test_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_files(tmp_path, {"notes.txt": "hello"})
    assert import_(tmp_path, "empty").err.startswith("nodey: empty holds no compose.yaml, ")
    assert import_(tmp_path, "missing.yaml").err == "nodey: missing.yaml: No such file or directory\n"
    assert "notes.txt is no file that nodey import knows" in import_(tmp_path, "notes.txt").err
    assert run(tmp_path, "import").err.startswith("nodey: nodey import needs a file or a folder")
    for words in ("empty",), ("missing.yaml",), ("notes.txt",), ("--nonsense",), ("a", "b"):
        assert import_(tmp_path, *words).code == 2
    assert "ecosystem.config.js" in run(tmp_path, "help", "import").out


def test_it_says_so_when_the_result_does_not_load(tmp_path: Path) -> None:
    done = compose(tmp_path, "services: {a: {image: redis, depends_on: [b]}, b: {image: redis, depends_on: [a]}}")
    assert done.code == 1
    assert "[services.a]" in done.out
    assert "It does not load yet: " in done.err and "a" in done.err.split("It does not load yet: ")[1]
    assert os.listdir(tmp_path) == ["compose.yaml"]


def test_other_files_of_a_folder_are_named(tmp_path: Path) -> None:
    done = compose(tmp_path, "services: {a: {image: redis}}", Procfile="web: x\n")
    assert "# Procfile lies here, too: nodey import ./Procfile\n" in done.out


# -- meaning


def test_values_arrive_as_they_were(tmp_path: Path) -> None:
    """Through YAML, TOML and nodey's own reading, down to the environment of a process."""
    values = {"QUOTES": "a \"b\" 'c'", "LINES": "one\ntwo\n\ttab", "BACK": "C:\\new\\u0041",
              "HASH": "a # b", "BRACKET": "]\n[services.evil]\ncommand = \"x\"", "DOLLAR": "$$5 $${X}",
              "EMPTY": "", "UNICODE": "grüße \u00a0 ☃ \U0001f600", "NUMBER": "007", "TRUTH": "yes"}
    text = json.dumps({"services": {"a": {"image": "node:20", "command": ["env", "-0"], "environment": values}}},
                      ensure_ascii=False)
    done = compose(tmp_path, text)
    assert done.code == 0, done
    (tmp_path / "nodey.toml").write_text(done.out)
    assert "evil" not in run(tmp_path, "config", "--names").out.split()
    shown = run(tmp_path, "exec", "a", "env", "-0")
    assert shown.code == 0, shown
    found = dict(entry.split("=", 1) for entry in shown.out.split("\0") if "=" in entry)
    want = {**values, "DOLLAR": "$5 ${X}"}
    assert {name: found.get(name) for name in want} == want


def test_names_that_would_break_a_file_are_made_good(tmp_path: Path) -> None:
    done = compose(tmp_path, 'services: {"-a]\\n[x": {image: redis}, "a.b": {image: redis, ports: ["1:6379"]}}')
    assert '[services."a.b"]' in done.out and "[services.s-a___x]" in done.out
    loaded(tmp_path, done.out)


def test_an_absent_restart_means_no(tmp_path: Path) -> None:
    done = compose(tmp_path, "services: {a: {image: redis}, b: {image: redis, restart: always},"
                             " c: {image: redis, restart: no}}")
    by_name = {part.split("]")[0]: part for part in done.out.split("[services.")[1:]}
    assert 'restart = "no"' in by_name["a"] and 'restart = "no"' in by_name["c"]
    assert 'restart = "always"' in by_name["b"]


def test_what_runs_once_has_no_port_of_the_image(tmp_path: Path) -> None:
    """Else one would wait for a migration to listen."""
    done = compose(tmp_path, "services: {m: {build: ., command: migrate}, web: {build: .}}",
                   Dockerfile="FROM node\nEXPOSE 3000\nCMD node x.js\n")
    parts = done.out.split("[services.")
    assert "port" not in parts[1] and "port = 3000" in parts[2]


HOSTS = [
    ("redis://db:6379/0", "redis://127.0.0.1:7000/0"),
    ("http://api/", "http://127.0.0.1/"),
    ("db:6379,other:6379", "127.0.0.1:7000,other:6379"),
    ("redis://user:db@db:6379", "redis://user:db@127.0.0.1:7000"),
    ("redis://db:6379@db:6379", "redis://db:6379@127.0.0.1:7000"),
    ("host=db port=1", "host=127.0.0.1 port=1"),
    ("mydb:6379", "mydb:6379"),
    ("db.example.org:6379", "db.example.org:6379"),
    ("the db is here", "the db is here"),
    ("db", "db"),
    ("path/db/x", "path/db/x"),
]


@pytest.mark.parametrize("before, after", HOSTS)
def test_names_of_containers_become_this_machine(before: str, after: str, tmp_path: Path) -> None:
    text = json.dumps({"services": {
        "db": {"image": "redis", "ports": ["7000:6379"]},
        "api": {"image": "node", "command": "x", "environment": {"VALUE": before, "DB_HOST": "db",
                                                                 "DB_PORT": "6379"}}}})
    done = compose(tmp_path, text)
    env = done.out.split("[services.api.env]\n")[1]
    assert f"VALUE = {json.dumps(after)}\n" in env
    assert 'DB_HOST = "127.0.0.1"\nDB_PORT = "7000"\n' in env


PORTS = [
    ('["3000"]', "3000"), ('["8001:3000"]', "8001"), ('["127.0.0.1:8001:3000"]', "8001"),
    ('["[::1]:8001:3000/tcp"]', "8001"), ('["${P:-8001}:3000"]', '"${P:-8001}"'),
    ('["53:53/udp", "8001:3000"]', "8001"), ("[3000]", "3000"),
    ('[{target: 3000, published: "8001"}]', "8001"), ("[{target: 3000}]", "3000"),
    ('["3000-3002:3000-3002"]', "3000"),
]


@pytest.mark.parametrize("ports, port", PORTS)
def test_every_way_to_write_a_port(ports: str, port: str, tmp_path: Path) -> None:
    done = compose(tmp_path, f"services: {{a: {{image: node, command: x, ports: {ports}}}}}")
    assert f"\nport = {port}\n" in done.out
    assert ("PORT = " in done.out) == ("8001" in port)
    loaded(tmp_path, done.out)


CHECKS = [
    ("[CMD, curl, -f, http://localhost:3000/health]", 'path = "/health"'),
    ("curl -f http://localhost:3000/health || exit 1", 'path = "/health"'),
    ("[CMD-SHELL, 'wget -qO- http://127.0.0.1:3000/a?b=1 || exit 1']", 'path = "/a?b=1"'),
    ("[CMD, curl, -f, http://localhost:3000]", 'path = "/"'),
    ("[CMD, curl, -f, http://localhost:9999/health]", "test = "),
    ("[CMD-SHELL, 'curl -s http://localhost:3000/health | grep ok']", "test = "),
    ("[CMD, curl, -X, POST, http://localhost:3000/health]", "test = "),
    ("[CMD, curl, -f, http://elsewhere:3000/health]", "test = "),
    ("[NONE]", 'test = "NONE"'),
    ("pg_isready", 'test = ["CMD-SHELL", "pg_isready"]'),
]


@pytest.mark.parametrize("test, want", CHECKS)
def test_a_check_that_asks_for_a_path_becomes_one(test: str, want: str, tmp_path: Path) -> None:
    done = compose(tmp_path, 'services: {a: {image: node, command: x, ports: ["3000:3000"], '
                             f"healthcheck: {{test: {test}}}}}}}")
    assert f"healthcheck = {{ {want}" in done.out
    loaded(tmp_path, done.out)


@pytest.mark.parametrize("key", ["frobnicate: 1", "cap_add: [X]", "tmpfs: /run", "pid: host",
                                 "healthcheck: {test: x, frobnicate: 1}", "build: {context: ., frobnicate: 1}",
                                 "deploy: {frobnicate: 1}", "deploy: {resources: {limits: {frobnicate: 1}}}",
                                 "logging: {options: {frobnicate: 1}}", "ulimits: {frobnicate: 1}",
                                 "labels: [traefik.tcp.routers.x.rule=y]", "mem_limit: lots",
                                 "stop_grace_period: soon"])
def test_nothing_is_dropped_silently(key: str, tmp_path: Path) -> None:
    build = "" if key.startswith("build") else "build: ., "
    done = compose(tmp_path, f"services: {{a: {{{build}{key}}}}}",
                   Dockerfile="FROM node\nCMD node x.js\n")
    assert done.code == 1, done
    assert "Not carried over:\n  compose.yaml:1: " in done.err
    loaded(tmp_path, done.out)


def test_an_unknown_key_of_the_top_level(tmp_path: Path) -> None:
    done = compose(tmp_path, "services: {a: {image: redis}}\nfrobnicate: 1\nx-mine: 2\n")
    assert done.code == 1 and done.err.startswith(
        "Not carried over:\n  compose.yaml:2: frobnicate: not known to nodey import\nTo do:\n")


# -- what must not be guessed


def routes(text: str) -> list[str]:
    """What stands in [[routes]], one string for each; comments are none."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return [" ".join(part.split("\n\n")[0].split("\n")).strip()
            for part in "\n".join(lines).split("[[routes]]")[1:]]


def traefik(folder: Path, *labels: str) -> Done:
    (folder / "app").mkdir()
    (folder / "app/Dockerfile").write_text("FROM node:20\nCMD node app.js\n")
    return compose(folder, "services:\n  app:\n    build: app\n    labels:\n" + "".join(
        f"      - {label}\n" for label in
        ("traefik.http.services.app.loadbalancer.server.port=3000", *labels)))


def test_a_route_for_one_host_is_not_opened_for_all(tmp_path: Path) -> None:
    done = traefik(tmp_path, "traefik.http.routers.app.rule=Host(`admin.example`) || PathPrefix(`/admin`)")
    assert routes(done.out) == ['path = "/admin/*" to = "app"'], done.out
    assert '# [[routes]]\n# path = "/*"\n# to = "app"\n' in done.out
    assert "the route to app for the host admin.example alone" in done.err and done.code == 1
    loaded(tmp_path, done.out)


@pytest.mark.parametrize("labels, cookie", [
    (["sticky.cookie=true"], "lb"), (["sticky.cookie=true", "sticky.cookie.name=who"], "who"),
    (["sticky.cookie.httponly=true"], "lb"), (["sticky.cookie=false"], ""),
])
def test_a_sticky_cookie_stays_one(labels: list[str], cookie: str, tmp_path: Path) -> None:
    done = traefik(tmp_path, "traefik.http.routers.app.rule=PathPrefix(`/`)",
                   *(f"traefik.http.services.app.loadbalancer.{label}" for label in labels))
    policy = f' policy = "cookie:{cookie}"' if cookie else ""
    assert routes(done.out) == [f'path = "/*" to = "app"{policy}']
    assert "Not carried over" not in done.err
    loaded(tmp_path, done.out)


def test_the_policy_of_deploy_counts_over_restart(tmp_path: Path) -> None:
    done = compose(tmp_path, """services:
  a:
    image: redis
    restart: always
    deploy: {restart_policy: {condition: on-failure, max_attempts: 3}}
""")
    assert 'restart = "on-failure:3"' in done.out and done.out.count("restart =") == 1
    loaded(tmp_path, done.out)


NGINX = """server {
  location /api/ { proxy_pass http://app:3000/; }
  location / {
    root /usr/share/nginx/html;
    try_files $uri /index.html;
  }
}
"""


def test_what_a_front_s_own_file_routes_is_said_and_not_guessed(tmp_path: Path) -> None:
    for name in ("app", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text("FROM node:20\nCMD node app.js\n")
    (tmp_path / "dist").mkdir()
    done = compose(tmp_path, """services:
  app: {build: app, ports: ["3000:3000"]}
  other: {build: other, ports: ["3001:3001"]}
  web:
    image: nginx
    ports: ["80:80"]
    volumes: ["./nginx.conf:/etc/nginx/conf.d/default.conf", "./dist:/usr/share/nginx/html"]
""", **{"nginx.conf": NGINX})
    assert routes(done.out) == ['path = "/*" root = "dist" spa = true'], done.out
    assert "#     location /api/ { proxy_pass http://app:3000/; }\n" in done.out
    assert "#     try_files $uri /index.html;\n" in done.out
    assert "write the routes to app: which paths are its own" in done.err
    assert "write the routes to other: " in done.err
    loaded(tmp_path, done.out)


@pytest.mark.parametrize("docker, command, want", [
    ("", "", '["python3", "app.py"]'),
    ("RUN pip install flask", "", '[".venv/bin/python", "app.py"]'),
    ("RUN pip install flask", "gunicorn app", '".venv/bin/gunicorn app"'),
    ("RUN pip install flask", "python app.py", '".venv/bin/python app.py"'),
    ("", "python app.py", '"python3 app.py"'),
    ("RUN pip install flask", "sh start.sh", '"sh start.sh"'),
    ("", '["sh", "-c", "python app.py $$X"]', '["sh", "-c", "python3 app.py $$X"]'),
    ("", "python-thing app.py", '"python-thing app.py"'),
])
def test_python_is_called_as_debian_calls_it(docker: str, command: str, want: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        f'FROM python:3.12\nWORKDIR /app\nCOPY . .\n{docker}\nCMD ["python", "app.py"]\n')
    done = compose(tmp_path, "services:\n  a:\n    build: .\n" +
                   (f"    command: {command}\n" if command else ""))
    assert f"command = {want}\n" in done.out, done.out
    assert ("python3 -m venv .venv" in done.err) == bool(docker), done.err


def test_what_is_to_be_done_is_listed(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM node:20\nENTRYPOINT [\"./docker-entrypoint.sh\"]\nCMD [\"node\", \"app.js\"]\n")
    done = compose(tmp_path, "services:\n  a: {build: .}\n  db: {image: postgres}\n")
    to_do = done.err.split("To do:\n")[1]
    assert "a is begun by ./docker-entrypoint.sh, which was written for a container" in to_do
    assert "apt-get install postgresql" in to_do
    assert 'db needs user = "postgres", who must own data/db' in to_do


@pytest.mark.parametrize("broken", ["initdb", "postgres"])
def test_a_database_that_cannot_be_made_is_not_begun(broken: str, tmp_path: Path) -> None:
    """With programs in the place of PostgreSQL's, that note how they were called."""
    done = compose(tmp_path, "services:\n  db: {image: postgres, environment: {POSTGRES_DB: shop}}\n")
    (tmp_path / "nodey.toml").write_text(done.out)
    command = json.loads(run(tmp_path, "config", "--format", "json").out)["services"]["db"]["command"]
    for name in ("initdb", "postgres"):
        fails = f"exit {1 if name == broken else 0}"
        write_files(tmp_path, {f"bin/{name}": f'#!/bin/sh\necho "{name} $1 $(cat)" >>calls\n{fails}\n'})
        (tmp_path / "bin" / name).chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "POSTGRES_PASSWORD": "secret",
           "POSTGRES_DB": "shop"}
    code = subprocess.run([word.replace("/usr/lib/postgresql", "/nowhere") for word in command],
                          cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, timeout=30).returncode
    calls = (tmp_path / "calls").read_text().splitlines()
    assert code == 1 and calls[0] == "initdb -D secret"
    assert calls[1:] == ([] if broken == "initdb" else ['postgres --single CREATE DATABASE "shop";'])
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["db"], "no password is left"


# -- what is wrong, or means harm


BAD = [
    ("services:\n  a:\n   image: x\n  b: [\n", r"compose.yaml:5:1: this is not YAML: "),
    ("services:\n\ta: 1\n", "compose.yaml:2:1: this is not YAML: a tab stands here, and YAML is indented"),
    ("services:\n  a: @\n", "compose.yaml:2:6: this is not YAML: found character that cannot start any token"),
    ("a: 1\na: 2\n", 'compose.yaml:2:1: the key "a" stands here twice'),
    ("- a\n", "compose.yaml:1:1: a compose file is a map"),
    ("services: [a]\n", 'compose.yaml:1:1: "services" must be a map of services'),
    ("services:\n  a: text\n", 'compose.yaml:2:3: the service "a" must be a map'),
    ("services: {}\n", "compose.yaml:1:1: there are no services here\n"),
    ("foo: bar\n", "compose.yaml:1:1: there are no services here\n"),
    ("services:\n" + "".join(f"  s{i}: {{image: redis}}\n" for i in range(300)),
     "compose.yaml:1:1: more than 256 services\n"),
    ("", "compose.yaml: there is nothing in this file"),
    ("services: {a: *nobody}\n", "compose.yaml:1:15: an alias of what has no such anchor"),
    ("services: &a {x: *a}\n", "compose.yaml:1:18: an alias inside of what it stands for"),
    ("services: {a: {extends: b}, b: {extends: a}}\n", "services extend each other in a circle"),
    ("services: {a: {extends: {service: a}}}\n", "services extend each other in a circle"),
    ("services: {a: {extends: c}}\n", 'there is no service "c" to extend'),
    ("services: {a: {extends: {file: no.yaml, service: c}}}\n", "no.yaml: No such file"),
    ("include: compose.yaml\nservices: {a: {image: redis}}\n", "include must name files, and not in a circle"),
    ("? [a]\n: b\n", "a key must be a text"),
    ("a: \"\\0\"\n", "a text with a NUL in it"),
    ("a: {<<: 1}\n", '"<<" takes a map, or a list of maps'),
    ("a: " + "[" * 100 + "]" * 100 + "\n", "lists and maps too deep inside each other"),
    ("a: " + "{a: " * 100 + "}" * 100 + "\n", "lists and maps too deep inside each other"),
    ("a: [" + "1," * 5000 + "]\n", "a list of more than 1024 values"),
    ("\n".join(f"k{i}: 1" for i in range(5000)), "a map of more than 1024 keys"),
    ("a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30)),
     "aliases make too many values of it"),
    ("a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{{', '.join(f'k{j}: *a{i - 1}' for j in range(9))}}}\n"
                                  for i in range(1, 30)), "aliases make too many values of it"),
    ("x" * (1024 * 1024 + 10), "compose.yaml: larger than 1024 KiB"),
]


@pytest.mark.parametrize("text, sentence", BAD, ids=range(len(BAD)))
def test_bad_and_hostile_files_get_a_sentence_soon(text: str, sentence: str, tmp_path: Path) -> None:
    start = time.monotonic()
    done = compose(tmp_path, text)
    assert time.monotonic() - start < slow(5)
    assert done.code == 2, done
    assert sentence in done.err and done.err.count("\n") == 1
    assert done.out == ""


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    for data in b"\xff\xfe\x00", b"a: \xc3\x28\n", bytes(range(256)), b"\x00" * 50:
        (tmp_path / "compose.yaml").write_bytes(data)
        (tmp_path / "Procfile").write_bytes(b"web: " + data)
        assert import_(tmp_path, "compose.yaml").code == 2
        assert import_(tmp_path, "Procfile").code == 2


def test_services_that_extend_each_other_a_lot_end_soon(tmp_path: Path) -> None:
    members = ", ".join(f"x-{i}: 1" for i in range(900))
    text = f"services:\n  s0: {{image: redis, {members}}}\n" + "".join(
        f"  s{i}: {{extends: s{max(0, i - 1)}, {members}}}\n" for i in range(1, 16))
    text += "".join(f"  t{i}: {{extends: s15}}\n" for i in range(200))
    start = time.monotonic()
    done = compose(tmp_path, text)
    assert time.monotonic() - start < slow(10)
    assert done.code == 2 and "services extend each other too much" in done.err


PROCFILES = [("web\n", 'Procfile:1:1: a line of a Procfile is "name: command"'),
             ("web: a\nweb: b\n", "Procfile:2:1: there are two processes web"),
             ("# nothing\n", "there is no process in it"),
             ("".join(f"p{i}: x\n" for i in range(200)), "Procfile:101:1: more than 100 processes")]


@pytest.mark.parametrize("text, sentence", PROCFILES)
def test_bad_procfiles(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text(text)
    done = import_(tmp_path, "Procfile")
    assert done.code == 2 and sentence in done.err


SCRIPTS = [("module.exports = {apps: [{", "Node says: "), ("module.exports = {}", "has a list of apps"),
           ("process.exit(0)", "Node says: it exports nothing"), ("throw new Error('my words')", "my words"),
           ("module.exports = {apps: [1]}", "an app is an object"),
           ("module.exports = {apps: Array(500).fill({})}", "more than 100 apps")]


@pytest.mark.parametrize("text, sentence", SCRIPTS)
def test_bad_ecosystem_files(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "ecosystem.config.js").write_text(text)
    done = import_(tmp_path)
    assert done.code == 2 and sentence in done.err, done


@pytest.mark.long
def test_an_ecosystem_file_that_never_ends(tmp_path: Path) -> None:
    """Nor does what it has begun stay behind."""
    (tmp_path / "ecosystem.config.js").write_text(
        "const { spawn } = require('child_process');\n"
        "const child = spawn('sleep', ['600']);\n"
        "require('fs').writeFileSync('pid', String(child.pid));\nfor (;;);\n")
    done = import_(tmp_path)
    assert done.code == 2 and "Node did not finish with it within 10 s" in done.err
    pid = int((tmp_path / "pid").read_text())
    state = Path(f"/proc/{pid}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


def test_ecosystem_files_of_every_kind(tmp_path: Path) -> None:
    app = '{ name: "a", script: "a.js" }'
    write_files(tmp_path, {"a.js": "//", "cjs/ecosystem.config.cjs": f"module.exports = {{ apps: [{app}] }};",
                           "mjs/ecosystem.config.mjs": f"export default {{ apps: [{app}] }};",
                           "one/ecosystem.config.js": f"module.exports = {app};",
                           "list/pm2.json": '[{"name": "a", "script": "a.js"}]'})
    for folder in "cjs", "mjs", "one", "list/pm2.json":
        done = import_(tmp_path, folder)
        assert done.code == 0 and '[services.a]\ncommand = ["node", "a.js"]\n' in done.out, (folder, done)
