"""Routes with a cache: what is kept, for whom, for how long, and how often a worker is asked."""

from __future__ import annotations

import json
import selectors
import socket
import threading
import time
from email.utils import formatdate, parsedate_to_datetime
from signal import SIGHUP
from typing import Callable, Mapping, Optional, Sequence
from urllib.parse import quote

import pytest

from app import ROOT, App
from checks import MEBIBYTE
from client import Connection, Response, parse_head, request_bytes
from timing import slow, until
from workers import pool, raw

Nodey = Callable[..., App]

CONFIG = """
[[routes]]
path = "/c/*"
to = "counter"
cache = "60s"
"""


def config(route: str = CONFIG, server: str = "", instances: int = 1,
           **settings: object) -> str:
    """A pool of counter.py (see there), cached below /c/ and not below /plain/."""
    worker = pool("counter", *raw("counter.py", "/c/*", "/plain/*"), instances=instances,
                  **settings)  # type: ignore[arg-type]
    return f"[server]\n{server}\n{worker}{route}"


def start(nodey: Nodey, route: str = CONFIG, server: str = "", **settings: object) -> App:
    return nodey(config=config(route, server, **settings))


def get(app: App, path: str, headers: Optional[Mapping[str, str]] = None,
        timeout: float = 10) -> tuple[str, int]:
    """X-Cache and the number of the run that the answer is from."""
    answer = app.get(path, headers, timeout)
    return answer.headers.get("x-cache", "-"), int(answer.headers.get("x-run", "0"))


def query(*fields: str, **more: str) -> str:
    """A query for counter.py; the fields are those of the answer."""
    return "&".join([f"h={quote(field)}" for field in fields]
                    + [f"{name}={quote(value)}" for name, value in more.items()])


# -- what is kept


def test_a_second_request_touches_no_worker(nodey: Nodey) -> None:
    app = start(nodey)
    first, second = app.get("/c/a?x=1"), app.get("/c/a?x=1")
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("MISS", "HIT")
    assert first.body == second.body and first.json()["run"] == 1
    assert "age" not in first.headers and second.headers["age"] == "0"
    assert first.headers["date"] == second.headers["date"]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert second.headers.all("content-type") == first.headers.all("content-type")
    assert get(app, "/c/other") == ("MISS", 2), "the worker has run twice in all"


def test_a_route_without_a_cache_has_none(nodey: Nodey) -> None:
    app = start(nodey)
    assert [get(app, "/plain/a") for _ in range(2)] == [("-", 1), ("-", 2)]


def test_path_query_and_host_are_told_apart_byte_for_byte(nodey: Nodey) -> None:
    app = start(nodey)
    asked = ["/c/a", "/c/a?", "/c/a?x", "/c/a?x=1", "/c/a?x=1&y", "/c/a?y&x=1", "/c/%61", "/c/A"]
    for run, path in enumerate(asked, 1):
        assert get(app, path) == ("MISS", run)
    assert get(app, "/c/a", {"Host": "other"}) == ("MISS", len(asked) + 1)
    for run, path in enumerate(asked, 1):
        assert get(app, path) == ("HIT", run)
    assert get(app, "/c/a", {"Host": "other"}) == ("HIT", len(asked) + 1)


def test_an_answer_ages_and_expires(nodey: Nodey) -> None:
    app = start(nodey, CONFIG.replace("60s", "3s"))
    begun = time.monotonic()
    first = app.get("/c/a")
    until(lambda: int(app.get("/c/a").headers.get("age", "9")) >= 1, 3, "it has an age")
    late = until(lambda: get(app, "/c/a") == ("MISS", 2), 6, "it has expired")
    assert late and time.monotonic() - begun >= 3
    made = parsedate_to_datetime(first.headers["date"]).timestamp()
    assert abs(made - time.time()) < slow(15)


def test_the_answer_says_how_long_it_lives(nodey: Nodey) -> None:
    app = start(nodey)
    short = "/c/a?" + query("Cache-Control: max-age=1")
    assert get(app, short) == ("MISS", 1)
    until(lambda: get(app, short) == ("MISS", 2), 4, "it has expired")
    past = "/c/b?" + query(f"Expires: {formatdate(time.time() - 5, usegmt=True)}")
    assert [get(app, past) for _ in range(2)] == [("MISS", 3), ("BYPASS", 4)]
    aged = app.get("/c/c?" + query("Age: 30", "Cache-Control: max-age=90"))
    assert aged.headers["x-cache"] == "MISS"
    assert int(app.get("/c/c?" + query("Age: 30", "Cache-Control: max-age=90"))
               .headers["age"]) >= 30


@pytest.mark.parametrize("field", ["Set-Cookie: a=b", "Cache-Control: private",
                                   "Cache-Control: no-store", "Cache-Control: no-cache",
                                   "Vary: *", "Cache-Control: max-age=0"])
def test_what_is_somebodys_own_is_not_kept(nodey: Nodey, field: str) -> None:
    app = start(nodey)
    path = "/c/a?" + query(field)
    assert [get(app, path) for _ in range(3)] == [("MISS", 1), ("BYPASS", 2), ("BYPASS", 3)]
    name, _, value = field.partition(": ")
    assert app.get(path).headers[name] == value


@pytest.mark.parametrize("status, fields, kept", [
    (404, (), True), (301, ("Location: /x",), True), (204, (), True), (410, (), True),
    (302, ("Location: /x",), False), (403, (), False), (500, (), False),
    (500, ("Cache-Control: max-age=60",), False), (403, ("Cache-Control: max-age=60",), True),
])
def test_the_status_decides_too(nodey: Nodey, status: int, fields: Sequence[str],
                                kept: bool) -> None:
    app = start(nodey)
    path = "/c/a?" + query(*fields, status=str(status))
    with app.connect() as connection:  # framing of bodiless answers is checked by the client
        answers = [connection.request("GET", path) for _ in range(2)]
    assert [answer.status for answer in answers] == [status, status]
    assert answers[1].headers["x-run"] == ("1" if kept else "2")


def test_a_method_that_writes_is_never_answered_from_the_cache(nodey: Nodey) -> None:
    app = start(nodey)
    runs = [int(app.request(method, "/c/a").headers["x-run"])
            for method in ("POST", "POST", "PUT", "OPTIONS", "DELETE")]
    assert runs == [1, 2, 3, 4, 5]
    assert "x-cache" not in app.post("/c/a").headers
    assert get(app, "/c/a") == ("MISS", 7)


def test_a_body_is_no_part_of_the_key_and_so_is_not_answered(nodey: Nodey) -> None:
    app = start(nodey)
    assert get(app, "/c/a") == ("MISS", 1)
    fat = app.request("GET", "/c/a", b"poison")
    assert fat.headers["x-run"] == "2" and "x-cache" not in fat.headers
    assert get(app, "/c/a") == ("HIT", 1)


def test_a_write_makes_what_is_kept_of_its_target_stale(nodey: Nodey) -> None:
    app = start(nodey)
    for path in ("/c/a", "/c/a?x", "/c/b"):
        get(app, path)
    assert app.request("POST", "/c/a?" + query(status="500")).status == 500
    assert app.request("DELETE", "/c/a").status == 200
    assert get(app, "/c/a") == ("MISS", 6)
    assert get(app, "/c/a?x") == ("HIT", 2)
    assert get(app, "/c/b") == ("HIT", 3)


def test_an_answer_from_before_a_write_is_not_kept_after_it(nodey: Nodey) -> None:
    app = start(nodey, instances=2)
    with app.open_request("GET", "/c/a?sleep=1") as early:
        time.sleep(0.3)
        assert app.request("DELETE", "/c/a?sleep=1").status == 200
        assert early.read_response().headers["x-cache"] == "MISS"
    assert get(app, "/c/a?sleep=1")[0] == "MISS"
    assert get(app, "/c/a?sleep=1")[0] == "HIT"


# -- for whom


def test_head_is_answered_from_what_get_was(nodey: Nodey) -> None:
    app = start(nodey)
    with app.connect() as connection:
        connection.send(request_bytes("HEAD", "/c/a"))
        first = connection.read_response("HEAD")
        whole = connection.request("GET", "/c/a")
        connection.send(request_bytes("HEAD", "/c/a"))
        last = connection.read_response("HEAD")
    assert [answer.headers["x-cache"] for answer in (first, whole, last)] == \
        ["MISS", "HIT", "HIT"]
    assert whole.json()["method"] == "GET" and whole.json()["run"] == 1
    assert int(first.headers["content-length"]) == len(whole.body) > 0
    assert last.headers["content-length"] == first.headers["content-length"]


def test_vary_keeps_one_answer_for_each_value(nodey: Nodey) -> None:
    app = start(nodey)
    path = "/c/a?" + query("Vary: Accept-Language, X-Other")

    def ask(language: str) -> tuple[str, int]:
        return get(app, path, {"Accept-Language": language})

    assert [ask("de"), ask("fr"), ask("de"), ask("fr")] == \
        [("MISS", 1), ("MISS", 2), ("HIT", 1), ("HIT", 2)]
    assert get(app, path) == ("MISS", 3), "absent is another value"
    assert get(app, path, {"Accept-Language": "de", "X-Other": "1"}) == ("MISS", 4)
    assert get(app, path, {"Accept-Language": "de", "X-Unnamed": "1"}) == ("HIT", 1)


def test_variants_that_come_at_once_do_not_get_each_others(nodey: Nodey) -> None:
    """Nobody knows that the answers vary until the first is there."""
    app = start(nodey, instances=4)
    path = "/c/a?" + query("Vary: Accept-Language", sleep="0.3")
    opened, marks = [], []
    for number in range(60):
        connection = app.connect()
        connection.send(request_bytes("GET", path, headers={"Accept-Language": f"l{number % 3}"}))
        opened.append((f"l{number % 3}", connection))
    for language, connection in opened:
        answer = connection.read_response()
        assert answer.json()["headers"]["accept-language"] == language
        marks.append(answer.headers["x-cache"])
        connection.close()
    assert marks.count("HIT") > 30, "most were answered by the run of another"


def test_configured_fields_are_part_of_the_key(nodey: Nodey) -> None:
    app = start(nodey, CONFIG + 'cache_headers = ["accept-language", "x-tenant"]\n')
    assert get(app, "/c/a", {"X-Tenant": "1"}) == ("MISS", 1)
    assert get(app, "/c/a", {"X-Tenant": "2"}) == ("MISS", 2)
    assert get(app, "/c/a", {"X-Tenant": "1"}) == ("HIT", 1)
    assert get(app, "/c/a", {"X-Tenant": "1", "Accept-Language": "de"}) == ("MISS", 3)
    assert get(app, "/c/a", {"X-Tenant": "2", "Accept": "x"}) == ("HIT", 2)


def test_authorization_is_neither_kept_nor_served(nodey: Nodey) -> None:
    app = start(nodey)
    me = {"Authorization": "Basic bWU6bWU="}
    assert [get(app, "/c/a", me) for _ in range(2)] == [("BYPASS", 1), ("BYPASS", 2)]
    assert get(app, "/c/a") == ("MISS", 3), "what I got is not for others"
    assert get(app, "/c/a", me) == ("BYPASS", 4), "nor is what others got for me"
    assert get(app, "/c/a") == ("HIT", 3)


@pytest.mark.parametrize("said", ["public", "s-maxage=60", "must-revalidate, max-age=60"])
def test_an_answer_may_say_that_it_is_for_all(nodey: Nodey, said: str) -> None:
    app = start(nodey)
    path = "/c/a?" + query(f"Cache-Control: {said}")
    assert get(app, path, {"Authorization": "Basic bWU6bWU="}) == ("MISS", 1)
    assert get(app, path, {"Authorization": "Basic eW91OnlvdQ=="}) == ("HIT", 1)
    assert get(app, path) == ("HIT", 1)


def test_a_request_may_ask_for_something_new(nodey: Nodey) -> None:
    app = start(nodey)
    assert get(app, "/c/a") == ("MISS", 1)
    assert get(app, "/c/a", {"Cache-Control": "no-cache"}) == ("MISS", 2)
    assert get(app, "/c/a") == ("HIT", 2), "which others then have, too"
    assert get(app, "/c/a", {"Cache-Control": "max-age=0"}) == ("MISS", 3)
    assert get(app, "/c/a", {"Cache-Control": "max-age=60"}) == ("HIT", 3)
    assert get(app, "/c/a", {"Cache-Control": "no-store"}) == ("BYPASS", 4)
    assert get(app, "/c/a") == ("HIT", 3)


def test_only_if_cached_asks_no_worker(nodey: Nodey) -> None:
    app = start(nodey)
    only = {"Cache-Control": "only-if-cached"}
    answer = app.get("/c/a", only)
    assert answer.status == 504 and "cached" in answer.json()["detail"]
    assert get(app, "/c/a") == ("MISS", 1)
    assert get(app, "/c/a", only) == ("HIT", 1)


def test_conditions_are_judged_here(nodey: Nodey) -> None:
    app = start(nodey)
    path = "/c/a?" + query('ETag: "v1"', "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT")
    first = app.get(path, {"If-None-Match": '"v1"'})
    assert first.status == 304 and first.headers["x-cache"] == "MISS" and first.body == b""
    assert "if-none-match" not in app.get(path).json()["headers"], \
        "the worker would have answered with a part"
    for condition, status in [({"If-None-Match": 'W/"v0", "v1"'}, 304),
                              ({"If-None-Match": '"v2"'}, 200), ({"If-None-Match": "*"}, 304),
                              ({"If-Modified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"}, 304),
                              ({"If-Modified-Since": "Sun, 06 Nov 1994 08:49:36 GMT"}, 200)]:
        answer = app.get(path, condition)
        assert (answer.status, answer.headers["x-cache"]) == (status, "HIT"), condition
        assert answer.headers["etag"] == '"v1"'
        assert ("content-type" in answer.headers) == (status == 200)
    assert get(app, path) == ("HIT", 1)


def test_a_range_gets_the_whole(nodey: Nodey) -> None:
    app = start(nodey)
    path = "/c/a?size=1000"
    for expected in ("MISS", "HIT"):
        answer = app.get(path, {"Range": "bytes=0-9"})
        assert (answer.status, len(answer.body)) == (200, 1000)
        assert answer.headers["x-cache"] == expected


def test_http_1_0_and_a_closed_connection_get_theirs(nodey: Nodey) -> None:
    app = start(nodey)
    get(app, "/c/a?size=5")
    answer = app.raw(b"GET /c/a?size=5 HTTP/1.0\r\nHost: nodey.test\r\n"
                     b"Connection: keep-alive\r\n\r\n", half_close=True)
    head, _, body = answer.partition(b"\r\n\r\n")
    _, _, headers = parse_head(head)
    assert headers["connection"] == "keep-alive" and headers["x-cache"] == "HIT"
    assert body == b"xxxxx"
    answer = app.raw(b"GET /c/a?size=5 HTTP/1.1\r\nHost: nodey.test\r\n"
                     b"Connection: close\r\n\r\n")
    assert b"\r\nConnection: close\r\n" in answer and answer.endswith(b"\r\n\r\nxxxxx")


def test_a_declared_route_has_the_cache_of_the_configured_one(nodey: Nodey) -> None:
    app = nodey(config=pool("fib", *raw("counter.py", "GET /fib", "/all/*"), instances=1)
                + '[[routes]]\npath = "/fib"\nto = "fib"\ncache = "60s"\n')
    assert [get(app, "/fib?num=41") for _ in range(2)] == [("MISS", 1), ("HIT", 1)]
    assert get(app, "/all/a") == ("-", 2)


def test_without_memory_nothing_is_kept(nodey: Nodey) -> None:
    app = start(nodey, server="cache_size = 0")
    assert [get(app, "/c/a") for _ in range(2)] == [("-", 1), ("-", 2)]


def test_a_reload_keeps_what_is_kept_unless_the_cache_is_another(nodey: Nodey) -> None:
    app = start(nodey)

    def reload(text: str) -> None:
        (app.folder / "nodey.toml").write_text(text)
        app.signal(SIGHUP)

    assert get(app, "/c/a") == ("MISS", 1)
    reload(config() + '[[routes]]\npath = "/more"\nto = "counter"\n')
    until(lambda: app.get("/more").status == 200, 10, "the new configuration holds")
    assert get(app, "/c/a") == ("HIT", 1)
    reload(config(CONFIG.replace("60s", "59s")))
    assert until(lambda: get(app, "/c/a") == ("MISS", 3), 10, "other settings find nothing")
    reload(config(CONFIG.replace('cache = "60s"', "")))
    assert until(lambda: get(app, "/c/a") == ("-", 4), 10, "nothing is kept any more")


def test_other_code_is_not_answered_for_by_what_the_old_one_said(nodey: Nodey) -> None:
    text = (ROOT / "tests" / "workers" / "counter.py").read_text()
    app = nodey(files={"workers/own.py": text.replace("sys.argv[1:]", '["/c/*"]')},
                config='[workers.own]\nscript = "workers/own.py"\ninstances = 1\n'
                + CONFIG.replace("counter", "own"), args=["--watch"])
    assert [get(app, "/c/a") for _ in range(2)] == [("MISS", 1), ("HIT", 1)]
    script = app.folder / "workers" / "own.py"
    script.write_text(script.read_text().replace("run = 0", "run = 100"))
    assert until(lambda: get(app, "/c/a") == ("MISS", 101), 15, "the new one is asked")
    assert get(app, "/c/a") == ("HIT", 101)


# -- at once


class Crowd:
    """Many connections, each with one request; the answers as bytes, in any order."""

    def __init__(self, app: App, count: int) -> None:
        self.sockets = []
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", app.port), timeout=slow(10))
            self.sockets.append(sock)

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self.sockets:
            sock.close()

    def send(self, path: str, headers: Optional[Mapping[str, str]] = None) -> None:
        data = request_bytes("GET", path, headers={"Connection": "close", **(headers or {})})
        for sock in self.sockets:
            sock.sendall(data)

    def answers(self, seconds: float) -> list[Response]:
        """Everything up to each one's end."""
        got: dict[socket.socket, bytes] = {sock: b"" for sock in self.sockets}
        waiting = selectors.DefaultSelector()
        for sock in self.sockets:
            sock.setblocking(False)
            waiting.register(sock, selectors.EVENT_READ)
        end = time.monotonic() + slow(seconds)
        while waiting.get_map():
            assert time.monotonic() < end, f"{len(waiting.get_map())} still wait"
            for key, _ in waiting.select(1):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                data = sock.recv(65536)
                got[sock] += data
                if not data:
                    waiting.unregister(sock)
        waiting.close()
        return [self._parse(data) for data in got.values()]

    @staticmethod
    def _parse(data: bytes) -> Response:
        head, _, body = data.partition(b"\r\n\r\n")
        status, reason, headers = parse_head(head)
        assert int(headers["content-length"]) == len(body)
        return Response(status, reason, headers, body)


@pytest.mark.outside
def test_ten_thousand_at_once_are_one_run(nodey: Nodey) -> None:
    count, pause = 10_000, slow(6)
    app = start(nodey, server="max_connections = 12000")
    with Crowd(app, count) as crowd:
        begun = time.monotonic()
        crowd.send(f"/c/a?sleep={pause}")
        assert time.monotonic() - begun < pause, "all have asked before there is an answer"
        answers = crowd.answers(60)
    assert {answer.status for answer in answers} == {200}
    assert {answer.body for answer in answers} == {answers[0].body}
    assert {answer.headers["x-run"] for answer in answers} == {"1"}
    marks = [answer.headers["x-cache"] for answer in answers]
    assert (marks.count("MISS"), marks.count("HIT")) == (1, count - 1)
    assert get(app, "/plain/a")[1] == 2, "the handler has run once for all of them"


def test_a_client_that_asks_for_new_ones_does_not_multiply_runs(nodey: Nodey) -> None:
    app = start(nodey)
    with Crowd(app, 100) as crowd:
        crowd.send("/c/a?sleep=1", {"Cache-Control": "no-cache"})
        answers = crowd.answers(20)
    assert {answer.headers["x-run"] for answer in answers} == {"1"}


def test_private_answers_are_not_shared_with_who_waited(nodey: Nodey) -> None:
    app = start(nodey, instances=2)
    with Crowd(app, 50) as crowd:
        crowd.send("/c/a?" + query("Set-Cookie: session=1", sleep="0.1"))
        answers = crowd.answers(30)
    ids = [answer.json()["id"] for answer in answers]
    assert len(set(ids)) == 50, "everybody has a run of its own"
    marks = [answer.headers["x-cache"] for answer in answers]
    assert (marks.count("MISS"), marks.count("BYPASS")) == (1, 49)


def test_errors_of_the_handler_are_not_shared_either(nodey: Nodey) -> None:
    app = start(nodey)
    with Crowd(app, 20) as crowd:
        crowd.send("/c/a?end=raise&sleep=0.05")
        answers = crowd.answers(20)
    assert {answer.status for answer in answers} == {500}
    assert get(app, "/plain/a")[1] == 21


def test_an_answer_that_cannot_be_sent_fails_everybody(nodey: Nodey) -> None:
    app = start(nodey)
    with Crowd(app, 10) as crowd:
        crowd.send("/c/a?end=broken&sleep=0.1")
        answers = crowd.answers(20)
    assert {answer.status for answer in answers} == {502}
    assert all("cannot be used" in answer.json()["detail"] for answer in answers)


def test_what_becomes_good_again_is_kept_again(nodey: Nodey) -> None:
    app = start(nodey)
    say = app.folder / "say.json"
    say.write_text(json.dumps({"h": ["Set-Cookie:a=b"]}))
    assert [get(app, "/c/a?say=say.json")[0] for _ in range(2)] == ["MISS", "BYPASS"]
    say.write_text("{}")
    assert [get(app, "/c/a?say=say.json")[0] for _ in range(2)] == ["MISS", "HIT"]


def test_who_began_may_leave(nodey: Nodey) -> None:
    app = start(nodey)
    began = app.open_request("GET", "/c/a?sleep=1")
    time.sleep(0.2)
    with Crowd(app, 10) as crowd:
        crowd.send("/c/a?sleep=1")
        time.sleep(0.2)
        began.close()
        answers = crowd.answers(10)
    assert {(answer.status, answer.headers["x-run"]) for answer in answers} == {(200, "1")}
    assert get(app, "/c/a?sleep=1") == ("HIT", 1)


def test_when_all_have_left_the_call_is_called_off(nodey: Nodey) -> None:
    app = start(nodey)
    first = app.open_request("GET", "/plain/busy?sleep=1")
    time.sleep(0.2)
    waiting = [app.open_request("GET", "/c/a") for _ in range(3)]
    time.sleep(0.2)
    for connection in waiting:
        connection.close()
    assert first.read_response().status == 200
    first.close()
    time.sleep(0.2)
    assert get(app, "/c/a") == ("MISS", 2), "nobody wanted that run any more"


def test_when_the_worker_dies_all_fail_alike(nodey: Nodey) -> None:
    app = start(nodey, backoff_min="10ms")
    with Crowd(app, 20) as crowd:
        crowd.send("/c/a?end=die&sleep=0.5")
        answers = crowd.answers(30)
    assert {answer.status for answer in answers} == {502}
    assert all("ended while" in answer.json()["detail"] for answer in answers)
    assert until(lambda: app.get("/c/b").status == 200, 10, "it serves again")


def test_when_it_takes_too_long_all_fail_alike(nodey: Nodey) -> None:
    app = start(nodey, CONFIG + 'timeout = "500ms"\n')
    begun = time.monotonic()
    with Crowd(app, 20) as crowd:
        crowd.send("/c/a?sleep=3")
        answers = crowd.answers(20)
    assert {answer.status for answer in answers} == {504}
    assert time.monotonic() - begun < slow(2.5)


def test_who_waited_in_vain_has_the_rest_of_the_time(nodey: Nodey) -> None:
    """The answer is nobody else's after 0.6 s of the 1 s that the route has."""
    app = start(nodey, CONFIG + 'timeout = "1s"\n')
    with app.open_request("GET", "/c/a?sleep=0.6&h=Set-Cookie:a=b") as first:
        time.sleep(0.1)
        begun = time.monotonic()
        assert app.get("/c/a?sleep=0.6&h=Set-Cookie:a=b").status == 504
        assert 0.8 < time.monotonic() - begun < slow(1.5)
        assert first.read_response().status == 200


# -- within its bound


def test_memory_stays_within_its_bound(nodey: Nodey) -> None:
    app = start(nodey, server='cache_size = "8M"')
    with app.connect() as connection:
        for number in range(100):
            connection.request("GET", f"/plain/warm{number}?size=100000")
        calm = app.calm(1)
        for number in range(600):  # 60 MB in all
            answer = connection.request("GET", f"/c/{number}?size=100000")
            assert answer.headers["x-cache"] == "MISS"
        calm.check_memory(16 * MEBIBYTE)
        last = connection.request("GET", "/c/599?size=100000")
        assert last.headers["x-cache"] == "HIT" and len(last.body) == 100_000
        first = connection.request("GET", "/c/0?size=100000")
        assert first.headers["x-cache"] == "MISS", "it had to make room"


def test_what_is_too_large_to_keep_is_shared_all_the_same(nodey: Nodey) -> None:
    app = start(nodey, server='cache_size = "1M"')
    with Crowd(app, 40) as crowd:
        crowd.send("/c/a?size=300000&sleep=0.5")
        answers = crowd.answers(20)
    assert {(len(answer.body), answer.headers["x-run"]) for answer in answers} == \
        {(300_000, "1")}
    assert get(app, "/c/a?size=300000&sleep=0.5") == ("MISS", 2)


def test_a_large_answer_for_many_is_there_once(nodey: Nodey) -> None:
    """400 MB are sent, and not one client takes more than fits its socket for a while."""
    app = start(nodey, server='cache_size = "64M"\nsend_timeout = "60s"')
    calm = app.calm(1)
    peak = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, app.rss())
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    with Crowd(app, 200) as crowd:
        watcher.start()
        crowd.send("/c/a?size=2000000&sleep=1")
        time.sleep(2)
        answers = crowd.answers(60)
    done.set()
    watcher.join()
    assert {len(answer.body) for answer in answers} == {2_000_000}
    assert {answer.headers["x-run"] for answer in answers} == {"1"}
    if not app.sanitized:
        assert peak - calm.rss < 40 * MEBIBYTE, f"{(peak - calm.rss) / MEBIBYTE:.0f} MiB"


def test_many_clients_with_many_keys_get_their_own(nodey: Nodey) -> None:
    """Hits, misses, flights and evictions all at once, and no answer is another's."""
    app = start(nodey, server='cache_size = "256K"', instances=2)
    wrong: list[str] = []

    def run(seed: int) -> None:
        with Connection(app.port) as connection:
            for step in range(300):
                number = (seed * 7 + step * step) % 40
                vary = query("Vary: X-V") if number % 3 else query("Set-Cookie: a=b")
                variant = str(step % 2)
                path = f"/c/{number}?{vary}"
                answer = connection.request("GET", path, headers={"X-V": variant})
                told = answer.json()
                if (told["path"], told["headers"]["x-v"]) != (f"/c/{number}", variant):
                    wrong.append(f"{path} {variant}: {told}")

    threads = [threading.Thread(target=run, args=[seed]) for seed in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[0]
