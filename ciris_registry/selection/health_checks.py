"""Health checks: limited in time, and one at a time for each instance."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

    from ciris_registry.cache import Replica
    from ciris_registry.membership import Bindings
    from ciris_registry.shared_breaker import Breakers
    from ciris_registry.store import Session

_log = logging.getLogger(__name__)

_NAME: Final = "is_healthy"


def health_check_of(instance: object) -> Callable[[], object] | None:
    """The instance's ``is_healthy``; None if neither it nor its class defines one.

    A mock, or a client that makes a remote call of any name, has none.
    """
    try:
        defined = (
            hasattr(type(instance), _NAME)
            or _NAME in vars(instance)
            or hasattr(instance.__class__, _NAME)  # that of a proxy, or of a mock with a spec
        )
    except Exception:  # noqa: BLE001 # a program may raise anything
        return None
    try:
        check: Callable[[], object] | None = getattr(instance, _NAME) if defined else None
    except Exception:  # noqa: BLE001 # as above
        return lambda: False
    return check


async def problem_of(check: Callable[[], object], timeout: float) -> str | None:
    """The problem of a health check; None if its result is true within ``timeout`` seconds.

    An exception, a timeout and a result that cannot be awaited are problems. A false result is an
    empty text.
    """
    try:
        answer = check()
        if not inspect.isawaitable(answer):
            return f"is_healthy answered {answer!r:.60}, which cannot be awaited: make it async"
        async with asyncio.timeout(timeout):
            return None if await answer else ""
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return "is_healthy was cancelled from inside"
    except TimeoutError:
        return f"is_healthy did not answer within {timeout:g} s"
    except Exception as error:  # noqa: BLE001 # a program may raise anything
        return f"is_healthy raised {error!r:.200}"


async def check_all(
    replicas: Iterable[tuple[Breakers, Replica]], bindings: Bindings
) -> dict[str, bool]:
    """Run all health checks concurrently; results by ``handler.service_type.name``."""
    keys: list[str] = []
    checks: list[Coroutine[Any, Any, str | None]] = []
    for breakers, replica in replicas:
        service_type = replica.service_type
        for one in replica.snapshot.registrations:
            instance = bindings.instance(one)
            check = health_check_of(instance) if instance is not None else None
            if check is not None:
                limit = breakers.of(service_type, one.name).config.timeout_duration
                keys.append(f"{one.scope or 'global'}.{service_type}.{one.name}")
                checks.append(problem_of(check, limit))
    problems = await asyncio.gather(*checks)
    return {key: problem is None for key, problem in zip(keys, problems, strict=True)}


_MOST_REMEMBERED: Final = 10_000
"""The most unhealthy providers that were logged; beyond it all are dropped."""

_Key = tuple[str, str, int]
"""Service type, provider and instance."""


class HealthChecks:
    """Runs one check at a time for each instance; concurrent callers share its result."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._running: dict[_Key, asyncio.Task[bool]] = {}
        self._warned: set[tuple[str, str]] = set()

    async def ask(
        self,
        key: _Key,
        check: Callable[[], object],
        timeout: float,  # the breaker's timeout_duration
        failed: Callable[[], Awaitable[object]] | None = None,
    ) -> tuple[bool, bool]:
        """The result of the running check of ``key`` or of a new one, and whether it is new.

        ``failed`` is awaited once if a new check fails. Cancelling a caller does not cancel the
        check.
        """
        task = self._running.get(key)
        new = task is None or task.get_loop() is not asyncio.get_running_loop()
        if task is None or new:
            task = self._session.spawn(self._run(key, check, timeout, failed))
            self._running[key] = task
            task.add_done_callback(lambda ended: self._forget(key, ended))
        return await asyncio.shield(task), new

    async def _run(
        self,
        key: _Key,
        check: Callable[[], object],
        timeout: float,  # the breaker's timeout_duration
        failed: Callable[[], Awaitable[object]] | None,
    ) -> bool:
        problem = await problem_of(check, timeout)
        self._warn(key[:2], problem)
        if problem is not None and failed is not None:
            await failed()
        return problem is None

    def _warn(self, provider: tuple[str, str], problem: str | None) -> None:
        """Log the first failed check after a successful one."""
        if not problem:
            self._warned.discard(provider)
        elif provider not in self._warned:
            if len(self._warned) >= _MOST_REMEMBERED:
                self._warned.clear()  # of providers that left as well
            self._warned.add(provider)
            _log.warning("%s of %s counts as unhealthy: %s", provider[1], provider[0], problem)

    def _forget(self, key: _Key, task: asyncio.Task[bool]) -> None:
        if self._running.get(key) is task:
            del self._running[key]
        if not task.cancelled():
            task.exception()
