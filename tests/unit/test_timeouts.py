"""A time limit behaves as ``asyncio.timeout``, with one timer for many blocks."""

from __future__ import annotations

import asyncio
import random
import selectors
import time
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry.timeouts import TimeLimits

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

SHORT = 0.02


@pytest.fixture
def limits() -> TimeLimits:
    return TimeLimits()


async def test_a_block_that_takes_too_long_is_cancelled(limits: TimeLimits) -> None:
    with pytest.raises(TimeoutError), limits.limit(SHORT) as limit:
        await asyncio.sleep(60)
    assert limit.expired
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_a_block_that_ends_in_time_is_not_cancelled(limits: TimeLimits) -> None:
    with limits.limit(SHORT) as limit:
        await asyncio.sleep(0)
    await asyncio.sleep(2 * SHORT)
    assert not limit.expired


async def test_an_exception_is_raised_unchanged(limits: TimeLimits) -> None:
    with pytest.raises(ValueError, match="its own"), limits.limit(SHORT):
        raise ValueError("its own")


async def test_a_cancellation_from_outside_is_raised(limits: TimeLimits) -> None:
    async def wait() -> None:
        with limits.limit(60):
            await asyncio.sleep(60)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_at_the_same_time_as_the_timeout_is_raised(
    limits: TimeLimits,
) -> None:
    async def wait() -> None:
        with limits.limit(SHORT) as limit:
            try:
                await asyncio.sleep(60)
            finally:
                assert limit.expired
                task.cancel()

    task = asyncio.create_task(wait())
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("inner_first", [True, False])
async def test_limits_can_be_nested(limits: TimeLimits, inner_first: bool) -> None:
    outer, inner = (60, SHORT) if inner_first else (SHORT, 60)
    with limits.limit(outer) as one:
        try:
            with limits.limit(inner) as other:
                await asyncio.sleep(60)
        except TimeoutError:
            assert inner_first
            one_more = await asyncio.sleep(0, "goes on")
            assert one_more == "goes on"
        except asyncio.CancelledError:
            assert not inner_first
            with pytest.raises(TimeoutError):
                one.__exit__(asyncio.CancelledError, asyncio.CancelledError(), None)
            one.expired = False
        assert other.expired is inner_first


async def test_a_thousand_blocks_share_one_timer(limits: TimeLimits) -> None:
    loop = asyncio.get_running_loop()
    before = len(getattr(loop, "_scheduled", ()))

    async def wait() -> str:
        try:
            with limits.limit(SHORT):
                await asyncio.sleep(60 if random.random() < 0.5 else 0)
        except TimeoutError:
            return "timed out"
        return "in time"

    tasks = [asyncio.create_task(wait()) for _ in range(1000)]
    await asyncio.sleep(0)
    found = set(await asyncio.gather(*tasks))
    assert found == {"timed out", "in time"}
    assert len(getattr(loop, "_scheduled", ())) <= before + 600  # the sleeps that were cancelled
    await asyncio.sleep(2 * SHORT)
    assert not limits._watches


async def test_each_block_ends_at_its_own_time(limits: TimeLimits) -> None:
    loop = asyncio.get_running_loop()

    async def wait(delay: float, seconds: float) -> float:
        await asyncio.sleep(delay)
        began = loop.time()
        with pytest.raises(TimeoutError), limits.limit(seconds):
            await asyncio.sleep(60)
        return loop.time() - began - seconds

    waits = [wait(0.003 * n, seconds) for n in range(10) for seconds in (SHORT, 2 * SHORT, 0.01)]
    early = [late for late in await asyncio.gather(*waits) if late < -0.001]
    assert not early


class JumpingSelector(selectors.SelectSelector):
    """Waits for nothing: the clock jumps to the next timer, however busy the machine is."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.now += timeout or 0.0
        return super().select(0)


def test_a_limit_ends_as_asyncio_timeout_ends(limits: TimeLimits) -> None:
    """In 300 random orders of the end of the work, of the limit, and of a cancellation."""
    selector = JumpingSelector()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        ours, theirs = runner.run(ends_of_both(limits))
    assert ours == theirs
    assert set(ours) == {"limit", "work", "cancelled"}


async def ends_of_both(limits: TimeLimits) -> tuple[list[str], list[str]]:
    """How blocks with our limit end, and blocks with the one of asyncio."""

    async def end_of(
        make: Callable[[float], AbstractAsyncContextManager[object]],
        limit: float,
        work: float,
        cancelled: float,
    ) -> str:
        async def wait() -> str:
            try:
                async with make(limit):
                    await asyncio.sleep(work)
            except TimeoutError:
                await asyncio.sleep(0)
                return "limit"
            return "work"

        task = asyncio.create_task(wait())
        asyncio.get_running_loop().call_later(cancelled, task.cancel)
        try:
            return await task
        except asyncio.CancelledError:
            return "cancelled"

    class Ours:
        def __init__(self, seconds: float) -> None:
            self._limit = limits.limit(seconds)

        async def __aenter__(self) -> object:
            return self._limit.__enter__()

        async def __aexit__(self, *args: object) -> None:
            self._limit.__exit__(*args)  # type: ignore[arg-type]

    times = (0.01, 0.04, 0.07)
    cases = [[random.choice(times) for _ in range(3)] for _ in range(300)]
    clear = [case for case in cases if len(set(case)) == len(case)]
    ours = await asyncio.gather(*(end_of(Ours, *case) for case in clear))
    theirs = await asyncio.gather(*(end_of(asyncio.timeout, *case) for case in clear))
    return ours, theirs


def test_limits_can_be_used_in_another_event_loop(limits: TimeLimits) -> None:
    async def wait() -> bool:
        with limits.limit(SHORT) as limit:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                return limit.expired
        return False

    for _ in range(2):
        assert asyncio.run(wait())


async def test_an_ended_block_keeps_nothing_alive(limits: TimeLimits) -> None:
    class Work:
        """What a block holds."""

    async def block() -> weakref.ref[Work]:
        work = Work()
        with limits.limit(60):
            await asyncio.sleep(0)
            return weakref.ref(work)

    reference = await asyncio.create_task(block())
    assert reference() is None


def test_a_limit_outside_a_task_is_refused(limits: TimeLimits) -> None:
    async def make() -> None:
        def enter() -> None:
            try:
                with limits.limit(SHORT):
                    pass
            except RuntimeError as error:
                refused.set_result(str(error))

        refused = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(enter)
        assert "only in a task" in await refused

    asyncio.run(make())


async def test_a_reply_that_arrived_in_time_is_used_although_the_loop_was_blocked() -> None:
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[str] = loop.create_future()
    loop.call_later(SHORT / 2, arrived.set_result, "a reply")
    loop.call_soon(time.sleep, 3 * SHORT)
    with TimeLimits(last_turns=3).limit(SHORT) as limit:
        assert await arrived == "a reply"
    await asyncio.sleep(SHORT)
    assert not limit.expired


async def test_last_turns_are_limited() -> None:
    with pytest.raises(TimeoutError), TimeLimits(last_turns=3).limit(SHORT):
        await asyncio.sleep(60)


async def test_all_blocks_can_be_expired_at_once(limits: TimeLimits) -> None:
    async def wait(seconds: float) -> None:
        with limits.limit(seconds):
            await asyncio.sleep(60)

    tasks = [asyncio.create_task(wait(50 + number % 3)) for number in range(9)]
    await asyncio.sleep(0)
    limits.expire()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in ended] == [TimeoutError] * 9


async def test_a_block_that_expires_all_blocks_goes_on(limits: TimeLimits) -> None:
    """It knows why the others must end, and is about to end itself."""
    with limits.limit(60) as limit:
        limits.expire()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not limit.expired


def test_expiring_after_the_event_loop_ended_does_nothing(limits: TimeLimits) -> None:
    async def begin() -> None:
        with limits.limit(60):
            pass

    asyncio.run(begin())
    limits.expire()
