"""Bad input raises one error that says what to do, and changes nothing else."""

from __future__ import annotations

import logging
import math
from collections import deque
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from xmlrpc.client import ServerProxy

import pytest
import redis

from ciris_registry import (
    CircuitBreaker,
    CircuitBreakerConfig,
    Priority,
    RegistrySettings,
    ServiceRegistry,
    StoreUnavailableError,
)
from ciris_registry.errors import (
    ClosedError,
    InvalidNameError,
    InvalidURLError,
    RegistrationError,
    SettingsError,
    StoreError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ciris_registry.membership.naming import Naming

    New = Callable[..., ServiceRegistry]


class Client:
    """A provider."""


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"handler": "a b"}, InvalidNameError, r"handler 'a b' contains ' '; use letters, digits and"),
    ({"handler": ""}, InvalidNameError, "has 0 characters; use 1 to 200"),
    ({"handler": None}, InvalidNameError, "is of type NoneType; use a string"),
    ({"handler": "a@b"}, InvalidNameError, "contains '@'"),
    ({"service_type": "l/m"}, InvalidNameError, "service type 'l/m' contains '/'"),
    ({"service_type": "lm{}"}, InvalidNameError, "contains '{'"),
    ({"service_type": 7}, InvalidNameError, "is of type int; use a string or a string enum"),
    ({"name": "ü"}, InvalidNameError, "provider name 'ü' contains 'ü'"),
    ({"name": "x" * 201}, InvalidNameError, "has 201 characters"),
    ({"priority": 5}, RegistrationError, "5 is not a Priority; use one of CRITICAL, HIGH, NOR"),
    ({"priority": "URGENT"}, RegistrationError, "'URGENT' is not a Priority"),
    ({"priority": ["HIGH"]}, RegistrationError, r"\['HIGH'\] is not a Priority"),
    ({"strategy": "random"}, RegistrationError, "use one of FALLBACK, ROUND_ROBIN"),
    ({"priority_group": 1.5}, RegistrationError, "priority_group is 1.5; use a whole number"),
    ({"capabilities": "chat"}, RegistrationError, "capabilities are 'chat'; use a list of str"),
    ({"capabilities": b"chat"}, RegistrationError, "use a list of strings"),
    ({"capabilities": [1]}, RegistrationError, "use a list of strings"),
    ({"metadata": {"a": object()}}, RegistrationError, "metadata cannot be written as JSON"),
    ({"metadata": {"a": math.nan}}, RegistrationError, "metadata cannot be written as JSON"),
    ({"metadata": {"a": "x" * 70_000}}, RegistrationError, r"the most is 65536 \(64 KiB\)"),
    ({"metadata": ["a"]}, RegistrationError, "metadata is a list; use a dict"),
    ({"provider": None}, RegistrationError, "give either a provider or a factory"),
    ({"factory": lambda _: None}, RegistrationError, "give either a provider or a factory"),
    ({"provider": None, "factory": 3}, RegistrationError, "the factory is a int; use a callable"),
    ({"provider": 3, "weak": True}, RegistrationError, "register it without weak=True"),
    ({"weight": 0}, RegistrationError, "weight is 0; use a whole number from 1 to 1000"),
    ({"weight": 1001}, RegistrationError, "weight is 1001; use a whole number"),
    ({"weight": True}, RegistrationError, "weight is True; use a whole number"),
    ({"weight": 1.5}, RegistrationError, "weight is 1.5; use a whole number"),
    ({"max_in_flight": 0}, RegistrationError, "max_in_flight is 0; use a whole number from 1 to"),
    ({"max_in_flight": 1_000_001}, RegistrationError, "from 1 to 1,000,000, or None for no limit"),
    ({"max_in_flight": "5"}, RegistrationError, "max_in_flight is '5'; use a whole number"),
    ({"circuit_breaker_config": {}}, RegistrationError, "is a dict; use a CircuitBreakerConfig"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD)
async def test_a_bad_registration_says_what_to_do_and_registers_nothing(
    registry: ServiceRegistry, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    good: dict[str, Any] = {"handler": "h", "service_type": "llm", "provider": Client()}
    registry.register(**good, name="good")
    with pytest.raises(error, match=message):
        registry.register(**{**good, **change})
    info = await registry.aget_provider_info()
    assert [one["name"] for one in info["handlers"]["h"]["llm"]] == ["good"]


class Evasive:
    """A provider that raises from every attribute."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)


@pytest.mark.parametrize("make", [lambda: ServerProxy("http://localhost:1"), Evasive])
@pytest.mark.parametrize("naming", ["private", "by_class"])
def test_a_provider_whose_attributes_are_unusable_is_named_after_its_class(
    make: Callable[[], object], naming: Naming
) -> None:
    provider = make()
    registry = ServiceRegistry(url="memory://", naming=naming)
    name = registry.register("h", "llm", provider)
    assert name.startswith(type(provider).__name__)


def test_a_priority_may_be_given_by_name_or_value() -> None:
    registry = ServiceRegistry(url="memory://")
    registry.register("h", "llm", Client(), priority="HIGH")
    registry.register("h", "llm", Client(), priority=9)
    listed = registry.get_provider_info()["handlers"]["h"]["llm"]
    assert [one["priority"] for one in listed] == [Priority.HIGH.name, Priority.FALLBACK.name]


def test_a_strategy_may_be_given_by_name_or_value() -> None:
    registry = ServiceRegistry(url="memory://")
    registry.register("h", "llm", Client(), strategy="ROUND_ROBIN")
    registry.register_global("llm", Client(), strategy="least_loaded")
    info = registry.get_provider_info()
    assert info["handlers"]["h"]["llm"][0]["strategy"] == "round_robin"
    assert info["global_services"]["llm"][0]["strategy"] == "least_loaded"


@pytest.mark.parametrize(
    "capabilities",
    [["a", "b"], ("a", "b"), {"b", "a"}, frozenset("ab"), {"a": 1, "b": 2}.keys(), deque("ab")],
)
def test_capabilities_may_be_any_collection_of_strings(capabilities: Collection[str]) -> None:
    registry = ServiceRegistry(url="memory://")
    registry.register("h", "llm", Client(), capabilities=capabilities)
    [listed] = registry.get_provider_info()["handlers"]["h"]["llm"]
    assert listed["capabilities"] == ["a", "b"]


def test_metadata_may_be_any_mapping() -> None:
    registry = ServiceRegistry(url="memory://")
    registry.register("h", "llm", Client(), metadata=MappingProxyType({"model": "big"}))
    [listed] = registry.get_provider_info()["handlers"]["h"]["llm"]
    assert listed["metadata"] == {"model": "big"}


@pytest.mark.parametrize(
    "values",
    [
        {"failure_threshold": 0},
        {"failure_threshold": 2.5},
        {"failure_threshold": True},
        {"recovery_timeout": -1.0},
        {"recovery_timeout": math.nan},
        {"recovery_timeout": math.inf},
        {"recovery_timeout": "60"},
        {"success_threshold": -3},
        {"timeout_duration": 0},
        {"half_open_max_calls": 0},
        {"failure_rate_threshold": 0.0},
        {"failure_rate_threshold": 1.1},
        {"window": 0},
        {"minimum_calls": 0},
        {"min_failing_processes": 0},
        {"backoff_multiplier": 0.5},
        {"max_recovery_timeout": -1},
    ],
)
def test_breaker_settings_out_of_bounds_are_named(values: dict[str, Any]) -> None:
    [name] = values
    with pytest.raises(SettingsError, match=rf"circuit breaker settings: {name} is .*; use "):
        CircuitBreakerConfig(**values)


def test_all_problems_of_breaker_settings_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as wrong:
        CircuitBreakerConfig(failure_threshold=0, window=-1, backoff_multiplier=math.nan)
    assert len(wrong.value.problems) == 3


@pytest.mark.parametrize(
    "values",
    [
        {"lease": -1},
        {"lease": math.nan},
        {"lease": "long"},
        {"lease": 3.0, "heartbeat_interval": 2.0},
        {"retention": 0},
        {"store_timeout": 5.1},
        {"write_timeout": -0.1},
        {"mass_expiry_share": 2},
        {"colour": "red"},
        {"breaker": 3},
    ],
)
def test_registry_settings_out_of_bounds_are_named(values: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"^registry settings: "):
        RegistrySettings(**values)


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, True, "7"])
async def test_a_duration_must_be_positive(registry: ServiceRegistry, seconds: Any) -> None:
    for breaker in (registry.breaker("llm", "a"), CircuitBreaker("a")):
        for method in (
            breaker.cool_down,
            partial(breaker.force_open, ""),
            partial(breaker.force_close, ""),
        ):
            with pytest.raises(SettingsError, match="is not seconds; use more than 0"):
                method(seconds)


async def test_a_cooldown_must_have_a_duration(registry: ServiceRegistry) -> None:
    nothing: Any = None
    for breaker in (registry.breaker("llm", "a"), CircuitBreaker("a")):
        with pytest.raises(SettingsError, match="None is not seconds; use more than 0"):
            breaker.cool_down(nothing)


@pytest.mark.parametrize("url", ["http://host", "nonsense", "redis+odd://host"])
def test_an_unknown_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidURLError, match="redis://"):
        ServiceRegistry(url=url)


@pytest.mark.parametrize("namespace", ["a b", "", "a/b", "{a}"])
def test_an_invalid_namespace_is_refused(namespace: str) -> None:
    with pytest.raises(InvalidNameError):
        ServiceRegistry(url="memory://", namespace=namespace)


async def test_credentials_never_reach_errors_logs_or_reprs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = "redis://someone:s3cr3t-word@127.0.0.1:1/0"
    registry = ServiceRegistry(url=url, settings=RegistrySettings(write_timeout=0))
    registry.register("h", "llm", Client())
    with caplog.at_level(logging.DEBUG), pytest.raises(StoreUnavailableError) as away:
        await registry.flush()
    await registry.aclose()
    texts = [repr(registry), str(away.value), repr(away.value), repr(vars(away.value)), caplog.text]
    error: BaseException | None = away.value
    while error is not None:
        texts.append(repr(error))
        error = error.__cause__ or error.__context__
    assert not [text for text in texts if "s3cr3t" in text or "someone" in text]
    assert "127.0.0.1:1" in str(away.value)


async def test_a_damaged_record_costs_that_record_alone(
    new_registry: New, real_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    one = new_registry(url=real_url)
    names = [f"p{i}" for i in range(8)]
    for name in names:
        one.register("h", "llm", Client(), name=name)
    await one.flush()
    prefix = "ciris:v2:{default/0}:llm"
    with redis.Redis.from_url(real_url) as raw:
        raw.hset(f"{prefix}:registration:p0@h", "priority", "URGENT")
        raw.hset(f"{prefix}:registration:p1@h", "metadata", "{not json")
        raw.hdel(f"{prefix}:registration:p2@h", "capabilities")
        raw.delete(f"{prefix}:registration:p3@h")
        raw.set(f"{prefix}:registration:p4@h", "a string", ex=60)
        raw.hset(f"{prefix}:registration:p5@h", "priority_group", b"\xff\xfe")
        raw.hset(f"{prefix}:breaker:p6", mapping={"state": "ajar", "consecutive_failures": "many"})
        raw.zadd(f"{prefix}:registrations", {"no such|thing": 0})
        raw.hincrby(f"{prefix}:meta", "revision", 1)
    other = new_registry(url=real_url)
    spare = Client()
    other.bind("llm", spare)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert await other.get_service("h", "llm") is spare
    info = other.get_provider_info()
    assert [one["name"] for one in info["handlers"]["h"]["llm"]] == ["p6", "p7"]
    lines = [record.message for record in caplog.records if "is damaged" in record.message]
    assert len(lines) == 8, lines
    with redis.Redis.from_url(real_url) as raw:
        raw.zrem(f"{prefix}:registrations", "no such|thing")


async def test_a_damaged_breaker_is_repaired_by_its_next_use(
    new_registry: New, real_url: str
) -> None:
    registry = new_registry(url=real_url)
    name = registry.register("h", "llm", Client(), name="a")
    await registry.flush()
    with redis.Redis.from_url(real_url) as raw:
        raw.delete("ciris:v2:{default/0}:llm:breaker:a")
        raw.set("ciris:v2:{default/0}:llm:breaker:a", "x")
    for _ in range(5):
        await registry.breaker("llm", name).arecord_failure()
    assert await registry.get_service("h", "llm") is None


BEYOND_COUNTING = {
    "a time of many digits": ("retry_at", "9" * 400),
    "a time that Lua cannot count": ("retry_at", str(2**60)),
    "a counter that is unreadable": ("consecutive_failures", "9" * 5000),
    "a part of the window that is unreadable": ("window_past", f"1:1:{'9' * 5000}"),
    "a part of the window that is no number": ("window", "1:1:² 0:0"),
}


@pytest.mark.parametrize(("field", "text"), BEYOND_COUNTING.values(), ids=BEYOND_COUNTING)
async def test_a_number_that_is_too_large_counts_as_damaged(
    new_registry: New, real_url: str, field: str, text: str
) -> None:
    """A resolve raised OverflowError."""
    registry = new_registry(url=real_url)
    registry.register("h", "llm", Client(), name="one")
    await registry.flush()
    prefix = "ciris:v2:{default/0}:llm"
    with redis.Redis.from_url(real_url) as raw:
        raw.hset(f"{prefix}:breaker:one", mapping={"state": "open", field: text})
        raw.zadd(f"{prefix}:permits:one", {"another|1": 1e300})
        raw.hincrby(f"{prefix}:meta", "revision", 1)

        for consistency in ("exact", "cached"):
            await registry.get_service("h", "llm", consistency=consistency)
            await registry.explain("h", "llm")
        raw.delete(f"{prefix}:permits:one")
    assert registry.breaker("llm", "one").get_stats()["name"] == "one"


async def test_a_damaged_index_is_named_by_refresh_and_hinders_no_resolve(
    new_registry: New, real_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each resolve raised."""
    registry = new_registry(url=real_url)
    registry.register("h", "llm", Client(), name="a")
    await registry.flush()
    with redis.Redis.from_url(real_url) as raw:
        raw.delete("ciris:v2:{default/0}:llm:meta")
        raw.set("ciris:v2:{default/0}:llm:meta", "x", ex=60)
        with pytest.raises(StoreError, match="delete it with redis-cli"):
            await registry.refresh("llm")
        for _ in range(3):
            assert await registry.get_service("h", "llm") is not None
        assert len([line for line in caplog.messages if "is resolved as last seen" in line]) == 1
        raw.delete("ciris:v2:{default/0}:llm:meta")
    assert await registry.get_service("h", "llm") is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("redis://127.0.0.1",), r"use a list of them \(a URL is given as url=…\)"),
        (("llm",), "service types are 'llm'; use a list of them"),
    ],
)
def test_a_string_in_place_of_a_list_is_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(RegistrationError, match=message):
        ServiceRegistry(*arguments)


@pytest.mark.parametrize(
    "options",
    [{"url": 5}, {"settings": {"lease": 1}}, {"naming": "odd"}, {"naming": ["private"]}],
)
def test_an_argument_of_the_wrong_type_raises_one_clear_error(options: dict[str, Any]) -> None:
    with pytest.raises((InvalidURLError, RegistrationError), match=r"; use "):
        ServiceRegistry(**options)


@pytest.mark.parametrize("outcome", ["record_failure", "arecord_failure", "record_success"])
async def test_an_outcome_for_an_unknown_provider_is_warned_about_once(
    registry: ServiceRegistry, outcome: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A misspelt name was accepted silently, and the real provider's breaker never opened."""
    registry.register("h", "llm", Client(), name="openai")
    assert await registry.get_service("h", "llm") is not None
    with caplog.at_level(logging.WARNING):
        for name in ("opnai", "opnai", "openai"):
            for kind in ("llm", "unused"):
                done = getattr(registry.breaker(kind, name), outcome)()
                if done is not None:
                    await done
                await registry.flush()
    warnings = [line for line in caplog.messages if "no registration" in line]
    assert warnings == [
        "an outcome is recorded for opnai of llm, which has no registration; is it openai?"
    ]


async def test_nothing_can_be_registered_after_closing(registry: ServiceRegistry) -> None:
    await registry.aclose()
    with pytest.raises(ClosedError, match="make a new one"):
        registry.register("h", "llm", Client())
    with pytest.raises(ClosedError):
        await registry.get_service("h", "llm")


async def test_a_failing_health_check_is_logged_once(
    registry: ServiceRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    class Plain:
        def is_healthy(self) -> bool:
            return True

    class Raising:
        async def is_healthy(self) -> bool:
            raise ValueError("boom")

    registry.register("h", "llm", Plain(), name="plain")
    registry.register("h", "llm", Raising(), name="raising")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert await registry.get_service("h", "llm") is None
    warnings = [record.message for record in caplog.records if "unhealthy" in record.message]
    assert len(warnings) == 2
    assert "make it async" in warnings[0]
    assert "boom" in warnings[1]
