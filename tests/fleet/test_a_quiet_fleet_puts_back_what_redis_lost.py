"""Redis is flushed while the fleet makes no calls: the open breaker is restored all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.shared_state import SharedState

REGISTER = """
    long = CircuitBreakerConfig(recovery_timeout=600, failure_threshold=1)
    registry.register("h", "llm", Client(), name="shared", circuit_breaker_config=long)
    assert await registry.get_service("h", "llm") is not None
"""
CHATTER = """
    global chatter
    async def talk():
        while True:
            breaker = registry.breaker("memory", "other")
            await breaker.aforce_open("again", 60)
            await breaker.aclear_override()
            await asyncio.sleep(0.05)
    registry.register("h", "memory", Client(), name="other")
    chatter = asyncio.create_task(talk())
"""


def test_an_open_breaker_is_restored_without_any_call(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    three = fleet(3, consistency="cached", lease=600.0)  # no heartbeat comes to its help
    three.all(REGISTER)
    three[0].run("await handle.arecord_failure()")
    three.all("await registry.refresh()")
    before = shared.breaker()

    shared.client.flushdb()

    wait_until(lambda: shared.state() == "open")
    wait_until(lambda: set(shared.registrations()) == {"shared@h"})
    after = shared.breaker()
    assert [after[name] for name in ("retry_at", "opened_at")] == [
        before[name] for name in ("retry_at", "opened_at")
    ]


def test_a_quiet_service_type_is_checked_beside_a_busy_one(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    """The check waited for silent streams, which never came while another service type was busy."""
    two = fleet(2, consistency="cached", lease=600.0)
    two.all(REGISTER)
    two[0].run("await handle.arecord_failure()")
    two.all(CHATTER)
    two.all("await registry.refresh()")
    try:
        shared.client.flushdb()
        wait_until(lambda: shared.state() == "open")
    finally:
        two.all("chatter.cancel(); await asyncio.sleep(0)")
