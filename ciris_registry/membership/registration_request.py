"""The arguments of a registration, all checked before anything is registered."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ciris_registry.circuit_breaker import CircuitBreakerConfig
from ciris_registry.errors import RegistrationError
from ciris_registry.membership.bindings import Binding
from ciris_registry.registration import (
    Priority,
    Registration,
    SelectionStrategy,
    checked_capabilities,
    checked_group,
    checked_max_in_flight,
    checked_metadata,
    checked_weight,
    member_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.circuit_breaker.outcomes import Classify


def checked_policy(classify: object) -> None:
    """Check a policy that classifies outcomes.

    Raises:
        RegistrationError: It is not callable.
    """
    if classify is not None and not callable(classify):
        kind = type(classify).__name__
        raise RegistrationError(
            f"classify is a {kind}; use a callable that takes the raised error or returned value"
        )


@dataclass(frozen=True, slots=True)
class ProviderSource:
    """The instance or its factory, and the name that the program chose, else None."""

    provider: object
    factory: Callable[[Registration], object] | None
    name: str | None
    weak: bool = False
    classify: Classify | None = None

    def binding(self) -> Binding:
        """A binding to the instance.

        Raises:
            RegistrationError: Not exactly one of instance and factory, or no weak reference is
                possible.
        """
        if (self.provider is None) == (self.factory is None):
            raise RegistrationError("give either a provider or a factory")
        if self.factory is not None and not callable(self.factory):
            kind = type(self.factory).__name__
            raise RegistrationError(f"the factory is a {kind}; use a callable")
        if self.weak:
            if self.factory is not None:
                raise RegistrationError("weak=True is for a provider, not for a factory")
            try:
                weakref.ref(self.provider)
            except TypeError as error:
                raise RegistrationError(f"{error}; register it without weak=True") from None
        checked_policy(self.classify)
        return Binding(self.provider, self.factory, weak=self.weak, classify=self.classify)


def checked_config(config: object) -> CircuitBreakerConfig | None:
    """Check the breaker settings of a registration; None is the registry's default.

    Raises:
        RegistrationError: They are not a ``CircuitBreakerConfig``.
    """
    if config is None or isinstance(config, CircuitBreakerConfig):
        return config
    kind = type(config).__name__
    raise RegistrationError(f"circuit_breaker_config is a {kind}; use a CircuitBreakerConfig")


def checked_registration(
    scope: str,
    service_type: str,
    *,
    priority: object,
    capabilities: object,
    metadata: object,
    priority_group: object,
    strategy: object,
    weight: object,
    max_in_flight: object,
) -> Registration:
    """Check the arguments of a registration; its name and its place in the order are still open.

    Raises:
        RegistrationError: An argument is invalid; the message names the first.
    """
    return Registration(
        service_type=service_type,
        name="",
        scope=scope,
        priority=member_of(Priority, priority),
        priority_group=checked_group(priority_group),
        strategy=member_of(SelectionStrategy, strategy),
        capabilities=checked_capabilities(capabilities),
        metadata=checked_metadata(metadata),
        weight=checked_weight(weight),
        max_in_flight=checked_max_in_flight(max_in_flight),
    )
