"""A node of a cluster that is down takes only the service types of its partitions along."""

from __future__ import annotations

import pytest

from ciris_registry.store.keys import PartitionKeys
from tests.fleet.agent import Fleet
from tests.fleet.work import paced_load
from tests.servers import Cluster
from tests.waiting import wait_until

PARTITIONS = 8


@pytest.mark.long_run
def test_a_node_that_is_down_slows_only_its_partitions() -> None:
    options = ("--cluster-require-full-coverage", "no")
    with (
        Cluster(*options, node_timeout=1_000) as cluster,
        Fleet(cluster.url, 2, partitions=PARTITIONS) as fleet,
    ):
        fleet.all(paced_load.register)
        fleet.agents[0].run(paced_load.open_first)
        wait_until(lambda: fleet.all(paced_load.states) == [["open"], ["open"]])
        fleet.all(paced_load.begin, 100)
        lost = cluster.master_of(cluster.slot_of(PartitionKeys("default", 3).root))
        where = {
            index: cluster.master_of(cluster.slot_of(PartitionKeys("default", index).root))
            for index in range(PARTITIONS)
        }
        partitions = fleet.agents[0].run(paced_load.partitions)
        away = {index for index in partitions.values() if where[index] is lost}
        assert away
        assert away != set(partitions.values())
        fleet.all(paced_load.forget)

        lost.kill()
        wait_until(lambda: all(away <= set(one["away"]) for one in fleet.all(paced_load.seen)))
        before = fleet.all(paced_load.seen)
        fleet.all(paced_load.forget)
        wait_until(
            lambda: all(
                one["done"][kind] > early["done"][kind] + 50
                for one, early in zip(fleet.all(paced_load.seen), before, strict=True)
                for kind in paced_load.TYPES
            )
        )

        seen = fleet.all(paced_load.end)
        assert [one["errors"] for one in seen] == [[], []]
        assert all(set(one["away"]) <= away for one in seen)
        assert fleet.all(paced_load.states) == [["open"], ["open"]]
