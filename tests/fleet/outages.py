"""What the processes of tests of outages do, and how a test waits for a state of Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.fleet.pool import Team

STORE_TIMEOUT: Final = 0.05

REGISTER: Final = """
    config = CircuitBreakerConfig(recovery_timeout=600, failure_rate_threshold=None)
    registry.register_global("llm", Client(), name="shared", circuit_breaker_config=config)
    registry.register_global("llm", Client(), Priority.LOW, name="well")
    await registry.flush()
    assert await registry.get_service("h", "llm") is not None
"""

RESOLVE: Final = """
    # Once a millisecond, until STOP runs; ``waits`` counts those that waited in vain.
    from ciris_registry.errors import IndeterminateWriteError
    global resolving, going, waits
    going, waits = True, 0
    connectivity = registry._parts.connectivity
    if not hasattr(connectivity, "plain"):
        connectivity.plain = connectivity.within_timeout

    async def counted(work, limit=None):
        global waits
        try:
            return await connectivity.plain(work, limit)
        except IndeterminateWriteError as error:
            waits += "no answer within" in str(error)
            raise

    connectivity.within_timeout = counted

    async def resolve():
        took, none = [], 0
        while going:
            began = time.perf_counter()
            none += await registry.get_service("h", "llm") is None
            took.append(time.perf_counter() - began)
            await asyncio.sleep(0.001)
        return {"resolves": len(took), "worst": max(took), "none": none,
                "slow": sum(one > 0.8 * connectivity.timeout for one in took)}

    resolving = asyncio.ensure_future(resolve())
"""

STOP: Final = """
    global going
    going = False
    return {**await resolving, "waits": waits, "outages": registry.health().outages}
"""

HEALTH: Final = "return registry.health().redis"


def wait_for_away(team: Team) -> None:
    """Wait until Redis is suspended or lost for every process."""
    wait_until(lambda: "connected" not in team.all(HEALTH))


def wait_for(team: Team, state: str, timeout: float = 15) -> None:
    """Wait until the connectivity of every process has this state."""
    wait_until(lambda: team.all(HEALTH) == [state] * len(team), timeout)
