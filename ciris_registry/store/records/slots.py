"""Slots in Redis: the calls of a provider that the fleet has in flight.

Owns one typed method for each script of slots. Which slots this process holds is known elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ciris_registry.store.records.replies import SlotReply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ciris_registry.registration import Registration
    from ciris_registry.store.script_runner import ScriptRunner


class SlotStore:
    """The slots of one namespace."""

    def __init__(self, calls: ScriptRunner) -> None:
        self._calls = calls

    async def take(self, registration: Registration, slot: str) -> SlotReply:
        """Take a slot of a registration's provider, with the id ``slot`` that this process made."""
        calls = self._calls
        code, _, *numbers = await calls.run(
            "slot_take",
            registration.service_type,
            registration.id,
            process=calls.process,
            slot=slot,
            limit="" if registration.max_in_flight is None else registration.max_in_flight,
            lease_ms=calls.lease,
            retention_ms=calls.retention,
        )
        return SlotReply(code, *map(int, numbers))

    async def release(self, service_type: str, name: str, slots: Sequence[str]) -> None:
        """Free slots of one provider."""
        await self._calls.run("slot_release", service_type, name, held=slots)

    async def renew(self, service_type: str, held: Mapping[str, Sequence[str]]) -> None:
        """Renew the leases of slots, by provider: their calls are still running."""
        keys = self._calls.keys(service_type)
        await self._calls.run(
            "slot_renew",
            service_type,
            more_keys=[keys.slots(name) for name in held],
            lease_ms=self._calls.lease,
            held=[
                part
                for number, slots in enumerate(held.values(), 1)
                for slot in slots
                for part in (number, slot)
            ],
        )
