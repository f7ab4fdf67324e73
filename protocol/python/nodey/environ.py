"""environ: a request as WSGI's environ (PEP 3333)."""

from __future__ import annotations

import sys
from io import BytesIO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

from .codec import encode_utf8

_KEPT = 1000
_keys: dict[str, str] = {}
_hosts: dict[str, tuple[str, str]] = {}


def base_of(root_path: str, multithread: bool, file_wrapper: Any) -> dict[str, Any]:
    """What is the same for all requests of a worker."""
    return {
        "SCRIPT_NAME": root_path,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "nodey",
        "REMOTE_ADDR": "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": multithread,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": file_wrapper,
    }


def _key(name: str) -> str:
    """The key of a header; "" for a name with "_", which could pretend to be another's."""
    if "_" in name:
        key = ""
    elif name in ("content-type", "content-length"):
        key = name.upper().replace("-", "_")
    else:
        key = "HTTP_" + name.upper().replace("-", "_")
    if len(_keys) < _KEPT:
        _keys[name] = key
    return key


def server_of(host: str, scheme: str) -> tuple[str, str]:
    """The name and the port that a Host field asks for."""
    known = _hosts.get(f"{scheme}:{host}")
    if known is not None:
        return known
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdigit() or name.endswith(":"):
        name, port = host, "443" if scheme == "https" else "80"
    server = (name or "localhost", port)
    if len(_hosts) < _KEPT:
        _hosts[f"{scheme}:{host}"] = server
    return server


def decoded_path(path: str) -> bytes:
    """The bytes of a percent-encoded path."""
    if "%" not in path:
        return encode_utf8(path)
    from urllib.parse import unquote_to_bytes

    return unquote_to_bytes(path)


def below(root_path: str, path: str) -> bool:
    """Whether a path is the root's or below it."""
    return path.startswith(root_path) and path[len(root_path) : len(root_path) + 1] in ("", "/")


def environ_of(frame: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """The environ of a request, but for "wsgi.input"."""
    environ = base.copy()
    get = frame.get
    environ["REQUEST_METHOD"] = frame["method"]
    path: str = frame["path"]
    if "%" in path or not path.isascii():
        path = decoded_path(path).decode("latin-1")
    root = base["SCRIPT_NAME"]
    environ["PATH_INFO"] = path[len(root) :] if root and below(root, path) else path
    environ["QUERY_STRING"] = get("query") or ""
    ip = get("ip")
    if ip:
        environ["REMOTE_ADDR"] = ip
    scheme = get("scheme")
    if scheme:
        environ["wsgi.url_scheme"] = scheme
    host = ""
    headers = get("headers")
    if headers:
        for name, value in headers.items():
            key = _keys.get(name)
            if key is None:
                key = _key(name)
            if key:
                if type(value) is not str:
                    value = ("; " if name == "cookie" else ", ").join(value)
                environ[key] = value
        host = environ.get("HTTP_HOST", "")
    server = server_of(host, scheme or "http")
    environ["SERVER_NAME"], environ["SERVER_PORT"] = server
    return environ


def with_body(environ: dict[str, Any], body: bytes) -> dict[str, Any]:
    """The environ with a body that is all there."""
    environ["wsgi.input"] = BytesIO(body)
    if body and "CONTENT_LENGTH" not in environ:
        # It came in chunks, or by hand; without a length most frameworks read nothing.
        environ["CONTENT_LENGTH"] = str(len(body))
    return environ
