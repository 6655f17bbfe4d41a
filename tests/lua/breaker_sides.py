"""The breakers under test behind one interface: the Lua scripts and the in-process breaker."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from ciris_registry.circuit_breaker.config import CircuitBreakerConfig
from ciris_registry.circuit_breaker.state_machine import BreakerState
from ciris_registry.store.records.decoding import (
    COUNTERS,
    paired,
    parse_breaker,
    remembered,
    update_breaker,
)
from tests.lua.breaker_prediction import Answer, Override, Prediction, Report, holder_of
from tests.lua.lua_server import KEYS

if TYPE_CHECKING:
    from tests.lua.lua_server import Clock, Dump, LuaServer

NAME: Final = "openai"
LEASE: Final = 600
RETENTION: Final = 100_000_000
"""Milliseconds; so long that nothing expires during a walk."""

_BREAKER: Final = KEYS.breaker(NAME)
_PERMITS: Final = KEYS.permits(NAME)
_CALLERS: Final = KEYS.callers(NAME)
_SHOWN: Final = tuple(Prediction(CircuitBreakerConfig()).shown())


class DisagreementError(AssertionError):
    """A breaker differs from the prediction."""


def agree(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise DisagreementError(f"{what}: {found!r}, but the prediction is {expected!r}")


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply of one side, with the state after it."""

    answer: Answer
    fields: dict[str, str]


class Side(Protocol):
    """One breaker under test."""

    @property
    def name(self) -> str:
        """The name for messages."""

    def begin(self, config: CircuitBreakerConfig) -> None:
        """Start with a new breaker and nothing else."""

    def acquire(self, permit: str) -> Reply:
        """Request admission."""

    def report(self, actor: str, report: Report) -> Reply:
        """Report an outcome."""

    def record_successes(
        self, actor: str, successes: int, age: int, generation: int | None
    ) -> Reply:
        """Report batched successes."""

    def set_override(self, override: Override, reason: str, actor: str, duration: int) -> Reply:
        """Set or clear an override."""

    def reset(self, reason: str, actor: str) -> Reply:
        """Reset it."""

    def cool_down(self, actor: str, duration: int, reason: str) -> Reply:
        """Start a cooldown."""

    def configure(self, config: CircuitBreakerConfig, *, explicit: bool) -> Reply:
        """Apply settings."""

    def lease(self, process: str, until: int) -> None:
        """Set the end of a process's lease, as a heartbeat does; now: the process has left."""

    def lose(self, config: CircuitBreakerConfig, *, configured: bool) -> None:
        """Lose the breaker in Redis; with ``configured``, another process configures it again."""

    def restore(self, then: Prediction, expected: Prediction, ahead: int) -> Reply | None:
        """Restore the state ``then``; a side that cannot lose its state takes over ``expected``.

        The clock of the server that had the state was ``ahead`` by this much, which has no effect.
        """

    def window(self) -> list[tuple[int, int, int]]:
        """The buckets of the window."""

    def check(self, expected: Prediction, actor: str, *, quiet: bool) -> None:
        """Compare the stored state with the prediction; a ``quiet`` call must write nothing."""


class LuaSide:
    """The scripts on a server."""

    def __init__(self, server: LuaServer) -> None:
        self._server = server
        self._dump: Dump = {}

    @property
    def name(self) -> str:
        return f"Lua on {self._server.name}"

    def begin(self, config: CircuitBreakerConfig) -> None:
        self._server.begin()
        agree("the first settings", self.configure(config, explicit=False).answer.code, "created")
        self._dump = self._server.dump()

    def acquire(self, permit: str) -> Reply:
        return self._call(
            "breaker_acquire", process=holder_of(permit), permit=permit, lease_ms=LEASE
        )

    def report(self, actor: str, report: Report) -> Reply:
        before = self._dump[_BREAKER][0]
        reply = self._call(
            "breaker_record",
            process=actor,
            outcome=report.outcome,
            permit=report.permit,
            generation="" if report.generation is None else report.generation,
            successes=report.batch[0],
            age_ms=report.batch[1],
            batch_generation="" if report.batch[2] is None else report.batch[2],
        )
        # Of a breaker that stays closed, a reply has only what changes within a generation.
        fields = {**before, **reply.fields} if "state" not in reply.fields else reply.fields
        return Reply(reply.answer, {name: fields[name] for name in _SHOWN})

    def record_successes(
        self, actor: str, successes: int, age: int, generation: int | None
    ) -> Reply:
        known = "" if generation is None else generation
        now, code = self._server.run(
            "breaker_record_successes",
            {"events": KEYS.events, "meta": KEYS.meta, "breakers": [_BREAKER, _CALLERS]},
            {"process": actor, "counts": [NAME, successes, age, known]},
        )[1:]
        agree("the time", int(now), self._server.clock.now)
        stored: Any = self._server.client.hgetall(_BREAKER)
        return Reply(Answer(code), {name: stored[name] for name in _SHOWN})

    def set_override(self, override: Override, reason: str, actor: str, duration: int) -> Reply:
        return self._call(
            "breaker_override", override=override, reason=reason, actor=actor, duration_ms=duration
        )

    def reset(self, reason: str, actor: str) -> Reply:
        return self._call("breaker_reset", reason=reason, actor=actor)

    def cool_down(self, actor: str, duration: int, reason: str) -> Reply:
        return self._call("breaker_cool_down", process=actor, duration_ms=duration, reason=reason)

    def configure(self, config: CircuitBreakerConfig, *, explicit: bool) -> Reply:
        settings = {**config.fields(), "retention_ms": str(RETENTION)}
        mode = "explicit" if explicit else "default"
        flat = [part for item in settings.items() for part in item]
        return self._call("breaker_configure", process="A", mode=mode, settings=flat)

    def lease(self, process: str, until: int) -> None:
        self._server.client.zadd(KEYS.leases, {process: until})
        self._server.client.pexpire(KEYS.leases, RETENTION)
        self._dump = self._server.dump()

    def lose(self, config: CircuitBreakerConfig, *, configured: bool) -> None:
        self._server.client.delete(_BREAKER, _PERMITS, _CALLERS)
        if configured:
            agree("settings", self.configure(config, explicit=False).answer.code, "created")
        self._dump = self._server.dump()

    def restore(self, then: Prediction, expected: Prediction, ahead: int) -> Reply | None:
        breaker = BreakerState(then.config)
        update_breaker(breaker, then.shown())
        known = remembered(breaker)
        for name in known:
            if name.endswith(("_at", "_until")) and known[name] != "0":
                known[name] = str(int(known[name]) + ahead)
        settings = {**then.config.fields(), "retention_ms": str(RETENTION)}
        flat = [part for item in {**settings, **known}.items() for part in item]
        return self._call(
            "breaker_restore",
            process="A",
            seen_at=self._server.clock.now + ahead,
            settings=2 * len(settings),
            remembered=flat,
        )

    def check(self, expected: Prediction, actor: str, *, quiet: bool) -> None:
        dump, now = self._server.dump(), self._server.clock.now
        stored = dump[_BREAKER][0]
        permits = dump.get(_PERMITS, ({}, 0))[0]
        leases = dump.get(KEYS.leases, ({}, 0))[0]
        agree("stored", {name: stored[name] for name in expected.shown()}, expected.shown())
        settings = {name: stored[name] for name in expected.config.fields()}
        agree("settings", settings, expected.config.fields())
        out = {
            permit: end
            for permit, deadline in permits.items()
            if (end := min(deadline, leases.get(holder_of(permit), 0))) > now
        }
        agree("permits out", out, expected.out(now))
        self._check_callers(dump, expected)
        self._check_events(dump, expected, actor)
        if quiet:
            agree("written", not self._server.same(self._dump, dump), False)
        self._check_expiries(dump, expected)
        self._dump = dump

    def window(self) -> list[tuple[int, int, int]]:
        breaker, damaged = parse_breaker(self._dump[_BREAKER][0], {}, CircuitBreakerConfig(), {})
        agree("damaged", damaged, [])
        return breaker.buckets

    def _check_callers(self, dump: Dump, expected: Prediction) -> None:
        """The needed callers are stored, and no others for long."""
        stored, now = dump.get(_CALLERS, ({}, 0))[0], self._server.clock.now
        found = {member: abs(at) for member, at in stored.items()}
        agree(
            "callers", counting(found, expected, now), counting(expected.callers(), expected, now)
        )
        late = {member: at for member, at in found.items() if at < expected.kept_from}
        agree("kept for too long", late, {})

    def _check_events(self, dump: Dump, expected: Prediction, actor: str) -> None:
        known = {stamp for stamp, _ in self._dump.get(KEYS.events, ([], 0))[0]}
        latest = dump.get(KEYS.events, ([], 0))[0]
        new = [entry for stamp, entry in reversed(latest) if stamp not in known]
        agree("events", [entry["kind"] for entry in new], expected.events)
        for entry in new:
            agree("an event is about", (entry["provider"], entry["actor"]), (NAME, actor))
            agree("an event has a reason", bool(entry["reason"]), True)
        before, after = (int(one[KEYS.meta][0]["revision"]) for one in (self._dump, dump))
        changes = [entry for entry in new if entry["kind"] != "breaker_streak_warning"]
        agree("revisions", after - before, len(changes))

    def _check_expiries(self, dump: Dump, expected: Prediction) -> None:
        for key, (_, ttl) in dump.items():
            permanent = key == _BREAKER and expected.override and not expected.override_until
            agree(f"{key} never expires", ttl < 0, bool(permanent))

    def _call(self, script: str, **args: str | int | list[str]) -> Reply:
        keys = KEYS.for_parameters(self._server.scripts[script].keys, NAME)
        reply = self._server.run(script, keys, {"provider": NAME, **args})
        agree("the time", int(reply[1]), self._server.clock.now)
        code = reply[0]
        if code == "refused":
            return Reply(Answer(code, reply[2], int(reply[3])), dict(paired(reply[4:])))
        if code == "permit":
            deadline = int(reply[2])
            return Reply(Answer(code, deadline=deadline), dict(paired(reply[3:])))
        return Reply(Answer(code), dict(paired(reply[2:])))


class MemorySide:
    """The in-process breaker; leases and settings reach it as if it had read them."""

    name: Final = "in process"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._state = BreakerState(CircuitBreakerConfig())
        self._deadlines: dict[str, int] = {}
        self._leases: dict[str, int] = {}

    def begin(self, config: CircuitBreakerConfig) -> None:
        self._state = BreakerState(config, born=self._clock.now)
        self._deadlines, self._leases = {}, {}

    def acquire(self, permit: str) -> Reply:
        known = self._read_leases()
        now = self._clock.now
        admission = self._state.acquire(now, permit)
        code = admission.code.value
        if admission.refusal is not None:
            return self._reply(Answer(code, *admission.refusal))
        if code != "permit":
            return self._reply(Answer(code))
        if known.get(permit, 0) <= now:
            holder = holder_of(permit)
            self._deadlines[permit] = admission.deadline
            self._leases[holder] = max(self._leases.get(holder, 0), now + LEASE)
        return self._reply(Answer(code, deadline=self._deadlines[permit]))

    def report(self, actor: str, report: Report) -> Reply:
        self._read_leases()
        outcome, permit, generation, (successes, age, batch_generation) = report
        code = self._state.record(
            self._clock.now,
            outcome,
            permit,
            generation,
            successes=successes,
            age=age,
            batch_generation=batch_generation,
            actor=actor,
        )
        return self._reply(Answer(code.value))

    def record_successes(
        self, actor: str, successes: int, age: int, generation: int | None
    ) -> Reply:
        code = self._state.record_successes(self._clock.now, successes, age, generation, actor)
        return self._reply(Answer(code.value))

    def set_override(self, override: Override, reason: str, actor: str, duration: int) -> Reply:
        code = self._state.set_override(self._clock.now, override, reason, actor, duration)
        return self._reply(Answer(code.value))

    def reset(self, reason: str, actor: str) -> Reply:
        return self._reply(Answer(self._state.reset(self._clock.now).value))

    def cool_down(self, actor: str, duration: int, reason: str) -> Reply:
        return self._reply(Answer(self._state.cool_down(self._clock.now, duration).value))

    def configure(self, config: CircuitBreakerConfig, *, explicit: bool) -> Reply:
        if not explicit or config == self._state.config:
            return self._reply(Answer("unchanged"))
        state = self._state
        self._state = replace(state, config=config, generation=state.generation + 1)
        self._state.forget_window()
        self._state.permits = {}
        return self._reply(Answer("changed"))

    def lease(self, process: str, until: int) -> None:
        self._leases[process] = until

    def lose(self, config: CircuitBreakerConfig, *, configured: bool) -> None:
        self._state = BreakerState(config, born=self._clock.now if configured else 0)
        self._deadlines = {}

    def restore(self, then: Prediction, expected: Prediction, ahead: int) -> Reply | None:
        update_breaker(self._state, expected.shown())
        self._state.permits = {one: self._state.permits[one] for one in expected.permits}
        return None

    def check(self, expected: Prediction, actor: str, *, quiet: bool) -> None:
        agree("state", shown(self._state), expected.shown())
        self._read_leases()
        out = {one: end for one, end in self._state.permits.items() if end > self._clock.now}
        agree("permits out", out, expected.out(self._clock.now))
        now, callers = self._clock.now, self._state.callers
        known = {f"called|{one}": at for one, at in callers.called.items()}
        known |= {f"failed|{one}": at for one, at in callers.failed.items()}
        agree(
            "callers", counting(known, expected, now), counting(expected.callers(), expected, now)
        )

    def window(self) -> list[tuple[int, int, int]]:
        return self._state.buckets

    def _read_leases(self) -> dict[str, int]:
        """A process that reads a permit limits it to the lease of the permit's process."""
        self._state.permits = {
            permit: min(self._deadlines.get(permit, end), self._leases.get(holder_of(permit), 0))
            for permit, end in self._state.permits.items()
        }
        return dict(self._state.permits)

    def _reply(self, answer: Answer) -> Reply:
        return Reply(answer, shown(self._state))


def shown(breaker: BreakerState) -> dict[str, str]:
    """A state in the process in the fields of a script's reply."""
    return {
        "state": breaker.state.value,
        "override": breaker.override,
        "override_reason": breaker.override_reason,
        "override_actor": breaker.override_actor,
        **{name: str(getattr(breaker, name)) for name in COUNTERS},
    }


def counting(
    callers: dict[str, int], expected: Prediction, now: int
) -> tuple[set[str], dict[str, int]]:
    """The processes that call in the window, and when those failed that count as failing.

    The window counts in buckets, so the stored time of a call may be an earlier one of its bucket.
    """
    window = expected.window_from(now)
    first = min(window, *expected.streak[:1], now)
    calling = {one for one, at in callers.items() if one[:6] == "called" and at >= window}
    failing = {one: at for one, at in callers.items() if one[:6] == "failed" and at >= first}
    return calling, failing
