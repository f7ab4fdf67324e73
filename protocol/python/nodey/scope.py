"""scope: a request as the scope of ASGI."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

from .codec import encode_utf8
from .environ import below, server_of

_KEPT = 1000

# As other servers say: from 2.4 on frameworks no longer watch for clients that leave, and
# a stream that has nothing to send would never be ended.
_HTTP_SPEC = {"version": "3.0", "spec_version": "2.3"}
_WEBSOCKET_SPEC = {"version": "3.0", "spec_version": "2.4"}
_HTTP_EXTENSIONS: dict[str, dict[str, Any]] = {
    "http.response.pathsend": {},
    "http.response.early_hint": {},
    "http.response.trailers": {},
}
_WEBSOCKET_EXTENSIONS: dict[str, dict[str, Any]] = {"websocket.http.response": {}}

_names: dict[str, bytes] = {}


def _pairs(headers: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    pairs = []
    for name, value in headers.items():
        key = _names.get(name)
        if key is None:
            key = name.encode("latin-1", "replace")
            if len(_names) < _KEPT:
                _names[name] = key
        if type(value) is str:
            pairs.append((key, value.encode("latin-1", "replace")))
        else:
            pairs += [(key, item.encode("latin-1", "replace")) for item in value]
    return pairs


def scope_of(frame: dict[str, Any], root_path: str, state: dict[str, Any]) -> dict[str, Any]:
    """The scope of a request.  root_path: is put before paths that do not have it."""
    get = frame.get
    path: str = frame["path"]
    if root_path and not below(root_path, path):
        path = root_path + path
    raw_path = path.encode() if path.isascii() else encode_utf8(path)
    if "%" in path:
        from urllib.parse import unquote

        path = unquote(path)
    headers = get("headers") or {}
    scheme = get("scheme") or "http"
    host, port = server_of(headers.get("host", ""), scheme)
    ip = get("ip")
    return {
        "type": "http",
        "asgi": _HTTP_SPEC.copy(),
        "http_version": "1.1",
        "method": frame["method"],
        "scheme": scheme,
        "path": path,
        "raw_path": raw_path,
        "query_string": encode_utf8(get("query") or ""),
        "root_path": root_path,
        "headers": _pairs(headers),
        "client": (ip, 0) if ip else None,
        "server": (host, int(port)),
        "state": state.copy(),
        "extensions": _HTTP_EXTENSIONS.copy(),
    }


def websocket_scope_of(scope: dict[str, Any]) -> dict[str, Any]:
    """The scope of a request that asks for a WebSocket."""
    protocols: list[str] = []
    for name, value in scope["headers"]:
        if name == b"sec-websocket-protocol":
            protocols += [part.strip() for part in value.decode("latin-1").split(",")]
    del scope["method"]
    scope["type"] = "websocket"
    scope["asgi"] = _WEBSOCKET_SPEC.copy()
    scope["scheme"] = "wss" if scope["scheme"] == "https" else "ws"
    scope["subprotocols"] = [protocol for protocol in protocols if protocol]
    scope["extensions"] = _WEBSOCKET_EXTENSIONS.copy()
    return scope
