"""A provider for the tours of guarded calls, which fails a given number of times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ciris_registry import ServiceRegistry


class Sad(Exception):  # noqa: N818 # it reads better
    """What a provider raises."""


class Model:
    """A provider that returns its name, after failing a given number of times."""

    def __init__(self, name: str, *failures: Exception) -> None:
        self.name = name
        self.failures = list(failures)
        self.asked = 0

    async def complete(self, prompt: str = "") -> str:
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        return f"{self.name} {prompt}".strip()

    async def tokens(self, count: int, broken_at: int = -1) -> AsyncIterator[str]:
        self.asked += 1
        for number in range(count):
            if number == broken_at or (number == 0 and self.failures):
                raise self.failures.pop(0) if self.failures else Sad
            yield f"{self.name}{number}"

    async def opened(self, count: int) -> AsyncIterator[str]:
        return self.tokens(count)


def source(registry: ServiceRegistry, *models: Model, **options: Any) -> None:
    """The first one comes first."""
    for model in models:
        registry.register_global("llm", model, **{"name": model.name, **options})


async def counts(registry: ServiceRegistry, name: str) -> tuple[int, int]:
    """The successes and failures of a provider, as they are in Redis."""
    await registry.flush()
    stats = await registry.breaker("llm", name).aget_stats()
    return stats["total_successes"], stats["total_failures"]
