"""A new service type is watched at once, whichever thread or loop registers it."""

from __future__ import annotations

import asyncio
import gc
import os
from typing import TYPE_CHECKING

import pytest

from ciris_registry import CircuitState, RegistrySettings, ServiceRegistry
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    New = Callable[..., ServiceRegistry]

QUICK = RegistrySettings(store_timeout=5.0, write_timeout=1.0, max_staleness=1.0)
AT_ONCE = 0.4
"""Seconds: less than one read of the streams waits."""


class Client:
    """A provider."""


async def started(registry: ServiceRegistry) -> None:
    registry.register("h", "llm", Client(), name="shared")
    assert await registry.get_service("h", "llm") is not None
    await asyncio.sleep(0.1)


async def followed(registry: ServiceRegistry, kind: str) -> None:
    await async_wait_until(lambda: registry._parts.replicas.of(kind).place, timeout=AT_ONCE)


async def test_a_thread_may_register_while_the_loop_runs(new_registry: New) -> None:
    """Another thread touched what belongs to the loop."""
    registry = new_registry(consistency="cached", settings=QUICK)
    await started(registry)
    asyncio.get_running_loop().set_debug(True)  # checks the calling thread

    await asyncio.to_thread(registry.register, "h", "tool", Client(), name="shared")

    await followed(registry, "tool")


def test_a_registration_between_two_runs_of_a_loop_is_followed(url: str) -> None:
    loop = asyncio.new_event_loop()
    registry = ServiceRegistry(url=url, consistency="cached", settings=QUICK)
    loop.run_until_complete(started(registry))

    registry.register("h", "tool", Client(), name="shared")

    loop.run_until_complete(followed(registry, "tool"))
    loop.run_until_complete(registry.aclose())
    loop.close()


async def test_a_fork_does_not_wake_the_loop_of_its_parent(
    real_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket wakes a loop, and a fork's copy of the socket is the same one."""
    async with ServiceRegistry(url=real_url, consistency="cached", settings=QUICK) as registry:
        await started(registry)
        woken = 0

        def wake(*_: object) -> None:
            nonlocal woken
            woken += 1

        monkeypatch.setattr(asyncio.get_running_loop(), "call_soon_threadsafe", wake)
        pid = os.fork()
        if pid == 0:
            os._exit(woken)
        _, status = os.waitpid(pid, 0)  # noqa: ASYNC222 # it has ended
        monkeypatch.undo()
        assert os.waitstatus_to_exitcode(status) == 0
        assert registry.health().ok


@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_the_garbage_of_an_ended_loop_leaves_the_next_one_alone(real_url: str) -> None:
    """When the old loop was collected, the watcher of the new one lost the reader to interrupt."""
    registry = ServiceRegistry(url=real_url, consistency="cached", settings=QUICK)
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    first.run_until_complete(started(registry))
    first.close()  # with its tasks pending

    async def goes_on() -> None:
        await started(registry)
        gc.collect()
        async with ServiceRegistry(url=real_url, settings=QUICK) as other:
            registry.register("h", "tool", Client(), name="stale")
            assert await registry.get_service("h", "tool") is not None
            await followed(registry, "tool")
            await other.breaker("tool", "stale").aforce_open("a test", 60)
            handle = registry.breaker("tool", "stale")
            await async_wait_until(lambda: handle.state is CircuitState.OPEN, timeout=AT_ONCE)
        await registry.aclose()

    second.run_until_complete(goes_on())
    second.close()
    gc.collect()
