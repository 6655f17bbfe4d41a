"""What the commands show of a namespace, read from Redis as values; reading changes nothing."""

from __future__ import annotations

from ciris_registry.cli.reading.breaker import BreakerStatus
from ciris_registry.cli.reading.service_type import (
    Damage,
    Member,
    RegistrationStatus,
    TypeStatus,
    read_type,
)
from ciris_registry.cli.reading.status import Status, read_status

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
