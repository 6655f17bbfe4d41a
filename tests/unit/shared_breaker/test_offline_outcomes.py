"""What is learned while Redis is away is offered once, and kept until it could be sent."""

from __future__ import annotations

import time

import pytest

from ciris_registry.errors import StoreUnavailableError
from ciris_registry.shared_breaker.offline_outcomes import OfflineCounts, OfflineOutcomes

KEY = ("llm", "shared")


def numbers(learned: OfflineCounts) -> tuple[int, int, int, int]:
    return learned.generation, learned.successes, learned.failures, learned.streak


@pytest.mark.parametrize(
    ("later", "expected"), [(["failure"], (7, 1, 3, 3)), (["success", "failure"], (7, 2, 3, 1))]
)
async def test_what_is_learned_while_an_offer_fails_comes_on_top_of_what_was_offered(
    later: list[str], expected: tuple[int, int, int, int]
) -> None:
    """It took the place of what had been offered in vain, which was lost."""
    offline = OfflineOutcomes()
    for outcome in ("success", "failure", "failure"):
        offline.of(KEY, 7).note(outcome)
    offline.of(KEY, 7).cools_until = 5

    async def in_vain(key: tuple[str, str], _: OfflineCounts) -> None:
        for outcome in later:
            offline.of(key, 8).note(outcome)  # type: ignore[arg-type]
        raise StoreUnavailableError("somewhere", "a test")

    with pytest.raises(StoreUnavailableError):
        await offline.source(in_vain)

    assert numbers(offline.of(KEY, 9)) == expected
    assert offline.of(KEY, 9).cools_until == 5


def test_what_is_learned_says_how_long_ago_the_newest_success_was() -> None:
    earlier, later = OfflineCounts(1), OfflineCounts(1)
    earlier.note("success", 3, time.monotonic() - 5.0)
    earlier.note("success", 3, time.monotonic() - 8.0)
    assert 5000 <= earlier.age() < 6000
    later.note("failure")
    later.follow(earlier)
    assert 5000 <= later.age() < 6000
    later.note("success")
    assert later.age() < 1000
