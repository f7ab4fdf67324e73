"""A service manager as nodey sees it: what it is told, and sockets that it passes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from signal import SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTERM
from typing import Callable, Iterator, Mapping, Optional, Sequence

import pytest

from app import BINARY, App, Drain
from command import environment
from timing import slow, until

pytestmark = pytest.mark.outside

HELLO = """
import nodey, os

@nodey.get("/env")
def env():
    return {name: os.environ.get(name) for name in (
        "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
        "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")}

@nodey.get("/fds")
def fds():
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            pass
    return found

@nodey.get("/hello")
def hello():
    return "hello"
"""
CONFIG = "[workers.hello]\ninstances = 1\n"


class Manager:
    """The manager's end: every message that came, as {NAME: value}."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.messages: list[dict[str, str]] = []
        self.times: list[float] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address[0] == "@" else address)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            data = self._socket.recv(65536)
            if data == b"end":
                return
            self.times.append(time.monotonic())
            self.messages.append(dict(line.split("=", 1) for line in data.decode().split("\n")))

    def close(self) -> None:
        address = self._socket.getsockname()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.sendto(b"end", address)
        self._thread.join()
        self._socket.close()

    def wait(self, name: str, value: Optional[str] = None, seconds: float = 10,
             start: int = 0) -> dict[str, str]:
        def find() -> Optional[dict[str, str]]:
            for message in self.messages[start:]:
                if name in message and value in (None, message[name]):
                    return message
            return None

        return until(find, seconds, f"a message {name}={value}; there were {self.messages}")

    def count(self, name: str) -> int:
        return sum(name in message for message in self.messages)


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    path = str(tmp_path / "notify") if request.param == "path" else f"@nodey-test-{os.getpid()}"
    made = Manager(path)
    yield made
    made.close()


def test_a_manager_is_told_of_ready_status_reload_and_end(
        nodey: Callable[..., App], manager: Manager) -> None:
    app = nodey({"workers/hello.py": HELLO}, CONFIG, {"NOTIFY_SOCKET": manager.address})
    ready = manager.wait("READY", "1")
    assert int(ready["MAINPID"]) == app.pid
    manager.wait("STATUS", f"serving http://127.0.0.1:{app.port}, 1 ready")
    assert app.get("/env").json() == dict.fromkeys(app.get("/env").json(), None)

    seen = len(manager.messages)
    (app.folder / "nodey.toml").write_text("[workers.hello]\ninstances = 2\n")
    app.signal(SIGHUP)
    reloading = manager.wait("RELOADING", "1", start=seen)
    now = time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6
    assert 0 <= now - int(reloading["MONOTONIC_USEC"]) < 10e6
    manager.wait("READY", "1", start=seen)
    names = [name for message in manager.messages[seen:] for name in message]
    assert names.index("RELOADING") < names.index("READY")

    assert manager.count("STOPPING") == 0
    assert app.stop() == 0
    manager.wait("STOPPING", "1")
    assert manager.count("READY") == 2 and manager.count("STOPPING") == 1
    assert "WATCHDOG" not in {name for message in manager.messages for name in message}


def test_ready_is_told_when_the_port_is_open_and_not_before(
        nodey: Callable[..., App], tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    slow_one = "import time, os\nwhile not os.path.exists('go'): time.sleep(0.02)\n" + HELLO
    app = nodey({"workers/hello.py": slow_one}, CONFIG, {"NOTIFY_SOCKET": manager.address},
                wait=False)
    manager.wait("STATUS", "starting, 1 starting")
    time.sleep(0.5)
    assert manager.count("READY") == 0
    (app.folder / "go").touch()
    app.wait_ready()
    manager.wait("READY", "1")
    assert app.get("/hello").body == b"hello"
    manager.close()


def test_a_status_says_what_fails(nodey: Callable[..., App], tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    app = nodey({"workers/hello.py": HELLO, "workers/bad.py": "import nodey\nraise SystemExit(3)"},
                CONFIG, {"NOTIFY_SOCKET": manager.address})
    manager.wait("STATUS", f"serving http://127.0.0.1:{app.port}, 1 ready, 1 failing")
    manager.close()


def test_the_watchdog_is_fed_until_the_loop_freezes(
        nodey: Callable[..., App], tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    app = nodey({"workers/hello.py": HELLO}, CONFIG,
                {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "400000"})
    before = manager.count("WATCHDOG")
    time.sleep(2)
    beats = manager.count("WATCHDOG") - before
    assert 7 <= beats <= 12, f"{beats} in 2 s, every 200 ms"
    app.signal(SIGSTOP)
    time.sleep(0.3)
    frozen = manager.count("WATCHDOG")
    time.sleep(1)
    assert manager.count("WATCHDOG") == frozen
    app.signal(SIGCONT)
    until(lambda: manager.count("WATCHDOG") > frozen, 5, "beats go on")
    manager.close()


def test_a_watchdog_of_another_process_is_not_fed(
        nodey: Callable[..., App], tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    nodey({"workers/hello.py": HELLO}, CONFIG,
          {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"})
    manager.wait("READY")
    time.sleep(0.5)
    assert manager.count("WATCHDOG") == 0
    manager.close()


def test_a_manager_that_has_gone_harms_nobody(nodey: Callable[..., App], tmp_path: Path) -> None:
    app = nodey({"workers/hello.py": HELLO}, CONFIG,
                {"NOTIFY_SOCKET": str(tmp_path / "nobody"), "WATCHDOG_USEC": "20000"})
    time.sleep(0.2)
    assert app.get("/hello").body == b"hello"


# A parent that passes descriptors as systemd does: from 3 on, and only then becomes nodey.
PASSER = """
import os, sys
binary, names, *fds = sys.argv[1:]
fds = [os.dup2(int(fd), 100 + n, inheritable=True) for n, fd in enumerate(fds)]
for n, fd in enumerate(fds):
    os.dup2(fd, 3 + n, inheritable=True)
    os.close(fd)
os.closerange(3 + len(fds), 100)
os.environ.update(LISTEN_FDS=str(len(fds)), LISTEN_PID=os.environ.get("FAKE_PID", str(os.getpid())))
if names:
    os.environ["LISTEN_FDNAMES"] = names
os.execv(binary, [binary, "up", *os.environ["UP_ARGS"].split()])
"""


class Passed:
    """A nodey to which sockets were passed."""

    def __init__(self, folder: Path, sockets: Sequence[socket.socket], names: str = "",
                 args: str = "", env: Optional[Mapping[str, str]] = None) -> None:
        fds = [each.fileno() for each in sockets]
        self._process = subprocess.Popen(
            [sys.executable, "-c", PASSER, str(BINARY), names, *map(str, fds)], cwd=folder,
            env={**environment(env), "UP_ARGS": args}, pass_fds=fds, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert self._process.stderr
        self.pid = self._process.pid
        self.log = Drain(self._process.stderr)

    def wait_ready(self) -> "Passed":
        assert self.log.search(r"nodey ready on", 20), self.log.text()
        return self

    def stop(self) -> int:
        self._process.send_signal(SIGTERM)
        try:
            return self._process.wait(slow(20))
        finally:
            self.close()

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(SIGKILL)
            self._process.wait()
        self.log.join()
        if self._process.stderr:
            self._process.stderr.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "workers").mkdir()
    (tmp_path / "workers/hello.py").write_text(HELLO)
    (tmp_path / "nodey.toml").write_text('[server]\nlisten = "127.0.0.1:1"\n' + CONFIG)
    return tmp_path


@pytest.fixture
def passed(folder: Path) -> Iterator[Callable[..., Passed]]:
    made: list[Passed] = []

    def start(*sockets: socket.socket, **options: object) -> Passed:
        made.append(Passed(folder, sockets, **options))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for each in made:
        each.close()


def listening() -> socket.socket:
    made = socket.create_server(("127.0.0.1", 0))
    made.set_inheritable(True)
    return made


def fetch(address: object, path: str = "/hello") -> bytes:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(slow(10))
        client.connect(address)
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while piece := client.recv(65536):
            data += piece
    assert data.startswith(b"HTTP/1.1 200 "), data
    return data.split(b"\r\n\r\n", 1)[1]


def test_a_passed_socket_is_served_and_not_inherited(passed: Callable[..., Passed]) -> None:
    with listening() as server:
        app = passed(server).wait_ready()
        assert f"ready on http://127.0.0.1:{server.getsockname()[1]}" in app.log.text()
        assert "a socket that was passed" in app.log.text()
        assert fetch(server.getsockname()) == b"hello"
        assert fetch(server.getsockname(), "/env") == \
            b'{"NOTIFY_SOCKET":null,"WATCHDOG_USEC":null,"WATCHDOG_PID":null,' \
            b'"LISTEN_FDS":null,"LISTEN_PID":null,"LISTEN_FDNAMES":null}'
        inode = os.readlink(f"/proc/self/fd/{server.fileno()}")
        assert inode.encode() not in fetch(server.getsockname(), "/fds")
        assert sorted(holders(inode)) == sorted([app.pid, os.getpid()])
        assert app.stop() == 0


def holders(inode: str) -> Iterator[int]:
    """Whoever has this socket open, on the whole machine: workers, helpers, anybody."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(fd) == inode for fd in (process / "fd").iterdir()):
                yield int(process.name)
        except OSError:  # it has ended meanwhile
            pass


def test_connections_wait_while_nodey_restarts(passed: Callable[..., Passed]) -> None:
    with listening() as server:
        address = server.getsockname()
        results: list[object] = []
        stop = threading.Event()

        def load() -> None:
            while not stop.is_set():
                try:
                    results.append(fetch(address))
                except BaseException as error:  # noqa: BLE001 the failure is the result
                    results.append(error)
                    return

        first = passed(server).wait_ready()
        threads = [threading.Thread(target=load, daemon=True) for _ in range(4)]
        try:
            for thread in threads:
                thread.start()
            until(lambda: len(results) > 20, 10, "the first one serves")
            assert first.stop() == 0
            before = len(results)
            time.sleep(0.3)
            second = passed(server).wait_ready()
            until(lambda: len(results) > before + 20, 20, "the second one serves")
        finally:
            stop.set()
        for thread in threads:
            thread.join()
        assert [result for result in results if result != b"hello"] == []
        assert second.stop() == 0


def test_of_several_sockets_the_one_of_that_address_or_name_is_taken(
        passed: Callable[..., Passed], tmp_path: Path) -> None:
    with listening() as one, listening() as two, listening() as three:
        app = passed(one, two, args=f"--listen 127.0.0.1:{two.getsockname()[1]}").wait_ready()
        assert fetch(two.getsockname()) == b"hello"
        assert "1 further descriptors were passed" in app.log.text()
        assert app.stop() == 0
        app = passed(one, two, three, names="metrics:other:http").wait_ready()
        assert fetch(three.getsockname()) == b"hello"
        assert app.stop() == 0
        app = passed(one, two).wait_ready()
        assert fetch(one.getsockname()) == b"hello"
        assert app.stop() == 0


def test_a_passed_unix_socket_is_served_and_stays(
        passed: Callable[..., Passed], tmp_path: Path) -> None:
    path = str(tmp_path / "web.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(100)
        server.set_inheritable(True)
        app = passed(server).wait_ready()
        assert f"unix:{path}" in app.log.text()
        assert fetch(path) == b"hello"
        assert app.stop() == 0
        assert os.path.exists(path), "it is the manager's"


def test_descriptors_for_another_process_are_left_alone(
        passed: Callable[..., Passed]) -> None:
    with listening() as server:
        app = passed(server, env={"FAKE_PID": "1"}, args="--listen 127.0.0.1:0").wait_ready()
        assert "was passed" not in app.log.text()
        assert f":{server.getsockname()[1]}" not in app.log.text()
        assert app.stop() == 0


def test_a_descriptor_that_does_not_listen_is_not_taken(
        passed: Callable[..., Passed], tmp_path: Path) -> None:
    with open(tmp_path / "plain", "w") as plain, socket.socket() as idle:
        app = passed(plain, idle, args="--listen 127.0.0.1:0").wait_ready()  # type: ignore
        assert "2 further descriptors were passed" in app.log.text()
        assert app.stop() == 0
