"""A real browser as a client."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from typing import Iterator


@contextmanager
def chromium(url: str) -> Iterator[None]:
    """Chromium has the page open.

    Its files lie in a folder with a short name, because the name of a socket is among them.
    """
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, "no Chromium is here; run: scripts/bootstrap test"
    with tempfile.TemporaryDirectory(prefix="nodey-test-", ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
             "--disable-dev-shm-usage", f"--user-data-dir={folder}/profile", url],
            env={**os.environ, "TMPDIR": folder}, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
