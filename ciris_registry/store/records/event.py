"""One change of the shared state, as an entry of a stream."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ciris_registry.store.records.replies import Version

_OWN: Final = frozenset(
    {
        "kind",
        "provider",
        "actor",
        "reason",
        "epoch",
        "revision",
        "breaker",
        "order",
        "record",
        "settings",
    }
)


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a service type's stream, or of the stream of processes.

    ``kind`` is one of ``provider_registered``, ``provider_changed``,
    ``provider_unregistered``, ``provider_expired``, ``state_lost`` (keys that the processes which
    know them write anew), ``breaker_streak_warning`` (half of the failure threshold is reached;
    nothing else has changed), ``breaker_opened``, ``breaker_half_opened``, ``breaker_closed``,
    ``breaker_tripped_locally`` and ``breaker_recovered_locally`` (in the reporting process only),
    ``breaker_cooldown_started``, ``breaker_forced_open``, ``breaker_forced_closed``,
    ``breaker_override_cleared``, ``breaker_reset``, ``breaker_forgotten``,
    ``breaker_settings_changed`` or ``breaker_restored``; without a service type,
    ``process_joined``, ``process_left``, ``process_expired`` or ``expiry_suspended``.

    ``actor`` is the process or person that made the change, ``at`` the server's time in
    milliseconds, ``id`` the entry's place in the stream. ``version`` is the version of the service
    type after the change, if the change made one, and ``breaker`` the breaker's state after it, as
    JSON. A registration's ``order``, ``record`` and breaker ``settings`` are those after it, the
    last two as JSON.
    """

    service_type: str
    id: str
    kind: str
    provider: str = ""
    actor: str = ""
    reason: str = ""
    details: Mapping[str, str] = field(default_factory=dict[str, str])
    version: Version | None = None
    breaker: str = ""
    order: str = ""
    record: str = ""
    settings: str = ""

    @property
    def at(self) -> int:
        """Milliseconds since the epoch by the server's clock."""
        head = self.id.partition("-")[0]
        return int(head) if head.isdigit() else 0

    @classmethod
    def parse(cls, service_type: str, entry_id: str, fields: Mapping[str, str]) -> Event:
        """Read an entry; unknown kinds and fields are kept unchanged."""
        return cls(
            service_type=service_type,
            id=entry_id,
            kind=fields.get("kind", ""),
            provider=fields.get("provider", ""),
            actor=fields.get("actor", ""),
            reason=fields.get("reason", ""),
            details={name: text for name, text in fields.items() if name not in _OWN},
            version=(fields.get("epoch", ""), fields["revision"]) if "revision" in fields else None,
            breaker=fields.get("breaker", ""),
            order=fields.get("order", ""),
            record=fields.get("record", ""),
            settings=fields.get("settings", ""),
        )
