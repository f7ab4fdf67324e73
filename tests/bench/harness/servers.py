"""Every server that is measured: how it is started, at its best."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.context import Context
from harness.errors import BenchError, NotBuilt
from harness.paths import BUILD, PEERS, WORKERS
from harness.server import Server, free_port


@dataclass(frozen=True)
class Pool:
    script: str  # a file in workers/
    instances: int = 1


def nodey(
    context: Context,
    name: str,
    pools: Mapping[str, Pool],
    *,
    server: Mapping[str, str | int] | None = None,
    path: str = "/hello",
    routes: str = "",
) -> Server:
    """nodey with these pools; `server` overrides keys of its [server] table.

    `routes` is the text of its [[routes]].
    """
    if context.nodey is None:
        raise NotBuilt("nodey is not built")
    folder, port = context.folder(name), free_port()
    lines = ["[server]"]
    # Access logs are off at the peers, too.
    for key, value in {"access_log": "off", **(server or {})}.items():
        lines.append(f"{key} = {json.dumps(value)}")
    for pool_name, pool in pools.items():
        shutil.copy(WORKERS / pool.script, folder)
        lines += [f"[workers.{pool_name}]", f"script = {json.dumps(Path(pool.script).name)}"]
        lines.append(f"instances = {pool.instances}")
    lines.append(routes)
    (folder / "nodey.toml").write_text("\n".join(lines) + "\n")
    interpreters = [str(Path(context.python).parent), str(Path(context.node).parent)]
    return Server(
        name=name,
        argv=[str(context.nodey), "up", "-f", "nodey.toml", "--listen", f"127.0.0.1:{port}"],
        port=port,
        directory=folder,
        path=path,
        env={"PATH": os.pathsep.join([*interpreters, os.environ["PATH"]])},
    )


def _node_peer(context: Context, name: str, script: str, *arguments: int) -> Server:
    port = free_port()
    return Server(
        name=name,
        argv=[context.node, str(PEERS / script), str(port), *map(str, arguments)],
        port=port,
        directory=context.folder(name),
        env={"NODE_PATH": str(BUILD / "node_modules"), "NODE_ENV": "production"},
    )


def node_http(context: Context, *keep_alive_ms: int) -> Server:
    return _node_peer(context, "node http", "node_http.js", *keep_alive_ms)


def node_streams(context: Context) -> Server:
    return _node_peer(context, "node http", "node_streams.js")


def ws_echo(context: Context) -> Server:
    return _node_peer(context, "ws", "ws_echo.js")


def express(context: Context) -> Server:
    return _node_peer(context, "Express", "express_app.js")


def nodey_express(context: Context, name: str, instances: int) -> Server:
    """The same program, served by nodey."""
    pool = Pool("../peers/express_app.js", instances)
    server = nodey(context, name, {"app": pool})
    server.env["NODE_ENV"] = "production"
    return server


def balancer(context: Context, name: str, backend: Server) -> Server:
    """Express and http-proxy-middleware in front of another server."""
    front = _node_peer(context, name, "express_balancer.js", backend.port)
    front.backends.append(backend)
    return front


def _python_peer(context: Context, name: str, *arguments: str) -> Server:
    port = free_port()
    return Server(
        name=name,
        argv=[context.python, *(argument.replace("@PORT@", str(port)) for argument in arguments)],
        port=port,
        directory=context.folder(name),
        env={"PYTHONPATH": str(PEERS), "PYTHONDONTWRITEBYTECODE": "1"},
    )


def uvicorn(context: Context, app: str = "asgi_app:app") -> Server:
    quiet = ["--no-access-log", "--log-level", "warning"]
    fast = ["--loop", "uvloop", "--http", "httptools"]
    where = ["--host", "127.0.0.1", "--port", "@PORT@"]
    return _python_peer(
        context, "uvicorn", "-m", "uvicorn", *quiet, *fast, *where, app
    )


def gunicorn(context: Context, workers: int = 2) -> Server:
    options = ["-k", "sync", "-w", str(workers), "--log-level", "warning"]
    options += ["-b", "127.0.0.1:@PORT@"]
    return _python_peer(context, "gunicorn+Flask", "-m", "gunicorn", *options, "flask_app:app")


def flask(context: Context) -> Server:
    """Flask's own server."""
    return _python_peer(context, "Flask", str(PEERS / "flask_app.py"), "@PORT@")


def nodey_app(context: Context, name: str, app: str) -> Server:
    """nodey with one instance of an app in peers/, named as "module:name"."""
    if context.nodey is None:
        raise NotBuilt("nodey is not built")
    folder, port = context.folder(name), free_port()
    shutil.copy(PEERS / f"{app.partition(':')[0]}.py", folder)
    lines = ["[server]", 'access_log = "off"', "[workers.app]", f"app = {json.dumps(app)}"]
    (folder / "nodey.toml").write_text("\n".join([*lines, "instances = 1", ""]))
    return Server(
        name=name,
        argv=[str(context.nodey), "up", "-f", "nodey.toml", "--listen", f"127.0.0.1:{port}"],
        port=port,
        directory=folder,
        env={"PATH": os.pathsep.join([str(Path(context.python).parent), os.environ["PATH"]])},
    )


def _nginx_before(name: str, backend: Server, inner: str, passing: str) -> Server:
    """nginx in front of a backend that listens at `inner`."""
    program = shutil.which("nginx", path=os.environ["PATH"] + os.pathsep + "/usr/sbin")
    if program is None:
        raise BenchError("nginx is not installed")
    folder = backend.directory
    text = (PEERS / "nginx_proxy.conf").read_text()
    for mark, value in (
        ("@PORT@", str(backend.port)),
        ("@DIR@", str(folder)),
        ("@INNER@", inner),
        ("@PASS@", passing),
    ):
        text = text.replace(mark, value)
    (folder / "nginx.conf").write_text(text)
    # The backend is asked through nginx: it is ready when both are.
    front = f"{program} -c {folder}/nginx.conf -p {folder}"
    script = f'"$@" & {front} & trap "kill $(jobs -p)" TERM; wait; wait'
    return Server(
        name=name,
        argv=["bash", "-c", script, "bash", *backend.argv],
        port=backend.port,
        directory=folder,
        env=backend.env,
    )


def nginx_gunicorn(context: Context) -> Server:
    backend = gunicorn(context, workers=1)
    inner = f"127.0.0.1:{free_port()}"
    backend.argv[backend.argv.index("-b") + 1] = inner
    passing = 'proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection "";'
    return _nginx_before("nginx+gunicorn", backend, inner, passing)


def nginx_uwsgi(context: Context) -> Server:
    program = shutil.which("uwsgi")
    if program is None:
        raise BenchError("uWSGI is not installed: apt-get install uwsgi-core uwsgi-plugin-python3")
    folder, inner = context.folder("nginx+uWSGI"), f"127.0.0.1:{free_port()}"
    options = ["--plugin", "python3", "--socket", inner, "--master"]
    options += ["--processes", "1", "--module", "flask_app:app", "--disable-logging"]
    options += ["--virtualenv", str(BUILD / "venv"), "--pythonpath", str(PEERS), "--die-on-term"]
    backend = Server(
        name="uWSGI",
        argv=[program, *options],
        port=free_port(),
        directory=folder,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
    )
    passing = "include /etc/nginx/uwsgi_params; uwsgi_pass app;"
    return _nginx_before("nginx+uWSGI", backend, inner, passing)


def unit(context: Context) -> Server:
    """NGINX Unit, when somebody has installed it: Debian has no package of it."""
    program = shutil.which("unitd", path=os.environ["PATH"] + os.pathsep + "/usr/sbin")
    if program is None:
        raise NotBuilt("unitd is not installed, and Debian 12 has no package of it")
    folder, port = context.folder("Unit"), free_port()
    (folder / "state").mkdir()
    application = {
        "type": "python",
        "path": str(PEERS),
        "home": str(BUILD / "venv"),
        "module": "flask_app",
        "callable": "app",
        "processes": 1,
    }
    config = {
        "listeners": {f"127.0.0.1:{port}": {"pass": "applications/app"}},
        "applications": {"app": application},
    }
    (folder / "state" / "conf.json").write_text(json.dumps(config))
    where = ["--control", f"unix:{folder}/control", "--statedir", f"{folder}/state"]
    where += ["--pid", f"{folder}/pid", "--log", f"{folder}/unit.log"]
    return Server(
        name="Unit", argv=[program, "--no-daemon", *where], port=port, directory=folder
    )


def nginx(context: Context) -> Server:
    program = shutil.which("nginx", path=os.environ["PATH"] + os.pathsep + "/usr/sbin")
    if program is None:
        raise BenchError("nginx is not installed")
    folder, port = context.folder("nginx"), free_port()
    text = (PEERS / "nginx.conf").read_text()
    text = text.replace("@PORT@", str(port)).replace("@DIR@", str(folder))
    (folder / "nginx.conf").write_text(text)
    return Server(
        name="nginx",
        argv=[program, "-c", str(folder / "nginx.conf"), "-p", str(folder)],
        port=port,
        directory=folder,
    )
