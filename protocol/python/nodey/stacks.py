"""stacks: a process that is frozen, or that crashes in native code, says where it was.

SIGQUIT has all threads' stacks written to standard error, also while C code or a busy loop
keeps the interpreter: nodey asks for that before it ends a worker that does not answer, and
anybody may, with `kill -QUIT`.  A crash such as SIGSEGV writes them as well.

This module is loaded by run.py, before a script has imported the package and for scripts
that never do, so it imports nothing of it.  Until a signal comes it costs nothing.
"""

from __future__ import annotations

import faulthandler

# `signal` would cost a millisecond, which goes into making its constants look nice.
from _signal import SIG_DFL, SIGQUIT, getsignal  # type: ignore[import-not-found, unused-ignore]

_STDERR = 2


def tell() -> None:
    """From now on; what the program, or Python's options, have arranged stays as it is."""
    try:
        if not faulthandler.is_enabled():
            faulthandler.enable(_STDERR)
        if getsignal(SIGQUIT) == SIG_DFL:
            faulthandler.register(SIGQUIT, _STDERR, all_threads=True)
    except (AttributeError, OSError, ValueError, RuntimeError):
        pass  # Without it nothing is lost but a stack.
