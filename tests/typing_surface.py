"""What a type checker makes of the public names: checked by mypy and pyright, and never run."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal, Protocol, assert_type

from tenacity import AsyncRetrying, stop_after_attempt

from ciris_registry import (
    FAILURE,
    IGNORED,
    SUCCESS,
    BreakerHandle,
    CallTimeoutError,
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitBreakerError,
    CircuitState,
    Classification,
    DeadlineExceededError,
    Event,
    Explanation,
    HealthCheckProtocol,
    MockService,
    NoProviderError,
    Priority,
    Registration,
    RegistryError,
    RegistryHealth,
    RegistrySettings,
    SelectionStrategy,
    ServiceProvider,
    ServiceRegistry,
    StoreUnavailableError,
    __version__,
    cooldown,
    get_global_registry,
    refused,
    unfit,
)
from ciris_registry.errors import (
    AccessDeniedError,
    CallCancelledError,
    ClosedError,
    CommandRefusedError,
    CorruptStateError,
    EmbeddedServerError,
    ForkedError,
    IndeterminateWriteError,
    InvalidNameError,
    InvalidURLError,
    NotAwaitableError,
    PartitionConflictError,
    ProxyError,
    RegistrationError,
    SettingsError,
    StoreError,
)
from ciris_registry.explanation import Verdict
from ciris_registry.store.connection import ConnectivityState

LABELS: Mapping[str, Any] = MappingProxyType({"model": "big"})


class Kind(StrEnum):
    """Service types may be the members of a string enum."""

    LLM = "llm"


class Client:
    """A provider with a health check."""

    async def is_healthy(self) -> bool:
        """Always."""
        return True


def made(registration: Registration) -> Client:
    """A factory."""
    assert_type(registration.metadata, Mapping[str, Any])
    return Client()


async def made_later(_: Registration) -> Client:
    """A factory may be asynchronous."""
    return Client()


def settings() -> RegistrySettings:
    """Every knob."""
    config = CircuitBreakerConfig(
        failure_threshold=5,
        recovery_timeout=60.0,
        success_threshold=3,
        timeout_duration=30.0,
        half_open_max_calls=1,
        failure_rate_threshold=None,
        window=30.0,
        minimum_calls=20,
        backoff_multiplier=1.0,
        max_recovery_timeout=3600.0,
        min_failing_processes=1,
        first_item_timeout=None,
    )
    knobs = RegistrySettings(
        lease=15,
        heartbeat_interval=None,
        retention=3600.0,
        mass_expiry_share=0.5,
        store_timeout=0.05,
        write_timeout=5.0,
        max_staleness=1.0,
        success_report_interval=1.0,
        cooldown=5.0,
        quota_cooldown=3600.0,
        max_cooldown=86_400.0,
        max_retry_wait=60.0,
        breaker=config,
    )
    assert_type(knobs.lease, float)
    assert_type(knobs.heartbeat_interval, float | None)
    assert_type(knobs.heartbeat_every, float)
    assert_type(knobs.store_timeout, float)
    assert_type(knobs.max_store_timeout, float)
    assert_type(knobs.write_timeout, float)
    assert_type(knobs.max_staleness, float)
    assert_type(knobs.success_report_interval, float)
    assert_type(knobs.cooldown, float)
    assert_type(knobs.quota_cooldown, float)
    assert_type(knobs.max_cooldown, float)
    assert_type(knobs.max_retry_wait, float)
    assert_type(knobs.breaker, CircuitBreakerConfig)
    assert_type(config.failure_rate_threshold, float | None)
    return knobs


def policy(outcome: object) -> Classification | None:
    """Classifies an error or a value; None leaves it to the next policy."""
    if isinstance(outcome, KeyError):
        return IGNORED
    if isinstance(outcome, OSError):
        return FAILURE
    classification = cooldown(7.5, "closed for lunch")
    assert_type(
        classification.kind,
        Literal["success", "failure", "cooldown", "refused", "unfit", "ignored"],
    )
    assert_type(classification.scope, Literal["provider", "account"])
    assert_type(refused("invalid_key", "revoked", scope="account"), Classification)
    assert_type(unfit("context_too_long"), Classification)
    assert_type(classification.seconds, float)
    assert_type(classification.reason, str)
    return SUCCESS if outcome else classification


def version() -> str:
    """Which version it is."""
    return __version__


def making() -> None:
    """Every argument of a registry, and the one of the process."""
    everything = ServiceRegistry(
        ["llm", Kind.LLM],
        url="embedded://",
        namespace="default",
        naming="by_class",
        allow_mock_services=True,
        mock_services={"llm": Client()},
        settings=settings(),
        consistency="exact",
        password=lambda: "sesame",
    )
    assert_type(everything.process_id, str)
    assert_type(everything.namespace, str)
    assert_type(everything.settings, RegistrySettings)
    assert_type(everything.required_services, list[str])
    assert_type(everything.usable, bool)
    assert_type(get_global_registry(), ServiceRegistry)
    mode: Literal["cached", "exact"] = "cached"
    ServiceRegistry(consistency=mode, naming="private")
    # What is not to be accepted: without an error here, mypy complains of the comment.
    ServiceRegistry(consistency="stale")  # type: ignore[arg-type]
    ServiceRegistry(naming="by_chance")  # type: ignore[arg-type]


def registering(registry: ServiceRegistry) -> None:
    """Everything that is called plainly."""
    name = registry.register(
        "planner",
        Kind.LLM,
        Client(),
        Priority.HIGH,
        ["chat"],
        CircuitBreakerConfig(),
        {"model": "big"},
        0,
        SelectionStrategy.ROUND_ROBIN,
        name="openai",
        weak=True,
    )
    assert_type(name, str)
    assert_type(registry.register("*", "llm", factory=made), str)
    # Priorities by name or value, strategies by value, capabilities in any collection.
    registry.register("planner", "llm", Client(), "HIGH", {"chat"}, strategy="round_robin")
    registry.register("planner", "llm", Client(), 9, {"chat": 1}.keys(), strategy="WEIGHTED")
    registry.register_global("llm", Client(), "LOW", deque(["chat"]), strategy="least_loaded")
    registry.register_global("llm", Client(), 0, frozenset({"chat"}), metadata=LABELS)
    # What is not to be accepted, as in `making`.
    registry.register("planner", "llm", Client(), 1.5)  # type: ignore[arg-type]
    registry.register("planner", "llm", Client(), capabilities=[1])  # type: ignore[list-item]
    registry.register_global("llm", Client(), strategy=1)  # type: ignore[arg-type]
    assert_type(registry.register_global("llm", factory=made_later), str)
    registry.bind(Kind.LLM, Client())
    registry.bind("openai", factory=made)
    assert_type(registry.unregister("openai"), bool)
    registry.clear_all()
    registry.reset_circuit_breakers()
    assert_type(registry.get_provider_info("planner", Kind.LLM), dict[str, Any])
    assert_type(registry.get_services_by_type(Kind.LLM), list[Any])
    assert_type(registry.health(), RegistryHealth)
    assert_type(registry.breaker(Kind.LLM, "openai"), BreakerHandle)


async def using(registry: ServiceRegistry) -> None:
    """Everything that is awaited."""
    assert_type(await registry.start(), ServiceRegistry)
    async with registry as entered:
        assert_type(entered, ServiceRegistry)
    await registry.flush()
    await registry.refresh(Kind.LLM)
    # An instance is the program's own; what it is taken for, the program says.
    client: Client | None = await registry.get_service("planner", "llm", ["chat"], False)
    await registry.get_service("planner", "llm", frozenset({"chat"}))
    assert_type(client, Client | None)
    assert_type(await registry.get_service("planner", Kind.LLM, consistency="exact"), Any)
    assert_type(await registry.get_service_with_fallback("planner", "llm", ("chat",)), Any)
    assert_type(await registry.explain("planner", "llm"), list[Explanation])
    assert_type(await registry.wait_ready(1.0, [Kind.LLM, "memory"]), bool)
    assert_type(await registry.health_check_all(), dict[str, bool])
    assert_type(await registry.aget_provider_info(service_type="llm"), dict[str, Any])
    assert_type(await registry.aunregister("openai"), bool)
    await registry.aclear_all()
    await registry.areset_circuit_breakers()
    async for event in registry.events(Kind.LLM):
        read_event(event)
    await registry.aclose()


def read_event(event: Event) -> None:
    """An event."""
    assert_type(event.service_type, str)
    assert_type(event.id, str)
    assert_type(event.kind, str)
    assert_type(event.provider, str)
    assert_type(event.actor, str)
    assert_type(event.reason, str)
    assert_type(event.details, Mapping[str, str])
    assert_type(event.version, tuple[str, str] | None)
    assert_type(event.breaker, str)
    assert_type(event.order, str)
    assert_type(event.record, str)
    assert_type(event.settings, str)
    assert_type(event.at, int)


def explained(line: Explanation) -> None:
    """A line of an explanation; it is a tuple too."""
    assert_type(line.verdict, Verdict)
    name, scope, verdict, reason, retry_after = line
    assert_type(name, str)
    assert_type(scope, str)
    assert_type(verdict, Verdict)
    assert_type(reason, str)
    assert_type(retry_after, float | None)


def felt(health: RegistryHealth) -> None:
    """A registry's health."""
    assert_type(health.ok, bool)
    assert_type(health.redis, ConnectivityState)
    assert_type(health.since, float)
    assert_type(health.error, str)
    assert_type(health.outages, int)
    assert_type(health.heard, Mapping[str, float | None])
    assert_type(health.pending_writes, int)
    assert_type(health.pending_successes, int)
    assert_type(health.dropped_writes, int)
    assert_type(health.rejected_writes, Mapping[str, str])
    assert_type(health.round_trip, float)
    assert_type(health.failures, Mapping[str, str])
    assert_type(health.partitions, Mapping[int, ConnectivityState])
    assert_type(health.conflict, str)


async def breaking(breaker: BreakerHandle) -> None:
    """A shared breaker."""
    assert_type(breaker.name, str)
    assert_type(breaker.service_type, str)
    assert_type(breaker.config, CircuitBreakerConfig)
    assert_type(breaker.state, CircuitState)
    assert_type(breaker.failure_count, int)
    assert_type(breaker.success_count, int)
    assert_type(breaker.last_failure_time, float | None)
    assert_type(breaker.is_available(), bool)
    assert_type(breaker.get_stats(), dict[str, Any])
    breaker.check_and_raise()
    breaker.record_success()
    breaker.record_failure()
    breaker.cool_down(7, "HTTP 429")
    breaker.force_open("maintenance", duration=600)
    breaker.force_close("maintenance", 600.0)
    breaker.clear_override()
    breaker.reset("a reason")
    assert_type(await breaker.ais_available(), bool)
    assert_type(await breaker.aget_stats(), dict[str, Any])
    await breaker.acheck_and_raise()
    assert_type(await breaker.arecord_success(), CircuitState)
    assert_type(await breaker.arecord_failure(), CircuitState)
    await breaker.acool_down(7.0)
    await breaker.aforce_open()
    await breaker.aforce_close()
    await breaker.aclear_override()
    await breaker.areset()


class Answer:
    """What a model says."""


class Model(Protocol):
    """A client, as a program knows it."""

    async def complete(self, prompt: str, *, temperature: float = 0.0) -> Answer:
        """An answer."""
        ...

    def tokens(self, prompt: str) -> AsyncIterator[str]:
        """An answer, word by word."""
        ...


async def ask(model: Model, prompt: str) -> Answer:
    """What a guarded call can be made of."""
    return await model.complete(prompt)


async def tokens(model: Model, prompt: str) -> AsyncGenerator[str, None]:
    """What a guarded stream can be made of."""
    async for token in model.tokens(prompt):
        yield token


async def opened(model: Model) -> AsyncIterator[int]:
    """A stream may be opened first."""
    return (len(one) async for one in model.tokens("a prompt"))


def judge(result: object) -> Classification | None:
    """What a program says of outcomes."""
    match result:
        case TimeoutError():
            return FAILURE
        case ValueError():
            return IGNORED
        case ConnectionError():
            return cooldown(7.0, "the provider said so")
        case Answer():
            return SUCCESS
        case _:
            return None


async def calling(registry: ServiceRegistry) -> None:
    """Guarded calls know what they return."""
    assert_type(await registry.call("planner", "llm", ask, "a prompt"), Answer)
    assert_type(
        await registry.call(
            "planner",
            Kind.LLM,
            Client.is_healthy,
            required_capabilities=["chat"],
            fallback_to_global=False,
            failover=False,
            deadline=10.0,
            retry=3,
            classify=judge,
            consistency="exact",
        ),
        bool,
    )
    policy = AsyncRetrying(stop=stop_after_attempt(3))
    assert_type(await registry.call("planner", "llm", ask, "a prompt", retry=policy), Answer)
    async for token in registry.stream("planner", "llm", tokens, "a prompt", failover=False):
        assert_type(token, str)
    async for length in registry.stream("planner", "llm", opened):
        assert_type(length, int)
    async with registry.acquire("planner", "llm", ["chat"], classify=judge) as service:
        assert_type(service, Any)


async def proxying(registry: ServiceRegistry) -> None:
    """A proxy has the types of its protocol."""
    model = registry.proxy(Model, handler="planner", service_type="llm", deadline=10.0, retry=2)
    assert_type(await model.complete("a prompt", temperature=0.5), Answer)
    async for token in model.tokens("a prompt"):
        assert_type(token, str)
    needed: Model = model
    assert_type(await needed.complete("a prompt"), Answer)
    client = registry.proxy(Client, handler="planner", service_type=Kind.LLM)
    assert_type(await client.is_healthy(), bool)


def breaking_alone() -> None:
    """A breaker of one process."""
    breaker = CircuitBreaker("openai", CircuitBreakerConfig())
    assert_type(breaker.name, str)
    assert_type(breaker.config, CircuitBreakerConfig)
    assert_type(breaker.state, CircuitState)
    assert_type(breaker.failure_count, int)
    assert_type(breaker.success_count, int)
    assert_type(breaker.last_failure_time, float | None)
    assert_type(breaker.is_available(), bool)
    assert_type(breaker.get_stats(), dict[str, Any])
    breaker.check_and_raise()
    breaker.record_success()
    breaker.record_failure()
    breaker.cool_down(7.0)
    breaker.force_open("maintenance", 600.0)
    breaker.force_close()
    breaker.clear_override()
    breaker.reset()


def describing(registration: Registration) -> ServiceProvider:
    """A registration, and a provider as the in-process registry had it."""
    assert_type(registration.id, str)
    assert_type(registration.service_type, str)
    assert_type(registration.name, str)
    assert_type(registration.scope, str)
    assert_type(registration.priority, Priority)
    assert_type(registration.priority_group, int)
    assert_type(registration.strategy, SelectionStrategy)
    assert_type(registration.capabilities, tuple[str, ...])
    healthy: HealthCheckProtocol = Client()
    provider = ServiceProvider("openai", Priority.NORMAL, healthy, ["chat"], CircuitBreaker("one"))
    assert_type(provider.circuit_breaker, CircuitBreaker | BreakerHandle | None)
    assert_type(provider.strategy, SelectionStrategy)
    return provider


async def pretending(mock: MockService) -> None:
    """Whatever a mock is asked for can be awaited."""
    assert_type(mock.service_type, str)
    assert_type(await mock.complete("a prompt", temperature=0.5), None)


def failing(error: RegistryError) -> None:
    """Every error, and the facts that it keeps."""
    match error:
        case CircuitBreakerError():
            assert_type(error.name, str)
            assert_type(error.reason, str)
            assert_type(error.retry_after, float | None)
        case EmbeddedServerError():
            assert_type(error.reason, str)
            assert_type(error.log, str)
        case ForkedError():
            assert_type(error.pid, int)
        case InvalidNameError():
            assert_type(error.kind, str)
            assert_type(error.name, str)
            assert_type(error.character, str | None)
        case InvalidURLError():
            assert_type(error.reason, str)
        case SettingsError():
            assert_type(error.problems, tuple[str, ...])
        case AccessDeniedError() | IndeterminateWriteError():
            away: StoreUnavailableError = error
            assert_type(away.url, str)
        case StoreUnavailableError() | CommandRefusedError() | CorruptStateError():
            store_error: StoreError = error
            assert_type(store_error.url, str)
            assert_type(store_error.problem, str)
        case ClosedError() | RegistrationError() | _:
            assert_type(str(error), str)


def calling_in_vain(error: RegistryError) -> None:
    """The errors of guarded calls."""
    match error:
        case CallTimeoutError():
            timeout: TimeoutError = error
            assert_type(error.provider, str)
            assert_type(error.seconds, float)
            raise timeout
        case DeadlineExceededError():
            assert_type(error.seconds, float)
        case NoProviderError():
            assert_type(error.handler, str)
            assert_type(error.service_type, str)
            assert_type(error.reasons, tuple[Explanation, ...])
            assert_type(error.retry_after, float | None)
        case CallCancelledError():
            assert_type(error.provider, str)
        case PartitionConflictError():
            assert_type(error.namespace, str)
            assert_type(error.named, int)
            assert_type(error.recorded, int)
        case NotAwaitableError() | ProxyError() | _:
            assert_type(str(error), str)
