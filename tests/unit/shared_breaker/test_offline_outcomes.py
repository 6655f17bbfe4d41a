"""Outcomes counted while Redis is away are merged once, and kept until they could be sent."""

from __future__ import annotations

import time

import pytest

from ciris_registry.errors import StoreUnavailableError
from ciris_registry.shared_breaker.offline_outcomes import OfflineCounts, OfflineOutcomes

KEY = ("llm", "shared")


def numbers(counts: OfflineCounts) -> tuple[int, int, int, int]:
    return counts.generation, counts.successes, counts.failures, counts.streak


@pytest.mark.parametrize(
    ("later", "expected"), [(["failure"], (7, 1, 3, 3)), (["success", "failure"], (7, 2, 3, 1))]
)
async def test_outcomes_counted_while_a_merge_fails_are_added_to_those_of_the_merge(
    later: list[str], expected: tuple[int, int, int, int]
) -> None:
    """They replaced the outcomes that had not been merged, which were lost."""
    offline = OfflineOutcomes()
    for outcome in ("success", "failure", "failure"):
        offline.of(KEY, 7).note(outcome)
    offline.of(KEY, 7).cools_until = 5

    async def fail(key: tuple[str, str], _: OfflineCounts) -> None:
        for outcome in later:
            offline.of(key, 8).note(outcome)  # type: ignore[arg-type]
        raise StoreUnavailableError("somewhere", "a test")

    with pytest.raises(StoreUnavailableError):
        await offline.replay(fail)

    assert numbers(offline.of(KEY, 9)) == expected
    assert offline.of(KEY, 9).cools_until == 5


def test_offline_counts_contain_the_age_of_the_newest_success() -> None:
    earlier, later = OfflineCounts(1), OfflineCounts(1)
    earlier.note("success", 3, time.monotonic() - 5.0)
    earlier.note("success", 3, time.monotonic() - 8.0)
    assert 5000 <= earlier.age() < 6000
    later.note("failure")
    later.follow(earlier)
    assert 5000 <= later.age() < 6000
    later.note("success")
    assert later.age() < 1000
