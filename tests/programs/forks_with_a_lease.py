"""Takes a lease on the embedded server, forks and ends; the child lives until it reads a line.

Argument: the directory of the server.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.bare_package import skip_init


def main(directory: str) -> None:
    """Take the lease, and fork."""
    skip_init()
    from ciris_registry.store.connection.embedded import EmbeddedServer

    EmbeddedServer(Path(directory)).acquire()
    if os.fork():
        print("acquired", flush=True)  # noqa: T201 # read by the test
    else:
        os.close(1)
        sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:])
