"""A cluster of masters with replicas, whose slots can be moved and whose nodes can be killed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import redis

from tests.servers.ports import HOST
from tests.servers.single import Server, _fields
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

SLOTS: Final = 16_384
_KEYS_AT_ONCE: Final = 100
_MIGRATE_TIMEOUT: Final = 5_000


class Cluster:
    """``masters`` nodes that share all slots, each with ``replicas`` nodes that follow it.

    ``nodes`` are all nodes that were started, masters first. ``node_timeout`` is in milliseconds:
    a dead master's replica is promoted about that long after, and a second for the election.
    ``options`` are given to each node, for example ``"--cluster-require-full-coverage", "no"``.
    """

    def __init__(
        self,
        *options: str,
        masters: int = 3,
        replicas: int = 0,
        node_timeout: int = 2_000,
        binary: str | None = None,
    ) -> None:
        self.nodes: list[Server] = []
        self._options: Sequence[str] = (
            *("--cluster-enabled", "yes", "--cluster-node-timeout", str(node_timeout)),
            # No replica waits before it follows, or leaves its master for one that has none.
            *("--repl-diskless-sync-delay", "0", "--cluster-migration-barrier", "100"),
            *options,
        )
        self._binary = binary
        self._masters = masters
        self._replicas = replicas
        self._ids: dict[Server, str] = {}

    @property
    def url(self) -> str:
        """The URL that names its masters of the beginning."""
        return "redis+cluster://" + ",".join(one.address for one in self.nodes[: self._masters])

    @property
    def living(self) -> list[Server]:
        """The nodes whose processes live."""
        return [node for node in self.nodes if node.running]

    def __enter__(self) -> Self:
        try:
            self._create()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._remove()

    def id_of(self, node: Server) -> str:
        """The node's id in the cluster, which it keeps when it is started again."""
        if node not in self._ids:
            self._ids[node] = str(node.ask("CLUSTER", "MYID"))
        return self._ids[node]

    def slot_of(self, key: str) -> int:
        """The hash slot of a key."""
        return int(self.living[0].ask("CLUSTER", "KEYSLOT", key))

    def master_of(self, slot: int) -> Server:
        """The living node that says itself that it is the slot's master."""
        for node in self.living:
            if _master_port(node, slot) == node.port:
                return node
        raise AssertionError(f"no living node is the master of slot {slot}")

    def replicas_of(self, master: Server) -> list[Server]:
        """The living nodes that follow a master, which may be dead."""
        return [one for one in self.living if _followed(one) == master.port]

    def begin_move(self, slot: int, target: Server) -> Server:
        """Let a slot begin to move to ``target``; its master, which still has its keys."""
        source = self.master_of(slot)
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", self.id_of(source))
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", self.id_of(target))
        return source

    def move_keys(self, slot: int, source: Server, target: Server, most: int = SLOTS) -> int:
        """Move at most ``most`` keys of a slot that moves; how many were moved."""
        moved = 0
        while moved < most:
            count = min(_KEYS_AT_ONCE, most - moved)
            keys = source.ask("CLUSTER", "GETKEYSINSLOT", slot, count)
            if not keys:
                break
            to = (HOST, target.port, "", 0, _MIGRATE_TIMEOUT)
            source.ask("MIGRATE", *to, "KEYS", *keys)
            moved += len(keys)
        return moved

    def end_move(self, slot: int, source: Server, target: Server) -> None:
        """Make ``target`` the slot's master, in the order that redis-cli uses."""
        others = [one for one in self.living if one not in {source, target}]
        for node in (target, source, *others):
            with contextlib.suppress(redis.ResponseError):  # a replica takes no SETSLOT
                node.ask("CLUSTER", "SETSLOT", slot, "NODE", self.id_of(target))

    def move_slot(self, slot: int, target: Server) -> Server:
        """Move a slot with its keys to ``target``; the node that had it."""
        source = self.begin_move(slot, target)
        while self.move_keys(slot, source, target):
            pass
        self.end_move(slot, source, target)
        wait_until(lambda: {_master_port(one, slot) for one in self.living} == {target.port})
        return source

    def wait_for_promotion(self, slot: int, dead: Server) -> Server:
        """Wait until another node is the slot's master, and all living nodes say so."""

        def promoted() -> bool:
            named = {_master_port(node, slot) for node in self.living}
            return len(named) == 1 and not named & {0, dead.port} and self._is_well()

        wait_until(promoted)
        return self.master_of(slot)

    def add_node(self, master: Server | None = None) -> Server:
        """Add an empty node without slots, as a replica of ``master`` if one is given."""
        node = self._start_node()
        self._meet(node)
        if master is not None:
            self._follow(node, master)
        return node

    def wait_until_well(self) -> None:
        """Wait until every living node knows the others and says that the cluster is well."""
        wait_until(self._is_well)

    def _is_well(self) -> bool:
        ports = {node.port for node in self.living}
        return all(
            _fields(one.ask("CLUSTER", "INFO"))["cluster_state"] == "ok" and ports <= _known(one)
            for one in self.living
        )

    def _create(self) -> None:
        for _ in range(self._masters):
            self._start_node()
        for number, node in enumerate(self.nodes):
            first, after = (SLOTS * n // self._masters for n in (number, number + 1))
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            node.ask("CLUSTER", "ADDSLOTS", *range(first, after))
        for node in self.nodes:
            self._meet(node)
        self.wait_until_well()
        masters = self.nodes * self._replicas
        followers = [(self._start_node(), one) for one in masters]
        for node, _ in followers:
            self._meet(node)
        for node, master in followers:
            self._follow(node, master)

    def _start_node(self) -> Server:
        node = Server(*self._options, binary=self._binary)
        self.nodes.append(node)
        node.start()
        return node

    def _meet(self, node: Server) -> None:
        for other in self.living:
            if other is not node:
                other.ask("CLUSTER", "MEET", HOST, node.port)

    def _follow(self, node: Server, master: Server) -> None:
        self.wait_until_well()
        node.ask("CLUSTER", "REPLICATE", self.id_of(master))
        wait_until(lambda: node.info("replication").get("master_link_status") == "up")
        wait_until(lambda: all(node.port in _replica_ports(one) for one in self.living))

    def _remove(self) -> None:
        for node in self.nodes:
            node.remove()


def _master_port(node: Server, slot: int) -> int:
    """The port of the slot's master, as a node says; 0 if it knows none."""
    for first, last, master, *_ in node.ask("CLUSTER", "SLOTS"):
        if first <= slot <= last:
            return int(master[1])
    return 0


def _replica_ports(node: Server) -> set[int]:
    """The ports of all replicas, as a node says."""
    return {int(one[1]) for _, _, _, *found in node.ask("CLUSTER", "SLOTS") for one in found}


def _known(node: Server) -> set[int]:
    """The ports of all nodes with which a node has shaken hands."""
    ports = set()
    for line in node.ask("CLUSTER", "NODES").splitlines():
        _, address, flags, *_ = line.split(" ")
        if not {"handshake", "noaddr"} & set(flags.split(",")):
            ports.add(int(address.partition("@")[0].rpartition(":")[2]))
    return ports


def _followed(node: Server) -> int:
    """The port of a replica's master; 0 for a master."""
    return int(node.info("replication").get("master_port", 0))
