"""The concurrency limit: the slots of running calls, for registrations with ``max_in_flight``.

Takes a slot for a call, releases it without waiting, and renews the slots of running calls. Redis
counts the slots of the fleet. While Redis is away, this process limits its own calls alone. A slot
that is not renewed ends after a lease.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING, NamedTuple

from ciris_registry.errors import CorruptStateError, StoreError
from ciris_registry.selection.candidates import Rejected

if TYPE_CHECKING:
    from ciris_registry.registration import Registration
    from ciris_registry.settings import RegistrySettings
    from ciris_registry.shared_breaker import SharedBreaker
    from ciris_registry.store import Session, SlotReply, Store, WriteQueue
    from ciris_registry.store.connection import Connectivity

Key = tuple[str, str]
"""Service type and provider."""


class Slot(NamedTuple):
    """The right to make one call of a provider; ``slot`` is ``process|token``."""

    service_type: str
    name: str
    slot: str


class ConcurrencyLimit:
    """The slots of one process, in its current event loop."""

    def __init__(
        self,
        session: Session,
        connectivity: Connectivity,
        write_queue: WriteQueue,
        settings: RegistrySettings,
    ) -> None:
        self._session = session
        self._connectivity = connectivity
        self._write_queue = write_queue
        self._remembered = settings.max_staleness
        self._tokens = itertools.count(1)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._held: dict[Key, dict[str, bool]] = {}  # by slot: whether Redis may have it
        self._releasing: dict[Key, list[str]] = {}
        self._sending: set[Key] = set()

    def held(self, service_type: str, name: str) -> int:
        """The number of calls of this process that hold a slot of a provider."""
        return len(self._held.get((service_type, name), ()))

    async def take(self, one: Registration, breaker: SharedBreaker) -> Slot | Rejected | None:
        """Take a slot for one call; a rejection if all are taken, None if no slot is needed.

        If the caller is cancelled or stops waiting, a slot that Redis grants later is released.
        """
        if one.max_in_flight is None:
            return None
        breaker.in_flight += 1  # seen by LEAST_LOADED: other calls must not all choose this one
        try:
            store = await self._session.store()
            self._connectivity.require()
            slot, releasing = self._new(one), self._is_releasing(one)
            answer = await self._take(store, one, slot)
            if answer.code == "full" and (releasing or self._is_releasing(one)):
                # A slot that is being released must not refuse the next call of the same caller.
                await self._connectivity.while_answering(
                    self._session.spawn(self._write_queue.flush(), watched=True)
                )
                answer = await self._take(store, one, slot)
        except StoreError:  # away, or the key of the slots is damaged
            return self._take_locally(one, one.max_in_flight)
        finally:
            breaker.in_flight -= 1
        if answer.code == "unlimited":
            return None
        # Counts of other processes date from this reply; ignore them after `max_staleness`.
        own = self.held(one.service_type, one.name) + (answer.code == "taken")
        breaker.elsewhere = max(0, answer.taken - own)
        breaker.elsewhere_until = time.monotonic() + self._remembered
        if answer.code == "full":
            return Rejected(one, "full", answer.retry_at)
        return self._hold(slot, in_redis=True)

    def release(self, slot: Slot) -> None:
        """Release the slot of an ended call. Does not wait, and needs no event loop."""
        key = (slot.service_type, slot.name)
        held = self._held.get(key, {})
        in_redis = held.pop(slot.slot, True)
        if not held:
            self._held.pop(key, None)
        if in_redis:  # a slot that Redis never had needs no write
            self._release(key, slot.slot)

    async def renew(self, store: Store, service_type: str) -> None:
        """Renew the slots of a service type that calls of this event loop hold."""
        held = {
            name: list(slots)
            for (kind, name), slots in self._current().items()
            if kind == service_type
        }
        if not held:
            return
        for name, slots in held.items():
            self._held[service_type, name].update(dict.fromkeys(slots, True))
        try:
            await store.slots.renew(service_type, held)
        finally:
            # This call has undone a release that reached Redis before it.
            for name, slots in held.items():
                key = (service_type, name)
                for slot in slots:
                    if slot not in self._held.get(key, ()):
                        self._release(key, slot)

    def _is_releasing(self, one: Registration) -> bool:
        key = (one.service_type, one.name)
        return key in self._releasing or key in self._sending

    def _new(self, one: Registration) -> Slot:
        return Slot(one.service_type, one.name, f"{self._session.process}|{next(self._tokens)}")

    async def _take(self, store: Store, one: Registration, slot: Slot) -> SlotReply:
        """The reply of Redis; if the caller stops waiting, the slot is released after the reply."""
        asking = self._session.send(store.slots.take(one, slot.slot))
        try:
            return await self._connectivity.while_answering(asking)
        except CorruptStateError:
            raise  # nothing was taken
        except BaseException:
            asking.add_done_callback(lambda _: self.release(slot))
            raise

    def _take_locally(self, one: Registration, most: int) -> Slot | Rejected:
        """Take a slot while Redis is away: only the calls of this process count."""
        self._current()
        if self.held(one.service_type, one.name) >= most:
            return Rejected(one, "full")
        return self._hold(self._new(one), in_redis=False)

    def _hold(self, slot: Slot, *, in_redis: bool) -> Slot:
        self._current().setdefault((slot.service_type, slot.name), {})[slot.slot] = in_redis
        return slot

    def _current(self) -> dict[Key, dict[str, bool]]:
        """The slots held in the running event loop; those of an ended loop are dropped."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._held = loop, {}
        return self._held

    def _release(self, key: Key, slot: str) -> None:
        """Release a slot with the next write, which all waiting slots of a provider share."""
        waiting = self._releasing.setdefault(key, [])
        waiting.append(slot)
        if len(waiting) == 1:
            self._write_queue.put(
                f"the release of slots of {key[0]} {key[1]}",
                lambda store: self._send_release(store, key),
            )

    async def _send_release(self, store: Store, key: Key) -> None:
        slots = self._releasing.pop(key, [])
        if not slots:
            return
        self._sending.add(key)
        try:
            await store.slots.release(*key, slots)
        except BaseException:
            self._releasing[key] = slots + self._releasing.get(key, [])
            raise
        finally:
            self._sending.discard(key)
