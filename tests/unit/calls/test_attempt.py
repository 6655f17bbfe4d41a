"""Outcomes that cannot be reported are logged once for each provider."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ciris_registry.calls import attempt_context as module
from ciris_registry.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from ciris_registry import ServiceRegistry

    New = Callable[..., ServiceRegistry]


async def answer(_provider: object) -> str:
    """Answer."""
    return "yes"


async def test_the_lost_outcomes_of_a_namesake_were_not_logged(
    new_registry: New, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """They were taken for those of another service type's provider of this name."""

    async def fail(*_: object) -> None:
        raise StoreError("redis://somewhere", "it is damaged")

    monkeypatch.setattr(module, "_MOST_REMEMBERED", 5)
    registry = new_registry()
    context = registry._parts.executor.context
    monkeypatch.setattr(context, "send_success", lambda *_: False)
    monkeypatch.setattr(context._reporting, "report", fail)
    kinds = [f"kind{number}" for number in range(12)]
    with caplog.at_level(logging.WARNING):
        for kind in kinds:
            registry.register("h", kind, object(), name="same")
            for _ in range(2):
                assert await registry.call("h", kind, answer) == "yes"
    logged = [one for one in caplog.messages if "cannot be reported" in one]
    assert len(logged) == len(kinds)
    assert "outcomes of same of kind0 cannot" in logged[0]
    assert len(context._warned) <= 5
