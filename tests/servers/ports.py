"""Free ports for servers.

The bus of a cluster's node listens 10,000 ports above the node. Both lie below the range from which
systems take the ports of outgoing connections, so that a server can be killed and started again on
its port.
"""

from __future__ import annotations

import contextlib
import random
import socket
from typing import Final

HOST: Final = "127.0.0.1"
BUS: Final = 10_000
"""The distance of a node's bus from its port."""

_FIRST, _LAST = 11_000, 22_000
_TRIES: Final = 1_000


def free_port() -> int:
    """A port that is free, as is that of its bus; another process may still be faster."""
    for _ in range(_TRIES):
        port = random.SystemRandom().randrange(_FIRST, _LAST)
        if _is_free(port) and _is_free(port + BUS):
            return port
    raise AssertionError(f"no free port from {_FIRST} to {_LAST}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return True
    return False
