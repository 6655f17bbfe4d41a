"""Programs that were written for the in-process CIRIS registry run by changing an import.

Each test makes the calls of one example of that system's documentation.
"""

from __future__ import annotations

import asyncio
import logging
from enum import Enum, StrEnum
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitBreakerError,
    CircuitState,
    HealthCheckProtocol,
    Priority,
    SelectionStrategy,
    ServiceProvider,
    ServiceRegistry,
    get_global_registry,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    New = Callable[..., ServiceRegistry]

logger = logging.getLogger(__name__)


class Adapter:
    """Stands for a Discord or command-line adapter."""


def test_the_enums_have_the_known_names_and_values() -> None:
    assert {one.name: one.value for one in Priority} == {
        "CRITICAL": 0,
        "HIGH": 1,
        "NORMAL": 2,
        "LOW": 3,
        "FALLBACK": 9,
    }
    assert [one.value for one in SelectionStrategy][:2] == ["fallback", "round_robin"]
    assert [one.value for one in CircuitState] == ["closed", "open", "half_open"]


def test_the_settings_have_the_known_order_and_defaults() -> None:
    config = CircuitBreakerConfig()
    assert (config.failure_threshold, config.recovery_timeout) == (5, 60.0)
    assert (config.success_threshold, config.timeout_duration) == (3, 30.0)
    assert CircuitBreakerConfig(3, 120.0, 5, 10.0) == CircuitBreakerConfig(
        failure_threshold=3, recovery_timeout=120.0, success_threshold=5, timeout_duration=10.0
    )


def test_a_service_provider_is_a_plain_record() -> None:
    provider = ServiceProvider(
        name="a",
        priority=Priority.NORMAL,
        instance=object(),
        capabilities=["chat"],
        circuit_breaker=CircuitBreaker("a"),
        metadata=None,
    )
    assert (provider.priority_group, provider.strategy) == (0, SelectionStrategy.FALLBACK)


async def test_basic_registration(registry: ServiceRegistry) -> None:
    discord, terminal = Adapter(), Adapter()
    first = registry.register(
        handler="SpeakHandler",
        service_type="communication",
        provider=discord,
        priority=Priority.HIGH,
        capabilities=["async_messaging", "rich_embeds", "file_upload"],
    )
    second = registry.register(
        handler="SpeakHandler",
        service_type="communication",
        provider=terminal,
        priority=Priority.NORMAL,
        capabilities=["text_output"],
    )
    assert first != second
    service = await registry.get_service(
        handler="SpeakHandler",
        service_type="communication",
        required_capabilities=["async_messaging"],
    )
    assert service is discord


async def test_own_breaker_settings_and_a_balanced_pool(registry: ServiceRegistry) -> None:
    registry.register(
        handler="ActionSelectionPDMA",
        service_type="llm",
        provider=Adapter(),
        priority=Priority.HIGH,
        capabilities=["structured_output", "function_calling"],
        circuit_breaker_config=CircuitBreakerConfig(
            failure_threshold=3,
            recovery_timeout=120.0,
            success_threshold=5,
            timeout_duration=10.0,
        ),
        metadata={"model": "gpt-4", "max_tokens": 4000},
    )
    pool = [Adapter() for _ in range(3)]
    for llm in pool:
        registry.register(
            handler="EthicalPDMA",
            service_type="llm",
            provider=llm,
            priority=Priority.NORMAL,
            priority_group=1,
            strategy=SelectionStrategy.ROUND_ROBIN,
            capabilities=["ethical_reasoning"],
        )
    got = [await registry.get_service("EthicalPDMA", "llm") for _ in range(6)]
    assert got == pool * 2


async def test_handler_specific_and_global_registration(registry: ServiceRegistry) -> None:
    own, spare = Adapter(), Adapter()
    registry.register("ActionSelectionPDMA", "llm", own, Priority.HIGH, ["structured_output"])
    registry.register_global("llm", spare, Priority.NORMAL, ["basic_completion"])
    assert await registry.get_service("ActionSelectionPDMA", "llm") is own
    assert await registry.get_service("Other", "llm", None, True) is spare
    assert await registry.get_service("Other", "llm", None, False) is None


async def test_monitoring(registry: ServiceRegistry) -> None:
    name = registry.register_global("communication", Adapter())
    for service_type in ("memory", "llm", "audit"):
        registry.register("Main", service_type, Adapter())
    assert await registry.wait_ready(
        timeout=30.0, service_types=["communication", "memory", "llm", "audit"]
    )
    assert await registry.wait_ready()
    info = registry.get_provider_info()
    assert list(info["handlers"]) == ["Main"]
    assert list(info["global_services"]) == ["communication"]
    assert {stats["state"] for stats in info["circuit_breaker_stats"].values()} == {"closed"}
    stats = info["circuit_breaker_stats"][name]
    assert {"name", "state", "failure_count", "success_count", "last_failure_time"} <= set(stats)
    assert await registry.health_check_all() == {}
    assert list(registry.get_provider_info(handler="Nobody")["handlers"]) == []
    assert set(registry.get_provider_info(service_type="llm")["handlers"]["Main"]) == {"llm"}


async def test_a_service_with_a_health_check_of_its_own(registry: ServiceRegistry) -> None:
    class CustomService(HealthCheckProtocol):
        async def is_healthy(self) -> bool:
            return await self.complete("ping") is not None

        async def complete(self, prompt: str) -> str:
            return prompt.upper()

    custom = CustomService()
    assert isinstance(custom, HealthCheckProtocol)
    name = registry.register(
        handler="TestHandler",
        service_type="llm",
        provider=custom,
        priority=Priority.NORMAL,
        capabilities=["custom_reasoning"],
    )
    service = await registry.get_service("TestHandler", "llm")
    assert await service.complete("hello") == "HELLO"
    assert await registry.health_check_all() == {f"TestHandler.llm.{name}": True}


async def test_a_runtime_that_fills_its_registry_and_starts(new_registry: New) -> None:
    class Runtime:
        def __init__(self) -> None:
            self.service_registry = new_registry(
                required_services=["communication", "memory", "audit", "llm"]
            )

        async def start(self) -> bool:
            for service_type in ("communication", "observer", "memory", "audit", "llm"):
                self.service_registry.register(
                    handler="*",
                    service_type=service_type,
                    provider=Adapter(),
                    priority=Priority.HIGH,
                    capabilities=["text"],
                )
            return await self.service_registry.wait_ready(timeout=30.0)

    class Handler:
        def __init__(self, dependencies: SimpleNamespace) -> None:
            self.service_registry = dependencies.service_registry

        async def communication(self) -> Any:
            return await self.service_registry.get_service(
                handler=type(self).__name__,
                service_type="communication",
                required_capabilities=["text"],
            )

    runtime = Runtime()
    assert await runtime.start()
    assert isinstance(await Handler(SimpleNamespace(**vars(runtime))).communication(), Adapter)


async def test_resetting_and_falling_back(new_registry: New) -> None:
    registry = new_registry(allow_mock_services=True)
    name = registry.register("h", "llm", Adapter())
    for _ in range(5):
        registry.breaker("llm", name).record_failure()
    service = await registry.get_service_with_fallback("h", "llm")
    assert await service.generate_response("hello") is None
    registry.reset_circuit_breakers()
    assert isinstance(await registry.get_service_with_fallback("h", "llm"), Adapter)


@pytest.mark.parametrize(
    "kind", [StrEnum("Kind", {"LLM": "llm"}), Enum("Kind", {"LLM": "llm"})], ids=["str", "plain"]
)
async def test_service_types_may_be_string_enums(registry: ServiceRegistry, kind: Any) -> None:
    adapter = Adapter()
    registry.register("h", kind.LLM, adapter)
    assert await registry.get_service("h", "llm") is adapter
    assert await registry.get_service("h", kind.LLM) is adapter


def test_an_in_process_breaker_opens_probes_and_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    breaker = CircuitBreaker("upstream", CircuitBreakerConfig(failure_threshold=2))
    assert breaker.is_available()
    breaker.check_and_raise()
    breaker.record_failure()
    breaker.record_failure()
    assert breaker.state.value == "open"
    with pytest.raises(CircuitBreakerError, match="'upstream' is open, service unavailable") as no:
        breaker.check_and_raise()
    assert no.value.retry_after == 60.0
    now += 60
    assert breaker.is_available()
    assert breaker.state == "half_open", "an admission would be a probe, as in that system"
    assert breaker.get_stats()["state"] == "half_open"
    assert breaker.get_stats()["generation"] == 1, "and reading it has changed nothing"
    for _ in range(3):
        breaker.check_and_raise()
        assert not breaker.is_available()
        breaker.record_success()
    assert breaker.get_stats()["state"] == "closed"
    assert breaker.get_stats()["failure_count"] == 0


def test_an_in_process_breaker_recovers_with_is_available_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    breaker = CircuitBreaker("upstream")
    for _ in range(5):
        assert breaker.is_available()
        breaker.record_failure()
    now += 61.0
    breaker.record_success()
    assert breaker.get_stats()["success_count"] == 0, "no admission was asked: a late success"
    assert breaker.is_available()
    for _ in range(3):
        breaker.record_success()
    assert breaker.state.value == "closed"


def test_an_in_process_breaker_obeys_an_override_and_keeps_its_settings() -> None:
    config = CircuitBreakerConfig(failure_threshold=1)
    breaker = CircuitBreaker("upstream", config)
    breaker.force_open("maintenance")
    assert not breaker.is_available()
    breaker.clear_override()
    assert breaker.is_available()
    breaker.force_close()
    breaker.record_failure()
    assert breaker.is_available()
    breaker.reset()
    assert breaker.config is config
    breaker.record_failure()
    assert breaker.state.value == "open"
    assert breaker.last_failure_time is not None


def test_the_global_registry_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CIRIS_REGISTRY_URL", raising=False)
    assert get_global_registry() is get_global_registry()
    assert isinstance(get_global_registry(), ServiceRegistry)


def test_one_registry_serves_several_event_loops_in_turn(url: str) -> None:
    registry, adapter = ServiceRegistry(url=url), Adapter()
    registry.register("h", "llm", adapter, name="a")

    async def use() -> None:
        assert await registry.get_service("h", "llm") is adapter
        await registry.breaker("llm", "a").arecord_failure()

    for _ in range(3):
        asyncio.run(use())
    assert registry.breaker("llm", "a").get_stats()["failure_count"] == 3
    asyncio.run(registry.aclose())
