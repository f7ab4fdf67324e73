"""One transfer of a known size, by curl."""

from __future__ import annotations

import subprocess

from harness.errors import BenchError
from harness.server import Server

PATIENCE_SECONDS = 60


def transfer(server: Server, path: str, *options: str, size: int) -> dict[str, float]:
    """What curl says of its speed.  size: the bytes that must have come or gone."""
    done = subprocess.run(
        ["curl", "-sS", "--fail", "-o", "/dev/null", "-w", "%{size_download} %{size_upload} %{time_total}"]
        + [*options, f"http://{server.address}{path}"],
        capture_output=True, text=True, timeout=PATIENCE_SECONDS,
    )
    if done.returncode:
        raise BenchError(f"curl: {done.stderr.strip()}")
    down, up, seconds = map(float, done.stdout.split())
    moved = max(down, up)
    if moved != size:
        raise BenchError(f"{moved:.0f} bytes came instead of {size}")
    return {"mb_per_second": moved / seconds / 1e6}
