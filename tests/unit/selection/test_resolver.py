"""What a resolver remembers of requests and of providers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ciris_registry import SelectionStrategy, ServiceRegistry
from ciris_registry.errors import StoreError
from ciris_registry.selection import resolver as module

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    New = Callable[..., ServiceRegistry]


class Client:
    """A provider."""


async def test_each_set_of_capabilities_stayed_in_memory(
    new_registry: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_REMEMBERED", 5)
    one, other = new_registry(), new_registry()
    skills = [f"skill{number}" for number in range(20)]
    for name, registry, able in (
        ("a", one, skills),
        ("b", one, skills),
        ("c", other, skills),  # this process cannot use it, so its rotations are its own
        ("d", other, []),
    ):
        registry.register(
            "h",
            "llm",
            Client(),
            name=name,
            capabilities=able,
            strategy=SelectionStrategy.ROUND_ROBIN,
        )
        await registry.flush()
    resolver = one._parts.resolver
    for skill in skills:
        assert await one.get_service("h", "llm", required_capabilities=[skill]) is not None
        assert 1 <= len(resolver._local_rotations) <= 5


async def test_the_damage_of_a_namesake_was_not_logged(
    new_registry: New, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It was taken for the same provider, if another service type had one of this name."""
    monkeypatch.setattr(module, "_MOST_REMEMBERED", 5)
    registry = new_registry()
    resolver, error = registry._parts.resolver, StoreError("redis://somewhere", "it is damaged")
    kinds = [f"kind{number}" for number in range(12)]
    for kind in kinds:
        registry.register("h", kind, Client(), name="same")
    found = [registry._parts.replicas.of(kind).snapshot.registrations[0] for kind in kinds]
    with caplog.at_level(logging.WARNING):
        for one in found:
            resolver._warn_of_damage(one, error)
            resolver._warn_of_damage(one, error)
    assert len(caplog.messages) == len(kinds)
    assert "same of kind0 is rejected" in caplog.messages[0]
    assert len(resolver._damaged) <= 5
