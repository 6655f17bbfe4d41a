"""What the commands show of a namespace, read from Redis as values; reading changes nothing."""

from __future__ import annotations

from ciris_registry.cli.reading.breaker import BreakerStatus
from ciris_registry.cli.reading.fleet import (
    Damage,
    Member,
    RegistrationStatus,
    Status,
    TypeStatus,
    read_status,
    read_type,
)

__all__ = [
    "BreakerStatus",
    "Damage",
    "Member",
    "RegistrationStatus",
    "Status",
    "TypeStatus",
    "read_status",
    "read_type",
]
