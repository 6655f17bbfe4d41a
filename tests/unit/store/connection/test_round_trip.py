"""The round trip to Redis: what is measured, and how long a call waits by it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import pytest

from ciris_registry import RegistrySettings
from ciris_registry.store.connection import Connectivity, RoundTrip

if TYPE_CHECKING:
    from collections.abc import Sequence

SETTINGS: Final = RegistrySettings(store_timeout=0.05, max_store_timeout=1.0)


def after(*samples: float) -> RoundTrip:
    round_trip = RoundTrip("redis://far", SETTINGS)
    for seconds in samples:
        round_trip.note(seconds)
    return round_trip


@pytest.mark.parametrize(
    ("samples", "wait"),
    [
        ((), 0.05),
        ((0.001,), 0.05),
        ((0.1,), 0.4),
        ((0.1,) * 16, 0.4),
        ((3.0,) * 16, 1.0),
        ((0.001,) * 15 + (0.8,), 0.05),
        ((0.8, 0.001, 0.001), 0.05),
        ((0.001,) * 16 + (0.1,) * 9, 0.4),
    ],
    ids=["none", "near", "far", "always far", "too far", "one late", "late at first", "moved"],
)
def test_a_call_waits_for_four_round_trips_within_its_bounds(
    samples: Sequence[float], wait: float
) -> None:
    assert after(*samples).wait == pytest.approx(wait)


def test_a_long_round_trip_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    after(*(0.06,) * 40)
    [line] = caplog.messages
    assert "a round trip to Redis takes 60 ms and store_timeout is 50 ms" in line
    after(*(0.02,) * 40)
    assert len(caplog.messages) == 1


async def test_a_reply_that_waited_for_this_process_does_not_count() -> None:
    """A process with a busy event loop took Redis for far away."""
    round_trip = after(0.001, 0.001)
    sample = round_trip.begin()
    assert sample is not None
    await asyncio.sleep(0)
    time.sleep(0.1)  # noqa: ASYNC251 # blocks the loop
    await asyncio.sleep(0)
    sample.end()
    round_trip.note(0.001)
    assert round_trip.seconds == 0.001
    assert len(round_trip._samples) == 3


async def test_a_late_timeout_does_not_put_a_healthy_connection_in_doubt() -> None:
    """A call of several replies that took too long suspended Redis, which had just answered."""
    connectivity = Connectivity("redis://far", SETTINGS)

    async def answered() -> None:
        await asyncio.sleep(0.02)
        connectivity.note_reply()
        await asyncio.sleep(60)

    for work, connected in ((answered(), True), (asyncio.sleep(60), False)):
        with pytest.raises(Exception, match=r"no answer within 0\.05 s"):
            await connectivity.within_timeout(work)
        assert connectivity.connected is connected
