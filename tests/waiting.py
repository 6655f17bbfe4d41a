"""Waiting for something to become true, instead of sleeping and hoping."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_INTERVAL = 0.005
PATIENCE = 30.0
"""Seconds that a busy machine may need for anything at all; a test that waits in vain fails."""


def wait_until(predicate: Callable[[], object], timeout: float = PATIENCE) -> None:
    """Return as soon as ``predicate()`` is true; fail the test after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not predicate():
        assert time.monotonic() < deadline, f"not true within {timeout} s: {predicate}"
        time.sleep(_INTERVAL)


async def async_wait_until(
    predicate: Callable[[], object | Awaitable[object]],
    timeout: float = PATIENCE,  # a test fails by its own message
) -> None:
    """As ``wait_until``, for a running event loop; ``predicate`` may be a coroutine function."""
    deadline = time.monotonic() + timeout
    while True:
        answer = predicate()
        if hasattr(answer, "__await__"):
            answer = await answer
        if answer:
            return
        assert time.monotonic() < deadline, f"not true within {timeout} s: {predicate}"
        await asyncio.sleep(_INTERVAL)
