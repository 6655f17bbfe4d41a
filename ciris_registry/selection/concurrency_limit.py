"""The concurrency limit: the slots that this process holds of the calls a provider takes at once.

Takes one for a call, releases it without waiting, and renews those of calls that go on. The limit
that counts is the one in Redis; while Redis is away, this process makes no more calls of its own
than the registration allows. Slots that are not renewed are free after a lease.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING, NamedTuple

from ciris_registry.errors import CorruptStateError, StoreUnavailableError
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
    """The right to make one call of a provider, written process|token."""

    service_type: str
    name: str
    slot: str


class ConcurrencyLimit:
    """The slots of one process, in the event loop that it runs in now."""

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
        self._held: dict[Key, dict[str, bool]] = {}  # whether Redis may have it
        self._releasing: dict[Key, list[str]] = {}
        self._sending: set[Key] = set()

    def held(self, service_type: str, name: str) -> int:
        """How many calls of this process hold a slot of a provider."""
        return len(self._held.get((service_type, name), ()))

    async def take(self, one: Registration, breaker: SharedBreaker) -> Slot | Rejected | None:
        """A slot for one call, or why there is none; None if a call needs none.

        A caller that is cancelled, or gives up waiting, releases a slot that is granted later.
        """
        if one.max_in_flight is None:
            return None
        breaker.in_flight += 1  # other calls that choose now must not all choose this one
        try:
            store = await self._session.store()
            self._connectivity.require()
            slot, releasing = self._new(one), self._is_releasing(one)
            answer = await self._asked(store, one, slot)
            if answer.code == "full" and (releasing or self._is_releasing(one)):
                # A caller's own last call must not make its next one be refused.
                await self._connectivity.while_answering(
                    self._session.spawn(self._write_queue.flush(), watched=True)
                )
                answer = await self._asked(store, one, slot)
        except StoreUnavailableError:
            return self._by_itself(one, one.max_in_flight)
        finally:
            breaker.in_flight -= 1
        if answer.code == "unlimited":
            return None
        # What other processes have in flight is as old as this answer, and soon out of date.
        mine = self.held(one.service_type, one.name) + (answer.code == "taken")
        breaker.elsewhere = max(0, answer.taken - mine)
        breaker.elsewhere_until = time.monotonic() + self._remembered
        if answer.code == "full":
            return Rejected(one, "full", answer.retry_at)
        return self._hold(slot, in_redis=True)

    def release(self, slot: Slot) -> None:
        """A call has ended. Does not wait, and needs no event loop."""
        key = (slot.service_type, slot.name)
        held = self._held.get(key, {})
        in_redis = held.pop(slot.slot, True)
        if not held:
            self._held.pop(key, None)
        if in_redis:  # else there would be one for each call of an outage
            self._release(key, slot.slot)

    async def renew(self, store: Store, service_type: str) -> None:
        """The calls of this event loop that hold slots of a service type go on."""
        held = {
            name: list(slots)
            for (kind, name), slots in self._here().items()
            if kind == service_type
        }
        if not held:
            return
        for name, slots in held.items():
            self._held[service_type, name].update(dict.fromkeys(slots, True))
        try:
            await store.slots.renew(service_type, held)
        finally:
            # A release that overtook this call has been undone by it.
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

    async def _asked(self, store: Store, one: Registration, slot: Slot) -> SlotReply:
        """The answer of Redis; a caller that does not wait for it releases the slot after it."""
        asking = self._session.send(store.slots.take(one, slot.slot))
        try:
            return await self._connectivity.while_answering(asking)
        except CorruptStateError:
            raise  # nothing was taken
        except BaseException:
            asking.add_done_callback(lambda _: self.release(slot))
            raise

    def _by_itself(self, one: Registration, most: int) -> Slot | Rejected:
        """Redis is away: only the calls of this process count."""
        self._here()
        if self.held(one.service_type, one.name) >= most:
            return Rejected(one, "full")
        return self._hold(self._new(one), in_redis=False)

    def _hold(self, slot: Slot, *, in_redis: bool) -> Slot:
        self._here().setdefault((slot.service_type, slot.name), {})[slot.slot] = in_redis
        return slot

    def _here(self) -> dict[Key, dict[str, bool]]:
        """What the running loop holds. Calls of a loop that ended do not go on."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._held = loop, {}
        return self._held

    def _release(self, key: Key, slot: str) -> None:
        """Release one with the next write; slots of one provider that wait share it."""
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
