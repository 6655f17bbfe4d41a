"""Register providers, resolve one, and read why it was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import Priority, SelectionStrategy, ServiceRegistry

if TYPE_CHECKING:
    from collections.abc import Callable

    New = Callable[..., ServiceRegistry]


class Client:
    """A provider: any object will do."""


async def test_the_registering_process_gets_the_same_object_back(registry: ServiceRegistry) -> None:
    client = Client()
    registry.register("Speaker", "llm", client)
    assert await registry.get_service("Speaker", "llm") is client


async def test_the_next_line_sees_a_registration_without_any_await(
    registry: ServiceRegistry,
) -> None:
    client = Client()
    name = registry.register("Speaker", "llm", client, metadata={"model": "small"})
    [listed] = registry.get_provider_info()["handlers"]["Speaker"]["llm"]
    assert listed["name"] == name
    assert listed["metadata"] == {"model": "small"}
    assert registry.get_services_by_type("llm") == [client]


async def test_lower_priority_values_come_first_and_groups_before_priorities(
    registry: ServiceRegistry,
) -> None:
    low, critical, spare = Client(), Client(), Client()
    registry.register("h", "llm", low, priority=Priority.LOW)
    registry.register("h", "llm", critical, priority=Priority.CRITICAL)
    registry.register("h", "llm", spare, priority=Priority.CRITICAL, priority_group=1)
    lines = await registry.explain("h", "llm")
    assert [one.verdict for one in lines] == ["chosen", "next", "next"]
    assert await registry.get_service("h", "llm") is critical


async def test_equal_providers_come_in_the_order_of_registration(registry: ServiceRegistry) -> None:
    clients = [Client() for _ in range(12)]
    for client in clients:
        registry.register("h", "llm", client)
    assert await registry.get_service("h", "llm") is clients[0]
    assert registry.get_services_by_type("llm") == clients


async def test_registrations_of_the_handler_come_first_then_of_every_handler_then_global_ones(
    registry: ServiceRegistry,
) -> None:
    own, every, everywhere = Client(), Client(), Client()
    registry.register_global("llm", everywhere, priority=Priority.CRITICAL)
    registry.register("*", "llm", every, priority=Priority.HIGH)
    registry.register("h", "llm", own, priority=Priority.LOW)
    assert await registry.get_service("h", "llm") is own
    assert await registry.get_service("other", "llm") is every
    assert await registry.get_service("other", "llm", fallback_to_global=False) is every
    registry.unregister((await registry.explain("other", "llm"))[0].name)
    assert await registry.get_service("other", "llm") is everywhere
    assert await registry.get_service("other", "llm", fallback_to_global=False) is None


async def test_only_providers_with_all_required_capabilities_are_considered(
    registry: ServiceRegistry,
) -> None:
    plain, able = Client(), Client()
    registry.register("h", "llm", plain, priority=Priority.HIGH, capabilities=["chat"])
    registry.register("h", "llm", able, capabilities=["chat", "vision"])
    assert await registry.get_service("h", "llm", required_capabilities=["chat"]) is plain
    assert await registry.get_service("h", "llm", ["vision", "chat"]) is able
    assert await registry.get_service("h", "llm", ["tools"]) is None
    lines = await registry.explain("h", "llm", ["vision"])
    assert (lines[1].verdict, lines[1].reason) == ("rejected", "lacks vision")


async def test_round_robin_rotates_within_one_priority(
    registry: ServiceRegistry,
) -> None:
    first, second, later = Client(), Client(), Client()
    options: Any = {"strategy": SelectionStrategy.ROUND_ROBIN}
    registry.register("h", "llm", first, **options)
    registry.register("h", "llm", second, **options)
    registry.register("h", "llm", later, priority=Priority.LOW, **options)
    got = [await registry.get_service("h", "llm") for _ in range(6)]
    assert got == [first, second] * 3


async def test_round_robin_continues_correctly_after_unregistering(
    registry: ServiceRegistry,
) -> None:
    clients = {f"c{i}": Client() for i in range(3)}
    for name, client in clients.items():
        registry.register("h", "llm", client, strategy=SelectionStrategy.ROUND_ROBIN, name=name)
    for _ in range(4):
        await registry.get_service("h", "llm")
    assert registry.unregister("c1")
    got = [await registry.get_service("h", "llm") for _ in range(10)]
    assert got.count(clients["c0"]) == got.count(clients["c2"]) == 5


async def test_requests_for_different_capabilities_rotate_independently(
    registry: ServiceRegistry,
) -> None:
    clients = [Client() for _ in range(4)]
    for i, client in enumerate(clients):
        capability = "even" if i % 2 == 0 else "odd"
        registry.register(
            "h",
            "llm",
            client,
            strategy=SelectionStrategy.ROUND_ROBIN,
            capabilities=[capability],
        )
    got = []
    for _ in range(4):
        got.append(await registry.get_service("h", "llm", ["even"]))
        got.append(await registry.get_service("h", "llm", ["odd"]))
    assert [got.count(client) for client in clients] == [2, 2, 2, 2]


async def test_round_robins_of_two_service_types_are_independent(registry: ServiceRegistry) -> None:
    for service_type in ("llm", "memory"):
        for i in range(2):
            registry.register(
                "h",
                service_type,
                Client(),
                strategy=SelectionStrategy.ROUND_ROBIN,
                name=f"{service_type}{i}",
            )
    got = []
    for _ in range(4):
        got.append(await registry.get_service("h", "llm"))
        await registry.get_service("h", "memory")
    assert got[0] is got[2] is not got[1] is got[3]


async def test_one_object_may_serve_many_handlers_and_service_types(
    registry: ServiceRegistry,
) -> None:
    adapter = Client()
    names = {
        registry.register(handler, service_type, adapter)
        for handler in ("speak", "observe")
        for service_type in ("communication", "tool")
    }
    assert len(names) == 1
    for handler in ("speak", "observe"):
        for service_type in ("communication", "tool"):
            assert await registry.get_service(handler, service_type) is adapter
    assert registry.get_services_by_type("tool") == [adapter]


async def test_a_mock_is_returned_only_if_mocks_are_allowed(new_registry: New) -> None:
    strict = new_registry()
    assert await strict.get_service_with_fallback("h", "llm") is None
    stand_in = Client()
    lenient = new_registry(
        namespace="mocks", allow_mock_services=True, mock_services={"llm": stand_in}
    )
    assert await lenient.get_service("h", "llm") is None
    assert await lenient.get_service_with_fallback("h", "llm") is stand_in
    mock = await lenient.get_service_with_fallback("h", "memory")
    assert await mock.recall("anything", limit=3) is None


async def test_an_empty_registry_is_true_and_shares_nothing() -> None:
    one, other = ServiceRegistry(url="memory://"), ServiceRegistry(url="memory://")
    assert one
    assert other
    one.register("h", "llm", Client())
    assert await other.get_service("h", "llm") is None
    assert await one.get_service("h", "llm") is not None
    await one.aclose()
    await other.aclose()


@pytest.mark.parametrize("service_type", ["llm", "memory"])
async def test_namespaces_never_see_each_other(new_registry: New, service_type: str) -> None:
    blue, green = new_registry(namespace="blue"), new_registry(namespace="green")
    blue.register("h", service_type, Client(), name="shared")
    green.bind("shared", Client())
    assert await blue.get_service("h", service_type) is not None
    assert await green.get_service("h", service_type) is None


def test_a_namespace_that_is_not_given_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CIRIS_REGISTRY_NAMESPACE", "blue")
    assert ServiceRegistry(url="memory://").namespace == "blue"
    assert ServiceRegistry(url="memory://", namespace="default").namespace == "default"
    monkeypatch.setenv("CIRIS_REGISTRY_NAMESPACE", "")
    assert ServiceRegistry(url="memory://").namespace == "default"


async def test_a_rotation_that_begins_with_a_second_provider_begins_at_the_first(
    new_registry: New,
) -> None:
    one, other = new_registry(), new_registry()
    turn = SelectionStrategy.ROUND_ROBIN
    able = [Client(), Client(), Client()]
    for client in able:
        one.register("h", "llm", client, capabilities=["chat"], strategy=turn)
    for _ in range(2):
        await one.get_service("h", "llm", ["chat"])

    # From now on, not all providers have it: those that do rotate on a cursor of their own.
    other.register("h", "llm", Client(), strategy=turn)
    await other.flush()

    got = [await one.get_service("h", "llm", ["chat"]) for _ in range(4)]
    assert [able.index(client) for client in got] == [0, 1, 2, 0]
