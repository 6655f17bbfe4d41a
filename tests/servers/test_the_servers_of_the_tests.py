"""The servers that tests start do what the tests rely on."""

from __future__ import annotations

import pytest

from tests.servers import Cluster, Sentinels, Server
from tests.servers.cluster import SLOTS
from tests.waiting import wait_until


def test_a_server_comes_back_empty_on_its_port_and_leaves_no_folder() -> None:
    with Server() as server:
        server.ask("SET", "key", "value")
        port = server.port
        server.kill()
        assert not server.answers()
        server.start()
        assert (server.port, server.ask("GET", "key")) == (port, None)
    assert not server.running
    assert not server.folder.exists()


def test_a_server_that_saves_comes_back_with_its_data() -> None:
    with Server("--appendonly", "yes", "--appendfsync", "always") as server:
        server.ask("SET", "key", "value")
        server.kill()
        server.start()
        assert server.ask("GET", "key") == "value"


def test_a_server_that_does_not_start_fails_the_test_with_its_log() -> None:
    with pytest.raises(AssertionError, match="no-such-option"), Server("--no-such-option", "1"):
        pass


@pytest.mark.outage_run
def test_a_cluster_moves_a_slot_with_its_keys_and_back() -> None:
    with Cluster() as cluster:
        slot = cluster.slot_of("{fleet/0}")
        home = cluster.master_of(slot)
        away = next(one for one in cluster.nodes if one is not home)
        keys = [f"key:{number}:{{fleet/0}}" for number in range(250)]
        for key in keys:
            home.ask("SET", key, "value")

        assert cluster.move_slot(slot, away) is home
        assert cluster.master_of(slot) is away
        assert {away.ask("GET", key) for key in keys} == {"value"}

        assert cluster.move_slot(slot, home) is away
        assert {home.ask("GET", key) for key in keys} == {"value"}


@pytest.mark.outage_run
def test_a_cluster_promotes_the_replica_of_a_killed_master_and_takes_a_new_node() -> None:
    with Cluster(replicas=1, node_timeout=1_000) as cluster:
        slot = SLOTS - 1
        master = cluster.master_of(slot)
        (replica,) = cluster.replicas_of(master)
        master.kill()
        assert cluster.wait_for_promotion(slot, master) is replica

        added = cluster.add_node(replica)
        assert cluster.replicas_of(replica) == [added]

        master.start()
        wait_until(lambda: master in cluster.replicas_of(replica))
        cluster.wait_until_well()


@pytest.mark.outage_run
def test_sentinels_promote_the_replica_and_demote_the_old_master_that_comes_back_empty() -> None:
    with Sentinels() as group:
        master, replica = group.servers
        assert group.master is master
        master.ask("SET", "key", "value")
        wait_until(lambda: replica.ask("GET", "key") == "value")

        master.kill()
        assert group.wait_for_failover(master) is replica
        replica.ask("SET", "key", "newer")

        master.start()
        assert master.ask("GET", "key") is None
        group.wait_until_demoted(master)
        assert master.ask("GET", "key") == "newer"
