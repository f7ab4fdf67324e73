"""nodey under a real systemd, which hands it a part of the tree: see the script cgroup2."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path
from typing import Iterator

import procs
import pytest
from app import BINARY
from client import Connection
from programs import free_port, worker
from test_cgroup2 import PROGRAM, TOP, group_of
from timing import slow, until

SLICE = TOP / "system.slice"


def system(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=slow(60), check=False)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout.strip()


def shown(unit: str, name: str) -> str:
    return system("systemctl", "show", "--value", "-p", name, unit)


class Site:
    """A folder of the user `web`, and what its nodey says to the journal."""

    def __init__(self, unit: str, port: int) -> None:
        self.folder = Path("/srv/site")
        self.unit = unit
        self.port = port

    def log(self) -> str:
        return system("journalctl", "-q", "-o", "cat", "-u", self.unit)

    def wait_log(self, pattern: str, start: int = 0) -> None:
        until(lambda: re.search(pattern, self.log()[start:]), 15, f"{pattern}; {self.log()}")

    def get(self, path: str) -> str:
        with Connection(self.port, 10) as connection:
            return connection.request("GET", path, b"", {"Connection": "close"}).text

    def pid(self) -> int:
        return int(shown(self.unit, "MainPID"))


@pytest.fixture
def port() -> int:
    port = free_port()
    shutil.rmtree("/srv/site", ignore_errors=True)
    folder = Path("/srv/site")
    (folder / "workers").mkdir(parents=True)
    (folder / "workers/hog.py").write_text(PROGRAM)
    (folder / "nodey.toml").write_text(
        f"[server]\nlisten = \"127.0.0.1:{port}\"\n\n" +
        worker("hog", memory="150M", max_memory="150M", cpus=1, pids=50, backoff_min="20ms"))
    web = pwd.getpwnam("web")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, web.pw_uid, web.pw_gid)
    return port


@pytest.fixture
def site(port: int) -> Iterator[Site]:
    site = Site("site.service", port)
    system(str(BINARY), "install-service", "-f", f"{site.folder}/nodey.toml", "--name", "site",
           "--user", "web", "--force")
    system("systemctl", "daemon-reload")
    system("systemctl", "start", site.unit)
    yield site
    system("systemctl", "stop", site.unit)
    until(lambda: not (SLICE / site.unit).exists(), 5, "the unit's group is gone")
    assert "failed" not in shown(site.unit, "Result")


def kept_by_the_kernel(site: Site) -> None:
    """A hog is killed, and nothing else."""
    main, hog = site.pid(), int(site.get("/pid"))
    own = SLICE / site.unit
    assert group_of(main) == own / "nodey"
    assert group_of(hog).parent == own / f"nodey-{main}"
    start = len(site.log())
    with Connection(site.port, 10) as connection:
        connection.request("POST", "/grow?mib=200", b"", {"Connection": "close"})
    site.wait_log(r"hog#0 .*it needed more than its memory limit of 150M", start)
    until(lambda: int(site.get("/pid")) != hog, 10, "another answers")
    assert site.pid() == main and shown(site.unit, "ActiveState") == "active"


def test_a_unit_of_install_service_has_its_limits_kept(site: Site) -> None:
    assert "limits: memory, cpus and pids by cgroup" in site.log()
    assert os.stat(f"/proc/{site.pid()}").st_uid == pwd.getpwnam("web").pw_uid
    kept_by_the_kernel(site)


def test_systemd_reloads_and_restarts_it(site: Site) -> None:
    main, hog = site.pid(), int(site.get("/pid"))
    system("systemctl", "reload", site.unit)
    assert site.pid() == main
    system("systemctl", "restart", site.unit)
    assert site.pid() != main and not procs.alive(hog)
    kept_by_the_kernel(site)


def test_systemd_starts_one_that_was_killed(site: Site) -> None:
    main, hog = site.pid(), int(site.get("/pid"))
    start = len(site.log())
    system("systemctl", "kill", "--kill-who=main", "-s", "KILL", site.unit)
    until(lambda: site.pid() not in (0, main), 15, "systemd has started another")
    site.wait_log("nodey ready", start)
    assert not procs.alive(hog)
    kept_by_the_kernel(site)
    below = [path.name for path in (SLICE / site.unit).iterdir() if path.is_dir()]
    assert sorted(below) == ["nodey", f"nodey-{site.pid()}"], below


def test_a_scope_of_systemd_run_does_as_well(port: int) -> None:
    site = Site("run.scope", port)
    with open("/tmp/scope.log", "wb") as log, subprocess.Popen(
            ["systemd-run", "--scope", "-p", "Delegate=yes", "--unit", "run", str(BINARY), "up"],
            cwd=site.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process:
        try:
            text = Path("/tmp/scope.log").read_text
            until(lambda: "nodey ready" in text(), 20, "it is ready")
            assert "limits: memory, cpus and pids by cgroup" in text()
            pid = int(site.get("/pid"))
            assert group_of(pid).parent.parent == SLICE / "run.scope"
            with Connection(port, 10) as connection:
                connection.request("POST", "/grow?mib=200", b"", {"Connection": "close"})
            until(lambda: "it needed more than its memory limit of 150M" in text(), 10, text())
        finally:
            process.terminate()
        assert process.wait(slow(20)) == 0
    until(lambda: not (SLICE / "run.scope").exists(), 5, "its group is gone")
