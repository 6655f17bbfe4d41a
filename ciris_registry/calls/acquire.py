"""A guarded block: the provider is its caller's inside it, and settled by how it ends."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from ciris_registry.calls.executor import blamed, late

if TYPE_CHECKING:
    from types import TracebackType

    from ciris_registry.calls.attempt import Attempt
    from ciris_registry.calls.executor import CallOptions, Executor
    from ciris_registry.selection import Pick
    from ciris_registry.timeouts import TimeLimit


class Acquisition(AbstractAsyncContextManager[Any]):
    """One block; see ``ServiceRegistry.acquire``. It is entered once."""

    def __init__(self, calls: Executor, options: CallOptions) -> None:
        self._calls = calls
        self._order = options
        self._entered: tuple[Pick, Attempt, TimeLimit] | None = None

    async def __aenter__(self) -> Any:  # a program's object
        if self._entered is not None:
            raise RuntimeError("this block was entered before; call registry.acquire(…) anew")
        pick = await self._calls.first(self._order)
        limit = self._calls.limit(pick)
        self._entered = pick, self._calls.use(self._order, pick), limit
        limit.__enter__()
        return pick.instance

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._entered is not None  # noqa: S101 # __aenter__ was awaited
        pick, use, limit = self._entered
        try:
            limit.__exit__(kind, error, traceback)
        except TimeoutError as expired:
            failure = blamed(expired, limit, pick)
            await use.raised(failure)
            raise failure from expired
        if limit.expired and error is None:  # the block went on as if nothing had been
            await use.raised(late(pick))
        elif error is None:
            await use.succeeded()
        elif isinstance(error, Exception) and not limit.interrupted:
            await use.raised(error)
        else:
            use.abandoned()
