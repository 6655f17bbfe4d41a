"""The public methods of registering, binding and unregistering.

They check their arguments and call the registrar, which writes in order. They do no I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ciris_registry.membership.registration_request import (
    ProviderSource,
    checked_config,
    checked_registration,
)
from ciris_registry.names import GLOBAL, handler_name, provider_name, service_type_name
from ciris_registry.registration import Priority, Registration, SelectionStrategy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from enum import Enum

    from ciris_registry.circuit_breaker import CircuitBreakerConfig
    from ciris_registry.circuit_breaker.outcomes import Classify
    from ciris_registry.membership.bindings import Bindings
    from ciris_registry.membership.registrar import Registrar


class RegistrationMethods:
    """The methods of a registry by which a process offers providers, and binds those of others."""

    _bindings: Bindings

    def _registrar(self, service_type: str) -> Registrar:
        """The registrar of a service type."""
        raise NotImplementedError

    def _registrars(self) -> Iterable[Registrar]:
        """The registrars of all service types, which share their bindings."""
        raise NotImplementedError

    async def flush(self) -> None:
        """Wait until the registrations of this process are in Redis."""
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

        This process sees the registration on the next line, without I/O. Redis has it before the
        next awaited call of this registry returns. The same name and handler from another process
        joins the registration and shares its breaker; the newest settings win.

        Args:
            handler: The component that asks for the provider, or ``*``.
            service_type: What the provider does; a string or a member of a string enum.
            provider: The instance; the registration keeps it alive.
            priority: A ``Priority``, its name or its value; lower values come first.
            capabilities: What requests may require: any collection of strings.
            circuit_breaker_config: The settings of the breaker, for the whole fleet.
            metadata: A mapping that JSON can represent, at most 64 KiB.
            priority_group: A whole number of 32 bits; lower groups come first.
            strategy: How its group is used: a ``SelectionStrategy``, its name or its value.
            name: The provider's identity in the fleet. Without it, the instance's ``service_name``,
                else a name that is unique to this process.
            factory: In place of ``provider``: called once, on first use, with the registration.
            weak: Hold the instance by a weak reference; when it dies, the registration ends.
            classify: In this process, the policy that classifies errors and values of guarded
                calls: see ``Classification``.
            weight: 1 to 1000: its share among equals, with ``WEIGHTED`` and ``LEAST_LOADED``.
            max_in_flight: 1 to 1,000,000: the largest number of guarded calls that the whole fleet
                runs at one time through this registration; further calls use the next candidate.
                ``get_service`` does not count, because the end of its use is unknown.

        Returns:
            The provider's name.

        Raises:
            InvalidNameError: A name is invalid.
            RegistrationError: Another argument is invalid; nothing was registered.
        """
        draft = checked_registration(
            handler_name(handler),
            service_type_name(service_type),
            priority=priority,
            capabilities=capabilities,
            metadata=metadata,
            priority_group=priority_group,
            strategy=strategy,
            weight=weight,
            max_in_flight=max_in_flight,
        )
        source = ProviderSource(provider, factory, name, weak=weak, classify=classify)
        registrar = self._registrar(draft.service_type)
        return registrar.register(draft, checked_config(circuit_breaker_config), source)

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
        """Register a provider for requests that fall back to global ones; see ``register``."""
        draft = checked_registration(
            GLOBAL,
            service_type_name(service_type),
            priority=priority,
            capabilities=capabilities,
            metadata=metadata,
            priority_group=priority_group,
            strategy=strategy,
            weight=weight,
            max_in_flight=max_in_flight,
        )
        source = ProviderSource(provider, factory, name, weak=weak, classify=classify)
        registrar = self._registrar(draft.service_type)
        return registrar.register(draft, checked_config(circuit_breaker_config), source)

    def bind(
        self,
        target: str | Enum,
        instance: object = None,
        *,
        factory: Callable[[Registration], object] | None = None,
        classify: Classify | None = None,
    ) -> None:
        """Give this process a way to use providers that other processes registered.

        Registers nothing. ``target`` is a provider's name or a service type. ``factory`` is called
        with the registration, once for each provider, on first use.

        Raises:
            InvalidNameError: The target is neither a valid name nor a valid service type.
            RegistrationError: Not exactly one of instance and factory was given.
        """
        source = ProviderSource(instance, factory, None, classify=classify)
        self._bindings.bind_target(provider_name(target), source.binding())

    def unregister(self, provider_name: str, *, forget_breaker: bool = False) -> bool:
        """End this process's membership in all registrations of a provider.

        A registration ends with its last member. Its breaker stays for ``settings.retention``, so
        that a provider that comes back is refused as before. ``forget_breaker`` removes it from the
        whole fleet, so that a provider of that name begins anew, closed. While another process has
        registered the provider, its breaker stays all the same, and a warning says so.

        Returns:
            Whether this process had registered it.
        """
        found = [
            one.leave(provider_name, forget_breaker=forget_breaker) for one in self._registrars()
        ]
        return any(found)

    async def aunregister(self, provider_name: str, *, forget_breaker: bool = False) -> bool:
        """``unregister``, and wait until Redis has it."""
        if forget_breaker:
            await self.flush()  # an outcome that is reported later would make the breaker anew
        found = self.unregister(provider_name, forget_breaker=forget_breaker)
        await self.flush()
        return found

    def clear_all(self) -> None:
        """Unregister all providers of this process, and drop its bindings."""
        for one in self._registrars():
            one.leave_all()
        self._bindings.clear()

    async def aclear_all(self) -> None:
        """``clear_all``, and wait until Redis has it."""
        self.clear_all()
        await self.flush()
