"""Workers of `def` handlers: order, batches, cancel, limits, the end."""

from __future__ import annotations

import os
import signal
import time

import pytest

SLEEPER = """
    import time, nodey
    @nodey.get("/sleep")
    def sleep(req):
        seconds = float(req.query.get("s", 0))
        if seconds:
            time.sleep(seconds)
        return seconds
    @nodey.get("/other")
    def other(req):
        time.sleep(float(req.query.get("s", 0)))
        return "other"
"""


def sleep(id: int, seconds: float = 0, path: str = "/sleep"):
    return {"id": id, "method": "GET", "path": path, "query": f"s={seconds}"}


def test_ready_tells_what_a_synchronous_worker_can_do(run) -> None:
    worker = run("fib")
    ready = worker.ready()
    assert ready["concurrency"] == 1 and ready["prefetch"] == 64
    assert set(ready["features"]) == set("stream sendfile cancel ask nested ping drain".split())
    assert ready["routes"] == [{"path": "/fib"}] and ready["tokens"] == ["Fib"]
    assert ready["pid"] == worker.process.pid
    assert "files" not in ready
    assert worker.end() == 0


def test_ready_names_the_source_files_in_development(run) -> None:
    worker = run("fib", env={"NODEY_DEV": "1"})
    files = worker.ready()["files"]
    assert [os.path.basename(file) for file in files] == ["fib.py"]


def test_many_requests_are_answered_in_order(run) -> None:
    worker = run("fib")
    worker.ready()
    request = {"method": "GET", "path": "/fib", "query": "num=9"}
    worker.send(*[{"id": id, **request} for id in range(500)])
    assert [worker.next()["id"] for _ in range(500)] == list(range(500))
    assert worker.end() == 0


def test_answers_of_quick_handlers_leave_together(write) -> None:
    worker = write(SLEEPER)
    worker.ready()
    worker.send(*[sleep(id) for id in range(1, 101)])
    worker.next_of(100)
    with open(f"/proc/{worker.process.pid}/io") as file:
        before = int(next(line for line in file if line.startswith("syscw")).split()[1])
    worker.send(*[sleep(id) for id in range(101, 201)])
    worker.next_of(100)
    with open(f"/proc/{worker.process.pid}/io") as file:
        after = int(next(line for line in file if line.startswith("syscw")).split()[1])
    # One write for each 200 microseconds; one for each answer would be 100.
    assert after - before < 50


def test_a_slow_handler_does_not_keep_finished_answers(write) -> None:
    worker = write(SLEEPER)
    worker.ready()
    worker.send(*[sleep(id) for id in range(1, 51)])
    worker.next_of(50)
    begin = time.monotonic()
    worker.send(sleep(51), sleep(52), sleep(53, 1.0, "/other"))
    assert [frame["id"] for frame in worker.next_of(2)] == [51, 52]
    assert time.monotonic() - begin < 0.5
    assert worker.next() == {"id": 53, "body": "other"}


def test_answers_leave_before_a_handler_that_is_known_to_be_slow(write) -> None:
    worker = write(SLEEPER)
    worker.ready()
    worker.send(*[sleep(id) for id in range(50)], sleep(50, 0.05, "/other"))
    worker.next_of(51)
    delays = []
    for _ in range(15):
        begin = time.monotonic()
        worker.send(sleep(1), sleep(2, 0.05, "/other"))
        assert worker.next()["id"] == 1
        delays.append(time.monotonic() - begin)
        assert worker.next()["id"] == 2
    assert sorted(delays)[7] < 0.003, delays


@pytest.mark.parametrize("work", ["time.sleep(1.0)", "spin(1.0)"])
def test_a_quick_handler_that_turns_slow_does_not_either(write, work) -> None:
    worker = write(
        f"""
        import time, nodey
        def spin(seconds):
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                pass
        @nodey.get("/")
        def root(req):
            if req.query_string:
                {work}
            return 1
        """
    )
    worker.ready()
    quick = [{"id": id, "method": "GET", "path": "/"} for id in range(1, 401)]
    worker.send(*quick)
    worker.next_of(400)
    begin = time.monotonic()
    worker.send(*quick[:3], {"id": 999, "method": "GET", "path": "/", "query": "slow"})
    worker.next_of(3)
    assert time.monotonic() - begin < 0.5
    assert worker.next()["id"] == 999


def test_a_request_that_waits_is_cancelled_at_once(write) -> None:
    worker = write(SLEEPER)
    worker.ready()
    worker.send(sleep(1, 0.3), sleep(2, 5), sleep(3))
    time.sleep(0.1)
    worker.send({"type": "cancel", "id": 2, "reason": "disconnect"})
    frames = worker.next_of(3)
    assert frames[0] == {"id": 1, "json": 0.3}
    assert frames[1]["id"] == 2 and frames[1]["code"] == "cancelled"
    assert frames[2] == {"id": 3, "json": 0.0}


def test_a_handler_can_see_that_it_is_cancelled(write) -> None:
    worker = write(
        """
        import time, nodey
        @nodey.get("/")
        def root(req):
            nodey.log.info("running")
            end = time.monotonic() + 8
            while time.monotonic() < end:
                if req.cancelled():
                    return "stopped"
                time.sleep(0.01)
            return "never told"
        """
    )
    worker.ready()
    worker.get("/", id=5)
    log = worker.next()
    assert log == {"type": "log", "level": "info", "message": "running", "id": 5}
    worker.send({"type": "cancel", "id": 4}, {"type": "cancel", "id": 5, "reason": "timeout"})
    assert worker.next() == {"id": 5, "body": "stopped"}


def test_a_line_that_is_too_long_is_refused_and_the_next_is_served(run) -> None:
    worker = run("echo", env={"NODEY_MAX_LINE": "100000"})
    worker.ready()
    long = {"id": 1, "method": "POST", "path": "/", "body": "x" * 300000}
    worker.send(long, {"id": 2, "method": "GET", "path": "/"})
    frame = worker.next()
    assert frame["id"] is None and "100000 bytes" in frame["message"]
    assert worker.next()["id"] == 2
    assert worker.end() == 0


def test_a_result_that_is_too_long_for_a_line_goes_in_pieces(write) -> None:
    worker = write(
        """
        import nodey
        @nodey.get("/")
        def root(req): return "é" * int(req.query_string)
        """,
        env={"NODEY_MAX_LINE": "10000"},
    )
    worker.ready()
    worker.get("/?4900")
    assert len(worker.next()["body"]) == 4900
    worker.get("/?5100")
    answer = worker.answer()
    assert answer.body.decode() == "é" * 5100 and len(answer.frames) > 1
    assert answer.headers == {
        "content-type": "text/plain; charset=utf-8",
        "content-length": "10200",
    }


def test_an_answer_to_an_ask_that_is_too_long_is_an_error(write) -> None:
    worker = write(
        """
        import nodey
        @nodey.token("T")
        def t(size): return "x" * size
        """,
        env={"NODEY_MAX_LINE": "10000"},
    )
    worker.ready()
    worker.send({"type": "ask", "id": 1, "token": "T", "args": 10000})
    frame = worker.next()
    assert frame["code"] == "internal" and "over the limit of 10000" in frame["message"]


def test_a_line_may_come_in_pieces(run) -> None:
    worker = run("echo")
    worker.ready()
    line = '{"id":1,"method":"POST","path":"/","body":"héllo"}\n'.encode()
    for index in range(len(line)):
        worker.process.stdin.write(line[index : index + 1])
        worker.process.stdin.flush()
    assert worker.next()["json"]["body"] == "héllo"


def test_ping_is_answered_with_memory_and_load(run) -> None:
    worker = run("fib")
    worker.ready()
    worker.send({"type": "ping", "id": 9})
    pong = worker.next()
    assert pong["type"] == "pong" and pong["id"] == 9 and pong["inflight"] == 0
    assert 1 << 20 < pong["rss"] < 1 << 30


def test_drain_answers_what_is_queued_and_ends(write) -> None:
    worker = write(SLEEPER)
    worker.ready()
    worker.send(sleep(1, 0.1), sleep(2), {"type": "drain", "grace": 1000})
    assert [frame["id"] for frame in worker.next_of(2)] == [1, 2]
    assert worker.wait() == 0


def test_shutdown_cancels_what_is_queued(write) -> None:
    worker = write(SLEEPER)
    worker.ready()
    worker.send(sleep(1, 0.3))
    time.sleep(0.1)
    worker.send(sleep(2, 5), {"type": "shutdown", "grace": 1000})
    assert [frame["id"] for frame in worker.next_of(2)] == [1, 2]
    assert worker.wait() == 0


def test_sigterm_lets_the_running_request_finish(write) -> None:
    worker = write(SLEEPER)
    worker.ready()
    worker.send(sleep(1, 0.5), sleep(2))
    time.sleep(0.2)
    worker.process.send_signal(signal.SIGTERM)
    frames = worker.next_of(3)
    assert [frame.get("id", frame.get("type")) for frame in frames] == [1, 2, "drain"]
    assert worker.wait() == 0


def test_sigterm_ends_an_idle_worker_whose_input_stays_open(run) -> None:
    worker = run("fib")
    worker.ready()
    worker.process.send_signal(signal.SIGTERM)
    assert worker.next() == {"type": "drain"}
    assert worker.wait() == 0


def test_sigint_is_the_supervisors_business(run) -> None:
    worker = run("fib")
    worker.ready()
    worker.process.send_signal(signal.SIGINT)
    worker.get("/fib?num=10")
    assert worker.next() == {"id": 1, "json": {"fib": 55}}
    assert worker.end() == 0
    assert worker.errors() == ""


def test_a_supervisor_that_is_gone_ends_the_worker_quietly(run) -> None:
    worker = run("fib")
    worker.ready()
    read_end, write_end = os.pipe()
    os.dup2(read_end, worker.out)  # Closes the only reader of the worker's output.
    os.close(read_end)
    worker.get("/fib?num=10")
    assert worker.process.wait(10) == 0
    assert worker.errors() == ""
    os.close(write_end)


def test_a_handler_that_calls_exit_is_answered_for(write) -> None:
    worker = write(
        """
        import sys, nodey
        @nodey.get("/")
        def root(): sys.exit(3)
        """
    )
    worker.ready()
    worker.get("/")
    frame = worker.next()
    assert frame["type"] == "error" and frame["id"] == 1 and frame["code"] == "internal"
    assert frame["message"] == "a handler ended the program: sys.exit(3)" and "stack" not in frame
    assert worker.end() == 3
    (logged,) = worker.failures
    assert logged["id"] == 1
    first, second, *_more = logged["message"].splitlines()
    assert first == "GET /: a handler ended the program: sys.exit(3)"
    assert second == "Traceback (most recent call last):"
    assert "worker.py" in logged["message"] and "sync.py" not in logged["message"]


def test_an_exit_in_a_nested_ask_ends_both(write) -> None:
    worker = write(
        """
        import sys, nodey
        @nodey.get("/")
        def root(): return nodey.ask("Far")
        @nodey.token("Leave")
        def leave(): sys.exit("tired")
        """,
        env={"NODEY_DEV": "1"},
    )
    worker.ready()
    worker.get("/")
    worker.next()
    worker.send({"type": "ask", "id": 2, "token": "Leave", "nested": True})
    frames = worker.next_of(2)
    assert [frame["id"] for frame in frames] == [2, 1]
    assert frames[0]["message"] == "a handler ended the program: sys.exit('tired')"
    assert "in leave" in frames[0]["stack"]
    assert worker.end() == 1
    assert [logged["id"] for logged in worker.failures] == [2, 1]


def test_an_end_right_after_a_backlog_is_an_orderly_one(run) -> None:
    """No thread of ours is left to wake while the interpreter finalizes."""
    backlog = "".join(
        f'{{"id":{id},"method":"GET","path":"/fib","query":"num=1"}}\n' for id in range(1, 200)
    )
    for _attempt in range(30):
        worker = run("fib")
        worker.write(backlog)
        worker.close_input()
        assert len(worker.next_of(200)) == 200  # ready, and an answer to each
        assert worker.end() == 0
