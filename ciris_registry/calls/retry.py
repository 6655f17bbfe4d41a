"""Retrying a guarded call when all providers that could be called have failed.

A tenacity policy decides how often and with which waits. Added is what the fleet knows better: when
the first provider may serve again, which errors are no provider's failure, and the caller's
deadline.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import time
from typing import TYPE_CHECKING, Any, Final

from tenacity import AsyncRetrying, stop_after_attempt, wait_random_exponential

from ciris_registry.calls.executor import CallRound
from ciris_registry.errors import DeadlineExceededError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tenacity import RetryCallState

Retry = int | AsyncRetrying
"""How often a call is made at the most, with waits that grow at random; or a policy."""

_FIRST_WAIT: Final = 0.2
_LONGEST_WAIT: Final = 10.0
"""Seconds. Waits are random up to a bound that doubles: processes that failed at one time must not
come back at one time ("full jitter", Marc Brooker, AWS Architecture Blog, 2015)."""

_SPREAD: Final = 0.1
"""By this share of it, at the most, is waited longer than until a provider might be back."""


async def with_retries(
    attempt: Callable[[CallRound | None], Awaitable[Any]],
    soonest: Callable[[], float],
    retry: Retry | None,
    deadline: float | None,
) -> Any:  # what was called returned it
    """Make an attempt, and others if ``retry`` allows, within ``deadline`` seconds.

    ``soonest`` tells in how many seconds a provider might serve.

    Raises:
        DeadlineExceededError: It was not done in time.
        Exception: What the last attempt failed with.
    """
    watch = asyncio.timeout(deadline)
    try:
        async with watch:
            if retry is None:
                return await attempt(None)
            return await _Attempts(attempt, soonest, deadline).made(_policy(retry))
    except Exception as error:
        # Also an error that a provider made of the cancellation.
        if deadline is None or not watch.expired():
            raise
        cause = None if isinstance(error, TimeoutError) else error
        raise DeadlineExceededError(deadline) from cause


class _Attempts:
    """The attempts of one call."""

    def __init__(
        self,
        attempt: Callable[[CallRound | None], Awaitable[Any]],
        soonest: Callable[[], float],
        deadline: float | None,
    ) -> None:
        self._attempt = attempt
        self._soonest = soonest
        self._end = None if deadline is None else time.monotonic() + deadline
        self._round = CallRound()

    async def made(self, policy: AsyncRetrying) -> Any:  # what was called returned it
        """Go by the policy, and by what is known here."""

        async def again(state: RetryCallState) -> bool:
            if not self._round.exhausted:
                return False
            if state.outcome is not None and not state.outcome.failed:
                return True  # a policy has classified the value of each provider as a failure
            said: Any = policy.retry(state)
            return bool(await said if inspect.isawaitable(said) else said)

        def wait(state: RetryCallState) -> float:
            back = self._soonest() * random.uniform(1.0, 1.0 + _SPREAD)  # noqa: S311 # no secret
            return max(policy.wait(state), back)

        def stop(state: RetryCallState) -> bool:
            late = self._end is not None and time.monotonic() + state.upcoming_sleep > self._end
            return bool(late or policy.stop(state))

        going_on: Any = policy.copy(
            retry=again,
            wait=wait,
            stop=stop,
            reraise=True,
            retry_error_callback=lambda state: state.outcome and state.outcome.result(),
        )
        return await going_on(self._once)

    async def _once(self) -> Any:  # what was called returned it
        self._round = CallRound()
        return await self._attempt(self._round)


def _policy(retry: Retry) -> AsyncRetrying:
    if isinstance(retry, AsyncRetrying):
        return retry
    return AsyncRetrying(
        stop=stop_after_attempt(retry),
        wait=wait_random_exponential(multiplier=_FIRST_WAIT, max=_LONGEST_WAIT),
    )
