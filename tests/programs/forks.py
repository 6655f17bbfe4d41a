"""Forks while its registry is in use: the child is refused, and the parent goes on.

Argument: the URL. Prints what the child found.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import sys
from typing import TYPE_CHECKING, Any

from ciris_registry import ServiceRegistry, get_global_registry
from ciris_registry.errors import ForkedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.queues import SimpleQueue


class Client:
    """A provider."""


def refused(work: Callable[[], object]) -> bool:
    """Whether it raises the error that names the process to which the registry belongs."""
    try:
        work()
    except ForkedError as error:
        return str(os.getppid()) in str(error)
    return False


async def resolve(registry: ServiceRegistry) -> object:
    """Use the registry."""
    return await registry.get_service("h", "llm")


async def use_a_new_one(parents_id: str) -> str:
    """Use a registry of the child's own."""
    own = get_global_registry()
    assert own.process_id != parents_id
    assert str(os.getpid()) in own.process_id
    async with own:
        own.register("h", "llm", Client(), name="childs")
        return type(await own.get_service("h", "llm", consistency="exact")).__name__


def child(registry: ServiceRegistry, answers: SimpleQueue[dict[str, Any]]) -> None:
    """What the forked process does."""
    answers.put(
        {
            "resolve": refused(lambda: asyncio.run(resolve(registry))),
            "again": refused(lambda: asyncio.run(resolve(registry))),
            "register": refused(lambda: registry.register("h", "llm", Client())),
            "flush": refused(lambda: asyncio.run(registry.flush())),
            "collected": gc.collect() >= 0,  # what the parent goes on using stays whole
            "new": asyncio.run(use_a_new_one(registry.process_id)),
        }
    )


async def main() -> None:
    """Use the registry before the fork, while the child runs, and afterwards."""
    registry = get_global_registry()
    client = Client()
    name = registry.register("h", "llm", client)
    for _ in range(3):
        assert await registry.get_service("h", "llm") is client
    breaker = registry.breaker("llm", name)
    breaker.record_success()
    context = multiprocessing.get_context("fork")
    answers: SimpleQueue[dict[str, Any]] = context.SimpleQueue()
    process = context.Process(target=child, args=(registry, answers))
    process.start()
    while process.is_alive():
        assert await registry.get_service("h", "llm") is client
        breaker.record_success()
        await asyncio.sleep(0.01)
    assert process.exitcode == 0, process.exitcode
    print(answers.get())  # noqa: T201 # read by the test
    assert get_global_registry() is registry
    assert await registry.get_service("h", "llm", consistency="exact") is client
    await registry.flush()
    assert registry.health().ok
    assert not registry.health().failures
    assert (await breaker.aget_stats())["total_failures"] == 0
    await registry.aclose()


if __name__ == "__main__":
    os.environ["CIRIS_REGISTRY_URL"] = sys.argv[1]
    asyncio.run(main())
