"""signals: SIGTERM asks a worker to finish, SIGINT is the supervisor's business."""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any


class Signals:
    """Handlers for the time of serving, and a descriptor that wakes a poll().

    A handler that only sets a flag would be noticed too late by a thread about to block;
    the descriptor becomes readable with every signal.
    """

    def __init__(self, supervised: bool) -> None:
        self.terminated = False
        self.told = False  # The supervisor knows that no more work is wanted.
        self.fd, self._wake = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._wake, False)
        self._old_wake = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        self._old: dict[int, Any] = {signal.SIGTERM: signal.signal(signal.SIGTERM, self._term)}
        if supervised:
            # Not SIG_IGN, which child processes would inherit.
            self._old[signal.SIGINT] = signal.signal(signal.SIGINT, lambda number, frame: None)

    def _term(self, number: int, frame: FrameType | None) -> None:
        self.terminated = True

    def wake(self) -> None:
        """Makes the descriptor readable, from any thread."""
        try:
            os.write(self._wake, b"\0")
        except BlockingIOError:
            pass  # It is readable already.

    def acknowledge(self) -> None:
        """Makes the descriptor unreadable again."""
        try:
            os.read(self.fd, 512)
        except BlockingIOError:
            pass

    def restore(self) -> None:
        """Puts everything back as it was."""
        for number, handler in self._old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_wake)
        os.close(self.fd)
        os.close(self._wake)
