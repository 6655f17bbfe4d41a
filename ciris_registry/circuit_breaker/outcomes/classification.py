"""The meaning of an outcome for its provider: success, failure, ignored or a cooldown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from ciris_registry.errors import SettingsError

_TEN_YEARS: Final = 10 * 365 * 86_400.0


@dataclass(frozen=True, slots=True)
class Classification:
    """The meaning of an outcome for the provider's breaker.

    Use ``SUCCESS``, ``FAILURE``, ``IGNORED`` or ``cooldown()``:

    - ``success`` and ``failure`` count in the breaker.
    - ``ignored`` does not: the error says nothing about the provider, as an invalid request does.
    - ``cooldown`` refuses calls of the provider for ``seconds``, without a failure.

    ``reason`` is text for logs and events; it does not count in comparisons.
    """

    kind: Literal["success", "failure", "ignored", "cooldown"]
    seconds: float = 0.0
    reason: str = field(default="", compare=False)


SUCCESS: Final = Classification("success")
FAILURE: Final = Classification("failure")
IGNORED: Final = Classification("ignored")


def cooldown(seconds: float, reason: str = "") -> Classification:
    """A cooldown of the provider for ``seconds``, more than 0 and up to ten years.

    Raises:
        SettingsError: ``seconds`` is not a number within these bounds.
    """
    if not is_cooldown(seconds):
        raise SettingsError(
            "a cooldown", (f"{seconds!r} is not seconds; use more than 0, up to ten years",)
        )
    return Classification("cooldown", float(seconds), reason)


def is_cooldown(seconds: object) -> bool:
    """Whether a value is the seconds of a cooldown: a number above 0, up to ten years."""
    return (
        isinstance(seconds, int | float)
        and not isinstance(seconds, bool)
        and 0 < seconds <= _TEN_YEARS
    )
