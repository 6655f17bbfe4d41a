"""A master is killed and a replica takes its place: open breakers stay open, no caller notices."""

from __future__ import annotations

import pytest

from ciris_registry.store.keys import partition_root
from tests.fleet.agent import Fleet
from tests.fleet.work import load
from tests.servers import Cluster
from tests.waiting import wait_until


def all_connected(fleet: Fleet) -> bool:
    return all(one["connected"] for one in fleet.all(load.seen))


@pytest.mark.long_run
@pytest.mark.parametrize("mode", ["cached", "exact"])
def test_a_killed_master_of_a_cluster_opens_and_closes_no_breaker(mode: str) -> None:
    with (
        Cluster(replicas=1, node_timeout=1_000) as cluster,
        Fleet(cluster.url, 2, consistency=mode) as fleet,
    ):
        slot = cluster.slot_of(partition_root("default"))
        fleet.all(load.register)
        fleet.agents[0].run(load.open_first)
        wait_until(lambda: fleet.all(load.state_of_first) == ["open", "open"])
        fleet.all(load.begin)

        master = cluster.master_of(slot)
        master.kill()
        wait_until(lambda: not any(one["connected"] for one in fleet.all(load.seen)))
        assert fleet.all(load.state_of_first) == ["open", "open"]
        cluster.wait_for_promotion(slot, master)
        wait_until(lambda: all_connected(fleet))

        assert fleet.all(load.state_of_first) == ["open", "open"]
        seen = fleet.all(load.end)
        assert [one["errors"] for one in seen] == [[], []]
        assert all(set(one["done"]) == {"second"} for one in seen)
        with Fleet(cluster.url, 1, consistency=mode) as newcomer:
            newcomer.all(load.register)
            assert newcomer.all(load.state_of_first) == ["open"]
