"""Decoding of breakers and sorted sets as Redis has them, also if their keys are damaged."""

from __future__ import annotations

import dataclasses
import re
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, Final, cast

from ciris_registry.circuit_breaker import (
    BUCKETS,
    BreakerState,
    Callers,
    CircuitBreakerConfig,
    CircuitState,
)
from ciris_registry.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

COUNTERS: Final = (
    "generation",
    "consecutive_failures",
    "probe_successes",
    "consecutive_openings",
    "opened_at",
    "retry_at",
    "changed_at",
    "last_failure_at",
    "streak_started_at",
    "warned_at",
    "cooldown_until",
    "override_until",
    "total_successes",
    "total_failures",
    "born",
)

_counters_of = itemgetter(*COUNTERS)
_parts_of = attrgetter(*(part.name for part in dataclasses.fields(BreakerState)))

_STATES: Final = {state.value: state for state in CircuitState}

_BUCKET: Final = re.compile(r"(?<!\S)(\d{1,16}):(\d{1,16}):(\d{1,16})(?!\S)", re.ASCII)
"""The number of a bucket since the epoch, its calls and its failures; anything else is damaged."""

_MOST: Final = 2**53
"""Lua cannot count beyond it, so no breaker script has written more."""

_LONGEST_SHOWN: Final = 40


def paired(flat: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """A flat ``field, value, …`` reply as pairs."""
    return zip(flat[::2], flat[1::2], strict=False)


def counters(flat: Sequence[Any]) -> dict[str, int]:
    """A sorted set's ``member, score, …`` reply; scores as whole numbers."""
    return {str(member): int(float(score)) for member, score in paired(flat) if _finite(score)}


def parse_breaker(
    fields: Mapping[str, str],
    permits: Mapping[str, int],
    default: CircuitBreakerConfig,
    callers: Mapping[str, int],
) -> tuple[BreakerState, list[str]]:
    """The breaker of its keys, and the problems of fields that could not be read.

    A missing or damaged field reads as in a new breaker, as it does in Lua.
    """
    damaged: list[str] = []
    config = default
    if fields:
        try:
            config = CircuitBreakerConfig.parse(fields)
        except SettingsError as error:
            damaged += error.problems
    breaker = BreakerState(
        config,
        permits=dict(permits),
        callers=Callers.parse(callers),
    )
    damaged += update_breaker(breaker, fields)
    for number, calls, failures in _BUCKET.findall(
        f"{fields.get('window', '')} {fields.get('window_past', '')}"
    ):
        if int(number):
            bucket = int(number), int(calls), int(failures)
            breaker.buckets[bucket[0] % BUCKETS] = bucket
    return breaker, damaged


def update_breaker(breaker: BreakerState, fields: Mapping[str, str]) -> list[str]:
    """Set a breaker to the state of a reply or an event; the problems of damaged fields."""
    damaged: list[str] = []
    try:
        numbers = list(map(int, _counters_of(fields)))
        readable = min(numbers) >= -_MOST and max(numbers) <= _MOST
    except (KeyError, ValueError, TypeError, OverflowError):  # an event may contain anything
        numbers, readable = [], False
    if not readable:
        numbers = [_number(name, fields.get(name, "0"), damaged) for name in COUNTERS]
    (
        breaker.generation,
        breaker.consecutive_failures,
        breaker.probe_successes,
        breaker.consecutive_openings,
        breaker.opened_at,
        breaker.retry_at,
        breaker.changed_at,
        breaker.last_failure_at,
        breaker.streak_started_at,
        breaker.warned_at,
        breaker.cooldown_until,
        breaker.override_until,
        breaker.total_successes,
        breaker.total_failures,
        breaker.born,
    ) = numbers
    state, override = fields.get("state", "closed"), fields.get("override", "")
    try:
        breaker.state = _STATES[state]
    except (KeyError, TypeError):
        damaged.append(f"state is {state!r}")
        breaker.state = CircuitState.CLOSED
    if override in ("", "open", "closed"):  # it may not even be hashable
        breaker.override = cast("Any", override)
    else:
        damaged.append(f"override is {override!r}")
        breaker.override = ""
    breaker.override_reason = fields.get("override_reason", "")
    breaker.override_actor = fields.get("override_actor", "")
    return damaged


def with_counters(breaker: BreakerState, counters: Mapping[str, str]) -> BreakerState:
    """A state with other counters of the same generation, as a script replied them.

    It has no permits and no local streak, and shares window and callers with the state before.
    """
    counted = BreakerState(*_parts_of(breaker))
    counted.permits, counted.local = {}, None
    for name, text in counters.items():
        setattr(counted, name, int(text))
    return counted


def remembered(breaker: BreakerState) -> dict[str, str]:
    """The state to restore on a server that has lost it: OPEN, if it was HALF_OPEN."""
    state = breaker.state
    counted = {name: str(getattr(breaker, name)) for name in COUNTERS if name != "probe_successes"}
    if state is CircuitState.CLOSED:
        # The processes that restore it cannot tell whose streak is the newest.
        counted["consecutive_failures"] = counted["streak_started_at"] = "0"
    return {
        "state": "open" if state is CircuitState.HALF_OPEN else state.value,
        "override": breaker.override,
        "override_reason": breaker.override_reason,
        "override_actor": breaker.override_actor,
        **counted,
    }


def _number(name: str, text: object, damaged: list[str]) -> int:
    try:
        number = int(cast("str", text))
    except (ValueError, TypeError, OverflowError):
        number = _MOST + 1
    if abs(number) <= _MOST:
        return number
    damaged.append(f"{name} is {_shown(text)}")
    return 0


def _shown(text: object) -> str:
    shown = repr(text)
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}…"


def _finite(score: object) -> bool:
    text = str(score)
    digits = text.replace(".", "", 1).lstrip("-")
    return digits.isdecimal() and abs(float(text)) <= _MOST
