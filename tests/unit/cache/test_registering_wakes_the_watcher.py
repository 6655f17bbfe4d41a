"""A new service type is watched at once, whichever thread or loop registers it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ciris_registry import RegistrySettings, ServiceRegistry
from tests.running import QUIETLY, run
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    New = Callable[..., ServiceRegistry]

QUICK = RegistrySettings(store_timeout=5.0, write_timeout=1.0, max_staleness=60.0)
AT_ONCE = 2.5
"""Seconds: less than one read of the streams waits, which is 4 s with such a ``max_staleness``."""


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


def test_a_fork_does_not_wake_the_loop_of_its_parent(real_url: str) -> None:
    """What wakes a loop is a socket, and a fork's copy of it is the same one."""
    assert run("forks_while_it_follows", real_url) == QUIETLY


def test_the_garbage_of_an_ended_loop_leaves_the_next_one_alone(real_url: str) -> None:
    """When it was collected, the new loop no longer knew what to interrupt."""
    assert run("collects_an_ended_event_loop", real_url) == QUIETLY


async def test_a_thread_that_registers_ends_the_wait_for_its_service_type(
    new_registry: New,
) -> None:
    """The event of the waiting loop was set by the other thread."""
    registry = new_registry(consistency="cached")
    await registry.start()
    asyncio.get_running_loop().set_debug(True)  # checks the calling thread
    ready = asyncio.create_task(registry.wait_ready(10.0, ["tool"]))
    await asyncio.sleep(0.1)
    await asyncio.to_thread(registry.register, "h", "tool", Client(), name="shared")
    assert await asyncio.wait_for(ready, 2.0)
