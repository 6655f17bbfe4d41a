"""The desired state: what this process has registered, which Redis is made to agree with.

Registers, and registers again what Redis turns out to have lost.
"""

from __future__ import annotations

import json
import logging
import math
import time
from typing import TYPE_CHECKING, NamedTuple

from ciris_registry.circuit_breaker import ReplyCode
from ciris_registry.store import WantedRegistration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ciris_registry.cache.replica import Snapshot
    from ciris_registry.circuit_breaker import CircuitBreakerConfig
    from ciris_registry.registration import Registration
    from ciris_registry.settings import RegistrySettings
    from ciris_registry.store import Beat, BreakerReply, Loaded, Registered, Store

_log = logging.getLogger(__name__)


class DesiredRegistration(NamedTuple):
    """A registration of this process, and the breaker settings that came with it, if any."""

    registration: Registration
    config: CircuitBreakerConfig | None


class DesiredState:
    """The registrations of one process, to which any thread may add."""

    def __init__(self, settings: RegistrySettings) -> None:
        self.left = False
        self.peers = 1
        self._losses = ""
        self.retention = settings.retention
        self._default = settings.breaker
        self._half_lease = settings.lease / 2
        self._interval = settings.heartbeat_every
        self._renewed_at = -math.inf
        self._desired: dict[str, dict[str, DesiredRegistration]] = {}
        self._own: dict[str, dict[str, Registration]] = {}
        self._written: dict[tuple[str, str], float] = {}
        self._announced: set[str] = set()
        self._warned: set[tuple[str, str]] = set()

    def note_renewal(self) -> None:
        """Every lease of this process has just been renewed."""
        self._renewed_at = time.monotonic()

    def may_expire_others(self) -> bool:
        """Whether Redis was there within half a lease, so that other processes could renew too.

        Otherwise this process expires no lease before its next heartbeat.
        """
        return time.monotonic() - self._renewed_at < self._half_lease

    def was_cut_off(self) -> bool:
        """Whether this process has renewed its leases before, but not within half a lease."""
        return self._renewed_at > -math.inf and not self.may_expire_others()

    def registrations(self, service_type: str) -> dict[str, Registration]:
        """This process's registrations of a service type, by id; the dict stays the same one."""
        return self._own.setdefault(service_type, {})

    def all(self) -> Iterator[Registration]:
        """Every registration of this process."""
        for registrations in list(self._own.values()):
            yield from list(registrations.values())

    def registered(self, service_type: str) -> list[DesiredRegistration]:
        """This process's registrations of a service type, with their settings."""
        return list(self._desired.get(service_type, {}).values())

    def add(self, registration: Registration, config: CircuitBreakerConfig | None) -> None:
        """Add a registration to the desired state."""
        service_type = registration.service_type
        self.registrations(service_type)[registration.id] = registration
        desired = self._desired.setdefault(service_type, {})
        desired[registration.id] = DesiredRegistration(registration, config)

    def remove(self, registration: Registration) -> None:
        """Take a registration out of the desired state."""
        self.registrations(registration.service_type).pop(registration.id, None)
        self._desired.get(registration.service_type, {}).pop(registration.id, None)
        self._warned.discard((registration.service_type, registration.id))

    def config_for(self, service_type: str, name: str) -> tuple[CircuitBreakerConfig, bool]:
        """The settings that this process gives a breaker, and whether a program named them."""
        for registration, config in list(self._desired.get(service_type, {}).values()):
            if registration.name == name and config is not None:
                return config, True
        return self._default, False

    async def write(
        self, store: Store, service_type: str, registrations: Iterable[Registration]
    ) -> list[tuple[Registration, Registered]]:
        """Write registrations of one service type; warn if that changed what others have set."""
        desired = self._desired.get(service_type, {})
        # One that this process has left by now is not written.
        mine = [desired[one.id] for one in registrations if one.id in desired]
        replies = await self._register(store, service_type, mine, rejoin=False)
        for (registration, config), reply in replies:
            changed = (
                reply.configure
                and (
                    await store.breakers.configure(
                        service_type, registration.name, config or self._default, explicit=True
                    )
                ).code
                is ReplyCode.CHANGED
            )
            if reply.code == "changed" and reply.before_actor != store.process:
                before = _listed(reply.before)
                self._warn(registration, f"changed {before}, set by {reply.before_actor}")
            elif changed:
                self._warn(registration, "changed the settings of its breaker")
        return [(one.registration, reply) for one, reply in replies]

    async def _register(
        self,
        store: Store,
        service_type: str,
        mine: Sequence[DesiredRegistration],
        *,
        rejoin: bool,
    ) -> list[tuple[DesiredRegistration, Registered]]:
        wanted: list[WantedRegistration] = []
        for registration, config in mine:
            known, _ = self.config_for(service_type, registration.name)
            # A process that rejoins does not overwrite settings that may be newer.
            chosen = config is not None and not rejoin
            wanted.append(WantedRegistration(registration, config or known, chosen))
        replies = await store.registrations.register(service_type, wanted, rejoin=rejoin)
        self.peers = replies[-1].processes if replies else self.peers
        now = time.monotonic()
        self._written.update(((service_type, one.registration.id), now) for one in mine)
        self._announced.add(service_type)
        if self._renewed_at == -math.inf:
            self.note_renewal()
        return list(zip(mine, replies, strict=True))

    async def unregister(self, store: Store, service_type: str, ids: Sequence[str]) -> list[str]:
        """End this process's hold of registrations; a code for each."""
        codes = await store.registrations.unregister(service_type, ids)
        for one in ids:
            self._written.pop((service_type, one), None)
        return codes

    async def configure(self, store: Store, service_type: str, name: str) -> BreakerReply:
        """Give a breaker that Redis does not have the settings that this process knows."""
        await self.announce(store, [service_type])
        config, _ = self.config_for(service_type, name)
        # If another process was faster, these settings are not the newest ones.
        return await store.breakers.configure(service_type, name, config, explicit=False)

    async def announce(self, store: Store, service_types: Sequence[str]) -> None:
        """Write who this process is and what it uses, if that is new."""
        if not self._announced.issuperset(service_types):
            await self.beat(store, service_types, outage=False)

    async def beat(self, store: Store, service_types: Sequence[str], *, outage: bool) -> Beat:
        """Renew this process's lease."""
        self._announced.update(service_types)
        held = len(self._written)
        beat = await store.processes.heartbeat(
            service_types, held, self._losses, self._interval, outage=outage
        )
        self.peers, self._losses = beat.processes, beat.losses
        return beat

    async def rewrite(self, store: Store, known: Snapshot, ids: Iterable[str]) -> None:
        """Register again what Redis has lost, as it was last ``known``.

        A process that rejoins must not overwrite newer settings, so it writes those that it last
        saw in Redis, not its own.
        """
        service_type = known.service_type
        shared = {one.id: one for one in known.registrations}
        desired = self._desired.get(service_type, {})
        mine = [desired[one] for one in ids if one in desired]
        last_known = [
            one._replace(registration=_writable(shared.get(one.registration.id), one.registration))
            for one in mine
        ]
        if last_known:
            await self._register(store, service_type, last_known, rejoin=True)

    def lost(self, service_type: str, loaded: Loaded, asked: float) -> list[str]:
        """The ids of this process's registrations that Redis should have, but has not.

        Only those written before the monotonic time at which Redis was ``asked`` what it has.
        """
        return [
            one.id
            for one in list(self.registrations(service_type).values())
            if self._written.get((service_type, one.id), asked) < asked
            and not (loaded.records.get(one.id) and loaded.breakers.get(one.name))
        ]

    async def leave(self, store: Store) -> None:
        """Leave the fleet: what this process holds is free now, not when its lease ends."""
        self.left = True
        if not self.was_cut_off():  # else the lease is over before Redis is back
            await store.processes.leave()

    def forget_announcements(self) -> None:
        """Redis has lost who this process is: the next write says so again."""
        self._announced.clear()

    def knows_settings(self, config: CircuitBreakerConfig) -> bool:
        """Whether a breaker has settings of its own: those that cannot be read are the default."""
        return config is not self._default

    def warn_of_changes(self, snapshot: Snapshot) -> None:
        """Warn, once, of registrations of this process that another one has changed."""
        own = self._own.get(snapshot.service_type)
        if not own:
            return
        for shared in snapshot.registrations:
            mine = own.get(shared.id)
            if mine is not None and shared.registered_by and not _same(mine, shared):
                self._warn(mine, f"was changed by {shared.registered_by}")

    def _warn(self, registration: Registration, what: str) -> None:
        key = (registration.service_type, registration.id)
        if key not in self._warned:
            self._warned.add(key)
            _log.warning(
                "registration %s of %s has conflicting settings: %s; the newest ones win",
                registration.id,
                registration.service_type,
                what,
                extra={"service_type": key[0], "registration": key[1]},
            )


def _writable(shared: Registration | None, mine: Registration) -> Registration:
    """The registration as the fleet had it; this process's own if that cannot be written."""
    if shared is None:
        return mine
    try:
        shared.fields()
    except ValueError:
        return mine  # its record was edited to what JSON cannot hold
    return shared


def _same(mine: Registration, shared: Registration) -> bool:
    try:
        return mine.fields() == shared.fields()
    except ValueError:
        return False  # its record was edited to what JSON cannot hold


def _listed(before: str) -> str:
    try:
        fields: Mapping[str, str] = json.loads(before)
    except ValueError:
        return before
    return ", ".join(f"{name} (was {value})" for name, value in fields.items())
