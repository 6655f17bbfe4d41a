"""Only an ``is_healthy`` that an instance or its class defines is asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock, MagicMock

import pytest

from ciris_registry.selection.health_checks import health_check_of

if TYPE_CHECKING:
    from ciris_registry import ServiceRegistry


class Remote:
    """A client that makes a remote call of any name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        async def call(*_: object) -> str:
            if name != "ask":
                raise RuntimeError(f"no such method: {name}")
            return "an answer"

        return call


class Checked:
    """A client with a health check."""

    async def is_healthy(self) -> bool:
        return True


class Slotted:
    """A client whose health check is in a slot."""

    __slots__ = ("is_healthy",)

    def __init__(self) -> None:
        self.is_healthy = AsyncMock(return_value=True)


class Raising:
    """A client whose health check cannot be read."""

    @property
    def is_healthy(self) -> object:
        raise RuntimeError


def mocked(**attributes: object) -> MagicMock:
    mock = MagicMock()
    for name, value in attributes.items():
        setattr(mock, name, value)
    return mock


@pytest.mark.parametrize(
    ("instance", "has_one"),
    [
        (Remote(), False),
        (MagicMock(), False),
        (AsyncMock(), False),
        (object(), False),
        (print, False),
        (mocked(is_healthy=AsyncMock(return_value=True)), True),
        (MagicMock(spec=Checked), True),
        (SimpleNamespace(is_healthy=AsyncMock(return_value=True)), True),
        (Checked(), True),
        (Slotted(), True),
        (Raising(), True),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_health_check_must_be_defined(instance: object, has_one: bool) -> None:
    assert (health_check_of(instance) is not None) is has_one


async def test_a_client_that_answers_any_name_is_called(registry: ServiceRegistry) -> None:
    registry.register_global("llm", Remote(), name="remote")

    for _ in range(6):
        assert await registry.call("h", "llm", lambda one: one.ask("hi")) == "an answer"
