"""``ciris-registry status``: providers, their members and their breakers, read from Redis.

Data is gathered before anything is formatted. Reading changes nothing.
"""

from __future__ import annotations

from ciris_registry.cli.status.breaker import BreakerStatus
from ciris_registry.cli.status.command import status
from ciris_registry.cli.status.fleet import TypeStatus, read_type

__all__ = [
    "BreakerStatus",
    "TypeStatus",
    "annotations",
    "read_type",
    "status",
]
