"""500 calls a second of four processes, while slots move, a master dies and a node is added.

Prints how long the calls took beside what they may take, and what was not counted.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry.store.keys import PartitionKeys
from tests.fleet.agent import Fleet
from tests.fleet.outages import STORE_TIMEOUT
from tests.fleet.work import paced_load
from tests.servers import Cluster
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.single import Server

PROCESSES = 4
RATE = 500
BEYOND = 0.02
FOLLOWED = 1.0
"""Seconds from the last SETSLOT, or from the promotion, until every process is connected."""


class Loaded:
    """A cluster with a fleet that calls at a steady pace."""

    def __init__(self, cluster: Cluster, fleet: Fleet, mode: str, partitions: int) -> None:
        self.cluster = cluster
        self.fleet = fleet
        self.mode = mode
        self.slots = [
            cluster.slot_of(PartitionKeys("default", index).root)
            for index in set(fleet.agents[0].run(paced_load.partitions).values())
        ]
        self.name = f"{mode}, {partitions} partitions"

    def all_connected(self) -> bool:
        return not any(one["away"] for one in self.fleet.all(paced_load.seen))

    def during(self, what: str, work: Callable[[], float]) -> None:
        """Do it under load; ``work`` returns when the cluster was well again."""
        self.fleet.all(paced_load.forget)
        well_at = work()
        wait_until(self.all_connected)
        followed = time.monotonic() - well_at
        seen = self.fleet.all(paced_load.seen)
        assert [one["errors"] for one in seen] == [[]] * PROCESSES
        assert self.fleet.all(paced_load.states) == [["open"]] * PROCESSES
        worst = max(max(one["worst"].values()) for one in seen)
        lag = max(one["lag"] for one in seen)
        bound = (STORE_TIMEOUT + BEYOND) * (2 if self.mode == "exact" else 1)
        sys.stdout.write(
            f"{self.name}: {what}: worst call {worst * 1e3:.0f} ms without the loop's lag "
            f"(bound {bound * 1e3:.0f} ms; lag {lag * 1e3:.0f} ms), "
            f"followed after {followed:.2f} s\n"
        )
        assert worst <= bound
        assert followed <= FOLLOWED

    def counted(self) -> tuple[int, int]:
        """The calls, and the successes that Redis has counted of them."""
        self.fleet.all(paced_load.flush)
        done = sum(sum(one["done"].values()) for one in self.fleet.all(paced_load.seen))
        return done, sum(self.fleet.agents[0].run(paced_load.successes).values())

    def move_there_and_back(self) -> float:
        for slot in self.slots:
            home = self.cluster.master_of(slot)
            away = next(one for one in self.cluster.nodes[:3] if one is not home)
            for target in (away, home):
                source = self.cluster.begin_move(slot, target)
                while self.cluster.move_keys(slot, source, target, most=5):
                    pass
                self.cluster.end_move(slot, source, target)
        return time.monotonic()

    def kill_a_master(self) -> float:
        slot = self.slots[0]
        master: Server = self.cluster.master_of(slot)
        master.kill()
        self.cluster.wait_for_promotion(slot, master)
        return time.monotonic()

    def add_a_node(self) -> float:
        added = self.cluster.add_node()
        self.cluster.wait_until_well()
        home = self.cluster.move_slot(self.slots[0], added)
        self.cluster.move_slot(self.slots[0], home)  # the added node has no replica
        return time.monotonic()


@pytest.mark.outage_run
@pytest.mark.timeout(240)
@pytest.mark.parametrize("partitions", [1, 8])
@pytest.mark.parametrize("mode", ["cached", "exact"])
def test_no_caller_notices_what_happens_to_a_cluster(mode: str, partitions: int) -> None:
    options: dict[str, Any] = {"consistency": mode, "partitions": partitions}
    with (
        Cluster(replicas=1, node_timeout=1_000) as cluster,
        Fleet(cluster.url, PROCESSES, **options) as fleet,
    ):
        fleet.all(paced_load.register)
        fleet.agents[0].run(paced_load.open_first)
        wait_until(lambda: fleet.all(paced_load.states) == [["open"]] * PROCESSES)
        loaded = Loaded(cluster, fleet, mode, partitions)
        fleet.all(paced_load.begin, RATE / PROCESSES)
        time.sleep(1.0)

        loaded.during("slots move there and back", loaded.move_there_and_back)
        loaded.during("a node is added, and has a slot for a while", loaded.add_a_node)
        loaded.during("a master is killed", loaded.kill_a_master)

        time.sleep(1.0)
        fleet.all(paced_load.end)
        calls, counted = loaded.counted()
        sys.stdout.write(
            f"{loaded.name}: {calls} calls, {counted} counted, {calls - counted} not replicated\n"
        )
        assert calls > RATE
        assert 0 <= calls - counted <= RATE
