"""Retrying a guarded call after all available providers have failed.

A tenacity policy decides the number of rounds and the waits between them. A wait lasts at
least until the first provider may serve again. If the next wait would pass the deadline, the last
error is raised at once.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import random
import time
from typing import TYPE_CHECKING, Any, Final

from tenacity import AsyncRetrying, stop_after_attempt, wait_random_exponential

from ciris_registry.calls.failover import CallRound
from ciris_registry.errors import DeadlineExceededError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from tenacity import RetryCallState

Retry = int | AsyncRetrying
"""The largest number of rounds of a call, with growing random waits; or a tenacity policy."""

_FIRST_WAIT: Final = 0.2
_LONGEST_WAIT: Final = 10.0
"""Seconds. Waits are random up to a bound that doubles, so that processes that failed together do
not retry together ("full jitter", Marc Brooker, AWS Architecture Blog, 2015)."""

_SPREAD: Final = 0.1
"""The wait until a provider may serve is prolonged by a random share of it, up to this one."""


async def with_retries(
    attempt: Callable[[CallRound | None], Awaitable[Any]],
    soonest: Callable[[], float],
    retry: Retry | None,
    deadline: float | None,
    longest: float,
) -> Any:  # what was called returned it
    """Run rounds of a call as ``retry`` allows, within ``deadline`` seconds.

    ``attempt`` runs one round. ``soonest`` returns the seconds until a provider may serve; without
    a deadline, no call waits for more than the ``longest``.

    Raises:
        DeadlineExceededError: The call did not end in time.
        Exception: The failure of the last round.
    """
    watch = asyncio.timeout(deadline)
    try:
        async with watch:
            if retry is None:
                return await attempt(None)
            return await _Rounds(attempt, soonest, deadline, longest).run(_policy(retry))
    except Exception as error:
        # Any error: a provider may have replaced the cancellation.
        if deadline is None or not watch.expired():
            raise
        cause = None if isinstance(error, TimeoutError) else error
        raise DeadlineExceededError(deadline) from cause


class _Rounds:
    """The rounds of one call."""

    def __init__(
        self,
        attempt: Callable[[CallRound | None], Awaitable[Any]],
        soonest: Callable[[], float],
        deadline: float | None,
        longest: float,
    ) -> None:
        self._attempt = attempt
        self._soonest = soonest
        self._longest = longest if deadline is None else math.inf
        self._end = None if deadline is None else time.monotonic() + deadline
        self._available_in = 0.0
        self._round = CallRound()
        self._failure: BaseException | None = None
        self._traceback: TracebackType | None = None

    async def run(self, policy: AsyncRetrying) -> Any:  # what was called returned it
        """Run rounds by the policy, the deadline and the state of the providers."""
        retrying = self._restricted(policy)
        try:
            try:
                return await retrying(self._once)
            except BaseException as error:
                if self._failure is not error:
                    raise  # of the policy itself
            assert self._failure is not None  # noqa: S101 # the last round has failed
            # Without the frames of tenacity, which hold the failure.
            raise self._failure.with_traceback(self._traceback)
        finally:
            # Without this, these would be reference cycles.
            self._failure = self._traceback = None
            retrying.iter_state.reset()

    def _restricted(self, policy: AsyncRetrying) -> Any:  # a tenacity policy; its state has no type
        """The policy, which stops at the deadline too, and waits until a provider may serve."""

        async def again(state: RetryCallState) -> bool:
            if not self._round.exhausted:
                return False
            if state.outcome is not None and not state.outcome.failed:
                return True  # a policy has classified the value of each provider as a failure
            answer: Any = policy.retry(state)
            return bool(await answer if inspect.isawaitable(answer) else answer)

        def wait(state: RetryCallState) -> float:
            available_in = self._available_in = self._soonest() * random.uniform(1.0, 1.0 + _SPREAD)  # noqa: S311 # no secret
            return max(policy.wait(state), available_in)

        def stop(state: RetryCallState) -> bool:
            late = self._end is not None and time.monotonic() + state.upcoming_sleep > self._end
            return bool(late or self._available_in > self._longest or policy.stop(state))

        return policy.copy(
            retry=again,
            wait=wait,
            stop=stop,
            reraise=True,
            retry_error_callback=lambda state: state.outcome and state.outcome.result(),
        )

    async def _once(self) -> Any:  # what was called returned it
        self._round = CallRound()
        try:
            return await self._attempt(self._round)
        except BaseException as error:
            self._failure, self._traceback = error, error.__traceback__
            raise


def _policy(retry: Retry) -> AsyncRetrying:
    if isinstance(retry, AsyncRetrying):
        return retry
    return AsyncRetrying(
        stop=stop_after_attempt(retry),
        wait=wait_random_exponential(multiplier=_FIRST_WAIT, max=_LONGEST_WAIT),
    )
