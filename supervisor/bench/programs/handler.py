"""The work that is asked for everywhere: a small calculation, a small answer."""

import statistics
import time


def handle(num: int) -> "dict[str, int]":
    a, b = 0, 1
    for _ in range(num):
        a, b = b, a + b
    return {"fib": a, "num": num}


def own(num: int) -> "dict[str, float]":
    """Microseconds that one call takes by itself, here in this process: the median of many."""
    calls = 200
    times = []
    for _ in range(51):
        start = time.perf_counter_ns()
        for _ in range(calls):
            handle(num)
        times.append((time.perf_counter_ns() - start) / calls / 1e3)
    return {"us": statistics.median(times)}
