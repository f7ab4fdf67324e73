"""sources: the files that a worker is made of, so that a change of one reloads it."""

from __future__ import annotations

import _thread
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

from .errors import log_text, one_line

_TURN_SECONDS = 1.0
_END_SECONDS = 1.0

_LIBRARIES = ("site-packages", "dist-packages")
_STANDARD = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_OWN = os.path.dirname(os.path.abspath(__file__)) + os.sep


def are_wanted() -> bool:
    """Whether the supervisor watches files."""
    return os.environ.get("NODEY_DEV") == "1" or os.environ.get("NODEY_WATCH") == "1"


def loaded_files() -> list[str]:
    """The files of all modules that are the user's own, with the script itself."""
    files = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and is_own_source(os.path.abspath(file)):
            files.add(os.path.abspath(file))
    return sorted(files)


def is_own_source(file: str) -> bool:
    """Whether a file, named with its whole path, is neither Python's nor a library's."""
    if file.startswith((_STANDARD, _OWN)):
        return False
    return not any(part in _LIBRARIES for part in file.split(os.sep))


class Watch:
    """Tells of modules that are imported while the worker serves, once a second at most."""

    def __init__(self, tell: Callable[[list[str]], None]) -> None:
        """tell: is called in a thread with the new list of files, when there is one."""
        self._tell = tell
        self._known = loaded_files()
        self._count = len(sys.modules)
        self._ending = _thread.allocate_lock()
        self._ended = _thread.allocate_lock()
        self._running = False

    @property
    def files(self) -> list[str]:
        """The files that are known so far."""
        return self._known

    def start(self) -> None:
        self._ending.acquire()
        self._ended.acquire()
        try:
            _thread.start_new_thread(self._watch, ())
            self._running = True
        except RuntimeError:
            pass  # The interpreter is ending; then nothing will be imported.

    def stop(self) -> None:
        """Ends the thread: one that wakes while the interpreter ends can crash it."""
        if self._running:
            self._running = False
            self._ending.release()
            self._ended.acquire(True, _END_SECONDS)

    def _watch(self) -> None:
        while not self._ending.acquire(True, _TURN_SECONDS):
            try:
                self._look()
            except Exception as exc:  # A module that is only half there, say.
                log_text(f"cannot list the loaded files: {one_line(exc)}")
        self._ended.release()

    def _look(self) -> None:
        # Most turns end here.
        count = len(sys.modules)
        if count == self._count:
            return
        self._count = count
        files: Any = loaded_files()
        if files != self._known:
            self._known = files
            self._tell(files)
