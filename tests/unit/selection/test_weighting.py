"""The order of candidates at a position: evenly, by weight, by load."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice, pairwise, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciris_registry.selection.weighting import (
    least_loaded,
    least_loaded_first,
    rotated,
    weighted,
    weighted_first,
)

WEIGHTS = st.lists(st.integers(1, 1000), min_size=1, max_size=12)
POSITIONS = st.integers(0, 2**63)
FAR = 2**62


@settings(deadline=None)
@given(size=st.integers(1, 6), start=st.integers(0, 10_000))
def test_each_rotation_has_every_candidate_once_and_all_orders_equally_often(
    size: int, start: int
) -> None:
    items = list(range(size))
    period = len(list(permutations(items)))
    orders = [tuple(rotated(items, start + i)) for i in range(period)]
    assert sorted(orders) == sorted(permutations(items))
    assert set(Counter(order[0] for order in orders).values()) == {period // size}


def test_the_second_candidate_rotates_among_all_others() -> None:
    second = Counter(list(rotated("abcd", i))[1] for i in range(0, 4 * 9, 4))
    assert second == {"b": 3, "c": 3, "d": 3}


@given(WEIGHTS, POSITIONS)
def test_weighted_has_every_candidate_once_and_weighted_first_is_its_first(
    weights: list[int], position: int
) -> None:
    order = list(weighted(range(len(weights)), weights, position))
    assert sorted(order) == list(range(len(weights)))
    assert order[0] == weighted_first(weights)(position)


@pytest.mark.parametrize("start", [0, 12_345, FAR])
@pytest.mark.parametrize(
    "weights", [(1, 1), (1, 1, 1), (1, 2, 3, 4), (1, 99), (1000, 1), (7, 1, 7)]
)
def test_any_range_of_positions_gives_each_candidate_its_share(
    weights: tuple[int, ...], start: int
) -> None:
    """At most three turns too many or too few, however long the range."""
    first = weighted_first(weights)
    met: Counter[int] = Counter()
    for turns in range(1, 5001):
        met[first(start + turns)] += 1
        for index, weight in enumerate(weights):
            assert abs(met[index] - turns * weight / sum(weights)) <= 3


def test_equal_weights_make_a_fair_rotation() -> None:
    """Of four candidates, each comes again after six turns at the most."""
    first = weighted_first([1] * 4)
    turns = [first(position) for position in range(10_000)]
    assert all(abs(turns.count(index) - 2500) <= 2 for index in range(4))
    for index in range(4):
        at = [position for position, one in enumerate(turns) if one == index]
        assert max(b - a for a, b in pairwise(at)) <= 6


@pytest.mark.parametrize("block", [1, 7, 32])
def test_partly_used_blocks_give_each_candidate_its_share(block: int) -> None:
    """Processes use blocks at the same time; unused positions of a block are skipped."""
    dice = random.Random(7)
    weights = (1, 2, 3, 4)
    first = weighted_first(weights)
    met: Counter[int] = Counter()
    for start in range(0, 40_000, block):
        used = block if dice.random() < 0.9 else dice.randrange(block)
        met.update(first(position) for position in range(start, start + used))
    for index, weight in enumerate(weights):
        share = met.total() * weight / 10
        assert abs(met[index] - share) <= 0.01 * share, met


def test_the_second_candidate_is_chosen_by_the_weights_of_the_others() -> None:
    weights = (5, 1, 2, 2)
    orders = [tuple(islice(weighted("abcd", weights, position), 3)) for position in range(40_000)]
    for first, others in {"a": {"b": 1, "c": 2, "d": 2}, "c": {"a": 5, "b": 1, "d": 2}}.items():
        second = Counter(order[1] for order in orders if order[0] == first)
        for name, weight in others.items():
            share = second.total() * weight / sum(others.values())
            assert abs(second[name] - share) <= 0.01 * share + 2, (first, second)
    third = Counter(order[2] for order in orders if order[:2] == ("a", "c"))
    assert abs(third["d"] / third["b"] - 2) < 0.05, third


def test_large_positions_keep_the_shares() -> None:
    weights = [3, 1, 1]
    first = weighted_first(weights)
    near = Counter(first(position) for position in range(1000))
    far = Counter(first(position) for position in range(FAR, FAR + 1000))
    assert all(abs(near[index] - far[index]) <= 3 for index in range(3))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8), POSITIONS)
def test_least_loaded_has_every_candidate_once_and_least_loaded_first_is_its_first(
    loads: list[float], position: int
) -> None:
    order = list(least_loaded(range(len(loads)), loads, position))
    assert sorted(order) == list(range(len(loads)))
    assert [loads[index] for index in order] == sorted(loads)
    assert order[0] == least_loaded_first(loads, position)


def test_equal_loads_make_a_rotation() -> None:
    met = Counter(least_loaded_first([1.0, 0.5, 0.5, 2.0, 0.5], turn) for turn in range(300))
    assert met == {1: 100, 2: 100, 4: 100}
