"""Errors that help: the page for browsers in development, and what everybody else gets."""

from __future__ import annotations

import html
import json
import re
import shlex
import subprocess
from html.parser import HTMLParser
from typing import Callable, Optional

import pytest

import command
from app import App
from client import Response
from timing import until
from workers import doomed, evil, script

Nodey = Callable[..., App]
pytestmark = pytest.mark.outside

DEV = ["--dev", "--no-watch"]
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}

FIB_PY = '''\
import nodey


def divide(a, b):
    return a / b  # the line that fails


@nodey.get("/fib")
def fib(req):
    print("computing for", req.query.get("who"))
    return divide(1, 0)


@nodey.post("/fib")
def post(req):
    return divide(1, 0)


@nodey.get("/fine")
def fine(req):
    return "fine"


@nodey.get("/quote")
def quote(req):
    raise ValueError(req.query["text"])


@nodey.get("/meant")
def meant(req):
    raise nodey.Error("not_found", "no such user", data={"user": 7})
'''

ADD_JS = '''\
const nodey = require('nodey');

function sum(a, b) {
    return a.value + b.value; // the line that fails
}

nodey.get('/add', (req) => {
    return { sum: sum(req.query, null) };
});
'''

BROKEN_PY = "import nodey\n\n\ndef broken(:\n    pass\n"


class Page(HTMLParser):
    """A page as a browser would see it."""

    VOID = {"meta", "br", "hr", "img", "link", "input"}

    def __init__(self, answer: Response) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, Optional[str]]]] = []
        self.marked = ""  # the text of the lines that failed
        self.commands: list[str] = []
        self.text = ""
        self._open: list[tuple[str, dict[str, Optional[str]]]] = []
        assert answer.headers["content-type"] == "text/html; charset=utf-8", answer
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"] == \
            "default-src 'none'; style-src 'unsafe-inline'"
        self.feed(answer.text)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Optional[str]]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append((tag, dict(attrs)))
        if (tag, dict(attrs).get("class")) == ("pre", "wrap"):
            self.commands.append("")

    def handle_endtag(self, tag: str) -> None:
        opened, _ = self._open.pop()
        assert opened == tag, f"<{opened}> is closed by </{tag}>"

    def handle_data(self, data: str) -> None:
        inside = [(tag, attrs.get("class")) for tag, attrs in self._open]
        if ("style", None) in inside:
            return
        self.text += data
        if ("span", "here") in inside:
            self.marked += data
        if inside and inside[-1] == ("pre", "wrap"):
            self.commands[-1] += data

    @property
    def title(self) -> str:
        found = re.search(r"<h1>(.*?)</h1>", self.rawdata_kept, re.S)
        return html.unescape(found.group(1)) if found else ""

    def feed(self, data: str) -> None:
        self.rawdata_kept = data
        super().feed(data)


def page(app: App, path: str, method: str = "GET", body: bytes = b"",
         headers: Optional[dict[str, str]] = None, status: int = 500) -> Page:
    answer = app.request(method, path, body, {**BROWSER, **(headers or {})}, timeout=20)
    assert answer.status == status, answer
    return Page(answer)


# ------------------------------------------------------------------ the page


def test_a_python_traceback_is_shown_with_its_source_and_the_request(nodey: Nodey) -> None:
    app = nodey({"workers/fib.py": FIB_PY}, script("fib"), args=DEV)
    shown = page(app, "/fib?who=me")
    assert shown.title == "ZeroDivisionError: division by zero"
    assert shown.marked.startswith("5    return a / b  # the line that fails"), shown.marked
    assert "workers/fib.py, line 5, in divide" in shown.text
    assert "workers/fib.py, line 11, in fib" in shown.text, "the caller is shown as well"
    assert "Traceback (most recent call last)" in shown.text
    assert "GET /fib?who=me" in shown.text
    assert re.search(r"^\d\d:\d\d:\d\d fib#0 computing for me$", shown.text, re.M), \
        "the worker's last words are there"
    assert "A handler of fib failed" in shown.text


def test_a_node_stack_is_shown_with_its_source(nodey: Nodey) -> None:
    app = nodey({"workers/add.js": ADD_JS}, script("add", "js"), args=DEV)
    shown = page(app, "/add?value=1")
    assert shown.title.startswith("TypeError: Cannot read properties of null")
    assert shown.marked.startswith("4    return a.value + b.value; // the line that fails")
    assert "workers/add.js, line 4, in sum" in shown.text
    assert "workers/add.js, line 8" in shown.text


def test_the_commands_on_the_page_do_it_again(nodey: Nodey) -> None:
    app = nodey({"workers/fib.py": FIB_PY}, script("fib"), args=DEV)
    body = b"it's $(a) `b` \\n {\"c\": 1}"
    shown = page(app, "/fib?a=%27&b[]=1", "POST", body, {"Content-Type": "text/x-odd"})
    curl = next(line for line in shown.commands if line.startswith("curl"))
    hand = next(line for line in shown.commands if "workers/fib.py" in line)
    curl = curl.replace("http://nodey.test", f"http://127.0.0.1:{app.port}")
    for command in (curl, hand):
        done = subprocess.run(["sh", "-c", command], cwd=app.folder, timeout=30, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert "division by zero" in done.stdout, (command, done)
    again = json.loads(next(word for word in shlex.split(hand) if word.startswith("{")))
    assert again["body"].encode() == body
    assert again["query"] == "a=%27&b[]=1"


def test_nothing_that_a_client_sends_becomes_markup(nodey: Nodey) -> None:
    app = nodey({"workers/fib.py": FIB_PY}, script("fib"), args=DEV)
    plain = page(app, "/quote?text=x")
    attack = "</pre><script>alert(1)</script>\"'<img src=x onerror=alert(1)>{{sections}}"
    shown = page(app, "/quote?text=" + "".join(f"%{ord(c):02X}" for c in attack),
                 headers={"X-Attack": attack, "User-Agent": attack})
    assert attack in shown.title
    assert {tag for tag, _ in shown.tags} == {tag for tag, _ in plain.tags}
    assert not any(name.startswith("on") or name in ("src", "href")
                   for _, attrs in shown.tags for name in attrs)
    lost = page(app, "/%3Cscript%3E", status=404)
    assert "script" not in {tag for tag, _ in lost.tags}
    posted = page(app, "/fib", "POST", attack.encode(), {"Content-Type": "text/html"})
    assert {tag for tag, _ in posted.tags} <= {tag for tag, _ in plain.tags}
    assert attack in posted.text


def test_secrets_of_the_request_are_not_shown(nodey: Nodey) -> None:
    app = nodey({"workers/fib.py": FIB_PY}, script("fib"), args=DEV)
    answer = app.get("/fib", {**BROWSER, "Authorization": "Bearer hush-1", "Cookie": "s=hush-2",
                              "X-Api-Key": "hush-3", "X-Csrf-Token": "hush-4",
                              "X-Plain": "loud"})
    assert "hush" not in answer.text
    assert "loud" in answer.text
    assert "authorization" in answer.text, "that there was one is shown"


def test_only_the_first_part_of_a_body_is_shown(nodey: Nodey) -> None:
    app = nodey({"workers/fib.py": FIB_PY}, script("fib"), args=DEV)
    shown = page(app, "/fib", "POST", b"a" * 4096 + b"b" * 100000)
    assert "a" * 4096 in shown.text and "bbb" not in shown.text
    assert "4096 of its 104096 bytes" in shown.text
    assert "which are no text" in page(app, "/fib", "POST", b"\0\1\2").text


def test_a_quoted_traceback_reads_no_other_file(nodey: Nodey) -> None:
    app = nodey({"workers/fib.py": FIB_PY, ".env": "PASSWORD=hush\n",
                 "secret.txt": "hush\n", ".hidden/key.py": "KEY = 'hush'\n",
                 "shared/helper.py": "HELPER = 'may be seen'\n"}, script("fib"), args=DEV)
    (app.folder / "link.py").symlink_to(app.folder / ".env")
    outside = app.folder.parent / "outside.py"
    outside.write_text("hush\n")

    def quoted(path: object) -> str:
        text = f'x\n  File "{path}", line 1, in f\n'
        encoded = "".join(f"%{byte:02X}" for byte in text.encode())
        return page(app, f"/quote?text={encoded}").text

    for name in (".env", "secret.txt", ".hidden/key.py", "link.py", "../outside.py",
                 "workers/../.env"):
        assert "hush" not in quoted(app.folder / name), name
    assert "hush" not in quoted(outside)
    assert "root:" not in quoted("/etc/passwd")
    assert "may be seen" in quoted(app.folder / "shared/helper.py"), "the check checks nothing"


# ------------------------------------------------------------------ each status


def test_a_path_without_a_route_names_the_nearest(nodey: Nodey) -> None:
    app = nodey({"workers/fib.py": FIB_PY, "workers/add.js": ADD_JS},
                script("fib") + script("add", "js"), args=DEV)
    shown = page(app, "/fibb", status=404)
    assert shown.title == "Nothing is served at /fibb"
    assert shown.text.index("/fib", shown.text.index("Routes")) < shown.text.index("/add")
    shown = page(app, "/ad", status=404)
    routes = shown.text[shown.text.index("Routes"):]
    assert routes.index("/add") < routes.index("/fib")


def test_a_wrong_method_names_the_right_ones(nodey: Nodey) -> None:
    app = nodey({"workers/fib.py": FIB_PY}, script("fib"), args=DEV)
    answer = app.request("DELETE", "/fib", headers=BROWSER)
    assert answer.status == 405 and "POST" in answer.headers["allow"]
    assert "DELETE is not answered at /fib" in Page(answer).text


def test_a_worker_that_does_not_start_shows_why_on_its_routes(nodey: Nodey) -> None:
    app = nodey({"workers/fib.py": FIB_PY, "workers/broken.py": BROKEN_PY},
                script("fib") + script("broken"), args=DEV)
    shown = page(app, "/broken", status=503)
    assert shown.title == "broken does not start"
    assert "SyntaxError" in shown.text
    assert shown.marked.startswith("4def broken(:"), shown.marked


DOWN_PY = "import nodey\nraise RuntimeError('no money <here>')\n"


def test_a_path_may_be_one_of_a_worker_that_does_not_start(nodey: Nodey) -> None:
    app = nodey({"workers/shop.py": DOWN_PY, "workers/fib.py": FIB_PY}, args=DEV)
    detail = app.get("/orders").json()["detail"]
    assert re.fullmatch(r"nothing is served at /orders; shop does not start, so its routes are "
                        r"not known: .*RuntimeError: no money <here>.*", detail), detail
    shown = app.get("/orders", BROWSER)
    assert shown.status == 503 and shown.headers["retry-after"]
    assert "<h2>shop does not start</h2>" in shown.text
    assert "line 2, in" in shown.text and "no money &lt;here&gt;" in shown.text
    assert "/fib</code>" in shown.text and "/shop/*" not in shown.text
    (app.folder / "workers/shop.py").unlink()


def test_in_production_nobody_learns_who_is_down(nodey: Nodey) -> None:
    """And nobody, a search engine for instance, is told that what comes back does not exist."""
    app = nodey({"workers/shop.py": DOWN_PY, "workers/fib.py": FIB_PY}, args=["--no-dev"])
    answer = app.get("/orders")
    assert answer.status == 503 and int(answer.headers["retry-after"]) > 0
    assert answer.json()["detail"] == \
        "this path is not served now: a program that may serve it is not up"
    assert app.request("DELETE", "/fib").status == 405
    assert command.run(app.folder, "stop", "shop").code == 0
    assert app.get("/orders").status == 404, "nobody wants it up"


def test_a_refusal_names_the_setting(nodey: Nodey) -> None:
    app = nodey({"workers/fib.py": FIB_PY},
                "[server]\nmax_body = 10\nmax_target = 300\nmax_headers = 20\n" + script("fib"))
    assert app.request("PUT", "/fib").json()["detail"] == "this path takes GET, HEAD, POST"
    for answer, status, key in (
            (app.post("/fib", b"x" * 11), 413, "max_body"),
            (app.get("/" + "a" * 400), 414, "max_target"),
            (app.get("/fib", {f"X-{n}": "1" for n in range(30)}), 431, "max_headers"),
            (app.get("/fib", {"X": "1" * 40000}), 431, "max_head")):
        assert answer.status == status
        assert f"than {key} of [server]" in answer.json()["detail"], answer


def test_a_start_up_error_is_shown_until_it_is_ready(nodey: Nodey) -> None:
    text = "import os, nodey\nif not os.path.exists('ok'):\n    raise RuntimeError('no ok here')\n" \
           "nodey.get('/late')(lambda req: 'late')\n"
    app = nodey({"workers/late.py": text}, args=DEV,
                config=script("late", backoff_min="50ms", backoff_max="100ms",
                              max_restarts=100))
    assert "no ok here" in page(app, "/late", status=503).text
    problem = app.get("/late").json()
    assert problem["worker"] == "late"
    assert any("no ok here" in line for line in problem["stack"]), problem
    (app.folder / "ok").touch()
    until(lambda: app.get("/late").status == 200, 10, "a start that succeeds")


def test_the_other_failures_have_a_page_as_well(nodey: Nodey) -> None:
    app = nodey(config='[server]\nmax_body = "64K"\nshutdown_timeout = "2s"\n'
                + evil(timeout="300ms", instances=1),
                args=DEV)
    dead = page(app, "/evil?do=exit", "POST", status=502)
    assert dead.title == "evil gave no usable answer"
    late = page(app, "/evil?do=noterm", status=504)
    assert late.title == "evil took too long"
    large = page(app, "/evil", "POST", b"x" * 70000, status=413)
    assert large.title == "The request is too large"
    assert "max_body" in large.text


def test_before_any_script_is_there_it_says_how_to_begin(nodey: Nodey) -> None:
    app = nodey({"workers/_later.py": ""}, args=["--dev", "--watch"])
    shown = page(app, "/", status=404)
    assert "No script is served yet" in shown.text
    assert '@nodey.get("/hello")' in shown.text


# ------------------------------------------------------------------ who gets what


def test_only_a_browser_gets_a_page(nodey: Nodey) -> None:
    app = nodey({"workers/fib.py": FIB_PY}, script("fib"), args=DEV)
    for accept in (None, "*/*", "application/json", "text/html;q=0.1, application/json",
                   "text/html;q=0", "application/json, text/html;q=0.9"):
        answer = app.get("/fib", {"Accept": accept} if accept else {})
        assert answer.headers["content-type"] == "application/problem+json", accept
    for accept in ("text/html", "TEXT/HTML;q=0.5, */*;q=0.1", "a/b,text/html;level=1"):
        assert app.get("/fib", {"Accept": accept}).headers["content-type"].startswith("text/html")
    head = app.request("HEAD", "/fib", headers=BROWSER)
    assert head.status == 500 and head.body == b""


def test_in_development_a_problem_carries_stack_and_worker(nodey: Nodey) -> None:
    app = nodey({"workers/fib.py": FIB_PY, "workers/add.js": ADD_JS},
                script("fib") + script("add", "js"), args=DEV)
    for path, worker, word in (("/fib", "fib", "in divide"), ("/add", "add", "at sum")):
        answer = app.get(path)
        problem = answer.json()
        assert (problem["type"], problem["status"]) == ("about:blank", 500)
        assert problem["title"] == "Internal Server Error"
        assert problem["instance"] == path
        assert problem["request_id"] == answer.headers["x-request-id"]
        assert problem["worker"] == worker
        assert any(word in line for line in problem["stack"]), problem
        assert not any("\n" in line for line in problem["stack"])


def test_in_production_there_is_no_page_no_stack_and_no_path(nodey: Nodey) -> None:
    lost = FIB_PY + "\n\n@nodey.get('/open')\ndef lost(req):\n    open('/srv/no/such/file')\n"
    app = nodey({"workers/fib.py": lost, "workers/broken.py": BROKEN_PY},
                script("fib") + script("broken") +
                doomed("dud", "error", "/srv/app/secret.cfg is not there", instances=1),
                args=["--no-dev"])
    until(lambda: app.get("/broken").status == 503 and app.get("/dud").status == 503, 10,
          "failures")
    for path in ("/fib", "/open", "/broken", "/dud", "/nothing"):
        answer = app.get(path, BROWSER)
        assert answer.headers["content-type"] == "application/problem+json", answer
        assert set(answer.json()) <= {"type", "title", "status", "detail", "instance",
                                      "request_id"}, answer
        for word in ("Traceback", "File \"", str(app.folder), "/srv/"):
            assert word not in answer.text, (path, word, answer)
    assert "file" in app.get("/open").json()["detail"]
    assert "secret.cfg" in app.get("/dud").json()["detail"]


def test_the_data_of_an_error_is_passed_on(nodey: Nodey) -> None:
    for args in (DEV, ["--no-dev"]):
        app = nodey({"workers/fib.py": FIB_PY}, script("fib"), args=args)
        problem = app.get("/meant").json()
        assert problem["status"] == 404 and problem["detail"] == "no such user"
        assert problem["data"] == {"user": 7}


# ------------------------------------------------------------------ the log


def entries(app: App) -> list[dict[str, object]]:
    return [json.loads(line) for line in app.log().splitlines() if line.startswith("{")]


def test_an_unhandled_error_is_logged_once_with_traceback_and_request(nodey: Nodey) -> None:
    app = nodey({"workers/fib.py": FIB_PY, "workers/add.js": ADD_JS},
                "[server]\nlog_format = \"json\"\n" + script("fib") + script("add", "js"),
                args=DEV)
    for path, words in (("/fib", "division by zero"), ("/add", "properties of null")):
        answer = app.get(f"{path}?mark=1")
        until(lambda: [e for e in entries(app) if words in str(e["message"])], 5, "an entry")
        app.get("/fine")  # and what else there may be to say has been said
        found = [e for e in entries(app) if words in str(e["message"])]
        assert len(found) == 1, found
        assert found[0]["level"] == "error"
        assert found[0]["request_id"] == answer.headers["x-request-id"]
        assert found[0]["request"] == f"GET {path}?mark=1"
        assert "\n" in str(found[0]["message"]), "with its traceback"
        assert path[1:] in str(found[0]["who"])


ASKER_PY = '''\
import nodey


@nodey.get("/asker")
def asker(req):
    return nodey.ask("Fails")
'''

ASKED_PY = '''\
import nodey


@nodey.token("Fails")
def fails(args):
    raise KeyError("deep down")
'''


def test_an_error_in_an_ask_names_the_request_behind_it(nodey: Nodey) -> None:
    app = nodey({"workers/asker.py": ASKER_PY, "workers/asked.py": ASKED_PY},
                "[server]\nlog_format = \"json\"\n" + script("asker") + script("asked"))
    answer = app.get("/asker")
    until(lambda: [e for e in entries(app) if str(e["who"]).startswith("asked")], 5, "an entry")
    entry = next(e for e in entries(app) if str(e["who"]).startswith("asked"))
    assert "deep down" in str(entry["message"])
    assert entry["request_id"] == answer.headers["x-request-id"]
    assert entry["request"] == "ask Fails"


def test_in_text_an_error_is_indented_and_names_its_request(nodey: Nodey) -> None:
    app = nodey({"workers/fib.py": FIB_PY}, script("fib"), args=DEV)
    answer = app.get("/fib?mark=1")
    short = answer.headers["x-request-id"][-8:]
    app.wait_log(rf"^\S+ fib#0 \| error: .*{short}\)$")
    app.wait_log(r"^    Traceback \(most recent call last\):$")
    app.wait_log(r"^    ZeroDivisionError: division by zero$")
    assert app.log().count("ZeroDivisionError: division by zero") <= 2
    assert "\\n" not in app.log()


def test_what_a_handler_prints_belongs_to_its_request(nodey: Nodey) -> None:
    app = nodey({"workers/fib.py": FIB_PY},
                "[server]\nlog_format = \"json\"\n" + script("fib"), args=DEV)
    answer = app.get("/fib?who=you")
    until(lambda: [e for e in entries(app) if e["message"] == "computing for you"], 5, "it")
    entry = next(e for e in entries(app) if e["message"] == "computing for you")
    assert entry.get("request_id") in (answer.headers["x-request-id"], None)


def test_the_same_reason_for_not_starting_is_told_once(nodey: Nodey) -> None:
    text = "import nodey\nraise RuntimeError('always the same')\n"
    app = nodey({"workers/bad.py": text}, args=DEV,
                config=script("bad", backoff_min="10ms", backoff_max="20ms", max_restarts=4,
                              failed_retry="60s"))
    app.wait_log(r"bad#0.*failed", timeout=20)
    assert app.log().count("Traceback (most recent call last)") == 1, app.log()


def test_a_port_that_is_taken_names_its_holder(nodey: Nodey) -> None:
    first = nodey({"workers/fib.py": FIB_PY}, script("fib"))
    second = nodey({"workers/fib.py": FIB_PY}, script("fib"), wait=False, exit_code=1,
                   listen=f"127.0.0.1:{first.port}")
    second.wait_exit()
    assert re.search(rf"in use, by nodey \(process {first.pid}\).*--listen {first.port + 1}",
                     second.log()), second.log()
