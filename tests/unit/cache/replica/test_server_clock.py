"""The server clock knows the server's time without asking, however that clock moves."""

from __future__ import annotations

import time

import pytest

from ciris_registry.cache.replica.server_clock import STEP, ServerClock


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds of this process's monotonic clock, to be moved."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_before_the_first_reply_it_is_this_machines_time(monotonic: list[float]) -> None:
    assert abs(ServerClock().now() - time.time() * 1000) < 1000


def test_it_goes_on_from_the_last_reply(monotonic: list[float]) -> None:
    clock = ServerClock()
    clock.set(5_000_000)
    monotonic[0] += 1.5
    assert clock.now() == 5_001_500
    assert clock.monotonic_at(5_002_000) == 102.0


@pytest.mark.parametrize(("by", "stepped"), [(-STEP - 1, True), (-STEP, False), (STEP * 9, False)])
def test_only_more_than_a_second_back_is_a_step(
    monotonic: list[float], by: int, *, stepped: bool
) -> None:
    clock = ServerClock()
    clock.set(5_000_000)
    assert clock.set(5_000_000 + by) is stepped
    assert clock.now() == 5_000_000 + by
