"""Takes and gives back a lease on the embedded server, as each line that it reads says.

Argument: the directory of the server.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.bare_package import skip_init


def main(directory: str) -> None:
    """Answer each line with one."""
    skip_init()
    from ciris_registry.store.connection.embedded import EmbeddedServer

    server = EmbeddedServer(Path(directory))
    for line in sys.stdin:
        if line == "acquire\n":
            print(server.acquire(), flush=True)  # noqa: T201 # read by the test
        else:
            server.release()
            print("released", flush=True)  # noqa: T201 # read by the test


if __name__ == "__main__":
    main(*sys.argv[1:])
