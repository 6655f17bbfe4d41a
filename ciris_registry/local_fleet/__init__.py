"""A fleet on this machine, as the bench and the demo start one.

Child processes that exchange JSON lines with their parent, and an embedded server of their own.
"""

from __future__ import annotations

from ciris_registry.local_fleet.child import Child
from ciris_registry.local_fleet.message import Message
from ciris_registry.local_fleet.polling import wait_until
from ciris_registry.local_fleet.private_server import new_private_server, wait_until_removed
from ciris_registry.local_fleet.stdin import open_stdin

__all__ = [
    "Child",
    "Message",
    "new_private_server",
    "open_stdin",
    "wait_until",
    "wait_until_removed",
]
