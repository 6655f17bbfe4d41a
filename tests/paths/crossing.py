"""Counts the files of the package that code crosses while it runs, with ``sys.setprofile``.

A file counts as crossed when one of its functions runs, also in a callback of the event loop. The
code is warmed up first, so that what is counted is the path that each later call takes.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import ciris_registry
from ciris_registry import CircuitBreakerConfig, RegistrySettings, ServiceRegistry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import FrameType

PACKAGE = Path(ciris_registry.__file__).parent

SETTINGS = RegistrySettings(
    lease=600.0, store_timeout=5.0, max_staleness=30.0, success_report_interval=60.0
)
"""No heartbeat, no report and no refresh of the background falls into what is counted."""

QUICK = CircuitBreakerConfig(failure_threshold=1)


class Crossing:
    """A ``with`` block, after which ``files`` are those that it crossed, in order."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.calls = 0

    def __enter__(self) -> Self:
        sys.setprofile(self._see)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _see(self, frame: FrameType, event: str, _argument: object) -> None:
        if event != "call":
            return
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(PACKAGE):
            self.calls += 1
            name = str(path.relative_to(PACKAGE))
            if name not in self.files:
                self.files.append(name)


class Client:
    """A provider whose answer is at once there, or that fails."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails

    async def answer(self) -> str:
        if self.fails:
            raise ConnectionError("down")
        return "yes"


async def crossed(work: Callable[[], Awaitable[object]], warm_up: int = 3) -> Crossing:
    """What one run of ``work`` crosses after ``warm_up`` others."""
    for _ in range(warm_up):
        await work()
    await asyncio.sleep(0.05)
    crossing = Crossing()
    with crossing:
        await work()
    return crossing


def registry(url: str, **options: Any) -> ServiceRegistry:
    """A registry with one healthy provider."""
    made = ServiceRegistry(url=url, settings=SETTINGS, **options)
    made.register_global("llm", Client(), name="well")
    return made


async def call(url: str) -> Crossing:
    """A cached call that succeeds."""
    async with registry(url) as one:
        return await crossed(lambda: one.call("planner", "llm", Client.answer))


async def acquire(url: str) -> Crossing:
    """A cached ``acquire`` whose block ends well."""
    async with registry(url) as one:

        async def block() -> None:
            async with one.acquire("planner", "llm") as client:
                await client.answer()

        return await crossed(block)


async def exact_resolve(url: str) -> Crossing:
    """An exact ``get_service``."""
    async with registry(url, consistency="exact") as one:
        return await crossed(lambda: one.get_service("planner", "llm"))


async def failing_over(url: str) -> Crossing:
    """A call whose first provider fails, which opens no breaker, and whose second one serves."""
    async with registry(url) as one:
        config = CircuitBreakerConfig(failure_threshold=100, failure_rate_threshold=None)
        one.register(
            "planner", "llm", Client(fails=True), name="ill", circuit_breaker_config=config
        )
        return await crossed(lambda: one.call("planner", "llm", Client.answer))


async def followed_event(url: str) -> Crossing:
    """An opening by another process, as this process follows it."""
    async with registry(url) as watching, registry(url) as other:
        handles = [one.breaker("llm", "well") for one in (watching, other)]
        for _ in range(3):  # the last opening is the one that is counted
            await watching.refresh()
            await watching.get_service("planner", "llm")
            await handles[1].areset()
            await until(lambda: handles[0].is_available())
            await asyncio.sleep(0.05)
            opening = asyncio.create_task(_opened_elsewhere(url))
            crossing = Crossing()
            replica = watching._replicas.of("llm")
            await opening
            with crossing:
                await until(lambda: replica.snapshot.breakers["well"].state.value == "open")
        return crossing
