"""A replica that lacks the last writes becomes the master: live processes put back what they know.

Its data have the same epoch and an older revision. The replica's socket takes the place of the dead
master's, as the address of a managed server moves.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final

import pytest
import redis

from tests.fleet.modes import BOTH_MODES
from tests.fleet.shared_state import SharedState
from tests.fleet.work import after_an_outage, dead_provider, lost_redis, providers, registries
from tests.servers import Server
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fleet.agent import Agent
    from tests.fleet.pool import Team
    from tests.fleet.server import Server as LocalServer

FAST: Final = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
HEARTBEAT: Final = 0.3
WATCHED: Final = 60.0
"""Seconds without a loss."""
KNOWN: Final = {"shared": "open", "forced": "forced_open", "cooling": "cooling_down"}


class Pair:
    """A master, and a replica that can be cut off and promoted."""

    def __init__(self, master: Server, replica: Server) -> None:
        self.master, self.replica = master, replica
        self.url = f"unix://{master.socket}"

    def copied(self) -> bool:
        """Whether the replica has what the master has."""
        ours, theirs = (one.info("replication") for one in (self.master, self.replica))
        return ours["master_repl_offset"] == theirs["master_repl_offset"]

    def cut(self) -> None:
        """Nothing reaches the replica from here on."""
        wait_until(self.copied)
        self.replica.ask("REPLICAOF", "127.0.0.1", 1)

    def fail_over(self) -> None:
        """The master dies, and the replica takes its place."""
        self.master.kill()
        self.replica.ask("REPLICAOF", "NO", "ONE")
        self.replica.socket.rename(self.master.socket)


@pytest.fixture
def pair() -> Iterator[Pair]:
    with (
        Server(*FAST) as master,
        Server(*FAST, "--replicaof", f"127.0.0.1 {master.port}") as replica,
    ):
        wait_until(lambda: replica.info("replication")["master_link_status"] == "up")
        yield Pair(master, replica)


@BOTH_MODES
def test_what_only_the_dead_master_had_is_back_in_every_process_and_in_a_new_one(
    pair: Pair, borrow: Callable[..., Team], mode: str
) -> None:
    two = borrow(2, pair.url, mode, lease=3.0, heartbeat_interval=HEARTBEAT)
    two.all(lost_redis.register)
    pair.cut()
    two[0].run(after_an_outage.break_all)
    two[1].run(providers.register_names, ["late"])
    two.all(registries.refresh)

    pair.fail_over()

    with redis.Redis(unix_socket_path=str(pair.master.socket), decode_responses=True) as client:
        shared = SharedState(client)
        wait_until(lambda: bool(shared.events("state_lost")) and "late" in shared.registrations())
        wait_until(lambda: shared.breaker("forced").get("override") == "open")
        wait_until(lambda: shared.state() == "open")
        wait_until(lambda: shared.breaker("cooling").get("cooldown_until", "0") != "0")
        [new] = borrow(1, pair.url, mode)
        new.run(lost_redis.bind)
        for agent in (*two, new):
            wait_until(partial(knows_all, agent))
        assert len(shared.events("state_lost")) == 1
        restored = shared.events("state_restored")
        assert 1 <= len(restored) <= len(two)
        names = {name for event in restored for name in event["breakers"].split()}
        assert names == KNOWN.keys()
        assert {event["actor"] for event in restored} <= {one.process_id for one in two}


def knows_all(agent: Agent) -> bool:
    return {(name, reason) for name, reason in agent.run(registries.explain)} >= KNOWN.items()


@pytest.mark.outage_run
@pytest.mark.timeout(900)
def test_without_a_loss_there_is_no_alarm(server: LocalServer, borrow: Callable[..., Team]) -> None:
    """Watchers overtake replies all the time: a breaker changes many times a second."""
    teams = [
        borrow(3, server.url, mode, lease=3.0, heartbeat_interval=HEARTBEAT)
        for mode in ("cached", "exact")
    ]
    for team in teams:
        team.all(dead_provider.register, 0.05, 5.0)
        team.all(dead_provider.begin, 50.0, 0.01)
    with redis.Redis(unix_socket_path=str(server.socket), decode_responses=True) as client:
        shared = SharedState(client)
        ends = time.monotonic() + WATCHED
        while time.monotonic() < ends:
            time.sleep(1.0)
            assert not shared.events("state_lost", "state_restored", "breaker_restored")
        revisions = int(shared.client.hget(shared.keys.meta, "revision") or 0)
    for team in teams:
        team.all(dead_provider.end)
    print(f"{revisions} revisions in {WATCHED:g} s, no alarm")  # noqa: T201 # what was measured
    assert revisions > WATCHED
