"""The registry of one agent process: what programs call.

Owns the public signatures of its life, of resolving, of looking and of breakers. It knows neither
Lua nor key names.
"""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING, Any, NoReturn, Self

from ciris_registry.assembly import assemble
from ciris_registry.cache import Subscription
from ciris_registry.calls import CallMethods
from ciris_registry.errors import StoreUnavailableError
from ciris_registry.health import RegistryHealth, health_of
from ciris_registry.lifecycle import end_with_owner
from ciris_registry.membership import Naming, RegistrationMethods, checked_policy
from ciris_registry.names import (
    namespace_name,
    provider_name,
    service_type_name,
)
from ciris_registry.provider_info import provider_info
from ciris_registry.providers import MockService
from ciris_registry.selection import (
    Consistency,
    ResolvingMethods,
    check_all,
    check_arguments,
    is_exact,
    service_types_of,
)
from ciris_registry.settings import RegistrySettings
from ciris_registry.store import new_process_id
from ciris_registry.store.connection import StoreURL

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from enum import Enum

    from ciris_registry.circuit_breaker.outcomes import Classify
    from ciris_registry.shared_breaker import BreakerHandle

_log = logging.getLogger(__name__)

DEFAULT_REQUIRED = ("communication", "memory", "audit", "llm")
"""The service types that ``wait_ready`` waits for if it is not told any."""


class ServiceRegistry(RegistrationMethods, ResolvingMethods, CallMethods):
    """Finds services for one agent process, and shares providers and breakers with the fleet.

    ``url`` says where the shared state lives (default ``$CIRIS_REGISTRY_URL``, else ``memory://``,
    which shares nothing); two namespaces on one server never see each other. ``classify`` says how
    guarded calls have ended, where neither the caller nor the registration does. With
    ``always_use_last_provider``, the only provider of a service type is called though it cools
    down. Everything else is the
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
        always_use_last_provider: bool = False,
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
        made = assemble(
            StoreURL.parse(url or "memory://"),
            self.namespace,
            self.process_id,
            self.settings,
            naming,
            classify,
            exact=exact,
            always_use_last_provider=always_use_last_provider,
        )
        self._parts = made
        self._session = made.session
        self._registrar = made.registrar
        self._bindings = made.registrar.bindings
        self._lifecycle = made.lifecycle
        self._readiness = made.readiness
        self._pickers = made.pickers
        self._resolver = made.resolver
        self._explainer = made.explainer
        self._executor = made.executor
        end_with_owner(self, self._session)

    # Life

    async def start(self) -> Self:
        """Connect, and register what was registered before; the first awaited call does it too.

        If Redis is away, the registry goes on by itself, and joins the fleet when it is there.
        """
        await self._session.store()
        with contextlib.suppress(StoreUnavailableError):
            await self._lifecycle.flush()
        return self

    async def aclose(self) -> None:
        """Write what is pending, leave the fleet, end the background tasks. May be called twice.

        If Redis does not answer within a moment, it is not waited for.
        """
        if self._session.closed:
            return
        try:
            self._registrar.leave_all()
            await self._lifecycle.leave()
        finally:
            await self._session.aclose()
            self._pickers.clear()

    async def flush(self) -> None:
        """Wait until everything that synchronous methods left behind has reached Redis.

        Raises:
            StoreUnavailableError: Redis is away; nothing is lost by that.
        """
        await self._lifecycle.flush_retrying()

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
        return f"ServiceRegistry({self._session.url!r}, namespace={self.namespace!r})"

    # Resolving

    async def get_service_with_fallback(
        self,
        handler: str,
        service_type: str | Enum,
        required_capabilities: Collection[str] | None = None,
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
        return await self._readiness.reached(wanted, timeout)

    # Looking

    def get_provider_info(
        self, handler: str | None = None, service_type: str | Enum | None = None
    ) -> dict[str, Any]:
        """Registrations and breakers as last seen, keyed as in the in-process registry."""
        kind = None if service_type is None else service_type_name(service_type)
        snapshots = [replica.snapshot for replica in self._parts.replicas.by_type.values()]
        return provider_info(snapshots, self._parts.breakers.handle, handler, kind)

    async def aget_provider_info(
        self, handler: str | None = None, service_type: str | Enum | None = None
    ) -> dict[str, Any]:
        """``get_provider_info`` as it is in Redis now, of all service types of the fleet.

        While Redis is away, it is what was last seen.
        """
        await self._lifecycle.refresh_unless_away(service_type)
        return self.get_provider_info(handler, service_type)

    def get_services_by_type(self, service_type: str | Enum) -> list[Any]:
        """The instances of a service type that are there in this process, each once."""
        snapshot = self._parts.replicas.of(service_type_name(service_type)).snapshot
        return self._bindings.instances(snapshot.registrations)

    async def health_check_all(self) -> dict[str, bool]:
        """Ask every instance of this process that has ``is_healthy``, all at once.

        Records nothing. Keys are ``handler.service_type.name``, with ``global`` for global ones.
        """
        await self._session.store()
        if self._parts.write_queue.must_flush:
            await self._session.unless_away(self._parts.write_queue.flush)
        return await check_all(self._parts.replicas, self._parts.breakers, self._bindings)

    def health(self) -> RegistryHealth:
        """Whether Redis is there, how fresh the snapshots are, and what waits to be written."""
        return health_of(
            self._session,
            self._parts.connectivity,
            self._parts.write_queue,
            self._parts.batches,
            self._parts.replicas,
        )

    async def refresh(self, service_type: str | Enum | None = None) -> None:
        """Read the shared state anew, counters too: of one service type, or of all in use.

        Raises:
            StoreUnavailableError: Redis is away.
        """
        await self._lifecycle.refresh_retrying(service_type)

    def events(self, service_type: str | Enum | None = None) -> Subscription:
        """What changes from now on, of one service type or of all: ``async for``."""
        kind = None if service_type is None else service_type_name(service_type)
        return Subscription(
            self._parts.session, self._parts.connectivity, self._parts.write_queue, kind
        )

    # Breakers

    def breaker(self, service_type: str | Enum, name: str) -> BreakerHandle:
        """The handle on one provider's shared breaker, registered or not."""
        return self._parts.breakers.handle(service_type_name(service_type), provider_name(name))

    def reset_circuit_breakers(self) -> None:
        """Reset the breakers of all providers that this process knows, for the whole fleet."""
        for service_type, replica in self._parts.replicas.by_type.items():
            for name in replica.snapshot.names():
                self._parts.breakers.handle(service_type, name).reset("reset_circuit_breakers")

    async def areset_circuit_breakers(self) -> None:
        """``reset_circuit_breakers``, and the fleet knows when this returns."""
        self.reset_circuit_breakers()
        await self.flush()


_global: ServiceRegistry | None = None


def get_global_registry() -> ServiceRegistry:
    """The registry that the parts of this process share, made on first use."""
    global _global  # noqa: PLW0603 # one per process is its purpose
    if _global is None or not _global.usable:
        _global = ServiceRegistry()
    return _global
