"""``health_check_all`` starts the registry and flushes it, as every awaited call does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ciris_registry import RegistrySettings, ServiceRegistry

if TYPE_CHECKING:
    from collections.abc import Callable

    New = Callable[..., ServiceRegistry]


class Healthy:
    """A provider that is healthy."""

    async def is_healthy(self) -> bool:
        return True


async def test_registrations_have_reached_redis_when_it_returns(new_registry: New) -> None:
    registry, other = new_registry(), new_registry()
    registry.register_global("llm", Healthy(), name="shared")

    assert await registry.health_check_all() == {"global.llm.shared": True}

    assert registry.health().pending_writes == 0
    seen = await other.aget_provider_info(service_type="llm")
    assert [one["name"] for one in seen["global_services"]["llm"]] == ["shared"]


async def test_it_starts_the_registry(new_registry: New) -> None:
    registry = new_registry()
    assert await registry.health_check_all() == {}
    assert registry._session.running()


async def test_it_does_not_wait_for_a_redis_that_is_away() -> None:
    settings = RegistrySettings(write_timeout=0)
    async with ServiceRegistry(url="redis://127.0.0.1:1/0", settings=settings) as registry:
        registry.register_global("llm", Healthy(), name="shared")
        assert await registry.health_check_all() == {"global.llm.shared": True}
