"""The slots that this process holds: its share of the calls that a provider takes at one time.

Owns taking one for a call, giving it back without waiting, and renewing what goes on. It refuses to
know the limit where Redis is there. While Redis is away, this process lets as many calls of its
own through as the registration allows. What nobody renews is free after a lease: calls of a process
that died, or of an event loop that ended.
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
        self._returning: dict[Key, list[str]] = {}
        self._sending: set[Key] = set()

    def held(self, service_type: str, name: str) -> int:
        """How many calls of this process hold a slot of a provider."""
        return len(self._held.get((service_type, name), ()))

    async def take(self, one: Registration, shared: SharedBreaker) -> Slot | Rejected | None:
        """A slot for one call, or why there is none; None if a call needs none.

        Whoever is cancelled, or waits in vain, gives back what he is given later.
        """
        if one.max_in_flight is None:
            return None
        shared.in_flight += 1  # others that choose meanwhile must not all choose this one
        try:
            store = await self._session.store()
            self._connectivity.check()
            slot, returning = self._new(one), self._is_returning(one)
            answer = await self._asked(store, one, slot)
            if answer.word == "full" and (returning or self._is_returning(one)):
                # Who calls again at once must not be refused for the sake of his own last call.
                await self._connectivity.attentively(
                    self._session.spawn(self._write_queue.flush(), watched=True)
                )
                answer = await self._asked(store, one, slot)
        except StoreUnavailableError:
            return self._by_itself(one, one.max_in_flight)
        finally:
            shared.in_flight -= 1
        if answer.word == "unlimited":
            return None
        # What others have in flight is as old as this answer, and soon worth nothing.
        mine = self.held(one.service_type, one.name) + (answer.word == "taken")
        shared.elsewhere = max(0, answer.taken - mine)
        shared.elsewhere_until = time.monotonic() + self._remembered
        if answer.word == "full":
            return Rejected(one, "full", answer.retry_at)
        return self._hold(slot, in_redis=True)

    def give_back(self, slot: Slot) -> None:
        """A call has ended. Does not wait, and needs no event loop."""
        key = (slot.service_type, slot.name)
        held = self._held.get(key, {})
        in_redis = held.pop(slot.slot, True)
        if not held:
            self._held.pop(key, None)
        if in_redis:  # else there would be one for each call of an outage
            self._return(key, slot.slot)

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
            # A return that overtook this has been undone by it.
            for name, slots in held.items():
                key = (service_type, name)
                for slot in slots:
                    if slot not in self._held.get(key, ()):
                        self._return(key, slot)

    def _is_returning(self, one: Registration) -> bool:
        key = (one.service_type, one.name)
        return key in self._returning or key in self._sending

    def _new(self, one: Registration) -> Slot:
        return Slot(one.service_type, one.name, f"{self._session.process}|{next(self._tokens)}")

    async def _asked(self, store: Store, one: Registration, slot: Slot) -> SlotReply:
        """The answer of Redis; whoever does not wait for it gives the slot back behind it."""
        asking = self._write_queue.send(store.slots.take(one, slot.slot))
        try:
            return await self._connectivity.attentively(asking)
        except CorruptStateError:
            raise  # nothing was taken
        except BaseException:
            asking.add_done_callback(lambda _: self.give_back(slot))
            raise

    def _by_itself(self, one: Registration, most: int) -> Slot | Rejected:
        """Redis is away: what this process may do goes by its own calls alone."""
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

    def _return(self, key: Key, slot: str) -> None:
        """Give one back with the next write; those of one provider that wait share it."""
        waiting = self._returning.setdefault(key, [])
        waiting.append(slot)
        if len(waiting) == 1:
            self._write_queue.put(
                f"the return of slots of {key[0]} {key[1]}",
                lambda store: self._send_back(store, key),
            )

    async def _send_back(self, store: Store, key: Key) -> None:
        slots = self._returning.pop(key, [])
        if not slots:
            return
        self._sending.add(key)
        try:
            await store.slots.give_back(*key, slots)
        except BaseException:
            self._returning[key] = slots + self._returning.get(key, [])
            raise
        finally:
            self._sending.discard(key)
