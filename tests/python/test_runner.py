"""python3 -m nodey.run SCRIPT: a script as a worker, and what is said when it is none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from process import SDK, environment

HEADLINE = "Traceback (most recent call last):"


def stop(worker) -> str:
    """Ends a worker that failed to start: nothing else was said, not even as text."""
    assert worker.end() == 1
    return worker.errors()


def test_a_missing_package_is_one_line_with_the_command(write) -> None:
    """The failing import stands before the SDK's own."""
    worker = write("import nodey_needs_this\nimport nodey\n", name="fib.py")
    frame = worker.next()
    assert frame["type"] == "error" and frame["id"] is None
    assert frame["code"] == "failed_precondition"
    head, command = frame["message"].split(": run  ")
    assert head.startswith('fib needs the package "nodey_needs_this", which is not installed')
    assert command.endswith("pip install nodey_needs_this") and "\n" not in command
    stack = frame["stack"].splitlines()
    assert stack[0] == HEADLINE and "fib.py" in stack[1]
    assert stack[-1] == "ModuleNotFoundError: No module named 'nodey_needs_this'"
    assert "run.py" not in frame["stack"]
    assert stop(worker) == ""


@pytest.mark.parametrize("module, package", [("yaml_", "yaml_"), ("Crypto", "pycryptodome")])
def test_a_package_may_have_another_name_than_its_module(write, module, package) -> None:
    worker = write(f"import {module}.part\n")
    assert f'needs the package "{package}"' in worker.next()["message"]


def test_the_names_that_people_stumble_over() -> None:
    from nodey.explain import _PACKAGE_OF

    expected = {
        "yaml": "pyyaml",
        "cv2": "opencv-python",
        "PIL": "pillow",
        "bs4": "beautifulsoup4",
        "sklearn": "scikit-learn",
        "dotenv": "python-dotenv",
        "dateutil": "python-dateutil",
        "jwt": "pyjwt",
    }
    assert expected.items() <= _PACKAGE_OF.items()


BARE = """
import sys, nodey.explain
sys.prefix = sys.base_prefix
sys.argv[0] = "worker.py"
print(nodey.explain.explained(ModuleNotFoundError("no", name="nodey_needs_this")).message)
"""


def advice(folder: Path, code: str = BARE, **env: str) -> str:
    """What is said of a missing package in a folder."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment("hand", "worker", env),
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.strip()  # A script by hand is a worker: what it prints goes there.


def test_without_an_environment_the_command_makes_one(tmp_path) -> None:
    told = "; a new .venv has none of the packages installed elsewhere: run  "
    install = ".venv/bin/python3 -m pip install nodey_needs_this"
    assert advice(tmp_path).endswith(f"not installed{told}python3 -m venv .venv && {install}")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python3").write_text("")
    assert advice(tmp_path).endswith(f"which is not installed: run  {install}")


def test_in_an_environment_its_own_python_installs(tmp_path) -> None:
    code = BARE.replace("sys.base_prefix\n", f"{str(tmp_path / 'env')!r}\n")
    command = advice(tmp_path, code).split("which is not installed: run  ")[1]
    assert command == "env/bin/python3 -m pip install nodey_needs_this"


def test_the_command_works_where_nodey_was_started(tmp_path) -> None:
    folder = tmp_path / "my app"
    folder.mkdir()
    assert f": run  cd '{folder}' && python3 -m venv " in advice(folder, PWD=str(tmp_path))
    assert "cd " not in advice(folder, PWD=str(folder))
    (tmp_path / "link").symlink_to(folder)
    assert "cd " not in advice(folder, PWD=str(tmp_path / "link"))


def test_an_environment_in_the_folder_is_named_as_one_would_type_it(tmp_path) -> None:
    import venv

    venv.create(tmp_path / ".venv", symlinks=True, with_pip=False)
    (tmp_path / "fib.py").write_text("import nodey_needs_this\n")
    done = subprocess.run(
        [str(tmp_path / ".venv/bin/python"), "-m", "nodey.run", "fib.py"],
        cwd=tmp_path,
        env=environment("supervised", "fib", {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
    )
    message = json.loads(done.stdout)["message"]
    assert message.endswith("run  .venv/bin/python3 -m pip install nodey_needs_this")
    (tmp_path / "requirements.txt").write_text("flask\nnodey-needs-this>=1.0  # all of it\n")
    done = subprocess.run(
        [str(tmp_path / ".venv/bin/python"), "-m", "nodey.run", "fib.py"],
        cwd=tmp_path,
        env=environment("hand", "fib", {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.stdout == "" and done.returncode == 1
    assert done.stderr == (
        'nodey: fib needs the package "nodey_needs_this", which is not installed: '
        "run  .venv/bin/python3 -m pip install -r requirements.txt\n"
    )


@pytest.mark.parametrize(
    "wrong, right",
    [
        ("helperz", "helper (helper.py)"),
        ("helprs", "helper (helper.py)"),
        ("libary", "library (library/)"),
        ("boto9", None),
        ("ujson", '"json"'),
    ],
)
def test_a_slip_of_the_finger_comes_before_a_missing_package(write, tmp_path, wrong, right) -> None:
    (tmp_path / "helper.py").write_text("")
    (tmp_path / "library").mkdir()
    (tmp_path / "library/words.py").write_text("")
    (tmp_path / "empty").mkdir()
    message = write(f"import {wrong}\n").next()["message"]
    if right is None or (right[0] == '"' and sys.version_info < (3, 10)):
        assert message.startswith(f'worker needs the package "{wrong}", which is not installed')
    else:
        first = f'worker imports "{wrong}", which is not there: did you mean {right}? '
        assert message.startswith(first + "If it is a package to install: run  ")
        assert message.endswith(f" -m pip install {wrong}")


def test_a_script_is_not_what_it_imports(write) -> None:
    assert "needs the package" in write("import workerz\n").next()["message"]


def test_other_frameworks_names_are_understood_by_import_too(write) -> None:
    frame = write("from nodey import get, jsonify\n").next()
    assert frame["message"] == "nodey has no 'jsonify': return the dict or list itself"
    assert "worker.py" in frame["stack"] and "cannot import name" in frame["stack"]


def test_a_missing_part_of_a_package_is_no_missing_package(write) -> None:
    message = write("import json.nothing\n").next()["message"]
    assert message == 'worker imports "json.nothing", but the package "json" has no such module'


def test_a_syntax_error_shows_the_line(write, tmp_path) -> None:
    worker = write('import nodey\n\n\n@nodey.get("/")\ndef root(:\n    pass\n', cwd=tmp_path)
    frame = worker.next()
    first, source, caret = frame["message"].splitlines()
    assert first == "worker.py:5: SyntaxError: invalid syntax"
    assert source.strip() == "def root(:" and caret.strip() == "^"
    assert caret.index("^") - source.index("def") == len("def root(")
    assert 'worker.py", line 5' in frame["stack"] and "run.py" not in frame["stack"]
    assert stop(worker) == ""


def test_a_syntax_error_in_a_helper_names_the_helper(write, tmp_path) -> None:
    (tmp_path / "helper.py").write_text("x = (\n")
    frame = write("import helper\n", cwd=tmp_path).next()
    assert frame["message"].startswith("helper.py:1: SyntaxError: ")
    assert 'worker.py", line 1' in frame["stack"] and 'helper.py", line 1' in frame["stack"]


def test_any_other_failure_has_its_traceback_without_ours(write) -> None:
    worker = write(
        """
        def connect():
            raise ConnectionError("no database")
        connect()
        import nodey
        """
    )
    frame = worker.next()
    assert frame["message"] == "ConnectionError: no database"
    lines = frame["stack"].splitlines()
    assert lines[0] == HEADLINE and "worker.py" in lines[1] and lines[1].endswith("<module>")
    assert "run.py" not in frame["stack"] and "runpy" not in frame["stack"]
    assert stop(worker) == ""


def test_by_hand_a_failure_is_a_plain_traceback_without_ours(write) -> None:
    worker = write("raise ValueError('late')\n", mode="hand")
    text = stop(worker)
    assert text.startswith(HEADLINE) and text.endswith("ValueError: late\n")
    assert "run.py" not in text and text.count("File ") == 1


def test_a_failure_after_serving_is_none_to_start(write) -> None:
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
    text = worker.errors()
    assert text.endswith("ValueError: late\n") and "run.py" not in text


@pytest.mark.parametrize("runner", [True, False])
def test_a_script_without_a_handler_is_told_how_to_have_one(write, runner) -> None:
    worker = write("import nodey\ndef root(req): return 1\n", name="hello.py", runner=runner)
    assert worker.next()["message"] == (
        'hello.py registered no handler: add @nodey.get("/path") above a function, '
        '@nodey.on("topic") above one that handles events, '
        'or @nodey.token("Name") above one that other workers ask'
    )
    assert stop(worker) == ""


def test_a_script_that_only_starts_the_ancestors_interface_serves(write) -> None:
    worker = write("import nodey\nnodey.PyNodey().start()\n")
    assert worker.ready()["tokens"] == []
    assert worker.end() == 0


def test_what_a_script_said_when_it_left_is_passed_on(write) -> None:
    worker = write("import sys, nodey\nsys.exit('DATABASE_URL is not set')\n")
    message = worker.next()["message"]
    assert message == "the script exited before it could serve: DATABASE_URL is not set"
    assert stop(worker) == "DATABASE_URL is not set\n"


LEVEL0 = """
    import json, sys
    print(json.dumps({"type": "ready"}), flush=True)
    for line in sys.stdin:
        id = json.loads(line)["id"]
        print(json.dumps({"id": id, "json": ["nodey" in sys.modules, sys.argv[1:]]}), flush=True)
"""


def test_a_script_that_does_not_use_the_sdk_keeps_its_descriptors(write) -> None:
    worker = write(LEVEL0, arguments=["a", "b"])
    worker.ready()
    worker.get("/")
    assert worker.next() == {"id": 1, "json": [False, ["a", "b"]]}
    assert worker.end() == 0
    assert worker.errors() == ""


def test_a_script_that_neither_serves_nor_uses_the_sdk_is_told(write) -> None:
    worker = write("print('{\"type\":\"drain\"}')\n", name="hello.py")
    assert worker.next() == {"type": "drain"}  # What it printed arrives first.
    assert worker.next()["message"].startswith("hello.py has ended, but a worker serves until")
    assert stop(worker) == ""


SEEN = """
    import os, sys, nodey
    @nodey.get("/")
    def root():
        main = sys.modules["__main__"]
        return {
            "name": __name__,
            "file": __file__,
            "argv": sys.argv,
            "path": sys.path[0],
            "spec": __spec__ is None,
            "main": main.__dict__ is globals(),
            "doc": __doc__,
        }
"""


@pytest.mark.parametrize("runner", [True, False])
def test_a_script_finds_everything_as_it_is_used_to(write, tmp_path, runner) -> None:
    worker = write(SEEN, arguments=["-x", "1"], runner=runner)
    worker.ready()
    worker.get("/")
    assert worker.next()["json"] == {
        "name": "__main__",
        "file": str(tmp_path / "worker.py"),
        "argv": [str(tmp_path / "worker.py"), "-x", "1"],
        "path": str(tmp_path),
        "spec": True,
        "main": True,
        "doc": None,
    }
    assert worker.end() == 0


@pytest.mark.parametrize("main", ["__main__.py", "main.py", "app.py"])
def test_a_folder_is_run_by_its_main_file(run, tmp_path, main) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "prices.py").write_text("PRICE = 9.5\n")
    (folder / main).write_text(
        "import nodey\nfrom prices import PRICE\n"
        "if __name__ == '__main__':\n    nodey.get('/')(lambda: PRICE)\n"
    )
    worker = run(folder)
    worker.ready()
    worker.get("/")
    assert worker.next() == {"id": 1, "json": 9.5}
    assert worker.end() == 0


def test_a_folder_without_a_main_file_is_told_what_it_lacks(run, tmp_path) -> None:
    worker = run(tmp_path)
    assert "has none of __main__.py, main.py, app.py" in worker.next()["message"]
    assert stop(worker) == ""


def test_the_runner_may_be_started_as_a_file_too(tmp_path) -> None:
    """Quicker than -m, and no nodey.py in the working directory gets in its way."""
    (tmp_path / "nodey.py").write_text("raise SystemExit('the wrong one')\n")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/fib.py").write_text("import nodey\nnodey.get('/')(lambda: 1)\n")
    done = subprocess.run(
        [sys.executable, str(SDK / "nodey/run.py"), "scripts/fib.py"],
        cwd=tmp_path,
        env=environment("hand", "fib", {}),
        input='{"id":1,"method":"GET","path":"/"}\n',
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert (done.stdout, done.stderr) == ('{"id":1,"json":1}\n', "")


def test_an_excepthook_of_the_users_own_is_called_as_well(write) -> None:
    worker = write(
        """
        import sys
        sys.excepthook = lambda kind, exc, trace: print("hook:", exc, file=sys.stderr)
        raise ValueError("told to both")
        """
    )
    assert worker.next()["message"] == "ValueError: told to both"
    assert stop(worker) == "hook: told to both\n"


def test_a_process_that_multiprocessing_spawns_finds_the_script(write) -> None:
    worker = write(
        """
        import multiprocessing, nodey
        class Point:
            def __init__(self, x): self.x = x
        def double(point): return Point(point.x * 2)
        @nodey.get("/")
        def root():
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                return [point.x for point in pool.map(double, [Point(1), Point(2)])]
        """
    )
    worker.ready()
    worker.get("/")
    assert worker.next() == {"id": 1, "json": [2, 4]}
    assert worker.end() == 0
    assert worker.errors() == ""


def test_without_a_script_it_says_how_it_is_used() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nodey.run"],
        env=environment("hand", "", {}),
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 2 and done.stderr.startswith("usage: python3 -m nodey.run SCRIPT")


def test_the_working_directory_is_not_searched_for_modules(tmp_path) -> None:
    (tmp_path / "colours.py").write_text("raise SystemExit('from the working directory')\n")
    (tmp_path / "w").mkdir()
    (tmp_path / "w/fib.py").write_text("import nodey\nimport colours\n")
    done = subprocess.run(
        [sys.executable, "-m", "nodey.run", str(Path("w") / "fib.py")],
        cwd=tmp_path,
        env=environment("hand", "fib", {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert 'needs the package "colours"' in done.stderr
