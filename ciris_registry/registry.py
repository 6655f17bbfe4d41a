"""The registry of one agent process: what programs call.

Owns the public signatures and puts the parts together. It knows neither Lua nor key names.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from ciris_registry.arguments import (
    Consistency,
    check_arguments,
    is_exact,
    request_of,
    service_types_of,
)
from ciris_registry.backend import Backend
from ciris_registry.calls import Calls
from ciris_registry.classification import Classifier
from ciris_registry.ending import Ending
from ciris_registry.errors import StoreUnavailableError
from ciris_registry.event_feed import EventFeed
from ciris_registry.guard import Guard
from ciris_registry.guarded import GuardedCalls
from ciris_registry.health import RegistryHealth, health_of
from ciris_registry.health_checks import health_check_of, problem_of
from ciris_registry.heartbeat import Heartbeat
from ciris_registry.identity import Naming, new_process_id
from ciris_registry.info import provider_info
from ciris_registry.link import Link
from ciris_registry.location import Location
from ciris_registry.meanwhile import Meanwhile
from ciris_registry.membership import Membership
from ciris_registry.mocks import MockService
from ciris_registry.names import (
    GLOBAL,
    handler_name,
    namespace_name,
    provider_name,
    service_type_name,
)
from ciris_registry.offers import Offer, Terms, checked_policy
from ciris_registry.outbox import Outbox
from ciris_registry.ownership import owned
from ciris_registry.parts import Parts
from ciris_registry.permits import HeldPermits
from ciris_registry.plans import key_of
from ciris_registry.readiness import Readiness
from ciris_registry.records import (
    Priority,
    Registration,
    SelectionStrategy,
)
from ciris_registry.registrar import Registrar
from ciris_registry.resolver import Resolver
from ciris_registry.session import Session
from ciris_registry.settings import RegistrySettings
from ciris_registry.slots import Slots
from ciris_registry.successes import Successes
from ciris_registry.tail import Tail
from ciris_registry.views import Views

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from enum import Enum

    from ciris_registry.breaker_config import CircuitBreakerConfig
    from ciris_registry.classification import Classify
    from ciris_registry.explanation import Explanation
    from ciris_registry.handle import BreakerHandle
    from ciris_registry.store import Store

_log = logging.getLogger(__name__)

DEFAULT_REQUIRED = ("communication", "memory", "audit", "llm")
"""The service types that ``wait_ready`` waits for if it is not told any."""

GOODBYE: Final = 0.25
"""Seconds that closing waits for Redis to answer at all."""


class ServiceRegistry(GuardedCalls):
    """Finds services for one agent process, and shares providers and breakers with the fleet.

    ``url`` says where the shared state lives (default ``$CIRIS_REGISTRY_URL``, else ``memory://``,
    which shares nothing); two namespaces on one server never see each other. ``classify`` says how
    guarded calls have ended, where neither the caller nor the registration does. With ``keep_one``,
    the only provider of a service type is called though it cools down. Everything else is the
    in-process CIRIS registry's surface.
    """

    def __init__(  # the public surface
        self,
        required_services: Iterable[str | Enum] | None = None,
        *,
        url: str | None = None,
        namespace: str = "default",
        naming: Naming = "private",
        allow_mock_services: bool = False,
        mock_services: Mapping[str, object] | None = None,
        settings: RegistrySettings | None = None,
        consistency: Consistency = "cached",
        classify: Classify | None = None,
        keep_one: bool = False,
    ) -> None:
        check_arguments(url, naming, settings)
        checked_policy(classify)
        exact = is_exact(consistency)
        required = DEFAULT_REQUIRED if required_services is None else required_services
        self.required_services = service_types_of(required)
        self.namespace = namespace_name(namespace)
        self.settings = settings or RegistrySettings()
        self.process_id = new_process_id()
        self.allow_mock_services = allow_mock_services
        self._mocks = {service_type_name(one): mock for one, mock in (mock_services or {}).items()}
        url = url or os.environ.get("CIRIS_REGISTRY_URL")
        if not url:
            _log.info("no URL was given, so the state of this registry is private to this process")
        location = Location.parse(url or "memory://")
        self._link = Link(location.redacted, self.settings)
        self._session = Session(
            Backend(location), self.namespace, self.process_id, self.settings, self._link
        )
        self._outbox = Outbox(self._session, self._link)
        self._successes = Successes(self._session, self._link, self.settings.report_every)
        self._membership = Membership(self.settings)
        self._parts = Parts(
            settings=self.settings,
            exact=exact,
            keep_one=keep_one,
            session=self._session,
            link=self._link,
            outbox=self._outbox,
            membership=self._membership,
            permits=HeldPermits(self.process_id),
            slots=Slots(self._session, self._link, self._outbox, self.settings),
            successes=self._successes,
            meanwhile=Meanwhile(),
        )
        self._views = Views(self._parts)
        self._registrar = Registrar(naming, self._outbox, self._membership, self._views)
        self._bindings = self._registrar.bindings
        self._readiness = Readiness(self._parts, self._bindings, self._views)
        self._registrar.on_change = self._readiness.wake
        self._resolver = Resolver(self._parts, self._bindings, self._views)
        self._calls = Calls(
            self._resolver, Guard(Classifier(self.settings, classify), self._parts.slots)
        )
        heartbeat = Heartbeat(self._parts, self._views.mirrors, self._registrar.tidy)
        self._session.on_start = Tail(self._parts, self._views, heartbeat).begin
        self._session.on_end = Ending(self._parts).finish
        self._planned = self._resolver.planned
        self._exact = exact
        owned(self, self._session)

    # Life

    async def start(self) -> Self:
        """Connect, and register what was registered before; the first awaited call does it too.

        If Redis is away, the registry goes on by itself, and joins the fleet when it is there.
        """
        await self._session.store()
        with contextlib.suppress(StoreUnavailableError):
            await self._flush()
        return self

    async def aclose(self) -> None:
        """Write what is pending, leave the fleet, end the background tasks. May be called twice.

        If Redis does not answer within a moment, it is not waited for.
        """
        if self._session.closed:
            return
        try:
            self._registrar.leave(self._membership.all())
            unsaid = self._outbox.pending or self._outbox.under_way or self._successes.pending
            if unsaid or self._session.running():
                store = await self._session.store()
                await self._link.promptly(store.ping(GOODBYE), GOODBYE)
                await self._flush()
                await self._membership.depart(store, list(self._views.mirrors))
        except StoreUnavailableError as error:
            _log.warning("closed without saying so to the fleet; the leases run out: %s", error)
        finally:
            await self._session.aclose()
            self._resolver.forget()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def usable(self) -> bool:
        """Whether it is neither closed nor a copy that a fork made."""
        return not (self._session.closed or self._session.forked)

    def __bool__(self) -> bool:
        return True

    def __reduce__(self) -> NoReturn:
        raise TypeError("a registry cannot be pickled: make one in each process, with its URL")

    def __repr__(self) -> str:
        return f"ServiceRegistry({self._session.location!r}, namespace={self.namespace!r})"

    # Registering

    def register(  # the signature of the in-process registry
        self,
        handler: str,
        service_type: str | Enum,
        provider: object = None,
        priority: Priority = Priority.NORMAL,
        capabilities: Sequence[str] | None = None,
        circuit_breaker_config: CircuitBreakerConfig | None = None,
        metadata: Mapping[str, Any] | None = None,
        priority_group: int = 0,
        strategy: SelectionStrategy = SelectionStrategy.FALLBACK,
        *,
        name: str | None = None,
        factory: Callable[[Registration], object] | None = None,
        weak: bool = False,
        classify: Classify | None = None,
        weight: int = 1,
        max_in_flight: int | None = None,
    ) -> str:
        """Register a provider for one handler, or for every handler (``"*"``).

        Does no I/O: the very next line sees it here, and it reaches Redis before the next awaited
        call of this registry returns. The same name and handler from another process joins that
        registration and shares its breaker; the newest settings win.

        Args:
            handler: The component that will ask, or ``*``.
            service_type: What the provider does; a string or a string enum's member.
            provider: The instance, which stays alive with the registration.
            priority: Lower values are considered first.
            capabilities: What requests may require, each a string.
            circuit_breaker_config: The settings of its breaker, for the whole fleet.
            metadata: Anything that JSON can hold, at most 64 KiB.
            priority_group: Lower groups are exhausted first.
            strategy: How its group is used; see ``SelectionStrategy``.
            name: The provider's identity in the fleet. Without it, the instance's ``service_name``,
                else a name that no other process has.
            factory: In place of ``provider``: makes it on first use, from the registration.
            weak: Hold the instance by a weak reference; when it dies, the registration goes.
            classify: In this process, what a guarded call's exception or value means: see
                ``ciris_registry.classification``.
            weight: 1 to 1000: its share among equals, with ``WEIGHTED`` and ``LEAST_LOADED``.
            max_in_flight: 1 to 1,000,000: how many guarded calls of the whole fleet may go on at
                one time through this registration; when so many do, the next candidate is called.
                ``get_service`` does not count, as nobody knows when its callers are done.

        Returns:
            The provider's name.

        Raises:
            InvalidNameError: A name with characters that keys cannot have.
            RegistrationError: Anything else that is not as described; nothing was registered.
        """
        terms = Terms.checked(
            priority,
            capabilities,
            metadata,
            priority_group,
            strategy,
            circuit_breaker_config,
            weight,
            max_in_flight,
        )
        offer = Offer(provider, factory, name, weak=weak, classify=classify)
        return self._registrar.register(
            handler_name(handler), service_type_name(service_type), offer, terms
        )

    def register_global(  # the signature of the in-process registry
        self,
        service_type: str | Enum,
        provider: object = None,
        priority: Priority = Priority.NORMAL,
        capabilities: Sequence[str] | None = None,
        circuit_breaker_config: CircuitBreakerConfig | None = None,
        metadata: Mapping[str, Any] | None = None,
        priority_group: int = 0,
        strategy: SelectionStrategy = SelectionStrategy.FALLBACK,
        *,
        name: str | None = None,
        factory: Callable[[Registration], object] | None = None,
        weak: bool = False,
        classify: Classify | None = None,
        weight: int = 1,
        max_in_flight: int | None = None,
    ) -> str:
        """Register a provider for all who fall back to global ones; see ``register``."""
        terms = Terms.checked(
            priority,
            capabilities,
            metadata,
            priority_group,
            strategy,
            circuit_breaker_config,
            weight,
            max_in_flight,
        )
        offer = Offer(provider, factory, name, weak=weak, classify=classify)
        return self._registrar.register(GLOBAL, service_type_name(service_type), offer, terms)

    def bind(
        self,
        target: str | Enum,
        instance: object = None,
        *,
        factory: Callable[[Registration], object] | None = None,
        classify: Classify | None = None,
    ) -> None:
        """Say how this process uses providers that others registered, without registering any.

        ``target`` is a provider's name or a service type; ``factory`` makes one instance for each
        provider, from its registration, on first use.

        Raises:
            InvalidNameError: Neither can be called so.
            RegistrationError: Not exactly one of instance and factory was given.
        """
        offer = Offer(instance, factory, None, classify=classify)
        self._registrar.bind(provider_name(target), offer)

    def unregister(self, provider_name: str) -> bool:
        """End this process's membership in all registrations of a provider.

        The registration goes with its last member; the breaker stays.

        Returns:
            Whether this process had registered it.
        """
        return self._registrar.leave(
            one for one in self._membership.all() if one.name == provider_name
        )

    async def aunregister(self, provider_name: str) -> bool:
        """``unregister``, and the fleet knows when this returns."""
        found = self.unregister(provider_name)
        await self.flush()
        return found

    def clear_all(self) -> None:
        """Unregister everything that this process registered, and forget its bindings."""
        self._registrar.leave(self._membership.all())
        self._bindings.clear()

    async def aclear_all(self) -> None:
        """``clear_all``, and the fleet knows when this returns."""
        self.clear_all()
        await self.flush()

    async def flush(self) -> None:
        """Wait until everything that synchronous methods left behind has reached Redis.

        Raises:
            StoreUnavailableError: Redis is away; nothing is lost by that.
        """
        await self._session.store()
        self._registrar.tidy()
        await self._link.patiently(self._flush)

    async def _flush(self) -> None:
        self._link.check()
        await self._successes.flush()
        await self._outbox.flush()
        await self._outbox.landed()

    # Resolving

    async def get_service(
        self,
        handler: str,
        service_type: str | Enum,
        required_capabilities: Sequence[str] | None = None,
        fallback_to_global: bool = True,  # as in the in-process registry
        *,
        consistency: Consistency | None = None,
    ) -> Any:  # a program's object
        """The best instance that can be used now, or None.

        It takes no slot of a provider with ``max_in_flight``, and is not kept from one that is
        full: nobody knows when its caller is done. ``acquire``, ``call`` and ``stream`` do.

        Cached, which is the registry's default, it asks Redis only for the permit of a probe, for
        the next block of positions of a round robin, or where nothing has been heard of Redis for
        ``settings.max_staleness``. Exact, it is one script call, and one more for a permit. While
        Redis is away it goes by what this process knows.

        Raises:
            InvalidNameError: The handler or service type cannot be one.
        """
        exact = self._exact if consistency is None else is_exact(consistency)
        key = key_of(handler, service_type, required_capabilities, fallback_to_global)
        plan = self._planned(key)
        if plan is None:
            request = request_of(handler, service_type, required_capabilities, fallback_to_global)
        else:
            admitted = None if exact else plan.take()
            if admitted is not None:
                return admitted.instance
            request = plan.request
        return await self._resolver.resolve(request, exact=exact, key=key, known=plan)

    async def get_service_with_fallback(
        self,
        handler: str,
        service_type: str | Enum,
        required_capabilities: Sequence[str] | None = None,
        fallback_to_global: bool = True,  # as get_service
    ) -> Any:  # a program's object
        """As ``get_service``; where that has none and mock services are allowed, a mock."""
        service = await self.get_service(
            handler, service_type, required_capabilities, fallback_to_global
        )
        if service is not None or not self.allow_mock_services:
            return service
        kind = service_type_name(service_type)
        return self._mocks[kind] if kind in self._mocks else MockService(kind)

    async def explain(
        self,
        handler: str,
        service_type: str | Enum,
        required_capabilities: Sequence[str] | None = None,
        fallback_to_global: bool = True,  # as get_service
    ) -> list[Explanation]:
        """What ``get_service`` would do with each registration, and why.

        It asks no health check, takes no permit and moves no round robin.
        """
        request = request_of(handler, service_type, required_capabilities, fallback_to_global)
        return await self._resolver.explain(request)

    async def wait_ready(
        self,
        timeout: float = 30.0,  # as in the in-process registry
        service_types: Iterable[str | Enum] | None = None,
    ) -> bool:
        """Wait until this process can use a provider of each service type.

        Returns at once if it can; wakes on the event that completes them.

        Returns:
            False if ``timeout`` seconds were not enough.
        """
        wanted = (
            self.required_services if service_types is None else service_types_of(service_types)
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                if self._outbox.pending and self._link.ok:
                    with contextlib.suppress(StoreUnavailableError):
                        await self._session.store()
                        self._link.check()
                        writing = self._session.spawn(self._flush(), watched=True)
                        await self._link.attentively(writing)
                if self._readiness.missing(wanted):
                    await self._readiness.wait(wanted)
        missing = self._readiness.missing(wanted)
        if missing:
            _log.warning(
                "not ready after %s s: no provider that this process can use of %s",
                timeout,
                ", ".join(missing),
            )
        return not missing

    # Looking

    def get_provider_info(
        self, handler: str | None = None, service_type: str | Enum | None = None
    ) -> dict[str, Any]:
        """Registrations and breakers as last seen, keyed as in the in-process registry."""
        kind = None if service_type is None else service_type_name(service_type)
        snapshots = [mirror.snapshot for mirror in self._views.mirrors.values()]
        return provider_info(snapshots, self._views.handle, handler, kind)

    async def aget_provider_info(
        self, handler: str | None = None, service_type: str | Enum | None = None
    ) -> dict[str, Any]:
        """``get_provider_info`` as it is in Redis now, of all service types of the fleet.

        While Redis is away, it is what was last seen.
        """
        store = await self._session.store()
        with contextlib.suppress(StoreUnavailableError):
            self._link.check()
            reading = self._session.spawn(self._reload(store, service_type), watched=True)
            await self._link.attentively(reading)
        return self.get_provider_info(handler, service_type)

    def get_services_by_type(self, service_type: str | Enum) -> list[Any]:
        """The instances of a service type that are there in this process, each once."""
        snapshot = self._views.mirror(service_type_name(service_type)).snapshot
        found: list[Any] = []
        for registration in snapshot.registrations:
            instance = self._bindings.instance(registration)
            if instance is not None and not any(one is instance for one in found):
                found.append(instance)
        return found

    async def health_check_all(self) -> dict[str, bool]:
        """Ask every instance of this process that has ``is_healthy``, all at once.

        Records nothing. Keys are ``handler.service_type.name``, with ``global`` for global ones.
        """
        await self._session.store()
        if self._outbox.owed:
            with contextlib.suppress(StoreUnavailableError):
                self._link.check()
                writing = self._session.spawn(self._outbox.flush(), watched=True)
                await self._link.attentively(writing)
        keys: list[str] = []
        answers: list[Any] = []
        for service_type, mirror in self._views.mirrors.items():
            for one in mirror.snapshot.registrations:
                instance = self._bindings.instance(one)
                check = health_check_of(instance) if instance is not None else None
                if check is not None:
                    limit = self._views.handle(service_type, one.name).config.timeout_duration
                    keys.append(f"{one.scope or 'global'}.{service_type}.{one.name}")
                    answers.append(problem_of(check, limit))
        problems = await asyncio.gather(*answers)
        return {key: problem is None for key, problem in zip(keys, problems, strict=True)}

    def health(self) -> RegistryHealth:
        """Whether Redis is there, how fresh the snapshots are, and what waits to be written."""
        return health_of(self._parts, self._views)

    async def refresh(self, service_type: str | Enum | None = None) -> None:
        """Read the shared state anew, counters too: of one service type, or of all in use.

        Raises:
            StoreUnavailableError: Redis is away.
        """
        store = await self._session.store()
        await self._link.patiently(lambda: self._reload(store, service_type))

    async def _reload(self, store: Store, service_type: str | Enum | None) -> None:
        self._registrar.tidy()
        await self._flush()
        kinds = (
            {*self._views.mirrors, *await store.processes.service_types()}
            if service_type is None
            else {service_type_name(service_type)}
        )
        for kind in sorted(kinds):
            await self._views.mirror(kind).reload(store)

    def events(self, service_type: str | Enum | None = None) -> EventFeed:
        """What changes from now on, of one service type or of all: ``async for``."""
        kind = None if service_type is None else service_type_name(service_type)
        return EventFeed(self._parts, kind)

    # Breakers

    def breaker(self, service_type: str | Enum, name: str) -> BreakerHandle:
        """The handle on one provider's shared breaker, registered or not."""
        return self._views.handle(service_type_name(service_type), provider_name(name))

    def reset_circuit_breakers(self) -> None:
        """Reset the breakers of all providers that this process knows, for the whole fleet."""
        for service_type, mirror in self._views.mirrors.items():
            for name in mirror.snapshot.names():
                self._views.handle(service_type, name).reset("reset_circuit_breakers")

    async def areset_circuit_breakers(self) -> None:
        """``reset_circuit_breakers``, and the fleet knows when this returns."""
        self.reset_circuit_breakers()
        await self.flush()


_global: ServiceRegistry | None = None


def get_global_registry() -> ServiceRegistry:
    """The registry that this process shares among its parts, made on first use."""
    global _global  # noqa: PLW0603 # that is what it is
    if _global is None or not _global.usable:
        _global = ServiceRegistry()
    return _global
