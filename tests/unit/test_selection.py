"""Selection is a pure function: a snapshot, a request and a time decide."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from ciris_registry.breaker_config import CircuitBreakerConfig
from ciris_registry.breaker_rules import BreakerState
from ciris_registry.records import Priority, Registration, SelectionStrategy
from ciris_registry.selection import Request, Walk, rotated, walk
from ciris_registry.snapshot import Snapshot

NOW = 1_000_000
TURNS = SelectionStrategy.ROUND_ROBIN


def snapshot(*registrations: Registration, **breakers: BreakerState) -> Snapshot:
    made = Snapshot("llm", breakers=breakers)
    for registration in registrations:
        made = made.with_registration(registration)
    return made


def resolve(state: Snapshot, request: Request | None = None, now: int = NOW) -> Walk:
    return walk(state, request or Request("h", "llm"), lambda _: True, now)


def names(plan: Walk) -> list[list[str]]:
    return [[one.name for one in tier.candidates] for tier in plan.tiers]


def breaker(**config: float) -> BreakerState:
    return BreakerState(CircuitBreakerConfig(failure_threshold=1, **config))  # type: ignore[arg-type]


@settings(deadline=None)
@given(size=st.integers(1, 6), start=st.integers(0, 10_000))
def test_every_rotation_has_everybody_once_and_turns_evenly(size: int, start: int) -> None:
    items = list(range(size))
    period = len(list(permutations(items)))
    orders = [tuple(rotated(items, start + i)) for i in range(period)]
    assert sorted(orders) == sorted(permutations(items))
    assert set(Counter(order[0] for order in orders).values()) == {period // size}


def test_what_one_candidate_cannot_take_is_spread_over_all_others() -> None:
    second = Counter(list(rotated("abcd", i))[1] for i in range(0, 4 * 9, 4))
    assert second == {"b": 3, "c": 3, "d": 3}


def test_groups_come_before_priorities_and_these_before_the_order_of_registration() -> None:
    state = snapshot(
        Registration("llm", "late", "h", Priority.CRITICAL, 1, order=1),
        Registration("llm", "second", "h", Priority.HIGH, 0, order=3),
        Registration("llm", "first", "h", Priority.HIGH, 0, order=2),
    )
    assert names(resolve(state)) == [["first", "second"], ["late"]]


def test_the_first_member_of_a_group_says_how_it_is_used() -> None:
    state = snapshot(
        Registration("llm", "a", "h", Priority.HIGH, strategy=TURNS),
        Registration("llm", "b", "h", Priority.LOW),
        Registration("llm", "c", "h", Priority.LOW, order=1),
    )
    plan = resolve(state)
    assert names(plan) == [["a"], ["b", "c"]]
    assert [tier.cursor for tier in plan.tiers] == ["", "h|0|3"]


def test_a_breaker_that_is_open_leaves_its_provider_out_until_its_time_has_come() -> None:
    state = breaker(recovery_timeout=10.0)
    state.record(NOW, "failure")
    known = snapshot(Registration("llm", "a", "h"), a=state)
    plan = resolve(known)
    assert names(plan) == []
    assert [(one.reason, one.retry_at) for one in plan.left] == [("open", NOW + 10_000)]
    assert plan.until == NOW + 10_000
    assert not plan.holds(NOW + 10_000)
    assert names(resolve(known, now=NOW + 10_000)) == [["a"]]


def test_everybody_who_is_left_out_is_told_why() -> None:
    cooling, forced = breaker(), breaker()
    cooling.cool_down(NOW, 500)
    forced.set_override(NOW, "open", "maintenance")
    state = snapshot(
        Registration("llm", "cooling", "h", capabilities=("chat",)),
        Registration("llm", "forced", "h", capabilities=("chat",)),
        Registration("llm", "unable", "h"),
        Registration("llm", "unbound", "*", capabilities=("chat",)),
        Registration("llm", "global", "", capabilities=("chat",)),
        Registration("llm", "elsewhere", "other"),
        cooling=cooling,
        forced=forced,
    )
    plan = walk(
        state,
        Request("h", "llm", frozenset({"chat"}), fallback_to_global=False),
        lambda one: one.name != "unbound",
        NOW,
    )
    assert {one.registration.name: one.reason for one in plan.left} == {
        "cooling": "cooling_down",
        "forced": "forced_open",
        "unable": "lacks chat",
        "unbound": "no binding here: this process has no instance and no factory for it",
        "global": "a global registration, and the request does not fall back to them",
    }


def test_a_process_that_can_use_only_a_part_turns_by_itself() -> None:
    state = snapshot(
        *(Registration("llm", name, "h", strategy=TURNS, order=i) for i, name in enumerate("abc"))
    )
    plan = walk(state, Request("h", "llm"), lambda one: one.name != "b", NOW)
    [tier] = plan.tiers
    assert not tier.shared
    assert plan.cursor == ""
