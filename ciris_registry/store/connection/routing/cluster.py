"""The cluster: which node is the master of a slot, asked of any node that is known.

A node that has been cut off names an old master. So an answer counts by the config epoch of the
master that it names, which grows with each failover and each move of a slot.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from redis.crc import key_slot
from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from ciris_registry.store.connection.routing.asking import ask, connect
from ciris_registry.store.connection.routing.in_turn import ask_in_turn
from ciris_registry.store.connection.routing.slot_map import SlotMap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ciris_registry.store.connection.routing.address import Address
    from ciris_registry.store.connection.routing.slot_map import SlotMaster

_log = logging.getLogger(__name__)

_NEXT: Final = 0.1
"""Seconds after which the next node is asked as well."""

_ONE_NODE: Final = 1.0
"""Seconds for the answer of one node, connecting included."""


class _Answer(NamedTuple):
    """What one node says; its connection is open."""

    node: Address
    connection: Any
    slots: SlotMap


class Cluster:
    """What this process knows of one cluster: its nodes, and the newest epoch of each slot.

    ``make`` makes a connection of redis-py to an address. Lives as long as its registry; the
    connections belong to an event loop.
    """

    def __init__(self, nodes: Sequence[Address], make: Callable[[Address], Any]) -> None:
        self._named = tuple(nodes)
        self._known = self._named
        self._make = make
        self._masters: dict[int, Address] = {}
        self._epochs: dict[int, int] = {}

    def route(self, key: str) -> ClusterRoute:
        """The way to the master of the slot of ``key``."""
        return ClusterRoute(self, key_slot(key.encode()))

    async def connect(self, address: Address) -> Any:
        """A connection to one node."""
        return await connect(self._make(address))

    async def connect_to_master(self, slot: int) -> Any:
        """A connection to the master of a slot.

        Raises:
            redis.exceptions.RedisError: No node answers, or none names a master that is new enough.
        """
        answers: list[_Answer] = []
        try:
            master = await self._find(slot, answers)
            for one in answers:
                if one.node == master:
                    answers.remove(one)
                    return one.connection
        finally:
            for one in answers:
                # Without a wait, in which a cancellation would leave the others open.
                await one.connection.disconnect(nowait=True)
        return await self.connect(master)

    async def _find(self, slot: int, answers: list[_Answer]) -> Address:
        """The master of a slot; ``answers`` are those of the nodes that were asked."""
        newest = self._epochs.get(slot, 0)

        def enough(answer: _Answer) -> bool:
            found = answer.slots.master_of(slot)
            return found is not None and found.epoch >= newest

        failures = await ask_in_turn(
            self._in_order(slot), self._ask, answers, enough=enough, every=_NEXT
        )
        for answer in answers:
            found = answer.slots.master_of(slot)
            if found is not None and found.epoch >= newest:
                return self._note(slot, found, answer.slots)
        return self._older(slot, answers, failures)

    def _older(
        self, slot: int, answers: Sequence[_Answer], failures: Sequence[Exception]
    ) -> Address:
        """The master when no node names one that is as new as the one that was in use.

        Most nodes agree on one whose slot was assigned by hand, or after the cluster was reset.
        """
        named = [found for one in answers if (found := one.slots.master_of(slot)) is not None]
        if named and len(named) > len(self._known) // 2:
            found = max(named, key=lambda one: one.epoch)
            _log.warning(
                "most nodes of the cluster name %s as the master of slot %s, with an epoch that is "
                "older than the last one; it is used",
                found.address,
                slot,
            )
            return self._note(slot, found, answers[0].slots)
        if named:
            raise RedisConnectionError(
                f"the nodes of the cluster that answer name an old master of slot {slot}"
            )
        if answers:
            raise RedisConnectionError(f"no node of the cluster serves slot {slot}")
        reason = _telling(failures)
        problem = str(reason) or f"nothing within {_ONE_NODE:g} s"
        raise RedisConnectionError(f"no node of the cluster answers: {problem}") from reason

    def _note(self, slot: int, master: SlotMaster, slots: SlotMap) -> Address:
        self._masters[slot], self._epochs[slot] = master.address, master.epoch
        self._known = tuple(dict.fromkeys((*slots.nodes, *self._named)))
        return master.address

    def _in_order(self, slot: int) -> list[Address]:
        """The known nodes, the last master of the slot first, the others in any order."""
        last = self._masters.get(slot)
        others = [one for one in self._known if one != last]
        random.shuffle(others)
        return others if last is None else [last, *others]

    async def _ask(self, node: Address) -> _Answer:
        async with asyncio.timeout(_ONE_NODE):
            connection = await self.connect(node)
            try:
                slots, nodes = await ask(connection, ("CLUSTER", "SLOTS"), ("CLUSTER", "NODES"))
                return _Answer(node, connection, SlotMap.of(node, slots, nodes))
            except BaseException:
                await connection.disconnect()
                raise


class ClusterRoute:
    """The way to the master of one slot."""

    redirects = True

    def __init__(self, cluster: Cluster, slot: int) -> None:
        self._cluster = cluster
        self._slot = slot

    async def connect(self, at: Address | None = None) -> Any:  # redis-py's connection
        """As ``Route.connect``; a node that cannot be reached ``at`` its address is passed over."""
        if at is not None:
            with contextlib.suppress(RedisError, OSError):
                return await self._cluster.connect(at)
        return await self._cluster.connect_to_master(self._slot)


def _telling(failures: Sequence[Exception]) -> Exception | None:
    """The failure that says most: an answer says more than that there is none."""
    answered = (one for one in failures if not isinstance(one, (RedisConnectionError, OSError)))
    refused = (one for one in failures if isinstance(one, AuthenticationError))
    return next(answered, next(refused, failures[0] if failures else None))
