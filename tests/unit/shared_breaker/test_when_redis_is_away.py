"""The table of what each operation does while Redis is suspended or lost, row by row.

Each row of ``WHEN_AWAY`` is an operation below; a row without one fails. The registry's connection
is cut at its root: nothing is asked again, so that the state stays as the test sets it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import pytest

from ciris_registry import CircuitBreakerConfig, RegistrySettings, ServiceRegistry
from ciris_registry.circuit_breaker import ReplyCode
from ciris_registry.errors import StoreUnavailableError
from ciris_registry.shared_breaker import WHEN_AWAY, WhenAway
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from ciris_registry import BreakerHandle
    from ciris_registry.partitions import Partition
    from ciris_registry.shared_breaker import SharedBreaker

SETTINGS: Final = RegistrySettings(store_timeout=0.05, write_timeout=0.05)
CONFIG: Final = CircuitBreakerConfig(
    failure_threshold=2, recovery_timeout=0.0, success_threshold=1, failure_rate_threshold=None
)


class Away:
    """One registry whose Redis is away, and one of its breakers."""

    def __init__(self, registry: ServiceRegistry) -> None:
        self.registry = registry
        self.parts: Partition = registry._parts
        self.handle: BreakerHandle = registry.breaker("llm", "one")
        self.breaker: SharedBreaker = self.parts.breakers.of("llm", "one")

    def open(self) -> None:
        """The replica has the breaker OPEN, and its recovery time is over."""
        self.breaker.apply_optimistically(
            lambda state, now: [state.record(now - 9, "failure") for _ in range(2)]
        )

    def trip_locally(self) -> None:
        """It is open in this process alone, and a trial is due."""
        for _ in range(2):
            self.breaker.count_locally("failure", "", None)

    async def admitted(self) -> ReplyCode:
        """What asking for admission with a permit gives."""
        admission = self.handle._admission
        return (await admission.admit(self.breaker, self.parts.permits.new())).code

    def is_counted_offline(self) -> bool:
        """Whether anything waits to be merged, and nothing to be written."""
        counts = self.breaker.offline()
        noted = counts.successes + counts.failures + counts.cools_until
        return bool(noted) and not self.parts.write_queue.pending


@pytest.fixture
async def away(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[str], Away]]:
    registry = ServiceRegistry(url="memory://", settings=SETTINGS)
    registry.register_global("llm", object(), name="one", circuit_breaker_config=CONFIG)
    await registry.get_service("h", "llm")
    await registry.refresh("llm")

    async def cut() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(registry._parts.session, "revive", cut)

    def take_away(state: str) -> Away:
        made = Away(registry)
        if state == "suspended":
            made.parts.connectivity.suspect("a test")
        else:
            made.parts.connectivity.mark_lost("a test")
        return made

    yield take_away
    registry._parts.connectivity.close("the test is over")
    await registry.aclose()


async def goes_by_the_replica(away: Away, run: Callable[[Away], Awaitable[Any]]) -> None:
    assert await run(away)
    assert not away.parts.write_queue.pending
    assert not away.is_counted_offline()


async def is_refused(away: Away, run: Callable[[Away], Awaitable[Any]]) -> None:
    assert await run(away) is ReplyCode.REFUSED


async def goes_by_its_own_breaker(away: Away, run: Callable[[Away], Awaitable[Any]]) -> None:
    assert await run(away) is ReplyCode.PERMIT
    assert not away.parts.write_queue.pending


async def is_counted_offline(away: Away, run: Callable[[Away], Awaitable[Any]]) -> None:
    await run(away)
    await async_wait_until(away.is_counted_offline)


async def is_queued(away: Away, run: Callable[[Away], Awaitable[Any]]) -> None:
    await run(away)
    assert away.parts.write_queue.pending


async def raises(away: Away, run: Callable[[Away], Awaitable[Any]]) -> None:
    with pytest.raises(StoreUnavailableError):
        await run(away)


CHECKS: Final = {
    WhenAway.REPLICA: goes_by_the_replica,
    WhenAway.REFUSED: is_refused,
    WhenAway.LOCAL: goes_by_its_own_breaker,
    WhenAway.OFFLINE: is_counted_offline,
    WhenAway.QUEUED: is_queued,
    WhenAway.RAISES: raises,
}


async def read(away: Away) -> bool:
    return away.handle.state == "closed" and away.handle.get_stats()["state"] == "closed"


async def read_anew(away: Away) -> bool:
    stats = await away.handle.aget_stats()
    return await away.handle.ais_available() and stats["state"] == "closed"


async def admit(away: Away) -> bool:
    return await away.admitted() is ReplyCode.ADMITTED


async def admit_a_probe(away: Away) -> ReplyCode:
    away.open()
    return await away.admitted()


async def admit_a_trial(away: Away) -> ReplyCode:
    away.trip_locally()
    await asyncio.sleep(0.01)  # its recovery time of a millisecond
    return await away.admitted()


async def release(away: Away) -> None:
    away.handle._admission.release(away.breaker, "a permit")


async def record(away: Away) -> None:
    away.handle.record_failure()


async def arecord(away: Away) -> None:
    await away.handle.arecord_failure()


async def report(away: Away) -> None:
    async def fail(_provider: object) -> None:
        raise ConnectionError("down")

    with pytest.raises(ConnectionError):
        await away.registry.call("h", "llm", fail)


async def cool_down(away: Away) -> None:
    away.handle.cool_down(60.0)


async def acool_down(away: Away) -> None:
    await away.handle.acool_down(60.0)


async def force(away: Away) -> None:
    away.handle.force_open()
    assert not away.handle.is_available(), "it takes effect here"


async def aforce(away: Away) -> None:
    await away.handle.aforce_open()


OPERATIONS: Final[dict[str, Callable[[Away], Awaitable[Any]]]] = {
    "read the state or the stats": read,
    "read them anew (ais_available, aget_stats)": read_anew,
    "admit a call of a closed breaker": admit,
    "admit a probe": admit_a_probe,
    "admit a trial of a local trip": admit_a_trial,
    "release a permit": release,
    "record an outcome": record,
    "record an outcome (arecord_…)": arecord,
    "report the outcome of an attempt": report,
    "cool down": cool_down,
    "cool down (acool_down)": acool_down,
    "force a state, clear it, reset": force,
    "force a state, clear it, reset (aforce_…, areset)": aforce,
}


def test_every_row_of_the_table_is_an_operation() -> None:
    assert OPERATIONS.keys() == WHEN_AWAY.keys()


@pytest.mark.parametrize("state", ["suspended", "lost"])
@pytest.mark.parametrize("operation", WHEN_AWAY)
async def test_each_operation_does_what_the_table_says(
    away: Callable[[str], Away], operation: str, state: str
) -> None:
    expected = getattr(WHEN_AWAY[operation], state)
    here = away(state)

    async with asyncio.timeout(2.0):
        await CHECKS[expected](here, OPERATIONS[operation])

    assert here.parts.connectivity.state == state, "nothing has connected since"
