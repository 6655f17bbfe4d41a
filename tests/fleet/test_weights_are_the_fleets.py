"""Weighted turns are the whole fleet's: each provider gets its share within 1 %, in both modes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.fleet.work import breakers, registries, weights

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.fleet.pool import Team
    from tests.fleet.work.state import AgentState

    Use = Callable[[AgentState, int], Awaitable[list[str]]]

MODES = ("cached", "exact")
TIMES = {"cached": 600, "exact": 100}
"""Uses by each of twenty processes; cached, what is left of their blocks is within 1 % of them."""

WEIGHTS = {"a": 1, "b": 2, "c": 3, "d": 4}


def counted(answers: list[list[str]]) -> Counter[str]:
    return Counter(name for answer in answers for name in answer)


def assert_shares(got: Counter[str], expected: dict[str, int]) -> None:
    """Within 1 % of its share, each."""
    assert set(got) == set(expected)
    for name, weight in expected.items():
        share = got.total() * weight / sum(expected.values())
        assert abs(got[name] - share) <= 0.01 * share, (name, share, got)


@pytest.mark.parametrize("use", [weights.resolve, weights.call], ids=["resolves", "calls"])
@pytest.mark.parametrize("mode", MODES)
def test_twenty_processes_at_once_use_each_provider_by_its_weight(
    fleet: Callable[..., Team], mode: str, use: Use
) -> None:
    twenty = fleet(20, consistency=mode, lease=60.0)
    twenty.all(weights.register, WEIGHTS)
    twenty.all(registries.refresh)
    assert_shares(counted(twenty.all(use, TIMES[mode])), WEIGHTS)


@pytest.mark.parametrize("mode", MODES)
def test_the_share_of_an_open_provider_goes_to_the_others_by_their_weights(
    fleet: Callable[..., Team], mode: str
) -> None:
    eight = fleet(8, consistency=mode, lease=60.0)
    eight.all(weights.register, WEIGHTS)
    eight[0].run(breakers.force_open, "d", "a test", 60)
    eight.all(registries.refresh)
    rest = {name: weight for name, weight in WEIGHTS.items() if name != "d"}
    assert_shares(counted(eight.all(weights.resolve, 2 * TIMES[mode])), rest)


def test_a_new_weight_is_the_whole_fleets(fleet: Callable[..., Team]) -> None:
    four = fleet(4, consistency="cached", lease=60.0)
    four.all(weights.register, WEIGHTS)
    four[0].run(weights.register, {"a": 10})
    four.all(registries.refresh)
    assert_shares(counted(four.all(weights.resolve, 1000)), {**WEIGHTS, "a": 10})


@pytest.mark.parametrize("mode", MODES)
def test_the_least_loaded_gets_the_next_call_for_its_weight(
    fleet: Callable[..., Team], mode: str
) -> None:
    """Twelve calls at one time, of which one provider gets twice as many as the other."""
    [one] = fleet(1, consistency=mode)
    in_flight = one.run(weights.call_the_least_loaded)
    assert in_flight == {"heavy": 8, "light": 4}
