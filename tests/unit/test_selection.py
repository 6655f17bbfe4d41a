"""Selection is a pure function: a snapshot, a request and a time decide."""

from __future__ import annotations

from ciris_registry.cache.snapshot import Snapshot
from ciris_registry.circuit_breaker.config import CircuitBreakerConfig
from ciris_registry.circuit_breaker.state_machine import BreakerState
from ciris_registry.registration import Priority, Registration, SelectionStrategy
from ciris_registry.selection.candidates import Candidates, Request, Tier, walk

NOW = 1_000_000
TURNS = SelectionStrategy.ROUND_ROBIN


def snapshot(*registrations: Registration, **breakers: BreakerState) -> Snapshot:
    made = Snapshot("llm", breakers=breakers)
    for registration in registrations:
        made = made.with_registration(registration)
    return made


def resolve(state: Snapshot, request: Request | None = None, now: int = NOW) -> Candidates:
    return walk(state, request or Request("h", "llm"), lambda _: True, now)


def names(picker: Candidates) -> list[list[str]]:
    return [[one.name for one in tier.candidates] for tier in picker.tiers]


def breaker(**config: float) -> BreakerState:
    return BreakerState(CircuitBreakerConfig(failure_threshold=1, **config))  # type: ignore[arg-type]


def test_groups_come_before_priorities_and_these_before_the_order_of_registration() -> None:
    state = snapshot(
        Registration("llm", "stale", "h", Priority.CRITICAL, 1, order=1),
        Registration("llm", "second", "h", Priority.HIGH, 0, order=3),
        Registration("llm", "first", "h", Priority.HIGH, 0, order=2),
    )
    assert names(resolve(state)) == [["first", "second"], ["stale"]]


def test_the_first_member_of_a_group_says_how_it_is_used() -> None:
    state = snapshot(
        Registration("llm", "a", "h", Priority.HIGH, strategy=TURNS),
        Registration("llm", "b", "h", Priority.LOW),
        Registration("llm", "c", "h", Priority.LOW, order=1),
    )
    picker = resolve(state)
    assert names(picker) == [["a"], ["b", "c"]]
    assert [tier.cursor for tier in picker.tiers] == ["", "h|0|3"]


def test_a_breaker_that_is_open_leaves_its_provider_out_until_its_time_has_come() -> None:
    state = breaker(recovery_timeout=10.0)
    state.record(NOW, "failure")
    known = snapshot(Registration("llm", "a", "h"), a=state)
    picker = resolve(known)
    assert names(picker) == []
    assert [(one.reason, one.retry_at) for one in picker.left] == [("open", NOW + 10_000)]
    assert picker.until == NOW + 10_000
    assert not picker.holds(NOW + 10_000)
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
    picker = walk(
        state,
        Request("h", "llm", frozenset({"chat"}), fallback_to_global=False),
        lambda one: one.name != "unbound",
        NOW,
    )
    assert {one.registration.name: one.reason for one in picker.left} == {
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
    picker = walk(state, Request("h", "llm"), lambda one: one.name != "b", NOW)
    [tier] = picker.tiers
    assert not tier.shared
    assert picker.cursor == ""


def test_the_strategy_of_a_tier_decides_the_order_and_the_cursor_is_the_same() -> None:
    for strategy in (TURNS, SelectionStrategy.WEIGHTED, SelectionStrategy.LEAST_LOADED):
        state = snapshot(
            Registration("llm", "light", "h", strategy=strategy, order=1),
            Registration("llm", "heavy", "h", strategy=strategy, weight=9, order=2),
        )
        picker = resolve(state)
        [tier] = picker.tiers
        assert (tier.strategy, picker.cursor) == (strategy, "h|0|2")

        def first(position: int, tier: Tier = tier) -> str:
            in_flight = {"light": 1, "heavy": 6}
            return next(tier.in_turn(position, lambda one: in_flight[one.name])).name

        heavy = [first(position) for position in range(1000)].count("heavy")
        assert heavy == {"round_robin": 500, "weighted": 900, "least_loaded": 1000}[strategy.value]


def test_who_is_alone_at_his_rank_needs_no_cursor() -> None:
    for strategy in (SelectionStrategy.WEIGHTED, SelectionStrategy.LEAST_LOADED):
        picker = resolve(snapshot(Registration("llm", "a", "h", strategy=strategy, weight=3)))
        assert [(tier.cursor, names(picker)) for tier in picker.tiers] == [("", [["a"]])]
