"""The registrations of a registry: what programs call.

Owns the public signatures of registering, binding and unregistering, and checks what callers say.
It refuses to write: the registrar does, in order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ciris_registry.membership.registration_request import ProviderSource, RegistrationTerms
from ciris_registry.names import GLOBAL, handler_name, provider_name, service_type_name
from ciris_registry.registration import Priority, Registration, SelectionStrategy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from enum import Enum

    from ciris_registry.circuit_breaker import CircuitBreakerConfig
    from ciris_registry.circuit_breaker.outcomes import Classify
    from ciris_registry.membership.registrar import Registrar


class RegistrationMethods:
    """What this process offers to the fleet, and how it uses what others offer."""

    _registrar: Registrar

    async def flush(self) -> None:
        """Wait until Redis has what this process has registered."""
        raise NotImplementedError

    def register(  # the signature of the in-process registry
        self,
        handler: str,
        service_type: str | Enum,
        provider: object = None,
        priority: Priority | str | int = Priority.NORMAL,
        capabilities: Collection[str] | None = None,
        circuit_breaker_config: CircuitBreakerConfig | None = None,
        metadata: Mapping[str, Any] | None = None,
        priority_group: int = 0,
        strategy: SelectionStrategy | str = SelectionStrategy.FALLBACK,
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
        terms = RegistrationTerms.checked(
            priority,
            capabilities,
            metadata,
            priority_group,
            strategy,
            circuit_breaker_config,
            weight,
            max_in_flight,
        )
        source = ProviderSource(provider, factory, name, weak=weak, classify=classify)
        return self._registrar.register(
            handler_name(handler), service_type_name(service_type), source, terms
        )

    def register_global(  # the signature of the in-process registry
        self,
        service_type: str | Enum,
        provider: object = None,
        priority: Priority | str | int = Priority.NORMAL,
        capabilities: Collection[str] | None = None,
        circuit_breaker_config: CircuitBreakerConfig | None = None,
        metadata: Mapping[str, Any] | None = None,
        priority_group: int = 0,
        strategy: SelectionStrategy | str = SelectionStrategy.FALLBACK,
        *,
        name: str | None = None,
        factory: Callable[[Registration], object] | None = None,
        weak: bool = False,
        classify: Classify | None = None,
        weight: int = 1,
        max_in_flight: int | None = None,
    ) -> str:
        """Register a provider for all who fall back to global ones; see ``register``."""
        terms = RegistrationTerms.checked(
            priority,
            capabilities,
            metadata,
            priority_group,
            strategy,
            circuit_breaker_config,
            weight,
            max_in_flight,
        )
        source = ProviderSource(provider, factory, name, weak=weak, classify=classify)
        return self._registrar.register(GLOBAL, service_type_name(service_type), source, terms)

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
        source = ProviderSource(instance, factory, None, classify=classify)
        self._registrar.bind(provider_name(target), source)

    def unregister(self, provider_name: str) -> bool:
        """End this process's membership in all registrations of a provider.

        The registration goes with its last member; the breaker stays.

        Returns:
            Whether this process had registered it.
        """
        return self._registrar.leave(provider_name)

    async def aunregister(self, provider_name: str) -> bool:
        """``unregister``, and the fleet knows when this returns."""
        found = self.unregister(provider_name)
        await self.flush()
        return found

    def clear_all(self) -> None:
        """Unregister everything that this process registered, and forget its bindings."""
        self._registrar.leave_all()
        self._registrar.bindings.clear()

    async def aclear_all(self) -> None:
        """``clear_all``, and the fleet knows when this returns."""
        self.clear_all()
        await self.flush()
