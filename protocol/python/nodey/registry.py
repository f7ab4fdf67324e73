"""registry: what a worker declares, and how a frame finds its handler."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .hooks import Hooks
    from .request import Canceller
    from .subscription import Subscription, Subscriptions

from .errors import Error
from .handler import Handler
from .request import Request, request_fault
from .router import SOCKET, Router, parameters_of


class Registry:
    """Routes, tokens and hooks."""

    def __init__(self) -> None:
        self.router = Router()
        self.routes: list[dict[str, str]] = []
        self.tokens: dict[str, Handler] = {}
        self.hooks: Hooks | None = None
        self.events: Subscriptions | None = None
        self.has_async = False
        self.has_sockets = False  # Something here speaks WebSocket.
        self.app: Handler | None = None  # Takes what no route takes; its argument is the frame.
        self.canceller: Canceller | None = None
        # The last declaration of a route wins; at a prompt and in tests, where a
        # function is declared anew after it was changed.
        self.replaces = False

    @property
    def empty(self) -> bool:
        """Whether nothing was declared that could be asked for."""
        return not self.routes and not self.tokens and self.events is None

    def add_app(self, handler: Handler, is_async: bool) -> None:
        """Declares what takes all requests that no route takes.

        handler: its serve() and serve_async() are given the frame twice.
        """
        if self.app is not None:
            raise ValueError(f"{self.app.name} is served already, and a worker serves one app")
        self.app = handler
        self.routes.append({"path": "/*"})
        self.has_async = self.has_async or is_async

    def add_route(
        self,
        method: str,
        path: str,
        function: Callable[..., Any],
        description: str,
        stream: bool = False,
    ) -> None:
        """method: upper case, "" for any.  Raises ValueError for a path that is taken."""
        handler = Handler(function, f"{method or 'ANY'} {path}", parameters_of(path), stream)
        self.router.add(method, path, handler, self.replaces)
        route = {"path": path}
        if method:
            route["method"] = method.lower()
        if description:
            route["description"] = description
        self._list(route)
        self.has_async = self.has_async or handler.is_async

    def _list(self, route: dict[str, str]) -> None:
        """Lists a route; once, also when it is for requests and for WebSockets."""
        self.routes = [old for old in self.routes if not _same_route(old, route)]
        self.routes.append(route)

    def add_socket(
        self,
        path: str,
        function: Callable[..., Any],
        protocols: Iterable[str],
        description: str,
    ) -> None:
        """Declares the handler of a WebSocket.  Raises as add_route() does."""
        from .sockets import SocketHandler

        handler = SocketHandler(function, path, protocols)
        self.router.add(SOCKET, path, handler, self.replaces)
        route = {"path": path, "method": "get"}
        if description:
            route["description"] = description
        self._list(route)
        self.has_sockets = True
        self.has_async = self.has_async or handler.is_async

    def add_token(self, name: str, function: Callable[..., Any]) -> None:
        if not isinstance(name, str) or not 0 < len(name.encode()) <= 128:
            if callable(name):
                raise TypeError('@nodey.token needs a name: write @nodey.token("Name")')
            raise ValueError(f"a token is a name of 1 to 128 bytes, not {name!r}")
        handler = Handler(function, f"token {name}")
        self.tokens[name] = handler
        self.has_async = self.has_async or handler.is_async

    def add_subscription(self, subscription: Subscription) -> None:
        """Declares who handles events or jobs.  Raises ValueError when somebody does already."""
        if self.events is None:
            from .subscription import Subscriptions

            self.events = Subscriptions()
        self.events.add(subscription, self.replaces)
        self.has_async = self.has_async or subscription.handler.is_async

    def add_hook(self, kind: str, function: Callable[..., Any]) -> None:
        """kind: "before", "after", "on_start" or "on_stop"."""
        if self.hooks is None:
            from .hooks import Hooks

            self.hooks = Hooks()
        # One that is `async def` needs a loop, and the handlers must be in the same.
        self.has_async = self.hooks.add(kind, function) or self.has_async

    def handlers(self) -> list[Handler]:
        """All handlers, those of tokens last."""
        return [*self.router.handlers(), *self.tokens.values()]

    def seal(self, canceller: Canceller | None) -> None:
        """Everything is declared: ties the hooks to the handlers.

        canceller: tells requests whether they are cancelled.
        """
        self.canceller = canceller
        if self.events is not None:
            self.events.seal(canceller)
        if self.hooks is None or not self.hooks.around_requests:
            return
        self.hooks.canceller = canceller
        for handler in self.handlers():
            handler.hooks = self.hooks

    # ---------------------------------------------------------------- dispatch

    def find(self, frame: dict[str, Any]) -> tuple[Handler, Any]:
        """The handler of a request, an ask or an event, and its argument.  Raises Error."""
        if frame.get("type") == "event" and self.events is not None:
            return self.events.find(frame), frame
        if "type" in frame:
            return self.token_handler(frame["token"]), frame.get("args")
        fault = request_fault(frame)
        if fault is not None:
            raise Error("invalid_argument", fault)
        token = frame.get("token")
        if token is not None:
            return self._find_token(frame, token)
        if self.app is not None and not self._has_route(frame):
            return self.app, frame
        handler, params = self._route(frame)
        given = frame.get("params")
        if given:
            params = {**given, **params}
        return handler, Request(frame, params, self.canceller)

    def streams(self, frame: dict[str, Any]) -> bool:
        """Whether what serves a request begins before all of its body has come."""
        if request_fault(frame) is not None:
            return True  # It is refused, which needs no body.
        if frame.get("token") is not None:
            return False
        if self.app is not None and not self._has_route(frame):
            return self.app.streams
        try:
            return self._route(frame)[0].streams
        except Error:
            return True

    def _has_route(self, frame: dict[str, Any]) -> bool:
        """Whether a route beside the app takes the request."""
        if self.router.empty:
            return False
        try:
            self._route(frame)
        except Error:
            return False
        return True

    def _route(self, frame: dict[str, Any]) -> tuple[Handler, dict[str, str]]:
        """The handler of a request by its path, and the parameters.  Raises Error."""
        if self.has_sockets and frame.get("upgrade") == "websocket":
            try:
                return self.router.find(SOCKET, frame["path"])
            except Error:
                pass  # A handler of GET answers it.
        return self.router.find(frame["method"], frame["path"])

    def _find_token(self, frame: dict[str, Any], token: Any) -> tuple[Handler, Any]:
        """A request for a token: its arguments are the JSON body, else the query; the values
        of the route's `:name` parts are put in.
        """
        if not isinstance(token, str):
            raise Error("invalid_argument", "token must be a string")
        request = Request(frame, frame.get("params") or {}, self.canceller)
        has_body = "json" in frame or bool(request.body)
        arguments: Any = request.json() if has_body else request.query
        if request.params and isinstance(arguments, dict):
            arguments = {**arguments, **request.params}
        return self.token_handler(token), arguments

    def token_handler(self, token: str) -> Handler:
        """Raises Error("unimplemented") for a token that is not here."""
        handler = self.tokens.get(token)
        if handler is None:
            raise Error("unimplemented", f"this worker does not answer {token!r}")
        return handler


def _same_route(one: dict[str, str], other: dict[str, str]) -> bool:
    return one["path"] == other["path"] and one.get("method") == other.get("method")
