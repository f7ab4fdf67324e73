"""The fixture `nodey`: starts the real binary, and judges its end after every test."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, Optional, Sequence

import pytest
from pytest_timeout import Settings

from app import BINARY, App


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if path.suffix == ".sh":
            path.chmod(0o755)


@pytest.fixture
def nodey(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., App]]:
    """A factory: nodey(files={"workers/hello.py": "..."}, config="...") is a running App.

    wait=False returns at once, without a port.  exit_code is what the end must be, None
    when the test judges it.  folder= starts in the folder of an earlier one.  After the
    test each is stopped; its exit code must be right, no process of it may be left, and
    no sanitizer report may stand in its log.
    """
    assert BINARY.exists(), f"{BINARY} is not there: run make, or set NODEY_BIN"
    apps: list[App] = []

    def start(files: Optional[Mapping[str, str]] = None, config: str = "",
              env: Optional[Mapping[str, str]] = None, args: Sequence[str] = (),
              wait: bool = True, exit_code: Optional[int] = 0,
              folder: Optional[Path] = None, listen: str = "127.0.0.1:0") -> App:
        if folder is None:
            folder = tmp_path / f"app{len(apps)}"
            folder.mkdir()
        write_files(folder, files or {})
        if config:
            (folder / "nodey.toml").write_text(config)
        app = App(folder, args, env, exit_code, listen)
        apps.append(app)
        return app.wait_ready() if wait else app

    request.node.stash[APPS] = apps
    yield start
    problems = [problem for app in reversed(apps) for problem in app.finish()]
    assert not problems, "\n".join(problems)


APPS = pytest.StashKey[list]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Who is run again has all of its time again: pytest-timeout's alarm rings but once."""
    seconds = item.config.getoption("timeout", None)
    if seconds and getattr(item, "execution_count", 1) > 1:
        item.config.hook.pytest_timeout_set_timer(
            item=item, settings=Settings(seconds, "signal", False, False))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[Any]:
    """Shows the log's end with every failure."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for app in item.stash.get(APPS, []):
            report.sections.append((f"nodey log ({app.folder.name})", app.log()[-6000:]))
