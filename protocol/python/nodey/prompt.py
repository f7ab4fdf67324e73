"""prompt: requests typed at a terminal, and answers a person can read.

A thread sits in the supervisor's place: it writes frames into the pipe that the engine
reads, and reads its answers from another, so that every engine works as it always does.
"""

from __future__ import annotations

import _thread
import json
import os
import termios
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .worker import Worker

from .codec import Malformed, decode, frame_line
from .compose import reason_of
from .errors import status_of
from .hand import FORMS, frame_of
from .startup import script_name

_HELP = """\
  GET /path?query             a request; any method, or just a path
  POST /path {"a":1}          with a body: JSON, a form (a=1&b=2) or text
  ask Token {"a":1}           asks this worker for a token
  {"id":1,"method":"GET",...} a frame, as nodey would send it
  routes                      what there is
  help, Ctrl-D                this; the end"""


class Prompt:
    """The person's side of the channel."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._screen = os.dup(worker.channel.output())
        read_end, self._requests = os.pipe()
        self._answers, write_end = os.pipe()
        worker.channel.redirect(read_end, write_end)
        # The frames have pipes of their own now, so print() may have the terminal.
        os.dup2(self._screen, 1)
        self._unread = b""
        self._next_id = 1
        self._terminal = termios.tcgetattr(0)

    def start(self) -> None:
        """Shows the prompt, in a thread, until Ctrl-D."""
        _thread.start_new_thread(self._run, ())

    def leave(self) -> None:
        """Serving has ended, perhaps by Ctrl-C while the thread edits a line: puts the
        terminal back from where the line editor wants it."""
        termios.tcsetattr(0, termios.TCSADRAIN, self._terminal)

    def _run(self) -> None:
        try:
            import readline

            readline.set_completer(self._complete)
            readline.set_completer_delims("")
            readline.parse_and_bind("tab: complete")
        except ImportError:
            pass  # Then there is no history, and typing works all the same.
        name = os.path.splitext(script_name())[0]
        self._show(f"{name} by hand. Type {FORMS}, or help; Ctrl-D ends.\n")
        try:
            while True:
                self._take(input(f"{name}> ").strip())
        except EOFError:
            self._show("\n")
        finally:
            os.close(self._requests)

    def _take(self, text: str) -> None:
        if not text:
            return
        if text in ("help", "?"):
            self._show(_HELP + "\n")
        elif text == "routes":
            self._show("".join(f"  {line}\n" for line in self._routes()))
        elif text in ("exit", "quit"):
            raise EOFError
        else:
            self._send(text)

    def _routes(self) -> list[str]:
        registry = self._worker.registry
        lines = [f"ask     {token}" for token in registry.tokens]
        for one in registry.events.all if registry.events is not None else ():
            lines.append(f"{'job' if one.job else 'on':7} {one.name}")
        for route in reversed(registry.routes):
            method = route.get("method", "any").upper()
            lines.insert(0, f"{method:7} {route['path']}  {route.get('description', '')}".rstrip())
        return lines

    def _complete(self, text: str, state: int) -> str | None:
        askable = [line for line in self._routes() if not line.startswith(("on ", "job "))]
        known = [*askable, "help", "routes"]
        words = [" ".join(line.split()[:2]) for line in known]
        found = [word for word in words if word.startswith(text)]
        return found[state] if state < len(found) else None

    def _send(self, text: str) -> None:
        """Sends one request and shows its answer."""
        id = self._next_id
        self._next_id += 1
        try:
            frame = decode(text) if text.startswith("{") else frame_of(text, id)
        except (ValueError, RecursionError) as problem:
            frame = Malformed(None, f"not JSON: {problem}")
        if isinstance(frame, Malformed):
            self._show(f"{frame.message}\n")
            return
        frame["id"] = id
        begin = time.perf_counter()
        os.write(self._requests, frame_line(frame).encode("utf-8", "replace"))
        if frame.get("type", "ask") in ("ask", "ping"):
            answer = self._answer(id)
            self._show(pretty(answer, (time.perf_counter() - begin) * 1000))
            while answer.get("more") or answer.get("type") == "chunk":
                answer = self._answer(id)
                if answer.get("type") == "error":
                    self._show(pretty(answer, 0))
                elif answer.get("type") == "chunk":
                    self._show(_shown(answer))
                else:
                    self._show("\n")

    def _answer(self, id: int) -> dict[str, Any]:
        """The next frame of an id, or the refusal of a line that has none."""
        while True:
            while b"\n" not in self._unread:
                chunk = os.read(self._answers, 65536)
                if not chunk:
                    raise EOFError
                self._unread += chunk
            line, _, self._unread = self._unread.partition(b"\n")
            frame: dict[str, Any] = decode(line.decode())
            if frame.get("id") == id or frame.get("id") is None:
                return frame

    def _show(self, text: str) -> None:
        os.write(self._screen, text.encode("utf-8", "replace"))


def pretty(frame: dict[str, Any], ms: float) -> str:
    """An answer as one would like to read it."""
    kind = frame.get("type")
    if kind == "error":
        code = str(frame.get("code") or "internal")
        status = frame.get("status") or status_of(code)
        data = f"\n{_json(frame['data'])}" if "data" in frame else ""
        return f"{status} {code}: {frame.get('message') or ''}{data}\n"
    if kind is not None:
        value = frame["value"] if kind == "answer" and "value" in frame else frame
        return _json(value) + "\n"
    status = frame.get("status", 200)
    lines = [f"{status} {frame.get('reason') or reason_of(status)}".rstrip()]
    lines[0] += f"  {ms:.1f} ms"
    for name, value in (frame.get("headers") or {}).items():
        for item in value if isinstance(value, list) else [value]:
            lines.append(f"{name}: {item}")
    if "json" in frame:
        lines.append(_json(frame["json"]))
    elif frame.get("body") or "body64" in frame:
        lines.append(_shown(frame))
    # More of the body may follow.
    return "\n".join(lines) + ("" if frame.get("more") and "body" in frame else "\n")


def _shown(frame: dict[str, Any]) -> str:
    """A body, or a piece of one."""
    if "body64" in frame:
        return f"({len(frame['body64']) // 4 * 3 - frame['body64'].count('=')} bytes)"
    return _body(frame)


def _body(frame: dict[str, Any]) -> str:
    """Text as it is, JSON that came as text like other JSON."""
    text: str = frame["body"]
    if str((frame.get("headers") or {}).get("content-type", "")).startswith("application/json"):
        try:
            return _json(json.loads(text))
        except ValueError:
            pass  # A handler may say what it likes.
    # What would move the cursor or change colours is shown, not done.
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
