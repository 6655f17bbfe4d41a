"""Redis is flushed, restarted empty, or forgets its scripts: live processes restore everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis

from tests.fleet.modes import BOTH_MODES
from tests.fleet.shared_state import SharedState
from tests.fleet.work import after_an_outage, breakers, lost_redis, providers, registries
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.server import Server

HEARTBEAT = 0.3
LEASE = 3.0

KEPT = ("state", "retry_at", "opened_at", "consecutive_failures", "override", "override_until")


def what_matters(shared: SharedState) -> dict[str, list[str | None]]:
    found = {name: shared.breaker(name) for name in ("shared", "forced", "cooling", "well")}
    kept = (*KEPT, "override_reason", "cooldown_until")
    return {name: [breaker.get(field) for field in kept] for name, breaker in found.items()}


@BOTH_MODES
def test_after_a_flush_everything_is_back_within_one_heartbeat(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    three = fleet(3, lease=LEASE, heartbeat_interval=HEARTBEAT)
    three.all(lost_redis.register)
    three[0].run(after_an_outage.break_all)
    three.all(registries.find)
    before, registrations = what_matters(shared), set(shared.registrations())
    members = {one: set(shared.members(one)) for one in registrations}
    shared.client.flushdb()
    flushed = shared.now()
    wait_until(lambda: what_matters(shared) == before)
    wait_until(
        lambda: {one: set(shared.members(one)) for one in shared.registrations()} == members,
    )
    for event in shared.events("provider_registered", "process_joined", "breaker_restored"):
        # A heartbeat, and what a machine with two busy cores needs to get round to it.
        assert int(event["at"]) - flushed < HEARTBEAT * 1000 + 1500
    assert set(shared.registrations()) == registrations
    assert three.all(lost_redis.first_explained) == ["well"] * 3


@BOTH_MODES
def test_the_first_resolve_after_a_flush_refuses_an_open_provider(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    [agent] = fleet(1)
    agent.run(lost_redis.register)
    agent.run(after_an_outage.break_all)
    agent.run(registries.find)
    shared.client.flushdb()
    assert agent.run(lost_redis.first_explained) == "well"
    assert shared.state() == "open"


@BOTH_MODES
def test_a_decision_after_the_flush_is_not_overwritten(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    old, new = fleet(2, lease=600.0)
    for agent in (old, new):
        agent.run(lost_redis.register)
    old.run(after_an_outage.break_all)
    old.run(registries.find)
    shared.client.flushdb()
    new.run(breakers.reset, "we know better")
    assert shared.state() == "closed"
    old.run(registries.find)
    wait_until(lambda: shared.breaker("forced").get("override") == "open")
    assert shared.state() == "closed"


def test_the_newest_settings_survive_a_flush_though_an_older_process_comes_back_first(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    old, new = fleet(2, lease=600.0)
    for agent, priority, threshold in ((old, "LOW", 3), (new, "HIGH", 7)):
        agent.run(providers.register_shared_at, priority, threshold)
    for agent in (old, new):
        agent.run(registries.find)
    shared.client.flushdb()
    for agent in (old, new):
        agent.run(registries.find)
        assert shared.record()["priority"] == "HIGH"
        assert shared.breaker()["failure_threshold"] == "7"
    assert set(shared.members("shared")) == {old.process_id, new.process_id}
    assert not shared.events("provider_changed", "breaker_settings_changed")


@pytest.mark.parametrize(
    "damage", ["deleted", pytest.param("replaced", marks=pytest.mark.long_run)]
)
@pytest.mark.parametrize("key", ["registrations", "leases", "holders", "meta"])
def test_a_key_that_was_deleted_or_damaged_is_restored_by_live_processes(
    fleet: Callable[..., Team], shared: SharedState, key: str, damage: str
) -> None:
    three = fleet(3, lease=LEASE, heartbeat_interval=HEARTBEAT)
    three[0].run(lost_redis.register)
    three[1].run(lost_redis.register)
    three[2].run(lost_redis.bind)
    three[0].run(after_an_outage.break_all)
    three[0].run(registries.find)
    before, registrations = what_matters(shared), shared.registrations()
    named = getattr(shared.keys, key)
    name = named if isinstance(named, str) else named("shared")
    shared.client.delete(name)
    if damage == "replaced":
        shared.client.set(name, "not ours", ex=60)

    whole = three[0].process_id, three[1].process_id
    wait_until(
        lambda: (
            all("shared" in str(agent.run(lost_redis.explain_if_readable)) for agent in three)
            and sorted(shared.registrations()) == sorted(registrations)
            and all(set(shared.members(one)) >= set(whole) for one in registrations)
        ),
    )
    assert what_matters(shared) == before
    reasons = dict(three[2].run(lost_redis.explain_if_readable))
    assert (reasons["shared"], reasons["forced"]) == ("open", "forced_open")


def test_a_script_flush_is_not_noticed(server: Server, borrow: Callable[..., Team]) -> None:
    two = borrow(2, server.url)
    two.all(lost_redis.register)
    two.begin(lost_redis.use_often)
    with redis.Redis(unix_socket_path=str(server.socket), decode_responses=True) as client:
        for _ in range(50):
            client.script_flush()
        two.end()
        assert SharedState(client).breaker("well")["total_successes"] == "600"


@BOTH_MODES
def test_a_server_that_was_killed_and_started_empty_is_not_noticed(
    server: Server, borrow: Callable[..., Team], mode: str
) -> None:
    two = borrow(2, server.url, mode, lease=LEASE, heartbeat_interval=HEARTBEAT)
    two.all(lost_redis.register)
    two[0].run(after_an_outage.break_all)
    two.all(registries.find)
    two.begin(lost_redis.use_for, 2.5)
    with redis.Redis(unix_socket_path=str(server.socket), decode_responses=True) as client:
        shared = SharedState(client)
        wait_until(lambda: int(shared.breaker("well").get("total_successes", 0)) > 20)
        server.kill()
        server.start()
        assert all(served > 50 for served in two.end())
        wait_until(lambda: len(shared.registrations()) == 4)
        assert shared.state() == "open"
        assert shared.breaker("forced")["override"] == "open"
        assert two.all(lost_redis.first_explained) == ["well"] * 2


@pytest.mark.parametrize("call", lost_redis.CALLS)
def test_no_call_in_flight_when_the_server_is_killed_fails(
    server: Server, borrow: Callable[..., Team], call: str
) -> None:
    [agent] = borrow(1, server.url)
    agent.run(lost_redis.register)
    agent.run(registries.find)

    server.freeze()
    agent.run(lost_redis.begin_call, call)
    server.kill()
    server.start()

    agent.run(lost_redis.end_call)
    assert agent.run(registries.find)
