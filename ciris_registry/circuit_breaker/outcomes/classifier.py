"""Classifying the outcome of a call: success, failure, ignored or a cooldown of its provider.

Policies of the program come first; the default rules decide the rest. Nothing is recorded here. An
error in a policy never replaces the result of the call.
"""

from __future__ import annotations

import inspect
import logging
import reprlib
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from ciris_registry.circuit_breaker.outcomes.classification import (
    FAILURE,
    IGNORED,
    PROGRAMMING_ERROR,
    PROGRAMMING_ERRORS,
    SEVERITY,
    SUCCESS,
    Classification,
    is_valid,
)
from ciris_registry.circuit_breaker.outcomes.http_errors import http_facts_of
from ciris_registry.circuit_breaker.outcomes.http_status import by_http_facts
from ciris_registry.errors import CallCancelledError, CallTimeoutError, RegistryError
from ciris_registry.masking import mask_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ciris_registry.circuit_breaker.outcomes.http_status import CooldownDurations

_log = logging.getLogger(__name__)

_OF_THE_PROVIDER: Final = (CallTimeoutError, CallCancelledError)
_MOST_MEMBERS: Final = 1_000
# An object whose repr() raises must not replace the outcome of the call.
_SHOWN: Final = reprlib.Repr()
_SHOWN.maxother = 200


Classify: TypeAlias = Callable[[object], Classification | None]
"""A policy: takes the raised exception or the returned value and returns a classification, or None
to leave it to the next policy and the default rules."""


class Classifier:
    """Classifies outcomes by the policies of call, registration and registry, then by the rules.

    The first policy that returns a classification decides. A policy that raises, or returns
    anything other than a ``Classification`` or None, is logged once and counts as None.
    """

    def __init__(self, durations: CooldownDurations, of_registry: Classify | None = None) -> None:
        self._durations = durations
        self._of_registry = of_registry
        self.classifies_values = of_registry is not None
        self._warned_of: set[object] = set()

    def error(self, error: BaseException, *policies: Classify | None) -> Classification:
        """Classify a raised error, by the default rules if no policy decides.

        A cancellation, and any other exception that is no ``Exception``, is ignored without asking
        a policy. A group that no policy classifies counts as its worst member.
        """
        if isinstance(error, BaseExceptionGroup):
            group = cast("BaseExceptionGroup[BaseException]", error)
            decided = self._decided(group, policies)
            return decided or max(
                (self.error(one, *policies) for one in islice(_members(group), _MOST_MEMBERS)),
                key=lambda one: (SEVERITY.index(one.kind), one.seconds),
                default=FAILURE,
            )
        if not isinstance(error, Exception):
            return IGNORED
        return self._decided(error, policies) or self._by_default(error)

    def value(self, value: object, *policies: Classify | None) -> Classification:
        """Classify a returned value: a success if no policy decides."""
        return self._decided(value, policies) or SUCCESS

    def _decided(
        self, outcome: object, policies: tuple[Classify | None, ...]
    ) -> Classification | None:
        for policy in (*policies, self._of_registry):
            if policy is not None and (classification := self._apply(policy, outcome)) is not None:
                return classification
        return None

    def _apply(self, policy: Classify, outcome: object) -> Classification | None:
        try:
            answer = cast("object", policy(outcome))
        except Exception as error:  # noqa: BLE001 # a program's policy may raise anything
            self._warn(policy, f"raised {_shown(error)}")
            return None
        if answer is None:
            return None
        if isinstance(answer, Classification) and is_valid(answer):
            return self._limited(answer) if answer.kind == "cooldown" else answer
        if inspect.iscoroutine(answer):
            answer.close()
        problem = f"returned {_shown(answer)}, which is neither a Classification nor None"
        self._warn(policy, problem)
        return None

    def _warn(self, policy: Classify, problem: str) -> None:
        # Lambdas and bound methods that are made for each call are one policy if they share code.
        key: object = getattr(getattr(policy, "__func__", policy), "__code__", type(policy))
        if key not in self._warned_of:
            self._warned_of.add(key)
            name = getattr(policy, "__qualname__", type(policy).__qualname__)
            _log.warning("the policy %s %s; it counts as None", name, problem)

    def _by_default(self, error: Exception) -> Classification:
        if isinstance(error, RegistryError) and not isinstance(error, _OF_THE_PROVIDER):
            return IGNORED  # of a nested call of a registry, so not this provider's failure
        if isinstance(error, TimeoutError):
            return FAILURE
        plain = _is_plain(error)
        found = FAILURE if plain else by_http_facts(http_facts_of(error), self._durations)
        if found is FAILURE and isinstance(error, PROGRAMMING_ERRORS):
            return PROGRAMMING_ERROR
        return found

    def _limited(self, classification: Classification) -> Classification:
        longest = self._durations.longest
        return replace(classification, seconds=min(classification.seconds, longest))


def _shown(value: object) -> str:
    return mask_secrets(_SHOWN.repr(value))


def _is_plain(error: Exception) -> bool:
    """Whether an error carries no HTTP facts: an instance of a built-in class, and no more."""
    return (
        type(error).__module__ == "builtins"
        and error.__cause__ is None
        and (error.__suppress_context__ or error.__context__ is None)
        and not getattr(error, "__dict__", None)
    )


def _members(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """All errors of a group and its subgroups; no recursion, because they may be nested deeply."""
    waiting: list[BaseException] = [group]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseExceptionGroup):
            waiting += cast("BaseExceptionGroup[BaseException]", one).exceptions
        else:
            yield one
