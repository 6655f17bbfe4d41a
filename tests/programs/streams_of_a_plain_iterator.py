"""Streams an iterator whose ``__anext__`` is a plain function, which raises at its end."""

from __future__ import annotations

import asyncio
from typing import Self

from ciris_registry import ServiceRegistry


class Countdown:
    """Its ``__anext__`` returns a future, or raises at once."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> asyncio.Future[int]:
        if not self._number:
            raise StopAsyncIteration
        self._number -= 1
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        found.set_result(self._number)
        return found


async def main() -> None:
    """Read two items, and none."""
    async with ServiceRegistry(url="memory://") as registry:
        registry.register_global("llm", object(), name="a")
        for number, items in ((2, [1, 0]), (0, [])):
            found = registry.stream("h", "llm", lambda _, number=number: Countdown(number))
            assert [one async for one in found] == items


if __name__ == "__main__":
    asyncio.run(main())
