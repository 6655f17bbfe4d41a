"""The registry of one agent process: the class that programs use.

It has the public methods of the registry's life, of readiness, of information and of breakers;
registering, resolving and calls come from their rooms. It knows no Redis keys and no scripts.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any, NoReturn, Self

from ciris_registry.cache import Subscription
from ciris_registry.calls import CallMethods
from ciris_registry.errors import StoreError
from ciris_registry.health import RegistryHealth, health_of
from ciris_registry.lifecycle import end_with_owner
from ciris_registry.membership import Naming, RegistrationMethods, checked_policy
from ciris_registry.names import namespace_name, provider_name, service_type_name
from ciris_registry.partitions import partitions_of
from ciris_registry.provider_info import provider_info
from ciris_registry.providers import MockService
from ciris_registry.selection import (
    Consistency,
    check_all,
    check_arguments,
    is_exact,
    service_types_of,
)
from ciris_registry.settings import RegistrySettings, environment_namespace, environment_url
from ciris_registry.store import flush_all, new_process_id
from ciris_registry.store.connection import Password, StoreURL

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from enum import Enum

    from ciris_registry.circuit_breaker.outcomes import Classify
    from ciris_registry.membership import Registrar
    from ciris_registry.partitions import Partition
    from ciris_registry.shared_breaker import BreakerHandle

_log = logging.getLogger(__name__)

DEFAULT_REQUIRED = ("communication", "memory", "audit", "llm")
"""The service types that ``wait_ready`` waits for by default."""


class ServiceRegistry(RegistrationMethods, CallMethods):
    """Finds services for one agent process, and shares providers and breakers with the fleet.

    Args:
        required_services: The service types that ``wait_ready`` waits for by default.
        url: Where the shared state lives; default ``$CIRIS_REGISTRY_URL``, else ``memory://``,
            which shares nothing.
        namespace: The fleet's name; default ``$CIRIS_REGISTRY_NAMESPACE``, else ``default``.
        naming: Automatic names are ``private`` to this process, or made ``by_class``.
        allow_mock_services: Whether ``get_service_with_fallback`` may return a mock.
        mock_services: Mocks by service type, in place of ``MockService``.
        settings: Durations and limits; see ``RegistrySettings``.
        consistency: Resolves and calls use the replica (``cached``) or ask Redis (``exact``).
        classify: The policy for outcomes that no policy of the call or registration classifies.
        always_use_last_provider: Call the only provider of a service type during its cooldown too.
        password: The password, or a function or provider that is asked at each connection.
        partitions: 1 to 1,024: into how many partitions the namespace divides its service types,
            each in one slot of a cluster; default: the number that the namespace has, or 1.

    Raises:
        InvalidURLError: The URL is invalid.
        InvalidNameError: The namespace or a service type is invalid.
        RegistrationError: Another argument is invalid.
    """

    def __init__(  # the public surface
        self,
        required_services: Iterable[str | Enum] | None = None,
        *,
        url: str | None = None,
        namespace: str | None = None,
        naming: Naming = "private",
        allow_mock_services: bool = False,
        mock_services: Mapping[str, object] | None = None,
        settings: RegistrySettings | None = None,
        consistency: Consistency = "cached",
        classify: Classify | None = None,
        always_use_last_provider: bool = False,
        password: Password | None = None,
        partitions: int | None = None,
    ) -> None:
        check_arguments(url, naming, settings)
        checked_policy(classify)
        exact = is_exact(consistency)
        required = DEFAULT_REQUIRED if required_services is None else required_services
        self.required_services = service_types_of(required)
        self.settings = settings or RegistrySettings()
        self.process_id = new_process_id()
        self.allow_mock_services = allow_mock_services
        self._mocks = {service_type_name(one): mock for one, mock in (mock_services or {}).items()}
        url = url or environment_url()
        self.namespace = namespace_name(environment_namespace() if namespace is None else namespace)
        if not url:
            _log.info("no URL was given, so the state of this registry is private to this process")
        self._partitions = partitions_of(
            StoreURL.parse(url or "memory://", password),
            self.namespace,
            partitions,
            self.process_id,
            self.settings,
            naming,
            classify=classify,
            exact=exact,
            always_use_last_provider=always_use_last_provider,
        )
        self._exact, self._ready = exact, self._partitions.ready
        self._bindings = self._partitions.bindings
        # The number of partitions may change it to the first of many; it always is one.
        self._parts = self._partitions.first
        self._session = self._parts.session
        end_with_owner(self, self._partitions)

    def _registrar(self, service_type: str) -> Registrar:
        return self._partitions.of(service_type).registrar

    def _registrars(self) -> list[Registrar]:
        return [one.registrar for one in self._partitions.made()]

    async def _agreed(self, service_type: str | Enum) -> Partition:
        return await self._partitions.agreed(service_type)

    # Life

    async def start(self) -> Self:
        """Connect, and write pending registrations; the first awaited call does it too.

        Without Redis, the registry works alone, and joins the fleet once Redis is connected.
        """
        await self._partitions.start()
        with contextlib.suppress(StoreError):
            await self._partitions.each(lambda one: one.lifecycle.flush())
        return self

    async def aclose(self) -> None:
        """Write what is pending, leave the fleet, end the background tasks. May be called twice.

        It waits 0.25 s for the first reply of Redis; without one, the leases expire.
        """
        if self._session.closed:
            return
        await self._partitions.leave()

    async def flush(self) -> None:
        """Wait until all pending writes of synchronous methods are in Redis.

        Raises:
            StoreUnavailableError: Redis was unreachable for ``settings.write_timeout``; the writes
                stay pending.
            PartitionConflictError: Another process has named another number of partitions.
        """
        await self._partitions.flush()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def usable(self) -> bool:
        """Whether the registry is neither closed nor in a fork of its process."""
        return not (self._session.closed or self._session.forked)

    def __bool__(self) -> bool:
        return True

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a registry cannot be pickled: create one in each process, with the same URL"
        )

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
        """``get_service``; a mock if that returns None and mock services are allowed."""
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

        Returns at once if it can, else on the event that completes them.

        Returns:
            False if that took longer than ``timeout`` seconds.
        """
        required = (
            self.required_services if service_types is None else service_types_of(service_types)
        )
        return await self._partitions.wait_ready(required, timeout)

    # Information

    def get_provider_info(
        self, handler: str | None = None, service_type: str | Enum | None = None
    ) -> dict[str, Any]:
        """Registrations and breakers as last seen, keyed as in the in-process registry."""
        kind = None if service_type is None else service_type_name(service_type)
        snapshots = [replica.snapshot for _, replica in self._partitions.replicas()]
        return provider_info(snapshots, self.breaker, handler, kind)

    async def aget_provider_info(
        self, handler: str | None = None, service_type: str | Enum | None = None
    ) -> dict[str, Any]:
        """``get_provider_info`` after a reload, of all service types of the fleet.

        While Redis is unreachable, it is as last seen.
        """
        await self._partitions.refresh_unless_away(service_type)
        return self.get_provider_info(handler, service_type)

    def get_services_by_type(self, service_type: str | Enum) -> list[Any]:
        """The instances of a service type that exist in this process, each once."""
        kind = service_type_name(service_type)
        snapshot = self._partitions.of(kind).replicas.of(kind).snapshot
        return self._bindings.instances(snapshot.registrations)

    async def health_check_all(self) -> dict[str, bool]:
        """Await ``is_healthy`` of all instances of this process that have it, concurrently.

        Records no outcome. Keys are ``handler.service_type.name``, with ``global`` as the handler
        of global registrations.
        """
        await self._partitions.start()
        parts = self._parts
        await flush_all(self._partitions.unflushed, parts.write_queue, parts.session)
        return await check_all(self._partitions.replicas(), self._bindings)

    def health(self) -> RegistryHealth:
        """The state of the connection, the age of the replicas, and the pending writes."""
        return health_of(self._partitions.made(), self._partitions.partitioning.conflict)

    async def refresh(self, service_type: str | Enum | None = None) -> None:
        """Reload the shared state, with counters, of one service type or of all in use.

        Raises:
            StoreUnavailableError: Redis was unreachable for ``settings.write_timeout``.
        """
        await self._partitions.refresh(service_type)

    def events(self, service_type: str | Enum | None = None) -> Subscription:
        """Iterate with ``async for`` over the events of one service type or of all, from now on."""
        kind = None if service_type is None else service_type_name(service_type)
        return Subscription(lambda: self._partitions.with_type(kind), kind)

    # Breakers

    def breaker(self, service_type: str | Enum, name: str) -> BreakerHandle:
        """The handle on the shared breaker of a provider, which need not be registered."""
        kind = service_type_name(service_type)
        return self._partitions.of(kind).breakers.handle(kind, provider_name(name))

    def reset_circuit_breakers(self) -> None:
        """Reset the breakers of all providers that this process knows, for the whole fleet."""
        for _, replica in self._partitions.replicas():
            for name in replica.snapshot.names():
                self.breaker(replica.service_type, name).reset("reset_circuit_breakers")

    async def areset_circuit_breakers(self) -> None:
        """``reset_circuit_breakers``, and wait until Redis has it."""
        self.reset_circuit_breakers()
        await self.flush()


_global: ServiceRegistry | None = None


def get_global_registry() -> ServiceRegistry:
    """The registry that all parts of this process share, created on first use."""
    global _global  # noqa: PLW0603 # one per process is its purpose
    if _global is None or not _global.usable:
        _global = ServiceRegistry()
    return _global
