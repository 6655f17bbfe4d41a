"""The public names: the exact list of the front page, of the errors and of the seed's modules.

A name that is added or removed here is a change of the public interface, and belongs in the
changelog.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Final

import pytest

import ciris_registry
from ciris_registry import errors

IN_PROCESS: Final = {
    "CircuitBreaker",
    "CircuitBreakerConfig",
    "CircuitBreakerError",
    "CircuitState",
    "HealthCheckProtocol",
    "Priority",
    "SelectionStrategy",
    "ServiceProvider",
    "ServiceRegistry",
    "get_global_registry",
}
"""The names of the in-process CIRIS registry."""

FRONT_PAGE: Final = IN_PROCESS | {
    "BreakerHandle",
    "CallTimeoutError",
    "Classification",
    "DeadlineExceededError",
    "Event",
    "Explanation",
    "FAILURE",
    "IGNORED",
    "MockService",
    "NoProviderError",
    "Registration",
    "RegistryError",
    "RegistryHealth",
    "RegistrySettings",
    "SUCCESS",
    "StoreUnavailableError",
    "__version__",
    "cooldown",
    "refused",
    "unfit",
}

ERRORS: Final = {
    "AccessDeniedError",
    "CallCancelledError",
    "CallTimeoutError",
    "CircuitBreakerError",
    "ClosedError",
    "CommandRefusedError",
    "CorruptStateError",
    "DeadlineExceededError",
    "EmbeddedServerError",
    "ForkedError",
    "IndeterminateWriteError",
    "InvalidNameError",
    "InvalidURLError",
    "NoProviderError",
    "NotAwaitableError",
    "PartitionConflictError",
    "ProxyError",
    "RegistrationError",
    "RegistryError",
    "SettingsError",
    "StoreError",
    "StoreUnavailableError",
}

MODULES: Final = {
    "ciris_registry.base": {
        "HealthCheckProtocol",
        "Priority",
        "SelectionStrategy",
        "ServiceProvider",
        "ServiceRegistry",
        "get_global_registry",
    },
    "ciris_registry.circuit_breaker": {
        "CircuitBreaker",
        "CircuitBreakerConfig",
        "CircuitBreakerError",
        "CircuitState",
    },
}
"""The modules of the in-process CIRIS registry, and the names that programs import from them."""


def test_the_front_page_has_exactly_these_names() -> None:
    assert set(ciris_registry.__all__) == FRONT_PAGE
    assert len(ciris_registry.__all__) == len(FRONT_PAGE)


def test_the_errors_are_exactly_these() -> None:
    defined = {
        name
        for name, member in vars(errors).items()
        if inspect.isclass(member) and issubclass(member, errors.RegistryError)
    }
    assert set(errors.__all__) == ERRORS
    assert defined == ERRORS


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_each_error_has_one_base_class_and_says_what_it_means(name: str) -> None:
    error = getattr(errors, name)
    assert issubclass(error, errors.RegistryError)
    assert error.__doc__


@pytest.mark.parametrize("name", sorted(FRONT_PAGE))
def test_each_name_of_the_front_page_can_be_imported(name: str) -> None:
    assert hasattr(ciris_registry, name)


@pytest.mark.parametrize("module", MODULES)
def test_modules_of_the_in_process_registry_have_its_names(module: str) -> None:
    loaded = importlib.import_module(module)
    for name in MODULES[module]:
        assert getattr(loaded, name) is getattr(ciris_registry, name)
