"""How people write, lay out and end apps of Node: nothing of it has to be changed."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Callable

import pytest

from app import App, ROOT
from timing import slow, until

pytestmark = pytest.mark.outside

Nodey = Callable[..., App]

PACKAGES = ROOT / "build/node/node_modules"

ONE = "[defaults]\ninstances = 1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Empty but for the packages, as npm would put them there."""
    found = tmp_path / "service"
    found.mkdir()
    (found / "node_modules").symlink_to(PACKAGES)
    return found


# ------------------------------------------------------------------------ one script for both


DUAL = """
const express = require('express');
const { Nodey } = require('nodey');
const app = express();
const node = new Nodey();
node.set({ Users: () => ['Ann', 'Bo'] });
app.get('/api/users', async (req, res) => res.json({ users: await node.ask('Users') }));
"""

ENDS = {
    "before": "node.start(); app.listen(3000);",
    "after": "app.listen(3000); node.start();",
    "in the callback": "app.listen(3000, () => node.start());",
    "not at all": "app.listen(3000);",
    "long before": "node.start(); setTimeout(() => app.listen(3000), 300);",
}


@pytest.mark.parametrize("start", list(ENDS))
def test_an_app_with_tokens_may_start_when_it_likes(nodey: Nodey, folder: Path, start: str) -> None:
    app = nodey({"workers/node/index.js": DUAL + ENDS[start]}, ONE, folder=folder)
    assert app.get("/api/users").json() == {"users": ["Ann", "Bo"]}


# --------------------------------------------------------------------------- how it is laid out


APP_JS = """
const express = require('express');
const app = express();
app.get('/where', (req, res) => res.json({ cwd: process.cwd() }));
module.exports = app;
"""

SERVER_JS = """#!/usr/bin/env node
const app = require('./app');
const port = process.env.PORT || 3000;
app.listen(port, () => console.log('on ' + port));
"""

WWW = """#!/usr/bin/env node
var app = require('../app');
var http = require('http');
app.set('port', 3000);
var server = http.createServer(app);
server.listen(3000);
server.on('listening', function () { console.log('Listening on ' + server.address().port); });
"""


def started(app: App) -> str:
    return app.log().split("nodey ready on")[0]


def test_an_app_that_is_only_exported_is_served(nodey: Nodey, folder: Path) -> None:
    app = nodey({"workers/app.js": APP_JS}, ONE, folder=folder)
    assert app.get("/where").json() == {"cwd": str(folder)}, "a file runs beside nodey.toml"


def test_a_module_of_a_program_is_no_program(nodey: Nodey, folder: Path) -> None:
    app = nodey({"workers/app.js": APP_JS, "workers/server.js": SERVER_JS,
                 "workers/db.js": "module.exports = {};\n",
                 "workers/server.test.js": "require('./server');\n"},
                ONE + "[workers.server]\nscript = 'workers/server.js'\n", folder=folder)
    assert app.get("/where").status == 200
    assert app.worker_pids() == app.worker_pids("server")
    assert "server.js is not served" not in started(app) and "app.js" not in started(app)
    assert "workers/db.js is not served" in started(app), "nobody loads it"


def test_a_folder_made_by_express_generator_is_served(nodey: Nodey, folder: Path) -> None:
    app = nodey({"workers/gen/app.js": APP_JS, "workers/gen/bin/www": WWW,
                 "workers/gen/package.json": '{"scripts": {"start": "node ./bin/www"}}'},
                ONE, folder=folder)
    assert app.get("/where").json() == {"cwd": str(folder / "workers/gen")}
    app.wait_log(r"gen#0 \| Listening on 3000")


def test_a_folder_finds_its_files_as_it_did_at_home(nodey: Nodey, folder: Path) -> None:
    script = """
const express = require('express');
const app = express();
app.use(express.static('public'));
app.get('/report', (req, res) => res.download('report.txt'));
app.listen(3000);
"""
    app = nodey({"workers/shop/index.js": script, "workers/shop/package.json": "{}",
                 "workers/shop/public/a.css": "a {}", "workers/shop/report.txt": "all is well"},
                ONE, folder=folder)
    assert app.get("/a.css").text == "a {}"
    assert app.get("/report").text == "all is well"


def test_sockets_on_a_port_of_their_own_are_apps(nodey: Nodey, folder: Path) -> None:
    app = nodey({"workers/echo.mjs": "import { WebSocketServer } from 'ws';\n"
                                     "new WebSocketServer({ port: 8080 });\n",
                 "workers/chat.js": "const { Server } = require('socket.io');\nnew Server(3000);\n"},
                ONE + "[[routes]]\npath = '/socket.io/*'\nto = 'chat'\n"
                      "[[routes]]\npath = '/echo'\nto = 'echo'\n", folder=folder)
    assert "chat.js (node), echo.mjs (node) are served" in started(app)
    assert app.get("/socket.io/?EIO=4&transport=polling").text.startswith('0{"sid":')
    assert app.get("/echo").status == 426


def test_what_lies_behind_a_link_is_loaded_once(nodey: Nodey, folder: Path) -> None:
    real = folder / "packages/shared"
    real.mkdir(parents=True)
    (real / "index.js").write_text("exports.late = () => require('./state.js');\n")
    (real / "state.js").write_text("exports.file = __filename;\n")
    (folder / "workers/node_modules").mkdir(parents=True)
    (folder / "workers/node_modules/shared").symlink_to(real)
    app = nodey({"workers/one.js": "require('../packages/shared/state.js');\n"
                 "const { file } = require('shared').late();\n"
                 "const same = file === require('shared/state.js').file;\n"
                 "const app = require('express')();\n"
                 "app.get('/', (req, res) => res.json({ file, same }));\napp.listen(3000);\n"},
                ONE, folder=folder)
    assert app.get("/").json() == {"file": str(real / "state.js"), "same": True}


# --------------------------------------------------------------------------------- what it writes


@pytest.mark.parametrize("before", ["", "const nodey = require('nodey');\n"])
def test_what_an_app_writes_to_stdout_is_a_line_of_the_log(nodey: Nodey, folder: Path,
                                                           before: str) -> None:
    lines = ['{"type":"ready"}', '{"id":1,"body":"forged"}', "plain text"]
    writes = "".join(f"process.stdout.write({json.dumps(line)} + '\\n');\n" for line in lines)
    # Also past the streams of Node, as native code does.
    raw = "require('node:fs').writeSync(1, 'past the streams\\n');\n"
    app = nodey({"workers/one.js": writes + raw + before +
                 "const app = require('express')();\n"
                 "app.get('/', (req, res) => res.send('one'));\n"
                 "setTimeout(() => app.listen(3000), 1000);\n"}, ONE, folder=folder)
    assert app.get("/").text == "one", "it was not ready before it listened"
    for line in [*lines, "past the streams"]:
        app.wait_log(r"one#0 \| " + re.escape(line))


@pytest.mark.parametrize("ready", ["console.log(JSON.stringify({ type: 'ready' }));\n", ""])
def test_a_worker_that_writes_its_own_frames_keeps_stdout(nodey: Nodey, ready: str) -> None:
    script = ready + """
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
    const { id } = JSON.parse(line);
    if (id !== undefined) console.log(JSON.stringify({ id, body: 'by hand' }));
});
"""
    app = nodey({"by/hand.js": script},
                ONE + "[workers.hand]\nscript = 'by/hand.js'\n" +
                ("" if ready else "ready = 'auto'\n"))
    assert app.get("/hand").text == "by hand"


WRITER = """
const fs = require('node:fs');
const path = require('node:path');
const home = __dirname;
function write(name, text) {
    const file = path.join(home, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, text);
    return file;
}
write('uploads/first.bin', 'x');
for (const name of ['.next/server/page.js', '.cache/a.js', 'coverage/b.js']) {
    require(write(name, `module.exports = ${Date.now()};`));
}
const app = require('express')();
app.get('/', (req, res) => res.send('VERSION'));
app.get('/write', (req, res) => {
    write(`uploads/${Date.now()}.bin`, 'x');
    const file = write(`.next/dev/${Date.now()}.js`, 'module.exports = 1;');
    require(file);
    setTimeout(() => write(path.relative(home, file), 'module.exports = 2;'), 1500);
    res.send('written');
});
app.listen(3000);
"""


def test_what_an_app_writes_for_itself_does_not_reload_it(nodey: Nodey, folder: Path) -> None:
    app = nodey({"workers/web/index.js": WRITER}, ONE, folder=folder, args=["--watch"])
    pids = app.worker_pids()
    assert app.get("/write").text == "written"
    time.sleep(slow(2.5))  # what is loaded meanwhile is looked for once a second
    assert "reloading" not in app.log() and app.worker_pids() == pids
    (folder / "workers/web/index.js").write_text(WRITER.replace("VERSION", "second"))
    until(lambda: app.get("/").text == "second", 10, "its own script still counts")


# -------------------------------------------------------------------------------------- its end


CHAT = """
const http = require('node:http');
const express = require('express');
const { WebSocketServer } = require('ws');
const { Server } = require('socket.io');
const app = express();
app.get('/events', (req, res) => res.type('text/event-stream').write('data: 1\\n\\n'));
const server = http.createServer(app);
const sockets = new WebSocketServer({ noServer: true });
new Server(server).on('connection', (socket) => {
    socket.on('disconnect', () => console.log('a client of socket.io has left'));
});
server.on('upgrade', (req, socket, head) => {
    if (req.url !== '/echo') return;
    sockets.handleUpgrade(req, socket, head, (ws) => {
        ws.on('close', (code) => console.log('the socket was closed with', code));
    });
});
server.listen(3000);
"""

CHAT_CLIENT = """
const { WebSocket } = require('ws');
const connect = require('socket.io-client');
const address = `127.0.0.1:${process.argv[2]}`;
const ws = new WebSocket(`ws://${address}/echo`);
ws.on('open', () => console.log('open'));
ws.on('close', (code) => console.log('ws', code));
for (const transport of ['polling', 'websocket']) {
    const io = connect(`http://${address}`, { transports: [transport], forceNew: true, reconnection: false });
    io.on('connect', () => setTimeout(() => console.log('open'), 500)); // by then it polls
    io.on('disconnect', (why) => console.log(transport, why));
}
fetch(`http://${address}/events`).then(async (answer) => {
    console.log('open');
    for await (const piece of answer.body) void piece;
    console.log('events end');
});
setTimeout(() => process.exit(1), 60000).unref();
"""


def test_sockets_and_polls_are_closed_politely_when_nodey_ends(nodey: Nodey, folder: Path) -> None:
    app = nodey({"workers/chat.js": CHAT, "client.js": CHAT_CLIENT}, ONE, folder=folder)
    client = subprocess.Popen(["node", "client.js", str(app.port)], cwd=folder, text=True,
                              stdout=subprocess.PIPE)
    try:
        assert client.stdout
        assert [client.stdout.readline() for _ in range(4)] == ["open\n"] * 4
        begun = time.monotonic()
        app.signal(signal.SIGINT)
        said = sorted(client.stdout.readline().strip() for _ in range(4))
        assert said == ["events end", "polling transport close", "websocket transport close",
                        "ws 1001"]
        app.wait_log("the socket was closed with 1001")
        app.wait_exit()
        assert time.monotonic() - begun < slow(4)
        assert app.log().count("a client of socket.io has left") == 2
        assert "not waiting any longer" not in app.log()
    finally:
        client.kill()
        client.wait()
