"""Registrations in Redis: written, kept by leases, and removed.

Owns one typed method for each script of a registration and its members. Which registrations this
process wants, and what to do about lost ones, is decided elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ciris_registry.store.replies import Registered, Renewed
from ciris_registry.store.script_runner import flat

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ciris_registry.registration import Registration
    from ciris_registry.store.script_runner import ScriptRunner


class RegistrationStore:
    """The registrations of one namespace, as one process writes them.

    ``share`` of the leases expiring together is a mass expiry, which suspends expiry.
    """

    def __init__(self, calls: ScriptRunner, share: float) -> None:
        self._calls = calls
        self._share = repr(share)

    async def register(self, registration: Registration, *, rejoin: bool = False) -> Registered:
        """Write a registration and become its member.

        To ``rejoin`` is to become its member again: an existing record is not changed.
        """
        calls = self._calls
        code, *rest = await calls.run(
            "registration_register",
            registration.service_type,
            registration.id,
            id=registration.id,
            name=registration.name,
            process=calls.process,
            lease_ms=calls.lease,
            retention_ms=calls.retention,
            mode="rejoin" if rejoin else "register",
            record=flat(registration.fields()),
        )
        if code != "changed":
            return Registered(code)
        return Registered(code, rest[1], rest[2], tuple(rest[3:]))

    async def unregister(self, registration: Registration) -> str:
        """End this process's membership; ``removed``, ``left`` or ``absent``."""
        reply = await self._calls.run(
            "registration_unregister",
            registration.service_type,
            registration.id,
            id=registration.id,
            name=registration.name,
            process=self._calls.process,
        )
        return str(reply[0])

    async def renew(
        self, service_type: str, ids: Sequence[str], breakers: Iterable[str], *, outage: bool
    ) -> Renewed:
        """Renew this process's leases, and the retention of the keys that belong to them."""
        calls = self._calls
        keys = calls.keys(service_type)
        reply = await calls.run(
            "registration_renew",
            service_type,
            more_keys=[*map(keys.registration, ids), *map(keys.breaker, breakers)],
            process=calls.process,
            lease_ms=calls.lease,
            retention_ms=calls.retention,
            outage=int(outage),
            share=self._share,
            ids=ids,
        )
        return Renewed(int(reply[1]), (reply[2], reply[3]), int(reply[4]), tuple(reply[5:]))

    async def expire(self, service_type: str, ids: Iterable[str]) -> list[str]:
        """Remove expired members; the ids of registrations removed with their last member."""
        calls = self._calls
        known, keys = list(ids), calls.keys(service_type)
        while True:
            code, *named = await calls.run(
                "members_expire",
                service_type,
                more_keys=[keys.registration(one) for one in known],
                process=calls.process,
                lease_ms=calls.lease,
                share=self._share,
                ids=known,
            )
            if code != "more":
                return named
            known += named
