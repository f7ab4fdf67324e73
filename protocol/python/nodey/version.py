"""version: the SDK's version and the protocol's."""

from __future__ import annotations

VERSION = "0.1.0"
PROTOCOL = 1
