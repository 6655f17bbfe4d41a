"""Whether code had awaited anything before it raised is read from its traceback."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry.calls.awaits import may_have_awaited

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


async def quick() -> None:
    """Awaits nothing."""


async def at_once() -> None:
    raise KeyError


async def in_an_inner_one() -> None:
    await at_once()


async def in_a_plain_function() -> None:
    def plain() -> None:
        raise KeyError

    plain()


async def in_a_loop_without_await() -> None:
    for one in ({"a": 1}, {}):
        assert one["a"]


async def in_another_branch() -> None:
    if not asyncio.get_running_loop():
        await quick()
    raise KeyError


async def after_an_await() -> None:
    await quick()
    raise KeyError


async def in_an_inner_one_after_an_await() -> None:
    await quick()
    await at_once()


async def in_the_inner_one_after_its_await() -> None:
    await after_an_await()


async def in_the_second_turn_of_a_loop() -> None:
    for one in ({"a": 1}, {}):
        assert one["a"]
        await quick()


async def after_an_async_with() -> None:
    @asynccontextmanager
    async def block() -> AsyncIterator[None]:
        yield

    async with block():
        raise KeyError


async def after_an_async_for() -> None:
    async def words() -> AsyncIterator[int]:
        yield 1

    async for _ in words():
        raise KeyError


@pytest.mark.parametrize(
    ("code", "awaited"),
    [
        (at_once, False),
        (in_an_inner_one, False),
        (in_a_plain_function, False),
        (in_a_loop_without_await, False),
        (in_another_branch, True),  # it may have
        (after_an_await, True),
        (in_an_inner_one_after_an_await, True),
        (in_the_inner_one_after_its_await, True),
        (in_the_second_turn_of_a_loop, True),
        (after_an_async_with, True),
        (after_an_async_for, True),
    ],
    ids=lambda one: getattr(one, "__name__", str(one)),
)
async def test_awaits_before_an_error_are_seen(
    code: Callable[[], Awaitable[Any]], awaited: bool
) -> None:
    with pytest.raises(KeyError) as raised:
        await code()
    # Without the frame of this test, which is not of a guarded call.
    found = raised.value.with_traceback(raised.tb.tb_next)
    assert may_have_awaited(found) is awaited
