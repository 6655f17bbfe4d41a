"""stub"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from ciris_registry.settings import RegistrySettings


@dataclass(frozen=True, slots=True)
class Judgement:
    """x."""

    kind: Literal["success", "failure", "ignored", "cooldown"]
    seconds: float = 0.0
    reason: str = ""


SUCCESS: Final = Judgement("success")
FAILURE: Final = Judgement("failure")
IGNORED: Final = Judgement("ignored")


def cooldown(seconds: float, reason: str = "") -> Judgement:
    """X."""
    return Judgement("cooldown", seconds, reason)


Classify = Callable[[object], Judgement | None]


class Classifier:
    """x."""

    def __init__(self, settings: RegistrySettings, of_registry: Classify | None = None) -> None:
        self._r = of_registry

    def error(self, error: BaseException, *policies: Classify | None) -> Judgement:
        """X."""
        for p in (*policies, self._r):
            if p is not None and (j := p(error)) is not None:
                return j
        return FAILURE

    def value(self, value: object, *policies: Classify | None) -> Judgement:
        """X."""
        for p in (*policies, self._r):
            if p is not None and (j := p(value)) is not None:
                return j
        return SUCCESS
