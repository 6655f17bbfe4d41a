"""Who a process is: its id, and what Redis shows of it."""

from __future__ import annotations

import os
import re
import secrets
import socket
from typing import Final

_HOST_CHARACTERS: Final = 60


def new_process_id() -> str:
    """``host-pid-token``: readable, and new for each registry."""
    return f"{host_name()}-{os.getpid()}-{secrets.token_hex(3)}"


def host_name() -> str:
    """This machine's name, with the characters that a key may have."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:_HOST_CHARACTERS]
    return host or "host"
