"""Every crash leaves a report, which says what somebody needs at three in the morning."""

from __future__ import annotations

import json
import re
import socket
import stat
import time
from pathlib import Path
from typing import Any, Callable

import pytest

import command
import reports
from app import App
from checks import kill
from conftest import write_files
from timing import slow, until
from workers import evil, pool, script

pytestmark = pytest.mark.outside

Nodey = Callable[..., App]


def control(app: App, target: str) -> tuple[int, bytes]:
    """GET from the control socket."""
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(str(app.folder / ".nodey" / "control.sock"))
        door.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while piece := door.recv(65536):
            data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


# ------------------------------------------------------------------ what is in one


def test_a_crash_says_who_what_and_why(nodey: Nodey) -> None:
    app = nodey(files=reports.python("shop"), config=script("shop", quarantine=0))
    answer = app.get("/shop/exit?user=7&api_key=hunter2hunter2")
    assert answer.status == 502
    report = reports.wait_report(app, "shop", lambda r: r.get("recovered_ms") and r.get("again"))
    assert answer.json()["incident"] == report["id"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\d-0001", report["id"])
    assert report["kind"] == "worker" and report["instance"] == 0 and report["generation"] == 1
    assert report["reason"] == "crash" and report["sentence"] == "exited with status 3"
    assert report["exit"] == {"status": 3} and report["was_ready"]
    [request] = report["requests"]
    assert request["what"] == "GET /shop/exit?user=7&api_key=***"
    assert request["id"] == answer.headers["x-request-id"]
    assert request["begun"] and not request["given_up"] and request["ms"] < 5000
    assert [line["text"] for line in report["lines"]] == ["about to leave"]
    assert report["lines"][0]["stream"] == "stderr"
    assert re.match(r"started again (at once|after \d+ ms)$", report["then"])
    assert report["again"]["count"] == 1, "a GET is tried once more"
    assert report["restarts"] == 1 and report["advice"]
    assert "hunter2" not in json.dumps(report)


def test_secrets_of_the_environment_are_masked(nodey: Nodey) -> None:
    source = ("import os, sys, nodey\n"
              "print('connecting with', os.environ['DB_PASSWORD'], file=sys.stderr)\n"
              "@nodey.get('/leaky/exit')\n"
              "def leave(req):\n"
              "    raise SystemExit(os._exit(1))\n")
    app = nodey(files={"workers/leaky.py": source},
                config=script("leaky") + 'env = { DB_PASSWORD = "correct-horse-battery" }\n')
    assert app.get("/leaky/exit").status == 502
    report = reports.wait_report(app, "leaky")
    assert any(line["text"] == "connecting with ***" for line in report["lines"])
    for file in reports.folder(app).iterdir():
        assert "correct-horse" not in file.read_text()


def test_a_crash_in_native_code_leaves_pythons_stack(nodey: Nodey) -> None:
    app = nodey(files=reports.python("shop"), config=script("shop"))
    assert app.get("/shop/segv").status == 502
    report = reports.wait_report(app, "shop")
    assert report["exit"] == {"signal": "SIGSEGV"} and "memory" in report["sentence"]
    assert report["stack"][0] == "Fatal Python error: Segmentation fault"
    assert any("shop.py" in line and "in segv" in line for line in report["stack"])


def test_requests_that_wait_are_told_from_those_that_had_begun(nodey: Nodey) -> None:
    app = nodey(config=evil(words=("prefetch=4",), instances=1, prefetch=4))
    for _ in range(30):  # so that nodey knows it as quick, and lets requests wait in its pipe
        assert app.get("/evil").status == 200
    opened = [app.open_request("POST", "/evil?do=hang", b"x")]
    time.sleep(0.3)
    kill(app.worker_pids("evil"))
    for connection in opened:
        assert connection.read_response().status == 502
        connection.close()
    report = reports.wait_report(app, "evil")
    assert report["sentence"] == "killed by SIGKILL, and not by nodey"
    assert [(one["what"], one["begun"]) for one in report["requests"]] == [
        ("POST /evil?do=hang", True)]
    assert report["requests"][0]["ms"] >= 250


def test_what_a_person_killed_is_said_to_be_killed_by_a_person(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=1))
    assert command.run(app.folder, "kill", "-s", "KILL", "evil").code == 0
    report = reports.wait_report(app, "evil")
    assert report["sentence"] == "killed by nodey kill (SIGKILL)"
    assert "dmesg" not in report["advice"] and "nodey stop" in report["advice"]
    assert report["exit"] == {"signal": "SIGKILL"}


def test_an_async_worker_reports_all_that_it_had(nodey: Nodey) -> None:
    app = nodey(files=reports.asynchronous("chat"), config=script("chat"))
    waiting = [app.open_request("GET", f"/chat/wait?n={n}") for n in range(5)]
    time.sleep(0.2)
    assert app.get("/chat/exit").status == 502
    for connection in waiting:
        connection.close()
    report = reports.wait_report(app, "chat")
    whats = [one["what"] for one in report["requests"]]
    assert whats == [f"GET /chat/wait?n={n}" for n in range(5)] + ["GET /chat/exit"]
    assert all(one["begun"] for one in report["requests"])


def test_a_node_crash_has_its_last_words(nodey: Nodey) -> None:
    app = nodey(files=reports.node("js"), config=script("js", "mjs"))
    assert app.get("/js/exit").status == 502
    report = reports.wait_report(app, "js")
    assert report["exit"] == {"status": 3}
    assert [line["text"] for line in report["lines"]] == ["about to leave"]


@pytest.mark.parametrize("mode", ["--no-dev", "--dev"])
def test_an_uncaught_exception_of_node_is_reported_with_its_request(nodey: Nodey,
                                                                    mode: str) -> None:
    app = nodey(files=reports.node("js"), config=script("js", "mjs"), args=(mode,))
    answer = app.post("/js/throw?n=1", b"x")
    report = reports.wait_report(app, "js")
    assert answer.status == 502 and answer.json()["incident"] == report["id"]
    assert [one["what"] for one in report["requests"]] == ["POST /js/throw?n=1"]
    assert any("nobody caught this" in line["text"] for line in report["lines"]), report


@pytest.mark.parametrize("words, status, hint", [
    (("/bin/sh", "-c", "exit 127"), 127, "the command was not found"),
    (("/bin/sh", "-c", "exit 126"), 126, "cannot be executed"),
    (("/bin/sh", "-c", "exit 137"), 137, "killed by SIGKILL"),
])
def test_exit_codes_are_said_in_words(nodey: Nodey, words: tuple[str, ...], status: int,
                                      hint: str) -> None:
    app = nodey(config=pool("cmd", *words, max_restarts=2), exit_code=None)
    report = reports.wait_report(app, "cmd")
    assert report["exit"] == {"status": status} and not report["was_ready"]
    assert hint in report["sentence"], report["sentence"]


def test_a_start_that_takes_too_long_is_reported_with_its_stack(nodey: Nodey) -> None:
    source = "import time\ndef connect():\n    time.sleep(60)\nconnect()\nimport nodey\n"
    app = nodey(files={"workers/slow.py": source}, config=script("slow", start_timeout="1500ms"),
                wait=False, exit_code=None)
    report = reports.wait_report(app, "slow", seconds=15)
    assert report["reason"] == "start" and "not ready within 1500 ms" in report["sentence"]
    assert any("in connect" in line for line in report["stack"]), report["stack"]
    assert report["did"] == "was waiting, not working"


def test_a_service_that_dies_is_reported_too(nodey: Nodey) -> None:
    config = ("[services.db]\n"
              "command = \"sh -c 'echo opening; echo no disk >&2; sleep 1.3; kill -SEGV $$$$'\"\n"
              "backoff_min = \"30s\"\nbackoff_max = \"30s\"\n")
    app = nodey(files=reports.python("shop"), config=script("shop") + config)
    report = reports.wait_report(app, "db")
    assert report["kind"] == "service" and report["exit"] == {"signal": "SIGSEGV"}
    assert {line["text"] for line in report["lines"]} >= {"opening", "no disk"}


# ------------------------------------------------------------------ how many there are


def test_a_crash_loop_is_one_report(nodey: Nodey) -> None:
    app = nodey(config=pool("loop", "/bin/sh", "-c", "echo again >&2; exit 9", max_restarts=100,
                            backoff_min="10ms", backoff_max="30ms"), exit_code=None)
    report = reports.wait_report(app, "loop", lambda r: r.get("again", {}).get("count", 0) >= 20)
    assert len(reports.reports(app)) == 1
    assert report["again"]["last"] >= report["time"]
    assert report["lines"] == [report["lines"][0]], "one life's lines"


def test_only_so_many_are_kept(nodey: Nodey) -> None:
    app = nodey(config="[server]\nincidents = 3\n" + evil(instances=1, quarantine=0))
    for code in range(1, 6):
        assert app.post(f"/evil?do=exit&code={code}").status == 502
        app.wait_workers(1, "evil")
    until(lambda: [one["exit"]["status"] for one in reports.reports(app)] == [5, 4, 3], 5,
          "the three newest are left")


def test_a_planned_end_is_no_incident(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=2, max_requests=5))
    for _ in range(60):
        assert app.get("/evil?id=1").status == 200
    assert command.run(app.folder, "reload").code == 0
    app.stop()
    assert not reports.folder(app).exists() or not reports.reports(app)


def test_ids_go_on_after_a_restart(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=1))
    assert app.post("/evil?do=exit&code=3").status == 502
    first = reports.wait_report(app, "evil")["id"]
    app.stop()
    again = nodey(folder=app.folder)
    assert again.post("/evil?do=exit&code=3").status == 502
    until(lambda: len(reports.reports(again)) == 2, 5, "there is a second report")
    assert reports.reports(again)[0]["id"] > first


# ------------------------------------------------------------------ files and failures


def test_files_are_for_their_owner(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=1))
    assert app.post("/evil?do=exit&code=3").status == 502
    reports.wait_report(app, "evil")
    [file] = reports.folder(app).iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(reports.folder(app).stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_written_is_told_once_and_fails_nobody(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=1, quarantine=0))
    blocked = reports.folder(app)
    blocked.write_text("not a folder")
    for code in range(1, 5):
        assert app.post(f"/evil?do=exit&code={code}").status == 502
        app.wait_workers(1, "evil")
    assert app.get("/evil?id=1").text == "1"
    assert len(re.findall("a report cannot be kept", app.log())) == 1
    blocked.unlink()
    assert app.post("/evil?do=exit&code=9").status == 502
    assert reports.wait_report(app, "evil", lambda r: r["exit"] == {"status": 9})


def test_writing_a_report_holds_nobody_up(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=1, quarantine=0, backoff_max="100ms")
                + evil("calm", instances=1))
    worst = 0.0
    for code in range(1, 9):
        assert app.post(f"/evil?do=exit&code={code}").status == 502
        begun = time.monotonic()
        assert app.get("/calm?id=1").status == 200
        worst = max(worst, time.monotonic() - begun)
        app.wait_workers(1, "evil")
    assert worst < slow(0.25), worst


# ------------------------------------------------------------------ nodey why, and the API


def test_why_tells_all_of_it(nodey: Nodey) -> None:
    app = nodey(files=reports.python("shop"), config=script("shop", quarantine=0))
    assert app.get("/shop/exit?token=abcdefgh").status == 502
    report = reports.wait_report(app, "shop", lambda r: r.get("recovered_ms"))
    done = command.run(app.folder, "why", "shop")
    assert done.code == 0, done
    assert re.match(r"shop is ready: 1 of 1 instance ready", done.out)
    for words in ("shop#0: exited with status 3", report["id"], "GET /shop/exit?token=***",
                  "under way for", "about to leave", "ready again after", "what to do"):
        assert words in done.out, (words, done.out)
    assert "\x1b" not in done.out


REPORT = {
    "id": "2026-11-21-0001", "time": "2026-11-21T18:40:03.123Z", "program": "shop",
    "kind": "worker", "instance": 2, "sentence": "exited with status 3",
    "again": {"count": 2, "last": "2026-11-21T18:41:00.000Z"},
    "requests": [
        {"what": "GET /a", "begun": True, "ms": 340, "id": "r1"},
        {"what": "POST /b", "begun": False, "ms": 3210, "given_up": True}],
    "requests_more": 4, "stack": ["in f", "in g"],
    "lines": [{"time": "2026-11-21T18:40:02.000Z", "text": "about to leave"},
              {"time": "2026-11-21T18:40:02.900Z", "text": "left"}],
    "pid": 123, "age_ms": 302_000, "was_ready": False,
    "usage": {"memory": 52_428_800, "cpu_ms": 1500}, "did": "computed",
    "then": "starts again in 100 ms", "recovered_ms": 120, "restarts": 3,
    "quarantine": [{"what": "GET /a", "deaths": 3, "until": "2026-11-21T18:45:03.000Z"}],
    "advice": "look at its last lines"}

# In a zone of its own: five hours and a half ahead.
TOLD = """\
shop#2: exited with status 3

when        2026-11-22 00:10:03, report 2026-11-21-0001
again       2 times, last at 00:11:00
requests    GET /a, under way for 340 ms (request r1)
            POST /b, not begun, waited for 3.2 s, its time was over or its client gone
            and 4 more
stack       in f
            in g
last lines  00:10:02 about to leave
            00:10:02 left
process     123, ran for 5m 2s and was never ready, used 50.0MiB and 1.5 s of CPU, computed
then        starts again in 100 ms; ready again after 120 ms; 3 restarts until then
refused     GET /a, which ended 3 workers, is answered with 500 until 00:15:03, \
or until the program changes

what to do  look at its last lines
"""

BRIEF = """\
shop#2: exited with status 3

when        2026-11-22 00:10:03, report 2026-11-21-0001
again       1 time, last at 00:11:00
requests    none
last lines  00:10:02 in f
            00:10:03 in g
process     123, ran for 302 ms
then        starts again in 100 ms; 1 restart until then

what to do  look at its last lines
"""


def told(folder: Path, report: dict[str, Any], *words: str) -> str:
    write_files(folder, {"workers/shop.py": "", ".nodey/incidents/2026-11-21-0001.json":
                         json.dumps(report) + "\n"})
    done = command.run(folder, "why", *words, env={"TZ": "XXX-5:30"})
    assert done.code == 0, done
    return str(done.out)


def test_all_that_a_report_holds_is_told_in_its_place(tmp_path: Path) -> None:
    assert told(tmp_path, REPORT, "2026-11-21-0001") == TOLD
    line = "2026-11-21-0001  11-22 00:10:03  shop#2  exited with status 3 (again 2 times)\n"
    assert told(tmp_path, REPORT, "-n", "1") == line


def test_what_a_report_does_not_hold_is_not_told(tmp_path: Path) -> None:
    """And a stack that stands among the last lines is not told twice."""
    lines = [{"time": f"2026-11-21T18:40:0{n}.000Z", "text": text}
             for n, text in ((2, "in f"), (3, "in g"))]
    left_out = ("requests", "requests_more", "usage", "did", "recovered_ms", "quarantine")
    report: dict[str, Any] = {key: value for key, value in REPORT.items() if key not in left_out}
    report.update(lines=lines, age_ms=302, was_ready=True, restarts=1,
                  again={"count": 1, "last": "2026-11-21T18:41:00.000Z"})
    assert told(tmp_path, report, "2026-11-21-0001") == BRIEF
    del report["lines"], report["stack"], report["again"]
    shown = told(tmp_path, report, "2026-11-21-0001")
    assert "last lines  " not in shown and "again" not in shown.split("\nthen")[0], shown


def test_why_works_when_nodey_is_down(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=1))
    assert app.post("/evil?do=exit&code=3").status == 502
    report = reports.wait_report(app, "evil")
    app.stop()
    done = command.run(app.folder, "why", "evil")
    assert done.code == 0 and "nodey is not up" in done.out, done
    assert "exited with status 3" in done.out
    by_id = command.run(app.folder, "why", report["id"])
    assert by_id.code == 0 and "exited with status 3" in by_id.out
    as_json = command.run(app.folder, "why", "--format", "json")
    assert json.loads(as_json.out)[0]["id"] == report["id"]


def test_why_of_what_is_well_says_so(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=1))
    done = command.run(app.folder, "why", "evil")
    assert done.code == 0 and "evil is ready" in done.out and "no report" in done.out, done
    nothing = command.run(app.folder, "why")
    assert nothing.code == 0 and "nothing has crashed" in nothing.out


def test_why_knows_what_it_does_not_know(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=1))
    wrong = command.run(app.folder, "why", "evli")
    assert wrong.code == 1 and 'did you mean "evil"?' in wrong.err, wrong
    gone = command.run(app.folder, "why", "2020-01-01-0001")
    assert gone.code == 1 and "no report 2020-01-01-0001" in gone.err
    assert command.run(app.folder, "why", "-n", "x").code == 2
    assert command.run(app.folder, "why", "evil", "other").code == 2


def test_why_lists_the_last(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=1, quarantine=0))
    for code in (3, 4):
        assert app.post(f"/evil?do=exit&code={code}").status == 502
        app.wait_workers(1, "evil")
    until(lambda: len(reports.reports(app)) == 2, 5, "there are two reports")
    lines = command.run(app.folder, "why", "-n", "5").out.splitlines()
    assert len(lines) == 2 and "status 4" in lines[0] and "status 3" in lines[1], lines
    assert len(command.run(app.folder, "why", "-n", "1").out.splitlines()) == 1


def test_last_lines_cannot_paint_over_a_terminal(nodey: Nodey) -> None:
    app = nodey(config=pool("art", "/bin/sh", "-c",
                            r"printf '\033[2J\007clear\n' >&2; exit 1", max_restarts=2),
                exit_code=None)
    reports.wait_report(app, "art")
    done = command.run(app.folder, "why", "art")
    assert "clear" in done.out and "\x1b" not in done.out and "\x07" not in done.out


def test_the_control_socket_has_them(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=1) + evil("other", instances=1))
    assert app.post("/evil?do=exit&code=3").status == 502
    report = reports.wait_report(app, "evil")
    status, body = control(app, "/v1/incidents")
    assert status == 200 and [one["id"] for one in json.loads(body)] == [report["id"]]
    assert json.loads(control(app, "/v1/incidents?program=other")[1]) == []
    assert json.loads(control(app, f"/v1/incidents/{report['id']}")[1])["reason"] == "crash"
    assert control(app, "/v1/incidents/2020-01-01-0001")[0] == 404
    (app.folder / ".nodey" / "incidents" / "notes.json").write_text("{}")
    assert control(app, "/v1/incidents/notes")[0] == 404, "what is no id is no file name"
    assert control(app, "/v1/incidents/../incidents/notes")[0] in (400, 404)
    assert control(app, "/v1/incidents?limit=9999")[0] == 400


def test_the_error_page_names_the_report(nodey: Nodey) -> None:
    app = nodey(config=evil(instances=1), args=("--dev",))
    answer = app.request("POST", "/evil?do=exit&code=3", headers={"accept": "text/html"})
    report = reports.wait_report(app, "evil")
    assert answer.status == 502 and f"nodey why {report['id']}" in answer.text
