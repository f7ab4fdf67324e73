"""What /proc says of processes: whose they are, what they hold, whether they are left over.

A run is known by NODEY_TEST_RUN in the environment, which every descendant inherits:
process groups, sessions and parents can be left behind, the environment of an exec
cannot.  A process that vanishes while it is looked at counts as gone.
"""

from __future__ import annotations

import os
import time

RUN = "NODEY_TEST_RUN"
PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = os.sysconf("SC_CLK_TCK")


def _read(pid: int, name: str) -> bytes:
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def environ(pid: int) -> dict[str, str]:
    """The environment that the process was started with; empty for a zombie."""
    found = {}
    for entry in _read(pid, "environ").split(b"\0"):
        name, equals, value = entry.partition(b"=")
        if equals:
            found[os.fsdecode(name)] = os.fsdecode(value)
    return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, which may hold anything: [0] is the state."""
    text = _read(pid, "stat").decode(errors="replace")
    return text.rpartition(")")[2].split()


def state(pid: int) -> str:
    """R, S, D, T, Z ..., or "" for a process that is no more."""
    fields = _stat(pid)
    return fields[0] if fields else ""


def alive(pid: int) -> bool:
    return state(pid) not in ("", "Z", "X")


def parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def children(pid: int) -> list[int]:
    return [child for child in pids() if parent(child) == pid]


def zombies(pid: int) -> list[int]:
    return [child for child in children(pid) if state(child) == "Z"]


def cpu_seconds(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICK if fields else 0.0


def fds(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except (FileNotFoundError, ProcessLookupError):
        return 0


def rss(pid: int) -> int:
    """Resident bytes."""
    fields = _read(pid, "statm").split()
    return int(fields[1]) * PAGE if fields else 0


def command(pid: int) -> str:
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()


def naming(text: str) -> list[int]:
    """Every live process with that text on its command line."""
    return [pid for pid in pids() if text in command(pid) and alive(pid)]


def of_run(run: str) -> list[int]:
    """Every live process that was started, however indirectly, in that run.

    One in the middle of an exec shows no environment: see run_is_gone().
    """
    return [pid for pid in pids() if environ(pid).get(RUN) == run]


def run_is_gone(run: str) -> bool:
    """Nothing of the run is left, seen three times, for the sake of an exec under way."""
    for _ in range(3):
        if of_run(run):
            return False
        time.sleep(0.01)
    return True
