"""A leave removes no registration whose holders cannot be read."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import redis

from ciris_registry import RegistrySettings, ServiceRegistry
from ciris_registry.store.keys import TypeKeys
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    New = Callable[..., ServiceRegistry]

SETTINGS: Final = RegistrySettings(
    lease=3.0, heartbeat_interval=0.6, store_timeout=5.0, write_timeout=5.0
)
KEYS: Final = TypeKeys("default", "llm")


class Client:
    """A provider."""


async def test_a_leave_removed_what_another_process_held(
    new_registry: New, real_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    leaving, staying = (
        new_registry(url=real_url, settings=SETTINGS, consistency="cached") for _ in range(2)
    )
    for registry in (leaving, staying):
        registry.register_global("llm", Client(), name="one")
        await registry.flush()
    with redis.Redis.from_url(real_url, decode_responses=True) as client:
        ours: Any = client
        # No process looks for lost data before the other one has left.
        seconds, microseconds = ours.time()
        ours.hset(KEYS.meta, "checked_at", seconds * 1000 + microseconds // 1000)
        ours.delete(KEYS.holders("one"))
        ours.set(KEYS.holders("one"), "of another program", ex=60)
        with caplog.at_level(logging.WARNING):
            await leaving.aunregister("one")
        assert "the set of processes that hold registration one of llm is damaged" in caplog.text
        assert await staying.get_service("h", "llm") is not None
        await async_wait_until(
            lambda: (
                ours.type(KEYS.holders("one")) == "set"
                and ours.smembers(KEYS.holders("one")) == {staying.process_id}
            )
        )
        assert ours.zrange(KEYS.registrations, 0, -1) == ["one"]
    assert await leaving.get_service("h", "llm") is None  # it has no instance any more
    assert await staying.get_service("h", "llm") is not None
