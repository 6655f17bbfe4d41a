"""Providers that are registered for a moment are forgotten, here and in Redis."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import redis

from ciris_registry import RegistrySettings, SelectionStrategy, ServiceRegistry
from tests.running import QUIETLY, run

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUND = 100
ROUNDS = 3
SETTINGS = RegistrySettings(
    store_timeout=5.0, success_report_interval=0.05, retention=1.0, lease=2.0
)


class Client:
    """A provider; it has no name of its own."""


class Checked:
    """A provider whose health check says no now and then."""

    def __init__(self, number: int) -> None:
        self.number = number

    async def is_healthy(self) -> bool:
        return self.number % 3 != 0


def sizes(registry: ServiceRegistry) -> dict[str, int]:
    """The size of every container that a registry's parts own."""
    found: dict[str, int] = {}
    seen: set[int] = set()

    def look(owner: Any, path: str) -> None:
        if id(owner) in seen or len(path) > 120:
            return
        seen.add(id(owner))
        for name, value in attributes(owner):
            where = f"{path}.{name}"
            if hasattr(value, "__len__") and not isinstance(value, str | bytes | tuple):
                found[where] = len(value)
                if isinstance(value, dict):
                    for key, inner in value.items():
                        if isinstance(key, str) and key in {"llm", "memory"}:
                            look(inner, f"{where}[{key}]")
                            if isinstance(inner, dict):
                                found[f"{where}[{key}]"] = len(inner)
            elif type(value).__module__.startswith("ciris_registry"):
                look(value, where)

    look(registry, "registry")
    return found


def attributes(owner: Any) -> Iterator[tuple[str, Any]]:
    if hasattr(owner, "__dict__"):
        yield from list(vars(owner).items())
    for kind in type(owner).__mro__:
        for name in getattr(kind, "__slots__", ()):
            if hasattr(owner, name) and name != "__weakref__":
                yield name, getattr(owner, name)


async def come_and_go(registry: ServiceRegistry, times: int, first: int = 0) -> None:
    for number in range(first, first + times):
        strategy = list(SelectionStrategy)[number % 2]
        provider = Checked(number) if number % 5 == 0 else Client()
        given = f"made-up-{number}" if number % 2 else None
        name = registry.register("h", "llm", provider, strategy=strategy, name=given)
        if number % 10 == 0:
            await registry.get_service("h", "llm")
            await registry.get_service(f"h{number}", "llm")
        breaker = registry.breaker("llm", name)
        breaker.is_available()
        breaker.record_success()
        if number % 4 == 0:
            breaker.record_failure()
        if number % 25 == 0:
            breaker.cool_down(0.01)
        registry.unregister(name)
        if number % 10 == 0:
            await asyncio.sleep(0)
    await registry.flush()


async def test_registrations_that_come_and_go(url: str) -> None:
    async with ServiceRegistry(url=url, settings=SETTINGS) as registry:
        registry.register("h", "llm", Client(), name="stays")
        await come_and_go(registry, ROUND)
        await registry.refresh()
        before = sizes(registry)
        for turn in range(1, ROUNDS + 1):
            await come_and_go(registry, ROUND, turn * ROUND)
        await registry.refresh()
        after = sizes(registry)

        grown = {
            name: (before.get(name, 0), size)
            for name, size in after.items()
            if size > before.get(name, 0) + 40
        }
        assert len(after) > 40, "it looked inside"
        assert grown == {}, "what grew, from and to"


async def test_breakers_of_made_up_names_are_forgotten(url: str) -> None:
    """Each name that a program had asked for was kept until another change."""
    async with ServiceRegistry(url=url, settings=SETTINGS) as registry:
        registry.register("h", "llm", Client(), name="stays")
        await registry.get_service("h", "llm")
        for number in range(5000):
            registry.breaker("llm", f"made-up-{number}").is_available()
        replica = registry._parts.replicas.of("llm")
        await registry.get_service("h", "llm")
        assert len(replica.snapshot.breakers) < 2500
        assert len(replica.asked) < 2500


async def test_redis_keeps_only_what_expires(real_url: str) -> None:
    settings = SETTINGS.model_copy(update={"retention": 1.0})
    async with ServiceRegistry(url=real_url, settings=settings) as registry:
        await come_and_go(registry, 100)
        with redis.Redis.from_url(real_url, decode_responses=True) as client:
            kept = [key for key in client.scan_iter() if client.ttl(key) < 0]
            assert kept == []
            await asyncio.sleep(1.5)
            left: Any = [key for key in client.scan_iter() if "breaker:" in key]
            assert left == [], "breakers outlive their registrations by the retention only"


@pytest.mark.parametrize("turn", ["resolve", "outcome"])
def test_a_call_allocates_nothing_that_stays(turn: str) -> None:
    assert run("calls_allocate_nothing", turn) == QUIETLY
