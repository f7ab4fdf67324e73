"""router: method and path to a handler, by the rules of the supervisor's own router.

A segment of a pattern is literal, ":name" (one segment) or, last, "*" or "*name" (the
rest, which may be empty).  The most specific pattern wins, segment by segment from
the left: literal before ":name" before "*".  Paths are compared percent-decoded, but an
encoded slash does not separate segments.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .handler import Handler

from .errors import Error, HTTPError

_LITERAL, _NAME, _REST = 0, 1, 2

SOCKET = "(websocket)"
"""In place of a method: of a request that wants to become a WebSocket."""

_NOT_IN_PATHS = frozenset("?<>{}")  # What other frameworks write, and a query.


def _decode(text: str) -> str:
    if "%" not in text:
        return text
    from urllib.parse import unquote

    return unquote(text)


class Pattern:
    """One path and the handlers of its methods ("" is any method)."""

    __slots__ = ("path", "segments", "rank", "methods")

    def __init__(self, path: str) -> None:
        if type(path) is not str or path[:1] != "/" or not _NOT_IN_PATHS.isdisjoint(path):
            from .advice import check_path

            check_path(path)
        self.path = path
        self.segments = [_decode(part) for part in path.split("/")[1:]]
        self.rank = [_rank(segment) for segment in self.segments]
        self.methods: dict[str, Handler] = {}
        if _REST in self.rank[:-1]:
            raise ValueError(f"route {path!r}: * stands only at the end")
        if ":" in self.segments:
            raise ValueError(f"route {path!r}: a parameter needs a name after the colon")

    def match(self, parts: list[str]) -> dict[str, str] | None:
        """The parameters of a path given as raw segments, or None."""
        segments = self.segments
        rest = bool(self.rank) and self.rank[-1] == _REST
        fixed = len(segments) - 1 if rest else len(segments)
        if len(parts) < fixed or (len(parts) > fixed and not rest):
            return None
        params: dict[str, str] = {}
        for segment, rank, part in zip(segments[:fixed], self.rank, parts):
            if rank == _NAME:
                if not part:
                    return None
                params[segment[1:]] = _decode(part)
            elif segment != _decode(part):
                return None
        if rest:
            params[segments[-1][1:] or "*"] = _decode("/".join(parts[fixed:]))
        return params


def parameters_of(path: object) -> list[str]:
    """The names after the colons of a pattern."""
    if type(path) is not str or ":" not in path:
        return []
    return [part[1:] for part in path.split("/") if part.startswith(":")]


def _rank(segment: str) -> int:
    if segment.startswith(":"):
        return _NAME
    return _REST if segment.startswith("*") else _LITERAL


class Router:
    """All patterns of a worker."""

    def __init__(self) -> None:
        self._patterns: list[Pattern] = []
        # Literal patterns by path: they win over all others, so one look-up decides.
        self._literal: dict[str, Pattern] = {}

    def add(self, method: str, path: str, handler: Handler, replaces: bool = False) -> None:
        """method: upper case, "" for any.

        Raises ValueError for a path that is taken, unless the new one replaces the old.
        """
        pattern = Pattern(path)
        for known in self._patterns:
            if known.path == path:
                pattern = known
                break
        else:
            self._patterns.append(pattern)
            self._patterns.sort(key=lambda pattern: pattern.rank)
            if not any(pattern.rank):
                self._literal["/" + "/".join(pattern.segments)] = pattern
        if method in pattern.methods and not replaces:
            taken = pattern.methods[method].name
            raise ValueError(f"route {method or 'any method'} {path} is already served by {taken}")
        pattern.methods[method] = handler

    @property
    def empty(self) -> bool:
        """Whether there is no route."""
        return not self._patterns

    def handlers(self) -> list[Handler]:
        """The handlers of all patterns."""
        return [handler for pattern in self._patterns for handler in pattern.methods.values()]

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, str]]:
        """The handler and the parameters.

        Raises Error("not_found"), or HTTPError(405) with `allow` when only the method
        is wrong.
        """
        pattern = self._literal.get(path)
        if pattern is not None:
            handler = pattern.methods.get(method)
            if handler is not None:
                return handler, {}
        return self._find_slowly(method, path)

    def _find_slowly(self, method: str, path: str) -> tuple[Handler, dict[str, str]]:
        parts = path.split("/")[1:]
        allowed: set[str] = set()
        by_get: tuple[Handler, dict[str, str]] | None = None
        for pattern in self._patterns:
            params = pattern.match(parts) if path != "*" or pattern.path == "*" else None
            if params is None:
                continue
            handler = pattern.methods.get(method) or pattern.methods.get("")
            if handler is not None:
                return handler, params
            if method == "HEAD" and by_get is None and "GET" in pattern.methods:
                by_get = pattern.methods["GET"], params
            allowed.update(pattern.methods)
        if by_get is not None:
            return by_get
        if not allowed:
            raise Error("not_found", f"nothing is served at {path}")
        allowed.discard(SOCKET)
        if not allowed:
            upgrade = {"upgrade": "websocket"}
            raise HTTPError(426, f"{path} is for WebSocket clients", headers=upgrade)
        if "GET" in allowed:
            allowed.add("HEAD")
        allow = ", ".join(sorted(allowed))
        raise HTTPError(405, f"{path} takes {allow}, not {method}", headers={"allow": allow})
