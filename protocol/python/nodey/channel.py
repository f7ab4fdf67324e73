"""channel: whole lines to and from the supervisor, and the descriptors they travel on.

In a worker, importing this module takes standard output away from everybody else.  The
protocol keeps a private descriptor, and fd 1 becomes a copy of fd 2, so that print(),
os.write(1), a C library's puts() and child processes all end up in the log instead
of in the middle of a frame.  Elsewhere (a prompt, a test) that waits until take().

Lines may be held back for a moment and written together, because a system call
costs more than an answer.  Whoever holds lines must see to it that they are not held
for long: a watcher thread flushes what a handler, expected to be quick and found to
be slow, would otherwise keep from its client.
"""

from __future__ import annotations

import _thread
import builtins
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

from .codec import PIECE, decode_lines, encode_utf8, piece_of
from .context import is_supervised, is_worker
from .stacks import tell as tell_stacks

_CHUNK = 65536
_BIG_CHUNK = 262144
_WATCH_SECONDS = 0.01
_WATCH_IDLE_TURNS = 50
_WATCH_END_SECONDS = 1.0
_DEFAULT_MAX_LINE = 1048576


def _number(name: str, default: int) -> int:
    try:
        return int(os.environ.get(name, ""))
    except ValueError:
        return default


class Channel:
    """Both directions of the protocol.  There is one in a process."""

    def __init__(self) -> None:
        self.supervised = is_supervised()
        self.decode: Callable[[list[str]], list[Any]] = decode_lines
        self.max_line = max(_number("NODEY_MAX_LINE", _DEFAULT_MAX_LINE), 1024)
        self.held: list[str] = []
        self.held_since = 0.0
        self.may_hold = True
        self.watched = False
        self.gone = False  # Nobody reads what is written; or this is a forked child.
        self._flushes = 0
        self._lock = _thread.allocate_lock()
        self._bell: Any = None
        self._watcher_ended: Any = None
        self._leaving = False
        self._parts: list[bytes] = []
        self._parts_size = 0
        self._skipping = False
        self._read_size = _CHUNK
        self._out = -1
        self._in = -1
        self._took_output = False
        if is_worker():
            self.take()
        if self.supervised:
            self.input()
            tell_stacks()
        os.register_at_fork(after_in_child=self._forked)

    # ------------------------------------------------------------------ output

    def take(self) -> None:
        """Takes standard output for the protocol; the first call does."""
        if self._out < 0 and not self.gone:
            self._out = _take_output()
            self._took_output = True

    def give_back(self) -> None:
        """Undoes take(), by hand only: this process turned out not to be a worker."""
        if self._took_output and not self.supervised:
            if sys.stdout is not None:
                sys.stdout.flush()
            os.dup2(self._out, 1)
            os.close(self._out)
            self._out, self._took_output = -1, False

    def output(self) -> int:
        """The descriptor that frames go to."""
        self.take()
        return self._out

    def redirect(self, source: int, target: int) -> None:
        """Reads from and writes to other descriptors, which it takes, from now on.

        The numbers stay the same, for somebody may already wait for input.
        """
        for fd, own in ((source, self.input()), (target, self.output())):
            os.dup2(fd, own, inheritable=False)
            os.close(fd)

    def write(self, line: str) -> None:
        """Writes a line (LF included), after all that is held."""
        self.held.append(line)
        self.flush()

    def hold(self, line: str, now: float) -> None:
        """Keeps a line (LF included) for the next flush.  now: time.perf_counter()."""
        if not self.held:
            self.held_since = now
        self.held.append(line)

    @property
    def is_writing(self) -> bool:
        """Whether a line is on its way: who is called out of that must not write another."""
        return self._lock.locked()

    def flush(self) -> None:
        """Writes what is held, in one system call if the pipe takes it."""
        if not self.held:
            return
        with self._lock:
            count = len(self.held)
            data = encode_utf8("".join(self.held[:count]))
            del self.held[:count]
            self._flushes += 1
            if not self.gone:
                self.take()
                self._write_all(data)

    def write_parts(self, parts: list[bytes]) -> None:
        """Writes a line that is given in parts, after all that is held, without copying it."""
        with self._lock:
            count = len(self.held)
            if count:
                parts = [encode_utf8("".join(self.held[:count])), *parts]
                del self.held[:count]
            self._flushes += 1
            if self.gone:
                return
            self.take()
            try:
                sent = os.writev(self._out, parts)
            except BlockingIOError:
                sent = 0
            except BrokenPipeError:
                self.gone = True
                return
            if sent < sum(map(len, parts)):
                self._write_all(b"".join(parts)[sent:])

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._out, view) :]
            except BlockingIOError:
                # Somebody made the shared pipe non-blocking; wait like a blocking one.
                import select

                select.select([], [self._out], [])
            except BrokenPipeError:
                self.gone = True
                return

    def watch(self) -> None:
        """Makes sure that what is held leaves soon, even if this thread does not return.

        Sets may_hold to False when no thread can be started (the interpreter is ending).
        """
        self.watched = True
        if self._bell is not None:
            self._bell.release()
            return
        self._bell = _thread.allocate_lock()
        self._bell.acquire()
        self._watcher_ended = _thread.allocate_lock()
        self._watcher_ended.acquire()
        try:
            _thread.start_new_thread(self._watch, (self._bell, self._watcher_ended))
        except RuntimeError:
            self._bell = None
            self.may_hold = False

    def unwatch(self) -> None:
        """Ends the watcher: a thread that wakes while the interpreter ends can crash it."""
        if self._bell is None:
            return
        self._leaving = True
        try:
            self._bell.release()
        except RuntimeError:
            pass  # It is not waiting for the bell.
        self._watcher_ended.acquire(True, _WATCH_END_SECONDS)
        self._bell = None
        self._leaving = self.watched = False

    def _watch(self, bell: Any, ended: Any) -> None:
        while not self._leaving:
            idle = 0
            while idle < _WATCH_IDLE_TURNS and not self._leaving:
                seen = self._flushes
                time.sleep(_WATCH_SECONDS)
                idle = idle + 1 if self._flushes == seen else 0
                if self.held and self._flushes == seen:
                    self.flush()
            self.watched = False
            if self.held:
                self.flush()
            if not self._leaving:
                bell.acquire()
        ended.release()

    # ------------------------------------------------------------------- input

    def input(self) -> int:
        """The descriptor that frames come from.

        The first call takes it out of the reach of others: fd 0 becomes /dev/null, so
        that child processes find an end of file instead of our requests; input() says why.
        A terminal stays where it is, for breakpoint().
        """
        if self._in < 0:
            try:
                self._in = os.dup(0)
            except OSError:
                self._in = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            if not os.isatty(self._in):
                null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
                os.dup2(null, 0)
                if null != 0:
                    os.close(null)
                builtins.input = _no_keyboard
        return self._in

    def read(self) -> list[Any] | None:
        """Waits for input and returns its frames, None at the end of it.

        A frame is a dict; what is not one is a codec.Malformed.  The list is empty when
        only a part of a line has come.
        """
        if self.gone:
            return None
        try:
            chunk = os.read(self._in if self._in >= 0 else self.input(), self._read_size)
        except BlockingIOError:
            return []
        if not chunk:
            last = b"".join(self._parts)
            self._parts.clear()
            self._parts_size = 0
            return self.decode([last.decode("utf-8", "replace")]) if last else None
        end = chunk.rfind(b"\n")
        if end < 0:
            self._keep(chunk)
            return self._too_long() if self._parts_size > self.max_line else []
        if self._parts or self._skipping:
            return self._join(chunk, end)
        if end + 1 < len(chunk):
            self._keep(chunk[end + 1 :])
        if chunk.startswith(PIECE):
            return self._pieces(chunk, end)
        return self.decode(chunk[:end].decode("utf-8", "replace").split("\n"))

    def _join(self, chunk: bytes, end: int) -> list[Any]:
        """Completes the line that earlier chunks began."""
        start = 0
        if self._skipping:
            self._skipping = False
            start = chunk.index(b"\n") + 1
        self._parts.append(chunk[start : max(start, end)])
        whole = b"".join(self._parts)
        self._parts.clear()
        self._parts_size = 0
        if end + 1 < len(chunk):
            self._keep(chunk[end + 1 :])
        if whole.startswith(PIECE):
            return self._pieces(whole, len(whole))
        return self.decode(whole.decode("utf-8", "replace").split("\n"))

    def _pieces(self, data: bytes, end: int) -> list[Any]:
        """The frames in the lines of data[:end], whose first ones are pieces of bodies.

        Whoever sends pieces sends many: then more is read at a time.
        """
        self._read_size = _BIG_CHUNK
        found: list[Any] = []
        start = 0
        while data.startswith(PIECE, start):
            line_end = data.find(b"\n", start, end)
            line_end = end if line_end < 0 else line_end
            piece = piece_of(data, start, line_end)
            if piece is None:
                break
            found.append(piece)
            start = line_end + 1
            if start >= end:
                return found
        return found + self.decode(data[start:end].decode("utf-8", "replace").split("\n"))

    def _keep(self, part: bytes) -> None:
        if not self._skipping:
            self._parts.append(part)
            self._parts_size += len(part)

    def _too_long(self) -> list[Any]:
        from .codec import Malformed

        self._parts.clear()
        self._parts_size = 0
        self._skipping = True
        return [Malformed(None, f"line over {self.max_line} bytes")]

    # -------------------------------------------------------------------- fork

    def _forked(self) -> None:
        """A forked child must neither answer for its parent nor read its input."""
        self.gone = True
        self.held.clear()
        self._lock = _thread.allocate_lock()
        self._bell = None
        self.watched = False
        for fd in (self._out, self._in):
            if fd >= 0:
                os.close(fd)
        self._in = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) if self._in >= 0 else -1
        self._out = -1


def _no_keyboard(prompt: object = "", /) -> NoReturn:
    """input() in a worker."""
    raise EOFError(
        f"input({prompt!r}): a worker has no keyboard; take what it needs from the request "
        "(req.query, req.json()) or from the environment (os.environ)"
    )


def _take_output() -> int:
    """Returns the private protocol descriptor, with fd 1 pointing at fd 2."""
    # Taken out of the environment, for the number means nothing to our children.
    given = os.environ.pop("NODEY_FD", "")
    fd = int(given) if given.isdigit() else -1
    try:
        if fd > 2:
            os.fstat(fd)
    except OSError:
        fd = -1
    if sys.stdout is not None:
        sys.stdout.flush()
    try:
        fd = fd if fd > 2 else os.dup(1)
    except OSError:
        fd = os.open(os.devnull, os.O_WRONLY)
    os.set_inheritable(fd, False)
    try:
        os.dup2(2, 1)
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(line_buffering=True)  # It is a log now.
    return fd


channel = Channel()
