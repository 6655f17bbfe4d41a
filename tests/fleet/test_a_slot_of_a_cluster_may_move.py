"""While the slot of a fleet moves to another node and back, no caller notices, and no call is lost.

Keys move one by one, so a script finds some here and some there: it is refused with TRYAGAIN, ASK
and MOVED, and none of these was done.
"""

from __future__ import annotations

import pytest

from ciris_registry.store.keys import PartitionKeys
from tests.fleet.agent import Fleet
from tests.fleet.work import load
from tests.servers import Cluster
from tests.waiting import wait_until


@pytest.mark.parametrize("mode", ["cached", pytest.param("exact", marks=pytest.mark.outage_run)])
def test_calls_of_two_processes_survive_a_slot_that_moves_there_and_back(mode: str) -> None:
    with Cluster(masters=2) as cluster, Fleet(cluster.url, 2, consistency=mode) as fleet:
        slot = cluster.slot_of(PartitionKeys("default").root)
        home = cluster.master_of(slot)
        away = next(one for one in cluster.nodes if one is not home)
        fleet.all(load.register)
        fleet.all(load.begin)

        for target in (away, home):
            source = cluster.begin_move(slot, target)
            while cluster.move_keys(slot, source, target, most=2):
                fleet.all(load.seen)  # some calls at each step
            cluster.end_move(slot, source, target)
            wait_until(lambda: all(one["connected"] for one in fleet.all(load.seen)))

        seen = fleet.all(load.end)
        assert [one["errors"] for one in seen] == [[], []]
        calls = sum(one["done"]["first"] for one in seen)
        assert calls > 50
        assert fleet.agents[0].run(load.successes)["first"] == calls
        assert away.ask("DBSIZE") == 0
