"""The public methods of guarded calls, with the checks of their arguments."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from ciris_registry.calls.acquire import AcquiredBlock
from ciris_registry.calls.executor import CallOptions, Executor
from ciris_registry.calls.proxy import new_proxy
from ciris_registry.calls.retry import with_retries
from ciris_registry.calls.streaming import stream
from ciris_registry.membership import checked_policy
from ciris_registry.selection import (
    Resolving,
    ResolvingMethods,
    check_call,
    is_exact,
    key_of,
    request_of,
)

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterable,
        Awaitable,
        Callable,
        Collection,
        Mapping,
        Sequence,
    )
    from enum import Enum

    from ciris_registry.calls.executor import LateExecutor
    from ciris_registry.calls.failover import CallRound
    from ciris_registry.calls.retry import Retry
    from ciris_registry.circuit_breaker.outcomes import Classify
    from ciris_registry.selection import Consistency
    from ciris_registry.settings import RegistrySettings

_T = TypeVar("_T")
_P = TypeVar("_P")

_NO_MORE: Final[Mapping[str, Any]] = {}


class Calling(Resolving, Protocol):
    """What executes the guarded calls of some service types."""

    executor: Executor


class CallMethods(ResolvingMethods[Calling]):
    """Calls that choose a provider, report the outcome, and call the next provider on a failure.

    An outcome is classified by the ``classify`` of the call, then by that of the registration, then
    by that of the registry, then by the default rules. A call that takes longer than the breaker's
    ``timeout_duration`` is a failure.
    """

    settings: RegistrySettings

    def acquire(
        self,
        handler: str,
        service_type: str | Enum,
        required_capabilities: Collection[str] | None = None,
        fallback_to_global: bool = True,  # as get_service
        *,
        classify: Classify | None = None,
        consistency: Consistency | None = None,
    ) -> AcquiredBlock:
        """Use an instance in an ``async with`` block, whose end is the outcome.

        A block that ends normally, by ``return`` or by ``break``, is a success. An exception is
        classified. A cancellation, from outside or by closing a generator, is no outcome. A block
        does not fail over; ``call`` does. Do not ``yield`` inside the block: its
        timeout keeps running while your consumer works, and would cancel the consumer. Use
        ``stream``.

        Raises:
            NoProviderError: On entering: no provider can serve now.
            CallTimeoutError: On leaving: the block took too long.
            InvalidNameError: The handler or service type is invalid.
            RegistrationError: Another argument is invalid.
        """
        prepared = self._prepared(
            handler, service_type, required_capabilities, fallback_to_global, consistency, classify
        )
        return AcquiredBlock(*prepared)

    async def call(
        self,
        handler: str,
        service_type: str | Enum,
        fn: Callable[..., Awaitable[_T]],
        *args: Any,
        required_capabilities: Collection[str] | None = None,
        fallback_to_global: bool = True,
        failover: bool = True,
        deadline: float | None = None,
        retry: Retry | None = None,
        classify: Classify | None = None,
        consistency: Consistency | None = None,
    ) -> _T:
        """Await ``fn(instance, *args)``, and call the next provider if one fails.

        Args:
            handler: The component that calls.
            service_type: What the provider must do.
            fn: Takes an instance and ``args``; its result is awaited in the caller's task and
                context.
            args: Passed to ``fn``.
            required_capabilities: What the provider must be able to do: any collection of strings.
            fallback_to_global: Whether global registrations may serve.
            failover: Whether the next provider is called after a failure or a cooldown; no provider
                is called twice in a round. Use False for calls that must not be repeated.
            deadline: Seconds, over 0, for the whole call. When it passes, no provider is blamed.
            retry: The largest number of rounds over all providers, at least 1, with growing, random
                waits; or a tenacity policy. A round begins when a provider may serve; without a
                ``deadline``, no call waits longer than ``max_retry_wait`` for that. An error that
                is no provider's failure is not retried, nor, without ``failover``, a call that was
                sent.
            classify: The policy of this call, which classifies errors and values.
            consistency: ``cached`` uses the replica, ``exact`` asks Redis; default: the registry's.

        Returns:
            The value of ``fn``; that of the last provider if a policy classified all as failures.

        Raises:
            NoProviderError: No provider could be called; ``retry_after`` says when to try again.
            CallTimeoutError: The last provider took longer than its ``timeout_duration``.
            DeadlineExceededError: The call did not end within ``deadline``.
            NotAwaitableError: ``fn`` returned nothing that can be awaited.
            InvalidNameError: The handler or service type is invalid.
            RegistrationError: Another argument is invalid.
            Exception: What the last provider raised.
        """
        executor, options = self._prepared(
            handler,
            service_type,
            required_capabilities,
            fallback_to_global,
            consistency,
            classify,
            failover=failover,
        )
        value: _T
        if deadline is None and retry is None and isinstance(executor, Executor):
            value = await executor.call(options, fn, args, _NO_MORE)
        else:
            value = await self._call(executor, options, deadline, retry, fn, args, _NO_MORE)
        return value

    def stream(
        self,
        handler: str,
        service_type: str | Enum,
        fn: Callable[..., AsyncIterable[_T] | Awaitable[AsyncIterable[_T]]],
        *args: Any,
        required_capabilities: Collection[str] | None = None,
        fallback_to_global: bool = True,
        failover: bool = True,
        classify: Classify | None = None,
        consistency: Consistency | None = None,
    ) -> AsyncGenerator[_T, None]:
        """Iterate with ``async for`` over the items of ``fn(instance, *args)``; else as ``call``.

        It fails over only before the first item. Each item may take as long as the breaker's
        ``timeout_duration``. A stream that raises is a failure; one that its consumer leaves early
        is no outcome.

        Raises:
            NoProviderError: No provider could be called.
            CallTimeoutError: An item took too long.
            NotAwaitableError: ``fn`` returned no asynchronous iterable.
            Exception: What the provider raised.
        """
        prepared = self._prepared(
            handler,
            service_type,
            required_capabilities,
            fallback_to_global,
            consistency,
            classify,
            failover=failover,
        )
        return stream(*prepared, fn, args, _NO_MORE)

    def proxy(
        self,
        protocol: Callable[..., _P],  # mypy takes no Protocol for a type[…]
        *,
        handler: str,
        service_type: str | Enum,
        required_capabilities: Collection[str] | None = None,
        fallback_to_global: bool = True,
        failover: bool = True,
        deadline: float | None = None,
        retry: Retry | None = None,
        classify: Classify | None = None,
        consistency: Consistency | None = None,
    ) -> _P:
        """An object whose methods are guarded calls, to be used in place of a client.

        ``protocol`` is a ``Protocol`` or the class of the client. Its ``async`` methods become
        ``call``, those that return an asynchronous iterator ``stream``. The other arguments are
        those of ``call`` and ``stream``; ``deadline`` and ``retry`` apply to calls only.

        Raises:
            ProxyError: ``protocol`` is no class; later, if an attribute is not asynchronous.
            InvalidNameError: The handler or service type is invalid.
            RegistrationError: Another argument is invalid.
        """
        prepare = partial(
            self._prepared,
            handler,
            service_type,
            required_capabilities,
            fallback_to_global,
            consistency,
            classify,
            failover=failover,
        )
        prepare()  # check the arguments now
        check_call(deadline, retry)

        def call(fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
            return self._call(*prepare(), deadline, retry, fn, args, kwargs)

        def streamed(fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
            return stream(*prepare(), fn, args, kwargs)

        made: _P = new_proxy(protocol, call, streamed)
        return made

    async def _call(
        self,
        executor: Executor | LateExecutor,
        options: CallOptions,
        deadline: float | None,
        retry: Retry | None,
        fn: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Any:  # what fn returned
        if deadline is not None or retry is not None:
            check_call(deadline, retry)

        async def one_round(this_round: CallRound | None = None) -> Any:  # as above
            nonlocal executor
            if not isinstance(executor, Executor):
                executor = await executor()
            return await executor.call(options, fn, args, kwargs, this_round)

        def soonest() -> float:
            return executor.soonest(options.request) if isinstance(executor, Executor) else 0.0

        if deadline is None and retry is None:
            return await one_round()
        return await with_retries(one_round, soonest, retry, deadline, self.settings.max_retry_wait)

    def _prepared(
        self,
        handler: str,
        service_type: str | Enum,
        required_capabilities: Collection[str] | None,
        fallback_to_global: bool,
        consistency: Consistency | None,
        classify: Classify | None,
        *,
        failover: bool = True,
    ) -> tuple[Executor | LateExecutor, CallOptions]:
        """What executes a call, which the fleet may have to agree on first, and its options."""
        exact = self._exact if consistency is None else is_exact(consistency)
        if classify is not None:
            checked_policy(classify)
        key = key_of(handler, service_type, required_capabilities, fallback_to_global)
        try:
            parts = self._ready[service_type]
        except (KeyError, TypeError):  # not asked for yet, or no valid name
            parts = None
        picker = parts.pickers.find(key) if parts is not None else None
        if picker is not None and parts is not None:
            options = CallOptions(picker.request, key, picker, exact, failover, classify)
            return parts.executor, options
        request = request_of(handler, service_type, required_capabilities, fallback_to_global)
        options = CallOptions(request, key, None, exact, failover, classify)
        if parts is not None:
            return parts.executor, options

        async def agreed() -> Executor:
            return (await self._agreed(service_type)).executor

        return agreed, options
