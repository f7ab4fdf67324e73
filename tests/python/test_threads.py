"""Workers started with nodey.start(threads=n)."""

from __future__ import annotations

import signal
import time

WORKER = """
    import time, nodey
    @nodey.get("/sleep")
    def sleep(req):
        time.sleep(float(req.query["s"]))
        return req.query["s"]
    @nodey.get("/ask")
    def ask(req):
        return nodey.ask("Far", req.query)
    @nodey.token("Near")
    def near(args): return args
    nodey.start(threads=2)
"""


def test_requests_run_in_as_many_threads(write) -> None:
    worker = write(WORKER)
    assert worker.ready()["concurrency"] == 2
    begin = time.monotonic()
    for id, seconds in ((1, 0.6), (2, 0.3), (3, 0.1)):
        worker.get(f"/sleep?s={seconds}", id=id)
    assert [frame["id"] for frame in worker.next_of(3)] == [2, 3, 1]
    assert 0.55 < time.monotonic() - begin < 0.9
    assert worker.end() == 0


def test_threads_that_wait_do_not_keep_a_nested_ask_from_running(write) -> None:
    worker = write(WORKER)
    worker.ready()
    worker.get("/ask?a=1", id=11)
    worker.get("/ask?a=2", id=12)
    asks = worker.next_of(2)
    assert sorted(ask["for"] for ask in asks) == [11, 12]
    worker.send({"type": "ask", "id": 13, "token": "Near", "nested": True, "args": 5})
    assert worker.next() == {"type": "answer", "id": 13, "value": 5}
    for ask in asks:
        worker.send({"type": "answer", "id": ask["id"], "value": ask["for"]})
    frames = sorted(worker.next_of(2), key=lambda frame: frame["id"])
    assert frames == [{"id": 11, "json": 11}, {"id": 12, "json": 12}]
    assert worker.end() == 0


def test_drain_lets_threads_ask_and_be_asked_to_the_end(write) -> None:
    worker = write(WORKER)
    worker.ready()
    worker.get("/ask")
    ask = worker.next()
    worker.send({"type": "drain"})
    time.sleep(0.1)
    worker.send({"type": "ask", "id": 2, "token": "Near", "nested": True, "args": 5})
    assert worker.next()["value"] == 5
    worker.send({"type": "answer", "id": ask["id"], "value": 1})
    assert worker.next() == {"id": 1, "json": 1}
    assert worker.wait() == 0


def test_the_end_of_input_lets_threads_finish(write) -> None:
    worker = write(WORKER)
    worker.ready()
    worker.get("/sleep?s=0.3")
    worker.close_input()
    assert worker.next() == {"id": 1, "body": "0.3"}
    assert worker.wait() == 0


def test_sigterm_lets_threads_finish(write) -> None:
    worker = write(WORKER)
    worker.ready()
    worker.get("/sleep?s=0.5")
    time.sleep(0.1)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.next() == {"type": "drain"}
    assert worker.next() == {"id": 1, "body": "0.5"}
    assert worker.wait() == 0


def test_threads_and_async_handlers_do_not_mix(write) -> None:
    worker = write(
        """
        import nodey
        @nodey.get("/")
        async def root(): pass
        nodey.start(threads=2)
        """
    )
    frame = worker.next()
    assert frame["code"] == "failed_precondition" and "`def` handlers" in frame["message"]
    assert worker.end() == 1
