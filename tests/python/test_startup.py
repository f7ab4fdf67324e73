"""From a script to a worker, and the ways not to become one."""

from __future__ import annotations

import os
import subprocess
import sys

from process import ROOT, environment


def test_a_failure_while_starting_is_reported_with_its_stack(write) -> None:
    worker = write(
        """
        import nodey
        @nodey.get("/")
        def root(): pass
        raise ValueError("no database")
        """
    )
    frame = worker.next()
    assert frame["type"] == "error" and frame["id"] is None
    assert frame["code"] == "failed_precondition"
    assert frame["message"] == "ValueError: no database"
    assert "worker.py" in frame["stack"]
    assert worker.end() == 1
    assert worker.errors() == ""  # The supervisor has been told; twice would be too much.


def test_a_script_that_exits_by_itself_is_not_served(write) -> None:
    worker = write(
        """
        import sys, nodey
        @nodey.get("/")
        def root(): pass
        sys.exit("DATABASE_URL is not set")
        """
    )
    frame = worker.next()
    assert frame["code"] == "failed_precondition" and "before it could serve" in frame["message"]
    assert worker.end() == 1
    assert "DATABASE_URL is not set" in worker.errors()


def test_start_returns_at_the_end_of_input(write) -> None:
    worker = write(
        """
        import nodey
        @nodey.get("/")
        def root(): return 1
        nodey.start()
        nodey.start()
        nodey.log.info("after")
        """
    )
    worker.ready()
    worker.get("/")
    worker.close_input()
    assert worker.next() == {"id": 1, "json": 1}
    assert worker.next()["message"] == "after"
    assert worker.wait() == 0


def test_a_failure_after_serving_is_no_failure_to_start(write) -> None:
    worker = write(
        """
        import nodey
        @nodey.get("/")
        def root(): return 1
        nodey.start()
        raise ValueError("late")
        """
    )
    worker.ready()
    assert worker.end() == 1


def test_handlers_may_live_in_modules(write, tmp_path) -> None:
    (tmp_path / "handlers.py").write_text("import nodey\nnodey.get('/')(lambda: 'module')\n")
    worker = write("import handlers")
    worker.ready()
    worker.get("/")
    assert worker.next() == {"id": 1, "body": "module"}
    assert worker.end() == 0


def test_handlers_may_use_threads_and_executors(write) -> None:
    worker = write(
        """
        import threading, nodey
        threading.Thread(target=threading.Event().wait).start()  # One that never ends.
        @nodey.get("/")
        def root():
            import os
            from concurrent.futures import ThreadPoolExecutor
            with ThreadPoolExecutor() as executor:
                return executor.submit(lambda: "executor").result()
        @nodey.get("/exit")
        def leave():
            import os
            os._exit(0)
        """
    )
    worker.ready()
    worker.get("/")
    assert worker.next() == {"id": 1, "body": "executor"}


def test_a_multiprocessing_child_does_not_serve(write) -> None:
    worker = write(
        """
        import multiprocessing, nodey
        def square(n): return n * n
        @nodey.get("/")
        def root():
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                return pool.map(square, [1, 2, 3])
        """
    )
    worker.ready()
    worker.send(*[{"id": id, "method": "GET", "path": "/"} for id in (1, 2)])
    assert worker.next_of(2) == [{"id": 1, "json": [1, 4, 9]}, {"id": 2, "json": [1, 4, 9]}]
    assert worker.end() == 0
    assert worker.errors() == ""


def test_a_protocol_that_is_not_offered_is_a_failure_to_start(run) -> None:
    worker = run("fib", env={"NODEY_PROTOCOL": "2,3"})
    frame = worker.next()
    assert "protocol 1" in frame["message"] and "2,3" in frame["message"]
    assert worker.end() == 1


def test_the_ancestors_interface(write) -> None:
    worker = write(
        """
        from nodey import PyNodey
        n = PyNodey()
        n.set({"Price": lambda: 9.5}).set({"Twice": lambda n: n * 2}).start()
        stock = n.ask("Stock")
        """
    )
    ask = worker.next()
    assert ask == {"type": "ask", "id": 1, "token": "Stock", "args": None}
    worker.send({"type": "answer", "id": 1, "value": 7})
    assert worker.ready()["tokens"] == ["Price", "Twice"]
    worker.send({"type": "ask", "id": 1, "token": "Price"})
    worker.send({"type": "ask", "id": 2, "token": "Twice", "args": 4})
    assert [worker.next()["value"], worker.next()["value"]] == [9.5, 8]
    assert worker.end() == 0


def test_the_fibonacci_example_by_hand() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "workers/fib.py")],
        input=b'{"id":1,"method":"GET","path":"/fib","query":"num=10"}\n'
        b'{"id":2,"method":"GET","path":"/fib","query":"num=46"}\n'
        b'{"type":"ask","id":3,"token":"Fib","args":{"num":7}}',
        capture_output=True,
        env=environment("hand", "fib", {}),
        check=True,
        timeout=20,
    )
    first, second, third = done.stdout.splitlines()
    assert first == b'{"id":1,"json":{"fib":55}}'
    assert b'"code":"invalid_argument"' in second
    assert third == b'{"type":"answer","id":3,"value":13}'
    assert done.stderr == b""


def test_on_a_terminal_one_line_says_what_to_type() -> None:
    leader, terminal = os.openpty()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "workers/fib.py")],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment("hand", "fib", {}),
    )
    os.close(terminal)
    os.write(leader, b'{"id":1,"method":"GET","path":"/fib","query":"num=10"}\n\x04')
    out, err = process.communicate(timeout=20)
    os.close(leader)
    assert out == b'{"id":1,"json":{"fib":55}}\n'
    assert len(err.splitlines()) == 1 and b"Ctrl-D" in err


def test_importing_is_quick() -> None:
    """Nothing big may slip into the import; what is rarely needed is imported when it is."""
    code = "import sys, nodey; print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        env=environment("hand", "fib", {}),
        check=True,
    )
    loaded = set(done.stderr.split())
    heavy = {"asyncio", "typing", "traceback", "logging", "inspect", "http", "urllib", "socket"}
    assert not loaded & heavy
    assert len([name for name in loaded if name.startswith("nodey.")]) < 20
