"""Deadlines for a slow, noisy machine, and waiting for things instead of sleeping."""

from __future__ import annotations

import os
import time
from typing import Callable, TypeVar

T = TypeVar("T")

# NODEY_SLOW=3 stretches every deadline: for sanitizer builds and crowded machines.
SLOW = float(os.environ.get("NODEY_SLOW", "1"))


def slow(seconds: float) -> float:
    """A deadline of so many seconds on a quiet machine."""
    return seconds * SLOW


def until(check: Callable[[], T], seconds: float, what: str) -> T:
    """Polls until `check` returns something true, and returns that; fails after `seconds`."""
    deadline = time.monotonic() + slow(seconds)
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {slow(seconds):g} s: {what} (last: {value!r})")
        time.sleep(0.01)
