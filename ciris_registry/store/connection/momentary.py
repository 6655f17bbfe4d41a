"""Repeating a call that a cluster cannot serve for a moment: a slot moves to another node."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import NoScriptError, RedisError

from ciris_registry.store.connection.error_replies import is_momentary
from ciris_registry.store.connection.retry import backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.02
_SHARE_OF_WAIT: Final = 0.8
"""Seconds between two attempts while a slot of a cluster moves, and the share of the call's wait in
which they are made: the call then fails with the server's words, not with a timeout."""


async def repeat_while_momentary(
    call: Callable[[], Awaitable[Any]], error: Exception, wait: float
) -> Any:  # any reply
    """Repeat a call that failed with ``error``, which is raised at once if it is no such one.

    Raises:
        redis.exceptions.RedisError: The newest error.
        OSError: As above.
    """
    end = time.monotonic() + _SHARE_OF_WAIT * wait
    pauses = backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
    while is_momentary(error) and time.monotonic() < end:
        await asyncio.sleep(next(pauses))
        try:
            return await call()
        except NoScriptError:
            raise
        except (RedisError, OSError) as newer:
            error = newer
    raise error
