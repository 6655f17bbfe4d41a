"""Asking an instance whether it is healthy: bounded in time, and once for all who wait."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ciris_registry.session import Session

_NONE: Final = object()


def health_check_of(instance: object) -> Callable[[], object] | None:
    """The instance's ``is_healthy``, or None if it has none."""
    try:
        check: Any = getattr(instance, "is_healthy", _NONE)
    except Exception:  # noqa: BLE001 # a program may raise anything
        return lambda: False
    return None if check is _NONE else check


async def is_healthy(check: Callable[[], object], timeout: float) -> bool:
    """Whether the check answers something true within ``timeout`` seconds.

    An exception, a timeout and an answer that cannot be awaited all count as no.
    """
    try:
        answer = check()
        if not inspect.isawaitable(answer):
            return False
        async with asyncio.timeout(timeout):
            return bool(await answer)
    except Exception:  # noqa: BLE001 # a program may raise anything
        return False


class HealthChecks:
    """Runs one check at a time for each provider; others wait for its answer."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._running: dict[tuple[str, str], asyncio.Task[bool]] = {}

    async def ask(
        self,
        key: tuple[str, str],
        check: Callable[[], object],
        timeout: float,  # the breaker's timeout_duration
        failed: Callable[[], Awaitable[object]] | None,
    ) -> bool:
        """The answer of the check that runs for ``key``, or of a new one.

        ``failed`` is awaited once if a new check says no. Being cancelled does not end the check
        that others wait for.
        """
        task = self._running.get(key)
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            task = self._session.spawn(self._run(check, timeout, failed))
            self._running[key] = task
            task.add_done_callback(lambda ended: self._forget(key, ended))
        return await asyncio.shield(task)

    async def _run(
        self,
        check: Callable[[], object],
        timeout: float,  # the breaker's timeout_duration
        failed: Callable[[], Awaitable[object]] | None,
    ) -> bool:
        healthy = await is_healthy(check, timeout)
        if not healthy and failed is not None:
            await failed()
        return healthy

    def _forget(self, key: tuple[str, str], task: asyncio.Task[bool]) -> None:
        if self._running.get(key) is task:
            del self._running[key]
        if not task.cancelled():
            task.exception()
