"""A Retry-After that one process receives stops the calls of all processes until then."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.shared_state import SharedState

SIZE = 20
SECONDS = 5
SOON = 0.1
"""Seconds in which all have heard of it; it takes milliseconds."""

PREPARE = """
    global limited, limited_at, reached, serve, call

    class Limited(Exception):
        status_code = 429
        headers = {"Retry-After": "5"}

    class Provider:
        async def serve(self, tells):
            reached.append(time.time())
            if tells:
                raise Limited

    reached = []
    registry.register_global("llm", Provider(), name="shared")
    await registry.flush()

    async def call(tells):
        try:
            await registry.call("h", "llm", Provider.serve, tells)
        except (Limited, NoProviderError) as error:
            return getattr(error, "retry_after", None)
"""

LIMIT = """
    await call(True)
    return reached[-1]
"""

ASK = """
    reached.clear()
    waits = []
    while not reached:
        waits.append(await call(False))
        await asyncio.sleep(0.1)
    return [reached[0], waits[0]]
"""


@pytest.mark.long
@pytest.mark.parametrize("mode", ["cached", "exact"])
def test_a_retry_after_stops_all_processes_and_is_no_failure(
    fleet: Callable[..., Team], shared: SharedState, mode: str
) -> None:
    twenty = fleet(SIZE, consistency=mode)
    twenty.all(PREPARE)
    limited_at = twenty[0].run(LIMIT)
    time.sleep(SOON)
    found = twenty.all(ASK)
    assert min(at for at, _ in found) - limited_at > SECONDS - SOON
    waits = [wait for _, wait in found if wait is not None]
    assert len(waits) == SIZE
    assert all(0 < wait < SECONDS for wait in waits)
    breaker = shared.breaker()
    assert breaker["state"] == "closed"
    assert breaker["total_failures"] == breaker["consecutive_failures"] == "0"
    (event,) = shared.events("breaker_cooldown_started")
    assert event["reason"] == "HTTP 429, retry-after"
    assert int(breaker["cooldown_until"]) - int(event["at"]) == SECONDS * 1000
