"""ready.files: what a worker is made of, also when it imports something late."""

from __future__ import annotations

import time

import pytest

LATE = """
    import json, nodey, helper
    {extra}
    @nodey.get("/late")
    def late():
        import later, csv
        return later.NAME
    @nodey.get("/csv")
    def other():
        import colorsys, csv
        return 1
    {start}
"""


@pytest.fixture
def modules(tmp_path):
    (tmp_path / "helper.py").write_text("")
    (tmp_path / "later.py").write_text("NAME = 'later'\n")
    packages = tmp_path / "site-packages"
    packages.mkdir()
    (packages / "library.py").write_text("")
    return tmp_path


def names(ready, folder):
    assert all(file.startswith(str(folder)) for file in ready["files"]), ready["files"]
    return [file[len(str(folder)) + 1 :] for file in ready["files"]]


@pytest.mark.parametrize("runner", [True, False])
def test_the_script_and_its_own_modules_are_listed(write, modules, runner) -> None:
    worker = write(
        """
        import sys
        sys.path.append(sys.path[0] + "/site-packages")
        import json, library, helper, nodey
        nodey.get("/")(lambda: 1)
        """,
        env={"NODEY_WATCH": "1"},
        runner=runner,
    )
    assert names(worker.ready(), modules) == ["helper.py", "worker.py"]
    assert worker.end() == 0


@pytest.mark.parametrize("start", ["", "nodey.start(threads=2)", "loop"])
@pytest.mark.parametrize("variable", ["NODEY_DEV", "NODEY_WATCH"])
def test_a_module_that_is_imported_late_is_told(write, modules, start, variable) -> None:
    loop = start == "loop"
    extra = "@nodey.on_start\n    async def loop(): pass" if loop else ""
    text = LATE.format(extra=extra, start="" if loop else start)
    worker = write(text, env={variable: "1"})
    first = worker.ready()
    assert names(first, modules) == ["helper.py", "worker.py"]
    worker.get("/csv", id=1)  # Nobody's own modules are no news.
    assert worker.next() == {"id": 1, "json": 1}
    assert worker.silent_for(1.3)
    begin = time.monotonic()
    worker.get("/late", id=2)
    assert worker.next() == {"id": 2, "body": "later"}
    again = worker.ready()
    assert time.monotonic() - begin < 2.5
    assert names(again, modules) == ["helper.py", "later.py", "worker.py"]
    assert {**again, "files": 0} == {**first, "files": 0}
    assert worker.end() == 0


def test_without_anybody_who_watches_nothing_is_told(write, modules) -> None:
    worker = write(LATE.format(extra="", start=""))
    assert "files" not in worker.ready()
    worker.get("/late")
    assert worker.next()["body"] == "later"
    assert worker.silent_for(1.3)
    assert worker.end() == 0
