"""Registers, resolves and records a hundred times, and never closes its registry.

Arguments: the URL, and what the program does last.
"""

from __future__ import annotations

import asyncio
import sys

from ciris_registry import SelectionStrategy, ServiceRegistry


async def main(registry: ServiceRegistry, last: str) -> None:
    """Use the registry, and end in one of four ways."""
    for _ in range(3):
        registry.register("h", "llm", object(), strategy=SelectionStrategy.ROUND_ROBIN)
    for _ in range(100):
        await registry.get_service("h", "llm")
        for one in registry.get_provider_info()["handlers"]["h"]["llm"]:
            registry.breaker("llm", one["name"]).record_success()
    if last == "sleeps":
        await asyncio.sleep(0.05)
    elif last == "registers":
        registry.register("h", "new", object())
    elif last == "exits":
        sys.exit(0)
    else:
        assert last == "nothing", last


if __name__ == "__main__":
    forgotten = ServiceRegistry(url=sys.argv[1])
    asyncio.run(main(forgotten, sys.argv[2]))
