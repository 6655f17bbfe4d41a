"""A master is killed and a replica takes its place: open breakers stay open, no caller notices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ciris_registry.store.keys import PartitionKeys
from tests.fleet.agent import Fleet
from tests.fleet.work import load
from tests.servers import Cluster, Sentinels
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable


def all_connected(fleet: Fleet) -> bool:
    return all(one["connected"] for one in fleet.all(load.seen))


@pytest.mark.outage_run
@pytest.mark.parametrize("mode", ["cached", "exact"])
def test_a_killed_master_of_a_cluster_opens_and_closes_no_breaker(mode: str) -> None:
    with Cluster(replicas=1, node_timeout=1_000) as cluster:
        slot = cluster.slot_of(PartitionKeys("default").root)
        master = cluster.master_of(slot)
        survive(cluster.url, mode, master.kill, lambda: cluster.wait_for_promotion(slot, master))


@pytest.mark.outage_run
@pytest.mark.parametrize("mode", ["cached", "exact"])
def test_a_killed_master_behind_sentinels_opens_and_closes_no_breaker(mode: str) -> None:
    with Sentinels() as group:
        master = group.master
        survive(group.url, mode, master.kill, lambda: group.wait_for_failover(master))


def survive(url: str, mode: str, kill: Callable[[], object], wait: Callable[[], object]) -> None:
    """Call from two processes while the master is killed, until another one is in its place."""
    with Fleet(url, 2, consistency=mode) as fleet:
        fleet.all(load.register)
        fleet.agents[0].run(load.open_first)
        wait_until(lambda: fleet.all(load.state_of_first) == ["open", "open"])
        fleet.all(load.begin)

        kill()
        wait_until(lambda: not any(one["connected"] for one in fleet.all(load.seen)))
        assert fleet.all(load.state_of_first) == ["open", "open"]
        wait()
        wait_until(lambda: all_connected(fleet))

        assert fleet.all(load.state_of_first) == ["open", "open"]
        seen = fleet.all(load.end)
        assert [one["errors"] for one in seen] == [[], []]
        assert all(set(one["done"]) == {"second"} for one in seen)
        with Fleet(url, 1, consistency=mode) as newcomer:
            newcomer.all(load.register)
            assert newcomer.all(load.state_of_first) == ["open"]
