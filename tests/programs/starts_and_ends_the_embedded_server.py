"""Takes and gives back a lease on the embedded server a dozen times, and uses it each time.

Argument: the directory of the server.
"""

from __future__ import annotations

import sys
from pathlib import Path

import redis

from tests.bare_package import skip_init


def main(directory: str) -> None:
    """Use the server a dozen times."""
    skip_init()
    from ciris_registry.store.connection.embedded import EmbeddedServer

    for _ in range(12):
        server = EmbeddedServer(Path(directory))
        with redis.Redis(unix_socket_path=server.acquire()) as client:
            assert client.incr("key")
        server.release()


if __name__ == "__main__":
    main(*sys.argv[1:])
