"""Workers with `async def` handlers."""

from __future__ import annotations

import signal
import time

import pytest

WORKER = """
    import asyncio, time, nodey
    @nodey.get("/sleep")
    async def sleep(req):
        try:
            await asyncio.sleep(float(req.query["s"]))
        except asyncio.CancelledError:
            nodey.log.info("stopped")
            raise
        return req.query["s"]
    @nodey.get("/block")
    def block(req):
        end = time.monotonic() + float(req.query["s"])
        while time.monotonic() < end:
            if req.cancelled():
                return "stopped"
            time.sleep(0.01)
        return req.query["s"]
    @nodey.get("/ask")
    async def ask(req):
        return await nodey.ask_async("Far", req.query, timeout=float(req.query.get("t", 9)))
    @nodey.get("/ask-from-thread")
    def ask_from_thread(req):
        return nodey.ask("Far", req.query)
    @nodey.get("/exit")
    async def leave():
        raise SystemExit(4)
    @nodey.token("Twice")
    def twice(n): return n * 2
"""


def test_ready_tells_what_an_asyncio_worker_can_do(write) -> None:
    worker = write(WORKER)
    ready = worker.ready()
    assert ready["concurrency"] == 1000 and ready["prefetch"] == 0
    assert worker.end() == 0


@pytest.mark.parametrize("path", ["/sleep", "/block"])
def test_requests_run_at_the_same_time(write, path) -> None:
    worker = write(WORKER)
    worker.ready()
    begin = time.monotonic()
    for id, seconds in ((1, 0.6), (2, 0.3), (3, 0.01)):
        worker.get(f"{path}?s={seconds}", id=id)
    assert [frame["id"] for frame in worker.next_of(3)] == [3, 2, 1]
    assert time.monotonic() - begin < 0.85
    assert worker.end() == 0


def test_cancel_stops_the_task_and_is_answered(write) -> None:
    worker = write(WORKER)
    worker.ready()
    worker.get("/sleep?s=30", id=1)
    worker.get("/sleep?s=0", id=2)
    assert worker.next()["id"] == 2
    worker.send({"type": "cancel", "id": 1, "reason": "disconnect"})
    log = worker.next()
    assert log["message"] == "stopped" and log["id"] == 1
    frame = worker.next()
    assert frame["id"] == 1 and frame["code"] == "cancelled"
    assert worker.end() == 0


def test_cancel_is_seen_by_a_handler_in_a_thread(write) -> None:
    worker = write(WORKER)
    worker.ready()
    worker.get("/block?s=9")
    time.sleep(0.2)
    worker.send({"type": "cancel", "id": 1})
    assert worker.next() == {"id": 1, "body": "stopped"}


def test_asks_say_what_they_are_asked_for(write) -> None:
    worker = write(WORKER)
    worker.ready()
    worker.get("/ask?a=1", id=11)
    worker.get("/ask-from-thread?a=2", id=12)
    asks = sorted(worker.next_of(2), key=lambda ask: ask["for"])
    assert [(ask["for"], ask["args"]["a"]) for ask in asks] == [(11, "1"), (12, "2")]
    for ask in asks:
        worker.send({"type": "answer", "id": ask["id"], "value": ask["for"]})
    frames = sorted(worker.next_of(2), key=lambda frame: frame["id"])
    assert frames == [{"id": 11, "json": 11}, {"id": 12, "json": 12}]
    assert worker.end() == 0


def test_threads_that_wait_do_not_keep_a_nested_ask_from_running(write) -> None:
    worker = write(WORKER)
    worker.ready()
    for id in range(64):  # All the threads there are.
        worker.get("/ask-from-thread", id=id)
    asks = worker.next_of(64)
    worker.send({"type": "ask", "id": 99, "token": "Twice", "nested": True, "args": 4})
    assert worker.next() == {"type": "answer", "id": 99, "value": 8}
    for ask in asks:
        worker.send({"type": "answer", "id": ask["id"], "value": 1})
    worker.next_of(64)
    assert worker.end() == 0


def test_an_ask_ends_with_its_time_and_with_its_request(write) -> None:
    worker = write(WORKER)
    worker.ready()
    worker.get("/ask?t=0.1", id=1)
    ask = worker.next()
    assert worker.next() == {"type": "cancel", "id": ask["id"], "reason": "timeout"}
    assert worker.next()["code"] == "deadline_exceeded"
    worker.get("/ask", id=2)
    ask = worker.next()
    worker.send({"type": "cancel", "id": 2})
    frames = worker.next_of(2)
    assert {"type": "cancel", "id": ask["id"], "reason": "disconnect"} in frames
    assert [frame["code"] for frame in frames if frame["type"] == "error"] == ["cancelled"]
    assert worker.end() == 0


def test_the_end_of_input_lets_requests_finish(write) -> None:
    worker = write(WORKER)
    worker.ready()
    worker.get("/sleep?s=0.2", id=1)
    worker.get("/ask", id=2)
    worker.next()
    worker.close_input()
    frames = worker.next_of(2)
    assert frames[0]["id"] == 2 and frames[0]["code"] == "unavailable"
    assert frames[1] == {"id": 1, "body": "0.2"}
    assert worker.wait() == 0


def test_sigterm_lets_requests_finish(write) -> None:
    worker = write(WORKER)
    worker.ready()
    worker.get("/sleep?s=0.5")
    time.sleep(0.1)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.next() == {"type": "drain"}
    assert worker.next() == {"id": 1, "body": "0.5"}
    assert worker.wait() == 0


def test_shutdown_cancels_tasks(write) -> None:
    worker = write(WORKER)
    worker.ready()
    worker.get("/sleep?s=30")
    worker.send({"type": "shutdown", "grace": 1000})
    assert worker.next()["message"] in ("stopped", "cancelled")
    worker.process.wait(10)


def test_input_may_be_a_file(run, write, tmp_path) -> None:
    lines = tmp_path / "requests.jsonl"
    lines.write_text('{"id":1,"method":"GET","path":"/sleep","query":"s=0.1"}\n')
    with open(lines) as file:
        worker = write(WORKER, mode="hand", stdin=file)
    assert worker.next() == {"id": 1, "body": "0.1"}
    assert worker.wait() == 0


def test_sys_exit_in_a_handler_ends_the_worker(write) -> None:
    worker = write(WORKER)
    worker.ready()
    worker.get("/exit")
    frame = worker.next()
    assert frame["id"] == 1 and frame["message"] == "a handler ended the program: sys.exit(4)"
    assert [logged["id"] for logged in worker.failures] == [1]
    assert "\nTraceback" in worker.failures[0]["message"]
    worker.process.wait(10)
    assert worker.process.returncode == 4


def test_lag_is_measured_from_the_first_ping_on(write) -> None:
    worker = write(
        """
        import time, nodey
        @nodey.get("/")
        async def root(): time.sleep(1.3)
        """
    )
    worker.ready()
    worker.send({"type": "ping", "id": 1})
    assert "lag" not in worker.next()
    worker.get("/")
    worker.next()
    time.sleep(0.1)
    worker.send({"type": "ping", "id": 2})
    pong = worker.next()
    assert pong["id"] == 2 and pong["lag"] > 100
