"""Only the providers of a dead process are removed when its lease ends."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import redis

from tests.fleet.modes import BOTH_MODES
from tests.fleet.shared_state import SharedState
from tests.fleet.work import breakers, providers, registries
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.server import Server

LEASE = 1.0
ONCE = {"failure_threshold": 1, "recovery_timeout": 600}


@BOTH_MODES
def test_the_providers_of_a_killed_process_expire_with_its_lease_and_shared_ones_stay(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    doomed, living = fleet(2, lease=LEASE)
    own = doomed.run(providers.register_own)
    for agent in (doomed, living):
        agent.run(providers.register_shared, **ONCE)
    doomed.kill()
    assert set(living.run(providers.global_names)) == {own, "shared"}
    wait_until(lambda: living.run(providers.global_names) == ["shared"])
    wait_until(lambda: living.run(registries.find) and len(shared.members("shared")) == 1)
    assert list(shared.members("shared")) == [living.process_id]
    [expired] = shared.events("process_expired")
    assert expired["process"] == doomed.process_id
    [gone] = shared.events("provider_expired")
    assert gone["provider"] == own
    assert living.run(registries.find)


def test_a_dead_process_expires_although_the_leases_were_deleted(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    doomed, living = fleet(2, lease=LEASE)
    own = doomed.run(providers.register_own)
    doomed.run(registries.flush)
    living.run(providers.register_shared, **ONCE)
    assert set(living.run(providers.global_names)) == {own, "shared"}
    doomed.kill()
    shared.client.delete(shared.keys.leases)
    wait_until(lambda: living.run(providers.global_names) == ["shared"])
    wait_until(lambda: list(shared.members("shared")) == [living.process_id])
    assert living.run(registries.find)


@BOTH_MODES
def test_the_open_breaker_of_a_provider_outlives_its_last_member(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    doomed, watcher = fleet(2, lease=LEASE)
    doomed.run(providers.register_shared, **ONCE)
    watcher.run(providers.register_own)
    assert doomed.run(breakers.arecord_failure) == "open"
    before = shared.breaker()
    doomed.kill()
    wait_until(lambda: "shared" not in watcher.run(providers.global_names))
    assert "shared" not in shared.registrations()
    [successor] = fleet(1, lease=LEASE)
    successor.run(providers.register_shared, **ONCE)
    assert "shared" in shared.registrations()
    assert shared.breaker() == before
    reasons = successor.run(registries.explain)
    assert ["shared", "open"] in reasons


def test_a_late_unregister_removes_only_its_own_membership(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    late, successor = fleet(2)
    for agent in (late, successor):
        agent.run(providers.register_shared, **ONCE)
    assert late.run(providers.leave_shared)
    assert not late.run(providers.leave_shared)
    assert list(shared.members("shared")) == [successor.process_id]
    assert successor.run(registries.find)


def test_a_late_unregister_does_not_remove_newer_members(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    late, successor = fleet(2, lease=LEASE)
    late.run(providers.register_shared, **ONCE)
    late.signal(signal.SIGSTOP)
    wait_until(lambda: "shared" not in successor.run(providers.global_names))
    successor.run(providers.register_shared, **ONCE)

    late.signal(signal.SIGCONT)
    assert late.run(providers.leave_shared)

    assert list(shared.members("shared")) == [successor.process_id]
    assert successor.run(registries.find)


@BOTH_MODES
def test_a_process_that_hung_longer_than_its_lease_is_back_within_a_heartbeat(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    hanging, living = fleet(2, lease=LEASE)
    own = hanging.run(providers.register_own)
    hanging.run(registries.flush)
    living.run(providers.register_shared, **ONCE)
    hanging.signal(signal.SIGSTOP)
    wait_until(lambda: living.run(providers.global_names) == ["shared"])
    hanging.signal(signal.SIGCONT)
    wait_until(lambda: set(living.run(providers.global_names)) == {own, "shared"})
    assert hanging.process_id in shared.members(own)


def test_a_process_that_hung_does_not_overwrite_newer_settings(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    hanging, newer = fleet(2, lease=LEASE)
    hanging.run(providers.register_shared, **ONCE)
    newer.run(providers.register_shared_at, "HIGH", failure_threshold=7)
    before = shared.record(), shared.breaker()
    hanging.signal(signal.SIGSTOP)
    wait_until(lambda: newer.run(registries.find) and len(shared.members("shared")) == 1)
    hanging.signal(signal.SIGCONT)
    wait_until(lambda: hanging.process_id in shared.members("shared"))
    hanging.run(registries.flush)
    assert (shared.record(), shared.breaker()) == before
    assert len(shared.events("provider_changed", "breaker_settings_changed")) == 2


def test_a_mass_expiry_after_redis_hung_is_suspended_once(
    server: Server, borrow: Callable[..., Team]
) -> None:
    three = borrow(3, server.url, lease=LEASE)
    for agent in three:
        agent.run(providers.register_own)
    three.all(registries.flush)
    with redis.Redis(unix_socket_path=str(server.socket), decode_responses=True) as client:
        shared = SharedState(client)
        members = set(shared.members(""))
        registrations = set(shared.registrations())
        # When the server comes back, one process is dead and one comes back later than the
        # third: that one cannot know which is which.
        three[2].kill()
        three[1].signal(signal.SIGSTOP)
        server.freeze()
        three[0].run(registries.sleep, 2.5)
        server.thaw()
        wait_until(lambda: shared.events("expiry_suspended"))
        assert set(shared.registrations()) == registrations
        assert set(shared.members("")) == members
        three[1].signal(signal.SIGCONT)
        wait_until(lambda: len(shared.registrations()) == 2)
        assert len(shared.events("expiry_suspended")) == 1
        assert len(shared.events("provider_expired")) == 1


def test_calls_succeed_after_redis_hung_longer_than_a_lease(
    server: Server, borrow: Callable[..., Team]
) -> None:
    four = borrow(4, server.url, lease=LEASE)
    for agent in four:
        agent.run(providers.register_own)
    four.all(registries.flush)
    with redis.Redis(unix_socket_path=str(server.socket), decode_responses=True) as client:
        shared = SharedState(client)
        registrations = set(shared.registrations())
        four.begin(registries.find_for, 3)
        wait_until(lambda: shared.client.info("commandstats")["cmdstat_evalsha"]["calls"] > 200)
        server.freeze()
        frozen = time.monotonic()
        wait_until(lambda: time.monotonic() > frozen + 2 * LEASE)
        server.thaw()
        four.end()

        # A minority that comes through last may be called dead; it says at once that it is not.
        wait_until(lambda: set(shared.registrations()) == registrations)
        wait_until(lambda: set(shared.members("")) == {agent.process_id for agent in four})
