"""A provider that refuses this program is held by it, at once, with its fault code."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import CircuitBreakerConfig, ServiceRegistry

if TYPE_CHECKING:
    from collections.abc import Callable

    New = Callable[..., ServiceRegistry]

SHORT = CircuitBreakerConfig(recovery_timeout=0.1, max_recovery_timeout=10)


class AnswerError(Exception):
    """An HTTP error with a body."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(f"HTTP {status}")
        self.status_code, self.body = status, body


class Provider:
    """A provider that answers, or refuses with an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked = 0

    async def ask(self) -> str:
        self.asked += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return "yes"


REFUSALS = [
    (401, {"error": {"code": "invalid_api_key", "type": "invalid_request_error"}}, "invalid_key"),
    (403, {"error": {"type": "permission_error", "message": "account deactivated"}}, ""),
    (404, {"error": {"code": "model_not_found"}}, "no_such_model"),
]


def two(registry: ServiceRegistry, first: Provider, **config: Any) -> None:
    registry.register_global("llm", first, name="first", **config)
    registry.register_global("llm", Provider(), name="second")


@pytest.mark.parametrize(("status", "body", "code"), REFUSALS)
async def test_a_refused_call_goes_on_and_the_provider_is_tried_once(
    registry: ServiceRegistry, status: int, body: object, code: str
) -> None:
    revoked = Provider(AnswerError(status, body))
    two(registry, revoked)

    for _ in range(10):
        assert await registry.call("h", "llm", Provider.ask) == "yes"

    assert revoked.asked == 1
    reason = {one.name: one.reason for one in await registry.explain("h", "llm")}["first"]
    assert reason.startswith("held: ")
    assert code in reason
    assert (await registry.breaker("llm", "first").aget_stats())["total_failures"] == 0


async def test_other_processes_are_not_concerned_by_one_wrong_key(new_registry: New) -> None:
    mine, theirs = new_registry(), new_registry()
    two(mine, Provider(AnswerError(401, {})))
    well = Provider()
    two(theirs, well)

    await mine.call("h", "llm", Provider.ask)
    await mine.flush()
    for _ in range(5):
        await theirs.call("h", "llm", Provider.ask)

    assert well.asked == 5


async def test_it_is_tried_again_by_one_call_after_waits_that_double(
    registry: ServiceRegistry,
) -> None:
    revoked = Provider(AnswerError(401, {}))
    two(registry, revoked, circuit_breaker_config=SHORT)
    known = registry._parts.breakers.of("llm", "first")

    waits = []
    for _ in range(3):
        await registry.call("h", "llm", Provider.ask)
        local = known.known.local
        assert local is not None
        waits.append(local.until - known.replica.now())
        await asyncio.sleep(waits[-1] / 1000 + 0.01)
    assert revoked.asked == 3
    assert 0 < waits[0] <= 100 < waits[1] <= 200 < waits[2] <= 400

    revoked.error = None
    for _ in range(3):
        await registry.call("h", "llm", Provider.ask)
    assert revoked.asked == 6
    assert known.known.local is None


async def test_calls_in_flight_prolong_no_hold(registry: ServiceRegistry) -> None:
    revoked = Provider(AnswerError(401, {}))
    two(registry, revoked)

    await asyncio.gather(*(registry.call("h", "llm", Provider.ask) for _ in range(10)))

    local = registry._parts.breakers.of("llm", "first").known.local
    assert local is not None
    assert local.refusals == 1


async def test_a_refused_probe_of_the_fleet_opens_the_breaker_again(
    registry: ServiceRegistry,
) -> None:
    config = CircuitBreakerConfig(failure_threshold=1, recovery_timeout=0.05)
    revoked = Provider(AnswerError(401, {}))
    two(registry, revoked, circuit_breaker_config=config)
    await registry.breaker("llm", "first").arecord_failure()
    await asyncio.sleep(0.06)

    assert await registry.call("h", "llm", Provider.ask) == "yes"

    assert revoked.asked == 1
    assert registry._parts.breakers.of("llm", "first").known.consecutive_openings == 2
