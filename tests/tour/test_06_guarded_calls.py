"""How a program calls a service: the outcome of the real call decides, and a failure is made good.

``acquire`` for a block, ``call`` for a function, ``stream`` for items, ``proxy`` in place of a
client. None of them leaves anything to be reported by hand.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from typing import TYPE_CHECKING, Any

import pytest
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_none

from ciris_registry import (
    FAILURE,
    IGNORED,
    CallTimeoutError,
    CircuitBreakerConfig,
    CircuitState,
    Classification,
    DeadlineExceededError,
    NoProviderError,
    ServiceRegistry,
    cooldown,
)
from ciris_registry.errors import NotAwaitableError, RegistrationError
from tests.tour.models import Model, Sad, counts, source

if TYPE_CHECKING:
    from collections.abc import Callable

    New = Callable[..., ServiceRegistry]

ONCE = CircuitBreakerConfig(failure_threshold=1, recovery_timeout=0.1, success_threshold=1)
SLOW = CircuitBreakerConfig(failure_threshold=100, timeout_duration=0.05)


class Limited(Exception):  # noqa: N818 # as above
    """An error as HTTP clients raise it."""

    def __init__(self, status: int, **headers: str) -> None:
        super().__init__(f"HTTP {status}")
        self.status_code = status
        self.headers = {name.replace("_", "-"): text for name, text in headers.items()}


@pytest.fixture
def registry(new_registry: New) -> ServiceRegistry:
    """A registry of the default mode."""
    return new_registry(consistency="cached")


class TestABlock:
    async def test_the_end_of_the_block_is_the_outcome(self, registry: ServiceRegistry) -> None:
        source(registry, Model("a"))
        async with registry.acquire("planner", "llm") as model:
            assert model.name == "a"
        with pytest.raises(Sad):
            async with registry.acquire("planner", "llm"):
                raise Sad
        assert await counts(registry, "a") == (1, 1)

    async def test_without_a_provider_the_error_says_why_and_until_when(
        self, registry: ServiceRegistry
    ) -> None:
        source(registry, Model("a"), Model("b"), Model("c"), capabilities=["chat"])
        await registry.breaker("llm", "a").aforce_open("maintenance", duration=60)
        await registry.breaker("llm", "b").acool_down(7.0)
        with pytest.raises(NoProviderError) as raised:
            async with registry.acquire("planner", "llm", ["chat", "vision"]):
                pass
        assert {one.name: one.reason for one in raised.value.reasons}.keys() == {"a", "b", "c"}
        assert "c (lacks vision)" in str(raised.value)
        registry.unregister("c")
        with pytest.raises(NoProviderError) as raised:
            async with registry.acquire("planner", "llm"):
                pass
        assert {one.name: one.reason for one in raised.value.reasons} == {
            "a": "forced_open",
            "b": "cooling_down",
        }
        assert raised.value.retry_after == pytest.approx(7.0, abs=0.5)
        assert raised.value.handler == "planner"
        assert raised.value.service_type == "llm"

    async def test_nothing_is_registered(self, registry: ServiceRegistry) -> None:
        with pytest.raises(NoProviderError, match="none is registered") as raised:
            async with registry.acquire("planner", "llm"):
                pass
        assert raised.value.retry_after is None

    async def test_the_service_type_is_registered_for_other_handlers_only(
        self, registry: ServiceRegistry
    ) -> None:
        registry.register("writer", "llm", Model("a"), name="a")
        registry.register("judge", "llm", Model("b"), name="b")
        with pytest.raises(NoProviderError, match="for it, only for judge, writer") as raised:
            async with registry.acquire("planner", "llm"):
                pass
        assert raised.value.registered_for == ("judge", "writer")

    async def test_a_block_can_be_entered_once(self, registry: ServiceRegistry) -> None:
        source(registry, Model("a"))
        block = registry.acquire("planner", "llm")
        async with block:
            pass
        with pytest.raises(RuntimeError, match="entered before"):
            await block.__aenter__()


class TestACall:
    async def test_a_call_fails_over_and_never_calls_a_provider_twice(
        self, registry: ServiceRegistry
    ) -> None:
        a, b, c = Model("a", Sad(), Sad()), Model("b", Sad(), Sad()), Model("c")
        source(registry, a, b, c)
        assert await registry.call("planner", "llm", Model.complete, "hello") == "c hello"
        assert (a.asked, b.asked, c.asked) == (1, 1, 1)
        assert await counts(registry, "a") == (0, 1)
        assert await counts(registry, "c") == (1, 0)

    async def test_the_last_failure_is_raised_with_the_called_providers(
        self, registry: ServiceRegistry
    ) -> None:
        last = ConnectionError("b is away")
        source(registry, Model("a", Sad()), Model("b", last))
        await registry.breaker("llm", "a").aforce_open("", 60)
        source(registry, Model("z", Sad()))
        with pytest.raises(Sad) as raised:
            await registry.call("planner", "llm", Model.complete)
        notes = getattr(raised.value, "__notes__", [])
        assert len(notes) == 1
        assert notes[0].startswith(
            "providers that failed: b (ConnectionError('b is away')), z (Sad())"
        )
        assert "a (forced_open, again in" in notes[0]

    async def test_without_failover_a_call_is_made_once(self, registry: ServiceRegistry) -> None:
        a, b = Model("a", Sad()), Model("b")
        source(registry, a, b)
        with pytest.raises(Sad):
            await registry.call("planner", "llm", Model.complete, failover=False)
        assert b.asked == 0

    async def test_an_error_of_the_caller_does_not_fail_over(
        self, registry: ServiceRegistry
    ) -> None:
        a, b = Model("a", Limited(400)), Model("b")
        source(registry, a, b)
        with pytest.raises(Limited):
            await registry.call("planner", "llm", Model.complete)
        assert b.asked == 0
        assert await counts(registry, "a") == (0, 0)

    async def test_a_hanging_provider_times_out(self, registry: ServiceRegistry) -> None:
        async def hang(model: Model) -> str:
            if model.name == "a":
                await asyncio.sleep(60)
            return model.name

        source(registry, Model("a"), circuit_breaker_config=SLOW)
        with pytest.raises(CallTimeoutError, match=r"a did not answer within 0\.05 s") as raised:
            await registry.call("planner", "llm", hang)
        assert raised.value.provider == "a"
        assert isinstance(raised.value, TimeoutError)
        source(registry, Model("b"))
        assert await registry.call("planner", "llm", hang) == "b"
        assert await counts(registry, "a") == (0, 2)

    async def test_the_callers_deadline_is_no_providers_failure(
        self, registry: ServiceRegistry
    ) -> None:
        async def hang(_: Model) -> None:
            await asyncio.sleep(60)

        source(registry, Model("a"), Model("b"))
        with pytest.raises(DeadlineExceededError, match=r"deadline of 0\.05 s"):
            await registry.call("planner", "llm", hang, deadline=0.05)
        with pytest.raises(TimeoutError) as raised:
            async with asyncio.timeout(0.05):
                await registry.call("planner", "llm", hang)
        assert type(raised.value) is TimeoutError
        assert await counts(registry, "a") == await counts(registry, "b") == (0, 0)

    async def test_a_call_runs_in_the_callers_task_and_context(
        self, registry: ServiceRegistry
    ) -> None:
        request: contextvars.ContextVar[str] = contextvars.ContextVar("request")
        seen: list[tuple[str, object]] = []

        async def look(model: Model) -> None:
            seen.append((request.get(), asyncio.current_task()))
            request.set(f"{request.get()}, {model.name}")
            if model.name == "a":
                await asyncio.sleep(60)
            if model.name == "b":
                raise Sad

        source(registry, Model("a"), Model("b"), Model("c"), circuit_breaker_config=SLOW)
        request.set("request 7")
        await registry.call("planner", "llm", look)
        task = asyncio.current_task()
        assert seen == [
            ("request 7", task),
            ("request 7, a", task),
            ("request 7, a, b", task),
        ]
        assert request.get() == "request 7, a, b, c"

    async def test_a_programming_error_opens_no_breaker(self, registry: ServiceRegistry) -> None:
        source(registry, Model("a"), circuit_breaker_config=ONCE)
        wrong: list[tuple[Callable[..., Any], type[Exception], str]] = [
            (lambda model: model.name, NotAwaitableError, "asyncio.to_thread"),
            (lambda model: model.tokens(3), NotAwaitableError, "registry.stream"),
            (lambda model: model.complet(), AttributeError, "complet"),
            (lambda: None, TypeError, "positional"),
        ]
        for fn, kind, message in wrong:
            with pytest.raises(kind, match=message):
                await registry.call("planner", "llm", fn)
        assert await counts(registry, "a") == (0, 0)
        assert await registry.call("planner", "llm", Model.complete) == "a"

    async def test_a_nested_call_has_its_own_outcome(self, registry: ServiceRegistry) -> None:
        async def remember(_: Model) -> None:
            await registry.call("planner", "memory", Model.complete)

        source(registry, Model("a"), Model("b"))
        with pytest.raises(NoProviderError, match="of memory"):
            await registry.call("planner", "llm", remember)

        async def forget(_: Model) -> None:
            await asyncio.sleep(60)

        async def remember_slowly(_: Model) -> None:
            await registry.call("planner", "memory", forget)

        registry.register_global("memory", Model("m"), name="m", circuit_breaker_config=SLOW)
        with pytest.raises(CallTimeoutError, match="m did not answer"):
            await registry.call("planner", "llm", remember_slowly)
        assert await counts(registry, "a") == (0, 0)

    @pytest.mark.parametrize(
        "wrong",
        [{"deadline": 0}, {"deadline": "1"}, {"retry": 0}, {"retry": True}, {"consistency": "no"}],
    )
    async def test_bad_arguments(self, registry: ServiceRegistry, wrong: dict[str, Any]) -> None:
        source(registry, Model("a"))
        with pytest.raises(RegistrationError, match=next(iter(wrong))):
            await registry.call("planner", "llm", Model.complete, **wrong)
        with pytest.raises(RegistrationError, match=next(iter(wrong))):
            registry.proxy(Model, handler="planner", service_type="llm", **wrong)


class TestACallOverAgain:
    async def test_retry_limits_the_number_of_rounds(self, registry: ServiceRegistry) -> None:
        a = Model("a", *(Sad() for _ in range(9)))
        source(registry, a)
        quick = AsyncRetrying(stop=stop_after_attempt(3), wait=wait_none())
        with pytest.raises(Sad):
            await registry.call("planner", "llm", Model.complete, retry=quick)
        assert a.asked == 3
        a.failures = [Sad()]
        assert await registry.call("planner", "llm", Model.complete, retry=2) == "a"

    async def test_a_retry_waits_until_a_provider_may_serve(
        self, registry: ServiceRegistry
    ) -> None:
        a = Model("a", Sad())
        source(registry, a, circuit_breaker_config=ONCE)
        quick = AsyncRetrying(stop=stop_after_attempt(2), wait=wait_none())
        began = time.monotonic()
        assert await registry.call("planner", "llm", Model.complete, retry=quick) == "a"
        assert time.monotonic() - began > ONCE.recovery_timeout * 0.9
        assert a.asked == 2

    async def test_a_retry_does_not_wait_beyond_the_deadline(
        self, registry: ServiceRegistry
    ) -> None:
        source(registry, Model("a", Limited(429, Retry_After="600")))
        began = time.monotonic()
        with pytest.raises(Limited):
            await registry.call("planner", "llm", Model.complete, retry=9, deadline=30)
        assert time.monotonic() - began < 10

    async def test_an_ignored_error_is_not_retried(self, registry: ServiceRegistry) -> None:
        a = Model("a", Limited(404))
        source(registry, a)
        with pytest.raises(Limited):
            await registry.call("planner", "llm", Model.complete, retry=5)
        a.failures = [Sad()]
        with pytest.raises(Sad):  # it was sent, and must not be sent twice
            await registry.call("planner", "llm", Model.complete, retry=5, failover=False)
        assert a.asked == 2

    async def test_a_tenacity_policy_may_choose_the_failures(
        self, registry: ServiceRegistry
    ) -> None:
        a = Model("a", Sad())
        source(registry, a)
        only = AsyncRetrying(
            stop=stop_after_attempt(5), retry=retry_if_exception_type(ConnectionError)
        )
        with pytest.raises(Sad):
            await registry.call("planner", "llm", Model.complete, retry=only)
        assert a.asked == 1


class TestWhatCountsAsWhat:
    async def test_a_provider_that_limits_its_callers_cools_down(
        self, registry: ServiceRegistry
    ) -> None:
        a, b = Model("a", Limited(429, Retry_After="7")), Model("b")
        source(registry, a, b)
        assert await registry.call("planner", "llm", Model.complete) == "b"
        assert await registry.call("planner", "llm", Model.complete) == "b"
        assert a.asked == 1
        assert await counts(registry, "a") == (0, 0)
        reasons = {one.name: one for one in await registry.explain("planner", "llm")}
        assert reasons["a"].reason == "cooling_down"
        assert reasons["a"].retry_after == pytest.approx(7, abs=0.5)

    async def test_policies_apply_in_the_order_call_registration_registry(
        self, new_registry: New
    ) -> None:
        asked: list[str] = []

        def policy(
            who: str, answer: Classification | None
        ) -> Callable[[object], Classification | None]:
            def judge(_: object) -> Classification | None:
                asked.append(who)
                return answer

            return judge

        registry = new_registry(classify=policy("registry", FAILURE))
        source(registry, Model("a", Sad(), Sad()), classify=policy("registration", None))
        with pytest.raises(Sad):
            await registry.call("h", "llm", Model.complete, classify=policy("call", None))
        assert asked == ["call", "registration", "registry"]
        asked.clear()
        with pytest.raises(Sad):
            await registry.call("h", "llm", Model.complete, classify=policy("call", IGNORED))
        assert asked == ["call"]
        assert await counts(registry, "a") == (0, 1)

    async def test_a_returned_value_may_be_a_failure(self, registry: ServiceRegistry) -> None:
        def judge(result: object) -> Classification | None:
            return FAILURE if result == "a" else None

        source(registry, Model("a"), Model("b"))
        assert await registry.call("h", "llm", Model.complete, classify=judge) == "b"
        await registry.breaker("llm", "b").aforce_open("", 60)
        # No other provider is left: the caller gets the last value.
        assert await registry.call("h", "llm", Model.complete, classify=judge) == "a"
        assert await counts(registry, "a") == (0, 2)

    async def test_an_exception_may_be_a_success(self, registry: ServiceRegistry) -> None:
        source(registry, Model("a", Sad()), Model("b"))
        from ciris_registry import SUCCESS

        with pytest.raises(Sad):
            await registry.call("h", "llm", Model.complete, classify=lambda _: SUCCESS)
        assert await counts(registry, "a") == (1, 0)

    @pytest.mark.parametrize("always_use_last_provider", [True, False])
    async def test_the_only_provider_may_be_called_during_its_cooldown(
        self, new_registry: New, always_use_last_provider: bool
    ) -> None:
        registry = new_registry(
            always_use_last_provider=always_use_last_provider, consistency="cached"
        )
        source(registry, Model("a"))
        await registry.breaker("llm", "a").acool_down(60)
        if not always_use_last_provider:
            with pytest.raises(NoProviderError):
                await registry.call("h", "llm", Model.complete)
            return
        assert await registry.call("h", "llm", Model.complete) == "a"
        source(registry, Model("b"))
        assert await registry.call("h", "llm", Model.complete) == "b"
        registry.unregister("b")
        await registry.breaker("llm", "a").aforce_open(
            "", 60
        )  # an operator's word is another matter
        with pytest.raises(NoProviderError, match="forced_open"):
            await registry.call("h", "llm", Model.complete)

    async def test_a_policy_may_begin_a_cooldown(self, registry: ServiceRegistry) -> None:
        source(registry, Model("a", Sad()), classify=lambda _: cooldown(60, "its own words"))
        with pytest.raises(Sad):
            await registry.call("h", "llm", Model.complete)
        with pytest.raises(NoProviderError, match="cooling_down"):
            await registry.call("h", "llm", Model.complete)

    async def test_a_policy_must_be_callable(self, new_registry: New) -> None:
        wrong: Any = "failure"
        with pytest.raises(RegistrationError, match="classify is a str"):
            new_registry(classify=wrong)
        registry = new_registry()
        with pytest.raises(RegistrationError, match="classify is a str"):
            source(registry, Model("a"), classify=wrong)
        source(registry, Model("a"))
        with pytest.raises(RegistrationError, match="classify is a str"):
            await registry.call("h", "llm", Model.complete, classify=wrong)


class TestAProbe:
    async def test_the_call_and_not_the_health_check_closes_the_breaker(
        self, registry: ServiceRegistry
    ) -> None:
        """A healthy but unusable provider was closed again by each health check."""

        class Healthy(Model):
            async def is_healthy(self) -> bool:
                return True

        a = Healthy("a", Sad(), Sad())
        source(registry, a, circuit_breaker_config=ONCE)
        with pytest.raises(Sad):
            await registry.call("h", "llm", Model.complete)
        breaker = registry.breaker("llm", "a")
        assert breaker.state is not CircuitState.CLOSED
        await asyncio.sleep(0.12)
        with pytest.raises(Sad):
            await registry.call("h", "llm", Model.complete)
        assert (await breaker.aget_stats())["state"] != "closed"
        await asyncio.sleep(0.12)
        assert await registry.call("h", "llm", Model.complete) == "a"
        assert (await breaker.aget_stats())["state"] == "closed"

    async def test_an_unhealthy_provider_is_not_called(self, registry: ServiceRegistry) -> None:
        class Unhealthy(Model):
            async def is_healthy(self) -> bool:
                return False

        a = Unhealthy("a")
        source(registry, a, Model("b"))
        assert await registry.call("h", "llm", Model.complete) == "b"
        assert a.asked == 0
        registry.unregister("b")
        with pytest.raises(NoProviderError, match=r"a \(unhealthy\)"):
            await registry.call("h", "llm", Model.complete)

    async def test_other_providers_are_called_while_a_probe_runs(
        self, registry: ServiceRegistry
    ) -> None:
        a, b = Model("a", Sad()), Model("b")
        source(registry, a, b, circuit_breaker_config=ONCE)
        assert await registry.call("h", "llm", Model.complete) == "b"
        await asyncio.sleep(0.12)
        probing, served = asyncio.Event(), asyncio.Event()

        async def probe(model: Model) -> str:
            probing.set()
            await served.wait()
            return model.name

        task = asyncio.create_task(registry.call("h", "llm", probe))
        await probing.wait()
        assert await registry.call("h", "llm", Model.complete) == "b"
        served.set()
        assert await task == "a"
        assert await registry.call("h", "llm", Model.complete) == "a"
