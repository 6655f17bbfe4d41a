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
    clock.set(5_000_000, 100.0)
    monotonic[0] += 1.5
    assert clock.now() == 5_001_500
    assert clock.monotonic_at(5_002_000) == 102.0


@pytest.mark.parametrize(
    ("by", "was_set"),
    [(-STEP - 1, True), (-STEP, False), (STEP, False), (STEP + 1, True)],
)
def test_only_more_than_a_second_is_a_step(
    monotonic: list[float], by: int, *, was_set: bool
) -> None:
    clock = ServerClock()
    clock.set(5_000_000, 100.0)
    assert clock.set(5_000_000 + by, 100.0) is was_set
    assert clock.now() == 5_000_000 + by


def test_a_reply_that_a_stopped_process_reads_late_sets_no_clock(monotonic: list[float]) -> None:
    clock = ServerClock()
    clock.set(5_000_000, 100.0)
    monotonic[0] += 3.0
    assert not clock.set(5_000_001, 100.0)
    assert clock.now() == 5_003_000
    assert not clock.set(5_003_000, 103.0)
