"""A walk through the life of one breaker, on every side at once, each step foretold.

Owns what can happen and in which proportion. What will come of it says the prediction; comparing
is the sides' work. It has one rule that draws what happens, since Hypothesis leaves out some of
the rules in each of its walks, and a breaker needs nearly all of them to get anywhere.
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
    PARTS,
    Answer,
    Outcome,
    Prediction,
    Report,
    Word,
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
    """Draws one of what a strategy describes."""

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
PARTS_LATER: Final = st.sampled_from((0, 0, 1, PARTS - 2, PARTS - 1, PARTS))
BOOLEANS: Final = st.booleans()
SMALL: Final = st.integers(0, 3)
DURATIONS: Final = st.sampled_from((1, 80, 700, 2_500))
GAPS: Final = st.sampled_from((0, 1, 1, 2, 80))
GENERATIONS: Final = st.sampled_from(("unknown", "unknown", "its own", "current", "older"))
PERMITS: Final = st.sampled_from(("", "untracked", "untracked"))
WORDS: Final[SearchStrategy[Word]] = st.sampled_from(("open", "closed", ""))
STEPS: Final = st.sampled_from((1, 9, 10, 50, 200, 1_000, 4_000))
ENDS: Final = st.sampled_from(("recovery", "permit", "lease", "word", "window", "window"))
AHEAD: Final = st.sampled_from((0, 0, 1, 3_000, 9_000_000))
OFF: Final = st.sampled_from((-1, 0, 0, 1))


@dataclass(slots=True)
class Bench:
    """What a machine drives. ``met`` counts what it came across."""

    clock: Clock
    sides: tuple[Side, ...]
    met: Counter[str] = field(default_factory=Counter[str])


class BreakerMachine(RuleBasedStateMachine):
    """Drives ``bench``, which a subclass gives it."""

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

    @initialize(config=CONFIGS, tried=BOOLEANS)
    def begin(self, config: CircuitBreakerConfig, *, tried: bool) -> None:
        self.expected = Prediction(config)
        self.memory = copy.deepcopy(self.expected)
        for side in self.bench.sides:
            side.begin(config)
        self.bench.met["walk"] += 1
        if tried:
            everybody = itertools.cycle("ABC")
            while self.expected.state == "closed":
                self._report(next(everybody), Report("failure"))
            self._ask(self._new_permit("A"), due=True)

    @rule(data=st.data())
    def something_happens(self, data: DataObject) -> None:
        step = data.draw(HAPPENINGS)
        step(self, data.draw)
        self.bench.met["step"] += 1

    def ask(self, draw: Draw) -> None:
        """Now, or as soon as there is a chance."""
        self._ask(self._new_permit(draw(PROCESSES)), due=draw(SMALL) > 0)

    def ask_again_with_the_same_permit(self, draw: Draw) -> None:
        if self.held:
            self._ask(self._pick(self.held, draw))

    def report_with_a_permit(self, draw: Draw) -> None:
        if self.held:
            permit = self._pick(self.held, draw)
            granted = self.settled[permit] = self.held.pop(permit)
            known = self._generation(draw(GENERATIONS), granted)
            self._report(
                holder_of(permit), Report(draw(OUTCOMES), permit, known, self._before(draw))
            )

    def settle_a_second_time(self, draw: Draw) -> None:
        if self.settled:
            permit = self._pick(self.settled, draw)
            self._report(holder_of(permit), Report(draw(OUTCOMES), permit))

    def report_without_a_permit(self, draw: Draw) -> None:
        known = self._generation(draw(GENERATIONS), self.expected.generation)
        report = Report(draw(OUTCOMES), draw(PERMITS), known, self._before(draw))
        self._report(draw(PROCESSES), report)

    def report_what_was_gathered(self, draw: Draw) -> None:
        """Successes, the newest of them now, or around the ends of the streak, or whenever."""
        known = self._generation(draw(GENERATIONS), self.expected.generation)
        self._tally(draw(PROCESSES), draw(SMALL) + 1, self._age(draw), known)

    def report_failures_before_what_was_gathered(self, draw: Draw) -> None:
        """Failures, while another process still holds back as many as complete the minimum."""
        for _ in range(draw(SMALL)):
            self._report(draw(PROCESSES), Report("failure"))
            self._pass_until(self.clock.now + draw(GAPS))
        lacking = self.expected.config.minimum_calls - len(self.expected.recent(self.clock.now))
        by, counts = draw(PROCESSES), (max(1, lacking), self._age(draw))
        if draw(BOOLEANS):
            self._report(by, Report(draw(CALLS), "", None, counts))
        else:
            self._tally(by, *counts, None)

    def fail_until_it_opens(self, draw: Draw) -> None:
        """Or a few times, at least once: all in one process, or each in any."""
        by, alone = draw(PROCESSES), draw(BOOLEANS)
        for _ in range(draw(SMALL) + 1):
            self._report(by if alone else draw(PROCESSES), Report("failure"))
            if self.expected.state != "closed":
                break

    def one_fails_among_others(self, draw: Draw) -> None:
        """Too often for the rate, and for the streak of the fleet, if that were all."""
        by, others = draw(PROCESSES), draw(BOOLEANS)
        for _ in range(self.expected.config.failure_threshold + draw(SMALL)):
            if others:
                self._report(draw(PROCESSES), Report("success"))
            self._report(by, Report("failure"))
            if self.expected.state != "closed":
                break
            self._pass_until(self.clock.now + draw(GAPS))

    def try_it_out(self, draw: Draw) -> None:
        """As soon as there is a chance; where no permit is needed, the calls are ordinary ones."""
        for _ in range(draw(SMALL)):
            process = draw(PROCESSES)
            permit = self._new_permit(process)
            word = self._ask(permit, due=True)
            if word == "refused":
                break
            if word == "permit":
                self.settled[permit] = self.held.pop(permit)
            known = self.expected.generation
            settled = permit if word == "permit" else ""
            self._report(process, Report(draw(OUTCOMES), settled, known))

    def call_now_and_then(self, draw: Draw) -> None:
        """Ordinary calls, some of them in other parts of the window."""
        part = round(self.expected.config.window * 1000) // PARTS
        for _ in range(draw(SMALL) + 1):
            self._report(draw(PROCESSES), Report(draw(CALLS)))
            if self.expected.state != "closed":
                break
            self._pass_until(self.clock.now + draw(PARTS_LATER) * part)

    def call_again_a_window_later(self, draw: Draw) -> None:
        """Some fail, and what they fail in is just about to leave the window, or has left it."""
        part = round(self.expected.config.window * 1000) // PARTS
        failing = "ABC"[draw(SMALL) :] or "AB"
        for by in failing:
            self._report(by, Report("failure"))
        self._report(draw(PROCESSES), Report("success"))
        self._pass_until(self.clock.now + (PARTS - 1 + draw(SMALL) // 2) * part)
        lacking = self.expected.config.minimum_calls - len(self.expected.recent(self.clock.now))
        self._tally(draw(PROCESSES), max(1, lacking), 0, None)

    def time_passes(self, draw: Draw) -> None:
        self._pass_until(self.clock.now + draw(STEPS))

    def time_passes_until_something_ends(self, draw: Draw) -> None:
        """To the very millisecond, or the one before or after."""
        now, expected = self.clock.now, self.expected
        part = round(expected.config.window * 1000) // PARTS
        ends = {
            "recovery": [expected.retry_at],
            "permit": list(expected.trials.values()),
            "lease": list(expected.leases.values()),
            "word": [expected.word_until, expected.cools_until],
            "window": [(now // part + n) * part for n in (1, PARTS - 1, PARTS)],
        }
        ahead = [end for end in ends[draw(ENDS)] if end > now]
        if ahead:
            self._pass_until(ahead[draw(SMALL) % len(ahead)] + draw(OFF))

    def an_operator_speaks(self, draw: Draw) -> None:
        """And may think better of it at once."""
        by = draw(PROCESSES)
        for _ in range(draw(SMALL)):
            self._say(draw(WORDS), by, draw(DURATIONS) if draw(BOOLEANS) else 0)

    def reset(self, draw: Draw) -> None:
        by = draw(PROCESSES)
        answer = self.expected.reset(self.clock.now)
        self._compare("reset", by, answer, lambda side: side.reset("try anew", by))

    def cool_down(self, draw: Draw) -> None:
        """Once or more often."""
        by = draw(PROCESSES)
        for _ in range(draw(SMALL)):
            self._cool_down(by, draw(DURATIONS))

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

    def a_process_puts_back_what_it_remembers(self, draw: Draw) -> None:
        if draw(BOOLEANS):
            config = self.expected.config
            self.expected = Prediction(config, leases=self.expected.leases)
            for side in self.bench.sides:
                side.lose(config)
        ahead = draw(AHEAD)
        answer = self.expected.restore(self.clock.now, self.memory)
        self._compare(
            "restore",
            "A",
            answer,
            lambda side: side.restore(self.memory, self.expected, ahead),
        )

    def _ask(self, permit: str, *, due: bool = False) -> str:
        expected = self.expected
        if due:
            opens = expected.retry_at if expected.state == "open" else 0
            self._pass_until(max(opens, expected.cools_until))
        known = expected.out(self.clock.now)
        answer = expected.ask(self.clock.now, permit, LEASE)
        if answer.word == "permit":
            self.held[permit] = expected.generation
            self.settled.pop(permit, None)
        self._compare(
            "ask",
            holder_of(permit),
            answer,
            lambda side: side.ask(permit),
            quiet=answer.word != "permit" or permit in known,
        )
        return answer.word

    def _report(self, by: str, report: Report) -> None:
        answer = self.expected.report(self.clock.now, by, report)
        self._compare(f"report {report.outcome}", by, answer, lambda side: side.report(by, report))

    def _tally(self, by: str, successes: int, age: int, generation: int | None) -> None:
        answer = self.expected.tally(self.clock.now, by, successes, age, generation)
        self._compare("tally", by, answer, lambda side: side.tally(by, successes, age, generation))

    def _before(self, draw: Draw) -> tuple[int, int]:
        """What was gathered before an outcome: mostly nothing."""
        return (draw(SMALL), self._age(draw)) if draw(BOOLEANS) else (0, 0)

    def _age(self, draw: Draw) -> int:
        streak = self.expected.streak
        times = [self.clock.now - draw(DURATIONS), *streak[-1:], *streak[:1], self.clock.now]
        return max(0, self.clock.now - times[draw(SMALL) % len(times)] - draw(OFF))

    def _compare(
        self,
        what: str,
        by: str,
        answer: Answer,
        do: Callable[[Side], Reply | None],
        *,
        quiet: bool | None = None,
    ) -> None:
        """Do it on every side, and compare each with the prediction and with the others."""
        if quiet is None:
            quiet = answer.word == "unchanged" and what != "configure"
        shown = self.expected.shown()
        windows: list[Any] = []
        for side in self.bench.sides:
            reply = do(side)
            if reply is not None:
                agree(f"{what}, {side.name}", reply.answer, answer)
                agree(f"state after {what}, {side.name}", reply.fields, shown)
            side.check(self.expected, by, quiet=quiet)
            windows.append(side.window())
        for window in windows[1:]:
            agree("counted in the window", window, windows[0])
        out = self.expected.out(self.clock.now)
        if self.expected.state == "half_open":
            agree("too many out", len(out) > self.expected.config.half_open_max_calls, False)
        self.bench.met[f"{what}: {answer.word} {answer.reason}".rstrip()] += 1
        self.bench.met.update(self.expected.events)
        self.expected.events.clear()

    def _say(self, word: Word, by: str, duration: int) -> None:
        answer = self.expected.say(self.clock.now, word, "upgrade", by, duration)
        self._compare(
            f"override {word}", by, answer, lambda side: side.say(word, "upgrade", by, duration)
        )

    def _cool_down(self, by: str, duration: int) -> None:
        answer = self.expected.cool_down(self.clock.now, duration)
        self._compare("cool_down", by, answer, lambda side: side.cool_down(by, duration, "429"))

    def _new_permit(self, process: str) -> str:
        self.tokens += 1
        return f"{process}|{self.tokens}"

    def _pass_until(self, then: int) -> None:
        self.clock.now = max(self.clock.now, then)

    def _generation(self, which: str, own: int) -> int | None:
        current = self.expected.generation
        return {"unknown": None, "its own": own, "current": current, "older": current - 1}[which]

    @staticmethod
    def _pick(permits: dict[str, int], draw: Draw) -> str:
        """One of the latest."""
        latest = list(permits)[-4:]
        return latest[draw(SMALL) % len(latest)]


HAPPENINGS: Final = st.sampled_from(
    (
        *[BreakerMachine.ask] * 6,
        *[BreakerMachine.ask_again_with_the_same_permit] * 2,
        *[BreakerMachine.report_with_a_permit] * 4,
        *[BreakerMachine.report_without_a_permit] * 3,
        *[BreakerMachine.report_what_was_gathered] * 2,
        *[BreakerMachine.report_failures_before_what_was_gathered] * 5,
        *[BreakerMachine.fail_until_it_opens] * 3,
        *[BreakerMachine.one_fails_among_others] * 2,
        *[BreakerMachine.call_again_a_window_later] * 3,
        *[BreakerMachine.try_it_out] * 2,
        *[BreakerMachine.call_now_and_then] * 3,
        *[BreakerMachine.time_passes_until_something_ends] * 4,
        BreakerMachine.time_passes,
        BreakerMachine.settle_a_second_time,
        BreakerMachine.an_operator_speaks,
        BreakerMachine.reset,
        BreakerMachine.cool_down,
        BreakerMachine.configure,
        BreakerMachine.a_lease_is_renewed_or_ends,
        BreakerMachine.a_process_remembers,
        BreakerMachine.a_process_puts_back_what_it_remembers,
    )
)
"""Each as often as it stands here."""
