"""How long a command to Redis may take, and how often it is retried.

redis-py's own retries are off: it cannot know which commands may be sent twice.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final, TypeVar, cast

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from tenacity import (
    AsyncRetrying,
    retry_if_exception,
    stop_after_delay,
    wait_exponential,
    wait_random,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

_R = TypeVar("_R")


class ConnectingError(RedisConnectionError):
    """A connection could not be opened; the command was never sent."""


UNREACHABLE: Final = (RedisConnectionError, RedisTimeoutError, OSError)
"""The errors of redis-py when Redis is away."""


def never_sent(error: BaseException) -> bool:
    """Whether there was no connection, so that Redis has not received the command."""
    context = error.__cause__ or error.__context__
    return isinstance(error, ConnectingError) or isinstance(
        context, ConnectionRefusedError | FileNotFoundError
    )


def backoff(first: float, longest: float) -> Iterator[float]:
    """Seconds to wait between attempts: doubling from ``first`` up to ``longest``, jittered.

    Each wait is spread over half to one and a half times its length, so that processes that failed
    together do not retry together.
    """
    wait = first
    while True:
        yield wait * random.uniform(0.5, 1.5)  # noqa: S311 # no secret
        wait = min(2 * wait, longest)


async def persistently(
    call: Callable[[], Awaitable[_R]], *, write_timeout: float, repeatable: bool, after: Exception
) -> _R:
    """Retry for ``write_timeout`` seconds, at growing, jittered intervals, ``after`` a failure.

    A call that is not ``repeatable`` is retried only if Redis cannot have received it.

    Raises:
        redis.exceptions.RedisError: The error of the last attempt.
    """

    def again(error: BaseException) -> bool:
        return isinstance(error, UNREACHABLE) and (repeatable or never_sent(error))

    if write_timeout <= 0 or not again(after):
        raise after
    retrying = AsyncRetrying(
        retry=retry_if_exception(again),
        stop=stop_after_delay(write_timeout),
        wait=wait_exponential(multiplier=0.01, max=0.5) + wait_random(0, 0.05),
        reraise=True,
    )
    return await retrying(call)


async def limited(work: Awaitable[_R], seconds: float) -> _R:
    """Wait for a command for so many seconds, and lose no cancellation.

    Under Python 3.11, redis-py's ``asyncio.wait_for`` drops a cancellation that comes together with
    the end of sending. The command then goes on, and may fail when its connection is closed.
    """
    task = cast("asyncio.Task[object]", asyncio.current_task())
    before = task.cancelling()
    try:
        async with asyncio.timeout(seconds):
            reply = await work
    except TimeoutError:
        if task.cancelling() > before:
            raise asyncio.CancelledError from None
        raise RedisTimeoutError(f"no answer within {seconds:g} s") from None
    except GeneratorExit:  # its event loop has ended
        raise
    except BaseException:
        if task.cancelling() > before:
            raise asyncio.CancelledError from None
        raise
    if task.cancelling() > before:
        raise asyncio.CancelledError
    return reply
