"""A worker's pipe is not to be trusted: whatever it writes, closes or leaves unread.

Good and evil requests go to the same pool at the same moment.  The good ones must all
be answered, each with its own bytes, and the evil ones must end as the table says.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from typing import Any, Callable
from urllib.parse import quote

import pytest

from app import App
from checks import MEBIBYTE
from client import Hang
from load import Load, blend, echo, evil as evil_shot, new_id
from timing import slow, until
from workers import evil

Nodey = Callable[..., App]

SETTINGS = {"instances": 4, "timeout": f"{slow(1):g}s", "kill_after": "500ms",
            "stop_grace_period": "500ms", "queue_timeout": "30s", "backoff_min": "10ms",
            "backoff_max": "100ms", "max_restarts": 1000, "max_line": "1M", "quarantine": 0}

# A worker that hangs at the end of a test is not worth half a minute.
SOON_OVER = '[server]\nshutdown_timeout = "4s"\n\n'

# What the evil request says, how it may end, and how many of them there are: few where
# each costs a deadline or a restart, or writes many of the bad lines that a worker is
# replaced for when they are more than 100.
MISDEEDS = [
    ("do=garbage", {200}, 20),
    ("do=broken", {502}, 40),
    ("do=half", {504}, 6),
    ("do=halfexit", {502}, 12),
    ("do=hugeline&mb=2", {502}, 6),
    ("do=unknownid", {200}, 4),
    ("do=neighbours", {200}, 3),
    ("do=dup", {200}, 40),
    ("do=duplater", {200}, 20),
    (f"do=slow&ms={slow(1200):g}", {504}, 6),
    ("do=closeout", {502}, 8),
    ("do=closein", {200}, 12),
    ("do=exit", {502}, 12),
    ("do=hang", {504}, 6),
    ("do=noterm", {504}, 4),
    ("do=split", {200}, 20),
    ("do=merged", {200}, 4),
    ("do=flood&fd=1&n=5000", {200}, 8),
    ("do=flood&fd=2&n=5000", {200}, 8),
    ("do=endless&mb=4", {200}, 6),
    ("do=heavy&kb=1", {200}, 20),
]


def run_evil(app: App, path: str, misdeed: str, statuses: set[int], count: int,
             good: int = 400) -> None:
    """So many evil requests among good ones on the same path, and what must come of both."""
    pure = Load(app.port, echo(path, posts=0), connections=12, seconds=60)
    expect = (lambda id: id.encode() * 30) if "heavy" in misdeed else str.encode
    bad = Load(app.port, evil_shot(path, misdeed, statuses, "POST", expect=expect),
               connections=2, requests=count)
    with pure:
        until(lambda: pure.done() > 20, 5, "the good load has begun")
        bad.start().join()
        until(lambda: pure.done() > good, 20, f"{good} good requests")
    bad.outcome.require("ok", at_least=count)
    pure.outcome.require("ok", at_least=good)


@pytest.mark.parametrize("misdeed, statuses, count", MISDEEDS, ids=[m[0] for m in MISDEEDS])
def test_a_misdeed_harms_no_other_request(nodey: Nodey, misdeed: str, statuses: set[int],
                                          count: int) -> None:
    app = nodey(config=SOON_OVER + evil(**SETTINGS))
    run_evil(app, "/evil", "do=echo", {200}, 20, good=100)
    app.wait_workers(4, "evil")
    calm = app.calm(4)
    run_evil(app, "/evil", misdeed, statuses, count)
    app.wait_workers(4, "evil")
    calm.check()


@pytest.mark.parametrize("misdeed, count", [("do=neighbours", 3), ("do=unknownid", 6),
                                            ("do=dup", 30), ("do=duplater", 30)])
def test_answers_to_what_waits_in_the_pipe_reach_nobody(nodey: Nodey, misdeed: str,
                                                        count: int) -> None:
    """With prefetch the next requests' ids are open already, and nearly guessed."""
    app = nodey(config=SOON_OVER + evil(words=("prefetch=32",), **{**SETTINGS, "instances": 2}))
    pure = Load(app.port, echo("/evil", posts=0), connections=24, seconds=60)
    bad = Load(app.port, evil_shot("/evil", misdeed, {200}, "POST"), connections=2,
               requests=count)
    with pure:
        until(lambda: pure.done() > 500, 10, "enough for prefetch to begin")
        bad.start().join()
        until(lambda: pure.done() > 2000, 20, "2000 good requests")
    bad.outcome.require("ok", at_least=count)
    pure.outcome.require("ok", at_least=2000)


@pytest.mark.long
def test_all_misdeeds_at_once_leave_another_pool_untouched(nodey: Nodey) -> None:
    app = nodey(config=SOON_OVER + evil(**SETTINGS) + evil("other", instances=2))
    calm = app.calm(6)

    def any_misdeed(rng: Any) -> Any:
        misdeed, statuses, _ = rng.choice(MISDEEDS)
        # A worker that was replaced for its bad lines takes its request with it.
        return evil_shot("/evil", misdeed, statuses | {502, 503}, expect=lambda _: None)(rng)

    with Load(app.port, echo("/other"), connections=8) as other:
        mix = blend(echo("/evil", posts=0), any_misdeed, 0.1)
        load = Load(app.port, mix, connections=16, seconds=slow(6), timeout=40).start().join()
    other.outcome.require("ok", at_least=200)
    load.require("ok", "bad", "refused", "timeout", kind="good")
    assert load.counts("good")["ok"] > 0.9 * sum(load.counts("good").values()), load.counts("good")
    load.require("ok", "bad", "refused", "timeout", kind="evil")
    app.wait_workers(4, "evil", seconds=20)
    until(lambda: app.get("/evil?id=1").status == 200, 10, "the pool serves again")
    calm.check()


# ------------------------------------------------------------------ single answers


def framed(text: str) -> str:
    """The request whose worker answers with exactly this line; $ID is the request's id."""
    return f"/evil?do=frame&text={quote(text, safe='')}"


BAD_ANSWERS = {
    "status 99": '{"id":$ID,"status":99}',
    "status 100": '{"id":$ID,"status":100}',
    "status 1000": '{"id":$ID,"status":1000}',
    "status 0": '{"id":$ID,"status":0}',
    "status -200": '{"id":$ID,"status":-200}',
    "status as text": '{"id":$ID,"status":"200"}',
    "status null": '{"id":$ID,"status":null,"body":""}',
    "status 200.5": '{"id":$ID,"status":200.5}',
    "status 1e400": '{"id":$ID,"status":1e400}',
    "CR LF in a value": '{"id":$ID,"headers":{"x-a":"1\\r\\nset-cookie: a=b"},"body":""}',
    "LF in a value": '{"id":$ID,"headers":{"x-a":"1\\nx-b: 2"},"body":""}',
    "CR in a value": '{"id":$ID,"headers":{"x-a":"1\\rx-b: 2"},"body":""}',
    "NUL in a value": '{"id":$ID,"headers":{"x-a":"1\\u0000"},"body":""}',
    "LF in one of several values": '{"id":$ID,"headers":{"x-a":["1","2\\n3"]},"body":""}',
    "LF in a name": '{"id":$ID,"headers":{"x-a\\nx-b":"1"},"body":""}',
    "CR LF in a name": '{"id":$ID,"headers":{"x\\r\\n\\r\\nhi":"1"},"body":""}',
    "a blank in a name": '{"id":$ID,"headers":{"x a":"1"},"body":""}',
    "a colon in a name": '{"id":$ID,"headers":{"x-a:":"1"},"body":""}',
    "an empty name": '{"id":$ID,"headers":{"":"1"},"body":""}',
    "a name that is not ASCII": '{"id":$ID,"headers":{"x-ü":"1"},"body":""}',
    "a number as a value": '{"id":$ID,"headers":{"x-a":1},"body":""}',
    "null as a value": '{"id":$ID,"headers":{"x-a":null},"body":""}',
    "headers as a list": '{"id":$ID,"headers":["x-a","1"],"body":""}',
    "headers as text": '{"id":$ID,"headers":"x-a: 1","body":""}',
    "LF in the reason": '{"id":$ID,"status":200,"reason":"OK\\r\\nx: y","body":""}',
    "a body that is a number": '{"id":$ID,"body":5}',
    "bad base64": '{"id":$ID,"body64":"a"}',
    "base64 with foreign signs": '{"id":$ID,"body64":"a*b="}',
    "NaN": '{"id":$ID,"json":NaN}',
    "Infinity": '{"id":$ID,"json":-Infinity}',
    "a trailing comma": '{"id":$ID,"json":{"a":1,}}',
    "an unfinished value": '{"id":$ID,"json":{"a":',
    "two bodies": '{"id":$ID,"body":"a","json":1}',
    "text after the frame": '{"id":$ID,"body":"a"} b',
    "a streamed answer": '{"id":$ID,"status":200,"body":"a","more":true}',
}


@pytest.fixture
def one(nodey: Nodey) -> App:
    """A single worker, so that the next request meets whatever the last one left."""
    return nodey(config=SOON_OVER + evil(**{**SETTINGS, "instances": 1}))


def test_an_answer_that_breaks_the_rules_is_a_502_with_a_reason(one: App) -> None:
    wrong = []
    for name, text in BAD_ANSWERS.items():
        answer = one.post(framed(text), b"x")
        if answer.status != 502 or not answer.json().get("detail"):
            wrong.append((name, answer))
    assert not wrong, "\n".join(f"{name}: {answer!r} {answer.headers!r}" for name, answer in wrong)
    assert one.get("/evil?id=3").text == "3"


def test_a_line_with_two_ids_is_nobodys_answer(one: App) -> None:
    answer = one.post(framed('{"id":$ID,"id":$ID,"body":"x"}'), b"x")
    assert answer.status == 504, answer
    one.wait_log(r"evil#0.*two ids")


def test_no_header_injection_leaves_a_byte_on_the_wire(one: App) -> None:
    for name in ("CR LF in a value", "LF in a value", "CR in a value", "CR LF in a name",
                 "LF in the reason"):
        path = framed(BAD_ANSWERS[name])
        data = one.raw(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        head = data.partition(b"\r\n\r\n")[0]
        assert data.startswith(b"HTTP/1.1 502 "), (name, data)
        assert b"\nset-cookie:" not in head and b"\nx-b:" not in head, (name, data)
        assert b"\nx: y" not in head and b"\r" not in head.replace(b"\r\n", b""), (name, data)


GOOD_ANSWERS: dict[str, tuple[str, int, bytes]] = {
    "the defaults": ('{"id":$ID,"body":"a"}', 200, b"a"),
    "json": ('{"id":$ID,"json":{"a":[1,2]}}', 200, b'{"a":[1,2]}'),
    "body64": ('{"id":$ID,"body64":"AAH/"}', 200, b"\0\1\xff"),
    "no body at all": ('{"id":$ID,"status":204}', 204, b""),
    "a body with 204": ('{"id":$ID,"status":204,"body":"no"}', 204, b""),
    "escapes": ('{"id":$ID,"body":"\\u00fc\\ud83d\\ude00\\u0000\\n"}', 200, "ü😀\0\n".encode()),
    "the id last": ('{"body":"b","status":201,"id":$ID}', 201, b"b"),
    "blanks": ('  { "id" : $ID , "body" : "c" }  \r', 200, b"c"),
    "garbage before it": ('progress 10%{"id":$ID,"body":"d"}', 200, b"d"),
    "unknown members": ('{"id":$ID,"x":{"y":[1]},"body":"e"}', 200, b"e"),
    "its own content-length": (
        '{"id":$ID,"headers":{"content-length":"99","transfer-encoding":"chunked"},"body":"f"}',
        200, b"f"),
    "1e999 in json": ('{"id":$ID,"json":[1e999]}', 200, b"[1e999]"),
}


@pytest.mark.parametrize("name", GOOD_ANSWERS)
def test_an_odd_but_good_answer_is_served(one: App, name: str) -> None:
    text, status, body = GOOD_ANSWERS[name]
    answer = one.post(framed(text), b"x")
    assert (answer.status, answer.body) == (status, body), answer
    lengths = answer.headers.all("content-length")
    assert "transfer-encoding" not in answer.headers
    assert lengths == ([] if status == 204 else [str(len(body))]), answer.headers


def test_several_values_of_a_field_stay_several_lines(one: App) -> None:
    answer = one.get(framed('{"id":$ID,"headers":{"set-cookie":["a=1","b=2"],"x-e":""},"body":""}'))
    assert answer.headers.all("set-cookie") == ["a=1", "b=2"]
    assert answer.headers.all("x-e") == [""]


def test_the_error_codes_are_http_statuses(one: App) -> None:
    codes = {"invalid_argument": 400, "unauthenticated": 401, "permission_denied": 403,
             "not_found": 404, "already_exists": 409, "failed_precondition": 412,
             "resource_exhausted": 429, "internal": 500, "unimplemented": 501,
             "unavailable": 503, "deadline_exceeded": 504, "no_such_code": 500}
    frame = '{"type":"error","id":$ID,"code":"%s","message":"m"}'
    got = {code: one.post(framed(frame % code), b"x").status for code in codes}
    assert got == codes


# ------------------------------------------------------------------ what is too much


@pytest.mark.parametrize("kind", ["depth", "closed", "objects", "keys", "number"])
def test_a_json_bomb_is_a_502(one: App, kind: str) -> None:
    calm = one.calm(1)
    begun = time.monotonic()
    answer = one.post(f"/evil?do=bomb&kind={kind}", b"x")
    assert answer.status == 502, answer
    assert time.monotonic() - begun < slow(2)
    assert one.get("/evil?id=4").text == "4"
    calm.check(memory=16 * MEBIBYTE)


def test_a_line_without_an_end_is_a_502_and_bounded_in_memory(one: App) -> None:
    calm = one.calm(1)
    answer = one.post("/evil?do=huge&mb=100", b"x", timeout=15)
    assert answer.status == 502, answer
    assert "1048576" in answer.json()["detail"], answer
    calm.check_memory(8 * MEBIBYTE)
    until(lambda: one.get("/evil?id=4", timeout=15).status == 200, 15, "the pool serves again")
    calm.check(memory=8 * MEBIBYTE)


def test_max_line_is_obeyed_to_the_byte(nodey: Nodey) -> None:
    app = nodey(config=SOON_OVER + evil(**{**SETTINGS, "instances": 1, "max_line": "64K"}))
    for size, status in ((65535, 200), (65537, 502), (65535, 200)):
        answer = app.post(f"/evil?do=line&size={size}", b"x")
        assert answer.status == status, (size, answer)
    assert app.post("/evil", b"z" * 60000).status == 200
    assert app.post("/evil", b"z" * 70000).status == 413


def test_more_than_100_bad_lines_replace_the_worker(one: App) -> None:
    before = one.worker_pids("evil")
    assert one.get("/evil?do=badlines&n=90&id=3").text == "3"
    assert one.worker_pids("evil") == before, "90 bad lines are not yet too many"
    one.post("/evil?do=badlines&n=150", b"x")
    one.wait_workers(1, "evil", without=before)
    assert one.get("/evil?id=4").text == "4"


@pytest.mark.parametrize("fd", [1, 2])
def test_a_flood_of_log_lines_is_limited_and_counted(nodey: Nodey, fd: int) -> None:
    app = nodey(config=SOON_OVER + evil(**{**SETTINGS, "instances": 1, "log_rate": 100,
                                            "timeout": "20s"}))
    calm = app.calm(1)
    answer = app.get(f"/evil?do=flood&fd={fd}&n=50000&id=5", timeout=20)
    assert answer.text == "5"
    app.wait_log(r"evil#0.*(dropped|suppressed|more lines|left out)", timeout=5)
    assert 50 <= app.log().count("flood xxx") <= 5000
    calm.check(memory=16 * MEBIBYTE)


def test_a_stderr_line_without_an_end_is_cut(one: App) -> None:
    calm = one.calm(1)
    assert one.get("/evil?do=endless&mb=16&id=6").text == "6"
    one.wait_log("e{1000}")
    assert max(map(len, one.log().splitlines())) < 10000
    calm.check(memory=8 * MEBIBYTE)


def test_control_characters_of_a_worker_do_not_reach_the_terminal(one: App) -> None:
    one.post(framed("\x1b[2Jboo\x07"))
    one.wait_log("boo")
    assert "\x1b[2J" not in one.log() and "\x07" not in one.log()


# ------------------------------------------------------------------ back-pressure


def test_uploads_to_a_deaf_worker_are_bounded_in_memory(nodey: Nodey) -> None:
    app = nodey(config=SOON_OVER + evil(words=("concurrency=1000",),
                            **{**SETTINGS, "instances": 1, "timeout": "4s", "queue": 1000}))
    calm = app.calm(1)
    opened = [app.open_request("POST", "/evil?do=deaf", b"x")]
    body = b"u" * 700_000

    def upload(rng: Any) -> Any:
        shot = evil_shot("/evil", "do=echo", {200, 413, 502, 503, 504}, method="POST")(rng)
        return replace(shot, body=body, expect=None)

    load = Load(app.port, upload, connections=200, requests=400, timeout=40).start()
    peak = 0
    while load.running():
        calm.check_memory(64 * MEBIBYTE + 200 * len(body))
        peak = max(peak, app.rss() - calm.rss)
        time.sleep(0.05)
    load.join().require("ok")
    print(f"peak: {peak / MEBIBYTE:.0f} MiB for {200 * len(body) / MEBIBYTE:.0f} MiB in flight")
    for connection in opened:
        connection.close()


def test_clients_that_do_not_read_hold_only_their_own_answers(nodey: Nodey) -> None:
    app = nodey(config=SOON_OVER + evil(**{**SETTINGS, "instances": 2}))
    calm = app.calm(2)
    id = new_id()
    readers = [app.open_request("GET", f"/evil?do=heavy&kb=900&id={id}") for _ in range(30)]
    load = Load(app.port, echo("/evil"), connections=4, requests=200).start()
    load.join().require("ok", at_least=200)
    calm.check_memory(30 * 2 * MEBIBYTE + 16 * MEBIBYTE)
    for reader in readers:
        assert len(reader.read_response().body) == len(id) * 27000
        reader.close()


# ------------------------------------------------------------------ late and twice


def test_a_late_answer_is_dropped_and_the_slot_is_free_again(nodey: Nodey) -> None:
    app = nodey(config=SOON_OVER + evil(**{**SETTINGS, "instances": 1, "timeout": "400ms",
                               "kill_after": "20s"}))
    before = app.worker_pids("evil")
    late = new_id()
    assert app.get(f"/evil?do=slow&ms=900&id={late}").status == 504
    with app.connect() as connection:
        for _ in range(20):
            id = new_id()
            answer = connection.request("GET", f"/evil?id={id}")
            if answer.status == 200:
                assert answer.text == id, "a late answer went to somebody else"
    until(lambda: app.get("/evil?id=1").status == 200, 5, "the slot is free again")
    assert app.worker_pids("evil") == before, "it answered before kill_after"


def test_two_answers_leave_one_on_the_wire(one: App) -> None:
    with one.connect() as connection:
        id = new_id()
        assert connection.request("GET", f"/evil?do=dup&id={id}").text == id
        connection.socket.settimeout(0.3)
        with pytest.raises(Hang):
            connection.read_response()


def test_broken_frames_are_logged_with_their_text(one: App) -> None:
    answer = one.post("/evil?do=broken", b"x")
    assert answer.status == 502
    assert re.search("broken|not valid|JSON|unfinished|frame", json.dumps(answer.json()))
    one.wait_log(r"evil#0.*half")
