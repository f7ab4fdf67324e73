from __future__ import annotations


class BenchError(Exception):
    """Something that was to be measured did not work.  The message is for a person."""


class NotBuilt(BenchError):
    """There is no nodey binary: its rows stay empty, and that is not a failure."""


class OutOfTime(Exception):
    """The whole run took longer than it may; nothing catches it but the top."""
