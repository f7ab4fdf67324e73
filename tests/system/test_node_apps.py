"""Apps of Express, Koa, Fastify and Hono, not one line of them changed, through real clients."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Callable, Iterator

import httpx
import pytest
import requests

from app import App, ROOT
from timing import slow, until

pytestmark = pytest.mark.outside

APPS = ROOT / "tests/workers/apps"
PACKAGES = ROOT / "build/node/node_modules"

# The script, its environment, and what it says of itself.
FRAMEWORKS = {
    "express5": ("express.js", {}, "express"),
    "express4": ("express.js", {"EXPRESS": "express4"}, "express"),
    "koa": ("koa.js", {}, "koa"),
    "fastify": ("fastify.js", {}, "fastify"),
    "hono": ("hono.mjs", {}, "hono"),
}


def app_folder(parent: Path, script: str) -> Path:
    """A folder with the app in it, and the packages beside it, as npm would put them there."""
    folder = parent / "service"
    modules = folder / "node_modules"
    modules.mkdir(parents=True)
    for package in PACKAGES.iterdir():
        (modules / package.name).symlink_to(package)
    (folder / script).write_text((APPS / script).read_text())
    return folder


def start(nodey: Callable[..., App], parent: Path, framework: str) -> App:
    script, env, _ = FRAMEWORKS[framework]
    pairs = ", ".join(f'{name} = "{value}"' for name, value in env.items())
    return nodey(folder=app_folder(parent, script), config=f"""
        [server]
        max_body = "64M"
        [workers.web]
        script = "{script}"
        instances = 1
        env = {{ {pairs} }}
    """)


@pytest.fixture(params=list(FRAMEWORKS))
def service(request: pytest.FixtureRequest, nodey: Callable[..., App], tmp_path: Path
            ) -> Iterator[tuple[str, str]]:
    """The address of a framework's app, and what the app says of itself."""
    app = start(nodey, tmp_path, request.param)
    yield f"http://127.0.0.1:{app.port}", FRAMEWORKS[request.param][2]


def pieces(total: int, size: int) -> Iterator[bytes]:
    for at in range(0, total, size):
        yield os.urandom(min(size, total - at))


def test_an_app_serves_every_kind_of_client_and_answer(service: tuple[str, str]) -> None:
    url, name = service
    with requests.Session() as session:
        hello = session.get(f"{url}/hello", params={"a": "ä b"}, timeout=slow(10))
        assert hello.json()["hello"] == name
        assert hello.json()["ip"] == "127.0.0.1"
        assert hello.json()["query"] == {"a": "ä b"}
        assert session.post(f"{url}/json", json={"ä": [1]}, timeout=slow(10)).json() == {"ä": [1]}

        first = session.get(f"{url}/cookie", timeout=slow(10))
        assert len(first.raw.headers.getlist("set-cookie")) == 2, "each is a field of its own"
        assert session.get(f"{url}/cookie", timeout=slow(10)).json() == {"got": "a=1; b=%C3%A4"}

        followed = session.get(f"{url}/redirect", timeout=slow(10))
        assert [answer.status_code for answer in followed.history] == [302]
        assert followed.json()["query"] == {"from": "redirect"}

        assert session.get(f"{url}/error", timeout=slow(10)).status_code == 500
        assert session.get(f"{url}/nothing/here", timeout=slow(10)).status_code == 404
        head = session.head(f"{url}/hello", timeout=slow(10))
        assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 20_000_000])
def test_bodies_of_any_size_arrive_whole(service: tuple[str, str], size: int) -> None:
    url, _ = service
    binary = {"content-type": "application/octet-stream"}
    sent = os.urandom(size)
    with httpx.Client(base_url=url, timeout=slow(30)) as client:
        if size > 0:
            answer = client.post("/upload", content=sent, headers=binary)
            assert answer.json() == {"size": size, "sha256": hashlib.sha256(sent).hexdigest()}
        got = client.get("/download", params={"size": size})
        assert (got.status_code, len(got.content)) == (200, size)
        assert got.content == b"x" * size


def test_an_upload_without_a_length_arrives_whole(service: tuple[str, str]) -> None:
    url, _ = service
    digest = hashlib.sha256()

    def body() -> Iterator[bytes]:
        for piece in pieces(3_000_000, 70_000):
            digest.update(piece)
            yield piece

    answer = httpx.post(f"{url}/upload", content=body(), timeout=slow(30),
                        headers={"content-type": "application/octet-stream"})
    assert answer.json() == {"size": 3_000_000, "sha256": digest.hexdigest()}


@pytest.fixture
def express(nodey: Callable[..., App], tmp_path: Path) -> App:
    return start(nodey, tmp_path, "express5")


def test_forms_and_files_of_express(express: App) -> None:
    url = f"http://127.0.0.1:{express.port}"
    assert requests.post(f"{url}/form", data={"a": "ä&b"}, timeout=slow(10)).json() == {"a": "ä&b"}
    script = (APPS / "express.js").read_bytes()
    whole = requests.get(f"{url}/file", timeout=slow(10))
    assert whole.content == script
    part = requests.get(f"{url}/file", headers={"range": "bytes=3-9"}, timeout=slow(10))
    assert (part.status_code, part.content) == (206, script[3:10])
    same = requests.get(f"{url}/file", headers={"if-none-match": whole.headers["etag"]},
                        timeout=slow(10))
    assert (same.status_code, same.content) == (304, b"")


def clients_left(express: App) -> int:
    return int(requests.get(f"http://127.0.0.1:{express.port}/hello",
                            timeout=slow(10)).json()["left"])


def test_events_come_at_once_and_end_with_the_client(express: App) -> None:
    with httpx.stream("GET", f"http://127.0.0.1:{express.port}/events",
                      timeout=slow(10)) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        lines = (line for line in answer.iter_lines() if line)
        assert [next(lines) for _ in range(5)] == [f"data: {n}" for n in range(1, 6)]
    until(lambda: clients_left(express) == 1, 10, "the app is told that the client left")


def test_an_app_waits_for_a_client_that_reads_slowly_and_hears_of_its_leaving(express: App
                                                                             ) -> None:
    with express.connect() as connection:
        connection.send(b"GET /download?size=50000000 HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: clients_left(express) == 0, 5, "the app answers others meanwhile")
    until(lambda: clients_left(express) == 1, 10, "the app is told that the client left")


CLIENT = """
const { WebSocket } = require('ws');
const connect = require('socket.io-client');
const port = process.argv[2];

function once(emitter, event) {
    return new Promise((resolve, reject) => {
        emitter.once(event, (...values) => resolve(values));
        emitter.once('error', reject);
        emitter.once('connect_error', reject);
    });
}

async function main() {
    const answer = await fetch(`http://127.0.0.1:${port}/json`, {
        method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"by":"fetch"}' });
    console.log(JSON.stringify(await answer.json()));
    const socket = new WebSocket(`ws://127.0.0.1:${port}/echo`);
    await once(socket, 'open');
    // By then socket.io has closed what nobody seems to have answered.
    await new Promise((next) => setTimeout(next, 500));
    for (const data of ['text ä', Buffer.alloc(200000, 1)]) {
        socket.send(data);
        const [back, isBinary] = await once(socket, 'message');
        console.log(isBinary, Buffer.compare(back, Buffer.from(data)));
    }
    socket.close(4000, 'enough');
    console.log(...(await once(socket, 'close')).map(String));
    for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']]) {
        const io = connect(`http://127.0.0.1:${port}`, { transports, forceNew: true });
        await once(io, 'connect');
        const sum = await io.emitWithAck('add', 40, 2);
        while (io.io.engine.transport.name !== transports.at(-1)) await new Promise((next) => setTimeout(next, 10));
        console.log(sum, io.io.engine.transport.name);
        io.close();
    }
}

main().then(() => process.exit(0), (error) => {
    console.error(error);
    process.exit(1);
});
"""


def test_websockets_and_socket_io_reach_the_app(express: App) -> None:
    script = express.folder / "client.js"
    script.write_text(CLIENT)
    done = subprocess.run(["node", str(script), str(express.port)], capture_output=True,
                          text=True, timeout=slow(60), check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        '{"by":"fetch"}', "false 0", "true 0", "4000 enough",
        "42 polling", "42 websocket", "42 websocket"]


def test_what_the_app_prints_is_in_the_log(express: App) -> None:
    express.wait_log(r"web#0 \| listening on 3000")
