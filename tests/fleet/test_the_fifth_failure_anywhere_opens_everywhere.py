"""Failures count over the whole fleet, and the fifth in a row opens the breaker for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fleet.modes import BOTH_MODES
from tests.fleet.work import breakers, providers, registries, streaks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.fleet.pool import Team
    from tests.fleet.shared_state import SharedState
    from tests.fleet.work.state import AgentState

pytestmark = BOTH_MODES

USABLE = [True, True, True, "closed"]
REFUSED = [False, False, False, "open"]

FAIL: dict[str, Callable[[AgentState], Awaitable[object]]] = {
    "awaited": breakers.arecord_failure,
    "plain": breakers.flush_failures,
}


@pytest.mark.parametrize("way", FAIL)
def test_failures_of_four_processes_in_turn_open_it_for_all_at_the_fifth(
    way: str, fleet: Callable[..., Team], shared: SharedState
) -> None:
    four = fleet(4)
    four.all(providers.register_shared)

    for reporter in (0, 1, 2, 3):
        four[reporter].run(FAIL[way])
        assert four.all(streaks.look) == [USABLE] * 4
    four[0].run(FAIL[way])

    assert four.all(streaks.look) == [REFUSED] * 4
    [event] = shared.events("breaker_opened")
    assert event["actor"] == four[0].process_id
    assert shared.breaker()["consecutive_failures"] == "5"


def test_the_fifth_failed_health_check_of_four_processes_opens_it_for_all(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    four = fleet(4)
    four.all(streaks.register_unhealthy)

    for reporter in (0, 1, 2, 3):
        assert not four[reporter].run(registries.find, "thinker")
        assert shared.state() == "closed"
    four[0].run(registries.find, "thinker")

    assert shared.state() == "open"
    assert four.all(streaks.look) == [REFUSED] * 4
    assert shared.breaker()["total_failures"] == "5"


def test_a_success_anywhere_begins_the_count_anew(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    four = fleet(4)
    four.all(providers.register_shared)

    for _ in range(2):
        for reporter in (0, 1, 2, 3):
            four[reporter].run(FAIL["awaited"])
        four[3].run(breakers.arecord_success)
    for reporter in (3, 2, 1, 0):
        four[reporter].run(FAIL["awaited"])
    assert four.all(streaks.look) == [USABLE] * 4

    four[2].run(FAIL["awaited"])
    assert four.all(streaks.look) == [REFUSED] * 4


def test_failures_of_all_at_once_open_it_once(
    fleet: Callable[..., Team], shared: SharedState, mode: str
) -> None:
    four = fleet(4)
    four.all(providers.register_shared)

    states = four.all(breakers.arecord_failures, 5)

    seen = [state for states in states for state in states]
    # The stream may tell a cached process of the opening before its own answer is here.
    assert seen.count("closed") == 4 or (mode == "cached" and seen.count("closed") < 4)
    assert seen.count("open") == 20 - seen.count("closed")
    assert len(shared.events("breaker_opened")) == 1
    assert shared.breaker()["total_failures"] == "20"
    assert shared.breaker()["generation"] == "1"


def test_a_process_that_starts_later_is_refused_at_once(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    first = fleet(1)
    first.all(providers.register_shared)
    for _ in range(5):
        first[0].run(FAIL["awaited"])

    newcomer = fleet(1)

    assert newcomer[0].run(streaks.register_and_look) == REFUSED
