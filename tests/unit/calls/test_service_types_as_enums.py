"""A service type may be named by a member of an enum, whose calls are as fast and retry as well."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ciris_registry import ServiceRegistry


class ServiceType(Enum):
    """Its members are no strings, so that they are other keys than their texts."""

    LLM = "llm"


async def fail(_instance: object) -> None:
    raise ConnectionError


async def test_a_call_by_an_enum_is_looked_up_as_such_from_the_second_one_on(
    registry: ServiceRegistry,
) -> None:
    registry.register_global(ServiceType.LLM, object(), name="one")

    with pytest.raises(ConnectionError):
        await registry.call("h", ServiceType.LLM, fail)

    assert ServiceType.LLM in registry._ready


async def test_a_call_by_an_enum_may_be_retried_after_a_resolve(
    registry: ServiceRegistry,
) -> None:
    """It asked for the waits of its service type by another key, and raised KeyError."""
    registry.register_global(ServiceType.LLM, object(), name="one")
    await registry.get_service("h", ServiceType.LLM)

    with pytest.raises(ConnectionError):
        await registry.call("h", ServiceType.LLM, fail, retry=2)
