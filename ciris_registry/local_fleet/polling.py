"""Waiting for a condition that announces no change, such as a file being removed."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_INTERVAL: Final = 0.01


async def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Check the condition every 10 ms; whether it became true in time."""
    deadline = time.monotonic() + seconds
    while not (true := condition()) and time.monotonic() < deadline:  # noqa: ASYNC110 # no event is set
        await asyncio.sleep(_INTERVAL)
    return true
