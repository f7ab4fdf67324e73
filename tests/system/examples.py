"""What the tests of workers/blog and workers/glove share: a copy of the example, a client that listens, a browser."""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Mapping, Optional
from urllib.parse import unquote

from app import ROOT, App
from browser import chromium
from timing import slow, until


Start = Callable[..., App]


def copied(name: str, folder: Path, replaced: Optional[Mapping[str, str]] = None) -> Path:
    """The example's files.  replaced: texts of its nodey.toml, which must be there, and what stands for them."""
    left_out = shutil.ignore_patterns("data", ".nodey", "node_modules", ".venv")
    shutil.copytree(ROOT / "workers" / name, folder, ignore=left_out)
    config = (folder / "nodey.toml").read_text()
    for old, new in (replaced or {}).items():
        assert old in config, old
        config = config.replace(old, new)
    (folder / "nodey.toml").write_text(config)
    return folder


class Listener:
    """A browser's EventSource: connects again and again, with the id that it saw last."""

    def __init__(self, port: Callable[[], int], path: str, headers: Optional[Mapping[str, str]] = None) -> None:
        self.port, self.path, self.headers = port, path, dict(headers or {})
        self.events: list[tuple[str, str, Any]] = []  # id, name, data
        self.connects = 0
        self.refused: list[int] = []
        self._ended = threading.Event()
        self._open = threading.Event()
        self._socket: Optional[socket.socket] = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Listener":
        self._thread.start()
        assert self._open.wait(slow(10)), f"{self.path} did not open: {self.refused}"
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._socket:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(slow(5))

    def data(self) -> list[Any]:
        return [data for _, _, data in list(self.events)]

    def wait(self, count: int, seconds: float = 10) -> list[Any]:
        until(lambda: len(self.events) >= count, seconds, f"{count} events of {self.path}")
        return self.data()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._listen()
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)

    def _listen(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port(), timeout=slow(5))
        last = {"Last-Event-ID": self.events[-1][0]} if self.events else {}
        try:
            connection.request("GET", self.path, headers={**self.headers, **last})
            self._socket = connection.sock
            answer = connection.getresponse()
            if answer.status != 200:
                self.refused.append(answer.status)
                time.sleep(0.05)
                return
            self._socket.settimeout(None)
            self.connects += 1
            self._open.set()
            kept = b""
            while not self._ended.is_set():
                piece = answer.read1(65536)
                if not piece:
                    return
                *whole, kept = (kept + piece).split(b"\n\n")
                for event in whole:
                    self._take(event.decode())
        finally:
            connection.close()

    def _take(self, text: str) -> None:
        fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line and line[0] != ":")
        if "data" in fields:
            self.events.append((fields.get("id", ""), fields.get("event", ""), json.loads(fields["data"])))


class Killer:
    """Ends a worker without a warning every so often, while its block runs.

    Not for ever: where workers need longer to start than they are let live, nothing would come to an end.
    """

    def __init__(self, app: Callable[[], App], names: list[str], every: float, most: int = 24, seed: int = 7) -> None:
        self.app, self.names, self.every, self.most = app, names, slow(every), most
        self.kills: dict[str, int] = {}
        self._random = random.Random(seed)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def count(self) -> int:
        return sum(self.kills.values())

    def __enter__(self) -> "Killer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self.every) and self.count() < self.most:
            name = min(self.names, key=lambda one: (self.kills.get(one, 0), self._random.random()))
            pids = self.app().worker_pids(name)
            if pids:
                with suppress(ProcessLookupError):
                    os.kill(self._random.choice(pids), signal.SIGKILL)
                    self.kills[name] = self.kills.get(name, 0) + 1


# A page beside the example's own, which it drives in a frame.  It tells what it has seen by a request.
DRIVER = """
<!doctype html><script>
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const seen = [];
addEventListener('load', async () => {
    const frame = document.createElement('iframe');
    frame.src = '/';
    document.body.append(frame);
    const all = (css) => [...(frame.contentDocument?.querySelectorAll(css) || [])];
    const until = async (check) => {
        for (let n = 0; n < 400; n++) {
            const found = check();
            if (found) return found;
            await wait(50);
        }
        throw new Error(`waited in vain for ${check}`);
    };
    const fill = (form, fields) => {
        for (const [name, value] of Object.entries(fields)) form.elements[name].value = value;
        form.requestSubmit();
    };
    try {
        await until(() => frame.contentDocument?.readyState === 'complete' && all('form').length);
        %s
    } catch (error) {
        seen.push(String(error));
    }
    await fetch('/seen?' + encodeURIComponent(JSON.stringify(seen)));
});
</script><body></body>
"""


def browse(nodey: Start, folder: Path, script: str) -> Any:
    """What the script, which drives the example's page, has seen."""
    (folder / "web" / "drive.html").write_text(DRIVER % script)
    config = (folder / "nodey.toml").read_text().replace("[server]", '[server]\naccess_log = "combined"')
    app = nodey(folder=folder, config=config)
    with chromium(f"http://127.0.0.1:{app.port}/drive.html"):
        found = until(lambda: re.search(r"/seen\?(\S+) ", app.stdout()), 60, "the page has reported")
    assert found
    return json.loads(unquote(found[1]))
