"""No call waits for hours: ``retry`` gives up if no provider may serve soon."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from tenacity import AsyncRetrying, stop_after_attempt, wait_fixed

from ciris_registry import RegistrySettings, ServiceRegistry
from ciris_registry.errors import DeadlineExceededError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    New = Callable[..., ServiceRegistry]


class LimitedError(Exception):
    """A provider that asks for a wait."""

    status_code = 429

    def __init__(self, seconds: float) -> None:
        super().__init__("slow down")
        self.headers = {"retry-after": str(seconds)}


async def asks_for_an_hour(_instance: object) -> None:
    raise LimitedError(3600)


@pytest.mark.parametrize("retry", [2, AsyncRetrying(stop=stop_after_attempt(2))])
async def test_a_wait_beyond_the_longest_ends_the_call_with_its_error(
    registry: ServiceRegistry, retry: Any
) -> None:
    registry.register_global("llm", "one", name="one")
    began = time.monotonic()

    with pytest.raises(LimitedError):
        await registry.call("h", "llm", asks_for_an_hour, retry=retry)

    assert time.monotonic() - began < 5


async def test_a_shorter_wait_is_waited_for(new_registry: New) -> None:
    registry = new_registry(settings=RegistrySettings(max_retry_wait=0.3))
    registry.register_global("llm", "one", name="one")
    asked: list[float] = []

    async def ask(_instance: object) -> str:
        asked.append(time.monotonic())
        if len(asked) == 1:
            raise LimitedError(0.1)
        return "yes"

    retry = AsyncRetrying(stop=stop_after_attempt(2), wait=wait_fixed(0))
    assert await registry.call("h", "llm", ask, retry=retry) == "yes"
    assert asked[1] - asked[0] >= 0.09


async def test_a_deadline_says_how_long_a_call_waits(new_registry: New) -> None:
    registry = new_registry(settings=RegistrySettings(max_retry_wait=0.01))
    registry.register_global("llm", "one", name="one")
    asked: list[str] = []

    async def ask(_instance: object) -> str:
        asked.append("asked")
        if len(asked) == 1:
            raise LimitedError(0.1)
        return "yes"

    assert await registry.call("h", "llm", ask, retry=2, deadline=5) == "yes"
    with pytest.raises((DeadlineExceededError, LimitedError)):
        await registry.call("h", "llm", asks_for_an_hour, retry=2, deadline=0.2)


class PlainStream:
    """A stream of words that has only ``close``."""

    def __init__(self, closed: list[str], *, waits: bool) -> None:
        self._closed, self._waits = closed, waits

    async def __aiter__(self) -> AsyncIterator[str]:
        for word in ("one", "two"):
            yield word

    def close(self) -> Any:
        self._closed.append("closed")
        return asyncio.sleep(0) if self._waits else None


@pytest.mark.parametrize("waits", [False, True], ids=["close()", "await close()"])
async def test_a_stream_that_has_only_close_is_closed(
    registry: ServiceRegistry, waits: bool
) -> None:
    registry.register_global("llm", "one", name="one")
    closed: list[str] = []

    async for _ in registry.stream("h", "llm", lambda _: PlainStream(closed, waits=waits)):
        pass

    assert closed == ["closed"]
