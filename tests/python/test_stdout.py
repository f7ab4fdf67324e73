"""Descriptors 0 and 1 belong to the protocol, whatever a program does with them."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("private_fd", [True, False])
def test_what_is_printed_lands_in_the_log(run, private_fd) -> None:
    worker = run("noisy", private_fd=private_fd)
    worker.ready()
    worker.get("/noisy")
    assert worker.next() == {"id": 1, "body": "quiet"}
    assert worker.end() == 0
    # print, sys.__stdout__, os.write, a child process, libc.
    assert worker.errors().count("progress 10%") == 5


def test_what_is_printed_while_starting_lands_in_the_log(write) -> None:
    worker = write(
        """
        import nodey
        print("starting")
        @nodey.get("/")
        def root(): return 1
        print("started")
        """
    )
    worker.ready()
    assert worker.end() == 0
    assert worker.errors().split() == ["starting", "started"]


def test_a_child_process_cannot_read_our_requests(write) -> None:
    worker = write(
        """
        import subprocess, nodey
        @nodey.get("/")
        def root():
            return subprocess.run(["cat"], check=True).returncode
        """
    )
    worker.ready()
    worker.send(*[{"id": id, "method": "GET", "path": "/"} for id in (1, 2)])
    assert worker.next_of(2) == [{"id": 1, "json": 0}, {"id": 2, "json": 0}]
    assert worker.end() == 0


def test_a_child_process_inherits_no_protocol_descriptor(write) -> None:
    worker = write(
        """
        import subprocess, nodey
        @nodey.get("/")
        def root():
            command = ["ls", "-l", "/proc/self/fd"]
            return subprocess.run(command, capture_output=True, text=True, close_fds=False).stdout
        """
    )
    worker.ready()
    worker.get("/")
    listing = worker.next()["body"]
    links = [line.split(" -> ")[0].split()[-1] for line in listing.splitlines() if " -> " in line]
    # 3 is the directory that ls itself reads.
    assert links == ["0", "1", "2", "3"], listing
    assert worker.end() == 0


def test_the_descriptor_is_not_named_to_children(write) -> None:
    worker = write(
        """
        import os, nodey
        @nodey.get("/")
        def root(): return os.environ.get("NODEY_FD"), os.environ["NODEY"]
        """
    )
    worker.ready()
    worker.get("/")
    frame = worker.next()
    assert frame["code"] == "internal"  # A tuple that is no (status, value).
    assert "return a list" in frame["message"]
    assert worker.end() == 0


def test_a_forked_child_neither_answers_nor_reads(write) -> None:
    worker = write(
        """
        import os, sys, nodey
        @nodey.get("/")
        def root():
            if os.fork() == 0:
                nodey.log.info("from the child")
                return "from the child"
            os.wait()
            return "from the parent"
        """
    )
    worker.ready()
    worker.send(*[{"id": id, "method": "GET", "path": "/"} for id in (1, 2, 3)])
    assert worker.next_of(3) == [{"id": id, "body": "from the parent"} for id in (1, 2, 3)]
    assert worker.end() == 0


def test_a_bad_descriptor_number_falls_back_to_standard_output(run) -> None:
    worker = run("fib", private_fd=False, env={"NODEY_FD": "77"})
    worker.ready()
    worker.get("/fib?num=10")
    assert worker.next() == {"id": 1, "json": {"fib": 55}}
    assert worker.end() == 0


@pytest.mark.parametrize("mode", ["supervised", "hand"])
def test_input_neither_waits_nor_takes_our_requests(write, mode) -> None:
    worker = write(
        """
        import sys, nodey
        @nodey.get("/name")
        def name(): return input("name? ")
        @nodey.get("/rest")
        def rest(): return [sys.stdin.readline(), sys.stdin.read()]
        """,
        mode=mode,
    )
    if mode == "supervised":
        worker.ready()
    worker.send(*[{"id": i, "method": "GET", "path": p} for i, p in ((1, "/name"), (2, "/rest"))])
    first, second = worker.next_of(2)
    assert first["id"] == 1
    assert first["message"].startswith("EOFError: input('name? '): a worker has no keyboard; ")
    assert second == {"id": 2, "json": ["", ""]}
    assert worker.end() == 0
