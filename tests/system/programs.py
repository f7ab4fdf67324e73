"""Configuration text for programs of both kinds, with settings of any type."""

from __future__ import annotations

import json
import socket
from typing import Any, Mapping, Sequence, Union

Value = Union[str, int, float, bool, Sequence[str], Mapping[str, Any]]


def inline(value: Value) -> str:
    """As TOML; a dollar sign is meant as it is written."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {inline(item)}" for key, item in value.items()) + " }"
    return json.dumps(value).replace("$", "$$")


def section(kind: str, name: str, settings: Mapping[str, Value]) -> str:
    lines = [f"{key} = {inline(value)}" for key, value in settings.items()]
    return "\n".join([f"[{kind}.{name}]", *lines]) + "\n\n"


def service(name: str, command: Sequence[str], **settings: Value) -> str:
    """A [services.NAME] section."""
    return section("services", name, {"command": list(command), **settings})


def worker(name: str, suffix: str = "py", **settings: Value) -> str:
    """workers/NAME.SUFFIX, written with the SDK; one instance unless something else is said."""
    return section("workers", name,
                   {"script": f"workers/{name}.{suffix}", "instances": 1, **settings})


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
