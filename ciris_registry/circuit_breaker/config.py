"""The settings of a breaker: their bounds, and their form in Redis.

Settings are stored with the breaker, so that all processes use the same ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ciris_registry.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST: Final = 1_000_000
_LONGEST: Final = 10 * 365 * 86_400.0
_STEEPEST: Final = 100.0
_COUNTS: Final = (
    "failure_threshold",
    "success_threshold",
    "half_open_max_calls",
    "minimum_calls",
    "min_failing_processes",
)
_DURATIONS: Final = (
    "recovery_timeout",
    "timeout_duration",
    "window",
    "max_recovery_timeout",
)


@dataclass(frozen=True, slots=True)
class CircuitBreakerConfig:
    """When a breaker opens, probes and closes. Durations are seconds, up to ten years.

    The first four are those of the in-process CIRIS registry, in its order and with its defaults:

    - ``failure_threshold``: this many failures in a row, over the whole fleet, open the breaker.
    - ``recovery_timeout``: how long it stays open before a probe is admitted; may be 0.
    - ``success_threshold``: this many successful probes close it.
    - ``timeout_duration``: how long a call or a health check may take; a permit lasts as long.

    The others follow resilience4j:

    - ``half_open_max_calls``: how many probes may run at one time, over the whole fleet.
    - ``failure_rate_threshold``: this share of failed calls (more than 0, up to 1) opens it too,
      counted over ``window`` seconds once ``minimum_calls`` are in it. None turns it off.
    - ``backoff_multiplier``: each opening in a row lasts this many times as long as the one
      before (1 to 100), up to ``max_recovery_timeout``.
    - ``first_item_timeout``: how long a stream may take to its first item, if that is less than
      ``timeout_duration``. None: as long as that.
    - ``min_failing_processes``: it opens only if at least so many processes have failed, in the
      streak or in the window. The rate needs two failing processes if two or more are calling.

    Counts are 1 to 1,000,000.

    Raises:
        SettingsError: A setting is out of its bounds; all of them are named.
    """

    failure_threshold: int = 5
    recovery_timeout: float = 60.0
    success_threshold: int = 3
    timeout_duration: float = 30.0
    half_open_max_calls: int = 1
    failure_rate_threshold: float | None = 0.5
    window: float = 30.0
    minimum_calls: int = 20
    backoff_multiplier: float = 1.0
    max_recovery_timeout: float = 3600.0
    min_failing_processes: int = 1
    first_item_timeout: float | None = None

    def __post_init__(self) -> None:
        """Check every bound."""
        problems = [
            f"{name} is {value!r}; use a whole number from 1 to {_MOST}"
            for name in _COUNTS
            if type(value := getattr(self, name)) is not int or not 1 <= value <= _MOST
        ]
        problems += [
            f"{name} is {value!r}; use seconds from {least} to {_LONGEST:.0f}"
            for name in _DURATIONS
            for least in (0.0 if name == "recovery_timeout" else 0.001,)
            if not _within(value := getattr(self, name), least, _LONGEST)
        ]
        first = self.first_item_timeout
        if first is not None and not _within(first, 0.001, _LONGEST):
            problems.append(
                f"first_item_timeout is {first!r}; use None or seconds from 0.001 to {_LONGEST:.0f}"
            )
        rate = self.failure_rate_threshold
        if rate is not None and not (_within(rate, 0.0, 1.0) and rate > 0):
            problems.append(f"failure_rate_threshold is {rate!r}; use more than 0 up to 1, or None")
        if not _within(self.backoff_multiplier, 1.0, _STEEPEST):
            problems.append(f"backoff_multiplier is {self.backoff_multiplier!r}; use 1 to 100")
        if problems:
            raise SettingsError("circuit breaker settings", tuple(problems))

    def open_for(self, openings: int) -> int:
        """Milliseconds that an opening lasts after ``openings`` others in a row."""
        first = milliseconds(self.recovery_timeout)
        longest = max(milliseconds(self.max_recovery_timeout), first)
        try:
            return int(min(first * self.backoff_multiplier**openings, longest))
        except OverflowError:
            return longest

    @property
    def first_item_within(self) -> float:
        """Seconds that a stream may take to its first item."""
        first = self.first_item_timeout
        return self.timeout_duration if first is None else min(first, self.timeout_duration)

    def fields(self) -> dict[str, str]:
        """These settings as text fields of a breaker's hash; durations in milliseconds."""
        rate, first = self.failure_rate_threshold, self.first_item_timeout
        return {
            "failure_threshold": str(self.failure_threshold),
            "recovery_timeout_ms": str(milliseconds(self.recovery_timeout)),
            "success_threshold": str(self.success_threshold),
            "timeout_duration_ms": str(milliseconds(self.timeout_duration)),
            "half_open_max_calls": str(self.half_open_max_calls),
            "failure_rate_threshold": "" if rate is None else repr(float(rate)),
            "window_ms": str(milliseconds(self.window)),
            "minimum_calls": str(self.minimum_calls),
            "backoff_multiplier": repr(float(self.backoff_multiplier)),
            "max_recovery_timeout_ms": str(milliseconds(self.max_recovery_timeout)),
            "min_failing_processes": str(self.min_failing_processes),
            "first_item_timeout_ms": "" if first is None else str(milliseconds(first)),
        }

    @classmethod
    def parse(cls, fields: Mapping[str, str]) -> CircuitBreakerConfig:
        """Read the settings from the fields of a breaker's hash.

        Raises:
            SettingsError: A field is missing, is not a number or is out of its bounds.
        """
        try:
            rate = fields["failure_rate_threshold"]
            first = fields["first_item_timeout_ms"]
            return cls(
                failure_threshold=int(fields["failure_threshold"]),
                recovery_timeout=int(fields["recovery_timeout_ms"]) / 1000,
                success_threshold=int(fields["success_threshold"]),
                timeout_duration=int(fields["timeout_duration_ms"]) / 1000,
                half_open_max_calls=int(fields["half_open_max_calls"]),
                failure_rate_threshold=float(rate) if rate else None,
                window=int(fields["window_ms"]) / 1000,
                minimum_calls=int(fields["minimum_calls"]),
                backoff_multiplier=float(fields["backoff_multiplier"]),
                max_recovery_timeout=int(fields["max_recovery_timeout_ms"]) / 1000,
                min_failing_processes=int(fields["min_failing_processes"]),
                first_item_timeout=int(first) / 1000 if first else None,
            )
        except KeyError as missing:
            problem = f"the field {missing} is missing"
        except ValueError as wrong:
            if isinstance(wrong, SettingsError):
                raise
            problem = str(wrong)
        raise SettingsError("circuit breaker settings", (problem,))


def milliseconds(seconds: float) -> int:
    """Seconds as whole milliseconds, at least one: expiry times of Redis are in milliseconds."""
    return max(1, round(seconds * 1000))


def length_of(seconds: object) -> int:
    """The length of a cooldown or an override, as whole milliseconds.

    Raises:
        SettingsError: Not a number of seconds, more than 0 and up to ten years.
    """
    if (
        isinstance(seconds, int | float)
        and not isinstance(seconds, bool)
        and 0 < seconds <= _LONGEST
    ):
        return milliseconds(seconds)
    raise SettingsError("a duration", (f"{seconds!r} is not seconds; use more than 0",))


def length_or_ever(seconds: object) -> int:
    """As ``length_of``; 0 for None, which means without end."""
    return 0 if seconds is None else length_of(seconds)


def _within(value: object, least: float, most: float) -> bool:
    """Whether this is a finite number between the bounds; a bool is not a number."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and least <= value <= most
    )
