"""Processes as /proc shows them: descendants, CPU time, memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Process:
    pid: int
    started: int  # in ticks since boot: tells a process from a later one with its id
    parent: int
    own_seconds: float
    reaped_seconds: float  # of children that ended and were waited for


def look_up(pid: int) -> Process | None:
    """The process, or None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name stands in parentheses and may itself contain blanks and parentheses.
    fields = text[text.rindex(")") + 2 :].split()
    user, system, child_user, child_system = (int(field) for field in fields[11:15])
    return Process(
        pid=pid,
        started=int(fields[19]),
        parent=int(fields[1]),
        own_seconds=(user + system) / TICKS_PER_SECOND,
        reaped_seconds=(child_user + child_system) / TICKS_PER_SECOND,
    )


def family(root: int) -> list[Process]:
    """The process and all its descendants, the root first."""
    everyone = [look_up(int(name)) for name in os.listdir("/proc") if name.isdigit()]
    children: dict[int, list[Process]] = {}
    for process in everyone:
        if process is not None:
            children.setdefault(process.parent, []).append(process)
    first = look_up(root)
    found = [first] if first is not None else []
    for process in found:  # grows while it is walked
        found.extend(children.get(process.pid, []))
    return found


def still_runs(process: Process) -> bool:
    now = look_up(process.pid)
    return now is not None and now.started == process.started


def cpu_seconds(pid: int) -> float:
    process = look_up(pid)
    return process.own_seconds if process is not None else 0.0


def family_cpu_seconds(root: int) -> float:
    return sum(process.own_seconds + process.reaped_seconds for process in family(root))


def _memory_bytes(pid: int, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {pid} has no {key}")


def rss_bytes(pid: int) -> int:
    return _memory_bytes(pid, "VmRSS")


def peak_rss_bytes(pid: int) -> int:
    """The most since its start, or since reset_peak()."""
    return _memory_bytes(pid, "VmHWM")


def reset_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")
