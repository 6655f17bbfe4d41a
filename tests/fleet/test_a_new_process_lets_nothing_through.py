"""A process that starts while a breaker is open does not call the provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fleet.agent import Fleet

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.shared_state import SharedState

OPEN = """
    config = CircuitBreakerConfig(recovery_timeout=600)
    registry.register_global("llm", Client(), name="shared", circuit_breaker_config=config)
    for _ in range(5):
        await handle.arecord_failure()
"""
CALL = """
    registry.register_global("llm", Client(), name="shared")
    called = 0
    for _ in range(15):
        called += await registry.get_service("h", "llm") is not None
        await asyncio.sleep(0.02)
    return called
"""


@pytest.mark.parametrize("store_timeout", [0.05, 0.001])
def test_not_one_call_gets_through(
    borrow: Callable[..., Team], real_url: str, shared: SharedState, store_timeout: float
) -> None:
    """Also on a machine so slow that each reply is late."""
    [knowing] = borrow(1, real_url)
    knowing.run(OPEN)
    assert shared.state() == "open"
    for _ in range(4):
        new = borrow(3, real_url, "cached", store_timeout=store_timeout)
        assert new.all(CALL) == [0, 0, 0]
    with Fleet(real_url, 1, settings={"store_timeout": store_timeout}) as cold:
        assert cold.all(CALL) == [0]
