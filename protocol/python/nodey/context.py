"""context: is this process a worker, or does somebody only look at one?

A script that imports the package is a worker, supervised or started by hand.  At an
interactive prompt, in a test runner or in a tool that imports a worker's module, the
package must not take standard input and output away, nor serve when the program ends.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType


def is_supervised() -> bool:
    """Whether nodey has started this process."""
    return os.environ.get("NODEY") == "1"


def is_interactive() -> bool:
    """Whether somebody sits at Python's own prompt, or will when the script has ended."""
    return hasattr(sys, "ps1") or bool(sys.flags.interactive)


def has_runner() -> bool:
    """Whether run.py runs the script, and will serve it at its end."""
    runner = sys.modules.get("nodey.run")
    return runner is not None and runner.__name__ == "__main__"


def is_worker() -> bool:
    """Whether the running import comes from a program that is to be served.

    By hand that is a script whose top level leads here by nothing but imports and
    functions of its own.  A test runner gets here through functions of its packages.
    """
    if is_supervised():
        return True
    if is_interactive():
        return False
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code, name = frame.f_code, frame.f_globals.get("__name__", "")
        if name == "__main__":
            if code.co_name == "<module>":
                return not code.co_filename.startswith("<stdin")
        elif code.co_name != "<module>" and not _is_importing(code.co_filename, name):
            return False
        frame = frame.f_back
    return False


def _is_importing(file: str, module: str) -> bool:
    return file.startswith("<frozen importlib") or module.partition(".")[0] in (
        "nodey",
        "importlib",
    )


def main_frame() -> FrameType | None:
    """The running frame of the script itself."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == "__main__":
            return frame
        frame = frame.f_back
    return None
