"""Counts the files of the package that code crosses while it runs, with ``sys.setprofile``.

A file counts as crossed when one of its functions runs, also in a callback of the event loop. The
code is warmed up first, so that what is counted is the path that each later call takes.
"""

from __future__ import annotations

import asyncio
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import ciris_registry
from ciris_registry import (
    BreakerHandle,
    CircuitBreakerConfig,
    RegistrySettings,
    SelectionStrategy,
    ServiceRegistry,
)
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import FrameType

PACKAGE = Path(ciris_registry.__file__).parent

SETTINGS = RegistrySettings(
    lease=600.0, store_timeout=5.0, max_staleness=30.0, success_report_interval=60.0
)
"""No heartbeat, no report and no refresh of the background falls into what is counted."""


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


async def crossed(
    one: ServiceRegistry,
    work: Callable[[], Awaitable[object]],
    warm_up: int = 3,
    times: int = 5,
) -> Crossing:
    """What one run of ``work`` crosses after ``warm_up`` others: the least of so many ``times``.

    A run may meet work of the background. A few replies a second are measured; those to these runs
    are not.
    """
    for _ in range(warm_up):
        await work()
    one._parts.connectivity.round_trip.next_at = math.inf
    found: list[Crossing] = []
    for _ in range(times):
        await asyncio.sleep(0.05)  # what the run before it has left to the background
        crossing = Crossing()
        with crossing:
            await work()
        found.append(crossing)
    return min(found, key=lambda one: len(one.files))


def registry(url: str, **options: Any) -> ServiceRegistry:
    """A registry with one healthy provider."""
    made = ServiceRegistry(url=url, settings=SETTINGS, **options)
    made.register_global("llm", Client(), name="well")
    return made


async def call(url: str) -> Crossing:
    """A cached call that succeeds."""
    async with registry(url) as one:
        return await crossed(one, lambda: one.call("planner", "llm", Client.answer))


async def acquire(url: str) -> Crossing:
    """A cached ``acquire`` whose block ends well."""
    async with registry(url) as one:

        async def block() -> None:
            async with one.acquire("planner", "llm") as client:
                await client.answer()

        return await crossed(one, block)


async def exact_resolve(url: str) -> Crossing:
    """An exact ``get_service``."""
    async with registry(url, consistency="exact") as one:
        return await crossed(one, lambda: one.get_service("planner", "llm"))


async def failing_over(url: str) -> Crossing:
    """A call whose first provider fails, which opens no breaker, and whose second one serves."""
    async with registry(url) as one:
        config = CircuitBreakerConfig(failure_threshold=100, failure_rate_threshold=None)
        one.register(
            "planner", "llm", Client(fails=True), name="ill", circuit_breaker_config=config
        )
        return await crossed(one, lambda: one.call("planner", "llm", Client.answer))


async def failing_over_in_a_round_robin(url: str) -> Crossing:
    """As ``failing_over``, but both providers take turns: counted when the ill one is first."""
    async with ServiceRegistry(url=url, settings=SETTINGS) as one:
        config = CircuitBreakerConfig(failure_threshold=100, failure_rate_threshold=None)
        for name, client in (("ill", Client(fails=True)), ("well", Client())):
            one.register_global(
                "llm",
                client,
                name=name,
                circuit_breaker_config=config,
                strategy=SelectionStrategy.ROUND_ROBIN,
            )
        found = [
            await crossed(one, lambda: one.call("planner", "llm", Client.answer), times=1)
            for _ in range(8)
        ]
        failed_over = [one for one in found if "calls/failover.py" in one.files]
        return min(failed_over, key=lambda crossing: len(crossing.files))


async def call_with_a_limit(url: str) -> Crossing:
    """A cached call of a provider with ``max_in_flight``, whose slot Redis gives."""
    async with ServiceRegistry(url=url, settings=SETTINGS) as one:
        one.register_global("llm", Client(), name="well", max_in_flight=4)
        return await crossed(one, lambda: one.call("planner", "llm", Client.answer))


async def followed_event(url: str) -> Crossing:
    """An override by another registry, from its event's arrival to the changed replica."""
    async with registry(url) as one:
        breaker = one.breaker("llm", "well")
        await one.get_service("planner", "llm")
        await asyncio.sleep(0.6)  # the timer of the first load has rung
        for opened in (True, False, True, False):
            crossing = await _followed(one, breaker, url, opened=opened)
        return crossing


async def _followed(
    one: ServiceRegistry, breaker: BreakerHandle, url: str, *, opened: bool
) -> Crossing:
    replica = one._parts.replicas.of("llm")
    snapshot = replica.snapshot
    crossing = Crossing()
    with crossing:
        # In a thread of its own, which is not profiled, as another process would do it.
        await asyncio.to_thread(_override, url, opened=opened)
        await async_wait_until(lambda: replica.snapshot is not snapshot)
    await asyncio.sleep(0.05)
    assert breaker.is_available() is not opened
    return crossing


def _override(url: str, *, opened: bool) -> None:
    async def write() -> None:
        async with ServiceRegistry(url=url, settings=SETTINGS) as other:
            handle = other.breaker("llm", "well")
            await (handle.aforce_open() if opened else handle.aclear_override())

    asyncio.run(write())


PATHS = {
    "a cached call": (call, 6),
    "a cached acquire": (acquire, 6),
    "an exact resolve": (exact_resolve, 14),
    "a call that fails over": (failing_over, 24),
    "a followed event": (followed_event, 14),
    "a call that fails over in a round robin": (failing_over_in_a_round_robin, 40),
    "a cached call with a concurrency limit": (call_with_a_limit, 25),
}
"""Each path, and how many files it may cross."""


async def measure(url: str) -> list[tuple[str, int, Crossing]]:
    """Each path, its bound and what it crosses."""
    return [(name, bound, await path(url)) for name, (path, bound) in PATHS.items()]


def main() -> None:
    """Print the files of each path; the only argument is the URL of a server."""
    for name, bound, crossing in asyncio.run(measure(sys.argv[1])):
        sys.stdout.write(f"{name}: {len(crossing.files)} files of at most {bound}\n")
        sys.stdout.writelines(f"    {file}\n" for file in crossing.files)


if __name__ == "__main__":
    main()
