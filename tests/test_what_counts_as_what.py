"""What the outcome of a guarded call means: the table of outcomes, and the ways to call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ciris_registry import (
    CircuitBreakerConfig,
    DeadlineExceededError,
    NoProviderError,
    RegistrySettings,
    ServiceRegistry,
)
from tests.documentation import block_after, run_with_package
from tests.unit.circuit_breaker.outcomes.http_error import HttpError, code

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SETTINGS = RegistrySettings(breaker=CircuitBreakerConfig(timeout_duration=0.3))
HOUR = 3600.0
PAGE = "docs/how-to/call.md"


class Client:
    """Answers with its name, or raises."""

    def __init__(self, name: str, error: BaseException | None = None) -> None:
        self.name = name
        self.error = error
        self.asked = 0

    async def complete(self, _question: str) -> str:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.name

    async def words(self, _question: str) -> AsyncIterator[str]:
        yield self.name
        yield "again"

    async def hang(self) -> str:
        if self.name == "first":
            await asyncio.sleep(HOUR)
        return self.name


@pytest.fixture
async def registry() -> AsyncIterator[ServiceRegistry]:
    async with ServiceRegistry(settings=SETTINGS) as registry:
        yield registry


def two(registry: ServiceRegistry, error: BaseException | None = None) -> Client:
    """Register two clients, of which the first one raises this."""
    first = Client("first", error)
    registry.register_global("llm", first, name="first")
    registry.register_global("llm", Client("second"), name="second")
    return first


async def failures(registry: ServiceRegistry) -> int:
    """How many failures of the first one were counted."""
    return int((await registry.breaker("llm", "first").aget_stats())["total_failures"])


async def rest(registry: ServiceRegistry) -> float:
    """For how many seconds the first one is left alone."""
    lines = {one.name: one for one in await registry.explain("planner", "llm")}
    return lines["first"].retry_after or 0.0


async def test_a_value_is_a_success(registry: ServiceRegistry) -> None:
    two(registry)
    assert await registry.call("planner", "llm", Client.complete, "Hello?") == "first"
    stats = await registry.breaker("llm", "first").aget_stats()
    assert (stats["total_successes"], stats["total_failures"]) == (1, 0)


@pytest.mark.parametrize(
    "error", [ValueError(), OSError("down"), *map(HttpError, (408, 500, 502, 503))]
)
async def test_an_exception_is_a_failure_and_the_next_provider_is_called(
    registry: ServiceRegistry, error: Exception
) -> None:
    two(registry, error)
    assert await registry.call("planner", "llm", Client.complete, "Hello?") == "second"
    assert await failures(registry) == 1


async def test_a_timeout_is_a_failure_and_the_next_provider_is_called(
    registry: ServiceRegistry,
) -> None:
    two(registry)
    assert await registry.call("planner", "llm", Client.hang) == "second"
    assert await failures(registry) == 1


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (HttpError(429, retry_after="70"), 70.0),
        (HttpError(429), SETTINGS.cooldown),
        (HttpError(503, retry_after="70"), 70.0),
        (HttpError(529, retry_after="70"), 70.0),
        (HttpError(403, code("rateLimitExceeded"), retry_after="70"), 70.0),
        (HttpError(429, code("insufficient_quota")), SETTINGS.quota_cooldown),
        (ExceptionGroup("two", [HttpError(400), HttpError(429, retry_after="70")]), 70.0),
    ],
)
async def test_a_rate_limit_is_a_cooldown_and_the_next_provider_is_called(
    registry: ServiceRegistry, error: Exception, seconds: float
) -> None:
    first = two(registry, error)
    for _ in range(2):
        assert await registry.call("planner", "llm", Client.complete, "Hello?") == "second"
    assert first.asked == 1
    assert seconds - 2 < await rest(registry) <= seconds
    assert await failures(registry) == 0


@pytest.mark.parametrize("status", [400, 404, 409, 422])
async def test_an_invalid_request_is_no_failure_of_the_provider(
    registry: ServiceRegistry, status: int
) -> None:
    two(registry, HttpError(status))
    with pytest.raises(HttpError):
        await registry.call("planner", "llm", Client.complete, "Hello?")
    assert (await failures(registry), await rest(registry)) == (0, 0.0)


@pytest.mark.parametrize(
    ("error", "held"),
    [
        (HttpError(401), True),
        (HttpError(402), True),
        (HttpError(404, code("model_not_found")), True),
        (HttpError(403), False),
        (HttpError(400, code("context_length_exceeded")), False),
    ],
)
async def test_after_a_refusal_or_an_unfit_request_the_next_provider_is_called(
    registry: ServiceRegistry, error: HttpError, held: bool
) -> None:
    two(registry, error)
    assert await registry.call("planner", "llm", Client.complete, "Hello?") == "second"
    assert await failures(registry) == 0
    assert (await rest(registry) > 0) is held


async def test_a_cancellation_a_deadline_or_a_left_stream_is_no_outcome(
    registry: ServiceRegistry,
) -> None:
    two(registry)
    call = asyncio.ensure_future(registry.call("planner", "llm", Client.hang))
    await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    with pytest.raises(DeadlineExceededError):
        await registry.call("planner", "llm", Client.hang, deadline=0.05)
    stream = registry.stream("planner", "llm", Client.words, "Hello?")
    assert await anext(stream) == "first"
    await stream.aclose()
    assert (await failures(registry), await rest(registry)) == (0, 0.0)


async def test_the_four_ways_of_calling_run_as_the_page_has_them(
    registry: ServiceRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.register_global("llm", Client("local"), name="local")
    known = await run_with_package(
        block_after(PAGE, "There are four ways"), registry=registry, Client=Client
    )
    assert known["answer"] == "local"
    assert capsys.readouterr().out == "local\nagain\n"
    assert (await registry.breaker("llm", "local").aget_stats())["total_successes"] == 4


POLICY = block_after(PAGE, "## Decide what counts as a failure")


async def test_a_policy_classifies_values_too(registry: ServiceRegistry) -> None:
    registry.register_global("llm", Client(""), name="first")
    registry.register_global("llm", Client("second"), name="second")
    known = await run_with_package(POLICY, registry=registry, Client=Client)
    assert known["answer"] == "second"
    assert await failures(registry) == 1


async def test_without_a_provider_the_error_says_why_and_until_when(
    registry: ServiceRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    two(registry)
    for name, seconds in (("first", 60.0), ("second", 40.0)):
        await registry.breaker("llm", name).acool_down(seconds)
    await run_with_package(POLICY.replace("retry=3", "retry=1"), registry=registry, Client=Client)
    assert 38 < float(capsys.readouterr().out) <= 40
    with pytest.raises(NoProviderError, match=r"first \(cooling_down, again in .*; second \("):
        await registry.call("planner", "llm", Client.complete, "Hello?")


async def test_the_last_error_names_the_providers_that_failed(
    registry: ServiceRegistry,
) -> None:
    for name in ("first", "second"):
        registry.register_global("llm", Client(name, OSError(name)), name=name)
    with pytest.raises(OSError, match="second") as raised:
        await registry.call("planner", "llm", Client.complete, "Hello?")
    assert raised.value.__notes__ == [
        "providers that failed: first (OSError('first')), second (OSError('second'))"
    ]


async def test_with_retry_all_providers_are_called_again(registry: ServiceRegistry) -> None:
    alone = Client("first", OSError("down"))
    registry.register_global("llm", alone, name="first")
    with pytest.raises(OSError, match="down"):
        await registry.call("planner", "llm", Client.complete, "Hello?", retry=3)
    assert alone.asked == 3


async def test_without_failover_only_one_provider_is_called(registry: ServiceRegistry) -> None:
    first = two(registry, OSError("down"))
    with pytest.raises(OSError, match="down"):
        await registry.call("planner", "llm", Client.complete, "Hello?", failover=False)
    assert first.asked == 1


async def test_the_policy_of_a_call_precedes_those_of_registration_and_registry() -> None:
    asked: list[str] = []

    def policy(name: str) -> Callable[[object], None]:
        return lambda _outcome: asked.append(name)

    async with ServiceRegistry(classify=policy("registry")) as registry:
        registry.register_global("llm", Client("a"), name="a", classify=policy("registration"))
        await registry.call("planner", "llm", Client.complete, "Hello?", classify=policy("call"))
    assert asked == ["call", "registration", "registry"]
