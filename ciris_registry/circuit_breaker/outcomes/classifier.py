"""What the outcome of a real call means for its provider: success, failure, nothing, a cooldown.

A caller's policies are asked first; what none of them decides, the default rules do. Nothing is
recorded here, and nothing that goes wrong here takes the place of the caller's own outcome.
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
# Anthropic's word for: everybody asks too much, not only you.
_OVERLOADED: Final = 529
_MOST_MEMBERS: Final = 1_000
# Errors inside of a stream come under its status 200, and AWS answers most of these with 400.
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
# From the least that a group of errors says of a provider to the most.
_WORSE: Final = ("success", "ignored", "cooldown", "failure")
# An object whose repr() raises must not hide the outcome that is judged.
_SHOWN: Final = reprlib.Repr()
_SHOWN.maxother = 200


@dataclass(frozen=True, slots=True)
class Classification:
    """What an outcome means; ``SUCCESS``, ``FAILURE``, ``IGNORED`` and ``cooldown()`` make them.

    ``ignored`` says nothing about the provider, such as a request that was wrong. A ``cooldown``
    leaves it alone for ``seconds`` without blaming it. ``reason`` is for people: two judgements
    that do the same are equal.
    """

    kind: Literal["success", "failure", "ignored", "cooldown"]
    seconds: float = 0.0
    reason: str = field(default="", compare=False)


SUCCESS: Final = Classification("success")
FAILURE: Final = Classification("failure")
IGNORED: Final = Classification("ignored")


def cooldown(seconds: float, reason: str = "") -> Classification:
    """Leave the provider alone for so many seconds, more than 0 and up to ten years.

    Raises:
        SettingsError: The seconds are out of these bounds, or are no number.
    """
    if not _is_cooldown(seconds):
        raise SettingsError(
            "a cooldown", (f"{seconds!r} is not seconds; use more than 0, up to ten years",)
        )
    return Classification("cooldown", float(seconds), reason)


Classify: TypeAlias = Callable[[object], Classification | None]
"""A policy: is given the exception that was raised or the value that was returned, and judges it,
or answers None: somebody else decides."""


class CooldownDurations(NamedTuple):
    """How long a provider is left alone, in seconds.

    ``limited`` is for one that limits its callers (HTTP 429) without saying for how long, ``quota``
    the least for one whose quota is used up. No cooldown is longer than ``longest``.
    """

    limited: float = 5.0
    quota: float = 3600.0
    longest: float = 86_400.0


class Classifier:
    """Judges outcomes by the policies of a call, a registration and a registry, then by rules.

    The first policy that answers decides. One that raises, or answers anything else than a
    ``Classification`` or None, is logged once and counts as None.
    """

    def __init__(self, durations: CooldownDurations, of_registry: Classify | None = None) -> None:
        self._durations = durations
        self._of_registry = of_registry
        self.classifies_values = of_registry is not None
        self._told: set[object] = set()

    def error(self, error: BaseException, *policies: Classify | None) -> Classification:
        """Judge what a call raised, by the default rules if no policy decides.

        A cancellation, and whatever else ends a program, says nothing about a provider, and no
        policy is asked. A group that none of them judges is as bad as the worst of its members.
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
        """Judge what a call returned: a success if no policy decides."""
        return self._decided(value, policies) or SUCCESS

    def _decided(
        self, outcome: object, policies: tuple[Classify | None, ...]
    ) -> Classification | None:
        for policy in (*policies, self._of_registry):
            if policy is not None and (classification := self._asked(policy, outcome)) is not None:
                return classification
        return None

    def _asked(self, policy: Classify, outcome: object) -> Classification | None:
        try:
            answer = cast("object", policy(outcome))
        except Exception as error:  # noqa: BLE001 # a program's policy may raise anything
            self._tell(policy, f"raised {_SHOWN.repr(error)}")
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
        self._tell(policy, f"answered {_SHOWN.repr(answer)}, which is neither a Judgement nor None")
        return None

    def _tell(self, policy: Classify, problem: str) -> None:
        # Lambdas and methods made anew for each call are one policy if their code is one.
        key: object = getattr(getattr(policy, "__func__", policy), "__code__", type(policy))
        if key not in self._told:
            self._told.add(key)
            name = getattr(policy, "__qualname__", type(policy).__qualname__)
            _log.warning("the policy %s %s; it counts as None", name, problem)

    def _by_default(self, error: Exception) -> Classification:
        if isinstance(error, RegistryError) and not isinstance(error, CallTimeoutError):
            return IGNORED  # of a call inside of this one: it was not this provider that failed
        if isinstance(error, TimeoutError) or _is_plain(error):
            return FAILURE
        facts = http_facts_of(error)
        quota = exhausted_quota(facts)
        if not facts.status and not quota and not facts.codes & _SLOW_DOWN:
            return FAILURE
        return self._by_http(facts, quota)

    def _by_http(self, facts: HTTPFacts, quota: str) -> Classification:
        status, said = facts.status, f"HTTP {facts.status}"
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
            said += f", {wait.header}" if wait is not None else ""
            return self._limited(Classification("cooldown", seconds, said))
        is_the_callers = (
            HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
            and status != HTTPStatus.REQUEST_TIMEOUT
        )
        return Classification("ignored" if is_the_callers else "failure", reason=said)

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
    """All errors inside a group and its groups; a loop, because they may lie deep."""
    waiting: list[BaseException] = [group]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseExceptionGroup):
            waiting += cast("BaseExceptionGroup[BaseException]", one).exceptions
        else:
            yield one
