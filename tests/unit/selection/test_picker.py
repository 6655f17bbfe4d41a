"""A picker holds exactly as long as nothing that it was made from has changed."""

from __future__ import annotations

import asyncio
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import (
    CircuitBreakerConfig,
    Priority,
    RegistrySettings,
    SelectionStrategy,
    ServiceRegistry,
)
from ciris_registry.errors import InvalidNameError, RegistrationError
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

ONCE = CircuitBreakerConfig(failure_threshold=1, recovery_timeout=0.2, success_threshold=1)


class Kind(StrEnum):
    LLM = "llm"


class Plain(Enum):
    LLM = "llm"


class Client:
    """A provider without a health check."""


class Checked:
    """A provider with a health check."""

    def __init__(self) -> None:
        self.asked = 0

    async def is_healthy(self) -> bool:
        self.asked += 1
        return True


@pytest.fixture(params=["cached", "exact"])
def registry(
    new_registry: Callable[..., ServiceRegistry], request: pytest.FixtureRequest
) -> ServiceRegistry:
    """One registry of each mode: both use pickers."""
    settings = RegistrySettings(store_timeout=5.0, max_staleness=30.0)
    return new_registry(consistency=request.param, settings=settings)


async def resolved_twice(registry: ServiceRegistry, *args: Any) -> Any:
    """The answer of a second resolve, which uses the picker that the first one made."""
    await registry.get_service("h", "llm", *args)
    return await registry.get_service("h", "llm", *args)


async def test_a_picker_ends_with_a_registration(registry: ServiceRegistry) -> None:
    low, high = Client(), Client()
    assert await resolved_twice(registry) is None
    registry.register("h", "llm", low, Priority.LOW)
    assert await resolved_twice(registry) is low
    registry.register("h", "llm", high, Priority.HIGH)
    assert await registry.get_service("h", "llm") is high


async def test_a_picker_ends_when_a_provider_is_unregistered(registry: ServiceRegistry) -> None:
    first, second = Client(), Client()
    name = registry.register("h", "llm", first)
    registry.register("h", "llm", second)
    assert await resolved_twice(registry) is first
    registry.unregister(name)
    assert await registry.get_service("h", "llm") is second
    registry.clear_all()
    assert await registry.get_service("h", "llm") is None


async def test_a_picker_ends_with_a_new_instance_of_the_same_name(
    registry: ServiceRegistry,
) -> None:
    first, second = Client(), Client()
    registry.register("h", "llm", first, name="shared")
    assert await resolved_twice(registry) is first
    registry.register("h", "llm", second, name="shared")
    assert await registry.get_service("h", "llm") is second


async def test_a_picker_ends_with_a_binding(
    registry: ServiceRegistry, new_registry: Callable[..., ServiceRegistry]
) -> None:
    other = new_registry()
    other.register("h", "llm", Client(), name="shared")
    await other.flush()
    assert await resolved_twice(registry) is None
    for _ in range(2):
        client = Client()
        registry.bind("shared", client)
        assert await registry.get_service("h", "llm") is client


async def test_a_picker_does_not_keep_a_weak_instance_alive(
    registry: ServiceRegistry,
) -> None:
    weak, strong = Client(), Client()
    registry.register("h", "llm", weak, weak=True)
    registry.register("h", "llm", strong)
    assert await resolved_twice(registry) is weak
    del weak
    assert await registry.get_service("h", "llm") is strong


async def test_a_picker_does_not_keep_an_unregistered_instance_alive(
    registry: ServiceRegistry,
) -> None:
    import weakref

    client = Client()
    name = registry.register("h", "llm", client)
    await resolved_twice(registry)
    gone = weakref.ref(client)
    await registry.aunregister(name)
    del client
    assert gone() is None


async def test_a_factory_is_called_once(
    registry: ServiceRegistry,
) -> None:
    made: list[Client] = []

    def make(_: object) -> Client:
        made.append(Client())
        return made[-1]

    registry.register("h", "llm", factory=make)
    got = [await registry.get_service("h", "llm") for _ in range(5)]
    assert got == made * 5


async def test_a_picker_ends_when_a_breaker_opens_and_when_its_recovery_timeout_is_over(
    registry: ServiceRegistry,
) -> None:
    first, second = Client(), Client()
    name = registry.register("h", "llm", first, circuit_breaker_config=ONCE)
    registry.register("h", "llm", second)
    assert await resolved_twice(registry) is first
    registry.breaker("llm", name).record_failure()
    assert await resolved_twice(registry) is second

    async def probed() -> bool:
        return await registry.get_service("h", "llm") is first

    await async_wait_until(probed)
    assert await resolved_twice(registry) is second, "the probe is running"
    await registry.breaker("llm", name).arecord_success()
    assert await resolved_twice(registry) is first


@pytest.mark.parametrize("word", ["force_open", "cool_down"])
async def test_a_picker_ends_with_an_override_or_a_cooldown_and_when_they_end(
    registry: ServiceRegistry, word: str
) -> None:
    first, second = Client(), Client()
    name = registry.register("h", "llm", first)
    registry.register("h", "llm", second)
    assert await resolved_twice(registry) is first
    breaker = registry.breaker("llm", name)
    if word == "force_open":
        breaker.force_open("a test", duration=0.2)
    else:
        breaker.cool_down(0.2)
    assert await resolved_twice(registry) is second
    await asyncio.sleep(0.25)
    assert await registry.get_service("h", "llm") is first


async def test_a_health_check_is_awaited_at_each_resolve(registry: ServiceRegistry) -> None:
    provider = Checked()
    registry.register("h", "llm", provider)
    for turn in range(1, 5):
        assert await registry.get_service("h", "llm") is provider
        assert provider.asked == turn


async def test_a_provider_with_a_health_check_may_be_registered_later(
    registry: ServiceRegistry,
) -> None:
    first, second = Client(), Client()
    name = registry.register("h", "llm", first)
    registry.register("h", "llm", second)
    assert await resolved_twice(registry) is first
    registry.breaker("llm", name).force_open("a test")
    registry.register("h", "llm", Checked(), Priority.CRITICAL, name="checked")
    assert isinstance(await resolved_twice(registry), Checked)
    await registry.breaker("llm", name).aclear_override()


CAPABILITIES: list[Any] = [["a", "b"], ("a", "b"), {"a", "b"}, frozenset({"b", "a"})]


@pytest.mark.parametrize("required", CAPABILITIES, ids=["list", "tuple", "set", "frozenset"])
async def test_capabilities_may_be_any_collection(registry: ServiceRegistry, required: Any) -> None:
    plain, able = Client(), Client()
    registry.register("h", "llm", plain)
    registry.register("h", "llm", able, capabilities=["a", "b", "c"])
    assert await resolved_twice(registry, None) is plain
    assert await resolved_twice(registry, required) is able
    assert await resolved_twice(registry, []) is plain


async def test_a_changed_list_of_capabilities_is_another_request(
    registry: ServiceRegistry,
) -> None:
    plain, able = Client(), Client()
    registry.register("h", "llm", plain)
    registry.register("h", "llm", able, capabilities=["a"])
    required: list[str] = []
    assert await resolved_twice(registry, required) is plain
    required.append("a")
    assert await resolved_twice(registry, required) is able


async def test_an_enum_member_stands_for_its_value(registry: ServiceRegistry) -> None:
    client = Client()
    registry.register("h", Kind.LLM, client)
    for kind in ("llm", Kind.LLM, Plain.LLM):
        for _ in range(2):
            assert await registry.get_service("h", kind) is client


async def test_a_request_without_global_registrations_is_another_request(
    registry: ServiceRegistry,
) -> None:
    client = Client()
    registry.register_global("llm", client)
    for _ in range(2):
        assert await registry.get_service("h", "llm") is client
        assert await registry.get_service("h", "llm", None, False) is None


BAD: dict[str, tuple[type[Exception], tuple[Any, ...]]] = {
    "a handler with a blank": (InvalidNameError, ("h h", "llm")),
    "a handler that is no string": (InvalidNameError, (7, "llm")),
    "a handler that cannot be a key": (InvalidNameError, (["h"], "llm")),
    "a service type with a brace": (InvalidNameError, ("h", "{llm}")),
    "a service type that cannot be a key": (InvalidNameError, ("h", {})),
    "capabilities in one string": (RegistrationError, ("h", "llm", "abc")),
    "a capability that is no string": (RegistrationError, ("h", "llm", [7])),
    "a capability that cannot be a key": (RegistrationError, ("h", "llm", [["a"]])),
}


@pytest.mark.parametrize(("error", "args"), BAD.values(), ids=BAD.keys())
async def test_bad_input_raises_the_same_the_second_time(
    registry: ServiceRegistry, error: type[Exception], args: tuple[Any, ...]
) -> None:
    registry.register("h", "llm", Client())
    await resolved_twice(registry)
    messages = set()
    for _ in range(3):
        with pytest.raises(error) as raised:
            await registry.get_service(*args)
        messages.add(str(raised.value))
    assert len(messages) == 1


async def test_a_closed_registry_resolves_nothing(registry: ServiceRegistry) -> None:
    from ciris_registry.errors import ClosedError

    registry.register("h", "llm", Client())
    await resolved_twice(registry)
    await registry.aclose()
    for _ in range(2):
        with pytest.raises(ClosedError):
            await registry.get_service("h", "llm")


async def test_a_round_robin_skips_a_provider_that_is_forced_open(
    registry: ServiceRegistry,
) -> None:
    clients = [Client() for _ in range(3)]
    names = [
        registry.register("h", "llm", client, strategy=SelectionStrategy.ROUND_ROBIN)
        for client in clients
    ]
    got = [await registry.get_service("h", "llm") for _ in range(30)]
    assert [got.count(client) for client in clients] == [10, 10, 10]
    await registry.breaker("llm", names[1]).aforce_open("a test", 60)
    got = [await registry.get_service("h", "llm") for _ in range(64)]
    assert got.count(clients[1]) == 0
    assert abs(got.count(clients[0]) - got.count(clients[2])) <= 4
