"""The candidates of a request are a pure function of a snapshot, a request and a time."""

from __future__ import annotations

from ciris_registry.cache.replica.snapshot import Snapshot
from ciris_registry.circuit_breaker.config import CircuitBreakerConfig
from ciris_registry.circuit_breaker.state_machine import BreakerState
from ciris_registry.registration import Priority, Registration, SelectionStrategy
from ciris_registry.selection.candidates import Candidates, Request, Tier, find_candidates

NOW = 1_000_000
ROTATION = SelectionStrategy.ROUND_ROBIN


def snapshot(*registrations: Registration, **breakers: BreakerState) -> Snapshot:
    made = Snapshot("llm", breakers=breakers)
    for registration in registrations:
        made = made.with_registration(registration)
    return made


def found(state: Snapshot, request: Request | None = None, now: int = NOW) -> Candidates:
    return find_candidates(state, request or Request("h", "llm"), lambda _: True, now)


def names(candidates: Candidates) -> list[list[str]]:
    return [[one.name for one in tier.candidates] for tier in candidates.tiers]


def breaker(**config: float) -> BreakerState:
    return BreakerState(CircuitBreakerConfig(failure_threshold=1, **config))  # type: ignore[arg-type]


def test_candidates_are_ordered_by_group_then_priority_then_registration() -> None:
    state = snapshot(
        Registration("llm", "last", "h", Priority.CRITICAL, 1, order=1),
        Registration("llm", "second", "h", Priority.HIGH, 0, order=3),
        Registration("llm", "first", "h", Priority.HIGH, 0, order=2),
    )
    assert names(found(state)) == [["first", "second"], ["last"]]


def test_the_strategy_of_a_group_is_that_of_its_first_member() -> None:
    state = snapshot(
        Registration("llm", "a", "h", Priority.HIGH, strategy=ROTATION),
        Registration("llm", "b", "h", Priority.LOW),
        Registration("llm", "c", "h", Priority.LOW, order=1),
    )
    candidates = found(state)
    assert names(candidates) == [["a"], ["b", "c"]]
    assert [tier.cursor for tier in candidates.tiers] == ["", "h|0|3"]


def test_a_provider_is_rejected_while_its_breaker_is_open() -> None:
    state = breaker(recovery_timeout=10.0)
    state.record(NOW, "failure")
    known = snapshot(Registration("llm", "a", "h"), a=state)
    candidates = found(known)
    assert names(candidates) == []
    assert [(one.reason, one.retry_at) for one in candidates.rejected] == [("open", NOW + 10_000)]
    assert (candidates.since, candidates.until) == (NOW, NOW + 10_000)
    assert names(found(known, now=NOW + 10_000)) == [["a"]]


def test_each_rejected_provider_has_its_reason() -> None:
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
    candidates = find_candidates(
        state,
        Request("h", "llm", frozenset({"chat"}), fallback_to_global=False),
        lambda one: one.name != "unbound",
        NOW,
    )
    assert {one.registration.name: one.reason for one in candidates.rejected} == {
        "cooling": "cooling_down",
        "forced": "forced_open",
        "unable": "lacks chat",
        "unbound": "no binding here: this process has no instance and no factory for it",
        "global": "a global registration, and the request does not fall back to them",
    }


def test_a_process_that_can_use_only_some_providers_of_a_tier_has_a_rotation_of_its_own() -> None:
    state = snapshot(
        *(
            Registration("llm", name, "h", strategy=ROTATION, order=i)
            for i, name in enumerate("abc")
        )
    )
    candidates = find_candidates(state, Request("h", "llm"), lambda one: one.name != "b", NOW)
    [tier] = candidates.tiers
    assert not tier.shared
    assert candidates.cursor == ""


def test_each_strategy_orders_a_tier_by_the_same_cursor() -> None:
    for strategy in (ROTATION, SelectionStrategy.WEIGHTED, SelectionStrategy.LEAST_LOADED):
        state = snapshot(
            Registration("llm", "light", "h", strategy=strategy, order=1),
            Registration("llm", "heavy", "h", strategy=strategy, weight=9, order=2),
        )
        candidates = found(state)
        [tier] = candidates.tiers
        assert (tier.strategy, candidates.cursor) == (strategy, "h|0|2")

        def first(position: int, tier: Tier = tier) -> str:
            in_flight = {"light": 1, "heavy": 6}
            return next(tier.in_turn(position, lambda one: in_flight[one.name])).name

        heavy = [first(position) for position in range(1000)].count("heavy")
        assert heavy == {"round_robin": 500, "weighted": 900, "least_loaded": 1000}[strategy.value]


def test_a_single_provider_of_a_rank_needs_no_cursor() -> None:
    for strategy in (SelectionStrategy.WEIGHTED, SelectionStrategy.LEAST_LOADED):
        candidates = found(snapshot(Registration("llm", "a", "h", strategy=strategy, weight=3)))
        assert [(tier.cursor, names(candidates)) for tier in candidates.tiers] == [("", [["a"]])]
