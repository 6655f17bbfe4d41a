"""Guarded calls, as programs make them: the public signatures, and argument checks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ciris_registry.calls.acquire import AcquiredBlock
from ciris_registry.calls.executor import CallOptions
from ciris_registry.calls.proxy import new_proxy
from ciris_registry.calls.retry import with_retries
from ciris_registry.calls.streaming import stream
from ciris_registry.membership import checked_policy
from ciris_registry.selection import check_call, is_exact, key_of, request_of

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

    from ciris_registry.calls.executor import Executor
    from ciris_registry.calls.retry import Retry
    from ciris_registry.circuit_breaker.outcomes import Classify
    from ciris_registry.selection import Consistency, Pickers, Resolver

_T = TypeVar("_T")
_P = TypeVar("_P")

_NO_MORE: Final[Mapping[str, Any]] = {}


class CallMethods:
    """Calls that choose a provider, report how it went, and go on to the next one if it failed.

    How a call ended is classified by its ``classify``, then by the policy that the provider was
    registered with, then by the registry's, else by the default rules. A call may take as long as
    the breaker's ``timeout_duration``; longer is a failure.
    """

    _pickers: Pickers
    _resolver: Resolver
    _executor: Executor

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
        """``async with`` gives an instance, and how the block ends is its outcome.

        A block that ends normally, by ``return`` or by ``break``, is a success. An exception is
        what it is classified as. Cancellation, from outside or because a generator was closed, is
        neither. A block does not fail over; ``call`` does. Do not ``yield`` inside the block: its
        timeout keeps running while your consumer works, and would cancel the consumer. Use
        ``stream``.

        Raises:
            NoProviderError: On entering: no provider can serve now.
            CallTimeoutError: On leaving: the block took too long.
            InvalidNameError: The handler or service type cannot be one.
            RegistrationError: Another argument is not as described.
        """
        options = self._options(
            handler, service_type, required_capabilities, fallback_to_global, consistency, classify
        )
        return AcquiredBlock(self._executor, options)

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
        """Await ``fn(instance, *args)``, with the next provider if one fails.

        Args:
            handler: The component that calls.
            service_type: What the provider must do.
            fn: Is given an instance and ``args``; what it returns is awaited, in the caller's task
                and context.
            args: Passed on.
            required_capabilities: What the provider must be able to do.
            fallback_to_global: Whether global registrations may serve.
            failover: Whether another provider may be called after a failure or a cooldown, never
                the same one twice. Say False for what is not safe to be done twice.
            deadline: Seconds for all of it. No provider is blamed for running into it.
            retry: How many rounds to make in all when all providers have failed, with growing,
                random waits; or a tenacity policy. No round begins before a provider may serve.
                An error that is no provider's failure is not retried, nor, without ``failover``,
                a call that was sent.
            classify: This caller's policy: how an error or a value is classified.
            consistency: ``exact`` asks Redis who may be called, ``cached`` goes by the replica.

        Returns:
            What ``fn`` returned; of the last provider, if a policy called all values failures.

        Raises:
            NoProviderError: No provider could be called; ``retry_after`` says when to try again.
            CallTimeoutError: The last provider took longer than its ``timeout_duration``.
            DeadlineExceededError: ``deadline`` is over.
            NotAwaitableError: ``fn`` gave nothing that can be awaited.
            InvalidNameError: The handler or service type cannot be one.
            RegistrationError: Another argument is not as described.
            Exception: What the last provider raised.
        """
        options = self._options(
            handler,
            service_type,
            required_capabilities,
            fallback_to_global,
            consistency,
            classify,
            failover=failover,
        )
        value: _T
        if deadline is None and retry is None:
            value = await self._executor.call(options, fn, args, _NO_MORE)
        else:
            value = await self._call(options, deadline, retry, fn, args, _NO_MORE)
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
        """``async for`` over what ``fn(instance, *args)`` gives; as ``call`` otherwise.

        Another provider is called only until the first item has come. Each item may take as long
        as the breaker's ``timeout_duration``. A stream that breaks off is a failure, one that its
        consumer leaves is neither.

        Raises:
            NoProviderError: No provider could be called.
            CallTimeoutError: An item took too long.
            NotAwaitableError: ``fn`` gave nothing that can be iterated over.
            Exception: What the provider raised.
        """
        options = self._options(
            handler,
            service_type,
            required_capabilities,
            fallback_to_global,
            consistency,
            classify,
            failover=failover,
        )
        return stream(self._executor, options, fn, args, _NO_MORE)

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
        """An object whose methods are guarded calls: to be passed where the client was.

        ``protocol`` is a ``Protocol`` or the class of the client; its ``async`` methods become
        ``call``, and those that give an asynchronous iterator ``stream``. The other arguments are
        theirs. ``deadline`` and ``retry`` are for calls only.

        Raises:
            ProxyError: ``protocol`` is no class; later, on asking for what is not asynchronous.
            InvalidNameError: The handler or service type cannot be one.
            RegistrationError: Another argument is not as described.
        """
        options = partial(
            self._options,
            handler,
            service_type,
            required_capabilities,
            fallback_to_global,
            consistency,
            classify,
            failover=failover,
        )
        options()  # complain now
        check_call(deadline, retry)

        def call(fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
            return self._call(options(), deadline, retry, fn, args, kwargs)

        def streamed(fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
            return stream(self._executor, options(), fn, args, kwargs)

        made: _P = new_proxy(protocol, call, streamed)
        return made

    async def _call(
        self,
        options: CallOptions,
        deadline: float | None,
        retry: Retry | None,
        fn: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Any:  # what fn returned
        if deadline is None and retry is None:
            return await self._executor.call(options, fn, args, kwargs)
        check_call(deadline, retry)
        return await with_retries(
            lambda this_round: self._executor.call(options, fn, args, kwargs, this_round),
            lambda: self._resolver.soonest(options.request),
            retry,
            deadline,
        )

    def _options(
        self,
        handler: str,
        service_type: str | Enum,
        required_capabilities: Collection[str] | None,
        fallback_to_global: bool,
        consistency: Consistency | None,
        classify: Classify | None,
        *,
        failover: bool = True,
    ) -> CallOptions:
        exact = self._resolver.exact if consistency is None else is_exact(consistency)
        if classify is not None:
            checked_policy(classify)
        key = key_of(handler, service_type, required_capabilities, fallback_to_global)
        picker = self._pickers.find(key)
        if picker is not None:
            return CallOptions(picker.request, key, picker, exact, failover, classify)
        request = request_of(handler, service_type, required_capabilities, fallback_to_global)
        return CallOptions(request, key, None, exact, failover, classify)
