"""Only the providers of a dead process are removed when its lease ends."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import redis

from tests.fleet.modes import BOTH_MODES
from tests.fleet.shared_state import SharedState
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.server import Server

LEASE = 1.0

REGISTER = """
    once = CircuitBreakerConfig(failure_threshold=1, recovery_timeout=600)
    registry.register_global("llm", Client(), name="shared", circuit_breaker_config=once)
    await registry.flush()
"""
REGISTER_OWN = """
    return registry.register_global("llm", Client())
"""
LEAVE = "return await registry.aunregister('shared')"
FAIL = "return (await handle.arecord_failure()).value"
FIND = "return await registry.get_service('h', 'llm') is not None"
NAMES = """
    info = await registry.aget_provider_info(service_type="llm")
    return [one["name"] for one in info["global_services"].get("llm", [])]
"""


@BOTH_MODES
def test_the_providers_of_a_killed_process_expire_with_its_lease_and_shared_ones_stay(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    doomed, living = fleet(2, lease=LEASE)
    own = doomed.run(REGISTER_OWN)
    for agent in (doomed, living):
        agent.run(REGISTER)
    doomed.kill()
    assert set(living.run(NAMES)) == {own, "shared"}
    wait_until(lambda: living.run(NAMES) == ["shared"])
    wait_until(lambda: living.run(FIND) and len(shared.members("shared")) == 1)
    assert list(shared.members("shared")) == [living.process_id]
    expired = {event["id"]: event for event in shared.events("member_expired")}
    assert set(expired) == {own, "shared"}
    for event in expired.values():
        assert event["process"] == doomed.process_id
    [gone] = shared.events("provider_expired")
    assert gone["provider"] == own
    assert living.run(FIND)


def test_a_dead_process_expires_although_the_members_key_was_deleted(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    doomed, living = fleet(2, lease=LEASE)
    own = doomed.run(REGISTER_OWN)
    doomed.run("await registry.flush()")
    living.run(REGISTER)
    assert set(living.run(NAMES)) == {own, "shared"}
    doomed.kill()
    shared.client.delete(shared.keys.members)
    wait_until(lambda: living.run(NAMES) == ["shared"])
    wait_until(lambda: list(shared.members("shared")) == [living.process_id])
    assert living.run(FIND)


@BOTH_MODES
def test_the_open_breaker_of_a_provider_outlives_its_last_member(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    doomed, watcher = fleet(2, lease=LEASE)
    doomed.run(REGISTER)
    watcher.run(REGISTER_OWN + "\n")
    assert doomed.run(FAIL) == "open"
    before = shared.breaker()
    doomed.kill()
    wait_until(lambda: "shared" not in watcher.run(NAMES))
    assert "shared" not in shared.registrations()
    [successor] = fleet(1, lease=LEASE)
    successor.run(REGISTER)
    assert "shared" in shared.registrations()
    assert shared.breaker() == before
    reasons = successor.run(
        "return [[o.name, o.reason] for o in await registry.explain('h', 'llm')]"
    )
    assert ["shared", "open"] in reasons


def test_a_late_unregister_removes_only_its_own_membership(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    late, successor = fleet(2)
    for agent in (late, successor):
        agent.run(REGISTER)
    assert late.run(LEAVE)
    assert not late.run(LEAVE)
    assert list(shared.members("shared")) == [successor.process_id]
    assert successor.run(FIND)


def test_a_late_unregister_does_not_remove_newer_members(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    late, successor = fleet(2, lease=LEASE)
    late.run(REGISTER)
    late.signal(signal.SIGSTOP)
    wait_until(lambda: "shared" not in successor.run(NAMES))
    successor.run(REGISTER)

    late.signal(signal.SIGCONT)
    assert late.run(LEAVE)

    assert list(shared.members("shared")) == [successor.process_id]
    assert successor.run(FIND)


@BOTH_MODES
def test_a_process_that_hung_longer_than_its_lease_is_back_within_a_heartbeat(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    hanging, living = fleet(2, lease=LEASE)
    own = hanging.run(REGISTER_OWN)
    hanging.run("await registry.flush()")
    living.run(REGISTER)
    hanging.signal(signal.SIGSTOP)
    wait_until(lambda: living.run(NAMES) == ["shared"])
    hanging.signal(signal.SIGCONT)
    wait_until(lambda: set(living.run(NAMES)) == {own, "shared"})
    assert hanging.process_id in shared.members(own)


def test_a_process_that_hung_does_not_overwrite_newer_settings(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    hanging, newer = fleet(2, lease=LEASE)
    hanging.run(REGISTER)
    newer.run("""
        once = CircuitBreakerConfig(failure_threshold=7)
        registry.register_global(
            "llm", Client(), Priority.HIGH, circuit_breaker_config=once, name="shared"
        )
        await registry.flush()
    """)
    before = shared.record(), shared.breaker()
    hanging.signal(signal.SIGSTOP)
    wait_until(lambda: newer.run(FIND) and len(shared.members("shared")) == 1)
    hanging.signal(signal.SIGCONT)
    wait_until(lambda: hanging.process_id in shared.members("shared"))
    hanging.run("await registry.flush()")
    assert (shared.record(), shared.breaker()) == before
    assert len(shared.events("provider_changed", "breaker_settings_changed")) == 2


def test_a_mass_expiry_after_redis_hung_is_suspended_once(
    server: Server, borrow: Callable[..., Team]
) -> None:
    three = borrow(3, server.url, lease=LEASE)
    for agent in three:
        agent.run(REGISTER_OWN)
    three.all("await registry.flush()")
    with redis.Redis(unix_socket_path=str(server.socket), decode_responses=True) as client:
        shared = SharedState(client)
        members = set(shared.members(""))
        registrations = set(shared.registrations())
        # When the server comes back, one process is dead and one comes back later than the
        # third: that one cannot know which is which.
        three[2].kill()
        three[1].signal(signal.SIGSTOP)
        server.freeze()
        three[0].run("await asyncio.sleep(2.5)")
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
        agent.run(REGISTER_OWN)
    four.all("await registry.flush()")
    with redis.Redis(unix_socket_path=str(server.socket), decode_responses=True) as client:
        shared = SharedState(client)
        registrations = set(shared.registrations())
        four.begin("""
            global going
            going = True
            async def stop():
                global going
                await asyncio.sleep(3)
                going = False
            asyncio.ensure_future(stop())
            while going:
                assert await registry.get_service("h", "llm") is not None
        """)
        wait_until(lambda: shared.client.info("commandstats")["cmdstat_evalsha"]["calls"] > 200)
        server.freeze()
        frozen = time.monotonic()
        wait_until(lambda: time.monotonic() > frozen + 2 * LEASE)
        server.thaw()
        four.end()

        # A minority that comes through last may be called dead; it says at once that it is not.
        wait_until(lambda: set(shared.registrations()) == registrations)
        wait_until(lambda: set(shared.members("")) == {agent.process_id for agent in four})
