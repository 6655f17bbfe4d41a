"""Registering and leaving: seen in this process at once, written to Redis in order."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ciris_registry.cache import BreakerForgotten, LocalEdit, is_decided, restore_breakers
from ciris_registry.circuit_breaker import ReplyCode
from ciris_registry.membership.write_batches import WriteBatches
from ciris_registry.registration import UNWRITTEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.cache import DesiredState, Replica, Replicas
    from ciris_registry.circuit_breaker import CircuitBreakerConfig
    from ciris_registry.membership.bindings import Bindings
    from ciris_registry.membership.naming import Namer
    from ciris_registry.membership.registration_request import ProviderSource
    from ciris_registry.registration import Registration
    from ciris_registry.store import Session, Store, WriteQueue

_log = logging.getLogger(__name__)


class Registrar:
    """Changes names, bindings, the desired state and the replicas together."""

    def __init__(
        self,
        namer: Namer,
        session: Session,
        write_queue: WriteQueue,
        desired: DesiredState,
        replicas: Replicas,
        bindings: Bindings,
    ) -> None:
        self.bindings = bindings
        self.on_change: Callable[[], None] = lambda: None
        self._namer = namer
        self._writes = WriteBatches(write_queue)
        self._write_queue = write_queue
        self.desired = desired
        self._replicas = replicas
        self._session = session
        self._registered = 0

    def register(
        self,
        draft: Registration,
        config: CircuitBreakerConfig | None,
        source: ProviderSource,
    ) -> str:
        """Register a provider; return its name, which the ``draft`` leaves open."""
        self._session.check_open()
        binding = source.binding()
        service_type = draft.service_type
        name, warning = self._namer.name(
            service_type, binding.subject(), source.name, binding.subject
        )
        if warning:
            _log.warning(warning)
        registration = replace(draft, name=name)
        binding.on_death = partial(self.bindings.note_death, service_type, registration.id)
        self.bindings.bind(registration, binding)
        self._add(registration, config)
        return name

    def take_over(self, other: Registrar, service_type: str) -> None:
        """Register anew what this process has registered in another partition."""
        for registration, config in other.desired.registered(service_type):
            self._add(registration, config)

    def hand_over(self, service_type: str) -> None:
        """Leave a service type that another partition has taken over; bindings and names stay."""
        for registration in list(self.desired.registrations(service_type).values()):
            self.desired.remove(registration)
            self._writes.add("leaving", registration, self._unwrite)

    def leave(self, name: str, *, forget_breaker: bool = False) -> bool:
        """Unregister all registrations of a provider by this process; whether there were any."""
        leaving = [one for one in self.desired.all() if one.name == name]
        for registration in leaving:
            self._leave(registration)
        if forget_breaker:
            for service_type in dict.fromkeys(one.service_type for one in leaving):
                self._forget(service_type, name)
        return bool(leaving)

    def leave_all(self) -> None:
        """Unregister all providers of this process."""
        for registration in list(self.desired.all()):
            self._leave(registration)

    def leave_one(self, service_type: str, registration_id: str) -> None:
        """Unregister one registration, if this process has it."""
        registration = self.desired.registrations(service_type).get(registration_id)
        if registration is not None:
            self._leave(registration)

    def _add(self, registration: Registration, config: CircuitBreakerConfig | None) -> None:
        self._registered += 1
        added = replace(registration, order=UNWRITTEN + self._registered)
        self.desired.add(added, config)
        replica = self._replicas.of(added.service_type)
        replica.apply(LocalEdit(replica.snapshot.joined_by(added)))
        self._compare_strategy(added)
        self._writes.add("the registration of", added, self._write)
        self.on_change()

    def _compare_strategy(self, registration: Registration) -> None:
        """Warn if the strategy differs from that of the group's first member, which counts."""
        kind, scope, group = (
            registration.service_type,
            registration.scope,
            registration.priority_group,
        )
        for first in self._replicas.of(kind).snapshot.registrations:
            if (first.scope, first.priority_group) == (scope, group):
                if first.strategy is not registration.strategy:
                    _log.warning(
                        "%s of %s has the strategy %s, but group %s of %s uses that of its first "
                        "member, %s: %s",
                        registration.name,
                        kind,
                        registration.strategy.value,
                        group,
                        scope or "the global registrations",
                        first.name,
                        first.strategy.value,
                    )
                return

    def _leave(self, registration: Registration) -> None:
        service_type = registration.service_type
        self.desired.remove(registration)
        self.bindings.unbind(service_type, registration.id)
        others = list(self.desired.registrations(service_type).values())
        if not any(one.name == registration.name for one in others):
            self._namer.release(service_type, registration.name)
        replica = self._replicas.of(service_type)
        replica.apply(LocalEdit(replica.snapshot.without(registration.id)))
        self._writes.add("leaving", registration, self._unwrite)

    def _forget(self, service_type: str, name: str) -> None:
        """Forget a breaker, here at once, unless another process has registered the provider."""
        replica = self._replicas.of(service_type)

        def forget_here() -> None:
            if name not in replica.snapshot.names():
                replica.apply(BreakerForgotten(name))

        forget_here()

        async def forget(store: Store) -> None:
            reply = await store.breakers.forget(service_type, name)
            if reply.code is ReplyCode.KEPT:
                replica.expire()
                _log.warning(
                    "the breaker of %s %s stays: another process has registered the provider",
                    service_type,
                    name,
                    extra={"service_type": service_type, "provider": name},
                )
            else:
                forget_here()  # a load that began before may have read it

        what = f"forgetting the breaker of {service_type} {name}"
        self._write_queue.put(what, forget, must_flush=True)

    async def _write(self, store: Store, service_type: str, batch: list[Registration]) -> None:
        replica = self._replicas.of(service_type)
        await self._restore_decided(store, replica, {one.name for one in batch})
        known = replica.snapshot.version
        for _, reply in await self.desired.write(store, service_type, batch):
            if reply.code != "joined" or reply.configure or reply.versions[0] != known:
                replica.expire()

    async def _restore_decided(self, store: Store, replica: Replica, names: set[str]) -> None:
        """Put back what Redis may have lost: registering would make the breakers anew, closed."""
        known = replica.authoritative_snapshot()
        decided = [
            name for name in names if name in known.breakers and is_decided(known.breakers[name])
        ]
        if decided:
            await restore_breakers(store, self.desired, known, decided, replica.now())

    async def _unwrite(self, store: Store, service_type: str, batch: list[Registration]) -> None:
        ids = [one.id for one in batch]
        codes = await self.desired.unregister(store, service_type, ids)
        if set(codes) != {"removed"}:
            self._replicas.of(service_type).expire()  # others may hold them
        for one, code in zip(ids, codes, strict=True):
            if code == "damaged":
                _log.warning(
                    "the set of processes that hold registration %s of %s is damaged: the "
                    "registration stays until the fleet has written anew who holds it",
                    one,
                    service_type,
                    extra={"service_type": service_type, "registration": one},
                )
