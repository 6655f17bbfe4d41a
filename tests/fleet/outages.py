"""What tests of outages have their processes do, and how they wait for the end of one."""

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
    # As often as once a millisecond, until told to stop; and how often one waited in vain.
    from ciris_registry.errors import UncertainWriteError
    global resolving, going, waits
    going, waits = True, 0
    link = registry._parts.connectivity
    if not hasattr(link, "plain"):
        link.plain = link.promptly

    async def counted(work, limit=None):
        global waits
        try:
            return await link.plain(work, limit)
        except UncertainWriteError as error:
            waits += "no answer within" in str(error)
            raise

    link.promptly = counted

    async def resolve():
        took, none = [], 0
        while going:
            began = time.perf_counter()
            none += await registry.get_service("h", "llm") is None
            took.append(time.perf_counter() - began)
            await asyncio.sleep(0.001)
        return {"resolves": len(took), "worst": max(took), "none": none,
                "slow": sum(one > 0.8 * link.timeout for one in took)}

    resolving = asyncio.ensure_future(resolve())
"""

STOP: Final = """
    global going
    going = False
    return {**await resolving, "waits": waits, "outages": registry.health().outages}
"""

HEALTH: Final = "return registry.health().redis"


def wait_for_away(team: Team) -> None:
    """Wait until every process has noticed that Redis is away; to be sure of it takes longer."""
    wait_until(lambda: "up" not in team.all(HEALTH))


def wait_for(team: Team, state: str, timeout: float = 15) -> None:
    """Wait until every process has found Redis to be in this state."""
    wait_until(lambda: team.all(HEALTH) == [state] * len(team), timeout)
