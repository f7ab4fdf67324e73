"""ask(), with a scripted supervisor at the other end."""

from __future__ import annotations

import selectors
import time

ASKER = """
    import nodey
    @nodey.get("/ask")
    def get(req):
        timeout = req.query.get("timeout")
        return nodey.ask("Far", req.query, timeout=float(timeout) if timeout else None)
    @nodey.get("/plain")
    def plain(): return "plain"
    @nodey.token("Near")
    def near(args): return args
    @nodey.token("Through")
    def through(args): return ["through", nodey.ask("Far", args)]
"""


def answer(worker, ask, value) -> None:
    worker.send({"type": "answer", "id": ask["id"], "value": value})


def test_requests_that_come_meanwhile_wait_for_the_stack_to_unwind(write) -> None:
    worker = write(ASKER)
    worker.ready()
    worker.get("/ask?a=1", id=1)
    ask = worker.next()
    assert ask == {"type": "ask", "id": 1, "for": 1, "token": "Far", "args": {"a": "1"}}
    worker.get("/plain", id=2)
    worker.send({"type": "ask", "id": 3, "token": "Near", "args": 3})  # Not nested: waits too.
    assert worker.silent_for(0.2)
    answer(worker, ask, "far")
    assert worker.next() == {"id": 1, "body": "far"}
    assert worker.next() == {"id": 2, "body": "plain"}
    assert worker.next() == {"type": "answer", "id": 3, "value": 3}
    assert worker.end() == 0


def test_finished_answers_leave_before_an_ask_waits(write) -> None:
    worker = write(ASKER)
    worker.ready()
    for round in range(20):  # Let both handlers be known as quick.
        worker.get("/plain")
        worker.next()
    worker.send(
        {"id": 1, "method": "GET", "path": "/plain"}, {"id": 2, "method": "GET", "path": "/ask"}
    )
    assert worker.next() == {"id": 1, "body": "plain"}
    answer(worker, worker.next(), 0)
    assert worker.next() == {"id": 2, "json": 0}


def test_time_over_cancels_the_ask_and_a_late_answer_is_nothing(write) -> None:
    worker = write(ASKER)
    worker.ready()
    worker.get("/ask?timeout=0.1")
    ask = worker.next()
    assert ask["timeout"] == 100
    begin = time.monotonic()
    assert worker.next() == {"type": "cancel", "id": ask["id"], "reason": "timeout"}
    assert time.monotonic() - begin < 1
    frame = worker.next()
    assert frame["id"] == 1 and frame["code"] == "deadline_exceeded"
    answer(worker, ask, "late")
    worker.get("/plain", id=2)
    assert worker.next() == {"id": 2, "body": "plain"}


def test_args_that_are_no_json_are_the_askers_error(write) -> None:
    worker = write(
        """
        import nodey
        @nodey.get("/")
        def root(): return nodey.ask("Far", {"a": {1}})
        """
    )
    worker.ready()
    worker.get("/")
    assert "the args of ask('Far') is not JSON: at ['a'], set" in worker.next()["message"]


def test_nested_asks_stack_up(write) -> None:
    worker = write(ASKER)
    worker.ready()
    worker.get("/ask", id=100)
    asks = [worker.next()]
    for depth in range(1, 11):
        nested = {"type": "ask", "id": 100 + depth, "token": "Through", "nested": True}
        worker.send({**nested, "args": depth})
        asks.append(worker.next())
        assert asks[-1]["for"] == 100 + depth
    # Answered from the bottom: nobody can go on before those above have.
    for ask in asks[:-1]:
        answer(worker, ask, ask["id"])
    assert worker.silent_for(0.2)
    answer(worker, asks[-1], "top")
    for depth in range(10, 0, -1):
        frame = worker.next()
        assert frame["type"] == "answer" and frame["id"] == 100 + depth
    assert worker.next() == {"id": 100, "json": asks[0]["id"]}


def test_the_end_of_input_ends_an_ask(write) -> None:
    worker = write(ASKER)
    worker.ready()
    worker.get("/ask")
    worker.next()
    worker.close_input()
    frame = worker.next()
    assert frame["code"] == "unavailable"
    assert worker.wait() == 0


def test_drain_lets_an_ask_be_answered(write) -> None:
    worker = write(ASKER)
    worker.ready()
    worker.get("/ask")
    ask = worker.next()
    worker.send({"type": "drain"})
    answer(worker, ask, 5)
    assert worker.next() == {"id": 1, "json": 5}
    assert worker.wait() == 0


def test_a_script_may_ask_while_it_starts(write) -> None:
    worker = write(
        """
        import nodey
        price = nodey.ask("Price", 1)
        @nodey.get("/")
        def root(): return price
        """
    )
    ask = worker.next()
    assert ask == {"type": "ask", "id": 1, "token": "Price", "args": 1}
    answer(worker, ask, 9.5)
    worker.ready()
    worker.get("/")
    assert worker.next() == {"id": 1, "json": 9.5}
    assert worker.end() == 0


def test_threads_of_a_synchronous_worker_may_ask(write) -> None:
    """Whoever reads hands the others' answers to them, also when the main thread is busy."""
    worker = write(
        """
        import threading, time, nodey
        def ask(results, number):
            results.append([number, nodey.ask("Far", number)])
        @nodey.get("/")
        def root(req):
            results = []
            threads = [threading.Thread(target=ask, args=(results, n)) for n in range(8)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            return sorted(results)
        @nodey.get("/background")
        def background(req):
            results = []
            thread = threading.Thread(target=ask, args=(results, 0))
            thread.start()
            global last
            last = thread, results
            return "started"
        @nodey.get("/result")
        def result(req):
            last[0].join()
            return last[1]
        """
    )
    worker.ready()
    worker.get("/")
    asks = worker.next_of(8)
    assert {ask["token"] for ask in asks} == {"Far"}
    worker.get("/background", id=2)
    for ask in asks:  # One at a time: every leader leaves while the others still wait.
        answer(worker, ask, ask["args"] * 10)
        time.sleep(0.02)
    assert worker.next() == {"id": 1, "json": [[n, n * 10] for n in range(8)]}
    frames = sorted(worker.next_of(2), key=str)  # The answer and the ask, in any order.
    assert {"id": 2, "body": "started"} in frames
    ask = next(frame for frame in frames if frame.get("type") == "ask")
    answer(worker, ask, "far")
    worker.get("/result", id=3)
    assert worker.next() == {"id": 3, "json": [[0, "far"]]}
    assert worker.end() == 0


def test_two_workers_that_ask_each_other_do_not_lock_up(write, run, tmp_path) -> None:
    """One instance each; asks go to an instance only while it is idle or waits itself."""
    text = """
import nodey
@nodey.get("/")
def root(req): return nodey.ask("{other}", 3)
@nodey.token("{own}")
def own(depth): return [depth, nodey.ask("{other}", depth - 1) if depth else None]
"""
    workers = []
    for own, other in (("A", "B"), ("B", "A")):
        script = tmp_path / f"{own}.py"
        script.write_text(text.format(own=own, other=other))
        workers.append(run(script))
    for worker in workers:
        worker.ready()
    for worker in workers:
        worker.send(*[{"id": id, "method": "GET", "path": "/"} for id in (1, 2, 3)])
    done = relay(dict(zip("AB", workers)), expected=6)
    assert done == [[3, [2, [1, [0, None]]]]] * 6
    for worker in workers:
        assert worker.end() == 0


def relay(workers, expected):
    """The supervisor's part: carries asks over, all of them nested, and answers back."""
    selector = selectors.DefaultSelector()
    for name, worker in workers.items():
        selector.register(worker.out, selectors.EVENT_READ, name)
    routes, results, next_id = {}, [], 1000
    while len(results) < expected:
        events = selector.select(10)
        assert events, f"locked up with {len(results)} results"
        for key, _mask in events:
            source = workers[key.data]
            while True:
                frame = source.next()
                if frame.get("type") == "ask":
                    next_id += 1
                    routes[next_id] = (source, frame["id"])
                    ask = {"type": "ask", "id": next_id, "token": frame["token"], "nested": True}
                    workers[frame["token"]].send({**ask, "args": frame["args"]})
                elif frame.get("type") == "answer":
                    asker, id = routes.pop(frame["id"])
                    answer(asker, {"id": id}, frame["value"])
                else:
                    results.append(frame["json"])
                if source.silent_for(0):
                    break
    return results


def test_by_hand_a_worker_asks_itself(write) -> None:
    worker = write(
        """
        import nodey
        @nodey.token("Twice")
        def twice(n): return (n * 2, )[0]
        @nodey.get("/own")
        def own(): return nodey.ask("Twice", 21)
        @nodey.get("/far")
        def far(): return nodey.ask("Far", 21)
        """,
        mode="hand",
    )
    worker.get("/own")
    worker.get("/far", id=2)
    assert worker.next() == {"id": 1, "json": 42}
    frame = worker.next()
    assert frame["code"] == "unavailable" and "run it under nodey" in frame["message"]
    assert worker.end() == 0


def test_ask_in_the_event_loop_says_what_to_use(write) -> None:
    worker = write(
        """
        import nodey
        @nodey.get("/")
        async def root(): return nodey.ask("Far")
        """
    )
    worker.ready()
    worker.get("/")
    assert "use await nodey.ask_async" in worker.next()["message"]


def test_a_synchronous_handler_may_run_a_loop_of_its_own(write) -> None:
    worker = write(
        """
        import asyncio, nodey
        async def both():
            return await asyncio.gather(nodey.ask_async("Far", 1), nodey.ask_async("Far", 2))
        @nodey.get("/")
        def root(): return asyncio.run(both())
        """
    )
    worker.ready()
    worker.get("/")
    for ask in worker.next_of(2):
        answer(worker, ask, ask["args"])
    assert worker.next() == {"id": 1, "json": [1, 2]}
