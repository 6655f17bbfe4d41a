"""One provider is dead and another one works: guarded calls fail over without an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.shared_state import SharedState

SIZE = 20
CALLS = 50
THRESHOLD = 5
TIMEOUT = 0.5

PREPARE = f"""
    global reached, Provider, serve

    class Provider:
        def __init__(self, state):
            self.state, self.reached = state, 0

        async def serve(self):
            self.reached += 1
            await asyncio.sleep(0.005)
            if self.state == "dead":
                raise ConnectionError("dead")
            if self.state == "hanging":
                await asyncio.sleep(60)
            return self.state

    serve = Provider.serve
    config = CircuitBreakerConfig(
        failure_threshold={THRESHOLD}, recovery_timeout=60, timeout_duration={TIMEOUT}
    )
    global bad, good
    bad, good = Provider(STATE), Provider("well")
    for name, provider, priority in (
        ("shared", bad, Priority.HIGH), ("good", good, Priority.NORMAL)
    ):
        registry.register_global(
            "llm", provider, priority, circuit_breaker_config=config, name=name
        )
    await registry.flush()
"""

CALL = f"""
    errors, slow = [], 0
    for _ in range({CALLS}):
        began = time.monotonic()
        try:
            assert await registry.call("h", "llm", serve) == "well"
        except Exception as error:
            errors.append(repr(error))
        slow += time.monotonic() - began > {TIMEOUT}
    return [errors, bad.reached, good.reached, slow]
"""


@pytest.mark.parametrize("mode", ["cached", "exact"])
def test_fifty_calls_of_twenty_processes_into_a_dead_provider(
    fleet: Callable[..., Team], shared: SharedState, mode: str
) -> None:
    twenty = fleet(SIZE, consistency=mode)
    twenty.all(PREPARE.replace("STATE", '"dead"'))
    found = twenty.all(CALL)
    errors = [error for one in found for error in one[0]]
    bad, good = sum(one[1] for one in found), sum(one[2] for one in found)
    print(  # noqa: T201 # what was measured
        f"{mode}: {len(errors)} errors, {bad} calls reached the dead one, {good} the other"
    )
    assert not errors
    assert good == SIZE * CALLS
    # What is in flight is one call of each process, which goes on only when that is reported.
    assert THRESHOLD <= bad <= THRESHOLD + SIZE
    assert len(shared.events("breaker_opened")) == 1


@pytest.mark.parametrize("mode", ["cached", "exact"])
def test_a_hanging_provider_costs_a_timeout_once_per_threshold_and_not_once_per_call(
    fleet: Callable[..., Team], mode: str
) -> None:
    two = fleet(2, consistency=mode)
    two.all(PREPARE.replace("STATE", '"hanging"'))
    found = two.all(CALL)
    assert not [error for one in found for error in one[0]]
    bad, good, slow = (sum(column) for column in list(zip(*found, strict=True))[1:])
    assert good == 2 * CALLS
    assert bad == slow
    assert THRESHOLD <= bad <= THRESHOLD + 2
