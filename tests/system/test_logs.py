"""Log files and `nodey logs`: every line, in order, whatever happens to the disk meanwhile."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

import pytest

import command
from app import BINARY, App
from load import Load, echo
from timing import slow, until

pytestmark = pytest.mark.outside

Nodey = Callable[..., App]

MEBIBYTE = 1 << 20

# It writes what a request says, the body of a POST to /say, or so many numbered lines: /count?from=0&to=9.
TALK = """
import os, sys, nodey

def put(data):
    while data:
        data = data[os.write(2, data):]

@nodey.post("/say")
def say(req):
    put(req.body)
    return "said"

@nodey.get("/count")
def count(req):
    first, last, size = (int(req.query.get(n, "0")) for n in ("from", "to", "size"))
    for begin in range(first, last, 500):
        put(b"".join(b"line %07d %s\\n" % (n, b"x" * size)
                     for n in range(begin, min(begin + 500, last))))
    return "counted"

@nodey.get("/log")
def log(req):
    nodey.log.warn("from the SDK", order=7)
    return "logged"

@nodey.get("/echo")
def echo(req):
    return req.query["id"]

@nodey.get("/die")
def die(req):
    os._exit(3)
"""

FAST = "log_rate = 1000000\n"


def talk(name: str = "talk", settings: str = FAST) -> str:
    return f'[workers.{name}]\nscript = "talk.py"\ninstances = 1\n{settings}\n'


def start(nodey: Nodey, config: str = "", files: Optional[dict[str, str]] = None,
          **words: Any) -> App:
    return nodey(files={"talk.py": TALK, **(files or {})}, config=config or talk(), **words)


def say(app: App, *lines: bytes, end: bytes = b"\n") -> None:
    assert app.post("/say", b"".join(line + end for line in lines)).text == "said"


def folder(app: App) -> Path:
    return app.folder / ".nodey" / "logs"


def packed(path: Path) -> str:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return data.decode()


def number(path: Path) -> int:
    found = re.search(r"\.log\.(\d+)", path.name)
    return int(found.group(1)) if found else 0


def files(where: Path, name: str = "talk") -> list[Path]:
    """Of one program, the oldest first."""
    found = [p for p in where.glob(f"{name}.log*") if not p.name.endswith(".part")]
    return sorted(found, key=number, reverse=True)


def records(app: App, name: str = "talk") -> list[dict[str, Any]]:
    """Those of all its files; again when one was put aside meanwhile."""

    def read() -> Optional[list[str]]:
        before = files(folder(app), name)
        try:
            text = "".join(packed(path) for path in before)
        except FileNotFoundError:
            return None
        return [text] if before == files(folder(app), name) else None

    [text] = until(read, 5, f"the files of {name} stay as they are for a moment")
    lines = text.split("\n")[:-1]  # the rest is still being written
    return [json.loads(line) for line in lines if line]


def texts(app: App, name: str = "talk") -> list[str]:
    return [record["text"] for record in records(app, name)]


def wait_record(app: App, text: str, name: str = "talk") -> dict[str, Any]:
    def find() -> Optional[dict[str, Any]]:
        return next((r for r in records(app, name) if r["text"] == text), None)

    return until(find, 5, f'"{text}" in the log of {name}')


def logs(app: App, *words: str, **options: Any) -> command.Done:
    return command.run(app.folder, "logs", *words, **options)


class Follower:
    """`nodey logs -f` whose output is collected in a file."""

    def __init__(self, where: Path, *words: str) -> None:
        self.path = where / f"follower-{time.monotonic_ns()}.txt"
        with self.path.open("wb") as out:
            self.process = subprocess.Popen([str(BINARY), "logs", "-f", *words], cwd=where,
                                            env=command.environment(), stdout=out,
                                            stderr=subprocess.PIPE)

    def text(self) -> str:
        return self.path.read_text(errors="replace")

    def wait(self, pattern: str, seconds: float = 10) -> None:
        until(lambda: re.search(pattern, self.text()), seconds, f"{pattern} is followed")

    def stop(self, sig: int = signal.SIGINT) -> int:
        self.process.send_signal(sig)
        code = self.process.wait(slow(5))
        assert self.process.stderr
        self.process.stderr.close()
        return code


@pytest.fixture
def follow() -> Iterator[Callable[..., Follower]]:
    started: list[Follower] = []

    def begin(where: Path, *words: str) -> Follower:
        started.append(Follower(where, *words))
        return started[-1]

    yield begin
    for follower in started:
        if follower.process.poll() is None:
            follower.process.kill()
        follower.process.wait()
        if follower.process.stderr:
            follower.process.stderr.close()


def numbered(text: str) -> list[int]:
    return [int(n) for n in re.findall(r"line (\d{7})", text)]


# ------------------------------------------------------------------------ what is kept


def test_each_line_is_a_record_with_time_name_and_request(nodey: Nodey) -> None:
    app = start(nodey)
    before = time.time()
    say(app, b"hello")
    record = wait_record(app, "hello")
    stamp = time.strptime(record["time"][:19], "%Y-%m-%dT%H:%M:%S")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", record["time"])
    assert abs(time.mktime(stamp) - time.timezone - before) < 60
    assert (record["name"], record["instance"]) == ("talk", 0)
    assert (record["stream"], record["level"]) == ("stderr", "info")
    assert record["request"] == "POST /say" and record["request_id"]
    line = (folder(app) / "talk.log").read_text().splitlines()[-1]
    assert line.startswith('{"time":"' + record["time"]), "the time stands first"


def test_what_the_bytes_were_can_be_told(nodey: Nodey) -> None:
    app = start(nodey)
    lines = [b"\xff\xfe half \xf0\x9f\x98", "gr\u00fc\u00df \U0001f600".encode(), b'"q" \\ \x00\x01\t.',
             b"\x1b[31mred\x1b[0m", b"  blanks  ", b"\\xff in letters"]
    say(app, *lines)
    say(app, b"crlf", end=b"\r\n")
    wait_record(app, "crlf")
    raw = logs(app, "--raw", "talk", "--err").bytes
    assert raw == b"\n".join([*lines, b"crlf"]) + b"\n"
    bad = records(app)[-7]
    assert bad["text"] == "\\xff\\xfe half \\xf0\\x9f\\x98" and bad["base64"]
    assert "base64" not in records(app)[-6], "what is UTF-8 is there once"


def test_a_line_that_is_not_ended_is_kept_at_the_end_of_the_process(nodey: Nodey) -> None:
    app = start(nodey)
    say(app, b"the last", end=b"")
    app.get("/die")
    wait_record(app, "the last")


def test_a_long_line_is_cut_once_and_says_so(nodey: Nodey) -> None:
    app = start(nodey)
    say(app, b"a" * 8192, b"b" * 100_000, b"after")
    wait_record(app, "after")
    whole, cut, after = [r for r in records(app) if r["stream"] == "stderr"][-3:]
    assert whole["text"] == "a" * 8192 and "cut" not in whole
    assert cut["text"] == "b" * 8192 and cut["cut"] is True
    assert after["text"] == "after"
    assert "bbb ... (cut after 8 KiB)" in logs(app, "talk").out
    assert "bbb ... (cut after 8 KiB)" in app.log()


JSON_LINES = {  # the line: level, text, what is shown of the rest
    '{"level":30,"time":1700000000000,"pid":7,"hostname":"h","msg":"pino says","user":"ann"}':
        ("info", "pino says", "user=ann"),
    '{"level":50,"msg":"it \\"broke\\"","err":{"type":"E","n":[1,2]},"where":"a b"}':
        ("error", 'it "broke"', 'err={"type":"E","n":[1,2]} where="a b"'),
    '{"event": "structlog says", "level": "warning", "timestamp": "2026-01-01T00:00:00Z", "n": 3}':
        ("warn", "structlog says", "n=3"),
    '{"name":"bunyan","v":0,"level":20,"message":"bunyan says","ok":true}':
        ("debug", "bunyan says", "name=bunyan ok=true"),
    '{"severity":"ERROR","message":"cloud says","empty":""}':
        ("error", "cloud says", 'empty=""'),
}


def test_json_lines_are_kept_as_fields_and_shown_as_words(nodey: Nodey) -> None:
    app = start(nodey)
    say(app, *(line.encode() for line in JSON_LINES), b'{"no":"message"}', b'{"not": json}', b"{}")
    wait_record(app, "{}")
    kept = [r for r in records(app) if r["stream"] == "stderr"][-8:]
    shown = logs(app, "talk", "--no-log-prefix").out.splitlines()
    marks = {"info": "", "error": "error: ", "warn": "warning: ", "debug": "debug: "}
    for record, (line, (level, text, rest)) in zip(kept, JSON_LINES.items()):
        assert (record["level"], record["text"]) == (level, text)
        assert record["fields"] == json.loads(line)
        assert f"{marks[level]}{text} {rest}" in shown
        assert f"{text} {rest}" in app.log()
    assert kept[5]["fields"] == {"no": "message"} and kept[5]["text"] == '{"no":"message"}'
    assert '{"no":"message"}' in shown, "not twice"
    assert "fields" not in kept[6] and kept[6]["text"] == '{"not": json}'
    raw = logs(app, "--raw", "--err", "talk").out.splitlines()
    assert raw[-8:-3] == list(JSON_LINES), "byte for byte"


def test_log_frames_and_nodeys_own_words_are_in_the_programs_file(nodey: Nodey) -> None:
    app = start(nodey)
    app.get("/log")
    record = wait_record(app, "from the SDK")
    assert (record["stream"], record["level"], record["fields"]) == ("log", "warn", {"order": 7})
    app.get("/die")
    until(lambda: any(r["stream"] == "nodey" and "exited" in r["text"] for r in records(app)),
          5, "nodey says that it ended")
    assert all(r["name"] == "talk" for r in records(app))
    app.stop()
    own = records(app, "nodey")
    assert {r["name"] for r in own} == {"nodey"} and "shutting down" in own[-1]["text"]
    assert any("nodey ready on" in r["text"] for r in own)


SERVICE = """
import sys, time
print("on stdout")
print("on stderr", file=sys.stderr)
print('{"level":"error","msg":"as json","n":1}')
time.sleep(3600)
"""


def test_a_service_writes_on_both_without_flushing(nodey: Nodey) -> None:
    app = start(nodey, talk() + f'[services.chat]\ncommand = ["{sys.executable}", "chat.py"]\n',
                {"chat.py": SERVICE})
    wait_record(app, "as json", "chat")
    by_text = {r["text"]: r for r in records(app, "chat")}
    assert by_text["on stdout"]["stream"] == "stdout"
    assert by_text["on stderr"]["stream"] == "stderr"
    assert by_text["as json"]["level"] == "error" and by_text["as json"]["fields"]["n"] == 1
    assert logs(app, "chat", "--out").out == \
        "chat#0 | on stdout\nchat#0 | error: as json n=1\n"
    assert logs(app, "chat", "--err").out == "chat#0 | on stderr\n"
    assert re.search(r"chat#0 \| on stdout$", app.log(), re.M)


def test_colours_stay_in_files_and_go_where_a_terminal_reads(nodey: Nodey) -> None:
    app = start(nodey)
    say(app, b"\x1b[1;31mred\x1b[0m \x1b[2Jclear")
    wait_record(app, "\x1b[1;31mred\x1b[0m \x1b[2Jclear")
    assert logs(app, "talk").out.splitlines()[-1] == "talk#0 | red \\x1b[2Jclear"
    assert "red \\x1b[2Jclear" in app.log() and "\x1b" not in app.log()
    with command.Terminal(app.folder, ["logs", "talk"]) as terminal:
        terminal.end()
        assert "\x1b[1;31mred\x1b[0m \\x1b[2Jclear\x1b[0m" in terminal.seen
        assert "\x1b[2Jclear" not in terminal.seen
        assert re.search(r"\x1b\[\d+mtalk#0", terminal.seen)
    with command.Terminal(app.folder, ["logs", "talk", "--no-color"]) as terminal:
        terminal.end()
        assert "red" in terminal.seen and "\x1b" not in terminal.seen


def test_files_can_be_switched_off_and_on_again_without_a_restart(nodey: Nodey) -> None:
    app = start(nodey, "[server]\nlog_files = false\n" + talk())
    say(app, b"unkept")
    app.wait_log("unkept")
    time.sleep(0.1)
    assert not folder(app).exists()
    done = logs(app, "talk")
    assert done.code == 0 and done.out == "" and "no logs yet" in done.err
    (app.folder / "nodey.toml").write_text(talk())
    assert command.run(app.folder, "reload").code == 0
    say(app, b"kept")
    wait_record(app, "kept")
    assert "unkept" not in texts(app)


def test_the_folder_is_the_owners_alone(nodey: Nodey) -> None:
    app = start(nodey)
    say(app, b"secret")
    wait_record(app, "secret")
    assert folder(app).stat().st_mode & 0o777 == 0o700
    assert (folder(app) / "talk.log").stat().st_mode & 0o777 == 0o600


def test_a_run_for_one_command_leaves_the_files_alone(tmp_path: Path) -> None:
    (tmp_path / "talk.py").write_text(TALK)
    (tmp_path / "nodey.toml").write_text(talk())
    done = command.run(tmp_path, "call", "talk", "GET /count?from=1&to=2")
    assert done.out.strip() == "counted" and "line 0000001" in done.err
    assert not (tmp_path / ".nodey" / "logs").exists()


# ------------------------------------------------------------------------ rotation

ROTATED = "[server]\nlog_max_size = \"{size}\"\nlog_max_files = {files}\n"


def test_rotation_under_load_loses_and_doubles_nothing(nodey: Nodey, follow: Any) -> None:
    app = start(nodey, ROTATED.format(size="256K", files=500) + talk())
    one = follow(app.folder, "talk", "--raw", "-n", "all")
    other = follow(app.folder, "-n", "all")
    seen_meanwhile = []
    for begin in range(0, 30_000, 3_000):
        app.get(f"/count?from={begin}&to={begin + 3000}&size=40")
        seen_meanwhile.append(numbered(logs(app, "talk", "-n", "all").out))
    wait_record(app, "line 0029999 " + "x" * 40)
    expected = list(range(30_000))
    assert numbered("\n".join(texts(app))) == expected
    for seen in seen_meanwhile:
        assert seen == expected[:len(seen)], "a reader meets each line once, in order"
    for follower in (one, other):
        follower.wait("line 0029999")
        assert numbered(follower.text()) == expected
        assert follower.stop() == 130
    assert len(files(folder(app))) > 3, "it did rotate"
    assert numbered(logs(app, "-n", "all").out) == expected


def test_old_files_are_compressed_counted_and_removed(nodey: Nodey) -> None:
    app = start(nodey, ROTATED.format(size="64K", files=3) + talk())
    for begin in range(0, 10_000, 500):
        app.get(f"/count?from={begin}&to={begin + 500}")
        time.sleep(0.02)
    wait_record(app, "line 0009999 ")
    until(lambda: len(list(folder(app).glob("talk.log.*.gz"))) == 2, 5, "two are compressed")
    names = [path.name for path in files(folder(app))]
    assert names[:2] == ["talk.log.2.gz", "talk.log.1.gz"] and len(names) <= 3
    kept = numbered("\n".join(texts(app)))
    assert kept == list(range(kept[0], 10_000)), "what is left is the newest, without a gap"
    assert kept[0] > 0
    (app.folder / "nodey.toml").write_text(
        ROTATED.format(size="64K", files=1) + "log_compress = false\n" + talk())
    command.run(app.folder, "reload")
    for begin in range(10_000, 14_000, 500):
        app.get(f"/count?from={begin}&to={begin + 500}")
        time.sleep(0.02)
    until(lambda: len(files(folder(app))) <= 1, 5, "one file is left")


def test_uncompressed_when_told_so(nodey: Nodey) -> None:
    app = start(nodey, ROTATED.format(size="64K", files=40) + "log_compress = false\n" + talk())
    for begin in range(0, 2_000, 500):
        app.get(f"/count?from={begin}&to={begin + 500}&size=60")
        time.sleep(0.05)
    wait_record(app, "line 0001999 " + "x" * 60)
    assert (folder(app) / "talk.log.1").exists() and not list(folder(app).glob("*.gz"))
    assert numbered(logs(app, "talk", "-n", "all").out) == list(range(2_000))


def test_a_packing_that_was_cut_short_is_tidied_up(nodey: Nodey) -> None:
    app = start(nodey, ROTATED.format(size="64K", files=9) + talk())
    say(app, b"newest")
    wait_record(app, "newest")
    line = '{"time":"2020-01-01T00:00:00.000000Z","name":"talk","stream":"stderr",' \
           '"level":"info","text":"line %07d"}\n'
    old = "".join(line % n for n in range(100))
    (folder(app) / "talk.log.1").write_text(old)
    (folder(app) / "talk.log.1.gz").write_bytes(gzip.compress(old.encode()))
    (folder(app) / "talk.log.1.gz.part").write_bytes(b"\x1f\x8b half")
    assert numbered(logs(app, "talk", "-n", "all").out) == list(range(100))
    app.get("/count?from=100&to=1000&size=100")
    until(lambda: (folder(app) / "talk.log.2").exists(), 5, "it rotated")
    until(lambda: (folder(app) / "talk.log.1.gz").exists(), 5, "and packed")
    assert not (folder(app) / "talk.log.2.gz").exists()
    assert numbered(logs(app, "talk", "-n", "all").out) == list(range(1000))


# ------------------------------------------------------------------------ bad disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB where the logs of the first app will be."""
    where = tmp_path / "app0" / ".nodey" / "logs"
    where.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(where)],
                   check=True)
    yield where
    subprocess.run(["umount", "-l", str(where)], check=True)


def test_a_full_disk_costs_lines_that_are_counted_and_nothing_else(
        nodey: Nodey, tmp_path: Path, small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"b" * (MEBIBYTE - 128 * 1024))
    app = start(nodey, folder=tmp_path / "app0")
    for begin in range(0, 40_000, 5_000):
        app.get(f"/count?from={begin}&to={begin + 5000}&size=100")
        assert app.get("/echo?id=5").text == "5"
    app.wait_log(r"talk\.log cannot be written: No space left on device")
    assert app.log().count("cannot be written") == 1, "told once"
    assert not re.search(r"\d+ log lines were lost", app.log()), "it is not over"
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    lost = int(app.wait_log(r"nodey warning: (\d+) log lines were lost: No space left on device",
                            10).group(1))
    say(app, b"well again")
    wait_record(app, "well again")
    kept = numbered("\n".join(texts(app)))
    assert kept == sorted(set(kept)), "in order, none twice"
    missing = 40_000 - len(kept)
    assert 0 < missing <= lost, (missing, lost)
    note = next(r for r in records(app) if "were lost here" in r["text"])
    assert note["stream"] == "nodey" and note["level"] == "warn"
    assert missing <= int(note["text"].split()[0]) <= lost
    app.get("/count?from=50000&to=50010")
    wait_record(app, "line 0050009 ")


def test_a_short_trouble_loses_nothing(nodey: Nodey, tmp_path: Path) -> None:
    where = tmp_path / "app0" / ".nodey" / "logs" / "talk.log"
    where.mkdir(parents=True)  # a folder where the file should be
    app = start(nodey, folder=tmp_path / "app0")
    app.get("/count?from=0&to=1000")
    app.wait_log(r"talk\.log cannot be written: Is a directory")
    where.rmdir()
    app.wait_log("log files can be written again: no line was lost")
    wait_record(app, "line 0000999 ")
    assert numbered("\n".join(texts(app))) == list(range(1000))


def test_a_folder_that_is_removed_is_made_again(nodey: Nodey, follow: Any) -> None:
    app = start(nodey)
    say(app, b"before")
    wait_record(app, "before")
    follower = follow(app.folder, "--raw", "talk")
    follower.wait("before")
    shutil.rmtree(folder(app))
    say(app, b"after")
    wait_record(app, "after")
    follower.wait("after")
    assert follower.text().count("before") == 1


def test_a_file_that_is_a_pipe_does_not_hold_nodey_up(nodey: Nodey, tmp_path: Path) -> None:
    where = tmp_path / "app0" / ".nodey" / "logs"
    where.mkdir(parents=True)
    os.mkfifo(where / "talk.log")
    app = start(nodey, folder=tmp_path / "app0")
    say(app, b"one")
    app.wait_log(r"talk\.log cannot be written")
    assert app.get("/echo?id=1").text == "1"


def test_sigkill_of_nodey_loses_only_the_last_moments(nodey: Nodey) -> None:
    app = start(nodey)
    app.get("/count?from=0&to=5000")
    say(app, b"one more")
    time.sleep(slow(0.1))
    app.kill()
    assert numbered("\n".join(texts(app))) == list(range(5000))
    assert "one more" in texts(app)


def test_half_a_line_that_was_left_behind_does_not_spoil_the_next(nodey: Nodey) -> None:
    app = start(nodey)
    say(app, b"whole")
    wait_record(app, "whole")
    with (folder(app) / "talk.log").open("a") as file:
        file.write('{"time":"2026-11-21T10:00:00.0000')
    say(app, b"next")
    until(lambda: '"text":"next"' in (folder(app) / "talk.log").read_text(), 5, "the next line")
    lines = (folder(app) / "talk.log").read_text().splitlines()
    assert json.loads(lines[-1])["text"] == "next"
    shown = logs(app, "talk").out.splitlines()
    assert shown[-1] == "talk#0 | next" and shown[-2].startswith('{"time":"2026-11-21T10')


FLOOD = """
import os, time
line = b"flood " + b"f" * 93 + b"\\n"
block = line * 600
while True:
    os.write(2, block)
"""


def test_a_flood_leaves_memory_and_neighbours_alone(nodey: Nodey) -> None:
    quiet = talk("talk", "")
    app = start(nodey, quiet + f'[services.flood]\ncommand = ["{sys.executable}", "flood.py"]\n',
                {"flood.py": FLOOD})
    wait_record(app, "flood " + "f" * 93, "flood")
    before = app.rss()
    with Load(app.port, echo("/echo", posts=0), connections=2) as load:
        time.sleep(3)
    outcome = load.stop()
    outcome.require("ok", at_least=50)
    assert outcome.percentile(0.99) < slow(0.25)
    if not app.sanitized:
        assert app.rss() < before + 16 * MEBIBYTE
    dropped = [r for r in records(app, "flood") if "log lines dropped" in r["text"]]
    assert dropped and dropped[0]["stream"] == "nodey", "the file tells of the gap"
    assert int(dropped[-1]["text"].split()[0]) > 1000
    kept = sum(r["text"].startswith("flood") for r in records(app, "flood"))
    assert kept < 20_000


# ------------------------------------------------------------------------ nodey logs

OLD = [("2026-03-01T10:00:00.000001Z", "api", 0, "stderr", "info", "first"),
       ("2026-03-01T10:00:00.000002Z", "db", 0, "stdout", "info", "second"),
       ("2026-03-01T10:00:00.000003Z", "api", 1, "stdout", "error", "third\nwith two lines"),
       ("2026-03-01T11:30:00.000000Z", "db", 0, "stderr", "warn", "fourth"),
       ("2026-03-01T12:00:00.000000Z", "api", 0, "log", "debug", "fifth")]


def record(stamp: str, name: str, instance: int, stream: str, level: str, text: str,
           **more: Any) -> str:
    return json.dumps({"time": stamp, "name": name, "instance": instance, "stream": stream,
                       "level": level, "text": text, **more}, separators=(",", ":")) + "\n"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A folder with logs where no nodey runs."""
    where = tmp_path / ".nodey" / "logs"
    where.mkdir(parents=True)
    (tmp_path / "nodey.toml").write_text('[services.api]\ncommand = "true"\n'
                                         '[services.db]\ncommand = "true"\n'
                                         '[services.mute]\ncommand = "true"\n')
    for name in ("api", "db"):
        (where / f"{name}.log").write_text("".join(record(*r) for r in OLD if r[1] == name))
    return tmp_path


def shown(where: Path, *words: str) -> list[str]:
    done = command.run(where, "logs", "--no-log-prefix", *words)
    assert done.code == 0, done
    return done.out.splitlines()


def test_programs_are_merged_by_time_with_their_names(old: Path) -> None:
    done = command.run(old, "logs")
    assert done.out == ("api#0 | first\ndb#0  | second\napi#1 | error: third\n"
                        "api#1 | with two lines\ndb#0  | warning: fourth\n"
                        "api#0 | debug: fifth\n")
    assert command.run(old, "logs", "-t", "db").out.startswith(
        "2026-03-01T10:00:00.000002Z db#0 | second\n")


@pytest.mark.parametrize("words, expected", [
    (("-n", "1"), "warning: fourth|debug: fifth"),
    (("-n", "1", "api"), "debug: fifth"),
    (("-n", "0"), ""),
    (("--tail", "all", "db"), "second|warning: fourth"),
    (("--err",), "first|warning: fourth"),
    (("--out",), "second|error: third|with two lines"),
    (("--level", "warn"), "error: third|with two lines|warning: fourth"),
    (("--level", "warn", "-n", "1", "api"), "error: third|with two lines"),
    (("--grep", "^f(irst|ifth)$"), "first|debug: fifth"),
    (("--grep", "two"), "error: third|with two lines"),
    (("--since", "2026-03-01T11:00:00Z"), "warning: fourth|debug: fifth"),
    (("--since", "2026-03-01T12:00:00+01:00"), "warning: fourth|debug: fifth"),
    (("--until", "2026-03-01T10:00:00.000001Z"), "first"),
    (("--since", "2026-03-01 10:59", "--until", "2026-03-01 11:59"), "warning: fourth"),
    (("--since", "10m"), ""),
    (("mute",), ""),
])
def test_filters(old: Path, words: tuple[str, ...], expected: str,
                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    assert "|".join(shown(old, *words)) == expected


def test_local_times_are_local(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XYZ-5")  # five hours ahead of UTC
    assert shown(old, "--since", "2026-03-01 16:00") == ["warning: fourth", "debug: fifth"]


def test_relative_times(old: Path) -> None:
    now = time.gmtime(time.time() - 60)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", now)
    with (old / ".nodey/logs/db.log").open("a") as file:
        file.write(record(stamp, "db", 0, "stderr", "info", "a minute ago"))
    assert shown(old, "--since", "2m") == ["a minute ago"]
    assert shown(old, "--since", "30s") == []
    assert shown(old, "--since", str(int(time.time()) - 90)) == ["a minute ago"]


def test_a_request_is_found_by_its_id_or_its_end(old: Path) -> None:
    with (old / ".nodey/logs/db.log").open("a") as file:
        for n in (1, 2):
            file.write(record(f"2026-03-01T13:00:0{n}.000000Z", "db", 0, "stderr", "info",
                              f"of {n}", request_id=f"00000000abcdef0{n}"))
    assert shown(old, "--request", "00000000abcdef01") == ["of 1"]
    assert shown(old, "--request", "abcdef02") == ["of 2"]
    assert shown(old, "--request", "02") == [], "too little to tell requests apart"


def test_json_is_what_stands_in_the_file(old: Path) -> None:
    lines = command.run(old, "logs", "--json").out.splitlines(keepends=True)
    assert lines == [record(*r) for r in OLD]


def test_packed_files_are_read_too(old: Path) -> None:
    where = old / ".nodey" / "logs"
    lines = [record(f"2026-02-01T10:{n // 60:02}:{n % 60:02}.000000Z", "api", 0, "stderr",
                    "info", f"line {n:07}") for n in range(900)]
    (where / "api.log.2.gz").write_bytes(gzip.compress("".join(lines[:300]).encode()))
    (where / "api.log.1.gz").write_bytes(gzip.compress("".join(lines[300:600]).encode()))
    (where / "api.log").write_text("".join(lines[600:]))
    for count in (1, 299, 300, 301, 599, 600, 601, 899, 900, 901):
        assert numbered("\n".join(shown(old, "-n", str(count), "api"))) == \
            list(range(max(0, 900 - count), 900)), count
    assert numbered("\n".join(shown(old, "-n", "3", "--grep", "[02468]$", "api"))) == \
        [894, 896, 898]
    assert numbered("\n".join(shown(old, "-n", "2", "--grep", "line 00000[0-9][05]", "api"))) == \
        [90, 95]
    assert numbered("\n".join(shown(old, "--since", "2026-02-01T10:04:00Z", "api"))) == \
        list(range(240, 900))
    assert numbered("\n".join(shown(old, "--since", "2026-02-01T10:14:58Z", "api"))) == [898, 899]


def test_a_damaged_packed_file_gives_what_is_good_of_it(old: Path) -> None:
    where = old / ".nodey" / "logs"
    whole = gzip.compress("".join(
        record("2026-02-01T10:00:00.000000Z", "api", 0, "stderr", "info",
               f"line {n:07} {os.urandom(30).hex()}") for n in range(5000)).encode())
    (where / "api.log.1.gz").write_bytes(whole[:len(whole) // 2])
    found = numbered("\n".join(shown(old, "-n", "all", "api")))
    assert 500 < len(found) < 4500 and found == list(range(len(found)))
    assert shown(old, "-n", "all", "api")[-1] == "debug: fifth"


def test_wrong_words_are_told(old: Path) -> None:
    for words, said in ((("apo",), 'there is no program "apo".*did you mean "api"'),
                        (("-n", "some"), "-n takes a number"),
                        (("--level", "loud"), "debug, info, warn and error"),
                        (("--since", "yesterday"), '"yesterday" is no time'),
                        (("--since", "25:00"), "is no time"),
                        (("--grep", "(a"), r"--grep \(a: Unmatched"),
                        (("--json", "--raw"), "do not go together"),
                        (("--truncate",), "names of programs")):
        done = command.run(old, "logs", *words)
        assert done.code == (1 if words == ("apo",) else 2) and done.out == "", words
        assert re.search(said, done.err), (words, done.err)


def test_a_mistake_in_the_configuration_does_not_hide_the_logs(old: Path) -> None:
    (old / "nodey.toml").write_text("[server\n")
    done = command.run(old, "logs", "-n", "1", "db")
    assert done.code == 0 and done.out == "db#0 | warning: fourth\n"
    assert "nodey.toml:1" in done.err


def test_a_reader_that_leaves_ends_it_quietly(old: Path) -> None:
    (old / ".nodey/logs/api.log").write_text(record(*OLD[0]) * 50_000)
    script = f'"{BINARY}" logs -n all | head -n 2; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", script], cwd=old, capture_output=True, text=True,
                          timeout=slow(10), env=command.environment(), check=True)
    assert done.stdout == "api#0 | first\napi#0 | first\n0\n" and done.stderr == ""


def test_a_follower_whose_reader_leaves_ends_too(old: Path) -> None:
    follower = subprocess.Popen([str(BINARY), "logs", "-f"], cwd=old, stdout=subprocess.PIPE,
                                env=command.environment())
    assert follower.stdout and follower.stdout.readline() == b"api#0 | first\n"
    follower.stdout.close()
    assert follower.wait(slow(5)) == 0


def test_following_goes_through_restarts_and_finds_new_programs(nodey: Nodey,
                                                                follow: Any) -> None:
    app = start(nodey)
    say(app, b"long ago")
    wait_record(app, "long ago")
    follower = follow(app.folder, "-n", "0")
    time.sleep(0.3)
    say(app, b"one")
    follower.wait(r"talk#0 +\| one")
    app.get("/die")
    follower.wait(r"talk#0 .*exited")
    say(app, b"two")
    follower.wait(r"talk#0 +\| two")
    app.stop()
    again = start(nodey, talk() + talk("new"), folder=app.folder)
    follower.wait("nodey ready on")
    say(again, b"three")
    follower.wait(r"\| three")
    with (folder(app) / "late.log").open("w") as file:
        file.write(record("2030-01-01T00:00:00.000000Z", "late", 0, "stdout", "info", "late one"))
    follower.wait(r"late#0 +\| late one")
    assert "long ago" not in follower.text()
    assert follower.stop() == 130


def test_truncate_empties_a_program_that_goes_on(nodey: Nodey, follow: Any) -> None:
    app = start(nodey, ROTATED.format(size="64K", files=9) + talk())
    app.get("/count?from=0&to=2000&size=50")
    wait_record(app, "line 0001999 " + "x" * 50)
    until(lambda: list(folder(app).glob("talk.log.*.gz")), 5, "one is packed")
    follower = follow(app.folder, "talk")
    follower.wait("line 0001999")
    assert logs(app, "--truncate", "talk").code == 0
    assert [p.name for p in files(folder(app))] in ([], ["talk.log"])
    say(app, b"afresh")
    wait_record(app, "afresh")
    follower.wait("afresh")
    assert texts(app) == ["afresh"]


def test_a_follower_begins_anew_with_a_file_that_is_emptied(old: Path, follow: Any) -> None:
    follower = follow(old, "api")
    follower.wait("fifth")
    assert command.run(old, "logs", "--truncate", "api").code == 0
    assert (old / ".nodey/logs/api.log").read_text() == ""
    with (old / ".nodey/logs/api.log").open("a") as file:
        file.write(record(*OLD[0][:5], "afresh"))
    follower.wait("afresh")
    assert command.run(old, "logs", "--truncate", "api", "db").code == 0
    assert shown(old) == []


# ------------------------------------------------------------------------ large files


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """1 GiB of log."""
    where = tmp_path_factory.mktemp("large")
    path = where / ".nodey" / "logs" / "api.log"
    path.parent.mkdir(parents=True)
    (where / "nodey.toml").write_text('[services.api]\ncommand = "true"\n')
    lines = "".join(record("2026-03-01T10:00:00.000000Z", "api", 0, "stderr", "info",
                           f"line {n:07} {'x' * 300}") for n in range(2500)).encode()
    with path.open("wb") as file:
        for _ in range(1024 * MEBIBYTE // len(lines)):
            file.write(lines)
        file.write(record("2026-03-01T11:00:00.000000Z", "api", 0, "stderr", "info",
                          "the needle").encode())
    yield where
    path.unlink()


# A child begins with the peak of who forked it, so that must be somebody small.
MEASURE = """
import resource, subprocess, sys, time
begun = time.monotonic()
done = subprocess.run(sys.argv[1:])
took = time.monotonic() - begun
print(took, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(done.returncode)
"""


def measured(where: Path, *words: str) -> tuple[float, int, str]:
    """Seconds, peak of its memory in bytes, and what it printed."""
    done = subprocess.run([sys.executable, "-c", MEASURE, str(BINARY), "logs", *words],
                          cwd=where, capture_output=True, timeout=120, check=True,
                          env=command.environment())
    took, peak = done.stderr.split()
    return float(took), int(peak) * 1024, done.stdout.decode()


def test_the_last_lines_of_a_gigabyte_come_at_once(large: Path) -> None:
    took, peak, out = measured(large, "-n", "10")
    assert out.splitlines()[-1] == "api#0 | the needle" and len(out.splitlines()) >= 6
    assert took < slow(0.1), took
    took, peak, out = measured(large, "--since", "2026-03-01T10:30:00Z")
    assert out == "api#0 | the needle\n"
    assert took < slow(0.1), took


@pytest.mark.long
def test_searching_a_gigabyte_takes_no_memory(large: Path) -> None:
    _, peak, out = measured(large, "--grep", "needle")
    assert out == "api#0 | the needle\n"
    assert peak < 64 * MEBIBYTE, peak


def test_a_grep_that_finds_nothing_says_so_by_its_exit_code(nodey: Nodey) -> None:
    app = start(nodey)
    say(app, b"needle in a haystack")
    until(lambda: command.run(app.folder, "logs", "--grep", "needle").code == 0, 5, "it is found")
    done = command.run(app.folder, "logs", "--grep", "no such thing")
    assert (done.code, done.out, done.err) == (1, "", "")
    assert command.run(app.folder, "logs", "-n", "0").code == 0, "it has looked for nothing"


@pytest.mark.parametrize("kind", ["combined", "json"])
def test_the_access_log_shows_no_secret(nodey: Nodey, kind: str) -> None:
    app = start(nodey, f'[server]\naccess_log = "{kind}"\n'
                       + talk(settings=FAST + 'env = { API_KEY = "hunter2hunter2" }\n'))
    assert app.get("/echo?id=hunter2hunter2", {"Referer": "http://a/hunter2hunter2"}).text == \
        "hunter2hunter2"
    until(lambda: "/echo" in app.stdout(), 5, "it is noted")
    assert "hunter2" not in app.stdout() and "id=***" in app.stdout()
