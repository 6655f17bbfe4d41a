"""An embedded server in a temporary directory that no other program uses."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from typing import Final

from ciris_registry.errors import InvalidURLError
from ciris_registry.local_fleet.polling import wait_until
from ciris_registry.store.connection import EmbeddedServer

_REMOVED_WITHIN: Final = 3.0
"""Seconds after its last user has gone."""


def new_private_server(prefix: str) -> EmbeddedServer:
    """A server, not started yet, in a directory that does not exist yet and goes with it."""
    name = f"{prefix}-{secrets.token_hex(3)}"
    try:
        return EmbeddedServer(Path(tempfile.gettempdir()).resolve() / name)
    except InvalidURLError:  # the path is too long for a socket
        return EmbeddedServer(Path("/tmp") / name)  # noqa: S108 # the directory itself is private


async def wait_until_removed(server: EmbeddedServer) -> None:
    """Wait until the server has ended and its directory is removed, 3 s at most."""
    await wait_until(lambda: not server.directory.exists(), _REMOVED_WITHIN)
