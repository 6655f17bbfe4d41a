"""Classifying the outcome of a call: success, failure, ignored or a cooldown of its provider.

Policies of the program come first; the default rules decide the rest. Nothing is recorded here. An
error in a policy never replaces the result of the call.
"""

from __future__ import annotations

import inspect
import logging
import reprlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, cast

from ciris_registry.circuit_breaker.outcomes.http_errors import HTTPFacts, http_facts_of
from ciris_registry.circuit_breaker.outcomes.quota import exhausted_quota
from ciris_registry.circuit_breaker.outcomes.retry_after import wait_of
from ciris_registry.errors import CallTimeoutError, RegistryError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator


_log = logging.getLogger(__name__)

_TEN_YEARS: Final = 10 * 365 * 86_400.0
# Anthropic's status for a service that is overloaded by all of its callers.
_OVERLOADED: Final = 529
_MOST_MEMBERS: Final = 1_000
# An error inside a stream has the stream's status 200; AWS uses 400 for most of these codes.
_SLOW_DOWN: Final = frozenset(
    {
        "rate_limit_error",
        "rate_limit_exceeded",
        "rate_limit_reached_error",
        "provisionedthroughputexceededexception",
        "requestlimitexceeded",
        "throttling",
        "throttlingexception",
        "toomanyrequestsexception",
    }
)
# Kinds of classification, the worst last: a group of errors counts as its worst member.
_WORSE: Final = ("success", "ignored", "cooldown", "failure")
# An object whose repr() raises must not replace the outcome of the call.
_SHOWN: Final = reprlib.Repr()
_SHOWN.maxother = 200


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
    if not _is_cooldown(seconds):
        raise SettingsError(
            "a cooldown", (f"{seconds!r} is not seconds; use more than 0, up to ten years",)
        )
    return Classification("cooldown", float(seconds), reason)


Classify: TypeAlias = Callable[[object], Classification | None]
"""A policy: takes the raised exception or the returned value and returns a classification, or None
to leave it to the next policy and the default rules."""


class CooldownDurations(NamedTuple):
    """Lengths of cooldowns, in seconds.

    ``limited`` is for a provider that limits its callers (HTTP 429) without a wait of its own;
    ``quota`` is the shortest for one whose quota is used up. No cooldown is longer than
    ``longest``.
    """

    limited: float = 5.0
    quota: float = 3600.0
    longest: float = 86_400.0


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
                key=lambda one: (_WORSE.index(one.kind), one.seconds),
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
            self._warn(policy, f"raised {_SHOWN.repr(error)}")
            return None
        if answer is None:
            return None
        if isinstance(answer, Classification) and answer.kind in _WORSE:
            if answer.kind != "cooldown":
                return answer
            if _is_cooldown(answer.seconds):
                return self._limited(answer)
        if inspect.iscoroutine(answer):
            answer.close()
        problem = f"returned {_SHOWN.repr(answer)}, which is neither a Classification nor None"
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
        if isinstance(error, RegistryError) and not isinstance(error, CallTimeoutError):
            return IGNORED  # of a nested call of a registry, so not this provider's failure
        if isinstance(error, TimeoutError) or _is_plain(error):
            return FAILURE
        facts = http_facts_of(error)
        quota = exhausted_quota(facts)
        if not facts.status and not quota and not facts.codes & _SLOW_DOWN:
            return FAILURE
        return self._by_http(facts, quota)

    def _by_http(self, facts: HTTPFacts, quota: str) -> Classification:
        status, reason = facts.status, f"HTTP {facts.status}"
        too_many = status == HTTPStatus.TOO_MANY_REQUESTS
        wait = wait_of(facts.headers, time.time(), limited=too_many)
        seconds = wait.seconds if wait is not None else 0.0
        if quota:
            longer = max(seconds, self._durations.quota)
            return self._limited(Classification("cooldown", longer, f"a quota is used up: {quota}"))
        if too_many or (status <= HTTPStatus.BAD_REQUEST and facts.codes & _SLOW_DOWN):
            seconds = seconds or self._durations.limited
        elif status not in {HTTPStatus.SERVICE_UNAVAILABLE, _OVERLOADED}:
            seconds = 0.0
        if seconds:
            reason += f", {wait.header}" if wait is not None else ""
            return self._limited(Classification("cooldown", seconds, reason))
        is_the_callers = (
            HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
            and status != HTTPStatus.REQUEST_TIMEOUT
        )
        return Classification("ignored" if is_the_callers else "failure", reason=reason)

    def _limited(self, classification: Classification) -> Classification:
        longest = self._durations.longest
        return replace(classification, seconds=min(classification.seconds, longest))


def _is_plain(error: Exception) -> bool:
    """Whether an error carries no HTTP facts: an instance of a built-in class, and no more."""
    return (
        type(error).__module__ == "builtins"
        and error.__cause__ is None
        and not getattr(error, "__dict__", None)
    )


def _is_cooldown(seconds: object) -> bool:
    return (
        isinstance(seconds, int | float)
        and not isinstance(seconds, bool)
        and 0 < seconds <= _TEN_YEARS
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
