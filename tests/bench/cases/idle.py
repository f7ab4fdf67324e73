"""What nodey itself costs while nothing happens: CPU, and how often it wakes."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from harness import servers
from harness.context import Context, progress
from harness.errors import BenchError
from harness.report import Column, Table
from harness.server import get

WORKERS = 10
SECONDS = 60.0
SERVICE = '[services.beat]\ncommand = "sleep 1000000"\n'
COLUMNS = [
    Column("cpu_percent", "CPU %", 4),
    Column("wakes", "wake-ups/s", 2),
    Column("pings", "pings and pongs/s", 2),
]


def _switches(pid: int) -> int:
    """How often it has slept: it wakes as often."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"^voluntary_ctxt_switches:\s*(\d+)", status, re.MULTILINE)[0])


def _cpu_ns(pid: int) -> int:
    """Of the scheduler's own account: a tick is ten thousand times too coarse."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def _calls(pid: int, seconds: float) -> dict[str, int]:
    """Its system calls by name; {} without strace."""
    if shutil.which("strace") is None:
        return {}
    tracer = subprocess.Popen(["strace", "-c", "-f", "-p", str(pid)], stderr=subprocess.PIPE,
                              stdout=subprocess.DEVNULL, text=True)
    time.sleep(seconds)
    tracer.send_signal(signal.SIGINT)
    _, told = tracer.communicate(timeout=10)
    rows = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", told, re.MULTILINE)
    return {name: int(count) for count, name in rows if name != "total"}


def run(context: Context) -> list[Table]:
    table = Table("idle", f"nodey itself, {WORKERS} workers and a service, {SECONDS:g} s", COLUMNS)
    pools = {f"pool{n}": servers.Pool("named.py") for n in range(WORKERS)}
    server = servers.nodey(context, "nodey", pools, path="/pool0", routes=SERVICE)
    try:
        server.expect = None
        server.start()
        for n in range(WORKERS):
            if get(server.port, f"/pool{n}")[0] != 200:
                raise BenchError(f"pool{n} does not answer")
        time.sleep(3)
        progress("idle: doing nothing")
        before, cpu, since = _switches(server.pid), _cpu_ns(server.pid), time.monotonic()
        time.sleep(SECONDS)
        span = time.monotonic() - since
        wakes = (_switches(server.pid) - before) / span
        percent = (_cpu_ns(server.pid) - cpu) / 1e9 / span * 100
        calls = _calls(server.pid, 10)
        table.add("nodey", {"cpu_percent": percent, "wakes": wakes,
                            "pings": calls.get("write", 0) / 10 + calls.get("writev", 0) / 10})
        if calls:
            print("system calls within 10 s: " + ", ".join(
                f"{count} {name}" for name, count in sorted(calls.items(), key=lambda c: -c[1])))
    except (BenchError, OSError) as error:
        table.fail("nodey", str(error))
    finally:
        server.stop()
        progress("")
    table.limit("nodey", "cpu_percent", "% CPU", "<", 0.1)
    return [table]
