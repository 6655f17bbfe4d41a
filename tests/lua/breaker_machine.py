"""A walk through the life of one breaker, on every side at once, with each step predicted.

Owns the steps and their proportions. The prediction says what a step does, and the sides compare.
The machine has one rule that draws a step: Hypothesis leaves out some rules in each walk, and a
breaker needs nearly all of them to reach its rarer states.
"""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from ciris_registry.circuit_breaker.config import CircuitBreakerConfig
from tests.lua.breaker_prediction import (
    BUCKETS,
    Answer,
    Outcome,
    Override,
    Prediction,
    Report,
    holder_of,
)
from tests.lua.breaker_sides import LEASE, Reply, Side, agree
from tests.lua.lua_server import START

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import DataObject, SearchStrategy

    from tests.lua.lua_server import Clock

T = TypeVar("T")


class Draw(Protocol):
    """Draws a value from a strategy."""

    def __call__(self, strategy: SearchStrategy[T], /) -> T: ...


CONFIGS: Final = st.builds(
    CircuitBreakerConfig,
    failure_threshold=st.integers(1, 4),
    recovery_timeout=st.sampled_from((0.0, 0.05, 1.0, 4.0)),
    success_threshold=st.integers(1, 3),
    timeout_duration=st.sampled_from((0.2, 1.0, 3.0)),
    half_open_max_calls=st.integers(1, 3),
    failure_rate_threshold=st.sampled_from((None, 0.25, 0.5, 0.5, 0.75, 1.0)),
    window=st.sampled_from((0.1, 1.0, 5.0)),
    minimum_calls=st.integers(1, 5),
    backoff_multiplier=st.sampled_from((1.0, 2.0, 3.0)),
    max_recovery_timeout=st.sampled_from((0.5, 6.0, 60.0)),
    min_failing_processes=st.sampled_from((1, 1, 1, 2, 2, 3)),
)
PROCESSES: Final = st.sampled_from("ABC")
OUTCOMES: Final[SearchStrategy[Outcome]] = st.sampled_from(
    ("success", "success", "success", "failure", "failure", "released")
)
CALLS: Final[SearchStrategy[Outcome]] = st.sampled_from(("success", "failure"))
BUCKETS_LATER: Final = st.sampled_from((0, 0, 1, BUCKETS - 2, BUCKETS - 1, BUCKETS))
BOOLEANS: Final = st.booleans()
SMALL: Final = st.integers(0, 3)
DURATIONS: Final = st.sampled_from((1, 80, 700, 2_500))
GAPS: Final = st.sampled_from((0, 1, 1, 2, 80))
GENERATIONS: Final = st.sampled_from(("unknown", "unknown", "of the permit", "current", "older"))
PERMITS: Final = st.sampled_from(("", "untracked", "untracked"))
OVERRIDES: Final[SearchStrategy[Override]] = st.sampled_from(("open", "closed", ""))
STEPS: Final = st.sampled_from((1, 9, 10, 50, 200, 1_000, 4_000))
ENDS: Final = st.sampled_from(("recovery", "permit", "lease", "override", "window", "window"))
AHEAD: Final = st.sampled_from((0, 0, 1, 3_000, 9_000_000))
OFF: Final = st.sampled_from((-1, 0, 0, 1))


@dataclass(slots=True)
class Bench:
    """The sides that a machine drives. ``met`` counts the steps, replies and events of walks."""

    clock: Clock
    sides: tuple[Side, ...]
    met: Counter[str] = field(default_factory=Counter[str])


class BreakerMachine(RuleBasedStateMachine):
    """Drives ``bench``, which a subclass sets."""

    bench: ClassVar[Bench]

    def __init__(self) -> None:
        super().__init__()
        self.clock = self.bench.clock
        self.clock.now = START
        self.expected = Prediction(CircuitBreakerConfig())
        self.memory = Prediction(CircuitBreakerConfig())
        self.tokens = 0
        self.held: dict[str, int] = {}
        self.settled: dict[str, int] = {}

    @initialize(config=CONFIGS, probing=BOOLEANS)
    def begin(self, config: CircuitBreakerConfig, *, probing: bool) -> None:
        self.expected = Prediction(config, born=self.clock.now)
        self.memory = copy.deepcopy(self.expected)
        for side in self.bench.sides:
            side.begin(config)
        self.bench.met["walk"] += 1
        if probing:
            processes = itertools.cycle("ABC")
            while self.expected.state == "closed":
                self._report(next(processes), Report("failure"))
            self._acquire(self._new_permit("A"), due=True)

    @rule(data=st.data())
    def take_a_step(self, data: DataObject) -> None:
        step = data.draw(WALK_STEPS)
        step(self, data.draw)
        self.bench.met["step"] += 1

    def acquire(self, draw: Draw) -> None:
        """Now, or as soon as a probe is due."""
        self._acquire(self._new_permit(draw(PROCESSES)), due=draw(SMALL) > 0)

    def acquire_again_with_the_same_permit(self, draw: Draw) -> None:
        if self.held:
            self._acquire(self._pick(self.held, draw))

    def report_with_a_permit(self, draw: Draw) -> None:
        if self.held:
            permit = self._pick(self.held, draw)
            granted = self.settled[permit] = self.held.pop(permit)
            known = self._generation(draw(GENERATIONS), granted)
            self._report(
                holder_of(permit), Report(draw(OUTCOMES), permit, known, self._batch(draw))
            )

    def settle_a_second_time(self, draw: Draw) -> None:
        if self.settled:
            permit = self._pick(self.settled, draw)
            self._report(holder_of(permit), Report(draw(OUTCOMES), permit))

    def report_without_a_permit(self, draw: Draw) -> None:
        known = self._generation(draw(GENERATIONS), self.expected.generation)
        report = Report(draw(OUTCOMES), draw(PERMITS), known, self._batch(draw))
        self._report(draw(PROCESSES), report)

    def report_a_batch(self, draw: Draw) -> None:
        """Successes that ended now, around the ends of the streak, or at any time."""
        known = self._generation(draw(GENERATIONS), self.expected.generation)
        self._record_successes(draw(PROCESSES), draw(SMALL) + 1, self._age(draw), known)

    def report_failures_before_a_batch(self, draw: Draw) -> None:
        """Failures, then unreported successes of another process that complete the minimum."""
        for _ in range(draw(SMALL)):
            self._report(draw(PROCESSES), Report("failure"))
            self._pass_until(self.clock.now + draw(GAPS))
        lacking = self.expected.config.minimum_calls - len(self.expected.recent(self.clock.now))
        actor, counts = draw(PROCESSES), (max(1, lacking), self._age(draw))
        if draw(BOOLEANS):
            self._report(actor, Report(draw(CALLS), "", None, (*counts, None)))
        else:
            self._record_successes(actor, *counts, None)

    def fail_until_it_opens(self, draw: Draw) -> None:
        """At most four failures, all in one process or each in any."""
        actor, alone = draw(PROCESSES), draw(BOOLEANS)
        for _ in range(draw(SMALL) + 1):
            self._report(actor if alone else draw(PROCESSES), Report("failure"))
            if self.expected.state != "closed":
                break

    def one_process_fails_among_others(self, draw: Draw) -> None:
        """Often enough for the rate, and for the streak if no successes came between."""
        actor, others = draw(PROCESSES), draw(BOOLEANS)
        for _ in range(self.expected.config.failure_threshold + draw(SMALL)):
            if others:
                self._report(draw(PROCESSES), Report("success"))
            self._report(actor, Report("failure"))
            if self.expected.state != "closed":
                break
            self._pass_until(self.clock.now + draw(GAPS))

    def probe(self, draw: Draw) -> None:
        """As soon as a probe is due; where no permit is needed, the calls are ordinary ones."""
        for _ in range(draw(SMALL)):
            process = draw(PROCESSES)
            permit = self._new_permit(process)
            code = self._acquire(permit, due=True)
            if code == "refused":
                break
            if code == "permit":
                self.settled[permit] = self.held.pop(permit)
            known = self.expected.generation
            settled = permit if code == "permit" else ""
            self._report(process, Report(draw(OUTCOMES), settled, known))

    def call_at_intervals(self, draw: Draw) -> None:
        """Ordinary calls, some of them in other buckets of the window."""
        bucket = round(self.expected.config.window * 1000) // BUCKETS
        for _ in range(draw(SMALL) + 1):
            self._report(draw(PROCESSES), Report(draw(CALLS)))
            if self.expected.state != "closed":
                break
            self._pass_until(self.clock.now + draw(BUCKETS_LATER) * bucket)

    def call_again_a_window_later(self, draw: Draw) -> None:
        """Some calls fail, in a bucket that is about to leave the window or has just left it."""
        bucket = round(self.expected.config.window * 1000) // BUCKETS
        failing = "ABC"[draw(SMALL) :] or "AB"
        for actor in failing:
            self._report(actor, Report("failure"))
        self._report(draw(PROCESSES), Report("success"))
        self._pass_until(self.clock.now + (BUCKETS - 1 + draw(SMALL) // 2) * bucket)
        lacking = self.expected.config.minimum_calls - len(self.expected.recent(self.clock.now))
        self._record_successes(draw(PROCESSES), max(1, lacking), 0, None)

    def time_passes(self, draw: Draw) -> None:
        self._pass_until(self.clock.now + draw(STEPS))

    def time_passes_until_something_ends(self, draw: Draw) -> None:
        """To its exact millisecond, or the one before or after."""
        now, expected = self.clock.now, self.expected
        bucket = round(expected.config.window * 1000) // BUCKETS
        ends = {
            "recovery": [expected.retry_at],
            "permit": list(expected.permits.values()),
            "lease": list(expected.leases.values()),
            "override": [expected.override_until, expected.cooldown_until],
            "window": [(now // bucket + n) * bucket for n in (1, BUCKETS - 1, BUCKETS)],
        }
        ahead = [end for end in ends[draw(ENDS)] if end > now]
        if ahead:
            self._pass_until(ahead[draw(SMALL) % len(ahead)] + draw(OFF))

    def override(self, draw: Draw) -> None:
        """Up to three times in a row."""
        actor = draw(PROCESSES)
        for _ in range(draw(SMALL)):
            self._override(draw(OVERRIDES), actor, draw(DURATIONS) if draw(BOOLEANS) else 0)

    def reset(self, draw: Draw) -> None:
        actor = draw(PROCESSES)
        answer = self.expected.reset(self.clock.now)
        self._compare("reset", actor, answer, lambda side: side.reset("a new start", actor))

    def cool_down(self, draw: Draw) -> None:
        """Up to three times in a row."""
        actor = draw(PROCESSES)
        for _ in range(draw(SMALL)):
            self._cool_down(actor, draw(DURATIONS))

    def configure(self, draw: Draw) -> None:
        new = draw(CONFIGS) if draw(BOOLEANS) else self.expected.config
        explicit = draw(BOOLEANS)
        answer = self.expected.configure(new, explicit=explicit)
        self._compare("configure", "A", answer, lambda side: side.configure(new, explicit=explicit))

    def a_lease_is_renewed_or_ends(self, draw: Draw) -> None:
        process, until = draw(PROCESSES), self.clock.now + LEASE * draw(BOOLEANS)
        self.expected.leases[process] = until
        for side in self.bench.sides:
            side.lease(process, until)

    def a_process_remembers(self, draw: Draw) -> None:
        self.memory = copy.deepcopy(self.expected)

    def a_process_restores_what_it_remembers(self, draw: Draw) -> None:
        """After a loss or without one; another process may have configured the breaker anew."""
        lost, ahead, configured = draw(BOOLEANS), draw(AHEAD), draw(BOOLEANS)
        lost_whole = lost and not configured
        if lost:
            config = self.memory.config if lost_whole else self.expected.config
            born = 0 if lost_whole else self.clock.now
            self.expected = Prediction(config, leases=self.expected.leases, born=born)
            for side in self.bench.sides:
                side.lose(config, configured=configured)
        answer = self.expected.restore(
            self.clock.now, self.memory, lost=lost_whole, clock_set=ahead > 0
        )
        self._compare(
            "restore",
            "A",
            answer,
            lambda side: side.restore(self.memory, self.expected, ahead),
        )

    def _acquire(self, permit: str, *, due: bool = False) -> str:
        expected = self.expected
        if due:
            opens = expected.retry_at if expected.state == "open" else 0
            self._pass_until(max(opens, expected.cooldown_until))
        known = expected.out(self.clock.now)
        answer = expected.acquire(self.clock.now, permit, LEASE)
        if answer.code == "permit":
            self.held[permit] = expected.generation
            self.settled.pop(permit, None)
        self._compare(
            "acquire",
            holder_of(permit),
            answer,
            lambda side: side.acquire(permit),
            quiet=answer.code != "permit" or permit in known,
        )
        return answer.code

    def _report(self, actor: str, report: Report) -> None:
        answer = self.expected.report(self.clock.now, actor, report)
        self._compare(
            f"report {report.outcome}", actor, answer, lambda side: side.report(actor, report)
        )

    def _record_successes(
        self, actor: str, successes: int, age: int, generation: int | None
    ) -> None:
        answer = self.expected.record_successes(self.clock.now, actor, successes, age, generation)
        self._compare(
            "record_successes",
            actor,
            answer,
            lambda side: side.record_successes(actor, successes, age, generation),
        )

    def _batch(self, draw: Draw) -> tuple[int, int, int | None]:
        """A batch of successes before an outcome; empty in half of the cases."""
        if not draw(BOOLEANS):
            return 0, 0, None
        known = self._generation(draw(GENERATIONS), self.expected.generation)
        return draw(SMALL), self._age(draw), known

    def _age(self, draw: Draw) -> int:
        streak = self.expected.streak
        times = [self.clock.now - draw(DURATIONS), *streak[-1:], *streak[:1], self.clock.now]
        return max(0, self.clock.now - times[draw(SMALL) % len(times)] - draw(OFF))

    def _compare(
        self,
        what: str,
        actor: str,
        answer: Answer,
        do: Callable[[Side], Reply | None],
        *,
        quiet: bool | None = None,
    ) -> None:
        """Do it on every side; compare each with the prediction and with the others."""
        if quiet is None:
            quiet = answer.code == "unchanged" and what != "configure"
        shown = self.expected.shown()
        windows: list[Any] = []
        for side in self.bench.sides:
            reply = do(side)
            if reply is not None:
                agree(f"{what}, {side.name}", reply.answer, answer)
                agree(f"state after {what}, {side.name}", reply.fields, shown)
            side.check(self.expected, actor, quiet=quiet)
            # What is older than the window is kept by one side and not by the other.
            first = self.expected.bucket(self.clock.now) - BUCKETS + 1
            windows.append([bucket for bucket in side.window() if bucket[0] >= first])
        for window in windows[1:]:
            agree("the window", window, windows[0])
        out = self.expected.out(self.clock.now)
        if self.expected.state == "half_open":
            agree(
                "too many permits are out",
                len(out) > self.expected.config.half_open_max_calls,
                False,
            )
        self.bench.met[f"{what}: {answer.code} {answer.reason}".rstrip()] += 1
        self.bench.met.update(self.expected.events)
        self.expected.events.clear()

    def _override(self, override: Override, actor: str, duration: int) -> None:
        answer = self.expected.set_override(self.clock.now, override, "upgrade", actor, duration)
        self._compare(
            f"override {override}",
            actor,
            answer,
            lambda side: side.set_override(override, "upgrade", actor, duration),
        )

    def _cool_down(self, actor: str, duration: int) -> None:
        answer = self.expected.cool_down(self.clock.now, duration)
        self._compare(
            "cool_down", actor, answer, lambda side: side.cool_down(actor, duration, "429")
        )

    def _new_permit(self, process: str) -> str:
        self.tokens += 1
        return f"{process}|{self.tokens}"

    def _pass_until(self, then: int) -> None:
        self.clock.now = max(self.clock.now, then)

    def _generation(self, which: str, own: int) -> int | None:
        current = self.expected.generation
        return {"unknown": None, "of the permit": own, "current": current, "older": current - 1}[
            which
        ]

    @staticmethod
    def _pick(permits: dict[str, int], draw: Draw) -> str:
        """One of the latest four."""
        latest = list(permits)[-4:]
        return latest[draw(SMALL) % len(latest)]


WALK_STEPS: Final = st.sampled_from(
    (
        *[BreakerMachine.acquire] * 6,
        *[BreakerMachine.acquire_again_with_the_same_permit] * 2,
        *[BreakerMachine.report_with_a_permit] * 4,
        *[BreakerMachine.report_without_a_permit] * 3,
        *[BreakerMachine.report_a_batch] * 2,
        *[BreakerMachine.report_failures_before_a_batch] * 5,
        *[BreakerMachine.fail_until_it_opens] * 3,
        *[BreakerMachine.one_process_fails_among_others] * 2,
        *[BreakerMachine.call_again_a_window_later] * 3,
        *[BreakerMachine.probe] * 2,
        *[BreakerMachine.call_at_intervals] * 3,
        *[BreakerMachine.time_passes_until_something_ends] * 4,
        BreakerMachine.time_passes,
        BreakerMachine.settle_a_second_time,
        BreakerMachine.override,
        BreakerMachine.reset,
        BreakerMachine.cool_down,
        BreakerMachine.configure,
        BreakerMachine.a_lease_is_renewed_or_ends,
        BreakerMachine.a_process_remembers,
        BreakerMachine.a_process_restores_what_it_remembers,
    )
)
"""Each step is drawn as often as it occurs here."""
