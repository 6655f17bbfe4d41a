"""Where one server listens: a host and a port."""

from __future__ import annotations

from typing import NamedTuple


class Address(NamedTuple):
    """A host, which is a name or an IP address, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"
