"""What a program of ``tests/programs`` sees of its own process."""

from __future__ import annotations

import os
import stat


def open_sockets() -> int:
    """How many sockets are open; an event loop has a pair of its own."""
    found = 0
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 # names
        try:
            mode = os.fstat(int(name)).st_mode
        except OSError:
            continue  # the descriptor of the listing itself
        found += stat.S_ISSOCK(mode)
    return found
