"""The slots of a cluster and their masters, as one node knows them.

CLUSTER SLOTS has the address that each node wants to be called by, CLUSTER NODES its config epoch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from redis.exceptions import ConnectionError as RedisConnectionError

from ciris_registry.store.connection.routing.address import Address

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_UNKNOWN = "?"
_EPOCH = 6
"""The place of the config epoch in a line of CLUSTER NODES."""


class SlotMaster(NamedTuple):
    """The master of a slot, with its config epoch; 0 if the node does not say it."""

    address: Address
    epoch: int


class SlotMap:
    """What one node says: ``nodes`` are the addresses of all nodes that have slots."""

    def __init__(
        self, ranges: Sequence[tuple[int, int, SlotMaster]], nodes: Sequence[Address]
    ) -> None:
        self.nodes = tuple(dict.fromkeys(nodes))
        self._ranges = ranges

    @classmethod
    def of(cls, asked: Address, slots: Any, nodes: Any) -> SlotMap:
        """Read the replies of ``asked`` to CLUSTER SLOTS and CLUSTER NODES.

        A node may be forbidden, or unable, to answer the latter; then no epoch is known.

        Raises:
            redis.exceptions.RedisError: It does not answer the former.
        """
        if isinstance(slots, Exception):
            if "cluster support disabled" in str(slots):
                raise RedisConnectionError(
                    f"{asked} is no node of a cluster: use redis:// or rediss://"
                )
            raise slots
        listed = dict(_listed(asked, nodes)) if isinstance(nodes, str) else {}
        ranges: list[tuple[int, int, SlotMaster]] = []
        known: list[Address] = []
        for first, last, *servers in slots:
            found = [_address(asked, one, listed) for one in servers]
            known += [one for one in found if one is not None]
            if found and found[0] is not None:
                ranges.append((first, last, SlotMaster(found[0], _epoch(servers[0], listed))))
        return cls(ranges, known)

    def master_of(self, slot: int) -> SlotMaster | None:
        """The master of a slot; None if the node knows none."""
        for first, last, master in self._ranges:
            if first <= slot <= last:
                return master
        return None


def _listed(asked: Address, nodes: str) -> Iterator[tuple[str, SlotMaster]]:
    """By id, address and epoch of each node in a reply of CLUSTER NODES."""
    for line in nodes.splitlines():
        fields = line.split(" ")
        if len(fields) <= _EPOCH or not fields[_EPOCH].isdecimal():
            continue
        host, _, port = fields[1].partition("@")[0].rpartition(":")
        if port.isdecimal():
            yield fields[0], SlotMaster(Address(host or asked.host, int(port)), int(fields[_EPOCH]))


def _address(asked: Address, server: Any, listed: Mapping[str, SlotMaster]) -> Address | None:
    """The address of ``[host, port, id, …]``; the host of ``asked`` if the node names none."""
    host, port, *identity = server
    if host == _UNKNOWN:
        known = listed.get(str(identity[0])) if identity else None
        return known.address if known is not None else None
    return Address(str(host or asked.host), int(port))


def _epoch(server: Any, listed: Mapping[str, SlotMaster]) -> int:
    known = listed.get(str(server[2])) if len(server) > 2 else None  # noqa: PLR2004 # host, port, id
    return known.epoch if known is not None else 0
