"""Load: wrk for many connections, load.c for latency and for odd loads."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import paths, proc
from harness.errors import BenchError
from harness.server import Server

UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60000.0}
SOURCES = {"load": paths.BENCH / "load.c", "wsload": paths.BENCH / "wsload.c"}


@dataclass(frozen=True)
class Throughput:
    per_second: float
    p50_ms: float
    p99_ms: float
    main_us: float  # CPU time per request of the process that was started
    all_us: float  # and of it with its children and backends


def run(argv: list[str], seconds: float) -> str:
    """The output of a program that takes about that long."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 60)
    except subprocess.TimeoutExpired as late:
        raise BenchError(f"{argv[0]} did not end") from late
    if done.returncode != 0:
        raise BenchError(f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def _percentile_ms(text: str, percent: int) -> float:
    # A unit of one letter is padded with a blank.
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m) ?$", text, re.MULTILINE)
    if found is None:
        raise BenchError(f"wrk printed no {percent} % latency")
    return float(found[1]) * UNITS_MS[found[2]]


def wrk(server: Server, connections: int, seconds: float) -> Throughput:
    """Closed loop of many connections; every answer but 200 is an error."""
    main, everyone = proc.cpu_seconds(server.pid), server.all_cpu_seconds()
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency"]
    text = run([*argv, f"http://{server.address}{server.path}"], seconds)
    main_seconds = proc.cpu_seconds(server.pid) - main
    all_seconds = server.all_cpu_seconds() - everyone
    total = re.search(r"(\d+) requests in ", text)
    rate = re.search(r"^Requests/sec:\s+([\d.]+)", text, re.MULTILINE)
    if total is None or rate is None or int(total[1]) == 0:
        raise BenchError(f"{server.name} answered nothing")
    trouble = re.search(r"^\s*(Non-2xx.*|Socket errors: .*)$", text, re.MULTILINE)
    if trouble is not None:
        raise BenchError(f"{server.name}: {trouble[1]}")
    return Throughput(
        per_second=float(rate[1]),
        p50_ms=_percentile_ms(text, 50),
        p99_ms=_percentile_ms(text, 99),
        main_us=main_seconds / int(total[1]) * 1e6,
        all_us=all_seconds / int(total[1]) * 1e6,
    )


def compiled(build: Path, name: str) -> Path:
    """A program of SOURCES, compiled when its source is newer."""
    program, source = build / name, SOURCES[name]
    if not (program.exists() and program.stat().st_mtime >= source.stat().st_mtime):
        argv = ["cc", "-O2", "-std=gnu17", "-D_GNU_SOURCE", "-o", str(program)]
        run([*argv, str(source)], 60)
    return program


class Load:
    """The load generator of load.c."""

    def __init__(self, build: Path) -> None:
        self.program = compiled(build, "load")

    def argv(self, server: Server, options: list[str], path: str | None = None) -> list[str]:
        return [str(self.program), *options, server.address, path or server.path]

    def measure(self, server: Server, seconds: float, options: list[str]) -> dict[str, Any]:
        """What load prints; errors and answers other than 200 are not accepted."""
        result = json.loads(run(self.argv(server, [*options, "-d", str(seconds)]), seconds))
        refused = sum(result[kind]["non_200"] for kind in ("fast", "slow") if kind in result)
        if result["errors"] or refused:
            raise BenchError(
                f"{server.name}: {result['errors']} errors and {refused} answers other than 200"
            )
        if result["requests"] == 0:
            raise BenchError(f"{server.name} answered nothing")
        return dict(result)
