"""A guarded block: an instance for the caller's block, whose end is the outcome of the attempt."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from ciris_registry.calls.attempt import RUNNING, Attempt, end_running
from ciris_registry.calls.executor import Executor

if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType

    from ciris_registry.calls.executor import CallOptions, LateExecutor


class AcquiredBlock(AbstractAsyncContextManager[Any]):
    """One block; see ``ServiceRegistry.acquire``. It can be entered once."""

    def __init__(self, executor: Executor | LateExecutor, options: CallOptions) -> None:
        self._executor = executor
        self._options = options
        self._attempt: Attempt | None = None
        self._token: Token[Attempt | None] | None = None

    async def __aenter__(self) -> Any:  # a program's object
        if self._attempt is not None:
            raise RuntimeError("this block was entered before; call registry.acquire(…) again")
        options, executor = self._options, self._executor
        if not isinstance(executor, Executor):
            executor = await executor()
        picker = options.picker
        pick = picker.pick() if picker is not None and not options.exact else None
        if pick is None:
            pick = await executor.next(options)
        elif picker is not None and pick.registration.max_in_flight is not None:
            pick = await executor.next(options, (), picker.position)
        self._attempt = Attempt(executor.context, pick, options.classify)
        self._attempt.__enter__()
        self._token = RUNNING.set(self._attempt)
        return pick.instance

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        attempt = self._attempt
        assert attempt is not None  # noqa: S101 # __aenter__ was awaited
        if self._token is not None:
            end_running(self._token)
            self._token = None  # it holds the context
        try:
            attempt.__exit__(kind, error, traceback)
        except TimeoutError as expired:
            error = expired
        if error is not None:
            failure = attempt.failure(error)
            try:
                if failure is not None:
                    await attempt.failed(failure)
                    if failure is not error:
                        raise failure from error
            finally:
                # The traceback holds this frame: without this, it would be a reference cycle.
                failure = error = traceback = None
        elif attempt.expired:  # the block caught its cancellation
            await attempt.failed(attempt.late())
        else:
            await attempt.succeeded()
