"""The Lua breaker on two servers and the in-process breaker, compared with a prediction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from ciris_registry.circuit_breaker import state_machine
from ciris_registry.circuit_breaker.callers import Callers
from ciris_registry.circuit_breaker.state_machine import BreakerState
from ciris_registry.circuit_breaker.states import CircuitState, ReplyCode
from ciris_registry.store.scripts import load_scripts, read_scripts
from tests.lua.breaker_machine import Bench, BreakerMachine
from tests.lua.breaker_sides import DisagreementError, LuaSide, MemorySide
from tests.lua.broken_copies import BROKEN
from tests.lua.lua_server import Clock, LuaServer, RealServer, copied

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lua.breaker_sides import Side

EXAMPLES = 200
FEW = 12
STEPS = 50
WALKS_IN_A_RUN = 9
SAMPLE = 1
"""So many broken copies of each file are always tried, and all of them in a long run."""

RARE = {
    "new settings keep the permits": 7,
    "a restored cooldown of a server whose clock was ahead stays ahead": 7,
    "no event announces an opening by batched successes": 4,
    "callers of a current streak go with the window": 4,
}
"""Faults that few walks show, and the seed of a run that is known to show them, tried first."""

SHOWN_BY_EXPIRIES = {"a refused call extends the permits"}

DRIVEN = {
    "breaker_acquire",
    "breaker_configure",
    "breaker_cool_down",
    "breaker_override",
    "breaker_record",
    "breaker_reset",
    "breaker_restore",
    "breaker_record_successes",
}
"""The scripts that the machine calls."""

MET = {
    "acquire: admitted",
    "breaker_streak_warning",
    "acquire: permit",
    "acquire: refused cooling_down",
    "acquire: refused forced_open",
    "acquire: refused half_open",
    "acquire: refused open",
    "configure: changed",
    "configure: unchanged",
    "cool_down: changed",
    "cool_down: unchanged",
    "override open: changed",
    "override closed: changed",
    "override : changed",
    "override : unchanged",
    "report failure: counted",
    "report failure: stale",
    "report failure: opened",
    "report released: counted",
    "report released: stale",
    "report success: closed",
    "report success: counted",
    "report success: stale",
    "reset: changed",
    "restore: restored",
    "restore: unchanged",
    "record_successes: counted",
    "record_successes: stale",
}
"""What a long run meets at the least; nothing in it is rare."""


def walk(bench: Bench, chosen: settings, number: int | None = None) -> None:
    machine = type("Walk", (BreakerMachine,), {"bench": bench})
    if number is not None:
        machine = seed(number)(machine)
    run_state_machine_as_test(machine, settings=chosen)


@pytest.mark.parametrize(
    "walks",
    [
        pytest.param(FEW, marks=pytest.mark.long),
        pytest.param(EXAMPLES, marks=[pytest.mark.long_run, pytest.mark.timeout(900)]),
    ],
)
def test_every_breaker_agrees_with_the_prediction_and_with_the_others(
    clock: Clock, moved_real_server: LuaServer, walks: int
) -> None:
    sides = (LuaSide(LuaServer(clock)), LuaSide(moved_real_server), MemorySide(clock))
    bench = Bench(clock, sides)

    walk(
        bench,
        settings(
            max_examples=walks,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

    assert bench.met["walk"] >= walks
    if walks == EXAMPLES:
        assert set(bench.met) >= MET


def notice(side: Side, clock: Clock, first: int = 0) -> None:
    """Fail unless the machine disagrees with this side; the walks are always the same.

    There are many short runs because Hypothesis derives the later walks of a run from earlier ones.
    """
    chosen = settings(
        max_examples=WALKS_IN_A_RUN,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    bench = Bench(clock, (side,))

    def walk_on() -> None:
        for number in range(first, first + EXAMPLES // WALKS_IN_A_RUN):
            walk(bench, chosen, number)

    with pytest.raises(DisagreementError):
        walk_on()


SLOW = {"the window never ends", "new settings keep the callers of the old window"}
"""Copies that take seconds to notice."""


def copies() -> Iterator[Any]:
    """All broken copies; those beyond the sample of their file are for a long run."""
    seen: Counter[str] = Counter()
    for broken, replacements in BROKEN.items():
        files = {file for file, _, _ in replacements}
        sampled = any(seen[file] < SAMPLE for file in files)
        seen.update(files)
        sampled = sampled and broken not in SLOW
        yield broken if sampled else pytest.param(broken, marks=pytest.mark.long_run)


@pytest.mark.parametrize("broken", list(copies()))
def test_the_model_notices_a_broken_copy(
    broken: str, clock: Clock, tmp_path: Path, real_url: str
) -> None:
    """On a real server, which is faster, unless only expiries show the fault: its clock runs on."""
    if broken in SHOWN_BY_EXPIRIES:
        server = LuaServer(clock, read_scripts(copied(tmp_path, BROKEN[broken])))
    else:
        server = RealServer(clock, real_url, tmp_path, BROKEN[broken])
    server.begin()
    notice(LuaSide(server), clock, RARE.get(broken, 0))
    server.begin()
    server.client.close()


def test_every_script_that_the_model_drives_has_a_broken_copy() -> None:
    files = {name for replacements in BROKEN.values() for name, _, _ in replacements}
    assert {f"{name}.lua" for name in DRIVEN} <= files
    assert set(load_scripts()) >= DRIVEN
    assert set(BROKEN) >= {*RARE, *SHOWN_BY_EXPIRIES}


Method = Callable[..., Any]


def unlimited(refusal: Method) -> Method:
    def broken(self: BreakerState, now: int) -> object:
        found = refusal(self, now)
        return None if found and found.reason == "half_open" else found

    return broken


def of_any_generation(record: Method) -> Method:
    def broken(
        self: BreakerState,
        now: int,
        outcome: str,
        permit: str = "",
        generation: object = None,
        **before: Any,
    ) -> object:
        return record(self, now, outcome, permit, **before)

    return broken


def moving_the_timer(record: Method) -> Method:
    def broken(self: BreakerState, now: int, *args: Any, **before: Any) -> object:
        code = record(self, now, *args, **before)
        if code is ReplyCode.STALE and self.state is CircuitState.OPEN:
            self.retry_at = now + round(self.config.recovery_timeout * 1000)
        return code

    return broken


def without_totals(record: Method) -> Method:
    def broken(self: BreakerState, *args: Any, **named: Any) -> object:
        before = self.total_failures
        code = record(self, *args, **named)
        self.total_failures = before
        return code

    return broken


def keeping_the_streak(method: Method) -> Method:
    def broken(self: BreakerState, *args: Any, **named: Any) -> object:
        before = self.consecutive_failures
        code = method(self, *args, **named)
        self.consecutive_failures = max(before, self.consecutive_failures)
        return code

    return broken


def of_any_age(succeeded: Method) -> Method:
    def broken(self: BreakerState, now: int, successes: int, newest: int, actor: str) -> object:
        return succeeded(self, now, successes, now, actor)

    return broken


def without_the_batch(record: Method) -> Method:
    def broken(self: BreakerState, *args: Any, actor: str = "", **before: Any) -> object:
        return record(self, *args, actor=actor)

    return broken


def by_the_earlier_deadline(cool_down: Method) -> Method:
    def broken(self: BreakerState, now: int, duration: int) -> object:
        before = self.cooldown_until
        code = cool_down(self, now, duration)
        if before > now:
            self.cooldown_until = min(before, now + duration)
        return code

    return broken


def without_a_generation(set_override: Method) -> Method:
    def broken(self: BreakerState, *args: Any) -> object:
        before = self.generation
        code = set_override(self, *args)
        self.generation = before
        return code

    return broken


def always_as_long(open_: Method) -> Method:
    def broken(self: BreakerState, now: int) -> None:
        before, self.consecutive_openings = self.consecutive_openings, 0
        open_(self, now)
        self.consecutive_openings = before + 1

    return broken


class ManyCallers(Callers):
    """As many failing processes as any setting needs."""

    def failing(self, since: float) -> int:
        return 1_000_000


def of_many_processes(trips: Method) -> Method:
    """The condition without its check of how many processes failed."""

    def broken(config: object, _callers: Callers, *counted: int) -> object:
        return trips(config, ManyCallers(), *counted)

    return broken


def of_another_process(note: Method) -> Method:
    def broken(self: Callers, now: int, process: str, *, failed: bool, needed: int) -> None:
        note(self, now, "another", failed=failed, needed=needed)

    return broken


@pytest.mark.parametrize(
    ("owner", "rule", "breaking"),
    [
        (BreakerState, "refusal", unlimited),
        (BreakerState, "record", of_any_generation),
        (BreakerState, "record", moving_the_timer),
        (BreakerState, "record", without_totals),
        (BreakerState, "_succeeded", keeping_the_streak),
        (BreakerState, "_succeeded", of_any_age),
        (BreakerState, "record", without_the_batch),
        (BreakerState, "reset", keeping_the_streak),
        (BreakerState, "cool_down", by_the_earlier_deadline),
        (BreakerState, "set_override", without_a_generation),
        (BreakerState, "_open", always_as_long),
        (state_machine, "streak_trips", of_many_processes),
        (state_machine, "rate_trips", of_many_processes),
        (Callers, "note", of_another_process),
    ],
)
def test_the_model_notices_broken_rules_in_one_process(
    owner: object,
    rule: str,
    breaking: Callable[[Any], Any],
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(owner, rule, breaking(getattr(owner, rule)))
    notice(MemorySide(clock), clock)
