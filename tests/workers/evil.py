"""A worker that misbehaves when a request asks for it: ?do=garbage, ?do=half, ...

It speaks the protocol by hand, without the SDK, so that what reaches the pipe is exactly
what a test wants there.  Without `do` it echoes: the body of a POST, else the query's
`id`; the fields x-echo-id, x-pid and x-instance say who answered what.

Words on the command line, all optional:
    concurrency=N     handle N requests at once, each in a thread of its own
    features=a,b      declared in `ready`; ping and cancel are honoured when declared
    prefetch=N        declared in `ready`
    tokens=A,B        answered as asks, with the arguments as the value
    journal=FILE      one line is appended for each start, request, cancel and signal
    noterm=1          SIGTERM and the end of the input are ignored
    start=SECONDS     sleeps before `ready`
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from typing import Any, Callable, Optional
from urllib.parse import parse_qsl

WORDS = dict(word.split("=", 1) for word in sys.argv[1:])
CONCURRENCY = int(WORDS.get("concurrency", "1"))
FEATURES = [name for name in WORDS.get("features", "").split(",") if name]
INPUT = sys.stdin.buffer
OUTPUT = 1

lock = threading.Lock()
cancelled: dict[int, threading.Event] = {}
terminated = threading.Event()
threads: list[threading.Thread] = []
handled = 0


def put(data: bytes, fd: int = OUTPUT) -> None:
    """Writes all of it."""
    with lock:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest):]


def emit(frame: dict[str, Any]) -> None:
    put(json.dumps(frame, ensure_ascii=False).encode() + b"\n")


def note(text: str) -> None:
    """One line in the journal; one write, so that the lines of several workers stay whole."""
    if "journal" in WORDS:
        fd = os.open(WORDS["journal"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.write(fd, f"{os.getpid()} {text}\n".encode())
        os.close(fd)


class Request:
    def __init__(self, frame: dict[str, Any], late: bool) -> None:
        self.frame = frame
        self.id: int = frame["id"]
        self.query = dict(parse_qsl(frame.get("query", ""), keep_blank_values=True))
        self.late = late  # its line was read after a SIGTERM

    def fields(self) -> dict[str, str]:
        fields = {"x-echo-id": self.query.get("id", ""), "x-pid": str(os.getpid()),
                  "x-instance": os.environ.get("NODEY_INSTANCE", "")}
        return {**fields, "x-after-term": "1"} if self.late else fields

    def answer(self, **members: Any) -> dict[str, Any]:
        """A right answer to it, with other members when they are given."""
        if "body" in self.frame:
            body = {"body": self.frame["body"]}
        elif "body64" in self.frame:
            body = {"body64": self.frame["body64"]}
        else:
            body = {"body": self.query.get("id", "")}
        return {"id": self.id, "headers": self.fields(), **body, **members}

    def number(self, name: str, default: float) -> float:
        return float(self.query.get(name, default))


# ---------------------------------------------------------------- what it can do


def echo(request: Request) -> None:
    emit(request.answer())


def slow(request: Request) -> None:
    """?ms=N: answers after so long."""
    time.sleep(request.number("ms", 300) / 1000)
    echo(request)


def garbage(request: Request) -> None:
    """Lines that are no frames, then the answer."""
    put(b"plain text\n" b"\x00\x01\xff\xfe\x80\n" b"\n" b"\r\n" b"[1,2,3]\n" b"null\n" b"{}\n"
        b'{"level":30,"msg":"an object log line"}\n' b'{"type":"no such type","id":1}\n'
        b'{"broken\n' b'{"type":"ready"\n' b"progress 10%\n" b"\xf0\x9f\x98\n")
    echo(request)


def broken(request: Request) -> None:
    """A line that names its request and is not JSON."""
    put(b'{"id":%d,"status":200,"body":"half\n' % request.id)


def half(request: Request) -> None:
    put(b'{"id":%d,"status":200,"body":"half' % request.id)
    time.sleep(3600)


def halfexit(request: Request) -> None:
    put(b'{"id":%d,"status":200,"body":"half' % request.id)
    os._exit(0)


def huge(request: Request) -> None:
    """?mb=N: that much of an answer without an end, then silence."""
    put(b'{"id":%d,"body":"' % request.id)
    for _ in range(int(request.number("mb", 100))):
        put(b"x" * (1 << 20))
    time.sleep(3600)


def hugeline(request: Request) -> None:
    """An answer of ?mb=N megabytes on one line, with its end."""
    put(b'{"id":%d,"body":"' % request.id)
    for _ in range(int(request.number("mb", 2))):
        put(b"x" * (1 << 20))
    put(b'"}\n')


def line(request: Request) -> None:
    """An answer line of exactly ?size=N bytes."""
    head, tail = b'{"id":%d,"body":"' % request.id, b'"}'
    size = int(request.query["size"]) - len(head) - len(tail)
    put(head + b"y" * size + tail + b"\n")


def unknownid(request: Request) -> None:
    """Answers to requests that never were, then the answer."""
    for id in (0, request.id + 1000000, 2**53 - 1, 2**53, -1, "abc", None, 1.5, True):
        emit({"id": id, "body": f"stolen from {request.query.get('id')}"})
    echo(request)


def neighbours(request: Request) -> None:
    """Answers under the ids around its own, which may be open at another worker."""
    for distance in range(1, 17):
        for id in (request.id - distance, request.id + distance):
            emit({"id": id, "body": f"stolen from {request.query.get('id')}"})
    echo(request)


def dup(request: Request) -> None:
    line = json.dumps(request.answer()).encode() + b"\n"
    put(line * 3)


def duplater(request: Request) -> None:
    """Answers again when the next request is already there."""
    echo(request)
    following = INPUT.readline()
    echo(request)
    if following:
        handle_line(following)


def closeout(_: Request) -> None:
    """Closes everything that it could answer on, and lives."""
    os.close(1)
    os.close(3)
    time.sleep(3600)


def closein(request: Request) -> None:
    """Closes its input, answers, and lives."""
    os.close(0)
    echo(request)
    time.sleep(3600)


def deaf(_: Request) -> None:
    """Never reads again."""
    stopped.set()
    time.sleep(3600)


def exit(request: Request) -> None:
    os._exit(int(request.number("code", 0)))


def exitonce(request: Request) -> None:
    """Dies, unless the file ?flag=PATH is there already."""
    try:
        os.close(os.open(request.query["flag"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        echo(request)
        return
    os._exit(3)


def hang(_: Request) -> None:
    time.sleep(3600)


def noterm(_: Request) -> None:
    """Hangs, and ignores SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(3600)


def wait(request: Request) -> None:
    """Answers `cancelled` when it is cancelled, else nothing."""
    if CONCURRENCY > 1:
        cancelled[request.id].wait()
    else:
        while not cancelled[request.id].is_set():
            line = INPUT.readline()
            if not line:
                return
            handle_line(line)
    emit({"type": "error", "id": request.id, "code": "cancelled", "message": "as asked"})


def split(request: Request) -> None:
    """The answer in single bytes, so also in the middle of UTF-8 characters."""
    text = json.dumps(request.answer(note="ü✓😀"), ensure_ascii=False)
    for byte in text.encode() + b"\n":
        put(bytes([byte]))


def merged(request: Request) -> None:
    """10 000 lines in one write, the answer in the middle of them."""
    line = json.dumps(request.answer()).encode() + b"\n"
    put(b"a log line\n" * 5000 + line + b"a log line\n" * 5000)


def badlines(request: Request) -> None:
    """?n=N broken frames, then the answer."""
    put(b'{"broken:\n' * int(request.number("n", 150)))
    echo(request)


def flood(request: Request) -> None:
    """?n=N lines on ?fd=1|2, then the answer."""
    line = b"flood " + b"x" * int(request.number("width", 90)) + b"\n"
    for _ in range(int(request.number("n", 20000)) // 100):
        put(line * 100, int(request.number("fd", 1)))
    echo(request)


def endless(request: Request) -> None:
    """?mb=N megabytes on stderr without a line's end, then the answer."""
    for _ in range(int(request.number("mb", 16))):
        put(b"e" * (1 << 20), 2)
    echo(request)


def frame(request: Request) -> None:
    """?text=...: that line, as it is; $ID stands for the request's id."""
    text = request.query["text"].encode("utf-8", "surrogateescape")
    put(text.replace(b"$ID", str(request.id).encode()) + b"\n")


def bomb(request: Request) -> None:
    """An answer that is hard on a parser."""
    value = {"depth": "[" * 400000,
             "closed": "[" * 200000 + "]" * 200000,
             "objects": '{"a":' * 100000,
             "keys": "{" + ",".join(f'"{n}":0' for n in range(60000)) + ",}",
             "number": "1" * 500000 + "e"}[request.query["kind"]]
    put(f'{{"id":{request.id},"json":{value}}}\n'.encode())


def heavy(request: Request) -> None:
    """?kb=N: the id over and over, up to about that size."""
    emit(request.answer(body=request.query.get("id", "") * int(request.number("kb", 900) * 30)))


def grandchild(request: Request) -> None:
    """?how=group|session|daemon: leaves a process behind that holds all our pipes."""
    import subprocess
    how = request.query.get("how", "group")
    if how != "daemon":
        child = subprocess.Popen(["sleep", "3600"], close_fds=False,
                                 start_new_session=how == "session").pid
    else:
        read, write = os.pipe()
        if os.fork() == 0:
            os.setsid()
            child = os.fork()
            if child:
                os.write(write, str(child).encode())
                os._exit(0)
            os.execvp("sleep", ["sleep", "3600"])
        os.wait()
        child = int(os.read(read, 20))
        os.close(read)
        os.close(write)
    emit(request.answer(body=str(child)))


def count(request: Request) -> None:
    """How many requests this process has had."""
    emit(request.answer(body=str(handled)))


ACTIONS: dict[str, Callable[[Request], None]] = {
    act.__name__: act
    for act in (echo, slow, garbage, broken, half, halfexit, huge, hugeline, line, unknownid,
                neighbours, dup, duplater, closeout, closein, deaf, exit, exitonce, hang, noterm,
                wait, split, merged, badlines, flood, endless, frame, bomb, heavy, grandchild,
                count)
}


# ------------------------------------------------------------------ its life

stopped = threading.Event()


def on_term(*_: object) -> None:
    note("term")
    terminated.set()


def act(request: Request) -> None:
    try:
        ACTIONS[request.query.get("do", "echo")](request)
    finally:
        cancelled.pop(request.id, None)


def handle_request(frame: dict[str, Any]) -> None:
    global handled
    handled += 1
    request = Request(frame, terminated.is_set())
    note(f"request {request.query.get('id', request.id)}")
    cancelled[request.id] = threading.Event()
    if CONCURRENCY > 1:
        thread = threading.Thread(target=act, args=[request], daemon=True)
        threads.append(thread)
        thread.start()
    else:
        act(request)


def handle_line(line: bytes) -> None:
    frame = json.loads(line)
    kind: Optional[str] = frame.get("type")
    if kind is None:
        handle_request(frame)
    elif kind == "ping":
        emit({"type": "pong", "id": frame["id"], "inflight": len(cancelled)})
    elif kind == "ask":
        emit({"type": "answer", "id": frame["id"], "value": frame.get("args")})
    elif kind == "cancel":
        note(f"cancel {frame.get('reason')}")
        event = cancelled.get(frame["id"])
        if event:
            event.set()


def ready() -> dict[str, Any]:
    members: dict[str, Any] = {"type": "ready", "concurrency": CONCURRENCY}
    if FEATURES:
        members["features"] = FEATURES
    if "prefetch" in WORDS:
        members["prefetch"] = int(WORDS["prefetch"])
    if "tokens" in WORDS:
        members["tokens"] = WORDS["tokens"].split(",")
    return members


def main() -> None:
    note("start")
    if WORDS.get("noterm"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif "journal" in WORDS:
        signal.signal(signal.SIGTERM, on_term)
    time.sleep(float(WORDS.get("start", "0")))
    emit(ready())
    while not stopped.is_set():
        line = INPUT.readline()
        if not line:
            break
        handle_line(line)
    if stopped.is_set() or WORDS.get("noterm"):
        time.sleep(3600)
    for thread in threads:
        thread.join()
    note("end")


main()
