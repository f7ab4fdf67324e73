"""The control socket as a person's tools use it: one connection, many questions."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Optional

from client import Connection
from timing import slow, until


class Admin:
    """A context manager."""

    def __init__(self, folder: Path, timeout: float = 60) -> None:
        self._connection = Connection.__new__(Connection)
        self._connection.timeout = slow(timeout)
        self._connection.kept = b""
        self._connection.socket = socket.socket(socket.AF_UNIX)
        self._connection.socket.settimeout(self._connection.timeout)
        self._connection.socket.connect(str(folder / ".nodey/control.sock"))

    def __enter__(self) -> "Admin":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def send(self, request: bytes) -> None:
        """Bytes whose answer nobody awaits."""
        self._connection.send(request)

    def ask(self, method: str, path: str) -> tuple[int, Any]:
        answer = self._connection.request(method, path, b"", {})
        return answer.status, answer.json()

    def get(self, path: str) -> Any:
        status, body = self.ask("GET", path)
        assert status == 200, (path, status, body)
        return body

    def program(self, name: str) -> dict[str, Any]:
        body: dict[str, Any] = self.get(f"/v1/programs/{name}")
        return body

    def programs(self) -> dict[str, dict[str, Any]]:
        return {program["name"]: program for program in self.get("/v1/programs")}

    def order(self, name: str, verb: str, **parameters: object) -> tuple[int, Any]:
        query = "&".join(f"{key}={value}" for key, value in parameters.items())
        return self.ask("POST", f"/v1/programs/{name}/{verb}?{query}")

    def do(self, name: str, verb: str, **parameters: object) -> dict[str, Any]:
        """The order, which must be taken."""
        status, body = self.order(name, verb, **parameters)
        assert status == 200, (name, verb, parameters, status, body)
        answer: dict[str, Any] = body
        return answer

    def wait_state(self, name: str, *states: str, seconds: float = 10) -> dict[str, Any]:
        def check() -> Optional[dict[str, Any]]:
            program = self.programs()[name]
            return program if program["state"] in states else None

        return until(check, seconds, f"{name} is {' or '.join(states)}")


def pids(program: dict[str, Any]) -> list[int]:
    """Of its processes, by their places."""
    return [instance["pid"] for instance in program["instances"] if "pid" in instance]
