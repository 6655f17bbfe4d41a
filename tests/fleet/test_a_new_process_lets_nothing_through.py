"""A process that starts while a breaker is open does not call the provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fleet.agent import Fleet
from tests.fleet.work import new_process

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.shared_state import SharedState


@pytest.mark.parametrize("store_timeout", [0.05, 0.001])
def test_not_one_call_gets_through(
    borrow: Callable[..., Team], real_url: str, shared: SharedState, store_timeout: float
) -> None:
    """Also on a machine so slow that each reply is late."""
    [knowing] = borrow(1, real_url)
    knowing.run(new_process.open_breaker)
    assert shared.state() == "open"
    for _ in range(4):
        new = borrow(3, real_url, "cached", store_timeout=store_timeout)
        assert new.all(new_process.call) == [0, 0, 0]
    with Fleet(real_url, 1, settings={"store_timeout": store_timeout}) as cold:
        assert cold.all(new_process.call) == [0]
